"""Pictures of a history as tiles: read from any source, found by a query, told in full.

A tile is one picture with every task that has to do with it, so what several models say of it
stands side by side. Loads no pandas unless a DataFrame is asked for.
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
from ...errors import PictureError, UsageError
from ...images.thumbnail import Thumbnail
from ...media.formats import FILE_SUFFIXES
from ...syntax.snippets import magic_line, tidy
from ...text import shown, visible

if TYPE_CHECKING:
    import pandas as pd

MOST_CAPTION, MOST_NAME, MOST_SEARCHED = 160, 200, 20_000  # characters
MOST_SAID, MOST_TAGS, MOST_OUTPUTS, MOST_CHOICES = 20, 60, 100, 100
Fetch = Callable[[int], Thumbnail | None]  # (pixels) -> a small version of one picture
_COLUMNS = (
    "task_id", "operation", "model", "image", "params", "status", "caption", "tags", "image_urls",
    "submitted", "finished", "seconds", "backend", "engine", "error",
)  # fmt: skip
_clean = lru_cache(4096)(visible)  # names come again and again
_HINT = "give session.history(), results, a comparison, or a folder or list of pictures"


@dataclass
class Source:
    """Where a gallery's pictures come from.

    Attributes:
        rows: tasks, as the journal gives them; only `image` where there is no task.
        fetch: by the picture's label, how it is read where the session would not know.
        files: whether these are files, which may change: none is taken from the journal.
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
    """Return what a gallery of this shows; `galleries.gallery` tells what may be given."""
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        return Source(_records(source), given=source)
    if isinstance(source, (str, os.PathLike)):
        return _files(_pictures_in(os.fspath(source)))
    if hasattr(source, "rows") and hasattr(source, "models"):
        said = [said for row in source.rows for said in row.said.values()]
        return _tasks([each.source or each for each in said])
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
    # Missing values of every dtype as None.
    lists = [frame[n].astype(object).where(frame[n].notna(), None).tolist() for n in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]


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
    """Return results (or descriptions) as rows, whose pictures are read as results read them."""
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
class Said:
    """One task as a tile's filters see it; texts are visible ones."""

    place: int
    operation: str
    model: str
    status: str
    caption: str
    tags: tuple[str, ...]
    words: str

    def of(self, name: str) -> tuple[str, ...]:
        """Return what a filter of this name compares with."""
        return self.tags if name == "tag" else (getattr(self, name),)


@dataclass(slots=True)
class Tile:
    """One picture and the tasks that have to do with it.

    Attributes:
        label: the picture as the history shows it; "" where a task has none.
        made: whether its address came from the service: then no file of this machine is read.
    """

    label: str
    made: bool
    said: list[Said] = field(default_factory=list)

    @property
    def caption(self) -> str:
        """What stands below it and describes it: a caption, a prompt, or else its name."""
        sentences = [s.caption for s in self.said if s.caption and s.caption != ", ".join(s.tags)]
        lists = [", ".join(said.tags[:20]) for said in self.said]
        text = next(filter(None, [*sentences, *lists]), "") or _name(self.label)
        return shown(text or "no picture", 2000)

    @property
    def mark(self) -> str:
        """The status, where no task of it has succeeded."""
        states = [said.status for said in self.said if said.status]
        return "" if not states or "succeeded" in states else states[-1]


def tiles_of(source: Source) -> list[Tile]:
    """Return one tile for each picture, in the order of the source."""
    found: dict[str, Tile] = {}
    rows = list(enumerate(source.rows))
    for place, row in reversed(rows) if source.newest_first else rows:
        said = _said(place, row)
        for label, made in _pictures(row):
            tile = found.setdefault(label or f"\0{place}", Tile(label, made))
            tile.made &= made  # an address that the user gave as well is the user's
            tile.said.append(said)
    return list(found.values())


