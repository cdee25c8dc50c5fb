"""Filling gaps in images by PatchMatch: with patches from elsewhere in the image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from ..engine import EngineError
from ..vision.arrays import (
    Array,
    Mask,
    Region,
    as_image,
    as_mask,
    box_mean,
    clipped,
    flatten,
    grown,
    resized,
    scaled,
    shrink,
)
from ..vision.colours import clusters, distances, lab
from ..vision.cutout import cut_out
from ..vision.faces import detect_faces

SIDE = 768
# A border is a larger gap than most, and takes longer.
OUTWARDS = 512
PATCH = 5
# Patches are searched within this many times the gap's size around it.
AROUND = 1.0
LEAST = 128
# What is removed is told from its surroundings by the colours of a ring around the gap, that wide
# by the gap's size. A colour is the object's if it fills that many times more of the gap than of
# the ring, and little of the ring.
RING, COLOURS, OWN, MOST_AROUND = 0.15, 8, 2.0, 0.2
# Nothing is copied from areas of the object's colours, if so much is left to copy from.
SOLID, ROOM, LEAST_LEFT = 3, 4, 0.15
# Within a ring that is as smooth as this (in grey levels) no patches are needed.
SMOOTH = 6.0
# The fill looks like what was removed if so much of their colours, or of the object's, is the same.
ALIKE, STILL_THERE = 0.75, 0.5
# An object is cut if its colours lie on so much of the outer rim of the gap.
CUT = 0.05
# A border repeats no head (how far it reaches around the box of a face: to the sides, up and down),
# and the subject only from the image's rim, this wide by its short side, to continue it there.
HEAD, RIM = (0.4, 0.8, 0.3), 0.12
# At the edge of a border: where the step is measured, smoothed over how much, fading how fast.
STEP, REACH, DECAY, MOST_STEP = 6, 8, 60.0, 40.0

# PatchMatch takes seconds for so many pixels; larger gaps are worked at in a smaller size.
MOST_PIXELS = 60_000

# Gaps are told apart in a mask of this size; so many of them are filled one by one.
APART, MOST_GAPS = 192, 8

# PatchMatch keeps one seed for the whole process.
_lock = Lock()


def fill(image: Image.Image, holes: Mask, seed: int, never: Mask | None = None) -> Image.Image:
    """Return the image (mode RGB) with its holes patched; nothing is copied from `never`."""
    import patchmatch

    with _lock:
        patchmatch.set_random_seed(seed)
        left_out = never.astype(np.uint8) if never is not None and never.any() else None
        pixels = patchmatch.inpaint(
            np.array(image), holes.astype(np.uint8), global_mask=left_out, patch_size=PATCH
        )
    return Image.fromarray(pixels)


@dataclass(frozen=True)
class Flaws:
    """What may be wrong with a fill.

    Attributes:
        alike: it looks like what was removed.
        cut: what was removed goes on beyond the edge of the gap.
    """

    alike: bool
    cut: bool


@dataclass(frozen=True)
class Surroundings:
    """The colours of a gap and of a ring around it.

    Attributes:
        near: the ring, without what has the object's colours.
        labels: for each pixel, the number of its colour, 0..`COLOURS` - 1.
        centres: the colours in Lab.
        own: for each colour, whether it is the object's alone.
    """

    near: Mask
    labels: NDArray[np.intp]
    centres: Array
    own: Mask


def _look(image: Image.Image, holes: Mask, unknown: Mask) -> Surroundings:
    """Compare what is in the holes of an image (mode RGB) with what is around them."""
    left, top, right, bottom = as_mask(holes).getbbox() or (0, 0, 0, 0)
    reach = max(4, round(RING * min(right - left, bottom - top)))
    ring = grown(holes, np.ones_like(holes), reach, 1) & ~holes & ~unknown
    colours = lab(np.asarray(image.filter(ImageFilter.GaussianBlur(1))))
    points = colours[holes | ring]
    centres = clusters(points[:: max(1, len(points) // 20_000)], COLOURS)
    labels = _labels(colours, centres)
    inside, around = _shares(labels, holes), _shares(labels, ring)
    own = (inside > OWN * around) & (around < MOST_AROUND)
    return Surroundings(ring & ~own[labels], labels, centres, own)


def _labels(colours: Array, centres: Array) -> NDArray[np.intp]:
    found = [distances(row, centres).argmin(1) for row in colours]
    return np.stack(found)


def _shares(labels: NDArray[np.intp], where: Mask) -> Array:
    """Return the share of each colour at `where`."""
    counts = np.bincount(labels[where], minlength=COLOURS)
    return np.asarray(counts / max(1, counts.sum()), np.float32)


def _alike_areas(around: Surroundings, known: Mask) -> Mask:
    """Return other objects in the colours of the removed one; none if that left too little."""
    own = around.own[around.labels].astype(np.float32)
    solid = box_mean(own, SOLID) > 0.5
    alike = grown(solid, np.ones_like(solid), ROOM, 1) & known
    enough = (known & ~alike).sum() > LEAST_LEFT * known.sum()
    return alike if enough else np.zeros_like(alike)


def _diffused(pixels: Array, holes: Mask) -> Array:
    """Return pixels (height, width, channels) with holes filled smoothly from their edges.

    Each level of a pyramid takes the means of the known pixels below it and gives them back.
    """
    known = np.where(holes, 0, 1).astype(np.float32)[..., None]
    if not holes.any() or min(holes.shape) < 2:
        return np.where(holes[..., None], _mean_of(pixels, ~holes), pixels).astype(np.float32)
    height, width = holes.shape
    half = ((width + 1) // 2, (height + 1) // 2)
    weights = resized(known[..., 0], half, Image.Resampling.BOX)
    sums = resized(pixels * known, half, Image.Resampling.BOX)
    coarse = np.asarray(sums / np.maximum(weights, 1e-6)[..., None], np.float32)
    lower = _diffused(coarse, weights <= 1e-6)
    filled = resized(lower, (width, height), Image.Resampling.BICUBIC)
    for _ in range(8):
        filled = np.where(holes[..., None], filled, pixels)
        filled = np.stack([box_mean(each, 1) for each in np.moveaxis(filled, -1, 0)], -1)
    return np.where(holes[..., None], filled, pixels).astype(np.float32)


def _mean_of(pixels: Array, where: Mask) -> Array:
    return np.asarray(pixels[where].mean(0) if where.any() else 0 * pixels[0, 0])


def _roughness(image: Image.Image, where: Mask) -> float:
    """Return the largest difference of a pixel to the mean around it, in grey levels."""
    level = np.asarray(image.convert("L"), np.float32)
    return float(np.abs(level - box_mean(level, 1))[where].max(initial=0))


def _filled(image: Image.Image, holes: Mask, unknown: Mask, seed: int) -> tuple[Image.Image, Flaws]:
    """Return an image with its holes filled, and what may be wrong with the fill."""
    around = _look(image, holes, unknown)
    if around.near.any() and _roughness(image, around.near) < SMOOTH:
        patch = as_image(_diffused(np.asarray(image, np.float32), holes | unknown))
    else:
        alike = _alike_areas(around, ~holes & ~unknown)
        patch = fill(image, holes, seed, alike | unknown)
    blurred = patch.filter(ImageFilter.GaussianBlur(1))
    before = _shares(around.labels, holes)
    after = _shares(_labels(lab(np.asarray(blurred)), around.centres), holes)
    rim = grown(holes, np.ones_like(holes), 2, 1) & ~holes & ~unknown
    own = box_mean(around.own[around.labels].astype(np.float32), 1) > 0.5
    cut = bool((own & rim).sum() > CUT * rim.sum())
    if around.own.any():
        left = after[around.own].sum()
        return patch, Flaws(bool(left > STILL_THERE * before[around.own].sum()), cut)
    # Where a plain area was masked, nothing was there to be removed.
    plain = _roughness(image, holes) < 2 * SMOOTH
    return patch, Flaws(bool(not plain and np.minimum(before, after).sum() > ALIKE), cut)


def _surroundings(holes: Mask) -> Region:
    """Return the box of the gap with its surroundings."""
    left, top, right, bottom = as_mask(holes).getbbox() or (0, 0, 0, 0)
    reach = max(LEAST, round(AROUND * max(right - left, bottom - top)))
    box = clipped((left - reach, top - reach, right + reach, bottom + reach), holes.shape[::-1])
    return int(box[0]), int(box[1]), int(box[2]), int(box[3])


def _scale(mask: Image.Image) -> float:
    """Return the scale to work at, at most 1: long sides and large holes are made smaller."""
    holes = max(1, int(np.count_nonzero(np.asarray(mask))))
    return min(1.0, SIDE / max(mask.width, mask.height), math.sqrt(MOST_PIXELS / holes))


def _shrunk(image: Image.Image, mask: Image.Image, scale: float) -> tuple[Image.Image, Mask]:
    """Return image and holes at a scale, without losing small holes."""
    if scale == 1:
        return image, np.asarray(mask) > 0
    size = scaled(image.size, scale)
    # Resampling mixes the hole's edge into its neighbours, so these are patched as well.
    touched = mask.resize(size, Image.Resampling.BOX).point(lambda level: 255 * (level > 0))
    wide = touched.filter(ImageFilter.MaxFilter(7))
    return image.resize(size, Image.Resampling.LANCZOS), np.asarray(wide) > 0


def patched(image: Image.Image, holes: Mask, seed: int) -> tuple[Image.Image, Flaws]:
    """Return the image with its holes filled, and what may be wrong with one of the fills.

    All other pixels stay as they were. The alpha of an image in mode RGBA is filled likewise.
    Gaps that lie apart are filled one after the other, as each has its own surroundings.
    """
    result, left = image.copy(), holes
    flaws = []
    for gap in _separate(holes):
        flaws.append(_patch_one(result, gap, left & ~gap, seed))
        left = left & ~gap
    return result, Flaws(any(each.alike for each in flaws), any(each.cut for each in flaws))


def _separate(holes: Mask) -> list[Mask]:
    """Return the gaps that lie apart, the largest first; all in one if there are too many."""
    mask = as_mask(holes)
    scale = min(1.0, APART / max(mask.size))
    rest = np.asarray(mask.resize(scaled(mask.size, scale), Image.Resampling.BOX)) > 0
    areas: list[Mask] = []
    while rest.any():
        if len(areas) == MOST_GAPS:
            return [holes]
        first = np.zeros_like(rest)
        first[np.unravel_index(int(rest.argmax()), rest.shape)] = True
        areas.append(grown(first, rest, 2, rest.size))
        rest = rest & ~areas[-1]
    areas.sort(key=lambda area: -np.count_nonzero(area))
    if len(areas) == 1:
        return [holes]
    large = [as_mask(area).resize(mask.size, Image.Resampling.NEAREST) for area in areas]
    gaps = [(np.asarray(each) > 0) & holes for each in large]
    gaps[0] |= holes & ~np.logical_or.reduce(gaps)
    return gaps


def _patch_one(image: Image.Image, gap: Mask, others: Mask, seed: int) -> Flaws:
    """Fill one gap of an image, in place; nothing is copied from the other gaps."""
    box = _surroundings(gap)
    mask, part = as_mask(gap).crop(box), image.crop(box)
    scale = _scale(mask)
    small, gaps = _shrunk(flatten(part), mask, scale)
    unknown = _shrunk(part, as_mask(others).crop(box), scale)[1] & ~gaps
    filled, flaws = _filled(small, gaps, unknown, seed)
    patch = filled.resize(mask.size, Image.Resampling.BICUBIC)
    if image.mode == "RGBA":
        patch.putalpha(_patched_alpha(part.getchannel("A"), mask, seed, scale))
    image.paste(patch, box, mask)
    return flaws


def _patched_alpha(alpha: Image.Image, mask: Image.Image, seed: int, scale: float) -> Image.Image:
    small, gaps = _shrunk(alpha.convert("RGB"), mask, scale)
    levels = np.unique(np.asarray(small)[~gaps])
    if len(levels) == 1:
        return Image.new("L", alpha.size, int(levels[0]))
    filled = fill(small, gaps, seed).getchannel(0)
    return filled.resize(alpha.size, Image.Resampling.BICUBIC)


def expanded(image: Image.Image, size: tuple[int, int], seeds: list[int]) -> Iterator[Image.Image]:
    """Yield an image of a larger size for each seed, with this one in its middle, unchanged.

    The border of an image in mode RGBA is opaque; it continues the image as seen on white.
    """
    if size == image.size:
        yield from [image] * len(seeds)
        return
    picture = flatten(image)
    corner = ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2)
    canvas = _extended(picture, size, corner)
    mask = Image.new("L", size, 255)
    mask.paste(0, (*corner, corner[0] + picture.width, corner[1] + picture.height))
    small, gaps = _shrunk(canvas, mask, min(1.0, OUTWARDS / max(size)))
    never = Image.new("L", size)
    never.paste(as_mask(_recognisable(shrink(picture, SIDE))).resize(picture.size), corner)
    kept = ~gaps & (np.asarray(never.resize(small.size, Image.Resampling.BOX)) > 127)
    for seed in seeds:
        border = _smoothed(np.asarray(fill(small, gaps, seed, kept)), ~gaps)
        result = border.resize(size, Image.Resampling.BICUBIC)
        result = result.convert(image.mode)
        result.paste(image, corner)
        yield result


def _recognisable(picture: Image.Image) -> Mask:
    """Return where heads and the subject are, but for its part in the rim.

    It is less, or nothing, where that left too little to copy from.
    """
    canvas = Image.new("L", picture.size)
    aside, above, below = HEAD
    for face in detect_faces(picture):
        left, top, right, bottom = face.box
        wide, tall = aside * (right - left), bottom - top
        head = (left - wide, top - above * tall, right + wide, bottom + below * tall)
        ImageDraw.Draw(canvas).ellipse(head, fill=255)
    heads = np.asarray(canvas) > 0
    try:
        subject = np.asarray(cut_out(picture)) > 127
    except EngineError:
        subject = np.zeros_like(heads)
    rim = round(RIM * min(picture.size))
    inner = np.zeros_like(heads)
    inner[rim : picture.height - rim, rim : picture.width - rim] = True
    candidates = (heads | (subject & inner), heads, np.zeros_like(heads))
    return next(mask for mask in candidates if mask.mean() < 1 - LEAST_LEFT)


def _extended(picture: Image.Image, size: tuple[int, int], corner: tuple[int, int]) -> Image.Image:
    """Return the image on a canvas that repeats its edge, as shrinking would darken that."""
    right, bottom = (size[i] - picture.size[i] - corner[i] for i in (0, 1))
    margins = ((corner[1], bottom), (corner[0], right), (0, 0))
    return Image.fromarray(np.pad(np.asarray(picture), margins, mode="edge"))


def _smoothed(filled: NDArray[np.uint8], kept: Mask) -> Image.Image:
    """Return the filled image without the step in brightness around the kept part.

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
