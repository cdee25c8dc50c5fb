"""Filling gaps in pictures by PatchMatch: with patches from elsewhere in the picture."""

from __future__ import annotations

from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ..vision.arrays import Mask, Region, as_image, as_mask, box_mean, clipped, flatten, scaled

SIDE = 768
# A border is a larger gap than most, and takes longer.
OUTWARDS = 512
PATCH = 5
# Patches are searched within this many times the gap's size around it.
AROUND = 1.0
LEAST = 128
# At the edge of a border: where the step is measured, smoothed over how much, fading how fast.
STEP, REACH, DECAY, MOST_STEP = 6, 8, 60.0, 40.0

# PatchMatch keeps one seed for the whole process.
_lock = Lock()


def fill(image: Image.Image, holes: Mask, seed: int) -> Image.Image:
    """Return the picture (mode RGB) with its holes patched."""
    import patchmatch

    with _lock:
        patchmatch.set_random_seed(seed)
        pixels = patchmatch.inpaint(np.array(image), holes.astype(np.uint8), patch_size=PATCH)
    return Image.fromarray(pixels)


def _surroundings(holes: Mask) -> Region:
    """Return the box of the gap with its surroundings."""
    left, top, right, bottom = as_mask(holes).getbbox() or (0, 0, 0, 0)
    reach = max(LEAST, round(AROUND * max(right - left, bottom - top)))
    box = clipped((left - reach, top - reach, right + reach, bottom + reach), holes.shape[::-1])
    return int(box[0]), int(box[1]), int(box[2]), int(box[3])


def _shrunk(image: Image.Image, mask: Image.Image, side: int) -> tuple[Image.Image, Mask]:
    """Return picture and holes in the size to work at, without losing small holes."""
    scale = min(1.0, side / max(image.size))
    if scale == 1:
        return image, np.asarray(mask) > 0
    size = scaled(image.size, scale)
    # Resampling mixes the hole's edge into its neighbours, so these are patched as well.
    touched = mask.resize(size, Image.Resampling.BOX).point(lambda level: 255 * (level > 0))
    wide = touched.filter(ImageFilter.MaxFilter(7))
    return image.resize(size, Image.Resampling.LANCZOS), np.asarray(wide) > 0


def patched(image: Image.Image, holes: Mask, seed: int, side: int = SIDE) -> Image.Image:
    """Return the picture with its holes filled, all other pixels as they were (mode RGB)."""
    picture = flatten(image)
    box = _surroundings(holes)
    mask = as_mask(holes).crop(box)
    small, gaps = _shrunk(picture.crop(box), mask, side)
    patch = fill(small, gaps, seed).resize(mask.size, Image.Resampling.BICUBIC)
    result = picture.copy()
    result.paste(patch, box, mask)
    return result


def expanded(image: Image.Image, size: tuple[int, int], seed: int) -> Image.Image:
    """Return a picture of a larger size with this one in its middle, unchanged (mode RGB)."""
    picture = flatten(image)
    if size == picture.size:
        return picture
    corner = ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2)
    canvas = _extended(picture, size, corner)
    mask = Image.new("L", size, 255)
    mask.paste(0, (*corner, corner[0] + picture.width, corner[1] + picture.height))
    small, gaps = _shrunk(canvas, mask, OUTWARDS)
    border = _smoothed(np.asarray(fill(small, gaps, seed)), ~gaps)
    result = border.resize(size, Image.Resampling.BICUBIC)
    result.paste(picture, corner)
    return result


def _extended(picture: Image.Image, size: tuple[int, int], corner: tuple[int, int]) -> Image.Image:
    """Return the picture on a canvas that repeats its edge, as shrinking would darken that."""
    right, bottom = (size[i] - picture.size[i] - corner[i] for i in (0, 1))
    margins = ((corner[1], bottom), (corner[0], right), (0, 0))
    return Image.fromarray(np.pad(np.asarray(picture), margins, mode="edge"))


def _smoothed(filled: NDArray[np.uint8], kept: Mask) -> Image.Image:
    """Return the filled picture without the step in brightness around the kept part.

    The step is measured along the edge, smoothed, and added with less weight further out.
    """
    rows, columns = np.flatnonzero(kept.any(1)), np.flatnonzero(kept.any(0))
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    down, across = np.arange(kept.shape[0]), np.arange(kept.shape[1])
    inner_down, inner_across = np.clip(down, top, bottom), np.clip(across, left, right)
    outer_down = np.clip(down, max(0, top - STEP), min(down[-1], bottom + STEP))
    outer_across = np.clip(across, max(0, left - STEP), min(across[-1], right + STEP))
    soft = np.asarray(Image.fromarray(filled).filter(ImageFilter.MedianFilter(5)), np.float32)
    step = soft[np.ix_(inner_down, inner_across)] - soft[np.ix_(outer_down, outer_across)]
    smooth = np.stack([box_mean(channel, REACH) for channel in np.moveaxis(step, -1, 0)], -1)
    far = np.hypot((down - inner_down)[:, None], (across - inner_across)[None])
    weight = np.where(kept, 0, np.exp(-far / DECAY))[..., None]
    return as_image(filled + np.clip(smooth, -MOST_STEP, MOST_STEP) * weight)
