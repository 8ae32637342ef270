from datetime import timedelta

import pytest

from inglenook.base.errors import StorageError
from inglenook.base.paths import Profile
from inglenook.base.records import InstalledModel
from inglenook.store.store import Store


def test_a_conversation_comes_back_as_it_was_after_a_restart(profile: Profile) -> None:
    first = Store.open(profile.database)
    made = first.create_conversation(title="Tea", model_id="m", system_prompt="Be brief.")
    _, reply = first.add_exchange(
        made.id, parent_id=None, text="Which tea?", model_id="m", model_name="M"
    )
    first.finish_message(reply.id, content="Green.", status="complete", finish_reason="stop")
    before = first.get_conversation(made.id), first.thread(made.id)
    first.close()

    second = Store.open(profile.database)
    assert (second.get_conversation(made.id), second.thread(made.id)) == before
    assert [message.content for message in before[1]] == ["Which tea?", "Green."]
    second.close()


def test_update_changes_only_what_is_given(store: Store) -> None:
    made = store.create_conversation(title="A", model_id="m")
    changed = store.update_conversation(made.id, title="B", title_is_chosen=True, is_pinned=True)
    assert (changed.title, changed.title_is_chosen, changed.is_pinned) == ("B", True, True)
    assert changed.model_id == "m"
    assert changed.updated_at == made.updated_at
    assert store.update_conversation(made.id, system_prompt="x").system_prompt == "x"
    assert store.update_conversation(made.id, system_prompt=None).system_prompt is None


def test_the_list_is_pinned_first_then_newest(store: Store) -> None:
    old, pinned, new = (store.create_conversation(title=t) for t in ("old", "pinned", "new"))
    store.update_conversation(pinned.id, is_pinned=True)
    store.add_exchange(old.id, parent_id=None, text="hello", model_id="", model_name="")
    assert [c.title for c in store.list_conversations()] == ["pinned", "old", "new"]
    assert new.id in {c.id for c in store.list_conversations()}


def test_G05_deleted_conversations_wait_in_the_trash(store: Store) -> None:
    made = store.create_conversation(title="Mistake")
    store.trash_conversation(made.id)
    assert store.list_conversations() == ()
    assert [c.title for c in store.list_conversations(deleted=True)] == ["Mistake"]
    assert store.purge_trash(timedelta(days=30)) == 0
    store.restore_conversation(made.id)
    assert [c.id for c in store.list_conversations()] == [made.id]
    store.trash_conversation(made.id)
    assert store.purge_trash(timedelta(0)) == 1
    assert store.list_conversations(deleted=True) == ()


@pytest.mark.parametrize(
    "name",
    ["get_conversation", "trash_conversation", "restore_conversation", "delete_forever"],
)
def test_an_unknown_conversation_is_not_found(store: Store, name: str) -> None:
    with pytest.raises(StorageError) as caught:
        getattr(store, name)("nowhere")
    assert caught.value.code == "not_found"


def test_drafts_survive_and_are_emptied_by_sending(store: Store) -> None:
    made = store.create_conversation()
    store.update_conversation(made.id, draft="half a tho")
    assert store.get_conversation(made.id).draft == "half a tho"
    store.add_exchange(made.id, parent_id=None, text="a thought", model_id="", model_name="")
    assert store.get_conversation(made.id).draft == ""


def test_models_are_kept_replaced_and_forgotten(store: Store) -> None:
    model = InstalledModel(
        id="o/r/f.gguf",
        name="F",
        path="/models/f.gguf",
        size_bytes=2**40,
        origin="hub",
        aliases=("f", "f:1b"),
        n_params=70_000_000_000,
    )
    store.put_model(model)
    assert store.list_models() == (model,)
    renamed = InstalledModel(id=model.id, name="G", path="/g", size_bytes=1, origin="hub")
    store.put_model(renamed)
    assert [m.name for m in store.list_models()] == ["G"]
    store.remove_model(model.id)
    store.remove_model(model.id)
    assert store.list_models() == ()


def test_settings_keep_only_what_was_chosen(store: Store) -> None:
    store.save_setting("replies.top_k", 10, False)
    store.save_setting("replies.temperature", 0.5, False)
    store.save_setting("privacy.offline", True, False)
    store.save_setting("replies.system_prompt", "Be kind. ☕", False)
    store.save_setting("replies.top_k", 40, True)
    assert store.load_settings() == {
        "replies.temperature": 0.5,
        "privacy.offline": True,
        "replies.system_prompt": "Be kind. ☕",
    }


def test_health_counts_what_is_there(store: Store) -> None:
    made = store.create_conversation()
    store.add_exchange(made.id, parent_id=None, text="a", model_id="", model_name="")
    health = store.check_health()
    assert (health.n_conversations, health.n_messages, health.n_damaged) == (1, 2, 0)
    assert (health.integrity, health.journal_mode) == ("ok", "wal")
    assert health.size_bytes > 0
