"""Numbers in words: sizes, rates, durations, as every page of the window writes them."""

import os
from datetime import datetime
from pathlib import Path
from typing import Final

_LICENCES: Final = {
    "apache-2.0": "Apache 2.0",
    "mit": "MIT",
    "gemma": "Gemma",
    "lfm1.0": "LFM 1.0",
    "llama2": "Llama 2",
    "llama3": "Llama 3",
    "llama3.1": "Llama 3.1",
    "llama3.2": "Llama 3.2",
    "llama3.3": "Llama 3.3",
    "bsd-3-clause": "BSD 3-Clause",
    "cc-by-4.0": "CC BY 4.0",
    "cc-by-nc-4.0": "CC BY-NC 4.0",
    "openrail": "OpenRAIL",
    "other": "",
}
"""Licences by the hub's identifiers."""


def format_bytes(n_bytes: float) -> str:
    """A size with one unit, in powers of ten as disks and the hub count: `2.6 GB`, `148 MB`."""
    size = float(max(0, n_bytes))
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}"
        size /= 1000
    for unit in ("GB", "TB"):
        if size < 999.5:
            return f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.0f} PB"


def format_count(n: int) -> str:
    """A whole number with a comma at each thousand."""
    return f"{n:,}"


def format_parameters(n_params: int) -> str:
    """A number of parameters as the field writes it: `4B`, `1.7B`, `135M`."""
    if n_params <= 0:
        return ""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if n_params >= size * 0.9995:
            value = n_params / size
            return f"{value:.0f}{unit}" if value >= 99.5 else f"{value:.1f}{unit}".replace(".0", "")
    return str(n_params)


def format_licence(licence: str) -> str:
    """A licence's short name as people write it: `Apache 2.0`, `MIT`, `Gemma`, `Llama 3.2`."""
    return _LICENCES.get(licence.lower(), licence)


def format_path(path: str) -> str:
    """A path with the person's home folder as `~`."""
    home = str(Path.home())
    return f"~{path[len(home) :]}" if path.startswith(home + os.sep) else path


def format_context(n_ctx: int) -> str:
    """A context length: `32k`, `128k`, `1M`."""
    if n_ctx >= 1_000_000:
        return f"{n_ctx / 1_048_576:.0f}M" if n_ctx >= 1_048_576 else "1M"
    return f"{n_ctx // 1024}k" if n_ctx >= 1024 else str(n_ctx)


def format_duration(seconds: float) -> str:
    """A measured duration: `2 ms`, `0.31 s`, `12.4 s`, `3 min 05 s`."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def format_time_left(seconds: float) -> str:
    """A guess of what remains, no finer than it deserves: `42 s`, `5 min`, `2 h 10 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def format_rate(tokens_per_s: float) -> str:
    """Tokens per second: one decimal below 100, none above."""
    return f"{tokens_per_s:.1f}" if tokens_per_s < 99.95 else f"{tokens_per_s:,.0f}"


def format_moment(moment: datetime) -> str:
    """A point in time on this machine's clock: `2025-11-23 14:05`."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")
