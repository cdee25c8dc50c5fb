"""Enhancing faces: each is turned upright, cleared by super resolution and put back softly."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from .blend import as_image
from .mesh import OVAL, Mesh, look, outlined, view
from .networks import Array
from .resolution import enhanced, resized
from .swapping import region

AROUND = 1.4
# Larger faces are looked at in this size.
LARGEST = 1024
# Sizes at which the network may see a face; the first that loses nothing of it is taken.
SIDES = (48, 64, 88, 112)
# Root mean square of what shrinking may lose, in grey levels: about the noise of a JPEG file.
LOSS = 5.0
# What is left of the enhancement at the highest fidelity.
LEAST = 0.25


def strength(fidelity: float | None) -> float:
    """Return the weight of the enhancement: 1 at fidelity 0; fidelity is 0.5 if left out."""
    return 1 - (1 - LEAST) * (0.5 if fidelity is None else float(fidelity))


def _cleared(pixels: Array) -> Array:
    """Return a square face enhanced, from the least size that still holds all its detail.

    A blurred face is made clear so; what detail a sharp one loses at the last size is kept.
    """
    full = len(pixels)
    lost = np.zeros_like(pixels)
    for side in (side for side in SIDES if side < full):
        small = resized(pixels, (side, side))
        lost = pixels - resized(small, (full, full))
        if float(np.sqrt((lost**2).mean())) < LOSS:
            return resized(enhanced(small), (full, full))
    if full <= SIDES[-1]:
        return resized(enhanced(pixels), (full, full))
    return resized(enhanced(small), (full, full)) + lost


def enhance(image: Image.Image, mesh: Mesh, weight: float) -> Image.Image:
    """Return the picture (mode RGB) with one face enhanced; nothing changes far from it."""
    box = region(image.size, mesh)
    side = min(LARGEST, max(32, round(AROUND * mesh.size)))
    centre = np.asarray((mesh.points.min(0) + mesh.points.max(0)) / 2, np.float32)
    matrix = view(centre, AROUND * mesh.size, mesh.turn, side)
    clear = as_image(_cleared(np.asarray(look(image, matrix, side), np.float32)))
    linear = np.linalg.inv(matrix[:, :2])
    corner = linear @ (np.array(box[:2], np.float32) - matrix[:, 2])
    size = (box[2] - box[0], box[3] - box[1])
    back = np.concatenate([linear, corner[:, None]], 1).ravel().tolist()
    face = clear.transform(size, Image.Transform.AFFINE, tuple(back), Image.Resampling.BICUBIC)
    result = image.copy()
    result.paste(face, box, _weights(mesh.placed((box[0], box[1]), 1.0), size, weight))
    return result


def _weights(mesh: Mesh, size: tuple[int, int], weight: float) -> Image.Image:
    soft = outlined(mesh, OVAL, size).filter(ImageFilter.GaussianBlur(max(1, mesh.size * 0.03)))
    return soft.point([round(level * weight) for level in range(256)])
