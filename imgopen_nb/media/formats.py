"""The image formats and size limits that the kernel, the publisher and the sandbox share."""

from __future__ import annotations

import functools
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .metadata import without_odd_chunks, without_segments

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 50_000_000
MAX_PIXELS = 64_000_000
# A panorama of 64 megapixels may be 16 times as wide as high. Telephones make them 16,000 pixels
# wide, WebP ends at 16,383. Beyond, rows cost more than pixels: some 24 bytes each in Pillow alone.
MAX_SIDE = 32_768
MAX_SCANS = 100  # of a JPEG: an encoder makes at most some 15, each of which is decoded in full
MAX_FRAMES = 1000  # that are counted
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
_OTHERS = (
    (rb"\s*<(!doctype\s+html|html)", "a web page", "use the address of the image itself"),
    (rb"\s*<(\?xml|svg)", "SVG or XML", "convert it to PNG first"),
    (rb"%PDF", "a PDF", "export the page as PNG first"),
    (rb"%!PS", "PostScript", "export the page as PNG first"),
    (rb".{4}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", "HEIC", "convert it to JPEG first"),
    (rb".{4}ftyp", "a video", "export one frame as JPEG first"),
    (rb"\0\0\0\x0cJXL |\xff\x0a", "JPEG XL", "convert it to PNG first"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000", "convert it to PNG first"),
    (rb"8BPS", "a Photoshop file", "export it as PNG first"),
    (rb"\x1f\x8b|PK\x03\x04|7z\xbc\xaf|Rar!", "an archive", "unpack it first"),
    (rb"\xd0\xcf\x11\xe0", "an old Office file", "export the image as PNG first"),
    (rb"version https://git-lfs", "a Git LFS pointer", "fetch the file with git lfs pull"),
    (rb"\s*[{\[\"]", "text or JSON", "use the image itself"),
)
MIME_TYPES = {row.suffix: row.mime for row in FORMATS}
FILE_SUFFIXES = frozenset((*MIME_TYPES, ".jpeg", ".tiff"))
NAMES = " or ".join(", ".join(row.name for row in FORMATS).rsplit(", ", 1))
_BY_PILLOW_NAME = {row.name.upper(): row for row in FORMATS}
# A phone's JPEG that holds a second image.
_BY_PILLOW_NAME["MPO"] = _BY_PILLOW_NAME["JPEG"]
_OPTIONAL = ("webp", "avif")
_TILE_SIZE = (322, 323)
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_SCAN, _END, _WITHOUT_LENGTH = 0xDA, 0xD9, (*range(0xD0, 0xD9), 0x01)
_GIF_BLOCK = re.compile(rb"[!,;]")  # an extension, a frame, the end; all else is skipped


def format_of(data: bytes) -> PictureFormat | None:
    """Return the format that the first bytes of a file announce; nothing is decoded."""
    return next((row for row in FORMATS if row.start.match(data)), None)


def what_else(data: bytes) -> tuple[str, str] | None:
    """Return what a file is if it is not an image, and what to do about it; None if unknown.

    Example:
        what_else(b"%PDF-1.7")  # ("a PDF", "export the page as PNG first")
    """
    found = format_of(data)
    if found and found.name.upper() not in decodable():
        hint = "update it (python -m pip install -U pillow), or convert the image to PNG"
        return f"{found.name}, which the installed Pillow cannot read", hint
    matches = (row for row in _OTHERS if re.match(row[0], data[:200], re.DOTALL | re.IGNORECASE))
    return next(((what, hint) for _, what, hint in matches), None)


def open_image(data: bytes) -> Image:
    """Open an image, in one of the formats above, without decoding it: the one place that does.

    What is odd beside its pixels does not matter: a profile or text of many megabytes, a wrong
    checksum of such a part, something behind the end.

    Raises:
        Exception: what Pillow raises. Ask `excess_of` before anything is decoded.
    """
    from PIL import Image, UnidentifiedImageError

    data = without_odd_chunks(data)
    try:
        return Image.open(io.BytesIO(data), formats=decodable())
    except UnidentifiedImageError:
        return Image.open(io.BytesIO(without_segments(data)), formats=decodable())


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


def excess(width: int, height: int) -> str:
    """Return what an image of this size has too much of, in words for people; "" if nothing."""
    if max(width, height) > MAX_SIDE:
        return f"more than {MAX_SIDE:,} pixels on a side"
    return f"more than {MAX_MEGAPIXELS} megapixels" if width * height > MAX_PIXELS else ""


def excess_of(image: Image, data: bytes) -> str:
    """Return what would make an image too much to decode, "" if nothing would.

    Args:
        image: opened, and not decoded yet.
        data: its file.
    """
    found = excess(*image.size)
    if not found and image.format == "TIFF":
        tile = [image.tag_v2.get(tag, 0) for tag in _TILE_SIZE]  # type: ignore[attr-defined]
        if all(isinstance(side, int) for side in tile) and (what := excess(*tile)):
            return f"tiles of {what}"
    animated = image.format == "WEBP" and getattr(image, "is_animated", False)
    # Its decoder holds three images of full size beside the one that it returns.
    if animated and 4 * image.width * image.height > MAX_PIXELS:
        return f"more than {MAX_MEGAPIXELS // 4} megapixels in an animation"
    if not found and image.format in ("JPEG", "MPO") and _scans(data) > MAX_SCANS:
        return f"more than {MAX_SCANS} scans"
    return found


def _scans(data: bytes) -> int:
    """Return the number of scans of a JPEG; counting ends beyond `MAX_SCANS`."""
    place, scans = 2, 0
    while scans <= MAX_SCANS and (found := _MARKER.search(data, place)):
        place, marker = found.end(), found[0][1]
        if marker == _END:
            break
        if marker not in _WITHOUT_LENGTH:
            place += int.from_bytes(data[place : place + 2], "big")
        scans += marker == _SCAN
    return scans


def _gif_frames(data: bytes) -> int:
    """Return the number of frames of a GIF; counting ends beyond `MAX_FRAMES`."""
    place, frames = 13 + _palette(data[10:11]), 0
    while frames <= MAX_FRAMES and (found := _GIF_BLOCK.search(data, place)):
        place, kind = found.end(), found[0]
        if kind == b";":
            break
        if kind == b",":
            frames += 1
            place += 10 + _palette(data[place + 8 : place + 9])
        else:
            place += 1
        while (size := int.from_bytes(data[place : place + 1], "big")) > 0:
            place += size + 1
        place += 1
    return frames


def _palette(flags: bytes) -> int:
    """Return the bytes of the palette that the flags of a GIF's screen or frame announce."""
    number = int.from_bytes(flags, "big")
    return 3 << (number % 8 + 1) if number & 0x80 else 0


def count_frames(image: Image, data: bytes) -> int:
    """Return how many frames or pages an image has; `MAX_FRAMES` + 1 stands for any more.

    A small file may have millions of them, which Pillow would go through one by one.
    """
    from PIL import Image

    if image.format not in ("GIF", "TIFF"):  # their headers tell the number
        return min(int(getattr(image, "n_frames", 1)), MAX_FRAMES + 1)
    if image.format == "GIF":
        return _gif_frames(data)
    with Image.open(io.BytesIO(data), formats=(image.format,)) as copy:
        for page in range(1, MAX_FRAMES + 1):  # one by one: Pillow counts wrongly when it jumps
            try:
                copy.seek(page)
            except EOFError:
                return page
        return MAX_FRAMES + 1
