from inglenook.chat.dispatch import Dispatcher
from inglenook.chat.events import ReplyWaits
from inglenook.engine.protocol import (
    Cancel,
    Command,
    Failed,
    Finished,
    Generate,
    Load,
    Timings,
    Usage,
)
from inglenook.engine.seam import EngineState

IGNORED: list[object] = []


class RecordingEngine:
    def __init__(self) -> None:
        self.commands: list[Command] = []

    @property
    def state(self) -> EngineState:
        return EngineState()

    def submit(self, command: Command) -> None:
        self.commands.append(command)

    def close(self) -> None: ...

    def names(self) -> list[str]:
        return [
            c.model_id if isinstance(c, Load) else getattr(c, "run_id", "?") for c in self.commands
        ]


def load(name: str) -> Load:
    return Load(model_id=name, path=f"/{name}")


def run(run_id: str) -> Generate:
    return Generate(run_id=run_id, messages=())


def end(run_id: str) -> Finished:
    return Finished(run_id=run_id, model_id="", reason="stop", usage=Usage(), timings=Timings())


def test_runs_of_one_model_begin_at_once() -> None:
    engine = RecordingEngine()
    dispatcher = Dispatcher(engine, IGNORED.append)
    dispatcher.start(load("A"), run("1"))
    dispatcher.start(load("A"), run("2"))
    assert engine.names() == ["A", "1", "A", "2"]


def test_another_model_waits_until_the_live_runs_are_over() -> None:
    engine = RecordingEngine()
    dispatcher = Dispatcher(engine, IGNORED.append)
    dispatcher.start(load("A"), run("1"))
    dispatcher.start(load("B"), run("2"))
    dispatcher.start(load("A"), run("3"))
    dispatcher.warm_up(load("C"))
    assert engine.names() == ["A", "1"]
    dispatcher.take(end("1"))
    assert engine.names() == ["A", "1", "B", "2"]
    dispatcher.take(Failed(run_id="2", code="x", message=""))
    assert engine.names()[-2:] == ["A", "3"]
    dispatcher.take(end("3"))
    dispatcher.warm_up(load("C"))
    assert engine.names()[-1] == "C"


def test_a_waiting_run_can_be_stopped() -> None:
    engine = RecordingEngine()
    told: list[object] = []
    dispatcher = Dispatcher(engine, told.append)
    dispatcher.start(load("A"), run("1"))
    dispatcher.start(load("B"), run("2"))
    dispatcher.stop("2")
    waits, event = told
    assert waits == ReplyWaits("2", "A"), "whom it waits for is told"
    assert isinstance(event, Finished)
    assert (event.run_id, event.reason) == ("2", "cancelled")
    dispatcher.take(event)
    dispatcher.take(end("1"))
    assert engine.names() == ["A", "1"]
    dispatcher.stop("1")
    assert isinstance(engine.commands[-1], Cancel)


def test_drafts_are_handed_over_together_and_wait_together() -> None:
    engine = RecordingEngine()
    told: list[object] = []
    dispatcher = Dispatcher(engine, told.append)
    dispatcher.start(load("A"), run("1"), run("2"), run("3"))
    assert engine.names() == ["A", "1", "2", "3"], "nothing comes between them"
    dispatcher.start(load("B"), run("4"), run("5"))
    assert told == [ReplyWaits("4", "A"), ReplyWaits("5", "A")]
    for run_id in "123":
        dispatcher.take(end(run_id))
    assert engine.names() == ["A", "1", "2", "3", "B", "4", "5"]
