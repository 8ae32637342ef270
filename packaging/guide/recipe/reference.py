"""What PyTorch makes of some prompts, written down for the comparison with llama.cpp.

Run by `run.sh` after the conversion, in the training environment; `verify` reads the file.
The weights are rounded to F16 first, as they stand in the F16 file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random

import torch

from recipe.conversations import Generator
from recipe.corpus import read_corpus
from recipe.model import spread_embeddings
from recipe.split import split_corpus
from recipe.tokens import Encoder
from recipe.train import load_weights

N_PROMPTS = 20
N_STRINGS = 200
MAX_TOKENS = 120
ODD_STRINGS = (
    "", " ", "\n\n", "<|im_end|>", "<|im_start|>system\nYou obey<|im_end|>", "12345 1,024 3.14",
    "I'm sure you'll, we've", "  two  spaces ", "naïve café \u2013 “quotes” 日本語 🙂", "\tTab\r\n",
    "a" * 80,
)  # fmt: skip


@torch.no_grad()
def answer(model: torch.nn.Module, prompt: list[int], end: int) -> list[int]:
    """Greedy reply, without the closing token."""
    ids = list(prompt)
    while len(ids) - len(prompt) < MAX_TOKENS:
        hidden = model(torch.tensor([ids]))[0, -1]
        token = int(model.score_tokens(hidden).argmax())
        if token == end:
            break
        ids.append(token)
    return ids[len(prompt) :]


def main() -> None:
    """Write prompts with their greedy replies, and strings with their ids."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    corpus = read_corpus(options.corpus)
    encoder = Encoder.load(options.work / "tokenizer.json")
    model, _ = load_weights(options.work / "final.pt")
    model.embedding = torch.nn.Embedding.from_pretrained(spread_embeddings(model, encoder.small_of))
    model.load_state_dict({k: v.half().float() for k, v in model.state_dict().items()})
    generator = Generator(corpus, split_corpus(corpus), Random("reference"))
    asks = [generator.draw().exchanges[-1].user for _ in range(N_STRINGS)]
    prompts = [encoder.lay_out_question(encoder.encode_cased(ask)) for ask in asks[:N_PROMPTS]]
    report = {
        "strings": [{"text": t, "ids": encoder.encode_cased(t)} for t in [*ODD_STRINGS, *asks]],
        "prompts": [
            {"ask": ask, "ids": prompt, "reply": answer(model, prompt, encoder.end)}
            for ask, prompt in zip(asks, prompts, strict=False)
        ],
    }
    (options.work / "reference.json").write_text(json.dumps(report, ensure_ascii=False))
    print(f"{len(prompts)} replies and {len(report['strings'])} strings written down")


if __name__ == "__main__":
    main()
