"""The face mesh: 468 landmarks of a face, and warping one face onto another's mesh."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..engine import EngineError
from .arrays import Array, Mask, Region, clipped, flatten
from .faces import AROUND, MESH_SIDE, Face, detect_faces, look, view
from .networks import MODELS, run
from .objects import area

RIGHT_EYE, LEFT_EYE = 33, 263
# The inner rim of the lips, and its middle and corners.
LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
# The rim of the face, from the forehead's middle clockwise in the image.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
UPPER_LIP, LOWER_LIP, RIGHT_CORNER, LEFT_CORNER = 13, 14, 78, 308


@dataclass(frozen=True)
class Mesh:
    """Landmarks (468, 2) in pixels, and how far each lies from the camera."""

    points: Array
    depths: Array

    @property
    def turn(self) -> float:
        """The angle in radians between the line of the eyes and the horizontal."""
        across, down = (self.points[LEFT_EYE] - self.points[RIGHT_EYE]).tolist()
        return math.atan2(down, across)

    @property
    def size(self) -> float:
        """The longer side of the box around the points."""
        return float(np.ptp(self.points, axis=0).max())

    @property
    def openness(self) -> float:
        """How far the lips are apart, by the width of the mouth."""
        gap = np.linalg.norm(self.points[UPPER_LIP] - self.points[LOWER_LIP])
        return float(gap / (np.linalg.norm(self.points[RIGHT_CORNER] - self.points[LEFT_CORNER])))

    def placed(self, corner: tuple[float, float], scale: float) -> Mesh:
        """Return the mesh in a part of the image that begins at corner, scaled."""
        points = (self.points - np.array(corner, np.float32)) * scale
        return replace(self, points=np.asarray(points, np.float32))

    def region(self, size: tuple[int, int], margin: float = 0.12) -> Region:
        """Return the box around the face, with a margin, inside an image of that size."""
        reach = margin * self.size + 4
        (left, top), (right, bottom) = self.points.min(0).tolist(), self.points.max(0).tolist()
        box = clipped((left - reach, top - reach, right + reach, bottom + reach), size)
        return math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])


@cache
def triangles() -> NDArray[np.int16]:
    """Return the corners of the mesh's 898 triangles."""
    return np.asarray(np.load(MODELS / "facemesh_tri.npy"), np.int16)


def _read(image: Image.Image, centre: Array, side: float, turn: float) -> Mesh:
    matrix = view(centre, side, turn, MESH_SIDE)
    square = look(image, matrix, MESH_SIDE)
    output = run("facemesh", np.asarray(square, np.float32)[None] / 255, ["Identity_2"])
    spots = output["Identity_2"][0].reshape(468, 3)
    points = spots[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return Mesh(np.asarray(points, np.float32), spots[:, 2].copy())


def read_mesh(image: Image.Image, face: Face) -> Mesh:
    """Return the mesh of a face; it is read twice, as the first mesh places the second better."""
    picture = flatten(image)
    first = _read(picture, *face.square())
    middle = np.asarray((first.points.min(0) + first.points.max(0)) / 2, np.float32)
    return _read(picture, middle, AROUND * first.size, first.turn)


def read_meshes(image: Image.Image, what: str = "") -> list[Mesh]:
    """Return the meshes of all faces of an image, left to right.

    Args:
        image: the image.
        what: what to add to "the image" in a message, such as "that gives the face".

    Raises:
        EngineError: there is no face in it.
    """
    return [read_mesh(image, face) for face in detect_faces(image)] or no_face(what)


def largest_mesh(image: Image.Image, what: str = "") -> Mesh:
    """Return the mesh of the largest face; small faces are searched if there is no other.

    Takes and raises the same as `read_meshes`.
    """
    faces = detect_faces(image, tiled=False) or detect_faces(image) or no_face(what)
    return read_mesh(image, max(faces, key=lambda face: area(face.box)))


def no_face(what: str = "") -> NoReturn:
    """Raise the error of an image without a face."""
    where = " ".join(filter(None, ["the image", what]))
    raise EngineError(
        f"no face was found in {where}; use one where a face looks towards the camera"
    )


def outlined(mesh: Mesh, rim: tuple[int, ...], size: tuple[int, int]) -> Image.Image:
    """Return an image (mode L) that is white within the landmarks of a rim."""
    canvas = Image.new("L", size)
    ImageDraw.Draw(canvas).polygon(mesh.points[list(rim)].ravel().tolist(), fill=255)
    return canvas


def _patchwork(mesh: Mesh, size: tuple[int, int]) -> NDArray[np.int32]:
    """Return for each pixel the number of its triangle, from 1; 0 if there is none.

    Far triangles are drawn first, so that the nose of a turned face covers what is behind it.
    """
    canvas = Image.new("I", size)
    pen = ImageDraw.Draw(canvas)
    corners = mesh.points[triangles()]
    for number in np.argsort(-mesh.depths[triangles()].mean(1), kind="stable").tolist():
        pen.polygon(corners[number].ravel().tolist(), fill=number + 1)
    return np.asarray(canvas, np.int32)


def _maps(start: Mesh, end: Mesh) -> Array:
    """Return the matrix (898, 2, 3) of each triangle, from a place in `end` to one in `start`."""
    here = end.points[triangles()].astype(np.float64)
    there = start.points[triangles()].astype(np.float64)
    edges = here[:, 1:] - here[:, :1]
    linear = np.linalg.pinv(edges, rcond=1e-4) @ (there[:, 1:] - there[:, :1])
    shift = there[:, 0] - np.einsum("ni,nij->nj", here[:, 0], linear)
    return np.concatenate([linear.swapaxes(1, 2), shift[:, :, None]], 2).astype(np.float32)


def warp(pixels: Array, start: Mesh, end: Mesh, size: tuple[int, int]) -> tuple[Array, Mask]:
    """Draw the face of `pixels`, which has the mesh `start`, on the mesh `end`.

    Returns the drawn pixels, shape (height, width, 3), and where they cover the canvas.
    """
    number = _patchwork(end, size)
    covered = number > 0
    rows, columns = np.nonzero(covered)
    matrices = _maps(start, end)[number[covered] - 1]
    places = matrices[:, :, 0] * columns[:, None] + matrices[:, :, 1] * rows[:, None]
    drawn = np.zeros((*covered.shape, 3), np.float32)
    drawn[covered] = _sample(pixels, places + matrices[:, :, 2])
    return drawn, covered


def _sample(pixels: Array, places: Array) -> Array:
    """Return pixels at places between the pixels, by bilinear interpolation."""
    height, width = pixels.shape[:2]
    across = np.clip(places[:, 0], 0, width - 1.001)
    down = np.clip(places[:, 1], 0, height - 1.001)
    left, top = across.astype(int), down.astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    x, y = (across - left)[:, None], (down - top)[:, None]
    upper = pixels[top, left] * (1 - x) + pixels[top, right] * x
    lower = pixels[bottom, left] * (1 - x) + pixels[bottom, right] * x
    return np.asarray(upper * (1 - y) + lower * y, np.float32)
