"""From the arguments to the window, a command or the engine's host; imports only what is needed.

Called on the main thread by the console script `inglenook` and by `python -m inglenook`.
"""

import os
import signal
import sys
from pathlib import Path

ENGINE_HOST_FLAG = "--engine-host"
INTERRUPTED = 130
NO_WINDOW_HINT = "Talk in the terminal instead: inglenook run"


def find_window_home(arguments: list[str]) -> tuple[bool, Path | None]:
    """Whether these arguments ask for the window, and the `--home` among them."""
    match arguments:
        case []:
            return True, None
        case ["--home", home]:
            return True, Path(home)
        case [only] if only.startswith("--home="):
            return True, Path(only.removeprefix("--home="))
        case _:
            return False, None


def has_display() -> bool:
    """Whether a window can be opened: a display is named and answers, or none is needed."""
    platform = os.environ.get("QT_QPA_PLATFORM", "")
    if not sys.platform.startswith("linux") or platform not in {"", "xcb"}:
        return True
    if os.environ.get("WAYLAND_DISPLAY") and not platform:
        return True
    return bool(os.environ.get("DISPLAY")) and answers_x()


def answers_x() -> bool:
    """Whether the X server can be reached. Qt ends the process when it cannot."""
    import ctypes

    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return True  # Qt says which library is missing.
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    has_error = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    return not has_error


def open_window(home: Path | None) -> int:
    """Open the window on a profile; returns the exit code."""
    from inglenook.base.errors import ExitCode

    if not has_display():
        print(f"There is no display to open a window on. {NO_WINDOW_HINT}", file=sys.stderr)  # noqa: T201
        return ExitCode.USAGE
    try:
        from inglenook.gui.application import run_window
    except ImportError as error:
        print(f"The window's libraries are missing ({error}). {NO_WINDOW_HINT}", file=sys.stderr)  # noqa: T201
        return ExitCode.USAGE
    return run_window(home)


def main() -> int:
    """Run what the arguments ask for; returns the exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == [ENGINE_HOST_FLAG]:
        from inglenook.engine.host import main as run_host

        return run_host()
    try:
        return run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        # A Ctrl+C that comes while Python ends would only print a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def run(arguments: list[str]) -> int:
    """Open the window, or run a command."""
    wants_window, home = find_window_home(arguments)
    if wants_window:
        return open_window(home)
    from inglenook.cli.program import run_command

    return run_command(arguments)


if __name__ == "__main__":
    sys.exit(main())
