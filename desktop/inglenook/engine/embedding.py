"""Texts to vectors with the loaded model, in short steps between those of replies.

A context of its own beside the replies', made at the first request, reads the texts and pools what
the model makes of their tokens: as the model's file says, else by the mean. The mean of a long text
is that of its pieces, weighted. An encoder has one context only and reads each text at once, for
there every token sees all others. Used by the worker on its thread; `Tokenised` comes from the
prompt thread.
"""

import math
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from inglenook.base.errors import EngineError
from inglenook.engine.llama import (
    Adapter,
    Batch,
    Context,
    ContextOptions,
    Decoded,
    Model,
    NativeError,
    Vocab,
)
from inglenook.engine.protocol import Embed, Embedded, EmbedFailed, Event

LIMIT_TEXTS: Final = 2048
LIMIT_REQUESTS: Final = 64
LIMIT_TOKENS: Final = 2048
"""Tokens of one text, less where the model's context is shorter: memory is taken for so many."""
_LIMIT_TOKEN_BYTES: Final = 64
_MAX_CHUNK: Final = 128
_MIN_CHUNK_ALONE: Final = 32
_MIN_CHUNK_SHARED: Final = 4
_MAX_SEQUENCES: Final = 16
_STEP_ALONE_S: Final = 1.0
_STEP_SHARED_S: Final = 0.2
"""How long a step may last: alone, when a reply can break it off, and while replies wait for it."""
_REPLIES_SHARE: Final = 3.0
"""So many times as long replies have the worker, before vectors get another step."""


@dataclass(frozen=True, slots=True)
class Tokenised:
    """A request whose texts are tokens."""

    request_id: str
    texts: list[list[int]]


@dataclass(slots=True)
class _Request:
    """A request at work: the sums of what was pooled, by text."""

    request_id: str
    texts: list[list[int]]
    vectors: list[bytes] = field(default_factory=list)
    n_read: int = 0
    """Tokens of the text now read that are in memory."""
    total: "array[float]" = field(default_factory=lambda: array("d"))


def shape_for_vectors(model: Model, n_ctx: int, n_threads: int) -> ContextOptions:
    """A context that pools what is read of up to `n_ctx` tokens, less where that is too many."""
    n_ctx = min(n_ctx, LIMIT_TOKENS)
    n_batch = n_ctx if model.is_encoder else min(_MAX_CHUNK, n_ctx)
    return ContextOptions(
        n_ctx=n_ctx,
        n_batch=n_batch,
        n_ubatch=n_batch,
        n_seq_max=1 if model.is_recurrent else min(_MAX_SEQUENCES, n_batch),
        n_outputs=n_batch,
        n_threads=n_threads,
        n_threads_batch=n_threads,
        pools=True,
    )


def tokenise_texts(command: Embed, vocab: Vocab, limit: int) -> Tokenised:
    """Tokenise, on the prompt thread; raises `EngineError` for what cannot be read.

    `limit` is of tokens of one text.
    """
    if not command.texts or len(command.texts) > LIMIT_TEXTS:
        raise EngineError(
            f"From 1 to {LIMIT_TEXTS:,} texts can be turned into vectors at once.",
            code="bad_request",
        )
    texts = []
    for i, text in enumerate(command.texts, 1):
        data = text.encode("utf-8", "replace")
        is_hopeless = len(data) > limit * _LIMIT_TOKEN_BYTES
        tokens = [] if is_hopeless else vocab.tokenize(data, add_special=True, parse_special=False)
        if is_hopeless or len(tokens) > limit:
            count = "far more" if is_hopeless else f"{len(tokens):,}"
            raise EngineError(
                f"Text {i} is too long: a vector takes {limit:,} tokens at most, it has {count}.",
                "Cut it into shorter texts.",
                code="prompt_too_long",
            )
        if not text or not tokens:
            raise EngineError(f"Text {i} is empty, so it has no vector.", code="bad_request")
        texts.append(tokens)
    return Tokenised(command.request_id, texts)


