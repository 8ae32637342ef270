"""The installed program in a real window: opened, typed into, clicked, watched from outside.

    with open_desktop(folder) as desktop, desktop.open(program) as window:
        window.ask("what is a token?")

Keys and clicks are X events (xdotool), what is seen is the frame buffer. There is no window
manager: `OpenWindow` puts its window into the corner and gives it the keyboard.
"""

import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from support.display import has_xvfb, open_display
from support.program import Program, find_engine, wait_until_gone
from support.screen import Area, Picture, Screen, find_changes, find_colour, save_picture
from support.waiting import WAIT_S, wait_for

CLOSE_S: Final = 3.0
GONE_S: Final = 2.0
TITLE: Final = "^Inglenook$"
TRANSCRIPT: Final = Area(274, 62, 890, 590)
"""Where a window of the size that it first has shows a conversation, or a greeting."""
CONVERSATIONS: Final = Area(2, 92, 258, 560)
"""Where it lists conversations, or what a search found."""
HEADER: Final = Area(274, 4, 770, 48)
"""Where it shows the model chip and the conversation's name."""
CHIP: Final = Area(290, 12, 90, 32)
"""Where the model chip begins, with its lamp."""
_AWAY: Final = (1390, 890)
_QUICK_MS: Final = "4"


def list_missing() -> list[str]:
    """What such tests need and is not installed."""
    missing = [] if has_xvfb() else ["Xvfb"]
    return missing if shutil.which("xdotool") else [*missing, "xdotool"]


class Desktop:
    """A display with a keyboard, a pointer and a screen."""

    def __init__(self, name: str, screen: Screen) -> None:
        self.name = name
        self.screen = screen
        self.env = {"DISPLAY": name, "QT_QPA_PLATFORM": "xcb"}

    @contextmanager
    def open(self, program: Program) -> "Iterator[OpenWindow]":
        """Start a program that has this desktop's `env`; it ends at the latest with the block.

        When something fails, the screen is kept beside the program's home.
        """
        with program.start() as process:
            try:
                yield OpenWindow(self, process)
            except BaseException:
                save_picture(self.screen.look(), program.home.with_name("screen.ppm"))
                raise

    def tell(self, *arguments: str) -> str:
        """Have xdotool do something."""
        env = {**os.environ, "DISPLAY": self.name}
        done = subprocess.run(["xdotool", *arguments], env=env, capture_output=True, text=True)
        return done.stdout.strip()

    def press(self, *keys: str) -> None:
        """Press keys one after the other, for example "ctrl+n", "Escape"."""
        self.tell("key", "--delay", _QUICK_MS, *keys)

    def type(self, text: str) -> None:
        """Type a text."""
        self.tell("type", "--delay", _QUICK_MS, text)

    def click(self, x: int, y: int) -> None:
        """Click at a place, and move the pointer away from all that it would change."""
        self.tell("mousemove", str(x), str(y), "click", "1")
        self.park()

    def roll_up(self, x: int, y: int) -> None:
        """Turn the wheel until what is there shows its top."""
        self.tell("mousemove", str(x), str(y), "click", "--repeat", "60", "--delay", "2", "4")
        self.park()

    def park(self) -> None:
        """Move the pointer to where nothing is."""
        self.tell("mousemove", *map(str, _AWAY))

    def find_window(self, pid: int) -> int | None:
        """The main window of a process, once it is on the screen."""
        found = self.tell(
            "search", "--all", "--onlyvisible", "--pid", str(pid), "--name", TITLE
        ).split()
        assert len(found) < 2, "there is one window for each process"
        return int(found[0]) if found else None

    def window_at(self, x: int, y: int) -> int:
        """The window that one sees at a place."""
        self.tell("mousemove", str(x), str(y))
        shown = dict(
            line.split("=", 1) for line in self.tell("getmouselocation", "--shell").splitlines()
        )
        self.park()
        return int(shown["WINDOW"])

    def focused(self) -> int:
        """The window that has the keyboard; 0 for none."""
        return int(self.tell("getwindowfocus") or 0)


