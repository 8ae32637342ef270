"""Makes LoRA adapters for the models of `tiny_gguf`, whole ones and wrong ones."""

from pathlib import Path

import numpy as np
from gguf import GGUFWriter


def write_lora_gguf(
    path: Path,
    *,
    n_embd: int = 64,
    n_layers: int = 2,
    rank: int = 4,
    architecture: str = "llama",
    general_type: str = "adapter",
    adapter_type: str = "lora",
    alpha_is_text: bool = False,
    target: str = "attn_output",
    strength: float = 2.0,
    seed: int = 0,
) -> Path:
    """Write an adapter that changes a square weight of every layer, strongly enough to be seen."""
    writer = GGUFWriter(path, architecture)
    writer.add_type(general_type)
    writer.add_string("adapter.type", adapter_type)
    if alpha_is_text:
        writer.add_string("adapter.lora.alpha", "much")
    else:
        writer.add_float32("adapter.lora.alpha", float(rank))
    rng = np.random.default_rng(seed)
    for i in range(n_layers):
        for part, shape in (("a", (rank, n_embd)), ("b", (n_embd, rank))):
            weights = rng.standard_normal(shape).astype(np.float32) * strength
            writer.add_tensor(f"blk.{i}.{target}.weight.lora_{part}", weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
