"""The finders: what each app's folder tells, and what hostile folders do not bring about."""

import json
import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.models.adopted.candidates import Candidate
from inglenook.models.adopted.folders import find_folder, find_gpt4all, find_lm_studio
from inglenook.models.adopted.found import HeaderMemory, describe
from inglenook.models.adopted.hugging_face import find_hugging_face
from inglenook.models.adopted.jan import find_jan, parse_flat_yaml
from inglenook.models.adopted.ollama import find_ollama, make_name, read_defaults
from inglenook.models.adopted.places import find_places
from inglenook.models.adopted.walk import Limits, list_files
from support.gguf_bytes import make_gguf, make_keys
from support.models import make_model, make_parts
from support.neighbours import add_to_hub_cache, add_to_lm_studio, add_to_ollama, write_manifest

SMALL = make_model(2_000)
LIBRARY = ("registry.ollama.ai", "library")


def look(candidate: Candidate) -> str:
    """The sentence about a candidate, "" for a usable one."""
    return describe(candidate, HeaderMemory(None)).problem


def test_ollama_names_hashes_and_values(tmp_path: Path) -> None:
    params = {"temperature": 0.3, "stop": ["<|eot|>"], "num_ctx": 4096, "top_k": 20, "mirostat": 1}
    blob = add_to_ollama(
        tmp_path,
        "llama3:8b",
        SMALL,
        layers=[
            ("params", json.dumps(params).encode()),
            ("system", b"Be brief.\n"),
            ("template", b"{{ .Prompt }}"),
            ("license", b"MIT"),
            ("projector", b"GGUF"),
        ],
    )
    add_to_ollama(tmp_path, "tiny", SMALL)
    add_to_ollama(tmp_path, "mine:v1", SMALL, namespace="me")
    add_to_ollama(tmp_path, "Tiny-GGUF:Q8_0", SMALL, host="hf.co", namespace="someone")
    found = {candidate.name: candidate for candidate in find_ollama(tmp_path).candidates}
    assert set(found) == {"llama3:8b", "tiny:latest", "me/mine:v1", "hf.co/someone/Tiny-GGUF:Q8_0"}
    llama = found["llama3:8b"]
    assert (llama.path, llama.key, llama.problem) == (blob, "ollama:llama3:8b", "")
    assert llama.sha256 == blob.name.removeprefix("sha256-")
    assert llama.aliases == ("llama3:8b",)
    assert found["tiny:latest"].aliases == ("tiny:latest", "tiny")
    assert llama.defaults.temperature == 0.3
    assert llama.defaults.stop == ("<|eot|>",)
    assert (llama.defaults.n_ctx, llama.defaults.top_k) == (4096, 20)
    assert llama.defaults.system_prompt == "Be brief."
    assert len(llama.notes) == 2
    assert found["tiny:latest"].notes == ()


def test_a_chat_template_that_only_ollama_has_is_told(tmp_path: Path) -> None:
    keys = [pair for pair in make_keys() if pair[0] != "tokenizer.chat_template"]
    add_to_ollama(tmp_path, "bare", make_gguf(keys), layers=[("template", b"{{ .Prompt }}")])
    (bare,) = find_ollama(tmp_path).candidates
    (note,) = describe(bare, HeaderMemory(None)).notes
    assert "no chat template" in note


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "damaged"),
        (b"not json", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b'{"layers": 3}', "damaged"),
        (b'{"layers": [{"mediaType": 1}]}', "damaged"),
        (b'{"layers": null}', "Ollama's servers"),
        (b"x" * (2 << 20), "cannot be read"),
    ],
)
def test_E12_manifests_that_are_none(tmp_path: Path, body: bytes, said: str) -> None:
    write_manifest(tmp_path, (*LIBRARY, "bad", "latest"), body)
    (candidate,) = find_ollama(tmp_path).candidates
    assert said in candidate.problem


@pytest.mark.parametrize(
    "digest",
    [
        "sha256:../../../etc/passwd",
        "sha256:" + "0" * 63,
        "sha256:" + "A" * 64,
        "sha512:" + "0" * 64,
        "/etc/passwd",
        "sha256:" + "0" * 64 + "/../../secret",
        "",
    ],
)
def test_D05_a_digest_that_is_a_path_is_refused(tmp_path: Path, digest: str) -> None:
    (tmp_path / "secret.gguf").write_bytes(SMALL)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": 1}
    root = tmp_path / "models"
    write_manifest(root, (*LIBRARY, "evil", "latest"), {"layers": [layer]})
    (candidate,) = find_ollama(root).candidates
    assert candidate.problem == "Ollama's record of it is damaged."