def _pictures(row: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Return (label, made) of a task's pictures: what it made, else what it was given."""
    urls = [u for u in _several(row.get("image_urls")) if isinstance(u, str)]
    made = dict.fromkeys(u for u in urls if u.startswith(("http://", "https://")))
    given, name = row.get("image"), str(row.get("operation"))
    if made or given is not None:
        return [(url, True) for url in list(made)[:MOST_OUTPUTS]] or [(str(given), False)]
    return [("", False)] if name in OPERATIONS and OPERATIONS[name].kind == "images" else []


def _said(place: int, row: Mapping[str, Any]) -> Said:
    params = row.get("params")
    prompt = params.get("prompt") if isinstance(params, Mapping) else None
    caption = row.get("caption") or (prompt if isinstance(prompt, str) else None) or ""
    caption = visible(str(caption)[:MOST_SEARCHED])
    tags = tuple(filter(None, map(_tag, _several(row.get("tags")))))
    words = "\n".join((caption, *tags, _name(str(row.get("image") or "")))).casefold()
    operation, model, status = (_short(row.get(n)) for n in ("operation", "model", "status"))
    return Said(place, operation, model, status, caption, tags, words)


def _several(value: Any) -> Iterable[Any]:
    """Return the items of a list; a frame read from a CSV file has them in one text."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return value if isinstance(value, Iterable) and not isinstance(value, Mapping) else ()


def _short(value: Any) -> str:
    return _clean("" if value is None else str(value)[:MOST_NAME])


def _tag(tag: Any) -> str:
    tag = tag[0] if isinstance(tag, tuple) else tag
    name = tag.get("name") if isinstance(tag, Mapping) else getattr(tag, "name", tag)
    return _short(name).strip()


def _name(label: str) -> str:
    """Return the last part of an address or path."""
    return shown(label.rstrip("/").replace("\\", "/").rpartition("/")[2].partition("?")[0], 120)


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; "" takes everything. One task of a tile must fit all of it."""

    search: str = ""
    model: str = ""
    status: str = ""
    operation: str = ""
    tag: str = ""

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Query:
        """Return the query that a message asks for; what is no text takes everything."""
        texts = {f.name: given.get(f.name) for f in fields(cls)}
        return cls(**{k: v[:MOST_NAME] for k, v in texts.items() if isinstance(v, str)})

    def order(self, tiles: Sequence[Tile]) -> list[int]:
        """Return the places of the tiles that fit."""
        words = self.search.casefold().split()
        exact = [(name, v) for name, v in asdict(self).items() if v and name != "search"]

        def fits(said: Said) -> bool:
            there = all(word in said.words for word in words)
            return there and all(value in said.of(name) for name, value in exact)

        return [at for at, tile in enumerate(tiles) if any(map(fits, tile.said))]


def choices(tiles: Sequence[Tile]) -> dict[str, list[tuple[str, int]]]:
    """Return what can be filtered by, the most frequent first: (name, pictures)."""
    found = {}
    for name in ("model", "status", "operation", "tag"):
        sets = ({value for said in tile.said for value in said.of(name)} for tile in tiles)
        count = Counter(value for values in sets for value in values if value)
        found[name] = count.most_common(MOST_CHOICES)
    return found


def details(tile: Tile, source: Source) -> dict[str, Any]:
    """Return everything that is known of a picture, as short visible texts."""
    return {
        "label": shown(tile.label, 500),
        "caption": tile.caption,
        "said": [_told(said, source.rows[said.place]) for said in tile.said[:MOST_SAID]],
        "more": max(0, len(tile.said) - MOST_SAID),
    }


def _told(said: Said, row: Mapping[str, Any]) -> dict[str, Any]:
    failed = said.status not in ("", "succeeded")
    facts = [*_times(row), _short(row.get("task_id")), _short(row.get("engine"))]
    return {
        "title": " · ".join(filter(None, (said.operation, said.model))),
        "caption": shown(said.caption, 4000),
        "tags": said.tags[:MOST_TAGS],
        "trouble": shown(row.get("error") or said.status, 500) if failed else "",
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
    """Return the magic line that makes this call again, "" where none could."""
    name, given = str(row.get("operation")), row.get("params")
    if name not in OPERATIONS or not isinstance(given, Mapping) or not given:
        return ""
    operation = OPERATIONS[name]
    try:
        params = {key: operation.param(key) for key in given}
        pictures = [given[key] for key, param in params.items() if param.picture]
        # A picture that lived in a kernel only cannot be named again.
        gone = '"<' in json.dumps(pictures)
        values = {key: tidy(operation, param, given[key]) for key, param in params.items()}
        return "" if gone else magic_line(operation, values)
    except (ValueError, TypeError, LookupError):
        return ""
