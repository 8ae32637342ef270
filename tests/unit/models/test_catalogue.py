"""models.toml: every entry is complete, unique and believable."""

import itertools
from pathlib import Path

import pytest

from inglenook.base.errors import ModelError
from inglenook.base.paths import find_asset
from inglenook.models.catalogue import Catalogue, CatalogueEntry, load_catalogue
from inglenook.models.names import is_repo, is_safe_filename

LICENCES = {
    "apache-2.0",
    "mit",
    "gemma",
    "llama3",
    "llama3.1",
    "llama3.2",
    "llama3.3",
    "lfm1.0",
}
STRENGTHS = {
    "chat",
    "small",
    "languages",
    "reasoning",
    "writing",
    "code",
    "maths",
    "documents",
}
# Bits a parameter takes, with the larger types that a few tensors have.
BITS = {"Q4_K_M": (4.6, 6.6), "Q8_0": (7.7, 9.0), "MXFP4": (4.2, 5.2)}
CATALOGUE = load_catalogue(find_asset("models.toml"))
IDS = [entry.id for entry in CATALOGUE.entries]


def test_there_are_enough() -> None:
    assert len(CATALOGUE.entries) >= 24
    assert len({entry.maker for entry in CATALOGUE.entries}) >= 8


def test_ids_and_short_names_are_unique() -> None:
    names = [n for e in CATALOGUE.entries for n in (e.id, e.name, *e.short_names)]
    folded = [name.casefold() for name in names]
    assert sorted(n for n in set(folded) if folded.count(n) > 1) == []
    repos = [entry.repo.casefold() for entry in CATALOGUE.entries]
    assert len(set(repos)) == len(repos)


def test_smallest_first() -> None:
    sizes = [entry.recommended.size_bytes for entry in CATALOGUE.entries]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("entry", CATALOGUE.entries, ids=IDS)
def test_entry(entry: CatalogueEntry) -> None:
    assert is_repo(entry.repo)
    assert entry.licence in LICENCES
    assert entry.maker
    assert entry.name
    assert entry.short_names
    assert entry.purpose.endswith(".")
    assert entry.purpose[0].isupper()
    assert 20 < len(entry.purpose) < 120
    assert entry.strengths
    assert set(entry.strengths) <= STRENGTHS
    assert len(set(entry.marks)) == len(entry.marks)
    assert set(entry.marks) <= set(entry.all_marks)
    assert 5 < len(entry.languages) < 30
    assert 2048 <= entry.n_ctx_train <= 1 << 20
    assert 0 <= entry.n_active_params < entry.n_params
    assert sum(file.recommended for file in entry.files) == 1
    for name in (entry.id, *entry.short_names):
        assert name == name.lower().strip()
        assert " " not in name
        assert "/" not in name


@pytest.mark.parametrize("entry", CATALOGUE.entries, ids=IDS)
def test_files(entry: CatalogueEntry) -> None:
    for file in entry.files:
        assert is_safe_filename(file.pattern.replace("*", "x"))
        assert file.matches(file.pattern.replace("*", "Some-Thing"))
        assert file.matches(file.pattern.upper())
        assert not file.matches("mmproj-F16.gguf")
        low, high = BITS[file.quantisation]
        assert low < file.size_bytes * 8 / entry.n_params < high
    for one, other in itertools.combinations(entry.files, 2):
        assert one.quantisation != other.quantisation
        assert not one.matches(other.pattern)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("llama3:8b", "Llama 3 8B"),
        ("llama3", "Llama 3 8B"),
        ("LLAMA3.1:8B", "Llama 3.1 8B"),
        ("qwen3:4b", "Qwen3 4B"),
        ("qwen3:30b-a3b", "Qwen3 30B A3B"),
        ("gemma3:1b", "Gemma 3 1B"),
        ("phi4", "Phi-4 14B"),
        ("gpt-oss:20b", "gpt-oss 20B"),
        ("deepseek-r1:7b", "DeepSeek R1 Distill Qwen 7B"),
        ("mistral", "Mistral 7B v0.3"),
        ("  smollm2  ", "SmolLM2 1.7B"),
    ],
)
def test_names_that_people_type(typed: str, name: str) -> None:
    entry = CATALOGUE.find(typed)
    assert entry is not None
    assert entry.name == name


def test_finding_by_repository_and_not_at_all() -> None:
    first = CATALOGUE.entries[0]
    assert CATALOGUE.find_repo(first.repo.upper()) == first
    assert CATALOGUE.find("no such model") is None
    assert first.find_file(first.recommended.quantisation.lower()) == first.recommended


@pytest.mark.parametrize(
    "text",
    ["", "entries = 3", "[[entries]]\nid = 'x'", "[[entries", "entries = []\nsurprise = 1"],
)
def test_a_broken_file_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "models.toml"
    path.write_text(text)
    with pytest.raises(ModelError, match="cannot be read"):
        load_catalogue(path)
    with pytest.raises(ModelError, match="cannot be read"):
        load_catalogue(tmp_path / "none.toml")


def test_an_empty_catalogue_finds_nothing() -> None:
    assert Catalogue(entries=()).find("llama3") is None
