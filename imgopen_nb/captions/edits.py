"""Captions that people picked, merged or wrote: rows of their own in the journal's file.

A row is never changed nor deleted: a later one takes its place, and an undo marks it with a time.
What holds for a picture is its newest row that is not undone.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ..database.database import Database
from ..errors import ImgOpenError, UsageError
from ..media.formats import FILE_SUFFIXES
from ..text import clip
from .descriptions import Description, Row
from .tag_merge import MAJORITY, MERGES, as_tags, listed, vote

if TYPE_CHECKING:
    import pandas as pd

HUMAN = "human"
MOST_TEXT = 20_000  # characters of a caption
MOST_NAME = 220  # bytes; file systems take 255 with the suffix
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
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Draft:
    """A caption to be kept; made by `picked`, `merged` and `edited`.

    Attributes:
        caption, tags: the text, and its tags where it is a list of them.
        origin: the models and tasks it comes from, and the merge that made it.
        kind: "picked", "edited" or "merged".
    """

    caption: str
    tags: Sequence[str]
    origin: Mapping[str, Any]
    kind: str


@dataclass(frozen=True)
class Edit:
    """A caption that was kept; `replaces` is the one whose place it took."""

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
    return _draft(text_of(said), "picked", _origin([said]), [name for name, _ in said.tags])


def merged(row: Row, how: str, threshold: float = MAJORITY) -> Draft:
    """Return the tags of all models made one list; `threshold` is for a vote.

    Raises:
        UsageError: there is nothing to merge, or nothing left of it.
    """
    said = [each for each in row.said.values() if each.answered]
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
    """Return what a person wrote, with the origin of the caption that it was made from."""
    origin = {**before.origin, "edit": before.edit_id} if before else _origin([])
    return _draft(text, "edited", origin)


def text_of(said: Description) -> str:
    """Return a description as text."""
    return said.caption or ", ".join(name for name, _ in said.tags)


def tags_of(said: Description) -> list[str]:
    """Return a description as a tag list."""
    return as_tags(said.caption, [name for name, _ in said.tags])


def _origin(said: Iterable[Description]) -> dict[str, Any]:
    said = list(said)
    return {"models": [d.model for d in said], "tasks": [d.task_id for d in said], "merge": None}


def _draft(text: str, kind: str, origin: Mapping[str, Any], tags: Sequence[str] = ()) -> Draft:
    # Half a surrogate pair, which JSON can carry, fits into no file.
    whole = text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n")
    caption = _CONTROLS.sub("", whole).strip()
    if not caption:
        raise UsageError("an empty caption is not kept", hint="undo takes the last one back")
    if len(caption) > MOST_TEXT:
        raise UsageError(f"{len(caption):,} characters are too long for a caption: {MOST_TEXT:,}")
    return Draft(caption, tags or listed(caption), origin, kind)


class OverwriteError(ImgOpenError):
    """Another caption of a person is in the place; `current` is that one, None if undone."""

    def __init__(self, image: str, current: Edit | None) -> None:
        self.current = current
        said = f"{image} has a caption of yours" if current else f"the caption of {image} is gone"
        super().__init__(said, hint="give its edit_id as `over` to replace it")


class Edits:
    """The captions of people in a journal; several kernels may write at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self, images: Iterable[str]) -> dict[str, Edit]:
        """Return the captions that hold, by picture."""
        sql = f"SELECT {_NAMES} FROM edits WHERE edit_id IN ({_NEWEST} AND {_AMONG} GROUP BY image)"
        rows = self._database.read(sql, [_json(list(images))], COLUMNS)
        return {row["image"]: Edit(**row) for row in rows}

    def add(self, image: str, draft: Draft, over: int | None) -> Edit:
        """Keep a caption in the place of the one that the user has seen.

        Args:
            image: the picture, as the history shows it.
            draft: the caption.
            over: the `edit_id` that holds now, None for none.

        Raises:
            OverwriteError: another one holds by now; nothing was written.
        """
        names = ("image", "caption", "tags", "origin", "kind", "source", "replaces", "created")
        # One statement: no other kernel gets between the look and the write.
        sql = (
            f"INSERT INTO edits ({', '.join(names)}) SELECT ?, ?, ?, ?, ?, ?, ?, ? "
            f"WHERE ({_NEWEST} AND image = ?) IS ?"
        )
        told = (draft.caption, _json(list(draft.tags)), _json(dict(draft.origin)), draft.kind)
        values = (image, *told, HUMAN, over, time.time(), image, over)
        written = self._database.run(sql, values)
        now = self.current([image]).get(image)
        if not written or now is None:
            raise OverwriteError(image, now)
        return now

    def undo(self, edit: Edit) -> bool:
        """Take a caption back, so that the one before holds; tell whether it still held."""
        sql = f"UPDATE edits SET undone = ? WHERE edit_id = ({_NEWEST} AND image = ?)"
        values = (time.time(), edit.image, edit.edit_id)
        return bool(self._database.run(f"{sql} AND edit_id = ?", values))

    def count(self, images: Iterable[str]) -> int:
        """Return how many of the pictures have a caption of a person."""
        sql = f"SELECT COUNT(DISTINCT image) FROM edits WHERE undone IS NULL AND {_AMONG}"
        return int(self._database.read(sql, [_json(list(images))], ("n",))[0]["n"])

    def history(self, image: str | None = None) -> list[Edit]:
        """Return every caption ever kept, of one picture or all, oldest first."""
        where, values = ("", []) if image is None else (" WHERE image = ?", [image])
        sql = f"SELECT {_NAMES} FROM edits{where} ORDER BY edit_id"
        return [Edit(**row) for row in self._database.read(sql, values, COLUMNS)]

    def frame(self, images: Iterable[str] | None = None, *, history: bool = False) -> pd.DataFrame:
        """Return captions as a DataFrame: image, caption, tags, source, origin, kind, created.

        Args:
            images: keep only these pictures.
            history: also what was replaced or taken back since; `undone` tells when.
        """
        every = self.history()
        asked = {edit.image for edit in every} if images is None else set(images)
        holding = every if history else self.current(asked).values()
        found = sorted((e for e in holding if e.image in asked), key=lambda e: e.edit_id)
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


