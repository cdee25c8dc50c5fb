"""Reads the input of a batch: lists, columns, folders, table files; and the axes of a grid."""

from __future__ import annotations

import csv
import glob
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..catalogue.operation import Operation
from ..catalogue.parameter import Param
from ..errors import ImgOpenError, ParameterError, UnknownNameError
from ..media.formats import FILE_SUFFIXES
from ..text import clip, in_words
from .table_files import READERS

# Usual names of a column of pictures, in order of preference.
PICTURE_COLUMNS = ("image", "url", "image_url", "picture", "path", "file", "filename", "file_name")
_TEXT_COLUMNS = ("prompt", "text")
URL = re.compile(r"(https?|data|sample):", re.IGNORECASE)
_GLOB = re.compile(r"[*?\[]")
_HINT = "give a list, a column, a folder, a glob, or a .csv, .jsonl or .parquet file"
_PICTURE = Param("image", "image", "image")

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
        pictures: whether the values are pictures; otherwise they are texts.
    """

    pairs: Pairs
    total: int | None
    index: Any = None
    once: bool = False
    name: str = ""
    pictures: bool = True


def source_of(given: Any, column: str | None = None, param: Param = _PICTURE) -> Source:
    """Return the input of a batch.

    Args:
        given: a list or another iterable, a Series, a DataFrame with `column`, a folder of
            pictures, a glob such as "photos/**/*.jpg", or a .csv, .tsv, .jsonl or .parquet file.
        column: the column of a table; not needed if it has a usual name (image, url ...).
        param: the parameter that gets the values: pictures or texts.

    Raises:
        ParameterError: the input is none of these, or the column is not clear.
        UnknownNameError: there is no such column.
    """
    found = _read(given, column, param)
    return found if param.picture else replace(found, pictures=False)


def _read(given: Any, column: str | None, param: Param) -> Source:
    if hasattr(given, "columns") and hasattr(given, "index"):
        return _from_frame(given, column, param)
    if isinstance(given, (str, os.PathLike)):
        path = Path(os.path.expanduser(given))
        if path.suffix.lower() in READERS and os.path.isfile(path):
            return _from_table(path, column, param)
    if hasattr(given, "index") and hasattr(given, "items"):
        return _from_series(given)
    if column is not None:
        raise ParameterError(f"column {column!r} goes with a table", hint=_HINT)
    if isinstance(given, (str, os.PathLike)):
        return _from_text(os.fspath(given), param)
    if isinstance(given, Mapping):
        return Source(_guarded(given.items), len(given))
    return _one_value(given) if _is_picture(given) else _from_iterable(given)


def _from_frame(frame: Any, column: str | None, param: Param) -> Source:
    name = _column(column, list(frame.columns), "the DataFrame", param)
    found = frame[name]
    if hasattr(found, "columns"):
        raise ParameterError(f"the DataFrame has several columns called {name!r}: rename one")
    return _from_series(found)


def _from_series(series: Any) -> Source:
    def pairs() -> Iterator[tuple[Any, Any]]:
        return zip(series.index, series, strict=True)

    return Source(pairs, len(series), series.index)


def _is_picture(given: Any) -> bool:
    """Whether this is a single picture: bytes, an open file, an array of pixels, a PIL image."""
    if isinstance(given, (bytes, bytearray, memoryview)) or callable(getattr(given, "read", None)):
        return True
    pixels = hasattr(given, "__array_interface__") or hasattr(given, "__array__")
    return pixels and getattr(given, "ndim", 2) in (2, 3)


def _one_value(given: Any) -> Source:
    return Source(lambda: iter([(0, given)]), 1)


def _from_iterable(given: Any) -> Source:
    if not isinstance(given, Iterable) or getattr(given, "ndim", 1) == 0:
        raise ParameterError(f"a batch cannot be read from {in_words(given)}", hint=_HINT)
    total = len(given) if isinstance(given, Sized) else None
    return Source(_guarded(lambda: enumerate(given)), total, once=iter(given) is given)


def _guarded(pairs: Callable[[], Iterable[tuple[Any, Any]]]) -> Pairs:
    """Return pairs that end with an error if reading fails, so that no earlier row is lost."""

    def guarded() -> Iterator[tuple[Any, Any]]:
        number = 0
        try:
            for pair in pairs():
                yield pair
                number += 1
        except Exception as error:
            why = f"{type(error).__name__}: {clip(error)}"
            yield number, ParameterError(f"the input broke off after {number} rows ({why})")

    return guarded


def _from_text(text: str, param: Param) -> Source:
    if URL.match(text):
        return _one_value(text)
    path = Path(os.path.expanduser(text))
    if param.picture and missing(text):  # an empty path would be the working folder
        raise ParameterError("the input is an empty text", hint=_HINT)
    if not param.picture:
        if path.suffix.lower() in READERS or os.path.exists(path):
            raise ParameterError(f"no {param.name}s can be read from {clip(text)}", hint=_HINT)
        return _one_value(text)
    if os.path.isdir(path):
        return _files(path, _pictures(path), f"no pictures in the folder {clip(text)}")
    if os.path.isfile(path):
        return _files(path, [path], "")
    if is_glob(text):
        names = sorted(glob.glob(str(path), recursive=True))
        files = [Path(name) for name in names if os.path.isfile(name)]
        return _files(path, files, f"no file fits {clip(text)}")
    raise ParameterError(f"there is no file or folder {clip(text)}", hint=_HINT)


def is_glob(text: str) -> bool:
    """Whether a text is a pattern for names of files, and not the name of one."""
    if URL.match(text) or os.path.exists(os.path.expanduser(text)):
        return False
    return _GLOB.search(text) is not None


def _pictures(folder: Path) -> list[Path]:
    try:
        seen = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise ParameterError(f"the folder {clip(folder)} cannot be read ({clip(error)})") from None
    return [p for p in seen if p.suffix.lower() in FILE_SUFFIXES and p.is_file()]


def _files(given: Path, found: list[Path], none: str) -> Source:
    if not found:
        raise ParameterError(none, hint=_HINT)
    names = [str(path) for path in found]
    known = os.path.abspath(given)
    return Source(lambda: zip(names, names, strict=True), len(names), name=known)


def _column(wanted: Any, columns: list[Any], where: str, param: Param) -> Any:
    if wanted is not None:
        if wanted not in columns:
            raise UnknownNameError(f"column of {where} called", str(wanted), map(str, columns))
        return wanted
    if not columns:
        raise ParameterError(f"{clip(where)} has no columns: it is empty")
    folded = {str(name).lower(): name for name in reversed(columns)}
    names = (param.name, *(PICTURE_COLUMNS if param.picture else _TEXT_COLUMNS))
    usual = [folded[name] for name in names if name in folded]
    if usual or len(columns) == 1:
        return usual[0] if usual else columns[0]
    what = "pictures" if param.picture else f"{param.name}s"
    raise ParameterError(
        f"which column of {where} holds the {what}? It has {clip(', '.join(map(str, columns)))}",
        hint="name it: column=..., or --column NAME",
    )


def _from_table(path: Path, column: str | None, param: Param) -> Source:
    try:
        columns, total, rows = READERS[path.suffix.lower()](path)
    except UnicodeDecodeError:
        raise ParameterError(f"{path.name} is not UTF-8", hint="save it as UTF-8") from None
    except (OSError, csv.Error) as error:
        raise ParameterError(f"{path.name} cannot be read ({clip(error)})") from None
    name = _column(column, columns, path.name, param)

    def values() -> Iterator[tuple[int, Any]]:
        return enumerate(_value(path, row, name, param) for row in rows(name))

    return Source(_guarded(values), total, name=f"{os.path.abspath(path)} {name}")


def _value(path: Path, row: dict[str, Any] | ImgOpenError, name: str, param: Param) -> Any:
    """Return the value of a row; a picture's path may be relative to the folder of the table."""
    value = row if isinstance(row, ImgOpenError) else row.get(name)
    if not isinstance(value, str) or not param.picture or URL.match(value):
        return value
    near = os.path.join(path.parent, value)
    return near if os.path.isfile(near) else value


def combinations(axes: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Return all combinations of the values of a grid; without an axis, a single empty one."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def axes_of(operation: Operation, params: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the parameters with several values, as lists.

    Raises:
        UsageError: there is no such parameter, or its list is empty.
    """
    axes = {n: list(v) for n, v in params.items() if _is_axis(operation.param(n), v)}
    for name, values in axes.items():
        if not values:
            raise ParameterError(f"{name} is an empty list: there would be nothing to do")
    return axes


def _is_axis(param: Param, value: Any) -> bool:
    """Whether a value is a list of values for the parameter, and not one value that is a list."""
    if not isinstance(value, (list, tuple, range)):
        return False
    return not param.several or any(isinstance(item, (list, tuple)) for item in value)


def missing(value: Any) -> bool:
    """Whether a cell of a table is empty."""
    if isinstance(value, str):
        return not value.strip()
    kind = type(value).__name__
    return kind in ("NoneType", "NAType", "NaTType") or (
        kind.startswith("float") and value != value
    )
