"""Which images somebody means: a folder, a glob, a list, a table, a batch, results, a history.

Boards, galleries, comparisons and the history's filter all read their images here, so that each
of them takes the same things and keeps the order of the input.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from ..batch.batch import Batch
from ..batch.rows import InputPicture
from ..batch.sources import is_glob, source_of
from ..batch.tables.frames import table_in_memory
from ..batch.tables.objects import is_table
from ..batch.tables.table import Table, missing
from ..captions.comparison import Comparison, compare_rows
from ..captions.descriptions import (
    DESCRIBE_FIRST,
    OPERATION,
    Description,
    Row,
    described_by,
    from_row,
    read,
)
from ..catalogue.values import is_embedded, scalar
from ..database.migrations import UNTRUSTED
from ..errors import ImgOpenError, ParameterError, PictureError, UsageError
from ..images.cache import SMALL
from ..images.identity import Identity, by_name, is_identity
from ..images.picture import Picture, name_of_unread, read_picture
from ..media.stores import as_address, is_store
from ..tasks.manager import TaskManager
from ..tasks.result import Home
from ..text import clip, clip_path, counted, in_words, near_match, short_path

AT_A_TIME = 64  # images that are held in memory
MAX_THREADS = 8  # that ask servers for the version of an image
MAX_PATH = 1000  # characters of a name that may be a folder
MAX_NAMES = 1000  # names of earlier versions that are looked up as files at a time
_HINT = "pass a folder, a glob, a list of images, a DataFrame, a batch or session.history()"
_HISTORY = {"operation", "model", "image", "caption"}  # the columns that make a frame a history


@dataclass(frozen=True)
class Selection:
    """Images that somebody means, and what models say about them.

    Attributes:
        rows: the images in the order of the input; None for those that are described.
        described: their descriptions, oldest first.
        notes: what a reader should know, such as where the images come from.
        thumbnail: returns the JPEG of a row's image, None if there is none.
        table: the table that the rows come from, if it is one.
    """

    rows: Sequence[Row] | None
    described: Sequence[Description]
    notes: Sequence[str]
    thumbnail: Callable[[Row], bytes | None]
    table: Table | None = None

    def comparison(self) -> Comparison:
        """Return the images with their captions side by side.

        Raises:
            UsageError: there is no image.
        """
        if not self.described and not self.rows:
            raise UsageError("nothing to compare: no image has been described", hint=DESCRIBE_FIRST)
        return compare_rows(self.described, self.rows, self.notes, self.thumbnail)


class HasPictures:
    """Whatever has rows of images, and so can be shown on a board and in a gallery."""

    __slots__ = ()

    @property
    def picture_rows(self) -> Sequence[Row]:
        """The images, in their order."""
        raise NotImplementedError


def select(manager: TaskManager, source: Any, last_batch: Batch | None = None) -> Selection:
    """Return the images that somebody means.

    Args:
        manager: whose history knows the captions.
        source: a folder, a glob, a list of images, a column or DataFrame with images, a table
            file; a history DataFrame, results, a batch, its wide frame, a comparison. None means
            the last batch, or else the whole history.
        last_batch: the last batch of the session.

    Raises:
        UsageError: it is none of these.
    """
    found = _default(manager, last_batch) if source is None else _read(manager, source)
    rows, described, notes, table = found
    if described is None:
        assert rows is not None, "either images or descriptions are given"
        described = described_in_history(manager, [row.picture for row in rows])
    unreadable = [row for row in rows or () if row.trouble]
    if rows and len(unreadable) == len(rows) and not described:
        what = "the image" if len(rows) == 1 else f"any of {len(rows)} images"
        raise UsageError(f"cannot read {what}: {unreadable[0].trouble}", hint=_HINT)
    if unreadable:
        first = f"{short_path(unreadable[0].image)}: {unreadable[0].trouble}"
        notes.append(f"{counted(len(unreadable), 'image')} cannot be read ({clip(first)})")
    return Selection(rows, described, notes, partial(_jpeg, manager.home), table)


def identities(manager: TaskManager, source: Any) -> list[str]:
    """Return the identities of images that somebody means, for a filter of the history."""
    several = _is_column(source)
    named = [scalar(each) for each in source if not missing(each)] if several else [source]
    if named and all(isinstance(each, str) and is_identity(each) for each in named):
        return named
    if several and not named:
        return []
    found = select(manager, source)
    rows = found.rows
    if rows is None:
        return [each.picture or by_name(each.image) for each in found.described]
    return [row.picture for row in rows if row.picture]


def _is_column(source: Any) -> bool:
    """Whether this is a list, or a column of any library."""
    if isinstance(source, (list, tuple)):
        return True
    listing = any(hasattr(source, name) for name in ("to_list", "to_pylist", "tolist"))
    return listing and getattr(source, "ndim", 1) == 1 and not hasattr(source, "columns")


def described_in_history(manager: TaskManager, pictures: Iterable[str]) -> list[Description]:
    """Return all descriptions of images in the history, oldest first."""
    wanted = [picture for picture in dict.fromkeys(pictures) if picture]
    rows = _without_doubtful_twins(manager.table.rows(operation=OPERATION, pictures=wanted))
    return [said for said in map(from_row, rows) if said is not None]


def _without_doubtful_twins(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what an untrusted file says of an image that was described here too."""
    own = {row["picture"] or row["image"] for row in tasks if row["imported"] != UNTRUSTED}
    return [
        row for row in tasks
        if row["imported"] != UNTRUSTED or (row["picture"] or row["image"]) not in own
    ]  # fmt: skip


