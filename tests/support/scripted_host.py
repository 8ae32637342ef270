"""A host without a model, for deaths that no machine at hand can die: it tells, writes, aborts.

    monkeypatch.setattr(child_module, "start_child", scripted_host.start)

It loads anything, on a GPU of its own unless asked not to. A reply of a model on the GPU ends in
what `INGLENOOK_TEST_DEATH` names; on the CPU it is written to its end.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
LAST_LINES: Final = {
    "gpu_out_of_memory": ("CUDA error: out of memory", "ggml-cuda.cu:106: CUDA error"),
    "gpu_lost": ("CUDA error: unspecified launch failure", "ggml-cuda.cu:106: CUDA error"),
    "vulkan_lost": ("ggml_vulkan: device lost on Card", "ggml-vulkan.cpp:358: fatal error"),
    "abort": ("ggml.c:4132: GGML_ASSERT(eps >= 0.0f) failed",),
    "silence": (),
}
N_WORDS: Final = 5
_SCRIPT: Final = """
import logging, os, sys, time
from inglenook.engine.children import claim_pipes, harden_process
from inglenook.engine.frames import FrameReader, FrameWriter
from inglenook.engine.protocol import *
from support.fake_engine import make_loaded
from support.scripted_host import LAST_LINES, N_WORDS
import msgspec

commands, events = claim_pipes()
harden_process()
send = FrameWriter(events).write
reader = FrameReader(commands, Command)
death = os.environ["INGLENOOK_TEST_DEATH"]
gpu = Device(name="GPU0", description="A card", kind="gpu")
send(EngineReady(pid=os.getpid(), library_version="scripted", backend="CPU, CUDA",
                 devices=(gpu,), system_info=""))
load = None
while (command := reader.read()) is not None:
    match command:
        case Load():
            load = command
            on_gpu = command.options.n_gpu_layers != 0
            loaded = make_loaded(command.model_id, command.path)
            send(msgspec.structs.replace(
                loaded, n_layers_gpu=17 if on_gpu else 0, device="GPU 16/16" if on_gpu else "CPU",
                placement_note=command.because))
        case Generate():
            for i in range(N_WORDS):
                send(Text(run_id=command.run_id, piece=f"word{i} ", n_tokens=i + 1))
            if load.options.n_gpu_layers != 0:
                for line in LAST_LINES[death]:
                    send(LogLine(level=logging.ERROR, name="inglenook.engine.native", text=line))
                os.abort()
            send(Finished(run_id=command.run_id, model_id=load.model_id, reason="stop",
                          usage=Usage(prompt_tokens=9, output_tokens=N_WORDS), timings=Timings()))
        case Shutdown():
            break
"""


def start(_module: str, _flag: str, *_more: object) -> subprocess.Popen[bytes]:
    """Start one, as `children.start_child` starts the real host."""
    folders = (REPOSITORY / "desktop", REPOSITORY / "tests")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    return subprocess.Popen(
        [sys.executable, "-c", _SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=env,
        start_new_session=True,
    )
