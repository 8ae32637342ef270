"""The window: the only package that imports PySide6. Shows what chat, models and settings hold."""

import builtins

import PySide6.QtCore  # noqa: F401  before the next lines, which undo a part of what it does

# WORKAROUND: PySide6 replaces Python's `__import__` by one that reads the source of every module
# that is imported from then on, in search of its own name, for the sake of `__feature__`, which is
# not used here (shibokensupport/feature.py; PYSIDE-2029). That is a tenth of a start.
builtins.__import__ = getattr(builtins, "__orig_import__", builtins.__import__)
