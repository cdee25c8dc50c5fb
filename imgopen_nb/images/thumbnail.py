"""Makes a small JPEG of any image: checked before decoding, upright, in RGB.

What is transparent lies on a checkerboard, as in programs that edit images: white would look like
a white image, and a JPEG shows it where a saved notebook loses its style too.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import PictureError
from ..media.formats import (
    MAX_BYTES,
    MAX_FRAMES,
    MAX_MEGABYTES,
    MAX_MEGAPIXELS,
    MAX_SIDE,
    NAMES,
    count_frames,
    excess,
    excess_of,
    format_of,
    open_image,
    what_else,
)

if TYPE_CHECKING:
    from PIL.Image import Image

JPEG = b"\xff\xd8\xff"
_KNOWN = f"use a {NAMES} image"
_SMALLER = (
    f"make it smaller: at most {MAX_MEGAPIXELS} megapixels, {MAX_SIDE:,} pixels on a side, "
    f"{MAX_MEGABYTES} MB"
)
_QUALITIES = (80, 70, 60, 50, 40, 30, 20, 12, 6, 1)
_STRIP = 2_000_000  # pixels converted at a time: no second full-size copy is held in memory
_LIGHT, _DARK, _SQUARE = (255, 255, 255), (213, 216, 220), 8  # the checkerboard
_TRANSPOSE = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # EXIF orientation -> PIL's Transpose
_HIGH_DEPTH = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_MODE_NAMES = {"CMYK": "CMYK", "LAB": "Lab", "HSV": "HSV", "YCbCr": "YCbCr"}


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small JPEG; `original` is the size of the full image, `notes` say what was changed."""

    jpeg: bytes
    width: int
    height: int
    original: tuple[int, int]
    notes: tuple[str, ...] = ()


def thumbnail(data: bytes, size: int) -> Thumbnail:
    """Return a JPEG of at most `size` pixels on its long side, small enough for a notebook.

    At 512 pixels it has at most 60 kB, at up to 288 pixels 8 kB, and at up to 256 pixels 7 kB, so
    that a hundred cards add at most 1.5 MB to a notebook: the JPEG quality starts at 80 and is
    lowered until it fits.

    Raises:
        PictureError: the bytes are not an image, are damaged, or hold too many pixels.

    Example:
        html = f'<img src="{data_url(thumbnail(data, 192).jpeg)}">'
    """
    image = open_picture(data)
    notes = _frames(image, data)
    try:
        original = image.size
        image.draft("RGB", (2 * size, 2 * size))  # a JPEG is decoded no larger than needed
        small = upright(_shrunk(image, size, notes), image, notes)
        original = original[::-1] if _orientation(image) >= 5 else original
        jpeg = _encoded(small, _most_bytes(size))
    except Exception as error:  # Pillow's decoders raise a dozen types on damaged files
        raise damaged("the image", error) from error
    return Thumbnail(jpeg, small.width, small.height, original, tuple(notes))


def _most_bytes(size: int) -> int:
    if size <= 288:
        return 7_000 if size <= 256 else 8_000
    return 60_000 * size * size // 512**2


def data_url(jpeg: bytes) -> str:
    """Return a JPEG as the `src` of an `<img>`; refuses bytes that are anything else."""
    if not jpeg.startswith(JPEG):
        raise PictureError("only a JPEG goes into a page", hint="pass it through thumbnail() first")
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def open_picture(data: bytes, name: str = "the image") -> Image:
    """Return the image opened but not decoded; its format is known and its size within limits."""
    from PIL import Image

    if not data:
        raise PictureError(f"{name} is empty", hint=_KNOWN)
    if len(data) > MAX_BYTES:
        raise too_large(name, len(data))
    try:
        image = open_image(data)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(f"{name} has far too many pixels", hint=_SMALLER) from error
    except Exception as error:
        raise _unknown(name, data) from error
    if what := excess_of(image, data):
        raise too_many_pixels(name, image.size, what)
    return image


def check_size(size: tuple[int, int], name: str) -> None:
    """Refuse an image that would take too much memory, before it is decoded."""
    if what := excess(*size):
        raise too_many_pixels(name, size, what)


def too_many_pixels(name: str, size: tuple[int, int], what: str) -> PictureError:
    """Return the error for an image of this size, which has too much of something."""
    megapixels = f"{size[0]}×{size[1]} = {size[0] * size[1] / 1e6:.2f} megapixels"
    return PictureError(f"{name} is too large: {megapixels}, {what}", hint=_SMALLER)


def too_large(name: str, size: int) -> PictureError:
    """Return the error for a file with too many bytes."""
    return PictureError(f"{name} is too large: {size / 1e6:.0f} MB", hint=_SMALLER)


def damaged(name: str, error: Exception) -> PictureError:
    """Return the error for an image whose beginning is fine but which cannot be decoded."""
    reason = str(error) or type(error).__name__
    hint = "it may be truncated or damaged: open it in a viewer and save it again"
    return PictureError(f"{name} cannot be decoded: {reason}", hint=hint)


