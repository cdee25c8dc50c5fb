"""Captions in files about many pictures: metadata.jsonl, .csv and .parquet, and kohya's JSON.

The JSON is what kohya's scripts write, such as meta_cap.json: an object whose keys name pictures,
with or without a suffix, and whose values hold `caption` and `tags`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..batch.tables.files import read_table
from ..batch.tables.table import PICTURE, missing
from ..captions.edits import MOST_TEXT
from ..catalogue.parameter import folded
from ..errors import ImgOpenError, ParameterError
from ..text import clip, counted, decode_json
from .entry import Entry
from .trainers import METADATA_FILE, OTHER_METADATA

TABLES = (METADATA_FILE, *OTHER_METADATA)
KOHYA = "meta*.json"
_CAPTIONS = ("text", "caption", "prompt")  # the first that a row has counts
_TAGS = "tags"
_MOST_BYTES = 256_000_000
_MOST_NAMED = 3


class Told(NamedTuple):
    """What a metadata file says of a picture.

    Attributes:
        entry: the picture.
        path: the file.
        caption: the text.
        modified: when the file was last changed, in seconds since the epoch.
    """

    entry: Entry
    path: Path
    caption: str
    modified: float


@dataclass
class Metadata:
    """What metadata files say of pictures: one caption for each, and notes for the user."""

    told: list[Told] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_metadata(
    entries: Sequence[Entry], root: Path | None, skipped: Callable[[Path], bool]
) -> Metadata:
    """Return the captions of pictures that metadata files in their folders hold.

    Where several files name a picture, the newest one counts.

    Args:
        entries: the pictures.
        root: the folder of the data set: files in it and above each picture are read. Without it,
            only those in the folders of the pictures.
        skipped: whether a file is not to be read.
    """
    found = Metadata()
    pictures = _Pictures(entries)
    captions: dict[int, Told] = {}
    for path in _files(pictures.folders(root)):
        try:
            if skipped(path):
                continue
            modified = path.stat().st_mtime
            rows = list(_rows(path, found.notes))
        except ImgOpenError as error:
            found.notes.append(f"{path.name} is not read: {error}")
            continue
        except Exception as error:  # whatever its reader raises: the pictures can be opened
            found.notes.append(f"{path.name} is not read: {clip(error)}")
            continue
        absent, unclear, long, others = [], [], [], defaultdict[str, int](int)
        for name, caption in rows:
            named = pictures.named(path.parent, name)
            if len(caption) > MOST_TEXT:
                long.append(name)
            elif len(named) > 1:
                unclear.append(name)
            elif not named:
                absent += [name] if root and not pictures.exists(path.parent, name) else []
            elif (entry := named[0]).at not in captions:
                captions[entry.at] = Told(entry, path, caption, modified)
            elif (newer := captions[entry.at]).path != path and newer.caption != caption:
                others[newer.path.name] += 1
        found.notes += [
            *_note(path, "names", absent, "that is not here", "that are not here"),
            *_note(path, "may mean several pictures by", unclear, "", ""),
            *_note(path, "has too long a caption for", long, "", ""),
            *(
                f"{path.name} has another caption than {newer}, which is newer and counts, for "
                f"{counted(number, 'picture')}"
                for newer, number in others.items()
            ),
        ]
    found.told = list(captions.values())
    return found


def _note(path: Path, verb: str, names: Sequence[str], one: str, several: str) -> Iterator[str]:
    if names:
        shown = ", ".join(clip(name, 60) for name in names[:_MOST_NAMED])
        more = f" ({shown}{', …' if len(names) > _MOST_NAMED else ''})"
        end = one if len(names) == 1 else several
        yield f"{path.name} {verb} {counted(len(names), 'picture')}{' ' + end if end else ''}{more}"


class _Pictures:
    """Pictures by the names that metadata may have for them."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._by_path: dict[str, Entry] = {}
        self._by_stem: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry.path is not None and entry.picture:
                path = os.path.normpath(entry.path)
                self._by_path[path] = entry
                self._by_stem[os.path.splitext(path)[0]].append(entry)

    def folders(self, root: Path | None) -> list[Path]:
        """Return the folders of the pictures, and those above them as far as `root`."""
        found = {Path(path).parent for path in self._by_path}
        if root is not None:
            root = root.resolve()
            above = {each for folder in found for each in folder.parents}
            found |= {each for each in above if each.resolve().is_relative_to(root)}
        return sorted(found)

    def named(self, folder: Path, name: str) -> list[Entry]:
        """Return the picture of a name that a file in `folder` has; several if that is unclear."""
        for path in _paths(folder, name):
            if path in self._by_path:
                return [self._by_path[path]]
        return next(
            (self._by_stem[path] for path in _paths(folder, name) if path in self._by_stem), []
        )

    @staticmethod
    def exists(folder: Path, name: str) -> bool:
        """Whether a picture is there that is no part of this data set."""
        return any(map(os.path.exists, _paths(folder, name)))


