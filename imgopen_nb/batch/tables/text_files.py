"""Opens text files as people have them: packed, in UTF-8 or UTF-16, with lines of any length.

What is unpacked is read piece by piece, and a file that grows like no real one does is refused.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ...errors import ParameterError
from ...media.formats import MAX_BYTES

# Characters of the longest line, or cell of one: a `data:` URL of the largest image.
LONGEST = MAX_BYTES * 4 // 3 + 100_000
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}
PACKED_SUFFIXES = frozenset((".gz", ".bz2"))
# No real table shrinks to a 300th; a file of zeros shrinks to a 1000th with gzip.
_MOST_GROWTH, _SMALL = 300, 100_000_000
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


# What Windows-1252 does not have, or Western words do not: three letters with accents in a row,
# as in Cyrillic, Greek and Chinese, and what only files hold that are no text.
_NOT_WESTERN = re.compile(rb"[\x80-\xff]{3}|[\x00-\x08\x0e-\x1f]")
WESTERN = "imgopen.western"


def _western(error: UnicodeError) -> tuple[str, int]:
    """Return the letter that a byte stands for which is no UTF-8: that of Windows-1252."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    at = error.start
    if _NOT_WESTERN.search(error.object[max(0, at - 2) : at + 3]):
        raise error
    return error.object[at : at + 1].decode("cp1252"), at + 1


codecs.register_error(WESTERN, _western)


@contextmanager
def open_text(path: Path, errors: str = "strict") -> Iterator[io.TextIOWrapper]:
    """Open a text file, also a packed one (gzip, bzip2); line ends are kept as they are.

    UTF-8 with or without a mark, UTF-16 and UTF-32 are told apart by their first bytes.

    Args:
        path: the file.
        errors: WESTERN reads what is no UTF-8 as Windows-1252, in which Excel writes.

    Raises:
        OSError, EOFError, zlib.error: it cannot be read, or its packing is damaged.
        UnicodeDecodeError: while reading: it is no UTF-8, and with WESTERN not that either.
    """
    with path.open("rb") as raw:
        opener = _PACKED.get(raw.read(2))
        raw.seek(0)
        file: Any = raw if opener is None else _Unpacked(opener(raw), path)
        buffered = io.BufferedReader(file) if opener else file
        encoding = _encoding(buffered.peek(64)[:64])
        with io.TextIOWrapper(buffered, encoding, errors, newline="") as text:
            yield text


def lines(file: io.TextIOWrapper, name: str) -> Iterator[str]:
    """Yield the lines of an open text file, with their ends.

    Raises:
        ParameterError: a line is longer than any image.
    """
    number = 1
    while line := file.readline(LONGEST):
        if len(line) == LONGEST:
            raise ParameterError(f"{name}, line {number} is longer than the largest image")
        yield line
        number += 1


def _encoding(head: bytes) -> str:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    for begin, encoding in enumerate(("utf-16-be", "utf-16-le")):  # Latin letters without a mark
        if 2 * head[begin::2].count(0) > len(head[begin::2]):
            return encoding
    return "utf-8-sig"


class _Unpacked(io.RawIOBase):
    """The content of a packed file; reading ends with an error if it grows beyond all measure."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._name = path.name
        self._most = max(_SMALL, _MOST_GROWTH * path.stat().st_size)
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        data = self._file.read(len(into))
        self._read += len(data)
        if self._read > self._most:
            raise ParameterError(
                f"{self._name} unpacks to more than any table would need: over {self._read:,} "
                "bytes",
                hint="unpack it, and check what it holds",
            )
        into[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
