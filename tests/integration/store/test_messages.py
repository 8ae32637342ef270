import threading

import pytest
from sqlalchemy import Connection

from inglenook.base.errors import StorageError
from inglenook.base.paths import Profile
from inglenook.store.messages import _insert
from inglenook.store.records import Message, Role, Statistics
from inglenook.store.store import Store


def begin(store: Store, text: str = "Hello") -> tuple[Message, ...]:
    return store.start_conversation(
        title="T", system_prompt=None, text=text, model_id="m", model_name="M"
    )


def test_an_exchange_is_a_user_message_and_an_empty_reply(store: Store) -> None:
    user, reply = begin(store)
    assert (user.role, user.status, user.content, user.parent_id) == (
        "user",
        "complete",
        "Hello",
        None,
    )
    assert (reply.role, reply.status, reply.content) == ("assistant", "streaming", "")
    assert (reply.parent_id, reply.model_id, reply.model_name) == (user.id, "m", "M")
    assert store.get_conversation(user.conversation_id).leaf_id == reply.id


def test_text_grows_piece_by_piece_and_ends_with_its_numbers(store: Store) -> None:
    _, reply = begin(store)
    for piece in ("Once ", "upon ", "a time"):
        store.append_text(reply.id, piece)
    assert store.get_message(reply.id).content == "Once upon a time"
    numbers = Statistics(prompt_tokens=12, output_tokens=3, decode_tps=41.5, seed=7)
    done = store.finish_message(
        reply.id,
        content="Once upon a time.",
        status="complete",
        finish_reason="stop",
        statistics=numbers,
    )
    assert done == store.get_message(reply.id)
    assert (done.content, done.status, done.statistics) == (
        "Once upon a time.",
        "complete",
        numbers,
    )


def test_retry_and_edit_add_versions_and_keep_the_old_ones(store: Store) -> None:
    user, first = begin(store)
    store.finish_message(first.id, content="one", status="complete")
    second = store.add_reply(user.conversation_id, parent_id=user.id, model_id="m", model_name="M")
    assert second.sibling_ids == (first.id, second.id)
    edited, third = store.add_exchange(
        user.conversation_id, parent_id=None, text="Hi", model_id="m", model_name="M"
    )
    assert edited.sibling_ids == (user.id, edited.id)
    assert [m.id for m in store.thread(user.conversation_id)] == [edited.id, third.id]
    assert store.get_message(first.id).content == "one"
    assert [m.id for m in store.thread(user.conversation_id, first.id)] == [user.id, first.id]
    assert store.branch_leaf(user.id) == second.id
    ids = [m.id for m in store.list_messages(user.conversation_id)]
    assert ids == [user.id, first.id, second.id, edited.id, third.id]


def test_a_reopened_reply_keeps_its_text_and_grows(store: Store) -> None:
    _, reply = begin(store)
    store.finish_message(reply.id, content="Half", status="stopped")
    opened = store.reopen_reply(reply.id)
    assert (opened.status, opened.content) == ("streaming", "Half")
    store.append_text(reply.id, " done")
    assert store.get_message(reply.id).content == "Half done"


def test_what_was_streaming_when_its_writer_died_is_interrupted(profile: Profile) -> None:
    first = Store.open(profile.database)
    _, reply = begin(first)
    first.append_text(reply.id, "Half a sen")
    first.close()
    second = Store.open(profile.database)
    assert second.mark_interrupted() == (reply.id,)
    message = second.get_message(reply.id)
    assert (message.status, message.content, message.is_intact) == (
        "interrupted",
        "Half a sen",
        True,
    )
    assert second.mark_interrupted() == ()
    assert [hit.message_id for hit in second.search("half")] == [reply.id]
    second.close()


def test_C10_a_reply_that_another_process_writes_is_left_alone(profile: Profile) -> None:
    writer = Store.open(profile.database)
    _, reply = begin(writer)
    other = Store.open(profile.database)
    assert other.mark_interrupted() == ()
    writer.append_text(reply.id, "still here")
    assert other.get_message(reply.id).status == "streaming"
    writer.close()
    assert other.mark_interrupted() == (reply.id,)
    other.close()


def test_text_with_lone_surrogates_and_nul_is_kept(store: Store) -> None:
    user, reply = begin(store, "a\ud800b\0c")
    assert store.get_message(user.id).content == "a\ufffdb\0c"
    assert store.get_message(user.id).is_intact
    store.append_text(reply.id, "x\udfffy")
    assert store.get_message(reply.id).content == "x\ufffdy"


def test_a_parent_from_elsewhere_is_refused_and_nothing_is_written(store: Store) -> None:
    user, _ = begin(store)
    other, _ = begin(store)
    with pytest.raises(StorageError):
        store.add_exchange(
            user.conversation_id, parent_id=other.id, text="x", model_id="", model_name=""
        )
    with pytest.raises(StorageError):
        store.append_text("nowhere", "x")
    assert store.check_health().n_messages == 4


def test_many_threads_may_use_one_store(store: Store) -> None:
    user, reply = begin(store)
    faults: list[BaseException] = []

    def write(name: int) -> None:
        try:
            for i in range(20):
                store.append_text(reply.id, f"[{name}.{i}]")
                store.thread(user.conversation_id)
        except BaseException as error:  # noqa: BLE001  handed to the test
            faults.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    content = store.get_message(reply.id).content
    assert content.count("[") == 80
    assert [part for part in content.split("]") if part.startswith("[2.")] == [
        f"[2.{i}" for i in range(20)
    ]


def test_a_conversation_of_ten_thousand_messages_opens(store: Store) -> None:
    user, reply = begin(store)

    def fill(connection: Connection) -> str:
        last = reply.id
        for i in range(5000):
            for role in roles:
                last = _insert(connection, user.conversation_id, last, role, f"m{i}", "complete")
        return last

    roles: tuple[Role, ...] = ("user", "assistant")
    leaf_id = store._database.write(fill)
    thread = store.thread(user.conversation_id, leaf_id)
    assert len(thread) == 10_002
    assert thread[-1].content == "m4999"
