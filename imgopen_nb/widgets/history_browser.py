"""The history as a live table; each task can be opened, run again, or copied as code."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from ..catalogue.status import State
from ..display.rendering import render
from ..errors import ImgOpenError
from ..history.table import history_bundle
from ..session import Session
from ..syntax.snippets import repeat_line, settable
from ..tasks.cards import task_bundle
from ..text import short_path
from . import script, style
from .forms.form import Form
from .static_fallback import NotebookWidget

SHOWN = 100
SMALL = 96  # pixels of the long side of an image
MOST_TEXT = 200


class HistoryTable(anywidget.AnyWidget):
    """The rows in the browser, which polls the kernel while the table is visible.

    Attributes:
        rows: the newest first, as plain values.
        now: the kernel's clock when the rows were read, in seconds since the epoch.
    """

    _esm = script("history")
    _css = style("history")
    rows: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    now = traitlets.Float(0.0).tag(sync=True)


class HistoryBrowser(NotebookWidget):
    """A table of the newest tasks, and below it the one that was opened.

    Attributes:
        table: the table.
        opened: the id of the task that was opened last, "" at first.
        form: the form of the task that was run again last, None at first.
        widget: the table and what is below it.
    """

    def __init__(self, session: Session | None = None) -> None:
        super().__init__(session)
        self.opened = ""
        self.form: Form | None = None
        self._addresses: dict[str, str] = {}
        self.table = HistoryTable()
        self._below = widgets.VBox()
        self.widget = widgets.VBox([self.table, self._below])
        self._actions = {"open": self.open, "again": self.again}
        self.table.on_msg(lambda _, content, buffers: self._receive(content))
        self.read()

    def read(self) -> None:
        """Read the newest rows; the browser gets them only if something has changed."""
        found = self.session.rows(limit=SHOWN)
        self._addresses = {
            row["task_id"]: (row["image_urls"] or [row["image"] or ""])[0] for row in found
        }
        rows = [self._row(row) for row in reversed(found)]
        if rows != self.table.rows:
            with self.table.hold_sync():
                self.table.rows, self.table.now = rows, time.time()
            self.refresh()

    def open(self, task_id: str) -> None:
        """Show a task below the table."""
        html = task_bundle(self.session.task(task_id))["text/html"]
        self.opened = task_id
        self._below.children = [widgets.HTML(html)]

    def again(self, task_id: str) -> None:
        """Open the form of a task below the table, filled in with its parameters."""
        task = self.session.task(task_id)
        values = settable(task.operation, task.params)
        self.form = Form(task.operation, self._given_session, values)
        self._below.children = [self.form.widget]

    def static_html(self) -> str:
        """Return the newest rows as a static table."""
        return str(history_bundle(self.session.rows(limit=SHOWN))["text/html"])

    def __repr__(self) -> str:
        return "%imgopen browse"

    def _receive(self, content: Any) -> None:
        """Handle a message from the browser; one of any other shape is ignored."""
        kind = content.get("kind") if isinstance(content, dict) else None
        task_id = content.get("task") if kind else None
        if kind == "news":
            self.read()
            self.table.send({"kind": "read"})
        elif kind == "looks" and isinstance(content.get("tasks"), list):
            wanted = [each for each in content["tasks"][:SHOWN] if isinstance(each, str)]
            threading.Thread(target=self._send_looks, args=[wanted], daemon=True).start()
        elif kind in self._actions and isinstance(task_id, str):
            try:
                self._actions[kind](task_id)
            except ImgOpenError as error:
                html = render("formerror.html", message=error.message, hint=error.hint)
                self._below.children = [widgets.HTML(html)]

    def _send_looks(self, tasks: list[str]) -> None:
        """Send a small image of each task, in a thread, as reading one may take time."""
        for task in tasks:
            address = self._addresses.get(task)
            with contextlib.suppress(ImgOpenError, OSError):
                found = self.session.thumbnail(address, SMALL) if address else None
                if found is not None:
                    self.table.send({"kind": "look", "task": task}, [found.jpeg])

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        said = row["caption"] or row["error"] or ""
        return {
            "task": row["task_id"],
            "operation": row["operation"],
            "model": row["model"] or "",
            "image": short_path(row["image"] or "")[:MOST_TEXT],
            "status": row["status"],
            "open": _is_open(row),
            "progress": self._progress(row),
            "submitted": row["submitted"],
            "finished": row["finished"],
            "said": said[:MOST_TEXT],
            "line": repeat_line(row["operation"], row["params"]),
        }

    def _progress(self, row: Mapping[str, Any]) -> float | None:
        return self.session.task(row["task_id"]).progress if _is_open(row) else None


def _is_open(row: Mapping[str, Any]) -> bool:
    return not State(row["status"]).final


def browse(session: Session | None = None) -> HistoryBrowser:
    """Return the history as a live table, to be shown as the last expression of a cell.

    Args:
        session: whose history; the current session's if not given.
    """
    return HistoryBrowser(session)
