"""The installed program in a real window: several replies that are written at once.

Keys and clicks go in as X events; the screen and the disk are watched from outside.
"""

from pathlib import Path

from inglenook.gui.theme import LIGHT
from support.desktop import CONVERSATIONS, TRANSCRIPT, Desktop, OpenWindow
from support.program import Program
from support.screen import Area, count_dark, find_changes, find_colour
from support.stored import Stored, StoredReply, open_stored, use_model
from support.waiting import wait_for

ROW_PX = 35
FIRST, SECOND = "the sea", "the hills"


def find_marks(window: OpenWindow) -> Area | None:
    """Where the sidebar marks conversations that are being written."""
    return find_colour(window.look(CONVERSATIONS), LIGHT.ember)


def wait_for_marks(window: OpenWindow, n_rows: int) -> Area:
    """Wait until so many neighbouring rows have their mark; where the marks are."""

    def look() -> Area | None:
        marks = find_marks(window)
        is_right = marks is not None and marks.height // ROW_PX == n_rows - 1
        return marks if is_right else None

    return wait_for(look, f"{n_rows} conversations are marked")


def open_row(window: OpenWindow, y: int) -> None:
    """Click a row of the sidebar, and wait until the conversation shows."""
    before = window.look()
    window.desktop.click(CONVERSATIONS.left + 60, CONVERSATIONS.top + y)
    wait_for(lambda: find_changes(before, window.look()) is not None, "another one is shown")


def wait_for_growth(stored: Stored, question: str) -> None:
    """Wait until a reply has grown."""
    n_before = len(stored.wait_for_text(question, 1).text)
    stored.wait_for_text(question, n_before + 20)


def test_two_conversations_are_written_at_once(
    window_program: Program, desktop: Desktop, steady: Path
) -> None:
    use_model(window_program, steady)
    with desktop.open(window_program) as window, open_stored(window_program.database) as stored:
        window.wait_for_lamp(LIGHT.moss)
        window.ask(FIRST)
        stored.wait_for_text(FIRST, 40)
        desktop.press("ctrl+n")
        window.ask(SECOND)
        stored.wait_for_text(SECOND, 20)
        wait_for_growth(stored, FIRST)
        marks = wait_for_marks(window, 2)

        open_row(window, marks.bottom - 4)  # The first one stands below the second one.
        amounts = [count_dark(window.look())]
        for question in (FIRST, SECOND):
            wait_for_growth(stored, question)
            amounts.append(count_dark(window.look()))
        assert sorted(set(amounts)) == amounts, "what is on show grows, while both are written"

        desktop.press("Escape")
        first = stored.wait_for_status(FIRST, "stopped")
        wait_for_growth(stored, SECOND)
        marks = wait_for_marks(window, 1)
        still = window.wait_until_still()
        wait_for_growth(stored, SECOND)
        assert find_changes(still, window.look()) is None, "the other one's words stay out of it"

        open_row(window, marks.middle[1])
        n_dark = count_dark(window.look())
        wait_for_growth(stored, SECOND)
        assert count_dark(window.look()) > n_dark
        desktop.press("Escape")
        second = stored.wait_for_status(SECOND, "stopped")
        wait_for(lambda: find_marks(window) is None, "no conversation is marked any more")
        window.close_politely(lambda: desktop.press("ctrl+q"))
    assert first.conversation_id != second.conversation_id
    assert first.statistics["output_tokens"] > 10


def list_drafts(stored: Stored) -> list[StoredReply]:
    return [reply for reply in stored.list_replies() if reply.question == FIRST]


def find_grown_drafts(stored: Stored) -> list[StoredReply]:
    """The drafts once there are three, each with some words."""
    drafts = list_drafts(stored)
    return drafts if len([d for d in drafts if len(d.text) > 60]) == 3 else []


def test_C01_killed_with_three_drafts_all_their_words_stand(
    window_program: Program, desktop: Desktop, steady: Path
) -> None:
    use_model(window_program, steady)
    with open_stored(window_program.database) as stored:
        with desktop.open(window_program) as window:
            window.wait_for_lamp(LIGHT.moss)
            desktop.type(FIRST)
            desktop.press("ctrl+shift+Return")
            drafts = wait_for(lambda: find_grown_drafts(stored), "three drafts are written")
            assert [draft.status for draft in drafts] == ["streaming"] * 3
            window.kill()
        left = list_drafts(stored)
        for before, after in zip(drafts, left, strict=True):
            assert after.text.startswith(before.text)
        with desktop.open(window_program) as window:
            window.wait_for_bar(LIGHT.amber_tint)
            marked = list_drafts(stored)
            assert [draft.status for draft in marked] == ["interrupted"] * 3
            assert [draft.text for draft in marked] == [draft.text for draft in left]
            window.press_continue(LIGHT.amber_tint)
            going_on = wait_for(
                lambda: next((d for d in list_drafts(stored) if d.status == "streaming"), None),
                "the one on show goes on",
            )
            assert going_on.text.startswith(left[0].text)
            desktop.press("Escape")
            wait_for(
                lambda: all(d.status != "streaming" for d in list_drafts(stored)), "it is stopped"
            )
            window.close_politely(lambda: desktop.press("ctrl+q"))


def test_one_of_three_drafts_is_kept_by_its_number(
    window_program: Program, desktop: Desktop, steady: Path
) -> None:
    use_model(window_program, steady, replies__max_tokens=40)
    with desktop.open(window_program) as window, open_stored(window_program.database) as stored:
        window.wait_for_lamp(LIGHT.moss)
        desktop.type(FIRST)
        desktop.press("ctrl+shift+Return")
        wait_for(
            lambda: [d.status for d in list_drafts(stored)] == ["complete"] * 3,
            "three drafts are complete",
        )
        beside = window.wait_until_still()
        desktop.press("2")
        wait_for(lambda: find_changes(beside, window.look()) is not None, "one is kept")
        window.wait_until_still()
        window.ask("and on")
        stored.wait_for_status("and on", "complete")
        window.close_politely(lambda: desktop.press("ctrl+q"))
    messages = window_program.read_history()[0]["messages"]
    assert [m["content"] for m in messages if m["role"] == "user"] == [FIRST, "and on"]
    assert TRANSCRIPT.width > 3 * 250, "there was room for all three"
