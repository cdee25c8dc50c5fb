"""What kind of image it is (photograph, drawing, page ...), before anything in it is named.

The head was trained by `models/train_medium.py`, on EfficientNet's features and on the numbers of
`statistics`: drawings and pages have few colours, flat areas and a backdrop of one colour.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

from .arrays import Array, Mask, shrink
from .networks import MODELS, softmax

SIDE = 384
# Colours nearer than this (largest difference of a channel, 0..255) count as one.
ALIKE = 24
# A frame is at most this wide, a share of the short side, and has this little of its colour within.
FRAME, WITHIN = 0.08, 0.2


def border(pixels: Array) -> tuple[Array, float]:
    """Return the median colour of an image's outermost pixels, and the share that have it."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = np.median(edge, axis=0)
    return colour, float((np.abs(edge - colour).max(-1) < ALIKE).mean())


def is_framed(pixels: Array) -> bool:
    """Whether the colour of the outermost pixels is that of a frame: it is rare further in."""
    colour, _ = border(pixels)
    width = max(1, round(FRAME * min(pixels.shape[:2])))
    inner = pixels[width:-width, width:-width]
    if not inner.size:
        return False
    edge = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
    return float((np.abs(edge - colour).max(-1) < ALIKE).mean()) < WITHIN


def inked(pixels: Array) -> Mask:
    """Return which pixels differ clearly from the outermost ones."""
    return np.asarray(np.abs(pixels - border(pixels)[0]).max(-1) > 2 * ALIKE)


def tones_share(pixels: Array) -> float:
    """Return the share of the pixels that have one of the image's two commonest colours."""
    coarse = (pixels // 32).astype(np.int32) @ np.array([64, 8, 1])
    return float(np.sort(np.bincount(coarse.ravel()))[-2:].sum() / coarse.size)


def statistics(image: Image.Image) -> Array:
    """Return eight numbers that tell drawings, pages and screens from photographs."""
    pixels = np.asarray(shrink(image, SIDE), np.float32)
    edge, ink = border(pixels)[1], inked(pixels)
    steps = np.abs(np.diff(pixels, axis=1)).max(-1)
    coarse = (pixels // 32).astype(np.int32) @ np.array([64, 8, 1])
    commonest = np.bincount(coarse.ravel(), minlength=512) / coarse.size
    lines = [np.abs(np.diff(np.r_[0, ink.mean(axis) > 0.04])).sum() for axis in (0, 1)]
    numbers = [
        float((steps < 3).mean()) if steps.size else 1.0,
        edge,
        float(ink.mean()),
        tones_share(pixels),
        float(np.log1p((commonest > 0.001).sum())),
        float((pixels.max(-1) - pixels.min(-1)).mean()) / 255,
        lines[1] / len(pixels),
        lines[0] / pixels.shape[1],
    ]
    return np.array(numbers, np.float32)


@cache
def _head() -> tuple[tuple[str, ...], Array, Array]:
    """Return the media's names, the weights of shape (1288, media) and the offsets."""
    with np.load(MODELS / "medium_head.npz") as stored:
        names = tuple(str(name) for name in stored["names"])
        return names, stored["weights"].astype(np.float32), stored["offsets"].astype(np.float32)


def recognise(image: Image.Image, features: Array) -> dict[str, float]:
    """Return the probability of each medium, from EfficientNet's features of the whole image."""
    names, weights, offsets = _head()
    odds = softmax(np.concatenate([features, statistics(image)]) @ weights + offsets)
    return dict(zip(names, odds.tolist(), strict=True))
