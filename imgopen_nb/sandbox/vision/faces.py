"""Faces in an image: found by BlazeFace, in all of it and in tiles, confirmed by the face mesh."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from PIL import Image

from .arrays import Array, Region, flatten, scaled
from .networks import run
from .objects import Detection, distinct

SIDE, MESH_SIDE = 256, 192
# The face mesh wants half as much again around the face.
AROUND = 1.5
ANCHOR_GRIDS = ((16, 2), (8, 6))
# On 100 images, true faces score above 0.8 and 0.98; a baboon, a squirrel and a lamp below.
CANDIDATE, CONFIRMED = 0.6, 0.9
# A tile's share of the long side: four tiles cover a square; halves would take nine.
TILE, OVERLAP = 0.55, 0.1
# A strip thinner than this share of its length is not cut into ever more squares.
THINNEST = 8
KEY_POINTS = ("rightEye", "leftEye", "nose", "mouth", "rightEar", "leftEar")

Point = tuple[float, float]


@dataclass(frozen=True)
class Face(Detection):
    """One face, with six named points in pixels."""

    points: dict[str, Point]

    def moved(self, across: float, down: float) -> Face:
        """Return the face in a larger image that has its tile at (across, down)."""
        left, top, right, bottom = self.box
        points = {name: (x + across, y + down) for name, (x, y) in self.points.items()}
        box = (left + across, top + down, right + across, bottom + down)
        return replace(self, box=box, points=points)

    def square(self) -> tuple[Array, float, float]:
        """Return centre, side and turn (in radians) of what the face mesh wants to see.

        It is the face with a margin around it, turned until its eyes are level.
        """
        left, top, right, bottom = self.box
        (right_x, right_y), (left_x, left_y) = self.points["rightEye"], self.points["leftEye"]
        centre = np.array([(left + right) / 2, (top + bottom) / 2], np.float32)
        side = AROUND * max(right - left, bottom - top)
        return centre, side, math.atan2(left_y - right_y, left_x - right_x)


def view(centre: Array, side: float, turn: float, pixels: int) -> Array:
    """Return the matrix (2, 3) from a square of pixels to the image: centred and turned."""
    cosine, sine = math.cos(turn), math.sin(turn)
    linear = side / pixels * np.array([[cosine, -sine], [sine, cosine]], np.float32)
    half = np.full(2, pixels / 2, np.float32)
    return np.concatenate([linear, (centre - linear @ half)[:, None]], 1).astype(np.float32)


def look(
    image: Image.Image,
    matrix: Array,
    pixels: int,
    resampling: Image.Resampling = Image.Resampling.BICUBIC,
) -> Image.Image:
    """Return the square of the image that a matrix of `view` describes."""
    numbers = tuple(matrix.ravel().tolist())
    return image.transform((pixels, pixels), Image.Transform.AFFINE, numbers, resampling)


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
    width, height = scaled(image.size, scale)
    corner = ((SIDE - width) // 2, (SIDE - height) // 2)
    canvas = Image.new("RGB", (SIDE, SIDE))
    canvas.paste(image.resize((width, height), Image.Resampling.BILINEAR), corner)
    return canvas, scale, np.array(corner, np.float32)


def _candidates(image: Image.Image) -> list[Face]:
    """Return all BlazeFace boxes above the candidate score, overlapping ones included."""
    canvas, scale, corner = _letterbox(image)
    read = run("blazeface_back", np.asarray(canvas, np.float32)[None] / 127.5 - 1)
    logits = np.concatenate([read["Identity"][0], read["Identity_1"][0]])[:, 0]
    scores = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
    places = np.concatenate([read["Identity_2"][0], read["Identity_3"][0]]) / SIDE
    chosen = np.flatnonzero(scores > CANDIDATE)
    anchors = _anchors()[chosen]
    centres, halves = anchors + places[chosen, :2], places[chosen, 2:4] / 2
    spots = np.concatenate(
        [centres - halves, centres + halves, places[chosen, 4:] + np.tile(anchors, 6)], 1
    )
    pixels = (spots.reshape(len(chosen), 8, 2) * SIDE - corner) / scale
    return [_face(*row) for row in zip(scores[chosen].tolist(), pixels.tolist(), strict=True)]


def _face(score: float, spots: list[list[float]]) -> Face:
    (left, top), (right, bottom), *points = spots
    named = {name: (x, y) for name, (x, y) in zip(KEY_POINTS, points, strict=True)}
    return Face("face", score, (left, top, right, bottom), named)


def _confidence(image: Image.Image, face: Face) -> float:
    """Return the face mesh's confidence, 0..1, that this is a face."""
    matrix = view(*face.square(), MESH_SIDE)
    upright = look(image, matrix, MESH_SIDE, Image.Resampling.BILINEAR)
    read = run("facemesh", np.asarray(upright, np.float32)[None] / 255, ["Identity_1"])
    return float(read["Identity_1"][0, 0])


def _edges(length: int, side: int) -> list[int]:
    """Return where tiles begin that cover a length, each a tenth or more into the next."""
    count = math.ceil((length - side) / (side * (1 - OVERLAP))) + 1
    return [int(edge) for edge in np.linspace(0, length - side, count)]


def tiles(width: int, height: int) -> list[Region]:
    """Return overlapping tiles, squares mostly, that cover a large image, none for a small one.

    BlazeFace sees 256 pixels: in the whole image it misses faces below a fifteenth of its side.
    """
    long, short = max(width, height), min(width, height)
    if long < 1.5 * SIDE:
        return []
    side = max(min(round(TILE * long), short), round(long / THINNEST))
    across, down = min(side, width), min(side, height)
    tops, lefts = _edges(height, down), _edges(width, across)
    return [(left, top, left + across, top + down) for top in tops for left in lefts]


def detect_faces(image: Image.Image, *, tiled: bool = True) -> list[Face]:
    """Return the faces of an image, left to right, in its pixels; small ones only if `tiled`."""
    picture = flatten(image)
    found = _candidates(picture)
    for box in tiles(*picture.size) if tiled else []:
        found += [face.moved(box[0], box[1]) for face in _candidates(picture.crop(box))]
    sure = [face for face in distinct(found, limit=0.3) if _confidence(picture, face) > CONFIRMED]
    return sorted(sure, key=lambda face: face.box[0] + face.box[2])
