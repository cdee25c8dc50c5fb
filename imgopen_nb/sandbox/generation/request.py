"""The parameters of the generating operations, checked once."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, ImageFilter, ImageOps

from ...catalogue.operations import OPERATIONS
from ..engine import EngineError
from ..vision.arrays import flatten

SIDE, LEAST, MOST, MOST_PICTURES = 512, 64, 2048, 16
DENOISING = 0.75
SUFFIXES = {"png": "png", "jpg": "jpg", "jpeg": "jpg", "webp": "webp"}
# The web UI's values of resize_mode, which the vendor does not document.
STRETCH, CROP, PAD = 0, 1, 2

# Called with how far an image is, from 0 to 1, and a preview of it.
OnProgress = Callable[[float, "Image.Image | None"], None]


@dataclass(frozen=True)
class GenerationRequest:
    """One call: what to draw, how large, and the seed of each image.

    What only some artists use is read from `params` when it is asked for, so that the answer can
    name what nobody used.
    """

    prompt: str
    size: tuple[int, int]
    seeds: tuple[int, ...]
    suffix: str = "png"
    params: Mapping[str, Any] = field(default_factory=dict)
    image: Image.Image | None = None
    mask: Image.Image | None = None

    @property
    def negative(self) -> str:
        """What to avoid."""
        return str(self.params.get("negative_prompt") or "")

    @property
    def steps(self) -> int | None:
        """Diffusion steps."""
        return self.params.get("steps")

    @property
    def guidance(self) -> float | None:
        """How closely the prompt is followed."""
        return self.params.get("guidance")

    @property
    def denoising(self) -> float:
        """How far the result may leave the input, 0 to 1."""
        given = self.params.get("denoising")
        return DENOISING if given is None else float(given)


def read(
    params: Mapping[str, Any],
    image: Image.Image | None = None,
    mask: Image.Image | None = None,
    *,
    seed: int | None = None,
) -> GenerationRequest:
    """Read an operation's parameters; `seed` goes before theirs.

    Raises:
        EngineError: says which parameter is wrong.
    """
    if image and mask:
        check_mask("image2image", mask, image)
    size = _size(params, image)
    mode = CROP
    if image and image.size != size and "resize_mode" in params:
        mode = int(params["resize_mode"])
    prompt = str(params.get("prompt") or "").strip()
    return GenerationRequest(
        prompt=prompt,
        size=size,
        seeds=_seeds(params, seed),
        suffix=_suffix(params),
        params=params,
        image=fitted(flatten(image), size, mode) if image else None,
        mask=_blurred(fitted(_painted(mask, params), size, mode), params) if mask else None,
    )


def check_mask(operation: str, mask: Image.Image, image: Image.Image) -> None:
    """Raise EngineError for a mask that is not of its image's size."""
    if mask.size != image.size:
        row = OPERATIONS[operation]
        raise EngineError(
            f"{row.param('mask').label} has {mask.width} × {mask.height} pixels, but "
            f"{row.param('image').label} has {image.width} × {image.height}: "
            "they must have the same size"
        )


def fitted(image: Image.Image, size: tuple[int, int], mode: int) -> Image.Image:
    """Return the image in the requested size, as resize_mode says."""
    if image.size == size:
        return image
    resize = {CROP: ImageOps.fit, PAD: ImageOps.pad}.get(mode, Image.Image.resize)
    return resize(image, size, Image.Resampling.LANCZOS)


def _painted(mask: Image.Image, params: Mapping[str, Any]) -> Image.Image:
    """Return the mask in grey: white is redrawn, transparent is not."""
    layer = mask.convert("RGBA")
    grey = Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer).convert("L")
    return ImageOps.invert(grey) if params.get("mask_invert") else grey


def _blurred(mask: Image.Image, params: Mapping[str, Any]) -> Image.Image:
    """Return the mask with its rim as soft as mask_blur says, in pixels of the result."""
    both = params.get("mask_blur")
    across, down = (params.get(f"mask_blur_{axis}") for axis in "xy")
    if across is None or down is None:
        across, down = (both if each is None else each for each in (across, down))
    radius = (float(across or 0), float(down or 0))
    return mask.filter(ImageFilter.GaussianBlur(radius)) if any(radius) else mask


def _size(params: Mapping[str, Any], image: Image.Image | None) -> tuple[int, int]:
    """Return the size: as given, else the image's own, else 512; the second pass enlarges it."""
    width, height = params.get("width"), params.get("height")
    if image is not None and not (width and height):
        width, height = _proportional(image, width, height)
    size = (int(width or SIDE), int(height or SIDE))
    if params.get("hires"):
        scale = params.get("hires_scale") or 2
        size = (
            int(params.get("hires_width") or size[0] * scale),
            int(params.get("hires_height") or size[1] * scale),
        )
    for name, length in zip(("width", "height"), size, strict=True):
        if not LEAST <= length <= MOST:
            what = " after the second pass" if params.get("hires") else ""
            raise EngineError(f"{_label(name)}{what} must be {LEAST} to {MOST} here, not {length}")
    return size


def _proportional(image: Image.Image, width: int | None, height: int | None) -> tuple[int, int]:
    """Return both sides in the image's proportions, within the limits if none is given."""
    least = min(1.0, MOST / max(image.size))
    scale = width / image.width if width else height / image.height if height else least
    across, down = (max(LEAST, min(MOST, round(side * scale))) for side in image.size)
    return across, down


def _seeds(params: Mapping[str, Any], fixed: int | None) -> tuple[int, ...]:
    """Return a seed for each image; -1 stands for a new one."""
    batches, each = (int(params.get(name, 1)) for name in ("batches", "batch_size"))
    number = batches * each
    if not (batches > 0 and each > 0 and number <= MOST_PICTURES):
        raise EngineError(
            f"{_label('batches')} × batch_size must be 1 to {MOST_PICTURES} here, "
            f"not {batches} × {each}"
        )
    given = params.get("seed") if fixed is None else fixed
    first = -1 if given in (None, "") else int(given)
    if first < -1 or first >= 2**63 - MOST_PICTURES:
        raise EngineError(f"seed must be -1 (a new one) or a number from 0 to 2^63, not {first}")
    first = secrets.randbelow(2**32 - MOST_PICTURES) if first == -1 else first
    return tuple(first + at for at in range(number))


def seed_of(prompt: str) -> int:
    """Return the seed of an operation that takes none: the same prompt gets the same image."""
    return zlib.crc32(prompt.encode())


def _suffix(params: Mapping[str, Any]) -> str:
    asked = str(params.get("format") or "png").lower().lstrip(".")
    if asked not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise EngineError(f"{_label('format')} must be one of {known}, not {asked[:40]!r}")
    return SUFFIXES[asked]


def _label(name: str) -> str:
    """Return what to call a parameter; the generating operations share their names."""
    return OPERATIONS["image2image"].param(name).label
