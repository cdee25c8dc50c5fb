"""Pictures of a history as tiles: read from any source, filtered by a query, shown in detail.

A tile is one picture with all its tasks, so the captions of several models are shown together.
pandas is imported only if a DataFrame is needed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...catalogue.operations import OPERATIONS
from ...display.parts import seconds
from ...display.record import name_and_score
from ...errors import PictureError, UsageError
from ...images.thumbnail import Thumbnail
from ...media.formats import FILE_SUFFIXES
from ...syntax.snippets import magic_line, tidy
from ...text import shown, visible

if TYPE_CHECKING:
    import pandas as pd

MOST_CAPTION, MOST_NAME, MOST_SEARCHED = 160, 200, 20_000  # characters
MOST_TASKS, MOST_TAGS, MOST_OUTPUTS, MOST_CHOICES = 20, 60, 100, 100
Fetch = Callable[[int], Thumbnail | None]  # (pixels) -> a small version of one picture
_COLUMNS = (
    "task_id", "operation", "model", "image", "params", "status", "caption", "tags", "image_urls",
    "submitted", "finished", "seconds", "backend", "engine", "error",
)  # fmt: skip
_clean = lru_cache(4096)(visible)  # the same names occur in many rows
_HINT = "give session.history(), results, a comparison, or a folder or list of pictures"


@dataclass
class Source:
    """Where a gallery's pictures come from.

    Attributes:
        rows: tasks as rows of the history; only `image` if there is no task.
        fetch: by label, how to read the pictures that the session cannot read.
        files: whether these are files, which may change: thumbnails of the history are not used.
        newest_first: whether the last row is shown first.
        given: the user's own DataFrame, whose index is kept.
    """

    rows: Sequence[Mapping[str, Any]]
    fetch: Mapping[str, Fetch] = field(default_factory=dict)
    files: bool = False
    newest_first: bool = False
    given: pd.DataFrame | None = None

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        if self.given is not None:
            return self.given
        from ...history.frame import history_frame

        return history_frame(self.rows)


def read_source(source: Any) -> Source:
    """Return the source of a gallery; see `gallery` for what may be given."""
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        return Source(_records(source), given=source)
    if isinstance(source, (str, os.PathLike)):
        return _files(_pictures_in(os.fspath(source)))
    if hasattr(source, "rows") and hasattr(source, "models"):
        return _tasks([d.source or d for row in source.rows for d in row.descriptions.values()])
    if isinstance(source, (bytes, Mapping)) or not isinstance(source, Iterable):
        raise UsageError(f"a {type(source).__name__} is no gallery", hint=_HINT)
    items = list(source)
    if all(isinstance(item, (str, os.PathLike)) for item in items):
        return _files(map(os.fspath, items))
    if not all(hasattr(item, "task_id") and hasattr(item, "tags") for item in items):
        raise UsageError("the list holds neither results nor paths alone", hint=_HINT)
    return _tasks(items)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    if not {"image", "image_urls"} & set(frame.columns):
        raise UsageError("this DataFrame has no column `image` or `image_urls`", hint=_HINT)
    names = [name for name in _COLUMNS if name in frame.columns]
    from ...history.frame import records

    return records(frame[names])


def _pictures_in(path: str) -> list[str]:
    """Return the pictures of a folder, or else the path itself."""
    try:
        folder = Path(path).expanduser()
        if not folder.is_dir():
            return [path]
        return sorted(str(p) for p in folder.iterdir() if p.suffix.lower() in FILE_SUFFIXES)
    except (OSError, ValueError, RuntimeError) as error:
        raise PictureError(f"{shown(path, 120)} cannot be read: {error}") from error


def _files(labels: Iterable[str]) -> Source:
    rows = [{"image": label} for label in labels]
    local = [row["image"] for row in rows if "://" not in row["image"]]
    return Source(rows, {label: partial(_read_file, label) for label in local}, files=True)


def _read_file(label: str, size: int) -> Thumbnail | None:
    from ...images.picture import read_picture, thumbnail

    data = read_picture(label).data
    return thumbnail(data, size) if data else None


def _tasks(items: Iterable[Any]) -> Source:
    """Return results or descriptions as rows; their pictures are read through the results."""
    rows: list[dict[str, Any]] = []
    known: dict[str, Fetch] = {}
    for item in items:
        row = {name: getattr(item, name, None) for name in _COLUMNS}
        urls = list(map(str, getattr(item, "images", ())))
        rows.append(row | {"operation": row["operation"] or "describe", "image_urls": urls})
        if getattr(item, "fetch", None):
            known[str(row["image"])] = item.thumbnail
            known |= {url: partial(item.output_thumbnail, at) for at, url in enumerate(urls)}
    return Source(rows, known)


@dataclass(slots=True)
class TileTask:
    """A task of a tile, with the texts that are searched and filtered by."""

    place: int  # of its row in the source
    operation: str
    model: str
    status: str
    caption: str
    tags: tuple[str, ...]
    words: str

    def values(self, filter_name: str) -> tuple[str, ...]:
        """Return the values that a filter compares with."""
        return self.tags if filter_name == "tag" else (getattr(self, filter_name),)


@dataclass(slots=True)
class Tile:
    """One picture and its tasks.

    Attributes:
        label: the picture's address in the history; "" if a task has no picture.
        made: whether the address came from the service: then no local file is read.
    """

    label: str
    made: bool
    tasks: list[TileTask] = field(default_factory=list)

    @property
    def caption(self) -> str:
        """A caption, a prompt, tags, or else the picture's name."""
        sentences = [t.caption for t in self.tasks if t.caption and t.caption != ", ".join(t.tags)]
        lists = [", ".join(task.tags[:20]) for task in self.tasks]
        text = next(filter(None, [*sentences, *lists]), "") or _name(self.label)
        return shown(text or "no picture", 2000)

    @property
    def mark(self) -> str:
        """The last status, if none of the tasks has succeeded."""
        states = [task.status for task in self.tasks if task.status]
        return "" if not states or "succeeded" in states else states[-1]


