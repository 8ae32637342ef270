"""What is predicted of models, as the window shows it: pills, the installed tab, the inspector."""

from dataclasses import replace

import msgspec
import pytest

from inglenook.chat.forecast_events import ForecastChanged
from inglenook.gui.models_page.fit_pill import FitPill
from inglenook.gui.models_page.model_forecast import ModelForecast
from inglenook.gui.theme import Theme
from inglenook.models.fit import Machine, fit_of, judge_fit
from inglenook.models.predict.learned import Run
from inglenook.models.predict.prediction import predict
from inglenook.models.predict.shape import guess_shape
from support.rates import make_rates
from support.window import WindowKit, wait_until

GB = 10**9
MACHINE = Machine(16 * GB, rates=make_rates("Q4_K"))


def say(text: str) -> str:
    return text


@pytest.fixture
def theme(qapp: object) -> Theme:
    del qapp
    return Theme()


def test_a_pill_says_where_and_how_fast_and_its_tooltip_how_that_was_worked_out(
    theme: Theme,
) -> None:
    guess = FitPill(theme, judge_fit(GB, MACHINE, n_params=2 * GB, quantisation="Q4_K_M"), say)
    assert guess.text().startswith("runs in memory · ≈ ")
    assert "file&#x27;s size alone" in guess.toolTip()
    known = replace(guess_shape(GB, "Q4_K_M"), is_guess=False)
    guess.show_fit(fit_of(predict(known, MACHINE)))
    assert "≈" not in guess.text()
    assert "1.0 GB of weights" in guess.toolTip()
    assert "tokens per second" in guess.accessibleName()
    guess.show_fit(guess.fit, "The hub cannot be reached.")
    assert "The hub cannot be reached." in guess.toolTip()


def test_what_is_too_large_names_its_need(theme: Theme) -> None:
    pill = FitPill(theme, judge_fit(40 * GB, MACHINE, quantisation="Q4_K_M"), say)
    assert pill.text().startswith("too large: needs ")
    assert "tok/s" not in pill.text()


def test_an_unmeasured_machine_gets_words_without_speed(theme: Theme) -> None:
    assert FitPill(theme, judge_fit(GB, Machine(16 * GB)), say).text() == "runs in memory"


def test_measured_stands_beside_predicted(theme: Theme) -> None:
    line = ModelForecast(theme)
    told = predict(replace(guess_shape(GB, "Q4_K_M"), is_guess=False), MACHINE)
    line.show_told(told, None)
    assert line.line.text().startswith("Predicted: needs ")
    assert "Measured" not in line.line.text()
    line.show_told(told, Run(write_tps=17.4, resident_bytes=1_600_000_000))
    assert line.line.text().endswith("Measured: 1.6 GB · 17 tok/s")
    line.pill.deleteLater()


def test_the_inspector_shows_both(kit: WindowKit) -> None:
    window = kit.window
    told = predict(guess_shape(GB, "Q4_K_M"), MACHINE)
    run = Run(write_tps=17.4, resident_bytes=1_600_000_000)
    window._on_event(ForecastChanged("m", told, run))
    assert "tok/s" in window.inspector.predicted.value()
    assert window.inspector.measured.value() == "1.6 GB · 17.4 tok/s"
    window._on_event(ForecastChanged("m", told, msgspec.structs.replace(run, write_tps=0.0)))
    assert window.inspector.measured.value() == "1.6 GB"


def test_the_models_popup_says_how_fast_each_is(kit: WindowKit) -> None:
    kit.window.chooser.open_popup()
    popup = kit.window.chooser._popup
    assert popup is not None
    wait_until(lambda: "≈" in popup.rows["builtin/guide"].details)
    assert popup.rows["builtin/guide"].details.endswith("in memory, CPU")
    assert "tok/s" in popup.rows["builtin/guide"].accessibleName()