def test_blobs_that_are_not_whole_or_lead_away(tmp_path: Path) -> None:
    root = tmp_path / "models"
    short = add_to_ollama(root, "short", SMALL)
    short.write_bytes(SMALL[:-10])
    away = add_to_ollama(root, "away", make_model(2_000, 2))
    outside = tmp_path / "outside"
    outside.write_bytes(away.read_bytes())
    away.unlink()
    away.symlink_to(outside)
    add_to_ollama(root, "gone", make_model(2_000, 3)).unlink()
    add_to_ollama(root, "tuned", make_model(2_000, 4), layers=[("adapter", b"GGUF")])
    add_to_ollama(root, "cloud", None, layers=[("system", b"x")])
    add_to_ollama(root, "mlx", None, layers=[("tensor", b"x")])
    problems = {c.name.split(":")[0]: c.problem for c in find_ollama(root).candidates}
    assert "not finished" in problems["short"]
    assert "leads out" in problems["away"]
    assert "not there" in problems["gone"]
    assert "adapter" in problems["tuned"]
    assert "servers" in problems["cloud"]
    assert "another form" in problems["mlx"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
        max_leaves=12,
    ),
    st.binary(max_size=40),
)
def test_B04_any_values_of_a_modelfile_are_read_or_left_out(value: object, raw: bytes) -> None:
    values = {"temperature": value, "num_ctx": value, "stop": value, "top_p": value, "seed": value}
    defaults = read_defaults(json.dumps(values).encode(), raw)
    assert defaults.temperature is None or 0 <= defaults.temperature <= 5
    assert defaults.n_ctx is None or defaults.n_ctx >= 256
    assert all(isinstance(stop, str) for stop in defaults.stop)
    read_defaults(raw, raw)


def test_lm_studio_publishers_and_split_models(tmp_path: Path) -> None:
    add_to_lm_studio(tmp_path, "someone/Tiny-GGUF/tiny-Q4_K_M.gguf", SMALL)
    add_to_lm_studio(tmp_path, "stray.gguf", SMALL)
    add_to_lm_studio(tmp_path, "someone/Tiny-GGUF/downloading_tiny.gguf.part", b"GG")
    for name, data in make_parts(3, 4_000).items():
        add_to_lm_studio(tmp_path, f"someone/Big-GGUF/{name}", data)
        if "00001" not in name:
            add_to_lm_studio(tmp_path, f"someone/Cut-GGUF/{name}", data)
    found = find_lm_studio(tmp_path).candidates
    assert [c.repo for c in found] == [
        "someone/Big-GGUF",
        "someone/Cut-GGUF",
        "someone/Tiny-GGUF",
        "",
    ]
    assert [look(c) for c in found if "Cut" not in c.repo] == ["", "", ""]
    assert found[1].problem.startswith("Part 1 of 3 is missing")


def test_the_hub_cache_gives_each_blob_once_with_its_hash(tmp_path: Path) -> None:
    old, new = "1" * 40, "2" * 40
    add_to_hub_cache(tmp_path, "someone/Tiny-GGUF", "tiny.gguf", SMALL, old)
    path = add_to_hub_cache(tmp_path, "someone/Tiny-GGUF", "sub/tiny.gguf", SMALL, new)
    (tmp_path / "models--x--y" / "blobs").mkdir(parents=True)
    (tmp_path / "models--x--y" / "blobs" / "a.gguf.incomplete").write_bytes(b"GGUF")
    (candidate,) = find_hugging_face(tmp_path).candidates
    assert candidate.path == path
    assert candidate.repo == "someone/Tiny-GGUF"
    assert len(candidate.sha256) == 64
    assert look(candidate) == ""


