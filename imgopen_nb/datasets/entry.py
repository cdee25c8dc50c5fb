"""One image of a dataset: its caption, what models say of it, and whether it is kept."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..captions.descriptions import Description
from ..images.identity import verified
from ..media.stores import is_store, store
from ..text import short_path

if TYPE_CHECKING:
    from ..media.stores import Place


@dataclass(frozen=True)
class Entry:
    """An image of a dataset.

    Attributes:
        at: its place in the dataset, from 0: the index of `Dataset.frame`.
        image: its name: an absolute path, a URL, "sample:NAME" or <...>.
        picture: its identity, "" if it cannot be read.
        caption: the text, "" if there is none.
        origin: where the caption comes from: "file", "metadata", "picked", "edited", "merged",
            "rule"; "" if there is none.
        edit_id: the row of the history that holds the caption, None if there is none.
        said: what models say of it, by model.
        rejected: whether it is left out of what is written.
        note: why it was rejected, or what a user should know of it.
        trouble: why it cannot be read, or "".
    """

    at: int
    image: str
    picture: str
    caption: str = ""
    origin: str = ""
    edit_id: int | None = None
    said: Mapping[str, Description] = field(default_factory=dict)
    rejected: bool = False
    note: str = ""
    trouble: str = ""

    @cached_property
    def path(self) -> Path | None:
        """The file on this machine, None if the image is not a file here."""
        path = Path(self.image)
        return path if path.is_absolute() else None

    @cached_property
    def place(self) -> Place | None:
        """The file on this machine or in a store, None if the image is not a file."""
        return store(self.image) if is_store(self.image) else self.path

    @property
    def name(self) -> str:
        """Its name as it is shown."""
        return short_path(self.image)

    @property
    def kept(self) -> bool:
        """Whether it is part of what is written."""
        return not self.rejected and not self.trouble

    @property
    def verified(self) -> bool:
        """Whether its identity tells its content from any other."""
        return bool(self.picture) and verified(self.picture)


def common_folder(folders: Iterable[str]) -> str:
    """Return the folder in which folders lie; "" for several in the home folder or one above it."""
    named = set(folders)
    if len(named) < 2:
        return named.pop() if named else ""
    found = Path(os.path.commonpath(named))
    above = (Path.home(), *Path.home().parents, Path(found.anchor), Path(tempfile.gettempdir()))
    return "" if found in above else str(found)
