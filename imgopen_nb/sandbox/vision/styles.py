"""The style of an image (photo, sketch, ...), by the head that `models/train_style.py` trained."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

from .arrays import Array, middle, shrink
from .networks import MODELS, classify, softmax

SIDE = 512


@cache
def _head() -> tuple[tuple[str, ...], Array, Array]:
    """Return the styles' names, the weights of shape (2560, styles) and the offsets."""
    with np.load(MODELS / "style_head.npz") as stored:
        names = tuple(str(name) for name in stored["names"])
        return names, stored["weights"].astype(np.float32), stored["offsets"].astype(np.float32)


def features(image: Image.Image) -> Array:
    """Return 2560 features: EfficientNet's of the whole image, and of its enlarged middle."""
    picture = shrink(image, SIDE)
    side = max(1, min(picture.size) // 2)
    near = middle(picture, (side, side))
    return np.concatenate([classify(picture)[1], classify(near)[1]])


def recognise(image: Image.Image) -> list[tuple[str, float]]:
    """Return all styles with their probabilities, likeliest first."""
    names, weights, offsets = _head()
    odds = softmax(features(image) @ weights + offsets)
    return sorted(zip(names, odds.tolist(), strict=True), key=lambda each: -each[1])
