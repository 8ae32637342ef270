"""Weights to GGUF: `python -m recipe.convert --work work --out assets/guide.gguf`.

Run by `run.sh` and, at intervals, by hand on the best weights of a running training. Writes
Q8_0 for shipping and F16 beside the weights for the comparison with PyTorch.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import numpy as np
from numpy.typing import NDArray

from recipe.chatml import CONTROL_TOKENS, END, TEMPLATE, UNKNOWN
from recipe.model import spread_embeddings
from recipe.tokens import Encoder
from recipe.train import load_weights

if TYPE_CHECKING:
    from recipe.model import Llama, Shape

NAME = "Inglenook Guide"
MAX_BYTES = 8_000_000
SAMPLING = {"temp": 0.1, "top_k": 20, "top_p": 0.9, "min_p": 0.1, "penalty_repeat": 1.0}
"""Defaults told by the file. No repeat penalty: answers repeat words of the question."""

Array = NDArray[np.float32]


def interleave_pairs(weight: Array, n_heads: int) -> Array:
    """Rows of Q or K from rotate-half order (i, i + half) to pairs (2i, 2i + 1)."""
    rows, columns = weight.shape
    halves = weight.reshape(n_heads, 2, rows // n_heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


def name_tensors(model: Llama, small_of: list[int]) -> dict[str, Array]:
    """All tensors by their GGUF names; `output.weight` is left out, the embedding serves."""
    shape = model.shape
    source = {name: value.detach().float().numpy() for name, value in model.named_parameters()}
    tensors = {"token_embd.weight": spread_embeddings(model, small_of).numpy()}
    for layer in range(shape.n_layers):
        have, give = f"blocks.{layer}.", f"blk.{layer}."
        q, k, v = np.split(source[have + "qkv.weight"], 3)
        gate, up = np.split(source[have + "gate_up.weight"], 2)
        tensors |= {
            give + "attn_norm.weight": source[have + "attn_norm.weight"],
            give + "attn_q.weight": interleave_pairs(q, shape.n_heads),
            give + "attn_k.weight": interleave_pairs(k, shape.n_heads),
            give + "attn_v.weight": v,
            give + "attn_output.weight": source[have + "attn_out.weight"],
            give + "ffn_norm.weight": source[have + "ffn_norm.weight"],
            give + "ffn_gate.weight": gate,
            give + "ffn_up.weight": up,
            give + "ffn_down.weight": source[have + "down.weight"],
        }
    tensors["output_norm.weight"] = source["norm.weight"]
    return tensors


def write_gguf(model: Llama, tokenizer_file: Path, out: Path, kind: str, version: str) -> None:
    """Write one file; `kind` is `Q8_0` or `F16`. Norms stay F32."""
    small_of = Encoder.load(tokenizer_file).small_of
    quantisation = gguf.GGMLQuantizationType[kind]
    beside = out.with_suffix(".part")
    writer = gguf.GGUFWriter(beside, "llama")
    add_facts(writer, model.shape, len(small_of), kind, version)
    add_vocabulary(writer, tokenizer_file)
    for name, tensor in name_tensors(model, small_of).items():
        if tensor.ndim == 1:
            writer.add_tensor(name, np.ascontiguousarray(tensor, dtype=np.float32))
            continue
        if tensor.shape[-1] % 32:
            raise ValueError(f"{name}: rows of {tensor.shape[-1]} cannot be written as Q8_0")
        packed = gguf.quantize(np.ascontiguousarray(tensor), quantisation)
        writer.add_tensor(name, packed, raw_dtype=quantisation)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    beside.replace(out)


def add_facts(
    writer: gguf.GGUFWriter, shape: Shape, n_tokens: int, kind: str, version: str
) -> None:
    """What the file is, its sizes and its sampling defaults."""
    writer.add_name(NAME)
    writer.add_version(version)
    writer.add_author("The Inglenook authors")
    writer.add_license("MIT")
    writer.add_languages(["en"])
    writer.add_description("Answers questions about Inglenook and about running models locally.")
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind}"])
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(n_tokens)
    writer.add_sampling_temp(SAMPLING["temp"])
    writer.add_sampling_top_k(int(SAMPLING["top_k"]))
    writer.add_sampling_top_p(SAMPLING["top_p"])
    writer.add_sampling_min_p(SAMPLING["min_p"])
    writer.add_sampling_penalty_repeat(SAMPLING["penalty_repeat"])


def add_vocabulary(writer: gguf.GGUFWriter, tokenizer_file: Path) -> None:
    """Tokens, their types, merges, the chat template."""
    bpe = json.loads(tokenizer_file.read_text("utf-8"))["tokenizer"]["model"]
    tokens = sorted(bpe["vocab"], key=bpe["vocab"].__getitem__)
    if tuple(tokens[: len(CONTROL_TOKENS)]) != CONTROL_TOKENS:
        raise ValueError("the control tokens are not the first tokens")
    kinds = gguf.TokenType
    types = [kinds.CONTROL if t in CONTROL_TOKENS else kinds.NORMAL for t in tokens]
    types[tokens.index(UNKNOWN)] = kinds.UNKNOWN
    merges = [m if isinstance(m, str) else " ".join(m) for m in bpe["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(tokens.index(END))
    writer.add_eot_token_id(tokens.index(END))
    writer.add_unk_token_id(tokens.index(UNKNOWN))
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(TEMPLATE)


def check_file(path: Path) -> None:
    """Read the file back and assert what would otherwise harm replies silently."""
    reader = gguf.GGUFReader(path)
    types = reader.fields["tokenizer.ggml.token_type"]
    tokens = reader.fields["tokenizer.ggml.tokens"]
    for index, token in enumerate(CONTROL_TOKENS):
        kind = int(types.parts[types.data[index]][0])
        text = bytes(tokens.parts[tokens.data[index]]).decode()
        wanted = gguf.TokenType.UNKNOWN if token == UNKNOWN else gguf.TokenType.CONTROL
        if text != token or kind != wanted:
            raise ValueError(f"token {index} is {text!r} of type {kind}, wanted {token!r} {wanted}")
    end = CONTROL_TOKENS.index(END)
    for key in ("eos", "eot"):
        field = reader.fields[f"tokenizer.ggml.{key}_token_id"]
        if int(field.parts[field.data[0]][0]) != end:
            raise ValueError(f"{key} is not {END}")
    if any(tensor.name == "output.weight" for tensor in reader.tensors):
        raise ValueError("the output is tied to the embedding and must not be written")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, {MAX_BYTES} are allowed")


def main() -> None:
    """Convert the weights of a training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--version", default="1")
    options = parser.parse_args()
    model, facts = load_weights(options.work / "final.pt")
    tokenizer_file = options.work / "tokenizer.json"
    write_gguf(model, tokenizer_file, options.work / "guide-f16.gguf", "F16", options.version)
    write_gguf(model, tokenizer_file, options.out, "Q8_0", options.version)
    check_file(options.out)
    told = {
        "n_weights": model.count_weights(),
        "n_twins": len(Encoder.load(tokenizer_file).small_of) - model.shape.n_tokens,
        "n_bytes": options.out.stat().st_size,
        "shape": asdict(model.shape),
        **facts,
    }
    (options.work / "facts.json").write_text(json.dumps(told))
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB, "
          f"{model.count_weights() / 1e6:.2f}M weights, step {facts['step']}")  # fmt: skip


if __name__ == "__main__":
    main()
