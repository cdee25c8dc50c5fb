"""Images of a history as tiles: read from any source, filtered by a query, shown in detail.

A tile is one image with all its tasks, so the captions of several models are shown together. Two
files with the same bytes are two tiles that share their tasks.
pandas is imported only if a DataFrame is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

from ...batch.batch import Batch
from ...captions.descriptions import Row, group
from ...catalogue.operations import OPERATIONS
from ...datasets.selection import identified, pictures_in, select, title_of
from ...display.parts import seconds
from ...display.record import name_and_score
from ...images.identity import by_name, doubt
from ...images.thumbnail import Thumbnail
from ...session import Session
from ...syntax.snippets import repeat_line
from ...tasks.manager import TaskManager
from ...text import short_path, shown, visible

if TYPE_CHECKING:
    import pandas as pd

MOST_CAPTION, MOST_NAME, MOST_SEARCHED = 160, 200, 20_000  # characters
MOST_TASKS, MOST_TAGS, MOST_OUTPUTS, MOST_CHOICES = 20, 60, 100, 100
Fetch = Callable[[int], Thumbnail | None]  # (pixels) -> a small version of one image
_COLUMNS = (
    "task_id", "operation", "model", "image", "picture", "params", "status", "caption", "tags",
    "image_urls", "submitted", "finished", "seconds", "backend", "engine", "error",
)  # fmt: skip
_clean = lru_cache(4096)(visible)  # the same names occur in many rows
# Columns by which a DataFrame is one of tasks, and those of captions of one's own.
_OF_TASKS = {"image_urls", "operation", "task_id"}
_CAPTIONS = {"caption", "tags"}
_WITH_PICTURES = {"image", "image_urls"}


@dataclass
class Source:
    """Where a gallery's images come from.

    Attributes:
        rows: tasks as rows of the history; only `image` if there is no task.
        meant: the images to show, in their order; None for those of the rows.
        fetch: by identity, how to read the images that the session cannot read.
        newest_first: whether the last row is shown first.
        given: the user's own DataFrame, whose index is kept.
        title: what is shown, if nothing was given.
    """

    rows: Sequence[Mapping[str, Any]]
    meant: Sequence[Row] | None = None
    fetch: Mapping[str, Fetch] = field(default_factory=dict)
    newest_first: bool = False
    given: pd.DataFrame | None = None
    title: str = ""

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame: those of the input, or one for each task."""
        if self.given is not None:
            return self.given
        from ...history.frame import history_frame

        if self.meant is None:
            return history_frame(self.rows)
        return history_frame({"image": r.image, "picture": r.picture or None} for r in self.meant)


def read_source(source: Any, session: Session) -> Source:
    """Return the source of a gallery; see `gallery` for what may be given."""
    manager, batch = session.manager, session.last_batch
    if source is None and batch is None:
        return Source(session.rows(), newest_first=True, title=title_of(None))
    if source is None or isinstance(source, Batch):
        title = ""
        if source is None:
            assert batch is not None
            source, title = batch, title_of(batch)
        if source.operation.kind == "images" or not source.param.picture:
            return replace(_tasks(source), title=title)
        found = _selected(manager, source)
        return replace(found, title=" · ".join(filter(None, [title, found.title])))
    frame = source if hasattr(source, "iloc") and hasattr(source, "columns") else None
    if frame is not None and _is_of_tasks(frame):
        return Source(_records(frame), given=frame)
    if frame is not None and _has_captions(frame):
        return _captioned(manager, frame)
    items = list(source) if isinstance(source, (list, tuple)) else None
    if items is not None and all(
        hasattr(item, "task_id") and hasattr(item, "tags") for item in items
    ):
        return _tasks(items)
    return replace(_selected(manager, source), given=frame)


def _is_of_tasks(frame: pd.DataFrame) -> bool:
    """Whether the rows are tasks, and not only images with a caption."""
    from ...batch.frame import is_wide

    names = set(frame.columns)
    return bool(names & _OF_TASKS) and bool(names & _WITH_PICTURES) and not is_wide(frame)


def _has_captions(frame: pd.DataFrame) -> bool:
    """Whether the user has put captions into a table of images."""
    from ...batch.frame import is_wide

    return bool(set(frame.columns) & _CAPTIONS) and not is_wide(frame)


def _selected(manager: TaskManager, source: Any) -> Source:
    """Return images that somebody means, with the tasks that describe them."""
    selection = select(manager, source)
    tasks = _tasks([said.source or said for said in selection.described])
    meant = selection.rows
    if meant is None:
        meant, _ = group(selection.described)
    unreadable = sum(bool(row.trouble) for row in meant)
    return replace(tasks, meant=meant, title=f"{unreadable} cannot be read" if unreadable else "")


