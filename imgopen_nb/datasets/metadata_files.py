"""Captions in files about many images: metadata.jsonl, .csv and .parquet, and kohya's JSON.

The JSON is what kohya's scripts write, such as meta_cap.json: an object whose keys name images,
with or without a suffix, and whose values hold `caption` and `tags`.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..batch.tables.files import read_table
from ..batch.tables.table import PICTURE, Table, missing
from ..captions.edits import MOST_TEXT
from ..catalogue.parameter import folded
from ..errors import ImgOpenError, ParameterError, UsageError
from ..files import path_of
from ..media.stores import files_in, is_store, modified, read_store
from ..text import clip, counted, decode_json
from .entry import Entry
from .trainers import METADATA_FILE, OTHER_METADATA

if TYPE_CHECKING:
    from ..media.stores import Place

TABLES = (METADATA_FILE, *OTHER_METADATA)
KOHYA = "meta*.json"
_CAPTIONS = ("text", "caption", "prompt")  # the first that a row has counts
_TAGS = "tags"
_MOST_BYTES = 256_000_000
_MOST_NAMED = 3


class Told(NamedTuple):
    """What a metadata file says of an image.

    Attributes:
        entry: the image.
        path: the file.
        caption: the text.
        modified: when the file was last changed, in seconds since the epoch; 0 if it is none, but
            a table in memory.
    """

    entry: Entry
    path: Place
    caption: str
    modified: float


@dataclass
class Metadata:
    """What metadata files say of images: one caption for each, and notes for the user."""

    told: list[Told] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_metadata(
    entries: Sequence[Entry], root: Path | None, skipped: Callable[[Place], bool]
) -> Metadata:
    """Return the captions of images that metadata files in their folders hold.

    Where several files name an image, the newest one counts.

    Args:
        entries: the images.
        root: the folder of the dataset: files in it and above each image are read. Without it,
            only those in the folders of the images.
        skipped: whether a file is not to be read.
    """
    found = Metadata()
    pictures = _Pictures(entries)
    captions: dict[int, Told] = {}
    for path, changed in _files(pictures.folders(root)):
        try:
            if skipped(path):
                continue
            with _on_disk(path) as file:
                rows = list(_rows(file, found.notes))
        except ImgOpenError as error:
            found.notes.append(f"{path.name} is not read: {error}")
            continue
        except Exception as error:  # whatever its reader raises: the images can be opened
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
                ours = root is not None and isinstance(path, Path)
                absent += [name] if ours and not pictures.exists(path.parent, name) else []
            elif (entry := named[0]).at not in captions:
                captions[entry.at] = Told(entry, path, caption, changed)
            elif (newer := captions[entry.at]).path != path and newer.caption != caption:
                others[newer.path.name] += 1
        found.notes += [
            *_note(path, "names", absent, "that is missing", "that are missing"),
            *_note(path, "is ambiguous about", unclear, "", ""),
            *_note(path, "has a caption that is too long for", long, "", ""),
            *(
                f"{path.name} and {newer} have different captions for "
                f"{counted(number, 'image')}; {newer} is newer and was used"
                for newer, number in others.items()
            ),
        ]
    found.told = list(captions.values())
    return found


def told_by(table: Table, source: Any, entries: Mapping[int, Entry]) -> list[Told]:
    """Return the captions in the table in which the images of a dataset were given.

    Args:
        table: the table.
        source: what the user gave: a file, or a table in memory.
        entries: the images by the number of their row.
    """
    path, changed = Path(table.name), 0.0
    if isinstance(source, (str, os.PathLike)):
        with contextlib.suppress(OSError):
            file = path_of(source).absolute()
            path, changed = file, file.stat().st_mtime
    return [
        Told(entries[at], path, caption, changed)
        for at, caption in enumerate(captions_in(table))
        if caption and at in entries
    ]


def _note(path: Place, verb: str, names: Sequence[str], one: str, several: str) -> Iterator[str]:
    if names:
        shown = ", ".join(clip(name, 60) for name in names[:_MOST_NAMED])
        more = f" ({shown}{', …' if len(names) > _MOST_NAMED else ''})"
        end = one if len(names) == 1 else several
        yield f"{path.name} {verb} {counted(len(names), 'image')}{' ' + end if end else ''}{more}"


class _Pictures:
    """Images by the names that metadata may have for them."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._by_path: dict[str, Entry] = {}
        self._by_stem: defaultdict[str, list[Entry]] = defaultdict(list)
        self._in_stores: dict[str, Place] = {}
        for entry in entries:
            with contextlib.suppress(UsageError):  # what reads such a store is not installed by now
                place = entry.place
                if place is None or not entry.picture:
                    continue
                if isinstance(place, Path):
                    path = os.path.normpath(place)
                else:
                    path = entry.image
                    self._in_stores[str(place.parent)] = place.parent
                self._by_path[path] = entry
                self._by_stem[os.path.splitext(path)[0]].append(entry)

    def folders(self, root: Path | None) -> list[Place]:
        """Return the folders of the images, and those on this machine as far up as `root`."""
        found = {Path(path).parent for path in self._by_path if not is_store(path)}
        if root is not None:
            root = root.resolve()
            above = {each for folder in found for each in folder.parents}
            found |= {each for each in above if each.resolve().is_relative_to(root)}
        return [*sorted(found), *self._in_stores.values()]

    def named(self, folder: Place, name: str) -> list[Entry]:
        """Return the image of a name that a file in `folder` has; several if that is unclear."""
        for path in _paths(folder, name):
            if path in self._by_path:
                return [self._by_path[path]]
        return next(
            (self._by_stem[path] for path in _paths(folder, name) if path in self._by_stem), []
        )

    @staticmethod
    def exists(folder: Place, name: str) -> bool:
        """Whether an image is there that is no part of this dataset."""
        return any(map(os.path.exists, _paths(folder, name)))


