"""How fast a download is, against curl and a pass over the file with sha256sum.

    pytest tests/bench/test_download.py -m bench -s

One gigabyte from a store on this machine, which a process of its own serves by sendfile; what is
fetched goes to the disk of the temporary folder. Ours is what the program does once it is up:
asking the hub, fetching, hashing, fsync, looking at the header, renaming. The peers do no fsync.
Because coreutils hashes slower than the processor can, curl with OpenSSL's sha256 is shown too.
Prints medians of runs that took turns; asserts nothing on time.
"""

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from support.figures import format_table, median_ratio, milliseconds
from support.gguf_bytes import Tensor, make_gguf, make_keys
from support.loopback_hub import Answer, LoopbackHub

N_BYTES: Final = 1_000_000_000
N_ROUNDS: Final = 5
REPO: Final = "maker/Large-GGUF"
FILE: Final = "large-Q8_0.gguf"

OURS: Final = """
import json, shutil, sys, time
from pathlib import Path
from inglenook.base.paths import open_profile
from support.models import Rig

home, endpoint = Path(sys.argv[1]), sys.argv[2]
import huggingface_hub, httpx2
rig = Rig(open_profile(home), endpoint)
began, spent = time.perf_counter(), time.process_time()
model = rig.get(sys.argv[3], 600)
print(json.dumps([time.perf_counter() - began, time.process_time() - spent, model.sha256]))
rig.downloads.close()
"""


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A model of a gigabyte of noise."""
    n_elements = N_BYTES // 4 // 32 * 32
    path = tmp_path / "large.gguf"
    noise = random.Random(3)
    with path.open("wb") as file:
        tensors = [Tensor("token_embd.weight", (n_elements,))]
        file.write(make_gguf(make_keys(general__name="Large"), tensors, data=b""))
        left = n_elements * 4
        while left:
            block = noise.randbytes(min(left, 8 << 20))
            file.write(block)
            left -= len(block)
    return path


@pytest.fixture
def store(large: Path) -> Iterator[str]:
    """The address of the store."""
    command = [sys.executable, "-m", "support.file_store", str(large)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/x"
        process.kill()


def measure(*commands: list[str]) -> tuple[float, float]:
    """Seconds by the clock and of the processor that commands take, one after the other."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    took_s = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took_s, cpu_s


def describe(large: Path, digest: str, store: str) -> tuple[Answer, Answer]:
    """What the hub tells of the file, and where it sends on to."""
    size = large.stat().st_size
    revision = "a" * 40
    lfs = {"sha256": digest, "size": size, "pointerSize": 135}
    sibling = {"rfilename": FILE, "size": size, "blobId": "0" * 40, "lfs": lfs}
    told = {"id": REPO, "sha": revision, "gated": False, "private": False, "siblings": [sibling]}
    headers = {
        "Location": store,
        "X-Repo-Commit": revision,
        "X-Linked-Size": str(size),
        "X-Linked-Etag": f'"{digest}"',
    }
    return (
        Answer(200, {"Content-Type": "application/json"}, json.dumps(told).encode()),
        Answer(302, headers),
    )


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_a_gigabyte_against_curl_and_sha256sum(
    large: Path, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for tool in ("curl", "sha256sum"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    with large.open("rb") as file:
        whole = sha256()
        while block := file.read(1 << 22):
            whole.update(block)
    digest = whole.hexdigest()
    times: dict[str, list[float]] = defaultdict(list)
    spent: dict[str, list[float]] = defaultdict(list)
    target = str(tmp_path / "fetched")
    curl = ["curl", "-sSf", "--noproxy", "*", "-o", target, store]
    openssl = shutil.which("openssl")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NO_PROXY": "127.0.0.1"}

    def note(name: str, took_s: float, cpu_s: float) -> None:
        times[name].append(took_s)
        spent[name].append(cpu_s)

    with LoopbackHub() as hub:
        for number in range(N_ROUNDS):
            home = tmp_path / f"home-{number}"
            api, resolve = describe(large, digest, store)
            hub.faults.api.append(api)
            hub.faults.resolve.append(resolve)
            command = [sys.executable, "-c", OURS, str(home), hub.endpoint, REPO]
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
            took_s, cpu_s, told = json.loads(done.stdout)
            assert told == digest
            note("ours", took_s, cpu_s)
            shutil.rmtree(home)
            note("curl + sha256sum", *measure(curl, ["sha256sum", target]))
            if openssl:
                note("curl + openssl", *measure(curl, [openssl, "dgst", "-sha256", target]))
            Path(target).unlink()
    rows = [
        (
            name,
            milliseconds(times[name]),
            milliseconds(spent[name]),
            f"{median_ratio(times['ours'], times[name]):.2f}",
            f"{median_ratio(spent['ours'], spent[name]):.2f}",
        )
        for name in times
    ]
    with capsys.disabled():
        print(f"\n\nA download of 1 GB, medians of {N_ROUNDS} rounds:\n")
        print(format_table(("", "time", "processor", "ours : its time", "processor"), rows))
