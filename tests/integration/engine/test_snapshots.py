"""KV memory on the disk, with the real library: instant return, and never a wrong word."""

import os
import stat
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from inglenook.engine.client import ChildEngine
from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import Finished, Load, Loaded, LoadOptions
from inglenook.engine.sequence import Slot, Slots
from inglenook.engine.snapshots import Snapshots, identify_model, remove_scopes
from support.recorder import Recorder, make_generate
from support.tiny_gguf import write_tiny_gguf
from support.waiting import wait_for

LONG = "the sea and the long road home while the kettle sings and the cat sleeps "
GB = 1_000_000_000

type Restart = Callable[..., "Bench"]


class Bench:
    """One start of an engine with a folder for snapshots."""

    def __init__(self, path: Path, folder: Path, limit_bytes: int = GB) -> None:
        self.recorder = Recorder()
        self.engine = LocalEngine(self.recorder)
        self.n_runs = 0
        options = LoadOptions(n_ctx=2048, n_threads=1, n_batch=512, n_ubatch=512, n_seq_max=2)
        self.engine.submit(
            Load(
                model_id="m",
                path=str(path),
                options=options,
                snapshot_folder=str(folder),
                snapshot_limit_bytes=limit_bytes,
            )
        )
        self.recorder.wait_for(lambda event: isinstance(event, Loaded))

    def ask(
        self, *texts: str, scope: str = "conversation", max_tokens: int = 12
    ) -> tuple[str, Finished]:
        """Texts of user and assistant by turns, the last one the user's; the greedy reply."""
        self.n_runs += 1
        run_id = f"r{self.n_runs}"
        roles = ("user", "assistant")
        pairs = [(roles[i % 2], text) for i, text in enumerate(texts)]
        command = make_generate(run_id, pairs, max_tokens=max_tokens)
        self.engine.submit(msgspec.structs.replace(command, scope=scope))
        end = self.recorder.wait_for_end(run_id)
        assert isinstance(end, Finished)
        return self.recorder.read_text(run_id), end

    def find_loaded(self) -> Loaded:
        return next(event for event in self.recorder.events if isinstance(event, Loaded))

    @property
    def slots(self) -> Slots:
        worker = self.engine._worker
        assert worker is not None
        assert worker._session is not None
        return worker._session.scheduler._slots

    def close(self) -> None:
        self.engine.close()