def _paths(folder: Place, name: str) -> Iterator[str]:
    """Yield the paths or addresses that a name may stand for, the likeliest first."""
    for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
        if "\0" in spelling:
            continue
        if isinstance(folder, Path):
            yield os.path.normpath(folder / spelling)
        elif is_store(spelling):
            yield spelling
        else:
            scheme, _, inside = str(folder).partition("://")
            yield f"{scheme}://{posixpath.normpath(posixpath.join(inside, spelling))}"


def _files(folders: Iterable[Place]) -> list[tuple[Place, float]]:
    """Return the metadata files in these folders, with when they were changed, newest first."""
    found: list[tuple[float, str, Place]] = []
    for folder in folders:
        if not isinstance(folder, Path):
            held = [f for f in files_in(folder) if f.name in TABLES or fnmatch(f.name, KOHYA)]
            found += [(-modified(file), str(file), file) for file in held]
            continue
        for path in (*(folder / name for name in TABLES), *sorted(folder.glob(KOHYA))):
            with contextlib.suppress(OSError):
                if path.is_file():
                    found.append((-path.stat().st_mtime, str(path), path))
    return [(path, -at) for at, _, path in sorted(found, key=lambda each: each[:2])]


@contextlib.contextmanager
def _on_disk(path: Place) -> Iterator[Path]:
    """Yield a file, or a copy of one that is in a store."""
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="imgopen-") as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(read_store(str(path), _MOST_BYTES))
        yield copy


def _rows(path: Path, notes: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each image with its caption.

    Raises:
        Exception: the file cannot be read; which one depends on its format.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ParameterError(f"it is larger than {_MOST_BYTES // 1_000_000} MB")
    yield from _of_kohya(path) if path.suffix == ".json" else _of_table(path, notes)


def _of_table(path: Path, notes: list[str]) -> Iterator[tuple[str, str]]:
    table = read_table(path, PICTURE)
    captions = list(captions_in(table))
    if not captions:
        return
    pictures, _ = table.column(None, PICTURE)
    broken: list[ImgOpenError] = []
    for name, caption in zip(table.values(pictures), captions, strict=True):
        if isinstance(name, ImgOpenError):
            broken.append(name)
        elif isinstance(name, (str, os.PathLike)) and not missing(name) and caption:
            yield os.fspath(name), caption
    if broken:
        more = f", and {len(broken) - 1:,} more rows" if len(broken) > 1 else ""
        notes.append(f"{broken[0].message}{more}")


def captions_in(table: Table) -> Iterator[str]:
    """Yield the caption of each row of a table, "" where it has none; nothing if no column has."""
    known = {folded(str(name)): name for name in reversed(table.columns)}
    columns = [name for name in (*_CAPTIONS, _TAGS) if name in known]
    if columns:
        for cells in zip(*(table.values(known[name]) for name in columns), strict=True):
            yield _caption(dict(zip(columns, cells, strict=True)))


def _of_kohya(path: Path) -> Iterator[tuple[str, str]]:
    content = decode_json(path.read_bytes())
    if not isinstance(content, dict):
        return
    for name, about in content.items():
        row = about if isinstance(about, dict) else {"caption": about}
        said = _said(row)
        both = ("caption", _TAGS) if "text" not in said else ()
        if caption := ", ".join(said[name] for name in both if name in said) or _caption(row):
            yield name, caption


def _caption(row: Mapping[str, Any]) -> str:
    """Return the caption of a row; its tags if it has no other."""
    return next(iter(_said(row).values()), "")


def _said(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of a row that can be its caption, the first choice first."""
    found = {}
    for name in (*_CAPTIONS, _TAGS):
        text: Any = row.get(name)
        text = text.tolist() if hasattr(text, "tolist") else text
        text = ", ".join(map(str, text)) if isinstance(text, (list, tuple)) else text
        if isinstance(text, str) and text.strip():
            found[name] = text.strip()
    return found
