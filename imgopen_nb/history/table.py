"""The history as a notebook and a terminal show it: the newest tasks first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..display.parts import Bundle, seconds
from ..display.record import MIME, name_and_score, record
from ..display.rendering import render
from ..display.tables import text_table
from ..text import short_path

if TYPE_CHECKING:
    import pandas as pd

MAX_TASKS = 50
NOTHING = "The history is empty."
SYMBOLS = {"succeeded": "✓", "failed": "✗", "refused": "✗"}


def history_view(rows: Sequence[Mapping[str, Any]], nothing: str = NOTHING) -> dict[str, Any]:
    """Return the values for history.html; `nothing` is said if there are no rows."""
    tasks = [_task(row) for row in _newest(rows)]
    return {"more": len(rows) - len(tasks), "tasks": tasks, "nothing": nothing}


def history_text(
    rows: Sequence[Mapping[str, Any]], width: int | None = None, nothing: str = NOTHING
) -> str:
    """Return a history for terminals: the newest tasks first."""
    if not rows:
        return nothing
    newest = [_task(row) for row in _newest(rows)]
    for task in newest:
        task["status"] += ", imported" * task["imported"]
    columns = ["when", "operation", "model", "image", "result", "status", "time", "task"]
    table = text_table(newest, columns, width)
    more = len(rows) - len(newest)
    return f"{table}\n… {more} older tasks" if more else table


def _newest(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return rows[: -MAX_TASKS - 1 : -1]


def _task(row: Mapping[str, Any]) -> dict[str, Any]:
    status = str(row.get("status") or "")
    taken = row.get("seconds")
    if taken is None and row.get("submitted") and row.get("finished"):
        taken = row["finished"] - row["submitted"]
    return {
        "when": _when(row.get("submitted")),
        "operation": row.get("operation") or "",
        "model": row.get("model") or "",
        "image": short_path(row.get("image") or ""),
        "result": _outcome(row),
        "status": status,
        "time": seconds(taken),
        "task": row.get("task_id") or "",
        "symbol": SYMBOLS.get(status, "…"),
        "sandbox": row.get("backend") == "sandbox",
        "imported": bool(row.get("imported")),
    }


def _outcome(row: Mapping[str, Any]) -> str:
    for name in ("error", "caption"):
        if row.get(name):
            return str(row[name])
    if row.get("tags"):
        return ", ".join(str(name_and_score(tag)[0]) for tag in row["tags"])
    count = len(row.get("image_urls") or ())
    return f"{count} image{'s' * (count > 1)}" if count else ""


def _when(moment: float | None) -> str:
    try:
        there = datetime.fromtimestamp(moment or math.nan).astimezone()
    except (ValueError, OverflowError, OSError):  # nothing, or not in a year that exists
        return ""
    today = there.date() == datetime.now().astimezone().date()
    return there.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M")


def history_bundle(rows: Iterable[Mapping[str, Any]], nothing: str = NOTHING) -> Bundle:
    """Return what a notebook shows of history rows: the newest 50, newest first."""
    rows = list(rows)
    return {
        "text/plain": history_text(rows, nothing=nothing),
        "text/html": render("history.html", **history_view(rows, nothing)),
        MIME: record(_newest(rows)),
    }


class HistoryView:
    """History rows that are shown as a table.

    Args:
        rows: the rows, oldest first.
        nothing: what is shown if there are none.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], nothing: str = NOTHING) -> None:
        self.rows = list(rows)
        self.nothing = nothing

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All rows as a DataFrame, like that of `session.history()`."""
        from .frame import history_frame

        return history_frame(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return history_text(self.rows, nothing=self.nothing)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        return history_bundle(self.rows, self.nothing)
