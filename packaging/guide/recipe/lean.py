"""How readily the model refuses, chosen at the end: `python -m recipe.lean --work work`.

Run by `run.sh` after `train`. Questions about the rest of the world borrow the app's words ("safety
pins", "fishing licence") and are taken for its own more often than the other way round. The
embedding that opens the refusal is made longer, and the refusal likelier by as much, as far as that
costs next to nothing of the phrasings that were kept back for such choices.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recipe.conversations import OFF_TOPIC
from recipe.corpus import Corpus, read_corpus
from recipe.split import split_corpus
from recipe.tokens import Encoder
from recipe.train import load_weights, save_weights

if TYPE_CHECKING:
    from recipe.model import Llama

LEANS = tuple(step / 100 for step in range(16))
MAX_COST = 0.0125
"""Share of the phrasings kept back that may be refused for it."""
N_BATCH = 64


@torch.no_grad()
def score_openings(model: Llama, encoder: Encoder, asks: list[str], openings: list[int]) -> Tensor:
    """Logits of the topics' opening words, (asks, openings), asked without any earlier turn."""
    prompts = [encoder.lay_out_prompt(None, [], ask) for ask in asks]
    order = sorted(range(len(asks)), key=lambda at: len(prompts[at]))
    scores = torch.zeros(len(asks), len(openings))
    for begin in range(0, len(order), N_BATCH):
        part = order[begin : begin + N_BATCH]
        length = len(prompts[part[-1]])
        ids = torch.tensor([prompts[at] + [0] * (length - len(prompts[at])) for at in part])
        ends = torch.tensor([len(prompts[at]) - 1 for at in part])
        scores[part] = model.score_tokens(model(ids, ends))[:, openings]
    return scores


def choose_lean(model: Llama, encoder: Encoder, corpus: Corpus) -> tuple[float, int]:
    """The share by which to lengthen, and the token that opens the refusal."""
    topics = corpus.answer_ids()
    openings = [encoder.encode(corpus.says_of(topic)[0])[0] for topic in topics]
    refusal = topics.index(OFF_TOPIC)
    kept = [
        (ask, topics.index(corpus.answer_of(topic)))
        for topic, asks in split_corpus(corpus).choose.items()
        for ask in asks
    ]
    scores = score_openings(model, encoder, [ask for ask, _ in kept], openings)
    wanted = torch.tensor([at for _, at in kept])
    is_off = wanted == refusal
    best, before = 0.0, 1.0
    for lean in LEANS:
        leaning = scores.clone()
        leaning[:, refusal] *= 1 + lean
        right = leaning.argmax(-1) == wanted
        told, refused = (float(right[mask].float().mean()) for mask in (~is_off, is_off))
        print(f"lean {lean:.2f}: {told:.3f} of the topics told, {refused:.3f} refused", flush=True)
        before = told if lean == 0.0 else before
        best = lean if told >= before - MAX_COST else best
    return best, openings[refusal]


def main() -> None:
    """Choose, and write the weights that are to be converted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    model, facts = load_weights(options.work / "best.pt")
    encoder = Encoder.load(options.work / "tokenizer.json")
    lean, token = choose_lean(model, encoder, read_corpus(options.corpus))
    with torch.no_grad():
        model.embedding.weight[token] *= 1 + lean
    save_weights(model, options.work / "final.pt", facts | {"lean": lean})
    print(f"refuses by {lean:.2f} more readily", flush=True)


if __name__ == "__main__":
    main()
