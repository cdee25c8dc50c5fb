"""Captions that people picked, merged or wrote, in a table of their own.

Rows are never deleted: a newer row replaces an older one, and an undo only marks a row with a time.
The current caption of a picture is its newest row that is not undone.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..database.database import Database
from ..errors import ImgOpenError, UsageError
from ..text import clip
from .descriptions import Description, Row
from .tag_merge import MAJORITY, MERGES, as_tags, listed, vote

if TYPE_CHECKING:
    import pandas as pd

HUMAN = "human"
MOST_TEXT = 20_000  # characters of a caption
COLUMNS = (
    "edit_id", "image", "caption", "tags", "origin", "kind", "source", "replaces", "created",
    "undone",
)  # fmt: skip
_NAMES = ", ".join(COLUMNS)
_NEWEST = "SELECT MAX(edit_id) FROM edits WHERE undone IS NULL"
_AMONG = "image IN (SELECT value FROM json_each(?))"
_DTYPES = {
    "image": "string", "caption": "string", "tags": "object", "source": "string",
    "origin": "object", "kind": "string", "created": "datetime64[us, UTC]",
    "undone": "datetime64[us, UTC]",
}  # fmt: skip
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Draft:
    """A caption to be saved; made by `picked`, `merged` and `edited`.

    Attributes:
        caption: the text.
        tags: its tags, if it is a list of tags.
        origin: the models and tasks it comes from, and the merge that made it.
        kind: "picked", "edited" or "merged".
    """

    caption: str
    tags: Sequence[str]
    origin: Mapping[str, Any]
    kind: str


@dataclass(frozen=True)
class Edit:
    """A saved caption; `replaces` is the id of the one that it replaced."""

    edit_id: int
    image: str
    caption: str
    tags: list[str]
    origin: dict[str, Any]
    kind: str
    source: str
    replaces: int | None
    created: float
    undone: float | None


def picked(said: Description) -> Draft:
    """Return a model's caption as it is."""
    return _draft(said.text, "picked", _origin([said]), said.tag_names)


def merged(row: Row, how: str, threshold: float = MAJORITY) -> Draft:
    """Return the tags of all models merged into one list; `threshold` is for a vote.

    Raises:
        UsageError: there is nothing to merge, or the merged list is empty.
    """
    said = [each for each in row.descriptions.values() if each.answered]
    if how not in MERGES:
        raise UsageError(f"{clip(how)!r} is no merge", hint=", ".join(MERGES))
    if len(said) < 2:
        raise UsageError(f"a merge takes two captions: {row.image} has {len(said)}")
    lists = [tags_of(each) for each in said]
    tags = vote(lists, threshold) if how == "vote" else MERGES[how](lists)
    if not tags:
        raise UsageError(f"the {how} for {row.image} is empty: nothing was kept")
    more = {"threshold": threshold} if how == "vote" else {}
    return _draft(", ".join(tags), "merged", {**_origin(said), "merge": how, **more}, tags)


def edited(text: str, before: Edit | None) -> Draft:
    """Return what a person wrote, with the origin of the caption that was edited."""
    origin = {**before.origin, "edit": before.edit_id} if before else _origin([])
    return _draft(text, "edited", origin)


def tags_of(said: Description) -> list[str]:
    """Return a description as a tag list."""
    return as_tags(said.caption, said.tag_names)


def _origin(said: Iterable[Description]) -> dict[str, Any]:
    said = list(said)
    return {"models": [d.model for d in said], "tasks": [d.task_id for d in said], "merge": None}


def _draft(text: str, kind: str, origin: Mapping[str, Any], tags: Sequence[str] = ()) -> Draft:
    # JSON may contain half a surrogate pair, which cannot be written to a file.
    valid = text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n")
    caption = _CONTROLS.sub("", valid).strip()
    if not caption:
        raise UsageError("an empty caption is not kept", hint="undo takes the last one back")
    if len(caption) > MOST_TEXT:
        raise UsageError(f"{len(caption):,} characters are too long for a caption: {MOST_TEXT:,}")
    return Draft(caption, tags or listed(caption), origin, kind)


