"""The transcript: messages as cards and text, streamed Markdown, live numbers.

The window uses `Transcript` and nothing else of this package, on its own thread.
"""

from inglenook.gui.transcript.transcript import Transcript

__all__ = ["Transcript"]
