"""Takes in the captions that images have already: text files beside them, and metadata files.

A text file counts for more than metadata, and a caption of the history that is newer than the file
for more than both. Nothing is changed on the disk, and what is not taken in is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..captions.edits import Edit, Edits, drafted
from ..database.spots import spot_of
from ..database.written_files import WrittenFiles, key_of
from ..errors import UsageError
from ..text import counted
from .entry import Entry
from .file_plan import one_line
from .metadata_files import Told, read_metadata
from .steps import Change, Steps
from .text_files import text_files

if TYPE_CHECKING:
    from ..media.stores import Place

FILE, METADATA = "file", "metadata"


@dataclass
class Imports:
    """What was found beside the images.

    Attributes:
        notes: what a user should know of the whole.
        by_image: what a user should know of one image, by its name.
    """

    notes: list[str] = field(default_factory=list)
    by_image: dict[str, str] = field(default_factory=dict)


def take_in(
    entries: Sequence[Entry],
    steps: Steps,
    edits: Edits,
    written: WrittenFiles,
    root: Path | None,
    told: Sequence[Told] = (),
) -> Imports:
    """Save the captions of files that are new or changed since they were last seen.

    Args:
        entries: the images.
        steps: the steps of the dataset.
        edits: the captions of the history.
        written: the files that we wrote: metadata among them says what the history knows.
        root: the folder of the dataset, None if it has none.
        told: what the table says in which the images were given.
    """
    return _Reader(entries, steps, edits, written).read(root, told)


class _Reader:
    def __init__(
        self, entries: Sequence[Entry], steps: Steps, edits: Edits, written: WrittenFiles
    ) -> None:
        self._entries = [entry for entry in entries if entry.picture]
        self._steps = steps
        self._written = written
        self._held = edits.current(entry.picture for entry in self._entries)
        self._changes: dict[str, Change] = {}
        self._seen: list[tuple[str, str, str]] = []
        self.found = Imports()

    def read(self, root: Path | None, told: Sequence[Told]) -> Imports:
        known = self._text_files()
        told = [each for each in told if each.entry.at not in known]
        self._told(told)
        known |= {each.entry.at for each in told}
        rest = [entry for entry in self._entries if entry.at not in known]
        metadata = read_metadata(rest, root, self._ours)
        self.found.notes += metadata.notes
        self._told(metadata.told)
        self._steps.take_in(self._changes.values(), self._seen)
        return self.found

    def _text_files(self) -> set[int]:
        """Take text files in, and return the places of the images that have one."""
        files = list(text_files(self._entries))
        known = self._steps.files_seen(key_of(str(file.path)) for _, file in files)
        for entry, file in files:
            if file.trouble:
                self.found.by_image[entry.image] = file.trouble
            mark = (key_of(str(file.path)), entry.picture, file.sha256)
            if file.caption and known.get(mark[0]) != mark[1:]:
                late = self._take(entry, file.caption, FILE, mark, file.path, file.modified)
                if late:
                    self.found.by_image[entry.image] = late
        return {entry.at for entry, file in files if file.caption}

    def _told(self, found: Sequence[Told]) -> None:
        keys = [key_of(f"{told.path}#{told.entry.image}") for told in found]
        known = self._steps.files_seen(keys)
        late: Counter[str] = Counter()
        for key, told in zip(keys, found, strict=True):
            digest = sha256(told.caption.encode("utf-8", "replace")).hexdigest()
            mark = (key, told.entry.picture, digest)
            if known.get(key) == mark[1:]:
                continue
            if self._take(told.entry, told.caption, METADATA, mark, told.path, told.modified):
                verb = "is older than" if told.modified else "differs from"
                late[f"{told.path.name} {verb}"] += 1
        self.found.notes += [
            f"{what} {counted(number, 'caption')} in the history, which stay{'s' * (number == 1)}"
            for what, number in late.items()
        ]

    def _ours(self, path: Place) -> bool:
        """Whether a file is as we wrote it."""
        place: Path | str = str(path)
        if isinstance(path, Path):
            place = path.parent.resolve() / path.name
        key = key_of(place)
        known = self._written.known([key]).get(key, ())
        return bool(known) and spot_of(place).digest() in known

    def _take(
        self, entry: Entry, caption: str, kind: str, mark: tuple[str, str, str], path: Any,
        modified: float,
    ) -> str:  # fmt: skip
        """Take a caption in, and return why it is not, or ""."""
        self._seen.append(mark)
        edit: Edit | None = self._held.get(entry.picture)
        try:
            draft = drafted(caption, kind, {"file": key_of(str(path))})
        except UsageError as error:
            return f"{path.name}: {error.message}"
        if edit and draft.caption in (edit.caption, one_line(edit.caption)):
            return ""
        if edit and edit.created > modified:
            return f"{path.name} is older than this caption"
        other = self._changes.get(entry.picture)
        if other and other.draft.caption != draft.caption:
            return f"the same image has another caption in {path.name}"
        over = edit.edit_id if edit else None
        self._changes[entry.picture] = Change(entry.image, entry.picture, draft, over)
        return ""
