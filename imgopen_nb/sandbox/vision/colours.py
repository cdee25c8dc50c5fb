"""Names of colours, and how much of an image each covers."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from .arrays import Array

# Names and their sRGB points: several each, as the region of a name has an odd shape.
COLOURS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("black", ("000000", "1c1c1c", "241c1a", "141c24")),
    ("grey", ("555555", "808080", "a0a0a0", "6c747c", "7c746c", "3f4144")),
    ("light grey", ("c4c4c4", "b8bcc4")),
    ("white", ("ffffff", "ececec")),
    ("red", ("d81e1e", "b01818", "e84838")),
    ("dark red", ("6e1010", "501418")),
    ("orange", ("f08020", "d86418", "f4a050", "d85028", "c84c24")),
    ("brown", ("6b4423", "8b5a2b", "4a3018", "9a6a48", "5c3c30")),
    ("tan", ("c8a070", "b89878", "d2b48c")),
    ("beige", ("ead9bc", "f0e4d0", "d6cab4")),
    ("yellow", ("f4d820", "e8c830", "f8ec80")),
    ("olive", ("6c6c28", "8c8844", "4c4c20")),
    ("green", ("30a030", "508c3c", "70b850", "58c818", "3c6c30")),
    ("dark green", ("183c18", "24401c", "2c4c34")),
    ("teal", ("187878", "2c6068", "104850")),
    ("cyan", ("20d0e0", "60e0e8")),
    ("light blue", ("90c0e8", "a8c8e0", "78a8d0")),
    ("blue", ("2050d0", "3870c0", "4468a0", "1c3cb0")),
    ("dark blue", ("101c4c", "182858", "1c2c48", "0c1030")),
    ("purple", ("7028a0", "502880", "9058b8", "3c1c58", "601c48")),
    ("pink", ("e83c8c", "f090b0", "f4b8c8", "d85878", "c03070")),
)
ACHROMATIC = frozenset({"black", "grey", "light grey", "white"})
ROUNDS = 8  # that find clusters
# From linear sRGB to XYZ, each divided by that of the white of D65.
TO_XYZ = np.array(
    [[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0178, 0.1095, 0.8727]], np.float32
)


def lab(pixels: NDArray[np.generic]) -> Array:
    """Turn sRGB 0..255 (last axis 3) into CIE L*a*b* (D65)."""
    light = np.asarray(pixels, np.float32) / 255
    light = np.where(light > 0.04045, ((light + 0.055) / 1.055) ** 2.4, light / 12.92)
    ratios = light @ TO_XYZ.T
    roots = np.where(ratios > 0.008856, np.cbrt(ratios), 7.787 * ratios + 16 / 116)
    x, y, z = np.moveaxis(roots, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1).astype(np.float32)


def srgb(colours: Array) -> Array:
    """Turn CIE L*a*b* (D65) into sRGB 0..255."""
    level = (colours[..., 0] + 16) / 116
    roots = np.stack([level + colours[..., 1] / 500, level, level - colours[..., 2] / 200], -1)
    ratios = np.where(roots > 0.2069, roots**3, (roots - 16 / 116) / 7.787)
    light = np.clip(ratios @ np.linalg.inv(TO_XYZ).T, 0, 1)
    bent = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, light * 12.92)
    return np.asarray(bent * 255, np.float32)


def lab_of(*codes: str) -> Array:
    """Return the Lab points, shape (n, 3), of colours such as "7a3bb0"."""
    return lab(np.array([list(bytes.fromhex(code)) for code in codes]))


def clusters(points: Array, count: int) -> Array:
    """Return the centres of clusters of Lab points, always the same for the same points."""
    order = points[np.argsort(points[:, 0], kind="stable")]
    centres = order[np.linspace(0, len(order) - 1, count + 2).astype(int)[1:-1]]
    for _ in range(ROUNDS):
        nearest = distances(points, centres).argmin(1)
        for number in range(count):
            if (nearest == number).any():
                centres[number] = points[nearest == number].mean(0)
    return np.asarray(centres)


def distances(points: Array, centres: Array) -> Array:
    """Return the squared distance of each of n points to each of m centres, shape (n, m)."""
    return np.asarray(((points[:, None] - centres[None]) ** 2).sum(-1), np.float32)


@cache
def _points() -> tuple[Array, NDArray[np.intp]]:
    """Return the Lab points of all names, and the index of each point's name."""
    points = lab_of(*(code for _, codes in COLOURS for code in codes))
    return points, np.repeat(np.arange(len(COLOURS)), [len(codes) for _, codes in COLOURS])


def shares(pixels: Array) -> dict[str, float]:
    """Return the share of each colour name among Lab pixels of shape (n, 3), largest first."""
    if not len(pixels):
        return {}
    points, owners = _points()
    nearest = ((pixels[:, None] - points[None]) ** 2).sum(-1).argmin(1)
    counts = np.bincount(owners[nearest], minlength=len(COLOURS)) / len(pixels)
    return {
        COLOURS[index][0]: float(counts[index])
        for index in np.argsort(-counts, kind="stable")
        if counts[index]
    }


def leading(found: dict[str, float], least: float = 0.2, most: int = 2) -> tuple[str, ...]:
    """Return the names of the colours that cover at least `least`, at most `most` of them."""
    return tuple(name for name, share in found.items() if share >= least)[:most]
