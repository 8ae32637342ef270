"""Makes tiny GGUF models with random weights, with vocabularies of their own.

    write_tiny_gguf(path, n_layers=2, seed=1)
    write_tiny_gguf(path, architecture="mamba")       # recurrent memory
    write_tiny_gguf(path, architecture="gemma3")      # sliding-window memory
    write_tiny_gguf(path, is_spm=True)                # a SentencePiece vocabulary

The vocabulary is all 256 bytes, some merges learned from the text below, and the special tokens
of ChatML, so that any text can be read and written. Same arguments, same file, bit by bit.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from gguf import GGUFWriter, TokenType

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|tool|>")
SLIDING_WINDOW = 32
_TEXT = (
    "the fire in the inglenook burns low and the two of them talk on about the weather and the "
    "sea and the long road home while the kettle sings and the cat sleeps in the warm corner "
) * 2

type Architecture = Literal["llama", "mamba", "gemma3"]


def list_byte_letters() -> list[str]:
    """The visible letter that stands for each byte 0 to 255 in byte-level BPE (as in GPT-2)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(others)) for b in range(256)]


def learn_merges(n_merges: int) -> list[tuple[str, str]]:
    """Learn byte pair merges from the text above, most frequent pair first."""
    letters = list_byte_letters()
    words = Counter(tuple(letters[b] for b in (" " + word).encode()) for word in _TEXT.split())
    merges: list[tuple[str, str]] = []
    while len(merges) < n_merges:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += count
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        words = Counter({_merge(word, best): count for word, count in words.items()})
    return merges


