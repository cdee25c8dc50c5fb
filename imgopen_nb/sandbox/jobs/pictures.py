"""Bytes to images and back: limits first, then upright and in RGB or RGBA."""

from __future__ import annotations

import contextlib
import io

from PIL import Image, ImageOps, UnidentifiedImageError

from ...errors import PictureError
from ...media.formats import (
    FORMATS,
    MAX_MEGAPIXELS,
    MAX_SIDE,
    NAMES,
    excess_of,
    format_of,
    open_image,
    what_else,
)

_MOST = f"the limits are {MAX_MEGAPIXELS} megapixels and {MAX_SIDE:,} pixels on a side"
_NAMES = {row.suffix[1:]: row.name for row in FORMATS}
SAVING = {"png": {"compress_level": 4}, "jpg": {"quality": 92}, "webp": {"quality": 90}}


def identify(data: bytes) -> Image.Image:
    """Return the image in data, not decoded yet, or raise PictureError."""
    if not data:
        raise PictureError("the file is empty (0 bytes)")
    try:
        image = open_image(data)
    except Image.DecompressionBombError:
        raise PictureError(f"the image has too many pixels: {_MOST}") from None
    except UnidentifiedImageError:
        raise PictureError(_not_a_picture(data)) from None
    except Exception:
        raise PictureError("the image is damaged: its header cannot be read") from None
    width, height = image.size
    if what := excess_of(image, data):
        raise PictureError(f"the image ({width} × {height}) has too many pixels: {what}; {_MOST}")
    return image


def decode(data: bytes) -> Image.Image:
    """Return the image in data: first frame, upright by its EXIF, mode RGB or RGBA."""
    image = identify(data)
    try:
        image.load()
    except Exception as error:
        what = "truncated" if "truncated" in str(error).lower() else "damaged or truncated"
        raise PictureError(f"the image is {what}: not all of it can be decoded") from None
    with contextlib.suppress(Exception):  # broken EXIF turns nothing
        ImageOps.exif_transpose(image, in_place=True)
    return _plain(image)


def encode(image: Image.Image, suffix: str) -> bytes:
    """Return the file of an image."""
    buffer = io.BytesIO()
    drawn = image.convert("RGB") if suffix in ("jpg", "bmp") else image
    drawn.save(buffer, _NAMES[suffix], **SAVING.get(suffix, {}))
    return buffer.getvalue()


def _not_a_picture(data: bytes) -> str:
    if found := what_else(data):
        what, hint = found
        return f"this is {'' if format_of(data) else 'not an image but '}{what}: {hint}"
    return f"this is not an image that can be read ({NAMES})"


def _plain(image: Image.Image) -> Image.Image:
    """Return the image in 8 bits of RGB or RGBA."""
    if image.mode in ("RGB", "RGBA") and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image).convert("RGB")
    see_through = "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa")
    return image.convert("RGBA" if see_through else "RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return an image of 16 or more bits or of floats scaled to 8 bits."""
    wide = image.convert("F")
    top = wide.getextrema()[1]
    sixteen = image.mode.startswith("I;16") or 255 < _number(top) <= 65535
    full = 65535.0 if sixteen else 1.0 if _number(top) <= 1 else max(255.0, _number(top))
    return wide.point(lambda value: value * (255.0 / full) + 0.0).convert("L")


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
