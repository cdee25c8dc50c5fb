"""Remote text made safe to look at, and tables for terminals.

Captions, tags and error messages come from elsewhere: control characters could recolour or rewrite
a terminal, bidirectional overrides could make a text read as another one.
"""

from __future__ import annotations

import re
import shutil
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Controls but newline and tab, bidirectional overrides, invisible marks, private "tag" characters.
# The joiners U+200C and U+200D stay: Persian, Indic scripts and emoji need them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
_GAP = "  "


def visible(value: object) -> str:
    """Return text with control characters shown as symbols, such as ␛ or ⟨U+202E⟩."""
    return _UNSEEN.sub(_symbol, str(value).replace("\r\n", "\n"))


def _symbol(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 32 else f"⟨U+{code:04X}⟩"


def cut(value: object, most: int) -> tuple[str, int]:
    """Return (visible text of at most `most` characters, how many characters are left out)."""
    text = str(value)
    return visible(text[:most]), max(0, len(text) - most)


def shown(value: object, most: int = 2000) -> str:
    """Return visible text that says at its end how much is left out."""
    text, left = cut(value, most)
    return f"{text} … {left:,} more characters" if left else text


def text_table(
    rows: Iterable[Mapping[str, Any] | Sequence[Any]],
    columns: Sequence[str],
    width: int | None = None,
) -> str:
    """Return rows as a plain table that fits the terminal; long cells are wrapped.

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
    """Return the columns that text takes in a terminal: CJK characters take two."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if unicodedata.combining(char) or char in "\u200c\u200d\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def wrapped(text: str, width: int) -> list[str]:
    """Return text in lines of at most `width` columns, broken at spaces where there are any."""
    lines = []
    for part in text.splitlines() or [""]:
        short = textwrap.wrap(part, width, break_on_hyphens=False) or [""]
        lines += [piece for line in short for piece in _split(line, width)]
    return lines


def _split(line: str, width: int) -> list[str]:
    if display_width(line) <= width:
        return [line]
    pieces, piece, used = [], "", 0
    for char in line:
        wide = _char_width(char)
        if piece and used + wide > width:
            pieces.append(piece)
            piece, used = "", 0
        piece, used = piece + char, used + wide
    return [*pieces, piece]


def _values(row: Mapping[str, Any] | Sequence[Any], columns: Sequence[str]) -> list[Any]:
    return [row.get(c) for c in columns] if isinstance(row, Mapping) else list(row)


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN, too, is nothing to read
        return ""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (list, tuple)):
        return shown(", ".join(map(str, value)), 500)
    return shown(value, 500)


def _fit(widths: list[int], least: list[int], room: int) -> list[int]:
    """Return the widths, the widest columns made narrower until all fit."""
    widths = list(widths)
    while sum(widths) > room:
        place = max(range(len(widths)), key=lambda i: widths[i] - least[i])
        if widths[place] <= max(least[place], 4):
            break
        widths[place] -= 1
    return widths


def _lines(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    columns = [wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
    height = max(map(len, columns), default=1)
    return [
        _GAP.join(
            (column[i] if i < len(column) else "")
            + " " * (width - display_width(column[i] if i < len(column) else ""))
            for column, width in zip(columns, widths, strict=True)
        )
        for i in range(height)
    ]
