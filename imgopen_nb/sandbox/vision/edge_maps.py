"""Edge maps by plain image arithmetic: white lines on black, as ControlNet's preprocessors draw."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .arrays import Array, Mask, flatten, grown, resized, shrink

# Lines are searched at this size at most: finer ones are texture, and time grows with the area.
SIDE = 1024
# Rows and columns from a pixel to its neighbour along the gradient, by direction in eighths.
NEIGHBOURS = ((0, 1), (1, 1), (1, 0), (1, -1))
# An edge begins where the slope is among the steepest, and continues while it is not WEAK.
STEEPEST, FAINTEST, CLEAREST, WEAK = 0.93, 0.05, 0.22, 0.42
MOST_GROWTH = 200


def _blur(grey: Array, radius: float) -> Array:
    """Return a Gaussian blur in floats (Pillow's has eight bits); wide ones on a smaller copy."""
    if radius > 4 and min(grey.shape) > 16:
        factor = int(radius // 2)
        height, width = grey.shape
        size = (max(2, width // factor), max(2, height // factor))
        soft = _blur(resized(grey, size, Image.Resampling.BOX), radius / factor)
        return resized(soft, (width, height), Image.Resampling.BILINEAR)
    reach = max(1, round(3 * radius))
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    kernel = np.asarray(bell / bell.sum(), np.float32)
    return _along(_along(grey, kernel).T, kernel).T


def _along(values: Array, kernel: Array) -> Array:
    """Return the convolution of each column with a kernel."""
    reach = len(kernel) // 2
    pad = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    found = np.zeros_like(values)
    for at, weight in enumerate(kernel):
        found += weight * pad[at : at + len(values)]
    return found


def _grey(image: Image.Image) -> Array:
    return np.asarray(shrink(image, SIDE).convert("L"), np.float32) / np.float32(255)


def _drawn(lines: Array, size: tuple[int, int]) -> Image.Image:
    layer = Image.fromarray((np.clip(lines, 0, 1) * 255).astype(np.uint8))
    return layer if layer.size == size else layer.resize(size, Image.Resampling.BICUBIC)


def _slopes(grey: Array) -> tuple[Array, Array]:
    """Return Sobel's derivatives across and down, in grey levels per pixel."""
    pad = np.pad(grey, 1, mode="edge")
    down = np.asarray((pad[:-2] + 2 * pad[1:-1] + pad[2:]) / 4, np.float32)
    across = np.asarray((pad[:, :-2] + 2 * pad[:, 1:-1] + pad[:, 2:]) / 4, np.float32)
    return down[:, 2:] - down[:, :-2], across[2:] - across[:-2]


def _ridges(across: Array, down: Array, size: Array) -> Mask:
    """Return where the slope is the steepest along its own direction."""
    eighth = np.round(np.arctan2(down, across) / (np.pi / 4)).astype(int) % 4
    pad = np.pad(size, 1)
    height, width = size.shape
    kept = np.zeros(size.shape, bool)
    for way, (row, column) in enumerate(NEIGHBOURS):
        ahead = pad[1 + row : 1 + row + height, 1 + column : 1 + column + width]
        behind = pad[1 - row : 1 - row + height, 1 - column : 1 - column + width]
        kept |= (eighth == way) & (size > ahead) & (size >= behind)
    return kept


def canny(image: Image.Image) -> Image.Image:
    """Return Canny's edges, one pixel wide."""
    across, down = _slopes(_blur(_grey(image), 1.2))
    size = np.hypot(across, down)
    ridges = _ridges(across, down, size)
    strong = min(max(float(np.quantile(size, STEEPEST)), FAINTEST), CLEAREST)
    found = grown(ridges & (size > strong), ridges & (size > WEAK * strong), 1, MOST_GROWTH)
    return _drawn(found.astype(np.float32), image.size).point(lambda v: 255 if v > 96 else 0)


def _ink(grey: Array, fine: float, least: float, steepness: float) -> Array:
    """Return the ink, 0..1, of a pen drawing: extended differences of Gaussians.

    They are taken relative to the surroundings' light, so that dark regions get lines, not fills.
    """
    near, far = _blur(grey, fine), _blur(grey, 1.6 * fine)
    darker = (far - near) / (_blur(grey, 12 * fine) + 0.15)
    return np.asarray(np.tanh(steepness * np.clip(darker - least, 0, None)), np.float32)


def lineart(image: Image.Image) -> Image.Image:
    """Return lines of varying strength, by extended differences of Gaussians."""
    return _drawn(_ink(_grey(image), 1.0, 0.010, 24), image.size)


def scribble(image: Image.Image) -> Image.Image:
    """Return few, coarse lines, as drawn with a thick pen."""
    ink = _ink(_grey(image), 2.6, 0.022, 30)
    layer = _drawn((_blur(ink, 1.4) > 0.3).astype(np.float32), image.size)
    return layer.point(lambda v: 255 if v > 127 else 0)


def softedge(image: Image.Image) -> Image.Image:
    """Return soft edges: the steepest colour slope over three scales."""
    colours = np.asarray(shrink(image, SIDE // 2), np.float32) / np.float32(255)
    found = np.zeros(colours.shape[:2], np.float32)
    for radius, weight in ((1.2, 0.6), (2.4, 1.0), (4.8, 1.3)):
        bands = [np.hypot(*_slopes(_blur(colours[..., band], radius))) for band in range(3)]
        found = np.maximum(found, weight * np.max(bands, axis=0))
    top = max(float(np.quantile(found, 0.985)), 0.05)
    return _drawn(_blur(np.clip(found / top - 0.06, 0, 1), 0.8) ** 0.9, image.size)


def invert(image: Image.Image) -> Image.Image:
    """Return the negative: for drawings that are black on white."""
    return flatten(image).point(lambda value: 255 - value)
