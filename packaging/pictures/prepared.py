"""The profile that the pictures are taken of: conversations, models, a hub, as people have them."""

import hashlib
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inglenook.app import open_app
from inglenook.base.paths import find_asset
from inglenook.base.records import InstalledModel
from inglenook.models.catalogue import load_catalogue
from inglenook.store.records import Conversation, Statistics
from support.chat_templates import QWEN3
from support.crowded_hub import fill_hub as crowd
from support.crowded_hub import pretend_sizes
from support.gguf_bytes import Tensor, make_gguf, make_keys
from support.neighbours import write_manifest
from support.scripted_gguf import write_scripted_gguf
from support.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from inglenook.store.store import Store
    from support.loopback_hub import LoopbackHub

CATALOGUE_NAME: Final = "qwen3:4b"
MISSING: Final = "file:missing"
SORTING: Final = "Sorting a large CSV"
CUT_OFF: Final = "Without any library"
NEARLY_FULL: Final = "Release notes 2.4"
ENDLESS: Final = "Ten thousand messages"
LARGE: Final = "Qwen3-1.7B-Q8_0.gguf"
SLOW: Final = "Qwen3-0.6B-F32.gguf"
THINKER: Final = "Qwen3-4B-F32.gguf"
OPEN_REPO: Final = "unsloth/gemma-3-4B-Instruct-GGUF"
GATED_REPO: Final = "bartowski/Llama-3.2-0.6B-Instruct-GGUF"
EXTRA_SIZES: Final = ("IQ3_M", "Q3_K_S", "Q4_K_S", "Q5_K_S", "BF16")
DROPPED: Final = "Mistral-7B-Instruct-v0.3-Q4_K_M.gguf"

_QUESTION = (
    "I have a 40 GB CSV and 16 GB of memory. How do I sort it by the second column in Python?"
)
_ANSWER = """Sort it on disk: read chunks that fit, sort each, write it out, then **merge** the \
sorted runs. With Polars the engine does this for you, streaming:

```python
import polars as pl

(pl.scan_csv("big.csv")
   .sort("amount")
   .sink_csv("sorted.csv"))   # spills to disk by itself
```

| way | memory | work for you |
| --- | ---: | --- |
| Polars, streaming | about 2 GB | three lines |
| `heapq.merge` over sorted runs | some MB | about thirty lines |
| `sort` of coreutils | what you allow | one line in the shell |

- [x] keeps the header
- [ ] keeps rows with equal keys in their order
"""
_CUT_ANSWER = """The runs are sorted one by one and written to files of their own. `heapq.merge` \
then walks all of them at once and only ever holds one line of each, so the memory it"""
_NOTES = """Here is a shorter version:

1. **Faster start.** The window is up in half the time.
2. **Drafts stay.** What you typed is there again after a restart.
3. **Clearer errors.** Each one says what happened and what to do.
"""
_SLOW_WORDS = (
    "A **token** ", "is a piece ", "of text ", "that a model ", "reads or ", "writes at once: ",
    "a short word, ", "part of ", "a longer ", "one, or ", "a mark. ", "A reply ", "grows by ",
    "one token ", "at a time, ", "each of them ", "drawn from ", "those that ", "the model ",
    "finds likely ", "after all ", "that came ", "before. ", "How fast ", "that goes ",
    "is what ", "the number ", "below tells.\n\n",
)  # fmt: skip
_THOUGHTS = (
    "<think>", "The sum ", "of the ", "first *n* ", "odd numbers: ", "1, then ", "1 + 3 = 4, ",
    "then 1 + 3 + 5 = 9. ", "Those are ", "squares.\n\n", "Why? ", "Each odd number ",
    "is the edge ", "around a square: ", "`2n - 1` dots ", "on two sides ", "and their corner. ",
    "So **n²**. ", "I could show ", "it by induction, ", "but the picture ", "says more. ",
    "Check: ", "the tenth odd number ", "is 19, ", "and 100 - 81 = 19. ", "Good.", "</think>",
    "\n\nIt is ", "**n²**. ", "Lay the odd ", "numbers around ", "a square, ", "one after ",
    "the other: ", "each of them ", "is just enough ", "dots for ", "the next edge. ",
    "After *n* of them ", "the square ", "is *n* dots ", "wide.",
)  # fmt: skip
_OLD = (
    ("Letter to the landlord", 1), ("Sourdough, second try", 1), ("Regex for IBANs", 1),
    ("Trip to Tartu", 4), ("What is a KV cache?", 4), ("Interview questions", 30),
)  # fmt: skip
"""Titles, and how many days ago they were talked in."""


