"""Body key points of all people in an image, by MoveNet, and skeletons as OpenPose draws them."""

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
SURE, FEWEST, MEAN = 0.25, 5, 0.3
MARGIN = 1.2
# The detector is asked for fainter people than other things; a clear pose has to confirm them.
FAINTEST, CLEAR, CONFIRMED = 0.28, 0.4, 0.36
# Of a person who is seen by the face alone, in sizes of the face: half the width, and how far the
# body goes above and below the face's middle.
BODY = (1.6, 0.9, 6.0)
# Points of one person lie as near to each other as this share of the person's extent.
SAME = 0.2
# What is beside a person is dimmed, or the network takes the neighbour's arms.
BESIDE = 0.12
# A person this small, compared to the largest one, has joints that cannot be recognised; what is
# faint too is mostly none.
SMALLEST, SMALLEST_FAINT = 0.04, 0.1

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
    """Return MoveNet's 17 rows of x, y (in the image's pixels) and score for one person.

    The network wants the whole body in the middle of a square.
    """
    left, top, right, bottom = box
    centre = np.array([(left + right) / 2, (top + bottom) / 2], np.float32)
    side = MARGIN * min(max(right - left, bottom - top), max(picture.size))
    resampling = Image.Resampling.BILINEAR if side < 1.5 * SIDE else Image.Resampling.BICUBIC
    square = look(picture, view(centre, side, 0.0, SIDE), SIDE, resampling)
    reach = (0.5 + BESIDE) * (right - left) * SIDE / side
    pixels = np.array(square, np.int32)
    beside = np.abs(np.arange(SIDE) + 0.5 - SIDE / 2) > reach
    pixels[:, beside] = pixels[:, beside] // 4 + 80
    rows = np.asarray(session("movenet_lightning").run(None, {"input": pixels[None]})[0][0, 0])
    places = (rows[:, [1, 0]].astype(np.float32) - np.float32(0.5)) * np.float32(side) + centre
    return np.concatenate([places, rows[:, 2:].astype(np.float32)], 1)


def _pose(rows: Array, least: float = MEAN) -> Pose | None:
    seen = {
        name: (float(x), float(y))
        for name, (x, y, score) in zip(MOVENET, rows.tolist(), strict=True)
        if score > SURE
    }
    scores = np.sort(rows[:, 2])[::-1]
    if len(seen) < FEWEST or float(scores[:9].mean()) < least:
        return None
    left, right = seen.get("left shoulder"), seen.get("right shoulder")
    if left and right:
        seen["neck"] = ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2)
    return Pose(seen, float(scores[: len(seen)].mean()))


def _places(picture: Image.Image) -> dict[Box, float]:
    """Return the boxes of people, also of those whose face alone was found.

    Each has the mean score that its pose needs.
    """
    found = [each for each in detect_objects(picture, FAINTEST) if each.name == "person"]
    people = {each.box: MEAN if each.score > CLEAR else CONFIRMED for each in found}
    for face in detect_faces(picture, tiled=False):
        left, top, right, bottom = face.box
        across, down, size = (left + right) / 2, (top + bottom) / 2, bottom - top
        if not any(_has_head_at(box, across, down) for box in people):
            half, above, below = (share * size for share in BODY)
            bottom = min(down + below, picture.height)
            people[across - half, down - above, across + half, bottom] = MEAN
    largest = max(map(area, people), default=0.0)
    shares = {MEAN: SMALLEST, CONFIRMED: SMALLEST_FAINT}
    return {box: least for box, least in people.items() if area(box) >= shares[least] * largest}


def _has_head_at(box: Box, x: float, y: float) -> bool:
    """Whether a point is in the upper middle of a box, where a person has the head."""
    left, top, right, bottom = box
    quarter = (right - left) / 4
    return left + quarter < x < right - quarter and top <= y < top + (bottom - top) / 2


def _same(one: Pose, other: Pose) -> bool:
    """Whether two poses are those of one person, found twice."""
    shared = sorted(set(one.points) & set(other.points))
    if not shared:
        return False
    first, second = (np.array([pose.points[name] for name in shared]) for pose in (one, other))
    extent = min(float(np.ptp(points, axis=0).max()) for points in (first, second))
    return float(np.median(np.hypot(*(first - second).T))) < SAME * max(extent, 1.0)


def poses(image: Image.Image) -> list[Pose]:
    """Return the poses of the people in an image, the surest first."""
    picture = flatten(image)
    places = _places(picture).items()
    found = filter(None, (_pose(_read(picture, box), least) for box, least in places))
    kept: list[Pose] = []
    for pose in sorted(found, key=lambda pose: -pose.score):
        if not any(_same(pose, other) for other in kept):
            kept.append(pose)
    return kept


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
