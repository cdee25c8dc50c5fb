"""Atomic writing of files, and the small JSON files of the home folder."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import FileError, ParameterError, SettingsError
from .text import clip_path, in_words

# Fails if the file exists, and does not follow a link.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_PART = re.compile(r"\.imgopen-[0-9a-f]{16}\.part")
# What a home folder holds, if it holds nothing else.
_HOME_NAMES = re.compile(
    r"imgopen\.sqlite(-wal|-shm|-journal)?|(keys|settings)\.json|callbacks\.key"
    rf"|sessions|sandbox(-[0-9]+)?|published|uploads|backups|{_PART.pattern}"
)
MAX_JSON = 1_000_000  # bytes of a JSON file of ours
MAX_DEPTH = 20  # how deep its values are nested at most
STALE = 3600.0  # seconds after which a temporary file belongs to no running program
_NO_LINKS = {
    errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK,
    errno.EINVAL,
}  # fmt: skip
_HINTS = {
    errno.ENOSPC: "free some space on the disk, then try again",
    errno.EDQUOT: "free some space on the disk, then try again",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.ENOENT: "choose a folder that exists",
    errno.ENOTDIR: "choose a folder that exists",
}


def path_of(given: Any) -> Path:
    """Return a path that a user gave, with ~ as the home folder.

    Raises:
        ParameterError: it is not a path.
    """
    try:
        path = Path(given).expanduser()
        os.fsencode(path)
    except (TypeError, RuntimeError, UnicodeEncodeError):  # another type; ~ of nobody; no text
        path = None
    empty = isinstance(given, str) and not given.strip()
    if path is None or empty or "\0" in str(path):
        raise ParameterError(
            f"{in_words(given)} is not a path", hint='use one such as "folder/name"'
        )
    return path


def not_writable(folder: Path) -> str:
    """Return why a folder, which need not exist yet, cannot be written to; "" if it can."""
    folder = folder.absolute()
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not os.path.isdir(there):
        return f"{clip_path(there)} is not a folder"
    return "" if os.access(there, os.W_OK | os.X_OK) else f"{clip_path(there)} is not writable"


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, {} if there is no file.

    Raises:
        SettingsError: the file cannot be read, or holds something else. Nothing of its content is
            in the error: it may be a key.
    """
    content, trouble = _read_json(path)
    if trouble:
        raise SettingsError(f"{path} {trouble}", hint="repair or remove the file")
    return content


def _read_json(path: Path) -> tuple[dict[str, Any], str]:
    """Return the object and ""; or {} and what is wrong, without the error, which has the text."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe may never end
            return {}, f"is {'a folder' if path.is_dir() else 'not an ordinary file'}"
        with path.open("rb") as file:
            data = file.read(MAX_JSON + 1)
        if len(data) > MAX_JSON:
            return {}, f"is larger than {MAX_JSON // 10**6} MB"
        content = json.loads(data.decode("utf-8-sig"))  # some editors begin with a mark
    except (FileNotFoundError, NotADirectoryError):
        return {}, ""
    except UnicodeDecodeError:
        return {}, "is not UTF-8 text"
    except RecursionError:
        return {}, "cannot be read as JSON: its brackets are nested too deeply"
    except OSError as error:
        return {}, f"cannot be read: {error.strerror}"
    except ValueError:
        return {}, "cannot be read as JSON"
    if not isinstance(content, dict):
        return {}, "must hold a JSON object"
    return (
        (content, "") if _is_shallow(content) else ({}, "has brackets that are nested too deeply")
    )


def _is_shallow(value: Any, left: int = MAX_DEPTH) -> bool:
    """Whether a JSON value is nested no deeper than this."""
    if not isinstance(value, (dict, list)):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return left > 0 and all(_is_shallow(one, left - 1) for one in inner)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file that only its owner can read.

    Raises:
        SettingsError: it cannot be written; an existing one is unchanged.
    """
    try:
        write_atomically(path, json.dumps(content, indent=2).encode())
    except OSError as error:
        failed = file_error(path, error)
        raise SettingsError(failed.message, hint=failed.hint) from None


def is_strangers(seen: os.stat_result) -> bool:
    """Whether a file belongs to another user, who is not root; never on Windows."""
    return hasattr(os, "geteuid") and seen.st_uid not in (0, os.geteuid())


def close_to_others(path: Path) -> bool:
    """Keep other users out of a file or folder of ours; return whether they could use it before.

    What is read-only stays so. A link is left alone.
    """
    try:
        seen = path.lstat()
    except OSError:
        return False
    ours = hasattr(os, "geteuid") and seen.st_uid == os.geteuid()
    exposed = ours and not stat.S_ISLNK(seen.st_mode) and seen.st_mode & 0o077 != 0
    if exposed:
        with contextlib.suppress(OSError):
            path.chmod(stat.S_IMODE(seen.st_mode) & 0o700)
    return exposed


def refuse_planted(path: Path) -> None:
    """Refuse a file that another user made in a folder that everybody may write to.

    Raises:
        PermissionError: says so.
    """
    try:
        seen, folder = path.lstat(), path.parent.stat()
    except OSError:  # there is none, or using it says what is wrong
        return
    if is_strangers(seen) and folder.st_mode & stat.S_IWOTH:
        text = f"{path.name} belongs to another user, in a folder that everybody can write to"
        raise PermissionError(errno.EACCES, text)


