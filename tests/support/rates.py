"""What a machine was measured at, written down, so that a test does not measure it."""

import json
from pathlib import Path
from typing import Final

RATES: Final = {
    "key": "",
    "at": 0.0,
    "rates": {
        "base_bytes": 32_000_000,
        "devices": [
            {
                "name": "CPU",
                "description": "",
                "kind": "cpu",
                "kinds": {"Q8_0": {"bytes_per_s": 2e10, "ops_per_s": 1e11}},
                "layer_s": 2e-5,
                "token_s": 2e-5,
                "look_ops_per_s": 8e9,
                "read_look_ops_per_s": 4e10,
            }
        ],
    },
}


def write_rates(home: Path) -> None:
    """Put them into a profile's cache."""
    folder = home / "cache" / "forecasts"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rates.json").write_text(json.dumps(RATES), encoding="utf-8")
