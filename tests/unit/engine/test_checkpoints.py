"""States to go back to, on a memory of ours that only counts."""

import pytest

from inglenook.engine.checkpoints import MIN_TOKENS, Checkpoints


class Counter:
    """Memory that holds a number of tokens per sequence, and tells it as its state."""

    def __init__(self) -> None:
        self.n_held = {0: 0, 1: 0}
        self.refuses = False

    def save_partial(self, seq_id: int) -> memoryview:
        return memoryview(bytearray(self.n_held[seq_id].to_bytes(100, "little")))

    def load_partial(self, seq_id: int, data: memoryview) -> bool:
        self.n_held[seq_id] = int.from_bytes(data, "little")
        return not self.refuses

    def remove(self, seq_id: int, start: int) -> bool:
        self.n_held[seq_id] = min(start, self.n_held[seq_id])
        return True

    def last_position(self, seq_id: int) -> int:
        return self.n_held[seq_id] - 1


@pytest.fixture
def memory() -> Counter:
    return Counter()


def keep(kept: Checkpoints, memory: Counter, seq_id: int, *counts: int) -> None:
    for n_tokens in counts:
        memory.n_held[seq_id] = n_tokens
        kept.keep(seq_id, n_tokens)


def test_goes_back_to_the_last_one_that_is_early_enough(memory: Counter) -> None:
    kept = Checkpoints(memory)
    keep(kept, memory, 0, 100, 200, 300)
    assert kept.restore(0, 250) == 200
    assert memory.n_held[0] == 200
    assert kept.restore(0, 300) == 200, "later ones are of a text that is gone"
    assert kept.restore(0, 99) == 0
    assert kept.restore(1, 300) == 0


def test_what_is_short_is_not_kept(memory: Counter) -> None:
    kept = Checkpoints(memory)
    keep(kept, memory, 0, MIN_TOKENS - 1)
    assert kept.restore(0, 1000) == 0


def test_the_oldest_make_room(memory: Counter) -> None:
    kept = Checkpoints(memory, limit_bytes=350)
    keep(kept, memory, 0, 100, 200)
    keep(kept, memory, 1, 100, 200)
    assert kept.restore(0, 150) == 0
    assert kept.restore(0, 250) == 0 or memory.n_held[0] == 200
    assert kept.restore(1, 150) == 100


def test_no_state_is_kept_that_is_larger_than_all_room(memory: Counter) -> None:
    kept = Checkpoints(memory, limit_bytes=50)
    keep(kept, memory, 0, 100)
    assert kept.restore(0, 100) == 0


def test_a_memory_that_refuses_is_not_believed(memory: Counter) -> None:
    kept = Checkpoints(memory)
    keep(kept, memory, 0, 100)
    memory.refuses = True
    assert kept.restore(0, 100) == 0


def test_forgetting(memory: Counter) -> None:
    kept = Checkpoints(memory)
    keep(kept, memory, 0, 100, 200)
    keep(kept, memory, 1, 100)
    kept.forget(0, 150)
    assert kept.restore(0, 200) == 100
    kept.forget(0)
    assert kept.restore(0, 200) == 0
    kept.forget_all()
    assert kept.restore(1, 200) == 0
