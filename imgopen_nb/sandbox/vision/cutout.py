"""Cutting the subject out: U2-Net-p's coarse mask, refined along the picture's edges."""

from __future__ import annotations

from PIL import Image

from .arrays import Array, as_image, box_mean, flatten, grey, resized, shrink
from .networks import subject_mask

SIDE, RADIUS = 640, 6
# An area with less variance of grey (0..1) is flat: the smaller, the finer the edges.
FLAT = 1e-4
# The network is rarely quite sure; below and above these values it counts as sure.
LOW, HIGH = 0.12, 0.88
ROWS = 512


def guided(
    guide: Array, mask: Array, radius: int = RADIUS, flat: float = FLAT
) -> tuple[Array, Array]:
    """Return the guided filter's factors: the mask is the first * guide + the second."""
    mean, level = box_mean(guide, radius), box_mean(mask, radius)
    spread = box_mean(guide * guide, radius) - mean * mean
    slope = (box_mean(guide * mask, radius) - mean * level) / (spread + flat)
    return box_mean(slope, radius), box_mean(level - slope * mean, radius)


def refined(image: Image.Image, mask: Array) -> Image.Image:
    """Return a coarse mask (0..1) on the edges of the picture and in its size (mode L).

    The filter's factors are found on a small copy and applied to the whole, strip by strip.
    """
    small = shrink(image, SIDE)
    factors = guided(grey(small), resized(mask, small.size, Image.Resampling.BICUBIC))
    result = Image.new("L", image.size)
    scale = small.height / image.height
    for top in range(0, image.height, ROWS):
        bottom = min(image.height, top + ROWS)
        box = (0, top * scale, small.width, min(small.height, bottom * scale))
        size = (image.width, bottom - top)
        slope, offset = (resized(each, size, Image.Resampling.BILINEAR, box) for each in factors)
        alpha = slope * grey(flatten(image.crop((0, top, image.width, bottom)))) + offset
        result.paste(as_image((alpha - LOW) / (HIGH - LOW) * 255), (0, top))
    return result


def alpha_of(image: Image.Image) -> Image.Image:
    """Return how much of each pixel belongs to the subject (mode L, the picture's size)."""
    return refined(image, subject_mask(image))
