"""What this package tells the event hub.

Published on the thread where it happened: a download's own, or the caller's.
"""

from dataclasses import dataclass

from inglenook.models.progress import DownloadState


@dataclass(frozen=True, slots=True)
class ModelsChanged:
    """A model was installed, imported, removed or marked; empty `model_id` means several."""

    model_id: str = ""


@dataclass(frozen=True, slots=True)
class DownloadChanged:
    """A download came into another phase. How far it is, is polled: `downloads.list()`."""

    state: DownloadState
