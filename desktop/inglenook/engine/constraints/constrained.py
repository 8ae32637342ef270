"""Replies that obey a grammar or a JSON schema: the draw that keeps to it.

The next token is drawn as always and only looked at: most of the time it is allowed. Where it is
not, the tokens that are allowed there are found, and the same samplers draw again among them. So a
constraint costs little where the model keeps to it by itself. `Constrainer.prepare` runs on the
prompt thread, the rest on the worker's.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Final, Protocol

from inglenook.base.errors import EngineError
from inglenook.engine.constraints.constraint import compile_constraint
from inglenook.engine.constraints.matcher import Matcher, Program, State
from inglenook.engine.llama import Candidates, Context, Sampler, Vocab
from inglenook.engine.protocol import Constraint, Part

NO_TOKEN: Final = -1
"""What is drawn where a reply must end and the model knows no token for that."""

_LIMIT_LOOKED_AT: Final = 4096
"""So many tokens are looked at one by one; where more could be allowed, the likeliest only."""
_N_LIKELIEST: Final = 1024
_N_WANTED: Final = 256
_N_KEPT: Final = 8

type _AllowedTokens = array[int]


class TokenTable:
    """The bytes of every token of a vocabulary, and which begin with each byte; made once."""

    def __init__(self, vocab: Vocab) -> None:
        self.pieces = vocab.list_pieces()
        self.ends = tuple(i for i in range(vocab.n_tokens) if vocab.is_end(i))
        ends = set(self.ends)
        self.by_first: tuple[_AllowedTokens, ...] = tuple(array("i") for _ in range(256))
        for token, piece in enumerate(self.pieces):
            if piece and token not in ends:
                self.by_first[piece[0]].append(token)


class Gate(Protocol):
    """What tells whether a reply's next token is part of what must obey."""

    @property
    def part(self) -> Part:
        """What the next token belongs to."""
        ...

    def opens_reasoning(self, token: int, piece: bytes) -> bool:
        """Whether this token would open reasoning."""
        ...


class Constrainer:
    """Makes the replies of one loaded model obey; what all of them need is made once."""

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab
        self._table: TokenTable | None = None
        self._room: _Room | None = None
        self._programs: OrderedDict[Constraint, Program] = OrderedDict()

    def prepare(self, constraint: Constraint, begun: str = "") -> Matcher:
        """A constraint made ready for one reply, whose text begins with `begun`; prompt thread.

        Raises `EngineError` (bad_request) that says what is wrong.
        """
        program = self._programs.get(constraint)
        if program is None:
            program = self._programs[constraint] = compile_constraint(constraint)
        # The same one often comes again and again.
        self._programs.move_to_end(constraint)
        if len(self._programs) > _N_KEPT:
            self._programs.popitem(last=False)
        matcher = Matcher(program)
        if not matcher.take(begun.encode("utf-8", "replace")):
            raise EngineError(
                "What the reply says so far does not obey the grammar: it cannot go on.",
                code="bad_request",
            )
        if self._table is None:
            self._table = TokenTable(self._vocab)
        return matcher

    def make_sampler(
        self, sampler: Sampler, matcher: Matcher, gate: Gate, *, may_think: bool
    ) -> "ConstrainedSampler":
        """The sampler of a prepared reply; worker thread."""
        assert self._table is not None
        if self._room is None:
            self._room = _Room(self._table)
        return ConstrainedSampler(sampler, matcher, self._room, gate, may_think=may_think)

    def close(self) -> None:
        """Free what is native; no reply is live any more."""
        if self._room is not None:
            self._room.best.close()


class _Room:
    """What the constrained replies of a model share on the worker's thread."""

    def __init__(self, table: TokenTable) -> None:
        self.table = table
        self.ends = frozenset(table.ends)
        self.candidates = Candidates(len(table.pieces))
        self.best = Sampler()
        self.best.add("top_k", _N_LIKELIEST)