def test_jan_lists_what_its_records_point_to(tmp_path: Path) -> None:
    data = tmp_path / "data"
    models = data / "llamacpp" / "models"
    outside = tmp_path / "outside.gguf"
    outside.write_bytes(SMALL)
    for name, told in (
        ("good", 'model_path: llamacpp/models/good/model.gguf\nname: "Good One"  # mine\n'),
        ("far", f"model_path: {outside}\nname: far\n"),
        ("up", "model_path: ../outside.gguf\nname: up\n"),
        ("gone", "model_path: llamacpp/models/gone/model.gguf\nname: gone\n"),
        ("vectors", "model_path: llamacpp/models/good/model.gguf\nembedding: true\n"),
        ("empty", ""),
    ):
        (models / name).mkdir(parents=True)
        (models / name / "model.yml").write_text(told)
    (models / "good" / "model.gguf").write_bytes(SMALL)
    (models / "loose.gguf").write_bytes(SMALL)
    found = find_jan(data).candidates
    problems = {c.name: c.problem for c in found if c.name}
    assert problems["Good One"] == ""
    assert "outside Jan's folder" in problems["far"]
    assert "outside Jan's folder" in problems["up"]
    assert "not there" in problems["gone"]
    assert "embedding" in problems["vectors"]
    assert "names no file" in problems["empty"]
    assert [c.path.name for c in found if not c.name] == ["loose.gguf"]


@given(st.binary(max_size=300))
def test_any_text_is_read_as_flat_yaml(data: bytes) -> None:
    parse_flat_yaml(data)


def test_gpt4all_tells_what_is_on_its_way(tmp_path: Path) -> None:
    (tmp_path / "good.gguf").write_bytes(SMALL)
    (tmp_path / "incomplete-good.gguf").write_bytes(SMALL[:50])
    good, unfinished = find_gpt4all(tmp_path).candidates
    assert not good.problem
    assert "not finished" in unfinished.problem


def test_what_is_no_language_model_is_told(tmp_path: Path) -> None:
    for name, data in {
        "mmproj.gguf": make_gguf(make_keys(general__architecture="clip")),
        "embed.gguf": make_gguf(make_keys(general__architecture="bert")),
        "lora.gguf": make_gguf(make_keys(general__type="adapter")),
        "page.gguf": b"<html>not found</html>",
        "cut.gguf": SMALL[:-100],
        "empty.gguf": b"",
    }.items():
        (tmp_path / name).write_bytes(data)
    said = {c.path.stem: look(c) for c in find_folder(tmp_path).candidates}
    assert "image add-on" in said["mmproj"]
    assert "embedding model" in said["embed"]
    assert "adapter" in said["lora"]
    assert "web page" in said["page"]
    assert "incomplete" in said["cut"]
    assert "empty" in said["empty"]


def test_A13_links_loops_pipes_and_locked_folders_are_survived(tmp_path: Path) -> None:
    root = tmp_path / "models"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "loop").symlink_to(root)
    (root / "self.gguf").symlink_to("self.gguf")
    (root / "dangling.gguf").symlink_to("nowhere.gguf")
    outside = tmp_path / "secret.gguf"
    outside.write_bytes(SMALL)
    (root / "secret.gguf").symlink_to(outside)
    (root / "zero.gguf").symlink_to("/dev/zero")
    os.mkfifo(root / "pipe.gguf")
    (root / "folder.gguf").mkdir()
    (root / "good.gguf").write_bytes(SMALL)
    (root / "a" / "same.gguf").symlink_to(root / "good.gguf")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.gguf")).write_bytes(SMALL)
    listing = find_folder(root)
    assert [c.path.name for c in listing.candidates] == ["same.gguf", "good.gguf"]
    assert any("5 links" in remark for remark in listing.remarks)
    assert any("not text" in remark for remark in listing.remarks)


def test_a_folder_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "good.gguf").write_bytes(SMALL)
    scan = os.scandir

    def refuse(path: Path) -> "os._ScandirIterator[str]":
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = find_folder(tmp_path)
    assert "may not be read" in listing.remarks[0]
    assert len(listing.candidates) == 1


def test_H03_ten_thousand_files_and_a_deep_folder_do_not_hang(tmp_path: Path) -> None:
    for i in range(100):
        folder = tmp_path / f"{i:03}"
        folder.mkdir()
        for j in range(100):
            (folder / f"{j}.{'gguf' if j == 7 else 'txt'}").touch()
    deep = tmp_path.joinpath(*["deep"] * 30)
    deep.mkdir(parents=True)
    start_s = time.monotonic()
    listing = find_folder(tmp_path)
    assert time.monotonic() - start_s < 10
    assert len(listing.candidates) == 100
    assert any("too deep" in remark for remark in listing.remarks)
    few = find_folder(tmp_path, Limits(n_entries=500))
    assert any("too many files" in remark for remark in few.remarks)
    slow = find_folder(tmp_path, Limits(seconds=0))
    assert any("too long" in remark for remark in slow.remarks)


