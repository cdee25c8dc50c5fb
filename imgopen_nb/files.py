"""Atomic writing of files, and the small JSON files of the home folder."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import FileError, ParameterError, SettingsError
from .text import clip_path, in_words

# Fails if the file exists, and does not follow a link.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_PART = re.compile(r"\.imgopen-[0-9a-f]{16}\.part")
STALE = 3600.0  # seconds after which a temporary file belongs to no running program
_NO_LINKS = {
    errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK,
    errno.EINVAL,
}  # fmt: skip
_HINTS = {
    errno.ENOSPC: "free some space on the disk, then do the same again",
    errno.EDQUOT: "free some space on the disk, then do the same again",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOENT: "give a folder that exists",
    errno.ENOTDIR: "give a folder that exists",
}


def path_of(given: Any) -> Path:
    """Return a path that a user gave, with ~ as the home folder.

    Raises:
        ParameterError: it is no path.
    """
    try:
        path = Path(given).expanduser()
    except (TypeError, RuntimeError):  # another type; ~ of nobody
        path = None
    if path is None or "\0" in str(path):
        raise ParameterError(f"{in_words(given)} is no path", hint='give one such as "folder/name"')
    return path


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, {} if there is no file.

    Raises:
        SettingsError: the file cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path} cannot be read as JSON ({type(error).__name__})",
            hint="mend or remove the file",
        ) from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path} must hold a JSON object", hint="mend or remove the file")
    return content


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


def write_atomically(
    path: Path, data: bytes, *, durable: bool = True, replace: bool = True
) -> None:
    """Write a file, readable by its owner only, so that a reader sees all of it or nothing.

    Args:
        path: the file; its folder is created if necessary.
        data: its content.
        durable: whether to wait until it is on disk.
        replace: whether it may replace an existing file.

    Raises:
        FileExistsError: the file exists, and may not be replaced.
        OSError: the file cannot be written; an existing one is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with draft(path, durable=durable, replace=replace) as part:
        part.write_bytes(data)


@contextlib.contextmanager
def draft(
    path: Path,
    mode: int = 0o600,
    *,
    durable: bool = True,
    replace: bool = True,
    exact_mode: int | None = None,
) -> Iterator[Path]:
    """Yield the path of a new file, which becomes `path` when the block ends without an error.

    Args:
        path: the final path; its folder must exist.
        mode: the file's mode, less the umask.
        durable: as for `write_atomically`.
        replace: likewise.
        exact_mode: the mode that the file has at the end, whatever the umask is.
    """
    part = path.with_name(f".imgopen-{os.urandom(8).hex()}.part")
    os.close(os.open(part, _NEW, mode))
    try:
        yield part
        if durable:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        if exact_mode is not None:
            part.chmod(exact_mode)
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
        hint=_HINTS.get(error.errno or 0, "give a place that can be written to"),
    )
    made.errno = error.errno
    return made
