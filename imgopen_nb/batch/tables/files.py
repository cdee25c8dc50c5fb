"""Reads tables in files: .csv, .tsv, .jsonl, .json, .parquet, .txt and images in a .zip.

The text files among them may be packed (.csv.gz, .jsonl.bz2).
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ...catalogue.parameter import Param, folded
from ...errors import ImgOpenError, ParameterError, PictureError, install_command
from ...images.picture import ArchivedPicture
from ...media.formats import MAX_BYTES, what_else
from ...text import clip, counted
from .csv_files import read_csv
from .objects import table_from_json
from .table import ROWS, Table, has_picture_suffix, in_batches, usual_names
from .text_files import LONGEST, PACKED_SUFFIXES, WESTERN, lines, open_text

_LARGEST_JSON = 2 * LONGEST  # characters: a .json file is read as a whole
SAVE_AS_CSV = 'save it as text in UTF-8 (in Excel: "CSV UTF-8")'


def reader_of(path: Path) -> Callable[..., Table] | None:
    """Return the function that reads files with this suffix, None if they are no tables."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] in PACKED_SUFFIXES:
        inner = suffixes[0] if len(suffixes) > 1 else ""
        return _READERS.get(inner) if inner in _TEXTS else None
    return _READERS.get(suffixes[-1]) if suffixes else None


def read_table(path: Path, param: Param) -> Table:
    """Return the table in a file.

    Args:
        path: a file for which there is a reader.
        param: the parameter that gets the values.

    Raises:
        ParameterError: it cannot be read; the message says why.
    """
    reader = reader_of(path)
    assert reader is not None, "a table needs one of the known suffixes"
    try:
        if reader in _TEXTS.values():
            _check_text(path)
        return reader(path, param)
    except UnicodeDecodeError as error:
        if reader in (read_csv, _lines):
            with contextlib.suppress(UnicodeDecodeError):
                table: Table = reader(path, param, WESTERN)
                remark = "read as Windows-1252, because it is not UTF-8"
                return replace(table, remarks=(remark, *table.remarks))
        bad = error.object[error.start]
        raise ParameterError(
            f"{path.name} is not UTF-8: it contains the byte {bad:#04x}",
            hint=SAVE_AS_CSV,
        ) from None
    except (OSError, EOFError, zlib.error, csv.Error, zipfile.BadZipFile) as error:
        raise ParameterError(f"{path.name} cannot be read ({clip(error)})") from None


def _check_text(path: Path) -> None:
    """Refuse a file that has the suffix of a text, and is something else: a workbook, a page."""
    with path.open("rb") as file:
        head = file.read(200)
    what = what_else(head)
    if (
        what
        and what[0] in ("an archive", "a web page", "a PDF", "an old Office file")
        and head[:2] != b"\x1f\x8b"
    ):
        raise ParameterError(f"{path.name} is not a table but {what[0]}", hint=SAVE_AS_CSV)


def read_tables(paths: Sequence[Path], param: Param) -> Table:
    """Return the table in several files, one after the other, such as the parts of a dataset.

    Raises:
        ParameterError: one cannot be read, or they have different columns.
    """
    tables = [read_table(path, param) for path in paths]
    first = tables[0]
    if len(tables) == 1:
        return first
    for table in tables:
        if list(table.columns) != list(first.columns):
            raise ParameterError(
                f"{table.name} and {first.name} have different columns", hint="use one of them"
            )

    def values(name: Any) -> Iterator[Any]:
        return itertools.chain.from_iterable(table.values(name) for table in tables)

    total = sum(table.total or 0 for table in tables)
    name = f"{first.name} and {counted(len(tables) - 1, 'other file')}"
    return Table(name, first.columns, values, total, remarks=first.remarks)


def _jsonl(path: Path, param: Param) -> Table:
    def rows() -> Iterator[dict[str, Any] | ImgOpenError]:
        with open_text(path) as file:
            for number, line in enumerate(lines(file, path.name), 1):
                if line.strip():
                    yield _parsed(line, f"{path.name}, line {number}")

    def values(name: str) -> Iterator[Any]:
        for row in rows():
            yield row if isinstance(row, ImgOpenError) else row.get(name)

    with open_text(path) as file:
        total = sum(1 for line in lines(file, path.name) if line.strip())
    first = [row for row in itertools.islice(rows(), 100) if isinstance(row, dict)]
    if total and not first:
        with contextlib.suppress(ParameterError):
            return _json(path, param)  # one list of objects
        raise ParameterError(
            f"{path.name} holds no JSON objects", hint="it needs one object on each line"
        )
    columns = list(dict.fromkeys(name for row in first for name in row))
    return Table(path.name, columns, values, total)