def _paths(folder: Path, name: str) -> Iterator[str]:
    """Yield the paths that a name may stand for, the likeliest first."""
    for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
        if "\0" not in spelling:
            yield os.path.normpath(folder / spelling)


def _files(folders: Iterable[Path]) -> list[Path]:
    """Return the metadata files in these folders, the newest first."""
    found = []
    for folder in folders:
        for path in (*(folder / name for name in TABLES), *sorted(folder.glob(KOHYA))):
            try:
                if path.is_file():
                    found.append((-path.stat().st_mtime, path))
            except OSError:
                continue
    return [path for _, path in sorted(found)]


def _rows(path: Path, notes: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each picture with its caption.

    Raises:
        Exception: the file cannot be read; which one depends on its format.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ParameterError(f"it has more than {_MOST_BYTES // 1_000_000} MB")
    yield from _of_kohya(path) if path.suffix == ".json" else _of_table(path, notes)


def _of_table(path: Path, notes: list[str]) -> Iterator[tuple[str, str]]:
    table = read_table(path, PICTURE)
    known = {folded(str(name)): name for name in reversed(table.columns)}
    columns = [known[name] for name in (*_CAPTIONS, _TAGS) if name in known]
    if not columns:
        return
    pictures, _ = table.column(None, PICTURE)
    broken: list[ImgOpenError] = []
    for name, *cells in zip(*map(table.values, [pictures, *columns]), strict=True):
        if isinstance(name, ImgOpenError):
            broken.append(name)
        elif isinstance(name, (str, os.PathLike)) and not missing(name):
            row = dict(zip(map(folded, map(str, columns)), cells, strict=True))
            if caption := _caption(row):
                yield os.fspath(name), caption
    if broken:
        more = f", and {len(broken) - 1:,} more rows" if len(broken) > 1 else ""
        notes.append(f"{broken[0].message}{more}")


def _of_kohya(path: Path) -> Iterator[tuple[str, str]]:
    content = decode_json(path.read_bytes())
    if not isinstance(content, dict):
        return
    for name, about in content.items():
        row = about if isinstance(about, dict) else {"caption": about}
        if caption := _caption(row):
            yield name, caption


def _caption(row: Mapping[str, Any]) -> str:
    """Return the caption of a row as the trainers read it: kohya's tags follow its caption."""
    texts = {name: row[name] for name in (*_CAPTIONS, _TAGS) if name in row}
    if isinstance(tags := texts.get(_TAGS), (list, tuple)):
        texts[_TAGS] = ", ".join(map(str, tags))
    said = {
        name: text.strip() for name, text in texts.items() if isinstance(text, str) and text.strip()
    }
    caption = next((said[name] for name in _CAPTIONS if name in said), "")
    if not caption:
        return said.get(_TAGS, "")
    if "caption" in said and "text" not in said and _TAGS in said:
        return f"{caption}, {said[_TAGS]}"
    return caption
