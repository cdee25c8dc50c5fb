"""The files that we write where users have theirs: none of a user's is replaced unless asked."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import FileError, JournalError, UsageError
from ..files import draft, file_error, remove_stale_drafts
from ..text import clip_path, spelled
from .database import Database

_BOM = b"\xef\xbb\xbf"
_SMALL = 65536  # bytes of a text file that may still be blank


@dataclass(frozen=True)
class Target:
    """A file to be written.

    Attributes:
        given: its path as the caller said.
        path: the same path with the links in its folder resolved.
        data: the content, None if it is not known yet.
        text: whether the content is text.
        there: what is at the path, None if nothing.
    """

    given: Path
    path: Path
    data: bytes | None
    text: bool
    there: os.stat_result | None

    @property
    def regular(self) -> bool:
        """Whether an ordinary file is there."""
        return self.there is not None and stat.S_ISREG(self.there.st_mode)

    @property
    def link(self) -> bool:
        """Whether a symbolic link is there."""
        return self.there is not None and stat.S_ISLNK(self.there.st_mode)

    @property
    def mode(self) -> int | None:
        """The mode of the file that is replaced."""
        return stat.S_IMODE(self.there.st_mode) if self.there and self.regular else None

    def blank(self) -> bool:
        """Whether the file is there and holds nothing."""
        if not self.regular or self.there is None:
            return False
        if self.there.st_size == 0:
            return True
        small = self.text and self.there.st_size <= _SMALL
        return small and not self.path.read_bytes().removeprefix(_BOM).strip()

    def same(self) -> bool:
        """Whether the file, or the one that a link leads to, has the content already."""
        if self.data is None or not self.path.is_file():
            return False
        size = self.path.stat().st_size
        if not self.text:
            return size == len(self.data) and self.path.read_bytes() == self.data
        small = size <= 2 * len(self.data) + len(_BOM) + 2
        return small and _unified(self.path.read_bytes()) == _unified(self.data)

    def untouched(self) -> bool:
        """Whether the path is still as it was when it was checked."""
        with contextlib.suppress(OSError):
            return _mark(_there(self.path)) == _mark(self.there)
        return False


class WrittenFiles:
    """Writes files where users have theirs, and knows which of them it has written.

    A file counts as ours while it has the SHA-256 that was recorded when it was written, so one
    that was edited since is the user's. What cannot be recorded counts as the user's too.

    - A new file is written; one that appears meanwhile is not replaced.
    - A file with the same content is not touched. For text it is the same if only BOM, line ends
      (CRLF) or the final newline differ.
    - An empty file, or a blank text file, is filled.
    - A file of ours is replaced; anything else only with `overwrite`. A link is replaced itself,
      not what it leads to; a folder is never replaced.

    All files are checked first; if one is refused, none is written. Each is written beside its
    place and renamed, so that whatever happens, it is the old or the new one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def check(self, path: Path, *, overwrite: bool = False) -> None:
        """Check that a file may be written whose content is not known yet.

        Raises:
            UsageError: it is the user's, and `overwrite` is not set.
            FileError: its place cannot be read.
        """
        self._to_write({path: None}, overwrite)

    def write(self, contents: Mapping[Path, str | bytes], *, overwrite: bool = False) -> None:
        """Write files, in this order; folders are made as necessary. Text is written as UTF-8.

        Args:
            contents: the content of each file.
            overwrite: whether to replace files of the user.

        Raises:
            UsageError: a file is the user's, and `overwrite` is not set, or one file would get two
                contents; nothing was written.
            FileError: one cannot be written; the message says how many were.
        """
        targets = self._to_write(contents, overwrite)
        with self._recorded(targets) as written:
            for folder in dict.fromkeys(target.path.parent for target in targets):
                remove_stale_drafts(folder)
            for target in targets:
                done = f"{len(written):,} of {len(targets):,} files were written"
                with explained(target, done if written else "nothing was written"):
                    target.path.parent.mkdir(parents=True, exist_ok=True)
                    with draft_of(target):
                        pass
                written.append(target)

    @contextlib.contextmanager
    def draft(self, path: Path, *, overwrite: bool = False) -> Iterator[Path]:
        """Yield the path of a new file, which becomes `path` when the block ends without an error.

        Args:
            path: the file; its folder must exist.
            overwrite: whether to replace a file of the user.

        Raises:
            UsageError: it is the user's, and `overwrite` is not set; or it was changed meanwhile.
            FileError: it cannot be written.
        """
        (target,) = self._to_write({path: None}, overwrite)
        remove_stale_drafts(target.path.parent)
        with contextlib.ExitStack() as stack:
            with explained(target, "nothing was written"), draft_of(target) as part:
                yield part
                written = stack.enter_context(self._recorded([target], sha256_of(part)))
            written.append(target)

    def _to_write(
        self, contents: Mapping[Path, str | bytes | None], overwrite: bool
    ) -> list[Target]:
        """Return the files that have to be written, after all checks."""
        targets = _unique(target_of(path, content) for path, content in contents.items())
        for target in targets:
            if target.there and not target.regular and not target.link:
                what = "a folder" if stat.S_ISDIR(target.there.st_mode) else "not an ordinary file"
                raise UsageError(
                    f"{clip_path(target.given)} is {what}: nothing was written",
                    hint="choose another name",
                )
        known = self.known(key_of(target.path) for target in targets if target.regular)
        to_write, refused = [], []
        for target in targets:
            free = target.there is None
            with contextlib.suppress(OSError):  # what cannot be read is the user's
                if not free and target.same():
                    continue
                free = free or target.blank() or _is_ours(target, known)
            to_write.append(target)
            if not free and not overwrite:
                refused.append(target)
        if refused:
            raise _refusal(refused)
        return to_write

    def known(self, keys: Iterable[str]) -> dict[str, set[str]]:
        """Return the recorded SHA-256 of files, by their keys."""
        known: dict[str, set[str]] = {}
        sql = (
            "SELECT path, sha256 FROM written_files WHERE path IN (SELECT value FROM json_each(?))"
        )
        asked = json.dumps(list(keys))
        for row in self._database.read(sql, (asked,), ("path", "sha256")):
            known.setdefault(row["path"], set()).add(row["sha256"])
        return known

    @contextlib.contextmanager
    def _recorded(self, targets: list[Target], sha256: str = "") -> Iterator[list[Target]]:
        """Record the new content of files before they are written, and forget the old afterwards.

        A program that is killed in between leaves both recorded: the file is ours either way.
        Yields a list that takes the files that were written.
        """
        digests = [sha256 or hashlib.sha256(t.data or b"").hexdigest() for t in targets]
        new = [(key_of(t.path), digest) for t, digest in zip(targets, digests, strict=True)]
        with contextlib.suppress(JournalError):
            self.record(new)
        written: list[Target] = []
        try:
            yield written
        finally:
            done = len(written)
            left = [row for row, t in zip(new[done:], targets[done:], strict=True) if t.untouched()]
            with contextlib.suppress(JournalError):
                self.settle(new[:done], left)

    def record(self, rows: Sequence[tuple[str, str]]) -> None:
        """Count files as ours with this content, beside what they had: key and digest of each."""
        if rows:
            with self._database.transaction():
                self.record_in(rows)

    def record_in(self, rows: Sequence[tuple[str, str]]) -> None:
        """Do the same within a transaction of the caller's."""
        now = time.time()
        sql = "INSERT OR IGNORE INTO written_files VALUES (?, ?, ?)"
        self._database.run_many(sql, [(*row, now) for row in rows])

    def settle(self, written: Sequence[tuple[str, str]], left: Sequence[tuple[str, str]]) -> None:
        """Forget all other content of files that were written, and this content of those left."""
        if written or left:
            with self._database.transaction():
                self.settle_in(written, left)

    def settle_in(
        self, written: Sequence[tuple[str, str]], left: Sequence[tuple[str, str]]
    ) -> None:
        """Do the same within a transaction of the caller's."""
        forget = "DELETE FROM written_files WHERE path = ? AND sha256"
        self._database.run_many(f"{forget} <> ?", written)
        self._database.run_many(f"{forget} = ?", left)


