"""Cutting the subject out: U2-Net-p's coarse mask, drawn to the picture's own edges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .networks import Array, flatten, shrink, subject_mask

Floats = NDArray[np.floating[Any]]

SIDE, RADIUS = 640, 6
# What counts as a flat area, as variance of grey in 0..1: the smaller, the finer the edges.
FLAT = 1e-4
# The network is seldom quite sure; below and above these it counts as sure.
LOW, HIGH = 0.12, 0.88
ROWS = 512


def box_mean(values: Floats, radius: int) -> Array:
    """Return the mean of the square of 2 * radius + 1 pixels around each pixel."""
    side = 2 * radius + 1
    padded = np.pad(values.astype(np.float64), radius, mode="edge")
    for axis in (0, 1):
        sums = np.cumsum(np.insert(padded, 0, 0, axis), axis)
        count = padded.shape[axis] - side + 1
        padded = np.take(sums, np.arange(side, side + count), axis) - np.take(
            sums, np.arange(count), axis
        )
    return np.asarray(padded / side**2, np.float32)


def guided(
    guide: Array, mask: Array, radius: int = RADIUS, flat: float = FLAT
) -> tuple[Array, Array]:
    """Return the guided filter's factors: the mask is the first * guide + the second."""
    mean, level = box_mean(guide, radius), box_mean(mask, radius)
    spread = box_mean(guide * guide, radius) - mean * mean
    slope = (box_mean(guide * mask, radius) - mean * level) / (spread + flat)
    return box_mean(slope, radius), box_mean(level - slope * mean, radius)


def grey(image: Image.Image) -> Array:
    """Return the picture's brightness, 0..1."""
    return np.asarray(np.asarray(image.convert("L"), np.float32) / 255, np.float32)


def _strips(height: int) -> Iterator[tuple[int, int]]:
    return ((top, min(height, top + ROWS)) for top in range(0, height, ROWS))


def _enlarged(values: Array, size: tuple[int, int], top: int, bottom: int) -> Array:
    """Return the rows from top to bottom of values resized to (width, height)."""
    height, width = values.shape
    scale = height / size[1]
    return np.asarray(
        Image.fromarray(values).resize(
            (size[0], bottom - top),
            Image.Resampling.BILINEAR,
            box=(0, top * scale, width, min(float(height), bottom * scale)),
        ),
        np.float32,
    )


def refined(image: Image.Image, mask: Array) -> Image.Image:
    """Return a coarse mask (0..1) on the edges of the picture and in its size (mode L).

    The filter's factors are found on a small copy and applied to the whole, strip by strip.
    """
    small = shrink(image, SIDE)
    coarse = np.asarray(Image.fromarray(mask).resize(small.size, Image.Resampling.BICUBIC))
    slope, offset = guided(grey(small), coarse)
    result = Image.new("L", image.size)
    for top, bottom in _strips(image.height):
        guide = grey(flatten(image.crop((0, top, image.width, bottom))))
        places = (image.size, top, bottom)
        alpha = _enlarged(slope, *places) * guide + _enlarged(offset, *places)
        steep = np.clip((alpha - LOW) / (HIGH - LOW), 0, 1)
        result.paste(Image.fromarray(np.rint(steep * 255).astype(np.uint8)), (0, top))
    return result


def alpha_of(image: Image.Image) -> Image.Image:
    """Return how much of each pixel belongs to the subject (mode L, the picture's size)."""
    return refined(image, subject_mask(image))
