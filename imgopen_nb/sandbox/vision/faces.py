"""Faces in a picture: found by BlazeFace, whole and in tiles, confirmed by the face mesh's flag."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from .networks import Array, flatten, run
from .objects import Box, overlap

SIDE, MESH_SIDE = 256, 192
ANCHOR_GRIDS = ((16, 2), (8, 6))
# True faces score above 0.8 and 0.98 on 100 pictures; a baboon, a squirrel and a lamp come below.
CANDIDATE, CONFIRMED = 0.6, 0.9
# A tile's share of the long side: four tiles cover a square; halves would take nine.
TILE, OVERLAP = 0.55, 0.1
# A strip thinner than this share of its length is not cut into ever more squares.
THINNEST = 8
KEY_POINTS = ("rightEye", "leftEye", "nose", "mouth", "rightEar", "leftEar")

Point = tuple[float, float]


@dataclass(frozen=True)
class Face:
    """One face: box (left, top, right, bottom) and six named points in pixels, score in 0..1."""

    box: Box
    score: float
    points: dict[str, Point]

    def moved(self, across: float, down: float) -> Face:
        """Return the face in a larger picture that holds its tile at (across, down)."""
        left, top, right, bottom = self.box
        points = {name: (x + across, y + down) for name, (x, y) in self.points.items()}
        return Face((left + across, top + down, right + across, bottom + down), self.score, points)


@cache
def _anchors() -> Array:
    """Return the centres of BlazeFace's 896 anchors, shape (896, 2), in 0..1."""
    grids = []
    for cells, repeats in ANCHOR_GRIDS:
        rows, columns = np.mgrid[:cells, :cells]
        centres = (np.stack([columns, rows], -1).reshape(-1, 2) + 0.5) / cells
        grids.append(np.repeat(centres, repeats, 0))
    return np.concatenate(grids).astype(np.float32)


def _letterbox(image: Image.Image) -> tuple[Image.Image, float, Array]:
    scale = SIDE / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    corner = ((SIDE - width) // 2, (SIDE - height) // 2)
    canvas = Image.new("RGB", (SIDE, SIDE))
    canvas.paste(image.resize((width, height), Image.Resampling.BILINEAR), corner)
    return canvas, scale, np.array(corner, np.float32)


def _candidates(image: Image.Image) -> list[Face]:
    """Return all BlazeFace boxes above the candidate score, overlapping ones included."""
    canvas, scale, corner = _letterbox(image)
    read = run("blazeface_back", np.asarray(canvas, np.float32)[None] / 127.5 - 1)
    scores = 1 / (
        1
        + np.exp(
            -np.clip(np.concatenate([read["Identity"][0], read["Identity_1"][0]])[:, 0], -50, 50)
        )
    )
    places = np.concatenate([read["Identity_2"][0], read["Identity_3"][0]]) / SIDE
    chosen = np.flatnonzero(scores > CANDIDATE)
    anchors = _anchors()[chosen]
    centres, halves = anchors + places[chosen, :2], places[chosen, 2:4] / 2
    spots = np.concatenate(
        [centres - halves, centres + halves, places[chosen, 4:] + np.tile(anchors, 6)], 1
    )
    pixels = (spots.reshape(len(chosen), 8, 2) * SIDE - corner) / scale
    return [
        _face(float(scores[row]), spot) for row, spot in zip(chosen, pixels.tolist(), strict=True)
    ]


def _face(score: float, spots: list[list[float]]) -> Face:
    (left, top), (right, bottom), *points = spots
    named = {name: (x, y) for name, (x, y) in zip(KEY_POINTS, points, strict=True)}
    return Face((left, top, right, bottom), score, named)


def _confidence(image: Image.Image, face: Face) -> float:
    """Return the face mesh's belief, 0..1, that the box, its eyes turned level, holds a face."""
    (right_x, right_y), (left_x, left_y) = face.points["rightEye"], face.points["leftEye"]
    turn = math.atan2(left_y - right_y, left_x - right_x)
    left, top, right, bottom = face.box
    scale = 1.5 * max(right - left, bottom - top) / MESH_SIDE
    cosine, sine = math.cos(turn) * scale, math.sin(turn) * scale
    half = MESH_SIDE / 2
    across = (left + right) / 2 - half * cosine + half * sine
    down = (top + bottom) / 2 - half * sine - half * cosine
    upright = image.transform(
        (MESH_SIDE, MESH_SIDE),
        Image.Transform.AFFINE,
        (cosine, -sine, across, sine, cosine, down),
        Image.Resampling.BILINEAR,
    )
    return float(
        run("facemesh", np.asarray(upright, np.float32)[None] / 255, ["Identity_1"])["Identity_1"][
            0, 0
        ]
    )


def _distinct(faces: list[Face], limit: float = 0.3) -> list[Face]:
    kept: list[Face] = []
    for face in sorted(faces, key=lambda each: -each.score):
        if all(overlap(face.box, other.box) < limit for other in kept):
            kept.append(face)
    return kept


def _edges(length: int, side: int) -> list[int]:
    """Return where tiles begin that cover a length, each a tenth or more into the next."""
    count = math.ceil((length - side) / (side * (1 - OVERLAP))) + 1
    return [int(edge) for edge in np.linspace(0, length - side, count)]


def tiles(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Return overlapping tiles, squares mostly, that cover a large picture, none for a small one.

    BlazeFace sees 256 pixels: a face below a fifteenth of the long side escapes it in the whole.
    """
    long, short = max(width, height), min(width, height)
    if long < 1.5 * SIDE:
        return []
    side = max(min(round(TILE * long), short), round(long / THINNEST))
    across, down = min(side, width), min(side, height)
    tops, lefts = _edges(height, down), _edges(width, across)
    return [(left, top, left + across, top + down) for top in tops for left in lefts]


def detect_faces(image: Image.Image, *, tiled: bool = True) -> list[Face]:
    """Return the faces of a picture, left to right, in its pixels; small ones only if `tiled`."""
    picture = flatten(image)
    found = _candidates(picture)
    for box in tiles(*picture.size) if tiled else []:
        found += [face.moved(box[0], box[1]) for face in _candidates(picture.crop(box))]
    sure = [face for face in _distinct(found) if _confidence(picture, face) > CONFIRMED]
    return sorted(sure, key=lambda face: face.box[0] + face.box[2])
