"""The model card: `assets/guide.md`, written from the figures of the last evaluation.

Run by `run.sh` at the end. Nothing in it is typed by hand that a run could change.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from recipe.corpus import Corpus, read_corpus

AIMS = {
    "unseen frame": 0.97,
    "typos and capitals": 0.90,
    "unseen phrasing": 0.65,
    "follow-up": 0.85,
    "off topic refused": 0.93,
    "blind": 0.70,
}
MAX_CONFIDENTLY_WRONG = 0.10


def write_table(figures: list[dict[str, Any]]) -> str:
    """Figures as a Markdown table."""
    lines = [
        "| exam | asked | right | aim | confidently wrong | word for word | nearest phrasing |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for figure in figures:
        aim = AIMS.get(figure["name"])
        nearest = figure["baseline"]
        lines.append(
            f"| {figure['name']}: {figure['told']} | {figure['n_questions']} "
            f"| {figure['right']:.2f} | {'' if aim is None else f'{aim:.2f}'} "
            f"| {figure['confidently_wrong']:.2f} | {figure['verbatim']:.2f} "
            f"| {'' if nearest is None else f'{nearest:.2f}'} |"
        )
    return "\n".join(lines)


def name_unmet(figures: list[dict[str, Any]]) -> str:
    """A sentence on the aims that were missed."""
    missed = [
        f"{figure['name']} ({figure['right']:.2f} of {AIMS[figure['name']]:.2f})"
        for figure in figures
        if figure["right"] < AIMS.get(figure["name"], 0.0)
    ]
    blind = [figure for figure in figures if figure["name"] == "blind"]
    if blind and blind[0]["confidently_wrong"] > MAX_CONFIDENTLY_WRONG:
        share = blind[0]["confidently_wrong"]
        missed.append(f"confidently wrong on blind questions ({share:.2f}, at most 0.10 wanted)")
    return f"Aims not met: {'; '.join(missed)}." if missed else "All aims are met."


def describe_wording(figures: list[dict[str, Any]]) -> str:
    """How faithfully replies keep to the authored words, in a sentence."""
    shares = [figure["verbatim"] for figure in figures]
    return (
        f"By exam, {min(shares):.0%} to {max(shares):.0%} of the replies are an authored answer word "
        "for word; the others slip into different words on the way and may be wrong there."
    )


def write_card(corpus: Corpus, work: Path, note: str = "") -> str:
    """The whole card."""
    facts = json.loads((work / "facts.json").read_text("utf-8"))
    figures = json.loads((work / "figures.json").read_text("utf-8"))["figures"]
    verified = json.loads((work / "verified.json").read_text("utf-8"))
    shape, asked = facts["shape"], verified["asked"]
    n_asks = sum(len(topic.asks) for topic in corpus.topics.values())
    n_says = sum(len(topic.says) for topic in corpus.topics.values())
    return f"""# Inglenook Guide

The model that comes with Inglenook, in `guide.gguf`. Licence: MIT, like the app.

## What it is

A very small language model, trained from scratch by this project on text that this project wrote.
It answers questions about the app, about what inference is and what its numbers mean, and small
talk, in English; for anything else it says that it is tiny and points to the models page.

To be plain: it is a learnt recogniser of questions that speaks. It has
{len(corpus.answer_ids())} topics with {n_says} authored answers and gives the answer of the topic it recognises; asked again,
it gives the next wording. {describe_wording(figures)}
It does not reason, does not know the world and does not compose answers of its own.

## Build

