"""Names from outside never lead outside."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inglenook.base.errors import ModelError
from inglenook.models.names import (
    is_repo,
    is_revision,
    is_safe_filename,
    is_sha256,
    place_file,
)
from inglenook.models.splits import list_parts, parse_part

HOSTILE = [
    "../../.bashrc",
    "../x.gguf",
    "a/../../x.gguf",
    "a/..\\b.gguf",
    "..\\..\\x.gguf",
    "/abs.gguf",
    "/etc/passwd",
    "//host/share/x.gguf",
    "\\\\host\\x.gguf",
    "C:\\x.gguf",
    "C:x.gguf",
    "c:/x.gguf",
    "x.gguf\0.txt",
    "x\0.gguf",
    "x\n.gguf",
    "x\r.gguf",
    "x\x1b[2J.gguf",
    "x\u202efugg.gguf",
    "x\u200b.gguf",
    "n" * 10_000 + ".gguf",
    "n" * 250 + ".gguf",
    "a/b/c/d/e.gguf",
    ".hidden.gguf",
    "a/.git/x.gguf",
    ".part.gguf",
    "~/x.gguf",
    "~root/x.gguf",
    "-rf.gguf",
    "",
    ".",
    "..",
    ".gguf",
    "a//b.gguf",
    "a/./b.gguf",
    " x.gguf",
    "x .gguf/y.gguf ",
    "x.gguf.",
    "x.gguf ",
    "dir./x.gguf",
    "CON.gguf",
    "con.x.gguf",
    "aux/x.gguf",
    "NUL.gguf",
    "COM1.gguf",
    "lpt9.gguf",
    "x:stream.gguf",
    "x|y.gguf",
    "x?.gguf",
    "x*.gguf",
    '"x".gguf',
    "<x>.gguf",
    "e\u0301.gguf",
    "x\ud800.gguf",
    "model.bin",
    "model.py",
    "model.gguf.exe",
    "model.gguf/",
    "pytorch_model.bin",
    "model.safetensors",
    "config.json",
    "README.md",
]
REPOS = [
    "",
    "owner",
    "owner/",
    "/repo",
    "../repo",
    "owner/..",
    "owner/../..",
    "owner/repo/more",
    "own er/repo",
    "owner/re po",
    ".owner/repo",
    "owner/.repo",
    "owner\\repo",
    "C:/repo",
    "owner/a..b",
    "owner/r\0",
    "owner/\u202e",
    "o" * 200 + "/r",
    "owner/r%2e%2e",
    "con/repo",
    "owner/nul",
    "owner/aux.GGUF",
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_D05_hostile_file_names_are_refused(tmp_path: Path, name: str) -> None:
    assert not is_safe_filename(name)
    with pytest.raises(ModelError) as caught:
        place_file(tmp_path, "owner/repo", name)
    assert caught.value.code == "hostile_name"
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200
    caught.value.message.encode()


@pytest.mark.parametrize("repo", REPOS, ids=range(len(REPOS)))
def test_D05_hostile_repositories_are_refused(tmp_path: Path, repo: str) -> None:
    with pytest.raises(ModelError):
        place_file(tmp_path, repo, "model.gguf")


@pytest.mark.parametrize(
    "name",
    [
        "model.gguf",
        "Qwen3-4B-Q4_K_M.gguf",
        "model-00001-of-00003.gguf",
        "BF16/model-BF16-00001-of-00002.gguf",
        "modèle-été.gguf",
        "模型.gguf",
        "Model (v2) [final], 4+1 & more's.gguf",
        "x..y.gguf",
        "console.gguf",
        "MODEL.GGUF",
    ],
)
def test_ordinary_names_are_placed_below_their_repository(tmp_path: Path, name: str) -> None:
    path = place_file(tmp_path, "owner/Repo-1.5_GGUF", name)
    assert path == tmp_path.resolve() / "owner" / "Repo-1.5_GGUF" / name


def test_D05_links_in_the_models_folder_lead_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    models = tmp_path / "models"
    (models / "owner").mkdir(parents=True)
    (models / "owner" / "repo").symlink_to(outside)
    with pytest.raises(ModelError):
        place_file(models, "owner/repo", "model.gguf")
    (models / "other").symlink_to(outside)
    with pytest.raises(ModelError):
        place_file(models, "other/repo", "model.gguf")
    (models / "owner" / "real").mkdir()
    (models / "owner" / "real" / "model.gguf").symlink_to(outside / "target")
    with pytest.raises(ModelError):
        place_file(models, "owner/real", "model.gguf")


def test_a_models_folder_that_is_a_link_itself_is_fine(tmp_path: Path) -> None:
    real = tmp_path / "disk"
    real.mkdir()
    (tmp_path / "models").symlink_to(real)
    path = place_file(tmp_path / "models", "owner/repo", "model.gguf")
    assert path == real.resolve() / "owner" / "repo" / "model.gguf"


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.sampled_from("ab./\\:~- \0\n%é\u202e"), max_size=12),
    st.text(st.sampled_from("ab./\\:~-_"), max_size=12),
)
def test_D05_no_name_leads_outside(tmp_path: Path, name: str, repo: str) -> None:
    try:
        path = place_file(tmp_path, repo, name + ".gguf")
    except ModelError:
        return
    folder = tmp_path.resolve().joinpath(*repo.split("/"))
    assert path.resolve().is_relative_to(folder)
    assert path.suffix == ".gguf"


def test_digests_and_revisions() -> None:
    assert is_sha256("a" * 64)
    for bad in ("A" * 64, "a" * 63, "a" * 65, "../" + "a" * 61, "g" * 64, "a" * 63 + "\n", ""):
        assert not is_sha256(bad)
    assert is_revision("0" * 40)
    assert not is_revision("main")
    assert not is_revision("0" * 40 + "\n")


def test_repositories() -> None:
    assert is_repo("Qwen/Qwen3-4B-GGUF")
    assert is_repo("bartowski/Meta-Llama-3.1-8B-Instruct-GGUF")
    assert not is_repo("Qwen/Qwen3\n")


def test_names_of_parts() -> None:
    assert parse_part("m-00002-of-00003.gguf") == ("m", 2, 3)
    assert list_parts("m-00001-of-00002.gguf") == (
        "m-00001-of-00002.gguf",
        "m-00002-of-00002.gguf",
    )
    for whole in ("m.gguf", "m-00000-of-00003.gguf", "m-00004-of-00003.gguf",
                  "m-00001-of-99999.gguf", "m-1-of-3.gguf"):  # fmt: skip
        assert parse_part(whole) is None
        assert list_parts(whole) == (whole,)
