"""Folders as other apps fill them, made by hand."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from inglenook.models.adopted.candidates import Place


def add_to_ollama(
    root: Path,
    name: str,
    model: bytes | Path | None,
    *,
    host: str = "registry.ollama.ai",
    namespace: str = "library",
    layers: Iterable[tuple[str, bytes]] = (),
) -> Path:
    """Put a model into Ollama's folder as `ollama pull` does; returns its blob."""
    stem, _, tag = name.partition(":")
    listed: list[tuple[str, bytes]] = list(layers)
    entries: list[dict[str, Any]] = []
    blob = root
    if model is not None:
        data = model.read_bytes() if isinstance(model, Path) else model
        listed.insert(0, ("model", data))
    for kind, data in listed:
        digest = hashlib.sha256(data).hexdigest()
        path = root / "blobs" / f"sha256-{digest}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        blob = path if kind == "model" else blob
        media = f"application/vnd.ollama.image.{kind}"
        entries.append({"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)})
    write_manifest(root, (host, namespace, stem, tag or "latest"), {"layers": entries})
    return blob


def write_manifest(root: Path, parts: tuple[str, str, str, str], body: object) -> Path:
    """Write a manifest, whatever it says."""
    path = root.joinpath("manifests", *parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    base = {"schemaVersion": 2, "config": {"digest": "sha256:" + "0" * 64, "size": 2}}
    data = body if isinstance(body, bytes) else json.dumps({**base, **body}).encode()  # type: ignore[dict-item]
    path.write_bytes(data)
    return path


def add_to_lm_studio(root: Path, name: str, data: bytes | Path) -> Path:
    """Put publisher/repository/file.gguf into LM Studio's folder."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.read_bytes() if isinstance(data, Path) else data)
    return path


def add_to_hub_cache(root: Path, repo: str, filename: str, data: bytes, commit: str) -> Path:
    """Put a file into the Hugging Face cache: a link to a blob; main points to the commit."""
    folder = root / f"models--{repo.replace('/', '--')}"
    blob = folder / "blobs" / hashlib.sha256(data).hexdigest()
    path = folder / "snapshots" / commit / filename
    for each in (blob, path, folder / "refs" / "main"):
        each.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(data)
    path.symlink_to(os.path.relpath(blob, path.parent))
    (folder / "refs" / "main").write_text(commit)
    return path


def list_places(home: Path) -> tuple[Place, ...]:
    """The places below a home made by these functions."""
    from inglenook.models.adopted.places import find_places

    return find_places(home, {}, "linux")


def hash_tree(root: Path) -> dict[str, tuple[str, int, int]]:
    """Every file and link below a folder: what it holds, its mode, and when it was changed."""
    tree = {}
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        if path.is_symlink():
            tree[str(path)] = (f"-> {path.readlink()}", 0, info.st_mtime_ns)
        elif path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            tree[str(path)] = (digest, info.st_mode, info.st_mtime_ns)
        else:
            tree[str(path)] = ("folder", info.st_mode, info.st_mtime_ns)
    return tree