HOSTILE = (
    "..", ".", "a/b", "con", "nul", "\u202egpj", "x" * 240, "~", "-rf", "a b", " ", "\n", "*",
    "$(x)", "';--", "<b>", "{{7}}", "%2e%2e", "..%2f", "\\\\host\\x", "C:", "\x7f", "\u200b", "é",
    "e\u0301",
)  # fmt: skip


def test_D05_five_hundred_hostile_names_change_nothing(tmp_path: Path) -> None:
    rng = random.Random(5)
    root = tmp_path / "models"
    for i in range(500):
        parts = [rng.choice(HOSTILE).replace("/", "") + rng.choice(HOSTILE).replace("/", "")
                 for _ in range(4)]  # fmt: skip
        parts = [part[:200] if part.strip(".") else f"x{i}" for part in parts]
        parts[3] = parts[3][:100] + str(i)
        digest = rng.choice(["sha256:../../x", "sha256:" + "f" * 64, rng.choice(HOSTILE)])
        layer = {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": -1}
        write_manifest(root, (parts[0], parts[1], parts[2], parts[3]), {"layers": [layer]})
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    listing = find_ollama(root)
    assert len(listing.candidates) > 300
    for candidate in listing.candidates:
        assert candidate.problem
        assert candidate.name.isprintable()
        describe(candidate, HeaderMemory(None)).id.encode()
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_names_as_ollama_shows_them() -> None:
    assert make_name("registry.ollama.ai", "library", "llama3", "8b") == "llama3:8b"
    assert make_name("registry.ollama.ai", "me", "x", "latest") == "me/x:latest"
    assert make_name("hf.co", "a", "b", "Q4") == "hf.co/a/b:Q4"


def test_a_header_is_read_once_and_again_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(SMALL)
    memory = HeaderMemory(tmp_path / "found.json")
    candidate = Candidate("folder", path)
    assert describe(candidate, memory).name == "Model 1"
    memory.save()
    again = HeaderMemory(tmp_path / "found.json")
    assert again._kept[str(path)].name == "Model 1"
    path.write_bytes(make_model(3_000, 9))
    assert describe(candidate, again).name == "Model 9"
    path.unlink()
    assert describe(candidate, again).problem
    (tmp_path / "found.json").write_bytes(b"{broken")
    assert HeaderMemory(tmp_path / "found.json")._kept == {}


def test_places_follow_the_environment_and_each_system(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in (
        ".ollama/models", ".lmstudio/models", ".cache/lm-studio/models", ".cache/llama.cpp",
        ".local/share/Jan/data", "jan", ".local/share/nomic.ai/GPT4All", ".cache/huggingface/hub",
        "elsewhere/ollama", "elsewhere/studio/models", "elsewhere/hf/hub", "mine", "moved",
        "Library/Application Support/nomic.ai/GPT4All", "Library/Caches/llama.cpp",
        "AppData/Local/nomic.ai/GPT4All",
    ):  # fmt: skip
        (home / name).mkdir(parents=True)
    (home / ".lmstudio-home-pointer").write_text(f"{home}/elsewhere/studio\n")
    (home / "elsewhere/studio/settings.json").write_text(json.dumps({"downloadsFolder": "~/moved"}))
    environ = {"OLLAMA_MODELS": f"{home}/elsewhere/ollama", "HF_HOME": "~/elsewhere/hf"}
    places = find_places(home, environ, "linux", ["~/mine", "", "relative", "/no/such\0"])
    told = [(p.app, p.folder.relative_to(home).as_posix()) for p in places]
    assert told[:5] == [
        ("ollama", "elsewhere/ollama"), ("ollama", ".ollama/models"), ("lm_studio", "moved"),
        ("lm_studio", "elsewhere/studio/models"), ("lm_studio", ".lmstudio/models"),
    ]  # fmt: skip
    assert ("jan", ".local/share/Jan/data") in told
    assert ("gpt4all", ".local/share/nomic.ai/GPT4All") in told
    assert ("llama_cpp", ".cache/llama.cpp") in told
    assert told[-1] == ("folder", "mine")
    mac = {(p.app, p.folder.relative_to(home).as_posix()) for p in find_places(home, {}, "darwin")}
    assert ("gpt4all", "Library/Application Support/nomic.ai/GPT4All") in mac
    assert ("llama_cpp", "Library/Caches/llama.cpp") in mac
    windows = {p.folder.relative_to(home).as_posix() for p in find_places(home, {}, "win32")}
    assert "AppData/Local/nomic.ai/GPT4All" in windows


def test_hidden_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.gguf").touch()
    assert list_files(tmp_path, lambda _: True) == ([], ())