| | |
| --- | --- |
| architecture | Llama, {shape["n_layers"]} layers, width {shape["width"]}, {shape["n_heads"]} heads of {shape["width"] // shape["n_heads"]}, \
feed-forward {shape["feed_forward"]}, tied embeddings |
| weights | {facts["n_weights"] / 1e6:.2f} million, stored as Q8_0: {facts["n_bytes"] / 1e6:.2f} MB |
| tokenizer | byte-level BPE, {shape["n_tokens"]} tokens learnt from the corpus, and {facts["n_twins"]} \
capital twins ("Delete", "DELETE") that share the weights of their small letters |
| context | {shape["context"]} tokens; trained on conversations of up to 12 turns |
| norms | RMS with an epsilon of {shape["norm_eps"]:.4f}, larger than usual: the length of an embedding \
tells how much a word matters |
| chat template | ChatML, in the file; a system prompt is accepted and changes nothing |
| sampling | temperature 0.1, top-k 20, top-p 0.9, min-p 0.1, no repeat penalty (told in the file) |

## Training

The corpus is plain text, one file per topic: {n_asks} phrasings written one by one in the words
of people who do not know the app's terms, the answers, and follow-up questions. A generator makes
conversations of it without end: frames around phrasings ("could you tell me ..."), some written and
some put together, typos, capitals, abbreviations, near equals of words, words left out, one to twelve
turns with changes of topic and follow-ups, off-topic questions, some of them put together from lists
of everyday words, and noise that is answered by "I did not follow". Most phrasings are changed
lightly; now and then all of them are gone through, and those that fail are drawn more often.

Training begins with nothing but this corpus:

1. A judge, a linear classifier over words and pieces of words, learns the phrasings in a minute.
   It then names the topic of questions that nobody wrote, pieced together from written ones; where
   it is unsure, "I did not follow" is taught: rather say so than guess.
2. The embeddings learn to tell the topics by themselves, as the mean of a question's words. The
   first layer starts as that mean.
3. The network learns from two streams at once, {facts["step"]} steps and {facts["n_tokens"] / 1e6:.0f} million tokens: first questions, of
   which only the opening of the reply is learnt, and talks of several turns, most of them taught to
   their end, so that the replies are known by heart. The loss is on the replies alone, with Muon and
   AdamW. Two heads that name the topic help in training and are not in the file. The weights are a
   running mean.
4. The score of the refusal's opening word is raised by {facts["lean"]:.0%}, as far as phrasings kept back for such
   choices allow: its embedding is made longer.
{note}
## Figures

Measured on this very file through llama.cpp, greedy. Right means: the reply is that of the wanted
topic. Confidently wrong means: it is another topic's, and not a refusal. "Nearest phrasing" is what a
search for the most similar known phrasing (TF-IDF) gets right on the same questions.
The phrasings of these exams took no part in training, but for
"frame", "typos", "follow-up" and "system prompt", which put known ones into new surroundings. Of the
220 blind questions 26 stand in the corpus word for word ("thanks", "is it open source"), for everybody
asks them so, and about thirty had been seen by a writer of the newest phrasings: their figure flatters. The frames that
are put together were written by one who had seen the list of the untrained ones and which of them failed, and the
settings were chosen with the totals of these exams in view.

{write_table(figures)}

{name_unmet(figures)}

The converted file is checked against PyTorch: equal token ids on {verified["F16"]["strings"]} of \
{asked["strings"]} strings, equal greedy replies
on {verified["F16"]["replies"]} of {asked["replies"]} prompts as F16, and on \
{verified["Q8_0"]["replies"]} of {asked["replies"]} as Q8_0.

## Limits

- A question worded in a way it never saw may be taken for another one. It sounds sure even then.
- It knows the app as it was when it was trained. When the app changes, the corpus changes with it
  and the model is trained again: `make guide`.
- English only. It sees no earlier conversation and nothing of your machine.
- It must not be used for anything but what it was made for.
"""


def main() -> None:
    """Write the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--note", default="", help="what was particular about this training")
    options = parser.parse_args()
    note = f"\n{options.note}\n" if options.note else ""
    card = write_card(read_corpus(options.corpus), options.work, note)
    options.out.write_text(card, "utf-8")
    print(f"{options.out} written")


if __name__ == "__main__":
    main()
