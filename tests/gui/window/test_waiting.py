"""A model is chosen, a message waits for it, the context fills: the window says so in place."""

from collections.abc import Callable
from pathlib import Path

from inglenook.gui.transcript.reply import ReplyView
from support.window import WindowKit, add_model, wait_until

type OpenKit = Callable[..., WindowKit]


def test_a_message_sent_right_after_a_choice_is_for_the_chosen_model(
    kit: WindowKit, tmp_path: Path
) -> None:
    model = add_model(kit, tmp_path / "other.gguf")
    kit.window.chat.choose_model(model.id)
    kit.ask_and_wait("Hello")
    assert kit.messages()[-1].model_id == model.id


def test_a_message_that_waits_for_its_model_says_so(open_kit: OpenKit, tmp_path: Path) -> None:
    kit = open_kit(load_s=2.0)
    kit.window.chat.choose_model(add_model(kit, tmp_path / "other.gguf").id)
    wait_until(lambda: kit.window.chat_page.chip.state.phase == "loading")
    kit.ask("Hello")
    wait_until(lambda: len(kit.messages()) == 2)
    view = kit.window.chat_page.transcript._views[kit.messages()[-1].id]
    assert isinstance(view, ReplyView)
    wait_until(lambda: "Loading Other 1B" in view.live._progress.text())


def test_a_conversation_that_nearly_fills_the_context_says_so(open_kit: OpenKit) -> None:
    kit = open_kit(n_ctx=16)
    kit.ask_and_wait("one two three four five six seven eight nine ten eleven twelve")
    assert "nearly full" in kit.window.chat_page.composer._notice.text()
