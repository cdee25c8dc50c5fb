"""Tables for notebooks and terminals."""

from __future__ import annotations

import itertools
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..text import shown, visible
from .rendering import render

_GAP = "  "


@dataclass(frozen=True)
class Table:
    """Rows under headings."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def __repr__(self) -> str:
        return text_table(self.rows, self.columns)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        html = render("table.html", columns=self.columns, rows=self.rows)
        return {"text/plain": repr(self), "text/html": html}


def text_table(
    rows: Iterable[Mapping[str, Any] | Sequence[Any]],
    columns: Sequence[str],
    width: int | None = None,
) -> str:
    """Return rows as a text table that fits the terminal; long cells are wrapped.

    Args:
        rows: mappings by column name, or sequences in the order of the columns.
        columns: the headings.
        width: characters in a line; the terminal's if not given.
    """
    cells = [[_cell(value) for value in _values(row, columns)] for row in rows]
    heads = [visible(column) for column in columns]
    widths = _fit(
        [max(map(display_width, column)) for column in zip(heads, *cells, strict=True)],
        [min(display_width(head), 12) for head in heads],
        (width or terminal_width()) - len(_GAP) * (len(heads) - 1),
    )
    lines = [*_lines(heads, widths), _GAP.join("─" * w for w in widths)]
    for row in cells:
        lines += _lines(row, widths)
    return "\n".join(line.rstrip() for line in lines)


def terminal_width() -> int:
    """Return the characters in a line of the terminal, 100 where there is none."""
    return max(40, shutil.get_terminal_size((100, 24)).columns)


def display_width(text: str) -> int:
    """Return the width of a text in a terminal, where CJK characters have two columns."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth

    return max(0, wcswidth(text))


def wrapped(text: str, width: int) -> list[str]:
    """Return text in lines of at most `width` columns, broken at spaces if possible."""
    lines, width = [], max(1, width)  # a column without a name and without values has 0
    for part in text.splitlines() or [""]:
        short = textwrap.wrap(part, width, break_on_hyphens=False) or [""]
        lines += [piece for line in short for piece in _split(line, width)]
    return lines


def _split(line: str, width: int) -> list[str]:
    if display_width(line) <= width:
        return [line]
    pieces = [""]
    for char in line:
        if pieces[-1] and display_width(pieces[-1] + char) > width:
            pieces.append("")
        pieces[-1] += char
    return pieces


def _values(row: Mapping[str, Any] | Sequence[Any], columns: Sequence[str]) -> list[Any]:
    return [row.get(c) for c in columns] if isinstance(row, Mapping) else list(row)


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN is empty too
        return ""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (list, tuple)):
        return shown(", ".join(map(str, value)), 500)
    return shown(value, 500)


def _fit(widths: list[int], least: list[int], room: int) -> list[int]:
    """Return the widths after shrinking the widest columns until all fit."""
    widths = list(widths)
    while sum(widths) > room:
        place = max(range(len(widths)), key=lambda i: widths[i] - least[i])
        if widths[place] <= max(least[place], 4):
            break
        widths[place] -= 1
    return widths


def _lines(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    columns = [wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
    return [
        _GAP.join(
            line + " " * (width - display_width(line))
            for line, width in zip(lines, widths, strict=True)
        )
        for lines in itertools.zip_longest(*columns, fillvalue="")
    ]
