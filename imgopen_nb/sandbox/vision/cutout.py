"""Cutting the subject out: U2-Net-p's coarse mask, refined along the image's edges."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..engine import EngineError
from .arrays import Array, as_image, box_mean, flatten, grey, resized, shrink
from .colours import lab
from .networks import stretched, subject_map, subject_mask
from .tones import measure

SIDE, RADIUS = 640, 6
# An area with less variance of grey (0..1) is flat: the smaller, the finer the edges.
FLAT = 1e-4
# The network is rarely quite sure; below and above these values it counts as sure.
LOW, HIGH = 0.12, 0.88
ROWS = 512
# On 60 images the network was this sure of a subject (`LIKELY` of one that fills `LARGE` of the
# image), and less than `DOUBTFUL` of most plain and patterned areas. In between the colour
# decides: it must differ from the mean of the others by so many times their spread.
SURE, LIKELY, LARGE, DOUBTFUL, STANDS_OUT = 0.99, 0.9, 0.05, 0.5, 3.0
# The colours of the sixteen parts of an even surface differ less than this (in Lab).
EVEN = 6.0
NO_SUBJECT = "no subject found in the image; use one where something stands out from its background"


def guided(
    guide: Array, mask: Array, radius: int = RADIUS, flat: float = FLAT
) -> tuple[Array, Array]:
    """Return the guided filter's factors: the mask is the first * guide + the second."""
    mean, level = box_mean(guide, radius), box_mean(mask, radius)
    spread = box_mean(guide * guide, radius) - mean * mean
    slope = (box_mean(guide * mask, radius) - mean * level) / (spread + flat)
    return box_mean(slope, radius), box_mean(level - slope * mean, radius)


def refined(image: Image.Image, mask: Array) -> Image.Image:
    """Return a coarse mask (0..1) on the edges of the image and in its size (mode L).

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


def found_subject(image: Image.Image, side: int = 320) -> Array:
    """Return the map of the subject, `side` by `side`, each value in 0..1.

    Raises:
        EngineError: nothing stands out.
    """
    if _is_surface(image):
        raise EngineError(NO_SUBJECT)
    found = subject_map(image, side)
    top = float(found.max())
    sure = top > SURE or (top > LIKELY and float((found > DOUBTFUL).mean()) > LARGE)
    if top < DOUBTFUL or not (sure or _stands_out(image, found)):
        raise EngineError(NO_SUBJECT)
    return stretched(found)


def _is_surface(image: Image.Image) -> bool:
    """Return whether an image is one colour, an even pattern or noise, the same all over."""
    picture = flatten(image)
    if len(picture.getcolors(1) or "") == 1:
        return True
    small = shrink(picture, 256)
    if measure(small).texture not in ("noise", "pattern"):
        return False
    cells = np.asarray(small.resize((4, 4), Image.Resampling.BOX))
    return float(lab(cells).std(axis=(0, 1)).sum()) < EVEN


def _stands_out(image: Image.Image, found: Array) -> bool:
    """Return whether the colours where a subject may be are unlike those around it."""
    side = len(found)
    colours = lab(np.asarray(flatten(image).resize((side, side), Image.Resampling.BILINEAR)))
    inside, outside = colours[found > DOUBTFUL], colours[found < 0.1]
    if not len(inside) or not len(outside):
        return False
    distance = float(np.linalg.norm(inside.mean(0) - outside.mean(0)))
    return distance > STANDS_OUT * (float(np.linalg.norm(outside.std(0))) + 1)


def cut_out(image: Image.Image) -> Image.Image:
    """Return how much of each pixel belongs to the subject, as `alpha_of`, if there is one.

    Raises:
        EngineError: nothing stands out.
    """
    return refined(image, found_subject(image))


def alpha_of(image: Image.Image) -> Image.Image:
    """Return how much of each pixel belongs to the subject (mode L, the image's size).

    There is always one: where nothing stands out, it is a guess.
    """
    return refined(image, subject_mask(image))
