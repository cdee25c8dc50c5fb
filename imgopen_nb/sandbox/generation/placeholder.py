"""Placeholder images: procedural, seeded, marked as such. No image model draws them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

from ..engine import EngineError
from ..vision import control_maps
from ..vision.arrays import shrink
from . import scenery
from .marking import mark
from .palettes import mix, palette_of
from .request import GenerationRequest, OnProgress

PREVIEW_SIDE = 192
STAGES = (0.35, 0.7)
LARGEST_CELLS = 768


def text2image(request: GenerationRequest, seed: int, report: OnProgress) -> Image.Image:
    """Return a procedural scene in the prompt's colours."""
    picture = scenery.draw(request.prompt, seed, request.size)
    return _finished(request, picture, seed, report)


def image2image(request: GenerationRequest, seed: int, report: OnProgress) -> Image.Image:
    """Return the input as a mosaic in the prompt's colours, the coarser the higher `denoising`.

    With a mask, all of this stays inside its white. The mark comes last, so that nothing cuts it;
    it lies in the white if there is room.
    """
    assert request.image is not None
    drawn = _mosaic(request, request.image, seed)
    if request.mask is None:
        return _finished(request, drawn, seed, report)
    room = _room(request.mask)
    masked = Image.composite(drawn, request.image, _feathered(request.mask))
    return _finished(request, masked, seed, report, room)


def controlnet(
    lines: Image.Image | None, request: GenerationRequest, seed: int, report: OnProgress
) -> Image.Image:
    """Return a dim scene with a control map drawn in light on it."""
    if lines is None:
        return text2image(request, seed, report)
    palette = palette_of(request.prompt)
    ground = scenery.draw(request.prompt, seed, request.size).filter(ImageFilter.GaussianBlur(6))
    dim = ground.point(lambda value: value * 0.45)
    if lines.mode == "L":
        light = mix(palette.disc, (255, 255, 255), 0.3)
        lines = ImageOps.colorize(lines.filter(ImageFilter.MaxFilter(3)), "black", light)
    glow = lines.filter(ImageFilter.GaussianBlur(max(request.size) / 90))
    picture = ImageChops.screen(ImageChops.screen(dim, glow), lines)
    return _finished(request, picture, seed, report)


def unit_of(control: object) -> Mapping[str, Any]:
    """Return the first control unit: the object itself, or the first of its `args` or `units`."""
    if not isinstance(control, Mapping):
        return {}
    for name in ("args", "units"):
        listed = control.get(name)
        if isinstance(listed, list) and listed and isinstance(listed[0], Mapping):
            return listed[0]
    return control


def control_map(
    unit: Mapping[str, Any], image: Image.Image | None
) -> tuple[Image.Image | None, dict[str, Any]]:
    """Return what the unit's module makes of the image, and what the answer says of it.

    With the module "none" the image is a map already.
    """
    name = str(unit.get("module") or unit.get("preprocessor") or "canny")
    if name.lower() == "none":
        return image, {}
    control_maps.find(name)
    return (None, {}) if image is None else control_maps.draw(name, image)


def _finished(
    request: GenerationRequest,
    picture: Image.Image,
    seed: int,
    report: OnProgress,
    box: tuple[int, int, int, int] | None = None,
) -> Image.Image:
    """Report progress as a diffusion model would, and return the image with its mark."""
    small = shrink(picture, PREVIEW_SIDE)
    noise = np.random.default_rng(seed).integers(0, 256, (small.height, small.width, 3), np.uint8)
    for share in STAGES:
        report(share, Image.blend(Image.fromarray(noise), small, share))
    marked = mark(picture, request.prompt, palette_of(request.prompt).disc, box)
    report(1.0, None)
    return marked


def _room(mask: Image.Image) -> tuple[int, int, int, int]:
    """Return the largest box about the middle of the white that is nearly all white."""
    white = mask.point(lambda value: 255 if value > 127 else 0)
    box = white.getbbox()
    if box is None:
        raise EngineError("mask contains no white, so nothing would be redrawn")
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    across, down = (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    for share in (1.0, 0.9, 0.8, 0.7, 0.6):
        inner = (round(x - share * across), round(y - share * down),
                 round(x + share * across), round(y + share * down))  # fmt: skip
        if np.asarray(white.crop(inner)).mean() > 248:
            return inner
    return box


def _feathered(mask: Image.Image) -> Image.Image:
    """Return the mask with a soft rim inside its white: outside nothing may change."""
    soft = mask.filter(ImageFilter.GaussianBlur(max(mask.size) / 200))
    rim = soft.point(lambda value: max(0, min(255, (value - 128) * 2)))
    return ImageChops.darker(rim, mask)


def _mosaic(request: GenerationRequest, image: Image.Image, seed: int) -> Image.Image:
    """Return the image in cells of even colour, tinted with the prompt's palette."""
    strength = request.denoising
    if not strength:
        return image
    small = shrink(image, LARGEST_CELLS)
    pixels = np.asarray(small, np.float32)
    count = max(8, round(110 * (1 - strength) ** 1.5 + 14))
    cells = _cells(small.size, max(small.size) / count, np.random.default_rng(seed))
    sizes = np.maximum(np.bincount(cells.ravel()), 1)
    means = [np.bincount(cells.ravel(), pixels[..., band].ravel()) / sizes for band in range(3)]
    even = Image.fromarray(np.stack(means, -1)[cells].astype(np.uint8))
    palette = palette_of(request.prompt)
    tones = ImageOps.colorize(even.convert("L"), palette.near, palette.disc, palette.far)
    tinted = Image.blend(even, tones, 0.75 * strength).resize(image.size, Image.Resampling.BICUBIC)
    return Image.blend(image, tinted, min(1.0, 1.6 * strength))


def _cells(
    size: tuple[int, int], side: float, chance: np.random.Generator
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return for each pixel the number of its nearest point, of points jittered about a grid."""
    width, height = size
    across, down = int(width / side) + 3, int(height / side) + 3
    points = chance.uniform(0.08, 0.92, (down, across, 2)).astype(np.float32)
    points += np.stack(np.meshgrid(np.arange(across), np.arange(down)), -1) - 1
    rows, columns = np.mgrid[:height, :width].astype(np.float32) / np.float32(side)
    best = np.full((height, width), np.inf, np.float32)
    nearest = np.zeros((height, width), np.int64)
    for row in range(-1, 2):
        for column in range(-1, 2):
            j = np.clip(rows.astype(int) + 1 + row, 0, down - 1)
            i = np.clip(columns.astype(int) + 1 + column, 0, across - 1)
            distance = (points[j, i, 0] - columns) ** 2 + (points[j, i, 1] - rows) ** 2
            closer = distance < best
            best[closer], nearest[closer] = distance[closer], (j * across + i)[closer]
    return nearest