class ConstrainedSampler:
    """Draws like the chain that it was given, but only what the grammar allows; owns the chain."""

    def __init__(
        self, sampler: Sampler, matcher: Matcher, room: _Room, gate: Gate, *, may_think: bool
    ) -> None:
        """Reasoning before the answer, where `gate` sees it, is drawn as if without grammar.

        With `may_think`, the model may begin it of its own accord.
        """
        self._sampler = sampler
        self._matcher = matcher
        self._table = room.table
        self._ends = room.ends
        self._candidates = room.candidates
        self._best = room.best
        self._gate = gate
        self._may_think = may_think

    def sample(self, context: Context, index: int) -> int:
        """Draw and accept the token after the batch's token at `index`.

        Raises `EngineError` (bad_request) where no token of the model fits.
        """
        if self._gate.part == "reasoning":
            return self._sampler.sample(context, index)
        if self._matcher.is_final:
            return self._table.ends[0] if self._table.ends else NO_TOKEN
        # A token that is refused must not be remembered by the penalties.
        before = self._sampler.clone() if self._sampler.has_memory else None
        token = self._sampler.sample(context, index)
        if self._begins_to_think(token) or self._take(token):
            if before is not None:
                before.close()
            return token
        if before is not None:
            self._sampler.close()
            self._sampler = before
        token = self._draw_again(context.read_logits(index))
        self._sampler.accept([token])
        return token

    def accept(self, tokens: Sequence[int]) -> None:
        """Tell the chain of tokens that it did not draw; they are none of the grammar's."""
        self._sampler.accept(tokens)

    def close(self) -> None:
        """Free the chain."""
        self._sampler.close()

    def _begins_to_think(self, token: int) -> bool:
        return self._may_think and self._gate.opens_reasoning(token, self._table.pieces[token])

    def _take(self, token: int) -> bool:
        """Move on by a token, if the grammar allows it here."""
        if token in self._ends:
            return self._matcher.is_complete
        piece = self._table.pieces[token]
        return bool(piece) and self._matcher.take(piece)

    def _draw_again(self, logits: "memoryview[float]") -> int:
        allowed = self._list_allowed(logits)
        if self._matcher.is_complete:
            allowed = array("i", [*allowed, *self._table.ends])
        if not allowed:
            raise EngineError(
                "The reply cannot go on: none of the model's tokens fits the grammar here.",
                "Simplify the grammar, or choose another model.",
                code="bad_request",
            )
        self._candidates.fill_some(allowed, logits)
        self._candidates.apply(self._sampler)
        token = self._candidates.get_selected()
        if token is None or not self._take(token):
            token = max(allowed, key=logits.__getitem__)
            self._take(token)
        return token

    def _list_allowed(self, logits: "memoryview[float]") -> _AllowedTokens:
        """The tokens that are allowed here; where very many may be, the likeliest of them."""
        state = self._matcher.state
        if isinstance(state.memo, array):
            return state.memo
        groups = [self._table.by_first[byte] for byte in state.list_first_bytes()]
        tokens: Iterable[int] = chain.from_iterable(groups)
        if sum(map(len, groups)) > _LIMIT_LOOKED_AT:
            self._candidates.fill(logits)
            self._candidates.apply(self._best)
            likeliest = self._filter(state, self._candidates.list_ids(_N_LIKELIEST))
            if likeliest:
                return likeliest
            tokens = sorted(tokens, key=logits.__getitem__, reverse=True)
            return self._filter(state, tokens)
        state.memo = allowed = self._filter(state, tokens, limit=_LIMIT_LOOKED_AT)
        return allowed

    def _filter(
        self, state: State, tokens: Iterable[int], limit: int = _N_WANTED
    ) -> _AllowedTokens:
        """The first so many of some tokens that are allowed."""
        look, pieces, ends = self._matcher.look, self._table.pieces, self._ends
        found = (
            token
            for token in tokens
            if pieces[token] and token not in ends and look(pieces[token], state) is not None
        )
        return array("i", islice(found, limit))