class OpenWindow:
    """A program in its window, which has the keyboard."""

    def __init__(self, desktop: Desktop, process: subprocess.Popen[bytes]) -> None:
        self.desktop = desktop
        self.process = process
        self.id = wait_for(self._find, "the window opens")
        desktop.tell("windowmove", "--sync", str(self.id), "0", "0")
        self.focus()

    def focus(self) -> None:
        """Give it the keyboard, as a window manager does with a new window."""
        self.desktop.tell("windowfocus", str(self.id))
        wait_for(lambda: self.desktop.focused() == self.id, "the window gets the keyboard")

    def ask(self, text: str) -> None:
        """Type a message and press Enter."""
        self.desktop.type(text)
        self.desktop.press("Return")

    def look(self, area: Area = TRANSCRIPT) -> Picture:
        """What it shows, by default of the conversation."""
        return self.desktop.screen.look(area)

    def wait_until_still(self, area: Area = TRANSCRIPT, quiet_s: float = 0.5) -> Picture:
        """What it shows once nothing has moved for a while."""
        return self.watch(lambda: True, area, quiet_s)[-1]

    def watch(
        self, is_over: Callable[[], bool], area: Area = TRANSCRIPT, quiet_s: float = 0.5
    ) -> list[Picture]:
        """The pictures it shows one after the other until it is over and nothing moves."""
        seen, since = [self.look(area)], time.monotonic()

        def look() -> bool:
            nonlocal since
            now = self.look(area)
            if find_changes(seen[-1], now) is not None:
                seen.append(now)
                since = time.monotonic()
            return time.monotonic() - since > quiet_s and is_over()

        wait_for(look, "the window comes to rest")
        return seen

    def wait_until_shown(self, picture: Picture, area: Area = TRANSCRIPT) -> None:
        """Wait until it shows again what it has shown before."""
        wait_for(lambda: find_changes(picture, self.look(area)) is None, "the same picture again")

    def wait_for_bar(self, colour: str) -> Area:
        """Where on the screen the bars are that say how replies ended, once all is still."""
        self.wait_until_still()
        bar = wait_for(lambda: find_colour(self.look(), colour), "the bar is shown")
        return bar.shift(TRANSCRIPT.left, TRANSCRIPT.top)

    def press_continue(self, colour: str) -> None:
        """Click the button at the end of the lowest bar."""
        bars = self.wait_for_bar(colour)
        self.desktop.click(bars.right - 40, bars.bottom - 20)

    def wait_for_lamp(self, colour: str) -> None:
        """Wait until the chip says that the model is loaded."""
        wait_for(lambda: find_colour(self.look(CHIP), colour), "the chip's lamp is on")

    def choose_in_chip(self, *keys: str) -> None:
        """Open the list of models below the chip and choose with the arrows."""
        self.desktop.click(*CHIP.middle)
        self.desktop.press(*keys, "Return")

    def search(self, text: str) -> None:
        """Type into the search field, and wait for what it finds."""
        before = self.look(CONVERSATIONS)
        self.desktop.press("ctrl+f")
        self.desktop.type(text)
        wait_for(
            lambda: find_changes(before, self.look(CONVERSATIONS)) is not None,
            "the search answers",
        )
        self.wait_until_still(CONVERSATIONS)

    def search_and_open(self, text: str) -> None:
        """Search, open the first that is found, and wait until its name is shown."""
        self.search(text)
        before = self.look(HEADER)
        self.desktop.press("Return")
        wait_for(lambda: find_changes(before, self.look(HEADER)) is not None, f"{text!r} opens")

    def is_open(self) -> bool:
        return self.process.poll() is None and self._find() == self.id

    def find_engine(self) -> psutil.Process:
        return find_engine(self.process.pid)

    def ask_to_close(self) -> None:
        """What the close button in a window's frame does."""
        _send_delete(self.desktop.name, self.id)

    def close_politely(self, close: Callable[[], None] | None = None) -> None:
        """Close it, by default with its close button; it must end in order and in time (G01)."""
        engine = self.find_engine()
        started_at = time.monotonic()
        (close or self.ask_to_close)()
        _, err = self.process.communicate(timeout=WAIT_S)
        assert (self.process.returncode, err) == (0, b"")
        assert time.monotonic() - started_at < CLOSE_S
        wait_until_gone([engine], 0.5)

    def kill(self) -> float:
        """kill -9; what it started must be gone 2 s later (G02). Returns how long that took."""
        left = psutil.Process(self.process.pid).children(recursive=True)
        assert left, "the engine is its child"
        self.process.kill()
        self.process.wait()
        return wait_until_gone(left, GONE_S)

    def _find(self) -> int | None:
        if self.process.poll() is not None and self.process.stderr is not None:
            raise AssertionError(f"it ended early: {self.process.stderr.read()!r}")
        return self.desktop.find_window(self.process.pid)


@contextmanager
def open_desktop(folder: Path) -> Iterator[Desktop]:
    """A desktop that keeps its frames in a folder."""
    with open_display(frames=folder) as name:
        desktop = Desktop(name, Screen(folder))
        desktop.park()
        yield desktop


class _ClientMessage(ctypes.Structure):
    """XClientMessageEvent of Xlib.h, filled up to the size of an XEvent."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("filling", ctypes.c_long * 24),
    )


def _send_delete(display_name: str, window: int) -> None:
    """Send WM_DELETE_WINDOW (ICCCM 4.2.8.1), which older versions of xdotool cannot."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    display = ctypes.c_void_p(x11.XOpenDisplay(display_name.encode()))
    assert display.value, "the display cannot be opened"
    protocols = x11.XInternAtom(display, b"WM_PROTOCOLS", 0)
    delete = x11.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
    event = _ClientMessage(
        type=33, window=window, message_type=protocols, format=32, data=(delete, 0, 0, 0, 0)
    )
    x11.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(event))
    x11.XCloseDisplay(display)
