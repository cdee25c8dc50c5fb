"""A small table that shows itself in notebooks and terminals: lists of operations and settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .plaintext import text_table
from .rendering import render


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
