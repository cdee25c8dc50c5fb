"""Captions that people picked, merged or wrote, in a table of their own.

Rows are never deleted: a newer row replaces an older one, and an undo only marks a row with a time.
The current caption of an image is its newest row that is not undone. A caption belongs to the
identity of an image (`images/identity.py`); in rows of earlier versions, which kept only a name,
it belongs to that name. What was written for another image of the same name is offered, and is
neither applied nor exported by itself.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..database.database import Database
from ..database.migrations import TRUSTED
from ..database.task_queries import BY_NAME
from ..errors import ImgOpenError, UsageError
from ..images.identity import name_of
from ..text import clip, short_path, valid
from .descriptions import Description, Row
from .parts import join, matcher, split
from .tag_merge import MAJORITY, MERGES, SENTENCE_AND_TAGS, Said, as_tags, merge, said_by

if TYPE_CHECKING:
    import pandas as pd

HUMAN = "human"
RULE = "rule"  # the kind of captions that rules changed
MOST_TEXT = 20_000  # characters of a caption
COLUMNS = (
    "edit_id", "image", "picture", "caption", "tags", "origin", "kind", "source", "replaces",
    "created", "undone",
)  # fmt: skip
_PICTURE = f"coalesce(picture, '{BY_NAME}' || image)"
_NAMES = ", ".join(COLUMNS).replace("picture", _PICTURE)
_NEWEST = "SELECT MAX(edit_id) FROM edits WHERE undone IS NULL"
_AMONG = f"{_PICTURE} IN (SELECT value FROM json_each(?))"
_NAMED = "image IN (SELECT value FROM json_each(?))"
_PROVED = "picture IN (SELECT value FROM json_each(?))"
_DTYPES = {
    "image": "string", "picture": "string", "caption": "string", "tags": "object",
    "source": "string", "origin": "object", "kind": "string", "created": "datetime64[us, UTC]",
    "undone": "datetime64[us, UTC]",
}  # fmt: skip
EARLIER = "written for an earlier version of this file"
UNVERIFIED = "written under this name by an earlier version of imgopen_nb: not verified"
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


class Draft(NamedTuple):
    """A caption to be saved; made by `picked`, `merged` and `edited`.

    Attributes:
        caption: the text.
        tags: its tags, if they are known better than from its text; None if they are not.
        origin: the models and tasks it comes from, and the merge that made it.
        kind: "picked", "edited" or "merged".
    """

    caption: str
    tags: Sequence[str] | None
    origin: Mapping[str, Any]
    kind: str


@dataclass(frozen=True)
class Edit:
    """A saved caption; `replaces` is the id of the one that it replaced.

    `image` is the name that the image had then, `picture` its identity.
    """

    edit_id: int
    image: str
    picture: str
    caption: str
    tags: list[str]
    origin: dict[str, Any]
    kind: str
    source: str
    replaces: int | None
    created: float
    undone: float | None


class Held(NamedTuple):
    """The text of a current caption, its row, and where it comes from."""

    edit_id: int
    caption: str
    kind: str


def picked(said: Description) -> Draft:
    """Return a model's caption as it is."""
    return drafted(said.text, "picked", _origin([said]), said.tag_names)


def merged(
    row: Row,
    how: str = SENTENCE_AND_TAGS,
    threshold: float = MAJORITY,
    *,
    min_score: float = 0.0,
    blacklist: Iterable[str] = (),
    models: Sequence[str] | None = None,
    least: int = 2,
) -> Draft:
    """Return what all models say of an image as one caption.

    Args:
        row: the image.
        how: one of `MERGES`; the default is the sentence and the tags that it does not say.
        threshold: for a vote, the share of the models that must be exceeded.
        min_score: tags with a lower score are left out; those without a score stay.
        blacklist: tags that are left out; "*" stands for any characters.
        models: which models, in this order; by default all of them.
        least: how many models must have answered.

    Raises:
        UsageError: too few models answered, or the merged caption is empty.
    """
    names = row.descriptions if models is None else models
    held = [row.descriptions[name] for name in names if name in row.descriptions]
    said = [each for each in held if each.answered]
    if how not in MERGES:
        raise UsageError(f"{clip(how)!r} is not a way to merge", hint=", ".join(MERGES))
    if len(said) < least:
        needed = "two captions" if least > 1 else "a caption"
        raise UsageError(f"a merge needs {needed}: {short_path(row.image)} has {len(said)}")
    unwanted = matcher(blacklist)
    lists = []
    for each in said:
        kept = [name for name, score in each.tags if score is None or score >= min_score]
        sentence, tags = said_by(each.caption, kept, each.tag_names)
        lists.append(Said(sentence, [tag for tag in tags if not unwanted(tag)]))
    parts = merge(lists, how, threshold)
    if not parts.sentence and not parts.tags:
        raise UsageError(
            f"the {how} for {short_path(row.image)} is empty: no tag or sentence was left"
        )
    more: dict[str, Any] = {"threshold": threshold} if how == "vote" else {}
    more |= {"min_score": min_score} if min_score else {}
    origin = {**_origin(said), "merge": how, **more}
    return drafted(join(parts), "merged", origin, parts.tags)


