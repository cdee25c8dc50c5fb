"""Pictures that came through the browser: kept as files, so that code can name them again."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from ...files import write_whole
from ...images.picture import suffix_of

FOLDER = "uploads"


def keep(home: Path, name: str, data: bytes) -> Path:
    """Write a picture into the home folder and return its path; the same bytes are kept once.

    Args:
        home: the data folder.
        name: what the browser calls the file; only its letters and digits are used.
        data: the file's bytes.

    Raises:
        PictureError: the bytes are no picture.
        OSError: the folder cannot be written to.
    """
    suffix = suffix_of(data)
    stem = re.sub(r"[^\w-]+", "-", Path(name).stem, flags=re.ASCII).strip("-")[:40] or "picture"
    path = home / FOLDER / f"{stem}-{hashlib.sha256(data).hexdigest()[:8]}{suffix}"
    if not path.exists():
        write_whole(path, data)
    return path
