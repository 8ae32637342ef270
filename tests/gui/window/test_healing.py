"""What a person is offered, in place, when the engine or the graphics card does not get on."""

import threading
from collections.abc import Callable

from inglenook.engine.protocol import (
    Load,
    LoadFailed,
    Stuck,
    Unloaded,
)
from inglenook.gui.transcript.controls import TextButton
from inglenook.gui.transcript.outcome import OutcomeBar
from support.fake_engine import FakeEngine, Reply
from support.window import WindowKit, wait_until

GUIDE = "builtin/guide"


def find_bar(kit: WindowKit) -> OutcomeBar:
    bars = kit.window.chat_page.transcript.findChildren(OutcomeBar)
    return next(bar for bar in bars if bar.isVisible())


def list_words(kit: WindowKit) -> list[str]:
    """The buttons of the bar on show."""
    buttons = find_bar(kit).findChildren(TextButton)
    return sorted(button.text() for button in buttons if button.isVisible())


def press(kit: WindowKit, words: str) -> None:
    buttons = find_bar(kit).findChildren(TextButton)
    next(b for b in buttons if b.isVisible() and b.text() == words).click()


def has_bar(kit: WindowKit) -> bool:
    bars = kit.window.chat_page.transcript.findChildren(OutcomeBar)
    return any(bar.isVisible() for bar in bars)


def begin_held(kit: WindowKit) -> str:
    """Ask, and wait until the first word is shown; the reply then gets no further."""
    kit.ask("what is a token?")
    wait_until(lambda: kit.last_text() == "One ")
    return kit.messages()[-1].id


def tell_stuck(kit: WindowKit, run_id: str, silent_s: float = 10.2) -> None:
    kit.app.hub.publish(Stuck(run_ids=(run_id,), silent_s=silent_s))


def test_B02_a_stuck_engine_is_told_in_the_reply_and_taken_back(
    open_kit: Callable[..., WindowKit],
) -> None:
    hold = threading.Event()
    kit = open_kit([Reply(("One ", "two."), hold=hold)])
    run_id = begin_held(kit)
    assert not has_bar(kit)
    tell_stuck(kit, run_id)
    wait_until(lambda: has_bar(kit))
    assert list_words(kit) == ["Restart engine", "Stop"]
    tell_stuck(kit, run_id, 0.0)
    wait_until(lambda: not has_bar(kit))
    hold.set()
    wait_until(kit.is_idle)
    assert kit.messages()[-1].status == "complete"


def test_B02_one_click_restarts_the_engine_and_one_goes_on(
    open_kit: Callable[..., WindowKit],
) -> None:
    kit = open_kit([Reply(("One ", "two."), hold=threading.Event()), Reply(("more.",))])
    tell_stuck(kit, begin_held(kit))
    wait_until(lambda: has_bar(kit))
    press(kit, "Restart engine")
    wait_until(lambda: kit.messages()[-1].status == "interrupted")
    assert kit.messages()[-1].finish_reason == "engine_hung"
    wait_until(lambda: has_bar(kit) and list_words(kit) == ["Continue"])
    press(kit, "Continue")
    wait_until(lambda: kit.messages()[-1].status == "complete")
    assert kit.last_text() == "One more."


def test_B02_one_click_stops_a_stuck_reply(open_kit: Callable[..., WindowKit]) -> None:
    kit = open_kit([Reply(("One ", "two."), hold=threading.Event())])
    tell_stuck(kit, begin_held(kit))
    wait_until(lambda: has_bar(kit))
    press(kit, "Stop")
    wait_until(lambda: kit.messages()[-1].status == "stopped")


def test_B02_what_is_sent_while_a_stuck_reply_is_being_stopped_follows_it(
    open_kit: Callable[..., WindowKit],
) -> None:
    kit = open_kit([Reply(("One ", "two."), hold=threading.Event()), Reply(("next",))])
    tell_stuck(kit, begin_held(kit))
    wait_until(lambda: has_bar(kit))
    press(kit, "Stop")
    kit.ask("and on")
    wait_until(lambda: kit.last_text() == "next" and kit.is_idle())
    assert [m.status for m in kit.messages()[1::2]] == ["stopped", "complete"]


def test_B13_a_full_graphics_card_offers_to_go_on_on_the_cpu(
    open_kit: Callable[..., WindowKit],
) -> None:
    failure = ("gpu_out_of_memory", "The graphics card ran out of memory.", "Go on without it.")
    kit = open_kit([Reply(("One ",), failure=failure), Reply(("more.",))])
    kit.ask("what is a token?")
    wait_until(lambda: has_bar(kit))
    assert kit.messages()[-1].status == "interrupted"
    assert list_words(kit) == ["Continue", "Continue on the CPU"]
    press(kit, "Continue on the CPU")
    wait_until(lambda: kit.messages()[-1].status == "complete")
    assert kit.last_text() == "One more."
    assert list_loads(kit.engine)[-1].options.n_gpu_layers == 0


def test_B14_a_lost_graphics_card_is_left_without_being_asked(
    open_kit: Callable[..., WindowKit],
) -> None:
    failure = ("gpu_lost", "The graphics card stopped working with the engine.", "")
    kit = open_kit([Reply(("One ",), failure=failure), Reply(("more.",))])
    kit.ask("what is a token?")
    wait_until(lambda: has_bar(kit))
    assert list_words(kit) == ["Continue on the CPU"]
    kit.ask_and_wait("another question")
    load = list_loads(kit.engine)[-1]
    assert load.options.n_gpu_layers == 0
    assert "on the CPU now" in load.because


def list_loads(engine: FakeEngine) -> list[Load]:
    return [command for command in engine.commands if isinstance(command, Load)]


def test_B13_a_context_that_does_not_fit_is_offered_shorter_and_on_the_cpu(
    open_kit: Callable[..., WindowKit],
) -> None:
    failure = LoadFailed(
        model_id=GUIDE,
        code="out_of_memory",
        message="A context of 65,536 tokens does not fit.",
        hint="A context of 8,192 tokens fits.",
        fitting_n_ctx=8192,
        fits_cpu=True,
    )
    kit = open_kit(load_failures={GUIDE: failure})
    notice = kit.window.chat_page.notice
    wait_until(notice.isVisible)
    words = {b.text(): b for b in notice.findChildren(type(notice.button)) if b.isVisible()}
    assert set(words) >= {"Load with 8,192 tokens", "Use the CPU", "Choose another model"}
    kit.engine.load_failures.clear()
    words["Load with 8,192 tokens"].click()
    wait_until(lambda: kit.app.engine.state.loaded is not None)
    assert list_loads(kit.engine)[-1].options.n_ctx == 8192
    wait_until(lambda: not notice.isVisible())
    kit.ask_and_wait("now it works")
    assert kit.messages()[-1].status == "complete"
    assert list_loads(kit.engine)[-1].options.n_ctx == 8192


def test_an_idle_model_sleeps_and_the_next_message_wakes_it(kit: WindowKit) -> None:
    chip = kit.window.chat_page.chip
    wait_until(lambda: chip.state.phase == "ready")
    kit.engine._publish(Unloaded(asleep_id=GUIDE))
    wait_until(lambda: chip.state.phase == "asleep")
    assert "asleep" in chip.state.details
    assert "comes back" in chip.toolTip()
    kit.ask_and_wait("good morning")
    assert kit.messages()[-1].status == "complete"
    wait_until(lambda: chip.state.phase == "ready")
