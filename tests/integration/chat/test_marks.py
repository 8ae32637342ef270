"""What a load tells of a model stays with the model."""

from collections.abc import Iterator

import pytest

from inglenook.chat.marks import ENDED_THE_ENGINE
from inglenook.engine.protocol import LoadFailed
from inglenook.store.store import Store
from integration.chat.talk import Talk, open_talk


@pytest.fixture
def talk(store: Store) -> Iterator[Talk]:
    opened = open_talk(store)
    yield opened
    opened.close()


def fail_load(code: str) -> LoadFailed:
    return LoadFailed(model_id="big", code=code, message="The engine stopped.", hint="")


def test_A01_a_model_that_ended_the_engine_in_its_load_is_marked(talk: Talk) -> None:
    talk.hub.publish(fail_load("load_crashed"))
    assert talk.library.problems == {"big": ENDED_THE_ENGINE}


@pytest.mark.parametrize("code", ["engine_died", "engine_hung", "out_of_memory", "cancelled"])
def test_other_ends_of_a_load_blame_nobody(talk: Talk, code: str) -> None:
    talk.hub.publish(fail_load(code))
    assert talk.library.problems == {}


def test_a_model_that_was_loaded_counts_as_used(talk: Talk) -> None:
    started = talk.chat.send(None, "hello")
    talk.finish(started.reply.id)
    assert "guide" in talk.library.used
