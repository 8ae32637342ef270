"""What `forecasts.py` tells the event hub. Light: the window knows these from the beginning."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inglenook.base.rates import MachineRates
    from inglenook.models.predict.learned import Run
    from inglenook.models.predict.prediction import Prediction


@dataclass(frozen=True, slots=True)
class MachineMeasured:
    """This machine was measured: what was guessed before can be told now."""

    rates: "MachineRates"


@dataclass(frozen=True, slots=True)
class ForecastChanged:
    """Of the loaded model: what was predicted, and what was measured so far."""

    model_id: str
    prediction: "Prediction"
    measured: "Run"
