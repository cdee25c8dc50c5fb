"""Files that change as one step, which can be taken back byte by byte, also by another process.

Before a file is touched, its old bytes are in the home folder and the change is in the table
`changed_files`, on the disk. Each file is the old or the new one whatever happens, so that a step
that was killed in the middle is taken back like any other: a file that is still the old one stays.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FileError, JournalError, UsageError
from ..files import draft, file_error, make_private_folder, remove_stale_drafts
from ..text import clip_path
from .database import Database
from .spots import FOLDER, LINK, Spot, spot_of
from .written_files import WrittenFiles

NEW, SAME, CHANGED, LEFT, REMOVED = "new", "same", "changed", "left", "removed"
BACKUPS = "backups"
_BOM = b"\xef\xbb\xbf"
_SMALL = 65536  # bytes of a text file that may still be blank
_COLUMNS = ("change_id", "path", "before", "after", "backup", "ours", "mode", "modified")


@dataclass(frozen=True)
class Content:
    """What a file is to hold.

    Attributes:
        digest: as `spots` tells contents apart.
        load: returns the bytes; called when the file is written. Not for links.
        text: the same as text, None for images and archives.
        about: whose it is, for the caller.
    """

    digest: str
    load: Callable[[], bytes]
    text: str | None = None
    about: Any = None

    @property
    def link(self) -> str | None:
        """Where a link leads to, None for a file."""
        return self.digest.removeprefix(LINK) if self.digest.startswith(LINK) else None


@dataclass(frozen=True)
class FileChange:
    """What becomes of one file.

    Attributes:
        spot: where it is.
        action: NEW, SAME, CHANGED, LEFT (it is the user's) or REMOVED.
        content: what it is to hold, None if it is to be removed.
        before: the digest of what is there.
        ours: whether we wrote what is there.
    """

    spot: Spot
    action: str
    content: Content | None
    before: str | None
    ours: bool

    @property
    def acts(self) -> bool:
        """Whether anything is done."""
        return self.action in (NEW, CHANGED, REMOVED)

    @property
    def after(self) -> str | None:
        """The digest of what will be there."""
        return self.content.digest if self.content else None


class FileChanges:
    """Changes files as steps.

    Args:
        database: the history's file; the old bytes are kept beside it.
        files: knows which files we wrote.
    """

    def __init__(self, database: Database, files: WrittenFiles) -> None:
        self._database = database
        self._files = files
        self._backups = database.path.parent / BACKUPS

    def look(
        self,
        contents: Iterable[tuple[Spot, Content | None]],
        *,
        overwrite: bool = False,
    ) -> list[FileChange]:
        """Return what would become of files; nothing is changed.

        A file of ours is changed or removed. Any other is left, unless it is empty, says the same
        or `overwrite` is set; none is ever removed.

        Args:
            contents: where the files are, and what they are to hold; None to remove them.
            overwrite: whether to replace files of the user.

        Raises:
            UsageError: something is there that is not a file.
            FileError: something cannot be read.
        """
        pairs = list(contents)
        known = self._files.known(spot.key for spot, _ in pairs)
        return [self._looked(s, c, known.get(s.key, set()), overwrite) for s, c in pairs]

    def make(
        self,
        changes: Sequence[FileChange],
        begin: Callable[[], int],
        then: Callable[[FileChange], None],
    ) -> int:
        """Make changes, in this order, as one step; return its number.

        Args:
            changes: what `look` returned.
            begin: writes the step down, and returns its number.
            then: called after each change.

        Raises:
            UsageError: a file was changed meanwhile; the message says how many were written.
            FileError: a file cannot be written; likewise.
            JournalError: the history cannot be written; nothing was changed.
        """
        changes = [change for change in changes if change.acts]
        folders = _folders(change.spot for change in changes if change.content)
        step, done = self._write_down(changes, folders, begin), 0
        try:
            for folder in folders:
                folder.make_folder()
            for change in {os.path.dirname(c.spot.name): c for c in changes}.values():
                change.spot.clean()
            for change in changes:
                said = f"{done:,} of {len(changes):,} files were written"
                change.spot.after = said if done else "nothing was written"
                _carry_out(change)
                done += 1
                then(change)
        finally:
            self._settle(step, changes, done, folders)
        return step

    def undo(self, step: int, then: Callable[[Spot, str | None], None]) -> list[str]:
        """Bring every file of a step back, and remove what it made.

        Args:
            step: its number.
            then: called with each file that is as before, and its digest.

        Returns:
            The files that somebody changed since: they stay as they are. One that somebody
            removed is brought back.

        Raises:
            FileError: a file cannot be written, or its backup cannot be read; the same call
                goes on where this one ended.
        """
        sql = f"SELECT {', '.join(_COLUMNS)} FROM changed_files WHERE step = ?"
        rows = self._database.read(f"{sql} ORDER BY change_id DESC", [step], _COLUMNS)
        left = []
        with self._opened(step, any(row["backup"] for row in rows)) as backups:
            for row in rows:
                spot = spot_of(row["path"])
                spot.after = "the other files of this step are not restored yet"
                now = spot.digest()
                if row["after"] == FOLDER:
                    if now == FOLDER:
                        spot.remove()
                    continue
                if now != row["before"]:
                    if now not in (None, row["after"]):
                        left.append(spot.shown)
                        continue
                    self._restore(spot, row, backups)
                then(spot, row["before"])
        return left[::-1]

    def forget(self, step: int) -> None:
        """Remove the backups of a step that was taken back."""
        with contextlib.suppress(OSError):
            self._backup(step).unlink(missing_ok=True)

    def _looked(
        self, spot: Spot, content: Content | None, known: set[str], overwrite: bool
    ) -> FileChange:
        before = spot.digest()
        ours = before in known
        if content is None:
            action = REMOVED if before and ours else SAME if before is None else LEFT
            return FileChange(spot, action, None, before, ours)
        if before is not None and not _is_file(before):
            what = "a folder" if before == FOLDER else "not an ordinary file"
            raise UsageError(
                f"{spot.shown} is {what}: nothing was written", hint="choose another folder"
            )
        if before is None:
            action = NEW
        elif before == content.digest or (not ours and _says_the_same(spot, before, content)):
            action = SAME
        else:
            blank = content.text is not None and not before.startswith(LINK) and _blank(spot)
            action = CHANGED if ours or overwrite or blank else LEFT
        return FileChange(spot, action, content, before, ours)

    def _write_down(
        self, changes: Sequence[FileChange], folders: Sequence[Spot], begin: Callable[[], int]
    ) -> int:
        columns = ("step", *_COLUMNS[1:])
        sql = f"INSERT INTO changed_files ({', '.join(columns)}) VALUES ({', '.join('?' * 8)})"
        new = [(change.spot.key, change.after) for change in changes if change.after]
        with self._database.transaction(durable=True):
            step = begin()
            backups = self._save(step, changes)
            rows: list[tuple[Any, ...]] = [
                (step, spot.stored, None, FOLDER, None, 0, None, None) for spot in folders
            ]
            rows += [
                (step, c.spot.stored, c.before, c.after, backup, c.ours, c.spot.mode,
                 c.spot.modified)
                for c, backup in zip(changes, backups, strict=True)
            ]  # fmt: skip
            self._database.run_many(sql, rows)
            self._files.record_in(new)
        return step

    def _save(self, step: int, changes: Sequence[FileChange]) -> list[str | None]:
        """Save the old bytes of files in the home folder, and return the name of each."""
        old = [change for change in changes if change.before and not change.before.startswith(LINK)]
        names: dict[int, str] = {}
        if old:
            path = self._backup(step)
            try:
                make_private_folder(path.parent)
                remove_stale_drafts(path.parent)
                with draft(path, exact_mode=0o600) as part, zipfile.ZipFile(part, "w") as archive:
                    for number, change in enumerate(old):
                        data = change.spot.read()
                        if not change.spot.untouched():
                            raise UsageError(
                                f"{change.spot.shown} was changed by another program just now: "
                                "nothing was written",
                                hint="check the file, then try again",
                            )
                        names[id(change)] = f"{number:06}"
                        archive.writestr(names[id(change)], data)
            except FileError:
                raise
            except OSError as error:
                raise file_error(path, error) from None
        return [names.get(id(change)) for change in changes]

    def _settle(
        self, step: int, changes: Sequence[FileChange], done: int, folders: Sequence[Spot]
    ) -> None:
        """Note which files were written; those that were not are as before, and not ours."""
        written = [(c.spot.key, c.after or "") for c in changes[:done]]
        rest = [c for c in changes[done:] if c.spot.untouched()]
        left = [(c.spot.key, c.after or "") for c in rest if c.after != c.before]
        with contextlib.suppress(JournalError), self._database.transaction():
            self._files.settle_in(written, left)
            self._database.run_many(
                "DELETE FROM changed_files WHERE step = ? AND path = ?",
                ((step, c.spot.stored) for c in rest),
            )
            if changes and not done and len(rest) == len(changes):
                for folder in reversed(folders):
                    spot_of(folder.stored).remove()
                self._database.run("DELETE FROM changed_files WHERE step = ?", (step,))
                self._database.run("DELETE FROM steps WHERE step_id = ?", (step,))
                self.forget(step)

    def _restore(self, spot: Spot, row: Mapping[str, Any], backups: zipfile.ZipFile | None) -> None:
        before = row["before"]
        if row["ours"] and before:
            self._files.record([(spot.key, before)])
        if before is None:
            spot.remove()
        elif before.startswith(LINK):
            spot.link(before.removeprefix(LINK))
        else:
            assert backups is not None, "what is not there or a link has a backup"
            spot.put(backups.read(row["backup"]), row["mode"], row["modified"])
        if row["after"]:
            self._files.settle([], [(spot.key, row["after"])])

    @contextlib.contextmanager
    def _opened(self, step: int, needed: bool) -> Iterator[zipfile.ZipFile | None]:
        """Yield the backups of a step, None if it needs none."""
        if not needed:
            yield None
            return
        path = self._backup(step)
        try:
            archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise FileError(
                f"the old files of this step cannot be read from {clip_path(path)} ({error}): "
                "nothing was restored",
                hint="if that folder was moved, move it back",
            ) from None
        with archive:
            yield archive

    def _backup(self, step: int) -> Path:
        return self._backups / f"step-{step}.zip"


def _carry_out(change: FileChange) -> None:
    if change.content is None:
        change.spot.remove()
    elif change.content.link is not None:
        change.spot.link(change.content.link)
    else:
        change.spot.put(change.content.load())


def _folders(spots: Iterable[Spot]) -> list[Spot]:
    """Return the folders that have to be made for files, from the top down."""
    found: dict[str, Spot] = {}
    seen: set[str] = set()
    for spot in spots:
        parent = os.path.dirname(spot.name)
        if parent not in seen:
            seen.add(parent)
            found |= {folder.name: folder for folder in spot.missing_folders()}
    return sorted(found.values(), key=lambda folder: len(folder.name))


def _is_file(digest: str) -> bool:
    return digest.startswith(LINK) or len(digest) == 64


def _says_the_same(spot: Spot, before: str, content: Content) -> bool:
    """Whether a trainer reads the same from what is there: line ends do not count."""
    if content.text is None or before.startswith(LINK):
        return False
    data = content.load()
    if spot.size() > 2 * len(data) + _SMALL:
        return False
    return _plain(spot.read()) == _plain(data)


def _plain(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").rstrip(b" \t\n")


def _blank(spot: Spot) -> bool:
    return spot.size() <= _SMALL and not spot.read().removeprefix(_BOM).strip()
