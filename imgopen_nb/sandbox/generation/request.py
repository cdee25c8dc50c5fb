"""The parameters of the generating operations, checked once."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, ImageOps

from ...catalogue.operations import OPERATIONS
from ..engine import EngineError
from ..vision.arrays import flatten

SIDE, LEAST, MOST, MOST_PICTURES = 512, 64, 2048, 16
DENOISING = 0.75
SUFFIXES = {"png": "png", "jpg": "jpg", "jpeg": "jpg", "webp": "webp"}
# The web UI's values of resize_mode, which the vendor does not document.
STRETCH, CROP, PAD = 0, 1, 2

# Called with how far a picture is, from 0 to 1, and a preview of it.
OnProgress = Callable[[float, "Image.Image | None"], None]


@dataclass(frozen=True)
class GenerationRequest:
    """One call: what to draw, how large, and the seed of each picture."""

    prompt: str
    size: tuple[int, int]
    seeds: tuple[int, ...]
    suffix: str = "png"
    negative: str = ""
    steps: int | None = None
    guidance: float | None = None
    denoising: float = DENOISING
    image: Image.Image | None = None
    mask: Image.Image | None = None
    control: Mapping[str, Any] = field(default_factory=dict)


def read(
    params: Mapping[str, Any], image: Image.Image | None = None, mask: Image.Image | None = None
) -> GenerationRequest:
    """Read an operation's parameters.

    Raises:
        EngineError: says which parameter is wrong.
    """
    if image and mask:
        check_mask("image2image", mask, image)
    size = _size(params, image)
    mode = int(params.get("resize_mode") or (STRETCH if "resize_mode" in params else CROP))
    prompt = str(params.get("prompt") or "").strip()
    return GenerationRequest(
        prompt=prompt,
        size=size,
        seeds=_seeds(params, prompt),
        suffix=_suffix(params),
        negative=str(params.get("negative_prompt") or ""),
        steps=params.get("steps"),
        guidance=params.get("guidance"),
        denoising=_denoising(params),
        image=fitted(flatten(image), size, mode) if image else None,
        mask=fitted(_painted(mask, params), size, mode) if mask else None,
        control=params.get("control") or {},
    )


def check_mask(operation: str, mask: Image.Image, image: Image.Image) -> None:
    """Raise EngineError for a mask that is not of its picture's size."""
    if mask.size != image.size:
        row = OPERATIONS[operation]
        raise EngineError(
            f"{row.param('mask').label} has {mask.width} × {mask.height} pixels, but "
            f"{row.param('image').label} has {image.width} × {image.height}: "
            "they must have the same size"
        )


def fitted(image: Image.Image, size: tuple[int, int], mode: int) -> Image.Image:
    """Return the picture in the requested size, as resize_mode says."""
    if image.size == size:
        return image
    resize = {CROP: ImageOps.fit, PAD: ImageOps.pad}.get(mode, Image.Image.resize)
    return resize(image, size, Image.Resampling.LANCZOS)


def _painted(mask: Image.Image, params: Mapping[str, Any]) -> Image.Image:
    """Return the mask in grey: white is redrawn, transparent is not."""
    layer = mask.convert("RGBA")
    grey = Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer).convert("L")
    return ImageOps.invert(grey) if params.get("mask_invert") else grey


def _size(params: Mapping[str, Any], image: Image.Image | None) -> tuple[int, int]:
    """Return the size: as given, else the picture's own, else 512; the second pass enlarges it."""
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
    """Return both sides in the picture's proportions, within the limits if none is given."""
    least = min(1.0, MOST / max(image.size))
    scale = width / image.width if width else height / image.height if height else least
    across, down = (max(LEAST, min(MOST, round(side * scale))) for side in image.size)
    return across, down


def _seeds(params: Mapping[str, Any], prompt: str) -> tuple[int, ...]:
    """Return a seed for each picture; -1 stands for a new one."""
    batches, each = int(params.get("batches") or 1), int(params.get("batch_size") or 1)
    number = batches * each
    if not (batches > 0 and each > 0 and number <= MOST_PICTURES):
        raise EngineError(
            f"{_label('batches')} × batch_size must be 1 to {MOST_PICTURES} here, "
            f"not {batches} × {each}"
        )
    given = params.get("seed")
    first = -1 if given in (None, "") else int(given)
    if first < -1 or first >= 2**63 - MOST_PICTURES:
        raise EngineError(f"seed must be -1 (a new one) or a number from 0 to 2^63, not {first}")
    first = secrets.randbelow(2**32 - MOST_PICTURES) if first == -1 else first
    return tuple(first + at for at in range(number))


def seed_of(prompt: str) -> int:
    """Return the seed of an operation that takes none: the same prompt gets the same picture."""
    return zlib.crc32(prompt.encode())


def _suffix(params: Mapping[str, Any]) -> str:
    asked = str(params.get("format") or "png").lower().lstrip(".")
    if asked not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise EngineError(f"{_label('format')} must be one of {known}, not {asked[:40]!r}")
    return SUFFIXES[asked]


def _denoising(params: Mapping[str, Any]) -> float:
    given = params.get("denoising")
    strength = DENOISING if given is None else float(given)
    if not 0 <= strength <= 1:
        raise EngineError(f"{_label('denoising')} must be 0 to 1, not {strength:g}")
    return strength


def _label(name: str) -> str:
    """Return what to call a parameter; the generating operations share their names."""
    return OPERATIONS["image2image"].param(name).label
