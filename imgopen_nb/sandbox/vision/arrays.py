"""Images as numpy arrays and back: sizes, boxes, masks and means that several rooms share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
# Left, top, right, bottom in pixels.
Box = tuple[float, float, float, float]
Region = tuple[int, int, int, int]


def flatten(image: Image.Image) -> Image.Image:
    """Return the image in mode RGB, what is transparent shown on white."""
    if image.mode == "RGB":
        return image
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def seen_through(result: Image.Image, image: Image.Image) -> Image.Image:
    """Return an image made from `image`, of its size, with the alpha that this has, if any."""
    if image.mode == "RGBA":
        result = result.convert("RGB")
        result.putalpha(image.getchannel("A"))
    return result


def scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return a size times `scale`, each side at least one pixel."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def shrink(image: Image.Image, side: int) -> Image.Image:
    """Return the image in mode RGB with its long side at most `side` pixels."""
    size = scaled(image.size, min(1.0, side / max(image.size)))
    picture = flatten(image)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)


def middle(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the middle of an image, at most of that size."""
    width, height = min(size[0], image.width), min(size[1], image.height)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def clipped(box: Box, size: tuple[int, int]) -> Box:
    """Return the part of a box that lies within an image of that size."""
    left, top, right, bottom = box
    return max(0, left), max(0, top), min(size[0], right), min(size[1], bottom)


def grey(image: Image.Image) -> Array:
    """Return the image's brightness, 0..1."""
    return np.asarray(np.asarray(image.convert("L"), np.float32) / 255, np.float32)


def as_image(pixels: Floats) -> Image.Image:
    """Return the image of pixels in 0..255, rounded and clipped."""
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def as_mask(mask: Mask) -> Image.Image:
    """Return the image (mode L) that is white where the mask is true."""
    return Image.fromarray(mask.astype(np.uint8) * 255)


def resized(
    values: Array,
    size: tuple[int, int],
    resampling: Image.Resampling = Image.Resampling.LANCZOS,
    box: Box | None = None,
) -> Array:
    """Return values (height, width) or (height, width, channels) at another (width, height).

    They are neither rounded nor clipped. `box` names the part to resize.
    """
    if values.ndim == 3:
        channels = np.moveaxis(values, -1, 0)
        return np.stack([resized(each, size, resampling, box) for each in channels], -1)
    layer = Image.fromarray(np.ascontiguousarray(values))
    return np.asarray(layer.resize(size, resampling, box), np.float32)


def window_mean(values: Floats, side: int) -> Array:
    """Return the mean of each square of `side` pixels that lies within the values."""
    sums = values.astype(np.float64)
    for axis in (0, 1):
        sums = np.insert(sums, 0, 0, axis).cumsum(axis)
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return np.asarray(total / side**2, np.float32)


def box_mean(values: Floats, radius: int) -> Array:
    """Return the mean of the square of 2 * radius + 1 pixels around each pixel."""
    return window_mean(np.pad(values, radius, mode="edge"), 2 * radius + 1)


def grown(seeds: Mask, allowed: Mask, reach: int, rounds: int) -> Mask:
    """Return the parts of `allowed` that the seeds lead to in steps of at most `reach` pixels."""
    reached = seeds & allowed
    for _ in range(rounds):
        wider = reached
        for _ in range(reach):
            wider = _widened(wider)
        wider = wider & allowed
        if np.count_nonzero(wider) == np.count_nonzero(reached):
            break
        reached = wider
    return reached


def _widened(mask: Mask) -> Mask:
    """Return the mask with one pixel more on every side."""
    rows = mask.copy()
    rows[1:] |= mask[:-1]
    rows[:-1] |= mask[1:]
    wide = rows.copy()
    wide[:, 1:] |= rows[:, :-1]
    wide[:, :-1] |= rows[:, 1:]
    return wide
