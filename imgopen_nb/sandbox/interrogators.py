"""Real taggers: ONNX networks that a user has, in the form in which the WD14 ones are published.

IMGOPEN_TAGGER names a folder with `model.onnx` and `selected_tags.csv`, or a repository's id on the
Hugging Face hub; `huggingface_hub` is imported for an id only.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .engines import EngineError
from .networks import Array, flatten, run, session

VARIABLE = "IMGOPEN_TAGGER"
FILES = ("model.onnx", "selected_tags.csv")
SIDE = 448
GENERAL, CHARACTER, RATING = 0, 4, 9
THRESHOLDS = {GENERAL: 0.35, CHARACTER: 0.85}


@dataclass(frozen=True)
class Tagger:
    """One tagger: its name, the path of its network, and name and category of each output."""

    name: str
    network: Path
    tags: tuple[tuple[str, int], ...]

    def scores(self, image: Image.Image) -> Array:
        """Return the probability of each tag."""
        read = next(iter(run(str(self.network.with_suffix("")), self._feed(image)).values()))[0]
        if len(read) != len(self.tags):
            raise EngineError(
                f"tagger {self.name}: {len(read)} outputs, but {len(self.tags)} rows in {FILES[1]}"
            )
        # Published networks end with the sigmoid or, some exports, just before it.
        inside = float(read.min()) >= 0 and float(read.max()) <= 1
        return read if inside else np.asarray(1 / (1 + np.exp(-np.clip(read, -50, 50))), np.float32)

    def describe(self, image: Image.Image) -> dict[str, Any]:
        """Return the tags above the thresholds, the likeliest first, and the likeliest rating."""
        rated = [
            (name, category, float(score))
            for (name, category), score in zip(self.tags, self.scores(image), strict=True)
        ]
        found = sorted(
            (row for row in rated if row[1] in THRESHOLDS and row[2] >= THRESHOLDS[row[1]]),
            key=lambda row: -row[2],
        )
        ratings = [(score, name) for name, category, score in rated if category == RATING]
        tags = [{"name": name, "score": round(score, 3)} for name, _, score in found]
        more = {"rating": max(ratings)[1]} if ratings else {}
        return {"caption": ", ".join(name for name, _, _ in found), "tags": tags, **more}

    def _feed(self, image: Image.Image) -> Array:
        """Return the picture as the network was trained: square on white, BGR, 0..255."""
        side = _side(session(str(self.network.with_suffix(""))).get_inputs()[0].shape)
        picture = flatten(image)
        longest = max(picture.size)
        square = Image.new("RGB", (longest, longest), "white")
        square.paste(picture, ((longest - picture.width) // 2, (longest - picture.height) // 2))
        pixels = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC), np.float32)
        return np.ascontiguousarray(pixels[None, ..., ::-1])


def _side(shape: list[Any]) -> int:
    """Return the side of the network's square input, where it is fixed."""
    return shape[1] if len(shape) == 4 and isinstance(shape[1], int) else SIDE


def chosen() -> Tagger | None:
    """Return the tagger that IMGOPEN_TAGGER names, or None where it is not set."""
    named = os.environ.get(VARIABLE, "").strip()
    return load(named) if named else None


@lru_cache(maxsize=2)
def load(named: str) -> Tagger:
    """Return the tagger of a folder or of a repository's id."""
    folder = Path(named).expanduser()
    name, paths = (folder.name, _local(folder)) if folder.is_dir() else (named, _from_hub(named))
    return Tagger(name, paths[0], _tags(paths[1]))


def _local(folder: Path) -> list[Path]:
    paths = [folder.resolve() / file for file in FILES]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise EngineError(f"{VARIABLE}: the folder {folder.name} has no {' and no '.join(missing)}")
    return paths


def _from_hub(repository: str) -> list[Path]:
    """Return the files of a repository from the hub's cache, fetched if they may be."""
    if repository.count("/") != 1 or repository.startswith(("/", ".", "~")):
        raise EngineError(f"{VARIABLE} names neither a folder nor an id such as owner/name")
    try:
        hub = import_module("huggingface_hub")
    except ImportError:
        raise EngineError(
            f"{VARIABLE} is a hub id: install huggingface_hub, or give a folder"
        ) from None
    try:
        return [Path(hub.hf_hub_download(repository, file)) for file in FILES]
    except Exception as error:
        raise EngineError(
            f"{VARIABLE}: {repository[:80]} cannot be had from the hub ({type(error).__name__})"
        ) from error


def _tags(path: Path) -> tuple[tuple[str, int], ...]:
    """Return name and category of each row, in the order of the network's outputs."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple((row["name"], int(row["category"])) for row in csv.DictReader(file))
    except (KeyError, ValueError) as error:
        raise EngineError(f"{VARIABLE}: {FILES[1]} needs the columns name and category") from error
