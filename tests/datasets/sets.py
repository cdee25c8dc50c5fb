"""Datasets for tests: images that differ, and captions that are hard to write down."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

MOST = 20_000  # characters of a caption
_PIECES = (
    "a cat", "ohwx", ", ", ",", ",,", " ,", '"', "'", '""', "\\", "\\n", "\\\\", "\\u0041", "[",
    "]", "{", "}", "[trigger]", "{a|b}", "|||", "(", "\\(", "<lora:x:1>", "&amp;", "<b>", "%s",
    "${HOME}", "$(id)", "`", "#", "@", "//", "/*", "--", "=1+1", "\t", "  ", ";", ":", "::", "...",
    "null", "1e9", "\n", "\r\n", "\r", "\u2028", "\u2029", "\x85", "\x0b", "\n\n", "\ufeff",
    "\u200b", "\u200d", "شخص يرتدي قبعة", "חתול", "\u202eevil\u202c", "猫、帽子", "😀", "👩‍👩‍👧‍👦",
    "é", "e\u0301", "ﬁ",
    "\U0001f3f4\U000e0067", "\xa0", "\u3000", "ß", "Ω", "\ud7ff", "\ue000", "\uffff", "_",
)  # fmt: skip
_FIRST = ("#", "@", "=", "-", "{", "[", '"', "\ufeff", "\u2028", " ", "---", "%YAML", "<?xml", "")


def png(number: int) -> bytes:
    """Return a tiny image that no other number has."""
    pixel = b"\x00" + struct.pack(">I", number)[1:]
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(pixel)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def make_pictures(folder: Path, number: int) -> list[Path]:
    """Write images into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"image {at:04}.png" for at in range(number)]
    for at, path in enumerate(paths):
        path.write_bytes(png(at))
    return paths


def hostile(number: int, seed: int) -> list[str]:
    """Return captions of anything that people and models write, some of 20 kB."""
    dice = random.Random(seed)
    found = []
    for at in range(number):
        pieces = [dice.choice(_FIRST), "x"] if at % 3 else ["x"]
        pieces += dice.choices(_PIECES, k=dice.randrange(1, 20))
        if at % 200 == 7:
            pieces += dice.choices(_PIECES, k=4000)
        text = "".join(pieces)
        found.append(text[:MOST].strip() if text.strip("\ufeff \n\u2028") else "x")
    return found