class OverwriteError(ImgOpenError):
    """Another caption was saved meanwhile: `current`, or None if the caption was undone."""

    def __init__(self, image: str, current: Edit | None) -> None:
        self.current = current
        said = f"{image} has a caption of yours" if current else f"the caption of {image} is gone"
        super().__init__(said, hint="give its edit_id as `over` to replace it")


class Edits:
    """The captions of people in the history; several kernels may write at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self, images: Iterable[str]) -> dict[str, Edit]:
        """Return the current captions by picture."""
        sql = f"SELECT {_NAMES} FROM edits WHERE edit_id IN ({_NEWEST} AND {_AMONG} GROUP BY image)"
        rows = self._database.read(sql, [_json(list(images))], COLUMNS)
        return {row["image"]: Edit(**row) for row in rows}

    def add(self, image: str, draft: Draft, over: int | None) -> Edit:
        """Save a caption, which replaces the one that the user has seen.

        Args:
            image: the picture's address in the history.
            draft: the caption.
            over: the `edit_id` of the current caption, None if there is none.

        Raises:
            OverwriteError: another caption is current by now; nothing was written.
        """
        names = ("image", "caption", "tags", "origin", "kind", "source", "replaces", "created")
        # One statement: no other kernel can write between the check and the insert.
        sql = (
            f"INSERT INTO edits ({', '.join(names)}) SELECT ?, ?, ?, ?, ?, ?, ?, ? "
            f"WHERE ({_NEWEST} AND image = ?) IS ?"
        )
        given = (draft.caption, _json(list(draft.tags)), _json(dict(draft.origin)), draft.kind)
        values = (image, *given, HUMAN, over, time.time(), image, over)
        written = self._database.run(sql, values)
        now = self.current([image]).get(image)
        if not written or now is None:
            raise OverwriteError(image, now)
        return now

    def undo(self, edit: Edit) -> bool:
        """Undo a caption, so that the one before is current; return whether it was current."""
        sql = f"UPDATE edits SET undone = ? WHERE edit_id = ({_NEWEST} AND image = ?)"
        values = (time.time(), edit.image, edit.edit_id)
        return bool(self._database.run(f"{sql} AND edit_id = ?", values))

    def count(self, images: Iterable[str]) -> int:
        """Return how many of the pictures have a caption of a person."""
        sql = f"SELECT COUNT(DISTINCT image) FROM edits WHERE undone IS NULL AND {_AMONG}"
        return int(self._database.read(sql, [_json(list(images))], ("n",))[0]["n"])

    def history(self, image: str | None = None) -> list[Edit]:
        """Return all captions ever saved, of one picture or of all, oldest first."""
        where, values = ("", []) if image is None else (" WHERE image = ?", [image])
        sql = f"SELECT {_NAMES} FROM edits{where} ORDER BY edit_id"
        return [Edit(**row) for row in self._database.read(sql, values, COLUMNS)]

    def frame(self, images: Iterable[str] | None = None, *, history: bool = False) -> pd.DataFrame:
        """Return captions as a DataFrame: image, caption, tags, source, origin, kind, created.

        Args:
            images: keep only these pictures.
            history: include captions that were replaced or undone; `undone` is the time.
        """
        every = self.history()
        asked = {edit.image for edit in every} if images is None else set(images)
        chosen = every if history else self.current(asked).values()
        found = sorted((e for e in chosen if e.image in asked), key=lambda e: e.edit_id)
        frame = _frame(found)
        return frame if history else frame.drop(columns="undone")


def _frame(edits: Iterable[Edit]) -> pd.DataFrame:
    from ..history.frame import rows_frame

    rows = [{name: getattr(edit, name) for name in _DTYPES} for edit in edits]
    for row in rows:
        row |= {name: _moment(row[name]) for name in ("created", "undone")}
    return rows_frame(rows).reindex(columns=list(_DTYPES)).astype(_DTYPES)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
