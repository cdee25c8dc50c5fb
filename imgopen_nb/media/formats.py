"""The picture formats and size limits that the kernel, the publisher and the sandbox share."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

MAX_BYTES = 50_000_000
MAX_PIXELS = 64_000_000
MAX_SIDE = 100_000  # Pillow keeps a pointer for each row
MAX_MEGABYTES, MAX_MEGAPIXELS = MAX_BYTES // 10**6, MAX_PIXELS // 10**6


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """One row of the table.

    Attributes:
        name: as people write it; Pillow writes it in capitals.
        suffix: of a file, with the dot.
        mime: the media type.
        start: matches the first bytes of a file.
    """

    name: str
    suffix: str
    mime: str
    start: re.Pattern[bytes]


def _row(name: str, suffix: str, mime: str, start: bytes) -> PictureFormat:
    return PictureFormat(name, suffix, mime, re.compile(start, re.DOTALL))


FORMATS = (
    _row("PNG", ".png", "image/png", rb"\x89PNG\r\n\x1a\n"),
    _row("JPEG", ".jpg", "image/jpeg", rb"\xff\xd8\xff"),
    _row("GIF", ".gif", "image/gif", rb"GIF8[79]a"),
    _row("WebP", ".webp", "image/webp", rb"RIFF.{4}WEBP"),
    _row("BMP", ".bmp", "image/bmp", rb"BM"),
    _row("TIFF", ".tif", "image/tiff", rb"MM\0[*+]|MM\*\0|II[*+]\0|II\0\*"),
    # The brand that counts may be one of those that follow the first.
    _row("AVIF", ".avif", "image/avif", rb".{4}ftyp(.{4}){0,12}avi[fs]"),
)
MIME_TYPES = {row.suffix: row.mime for row in FORMATS}
FILE_SUFFIXES = frozenset((*MIME_TYPES, ".jpeg", ".tiff"))
NAMES = " or ".join(", ".join(row.name for row in FORMATS).rsplit(", ", 1))
_BY_PILLOW_NAME = {row.name.upper(): row for row in FORMATS}
# A phone's JPEG that holds a second picture.
_BY_PILLOW_NAME["MPO"] = _BY_PILLOW_NAME["JPEG"]
_OPTIONAL = ("webp", "avif")


def format_of(data: bytes) -> PictureFormat | None:
    """Return the format that the first bytes of a file announce; nothing is decoded."""
    return next((row for row in FORMATS if row.start.match(data)), None)


def format_named(name: str | None) -> PictureFormat:
    """Return the format that Pillow calls so, such as "JPEG" or "MPO"; KeyError if none."""
    return _BY_PILLOW_NAME[name or ""]


@functools.cache
def decodable() -> tuple[str, ...]:
    """Return Pillow's names of those formats that the installed Pillow can decode."""
    from PIL import features

    # Pillow below 11.3 knows no AVIF and warns about the question.
    missing = {
        name for name in _OPTIONAL if name not in features.modules or not features.check(name)
    }
    return tuple(row.name.upper() for row in FORMATS if row.name.lower() not in missing)


def too_many_pixels(width: int, height: int) -> bool:
    """Whether a picture of this size would take too much memory."""
    return width * height > MAX_PIXELS or max(width, height) > MAX_SIDE
