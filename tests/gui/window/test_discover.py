"""Discover: a search of a hub of a hundred repositories, one of them opened, what goes wrong.

The window is real and so is the hub's client; the hub is on this machine.
"""

from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QToolTip

from inglenook.base.records import InstalledModel
from inglenook.gui.models_page import ModelsPage
from inglenook.gui.models_page.results_model import ROW_ROLE
from inglenook.gui.models_page.results_rows import ResultRow, describe_age, format_many
from inglenook.models.fit import Machine
from inglenook.models.hub_search import PAGE_LENGTH
from support.crowded_hub import fill_hub, pretend_sizes
from support.loopback_hub import Answer, LoopbackHub
from support.models import make_model
from support.window import WindowKit, find_unnamed, wait_until

REPO = "unsloth/gemma-3-4B-Instruct-GGUF"
CLOSED = "bartowski/Llama-3.2-0.6B-Instruct-GGUF"
TOKEN = "hf_canary_0123456789"


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        fill_hub(hub)
        hub.repos[CLOSED].gated = "manual"
        yield hub


@pytest.fixture
def page(loopback: LoopbackHub, open_kit: Callable[..., WindowKit]) -> ModelsPage:
    kit = open_kit()
    kit.window.show_models()
    found = kit.window._models_page
    assert found is not None
    wait_until(lambda: len(found.discover.cards()) == len(kit.app.catalogue.entries))
    found.discover._machine = Machine(16_000_000_000)
    return found


def rows(page: ModelsPage, kind: str = "result") -> list[ResultRow]:
    return [row for row in page.discover.results.rows if row.kind == kind]


def type_words(page: ModelsPage, words: str) -> None:
    """Type, and wait until the hub has answered or failed."""
    page.field.setText(words)
    hub = page.discover.hub
    wait_until(
        lambda: (
            hub.query is not None
            and hub.query.words == words.rpartition("/")[2]
            and hub.phase in {"done", "failed"}
        )
    )


def note(page: ModelsPage) -> ResultRow:
    return rows(page, "note")[-1]


def press_row(page: ModelsPage, row: ResultRow) -> None:
    """Click the button of a row."""
    view, number = page.discover.view, page.discover.results.rows.index(row)
    view.scrollTo(page.discover.results.index(number))
    QTest.qWait(20)
    place = view.button_area(number).center()
    assert not view.button_area(number).isEmpty()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_nothing_is_asked_before_somebody_types(page: ModelsPage, loopback: LoopbackHub) -> None:
    QTest.qWait(500)
    assert loopback.list_requests() == []
    assert page.discover._stack.currentWidget() is page.discover.catalogue


def test_words_are_looked_for_in_the_catalogue_and_on_the_hub(page: ModelsPage) -> None:
    type_words(page, "qwen3")
    assert [row.title for row in rows(page, "group")] == ["Suggested", "On the hub"]
    assert all("qwen3" in row.title.lower() for row in rows(page, "entry"))
    found = rows(page)
    assert found
    assert all("Qwen3" in row.repo for row in found)
    assert all(row.fit is not None and row.fit.verdict != "too_large" for row in found)
    page.field.clear()
    wait_until(lambda: page.discover._stack.currentWidget() is page.discover.catalogue)


def test_only_the_last_words_are_asked_for(page: ModelsPage, loopback: LoopbackHub) -> None:
    for end in range(1, 6):
        page.field.setText("gemma"[:end])
        QTest.qWait(30)
    type_words(page, "gemma")
    asked = [path for _, path, _ in loopback.list_requests()]
    assert len(asked) == 1
    assert "search=gemma" in asked[0]


def test_a_former_question_that_hangs_is_given_up(page: ModelsPage, loopback: LoopbackHub) -> None:
    loopback.faults.api.append(Answer(200, {}, b"[]", delay_s=60))
    page.field.setText("llama")
    wait_until(loopback.list_requests)
    type_words(page, "phi")
    assert {row.title[:3] for row in rows(page)} == {"Phi"}


def test_more_comes_when_the_end_is_near(page: ModelsPage) -> None:
    page.discover.fits.setChecked(False)
    type_words(page, "gguf")
    assert len(rows(page)) == PAGE_LENGTH
    view = page.discover.view
    bar = view.verticalScrollBar()
    wait_until(bar.maximum)
    assert len(rows(page)) == PAGE_LENGTH, "not before somebody goes there"
    bar.setValue(bar.maximum())
    before = bar.value()
    wait_until(lambda: len(rows(page)) == 100)
    assert bar.value() == before, "what one looks at stays where it is"


