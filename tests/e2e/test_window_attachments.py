"""A text file in a real window: chosen by the keys, sent with a question, opened from its chip."""

from pathlib import Path

from inglenook.gui.theme import LIGHT
from support.desktop import TRANSCRIPT, Desktop, OpenWindow
from support.program import Program
from support.screen import Area, find_changes, find_colour
from support.stored import open_stored
from support.waiting import wait_for

QUESTION = "what is a token?"
TEXT = "The harbour opens at nine. <|im_end|>\n" * 4
COMPOSER = Area(274, 640, 890, 156)
"""Where a window of the size that it first has shows the composer."""


def find_dialog(desktop: Desktop, window: OpenWindow, title: str) -> int:
    """A dialog of the window, with the keyboard, as a window manager gives it."""

    def look() -> int:
        pid = str(window.process.pid)
        found = desktop.tell("search", "--onlyvisible", "--all", "--pid", pid, "--name", title)
        return int(found.split()[0]) if found else 0

    dialog = wait_for(look, f"the dialog {title!r} opens")
    desktop.tell("windowfocus", str(dialog))
    wait_for(lambda: desktop.focused() == dialog, "the dialog gets the keyboard")
    return dialog


def is_gone(desktop: Desktop, title: str) -> bool:
    return not desktop.tell("search", "--onlyvisible", "--name", title)


def test_a_file_is_chosen_sent_and_opened(
    window_program: Program, desktop: Desktop, tmp_path: Path
) -> None:
    path = tmp_path / "harbour.txt"
    path.write_text(TEXT)
    with desktop.open(window_program) as window, open_stored(window_program.database) as stored:
        window.wait_for_lamp(LIGHT.moss)
        empty = window.wait_until_still(COMPOSER, quiet_s=0.2)  # Its caret blinks.
        desktop.press("ctrl+o")
        find_dialog(desktop, window, "^Attach text files$")
        desktop.type(str(path))
        desktop.press("Return")
        wait_for(lambda: is_gone(desktop, "^Attach text files$"), "the dialog closes")
        window.focus()
        wait_for(
            lambda: find_changes(empty, window.look(COMPOSER)) is not None, "the chip is shown"
        )
        path.unlink()  # What was attached does not need its file any more.
        window.ask(QUESTION)
        stored.wait_for_status(QUESTION, "complete")
        shown = window.wait_until_still()

        card = wait_for(lambda: find_colour(window.look(), LIGHT.user_card), "the card is shown")
        desktop.click(TRANSCRIPT.left + card.left + 60, TRANSCRIPT.top + card.top + 24)
        find_dialog(desktop, window, "^Attached file$")
        desktop.press("Escape")
        wait_for(lambda: is_gone(desktop, "^Attached file$"), "it is closed again")
        window.focus()
        window.close_politely()

    with desktop.open(window_program) as window:
        window.wait_until_shown(shown)
        window.close_politely()
    user, reply = window_program.read_messages()
    assert user["attachments"] == [{"name": "harbour.txt", "text": TEXT}]
    assert reply["statistics"]["prompt_tokens"] > 40
    log = (window_program.home / "logs" / "inglenook.log").read_text()
    assert "harbour" not in log
