"""Bytes to pictures and back: limits first, then upright and in RGB or RGBA."""

from __future__ import annotations

import contextlib
import io

from PIL import Image, ImageOps, UnidentifiedImageError

from ...errors import PictureError

MAX_PIXELS = 64_000_000
SUFFIXES = {
    "PNG": "png",
    "JPEG": "jpg",
    "GIF": "gif",
    "WEBP": "webp",
    "BMP": "bmp",
    "TIFF": "tif",
}
FORMATS = tuple(SUFFIXES)
TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "tif": "image/tiff",
}
MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tif"),
    (b"MM\x00*", "tif"),
)
SAVING = {"png": {"compress_level": 4}, "jpg": {"quality": 92}, "webp": {"quality": 90}}


def suffix_of(data: bytes) -> str:
    """Return the suffix of a file by its first bytes, or "" where it is no known picture."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((suffix for magic, suffix in MAGIC if data.startswith(magic)), "")


def identify(data: bytes) -> Image.Image:
    """Return the picture in data, not decoded yet, or raise PictureError."""
    if not data:
        raise PictureError("the file is empty (0 bytes)")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise PictureError(f"the picture has too many pixels: {_most()}") from None
    except UnidentifiedImageError:
        raise PictureError(_not_a_picture(data)) from None
    except Exception:
        raise PictureError("the picture is damaged: its header cannot be read") from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise PictureError(f"the picture has too many pixels: {width} × {height}, {_most()}")
    return image


def decode(data: bytes) -> Image.Image:
    """Return the picture in data: first frame, upright by its EXIF, mode RGB or RGBA."""
    image = identify(data)
    try:
        image.load()
    except Exception as error:
        what = "truncated" if "truncated" in str(error).lower() else "damaged or truncated"
        raise PictureError(f"the picture is {what}: not all of it can be decoded") from None
    with contextlib.suppress(Exception):  # broken EXIF turns nothing
        ImageOps.exif_transpose(image, in_place=True)
    return _plain(image)


def encode(image: Image.Image, suffix: str) -> bytes:
    """Return the file of a picture."""
    names = {short: name for name, short in SUFFIXES.items()}
    buffer = io.BytesIO()
    drawn = image.convert("RGB") if suffix in ("jpg", "bmp") else image
    drawn.save(buffer, names[suffix], **SAVING.get(suffix, {}))
    return buffer.getvalue()


def _most() -> str:
    return f"at most {MAX_PIXELS // 1_000_000} megapixels are taken"


def _not_a_picture(data: bytes) -> str:
    head = data[:512].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "this is not a picture but a web page"
    return "this is not a picture that can be read (PNG, JPEG, GIF, WEBP, BMP or TIFF)"


def _plain(image: Image.Image) -> Image.Image:
    """Return the picture in 8 bits of RGB or RGBA."""
    if image.mode in ("RGB", "RGBA") and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image).convert("RGB")
    see_through = "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa")
    return image.convert("RGBA" if see_through else "RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return a picture of 16 or more bits or of floats scaled to 8 bits."""
    wide = image.convert("F")
    top = wide.getextrema()[1]
    sixteen = image.mode.startswith("I;16") or 255 < _number(top) <= 65535
    full = 65535.0 if sixteen else 1.0 if _number(top) <= 1 else max(255.0, _number(top))
    return wide.point(lambda value: value * (255.0 / full) + 0.0).convert("L")


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
