"""Light, colourfulness and texture of an image, measured without any network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from .arrays import Array, middle, resized, shrink
from .colours import lab

Texture = Literal["plain", "gradient", "noise", "pattern", "picture"]


@dataclass(frozen=True)
class Tone:
    """Lightness and contrast in L* (0..100), mean chroma, and what kind of surface the image is.

    `sky` is how much more smooth blue there is in the upper third than in the lower, `green` the
    share of plant-green pixels, `lights` that of bright pixels in an otherwise dark image.
    """

    lightness: float
    contrast: float
    chroma: float
    monochrome: bool
    texture: Texture
    sky: float
    green: float
    lights: float


def _gradient(light: Array) -> Array:
    """Return the size of the lightness gradient, of the input's shape, in L* per pixel."""
    down = np.abs(np.diff(light, axis=0, prepend=light[:1]))
    across = np.abs(np.diff(light, axis=1, prepend=light[:, :1]))
    return np.asarray(np.hypot(down, across), np.float32)


def _evenness(detail: Array) -> float:
    cells = [
        cell.mean()
        for rows in np.array_split(detail, 4)
        for cell in np.array_split(rows, 4, axis=1)
        if cell.size
    ]
    mean = float(np.mean(cells))
    return float(np.std(cells)) / mean if mean > 1e-6 else 0.0


def _likeness(light: Array) -> float:
    """Return the correlation of neighbouring pixels: near 1 for images, near 0 for noise."""
    if min(light.shape) < 8 or float(light.std()) < 1:
        return 1.0
    return float(np.corrcoef(light[:, 1:].ravel(), light[:, :-1].ravel())[0, 1])


def _texture(pixels: Array, detail: Array, likeness: float) -> Texture:
    if float(pixels.std(axis=(0, 1)).max()) < 2:
        return "plain"
    if likeness < 0.4:
        return "noise"
    if float(np.quantile(detail, 0.995)) < 4:
        return "gradient"
    return "pattern" if _evenness(detail) < 0.2 else "picture"


def _sky(pixels: Array, detail: Array) -> float:
    """Return the share of smooth blue in the upper third, less that in the lower."""
    light, green_red, blue_yellow = np.moveaxis(pixels, -1, 0)
    # Mist is bluish too, and so are a dusk and a night: neither is a blue sky.
    blue = (blue_yellow < -10) & (np.abs(green_red) < 18) & (light > 40) & (detail < 3)
    third = max(1, len(pixels) // 3)
    return max(0.0, float(blue[:third].mean() - blue[-third:].mean()))


def _lights(light: Array) -> float:
    return float((light > 50).mean()) if float(np.median(light)) < 12 else 0.0


def measure(picture: Image.Image) -> Tone:
    """Measure an image in mode RGB."""
    pixels = lab(np.asarray(shrink(picture, 256)))
    detail = _gradient(pixels[..., 0])
    chroma = np.hypot(pixels[..., 1], pixels[..., 2])
    likeness = _likeness(lab(np.asarray(middle(picture, (256, 256))))[..., 0])
    greens = (pixels[..., 1] < -8) & (pixels[..., 2] > 8)
    return Tone(
        lightness=float(pixels[..., 0].mean()),
        contrast=float(pixels[..., 0].std()),
        chroma=float(chroma.mean()),
        monochrome=float(np.quantile(chroma, 0.995)) < 8,
        texture=_texture(pixels, detail, likeness),
        sky=_sky(pixels, detail),
        green=float(greens.mean()),
        lights=_lights(pixels[..., 0]),
    )


def sharpness(picture: Image.Image, mask: Array) -> float:
    """Return how many times sharper the masked subject is than its surroundings."""
    small = shrink(picture, 400).convert("L")
    detail = _gradient(np.asarray(small, np.float32) / 2.55) ** 2
    fitted = resized(mask, small.size, Image.Resampling.BILINEAR)
    inside, around = detail[fitted > 0.6], detail[fitted < 0.1]
    if not inside.size or not around.size:
        return 1.0
    return float(inside.mean()) / (float(around.mean()) + 0.1)