def fill_profile(home: Path) -> None:
    """Conversations, an installed model, one whose file is gone, and a reply cut off by a crash."""
    with open_app(home) as app:
        store = app.store
        ages = {_add(store, title, "Hello", "Hello.").id: days for title, days in _OLD}
        thesis = _add(store, "Thesis, chapter 3", "Hello", "Hello.")
        store.update_conversation(thesis.id, is_pinned=True)
        _add(store, NEARLY_FULL, "Make the notes shorter.", _NOTES, used=1_970, n_ctx=2_048)
        _add(store, SORTING, _QUESTION, _ANSWER)
        _add_cut_conversation(store)
        store.put_model(_make_missing(home / "models" / "qwen3-4b-q4_k_m.gguf"))
        database = app.profile.database
    _date_back(database, ages)


def add_long_conversation(home: Path, n_messages: int) -> None:
    """A conversation that was talked in for years."""
    with open_app(home) as app:
        store = app.store
        user, reply = _begin(store, ENDLESS, "Message 1")
        for number in range(2, n_messages, 2):
            _finish(store, reply.id, f"This is message {number:,} of a long conversation.")
            user, reply = store.add_exchange(
                user.conversation_id, parent_id=reply.id, text=f"Message {number + 1:,}",
                model_id="builtin/guide", model_name="Inglenook Guide",
            )  # fmt: skip
        _finish(store, reply.id, f"This is message {n_messages:,} of a long conversation.")


def add_large_model(home: Path) -> None:
    """A model of some hundred megabytes, whose load can be seen."""
    path = home / "models" / LARGE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tiny_gguf(path, n_layers=8, n_embd=1024, n_heads=8, name="Qwen3 1.7B", never_ends=True)
    with open_app(home) as app:
        app.library.import_file(path)


def add_slow_model(home: Path) -> None:
    """A model that takes its time over every word of a reply."""
    path = home / "models" / SLOW
    path.parent.mkdir(parents=True, exist_ok=True)
    write_scripted_gguf(
        path, _SLOW_WORDS, n_layers=10, n_embd=512, never_ends=True, name="Qwen3 0.6B"
    )
    with open_app(home) as app:
        app.library.import_file(path)


def add_thinker(home: Path) -> None:
    """A model that thinks before it answers, and takes its time over both."""
    path = home / "models" / THINKER
    path.parent.mkdir(parents=True, exist_ok=True)
    write_scripted_gguf(
        path, _THOUGHTS, n_layers=10, n_embd=512, name="Qwen3 4B Thinking", template=QWEN3,
        marks=("<think>", "</think>"),
    )  # fmt: skip
    with open_app(home) as app:
        app.library.import_file(path)


