"""Reads the input of a batch: lists, columns, folders, table files; and the axes of a grid."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..catalogue.operation import Operation
from ..catalogue.parameter import Param
from ..catalogue.values import is_embedded, listed
from ..errors import ImgOpenError, ParameterError, naming
from ..images.picture import near_file, path_of_address, read_picture
from ..media.stores import address_of, as_address, files_in, fitting, is_folder, is_store, store
from ..text import clip, counted, in_words, visible
from .tables.files import SAVE_AS_CSV, read_tables, reader_of
from .tables.frames import table_in_memory
from .tables.objects import is_table, row_of, table_from_collection
from .tables.table import PICTURE, URL, Table, guarded, has_picture_suffix, missing

_GLOB = re.compile(r"[*?\[]")
_HINT = (
    "pass a list, a column, a folder, a glob, or a .csv, .tsv, .jsonl, .json, .parquet, .txt or "
    ".zip file"
)
_MOST_SEEN = 20_000  # files and folders below one, to tell that images are among them
_WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")

Pairs = Callable[[], Iterator[tuple[Any, Any]]]


@dataclass(frozen=True)
class Source:
    """The input of a batch, as pairs of (index, value).

    A value that cannot be read is replaced by the error that says why.

    Attributes:
        pairs: returns an iterator over the pairs; it starts from the first one unless `once`.
        total: the number of pairs, None if it is not known before they are read.
        index: the pandas index of the input, None if it has none.
        once: whether the input can be read only once, as a generator.
        name: the absolute path of the folder, glob or file, and the column; "" for other inputs.
        pictures: whether the values are images; otherwise they are texts.
        reads: which column of which table it is, and why, or what is left out, for people; "" where
            that is plain.
        table: the table that it is a column of, if it is one.
    """

    pairs: Pairs
    total: int | None
    index: Any = None
    once: bool = False
    name: str = ""
    pictures: bool = True
    reads: str = ""
    table: Table | None = None

    @property
    def nothing(self) -> str:
        """What is said of an input without rows."""
        return f"{clip(self.table.name) if self.table else 'the input'} has no rows"

    def values(self) -> Iterator[Any]:
        """Yield the values without their index."""
        return (value for _, value in self.pairs())


def source_of(given: Any, column: str | None = None, param: Param = PICTURE) -> Source:
    """Return the input of a batch.

    Args:
        given: a list or another iterable; a column or frame of pandas, polars, Arrow or another
            library; a Hugging Face dataset; a folder of images, a glob such as
            "photos/**/*.jpg"; a .csv, .tsv, .jsonl, .json, .parquet or .txt file; images in a
            .zip file. An array of numbers with two or three dimensions is one image, one with
            four is an image for each row; an array of texts has a row for each.
        column: the column of a table; not needed if it has a usual name (image, url ...).
        param: the parameter that gets the values: images or texts.

    Raises:
        ParameterError: the input is none of these, or the column is not clear.
        UnknownNameError: there is no such column.
    """
    found = _read(given, column, param)
    return found if param.picture else replace(found, pictures=False)


def _read(given: Any, column: Any, param: Param) -> Source:
    given = as_address(given)
    if _is_pandas(given):
        return _from_pandas(given, column, param)
    if isinstance(given, (str, os.PathLike)):
        path = Path(os.path.expanduser(given))
        tables = _tables(path)
        if tables:
            return _from_table(read_tables(tables, param), column, param, path, tables[0].parent)
    table = table_in_memory(given)
    if table is None and isinstance(given, (list, tuple, dict)) and is_table(given, param):
        table = table_from_collection(given, param)
    if table is not None:
        return _from_table(table, column, param)
    if not isinstance(given, (str, os.PathLike, Mapping)) and not _is_picture(given):
        return _from_iterable(given, column, param)
    if column is not None:
        raise ParameterError(f"column {column!r} needs a table as input", hint=_HINT)
    if isinstance(given, (str, os.PathLike)):
        return _from_text(os.fspath(given), param)
    if is_embedded(given):
        return _one_value(given)
    if isinstance(given, Mapping):
        return Source(guarded(given.items), len(given))
    return _one_value(given)


def _tables(path: Path) -> list[Path]:
    """Return the tables that a path or a pattern names, [] if it names anything else."""
    if not reader_of(path):
        return []
    if os.path.isfile(path):
        return [path]
    found = _fitting(str(path)) if is_glob(str(path)) else []
    return found if all(map(reader_of, found)) else []


def _is_pandas(given: Any) -> bool:
    """Whether this is a Series or DataFrame with an index of pandas, whatever its library."""
    if isinstance(given, (str, os.PathLike, Sequence, type)):
        return False
    index = getattr(given, "index", None)  # for Arrow and others this is a method
    return type(index).__module__.partition(".")[0] == "pandas" and hasattr(given, "items")


def _from_pandas(given: Any, column: Any, param: Param) -> Source:
    """Return a Series, or a column of a DataFrame, with its index."""
    table, reads, series = None, "", given
    if hasattr(given, "columns"):
        table = Table("the DataFrame", list(given.columns), lambda n: iter(given[n]), len(given))
        name, why = table.column(column, param)
        series, reads = given[name], _reads(table, name, why)
    elif column is not None and str(column) != str(given.name):
        raise ParameterError(f"column {column!r} needs a table as input", hint=_HINT)

    def pairs() -> Iterator[tuple[Any, Any]]:
        return zip(series.index, series, strict=True)

    return Source(pairs, len(series), series.index, reads=reads, table=table)


def _is_picture(given: Any) -> bool:
    """Whether this is a single image: bytes, an open file, an array of pixels, a PIL image."""
    if isinstance(given, (bytes, bytearray, memoryview)):
        return True
    if callable(getattr(given, "read", None)):
        return not hasattr(given, "get_chunk")  # pandas' reader of a file in parts
    if not (hasattr(given, "__array_interface__") or hasattr(given, "__array__")):
        return False
    shape = tuple(getattr(given, "shape", ()))
    if len(shape) == 3 and not {shape[0], shape[2]} & {1, 3, 4}:
        return False  # many grey images of the same size
    return getattr(given, "ndim", 2) in (2, 3)


def _one_value(given: Any) -> Source:
    return Source(lambda: iter([(0, given)]), 1)


def _from_iterable(given: Any, column: Any, param: Param) -> Source:
    try:
        once = iter(given) is given
    except TypeError:
        raise ParameterError(f"a batch cannot be read from {in_words(given)}", hint=_HINT) from None
    total = len(given) if isinstance(given, Sized) else None
    first = given[0] if isinstance(given, (list, tuple)) and given else None
    if _is_frame(first):
        total = None
    elif column is not None and not once:
        raise ParameterError(f"column {column!r} needs a table as input", hint=_HINT)
    return Source(guarded(lambda: enumerate(_values(iter(given), column, param))), total, once=once)


def _values(given: Iterator[Any], column: Any, param: Param) -> Iterator[Any]:
    """Yield the values of a batch; the column for it, if its items are rows or whole frames."""
    start = list(itertools.islice(given, 1))
    first, items = next(iter(start), None), itertools.chain(start, given)
    if _is_frame(first):
        for frame in items:
            yield from _read(frame, column, param).values()
    elif (row := row_of(first, param)) is not None:
        table = Table("the input", list(row), lambda name: iter([row[name]]), None)
        name, _ = table.column(column, param)
        for item in items:
            cells = row_of(item, param)
            yield item if cells is None else _plain(cells.get(name))
    else:
        yield from map(_plain, items)


def _is_frame(item: Any) -> bool:
    return (_is_pandas(item) and hasattr(item, "columns")) or (
        not isinstance(item, (str, bytes)) and table_in_memory(item) is not None
    )


def _plain(value: Any) -> Any:
    """Return the value of one of Arrow's scalars; all others as they are."""
    return value.as_py() if hasattr(value, "as_py") else value


