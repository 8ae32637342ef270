"""Searching a hub of a hundred repositories, and looking at one of them."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from inglenook.base.errors import NetworkError
from inglenook.models.hub_search import PAGE_LENGTH, Query, RepoSummary
from support.crowded_hub import fill_hub
from support.loopback_hub import Answer, LoopbackHub, Repo, wait_for
from support.models import Rig


@pytest.fixture
def repos(loopback: LoopbackHub) -> list[Repo]:
    return fill_hub(loopback)


def find_all(rig: Rig, query: Query) -> list[RepoSummary]:
    """All pages of a search, one after the other."""
    found: list[RepoSummary] = []
    following = ""
    while True:
        page = rig.hub.search(query, following)
        found += page.results
        following = page.following
        if not following:
            return found


def refuse(rig: Rig, query: Query | None = None) -> NetworkError:
    with pytest.raises(NetworkError) as caught:
        rig.hub.search(query or Query())
    return caught.value


def test_pages_follow_each_other_until_all_are_there(rig: Rig, repos: list[Repo]) -> None:
    first = rig.hub.search(Query())
    assert len(first.results) == PAGE_LENGTH
    assert first.following
    found = find_all(rig, Query())
    assert {one.repo for one in found} == {repo.id for repo in repos}
    assert len(found) == len(repos) == 100


@pytest.mark.parametrize(
    ("sort", "key"),
    [("trending", "trending"), ("downloads", "downloads"), ("likes", "likes"),
     ("recent", "updated")],
)  # fmt: skip
def test_each_order(rig: Rig, repos: list[Repo], sort: Any, key: str) -> None:
    by_id = {repo.id: getattr(repo, key) for repo in repos}
    values = [by_id[one.repo] for one in find_all(rig, Query(sort=sort))]
    assert values == sorted(values, reverse=True)


def test_words_maker_licence_and_size(rig: Rig, repos: list[Repo]) -> None:
    assert all("qwen3" in one.repo.lower() for one in find_all(rig, Query(words="qwen3 gguf")))
    (maker,) = {one.maker for one in find_all(rig, Query(maker="unsloth"))}
    assert maker == "unsloth"
    (licence,) = {one.licence for one in find_all(rig, Query(licence="mit"))}
    assert licence == "mit"
    sized = find_all(rig, Query(min_billions=4, max_billions=9))
    assert {one.n_params for one in sized} == {4_000_000_000, 8_000_000_000}
    assert find_all(rig, Query(words="there is no such model")) == []


def test_what_a_model_can_do(rig: Rig, repos: list[Repo]) -> None:
    assert all("gemma" in one.repo for one in find_all(rig, Query(mark="vision")))
    assert all("Qwen3" in one.repo for one in find_all(rig, Query(mark="reasoning")))
    tools = {one.repo.partition("/")[2][:5] for one in find_all(rig, Query(mark="tools"))}
    assert tools == {"Qwen3", "Llama"}


def test_a_result_tells_what_the_hub_knows(rig: Rig, repos: list[Repo]) -> None:
    found = rig.hub.search(Query(words="Qwen3-8B", sort="downloads")).results[0]
    repo = next(repo for repo in repos if repo.id == found.repo)
    assert found.name == "Qwen3-8B-Instruct"
    assert found.maker == repo.id.partition("/")[0]
    assert found.base == "Qwen/Qwen3-8B-Instruct"
    assert (found.n_params, found.n_ctx_train) == (8_000_000_000, 32_768)
    assert (found.downloads, found.likes) == (repo.downloads, repo.likes)
    assert (found.licence, found.languages) == ("apache-2.0", ("en", "zh", "fr", "de"))
    assert found.marks == ("tools", "reasoning", "languages")
    assert found.updated_at is not None
    assert found.updated_at.year == 2026


def test_the_same_question_is_not_asked_twice(
    loopback: LoopbackHub, rig: Rig, repos: list[Repo]
) -> None:
    first = rig.hub.search(Query(words="phi"))
    assert rig.hub.search(Query(words="phi")) == first
    assert len(loopback.list_requests()) == 1
    rig.hub.search(Query(words="gemma"))
    assert len(loopback.list_requests()) == 2
    assert len(rig.network.ledger()) == 1, "over one connection"


def test_no_token_and_no_telemetry(loopback: LoopbackHub, rig: Rig, repos: list[Repo]) -> None:
    rig.token = "hf_canary_0123456789"
    find_all(rig, Query(words="qwen"))
    for _, path, headers in loopback.list_requests():
        assert path.startswith("/api/models?")
        assert "authorization" not in headers
        assert "canary" not in path + repr(headers)


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(500), "hub_down"),
        (Answer(503), "hub_down"),
        (Answer(403), "refused"),
        (Answer(404), "not_found"),
        (Answer(200, {}, b"<html>sign in</html>"), "hub_answer"),
        (Answer(200, {}, b""), "hub_answer"),
        (Answer(200, {}, b"{}"), "hub_answer"),
        (Answer(200, {}, b'[{"id":'), "hub_answer"),
        (Answer(200, {}, b"[" * 200_000), "hub_answer"),
        (Answer(200, {}, b'["' + b"x" * 20_000_000 + b'"]'), "hub_answer"),
        (Answer(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b" + b"0" * 50), "hub_answer"),
        (Answer(302, {"Location": "http://example.org/api/models"}), "not_https"),
        (Answer(302, {"Location": "/api/models"}), "hub_answer"),
    ],
)
def test_D07_a_hub_that_answers_badly_is_told_at_once(
    loopback: LoopbackHub, rig: Rig, repos: list[Repo], answer: Answer, code: str
) -> None:
    answers = 30 if answer.headers.get("Location") == "/api/models" else 1
    loopback.faults.api.extend([answer] * answers)
    error = refuse(rig)
    assert error.code == code
    assert error.hint
    loopback.faults.api.clear()
    assert rig.hub.search(Query()).results, "and it can be asked again"


def test_D07_a_dead_hub(rig: Rig, loopback: LoopbackHub) -> None:
    loopback.close()
    assert refuse(rig).code in {"unreachable", "connection"}


@pytest.mark.parametrize(
    "headers",
    [{"Retry-After": "37"}, {"RateLimit": '"api";r=0;t=37'}],
)
def test_D07_where_the_hub_asks_for_patience_it_is_left_alone(
    loopback: LoopbackHub, rig: Rig, repos: list[Repo], headers: dict[str, str]
) -> None:
    loopback.faults.api.append(Answer(429, headers))
    error = refuse(rig)
    assert error.code == "rate_limited"
    assert "in 37 seconds" in error.hint
    assert refuse(rig, Query(words="else")).code == "rate_limited"
    assert len(loopback.list_requests()) == 1


def test_a_search_that_hangs_is_stopped_at_once(
    loopback: LoopbackHub, rig: Rig, repos: list[Repo]
) -> None:
    loopback.faults.api.append(Answer(200, {}, b"[]", delay_s=60))
    caught: list[NetworkError] = []

    def ask() -> None:
        try:
            rig.hub.search(Query(words="slow"))
        except NetworkError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    wait_for(loopback.list_requests)
    began = time.monotonic()
    rig.hub.stop_search()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - began < 5
    assert [error.code for error in caught] == ["connection"]
    assert rig.hub.search(Query(words="qwen")).results, "the next one is not disturbed"


def test_D09_offline_nothing_is_asked(loopback: LoopbackHub, rig: Rig, repos: list[Repo]) -> None:
    rig.is_offline = True
    assert refuse(rig).code == "offline"
    assert loopback.list_requests() == []
    assert rig.network.ledger() == ()


@pytest.mark.parametrize(
    "item",
    [
        None, 7, "x", [], {}, {"id": None}, {"id": 3}, {"id": "../../etc"}, {"id": "a/b/c"},
        {"id": "maker/<b>x</b>"}, {"id": "maker/\u202egnp.exe"}, {"id": "maker/x\x1b[2J"},
        {"id": "maker/" + "x" * 10_000}, {"id": "m/x", "lastModified": "yesterday"},
        {"id": "m/x", "siblings": [{}]}, {"id": "m/x", "inferenceProviderMapping": 3},
    ],
)  # fmt: skip
def test_D05_hostile_entries_are_left_out(
    loopback: LoopbackHub, rig: Rig, repos: list[Repo], item: Any
) -> None:
    loopback.faults.items = [item]
    page = rig.hub.search(Query(words="phi"))
    assert len(page.results) == 20
    assert page.n_left_out == 1


def test_D05_hostile_texts_in_an_entry_become_nothing(
    loopback: LoopbackHub, rig: Rig, repos: list[Repo]
) -> None:
    loopback.faults.items = [
        {
            "id": "evil/Evil-7B-GGUF",
            "tags": ["gguf", "license:<script>", "base_model:../../x", 7, None, "e\u202en"],
            "downloads": -5,
            "likes": "many",
            "gguf": {"total": 1e300, "architecture": "a\x00b", "context_length": True},
            "pipeline_tag": ["x"],
        }
    ]
    (found,) = [r for r in rig.hub.search(Query(words="phi")).results if r.maker == "evil"]
    assert (found.licence, found.base, found.architecture) == ("", "", "")
    assert (found.downloads, found.likes, found.n_ctx_train) == (0, 0, 0)
    assert found.n_params == 7_000_000_000, "what its name tells"


def test_D06_the_next_page_is_never_sought_elsewhere(
    loopback: LoopbackHub, rig: Rig, repos: list[Repo]
) -> None:
    for address in ("https://example.org/api/models?cursor=1", "file:///etc/passwd", "//x", "["):
        link = {"Link": f'<{address}>; rel="next"'}
        loopback.faults.api.append(Answer(200, link, b'[{"id":"m/x","tags":["gguf"]}]'))
        assert rig.hub.search(Query(words=address)).following == ""


def test_models_that_cannot_talk_are_left_out(
    loopback: LoopbackHub, rig: Rig, repos: list[Repo]
) -> None:
    loopback.add_repo("m/Embed-GGUF", {"e.gguf": b"x"}, pipeline="feature-extraction")
    loopback.add_repo("m/Bert-GGUF", {"e.gguf": b"x"}, gguf={"architecture": "bert", "total": 1})
    assert find_all(rig, Query(maker="m")) == []


def test_closing_ends_what_runs(
    make_rig: Callable[..., Rig], loopback: LoopbackHub, repos: list[Repo]
) -> None:
    rig = make_rig()
    rig.hub.search(Query())
    rig.hub.close()
