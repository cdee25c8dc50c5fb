"""Enhancing faces: each is turned upright, enhanced by super resolution and blended back."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageFilter

from ..vision.arrays import Array, as_image, resized
from ..vision.faces import look, view
from ..vision.mesh import OVAL, Mesh, outlined
from .super_resolution import enhanced

# The side of the square that is enhanced, in sizes of the face; each pixel of it costs time.
AROUND = 1.2
# Larger faces are shrunk to this size.
LARGEST = 1024
# Sizes to which a face may be shrunk; the smallest that loses no detail is used.
SIDES = (43, 57, 72, 88)
# How much shrinking may lose, as a root mean square of grey levels: the noise of a JPEG file.
LOSS = 4.5
# The weight of the enhancement at the highest fidelity.
LEAST = 0.25


def strength(fidelity: float | None) -> float:
    """Return the weight of the enhancement: 1 at fidelity 0; fidelity is 0.5 if left out."""
    return 1 - (1 - LEAST) * (0.5 if fidelity is None else float(fidelity))


def _smallest(pixels: Array) -> tuple[Array, Array]:
    """Return a square face in the smallest size that keeps its detail, and the detail it lost.

    A sharp face loses some even in the largest of the sizes.
    """
    full = len(pixels)
    smallest, lost_detail = pixels, np.zeros_like(pixels)
    for side in sorted((side for side in SIDES if side < full), reverse=True):
        small = resized(pixels, (side, side))
        lost = pixels - resized(small, (full, full))
        holds = float(np.sqrt((lost**2).mean())) < LOSS
        if holds or len(smallest) > SIDES[-1]:
            smallest, lost_detail = small, lost_detail if holds else lost
        if not holds:
            break
    return smallest, lost_detail


def _enhanced(pixels: Array) -> Array:
    """Return a square face enhanced, in its size."""
    smallest, lost_detail = _smallest(pixels)
    return resized(enhanced(smallest), (len(pixels), len(pixels))) + lost_detail


def _square(mesh: Mesh) -> tuple[Array, float]:
    """Return centre and side of the square around a face whose eyes are level."""
    cosine, sine = math.cos(mesh.turn), math.sin(mesh.turn)
    linear = np.array([[cosine, -sine], [sine, cosine]], np.float32)
    upright = mesh.points @ linear
    low, high = upright.min(0), upright.max(0)
    return np.asarray(linear @ (low + high) / 2, np.float32), AROUND * float((high - low).max())


def enhance(image: Image.Image, mesh: Mesh, weight: float) -> Image.Image:
    """Return the image (mode RGB) with one face enhanced; nothing changes far from it."""
    box = mesh.region(image.size)
    centre, length = _square(mesh)
    side = min(LARGEST, max(32, round(length)))
    matrix = view(centre, length, mesh.turn, side)
    clear = as_image(_enhanced(np.asarray(look(image, matrix, side), np.float32)))
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
