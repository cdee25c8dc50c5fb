"""Everyday objects in an image, found by NanoDet-m (COCO's 80 classes)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

from .arrays import Array, Box, flatten, scaled
from .networks import run, softmax

SIDE = 416
STRIDES = {2704: 8, 676: 16, 169: 32}
BINS = np.arange(11, dtype=np.float32)
# OpenCV's channel order: blue, green, red. Fed as RGB / 255 the network takes a cup for a toilet.
MEAN = np.array([103.53, 116.28, 123.675], np.float32)
DEVIATION = np.array([57.375, 57.12, 58.395], np.float32)

NAMES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "television", "laptop", "mouse",
    "remote control", "keyboard", "mobile phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair dryer", "toothbrush",
)  # fmt: skip


@dataclass(frozen=True)
class Detection:
    """One object: COCO name, score in 0..1, box (left, top, right, bottom) in pixels."""

    name: str
    score: float
    box: Box


D = TypeVar("D", bound=Detection)


def area(box: Box) -> float:
    """Return a box's area, 0 if it is empty."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def overlap(one: Box, other: Box) -> float:
    """Return the intersection over union of two boxes."""
    left, top, right, bottom = zip(one, other, strict=True)
    shared = area((max(left), max(top), min(right), min(bottom)))
    return shared / (area(one) + area(other) - shared + 1e-9)


def _feed(image: Image.Image, scale: float) -> Array:
    canvas = Image.new("RGB", (SIDE, SIDE), (114, 114, 114))
    canvas.paste(image.resize(scaled(image.size, scale), Image.Resampling.BILINEAR), (0, 0))
    blue_first = np.asarray(canvas, np.float32)[..., ::-1]
    return np.asarray(((blue_first - MEAN) / DEVIATION).transpose(2, 0, 1)[None])


def _boxes(offsets: Array, cells: Array, stride: int) -> Array:
    """Decode box sides (each a distribution over 11 bins, in strides) around the cells' centres."""
    sides = (softmax(offsets.reshape(-1, 4, 11)) * BINS).sum(-1) * stride
    across = SIDE // stride
    centres = (np.stack([cells % across, cells // across], -1) + 0.5) * stride
    return np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], -1)


def distinct(found: list[D], limit: float) -> list[D]:
    """Keep the best of the boxes that overlap (non-maximum suppression by name), best first."""
    kept: list[D] = []
    for one in sorted(found, key=lambda each: -each.score):
        if all(one.name != other.name or overlap(one.box, other.box) < limit for other in kept):
            kept.append(one)
    return kept


def detect_objects(image: Image.Image, threshold: float = 0.4) -> list[Detection]:
    """Return the objects scored above `threshold`, best first, boxes in the image's pixels."""
    picture = flatten(image)
    scale = SIDE / max(picture.size)
    outputs = list(run("nanodet", _feed(picture, scale)).values())
    offsets = {out.shape[1]: out[0] for out in outputs if out.shape[2] == 44}
    found = []
    for scores in (out[0] for out in outputs if out.shape[2] == 80):
        cells = np.flatnonzero(scores.max(1) > threshold)
        places = offsets[len(scores)][cells], cells.astype(np.float32), STRIDES[len(scores)]
        boxes = (_boxes(*places) / scale).tolist()
        for row, (left, top, right, bottom) in zip(scores[cells], boxes, strict=True):
            best = int(row.argmax())
            found.append(Detection(NAMES[best], float(row[best]), (left, top, right, bottom)))
    return distinct(found, limit=0.5)