def add_neighbours(person: Path) -> None:
    """Models that other apps have downloaded: whole headers, and weights that take no space."""
    ollama = person / ".ollama" / "models"
    studio = person / ".lmstudio" / "models"
    for name, model, n_params, n_ctx, licence in (
        ("llama3:8b", "Meta Llama 3 8B Instruct", 8_030_000_000, 8_192, "llama3"),
        ("qwen2.5-coder:32b", "Qwen2.5 Coder 32B", 32_800_000_000, 32_768, "apache-2.0"),
    ):
        digest = hashlib.sha256(name.encode()).hexdigest()
        path = ollama / "blobs" / f"sha256-{digest}"
        _write_sparse(path, model, n_params, n_ctx, licence)
        params = b'{"temperature": 0.6, "num_ctx": 4096, "stop": ["<|eot_id|>"]}'
        blob = hashlib.sha256(params).hexdigest()
        (ollama / "blobs" / f"sha256-{blob}").write_bytes(params)
        layers = [
            {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{digest}"}
            for kind, digest in (("model", digest), ("params", blob), ("template", blob))
        ]
        parts = ("registry.ollama.ai", "library", *name.split(":"))
        write_manifest(ollama, (parts[0], parts[1], parts[2], parts[3]), {"layers": layers})
    folder = studio / "lmstudio-community" / "gemma-3-4b-it-GGUF"
    _write_sparse(
        folder / "gemma-3-4b-it-Q4_K_M.gguf", "Gemma 3 4b It", 3_880_000_000, 131_072, "gemma"
    )
    (folder / "mmproj-model-f16.gguf").write_bytes(make_gguf(make_keys("clip")))
    hub = person / ".cache" / "llama.cpp" / "ggml-org_SmolLM3-3B-GGUF_SmolLM3-Q4_K_M.gguf"
    _write_sparse(hub, "SmolLM3 3B", 3_080_000_000, 65_536, "apache-2.0")
    _write_sparse(person / "Downloads" / DROPPED, "Mistral 7B", 7_250_000_000, 32_768, "apache-2.0")


def _write_sparse(path: Path, name: str, n_params: int, n_ctx: int, licence: str) -> None:
    keys = make_keys(
        general__name=name, general__license=licence, general__file_type=15,
        llama__context_length=n_ctx, llama__embedding_length=4096, llama__block_count=32,
        llama__attention__head_count=32, llama__attention__head_count_kv=8,
    )  # fmt: skip
    rows = n_params // 4096
    data = make_gguf(keys, [Tensor("token_embd.weight", (4096, rows), kind=12)], data=b"")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(len(data) + rows * 4096 // 256 * 144)


def fill_hub(hub: "LoopbackHub") -> None:
    """Many repositories, one of them closed; one of the catalogue has a file that comes slowly."""
    crowd(hub)
    hub.repos[GATED_REPO].gated = "manual"
    pretend_sizes(hub)
    repo = hub.repos[OPEN_REPO]
    name = OPEN_REPO.partition("/")[2].removesuffix("-GGUF")
    for i, quantisation in enumerate(EXTRA_SIZES):
        repo.files[f"{name}-{quantisation}.gguf"] = quantisation.encode()
        repo.sizes[f"{name}-{quantisation}.gguf"] = 2_000_000_000 + 310_000_000 * i
    entry = load_catalogue(find_asset("models.toml")).find(CATALOGUE_NAME)
    assert entry is not None
    name = entry.recommended.pattern.replace("*", "")
    hub.add_repo(entry.repo, {name: bytes(64_000_000)})
    hub.faults.bytes_per_s = 6_000_000


def _add(
    store: "Store", title: str, question: str, answer: str, *, used: int = 1_256, n_ctx: int = 8_192
) -> Conversation:
    """One exchange, complete, with numbers."""
    user, reply = _begin(store, title, question)
    _finish(store, reply.id, answer, used=used, n_ctx=n_ctx)
    return store.update_conversation(user.conversation_id, title_is_chosen=True)


def _begin(store: "Store", title: str, question: str):  # noqa: ANN202
    return store.start_conversation(
        title=title, system_prompt=None, text=question, model_id="builtin/guide",
        model_name="Inglenook Guide",
    )  # fmt: skip


def _finish(
    store: "Store", reply_id: str, answer: str, *, used: int = 1_256, n_ctx: int = 8_192
) -> None:
    statistics = Statistics(
        prompt_tokens=used - 214, cached_tokens=min(1024, used - 232), output_tokens=214,
        n_ctx=n_ctx, queue_s=0.002, prefill_s=0.29, decode_s=5.1, ttft_s=0.31, total_s=5.4,
        prefill_tps=612, decode_tps=41.8,
    )  # fmt: skip
    store.finish_message(
        reply_id, content=answer, status="complete", finish_reason="stop", error="",
        statistics=statistics,
    )  # fmt: skip


def _add_cut_conversation(store: "Store") -> None:
    """A reply whose end never came: the next start finds it and marks it."""
    _, reply = _begin(store, CUT_OFF, "And without any library?")
    store.append_text(reply.id, _CUT_ANSWER)


def _make_missing(path: Path) -> InstalledModel:
    return InstalledModel(
        id=MISSING, name="Qwen3 4B", path=str(path), size_bytes=2_600_000_000,
        origin="file", quantisation="Q4_K_M", n_params=4_000_000_000, n_ctx_train=32_768,
        architecture="qwen3", licence="apache-2.0",
    )  # fmt: skip


def _date_back(database: Path, ages: dict[str, int]) -> None:
    """Date conversations back, as only time does it otherwise."""
    with sqlite3.connect(database) as connection:
        for conversation_id, days in ages.items():
            age_us = round(timedelta(days=days).total_seconds() * 1e6)
            connection.execute(
                "UPDATE conversations SET updated_at = updated_at - ? WHERE id = ?",
                (age_us, conversation_id),
            )
    connection.close()
