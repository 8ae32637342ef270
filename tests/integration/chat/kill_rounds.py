"""Kills a process in mid-stream, again and again, and looks at what is left. Run as a program.

    python kill_rounds.py HOME N_ROUNDS SEED

Each round forks a child that opens the app on HOME, sends a prompt and streams a reply, every other
time three drafts at once, telling through a pipe what a person would have seen by then. It is
killed with SIGKILL at a random moment. Then the app is opened here, as the next start would. Prints
one JSON object.
"""

import json
import os
import random
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import inglenook.app
from inglenook.app import App, open_app
from inglenook.base.events import EventHub
from inglenook.chat.journal import FLUSH_S
from inglenook.engine.protocol import Text
from support.fake_engine import FakeEngine, Reply

SLACK_S = 0.25
"""For the flush itself, and for a machine that is busy with other things."""
LONGEST_S = 1.2


N_DRAFTS = 3


def make_engine(hub: EventHub, *, in_process: bool) -> FakeEngine:
    replies = [Reply(make_pieces(n), make_pieces(f"t{n}")[:100], delay_s=0.003) for n in "abc"]
    return FakeEngine(hub.publish, replies, is_parallel=True)


def make_pieces(name: str) -> tuple[str, ...]:
    return tuple(f"{name}{i} " for i in range(2000))


@dataclass(slots=True)
class Seen:
    """What a person had seen: the message that was sent; each reply's pieces with their times."""

    user_id: str = ""
    pieces: dict[str, list[tuple[float, str, str]]] = field(default_factory=dict)


def talk(home: Path, prompt: str, n_drafts: int, pipe: int) -> None:
    """The child: never returns in order."""

    def tell(*parts: object) -> None:
        os.write(pipe, (json.dumps(parts) + "\n").encode())

    def hear(event: object) -> None:
        if isinstance(event, Text):
            tell("text", event.run_id, time.monotonic(), event.piece, event.part)

    app = open_app(home)
    app.hub.subscribe(hear)
    tell("open")
    started = app.chat.send(None, prompt, n_drafts=n_drafts)
    tell("sent", started.user.id, *(reply.id for reply in started.replies))
    time.sleep(60)


def kill_once(home: Path, prompt: str, n_drafts: int, wait_s: float) -> tuple[Seen, float]:
    """Run a child for a while and kill it; what it had shown, and when it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            talk(home, prompt, n_drafts, writer)
        finally:
            os._exit(1)
    os.close(writer)
    seen = Seen()
    shown: list[tuple[str, float, str, str]] = []
    with os.fdopen(reader, "rb") as lines:
        first = lines.readline()
        assert json.loads(first) == ["open"], first
        time.sleep(wait_s)
        killed_at = time.monotonic()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for line in lines:
            if not line.endswith(b"\n"):
                continue
            match json.loads(line):
                case ["sent", user_id, *reply_ids]:
                    seen.user_id = user_id
                    seen.pieces = {reply_id: [] for reply_id in reply_ids}
                case ["text", reply_id, moment, piece, part]:
                    shown.append((reply_id, moment, piece, part))
    for reply_id, moment, piece, part in shown if seen.user_id else []:
        seen.pieces[reply_id].append((moment, piece, part))
    return seen, killed_at


def check(app: App, seen: Seen, prompt: str, killed_at: float) -> list[str]:
    """What is wrong after a kill; empty when all is well."""
    if not seen.user_id:
        return []
    wrong = []
    if app.store.get_message(seen.user_id).content != prompt:
        wrong.append("the prompt was lost")
    for name, (reply_id, pieces) in zip("abc", seen.pieces.items(), strict=False):
        wrong += [
            f"draft {name}: {what}" for what in check_reply(app, reply_id, pieces, name, killed_at)
        ]
    return wrong


def check_reply(
    app: App, reply_id: str, pieces: list[tuple[float, str, str]], name: str, killed_at: float
) -> list[str]:
    """What is wrong with one reply."""
    wrong = []
    reply = app.store.get_message(reply_id)
    if reply.status != "interrupted":
        wrong.append(f"the reply is {reply.status}")
    if not reply.is_intact:
        wrong.append("the reply does not match its checksum")
    kept = {"reasoning": (reply.reasoning, f"t{name}"), "answer": (reply.content, name)}
    for part, (text, spelling) in kept.items():
        limit = killed_at - FLUSH_S - SLACK_S
        due = "".join(p for moment, p, its_part in pieces if its_part == part and moment < limit)
        if not text.startswith(due):
            wrong.append(f"{len(due) - len(text)} characters of the {part} were lost")
        if not "".join(make_pieces(spelling)).startswith(text):
            wrong.append(f"the {part} is not what was streamed")
    return wrong


def main() -> None:
    home, n_rounds, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    dice = random.Random(seed)
    vars(inglenook.app)["_make_engine"] = make_engine
    before: dict[str, str] = {}
    wrong: list[str] = []
    longest_open_s, n_sent, n_streamed, n_drafted = 0.0, 0, 0, 0
    open_app(home).close()
    for i in range(n_rounds):
        prompt = f"Prompt {i}. " + "x" * dice.randrange(3000)
        n_drafts = N_DRAFTS if i % 2 else 1
        seen, killed_at = kill_once(home, prompt, n_drafts, dice.random() ** 2 * LONGEST_S)
        n_sent += bool(seen.user_id)
        n_streamed += any(seen.pieces.values())
        n_drafted += len(seen.pieces) == N_DRAFTS and all(seen.pieces.values())
        began = time.monotonic()
        with open_app(home) as app:
            longest_open_s = max(longest_open_s, time.monotonic() - began)
            wrong += [f"round {i}: {what}" for what in check(app, seen, prompt, killed_at)]
            now = {
                m.id: m.content
                for c in app.store.list_conversations()
                for m in app.store.list_messages(c.id)
            }
            if any(now.get(key) != content for key, content in before.items()):
                wrong.append(f"round {i}: what was saved before has changed")
            if any(
                m.status == "streaming"
                for c in app.store.list_conversations()
                for m in app.store.list_messages(c.id)
            ):
                wrong.append(f"round {i}: a dead reply still streams")
            before = now
    with open_app(home) as app:
        integrity = app.store.check_health().integrity
    print(
        json.dumps(
            {
                "rounds": n_rounds,
                "sent": n_sent,
                "streamed": n_streamed,
                "drafted": n_drafted,
                "wrong": wrong,
                "longest_open_s": round(longest_open_s, 3),
                "integrity": integrity,
            }
        )
    )


if __name__ == "__main__":
    main()