def _from_text(text: str, param: Param) -> Source:
    if URL.match(text):
        local = path_of_address(text)
        if not local or not os.path.isdir(local):
            return _one_value(text)
        text = local
    if is_store(text) and param.picture:
        return _from_store(text.strip())
    path = Path(os.path.expanduser(text))
    if param.picture and missing(text):  # an empty path would be the working folder
        raise ParameterError("the input is an empty text", hint=_HINT)
    if not param.picture:
        if reader_of(path) or os.path.exists(path):
            raise ParameterError(f"cannot read {param.name}s from {clip(text)}", hint=_HINT)
        return _one_value(text)
    if os.path.isdir(path):
        source = _files(path, _pictures(path), f"no images in the folder {clip(text)}")
        return replace(source, reads=_left_below(path, text))
    if os.path.isfile(path):
        _check_picture(path)
        return _files(path, [path], "")
    if is_glob(text):
        found = _fitting(str(path))
        pictures = list(filter(has_picture_suffix, found)) or found  # captions lie beside them
        source = _files(path, pictures, f"no file matches {clip(text)}")
        others = len(found) - len(pictures)
        reads = f"{counted(len(pictures), 'image')}; {counted(others, 'other file')} ignored"
        return replace(source, reads=reads) if others else source
    raise ParameterError(f"there is no file or folder {clip(text)}", hint=near_or_where(text))