def _parsed(line: str, where: str) -> dict[str, Any] | ImgOpenError:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    return row if isinstance(row, dict) else ParameterError(f"{clip(where)} is not a JSON object")


def _json(path: Path, param: Param) -> Table:
    with open_text(path) as file:
        text = file.read(_LARGEST_JSON)
    if len(text) == _LARGEST_JSON:
        raise ParameterError(f"{path.name} is too large to read at once", hint="use .jsonl")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        first = text.lstrip().partition("\n")[0]
        if isinstance(_parsed(first, ""), dict):  # an object on each line
            return _jsonl(path, param)
        raise ParameterError(f"{path.name} is not JSON ({clip(error)})") from None
    table = table_from_json(content, path.name, path.parent if param.picture else None)
    if table is None:
        raise ParameterError(
            f"{path.name} holds no rows",
            hint=(
                "it needs a list of texts, a list of objects, or an object with a list for each "
                "column"
            ),
        )
    return table


def _parquet(path: Path, _: Param) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise ParameterError(
            "reading Parquet needs pyarrow", hint=install_command("fast")
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            total, columns = file.metadata.num_rows, list(file.schema_arrow.names)
    except (ArrowException, OSError) as error:
        raise ParameterError(
            f"{path.name} is not a Parquet file ({type(error).__name__})"
        ) from None

    def values(name: str) -> Iterator[Any]:
        with parquet.ParquetFile(path) as file:
            yield from in_batches(file.iter_batches(batch_size=ROWS, columns=[name]))

    return Table(path.name, columns, values, total)


def _lines(path: Path, param: Param, errors: str = "strict") -> Table:
    """Return the lines of a text file; blank ones, and remarks after a #, count as none."""
    with open_text(path, errors) as file:
        first = next((line.strip() for line in lines(file, path.name) if line.strip()), "")
    cells = {folded(cell.strip(' "')) for cell in re.split("[,;|]", first)}
    headed = len(cells) > 1 and cells & usual_names(param) and not re.search(r"\w \w", first)
    if "\t" in first or headed:  # what spreadsheets write as "text"
        return read_csv(path, param, errors)
    header = folded(first) in usual_names()

    def values(_: Any = None) -> Iterator[str]:
        with open_text(path, errors) as file:
            texts = (line.strip() for line in lines(file, path.name))
            wanted = (text for text in texts if text and not (param.picture and text[0] == "#"))
            yield from itertools.islice(wanted, 1 if header else 0, None)

    name, total = first.lower() if header else "line", sum(1 for _ in values())
    return Table(path.name, [name], values, total, remarks=("one row per line",))


def _zip(path: Path, param: Param) -> Table:
    """Return the images in a .zip file; each is unpacked when its turn comes."""
    if not param.picture:
        raise ParameterError(f"{param.name}s cannot be read from a .zip file", hint="unpack it")
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        names = [info.filename for info in members]
    hidden = [name.startswith((".", "__MACOSX/")) or "/." in name for name in names]
    found = sorted(
        name for name, left_out in zip(names, hidden, strict=True)
        if not left_out and has_picture_suffix(name)
    )  # fmt: skip
    if not found:
        holds = f"only {clip(', '.join(names[:3]))}" if names else "nothing"
        raise ParameterError(
            f"{path.name} holds no images, only {holds}",
            hint="unpack it, and use the file or folder inside",
        )

    archive = zipfile.ZipFile(path)  # closed when the last of its images is forgotten
    where = os.path.abspath(path)
    pictures = [
        ArchivedPicture(os.path.join(where, name), partial(_unpacked, archive, name))
        for name in found
    ]
    remarks = (f"{counted(len(found), 'image')} in it",)
    return Table(path.name, ["image"], lambda _: iter(pictures), len(found), found, remarks)


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return an image of an archive; no more is unpacked than the largest image has."""
    try:
        with archive.open(name) as file:
            return file.read(MAX_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise PictureError(f"{clip(name)} cannot be unpacked ({clip(error)})") from None


_TEXTS: dict[str, Callable[..., Table]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".tab": read_csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".txt": _lines,
    ".lst": _lines,
    ".list": _lines,
}
_READERS = {**_TEXTS, ".parquet": _parquet, ".zip": _zip}