def write_files(
    captions: Mapping[str, str], folder: Path, suffix: str, *, overwrite: bool
) -> list[Path]:
    """Write captions beside each other, named after their pictures; see `Board.export`."""
    files = _files(captions, folder, _text_suffix(suffix))
    other = [file for file, text in files.items() if _lies_there(file) and not _says(file, text)]
    if other and not overwrite:
        some = ", ".join(file.name for file in other[:3]) + (" …" if len(other) > 3 else "")
        hint = "give another folder, or overwrite=True"
        raise UsageError(f"files with other captions are there already: {some}", hint=hint)
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        if file in other:
            file.unlink()  # a link is replaced, not followed
        if not _lies_there(file):
            with file.open("x", encoding="utf-8", newline="\n") as out:
                out.write(text)
    return list(files)


def _files(captions: Mapping[str, str], folder: Path, suffix: str) -> dict[Path, str]:
    owners: dict[str, str] = {}
    for image in captions:
        name = stem(image) + suffix
        # Some systems take Cat.txt and cat.txt for the same file.
        other = owners.setdefault(name.casefold(), image)
        if other != image:
            raise UsageError(
                f"two pictures would have the file {name}: {other} and {image}",
                hint="export them from boards of their own, into folders of their own",
            )
    texts = {image: " ".join(caption.splitlines()) + "\n" for image, caption in captions.items()}
    return {folder / (stem(image) + suffix): text for image, text in texts.items()}


def stem(image: str) -> str:
    """Return a picture's name without its suffix, safe as a file's name on every system."""
    label = image.removeprefix("sample:")
    if "://" in label:
        label = unquote(urlsplit(label).path)
    name = PurePosixPath(label.replace("\\", "/")).stem
    name = label.strip("<>") if label.startswith("<") else name  # <PIL 640x480 3fa9c1d2>
    short = _FORBIDDEN.sub("_", name).encode("utf-8", "replace")[:MOST_NAME]
    safe = short.decode("utf-8", "ignore").strip(". ")
    return f"_{safe}" if _RESERVED.fullmatch(safe) else safe or "picture"


def _text_suffix(suffix: str) -> str:
    if not re.fullmatch(r"\.[A-Za-z0-9_-]{1,20}", suffix) or suffix.lower() in FILE_SUFFIXES:
        raise UsageError(f"{suffix[:40]!r} is no suffix of a caption file", hint='give ".txt"')
    return suffix


def _lies_there(file: Path) -> bool:
    return file.exists() or file.is_symlink()


def _says(file: Path, text: str) -> bool:
    try:
        return file.is_file() and file.read_bytes() == text.encode()
    except OSError:
        return False
