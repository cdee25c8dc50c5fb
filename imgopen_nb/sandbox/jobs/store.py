"""The sandbox's folder: images under secret names, tasks as small JSON files."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...files import make_private_folder, write_atomically
from ...media.formats import FORMATS

_SUFFIXES = "|".join(row.suffix[1:] for row in FORMATS)
FILE_NAME = re.compile(rf"[0-9a-f]{{32,64}}\.({_SUFFIXES})")
LOCAL_URL = re.compile(rf"http://(?:127\.0\.0\.1|localhost)(?::\d+)?/files/({FILE_NAME.pattern})")
KEEP_SECONDS = 7 * 24 * 3600
SECRET_BYTES = 32

log = logging.getLogger(__name__)


class FileStore:
    """Uploaded images and results, served under /files/ to whoever knows their names.

    A name is the hash of the content with a secret of this folder: the same image keeps its name,
    and who has a copy of an image cannot find out whether it is here.
    """

    def __init__(self, folder: Path) -> None:
        make_private_folder(folder)
        self.folder = folder
        self._secret = _secret(folder.with_name(f"{folder.name}.secret"))

    def add(self, data: bytes, suffix: str) -> str:
        """Store data and return its name; the same data has the same name."""
        name = f"{hmac.digest(self._secret, data, 'sha256').hex()}.{suffix}"
        path = self.folder / name
        if path.is_file() and path.stat().st_size == len(data):
            path.touch()
        else:
            write_atomically(path, data, durable=False)
        return name

    def find(self, name: str) -> Path | None:
        """Return the file of that name, or None; only plain names are looked up."""
        path = self.folder / name
        return path if FILE_NAME.fullmatch(name) and path.is_file() else None

    def local(self, url: str) -> Path | None:
        """Return the file that a sandbox URL stands for, whichever port that sandbox had."""
        found = LOCAL_URL.fullmatch(url)
        return self.find(found[1]) if found else None


class JobStore:
    """One JSON file for each task, named by the hash of the caller's own id."""

    def __init__(self, folder: Path) -> None:
        make_private_folder(folder)
        self.folder = folder

    def write(self, key: str, record: dict[str, Any]) -> None:
        """Write the record of the task that the caller calls `key`."""
        text = json.dumps(record, allow_nan=False)
        write_atomically(self._path(key), text.encode(), durable=False)

    def read(self, key: str) -> dict[str, Any] | None:
        """Return the record of `key`, or None if there is none that can be read."""
        return _read(self._path(key))

    def all(self) -> Iterator[dict[str, Any]]:
        """Yield every record that can be read."""
        records = (_read(path) for path in self.folder.glob("*.json"))
        return (record for record in records if record is not None)

    def _path(self, key: str) -> Path:
        # A JSON string may have half a surrogate pair, which UTF-8 cannot encode.
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / f"{digest}.json"


def _secret(path: Path) -> bytes:
    """Return the secret in a file; the first of the processes that need it makes it."""
    for _ in range(2):
        with contextlib.suppress(FileNotFoundError):
            if len(found := path.read_bytes()) == SECRET_BYTES:
                return found
            path.unlink()  # cut off
        with contextlib.suppress(FileExistsError):
            write_atomically(path, secrets.token_bytes(SECRET_BYTES), replace=False)
    return path.read_bytes()


def prune(folder: Path, keep: float = KEEP_SECONDS) -> None:
    """Delete the files of a folder that were not used for `keep` seconds."""
    oldest = time.time() - keep
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if path.is_file() and path.stat().st_mtime < oldest:
                path.unlink()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("task file %s cannot be read: %s", path.name, type(error).__name__)
        return None
    return record if isinstance(record, dict) else None