def near_or_where(path: str) -> str:
    """Return which file or folder was meant, or where a path that does not exist was looked for."""
    return near_file(Path(os.path.expanduser(path)), path)


def _from_store(address: str) -> Source:
    """Return an image, a folder of images or a glob in a store that fsspec reaches."""
    place = store(address)
    if has_picture_suffix(place.name) and not _GLOB.search(address):
        return _one_value(address)
    if _GLOB.search(address):
        found, none = fitting(address), f"no file matches {clip(address)}"
    elif is_folder(place):
        seen = files_in(place)
        found = [p for p in seen if not p.name.startswith(".")]
        none = f"no images in the folder {clip(address)}"
    else:
        raise ParameterError(f"there is no file or folder {clip(address)}", hint=_HINT)
    names = [address_of(each) for each in found if has_picture_suffix(each.name)]
    if not names:
        raise ParameterError(none, hint=_HINT)
    return Source(lambda: zip(names, names, strict=True), len(names), name=address.rstrip("/"))


def _check_picture(path: Path) -> None:
    """Refuse a file that is neither a table nor called like an image, nor is one."""
    if has_picture_suffix(path):
        return
    if path.suffix.lower() in _WORKBOOKS:
        raise ParameterError(f"{clip(path.name)} is a workbook", hint=SAVE_AS_CSV)
    try:
        read_picture(path)
    except ImgOpenError as error:
        unknown = ("damaged at the beginning", "but an archive")  # the others are a PDF, HEIC ...
        if not any(words in error.message for words in unknown):
            raise ParameterError(error.message, hint=error.hint) from None
        raise ParameterError(
            f"{clip(path.name)} is neither an image nor a table of a known format", hint=_HINT
        ) from None


def is_glob(text: str) -> bool:
    """Whether a text is a pattern for names of files, and not the name of one."""
    if URL.match(text) or is_store(text) or os.path.exists(os.path.expanduser(text)):
        return False
    return _GLOB.search(_split_pattern(os.path.expanduser(text))[1]) is not None


def fits_files(text: str) -> bool:
    """Whether a text is a pattern that some files fit."""
    return is_glob(text) and bool(_fitting(os.path.expanduser(text)))


def _split_pattern(pattern: str) -> tuple[str, str]:
    """Return the longest folder that a pattern begins with and that exists, and the rest.

    Brackets and other signs in the name of that folder are no pattern.
    """
    folder, rest = pattern, ""
    while folder and not os.path.isdir(folder):
        shorter = os.path.dirname(folder.rstrip("/" + os.sep))
        if shorter == folder:
            break
        folder, rest = shorter, pattern[len(shorter) :]
    return folder, rest


def _fitting(pattern: str) -> list[Path]:
    """Return the files that fit a pattern.

    If none fits, brackets in it are taken for themselves: "set [v2] *.png".
    """
    folder, rest = _split_pattern(pattern)
    for tail in (rest, rest.replace("[", "[[]")):
        names = sorted(glob.glob(glob.escape(folder) + tail, recursive=True))
        files = [Path(name) for name in names if os.path.isfile(name)]
        if files:
            return files
    return []


def _pictures(folder: Path) -> list[Path]:
    try:
        seen = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
        return [p for p in seen if has_picture_suffix(p) and p.is_file()]
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ParameterError(
            f"the folder {clip(folder)} cannot be read ({why})",
            hint="change its permissions, or choose another folder",
        ) from None


