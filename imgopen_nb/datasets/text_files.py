"""The captions that lie beside images already: cat.txt for cat.png."""

from __future__ import annotations

import codecs
import errno
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..captions.edits import MOST_TEXT
from ..errors import UsageError
from ..media.stores import files_in, modified
from ..text import counted
from .entry import Entry

if TYPE_CHECKING:
    from ..media.stores import Place

SUFFIXES = (".txt", ".caption")  # the first that is there counts
_READ = (*SUFFIXES, *map(str.upper, SUFFIXES))  # trainers read the small ones only
_MOST_BYTES = 4 * MOST_TEXT


class TextFile(NamedTuple):
    """A caption file as it is on the disk.

    Attributes:
        path: the file.
        caption: its text; "" if there is none, or it cannot be read.
        sha256: that of its bytes.
        modified: when it was last changed, in seconds since the epoch.
        trouble: what a user should know of it, or "".
    """

    path: Place
    caption: str
    sha256: str
    modified: float
    trouble: str


def text_files(entries: Iterable[Entry]) -> Iterator[tuple[Entry, TextFile]]:
    """Yield the caption file of each image that has one."""
    listed: dict[str, set[str]] = {}  # the files of each folder in a store, which is asked once
    for entry in entries:
        if not entry.picture:
            continue
        try:
            place = entry.place
        except UsageError:  # what reads such a store is not installed by now
            continue
        if place is None:
            continue
        if not isinstance(place, Path) and str(place.parent) not in listed:
            listed[str(place.parent)] = {file.name for file in files_in(place.parent)}
        for suffix in _READ:
            beside = place.with_suffix(suffix)
            if not isinstance(place, Path) and beside.name not in listed[str(place.parent)]:
                continue
            found = read_text_file(beside)
            if found is not None:
                yield entry, found
                break


def read_text_file(path: Place) -> TextFile | None:
    """Return a caption file, None if there is none."""
    try:
        if not path.is_file():
            return None
        seen = path.stat()
        data = path.read_bytes() if seen.st_size <= _MOST_BYTES else b""
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # there is no such file
            return None
        return TextFile(path, "", "", 0.0, f"{path.name} cannot be read ({error.strerror})")
    changed = seen.st_mtime if isinstance(path, Path) else modified(path)
    if seen.st_size > _MOST_BYTES:
        trouble = f"{path.name} is too long for a caption: {counted(seen.st_size, 'byte')}"
        return TextFile(path, "", "", changed, trouble)
    text, trouble = decoded(data)
    found = text.strip()
    if len(found) > MOST_TEXT:
        found, trouble = "", "is too long for a caption"
    digest = hashlib.sha256(data).hexdigest()
    return TextFile(path, found, digest, changed, f"{path.name} {trouble}" if trouble else "")


def decoded(data: bytes) -> tuple[str, str]:
    """Return the text of a file, and what is wrong with its encoding, or ""."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace"), "is not UTF-8: read as UTF-16"
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace"), "is not UTF-8: read as Windows-1252"
