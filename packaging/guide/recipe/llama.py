"""Batched greedy replies through llama.cpp, for evaluation: many prompts at once.

Called by `evaluate` and `verify`, in the app's environment. Single-threaded.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from llama_cpp import llama_cpp as native

from recipe.chatml import END, START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

N_SEQUENCES = 48
N_CONTEXT = 48 * 640
N_BATCH = 2048


@dataclass(slots=True)
class _Slot:
    """One sequence under way: where it stands and what was generated."""

    prompt_index: int
    position: int
    pending: list[int]
    out: list[int] = field(default_factory=list)
    logits_at: int = -1


class GgufModel:
    """A GGUF file loaded for greedy generation."""

    def __init__(self, path: Path, n_threads: int = 2) -> None:
        self._quiet = native.llama_log_callback(lambda *_: None)
        native.llama_log_set(self._quiet, ctypes.c_void_p(0))
        native.llama_backend_init()
        params = native.llama_model_default_params()
        params.n_gpu_layers = 0
        params.use_extra_bufts = False
        self._model = native.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise ValueError(f"{path} cannot be loaded")
        self._vocab = native.llama_model_get_vocab(self._model)
        self.n_tokens = native.llama_vocab_n_tokens(self._vocab)
        context = native.llama_context_default_params()
        context.n_ctx, context.n_batch, context.n_ubatch = N_CONTEXT, N_BATCH, N_BATCH
        context.n_seq_max, context.n_threads = N_SEQUENCES, n_threads
        context.n_threads_batch, context.kv_unified = n_threads, True
        self._context = native.llama_init_from_model(self._model, context)
        self._memory = native.llama_get_memory(self._context)
        self._batch = native.llama_batch_init(N_BATCH, 0, 1)
        self.start = self.tokenize(START, parses_control=True)[0]
        self.end = self.tokenize(END, parses_control=True)[0]

    def close(self) -> None:
        """Free the native parts."""
        native.llama_batch_free(self._batch)
        native.llama_free(self._context)
        native.llama_model_free(self._model)

    def tokenize(self, text: str, *, parses_control: bool = False) -> list[int]:
        """Ids of content; control tokens in it stay text unless `parses_control`."""
        raw = text.encode()
        room = (native.llama_token * (len(raw) + 8))()
        n = native.llama_tokenize(
            self._vocab, raw, len(raw), room, len(room), False, parses_control
        )
        return list(room[:n])

    def detokenize(self, ids: list[int]) -> str:
        """Text of ids."""
        raw = b""
        room = ctypes.create_string_buffer(256)
        for token in ids:
            n = native.llama_token_to_piece(self._vocab, token, room, len(room), 0, False)
            raw += room.raw[:n]
        return raw.decode(errors="replace")

    def lay_out(self, system: str | None, turns: list[tuple[str, str]], ask: str) -> list[int]:
        """The chat template's tokens for earlier turns and a last question."""
        parts = [] if system is None else [("system", system)]
        for user, reply in turns:
            parts += [("user", user), ("assistant", reply)]
        ids: list[int] = []
        for role, text in [*parts, ("user", ask)]:
            ids += [self.start, *self.tokenize(role + "\n"), *self.tokenize(text)]
            ids += [self.end, *self.tokenize("\n")]
        return [*ids, self.start, *self.tokenize("assistant\n")]

    def answer_all(
        self,
        prompts: list[list[int]],
        max_tokens: int = 160,
        told: Callable[[int], None] | None = None,
    ) -> list[list[int]]:
        """Greedy replies to all prompts, without the closing token."""
        replies: list[list[int]] = [[] for _ in prompts]
        waiting = iter(enumerate(prompts))
        slots: dict[int, _Slot] = {}
        n_done = 0
        native.llama_memory_clear(self._memory, True)
        while True:
            self._admit(slots, waiting)
            if not slots:
                return replies
            self._decode(slots)
            for sequence, slot in list(slots.items()):
                if slot.logits_at < 0:
                    continue
                token = self._pick(slot.logits_at)
                if token != self.end and len(slot.out) < max_tokens:
                    slot.out.append(token)
                    slot.pending = [token]
                    continue
                replies[slot.prompt_index] = slot.out
                native.llama_memory_seq_rm(self._memory, sequence, -1, -1)
                del slots[sequence]
                n_done += 1
                if told is not None and n_done % 500 == 0:
                    told(n_done)

    def _admit(self, slots: dict[int, _Slot], waiting: Iterator[tuple[int, list[int]]]) -> None:
        free = [sequence for sequence in range(N_SEQUENCES) if sequence not in slots]
        for sequence, (index, prompt) in zip(free, waiting, strict=False):
            slots[sequence] = _Slot(index, 0, list(prompt))

    def _decode(self, slots: dict[int, _Slot]) -> None:
        batch, n = self._batch, 0
        for sequence, slot in slots.items():
            slot.logits_at = -1
            take = min(len(slot.pending), N_BATCH - n)
            for at in range(take):
                batch.token[n], batch.pos[n] = slot.pending[at], slot.position + at
                batch.n_seq_id[n], batch.seq_id[n][0] = 1, sequence
                batch.logits[n] = at == len(slot.pending) - 1
                if batch.logits[n]:
                    slot.logits_at = n
                n += 1
            slot.position += take
            slot.pending = slot.pending[take:]
        batch.n_tokens = n
        if native.llama_decode(self._context, batch) != 0:
            raise RuntimeError("llama.cpp could not decode the batch")

    def _pick(self, at: int) -> int:
        logits = native.llama_get_logits_ith(self._context, at)
        return int(np.ctypeslib.as_array(logits, shape=(self.n_tokens,)).argmax())
