"""Is the converted file the trained model? Same token ids, same greedy replies as PyTorch.

Run by `run.sh` in the app's environment after `reference`. Exact equality is demanded of F16;
Q8_0 may differ where two tokens are nearly as likely, so its count is told and not judged.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from recipe.llama import GgufModel


def count_equal(path: Path, report: dict[str, Any]) -> tuple[int, int]:
    """How many strings have equal ids, and how many prompts equal replies."""
    model = GgufModel(path)
    strings = sum(model.tokenize(s["text"]) == s["ids"] for s in report["strings"])
    asks = [prompt["ask"] for prompt in report["prompts"]]
    laid_out = [model.lay_out(None, [], ask) for ask in asks]
    for ids, prompt in zip(laid_out, report["prompts"], strict=True):
        if ids != prompt["ids"]:
            raise SystemExit(f"the prompt of {prompt['ask']!r} is laid out differently")
    replies = model.answer_all(laid_out, max_tokens=120)
    model.close()
    equal = (r == p["reply"] for r, p in zip(replies, report["prompts"], strict=True))
    return strings, sum(equal)


def main() -> None:
    """Compare both files; exits with an error where F16 differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--gguf", type=Path, required=True)
    options = parser.parse_args()
    report = json.loads((options.work / "reference.json").read_text())
    n_strings, n_prompts = len(report["strings"]), len(report["prompts"])
    counts = {}
    for name, path in {"F16": options.work / "guide-f16.gguf", "Q8_0": options.gguf}.items():
        strings, replies = counts[name] = count_equal(path, report)
        print(f"{name}: {strings} of {n_strings} strings, {replies} of {n_prompts} replies equal")
    facts = {name: {"strings": s, "replies": r} for name, (s, r) in counts.items()}
    facts["asked"] = {"strings": n_strings, "replies": n_prompts}
    (options.work / "verified.json").write_text(json.dumps(facts))
    if counts["F16"] != (n_strings, n_prompts):
        raise SystemExit("the F16 file does not answer as PyTorch does")


if __name__ == "__main__":
    main()