@dataclass(frozen=True)
class Offer:
    """A caption that a person wrote for another image of the same name, or perhaps for this one.

    Attributes:
        edit: the caption.
        why: why it is offered only.
    """

    edit: Edit
    why: str


def accepted(offer: Offer) -> Draft:
    """Return an offered caption as one for the image that it is offered to."""
    edit = offer.edit
    return drafted(edit.caption, "edited", {**edit.origin, "edit": edit.edit_id}, edit.tags)


def edited(text: str, before: Edit | None) -> Draft:
    """Return what a person wrote, with the origin of the caption that was edited."""
    origin = {**before.origin, "edit": before.edit_id} if before else _origin([])
    return drafted(text, "edited", origin)


def tags_of(said: Description) -> list[str]:
    """Return a description as a tag list."""
    return as_tags(said.caption, said.tag_names)


def _origin(said: Iterable[Description]) -> dict[str, Any]:
    said = list(said)
    return {"models": [d.model for d in said], "tasks": [d.task_id for d in said], "merge": None}


def drafted(text: str, kind: str, origin: Mapping[str, Any], tags: Sequence[str] = ()) -> Draft:
    """Return a caption to be saved.

    Raises:
        UsageError: it is empty or too long.
    """
    if not text.isprintable():
        # JSON may contain half a surrogate pair, which cannot be written to a file.
        text = _CONTROLS.sub("", valid(text).replace("\r\n", "\n"))
    caption = text.strip()
    if not caption:
        raise UsageError("an empty caption is not saved", hint="undo removes the last caption")
    if len(caption) > MOST_TEXT:
        raise UsageError(
            f"a caption of {len(caption):,} characters is too long: the limit is {MOST_TEXT:,}"
        )
    return Draft(caption, tags or None, origin, kind)


class OverwriteError(ImgOpenError):
    """Another caption was saved meanwhile: `current`, or None if the caption was undone."""

    def __init__(self, image: str, current: Edit | None) -> None:
        self.current = current
        said = (
            f"{image} already has a caption of yours"
            if current
            else f"the caption of {image} is gone"
        )
        super().__init__(said, hint="pass its edit_id as `over` to replace it")