def shared_on_purpose(home: Path) -> bool:
    """Whether a home folder is its group's: set-group-id, and the group may write to it."""
    wanted = stat.S_ISGID | stat.S_IWGRP
    try:
        return home.stat().st_mode & wanted == wanted
    except OSError:
        return False


def make_private_folder(folder: Path) -> None:
    """Create a folder, and what is missing above it, with mode 0700 whatever the umask is.

    Raises:
        OSError: it cannot be created.
    """
    missing = []
    for each in (folder, *folder.parents):
        if os.path.lexists(each):
            break
        missing.append(each)
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process made it first
            os.mkdir(each, 0o700)
            os.chmod(each, 0o700)
    if not folder.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))


def tighten_home(home: Path) -> None:
    """Keep other users of the machine out of a home folder, where that harms nobody.

    Only a folder that is ours and holds nothing but our files is closed to others; in any other
    folder the files of the history are. A folder with the set-group-id or the sticky bit is shared
    on purpose. A warning says so if everybody, or its owner, could put files there.
    """
    try:
        seen = home.stat()
        names = os.listdir(home)
    except OSError:  # using it says what is wrong
        return
    if not hasattr(os, "geteuid") or seen.st_mode & stat.S_ISGID:
        return
    if not seen.st_mode & stat.S_ISVTX:
        for name in names:
            if name.startswith("imgopen.sqlite"):
                close_to_others(home / name)
        if all(map(_HOME_NAMES.fullmatch, names)):
            close_to_others(home)
    if is_strangers(seen) or home.stat().st_mode & stat.S_IWOTH:
        warnings.warn(
            f"other users of this machine can write to {home}, which holds your history and "
            "keys; set IMGOPEN_HOME to a folder of your own (mode 0700)",
            stacklevel=2,
        )


def open_private(path: Path | str, flags: int, mode: int = 0o600) -> int:
    """Open a file as an `opener` of `open()`: a new one is readable by its owner only."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), mode)


def write_atomically(
    path: Path, data: bytes, *, durable: bool = True, replace: bool = True
) -> None:
    """Write a file, readable by its owner only, so that a reader sees all of it or nothing.

    Args:
        path: the file; its folder is created if necessary, for its owner only.
        data: its content.
        durable: whether to wait until it is on disk.
        replace: whether it may replace an existing file.

    Raises:
        FileExistsError: the file exists, and may not be replaced.
        OSError: the file cannot be written; an existing one is unchanged.
    """
    make_private_folder(path.parent)
    with draft(path, durable=durable, replace=replace, exact_mode=0o600, data=data):
        pass


@contextlib.contextmanager
def draft(
    path: Path,
    mode: int = 0o600,
    *,
    durable: bool = True,
    replace: bool = True,
    exact_mode: int | None = None,
    data: bytes = b"",
) -> Iterator[Path]:
    """Yield the path of a new file, which becomes `path` when the block ends without an error.

    Args:
        path: the final path; its folder must exist.
        mode: the file's mode, less the umask.
        durable: as for `write_atomically`.
        replace: likewise.
        exact_mode: the mode that the file has at the end, whatever the umask is.
        data: the content, as far as it is known; it is in the file before the block begins.

    Raises:
        OSError: it cannot be written, or another program put something else in its place.
    """
    part = path.with_name(f".imgopen-{os.urandom(8).hex()}.part")
    descriptor = os.open(part, _NEW, mode)
    try:
        try:
            rest = memoryview(data)  # not written by name, which might be a link by now
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            yield part
            if not os.path.samestat(os.fstat(descriptor), os.lstat(part)):
                raise FileExistsError(errno.EEXIST, "another program replaced it in the meantime")
            if durable:
                os.fsync(descriptor)
            if exact_mode is not None:
                part.chmod(exact_mode)
        finally:
            os.close(descriptor)
        if replace:
            os.replace(part, path)
        else:
            _rename_new(part, path)
    finally:
        part.unlink(missing_ok=True)


def _rename_new(part: Path, path: Path) -> None:
    """Rename a file, unless the new name is taken."""
    try:
        return os.link(part, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    # A file system without hard links: an empty file holds the name meanwhile.
    os.close(os.open(path, _NEW, 0o600))
    try:
        os.replace(part, path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def remove_stale_drafts(folder: Path) -> None:
    """Remove temporary files of `draft` that a killed program left in a folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _PART.fullmatch(entry.name):
                age = time.time() - entry.stat(follow_symlinks=False).st_mtime
                if age > STALE and entry.is_file(follow_symlinks=False):
                    os.unlink(entry.path)


def file_error(path: Path | str, error: OSError, after: str = "nothing was written") -> FileError:
    """Return the error that says why a file cannot be written, and what is there now.

    Args:
        path: the file.
        error: what the system said.
        after: what became of the file and of others that were to be written with it.
    """
    made = FileError(
        f"{clip_path(path)} cannot be written ({error.strerror or error}): {after}",
        hint=_HINTS.get(error.errno or 0, "choose a place that you can write to"),
    )
    made.errno = error.errno
    return made
