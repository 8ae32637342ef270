"""What a file is when it is no GGUF, and the tables of the GGUF format.

Called by `gguf.py` with the first bytes of a file. The numbers of tensor types and file types are
those of the GGUF specification (ggml-org/ggml, docs/gguf.md) and of ggml's type traits.
"""

from typing import Final

PEEK_BYTES: Final = 4096

# Tensor type: name, elements per block, bytes per block.
TENSOR_TYPES: Final[dict[int, tuple[str, int, int]]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
    42: ("Q2_0", 64, 18),
}

# general.file_type: the mixture of tensor types that people call "the quantisation".
FILE_TYPES: Final[dict[int, str]] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4",
    39: "NVFP4",
    40: "Q1_0",
    41: "Q2_0",
}

# Architectures that ship as GGUF and are no language models that could hold a conversation.
OTHER_KINDS: Final[dict[str, str]] = {
    "clip": "an image add-on (mmproj) for another model",
    "mmproj": "an image add-on (mmproj) for another model",
    "bert": "an embedding model",
    "modern-bert": "an embedding model",
    "nomic-bert": "an embedding model",
    "nomic-bert-moe": "an embedding model",
    "neo-bert": "an embedding model",
    "jina-bert-v2": "an embedding model",
    "jina-bert-v3": "an embedding model",
    "eurobert": "an embedding model",
    "gemma-embedding": "an embedding model",
    "llama-embed": "an embedding model",
    "t5encoder": "a text encoder for another model",
    "whisper": "a speech recognition model",
    "wavtokenizer-dec": "a part of a speech model",
    "qwen3tts": "a speech model",
    "pockettts": "a speech model",
    "flux": "an image generation model",
    "sd1": "an image generation model",
    "sd3": "an image generation model",
    "sdxl": "an image generation model",
    "wan": "a video generation model",
    "eagle3": "a draft head for another model",
    "dflash": "a draft head for another model",
}

# general.type values other than "model".
OTHER_TYPES: Final[dict[str, str]] = {
    "adapter": "an adapter (LoRA) for another model",
    "mmproj": "an image add-on (mmproj) for another model",
    "imatrix": "an importance matrix for making models",
    "vocab": "a vocabulary without weights",
}

_BEGINNINGS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"lmgg", "a model in the old GGML format"),
    (b"fmgg", "a model in the old GGMF format"),
    (b"tjgg", "a model in the old GGJT format"),
    (b"algg", "an adapter in an old GGML format"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\xfd7zXZ\x00", "an XZ archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"Rar!", "a RAR archive"),
    (b"BZh", "a bzip2 archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3", "an SQLite database"),
    (b"version https://git-lfs", "a Git LFS pointer that stands for a file"),
)


def name_file_kind(head: bytes) -> str:
    """Say in words what a file is that begins with `head` (the first 4096 bytes) and is no GGUF."""
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or b"<html" in text[:512]:
        return "a web page"
    if text.startswith(b"<"):
        return "an XML document"
    if _is_safetensors(head):
        return "a safetensors file"
    if head[257:262] == b"ustar":
        return "a TAR archive"
    if text.startswith((b"{", b"[")):
        return "a JSON document"
    if not head.strip(b"\0"):
        return "a file of zeros"
    if _is_text(head):
        return "a text file"
    return ""


def _is_safetensors(head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return 2 <= length < 1 << 28 and head[8:9] == b"{"


def _is_text(head: bytes) -> bool:
    """Whether it reads as UTF-8 without control characters; the cut may split the last letter."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return bool(text) and all(letter.isprintable() or letter in "\t\r\n\f" for letter in text)
