"""Writes a dataset as trainers read it: the diff of the files first, then the files, as one step.

Only kept images are written, each with its caption as one line. A file of a user is left as it
is; what is replaced or removed is backed up, and `undo` brings it back byte by byte.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..catalogue.values import scalar
from ..database.file_changes import CHANGED, LEFT, NEW, REMOVED, SAME, FileChange, FileChanges
from ..database.spots import LINK
from ..display.parts import Bundle
from ..errors import ParameterError, UsageError
from ..files import path_of
from ..images.picture import path_of_address
from ..media.stores import address_of, as_address, is_store, store
from ..tasks.manager import TaskManager
from ..text import clip, in_words, short_path, visible
from .cards import written_bundle
from .entry import Entry
from .file_plan import COPY, LINKS, STAY, TEXT, Files
from .steps import Steps
from .trainers import Trainer, trainer_named

IMAGES = (STAY, COPY, LINKS)
_MOST_SHOWN = 20_000  # characters of a file in a diff


@dataclass(frozen=True)
class Diff:
    """What becomes of one file.

    Attributes:
        file: its path or address.
        action: "new", "same", "changed", "left" (it is the user's) or "removed".
        before, after: its text, or what it is; None where there is no file.
    """

    file: str
    action: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Written:
    """What `write` did.

    Attributes:
        name: the step.
        files: the files that are new, changed or removed.
        command: the trainer's command line; words in capitals are to be filled in.
        notes: what else a user should know, such as files that were left as they are.
        counts: how many files there are of each action.
    """

    name: str
    files: tuple[str, ...]
    command: str
    notes: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        facts = [f"{number:,} {action}" for action, number in self.counts.items() if number]
        head = f"{self.name}: {', '.join(facts) or 'no files'}"
        return "\n".join([head, *self.notes, self.command])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        return written_bundle(
            repr(self), self.name, self.counts, self.files, self.notes, self.command
        )


@dataclass(frozen=True)
class FilePlan:
    """The files of a dataset for one trainer; nothing is written yet.

    Attributes:
        name: the step.
        trainer: whom they are for.
        changes: what becomes of each file.
        command: the trainer's command line.
        notes: what a user should know.
    """

    name: str
    trainer: Trainer
    changes: Sequence[FileChange]
    command: str
    notes: Sequence[str]

    @property
    def diffs(self) -> list[Diff]:
        """The diff of each file; those of texts come before those of images."""
        found = sorted(self.changes, key=lambda c: c.content is not None and c.content.text is None)
        return [Diff(short_path(c.spot.name), c.action, *_texts(c)) for c in found]


class Writer:
    """Plans and writes the files of one dataset.

    Args:
        manager: the parts of the session.
        steps: the steps of the dataset.
    """

    def __init__(self, manager: TaskManager, steps: Steps) -> None:
        self._manager = manager
        self._steps = steps
        self._changes = FileChanges(manager.database, manager.files)

    @contextlib.contextmanager
    def plan(
        self,
        entries: Sequence[Entry],
        folder: Any,
        trainer: str,
        images: str,
        *,
        overwrite: bool = False,
    ) -> Iterator[FilePlan]:
        """Yield what `write` would do; images that had to be fetched are kept as long.

        Raises:
            UsageError: an image has no caption, it is not known which image it is, or the
                trainer could not read what would be written; nothing was written.
            FileError: a file cannot be read.
        """
        row = trainer_named(trainer)
        if images not in IMAGES:
            raise ParameterError(
                f"images must be one of {', '.join(IMAGES)}, not {in_words(images)}"
            )
        if not isinstance(overwrite := scalar(overwrite), bool):
            raise ParameterError(f"overwrite must be True or False, not {in_words(overwrite)}")
        into = _folder_of(folder)
        with tempfile.TemporaryDirectory(prefix="imgopen-") as spool:
            files = Files(
                self._manager, self._changes, self._steps, row, images, overwrite, Path(spool)
            )
            changes = files.look(entries, into)
            notes = [visible(note) for note in files.notes]
            yield FilePlan(visible(files.title), row, changes, files.command, notes)

    def write(self, plan: FilePlan) -> Written:
        """Write the files of a plan, as one step.

        Raises:
            UsageError, FileError, JournalError: see `FileChanges.make`.
        """
        rule = {"write": plan.trainer.name}
        if any(change.acts for change in plan.changes):
            begin = partial(self._steps.begin, plan.name, rule)
            self._changes.make(plan.changes, begin, self._note)
        counts = {
            action: sum(change.action == action for change in plan.changes)
            for action in (NEW, CHANGED, REMOVED, SAME, LEFT)
        }
        files = tuple(change.spot.name for change in plan.changes if change.acts)
        return Written(plan.name, files, plan.command, tuple(plan.notes), counts)

    def undo(self, step: int) -> list[str]:
        """Bring the files of a step back; return those that were changed since, which stay.

        Raises:
            FileError: one cannot be brought back; do the same again.
        """
        return self._changes.undo(step, lambda spot, digest: self._steps.forget(spot.name, digest))

    def clean(self, step: int) -> None:
        """Remove the backups of a step that was taken back."""
        self._changes.forget(step)

    def _note(self, change: FileChange) -> None:
        if change.content and change.content.about:
            self._steps.wrote(change.spot.name, change.content.about, change.content.digest)


def _folder_of(given: Any) -> str | None:
    """Return a folder that a user gave, as an absolute path or an address.

    Raises:
        UsageError: it is neither.
    """
    if given is None:
        return None
    text = as_address(given)
    if is_store(text):
        return address_of(store(text)).rstrip("/")
    if isinstance(text, str):
        text = path_of_address(text) or text
        if "://" in text:
            said = f"nothing can be written to {clip(text.partition('?')[0], 80)}"
            raise UsageError(said, hint="use a folder, or an address such as s3://bucket/set")
    return os.path.abspath(path_of(text))


def _texts(change: FileChange) -> tuple[str | None, str | None]:
    """Return the text of a file before and after, or what it is."""
    content, spot = change.content, change.spot
    is_text = content.text is not None if content else spot.name.endswith(TEXT)
    before = after = None
    if change.before is not None:
        if change.before.startswith(LINK):
            before = f"link to {change.before.removeprefix(LINK)}"
        elif is_text:
            before = clip(spot.read().decode("utf-8", "replace"), _MOST_SHOWN)
        else:
            before = f"{spot.size():,} bytes"
    if content is not None:
        after = content.text
        if after is None:
            after = f"link to {content.link}" if content.link else os.path.basename(spot.name)
    return before, after
