"""Files that are written whole or not at all, and the small JSON files of the home folder."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import SettingsError

# Never a file that is there, nor one that a link leads to.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, {} where there is none."""
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
    write_whole(path, json.dumps(content, indent=2).encode())


def write_whole(path: Path, data: bytes, *, durable: bool = True, replace: bool = True) -> None:
    """Write a file that only its owner can read, so that a reader sees all of it or nothing.

    Args:
        path: where to; its folder is made if it is missing.
        data: the bytes.
        durable: whether it must be on disk on return.
        replace: whether it may take the place of a file that is there.

    Raises:
        FileExistsError: there is one, and it is not to be replaced.
        OSError: it cannot be written; what was there is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with draft(path, durable=durable, replace=replace) as part:
        part.write_bytes(data)


@contextlib.contextmanager
def draft(
    path: Path, mode: int = 0o600, *, durable: bool = True, replace: bool = True
) -> Iterator[Path]:
    """Yield a new file beside `path`, which takes its place when the block ends without an error.

    Args:
        path: where to; its folder must exist.
        mode: the file's mode, less the umask.
        durable: as for `write_whole`.
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
