"""The window: the only package that imports PySide6. Shows what chat, models and settings hold."""