def _merge(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for letter in word:
        if merged and (merged[-1], letter) == pair:
            merged[-1] += letter
        else:
            merged.append(letter)
    return tuple(merged)


def write_tiny_gguf(
    path: Path,
    *,
    name: str | None = None,
    architecture: Architecture = "llama",
    declared_architecture: str | None = None,
    n_layers: int = 2,
    n_embd: int = 64,
    n_heads: int = 4,
    n_ctx: int = 1024,
    seed: int = 0,
    scale: float = 0.35,
    template: str | None = CHATML,
    extra_specials: Sequence[str] = (),
    never_ends: bool = False,
    is_spm: bool = False,
    recommended_temperature: float | None = None,
) -> Path:
    """Write a model in F32; larger `scale` makes its choices more decided.

    With `never_ends`, its special tokens are as good as never drawn. `declared_architecture` is
    what the file claims to be.
    """
    writer = GGUFWriter(path, declared_architecture or architecture)
    writer.add_name(name or f"Tiny {seed}")
    writer.add_file_type(0)
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(n_layers)
    writer.add_layer_norm_rms_eps(1e-5)
    specials = (*SPECIALS, *extra_specials)
    n_words = _add_spm(writer, specials) if is_spm else _add_bpe(writer, specials)
    if recommended_temperature is not None:
        writer.add_float32("general.sampling.temp", recommended_temperature)
    if template is not None:
        writer.add_chat_template(template)

    weights = Weights(writer, seed, scale)
    n_vocab = n_words + len(specials)
    weights.add_random("token_embd.weight", n_vocab, n_embd)
    weights.add_ones("output_norm.weight", n_embd)
    weights.add_random("output.weight", n_vocab, n_embd, n_drawn=n_words if never_ends else None)
    if architecture == "mamba":
        _add_mamba(writer, weights, n_layers, n_embd)
    else:
        _add_attention(writer, n_embd, n_heads)
        for i in range(n_layers):
            _add_attention_layer(weights, f"blk.{i}", n_embd)
            if architecture == "gemma3":
                _add_gemma_norms(weights, f"blk.{i}", n_embd, n_embd // n_heads)
    if architecture == "gemma3":
        writer.add_sliding_window(SLIDING_WINDOW)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


class Weights:
    """Tensors of random numbers or of ones, put into a file."""

    def __init__(self, writer: GGUFWriter, seed: int, scale: float) -> None:
        self._writer = writer
        self._rng = np.random.default_rng(seed)
        self._scale = np.float32(scale)

    def add_random(self, name: str, *shape: int, n_drawn: int | None = None) -> None:
        """Normally distributed; rows from `n_drawn` on are noughts."""
        weights = self._rng.standard_normal(shape, dtype=np.float32) * self._scale
        if n_drawn is not None:
            weights[n_drawn:] = 0.0
        self._writer.add_tensor(name, weights)

    def add_ones(self, name: str, *shape: int, value: float = 1.0) -> None:
        """All the same number."""
        self._writer.add_tensor(name, np.full(shape, value, dtype=np.float32))


def _add_bpe(writer: GGUFWriter, specials: Sequence[str]) -> int:
    merges = learn_merges(120)
    words = [*list_byte_letters(), *(a + b for a, b in merges)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([*words, *specials])
    writer.add_token_types([TokenType.NORMAL] * len(words) + [TokenType.CONTROL] * len(specials))
    writer.add_token_merges([f"{a} {b}" for a, b in merges])
    _add_ends(writer, len(words), adds_bos=False)
    return len(words)


def _add_spm(writer: GGUFWriter, specials: Sequence[str]) -> int:
    units = [f"<0x{b:02X}>" for b in range(256)]
    joined = [(a + b).replace("Ġ", "▁") for a, b in learn_merges(120)]
    pieces = ["▁", *(chr(c) for c in range(33, 127)), *joined]
    words = ["<unk>", *units, *pieces]
    n_words, n_specials = len(words), len(specials)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*words, *specials])
    writer.add_token_scores([-float(i) for i in range(n_words + n_specials)])
    writer.add_token_types(
        [TokenType.UNKNOWN]
        + [TokenType.BYTE] * len(units)
        + [TokenType.NORMAL] * len(pieces)
        + [TokenType.CONTROL] * n_specials
    )
    writer.add_unk_token_id(0)
    _add_ends(writer, n_words, adds_bos=True)
    return n_words


def _add_ends(writer: GGUFWriter, n_words: int, *, adds_bos: bool) -> None:
    writer.add_bos_token_id(n_words)
    writer.add_eos_token_id(n_words + 2)
    writer.add_add_bos_token(adds_bos)


def _add_attention(writer: GGUFWriter, n_embd: int, n_heads: int) -> None:
    writer.add_feed_forward_length(n_embd * 2)
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_heads)
    writer.add_key_length(n_embd // n_heads)
    writer.add_value_length(n_embd // n_heads)
    writer.add_rope_dimension_count(n_embd // n_heads)


def _add_attention_layer(weights: Weights, block: str, n_embd: int) -> None:
    for part in ("attn_norm", "ffn_norm"):
        weights.add_ones(f"{block}.{part}.weight", n_embd)
    for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
        weights.add_random(f"{block}.{part}.weight", n_embd, n_embd)
    weights.add_random(f"{block}.ffn_gate.weight", n_embd * 2, n_embd)
    weights.add_random(f"{block}.ffn_up.weight", n_embd * 2, n_embd)
    weights.add_random(f"{block}.ffn_down.weight", n_embd, n_embd * 2)


def _add_gemma_norms(weights: Weights, block: str, n_embd: int, n_head_embd: int) -> None:
    for part in ("post_attention_norm", "post_ffw_norm"):
        weights.add_ones(f"{block}.{part}.weight", n_embd)
    for part in ("attn_q_norm", "attn_k_norm"):
        weights.add_ones(f"{block}.{part}.weight", n_head_embd)


def _add_mamba(writer: GGUFWriter, weights: Weights, n_layers: int, n_embd: int) -> None:
    n_inner, n_state, n_rank, n_conv = n_embd * 2, 16, 4, 4
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(n_conv)
    writer.add_ssm_inner_size(n_inner)
    writer.add_ssm_state_size(n_state)
    writer.add_ssm_time_step_rank(n_rank)
    for i in range(n_layers):
        block = f"blk.{i}"
        weights.add_ones(f"{block}.attn_norm.weight", n_embd)
        weights.add_random(f"{block}.ssm_in.weight", n_inner * 2, n_embd)
        weights.add_random(f"{block}.ssm_conv1d.weight", n_inner, n_conv)
        weights.add_random(f"{block}.ssm_conv1d.bias", n_inner)
        weights.add_random(f"{block}.ssm_x.weight", n_rank + n_state * 2, n_inner)
        weights.add_random(f"{block}.ssm_dt.weight", n_inner, n_rank)
        weights.add_random(f"{block}.ssm_dt.bias", n_inner)
        weights.add_ones(f"{block}.ssm_a", n_inner, n_state, value=-1.0)
        weights.add_ones(f"{block}.ssm_d", n_inner)
        weights.add_random(f"{block}.ssm_out.weight", n_embd, n_inner)
