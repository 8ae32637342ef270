"""What a load tells of a model stays with the model."""

from collections.abc import Iterator

import pytest

from inglenook.chat.marks import BREAKS_THE_ENGINE, ENDED_THE_ENGINE
from inglenook.engine.protocol import EngineDied, Finished, LoadFailed, Timings, Usage
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


def die(talk: Talk, model_id: str = "big") -> None:
    talk.hub.publish(EngineDied(cause="native code gave up", exit_status=-6, broke_on=model_id))


def finish_reply(talk: Talk, model_id: str = "big", n_tokens: int = 9) -> None:
    usage = Usage(output_tokens=n_tokens)
    talk.hub.publish(
        Finished(run_id="r", model_id=model_id, reason="stop", usage=usage, timings=Timings())
    )


def test_A07_a_model_that_ends_the_engine_twice_in_a_row_is_marked(talk: Talk) -> None:
    die(talk)
    assert talk.library.problems == {}
    die(talk, "another")
    die(talk)
    assert talk.library.problems == {"big": BREAKS_THE_ENGINE}


def test_A07_a_reply_between_two_deaths_speaks_for_the_model(talk: Talk) -> None:
    for _ in range(5):
        die(talk)
        finish_reply(talk)
    die(talk)
    finish_reply(talk, n_tokens=0)
    assert talk.library.problems == {}
    die(talk)
    assert talk.library.problems == {"big": BREAKS_THE_ENGINE}


def test_A07_deaths_that_are_nobodys_fault_blame_nobody(talk: Talk) -> None:
    for _ in range(5):
        die(talk, "")
    assert talk.library.problems == {}
