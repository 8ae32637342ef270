"""The transcript: messages as cards and text, streamed Markdown, live numbers.

The window uses `Transcript` and nothing else of this package, on its own thread; `prepare_views`
may be called on any.
"""

from inglenook.gui.transcript.reply import prepare_colours, prepare_views
from inglenook.gui.transcript.transcript import Transcript

__all__ = ["Transcript", "prepare_colours", "prepare_views"]
