"""Batches made by processes of their own, while the network learns: to make one takes longer.

Called by training. Each process has a seed of its own and makes batches of two kinds in turn:
first questions, of which only the opening of the reply is learnt, and talks of several turns, whole
replies among them. Chances that the trainer writes down tell what is to come more often.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
from dataclasses import fields
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recipe.batches import Batch, stream_batches
from recipe.conversations import LIGHT, Generator, Mix, roughen
from recipe.corpus import read_corpus
from recipe.split import split_corpus
from recipe.teacher import Teacher
from recipe.tokens import Encoder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

QUESTIONS = Mix(multi_turn=0.0, long=0.0, cut=1.0, off_topic=0.36)
TALKS = Mix(multi_turn=0.75, long=0.03, cut=0.4, system=0.1)
N_QUEUED = 8
N_KEPT = 400
"""Newest batches of each kind kept on the device, to learn from again while new ones are made."""
PATIENCE_S = 600.0


class Stream:
    """The newest batches of each kind, and the processes that make them."""

    def __init__(
        self,
        folders: tuple[Path, Path],
        n_tokens: tuple[int, int],
        n_workers: int,
        seed: int,
        device: torch.device,
    ) -> None:
        """Start the processes.

        `folders` are those of the corpus and of the run; `n_tokens` those of a batch of each kind,
        questions first.
        """
        self.device = device
        self._rng = Random(seed)
        self._chances = folders[1] / "chances.npy"
        context = multiprocessing.get_context("spawn")
        self._queues = [context.Queue(N_QUEUED) for _ in n_tokens]
        self._kept: list[list[Batch]] = [[] for _ in n_tokens]
        self.n_made = [0] * len(n_tokens)
        self._roughened = context.Queue(1)
        self._workers = [
            context.Process(
                target=_work, args=(folders, n_tokens, seed + number, self._queues), daemon=True
            )
            for number in range(n_workers)
        ]
        self._workers.append(
            context.Process(target=_roughen_all, args=(folders, seed, self._roughened), daemon=True)
        )
        for worker in self._workers:
            worker.start()

    def draw(self, kind: int) -> Batch:
        """A new batch, or one of the newest where none is ready."""
        kept = self._kept[kind]
        try:
            made = self._queues[kind].get(timeout=None if kept else PATIENCE_S, block=not kept)
        except queue.Empty:
            if not kept:
                raise RuntimeError("no batches are made: did the processes end?") from None
            return self._rng.choice(kept)
        batch = unpack(made, self.device)
        self.n_made[kind] += 1
        if len(kept) < N_KEPT:
            kept.append(batch)
        else:
            kept[self.n_made[kind] % N_KEPT] = batch
        return batch

    def take_roughened(self) -> list[tuple[list[int], int]] | None:
        """All phrasings, lightly roughened, as prompts with their topics; None: not ready yet."""
        try:
            return self._roughened.get_nowait()  # type: ignore[no-any-return]
        except queue.Empty:
            return None

    def favour(self, chances: Sequence[float]) -> None:
        """Have phrasings that are not told yet drawn more often, in the order of the prompts."""
        beside = self._chances.with_suffix(".tmp.npy")
        np.save(beside, np.array(chances, dtype=np.float32))
        beside.replace(self._chances)

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.kill()
            worker.join()


def _work(
    folders: tuple[Path, Path], n_tokens: tuple[int, int], seed: int, queues: list[Any]
) -> None:
    """One process: batches of both kinds in turn, without end."""
    torch.set_num_threads(1)
    corpus_folder, work = folders
    corpus = read_corpus(corpus_folder)
    split, topics = split_corpus(corpus), corpus.answer_ids()
    index = {topic: at for at, topic in enumerate(topics)}
    encoder, teacher = Encoder.load(work / "tokenizer.json"), Teacher(topics)
    teacher.load(work / "teacher.pt")
    generators = [
        Generator(corpus, split, Random(f"{seed} {kind}"), mix, teacher)
        for kind, mix in enumerate((QUESTIONS, TALKS))
    ]
    streams = [
        stream_batches(generator, encoder, index, n)
        for generator, n in zip(generators, n_tokens, strict=True)
    ]
    seen, chances = 0.0, work / "chances.npy"
    while True:
        changed = chances.stat().st_mtime if chances.exists() else 0.0
        if changed != seen:
            seen = changed
            _favour(generators, np.load(chances).tolist())
        for made, stream in zip(queues, streams, strict=True):
            for batch in islice(stream, 2):
                made.put(pack(batch))


def _roughen_all(folders: tuple[Path, Path], seed: int, prompts: Any) -> None:
    """Another process: all phrasings anew, again and again, as they are taken."""
    corpus = read_corpus(folders[0])
    index = {topic: at for at, topic in enumerate(corpus.answer_ids())}
    encoder, rng = Encoder.load(folders[1] / "tokenizer.json"), Random(f"{seed} sweep")
    generator = Generator(corpus, split_corpus(corpus), rng)
    while True:
        made = []
        for pool, is_off_topic in ((generator.known, False), (generator.off_topic, True)):
            for ask, topic in pool.phrasings:
                text = roughen(ask, rng, LIGHT, is_off_topic=is_off_topic)
                made.append(
                    (encoder.lay_out_prompt(None, [], text), index[corpus.answer_of(topic)])
                )
        prompts.put(made)


def _favour(generators: list[Generator], chances: list[float]) -> None:
    for generator in generators:
        n_known = len(generator.known.phrasings)
        generator.known.favour(chances[:n_known])
        generator.off_topic.favour(chances[n_known:])


def pack(batch: Batch) -> dict[str, Any]:
    """A batch as arrays, to be sent to another process."""
    packed: dict[str, Any] = {}
    for field in fields(batch):
        value = getattr(batch, field.name)
        packed[field.name] = value.numpy() if isinstance(value, torch.Tensor) else value
    return packed


def unpack(packed: dict[str, Any], device: torch.device) -> Batch:
    """A packed batch on the device."""
    return Batch(
        **{
            name: torch.from_numpy(value).to(device) if isinstance(value, np.ndarray) else value
            for name, value in packed.items()
        }
    )


def count_workers() -> int:
    """Processes that make batches: all processors but the one that learns."""
    return max(1, (os.cpu_count() or 2) - 1)
