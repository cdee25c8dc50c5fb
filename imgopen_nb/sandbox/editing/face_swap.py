"""Swapping faces: the giver's face on the receiver's mesh, in its colours, without a seam."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..vision.arrays import Array, as_image, flatten
from ..vision.mesh import LIPS, Mesh, outlined, warp
from .blend import eroded, feathered, match_colours, poisson

# Larger faces are worked on at this size, to bound time and memory.
SIDE = 1024
# How far the colours at the edge of a face have an effect inwards, in sizes of the face.
REACH = 0.12


def _giver(image: Image.Image, mesh: Mesh, size: float) -> tuple[Array, Mesh]:
    """Cut out the face that is given, no larger than needed."""
    box = mesh.region(image.size)
    scale = min(1.0, size / mesh.size)
    cut = image.crop(box)
    small = (max(2, round(cut.width * scale)), max(2, round(cut.height * scale)))
    pixels = np.asarray(cut.resize(small, Image.Resampling.LANCZOS), np.float32)
    return pixels, mesh.placed((box[0], box[1]), scale)


def _patch(
    base: Image.Image, place: Mesh, giver: Image.Image, face: Mesh
) -> tuple[Image.Image, Image.Image]:
    """Return the blended face on the size of `base`, and its weights.

    A mouth that is open wider than the giver's keeps its own teeth, as there are none to draw.
    """
    under = np.asarray(base, np.float32)
    pixels, start = _giver(giver, face, place.size)
    drawn, covered = warp(pixels, start, place, base.size)
    edge = max(2, round(place.size * 0.02))
    inside = eroded(covered, edge)
    if not inside.any():
        return base, Image.new("L", base.size)
    skin = covered
    if place.openness > face.openness:
        skin = covered & (np.asarray(outlined(place, LIPS, base.size)) == 0)
    full = np.where(skin[..., None], match_colours(drawn, under, inside), under)
    return as_image(poisson(full, under, inside, REACH * place.size)), feathered(covered, edge)


def swap(receiver: Image.Image, place: Mesh, giver: Image.Image, face: Mesh) -> Image.Image:
    """Return `receiver` (mode RGB) with the face of `giver` in the place of its own.

    No pixel outside the receiver's mesh changes.
    """
    box = place.region(receiver.size)
    cut = receiver.crop(box)
    scale = min(1.0, SIDE / max(cut.size))
    small = (max(3, round(cut.width * scale)), max(3, round(cut.height * scale)))
    base = cut if small == cut.size else cut.resize(small, Image.Resampling.LANCZOS)
    moved = place.placed((box[0], box[1]), scale)
    patch, weights = _patch(base, moved, flatten(giver), face)
    result = receiver.copy()
    result.paste(patch.resize(cut.size), box, weights.resize(cut.size))
    return result
