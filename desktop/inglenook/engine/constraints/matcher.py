"""Grammars at work: which bytes may come next in a reply, and whether it may end.

`Program` is a grammar compiled to a network over UTF-8 bytes; it never changes, and replies may
share it. `Matcher` is one reply's place in it: a set of stacks, as in llama.cpp's own grammars, but
what was worked out once is remembered, no text can bring it down, and there are limits where an
ambiguous grammar would multiply without end. Pure; a program is made on the prompt thread and
followed on the worker's.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NoReturn

from inglenook.base.errors import EngineError
from inglenook.engine.constraints.grammar import (
    ROOT,
    CharClass,
    Choice,
    Item,
    Literal,
    Ranges,
    Reference,
    Repeat,
    Rule,
    Series,
)

LIMIT_NODES: Final = 400_000
LIMIT_STACKS: Final = 2_000
_LIMIT_VISITS: Final = 50_000
_LIMIT_REMEMBERED: Final = 50_000
_SURROGATES: Final = (0xD800, 0xDFFF)
_LAST_OF_LENGTH: Final = (0x7F, 0x7FF, 0xFFFF, 0x10FFFF)
_END: Final = 0
"""The node at which a rule is over; all rules share it."""

type _ByteRanges = tuple[tuple[int, int], ...]


class Program:
    """The network: a node takes a byte, splits, or calls a rule; arrays by the node's number."""

    def __init__(self, rules: dict[str, Rule]) -> None:
        """Compile; raises `EngineError` (bad_request) for what would never end or is too large."""
        self.masks: list[int] = [0]
        """The bytes that a node takes, as bits; 0 where it takes none."""
        self.followers: list[tuple[int, ...]] = [()]
        """Where a node leads; a call comes back at the second."""
        self.is_call: list[bool] = [False]
        self.entries: dict[str, int] = {}
        self._owners: list[str] = []
        self._calls: dict[str, list[int]] = defaultdict(list)
        self._shared: dict[Item, int] = {}
        self._starts: list[int] = []
        for rule in rules.values():
            self._rule = rule.name
            self.entries[rule.name] = entry = self._build(rule.body, _END)
            self._add_start(entry)
            for node in self._calls.pop(rule.name, ()):
                self.followers[node] = (entry, self.followers[node][1])
        for name, nodes in self._calls.items():
            for node in nodes:
                self.followers[node] = (self.entries[name], self.followers[node][1])
        self.root = self.entries[ROOT]
        self._refuse_left_recursion()

    def _add_start(self, entry: int) -> None:
        self._starts.append(entry)
        self._owners.append(self._rule)

    # --- building ---

    def _add(self, mask: int, followers: tuple[int, ...], *, is_call: bool = False) -> int:
        if len(self.masks) >= LIMIT_NODES:
            _refuse(
                f'The grammar is too large: rule "{self._rule[:40]}" repeats too much, too often.'
            )
        self.masks.append(mask)
        self.followers.append(followers)
        self.is_call.append(is_call)
        return len(self.masks) - 1

    def _build(self, item: Item, after: int) -> int:
        """Add the nodes of an item that goes on at `after`; returns where it begins."""
        match item:
            case Literal(text):
                for byte in reversed(text.encode()):
                    after = self._add(1 << byte, (after,))
                return after
            case CharClass(ranges):
                return self._build_class(ranges, after)
            case Reference(name, _):
                node = self._add(0, (self.entries.get(name, _END), after), is_call=True)
                if name not in self.entries:
                    self._calls[name].append(node)
                return node
            case Series(items):
                for part in reversed(items):
                    after = self._build(part, after)
                return after
            case Choice(options) if all(isinstance(option, Literal) for option in options):
                texts = {option.text.encode() for option in options if isinstance(option, Literal)}
                return self._build_texts(sorted(texts), after)
            case Choice(options):
                return self._add(0, tuple(self._build(option, after) for option in options))
            case Repeat(inner, low, high):
                return self._build_repeat(inner, low, high, after)

    def _build_texts(self, texts: list[bytes], after: int) -> int:
        """One of many texts, sorted: what they begin with in common is there once."""
        starts: list[list[int]] = [[]]
        """For each byte of the text before, where it can go on from there."""
        last = b""

        def close(depth: int) -> None:
            while len(starts) > depth + 1:
                ends = starts.pop()
                node = ends[0] if len(ends) == 1 else self._add(0, tuple(ends))
                starts[-1].append(self._add(1 << last[len(starts) - 1], (node,)))

        for text in texts:
            close(_count_common(last, text))
            starts += [[] for _ in range(len(text) + 1 - len(starts))]
            starts[-1].append(after)
            last = text
        close(0)
        return starts[0][0] if len(starts[0]) == 1 else self._add(0, tuple(starts[0]))

    def _build_class(self, ranges: Ranges, after: int) -> int:
        starts = []
        tails: dict[tuple[_ByteRanges, int], int] = {}
        for mask, tail in _encode_ranges(ranges):
            node = after
            for i in range(len(tail) - 1, -1, -1):
                key = (tail[i:], after)
                if key not in tails:
                    tails[key] = self._add(_make_mask(*tail[i]), (node,))
                node = tails[key]
            starts.append(self._add(mask, (node,)))
        return starts[0] if len(starts) == 1 else self._add(0, tuple(starts))

    def _build_repeat(self, inner: Item, low: int, high: int | None, after: int) -> int:
        if high is None:
            # The loop's own number is not known before its body: patched afterwards.
            loop = self._add(0, ())
            body = self._build(inner, loop)
            self.followers[loop] = (body, after)
            after, low = (body, low - 1) if low else (loop, 0)
        many = low > 1 or (high or 0) > 1
        entry = self._share(inner) if many else -1

        def add_one(then: int) -> int:
            if entry >= 0:
                return self._add(0, (entry, then), is_call=True)
            return self._build(inner, then)

        end = after
        for _ in range((high or low) - low):
            after = self._add(0, (add_one(after), end))
        for _ in range(low):
            after = add_one(after)
        return after

    def _share(self, item: Item) -> int:
        """The item as a rule of its own, for many calls of it."""
        entry = self._shared.get(item)
        if entry is None:
            entry = self._shared[item] = self._build(item, _END)
            self._add_start(entry)
        return entry

    # --- checking ---

    def _refuse_left_recursion(self) -> None:
        """Refuse a rule that can come back to its own beginning without taking a byte."""
        firsts = self._find_firsts()
        state = dict.fromkeys(firsts, 0)
        owners = dict(zip(self._starts, self._owners, strict=True))
        for start in firsts:
            if state[start]:
                continue
            path = [(start, iter(firsts[start]))]
            state[start] = 1
            while path:
                entry, others = path[-1]
                for other in others:
                    if state.get(other, 2) == 1:
                        _refuse(
                            f'Rule "{owners[other][:40]}" of the grammar begins with itself (left '
                            "recursion): a reply would never get past its beginning."
                        )
                    if state.get(other, 2) == 0:
                        state[other] = 1
                        path.append((other, iter(firsts[other])))
                        break
                else:
                    state[entry] = 2
                    path.pop()

    def _find_firsts(self) -> dict[int, list[int]]:
        """For each rule, the rules that it may call before it has taken a byte."""
        firsts: dict[int, list[int]] = {start: [] for start in self._starts}
        can_be_empty: set[int] = set()
        waiting: dict[int, list[tuple[int, int]]] = defaultdict(list)
        seen: set[tuple[int, int]] = set()
        todo = [(start, start) for start in self._starts]
        while todo:
            pair = todo.pop()
            if pair in seen:
                continue
            seen.add(pair)
            start, node = pair
            if node == _END:
                can_be_empty.add(start)
                todo += waiting.pop(start, ())
            elif self.is_call[node]:
                callee, after = self.followers[node]
                firsts[start].append(callee)
                if callee in can_be_empty:
                    todo.append((start, after))
                else:
                    waiting[callee].append((start, after))
            elif not self.masks[node]:
                todo += [(start, follower) for follower in self.followers[node]]
        return firsts