class Read(NamedTuple):
    """Rows, descriptions (None: those of the history) and notes of a source; its table, if any."""

    rows: Sequence[Row] | None
    described: Sequence[Description] | None
    notes: list[str]
    table: Table | None = None


def _default(manager: TaskManager, last_batch: Batch | None) -> Read:
    """Return what is meant if nothing is given; the first note says what it is."""
    if last_batch is not None and last_batch.param.picture:
        rows, described, notes, _ = _of_batch(manager, last_batch)
        return Read(rows, described, [title_of(last_batch), *notes])
    tasks = manager.table.rows(operation=OPERATION)
    if not tasks:
        raise UsageError("the history contains no descriptions of images", hint=DESCRIBE_FIRST)
    rows, described, notes, _ = _of_tasks(manager, map(from_row, _without_doubtful_twins(tasks)))
    return Read(rows, described, [title_of(None), *notes])


def title_of(last_batch: Batch | None) -> str:
    """Return what is shown if nothing is given: the last batch, or else the whole history."""
    if last_batch is None:
        return "the whole history"
    return f"the last batch of this session: {last_batch.operation.name}"


def _read(manager: TaskManager, source: Any) -> Read:
    """Return the images of a source, and what is said of them."""
    if isinstance(source, Comparison):
        said = [each for row in source.rows for each in row.descriptions.values()]
        return Read(source.rows, said, list(source.notes))
    if isinstance(source, HasPictures):
        return Read(source.picture_rows, None, [])
    if isinstance(source, Batch):
        return _of_batch(manager, source)
    if hasattr(source, "iloc") and hasattr(source, "columns"):
        if set(source.columns) >= _HISTORY:
            known = "picture" in source.columns
            pairs = zip(source["image"], source["picture"], strict=True) if known else ()
            return _of_tasks(manager, read(source), pairs)
        from ..batch.frame import pictures_of

        kept = pictures_of(source)
        if kept is not None:
            return Read(_of_inputs(manager, kept), None, [])
    if hasattr(source, "task_id"):
        source = [source]
    if isinstance(source, (list, tuple)) and source and all(hasattr(s, "task_id") for s in source):
        given = ((result.image, result.picture) for result in source)
        return _of_tasks(manager, read(source), given)
    plain = isinstance(source, Mapping) and not is_embedded(source)
    if isinstance(source, (int, float)) or (plain and table_in_memory(source) is None):
        raise UsageError(f"cannot read images from {in_words(source)}", hint=_HINT)
    _refuse_missing(source)
    pictures, notes, table = pictures_in(source), list[str](), None
    if not isinstance(source, (list, tuple)) or is_table(source):
        found = source_of(source)
        pictures, notes, table = found.values(), [found.reads], found.table
    rows = identified(manager, pictures)
    if not rows:
        raise UsageError("no image was given", hint=f"{DESCRIBE_FIRST}; or {_HINT}")
    return Read(rows, None, notes, table)


def _refuse_missing(source: Any) -> None:
    """Refuse the name of a folder that does not exist.

    Raises:
        ParameterError: it says where the folder was looked for.
    """
    one = source[0] if isinstance(source, (list, tuple)) and len(source) == 1 else source
    text = os.fspath(one) if isinstance(one, (str, os.PathLike)) else ""
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_PATH or is_glob(text):
        return
    path = os.path.expanduser(text)
    if ":" in text or "\0" in text or os.path.lexists(path) or os.path.splitext(path)[1]:
        return
    parent, name = os.path.split(os.path.abspath(path))
    try:
        near = near_match(name, os.listdir(parent))
    except OSError:
        near = ""
    said = f"there is no file or folder {clip(name)} in {clip_path(parent)}"
    raise ParameterError(said, hint=near or _HINT)


