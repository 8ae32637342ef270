"""The tables of architectures and tensor types, held against the engine's own files."""

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import gguf
import pytest

from inglenook.models.architectures import ARCHITECTURES
from inglenook.models.formats import FILE_TYPES, OTHER_KINDS, TENSOR_TYPES


def find_library() -> Path:
    spec = find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        pytest.skip("llama-cpp-python is not installed")
    names = ("libllama.so", "libllama.dylib", "llama.dll")
    folder = Path(spec.origin).parent / "lib"
    return next(folder / name for name in names if (folder / name).exists())


def test_A11_the_engine_knows_every_listed_architecture() -> None:
    # A linker may keep one string as the end of another, so only the end is looked at.
    library = find_library().read_bytes()
    unknown = [n for n in sorted(ARCHITECTURES) if n.encode() + b"\0" not in library]
    assert unknown == [], f"not in llama-cpp-python {metadata.version('llama-cpp-python')}"


def test_A11_every_architecture_that_the_engine_knows_is_listed() -> None:
    library = find_library().read_bytes()
    named = {str(name) for name in gguf.MODEL_ARCH_NAMES.values()}
    known = {name for name in named if b"\0" + name.encode() + b"\0" in library}
    assert known - ARCHITECTURES - set(OTHER_KINDS) == set()


def test_tables_agree_with_the_published_ones() -> None:
    for kind, (block, n_bytes) in gguf.GGML_QUANT_SIZES.items():
        if kind.name != "Q8_1":  # the published table counts 4 bytes too many
            assert TENSOR_TYPES[int(kind)] == (kind.name, block, n_bytes)
    for kind in gguf.LlamaFileType:
        if kind.name != "GUESSED":
            name = kind.name.removeprefix("MOSTLY_").removeprefix("ALL_").removesuffix("_MOE")
            assert FILE_TYPES[int(kind)] == name
