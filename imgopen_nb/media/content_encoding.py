"""Unpacks a body that came compressed though nobody asked for it, in pieces of bounded size."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator

from urllib3.exceptions import DecodeError

from .formats import format_of

PIECE = 65536  # bytes that are unpacked at once
_ENOUGH = 64  # bytes that show what a body is
_GZIP, _GZIP_START = 31, b"\x1f\x8b"
_UNPACKED = ("", "identity", "none")


class UnreadableEncodingError(DecodeError):
    """A body that cannot be unpacked; its text continues the sentence "the server ..."."""


def unpacked(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the pieces of a body, unpacked, as they arrive.

    A body that begins as an image is one, whatever its header says.

    Args:
        pieces: the body as it was sent.
        encoding: its Content-Encoding.

    Raises:
        UnreadableEncodingError: it is compressed in a way that cannot be read here, or broken.
    """
    names = [name.strip().lower() for name in encoding.split(",")]
    names = [name for name in names if name not in _UNPACKED]
    if not names:
        yield from pieces
        return
    rest, start = iter(pieces), b""
    while len(start) < _ENOUGH and (piece := next(rest, b"")):
        start += piece
    whole = itertools.chain([start] if start else [], rest)
    if not start or format_of(start):
        yield from whole
    elif names in (["gzip"], ["x-gzip"]):
        yield from _inflated(whole, _GZIP if start.startswith(_GZIP_START) else zlib.MAX_WBITS)
    elif names == ["deflate"]:  # zlib's, as the standard says, or without its two bytes; or gzip
        zlibs = start[0] & 0x0F == 8 and int.from_bytes(start[:2], "big") % 31 == 0
        raw = zlib.MAX_WBITS if zlibs else -zlib.MAX_WBITS
        yield from _inflated(whole, _GZIP if start.startswith(_GZIP_START) else raw)
    else:
        named = ", ".join(name if name.isalnum() else "?" for name in names)[:40]
        raise UnreadableEncodingError(
            f"sent it compressed ({named}) although it was asked not to, and that format cannot "
            "be decompressed here"
        )


def _inflated(pieces: Iterator[bytes], kind: int) -> Iterator[bytes]:
    unpacking = zlib.decompressobj(wbits=kind)
    for piece in pieces:
        left = piece
        while left:
            if unpacking.eof:
                if not left.strip(b"\0"):  # padding
                    break
                if kind != _GZIP or not _GZIP_START.startswith(left[:2]):
                    raise _broken("there is extra data after it")
                unpacking = zlib.decompressobj(wbits=kind)  # gzip may have several parts
            try:
                while part := unpacking.decompress(left, PIECE):
                    yield part
                    left = unpacking.unconsumed_tail
            except zlib.error:
                raise _broken("it is broken") from None
            left = unpacking.unused_data if unpacking.eof else b""
    if not unpacking.eof:
        raise _broken("it is cut off")


def _broken(why: str) -> UnreadableEncodingError:
    return UnreadableEncodingError(f"sent it compressed, and it cannot be decompressed: {why}")
