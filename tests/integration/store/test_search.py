import sqlite3

import pytest

from inglenook.store.records import SearchHit
from inglenook.store.store import Store


def say(store: Store, title: str, text: str, reply: str) -> str:
    user, answer = store.start_conversation(
        title=title, system_prompt=None, text=text, model_id="", model_name=""
    )
    store.finish_message(answer.id, content=reply, status="complete")
    return user.conversation_id


def mark(hit: SearchHit) -> list[str]:
    return [hit.snippet[start:end] for start, end in hit.spans]


def test_titles_match_in_any_part_and_any_case(store: Store) -> None:
    chat = say(store, "Über GRÜNEN Tee", "x", "y")
    (hit,) = store.search("grün")
    assert (hit.conversation.id, hit.message_id, mark(hit)) == (chat, None, ["GRÜN"])
    assert store.search("ber gr")[0].conversation.id == chat


def test_texts_match_by_the_beginnings_of_words(store: Store) -> None:
    say(store, "T", "How do I brew coffee?", "Grind the beans, then pour.")
    (hit,) = store.search("cof bre")
    assert mark(hit) == ["brew", "coffee"]
    assert mark(store.search("pour")[0]) == ["pour"]
    assert store.search("offee") == ()


def test_accents_do_not_matter_in_texts(store: Store) -> None:
    say(store, "T", "Where is the café?", "")
    assert mark(store.search("cafe")[0]) == ["café"]


@pytest.mark.parametrize(
    "text", ['"', "'", "*", "a*", "AND", "NOT x", "NEAR(a b)", "(", "-", "^", "a:b", "\0", "%", "_"]
)
def test_no_text_is_an_error(store: Store, text: str) -> None:
    say(store, "T", "Some words AND more", "NOT these")
    store.search(text)


def test_scripts_without_spaces_match_anywhere(store: Store) -> None:
    say(store, "T", "请问今天天气怎么样", "")
    (hit,) = store.search("天气")
    assert mark(hit) == ["天气"]


def test_one_hit_by_text_for_each_conversation_the_newest(store: Store) -> None:
    chat = say(store, "T", "apple one", "apple two")
    (hit,) = store.search("apple")
    assert hit.message_id == store.thread(chat)[-1].id


def test_the_trash_and_unfinished_replies_are_not_found(store: Store) -> None:
    chat = say(store, "Secret", "apple", "pear")
    store.trash_conversation(chat)
    assert store.search("apple") == ()
    assert store.search("secret") == ()
    _, reply = store.start_conversation(
        title="T", system_prompt=None, text="x", model_id="", model_name=""
    )
    store.append_text(reply.id, "plum")
    assert store.search("plum") == ()


@pytest.mark.logs("search index")
@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM message_search_data",
        "UPDATE message_search_data SET block = x'00ff00ff00ff' WHERE id > 1",
        "DROP TABLE message_search",
        "DROP TABLE message_search_idx",
        "DROP TABLE message_search_config",
    ],
)
def test_C17_a_broken_index_is_made_again(store: Store, harm: str) -> None:
    chat = say(store, "T", "apple", "pear")
    store.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute(harm)
    connection.close()
    again = Store.open(store.path)
    try:
        assert [hit.conversation.id for hit in again.search("apple")] == [chat]
        other = say(again, "T", "apple tart", "cream")
        assert {hit.conversation.id for hit in again.search("apple")} == {chat, other}
        assert again.check_health().integrity == "ok"
    finally:
        again.close()


@pytest.mark.logs("search index")
def test_C17_a_message_is_saved_though_the_index_is_broken(store: Store) -> None:
    store._database.write(lambda c: c.exec_driver_sql("DROP TABLE message_search_data").rowcount)
    chat = say(store, "T", "apple", "pear")
    assert [m.content for m in store.thread(chat)] == ["apple", "pear"]
    assert [hit.conversation.id for hit in store.search("pear")] == [chat]
