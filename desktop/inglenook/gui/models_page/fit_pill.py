"""Whether a model fits this machine, as a pill with the arithmetic on hover."""

from inglenook.app import App
from inglenook.gui.formats import format_bytes
from inglenook.gui.sidebar.rows import Translate
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import Pill, PillTone
from inglenook.models.fit import Fit


def count_gpu_bytes(app: App) -> int:
    """The memory of the graphics cards, as far as the engine has told."""
    ready = app.engine.state.ready
    devices = ready.devices if ready is not None else ()
    return sum(device.memory_total_bytes for device in devices if device.kind == "gpu")


def make_fit_pill(theme: Theme, fit: Fit, translate: Translate) -> Pill:
    """The verdict in two words; the sums are its tooltip."""
    size = format_bytes(fit.needs_bytes)
    tones: dict[str, tuple[str, PillTone]] = {
        "fits": (translate("fits in memory"), "good"),
        "tight": (translate("tight"), "warn"),
        "too_large": (translate("too large: needs {size}").replace("{size}", size), "bad"),
    }
    text, tone = tones[fit.verdict]
    return Pill(theme, text, tone, fit.reason)
