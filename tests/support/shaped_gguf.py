"""Makes models of real shapes with random weights: as fast as the real ones, nothing to fetch.

    path = obtain_shaped_gguf(SHAPES["qwen2-0.5b"], "Q4_K_M", peers)
    path, words = obtain_reciting_gguf(SHAPES["qwen2-0.5b"], "Q4_K_M", peers)

Written in 16-bit floats with a real tokenizer and chat template, then quantised by the library as a
real one is. Their special tokens are as good as never drawn, so a reply is as long as it is asked
to be. Kept in the user's cache; making one takes seconds to a minute.

The reciting one computes as much as any of its shape and answers every prompt with the same words,
one token each, none of them twice: with a prompt that holds them, what it writes is a copy.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter, TokenType

from environment import cache_folder
from support.peers import Peers
from support.tiny_gguf import CHATML

type Quantisation = Literal["Q4_K_M", "Q8_0"]

_RECIPE: Final = 1
_N_RECITED: Final = 6000
_CERTAINTY: Final = 40.0
"""The logit of the word that comes next; others have about a tenth."""
"""Part of the file's name: count up when what is written below changes."""
_SCALE: Final = np.float32(0.02)
_SEED: Final = 1
_FILE_TYPES: Final[dict[Quantisation, int]] = {"Q4_K_M": 15, "Q8_0": 7}
_LLAMA3: Final = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
_QUANTISE: Final = """
import ctypes, sys
from llama_cpp import llama_cpp as native

@native.llama_log_callback
def be_quiet(_level, _text, _data):
    pass

native.llama_log_set(be_quiet, None)
native.llama_backend_init()
options = native.llama_model_quantize_default_params()
options.ftype = int(sys.argv[3])
source, target = (name.encode() for name in sys.argv[1:3])
sys.exit(native.llama_model_quantize(source, target, ctypes.byref(options)))
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """A model family's dimensions; `vocabulary` names the tokenizer file."""

    name: str
    architecture: Literal["qwen2", "llama"]
    vocabulary: str
    template: str
    n_layers: int
    n_embd: int
    n_heads: int
    n_heads_kv: int
    n_ff: int
    rope_base: float

    @property
    def n_head_embd(self) -> int:
        """The width of one head."""
        return self.n_embd // self.n_heads


SHAPES: Final = {
    shape.name: shape
    for shape in (
        Shape("qwen2-0.5b", "qwen2", "qwen2", CHATML, 24, 896, 14, 2, 4864, 1e6),
        Shape("llama3-1b", "llama", "llama-bpe", _LLAMA3, 16, 2048, 32, 8, 8192, 5e5),
    )
}


def obtain_shaped_gguf(shape: Shape, quantisation: Quantisation, peers: Peers) -> Path:
    """The model file, made now where it is absent."""
    path = cache_folder() / "bench" / f"{shape.name}-v{_RECIPE}-{quantisation}.gguf"
    vocabulary = peers.vocabulary(shape.vocabulary)
    _obtain(path, quantisation, lambda plain: write_shape(plain, shape, vocabulary))
    return path


def obtain_reciting_gguf(
    shape: Shape, quantisation: Quantisation, peers: Peers
) -> tuple[Path, list[str]]:
    """The model file, made now where it is absent, and what it recites: words with their space."""
    path = cache_folder() / "bench" / f"{shape.name}-reciting-v{_RECIPE}-{quantisation}.gguf"
    listed = path.with_suffix(".txt")
    vocabulary = peers.vocabulary(shape.vocabulary)

    def write(plain: Path) -> None:
        words = write_reciting(plain, shape, vocabulary)
        listed.write_text("\n".join(words), encoding="utf-8")

    _obtain(path, quantisation, write)
    return path, listed.read_text(encoding="utf-8").split("\n")


