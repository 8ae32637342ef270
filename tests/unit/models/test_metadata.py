"""What a header holds, as lines: all of it, long lists shortened, nothing that breaks a window."""

from pathlib import Path

import pytest

from inglenook.base.errors import ModelError
from inglenook.models.metadata import MAX_ENTRIES, Entry, read_metadata
from support.gguf_bytes import make_gguf, make_keys


def _say_tried(template: str) -> str:
    return f"of {len(template)} characters"


def read(folder: Path, data: bytes) -> dict[str, str]:
    path = folder / "model.gguf"
    path.write_bytes(data)
    return {entry.key: entry.value for entry in read_metadata(path, _say_tried)}


def test_every_key_is_there(tmp_path: Path) -> None:
    keys = make_keys(changes={"my.flag": True, "my.ratio": 0.25, "my.list": list(range(100))})
    told = read(tmp_path, make_gguf(keys))
    assert {name for name, _ in keys} <= set(told)
    assert told["my.flag"] == "true"
    assert told["my.ratio"] == "0.25"
    assert told["my.list"] == "[0, 1, 2, 3, 4, 5, 6, 7, … (100 items)]"
    assert told["tokenizer.ggml.tokens"] == "3 items"
    assert told["GGUF version"] == "3"
    assert told["parameters"] == "16"


def test_lines_of_a_text_stay_and_control_characters_do_not(tmp_path: Path) -> None:
    told = read(tmp_path, make_gguf([*make_keys(), ("k\x1b[2J", "a\nb\x1b[2J\u202e")]))
    assert told["k?[2J"] == "a\nb\ufffd[2J\ufffd"


def test_a_text_that_is_cut_says_so(tmp_path: Path) -> None:
    told = read(tmp_path, make_gguf([*make_keys(), ("long", "x" * 9000), ("short", "x" * 4000)]))
    assert told["long"] == "x" * 4096 + "… (the first 4,096 bytes)"
    assert told["short"] == "x" * 4000


def test_the_chat_template_is_kept_whole_and_tried(tmp_path: Path) -> None:
    template = "{{ messages }}" + "x" * 20_000
    told = read(tmp_path, make_gguf(make_keys(changes={"tokenizer.chat_template": template})))
    assert told["tokenizer.chat_template"] == template
    assert told["chat template"] == f"of {len(template)} characters"


def test_a_header_of_very_many_keys_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(make_gguf([*make_keys(), *((f"key.{i}", i) for i in range(6_000))]))
    entries = read_metadata(path, _say_tried)
    assert len(entries) == 6 + MAX_ENTRIES + 1
    assert entries[-1] == Entry("…", "1,012 more entries")


def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        read(tmp_path, make_gguf()[:100])