def tiles_of(source: Source) -> list[Tile]:
    """Return one tile for each picture, in the order of the source."""
    found: dict[str, Tile] = {}
    rows = list(enumerate(source.rows))
    for place, row in reversed(rows) if source.newest_first else rows:
        task = _task(place, row)
        for label, made in _pictures(row):
            tile = found.setdefault(label or f"\0{place}", Tile(label, made))
            tile.made &= made  # the user may have given an address that the service returned
            tile.tasks.append(task)
    return list(found.values())


def _pictures(row: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Return (label, made) of a task's output pictures, or of its input if it has none."""
    urls = [u for u in _several(row.get("image_urls")) if isinstance(u, str)]
    made = dict.fromkeys(u for u in urls if u.startswith(("http://", "https://")))
    given, name = row.get("image"), str(row.get("operation"))
    if made or given is not None:
        return [(url, True) for url in list(made)[:MOST_OUTPUTS]] or [(str(given), False)]
    return [("", False)] if name in OPERATIONS and OPERATIONS[name].kind == "images" else []


def _task(place: int, row: Mapping[str, Any]) -> TileTask:
    params = row.get("params")
    prompt = params.get("prompt") if isinstance(params, Mapping) else None
    caption = row.get("caption") or (prompt if isinstance(prompt, str) else None) or ""
    caption = visible(str(caption)[:MOST_SEARCHED])
    tags = tuple(filter(None, map(_tag, _several(row.get("tags")))))
    words = "\n".join((caption, *tags, _name(str(row.get("image") or "")))).casefold()
    operation, model, status = (_short(row.get(n)) for n in ("operation", "model", "status"))
    return TileTask(place, operation, model, status, caption, tags, words)


def _several(value: Any) -> Iterable[Any]:
    """Return the items of a list; a DataFrame read from a CSV file has them in one string."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return value if isinstance(value, Iterable) and not isinstance(value, Mapping) else ()


def _short(value: Any) -> str:
    return _clean("" if value is None else str(value)[:MOST_NAME])


def _tag(tag: Any) -> str:
    return _short(name_and_score(tag)[0]).strip()


def _name(label: str) -> str:
    """Return the last part of an address or path."""
    return shown(label.rstrip("/").replace("\\", "/").rpartition("/")[2].partition("?")[0], 120)


@dataclass(frozen=True, slots=True)
class Query:
    """A search and filters, "" for none; one task of a tile must match all of them."""

    search: str = ""
    model: str = ""
    status: str = ""
    operation: str = ""
    tag: str = ""

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Query:
        """Return the query in a message; values that are not strings are ignored."""
        texts = {f.name: given.get(f.name) for f in fields(cls)}
        return cls(**{k: v[:MOST_NAME] for k, v in texts.items() if isinstance(v, str)})

    def order(self, tiles: Sequence[Tile]) -> list[int]:
        """Return the positions of the tiles that match."""
        words = self.search.casefold().split()
        exact = [(name, v) for name, v in asdict(self).items() if v and name != "search"]

        def matches(task: TileTask) -> bool:
            found = all(word in task.words for word in words)
            return found and all(value in task.values(name) for name, value in exact)

        return [at for at, tile in enumerate(tiles) if any(map(matches, tile.tasks))]


def choices(tiles: Sequence[Tile]) -> dict[str, list[tuple[str, int]]]:
    """Return the values of each filter as (value, number of pictures), most frequent first."""
    found = {}
    for name in ("model", "status", "operation", "tag"):
        sets = ({v for task in tile.tasks for v in task.values(name)} for tile in tiles)
        count = Counter(value for values in sets for value in values if value)
        found[name] = count.most_common(MOST_CHOICES)
    return found


def details(tile: Tile, source: Source) -> dict[str, Any]:
    """Return everything that is known about a picture, as short visible texts."""
    return {
        "label": shown(tile.label, 500),
        "caption": tile.caption,
        "said": [_details(task, source.rows[task.place]) for task in tile.tasks[:MOST_TASKS]],
        "more": max(0, len(tile.tasks) - MOST_TASKS),
    }


def _details(task: TileTask, row: Mapping[str, Any]) -> dict[str, Any]:
    failed = task.status not in ("", "succeeded")
    facts = [*_times(row), _short(row.get("task_id")), _short(row.get("engine"))]
    return {
        "title": " · ".join(filter(None, (task.operation, task.model))),
        "caption": shown(task.caption, 4000),
        "tags": task.tags[:MOST_TAGS],
        "trouble": shown(row.get("error") or task.status, 500) if failed else "",
        "backend": _short(row.get("backend")),
        "facts": [fact for fact in facts if fact],
        "line": _line(row),
    }


def _times(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return when it was submitted, in local time, and how long it took."""
    begun, ended = (_epoch(row.get(name)) for name in ("submitted", "finished"))
    known = row.get("seconds")
    taken = ended - begun if known is None and begun and ended else known
    when = datetime.fromtimestamp(begun).strftime("%Y-%m-%d %H:%M") if begun else ""
    return when, seconds(taken)


def _epoch(moment: Any) -> float | None:
    try:
        found = float(moment.timestamp() if hasattr(moment, "timestamp") else moment)
    except (ValueError, TypeError):
        return None
    return found if 0 <= found < 1e11 else None


def _line(row: Mapping[str, Any]) -> str:
    """Return the magic line that repeats this call, "" if it cannot be repeated."""
    name, given = str(row.get("operation")), row.get("params")
    if name not in OPERATIONS or not isinstance(given, Mapping) or not given:
        return ""
    operation = OPERATIONS[name]
    try:
        params = {key: operation.param(key) for key in given}
        pictures = [given[key] for key, param in params.items() if param.picture]
        # A picture that existed only in a kernel cannot be named again.
        gone = '"<' in json.dumps(pictures)
        values = {key: tidy(operation, param, given[key]) for key, param in params.items()}
        return "" if gone else magic_line(operation, values)
    except (ValueError, TypeError, LookupError):
        return ""
