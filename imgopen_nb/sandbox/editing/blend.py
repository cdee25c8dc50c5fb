"""Blending one image into another without a seam: colours matched, gradients kept (Poisson)."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageFilter

from ..vision.arrays import Array, Floats, Mask, as_mask, box_mean

# Brightness, blue against yellow, red against green: nearly uncorrelated in photographs.
OPPONENT = np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]], np.float32)
OPPONENT /= np.linalg.norm(OPPONENT, axis=1, keepdims=True)
# Beyond this, matching the spread turns noise into colour.
LEAST_SPREAD, MOST_SPREAD = 0.6, 1.5


def match_colours(pixels: Array, wanted: Array, where: Mask) -> Array:
    """Return pixels with the mean and spread that `wanted` has at `where`, in opponent colours."""
    here, there = pixels[where] @ OPPONENT.T, wanted[where] @ OPPONENT.T
    spread = np.clip((there.std(0) + 1) / (here.std(0) + 1), LEAST_SPREAD, MOST_SPREAD)
    matched = (pixels @ OPPONENT.T - here.mean(0)) * spread + there.mean(0)
    return np.asarray(matched @ OPPONENT, np.float32)


def _sines(values: Floats, axis: int) -> Floats:
    """Return the sine transform (DST-I) along an axis, by the FFT of the odd continuation."""
    turned = np.moveaxis(values, axis, -1)
    length = turned.shape[-1]
    odd = np.zeros((*turned.shape[:-1], 2 * (length + 1)))
    odd[..., 1 : length + 1] = turned
    odd[..., length + 2 :] = -turned[..., ::-1]
    return np.moveaxis(-np.fft.rfft(odd)[..., 1 : length + 1].imag / 2, -1, axis)


def _wave_numbers(length: int) -> Floats:
    return 2 * np.cos(np.pi * np.arange(1, length + 1) / (length + 1)) - 2


def _solve(divergence: Floats, screen: float) -> Floats:
    """Return the field u of lap(u) - screen * u = divergence which is 0 around the rectangle."""
    height, width = divergence.shape
    waves = _wave_numbers(height)[:, None] + _wave_numbers(width)[None]
    spectrum = _sines(_sines(divergence, 0), 1) / (waves - screen)
    return np.asarray(_sines(_sines(spectrum, 0), 1) * (4 / ((height + 1) * (width + 1))))


def poisson(pixels: Array, base: Array, inside: Mask, reach: float = math.inf) -> Array:
    """Return `base` with the gradients of `pixels` inside the mask, its own outside.

    The equation is solved for the difference to `base`, which is 0 at the border and has no
    gradient outside. Further than about `reach` from the mask's edge the levels of `pixels` win:
    a strand of hair at the edge must not change the brightness of a whole face.
    """
    result, screen = base.copy(), 1 / reach**2
    across, down = inside[:, 1:] & inside[:, :-1], inside[1:] & inside[:-1]
    for channel in range(base.shape[2]):
        difference = (pixels[..., channel] - base[..., channel]).astype(np.float64)
        steps_x, steps_y = np.diff(difference, axis=1) * across, np.diff(difference, axis=0) * down
        divergence = np.diff(steps_x, axis=1)[1:-1] + np.diff(steps_y, axis=0)[:, 1:-1]
        divergence -= screen * (difference * inside)[1:-1, 1:-1]
        result[1:-1, 1:-1, channel] += _solve(divergence, screen)
    return result


def eroded(mask: Mask, pixels: int) -> Mask:
    """Return the mask without its outer pixels."""
    side = 2 * pixels + 1
    return np.asarray(box_mean(mask.astype(np.float64), pixels) > 1 - 0.5 / side**2)


def feathered(mask: Mask, pixels: float) -> Image.Image:
    """Return weights (mode L) that grow inwards from 0 at the mask's edge; 0 outside it."""
    drawn = as_mask(eroded(mask, round(pixels)))
    soft = np.asarray(drawn.filter(ImageFilter.GaussianBlur(pixels / 2)))
    return Image.fromarray(np.where(mask, soft, 0).astype(np.uint8))