def _unknown(name: str, data: bytes) -> PictureError:
    if found := what_else(data):
        what, hint = found
        but = "" if format_of(data) else "not an image but "
        return PictureError(f"{name} is {but}{what}", hint=hint)
    return PictureError(f"{name} is not an image, or damaged at the beginning", hint=_KNOWN)


def upright(image: Image, source: Image, notes: list[str]) -> Image:
    """Return the image turned the way that the EXIF data of its `source` say."""
    from PIL.Image import Transpose

    turn = _orientation(source)
    if turn not in _TRANSPOSE:
        return image
    notes.append("turned upright, as its EXIF data say")
    return image.transpose(Transpose(_TRANSPOSE[turn]))


def _orientation(image: Image) -> int:
    try:
        turn = image.getexif().get(0x0112, 1)
    except Exception:  # broken EXIF data are no reason to refuse the image
        return 1
    return turn if isinstance(turn, int) else 1


def plain(image: Image, notes: list[str]) -> Image:
    """Return the image in an 8-bit mode that PNG can hold; transparency is kept."""
    if image.mode in _HIGH_DEPTH:
        return _eight_bits(image, _range(image, notes))
    if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        return image
    _note_mode(image, notes)
    return image.convert({"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGB"))


def _shrunk(image: Image, size: int, notes: list[str]) -> Image:
    from PIL.Image import Resampling

    image.load()
    scale = _range(image, notes) if image.mode in _HIGH_DEPTH else (0.0, 255.0)
    _note_mode(image, notes)
    small = _reduced(image, max(1, max(image.size) // (2 * size)), scale)
    small.thumbnail((size, size), Resampling.LANCZOS)
    if small.mode == "RGB":
        return small
    lowest: Any = small.getchannel("A").getextrema()
    if lowest[0] < 255:
        notes.append("transparent parts shown as a checkerboard")
    return _on_squares(small)


def _reduced(image: Image, factor: int, scale: tuple[float, float]) -> Image:
    """Return the image at 1/factor of its size, in RGB, or in RGBA if it can be transparent."""
    from PIL import Image

    width, height = image.size
    rows = factor * max(1, _STRIP // (width * factor))
    size = (-(-width // factor), -(-height // factor))
    out = Image.new("RGBA" if image.has_transparency_data else "RGB", size)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        strip = _eight_bits(strip, scale) if strip.mode in _HIGH_DEPTH else plain(strip, [])
        out.paste(strip.convert(out.mode).reduce(factor), (0, top // factor))
    return out


def _on_squares(image: Image) -> Image:
    """Return an image in RGBA on a checkerboard, in RGB."""
    from PIL import Image, ImageDraw

    board = Image.new("RGBA", image.size, _LIGHT)
    draw = ImageDraw.Draw(board)
    for top in range(0, image.height, _SQUARE):
        for left in range(top % (2 * _SQUARE), image.width, 2 * _SQUARE):
            draw.rectangle((left, top, left + _SQUARE - 1, top + _SQUARE - 1), _DARK)
    return Image.alpha_composite(board, image).convert("RGB")


def _range(image: Image, notes: list[str]) -> tuple[float, float]:
    """Return the darkest and brightest value of an image with more than 8 bits."""
    extremes: Any = image.getextrema()
    low, high = map(float, extremes)
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = _finite_range(image)
    notes.append(f"values {low:g} to {high:g} shown as black to white")
    return low, high


def _finite_range(image: Image) -> tuple[float, float]:
    import numpy as np

    values = np.asarray(image)
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)


def _eight_bits(image: Image, scale: tuple[float, float]) -> Image:
    import numpy as np
    from PIL import Image

    low, high = scale
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=low, posinf=high, neginf=low)
    span = (high - low) or 1.0
    grey = np.clip((values - low) / span * 255 + 0.5, 0, 255)
    return Image.fromarray(grey.astype(np.uint8))


def _note_mode(image: Image, notes: list[str]) -> None:
    if image.mode in _MODE_NAMES:
        notes.append(f"{_MODE_NAMES[image.mode]} shown as RGB")


def _frames(image: Image, data: bytes) -> list[str]:
    """Return the note on the frames that are not shown."""
    try:
        count = count_frames(image, data)
    except Exception:
        return []
    if count < 2 or image.format == "MPO":
        return []
    shown = str(count) if count <= MAX_FRAMES else f"more than {MAX_FRAMES:,}"
    return [f"first of {shown} {'pages' if image.format == 'TIFF' else 'frames'}"]


def _encoded(image: Image, limit: int, qualities: Iterable[int] = _QUALITIES) -> bytes:
    jpeg = b""
    for quality in qualities:
        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality, optimize=True, progressive=True)
        jpeg = out.getvalue()
        if len(jpeg) <= limit:
            break
    return jpeg