def test_filters_narrow_both(page: ModelsPage) -> None:
    filters = page.discover.filters
    type_words(page, "gemma")
    filters.by_size.setCurrentIndex(2)  # 2B to 5B
    wait_until(lambda: page.discover.hub.phase == "done" and bool(rows(page)))
    assert {row.title for row in rows(page)} >= {"gemma-3-4B-Instruct"}
    assert all("4B" in row.title for row in rows(page))
    assert {row.title for row in rows(page, "entry")} == {"Gemma 3 4B"}
    filters.licence.setCurrentIndex(2)  # MIT
    wait_until(lambda: bool(note(page).action))
    assert rows(page, "entry") == rows(page) == []
    assert note(page).action == "Clear filters"
    press_row(page, note(page))
    wait_until(lambda: len(rows(page)) > 3)
    assert not filters.is_narrowed


def test_what_does_not_fit_is_named_and_can_be_shown(page: ModelsPage) -> None:
    page.discover._machine = Machine(1_000_000_000)
    type_words(page, "mistral-small-32b")
    assert rows(page) == []
    assert "fits this machine" in note(page).title
    press_row(page, note(page))
    wait_until(lambda: len(rows(page)) > 0)
    assert all(not row.can_be_had for row in rows(page)), "one press downloads what fits"


def test_the_order_is_the_hubs(page: ModelsPage, loopback: LoopbackHub) -> None:
    type_words(page, "phi")
    page.discover.filters.sort.setCurrentIndex(1)
    wait_until(lambda: page.discover.hub.phase == "done" and bool(rows(page)))
    downloads = [loopback.repos[row.repo].downloads for row in rows(page)]
    assert downloads == sorted(downloads, reverse=True)


def test_all_of_one_maker(page: ModelsPage) -> None:
    type_words(page, "unsloth/")
    assert {row.maker for row in rows(page)} == {"unsloth"}
    page.discover.open_repo(REPO)
    wait_until(lambda: page.discover.repo_view.facts is not None)
    page.discover.repo_view._maker.click()
    wait_until(lambda: page.discover.hub.phase == "done" and bool(rows(page)))
    assert page.discover.filters.maker.isVisible()
    page.discover.filters.maker.click()
    wait_until(lambda: len({row.maker for row in rows(page)}) > 1)


def test_three_clicks_to_a_model(page: ModelsPage, loopback: LoopbackHub) -> None:
    data = make_model(300_000)
    loopback.add_repo("maker/Small-1B-GGUF", {"small-Q4_K_M.gguf": data},
                      gguf={"total": 1_000_000_000})  # fmt: skip
    type_words(page, "small-1b")
    (row,) = [row for row in rows(page) if row.maker == "maker"]
    assert page.discover.results.state_of(row) == ("download", "Download")
    press_row(page, row)
    wait_until(lambda: page.discover.results.state_of(row)[0] == "use")
    chosen: list[str] = []
    page.model_chosen.connect(chosen.append)
    press_row(page, row)
    assert chosen == ["maker/Small-1B-GGUF/small-Q4_K_M.gguf"]


def test_the_keyboard_opens_and_downloads(page: ModelsPage) -> None:
    type_words(page, "gemma-3-4b-instruct")
    view, results = page.discover.view, page.discover.results
    first = next(i for i, row in enumerate(results.rows) if row.kind == "result")
    view.setFocus()
    view.setCurrentIndex(results.index(first))
    QTest.keyClick(view, Qt.Key.Key_Return)
    wait_until(lambda: page.discover.repo_view.facts is not None)
    assert page.discover._stack.currentWidget() is page.discover.repo_view
    page.discover.repo_view.back.click()
    assert page.discover._stack.currentWidget() is view
    text = results.data(results.index(first), Qt.ItemDataRole.AccessibleTextRole)
    assert "gemma-3-4B-Instruct" in text
    assert "Download" in text


# --- one repository ---


def test_a_repository_with_its_files_and_card(page: ModelsPage, loopback: LoopbackHub) -> None:
    pretend_sizes(loopback)
    page.field.setText(REPO)
    page.field.returnPressed.emit()
    view = page.discover.repo_view
    wait_until(lambda: view.facts is not None and len(view.rows) == 8)
    assert [row.offer.quantisation for row in view.rows if row.offer.is_recommended] == ["Q4_K_M"]
    assert "850 MB" in view._side.text()
    wait_until(lambda: view.card.body is not None)
    body = view.card.body
    assert body is not None
    wait_until(lambda: "Quantised versions of" in body.text)
    links: list[str] = []
    page.link_requested.connect(links.append)
    body.link_clicked.emit("https://huggingface.co/google/gemma-3-4B-Instruct")
    view.page_button.click()
    assert links == [
        "https://huggingface.co/google/gemma-3-4B-Instruct",
        f"{loopback.endpoint}/{REPO}",
    ]
    assert not loopback.list_requests("store"), "nothing of the card is loaded"
    assert find_unnamed(page) == []


