"""Makes GGUF models that say a text given to them, token by token, and then end or go on for ever.

    write_scripted_gguf(path, ["Once ", "upon ", "a ", "time."])

Each piece of the script is a token of its own, so no two may be alike. Pieces that are `controls`
are control tokens, and those that are `marks` are found in prompts, too. The weights are made so
that every token decides the next one: the direction of a token's embedding is the one that its
successor's row in the output matrix points to, and attention and feed-forward add nothing. More
layers only make the model slower. The real engine runs it like any other model.
"""

import itertools
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType

from support.tiny_gguf import CHATML, SPECIALS, list_byte_letters

_CERTAINTY = 40.0
"""The next token's logit; that of any other is about this much times the cosine of two rows."""
_N_HEADS = 8


def write_scripted_gguf(
    path: Path,
    script: Sequence[str],
    *,
    n_layers: int = 1,
    n_embd: int = 256,
    n_ctx: int = 8192,
    never_ends: bool = False,
    name: str = "Scripted",
    template: str = CHATML,
    controls: Collection[str] = (),
    marks: Collection[str] = (),
) -> Path:
    """Write a model in F32 that answers every prompt with `script`; see above."""
    letters = list_byte_letters()
    named = {*controls, *marks}
    words = [*letters, *(p if p in named else encode_piece(p) for p in script)]
    assert len(set(words)) == len(words), "two pieces of the script are alike"
    n_bytes, n_words = len(letters), len(words)
    followers = np.full(n_words + len(SPECIALS), n_bytes)
    followers[n_bytes : n_words - 1] = range(n_bytes + 1, n_words)
    if not never_ends:
        followers[n_words - 1] = n_words + SPECIALS.index("<|im_end|>")

    writer = GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_file_type(0)
    writer.add_chat_template(template)
    _add_shape(writer, n_layers, n_embd, n_ctx)
    kinds = dict.fromkeys(marks, TokenType.USER_DEFINED) | dict.fromkeys(
        controls, TokenType.CONTROL
    )
    types = [TokenType.NORMAL] * n_bytes + [kinds.get(p, TokenType.NORMAL) for p in script]
    _add_vocabulary(writer, words, types)
    _add_chain(writer, followers, n_embd)
    for i in range(n_layers):
        _add_idle_layer(writer, f"blk.{i}", n_embd)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def encode_piece(piece: str) -> str:
    """A piece of text as byte-level BPE spells it."""
    letters = list_byte_letters()
    return "".join(letters[byte] for byte in piece.encode())


def _add_shape(writer: GGUFWriter, n_layers: int, n_embd: int, n_ctx: int) -> None:
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(n_layers)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_feed_forward_length(n_embd * 2)
    writer.add_head_count(_N_HEADS)
    writer.add_head_count_kv(_N_HEADS)
    writer.add_rope_dimension_count(n_embd // _N_HEADS)


def _add_vocabulary(writer: GGUFWriter, words: Sequence[str], types: Sequence[TokenType]) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([*words, *SPECIALS])
    writer.add_token_types([*types, *([TokenType.CONTROL] * len(SPECIALS))])
    # Merges make a piece of the script out of bytes; none is needed, and the format wants one.
    writer.add_token_merges([f"{words[0]} {words[1]}"])
    writer.add_bos_token_id(len(words))
    writer.add_eos_token_id(len(words) + SPECIALS.index("<|im_end|>"))
    writer.add_add_bos_token(False)


def _add_chain(writer: GGUFWriter, followers: np.ndarray, n_embd: int) -> None:
    """Embeddings in random directions; a token's output row looks the way of those before it."""
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((len(followers), n_embd)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    # All that leads to the script's beginning (prompts, and the script's end) looks one way.
    is_script = followers != followers[0]
    embeddings[~is_script] = embeddings[0]
    output = np.zeros_like(embeddings)
    for before, after in itertools.chain([(0, followers[0])], enumerate(followers)):
        output[after] = embeddings[before] * (_CERTAINTY / np.sqrt(n_embd))
    writer.add_tensor("token_embd.weight", embeddings)
    writer.add_tensor("output_norm.weight", np.ones(n_embd, dtype=np.float32))
    writer.add_tensor("output.weight", output)


def _add_idle_layer(writer: GGUFWriter, block: str, n_embd: int) -> None:
    for part in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"{block}.{part}.weight", np.ones(n_embd, dtype=np.float32))
    for part in ("attn_q", "attn_k", "attn_v"):
        writer.add_tensor(f"{block}.{part}.weight", np.eye(n_embd, dtype=np.float32))
    nothing = np.zeros((n_embd, n_embd), dtype=np.float32)
    writer.add_tensor(f"{block}.attn_output.weight", nothing)
    wide = np.full((n_embd * 2, n_embd), 0.01, dtype=np.float32)
    writer.add_tensor(f"{block}.ffn_gate.weight", wide)
    writer.add_tensor(f"{block}.ffn_up.weight", wide)
    writer.add_tensor(f"{block}.ffn_down.weight", np.zeros((n_embd, n_embd * 2), dtype=np.float32))