def target_of(given: Path, content: str | bytes | None) -> Target:
    """Return a file to be written, as it is now.

    Raises:
        FileError: its place cannot be read.
    """
    folder = os.path.realpath(given.parent)
    path = Path(folder, given.name)
    try:
        there = _there(path)
    except OSError as error:
        raise file_error(given, error) from None
    text = isinstance(content, str)
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    return Target(given, path, data, text, there)


def _unique(targets: Iterable[Target]) -> list[Target]:
    """Return each file once, whatever links lead to its folder.

    Raises:
        UsageError: one file would get two contents.
    """
    found: dict[Path, Target] = {}
    for target in targets:
        first = found.setdefault(target.path, target)
        if first.data != target.data:
            raise UsageError(
                f"{clip_path(first.given)} and {clip_path(target.given)} are the same file, but "
                "with different contents: nothing was written",
                hint="write only one of them",
            )
    return list(found.values())


def _there(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _mark(there: os.stat_result | None) -> tuple[int, ...] | None:
    if there is None:
        return None
    return (there.st_mode, there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns)


def _unified(data: bytes) -> bytes:
    return data.removeprefix(_BOM).replace(b"\r\n", b"\n").removesuffix(b"\n")


def _is_ours(target: Target, known: Mapping[str, set[str]]) -> bool:
    digests = known.get(key_of(target.path), set())
    return bool(digests) and target.regular and sha256_of(target.path) in digests


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_of(path: Path | str) -> str:
    """Return a path as text for the database, which takes no bytes that are not UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


@contextlib.contextmanager
def draft_of(target: Target, data: bytes | None = None) -> Iterator[Path]:
    """Yield the path of a temporary file that becomes the target, unless that has changed."""
    replace = target.there is not None
    mode, data = target.mode, data or target.data or b""
    with draft(target.path, 0o666, replace=replace, exact_mode=mode, data=data) as part:
        yield part
        if not target.untouched():
            raise FileExistsError


@contextlib.contextmanager
def explained(target: Target, after: str) -> Iterator[None]:
    """Turn an error of the system into a sentence about the file."""
    try:
        yield
    except FileError:
        raise
    except FileExistsError:
        raise UsageError(
            f"{clip_path(target.given)} was made or changed by another program just now: {after}",
            hint="check the file, then try again",
        ) from None
    except OSError as error:
        raise file_error(target.given, error, after) from None


def _refusal(refused: list[Target]) -> UsageError:
    names = ", ".join(clip_path(target.given) for target in refused[:3])
    more = f" and {len(refused) - 3:,} more" if len(refused) > 3 else ""
    were = "was" if len(refused) == 1 else "were"
    return UsageError(
        f"{names}{more} {were} not written by imgopen_nb, or edited since: nothing was written",
        hint=f"choose another place, or add {spelled('overwrite=True', '--overwrite')}",
    )
