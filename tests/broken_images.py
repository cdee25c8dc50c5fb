"""Broken and odd image files, made the same way each time: what a server of images must survive.

PYTEST_DONT_REWRITE: the tests import `corpus` from here.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image

FORMATS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 85},
    "WEBP": {"quality": 80},
    "GIF": {},
    "TIFF": {"compression": "tiff_deflate"},
    "BMP": {},
}
# Where a file is cut, and how many bits are turned over.
CUTS = (0.02, 0.3, 0.7, 0.99)
FLIPS = (1, 20, 300)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGB, PALETTE = 2, 3


def photograph(size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Image.Image:
    """An image with some texture, the same each time."""
    noise = random.Random(7).randbytes(8 * 6 * 3)
    small = Image.frombytes("RGB", (8, 6), noise)
    return small.resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def flipped(data: bytes, count: int, seed: str) -> bytes:
    """Turn over bits anywhere behind the first bytes, which name the format."""
    chosen, damaged = random.Random(seed), bytearray(data)
    for _ in range(count):
        damaged[chosen.randrange(16, len(data))] ^= 1 << chosen.randrange(8)
    return bytes(damaged)


def chunk(name: bytes, data: bytes, length: int | None = None, crc: int | None = None) -> bytes:
    right = zlib.crc32(name + data)
    size = len(data) if length is None else length
    return struct.pack(">I", size) + name + data + struct.pack(">I", right if crc is None else crc)


def png(*chunks: bytes, width: int = 4, height: int = 4, kind: int = RGB, bits: int = 8) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"".join((SIGNATURE, chunk(b"IHDR", header), *chunks, chunk(b"IEND", b"")))


def rows(count: int = 4, length: int = 12, method: int = 0) -> bytes:
    """The packed pixels of a PNG: `count` rows of `length` bytes."""
    return zlib.compress((bytes([method]) + b"\x50" * length) * count)


def idat(*given: int, **how: int) -> bytes:
    return chunk(b"IDAT", rows(*given, **how))


def bomb(side: int) -> bytes:
    """Side × side black pixels that take next to no bytes."""
    packer = zlib.compressobj(1)
    line = b"\0" * (1 + (side + 7) // 8)
    pixels = b"".join(packer.compress(line) for _ in range(side)) + packer.flush()
    return png(chunk(b"IDAT", pixels), width=side, height=side, kind=0, bits=1)


def animated(kind: str) -> bytes:
    frames = [photograph().rotate(turn) for turn in (0, 90, 180)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(photograph(), "JPEG", exif=exif)


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose header tells of another size than its data."""
    data = bytearray(encoded(photograph(), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def pixels_at(place: int, width: int, height: int, form: str, kind: str) -> bytes:
    """A file with other sizes written where its format keeps them."""
    data = bytearray(encoded(photograph(), kind))
    struct.pack_into(form, data, place, width, height)
    return bytes(data)


def tiff_that_points(to: int) -> bytes:
    """A TIFF whose first directory lies there."""
    data = bytearray(encoded(photograph(), "TIFF"))
    struct.pack_into("<I", data, 4, to)
    return bytes(data)


HTML = b"<!DOCTYPE html><html><body>not found</body></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9"/></svg>'

ODD: dict[str, Callable[[], bytes]] = {
    "svg": lambda: SVG,
    "html named png": lambda: HTML,
    "html after a signature": lambda: SIGNATURE + HTML,
    "signature alone": lambda: SIGNATURE,
    "one byte": lambda: b"\x89",
    "zeros": lambda: bytes(4000),
    "noise": lambda: random.Random(1).randbytes(4000),
    "noise after a JPEG's start": lambda: b"\xff\xd8\xff\xe0" + random.Random(2).randbytes(4000),
    "zip": lambda: b"PK\x03\x04" + bytes(400),
    "pdf": lambda: b"%PDF-1.7\n%%EOF\n",
    "postscript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "png without pixels": lambda: png(),
    "png without end": lambda: png(idat())[:-12],
    "png of width 0": lambda: png(idat(), width=0),
    "png of height 0": lambda: png(idat(), height=0),
    "png of 2 billion pixels a side": lambda: png(idat(), width=2**31 - 1, height=2**31 - 1),
    "png of a huge width": lambda: png(idat(), width=2**31 - 1, height=1),
    "png of 60 megapixels, one row given": lambda: png(idat(1), width=7900, height=7600),
    "png bomb of 400 megapixels": lambda: bomb(20_000),
    "png with a length beyond its end": lambda: png(chunk(b"IDAT", rows(), length=2**31 - 1)),
    "png with a length too short": lambda: png(chunk(b"IDAT", rows(), length=3)),
    "png with a wrong checksum": lambda: png(chunk(b"IDAT", rows(), crc=1)),
    "png with a wrong checksum aside": lambda: png(chunk(b"tEXt", b"a\0b", crc=1), idat()),
    "png with an unknown filter": lambda: png(idat(method=9)),
    "png with too few rows": lambda: png(idat(2)),
    "png with too many rows": lambda: png(idat(400)),
    "png without palette": lambda: png(idat(4, 4), kind=PALETTE),
    "png with a palette of one": lambda: png(
        chunk(b"PLTE", b"\1\2\3"), idat(4, 4), kind=PALETTE
    ),
    "png of 3 bits": lambda: png(idat(), bits=3),
    "png of an unknown kind": lambda: png(idat(), kind=5),
    "png with a text bomb": lambda: png(
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000), 1)), idat()
    ),
    "png with a broken profile": lambda: png(chunk(b"iCCP", b"x\0\0" + b"garbage" * 9), idat()),
    "png with a broken EXIF": lambda: png(chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"), idat()),
    "png of 16 bits": lambda: encoded(photograph(mode="L").convert("I;16"), "PNG"),
    "png of 1 bit": lambda: encoded(photograph(mode="1"), "PNG"),
    "png of one pixel": lambda: encoded(photograph((1, 1)), "PNG"),
    "png of 1 × 3000": lambda: encoded(photograph((1, 3000)), "PNG"),
    "png all transparent": lambda: encoded(Image.new("RGBA", (32, 32)), "PNG"),
    "animated png": lambda: animated("PNG"),
    "animated gif": lambda: animated("GIF"),
    "animated webp": lambda: animated("WEBP"),
    "gif of 65535 × 65535": lambda: pixels_at(6, 65535, 65535, "<HH", "GIF"),
    "gif of 0 × 0": lambda: pixels_at(6, 0, 0, "<HH", "GIF"),
    "bmp of a negative size": lambda: pixels_at(18, -64, -48, "<ii", "BMP"),
    "bmp of a huge size": lambda: pixels_at(18, 2**30, 2**30, "<ii", "BMP"),
    "jpeg larger than its data": lambda: jpeg_of(3000, 2000),
    "jpeg of 65500 × 65500": lambda: jpeg_of(65500, 65500),
    "jpeg of height 0": lambda: jpeg_of(64, 0),
    "jpeg in cmyk": lambda: encoded(photograph(mode="CMYK"), "JPEG"),
    "jpeg turned by its EXIF": lambda: turned(6),
    "jpeg with an impossible turn": lambda: turned(77),
    "jpeg with a broken EXIF": lambda: encoded(photograph(), "JPEG", exif=b"Exif\0\0garbage" * 20),
    "jpeg with a broken profile": lambda: encoded(
        photograph(), "JPEG", icc_profile=random.Random(3).randbytes(70_000)
    ),
    "jpeg with html behind it": lambda: encoded(photograph(), "JPEG") + HTML * 100,
    "tiff that points beyond its end": lambda: tiff_that_points(2**32 - 1),
    "tiff that points to itself": lambda: tiff_that_points(4),
    "tiff of floats": lambda: encoded(photograph(mode="L").convert("F"), "TIFF"),
    "tiff in Lab": lambda: encoded(photograph(mode="LAB"), "TIFF"),
}  # fmt: skip


def corpus() -> dict[str, bytes]:
    """The files by what is wrong with them."""
    return {name: make() for name, make in ODD.items()} | dict(damaged())


def damaged() -> Iterator[tuple[str, bytes]]:
    for kind, options in FORMATS.items():
        whole = encoded(photograph(), kind, **options)
        for cut in CUTS:
            yield f"{kind} cut at {cut:.0%}", whole[: max(1, round(len(whole) * cut))]
        for count in FLIPS:
            yield f"{kind} with {count} bits turned", flipped(whole, count, f"{kind} {count}")