class _Stack:
    """Where a rule is, and where it returns to; equal ones are one object."""

    __slots__ = ("node", "parent")

    def __init__(self, node: int, parent: "_Stack | None") -> None:
        self.node = node
        self.parent = parent


type _Place = tuple[int, _Stack | None]
"""A node, and where its rule returns to."""


class State:
    """One place in a text: all stacks that are possible there. Compared by identity."""

    __slots__ = ("first_bytes", "is_complete", "memo", "stacks", "steps")

    def __init__(self, stacks: tuple[_Stack, ...], first_bytes: int, *, is_complete: bool) -> None:
        self.stacks = stacks
        self.first_bytes = first_bytes
        """The bytes that may come next, as bits."""
        self.is_complete = is_complete
        self.steps: dict[int, State | None] = {}
        self.memo: object = None
        """For whoever works something out of a place and may need it there again."""

    def list_first_bytes(self) -> list[int]:
        """The bytes that may come next."""
        return [byte for byte in range(256) if self.first_bytes >> byte & 1]


class Matcher:
    """One reply's place in a grammar; `state` moves only by `take`."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._stacks: dict[tuple[int, _Stack | None], _Stack] = {}
        self._states: dict[frozenset[_Stack | None], State] = {}
        self._closed: dict[tuple[_Place, ...], State] = {}
        self._n_remembered = 0
        self.state = self._close([(program.root, None)])

    @property
    def is_complete(self) -> bool:
        """Whether the text may end here."""
        return self.state.is_complete

    @property
    def is_final(self) -> bool:
        """Whether the text must end here."""
        return not self.state.first_bytes

    def look(self, piece: bytes, state: State | None = None) -> State | None:
        """Where a piece would lead from here; None where the grammar does not allow it."""
        found: State | None = state or self.state
        for byte in piece:
            if found is None:
                return None
            steps = found.steps
            found = steps[byte] if byte in steps else self._step(found, byte)
        return found

    def take(self, piece: bytes) -> bool:
        """Move on by a piece; False, and nothing has changed, where it is not allowed."""
        found = self.look(piece)
        if found is None:
            return False
        self.state = found
        if self._n_remembered > _LIMIT_REMEMBERED:
            self._forget()
        return True

    def _forget(self) -> None:
        """Drop what was worked out, but for the place itself."""
        self._n_remembered = 0
        self._stacks.clear()
        self._states.clear()
        self._closed.clear()
        state = self.state
        self.state = State(state.stacks, state.first_bytes, is_complete=state.is_complete)

    def _step(self, state: State, byte: int) -> State | None:
        masks, followers = self._program.masks, self._program.followers
        bit = 1 << byte
        found: State | None = None
        if state.first_bytes & bit:
            places = tuple(
                (followers[s.node][0], s.parent) for s in state.stacks if masks[s.node] & bit
            )
            found = self._closed.get(places)
            if found is None:
                found = self._closed[places] = self._close(list(places))
        self._n_remembered += 1
        state.steps[byte] = found
        return found

    def _close(self, todo: list[_Place]) -> State:
        """Follow calls, splits and returns until every stack waits for a byte."""
        program = self._program
        masks, followers, is_call = program.masks, program.followers, program.is_call
        found: set[_Stack | None] = set()  # None: the text may end.
        seen: set[_Place] = set()
        first_bytes = 0
        while todo:
            place = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            node, parent = place
            if masks[node]:
                first_bytes |= masks[node]
                found.add(self._push(node, parent))
            elif node == _END:
                if parent is None:
                    found.add(None)
                else:
                    todo.append((parent.node, parent.parent))
            elif is_call[node]:
                entry, after = followers[node]
                # A call at the very end of a rule returns to where the rule itself would.
                todo.append((entry, parent if after == _END else self._push(after, parent)))
            else:
                todo += [(follower, parent) for follower in followers[node]]
            if len(seen) > _LIMIT_VISITS or len(found) > LIMIT_STACKS:
                _refuse(
                    "The grammar is too ambiguous: so far, this reply could be read in more than "
                    f"{LIMIT_STACKS:,} ways."
                )
        return self._get_state(frozenset(found), first_bytes)

    def _push(self, node: int, parent: _Stack | None) -> _Stack:
        key = (node, parent)
        stack = self._stacks.get(key)
        if stack is None:
            stack = self._stacks[key] = _Stack(node, parent)
            self._n_remembered += 1
        return stack

    def _get_state(self, found: frozenset[_Stack | None], first_bytes: int) -> State:
        state = self._states.get(found)
        if state is None:
            stacks = tuple(stack for stack in found if stack is not None)
            state = State(stacks, first_bytes, is_complete=None in found)
            self._states[found] = state
            self._n_remembered += 1
        return state


def _count_common(one: bytes, two: bytes) -> int:
    n_common = 0
    for a, b in zip(one, two, strict=False):
        if a != b:
            break
        n_common += 1
    return n_common


@lru_cache(4096)
def _make_mask(low: int, high: int) -> int:
    return (1 << (high + 1)) - (1 << low)


def _encode_ranges(ranges: Ranges) -> Iterable[tuple[int, _ByteRanges]]:
    """Code points as UTF-8: (mask of the first byte, ranges of the bytes after it)."""
    by_tail: dict[_ByteRanges, int] = defaultdict(int)
    for low, high in ranges:
        for sequence in _split_range(low, high):
            by_tail[sequence[1:]] |= _make_mask(*sequence[0])
    return [(mask, tail) for tail, mask in by_tail.items()]


@lru_cache(4096)
def _split_range(low: int, high: int) -> tuple[_ByteRanges, ...]:
    """A range of code points as sequences of byte ranges; surrogates are left out.

    Source: the UTF-8 automata of Thompson's grep, as told in Russ Cox's "Regular Expression
    Matching in the Wild".
    """
    for last in _LAST_OF_LENGTH:
        if low <= last < high:
            return _split_range(low, last) + _split_range(last + 1, high)
    first, last = _SURROGATES
    if low <= last and high >= first:
        parts = ((low, first - 1), (last + 1, high))
        return tuple(s for a, b in parts if a <= b for s in _split_range(a, b))
    for n_bits in (6, 12, 18):
        block = (1 << n_bits) - 1
        if low & ~block != high & ~block and high > 0x7F:
            if low & block:
                middle = low | block
                return _split_range(low, middle) + _split_range(middle + 1, high)
            if high & block != block:
                middle = high & ~block
                return _split_range(low, middle - 1) + _split_range(middle, high)
    return (tuple(zip(chr(low).encode(), chr(high).encode(), strict=True)),)


def _refuse(message: str) -> NoReturn:
    raise EngineError(message, "Correct or simplify the grammar.", code="bad_request")
