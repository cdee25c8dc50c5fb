"""Local images that the service may fetch: only the images of a call, only while it runs.

A published image is a copy, named after its content, in a folder for its task. Its address is
signed, expires, and names task and content, so no other file in the folder is ever served.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import time
from pathlib import Path
from typing import NamedTuple

from ..errors import PictureError
from ..files import write_atomically
from ..media.formats import MAX_BYTES, MIME_TYPES
from .signing import PICTURE, SIGNATURE, Signer

FOLDER = "published"
LIFETIME = 24 * 3600  # seconds until an address expires
TASK = r"[A-Za-z0-9_-]{1,64}"
# Follow no link and wait for no pipe, on systems that have them.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_READ |= getattr(os, "O_BINARY", 0)
_NAME = re.compile(
    rf"(?P<task>{TASK})\.(?P<content>[0-9a-f]{{64}})\.(?P<ends>[0-9]{{10}})"
    rf"\.(?P<signature>{SIGNATURE})(?P<suffix>\.[a-z]{{3,4}})",
    re.ASCII,
)


class Published(NamedTuple):
    """A published image, with the MIME type to send."""

    task_id: str
    data: bytes
    type: str


class Publisher:
    """Publishes images in a home folder, and finds them by the name in their address."""

    def __init__(self, home: Path, signer: Signer) -> None:
        self._folder = home / FOLDER
        self._signer = signer

    def publish(self, task_id: str, data: bytes, suffix: str) -> str:
        """Store a copy for a task and return the last part of its address.

        Args:
            task_id: the task it is for.
            data: the image's bytes.
            suffix: the suffix of its format, such as ".png".

        Raises:
            PictureError: it cannot be stored, or its format cannot be published.
            SettingsError: there is no key to sign with.
        """
        if not re.fullmatch(TASK, task_id, re.ASCII):  # it names a folder
            raise ValueError("not the id of a task")
        if suffix not in MIME_TYPES:
            raise PictureError(f"an image of type {suffix or 'unknown'} cannot be published")
        content, ends = hashlib.sha256(data).hexdigest(), str(int(time.time()) + LIFETIME)
        signature = self._signer.sign(PICTURE, task_id, content, ends, suffix)
        try:
            write_atomically(self._folder / task_id / content, data, durable=False)
        except OSError as error:
            raise PictureError(
                f"the image cannot be published in {self._folder} ({error.strerror})"
            ) from None
        return f"{task_id}.{content}.{ends}.{signature}{suffix}"

    def find(self, name: str) -> Published | None:
        """Return the image with this name, None if anything is wrong. Does not check the task.

        Raises:
            SettingsError: the key cannot be read.
        """
        match = _NAME.fullmatch(name)
        if not match or match["suffix"] not in MIME_TYPES:
            return None
        task_id, content, ends, signature, suffix = match.groups()
        if not self._signer.check(signature, PICTURE, task_id, content, ends, suffix):
            return None
        if int(ends) < time.time():
            return None
        data = _read(self._folder / task_id, content)
        return Published(task_id, data, MIME_TYPES[suffix]) if data is not None else None

    def withdraw(self, task_id: str) -> None:
        """Remove the images published for a task."""
        if re.fullmatch(TASK, task_id, re.ASCII):
            shutil.rmtree(self._folder / task_id, ignore_errors=True)

    def sweep(self) -> None:
        """Remove the images whose addresses have expired."""
        for task_id in self.leftovers():
            self.withdraw(task_id)

    def leftovers(self) -> list[str]:
        """Return the ids of tasks whose images are older than an address may be."""
        oldest = time.time() - LIFETIME
        found = []
        with contextlib.suppress(OSError):
            for entry in os.scandir(self._folder):
                with contextlib.suppress(OSError):  # removed meanwhile
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        found.append(entry.name)
        return found


def _read(folder: Path, content: str) -> bytes | None:
    """Return the image with this hash, None if the file of that name is anything else."""
    try:
        descriptor = os.open(folder / content, _READ)
    except OSError:
        return None
    try:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > MAX_BYTES:
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    return data if hashlib.sha256(data).hexdigest() == content else None