class Edits:
    """The captions of people in the history; several kernels may write at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self, pictures: Iterable[str]) -> dict[str, Edit]:
        """Return the current captions by image."""
        newest = f"{_NEWEST} AND {_AMONG} GROUP BY {_PICTURE}"
        sql = f"SELECT {_NAMES} FROM edits WHERE edit_id IN ({newest})"
        rows = self._database.read(sql, [_json(list(pictures))], COLUMNS)
        return {row["picture"]: _edit(row) for row in rows}

    def held(self, pictures: Iterable[str]) -> dict[str, Held]:
        """Return the text of the current captions by image, quickly for any number."""
        columns = f"{_PICTURE} AS meant, MAX(edit_id), caption, kind"
        sql = f"SELECT {columns} FROM edits WHERE undone IS NULL AND {_AMONG} GROUP BY meant"
        rows = self._database.read_rows(sql, [_json(list(pictures))])
        return {row[0]: Held(*row[1:]) for row in rows}

    def earlier(self, pictures: Iterable[str]) -> dict[str, list[str]]:
        """Return the captions that images had before the current one, the newest first.

        Those by rules count, and the first one before them: the caption that the rules were
        applied to.
        """
        sql = (
            f"SELECT {_PICTURE}, caption, kind FROM edits WHERE undone IS NULL AND {_AMONG} "
            "ORDER BY edit_id DESC"
        )
        found: dict[str, list[str]] = {}
        ended: set[str] = set()
        for picture, caption, kind in self._database.read_rows(sql, [_json(list(pictures))]):
            if picture not in ended:
                found.setdefault(picture, []).append(caption)
            if kind != RULE:
                ended.add(picture)
        return {picture: captions[1:] for picture, captions in found.items()}

    def offers(self, pictures: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Offer]:
        """Return captions that may be meant for images, by name and identity.

        Args:
            pictures: (name, identity) of each; in a history one name may stand for several.

        Returns:
            The present caption of an earlier version of the file that was captioned under this
            name, the newest if there are several, or what was written under its name before
            images were told apart. One under a name by which a task knows the very image comes
            first. None is proved to be about this image.
        """
        sql = (
            f"WITH named AS (SELECT DISTINCT image AS name, {_PICTURE} AS meant FROM edits "
            f"WHERE undone IS NULL AND (picture IS NULL OR {_NAMED})), "
            f"newest AS ({_NEWEST} AND {_PICTURE} IN (SELECT meant FROM named) GROUP BY {_PICTURE})"
            f" SELECT name, {_NAMES} FROM edits JOIN named ON {_PICTURE} = meant "
            "WHERE edit_id IN newest ORDER BY edit_id"
        )
        images: dict[str, set[tuple[str, str]]] = {}
        for image, picture in pictures:
            images.setdefault(_storable(image), set()).add((image, picture))
        rows = self._database.read(sql, [_json(list(images))], ("name", *COLUMNS))
        unverified = any(name_of(row["picture"]) is not None for row in rows)
        endings: dict[str, list[str]] = {}
        for image in images if unverified else ():
            for ending in _endings(image):
                endings.setdefault(ending, []).append(image)
        had = self._names_of(images) if unverified else {}
        found: dict[tuple[str, str], Offer] = {}
        proved: dict[tuple[str, str], Offer] = {}
        for row in rows:
            name, edit = row.pop("name"), _edit(row)
            typed = name_of(edit.picture)
            meant = [name] if typed is None else endings.get(_ending(typed), [])
            why = EARLIER if typed is None else UNVERIFIED
            for named in (each for image in meant for each in images[image]):
                if named[1] != edit.picture:
                    found[named] = Offer(edit, why)
            if typed is not None:
                proved |= {named: Offer(edit, why) for named in had.get(typed, ())}
        return found | proved

    def _names_of(
        self, images: Mapping[str, Iterable[tuple[str, str]]]
    ) -> dict[str, list[tuple[str, str]]]:
        """Return (name, identity) by each name that a task, given the same image, knows."""
        files: dict[str, list[tuple[str, str]]] = {}
        for named in (each for known in images.values() for each in known):
            if name_of(named[1]) is None:
                files.setdefault(named[1], []).append(named)
        known = f"image IS NOT NULL AND {_PROVED} AND {TRUSTED}"
        sql = f"SELECT DISTINCT picture, image FROM tasks WHERE {known}"
        found: dict[str, list[tuple[str, str]]] = {}
        for row in self._database.read(sql, [_json(list(files))], ("picture", "image")):
            found.setdefault(row["image"], []).extend(files[row["picture"]])
        return found

    def add(self, image: str, picture: str, draft: Draft, over: int | None) -> Edit:
        """Save a caption, which replaces the one that the user has seen.

        Args:
            image: the image's name.
            picture: its identity.
            draft: the caption.
            over: the `edit_id` of the current caption, None if there is none.

        Raises:
            OverwriteError: another caption is current by now; nothing was written.
        """
        with self._database.transaction():
            written = self.add_all([(image, picture, draft, over)], None)
            now = self.current([picture]).get(picture)
        if not written or now is None:
            raise OverwriteError(image, now)
        return now

    def add_all(
        self, changes: Iterable[tuple[str, str, Draft, int | None]], step: int | None
    ) -> int:
        """Save captions, each if the one that it replaces is current; return how many were saved.

        It belongs into a transaction: no other kernel may write between the check and the insert.

        Args:
            changes: name, identity, caption and the `edit_id` that is replaced, of each image.
            step: the step of a dataset that they belong to.
        """
        return sum(self.add_steps([(step, list(changes))]))

    def add_steps(
        self, steps: Sequence[tuple[int | None, Sequence[tuple[str, str, Draft, int | None]]]]
    ) -> list[int]:
        """Save the captions of several steps as `add_all` does; return how many of each.

        A later step replaces what an earlier one of them wrote; its changes name the caption that
        was current before all of them.
        """
        pictures = {change[1]: None for _, changes in steps for change in changes}
        found = self.held(pictures)
        newest = {picture: held.edit_id for picture, held in found.items()}
        late = {
            change[1]
            for _, changes in steps
            for change in changes
            if newest.get(change[1]) != change[3]
        }
        last = self._database.read_rows("SELECT coalesce(MAX(edit_id), 0) FROM edits", [])[0][0]
        now, saved = time.time(), []
        names = ("edit_id", "image", "picture", "caption", "tags", "origin", "kind", "source",
                 "replaces", "created", "step")  # fmt: skip
        sql = f"INSERT INTO edits ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        for step, changes in steps:
            rows = []
            for image, picture, draft, _ in changes:
                if picture in late:
                    continue
                last += 1
                over, newest[picture] = newest.get(picture), last
                rows.append((last, *_values(image, picture, draft), over, now, step))
            saved.append(self._database.run_many(sql, rows) if rows else 0)
        return saved

    def undo(self, edit: Edit) -> bool:
        """Undo a caption, so that the one before is current; return whether it was current."""
        sql = f"UPDATE edits SET undone = ? WHERE edit_id = ({_NEWEST} AND {_PICTURE} = ?)"
        values = (time.time(), edit.picture, edit.edit_id)
        return bool(self._database.run(f"{sql} AND edit_id = ?", values))

    def captioned(self, pictures: Iterable[str]) -> set[str]:
        """Return those of the images that have a caption of a person."""
        sql = f"SELECT DISTINCT {_PICTURE} FROM edits WHERE undone IS NULL AND {_AMONG}"
        rows = self._database.read(sql, [_json(list(pictures))], ("picture",))
        return {row["picture"] for row in rows}

    def newest(self, most: int) -> list[str]:
        """Return the texts of the newest captions, the newest first."""
        sql = "SELECT caption FROM edits WHERE undone IS NULL ORDER BY edit_id DESC LIMIT ?"
        return [row["caption"] for row in self._database.read(sql, [most], ("caption",))]

    def history(self, picture: str | None = None) -> list[Edit]:
        """Return all captions ever saved, of one image or of all, oldest first."""
        where, values = ("", []) if picture is None else (f" WHERE {_PICTURE} = ?", [picture])
        sql = f"SELECT {_NAMES} FROM edits{where} ORDER BY edit_id"
        return [_edit(row) for row in self._database.read(sql, values, COLUMNS)]

    def frame(
        self, pictures: Iterable[str] | None = None, *, history: bool = False
    ) -> pd.DataFrame:
        """Return captions as a DataFrame: image, picture, caption, tags, source, origin, kind ...

        Args:
            pictures: keep only these identities.
            history: include captions that were replaced or undone; `undone` is the time.
        """
        every = self.history()
        asked = {edit.picture for edit in every} if pictures is None else set(pictures)
        chosen = every if history else self.current(asked).values()
        found = sorted((e for e in chosen if e.picture in asked), key=lambda e: e.edit_id)
        frame = _frame(found)
        return frame if history else frame.drop(columns="undone")


def _values(image: str, picture: str, draft: Draft) -> tuple[Any, ...]:
    """Return the values of a new row, from the name to the source."""
    name = name_of(picture)
    known = (_storable(image), picture) if name is None else (name, None)
    tags = None if draft.tags is None else _json(list(draft.tags))
    origin = _json(dict(draft.origin)) if draft.origin else "{}"
    return *known, draft.caption, tags, origin, draft.kind, HUMAN


def _edit(row: dict[str, Any]) -> Edit:
    """Return a caption from its row; if its tags are not written there, they are in its text."""
    if row["tags"] is None:
        row["tags"] = list(split(row["caption"]).tags)
    return Edit(**row)


def _storable(image: str) -> str:
    """Return a name as text for the database: that of a file may be no valid text."""
    return image if image.isascii() else image.encode("utf-8", "backslashreplace").decode()


def _endings(image: str) -> Iterator[str]:
    """Yield all that a path, as somebody typed it, may have been after `_ending`."""
    yield image
    parts = image.split(os.sep) if os.path.isabs(image) else []
    yield from (os.sep.join(parts[at:]) for at in range(1, len(parts)))


def _ending(typed: str) -> str:
    """Return the part of a path that does not depend on the working folder: ../a/b.png, a/b.png."""
    if "://" in typed or typed.startswith("<"):
        return typed
    path = os.path.normpath(os.path.expanduser(typed))
    return re.sub(r"^(\.\./)+", "", path.replace(os.sep, "/")).replace("/", os.sep)


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
