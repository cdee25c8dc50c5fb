"""The history's table of tasks in a home folder, as tests open it beside a session."""

from __future__ import annotations

from pathlib import Path

from imgopen_nb.database.database import Database
from imgopen_nb.database.task_table import TaskTable


def open_table(home: Path) -> TaskTable:
    return TaskTable(Database(home))


def put_thumbnail(table: TaskTable, image: str, jpeg: bytes = b"x") -> None:
    """Keep a small version of an image, as a card does."""
    sql = "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, 192, 192, 192, 192, 1.0)"
    table.database.run(sql, (image, jpeg))


def has_thumbnail(table: TaskTable, image: str, jpeg: bytes | None = None) -> bool:
    """Whether a small version of an image is kept: any, or just this one."""
    rows = table.database.read("SELECT jpeg FROM thumbnails WHERE image = ?", (image,), ("jpeg",))
    return bool(rows) and jpeg in (None, rows[0]["jpeg"])