def _left_below(folder: Path, shown: str) -> str:
    """Return what is said of images in the folders below, which are not read; "" if none are."""
    number = seen = 0
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if at != str(folder):
            number += sum(map(has_picture_suffix, names))
        seen += len(names) + len(folders)
        if seen > _MOST_SEEN:
            break
    found = counted(number, "image")
    pattern = os.path.join(shown, "**", "*")
    return f"{found} in subfolders not read: use {clip(pattern)} to read them too" if number else ""


def _files(given: Path, found: list[Path], none: str) -> Source:
    if not found:
        raise ParameterError(none, hint=_inside(given) if os.path.isdir(given) else _HINT)
    names = [str(path) for path in found]
    known = os.path.abspath(given)
    return Source(lambda: zip(names, names, strict=True), len(names), name=known)


def _holds_pictures(folder: Path) -> bool:
    try:
        return any(map(has_picture_suffix, os.listdir(folder)))
    except OSError:  # of another user, for example
        return False


def _inside(folder: Path) -> str:
    """Return what to give instead of a folder in which no images lie."""
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    tables = [
        path.name
        for path in inside
        if reader_of(path) and path.suffix.lower() not in (".json", ".txt")
    ]
    if tables:
        return f"it holds {clip(tables[0])}: use that"
    deeper = next(
        (path for path in inside if os.path.isdir(path) and _holds_pictures(path)),
        None,
    )
    return (
        f"it holds the folder {clip(deeper.name)}: use that, or {clip(folder)}/**/*"
        if deeper
        else "put images into it, or choose another folder"
    )


def _from_table(
    table: Table, column: Any, param: Param, path: Path | None = None, folder: Path | None = None
) -> Source:
    """Return a column of a table; paths in a file may be relative to the file's folder."""
    name, why = table.column(column, param)
    beside = folder if param.picture else None

    def values() -> Iterator[Any]:
        return map(_plain, table.values(name))

    def pairs() -> Iterable[tuple[Any, Any]]:
        found = values() if beside is None else (_beside(beside, value) for value in values())
        return enumerate(found) if table.index is None else zip(table.index, found, strict=False)

    known = f"{os.path.abspath(path)} {name}" if path else ""
    reads = _reads(table, name, why)
    return Source(guarded(pairs), table.total, name=known, reads=reads, table=table)


def _reads(table: Table, name: Any, why: str) -> str:
    """Return what is read, in words; "" if there was no choice."""
    several = len(table.columns) > 1
    taken = f"column {clip(name, 60)!r}" + (f" ({why})" if why else "") if several else ""
    facts = ", ".join(filter(None, [taken, *table.remarks]))
    return visible(f"{clip(table.name)}: {facts}") if facts else ""


def _beside(folder: Path, value: Any) -> Any:
    """Return an image; its path may be relative to the folder of the table."""
    if isinstance(value, dict) and is_embedded(value) and not value.get("bytes"):
        value = value.get("path")
    if not isinstance(value, str) or URL.match(value.strip()):
        return value
    near = (os.path.join(folder, name) for name in (value, value.strip()))
    return next((path for path in near if os.path.isfile(path)), value)


def combinations(axes: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Return all combinations of the values of a grid; without an axis, a single empty one."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def axes_of(operation: Operation, params: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the parameters with several values, as lists.

    Any collection is one: a list, an array, a column of any library, a generator, a set.

    Raises:
        UsageError: there is no such parameter, or its list is empty.
    """
    axes = {}
    for name, value in params.items():
        param = operation.param(name)
        with naming(name):
            values = _axis(param, value)
        if values is not None:
            axes[name] = values
    for name, values in axes.items():
        if not values:
            raise ParameterError(f"{name} is an empty list: there is nothing to do")
    return axes


def _axis(param: Param, value: Any) -> list[Any] | None:
    """Return the values for a parameter, None if it is one value, which may be a list."""
    values = listed(value, pictures=param.picture)
    if values is None or not param.several:
        return values
    lists = [listed(item, pictures=param.picture) for item in values]
    if any(each is not None for each in lists):
        return [item if each is None else each for item, each in zip(values, lists, strict=True)]
    return None
