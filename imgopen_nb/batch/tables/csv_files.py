"""Reads .csv and .tsv files as people have them: any separator, with a header or without."""

from __future__ import annotations

import contextlib
import csv
import itertools
import math
import os
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...catalogue.parameter import Param, folded
from ...errors import ParameterError
from ...media.formats import FILE_SUFFIXES
from ...text import clip, counted, from_cell
from .table import URL, Table, has_picture_suffix, looks_like_picture, usual_names
from .text_files import LONGEST, lines, open_text

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_NONE = "\x1f"  # a separator that no table has: its rows have one cell
_LOOKED_AT = 30  # lines from which the separator is found
_PROSE = 3  # words in the first cell of a file of prompts that has no header
_REMARK = re.compile(r"#[^,;|\t]*$")
_CUT_DATA_URL = re.compile(r"data:[\w.+/-]*(;[^,]*)?", re.IGNORECASE)
_QUERY = re.compile(r"[\w.%-]+=")
_PICTURE_NAME = re.compile(rf"({'|'.join(map(re.escape, sorted(FILE_SUFFIXES)))})\b", re.IGNORECASE)
_csv_limit = threading.Lock()


def _after_fork_in_child() -> None:
    global _csv_limit
    _csv_limit = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


@dataclass(frozen=True)
class _Layout:
    """How a file is to be read; `skipped` lines stand before its first row or its header."""

    separator: str
    blanks: bool = False  # whether blanks follow the separators
    skipped: int = 0


def read_csv(path: Path, param: Param, errors: str = "strict") -> Table:
    """Return the table in a .csv or .tsv file.

    The separator is the one that gives each of the first rows the same number of cells. The first
    row is the header, unless it is plainly a row: it has an address, or the name of an image.
    Then the columns are numbered from 1.
    """
    with open_text(path, errors) as file:
        first = list(itertools.islice(lines(file, path.name), _LOOKED_AT))
    remarks_above = len(list(itertools.takewhile(_REMARK.match, first)))
    layout = _layout(first[remarks_above:], path, param)
    layout = replace(layout, skipped=layout.skipped + remarks_above)
    layout = _without_title(layout, first, param)
    header = next(_records(first[layout.skipped :], layout), [])
    named = not _is_row(header, path, param)
    columns: list[Any] = list(range(1, len(header) + 1))
    if named:
        columns = [from_cell(name.strip()) for name in header]

    def rows() -> Iterator[tuple[int, list[str]]]:
        with open_text(path, errors) as file:
            body = itertools.islice(lines(file, path.name), layout.skipped, None)
            numbered = enumerate(_records(body, layout), 1)
            yield from itertools.islice(numbered, 1 if named else 0, None)

    def values(name: Any) -> Iterator[Any]:
        at = columns.index(name)
        for number, row in rows():
            if any(cell.strip() for cell in row[len(columns) :]):
                yield ParameterError(
                    f"{path.name}, row {number} has {len(row)} cells for "
                    f"{counted(len(columns), 'column')}",
                    hint='put quotes around a cell that holds the separator: "a, b"',
                )
            else:
                yield from_cell(row[at]) if at < len(row) else None

    numbered = ", so the columns are numbered" if len(columns) > 1 else ""
    remarks = [] if named or not header else [f"no header{numbered}"]
    if layout.separator not in (_usual(path), _NONE):
        remarks.append(f"separated by {_SEPARATORS.get(layout.separator, layout.separator)}")
    if named and len(columns) == 1 and folded(columns[0]) not in usual_names(param):
        remarks.append(f"the first line, {clip(columns[0], 40)!r}, read as the header")
    total = sum(1 for _ in rows())
    return Table(path.name, columns, values, total, remarks=tuple(remarks))


def _usual(path: Path) -> str:
    return "\t" if ".tsv" in [suffix.lower() for suffix in path.suffixes] else ","


def _records(text: Iterable[str], layout: _Layout) -> Iterator[list[str]]:
    """Yield the rows of a .csv file, without blank lines.

    Python has one limit for the cells of all its readers. It is raised for one row at a time, so
    that the others keep theirs.
    """
    reader = csv.reader(text, delimiter=layout.separator, skipinitialspace=layout.blanks)
    while True:
        with _csv_limit:
            usual = csv.field_size_limit(max(LONGEST, csv.field_size_limit()))
            try:
                row = next(reader, None)
            finally:
                csv.field_size_limit(usual)
        if row is None:
            return
        if len(row) > 1 or (row and not row[0].isspace()):
            yield _with_data_urls(row, layout.separator)


