"""Values to what a notebook shows: text/plain, text/html and a small JSON that survives on saving.

Everything that comes from elsewhere is escaped by Jinja2; nothing is ever passed to
`IPython.display.HTML`, which reads files and URLs. Loads neither pandas nor Pillow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .cards import result_text, result_view, task_view
from .panels import comparison_text, comparison_view, headline, history_text, history_view
from .records import MIME, record
from .rendering import render
from .tables import text_table
from .text import shown

if TYPE_CHECKING:
    import pandas as pd

    from .comparison import Comparison
    from .result import Result
    from .task import Task

__all__ = [
    "HistoryView",
    "comparison_bundle",
    "history_bundle",
    "report",
    "result_bundle",
    "task_bundle",
    "text_table",
]

Bundle = dict[str, Any]


def result_bundle(result: Result) -> Bundle:
    """Return what a notebook shows of a result."""
    return {
        "text/plain": result_text(result),
        "text/html": render("result.html", **result_view(result)),
        MIME: record([result]),
    }


def task_bundle(task: Task) -> Bundle:
    """Return what a notebook shows of a task: its result, or where it stands and what to do."""
    result = task.result_or_none
    if result is not None:
        return result_bundle(result)
    view = task_view(task)
    said = [f"{view['operation']}: {view['state']}", view["message"], view["advice"]]
    row = {name: getattr(task, name, None) for name in ("server_id", "image", "params", "backend")}
    row |= {"task_id": task.id, "operation": view["operation"], "model": task.params.get("model")}
    row |= {"status": view["state"], "error": view["message"]}
    return {
        "text/plain": "\n  ".join(shown(s) for s in (*said, " · ".join(view["facts"])) if s),
        "text/html": render("task.html", **view),
        MIME: record([row]),
    }


def comparison_bundle(comparison: Comparison) -> Bundle:
    """Return what a notebook shows of a comparison: at most 1.5 MB, however many pictures."""
    return {
        "text/plain": comparison_text(comparison),
        "text/html": render("comparison.html", **comparison_view(comparison)),
        MIME: record(
            _with_operation(said) for row in comparison.rows for said in row.said.values()
        ),
    }


def history_bundle(rows: Iterable[Mapping[str, Any]]) -> Bundle:
    """Return what a notebook shows of journal rows: the newest 50, newest first."""
    rows = list(rows)
    return {
        "text/plain": history_text(rows),
        "text/html": render("history.html", **history_view(rows)),
        MIME: record(rows[:-51:-1]),
    }


def report(comparison: Comparison, title: str = "") -> str:
    """Return a comparison as a complete HTML page that needs nothing else."""
    return render("report.html", title=title or headline(comparison), **comparison_view(comparison))


class HistoryView:
    """Journal rows that show as a table; `frame` is the DataFrame of them all."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.rows = list(rows)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The history as `session.history()` returns it."""
        from .frames import history_frame

        return history_frame(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return history_text(self.rows)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        return history_bundle(self.rows)


def _with_operation(said: Any) -> dict[str, Any]:
    names = ("task_id", "model", "image", "caption", "tags", "status", "error", "backend", "engine")
    tags = [{"name": name, "score": score} for name, score in said.tags]
    known = {name: getattr(said, name) for name in names}
    return {**known, "operation": "describe", "seconds": said.seconds, "tags": tags}
