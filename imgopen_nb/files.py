"""Atomic writing of files, and the small JSON files of the home folder."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import SettingsError

# Fails if the file exists, and does not follow a link.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)


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
    """Write a JSON file that only its owner can read."""
    write_atomically(path, json.dumps(content, indent=2).encode())


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
    path: Path, mode: int = 0o600, *, durable: bool = True, replace: bool = True
) -> Iterator[Path]:
    """Yield the path of a new file, which becomes `path` when the block ends without an error.

    Args:
        path: the final path; its folder must exist.
        mode: the file's mode, less the umask.
        durable: as for `write_atomically`.
        replace: likewise.
    """
    part = path.with_name(f".{os.urandom(8).hex()}.part")
    os.close(os.open(part, _NEW, mode))
    try:
        yield part
        if durable:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        (os.replace if replace else os.link)(part, path)
    finally:
        part.unlink(missing_ok=True)
