"""Settings that are texts of a certain form: lines, biases, adapters, addresses.

Each reader raises `UsageError` with what to write instead.
"""

from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from inglenook.base.errors import UsageError

PROXY_SCHEMES: Final = frozenset({"http", "https", "socks5", "socks5h"})


def read_lines(text: str) -> tuple[str, ...]:
    """The lines of a text that hold something, as they are."""
    return tuple(line for line in text.splitlines() if line.strip())


def read_biases(text: str) -> tuple[tuple[int, float], ...]:
    """Lines of `token: bias` as (token, bias) pairs; raises `UsageError`."""
    return tuple(_read_bias(line) for line in read_lines(text))


def _read_bias(line: str) -> tuple[int, float]:
    token, _, bias = line.partition(":")
    try:
        pair = int(token), float(bias)
    except ValueError:
        pair = (-1, 0.0)
    if pair[0] < 0 or not -1000.0 <= pair[1] <= 1000.0:
        raise UsageError(
            f"“{line.strip()[:60]}” is no token bias.",
            "Write the number of a token, a colon, and what is added, such as 1234: -5.",
            code="setting_form",
        )
    return pair


def read_adapters(text: str) -> tuple[tuple[str, float], ...]:
    """Lines of `path` or `path = strength` as (path, strength) pairs; raises `UsageError`."""
    return tuple(_read_adapter(line.strip()) for line in read_lines(text))


def _read_adapter(line: str) -> tuple[str, float]:
    path, equals, strength = line.rpartition(" = ")
    try:
        pair = (path.strip(), float(strength)) if equals else (line, 1.0)
    except ValueError:
        pair = (line, 1.0)
    if not Path(pair[0]).is_absolute() or not -100.0 <= pair[1] <= 100.0:
        raise UsageError(
            f"“{line[:80]}” is no whole path of an adapter.",
            "Write the path from its beginning, and a strength if you like: "
            "/models/pirate.gguf = 0.8",
            code="setting_form",
        )
    return pair


def read_address(text: str) -> str:
    """The address of a hub: https, or http on this very machine; raises `UsageError`."""
    parts = _split_address(text.strip())
    is_here = parts is not None and parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if parts is None or not (parts.scheme == "https" or (parts.scheme == "http" and is_here)):
        raise UsageError(
            f"“{text.strip()[:80]}” is no address of a hub.",
            "Write it from its beginning, such as https://huggingface.co; empty takes that one.",
            code="setting_form",
        )
    return text.strip().rstrip("/")


def read_proxy(text: str) -> str:
    """The address of an HTTP or SOCKS proxy, or none; raises `UsageError`."""
    if text.strip().casefold() == "none":
        return "none"
    parts = _split_address(text.strip())
    if parts is None or parts.scheme not in PROXY_SCHEMES or parts.path not in {"", "/"}:
        raise UsageError(
            f"“{text.strip()[:80]}” is no proxy that can be used.",
            "Write one such as http://127.0.0.1:3128 or socks5://127.0.0.1:9050, or none; empty "
            "takes the system's.",
            code="setting_form",
        )
    return text.strip()


def _split_address(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if is_whole else None
