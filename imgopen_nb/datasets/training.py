"""A dataset for the service's own training, which takes images and no captions."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..batch.routes import in_words
from ..catalogue.operations import OPERATIONS
from ..errors import JournalError, ParameterError, UsageError
from ..tasks.manager import TaskManager
from ..tasks.sending import Sending
from ..tasks.task import Task, TimeLimit
from ..text import counted, spelled
from .entry import Entry
from .hints import keep_hint

ROW = OPERATIONS["train"]
IMAGES = ROW.param("images")
LEAST, MOST = IMAGES.min_items or 1, IMAGES.max_items or 100


@dataclass(frozen=True)
class TrainingPlan:
    """What `Dataset.train` would send; nothing was sent.

    Attributes:
        name: the training.
        pictures: how many images.
        where: which of them go where so that the service can fetch them, "" if all are there.
        notes: what does not go with them.
    """

    name: str
    pictures: int
    where: str
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        said = [f"train {self.name}: {counted(self.pictures, 'image')}", self.where, *self.notes]
        return "\n  ".join([*filter(None, said), "nothing was sent"])


def plan_training(
    manager: TaskManager, entries: Sequence[Entry], name: str, params: Mapping[str, Any]
) -> TrainingPlan:
    """Return what `train` would send; see there."""
    entries = _distinct(entries)
    _, routes = manager.submitter.look(ROW, _call(entries, params))
    where = in_words(routes, manager.submitter.check_route)
    return TrainingPlan(name, len(entries), where, _notes(entries))


def train(
    manager: TaskManager,
    entries: Sequence[Entry],
    name: str,
    params: Mapping[str, Any],
    limit: TimeLimit | None,
) -> Task:
    """Send images to the operation `train`, each once, and return the task.

    Args:
        manager: sends them.
        entries: the images, 10 to 100.
        name: the training; the service takes no name, so it is noted in the history alone.
        params: the other parameters of the operation.
        limit: how long it may take to be accepted; None for as long as the service takes.

    Raises:
        UsageError: there are too few images or too many, or a parameter does not fit; nothing
            was sent.
        PictureError: an image cannot be read, or the service could not fetch it.
        ImgOpenError: the same errors as `Session.submit`.
    """
    entries = _distinct(entries)
    call = _call(entries, params)
    task = Sending(ROW.name, partial(manager.submitter.submit, ROW, call)).task(limit)
    with contextlib.suppress(JournalError):  # it is sent, whatever can be noted
        told = f"training {name}: {counted(len(entries), 'image')}"
        manager.table.add_event(task.id, "noted", told)
    for note in _notes(entries):
        task.remark(note)
    return task


def name_of(given: Any, folder: str) -> str:
    """Return the name of a training: as given, or that of the dataset's folder."""
    name = "" if given is None else str(given)
    return name.strip() or os.path.basename(folder.rstrip("/\\")) or "unnamed"


def _call(entries: Sequence[Entry], params: Mapping[str, Any]) -> dict[str, Any]:
    for given in params:
        if ROW.param(given) is IMAGES:
            raise ParameterError(
                "training uses the images of the dataset: nothing was sent",
                hint=f"choose among them with {spelled('where=', '--only')}",
            )
    found = len(entries)
    if LEAST <= found <= MOST:
        return {IMAGES.name: [entry.image for entry in entries], **params}
    hint = (
        f"add images, or bring rejected ones back: {keep_hint()}"
        if found < LEAST
        else "choose some: " + spelled(f"where=range({MOST})", "--only NAME")
    )
    raise UsageError(
        f"training takes {LEAST} to {MOST} different images, but there are {found:,}: nothing "
        "was sent",
        hint=hint,
    )


def _distinct(entries: Sequence[Entry]) -> list[Entry]:
    """Return the images that can be read, each once, whatever names it has."""
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.picture and not entry.trouble:
            found.setdefault(entry.picture, entry)
    return list(found.values())


def _notes(entries: Sequence[Entry]) -> tuple[str, ...]:
    captions = sum(bool(entry.caption) for entry in entries)
    if not captions:
        return ()
    are = "is" if captions == 1 else "are"
    return (
        f"Img Open trains on images only: {counted(captions, 'caption')} {are} not sent with them",
    )
