"""A loopback hub with as many repositories as a search finds on the real one.

Names, sizes and licences are made up in the manner of the real hub's; every repository's files are
small but whole models, so each of them can be downloaded.
"""

from typing import Final

from support.loopback_hub import LoopbackHub, Repo

_MAKERS: Final = ("bartowski", "unsloth", "lmstudio-community", "ggml-org", "mradermacher")
_FAMILIES: Final = (
    # name, architecture, base's owner, licence, pipeline, languages
    ("Qwen3", "qwen3", "Qwen", "apache-2.0", "text-generation", ("en", "zh", "fr", "de")),
    ("Llama-3.2", "llama", "meta-llama", "llama3.2", "text-generation", ("en", "de", "it")),
    ("gemma-3", "gemma3", "google", "gemma", "image-text-to-text", ()),
    ("Mistral-Small", "llama", "mistralai", "apache-2.0", "text-generation", ("en", "fr")),
    ("Phi-4", "phi3", "microsoft", "mit", "text-generation", ("en",)),
)
_SIZES: Final = (0.6, 1.7, 4, 8, 14, 32)
QUANTISATIONS: Final = ("Q2_K", "Q3_K_M", "IQ4_XS", "Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
_BITS: Final = {"Q2_K": 2.8, "Q3_K_M": 3.9, "IQ4_XS": 4.3, "Q4_0": 4.6, "Q4_K_M": 4.9,
                "Q5_K_M": 5.7, "Q6_K": 6.6, "Q8_0": 8.5}  # fmt: skip

CARD: Final = """---
license: {licence}
base_model: {base}
tags:
- gguf
---

<div align="center">
  <img src="https://example.org/logo.png" width="400"/>
  <h1>{name}</h1>
</div>

Quantised versions of [{base}](https://huggingface.co/{base}), made with llama.cpp.

<!-- a comment -->

## What it is for

* **Conversation** in several languages
* Summaries, letters, short programs

## Which file?

| File | Quality | Note |
| ---- | ------- | ---- |
| `Q8_0` | highest | large |
| `Q4_K_M` | good | *recommended* |
| `Q2_K` | low | for small machines |

```
<start>{{system}}<end>
```

> Read the licence before you build on it.
"""


def fill_hub(hub: LoopbackHub, n_repos: int = 100, *, data: bytes = b"") -> list[Repo]:
    """Add repositories; the popular ones first. `data` is each one's Q4_K_M model file."""
    made = []
    for number in range(n_repos):
        family = _FAMILIES[number % len(_FAMILIES)]
        billions = _SIZES[number // len(_FAMILIES) % len(_SIZES)]
        maker = _MAKERS[number // 7 % len(_MAKERS)]
        round_ = number // (len(_FAMILIES) * len(_SIZES))
        suffix = f"-v{round_ + 1}" if round_ else ""
        made.append(_add(hub, number, family, billions, maker, suffix, data))
    return made


def _add(
    hub: LoopbackHub,
    number: int,
    family: tuple[str, str, str, str, str, tuple[str, ...]],
    billions: float,
    maker: str,
    suffix: str,
    data: bytes,
) -> Repo:
    title, architecture, owner, licence, pipeline, languages = family
    name = f"{title}-{billions:g}B-Instruct{suffix}"
    base = f"{owner}/{name}"
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    if title in {"Qwen3", "Llama-3.2"}:
        template += "{% if tools %}{{ tools }}{% endif %}"
    if title == "Qwen3":
        template += "{% if enable_thinking %}<think>{% endif %}"
    files = {f"{name}-{q}.gguf": f"{name} {q}".encode() for q in QUANTISATIONS}
    if data:
        files[f"{name}-Q4_K_M.gguf"] = data
    if pipeline == "image-text-to-text":
        files[f"mmproj-{name}-F16.gguf"] = b"projector"
    files[f"{name}.imatrix.gguf"] = b"imatrix"
    return hub.add_repo(
        f"{maker}/{name}-GGUF",
        files,
        tags=(f"license:{licence}", f"base_model:quantized:{base}", *languages),
        downloads=max(3, 2_400_000 // (number + 1) ** 2),
        likes=max(0, 900 - 9 * number),
        trending=(number * 37) % 101,
        updated=f"2026-{1 + number % 10:02d}-{1 + number % 27:02d}T08:30:00.000Z",
        pipeline=pipeline,
        gguf={
            "total": int(billions * 1e9),
            "architecture": architecture,
            "context_length": 32_768,
            "chat_template": template,
        },
        card=CARD.format(licence=licence, base=base, name=name),
    )


def pretend_sizes(hub: LoopbackHub) -> None:
    """Let the hub tell the sizes that such files really have; they cannot be downloaded then."""
    for repo in hub.repos.values():
        total = (repo.gguf or {}).get("total", 0)
        repo.sizes = {
            name: round(total * _BITS[q] / 8)
            for name in repo.files
            for q in QUANTISATIONS
            if name.endswith(f"-{q}.gguf")
        } | {name: 850_000_000 for name in repo.files if "mmproj" in name}
