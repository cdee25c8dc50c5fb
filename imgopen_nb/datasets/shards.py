"""Tar files of a dataset, as WebDataset reads them."""

from __future__ import annotations

import io
import tarfile

MOST_PICTURES, MOST_BYTES = 1000, 100_000_000  # of one tar file


class Shard:
    """A tar file in the making; the same images and captions give the same bytes."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._out, mode="w", format=tarfile.USTAR_FORMAT)
        self._members = 0

    def full(self, size: int) -> bool:
        """Whether an image of so many bytes goes into the next one."""
        full = self._members >= 3 * MOST_PICTURES or self._out.tell() + size > MOST_BYTES
        return self._members > 0 and full

    def add(self, name: str, data: bytes) -> None:
        """Add a file."""
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))
        self._members += 1

    def data(self) -> bytes:
        """Return the tar file; nothing can be added after."""
        self._tar.close()
        return self._out.getvalue()