def pictures_in(source: Any) -> Iterator[Any]:
    """Yield the images of a source, not read yet; an item of a list may be a folder or a glob.

    Raises:
        UsageError: no images can be read from it.
    """
    if isinstance(source, (list, tuple)) and not is_table(source):
        for each in source:
            yield from _item(each)
    else:
        yield from source_of(source).values()


def _item(item: Any) -> list[Any]:
    item = as_address(item)
    if is_store(item):
        return list(pictures_in(item))
    path = os.path.expanduser(item) if isinstance(item, (str, os.PathLike)) else ""
    if path and os.path.isdir(path):
        return list(pictures_in(item))
    try:
        return list(pictures_in(item)) if path and is_glob(os.fspath(path)) else [item]
    except UsageError:  # no file matches: perhaps it is the name of a file that is gone
        return [item]


def _of_batch(manager: TaskManager, batch: Batch) -> Read:
    if not batch.param.picture:
        raise UsageError(f"this batch of {batch.operation.name} had no images as input", hint=_HINT)
    rows = _of_inputs(manager, batch.pictures())
    described = list(filter(None, read(batch))) if batch.operation.name == OPERATION else None
    return Read(rows, described, [])


def _of_inputs(manager: TaskManager, inputs: Iterable[InputPicture | Any]) -> list[Row]:
    """Return rows of images; those that no task was given are what is there now."""
    rows: list[Row | None] = []
    rest: list[Any] = []
    for each in inputs:
        if isinstance(each, InputPicture):
            name, picture, trouble = each
            gone = name is None or name.startswith("<")
            if trouble is None or gone:
                known = "" if trouble else picture or by_name(name or "")
                rows.append(Row(name or "no image", {}, known, trouble or ""))
                continue
        rows.append(None)
        rest.append(each.image if isinstance(each, InputPicture) else each)
    others = iter(identified(manager, rest))
    return [next(others) if row is None else row for row in rows]


def _of_tasks(
    manager: TaskManager,
    tasks: Iterable[Description | None],
    pictures: Iterable[tuple[Any, Any]] = (),
) -> Read:
    """Return descriptions with the images that they are of, where that can be proved.

    If none of the tasks describes an image, those that they were given are meant: `pictures`
    yields name and identity.
    """
    every = list(tasks)
    if not any(every):
        given = dict.fromkeys(pair for pair in pictures if not any(map(missing, pair)))
        if given:
            return Read([Row(image, {}, picture) for image, picture in given], None, [])
    found, note = described_by(every)
    unknown = [each for each in found if not each.picture and each.task_id]
    if unknown:
        names = list(dict.fromkeys(each.image for each in reversed(unknown)))[:MAX_NAMES]
        read_here = (_here(name) for name in names)
        known = [manager.identifier.known(picture) for picture in read_here if picture]
        manager.earlier_tasks.identify(known)
        proved = manager.table.pictures(each.task_id for each in unknown)
        known_now = [each.task_id in proved and not each.picture for each in found]
        found = [
            replace(each, picture=proved[each.task_id]) if new else each
            for each, new in zip(found, known_now, strict=True)
        ]
    return Read(None, found, [note])


def _here(name: str) -> Picture | None:
    """Return the image that has a name of an earlier version now; perhaps it is the same one."""
    if name.startswith("<") or is_store(name):
        return None
    try:
        return read_picture(name)
    except ImgOpenError:
        return None


def identified(manager: TaskManager, values: Iterable[Any]) -> list[Row]:
    """Return a row for each image of an input, without descriptions, in the order of the input.

    An image that cannot be read has a row too, which says why. A few are read at a time: a
    set holds more than the memory does.
    """
    rest = iter(values)
    read_ones: list[tuple[Row, Identity | None]] = []
    with ThreadPoolExecutor(MAX_THREADS, "imgopen-identify") as pool:
        while some := list(itertools.islice(rest, AT_A_TIME)):
            read_ones += pool.map(lambda value: _identified(manager, value), some)
    manager.earlier_tasks.identify(identity for _, identity in read_ones if identity)
    return [row for row, _ in read_ones]


def _identified(manager: TaskManager, value: Any) -> tuple[Row, Identity | None]:
    try:
        if isinstance(value, ImgOpenError):
            raise value
        if missing(value):
            raise PictureError("this row has no image")
        picture = read_picture(value)
    except ImgOpenError as error:
        return Row(name_of_unread(value) or "no image", {}, trouble=error.message), None
    manager.thumbnails.remember(picture)
    identity = manager.identifier.current(picture)
    return Row(picture.label, {}, identity.picture), identity


def _jpeg(home: Home, row: Row) -> bytes | None:
    if not row.picture:  # it could not be read, and what has its name by now may be another
        return None
    try:
        return home.thumbnail(row.image, SMALL, picture=row.picture, trusted=True).jpeg
    except PictureError:
        return None
