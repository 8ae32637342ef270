"""Ollama's models: a manifest for each name, and blobs named by the hash of what they hold.

`manifests/HOST/NAMESPACE/MODEL/TAG` is JSON; its layers are in `blobs/sha256-...`. A manifest is
someone else's text: a digest becomes a path only when it is a SHA-256, and nothing outside the
folder is opened.
"""

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from inglenook.base.records import ModelDefaults
from inglenook.models.adopted.candidates import Candidate, Listing, show
from inglenook.models.adopted.walk import LIMITS, Limits, find_inside, list_files, read_small
from inglenook.models.names import is_sha256

HOST: Final = "registry.ollama.ai"
NAMESPACE: Final = "library"
LATEST: Final = "latest"
KEY_PREFIX: Final = "ollama:"
_LAYER: Final = "application/vnd.ollama.image."
_MAX_MANIFEST_BYTES: Final = 1 << 20
_MAX_LAYER_BYTES: Final = 1 << 16
_MAX_LAYERS: Final = 256
_MAX_STOPS: Final = 16


class Layer(msgspec.Struct, frozen=True, rename="camel"):
    """One layer of a manifest."""

    media_type: str
    digest: str
    size: int = 0


class Manifest(msgspec.Struct, frozen=True):
    """A manifest, as far as it matters here."""

    layers: list[Layer] | None = None


def find_ollama(folder: Path, limits: Limits = LIMITS) -> Listing:
    """Every name in Ollama's folder of models."""
    manifests = folder / "manifests"
    files, remarks = list_files(manifests, lambda name: not name.startswith("."), limits)
    candidates = []
    for path in files:
        parts = path.relative_to(manifests).parts
        if len(parts) == 4:
            candidates.append(_read(path, folder, make_name(*parts)))
    return Listing(tuple(candidates), remarks)


def make_name(host: str, namespace: str, model: str, tag: str) -> str:
    """The name as Ollama shows it: what is usual is left out, but for the tag."""
    parts = [model] if namespace == NAMESPACE and host == HOST else [namespace, model]
    if host != HOST:
        parts.insert(0, host)
    return show("/".join(parts) + f":{tag}")


def _read(path: Path, folder: Path, name: str) -> Candidate:
    key = KEY_PREFIX + name

    def refuse(problem: str) -> Candidate:
        return Candidate("ollama", path, name, key, problem=problem)

    data = read_small(path, _MAX_MANIFEST_BYTES)
    if data is None:
        return refuse("Ollama's record of it cannot be read.")
    try:
        layers = msgspec.json.decode(data, type=Manifest).layers or []
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return refuse("Ollama's record of it is damaged.")
    by_kind: dict[str, list[Layer]] = {}
    for layer in layers[:_MAX_LAYERS]:
        if layer.media_type.startswith(_LAYER):
            kind = layer.media_type[len(_LAYER) :].split(";", 1)[0]
            by_kind.setdefault(kind, []).append(layer)
    if "model" not in by_kind:
        return refuse(
            "Ollama keeps it in another form than GGUF."
            if "tensor" in by_kind
            else "Ollama has no weights of it: it runs on Ollama's servers."
        )
    if "adapter" in by_kind:
        return refuse("It is another model with an adapter, which only Ollama applies.")
    blob, problem = _find_blob(by_kind["model"][0], folder)
    if blob is None:
        return refuse(problem)
    return Candidate(
        "ollama",
        blob,
        name,
        key,
        sha256=blob.name.removeprefix("sha256-"),
        aliases=(name, name.removesuffix(f":{LATEST}")) if name.endswith(f":{LATEST}") else (name,),
        defaults=read_defaults(
            _read_layer(by_kind, "params", folder), _read_layer(by_kind, "system", folder)
        ),
        notes=tuple(_make_notes(by_kind)),
    )


def _find_blob(layer: Layer, folder: Path) -> tuple[Path | None, str]:
    """The blob of a layer, whole; or a sentence about why there is none."""
    scheme, _, digest = layer.digest.partition(":")
    if scheme != "sha256" or not is_sha256(digest):
        return None, "Ollama's record of it is damaged."
    path = folder / "blobs" / f"sha256-{digest}"
    real_root = Path(os.path.realpath(folder))
    try:
        size = path.stat().st_size
    except OSError:
        return None, "Ollama lists it, but its file is not there."
    if find_inside(path, real_root) is None:
        return None, "Its file is a link that leads out of Ollama's folder."
    if layer.size > size:
        return None, "Ollama has not finished downloading it."
    return path, ""


def _read_layer(by_kind: dict[str, list[Layer]], kind: str, folder: Path) -> bytes:
    if kind not in by_kind:
        return b""
    path, _ = _find_blob(by_kind[kind][0], folder)
    return (read_small(path, _MAX_LAYER_BYTES) if path else None) or b""


def _make_notes(by_kind: dict[str, list[Layer]]) -> list[str]:
    notes = []
    if "template" in by_kind:
        notes.append("Ollama's template is not used, but the one in the model's own file.")
    if "projector" in by_kind:
        notes.append("It also sees pictures in Ollama; here it reads text.")
    if "messages" in by_kind:
        notes.append("The conversation that Ollama begins with is left out.")
    return notes


def read_defaults(params: bytes, system: bytes) -> ModelDefaults:
    """The values that a Modelfile sets, as far as they are known here and make sense."""
    try:
        values = msgspec.json.decode(params, type=dict[str, Any]) if params else {}
    except (msgspec.MsgspecError, ValueError, RecursionError):
        values = {}
    stops = values.get("stop")
    stops = [stops] if isinstance(stops, str) else stops if isinstance(stops, list) else []
    n_max = _read_whole(values, "num_predict", 1, 1_000_000)
    return ModelDefaults(
        system_prompt=system.decode("utf-8", "replace").strip(),
        temperature=_read_number(values, "temperature", 0.0, 5.0),
        top_k=_read_whole(values, "top_k", 0, 1000),
        top_p=_read_number(values, "top_p", 0.0, 1.0),
        min_p=_read_number(values, "min_p", 0.0, 1.0),
        repeat_penalty=_read_number(values, "repeat_penalty", 0.5, 2.0),
        seed=_read_whole(values, "seed", 0, 4_294_967_294),
        max_tokens=n_max,
        n_ctx=_read_whole(values, "num_ctx", 256, 1_048_576),
        stop=tuple(s for s in stops if isinstance(s, str) and 0 < len(s) <= 200)[:_MAX_STOPS],
    )


def _read_number(values: dict[str, Any], key: str, low: float, high: float) -> float | None:
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if low <= value <= high else None


def _read_whole(values: dict[str, Any], key: str, low: int, high: int) -> int | None:
    value = values.get(key)
    return value if type(value) is int and low <= value <= high else None
