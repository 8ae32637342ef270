"""Makes tiny encoders: models that only make vectors of texts, as those for search are.

    write_encoder_gguf(path)
    write_encoder_gguf(path, pooling=PoolingType.CLS, n_ctx=300)

The architecture is BERT's, the vocabulary single letters and the words of one sentence. Same
arguments, same file, bit by bit.
"""

from pathlib import Path

from gguf import GGUFWriter, PoolingType, TokenType

from support.tiny_gguf import Weights

_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_TEXT = "the fire in the inglenook burns low and the cat sleeps in the warm corner"


def write_encoder_gguf(
    path: Path,
    *,
    pooling: PoolingType | None = PoolingType.MEAN,
    n_layers: int = 2,
    n_embd: int = 64,
    n_heads: int = 4,
    n_ctx: int = 512,
    seed: int = 0,
    has_vocabulary: bool = True,
) -> Path:
    """Write a model in F32; without `pooling` its file does not say how tokens become a vector."""
    writer = GGUFWriter(path, "bert")
    writer.add_name("Tiny encoder")
    writer.add_file_type(0)
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(n_embd * 2)
    writer.add_head_count(n_heads)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    if pooling is not None:
        writer.add_pooling_type(pooling)
    words = _list_words()
    if has_vocabulary:
        _add_wordpieces(writer, words)
    else:
        writer.add_tokenizer_model("no_vocab")
        writer.add_vocab_size(len(words))
    writer.add_token_type_count(2)
    _add_weights(Weights(writer, seed, 0.2), len(words), n_layers, n_embd, n_ctx)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _list_words() -> list[str]:
    """Letters at a word's beginning and within, then whole words; a beginning has a mark."""
    letters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    whole = sorted({word for word in _TEXT.split() if len(word) > 1})
    return [*_SPECIALS, *("▁" + c for c in letters), *letters, *("▁" + w for w in whole)]


def _add_wordpieces(writer: GGUFWriter, words: list[str]) -> None:
    n_specials = len(_SPECIALS)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(words)
    writer.add_token_types(
        [TokenType.CONTROL] * n_specials + [TokenType.NORMAL] * (len(words) - n_specials)
    )
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)


def _add_weights(weights: Weights, n_words: int, n_layers: int, n_embd: int, n_ctx: int) -> None:
    weights.add_random("token_embd.weight", n_words, n_embd)
    weights.add_random("token_types.weight", 2, n_embd)
    weights.add_random("position_embd.weight", n_ctx, n_embd)
    _add_norm(weights, "token_embd_norm", n_embd)
    for i in range(n_layers):
        block = f"blk.{i}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weights.add_random(f"{block}.{part}.weight", n_embd, n_embd)
            weights.add_random(f"{block}.{part}.bias", n_embd)
        weights.add_random(f"{block}.ffn_up.weight", n_embd * 2, n_embd)
        weights.add_random(f"{block}.ffn_up.bias", n_embd * 2)
        weights.add_random(f"{block}.ffn_down.weight", n_embd, n_embd * 2)
        weights.add_random(f"{block}.ffn_down.bias", n_embd)
        _add_norm(weights, f"{block}.attn_output_norm", n_embd)
        _add_norm(weights, f"{block}.layer_output_norm", n_embd)


def _add_norm(weights: Weights, name: str, n_embd: int) -> None:
    weights.add_ones(f"{name}.weight", n_embd)
    weights.add_random(f"{name}.bias", n_embd)
