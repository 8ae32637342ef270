"""`kill -9` of the whole program at random moments: what was said is there, nothing lives on."""

import random
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from support.program import Program, find_engine, wait_until_gone
from support.stored import StoredReply, open_stored

FLUSH_S = 0.25
SLACK_S = 0.5
"""Two busy cores stand between a piece of text and its place on the disk."""


@dataclass(frozen=True, slots=True)
class Killed:
    """A program that was killed: its question, and the pieces of its reply with their times."""

    question: str
    pieces: list[tuple[float, bytes]]
    killed_at: float

    def list_shown(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)

    def list_due(self) -> bytes:
        """What was shown so long before the end that it must be on the disk."""
        limit = self.killed_at - FLUSH_S - SLACK_S
        return b"".join(piece for at, piece in self.pieces if at < limit)


def kill_in_mid_reply(
    program: Program, model: Path, question: str, rng: random.Random
) -> tuple[Killed, list[psutil.Process]]:
    """Ask, read the reply for a random time, then kill -9; returns what may be left alive."""
    with program.start("ask", "--model", str(model), question) as process:
        assert process.stdout is not None
        engine = find_engine(process.pid)
        left = [engine, *engine.children(recursive=True)]
        pieces: list[tuple[float, bytes]] = []
        end = None
        while end is None or time.monotonic() < end:
            piece = process.stdout.read(4096)
            assert piece, process.stderr.read() if process.stderr else b""
            pieces.append((time.monotonic(), piece))
            end = end or time.monotonic() + rng.uniform(0.0, 1.2)
        process.kill()
        killed_at = time.monotonic()
        while piece := process.stdout.read(65536):
            pieces.append((killed_at, piece))
        process.wait()
    return Killed(question, pieces, killed_at), left


def read_reply(program: Program, question: str) -> StoredReply:
    """The reply to a question, straight from the database as the kill left it."""
    with open_stored(program.database) as stored:
        reply = stored.find(question)
    assert reply is not None, "the prompt must be there"
    return reply


@pytest.mark.timeout(6000)
def test_C01_G02_killed_in_mid_reply(program: Program, slow: Path, repeats: int) -> None:
    rng = random.Random(1)
    longest_s, n_due = 0.0, 0
    killed: list[Killed] = []
    for i in range(repeats):
        one, left = kill_in_mid_reply(program, slow, f"question {i}", rng)
        longest_s = max(longest_s, wait_until_gone(left, 2.0))
        reply = read_reply(program, one.question)
        assert reply.status == "streaming"
        shown, due = one.list_shown().decode(errors="replace"), one.list_due()
        n_due += bool(due)
        assert reply.text.startswith(due.decode(errors="ignore")), "what was due is not there"
        assert shown.startswith(reply.text) or reply.text.startswith(shown)
        killed.append(one)
    assert n_due > repeats // 5, "a kill so early proves nothing"

    # Every start marks what the one before it left; the last one is marked by this one.
    started_at = time.monotonic()
    history = program.read_history()
    took_s = time.monotonic() - started_at
    assert len(history) == repeats
    for conversation in history:
        user, reply = conversation["messages"]
        assert user["status"] == "complete"
        assert reply["status"] == "interrupted", user["content"]
    assert {c["messages"][0]["content"] for c in history} == {one.question for one in killed}
    n_kept = sum(bool(c["messages"][1]["content"]) for c in history)
    assert program.run("doctor", "--json").read_json()["database"]["integrity"] == "ok"
    assert program.ask("--max-tokens", "3", "and on")["text"]
    print(
        f"\n{repeats} kills: no prompt lost, {n_kept} partial replies kept; engine gone within "
        f"{longest_s * 1000:.0f} ms; next start with all of history {took_s:.2f} s"
    )


@pytest.mark.timeout(6000)
def test_C01_killed_before_the_first_token(program: Program, slow: Path, repeats: int) -> None:
    rng = random.Random(2)
    n_asked = max(1, repeats // 5)
    program.run("list")
    n_begun = 0
    for i in range(n_asked):
        with program.start("ask", "--model", str(slow), f"question {i}") as process:
            time.sleep(rng.uniform(0.2, 1.2))
            left = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
        wait_until_gone(left, 2.0)
        history = program.read_history()
        # Either the question was not taken yet, or it is there with a reply that says what it is.
        for conversation in history:
            user, reply = conversation["messages"]
            assert user["role"] == "user"
            assert reply["status"] == "interrupted"
        assert len(history) in {n_begun, n_begun + 1}
        n_begun = len(history)


def test_C10_two_programs_on_one_profile(program: Program, slow: Path, tiny: Path) -> None:
    with (
        program.start("ask", "--model", str(slow), "--max-tokens", "60", "one") as first,
        program.start("ask", "--model", str(tiny), "--max-tokens", "60", "two") as second,
        program.start("ask", "--max-tokens", "20", "three") as third,
    ):
        for process in (first, second, third):
            _, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
    history = program.read_history()
    assert {c["title"]: c["messages"][1]["status"] for c in history} == {
        "one": "complete",
        "two": "complete",
        "three": "complete",
    }
