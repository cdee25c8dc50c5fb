"""Hair: found by its colour above the face mesh, and given another colour."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ..vision.arrays import (
    Array,
    Mask,
    Region,
    as_image,
    as_mask,
    flatten,
    grey,
    grown,
    resized,
    scaled,
)
from ..vision.colours import lab, lab_of, srgb
from ..vision.cutout import alpha_of, guided
from ..vision.mesh import OVAL, Mesh, outlined

# Words and their colours.
COLOURS = {
    "black": "1c191b", "brown": "5f3d24", "brunette": "4c3020", "chestnut": "6e3b22",
    "auburn": "7a2f1c", "red": "a8241c", "ginger": "b9571f", "copper": "b0552b",
    "orange": "e07a20", "blonde": "d9b672", "blond": "d9b672", "golden": "d6a544",
    "yellow": "e6cf3a", "green": "3c9a4a", "teal": "1f8f8a", "turquoise": "37b9b4",
    "blue": "2f5fd0", "purple": "7a3bb0", "violet": "7a3bb0", "pink": "e878b0",
    "silver": "b9bcc2", "grey": "8c8e93", "gray": "8c8e93", "white": "ededf0",
}  # fmt: skip
# The head, in sizes of the face mesh around its middle.
AROUND = 1.1
SIDE = 288
# Hair is between these multiples of the distance from the face's middle to the forehead.
SEEDS = (1.12, 1.32)
FOREHEAD = (103, 67, 109, 10, 338, 297, 332)
CLUSTERS, ROUNDS = 4, 8
# An area smaller than this share of the face is not hair.
LEAST = 0.06
# Recoloured at a time, to limit the memory.
ROWS = 256


def colour_in(words: str) -> str | None:
    """Return the first colour word of a text."""
    found = re.findall(r"[a-z]+", words.lower())
    return next((word for word in found if word in COLOURS), None)


def _clusters(points: Array) -> Array:
    """Return the centres of a few clusters of Lab points, always the same for the same points."""
    order = points[np.argsort(points[:, 0], kind="stable")]
    centres = order[np.linspace(0, len(order) - 1, CLUSTERS + 2).astype(int)[1:-1]]
    for _ in range(ROUNDS):
        nearest = _distances(points, centres).argmin(1)
        for number in range(CLUSTERS):
            if (nearest == number).any():
                centres[number] = points[nearest == number].mean(0)
    return np.asarray(centres)


def _distances(points: Array, centres: Array) -> Array:
    return np.asarray(((points[:, None] - centres[None]) ** 2).sum(-1), np.float32)


def _nearness(colours: Array, samples: Mask) -> Array:
    """Return the distance of each pixel's colour to the nearest one among the samples."""
    if samples.sum() < CLUSTERS:
        return np.full(colours.shape[:2], np.inf, np.float32)
    flat = colours.reshape(-1, 3)
    found = _distances(flat, _clusters(colours[samples])).min(1)
    return np.asarray(np.sqrt(found).reshape(samples.shape))


def _seeds(mesh: Mesh, size: tuple[int, int]) -> Mask:
    """Return a band above the forehead."""
    centre = mesh.points.mean(0)
    rim = mesh.points[list(FOREHEAD)] - centre
    band = np.concatenate([centre + rim * SEEDS[0], (centre + rim * SEEDS[1])[::-1]])
    canvas = Image.new("L", size)
    ImageDraw.Draw(canvas).polygon(band.ravel().tolist(), fill=255)
    return np.asarray(canvas) > 0


def _below(mesh: Mesh, size: tuple[int, int]) -> Mask:
    """Return where neck and clothes may be: the area straight below the chin."""
    left, right = mesh.points[:, 0].min(), mesh.points[:, 0].max()
    canvas = Image.new("L", size)
    box = (float(left), float(mesh.points[:, 1].max()) + 0.03 * mesh.size, float(right), size[1])
    if box[1] < size[1]:
        ImageDraw.Draw(canvas).rectangle(box, fill=255)
    return np.asarray(canvas) > 0


def _hair_in(small: Image.Image, mesh: Mesh, alpha: Array) -> Array:
    """Return where hair is in a small picture of a head, 0..1; all 0 if none is found."""
    colours = lab(np.asarray(small.filter(ImageFilter.GaussianBlur(1))))
    face = np.asarray(outlined(mesh, OVAL, small.size)) > 0
    subject = alpha > 0.5
    seeds = _seeds(mesh, small.size) & subject & ~face
    hair = _nearness(colours, seeds)
    others = [_nearness(colours, face), _nearness(colours, _below(mesh, small.size) & subject),
              _nearness(colours, ~subject) + 6]  # fmt: skip
    likely = (hair < np.minimum.reduce(others)) & subject & ~face
    reached = grown(seeds, likely, 2, sum(likely.shape))
    if reached.sum() < LEAST * face.sum():
        return np.zeros(alpha.shape, np.float32)
    return grey(as_mask(reached).filter(ImageFilter.MedianFilter(5)))


def find_hair(image: Image.Image, mesh: Mesh) -> tuple[Image.Image, Region]:
    """Return how much of each pixel of a box is hair (mode L), and the box in the picture."""
    box = mesh.region(image.size, AROUND)
    head = flatten(image.crop(box))
    scale = min(1.0, SIDE / max(head.size))
    size = scaled(head.size, scale)
    small = head.resize(size, Image.Resampling.LANCZOS)
    alpha = alpha_of(head)
    coarse = grey(alpha.resize(size, Image.Resampling.BOX))
    hair = _hair_in(small, mesh.placed((box[0], box[1]), scale), coarse)
    factors = guided(grey(small), hair, 3, 1e-3)
    slope, offset = (resized(each, head.size, Image.Resampling.BILINEAR) for each in factors)
    steep = np.clip((slope * grey(head) + offset - 0.15) / 0.7, 0, 1) * grey(alpha)
    return as_image(steep * 255), box


def recoloured(image: Image.Image, hair: Image.Image, box: Region, colour: str) -> Image.Image:
    """Return the picture (mode RGB) with its hair in another colour: light and shadow stay."""
    result = flatten(image).copy()
    wanted, mean = lab_of(COLOURS[colour])[0], _brightness(result.crop(box), hair)
    for top in range(0, hair.height, ROWS):
        rows = (box[0], box[1] + top, box[2], min(box[3], box[1] + top + ROWS))
        weights = hair.crop((0, top, hair.width, top + rows[3] - rows[1]))
        result.paste(_painted(result.crop(rows), wanted, mean), rows[:2], weights)
    return result


def _brightness(head: Image.Image, hair: Image.Image) -> float:
    """Return the mean L* of the hair."""
    size = (min(SIDE, head.width), min(SIDE, head.height))
    level = lab(np.asarray(head.resize(size, Image.Resampling.BOX)))[..., 0]
    weights = grey(hair.resize(size, Image.Resampling.BOX))
    return max(1.0, float((level * weights).sum() / max(1e-6, float(weights.sum()))))


def _painted(strip: Image.Image, wanted: Array, mean: float) -> Image.Image:
    """Return a strip in the wanted Lab colour, with its own differences of light and dark."""
    lifted = np.clip(lab(np.asarray(strip))[..., 0] * (wanted[0] / mean) ** 0.75, 0, 100)
    # Dark strands take less of the colour, as dark hair does.
    share = np.clip(lifted / max(20.0, float(wanted[0])), 0.3, 1.15)[..., None]
    new = np.concatenate([lifted[..., None], share * wanted[1:]], -1).astype(np.float32)
    return as_image(srgb(new))
