"""Where a copy goes: five hundred hostile names, and not one file outside the models folder."""

import random
from pathlib import Path
from typing import Any

import msgspec

from inglenook.base.records import InstalledModel
from inglenook.models.intake import Intake
from support.models import make_model

DATA = make_model(400)
PIECES = (
    "..", ".", "con", "nul", "aux.", "lpt1", "\u202egpj", "\u200b", "x" * 90, "~", "-rf", " ", "\n",
    "\t", "*", "?", "|", ">", "$(x)", "`x`", "';--", "<b>", "{{7*7}}", "%2e%2e%2f", "\\..\\", "C:",
    "\\\\host\\x", "\x7f", "\x01", "\u00e9", "e\u0301", "\u6a21\u578b", "\U0001f525", ".part",
    "-00001-of-00002",
)  # fmt: skip


class StubLibrary:
    """Takes what comes."""

    def add_copy(self, path: Path, sha256: str) -> InstalledModel:
        return InstalledModel(id=str(path), name="", path=str(path), size_bytes=0, origin="copy")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def test_D05_five_hundred_hostile_names_stay_in_the_models_folder(tmp_path: Path) -> None:
    rng = random.Random(3)
    models = tmp_path / "profile" / "models"
    models.mkdir(parents=True)
    intake = Intake(models, StubLibrary(), lambda _: "")  # type: ignore[arg-type]
    folder = tmp_path / "in"
    folder.mkdir()
    names: set[str] = set()
    while len(names) < 500:
        name = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 4))) + ".gguf"
        if len(name.encode()) <= 255 and "/" not in name:
            names.add(name)
    for name in sorted(names):
        (folder / name).write_bytes(DATA)
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(models)}
    taken = set()
    for name in sorted(names):
        model = intake.bring_in(folder / name, "copy")
        path = Path(model.path)
        assert path.resolve().is_relative_to(models.resolve())
        assert len(path.relative_to(models).parts) == 3
        assert path.read_bytes() == DATA
        taken.add(path)
        msgspec.json.encode(model)
    assert len(taken) == 500
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(models)} == before