def _captioned(manager: TaskManager, frame: pd.DataFrame) -> Source:
    """Return the images of a DataFrame with the user's own captions."""
    meant = identified(manager, pictures_in(frame))
    rows = [
        {**row, "image": each.image, "picture": each.picture or None}
        for row, each in zip(_records(frame), meant, strict=True)
    ]
    return Source(rows, meant=meant, given=frame)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    names = [name for name in _COLUMNS if name in frame.columns]
    from ...history.frame import records

    return records(frame[names])


def _tasks(items: Iterable[Any]) -> Source:
    """Return results or descriptions as rows; their images are read through the results."""
    rows: list[dict[str, Any]] = []
    known: dict[str, Fetch] = {}
    for item in items:
        row = {name: getattr(item, name, None) for name in _COLUMNS}
        urls = list(map(str, getattr(item, "images", ())))
        rows.append(row | {"operation": row["operation"] or "describe", "image_urls": urls})
        if getattr(item, "home", None):
            known[row["picture"] or by_name(str(row["image"]))] = item.thumbnail
            known |= {url: partial(item.output_thumbnail, at) for at, url in enumerate(urls)}
    return Source(rows, fetch=known)


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
    """One image and its tasks.

    Attributes:
        label: the image's name in the history; "" if a task has no image.
        picture: its identity; its URL if a task made it.
        made: whether the address came from the service: then no local file is read.
        tasks: its tasks, whatever they called it.
        place: of its row in the source, if the source is a list of images.
    """

    label: str
    picture: str
    made: bool
    tasks: list[TileTask]
    place: int | None = None

    @property
    def places(self) -> set[int]:
        """The rows of the source that the tile stands for."""
        return {task.place for task in self.tasks} if self.place is None else {self.place}

    @property
    def caption(self) -> str:
        """A caption, a prompt, tags, or else what made the image, or the image's name."""
        sentences = [t.caption for t in self.tasks if t.caption and t.caption != ", ".join(t.tags)]
        lists = [", ".join(task.tags[:20]) for task in self.tasks]
        made = [OPERATIONS[t.operation].heading for t in self.tasks if t.operation in OPERATIONS]
        texts = [*sentences, *lists, *(made if self.made else []), _name(self.label), "no image"]
        return shown(next(filter(None, texts)), 2000)

    @property
    def mark(self) -> str:
        """The last status, if none of the tasks has succeeded."""
        states = [task.status for task in self.tasks if task.status]
        return "" if not states or "succeeded" in states else states[-1]


def tiles_of(source: Source) -> list[Tile]:
    """Return one tile for each image, in the order of the source."""
    tasks: dict[str, list[TileTask]] = {}
    tiles: dict[tuple[str, str], Tile] = {}
    rows = [(place, row, _pictures(place, row)) for place, row in enumerate(source.rows)]
    made = {label for *_, pictures in rows for label, picture in pictures if picture == label}
    for place, row, pictures in reversed(rows) if source.newest_first else rows:
        task = _task(place, row)
        for label, picture in pictures:
            # The user may have given an address that the service returned: then it is one image.
            key = label if label in made else picture
            said = tasks.setdefault(key, [])
            said.append(task)
            tile = tiles.setdefault((key, label), Tile(label, key, True, said))
            tile.made &= picture == label
    if source.meant is not None:
        return [
            Tile(row.image, row.picture, False, tasks.get(key, []), place)
            for place, row in enumerate(source.meant)
            for key in [row.picture or by_name(row.image)]
        ]
    named = {tile.picture for tile in tiles.values() if not tile.label.startswith("<")}
    return [t for t in tiles.values() if t.picture not in named or not t.label.startswith("<")]


def _is_url(label: str) -> bool:
    return label.startswith(("http://", "https://"))


def _pictures(place: int, row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (name, identity) of a task's output images, or of its input if it has none.

    The identity of an image that a task made is its address.
    """
    urls = [u for u in _several(row.get("image_urls")) if isinstance(u, str)]
    made = dict.fromkeys(filter(_is_url, urls))
    given, name = row.get("image"), str(row.get("operation"))
    if made:
        return [(url, url) for url in list(made)[:MOST_OUTPUTS]]
    if given is not None:
        return [(str(given), row.get("picture") or by_name(str(given)))]
    nothing = name in OPERATIONS and OPERATIONS[name].kind == "images"
    return [("", f"\0{place}")] if nothing else []


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
    """Return the values of each filter as (value, number of images), most frequent first."""
    found = {}
    for name in ("model", "status", "operation", "tag"):
        sets = ({v for task in tile.tasks for v in task.values(name)} for tile in tiles)
        count = Counter(value for values in sets for value in values if value)
        found[name] = count.most_common(MOST_CHOICES)
    return found


def details(tile: Tile, source: Source) -> dict[str, Any]:
    """Return everything that is known about an image, as short visible texts."""
    return {
        "label": shown(short_path(tile.label), 500),
        "doubt": doubt(tile.picture),
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
        "line": repeat_line(str(row.get("operation")), row.get("params")),
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
