"""Results as files: the original pictures under good names, with a JSON file of their origin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..images.picture import suffix_of

if TYPE_CHECKING:
    from .result import Result


def save(result: Result, folder: str | Path) -> list[Path]:
    """Write the pictures of a result, or its caption, and their origin; return the files.

    A file of the same name is of the same task and is written anew; nothing else is touched.

    Raises:
        PictureError: a picture can no longer be fetched; the files before it are kept.
        OSError: the folder cannot be written.
    """
    place = Path(folder).expanduser()
    place.mkdir(parents=True, exist_ok=True)
    stem = f"{result.operation}-{result.task_id}"
    files = []
    for number, image in enumerate(result.images, 1):
        data = image.data()
        tail = f"-{number}" if len(result.images) > 1 else ""
        files.append(place / f"{stem}{tail}{suffix_of(data)}")
        files[-1].write_bytes(data)
    if result.caption is not None:
        files.append(place / f"{stem}.txt")
        files[-1].write_text(result.caption + "\n", "utf-8")
    origin = place / f"{stem}.json"
    origin.write_text(json.dumps(_origin(result, files), indent=2, ensure_ascii=False), "utf-8")
    return [*files, origin]


def _origin(result: Result, files: list[Path]) -> dict[str, Any]:
    names = ("task_id", "server_id", "operation", "model", "image", "params", "backend", "engine")
    facts = {name: getattr(result, name) for name in (*names, "fidelity", "submitted", "finished")}
    urls = [str(url) for url in result.images]
    return {**facts, "urls": urls, "files": [file.name for file in files]}