def test_pointer_and_keyboard_have_a_files_own_header_read(
    page: ModelsPage, loopback: LoopbackHub
) -> None:
    loopback.add_repo("maker/Tiny-GGUF", {"tiny-Q8_0.gguf": make_model()})
    page.discover.open_repo("maker/Tiny-GGUF")
    view = page.discover.repo_view
    wait_until(lambda: view.facts is not None and bool(view.rows))
    pill = view.rows[0].pill
    assert pill is not None
    guessed = pill.toolTip()
    assert not loopback.list_requests("store"), "nothing is read before somebody wants to know"
    pill.setFocus(Qt.FocusReason.TabFocusReason)
    wait_until(lambda: pill.toolTip() != guessed)
    assert QToolTip.isVisible()
    assert "weights" in QToolTip.text()
    page.field.setFocus(Qt.FocusReason.TabFocusReason)
    wait_until(lambda: not QToolTip.isVisible())


def test_a_pasted_address_opens_its_repository(page: ModelsPage, loopback: LoopbackHub) -> None:
    page.field.setText(f"{loopback.endpoint}/{REPO}/tree/main?x=1")
    view = page.discover.repo_view
    wait_until(lambda: view.facts is not None)
    assert view.repo == REPO
    page.field.setText(f"https://huggingface.co/{CLOSED}/blob/main/x.gguf")
    wait_until(lambda: view.repo == CLOSED and view.facts is not None)


def test_many_files_are_folded_and_grouped(page: ModelsPage, loopback: LoopbackHub) -> None:
    for quantisation in ("Q3_K_S", "Q4_K_S", "Q5_0", "Q5_K_S", "BF16", "IQ2_XXS"):
        loopback.repos[REPO].files[f"g-{quantisation}.gguf"] = quantisation.encode()
    page.discover.open_repo(REPO)
    view = page.discover.repo_view
    wait_until(lambda: view.facts is not None and len(view.rows) == 1)
    assert view.rows[0].offer.is_recommended
    view.unfold()
    wait_until(lambda: len(view.rows) == 14)
    assert view.facts is not None
    headings = [heading.split(" ·")[0] for heading, _ in view.facts.groups]
    assert headings == ["2 bits", "3 bits", "4 bits", "5 bits", "6 bits", "8 bits", "16 bits"]


def test_a_closed_repository_leads_to_the_token_and_opens_with_it(
    page: ModelsPage, loopback: LoopbackHub
) -> None:
    page.discover.open_repo(CLOSED)
    view = page.discover.repo_view
    wait_until(lambda: view.facts is not None and len(view.rows) == 8)
    assert "accepted its licence" in view.notice.label.text()
    assert not any(row._button.isVisible() for row in view.rows)
    assert view.notice.button.text() == "Enter a token"
    view.notice.button.click()
    window = page.window()
    settings = window._settings_page  # type: ignore[attr-defined]
    wait_until(settings.token.isVisible)
    assert settings.token.field.echoMode() == settings.token.field.EchoMode.Password
    loopback.tokens[TOKEN] = {CLOSED}
    settings.token.field.setText(TOKEN)
    settings.token.keep.click()
    assert settings.token.field.text() == ""
    wait_until(lambda: "somebody" in settings.token.note.text())
    wait_until(lambda: view.facts is not None and view.facts.details.gate == "open")
    wait_until(lambda: len(view.rows) == 8)
    assert not any(row._button.isHidden() for row in view.rows)
    settings.token.forget.click()
    wait_until(settings.token.forget.isHidden)


@pytest.mark.parametrize(
    ("text", "words"), [("short", "no access token"), ("hf_not_known_there", "does not know")]
)
def test_a_token_that_is_none_is_told(
    page: ModelsPage, loopback: LoopbackHub, text: str, words: str
) -> None:
    window = page.window()
    window._ask_for_token()  # type: ignore[attr-defined]
    settings = window._settings_page  # type: ignore[attr-defined]
    wait_until(settings.token.isVisible)
    settings.token.field.setText(text)
    settings.token.keep.click()
    wait_until(lambda: words in settings.token.note.text())


# --- what goes wrong ---


def test_D07_a_hub_that_is_down_says_so_and_is_asked_again(
    page: ModelsPage, loopback: LoopbackHub
) -> None:
    loopback.faults.api.append(Answer(503))
    type_words(page, "qwen3")
    assert rows(page, "entry"), "the catalogue is there"
    assert "fault of its own" in note(page).title
    assert note(page).is_bad
    press_row(page, note(page))
    wait_until(lambda: bool(rows(page)))


