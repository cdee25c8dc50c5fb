"""Body key points of all people in a picture, by MoveNet, and skeletons as OpenPose draws them."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .arrays import Array, Box, flatten
from .faces import Point, detect_faces, look, view
from .networks import session
from .objects import area, detect_objects

SIDE = 192
SURE, FEWEST, MEAN = 0.3, 5, 0.32
MARGIN = 1.2
# A person this small, compared to the largest one, has joints that cannot be recognised.
SMALLEST = 0.04

MOVENET = (
    "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder",
    "left elbow", "right elbow", "left wrist", "right wrist", "left hip", "right hip",
    "left knee", "right knee", "left ankle", "right ankle",
)  # fmt: skip
OPENPOSE = (
    "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow",
    "left wrist", "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
    "right eye", "left eye", "right ear", "left ear",
)  # fmt: skip
# Pairs of OPENPOSE's points; the n-th limb has the n-th colour.
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
# OpenPose goes round the colour circle in steps of 20 degrees.
HUES = tuple(
    tuple(round(255 * part) for part in colorsys.hsv_to_rgb(step / 18, 1, 1)) for step in range(18)
)


@dataclass(frozen=True)
class Pose:
    """The visible points of one person, by OpenPose's names, in pixels."""

    points: dict[str, Point]
    score: float


def _read(picture: Image.Image, box: Box) -> Array:
    """Return MoveNet's 17 rows of x, y (in the picture's pixels) and score for one person.

    The network wants the whole body in the middle of a square.
    """
    left, top, right, bottom = box
    centre = np.array([(left + right) / 2, (top + bottom) / 2], np.float32)
    side = MARGIN * min(max(right - left, bottom - top), max(picture.size))
    resampling = Image.Resampling.BILINEAR if side < 1.5 * SIDE else Image.Resampling.BICUBIC
    square = look(picture, view(centre, side, 0.0, SIDE), SIDE, resampling)
    feed = {"input": np.asarray(square, np.int32)[None]}
    rows = np.asarray(session("movenet_lightning").run(None, feed)[0][0, 0], np.float32)
    places = (rows[:, [1, 0]] - np.float32(0.5)) * np.float32(side) + centre
    return np.concatenate([places, rows[:, 2:]], 1)


def _pose(rows: Array) -> Pose | None:
    seen = {
        name: (float(x), float(y))
        for name, (x, y, score) in zip(MOVENET, rows.tolist(), strict=True)
        if score > SURE
    }
    scores = np.sort(rows[:, 2])[::-1]
    if len(seen) < FEWEST or float(scores[:9].mean()) < MEAN:
        return None
    left, right = seen.get("left shoulder"), seen.get("right shoulder")
    if left and right:
        seen["neck"] = ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2)
    return Pose(seen, float(scores[: len(seen)].mean()))


def _places(picture: Image.Image) -> list[Box]:
    """Return the boxes of people; the whole picture if there is only a face."""
    people = [each.box for each in detect_objects(picture) if each.name == "person"]
    largest = max(map(area, people), default=0.0)
    if people:
        return [box for box in people if area(box) >= SMALLEST * largest]
    whole = (0.0, 0.0, float(picture.width), float(picture.height))
    return [whole] if detect_faces(picture, tiled=False) else []


def poses(image: Image.Image) -> list[Pose]:
    """Return the poses of the people in a picture, the largest box first."""
    picture = flatten(image)
    places = sorted(_places(picture), key=area, reverse=True)
    found = (_pose(_read(picture, box)) for box in places)
    return [pose for pose in found if pose]


def draw(people: list[Pose], size: tuple[int, int]) -> Image.Image:
    """Draw skeletons on black in OpenPose's colours."""
    canvas = Image.new("RGB", size)
    pen = ImageDraw.Draw(canvas)
    width = max(2, round(max(size) / 110))
    for pose in people:
        spots = [pose.points.get(name) for name in OPENPOSE]
        for (start, end), colour in zip(LIMBS, HUES, strict=False):
            one, other = spots[start], spots[end]
            if one and other:
                pen.line((*one, *other), tuple(int(0.6 * part) for part in colour), 2 * width)
        for spot, colour in zip(spots, HUES, strict=True):
            if spot:
                x, y = spot
                pen.ellipse((x - width, y - width, x + width, y + width), fill=colour)
    return canvas
