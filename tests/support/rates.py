"""What a machine was measured at, made up, so that a test does not measure it."""

from pathlib import Path

import msgspec

from inglenook.base.rates import DeviceRates, KindRates, MachineRates


def make_rates(
    kind: str = "Q8_0", bytes_per_s: float = 20e9, ops_per_s: float = 100e9
) -> MachineRates:
    """A processor that was measured with one type of weights."""
    cpu = DeviceRates(
        name="CPU",
        description="",
        kind="cpu",
        kinds={kind: KindRates(bytes_per_s=bytes_per_s, ops_per_s=ops_per_s)},
        layer_s=2e-5,
        token_s=2e-5,
        look_ops_per_s=8e9,
        read_look_ops_per_s=4e10,
    )
    return MachineRates(base_bytes=32_000_000, devices=(cpu,))


def write_rates(home: Path) -> None:
    """Put them into a profile's cache."""
    folder = home / "cache" / "forecasts"
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"key": "", "at": 0.0, "rates": make_rates()}
    (folder / "rates.json").write_bytes(msgspec.json.encode(kept))