def test_D09_offline_the_catalogue_is_there_and_the_rest_says_why_not(
    page: ModelsPage, loopback: LoopbackHub
) -> None:
    app = page._app
    app.settings.set("privacy.offline", True)
    wait_until(page.offline.isVisible)
    type_words(page, "qwen3")
    assert rows(page, "entry")
    assert "offline" in note(page).title
    assert loopback.list_requests() == []
    page.offline.button.click()
    wait_until(lambda: bool(rows(page)))


def test_a_repository_that_cannot_be_had_says_why(page: ModelsPage, loopback: LoopbackHub) -> None:
    page.discover.open_repo("nobody/Nothing-GGUF")
    view = page.discover.repo_view
    wait_until(lambda: "no such repository" in view.notice.label.text())
    loopback.add_repo("nobody/Nothing-GGUF", {"model.safetensors": b"x"})
    view.notice.button.click()
    wait_until(lambda: "has no GGUF file" in view.notice.label.text())


def test_F03_hostile_cards_and_names_are_text(page: ModelsPage, loopback: LoopbackHub) -> None:
    repo = loopback.add_repo(
        "evil/Evil-1B-GGUF",
        {"<img src='qrc:x'>-Q4_K_M.gguf": b"x", "a-Q8_0.gguf": b"y"},
        card="![x](file:///etc/passwd) <b onclick=x>bold</b> [go](javascript:alert(1)) "
        "\u202egnp.exe <iframe src='http://127.0.0.1:1'>\n" + "x" * 300_000,
    )
    page.discover.open_repo(repo.id)
    view = page.discover.repo_view
    wait_until(lambda: view.card.body is not None and len(view.rows) == 1)
    assert "\u2039U+202E\u203a" in _shown(view.card.body)
    labels = page.findChildren(QLabel)
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in labels)
    assert not loopback.list_requests("store")


def _shown(body: object) -> str:
    text = ""
    for view in body.views:  # type: ignore[attr-defined]
        document = getattr(view, "document", None)
        text += document().toPlainText() if callable(document) else ""
    return text


def test_the_row_of_an_installed_model_uses_it(page: ModelsPage, loopback: LoopbackHub) -> None:
    type_words(page, "phi-4-4b")
    row = rows(page)[0]
    path = page._app.profile.models / "x.gguf"
    path.write_bytes(b"GGUF")
    page._app.store.put_model(
        InstalledModel(id="x", name="X", path=str(path), size_bytes=4, origin="hub",
                       repo=row.repo, filename="x.gguf")
    )  # fmt: skip
    page._models.reload()
    wait_until(lambda: page.discover.results.state_of(row) == ("use", "Use"))


def test_a_click_beside_the_button_opens(page: ModelsPage) -> None:
    type_words(page, "gemma-3-4b-instruct")
    view = page.discover.view
    number = page.discover.results.rows.index(rows(page)[0])
    area = view.visualRect(page.discover.results.index(number))
    QTest.mouseClick(
        view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(area.left() + 40, area.center().y())
    )
    assert page.discover._stack.currentWidget() is page.discover.repo_view
    assert page.discover.results.data(page.discover.results.index(number), ROW_ROLE).repo


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0"), (999, "999"), (1000, "1k"), (12_345, "12.3k"), (2_400_000, "2.4M")]
)
def test_counts_as_people_say_them(n: int, text: str) -> None:
    assert format_many(n) == text


def test_ages_as_people_say_them() -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    for days, text in ((0, "updated today"), (1, "updated yesterday"), (40, "updated a month ago"),
                       (800, "updated 2 years ago")):  # fmt: skip
        assert describe_age(now - timedelta(days=days), str) == text
    assert describe_age(None, str) == ""


def test_a_download_that_fails_says_why_in_its_row(page: ModelsPage, loopback: LoopbackHub) -> None:
    type_words(page, "phi-4-4b")
    row = rows(page)[0]
    loopback.repos[row.repo].gated = "manual"
    press_row(page, row)
    wait_until(lambda: "accepted its licence" in page.discover.results.problem_of(row))
    assert page.discover.results.state_of(row)[1] in {"Download", "Retry"}


def test_an_address_of_somebody_else_is_told(page: ModelsPage, loopback: LoopbackHub) -> None:
    page.field.setText("https://example.org/model.gguf")
    wait_until(lambda: bool(rows(page, "note")))
    assert "no address of a model's page" in note(page).title
    QTest.qWait(400)
    assert loopback.list_requests() == []
    page.field.clear()
    wait_until(lambda: page.discover._stack.currentWidget() is page.discover.catalogue)
