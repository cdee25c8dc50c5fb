"""Turns an image into a network's input, as the preprocessor_config.json beside it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..vision.arrays import Array, flatten, middle
from .local_models import Model

FILE = "preprocessor_config.json"
MOST = 2048
# Of a longer strip only the middle is used: all of it enlarged would fill the memory.
STRIP = 16


@dataclass(frozen=True)
class Preprocessing:
    """How images are resized, cropped and scaled.

    Sizes are (width, height) in pixels; `shortest` is the shorter side of a `size` that keeps the
    proportions.
    """

    size: tuple[int, int] | None
    shortest: int
    crop: tuple[int, int] | None
    resampling: Image.Resampling
    factor: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @property
    def blank(self) -> Array:
        """Zeros in the shape of a preprocessed image."""
        width, height = self.crop or self.size or (self.shortest, self.shortest)
        return np.zeros((1, 3, height, width), np.float32)

    def pixels(self, image: Image.Image) -> Array:
        """Return an image as RGB numbers (1, 3, height, width)."""
        longest = STRIP * min(image.size)
        picture = middle(flatten(image), (longest, longest))
        picture = picture.resize(self.size or self._size(*picture.size), self.resampling)
        if self.crop:
            left, top = ((a - b) // 2 for a, b in zip(picture.size, self.crop, strict=True))
            picture = picture.crop((left, top, left + self.crop[0], top + self.crop[1]))
        numbers = np.asarray(picture, np.float32) * np.float32(self.factor)
        numbers = (numbers - np.array(self.mean)) / np.array(self.deviation)
        return np.ascontiguousarray(numbers.transpose(2, 0, 1)[None], np.float32)

    def _size(self, width: int, height: int) -> tuple[int, int]:
        short = min(width, height)
        return self.shortest * width // short, self.shortest * height // short


def read_preprocessing(model: Model) -> Preprocessing:
    """Return what a model's preprocessor_config.json says.

    Raises:
        EngineError: there is none, or it cannot be understood.
    """
    model.file(FILE)
    config = model.read(FILE)
    try:
        return _read(config)
    except (KeyError, TypeError, ValueError) as error:
        raise model.fault(f"{FILE} is not understood ({error}); save the model again") from error


def _read(config: dict[str, Any]) -> Preprocessing:
    size, cropped = config["size"], bool(config.get("do_center_crop", False))
    # An older file has one number: the shorter side if the middle is cut out, else both sides.
    shortest = size if isinstance(size, int) and cropped else 0
    shortest = size.get("shortest_edge", 0) if isinstance(size, dict) else shortest
    normal = bool(config.get("do_normalize", True))
    scaled = bool(config.get("do_rescale", True))
    return Preprocessing(
        size=None if shortest else _sides(size),
        shortest=_side(shortest) if shortest else 0,
        crop=_sides(config["crop_size"]) if cropped else None,
        resampling=Image.Resampling(config.get("resample", Image.Resampling.BICUBIC)),
        factor=float(config.get("rescale_factor", 1 / 255)) if scaled else 1.0,
        mean=_colour(config["image_mean"]) if normal else (0.0, 0.0, 0.0),
        deviation=_colour(config["image_std"], least=1e-6) if normal else (1.0, 1.0, 1.0),
    )


def _sides(size: Any) -> tuple[int, int]:
    if isinstance(size, dict):
        return _side(size["width"]), _side(size["height"])
    return _side(size), _side(size)


def _side(value: Any) -> int:
    if not isinstance(value, int) or not 1 <= value <= MOST:
        raise ValueError(f"each side must be 1 to {MOST} pixels")
    return value


def _colour(values: Any, least: float = -np.inf) -> tuple[float, ...]:
    red, green, blue = (float(value) for value in values)
    if not np.isfinite([red, green, blue]).all() or min(red, green, blue) < least:
        raise ValueError("a colour needs three finite numbers")
    return red, green, blue