class Embedder:
    """Owns the requests for vectors of one loaded model, and the context that reads them."""

    def __init__(
        self,
        model: Model,
        replies: Context,
        adapters: Sequence[tuple[Adapter, float]],
        emit: Callable[[Event], None],
        model_id: str,
    ) -> None:
        """`replies` is the context that replies are written in; this one is shaped after it.

        Of an encoder it is the one that reads texts, and the only one.
        """
        self._model = model
        self._replies = replies
        self._adapters = adapters
        self._emit = emit
        self._model_id = model_id
        self._context: Context | None = None
        self._batch = Batch(replies.n_ubatch if model.is_encoder else _MAX_CHUNK)
        self.limit_tokens = min(replies.n_ctx, LIMIT_TOKENS)
        """The longest text."""
        if model.is_encoder and model.n_ctx_train:
            # Beyond these no place of a token is known, and the library ends the process.
            self.limit_tokens = min(self.limit_tokens, model.n_ctx_train)
        self._requests: deque[_Request] = deque()
        self._tps = 0.0
        self._rests_until = 0.0
        self._is_long = False

    @property
    def has_work(self) -> bool:
        """Whether a text waits for a step."""
        return bool(self._requests)

    @property
    def n_requests(self) -> int:
        """How many requests wait or are at work."""
        return len(self._requests)

    @property
    def is_due(self) -> bool:
        """Whether it is time for a step though replies are being written."""
        return self.has_work and time.monotonic() >= self._rests_until

    def add(self, tokenised: Tokenised) -> None:
        """Queue a request."""
        self._requests.append(_Request(tokenised.request_id, tokenised.texts))

    def fail_all(self, error: EngineError) -> None:
        """End every request as failed."""
        while self._requests:
            self._emit(make_failure(self._requests.popleft().request_id, error))

    def interrupt(self) -> None:
        """Break off a step that no reply was waiting for when it began. Any thread."""
        context = self._context
        if context is not None and self._is_long:
            context.interrupt()

    def allow(self) -> None:
        """Take back an `interrupt`."""
        if self._context is not None:
            self._context.allow()

    def close(self) -> None:
        """Free the context; no request is left."""
        if self._context is not None and self._context is not self._replies:
            self._context.close()
        self._context = None

    def step(self, *, is_shared: bool) -> None:
        """Read some tokens; answers the request with its last."""
        request = self._requests[0]
        try:
            context = self._open()
            started = time.monotonic()
            self._is_long = not is_shared
            n_tokens = self._read_some(context, request, is_shared=is_shared)
        except (NativeError, EngineError) as error:
            self._requests.popleft()
            if self._context is not None:
                self._context.clear()
            self._emit(make_failure(request.request_id, _explain(error)))
            return
        finally:
            self._is_long = False
        if not n_tokens:
            return
        took_s = time.monotonic() - started
        self._tps = n_tokens / took_s if took_s > 0.0 else self._tps
        self._rests_until = time.monotonic() + _REPLIES_SHARE * took_s
        if len(request.vectors) == len(request.texts):
            self._requests.popleft()
            self._emit(
                Embedded(
                    request_id=request.request_id,
                    model_id=self._model_id,
                    vectors=tuple(request.vectors),
                    n_tokens=sum(map(len, request.texts)),
                )
            )

    # --- reading ---

    def _open(self) -> Context:
        if self._context is None and self._model.is_encoder:
            self._context = self._replies
        elif self._context is None:
            options = shape_for_vectors(self._model, self._replies.n_ctx, self._replies.n_threads)
            self._context = Context(self._model, options)
            if self._adapters:
                self._context.apply(self._adapters)
        self._context.set_threads(self._replies.n_threads)
        return self._context

    def _read_some(self, context: Context, request: _Request, *, is_shared: bool) -> int:
        """Read the next piece of a long text, or several short ones at once; 0 if broken off."""
        budget = self._choose_budget(context, is_shared=is_shared)
        first = request.texts[len(request.vectors)]
        if self._model.is_encoder:
            budget = max(budget, len(first))
        if request.n_read or len(first) > budget:
            return self._read_piece(context, request, first, budget)
        batch = self._batch
        texts: list[list[int]] = []
        batch.clear()
        for text in request.texts[len(request.vectors) :][: context.n_seq_max]:
            if batch.n_tokens + len(text) > budget:
                break
            for position, token in enumerate(text):
                batch.add(token, position, len(texts), wants_logits=True)
            texts.append(text)
        if not self._decode(context):
            context.clear()
            return 0
        for seq_id in range(len(texts)):
            request.vectors.append(_normalise(context.read_pooled(seq_id)))
        context.clear()
        return batch.n_tokens

    def _read_piece(self, context: Context, request: _Request, text: list[int], budget: int) -> int:
        batch, start = self._batch, request.n_read
        piece = text[start : start + budget]
        batch.clear()
        for i, token in enumerate(piece):
            batch.add(token, start + i, 0, wants_logits=True)
        if not self._decode(context):
            # Recurrent memory may be beyond what can be taken back: the text is read anew.
            if self._model.is_recurrent or not context.remove(0, start):
                context.clear()
                request.n_read = 0
            return 0
        request.n_read += len(piece)
        pooled = context.read_pooled(0)
        if not context.pools_by_mean:
            request.total = array("d", pooled)  # The last token's.
        elif start:
            weight = len(piece)
            request.total = array(
                "d", (a + b * weight for a, b in zip(request.total, pooled, strict=True))
            )
        else:
            request.total = array("d", (value * len(piece) for value in pooled))
        if request.n_read == len(text):
            request.vectors.append(_normalise(request.total))
            request.n_read = 0
            context.clear()
        return len(piece)

    def _decode(self, context: Context) -> bool:
        """Whether the batch was read; False where it was broken off."""
        outcome = context.decode(self._batch)
        if outcome not in {Decoded.DONE, Decoded.INTERRUPTED}:
            raise NativeError("decode for a vector")
        return outcome is Decoded.DONE

    def _choose_budget(self, context: Context, *, is_shared: bool) -> int:
        """How many tokens a step may read, by the speed measured so far."""
        least = _MIN_CHUNK_SHARED if is_shared else _MIN_CHUNK_ALONE
        step_s = _STEP_SHARED_S if is_shared else _STEP_ALONE_S
        return min(context.n_ubatch, max(least, int(self._tps * step_s)))


def make_failure(request_id: str, error: EngineError) -> EmbedFailed:
    """The answer to a request that cannot be met."""
    return EmbedFailed(
        request_id=request_id, code=error.code, message=error.message, hint=error.hint
    )


def _normalise(values: "array[float]") -> bytes:
    """To unit length, as 32-bit floats; a vector of noughts stays one."""
    length = math.sqrt(math.sumprod(values, values)) or 1.0
    if not math.isfinite(length):
        raise EngineError(
            "The model made no numbers of the text, so it has no vector.", code="decode_failed"
        )
    scaled = array("f", (value / length for value in values))
    if sys.byteorder == "big":
        scaled.byteswap()
    return scaled.tobytes()


def _explain(error: NativeError | EngineError) -> EngineError:
    if isinstance(error, EngineError):
        return error
    if str(error) == "make context":
        return EngineError(
            "There is not enough memory left to turn texts into vectors with this model.",
            "Choose a shorter context in Settings > Engine, or a smaller model.",
            code="decode_failed",
        )
    return EngineError(
        "This model could not turn the text into a vector.",
        "Choose another model.",
        code="decode_failed",
    )
