"""How an installed model runs here: a pill, and what was measured beside what was predicted."""

from PySide6.QtWidgets import QVBoxLayout, QWidget

from inglenook.app import App
from inglenook.base.errors import UserError
from inglenook.base.records import InstalledModel
from inglenook.gui.formats import format_bytes
from inglenook.gui.models_page.fit_pill import FitPill
from inglenook.gui.sidebar.rows import Translate
from inglenook.gui.tasks import Tasks
from inglenook.gui.theme import Theme
from inglenook.gui.widgets import make_label
from inglenook.models.fit import Fit, fit_of
from inglenook.models.predict.learned import Run
from inglenook.models.predict.prediction import Prediction
from inglenook.models.predict.words import format_tps


class ModelForecast(QWidget):
    """The line below a model's name; `pill` stands beside the name. Hidden until known."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pill = FitPill(theme, Fit("fits", "", 0), self.tr)
        self.pill.hide()
        self.line = make_label("", "small")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.line)
        self.hide()

    def ask(self, app: App, tasks: Tasks, model: InstalledModel) -> None:
        """Work it out on a worker thread; a file that cannot be read says so elsewhere."""

        def work() -> tuple[Prediction | None, Run | None]:
            forecasts = app.forecasts
            return forecasts.predict_installed(model), forecasts.find_measured(model)

        def failed(error: UserError) -> None:
            del error

        tasks.run(work, lambda told: self.show_told(*told), failed, owner=self)

    def show_told(self, prediction: Prediction | None, run: Run | None) -> None:
        """Show a prediction, and what was measured when the model last ran."""
        if prediction is None:
            return
        self.pill.show_fit(fit_of(prediction))
        self.pill.show()
        parts = [self.tr("needs {size}").replace("{size}", format_bytes(prediction.needs_bytes))]
        if prediction.write_tps:
            speed = self.tr("writes {write}, reads {read} tok/s")
            speed = speed.replace("{write}", format_tps(prediction.write_tps))
            parts.append(speed.replace("{read}", format_tps(prediction.read_tps)))
        text = self.tr("Predicted: {facts}").replace("{facts}", " \u00b7 ".join(parts))
        if measured := describe_measured(run, self.tr):
            text = f"{text}. {measured}"
        self.line.setText(text)
        self.show()


def describe_measured(run: Run | None, translate: Translate) -> str:
    """What a model was measured at; "" where it has not run here."""
    if run is None or not (run.write_tps or run.resident_bytes):
        return ""
    parts = []
    if run.resident_bytes:
        parts.append(format_bytes(run.resident_bytes))
    if run.write_tps:
        parts.append(translate("{n} tok/s").replace("{n}", format_tps(run.write_tps)))
    return translate("Measured: {facts}").replace("{facts}", " \u00b7 ".join(parts))