def _obtain(path: Path, quantisation: Quantisation, write: Callable[[Path], object]) -> None:
    if path.exists():
        return
    print(f"Making {path.name} with random weights.", file=sys.stderr, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    plain, fresh = path.with_suffix(".f16"), path.with_suffix(".new")
    try:
        write(plain)
        quantise(plain, fresh, quantisation)
        fresh.rename(path)
    finally:
        plain.unlink(missing_ok=True)
        fresh.unlink(missing_ok=True)


def quantise(source: Path, target: Path, quantisation: Quantisation) -> None:
    """Quantise a file through the library, in a process of its own."""
    file_type = str(_FILE_TYPES[quantisation])
    command = [sys.executable, "-c", _QUANTISE, str(source), str(target), file_type]
    subprocess.run(command, check=True)


def write_shape(path: Path, shape: Shape, vocabulary: Path) -> Path:
    """Write a model of this shape in 16-bit floats, with another file's tokenizer."""
    writer = _begin(path, shape)
    _, kinds = _copy_tokenizer(writer, vocabulary)
    rng = np.random.default_rng(_SEED)
    embeddings = _draw(rng, len(kinds), shape.n_embd)
    # Embeddings are the output's weights too: small ones have a likelihood that is never drawn.
    embeddings[kinds != TokenType.NORMAL] *= np.float16(0.01)
    writer.add_tensor("token_embd.weight", embeddings)
    _add_layers(writer, shape, rng)
    _end(writer)
    return path


def write_reciting(path: Path, shape: Shape, vocabulary: Path) -> list[str]:
    """Write a model that recites; returns its words, each with the space before it.

    Every token looks in a direction of its own, each word's output the way of the one before it;
    the layers compute all that they always do, and add nothing.
    """
    writer = _begin(path, shape)
    tokens, kinds = _copy_tokenizer(writer, vocabulary)
    rng = np.random.default_rng(_SEED)
    plain = re.compile("\u0120[a-z]{3,12}")
    found = [i for i, token in enumerate(tokens) if plain.fullmatch(token)]
    recited = rng.permutation(found)[:_N_RECITED]
    embeddings = rng.standard_normal((len(kinds), shape.n_embd), dtype=np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    # Whatever else comes last, the first word follows.
    others = np.ones(len(kinds), dtype=bool)
    others[recited[:-1]] = False
    embeddings[others] = embeddings[recited[-1]]
    output = np.zeros((len(kinds), shape.n_embd), dtype=np.float16)
    sharp = _CERTAINTY / np.sqrt(shape.n_embd)
    output[np.roll(recited, -1)] = (embeddings[recited] * sharp).astype(np.float16)
    writer.add_tensor("token_embd.weight", embeddings.astype(np.float16))
    writer.add_tensor("output.weight", output)
    _add_layers(writer, shape, rng, is_idle=True)
    _end(writer)
    return [tokens[i].replace("\u0120", " ") for i in recited]


def _begin(path: Path, shape: Shape) -> GGUFWriter:
    writer = GGUFWriter(path, shape.architecture)
    writer.add_name(f"Random weights, {shape.name}")
    writer.add_file_type(1)
    writer.add_context_length(32768)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_heads_kv)
    writer.add_rope_dimension_count(shape.n_head_embd)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_chat_template(shape.template)
    return writer


def _end(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _copy_tokenizer(writer: GGUFWriter, vocabulary: Path) -> "tuple[list[str], np.ndarray]":
    """Copy all that a vocabulary file says of its tokenizer; returns the tokens and their kinds."""
    reader = GGUFReader(vocabulary)
    values = {
        field.name: (field.contents(), field.types)
        for field in reader.fields.values()
        if field.name.startswith("tokenizer.") and field.name != "tokenizer.chat_template"
    }
    for name, (value, types) in values.items():
        is_array = types[0] is GGUFValueType.ARRAY
        writer.add_key_value(name, value, types[0], sub_type=types[-1] if is_array else None)
    kinds = np.asarray(values["tokenizer.ggml.token_type"][0], dtype=np.int32)
    return list(values["tokenizer.ggml.tokens"][0]), kinds


def _draw(rng: "np.random.Generator", *size: int) -> "np.ndarray":
    return (rng.standard_normal(size, dtype=np.float32) * _SCALE).astype(np.float16)


def _add_layers(
    writer: GGUFWriter, shape: Shape, rng: "np.random.Generator", *, is_idle: bool = False
) -> None:
    """All layers; idle ones compute the same and add nothing."""

    def add(name: str, n_rows: int, n_columns: int, *, is_last: bool = False) -> None:
        if is_last and is_idle:
            weights = np.zeros((n_rows, n_columns), dtype=np.float16)
        else:
            weights = _draw(rng, n_rows, n_columns)
        writer.add_tensor(f"{name}.weight", weights)

    def add_ones(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(shape.n_embd, dtype=np.float32))

    add_ones("output_norm")
    n_kv = shape.n_heads_kv * shape.n_head_embd
    for i in range(shape.n_layers):
        block = f"blk.{i}"
        add_ones(f"{block}.attn_norm")
        add_ones(f"{block}.ffn_norm")
        for part, n_rows in (("q", shape.n_embd), ("k", n_kv), ("v", n_kv)):
            add(f"{block}.attn_{part}", n_rows, shape.n_embd)
            if shape.architecture == "qwen2":
                bias = np.zeros(n_rows, dtype=np.float32)
                writer.add_tensor(f"{block}.attn_{part}.bias", bias)
        add(f"{block}.attn_output", shape.n_embd, shape.n_embd, is_last=True)
        add(f"{block}.ffn_gate", shape.n_ff, shape.n_embd)
        add(f"{block}.ffn_up", shape.n_ff, shape.n_embd)
        add(f"{block}.ffn_down", shape.n_embd, shape.n_ff, is_last=True)
