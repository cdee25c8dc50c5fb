"""Image files as viewers read them: what is odd beside the pixels is left out.

Pillow refuses a whole PNG for a text or colour profile above 1 MB, which programs that draw
images write (a workflow, a prompt), and for a wrong checksum in a chunk that it does not need.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
MAX_EXTRA = 1_000_000  # bytes of a chunk beside the pixels, and of what is compressed in it
MAX_ALL_EXTRA = 8_000_000  # of all of them together
MAX_CHUNKS = 100_000  # that are looked at
# How long the content is at least.
_SHORTEST = {
    b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"acTL": 8, b"fcTL": 26, b"fdAT": 4,
}  # fmt: skip
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")


def without_odd_chunks(data: bytes) -> bytes:
    """Return a PNG file without the chunks that Pillow would refuse it for; the pixels stay.

    Args:
        data: a file. One that is no PNG, or has no such chunk, is returned as it is.
    """
    if not data.startswith(SIGNATURE):
        return data
    kept, odd, extra = [SIGNATURE], set(), 0
    place, pixels, rest = len(SIGNATURE), False, b""
    for _ in range(MAX_CHUNKS):
        header = data[place : place + 8]
        name, end = header[4:], place + 12 + int.from_bytes(header[:4], "big")
        if len(name) < 4 or not name.isalpha():
            if pixels and header:
                odd.add(b"rest")
            break
        whole, content = data[place:end], data[place + 8 : min(end, len(data)) - 4]
        place = end
        if name[:1].isupper():  # the pixels cannot be read without it
            kept.append(whole)
            pixels |= name == b"IDAT"
            if name == b"IEND":
                break
            continue
        crc = struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))
        size = _size(name, content) if whole.endswith(crc) and extra <= MAX_ALL_EXTRA else None
        extra += size or 0
        if size is None or extra > MAX_ALL_EXTRA:
            odd.add(name)
            whole = header + content + crc if name == b"tRNS" and end <= len(data) else b""
        kept.append(whole)
    else:
        rest = data[place:]
    if not odd:
        return data
    if odd.intersection(_ANIMATION):
        kept = [part for part in kept if part[4:8] not in _ANIMATION]
    return b"".join([*kept, rest or END])


def _size(name: bytes, content: bytes) -> int | None:
    """Return how many bytes a chunk has in memory, None if Pillow refuses a file for it."""
    if name in _ANIMATION:  # pixels, as many as there are
        return 0 if len(content) >= _SHORTEST[name] else None
    if not _SHORTEST.get(name, 0) <= len(content) <= MAX_EXTRA:
        return None
    packed = _COMPRESSED[name](content) if name in _COMPRESSED else b""
    if packed is None:
        return None
    try:
        unpacked = len(zlib.decompressobj().decompress(packed, MAX_EXTRA + 1))
    except zlib.error:  # Pillow leaves it out by itself
        unpacked = 0
    return len(content) + unpacked if unpacked <= MAX_EXTRA else None


def _after_name(content: bytes) -> bytes | None:
    """Return what is compressed in a chunk of a name, a zero, the method 0 and data."""
    _, zero, rest = content.partition(b"\0")
    return rest[1:] if zero and rest[:1] == b"\0" else None


def _international(content: bytes) -> bytes | None:
    """Return the compressed text of an iTXt chunk, b"" where it is not compressed."""
    _, _, rest = content.partition(b"\0")
    if rest[:1] != b"\1":
        return b""
    return rest[2:].partition(b"\0")[2].partition(b"\0")[2] if rest[1:2] == b"\0" else None


_COMPRESSED: dict[bytes, Callable[[bytes], bytes | None]] = {
    b"iCCP": _after_name, b"zTXt": _after_name, b"iTXt": _international,
}  # fmt: skip


def without_segments(data: bytes) -> bytes:
    """Return a JPEG without what programs noted in it, but for how its colours are coded.

    Args:
        data: a file. What is no JPEG is returned as it is.
    """
    place, adobe = 2, b""
    while data.startswith(b"\xff\xd8") and data[place : place + 1] == b"\xff":
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker not in _NOTES or length < 2:
            return data[:2] + adobe + data[place:]
        if marker == _ADOBE and length >= 14:
            adobe = data[place : place + 2 + length]
        place += 2 + length
    return data


_ADOBE = 0xEE
_NOTES = (*range(0xE0, 0xF0), 0xFE)  # the application's segments, and comments