def _with_data_urls(row: list[str], separator: str) -> list[str]:
    """Return a row in which `data:` URLs that stand there without quotes are whole again."""
    at = 0
    while at < len(row) - 1:
        if row[at][:5].lower() == "data:" and _CUT_DATA_URL.fullmatch(row[at].strip()):
            row[at : at + 2] = [separator.join(row[at : at + 2])]
        else:
            at += 1
    return row


def _layout(first: list[str], path: Path, param: Param) -> _Layout:
    """Return how a file is to be read, found out from its first lines."""
    said = re.fullmatch('"?sep=(.)"?\\s*', first[0], re.IGNORECASE) if first else None
    if said:  # written for Excel
        return _Layout(said[1], skipped=1)
    usual = _usual(path)
    best, layout = (0, 0, 0, -math.inf, 0.5), _Layout(_NONE)
    for separator in (usual, *(mark for mark in _SEPARATORS if mark != usual)):
        rows = list(_complete(first, _Layout(separator)))
        if not rows or len(rows[0]) < 2 or _inside_addresses(first, separator):
            continue
        header = [cell.strip() for cell in rows[0]]
        named = len(usual_names(param) & {folded(cell) for cell in header})
        cells = [cell.strip() for row in rows for cell in row]
        addresses = sum(bool(URL.match(cell)) for cell in cells)
        pictures = sum(map(looks_like_picture, cells))
        same = sum(len(row) == len(header) for row in rows) / len(rows)
        quotes = sum('"' in cell for cell in cells)  # of cells that are cut in their middle
        score = (named, addresses, pictures, -quotes, same)
        if (named or pictures or same > 0.5) and score > best:
            blanks = all(cell[:1] == " " for cell in rows[0][1:])
            best, layout = score, _Layout(separator, blanks)
    return layout


def _without_title(layout: _Layout, first: list[str], param: Param) -> _Layout:
    """Return the layout of a table whose header stands below a title or remarks."""
    for number, line in enumerate(first[layout.skipped :], layout.skipped):
        filled = [cell for row in _complete([line], layout) for cell in row if cell.strip()]
        if len(filled) > 1:
            usual = usual_names(param) & {folded(cell) for cell in filled}
            return replace(layout, skipped=number) if usual else layout
        if any(map(looks_like_picture, filled)):
            break
    return layout


def _complete(first: list[str], layout: _Layout) -> Iterator[list[str]]:
    """Yield the rows in these lines; the last one may be cut."""
    with contextlib.suppress(csv.Error):
        yield from _records(first, layout)


def _inside_addresses(first: list[str], separator: str) -> bool:
    """Whether a separator is a part of the addresses with which the lines begin."""
    lines_with_it = [line for line in first if separator in line]
    if not all(URL.match(line) for line in lines_with_it):
        return False
    return any(_cuts(*line.split(separator, 1)) for line in lines_with_it)


def _cuts(head: str, tail: str) -> bool:
    """Whether these are the two halves of one address."""
    before_next = URL.split(tail, 1)[0]
    named_later = _PICTURE_NAME.search(before_next) and not _PICTURE_NAME.search(head)
    return bool(named_later or ("?" in head and _QUERY.match(tail)))


def _is_row(header: list[str], path: Path, param: Param) -> bool:
    """Whether the first row of a file is plainly no header."""
    cells = [cell.strip() for cell in header]
    if usual_names(param) & {folded(cell) for cell in cells}:
        return False
    if not param.picture and len(cells) == 1:
        return len(cells[0].split()) >= _PROSE
    return any(URL.match(cell) or _is_file(cell, path) for cell in cells)


def _is_file(cell: str, path: Path) -> bool:
    """Whether a cell is the name of an image, or of a file that is there."""
    if has_picture_suffix(cell):
        return True
    return bool(os.path.splitext(cell)[1]) and any(
        os.path.isfile(os.path.join(at, cell)) for at in (path.parent, "")
    )