@pytest.fixture(params=["llama", "gemma3", "mamba"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_tiny_gguf(
        tmp_path / "m.gguf", architecture=request.param, n_ctx=2048, never_ends=True
    )


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return write_tiny_gguf(tmp_path / "plain.gguf", n_ctx=2048, never_ends=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kv"


@pytest.fixture
def restart(folder: Path) -> Iterator[Restart]:
    """Starts engines one after the other on the same folder."""
    opened: list[Bench] = []

    def start(path: Path, limit_bytes: int = GB) -> Bench:
        if opened:
            opened[-1].close()
        opened.append(Bench(path, folder, limit_bytes))
        return opened[-1]

    yield start
    for bench in opened:
        bench.close()


def list_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.kv"))


def wait_until_held(bench: Bench, scope: str) -> None:
    """Wait until what a conversation has in memory is on the disk."""
    snapshots, slots = bench.slots._snapshots, bench.slots.all
    assert snapshots is not None
    (slot,) = (slot for slot in slots if slot.scope == scope)
    wait_for(lambda: snapshots.holds(slot.tokens[: slot.n_past]), "it is on the disk")


def test_a_conversation_goes_on_after_a_restart_without_being_read_again(
    model: Path, restart: Restart
) -> None:
    first, end = restart(model).ask(LONG * 12, max_tokens=1)
    second, again = restart(model).ask(LONG * 12, first, "and then?")
    assert again.usage.cached_tokens == end.usage.prompt_tokens
    assert again.usage.prompt_tokens - again.usage.cached_tokens < 40
    # The same words as an engine writes that has read everything itself.
    fresh = Bench(model, Path("unused"), 0)
    try:
        assert fresh.ask(LONG * 12, first, "and then?")[0] == second
    finally:
        fresh.close()


def test_a_changed_beginning_is_read_anew_and_answers_right(model: Path, restart: Restart) -> None:
    restart(model).ask(LONG * 12)
    other = LONG * 6 + "something else altogether, " + LONG * 6
    bench = restart(model)
    got, _ = bench.ask(other)
    fresh = Bench(model, Path("unused"), 0)
    try:
        assert fresh.ask(other)[0] == got
    finally:
        fresh.close()


def test_C17_damaged_snapshots_are_thrown_away_and_cost_only_time(
    plain: Path, restart: Restart, folder: Path
) -> None:
    first, _ = restart(plain).ask(LONG * 12)
    restart(plain)
    (file,) = list_files(folder)
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    restart(plain).close()
    file.write_bytes(data)
    bench = restart(plain)
    text, end = bench.ask(LONG * 12)
    assert text == first
    assert end.usage.cached_tokens == 0


@pytest.mark.parametrize("cut", [0, 5, 24, 100, -1])
def test_C17_cut_snapshots_are_swept_at_the_next_start(
    plain: Path, restart: Restart, folder: Path, cut: int
) -> None:
    restart(plain).ask(LONG * 12)
    restart(plain)
    (file,) = list_files(folder)
    restart(plain).close()
    file.write_bytes(file.read_bytes()[:cut])
    bench = restart(plain)
    assert list_files(folder) == []
    assert bench.ask(LONG * 12)[1].usage.cached_tokens == 0


def test_C17_a_state_that_the_library_refuses_is_thrown_away(
    plain: Path, restart: Restart, folder: Path
) -> None:
    """Right by its checksum, wrong for this context: as after a change of the library."""
    first, _ = restart(plain).ask(LONG * 12)
    restart(plain)
    (file,) = list_files(folder)
    head, rest = file.read_bytes()[:24], bytearray(file.read_bytes()[24:])
    n_tokens = struct.unpack_from("<8sIIQ", head)[2]
    rest[4 * n_tokens : 4 * n_tokens + 8] = b"\xff" * 8
    restart(plain).close()
    file.write_bytes(struct.pack("<8sIIQ", head[:8], zlib.crc32(rest), n_tokens,
                                 len(rest) - 4 * n_tokens) + rest)  # fmt: skip
    text, end = restart(plain).ask(LONG * 12)
    assert text == first
    assert end.usage.cached_tokens == 0


def test_another_model_with_the_same_words_has_its_own(
    plain: Path, restart: Restart, tmp_path: Path
) -> None:
    restart(plain).ask(LONG * 12)
    other = write_tiny_gguf(tmp_path / "other.gguf", n_ctx=2048, never_ends=True, seed=5)
    assert identify_model(str(plain), "1") != identify_model(str(other), "1")
    assert identify_model(str(plain), "1") != identify_model(str(plain), "2")
    assert restart(other).ask(LONG * 12)[1].usage.cached_tokens == 0


def test_the_newest_of_a_conversation_replaces_those_that_it_goes_on_from(
    plain: Path, restart: Restart, folder: Path
) -> None:
    first, _ = restart(plain).ask(LONG * 12)
    bench = restart(plain)
    bench.ask(LONG * 12, first, LONG * 4)
    restart(plain)
    assert len(list_files(folder)) == 1


def test_the_space_is_kept_to(plain: Path, restart: Restart, folder: Path) -> None:
    bench = restart(plain)
    bench.ask(LONG * 12, scope="one")
    bench = restart(plain)
    (file,) = list_files(folder)
    limit = round(file.stat().st_size * 1.5)
    bench = restart(plain, limit)
    bench.ask("another beginning " + LONG * 12, scope="two")
    restart(plain, limit)
    (left,) = list_files(folder)
    assert left.name.startswith("two-")


def test_F11_snapshots_are_the_owners_alone(plain: Path, restart: Restart, folder: Path) -> None:
    mask = os.umask(0)
    try:
        restart(plain).ask(LONG * 12)
        restart(plain)
    finally:
        os.umask(mask)
    for path in folder.rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted


def test_F12_what_is_deleted_for_good_leaves_no_snapshot(
    plain: Path, restart: Restart, folder: Path
) -> None:
    bench = restart(plain)
    bench.ask(LONG * 12, scope="kept")
    bench.ask("another beginning " + LONG * 12, scope="gone")
    restart(plain).close()
    assert len(list_files(folder)) == 2
    assert remove_scopes(folder, lambda scope: scope == "gone") == 1
    assert [path.name.rpartition("-")[0] for path in list_files(folder)] == ["kept"]


def test_short_conversations_are_not_worth_a_file(
    plain: Path, restart: Restart, folder: Path
) -> None:
    restart(plain).ask("hello")
    restart(plain)
    assert list_files(folder) == []


def test_C03_a_folder_that_takes_nothing_costs_nothing_else(plain: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    bench = Bench(plain, blocked)
    try:
        assert bench.ask(LONG * 12)[1].reason == "length"
    finally:
        bench.close()


def test_an_idle_engine_keeps_what_was_read(plain: Path, restart: Restart, folder: Path) -> None:
    restart(plain).ask(LONG * 12)
    deadline = time.monotonic() + 20
    while not list_files(folder):
        assert time.monotonic() < deadline, "nothing was kept"
        time.sleep(0.05)


def test_a_child_that_is_shut_down_keeps_what_was_read(plain: Path, folder: Path) -> None:
    """It must not die with the thread that wrote the last command."""
    recorder = Recorder()
    engine = ChildEngine(recorder)
    try:
        engine.submit(
            Load(
                model_id="m", path=str(plain), snapshot_folder=str(folder), snapshot_limit_bytes=GB
            )
        )
        recorder.wait_for(lambda event: isinstance(event, Loaded))
        recorder.ask(engine, "r", LONG * 12)
    finally:
        engine.close()
    assert len(list_files(folder)) == 1


def test_a_closed_folder_of_snapshots_can_be_closed_twice(folder: Path) -> None:
    snapshots = Snapshots(folder, "x", GB)
    snapshots.close(1.0)
    snapshots.close(1.0)


def test_on_the_processor_attention_is_plain_where_idle_conversations_go_to_the_disk(
    plain: Path, folder: Path
) -> None:
    with_disk, without = Bench(plain, folder), Bench(plain, folder, limit_bytes=0)
    try:
        assert [bench.find_loaded().flash_attention for bench in (with_disk, without)] == [
            False,
            True,
        ]
        assert with_disk.ask(LONG * 4)[0] == without.ask(LONG * 4)[0]
    finally:
        with_disk.close()
        without.close()


@pytest.mark.parametrize("n_times", [3, 12])
def test_an_idle_conversation_leaves_the_memory_to_another_and_comes_back(
    plain: Path, restart: Restart, n_times: int
) -> None:
    bench = restart(plain)
    first, end = bench.ask(LONG * n_times, scope="one")
    wait_until_held(bench, "one")
    _, other = bench.ask("the kettle", scope="two")
    n_other = other.usage.prompt_tokens + other.usage.output_tokens
    assert bench.slots.n_used < n_other + 2, "a step goes through nothing of the other's"
    _, again = bench.ask(LONG * n_times, first, "and then?", scope="one")
    assert again.usage.cached_tokens >= end.usage.prompt_tokens


def test_before_a_long_reading_what_idles_reaches_the_disk_first(
    plain: Path, restart: Restart
) -> None:
    bench = restart(plain)
    first, end = bench.ask(LONG * 12, scope="one")
    _, other = bench.ask("so " + LONG * 60, scope="two")
    n_other = other.usage.prompt_tokens + other.usage.output_tokens
    assert bench.slots.n_used < n_other + 2
    _, again = bench.ask(LONG * 12, first, "and then?", scope="one")
    assert again.usage.cached_tokens >= end.usage.prompt_tokens


def test_a_conversation_above_one_that_left_moves_down_and_stays_the_same(
    plain: Path, restart: Restart, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[int] = []
    move_down = Slots._move_down

    def follow(self: Slots, slot: Slot) -> None:
        moved.append(slot.n_past)
        move_down(self, slot)

    monkeypatch.setattr(Slots, "_move_down", follow)
    bench = restart(plain)
    bench.ask(LONG * 60, scope="one")
    wait_until_held(bench, "one")
    with monkeypatch.context() as patch:
        patch.setattr(Snapshots, "holds", lambda *_: False)  # As if it were still being written.
        first, _ = bench.ask("the kettle sings", scope="two")
    assert not moved
    second, end = bench.ask("the kettle sings", first, "and then?", scope="two")
    assert moved == [end.usage.cached_tokens]
    fresh = Bench(plain, Path("unused"), 0)
    try:
        assert fresh.ask("the kettle sings", first, "and then?")[0] == second
    finally:
        fresh.close()
