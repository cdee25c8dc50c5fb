"""Where the pictures (or prompts) of a batch come from: lists, columns, folders, files."""

from __future__ import annotations

import csv
import glob
import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ParameterError, UnknownNameError, clip
from .thumbnails import SUFFIXES

# What a column of pictures is usually called, in the order in which they are looked for.
USUAL = ("image", "url", "image_url", "picture", "path", "file", "filename", "file_name")
_ONE = re.compile(r"(https?|data|sample):", re.IGNORECASE)
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Source:
    """Pairs of (index, value), as often as they are asked for.

    Attributes:
        pairs: begins anew at each call, unless the source was a generator.
        total: how many there are, None where only reading them tells.
        index: the pandas index of the input, None where it has none.
        name: what messages call it.
        once: whether it can be read a single time.
    """

    pairs: Callable[[], Iterator[tuple[Any, Any]]]
    total: int | None
    index: Any = None
    name: str = "input"
    once: bool = False


def source_of(given: Any, column: str | None = None) -> Source:
    """Return the values of a batch from whatever a person has them in.

    Args:
        given: a list or another iterable, a Series, a DataFrame with `column`, a folder of
            pictures, a glob such as "photos/**/*.jpg", or a .csv, .tsv, .jsonl or .parquet file.
        column: which column of a table; one that is called image, url ... need not be named.

    Raises:
        ParameterError: it is none of these, or there is no such column.
    """
    if isinstance(given, (str, os.PathLike)):
        return _from_text(os.fspath(given), column)
    if hasattr(given, "columns") and hasattr(given, "index"):
        return _from_series(given[_column(column, list(given.columns), "the DataFrame")])
    if hasattr(given, "index") and hasattr(given, "items") and not isinstance(given, dict):
        return _from_series(given)
    if isinstance(given, dict):
        return Source(lambda: iter(given.items()), len(given))
    if getattr(given, "ndim", 1) > 1 or isinstance(given, (bytes, bytearray)):
        return Source(lambda: iter([(0, given)]), 1)  # one picture, not many
    if not isinstance(given, Iterable):
        raise ParameterError(f"a batch cannot be read from a {type(given).__name__}", hint=_HINT)
    total = len(given) if isinstance(given, Sized) else None
    return Source(lambda: enumerate(given), total, once=iter(given) is given)


_HINT = "give a list, a column, a folder, a glob, or a .csv, .jsonl or .parquet file"


def _from_series(series: Any) -> Source:
    def pairs() -> Iterator[tuple[Any, Any]]:
        return zip(series.index, series, strict=True)

    return Source(pairs, len(series), series.index, str(series.name))


def _from_text(text: str, column: str | None) -> Source:
    if _ONE.match(text):
        return Source(lambda: iter([(0, text)]), 1)
    path = Path(text).expanduser()
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in _PICTURES)
        return _files(found, f"no pictures in the folder {clip(text)}")
    if path.suffix.lower() in _TABLES and path.is_file():
        return _TABLES[path.suffix.lower()](path, column)
    if _GLOB.search(text) and not path.exists():
        names = sorted(glob.glob(str(path), recursive=True))
        return _files([Path(n) for n in names if os.path.isfile(n)], f"no file fits {clip(text)}")
    if path.is_file():
        return _files([path], "")
    raise ParameterError(f"there is no file or folder {clip(text)}", hint=_HINT)


def _files(found: list[Path], none: str) -> Source:
    if not found:
        raise ParameterError(none, hint=_HINT)
    names = [str(path) for path in found]
    return Source(lambda: zip(names, names, strict=True), len(names))


def _column(wanted: str | None, columns: list[Any], where: str) -> Any:
    if wanted is not None:
        if wanted not in columns:
            raise UnknownNameError(f"column of {where} called", str(wanted), map(str, columns))
        return wanted
    usual = [name for name in USUAL if name in columns]
    if usual or len(columns) == 1:
        return usual[0] if usual else columns[0]
    raise ParameterError(
        f"which column of {where} holds the pictures? It has {clip(', '.join(map(str, columns)))}",
        hint="name it: column=..., or --column NAME",
    )


def _from_csv(path: Path, column: str | None) -> Source:
    separator = "\t" if path.suffix.lower() == ".tsv" else ","

    def rows() -> Iterator[dict[str, Any]]:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file, delimiter=separator)

    with path.open(encoding="utf-8-sig", newline="") as file:
        columns = next(csv.reader(file, delimiter=separator), [])
    return _from_rows(path, rows, _column(column, columns, path.name))


def _from_jsonl(path: Path, column: str | None) -> Source:
    def rows() -> Iterator[dict[str, Any]]:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _object(line, f"{path.name}, line {number}")

    columns = list(next(rows(), {}))
    return _from_rows(path, rows, _column(column, columns, path.name))


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise ParameterError(f"{clip(where)} is no JSON object", hint="mend the file")
    return row


def _from_parquet(path: Path, column: str | None) -> Source:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise ParameterError(
            "reading Parquet needs pyarrow", hint='pip install "imgopen-nb[fast]"'
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            total, columns = file.metadata.num_rows, list(file.schema_arrow.names)
    except (ArrowException, OSError) as error:
        raise ParameterError(f"{path.name} is no Parquet file ({type(error).__name__})") from None
    name = _column(column, columns, path.name)

    def rows() -> Iterator[dict[str, Any]]:
        with parquet.ParquetFile(path) as file:
            for part in file.iter_batches(batch_size=1000, columns=[name]):
                yield from part.to_pylist()

    return _from_rows(path, rows, name, total)


def _from_rows(
    path: Path, rows: Callable[[], Iterator[dict[str, Any]]], name: str, total: int | None = None
) -> Source:
    def values() -> Iterator[tuple[int, Any]]:
        return enumerate(_beside(path, row.get(name)) for row in rows())

    return Source(values, total, name=name)


def _beside(table: Path, value: Any) -> Any:
    """Return a picture's path from where the table lies, unless it is there as it stands."""
    if not isinstance(value, str) or _ONE.match(value) or os.path.exists(value):
        return value
    near = table.parent / value
    return str(near) if near.exists() else value


_PICTURES = frozenset(SUFFIXES.values()) | {".jpeg", ".tiff"}
_TABLES: dict[str, Callable[[Path, str | None], Source]] = {
    ".csv": _from_csv,
    ".tsv": _from_csv,
    ".jsonl": _from_jsonl,
    ".ndjson": _from_jsonl,
    ".parquet": _from_parquet,
}


def combinations(axes: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return every combination of the values of a grid; one empty one where there is no axis."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
