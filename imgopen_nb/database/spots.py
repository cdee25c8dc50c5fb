"""Where a file is or will be: on this machine, or in a store that fsspec reaches.

The content of a spot is told by its digest: the SHA-256 of a file, "link TARGET" for a symbolic
link, "folder" for a folder, None where there is nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Container, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FileError, UsageError
from ..files import remove_stale_drafts
from ..media.stores import OBJECT_STORES, address_of, is_store, modified, store
from ..text import clip, clip_path, spelled
from .written_files import draft_of, explained, key_of, target_of

if TYPE_CHECKING:
    from ..media.stores import Place

LINK, FOLDER, OTHER = "link ", "folder", "other"
_BYTES = "bytes:"  # before the name of a file that is not text, in hexadecimal


class Spot:
    """A place for a file, as it was when it was looked at.

    Attributes:
        name: its path or address, as the caller gave it.
        key: the same for the table of the files that we wrote.
        after: what an error says of the other files.
    """

    name: str
    key: str
    after: str = "nothing was written"

    def digest(self) -> str | None:
        """Return what tells the content from any other."""
        raise NotImplementedError

    def read(self) -> bytes:
        """Return the bytes of the file."""
        raise NotImplementedError

    def size(self) -> int:
        """Return the number of bytes, 0 if there is no file."""
        raise NotImplementedError

    def untouched(self) -> bool:
        """Whether it is still as it was when it was looked at."""
        raise NotImplementedError

    def put(self, data: bytes, mode: int | None = None, modified: int | None = None) -> None:
        """Write a file, so that whatever happens, it is the old or the new one."""
        raise NotImplementedError

    def link(self, target: str) -> None:
        """Make a symbolic link."""
        raise NotImplementedError

    def remove(self) -> None:
        """Remove the file, the link, or the folder if it is empty."""
        raise NotImplementedError

    def missing_folders(self) -> list[Spot]:
        """Return the folders that have to be made before, from the top down."""
        raise NotImplementedError

    def make_folder(self) -> None:
        """Make the folder that this spot is for."""
        raise NotImplementedError

    def clean(self) -> None:
        """Remove what a killed program left in the folder of this file long ago."""

    @property
    def mode(self) -> int | None:
        """The mode of the file, None if there is none."""
        return None

    @property
    def modified(self) -> int | None:
        """When the file was changed, in nanoseconds since the epoch, None if nobody says."""
        return None

    @property
    def shown(self) -> str:
        """Its name in messages."""
        return clip_path(self.name)

    @property
    def stored(self) -> str:
        """Its name for the journal, from which `spot_of` finds it again."""
        return self.name


def spot_of(place: Place | str, listed: Container[str] | None = None) -> Spot:
    """Return the spot of a path, of an address, or of what the journal has kept.

    Args:
        place: where it is.
        listed: the names of all that is in this folder of a store, if that is known: the store
            is not asked for what is not there.

    Raises:
        FileError: its place cannot be read.
        UsageError: the address cannot be used.
    """
    if isinstance(place, str):
        if is_store(place):
            return _StoreSpot(place, listed)
        if place.startswith(_BYTES):
            place = os.fsdecode(bytes.fromhex(place.removeprefix(_BYTES)))
        return _LocalSpot(Path(place))
    return _LocalSpot(place) if isinstance(place, Path) else _StoreSpot(address_of(place), listed)


class _LocalSpot(Spot):
    def __init__(self, path: Path) -> None:
        self.name = os.path.abspath(path)
        self._target = target_of(Path(self.name), None)
        self._path = self._target.path
        self.key = key_of(self._path)

    @property
    def stored(self) -> str:
        exact = key_of(self.name) == self.name and not self.name.startswith(_BYTES)
        return self.name if exact else _BYTES + os.fsencode(self.name).hex()

    def digest(self) -> str | None:
        there = self._target.there
        if there is None:
            return None
        with self._reading():
            if self._target.link:
                return LINK + os.readlink(self._path)
            if not self._target.regular:
                return FOLDER if stat.S_ISDIR(there.st_mode) else OTHER
            with self._path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

    def read(self) -> bytes:
        with self._reading():
            return self._path.read_bytes()

    def size(self) -> int:
        return self._target.there.st_size if self._target.there and self._target.regular else 0

    def untouched(self) -> bool:
        return self._target.untouched()

    def put(self, data: bytes, mode: int | None = None, modified: int | None = None) -> None:
        with explained(self._target, self.after), draft_of(self._target, data) as part:
            if mode is not None:
                part.chmod(mode)
            if modified is not None:
                os.utime(part, ns=(modified, modified))

    def link(self, target: str) -> None:
        with explained(self._target, self.after):
            if self._target.there is None:
                os.symlink(target, self._path)
                return
            part = self._path.with_name(f".imgopen-{os.urandom(8).hex()}.part")
            os.symlink(target, part)
            try:
                if not self.untouched():
                    raise FileExistsError
                os.replace(part, self._path)
            finally:
                part.unlink(missing_ok=True)

    def remove(self) -> None:
        with explained(self._target, self.after):
            if self.digest() == FOLDER:
                with contextlib.suppress(OSError):  # something else is in it by now
                    self._path.rmdir()
                return
            if not self.untouched():
                raise FileExistsError
            self._path.unlink(missing_ok=True)

    def missing_folders(self) -> list[Spot]:
        missing: list[Spot] = []
        for folder in Path(self.name).parents:
            if os.path.lexists(folder):
                break
            missing.append(_LocalSpot(folder))
        return missing[::-1]

    def make_folder(self) -> None:
        with explained(self._target, self.after):
            self._path.mkdir(exist_ok=True)

    def clean(self) -> None:
        remove_stale_drafts(self._path.parent)

    @property
    def mode(self) -> int | None:
        return self._target.mode

    @property
    def modified(self) -> int | None:
        there = self._target.there
        return there.st_mtime_ns if there and self._target.regular else None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FileError(
                f"{self.shown} cannot be read ({error.strerror}): nothing was written",
                hint="make it readable, or choose another folder",
            ) from None


class _StoreSpot(Spot):
    def __init__(self, address: str, listed: Container[str] | None = None) -> None:
        self._place = store(address)
        self.name = self.key = address_of(self._place)
        self._info = None
        if listed is None or self._place.name in listed:
            with self._asking("cannot be reached"):
                self._info = self._look()

    def digest(self) -> str | None:
        if self._info is None:
            return None
        if self._info.get("type") == "directory":
            return FOLDER
        return hashlib.sha256(self.read()).hexdigest()

    def read(self) -> bytes:
        with self._asking("cannot be read"):
            return bytes(self._place.read_bytes())

    def size(self) -> int:
        return int((self._info or {}).get("size") or 0)

    def untouched(self) -> bool:
        with self._asking("cannot be reached"):
            return _mark(self._look()) == _mark(self._info)

    def put(self, data: bytes, mode: int | None = None, modified: int | None = None) -> None:
        self._refuse_a_change()
        with self._asking("cannot be written"):
            self._place.write_bytes(data)

    def link(self, target: str) -> None:
        raise UsageError(
            "such a store cannot hold links", hint=spelled('images="copy"', "--images copy")
        )

    def remove(self) -> None:
        with self._asking("cannot be removed"):
            if self.digest() == FOLDER:
                with contextlib.suppress(Exception):  # something else is in it by now
                    self._place.fs.rmdir(self._place.path)
            elif self._info is not None:
                self._refuse_a_change()
                self._place.unlink()

    def missing_folders(self) -> list[Spot]:
        if self._place.protocol in OBJECT_STORES:  # there are names with slashes only
            return []
        missing: list[Spot] = []
        for folder in self._place.parents:
            spot = _StoreSpot(address_of(folder))
            if spot.digest() == FOLDER or folder == folder.parent:
                break
            missing.append(spot)
        return missing[::-1]

    def make_folder(self) -> None:
        with self._asking("cannot be made"):
            self._place.mkdir(parents=True, exist_ok=True)

    @property
    def modified(self) -> int | None:
        return int(modified(self._place) * 1e9) or None

    def _refuse_a_change(self) -> None:
        if not self.untouched():
            said = f"{self.shown} was made or changed by another program just now: {self.after}"
            raise UsageError(said, hint="check the file, then try again")

    def _look(self) -> dict[str, Any] | None:
        self._place.fs.invalidate_cache()
        try:
            return dict(self._place.fs.info(self._place.path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    @contextlib.contextmanager
    def _asking(self, trouble: str) -> Iterator[None]:
        try:
            yield
        except (FileError, UsageError):
            raise
        except Exception as error:  # each kind of store has errors of its own
            said = clip(str(error) or type(error).__name__, 160)
            raise FileError(
                f"{self.shown} {trouble} ({said}): {self.after}",
                hint="check the store's configuration",
            ) from None


def _mark(info: dict[str, Any] | None) -> tuple[str, ...] | None:
    """Return what tells one version of a file in a store from another."""
    if info is None:
        return None
    facts = ("type", "size", "ETag", "etag", "created", "mtime", "LastModified", "updated")
    return tuple(str(info.get(fact)) for fact in facts)
