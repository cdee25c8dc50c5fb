"""Real taggers: ONNX networks that a user has, in the layout of WD14 or of DeepDanbooru.

The setting `tagger` names a folder or a hub repository with `model.onnx`; the name of the file of
tags beside it says which layout it is.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..vision.arrays import Array, shrink
from . import local_models
from .local_models import Model, Network

GENERAL, CHARACTER, RATING = 0, 4, 9
MOST = 4096
RATING_PREFIX = "rating:"
Tags = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Layout:
    """How one family of taggers is fed, and how its tags are read; `side` in pixels."""

    file: str
    tags: Callable[[Path], Tags]
    feed: Callable[[Image.Image, int], Array]
    side: int
    thresholds: Mapping[int, float]


@dataclass(frozen=True)
class Tagger:
    """One tagger: its name, its network, and name and category of each output."""

    name: str
    network: Network
    layout: Layout
    tags: Tags

    def scores(self, image: Image.Image) -> Array:
        """Return the probability of each tag."""
        name, shape = next(iter(self.network.inputs().items()))
        # The published inputs are (1, side, side, 3).
        free = len(shape) != 4 or shape[1] not in range(1, MOST)
        side = self.layout.side if free else shape[1]
        # The white square around a long strip would fill the memory at full size.
        picture = shrink(image, MOST)
        read = self.network.run({name: self.layout.feed(picture, side)}).reshape(-1)
        if len(read) != len(self.tags):
            raise self.network.model.fault(
                f"{len(read)} outputs, but {len(self.tags)} tags in {self.layout.file}"
            )
        # Published networks end with the sigmoid or, some exports, just before it.
        probabilities = float(read.min()) >= 0 and float(read.max()) <= 1
        if probabilities:
            return read
        return np.asarray(1 / (1 + np.exp(-np.clip(read, -50, 50))), np.float32)

    def describe(self, image: Image.Image) -> dict[str, Any]:
        """Return the tags above the thresholds, the likeliest first, and the likeliest rating."""
        rated = [
            (name, category, float(score))
            for (name, category), score in zip(self.tags, self.scores(image), strict=True)
        ]
        least = self.layout.thresholds
        found = sorted(
            (row for row in rated if row[1] in least and row[2] >= least[row[1]]),
            key=lambda row: -row[2],
        )
        ratings = [(score, name) for name, category, score in rated if category == RATING]
        tags = [{"name": name, "score": round(score, 3)} for name, _, score in found]
        more = {"rating": max(ratings)[1]} if ratings else {}
        return {"caption": ", ".join(name for name, _, _ in found), "tags": tags, **more}


def chosen() -> Tagger | None:
    """Return the tagger that the setting names, or None."""
    model = local_models.model("tagger")
    return load(model) if model else None


@lru_cache(maxsize=2)
def load(model: Model) -> Tagger:
    """Return the tagger of a folder or of a repository's id."""
    path = model.file(*(layout.file for layout in LAYOUTS))
    layout = next(layout for layout in LAYOUTS if layout.file == path.name)
    try:
        tags = layout.tags(path)
    except (KeyError, TypeError, ValueError, OSError, csv.Error) as error:
        raise model.fault(f"{layout.file} does not hold name and category, or tags") from error
    if not tags:
        raise model.fault(f"{layout.file} holds no tags")
    return Tagger(model.name, Network(model, model.file("model.onnx")), layout, tags)


def _rows(path: Path) -> Tags:
    """Return name and category of each row, in the order of the network's outputs."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return tuple((str(row["name"]), int(row["category"])) for row in csv.DictReader(file))


def _lines(path: Path) -> Tags:
    """Return the tag of each line; a prefix marks the ratings."""
    lines = filter(None, (line.strip() for line in path.read_text("utf-8-sig").splitlines()))
    return tuple(
        (line.removeprefix(RATING_PREFIX), RATING if line.startswith(RATING_PREFIX) else GENERAL)
        for line in lines
    )


def _on_white(picture: Image.Image, side: int) -> Array:
    """Return an image as WD14 was trained: in a white square, BGR in 0..255."""
    longest = max(picture.size)
    square = Image.new("RGB", (longest, longest), "white")
    square.paste(picture, ((longest - picture.width) // 2, (longest - picture.height) // 2))
    pixels = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    return np.ascontiguousarray(pixels[None, ..., ::-1])


def _on_its_edges(picture: Image.Image, side: int) -> Array:
    """Return an image as DeepDanbooru was trained: its edges drawn out to a square, RGB in 0..1.

    DeepDanbooru shrinks by the mean of areas, which is the box filter here; where the margins are
    unlike, it puts the image half a pixel further.
    """
    scale = side / max(picture.size)
    width, height = (max(1, round(each * scale)) for each in picture.size)
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    left, top = (side - width) // 2, (side - height) // 2
    margins = ((top, side - height - top), (left, side - width - left), (0, 0))
    return np.asarray(np.pad(pixels, margins, mode="edge")[None], np.float32)


LAYOUTS = (
    Layout("selected_tags.csv", _rows, _on_white, 448, {GENERAL: 0.35, CHARACTER: 0.85}),
    Layout("tags.txt", _lines, _on_its_edges, 512, {GENERAL: 0.5}),
)
