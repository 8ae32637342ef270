"""What leaves the program, and who else on the machine may read what it keeps."""

import os
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.loopback_hub import LoopbackHub
from support.program import Program, find_engine, interrupt, read_modes, read_some

CANARY = "xylophonkanarienvogel"


def test_F10_no_network_at_start_nor_in_a_reply(program: Program, tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    watched = ["-e", "trace=execve,socket,connect,sendto,sendmsg,sendmmsg"]
    ended = program.run(
        "ask",
        "--max-tokens",
        "20",
        "what is a token?",
        wrapper=[strace, "-f", "-qq", "-o", str(trace), *watched],
    )
    if "PTRACE" in ended.err.upper() or "Operation not permitted" in ended.err:
        pytest.skip("this system does not allow tracing")
    assert ended.code == 0
    assert ended.out.strip()
    calls = trace.read_text()
    assert "inglenook.engine.host" in calls, "the trace must follow the engine, too"
    assert not re.findall(r".*AF_INET.*", calls)


def test_D09_without_any_network(program: Program) -> None:
    wrapper = ["unshare", "-rn"]
    probe = subprocess.run([*wrapper, "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this system has no network namespaces for its users")
    ended = program.run("ask", "--max-tokens", "5", "what is a token?", wrapper=wrapper)
    assert ended.code == 0
    assert ended.out.strip()


def test_F11_everything_is_the_owners_alone(
    make_program: Callable[..., Program], slow: Path, tiny: Path
) -> None:
    with LoopbackHub() as hub:
        hub.add_repo("maker/Tiny-GGUF", {"tiny-Q8_0.gguf": tiny.read_bytes()})
        program = make_program(HF_ENDPOINT=hub.endpoint, NO_PROXY="127.0.0.1")

        def open_wide() -> None:
            os.umask(0)

        pulled = program.run("pull", "maker/Tiny-GGUF", before=open_wide)
        assert pulled.code == 0, pulled.err
    assert program.run("import", str(slow), before=open_wide).code == 0
    mask = os.umask(0)
    try:
        with program.start("ask", "--model", str(slow), "the sea") as process:
            read_some(process, 30)
            check_modes(program.home, wanted=("inglenook.db-wal", "inglenook.db-shm"))
            interrupt(process)
            process.wait(20)
    finally:
        os.umask(mask)
    check_modes(program.home, wanted=("inglenook.db", "tiny-Q8_0.gguf", "inglenook.log"))


def check_modes(home: Path, wanted: tuple[str, ...]) -> None:
    """Folders 0700, files (and sockets) 0600, and those that are meant are among them."""
    modes = read_modes(home)
    for name in wanted:
        assert any(path.endswith(name) for path in modes), name
    for path, mode in modes.items():
        is_folder = stat.S_ISDIR((home / path).lstat().st_mode) if (home / path).exists() else False
        allowed = 0o700 if is_folder else 0o600
        assert mode & ~allowed == 0, f"{path} is {mode:o}"


def test_F11_a_home_that_was_open_is_closed(program: Program) -> None:
    for folder in ("data", "models", "cache", "logs"):
        (program.home / folder).mkdir(parents=True)
        (program.home / folder).chmod(0o755)
    assert program.run("list").code == 0
    for folder in ("data", "models", "cache", "logs"):
        assert (program.home / folder).stat().st_mode & 0o777 == 0o700


def test_F08_what_is_said_stays_in_the_database(
    make_program: Callable[..., Program], slow: Path, tmp_path: Path
) -> None:
    program = make_program(INGLENOOK_LOG="DEBUG", TMPDIR=str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    said = f"tell me about the {CANARY}"
    assert program.run("ask", "--max-tokens", "5", "--system", CANARY, said).code == 0
    assert program.run("ask", said, "--model", str(tmp_path / "none.gguf")).code == 3
    with program.start("ask", "--model", str(slow), said) as process:
        read_some(process, 30)
        find_engine(process.pid).send_signal(signal.SIGABRT)
        assert process.wait(20) == 5
    with program.start("ask", "--model", str(slow), said) as process:
        read_some(process, 30)
        process.kill()
    assert program.run("history", "--search", CANARY).out.count(CANARY) == 3
    assert program.run("doctor").code == 0

    holders = find_holders(tmp_path, CANARY.encode())
    assert holders, "the canary must be in the database, else this looks in the wrong place"
    outside = [path for path in holders if not path.name.startswith("inglenook.db")]
    assert not outside
    log = (program.home / "logs" / "inglenook.log").read_text()
    assert "the engine died" in log, "what happened must be in the log, without the words"


def find_holders(folder: Path, canary: bytes) -> list[Path]:
    """All files that hold the canary in their text or in their name."""
    holders = []
    for path in folder.rglob("*"):
        if not path.is_file() or path.is_symlink() or path.suffix == ".gguf":
            continue
        if canary in path.read_bytes() or canary in bytes(path):
            holders.append(path)
    return holders


def test_F09_the_engine_leaves_no_core_behind(program: Program, slow: Path) -> None:
    with program.start("ask", "--model", str(slow), "the sea") as process:
        read_some(process, 30)
        engine = find_engine(process.pid)
        limits = Path(f"/proc/{engine.pid}/limits").read_text()
        assert re.search(r"Max core file size\s+0\s+0", limits)
        interrupt(process)
        assert process.wait(20) == 130
