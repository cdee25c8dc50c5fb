"""The history file: shared by several processes, migrated once, and clear about its troubles."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from imgopen_nb.database import database as database_module
from imgopen_nb.database.task_table import COLUMNS, TaskTable
from imgopen_nb.errors import JournalError, UnknownNameError

from ..tables import open_table

WRITER = """
import sys
from pathlib import Path
from imgopen_nb.database.database import Database
from imgopen_nb.database.task_table import TaskTable
table = TaskTable(Database(Path(sys.argv[1])))
for i in range(100):
    task_id = f"{sys.argv[2]}-{i}"
    table.add({"task_id": task_id, "operation": "describe", "params": {}, "status": "created",
                 "created": float(i), "backend": "real"})
    table.update(task_id, status="succeeded", caption="é")
"""


def row(task_id: str, **more: Any) -> dict[str, Any]:
    base = {"operation": "describe", "params": {"a": [1]}, "status": "created", "backend": "real"}
    return {"task_id": task_id, "created": time.time(), **base, **more}


@pytest.fixture
def table(tmp_path: Path) -> TaskTable:
    return open_table(tmp_path / "home")


def test_several_processes_write_to_one_new_file_at_once(tmp_path: Path):
    """Four processes race for the first migration and write 400 rows; none is lost."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    running = [subprocess.Popen([*command, name]) for name in "abcd"]

    assert [process.wait(120) for process in running] == [0, 0, 0, 0]
    rows = open_table(tmp_path).rows()
    assert len(rows) == 400
    assert {r["status"] for r in rows} == {"succeeded"}


def test_a_kill_between_two_writes_loses_nothing_that_was_written(tmp_path: Path):
    code = WRITER + "\nimport os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path), "k"], check=False)

    assert len(open_table(tmp_path).rows()) == 100


def test_only_the_user_can_read_it(table: TaskTable):
    table.add(row("t1"))

    assert table.database.path.stat().st_mode & 0o777 == 0o600
    assert table.database.path.parent.stat().st_mode & 0o777 == 0o700


def test_values_come_back_as_they_went_in(table: TaskTable):
    tags = [{"name": "猫", "score": 0.5}]
    table.add(row("t1", tags=tags, image="a'b\";--", submitted=1.5, data={"x": {"y": None}}))

    (read,) = table.rows(columns=COLUMNS)
    assert (read["tags"], read["params"], read["submitted"]) == (tags, {"a": [1]}, 1.5)
    assert (read["image"], read["data"]) == ("a'b\";--", {"x": {"y": None}})


def test_the_first_end_wins(table: TaskTable):
    table.add(row("t1"))
    table.update("t1", status="succeeded", caption="first")
    table.update("t1", status="failed", caption="second")

    assert table.get("t1")["caption"] == "first"


def test_a_beginning_that_fits_several_tasks_is_not_guessed(table: TaskTable):
    table.add(row("nb-100"))
    table.add(row("nb-101"))

    with pytest.raises(UnknownNameError, match="use more of its id"):
        table.get("nb-1")
    with pytest.raises(UnknownNameError):
        table.get("n%_-")


def test_a_file_of_a_newer_version_is_left_alone(table: TaskTable):
    table.add(row("t1"))
    table.database.close()
    with sqlite3.connect(table.database.path) as db:
        db.execute("PRAGMA user_version = 99")

    with pytest.raises(JournalError, match="newer imgopen_nb"):
        table.rows()


@pytest.mark.parametrize("content", [b"not a database at all " * 100, os.urandom(4096)])
def test_a_file_that_is_not_a_database_is_reported(table: TaskTable, content: bytes):
    table.database.path.parent.mkdir()
    table.database.path.write_bytes(content)

    with pytest.raises(JournalError, match="move the file away"):
        table.add(row("t1"))


def test_a_file_locked_by_another_program_is_reported(
    table: TaskTable, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT", 0.2)
    table.add(row("t1"))
    other = sqlite3.connect(table.database.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    table.database.close()

    with pytest.raises(JournalError, match="another program is using it"):
        table.add(row("t2"))
    other.execute("ROLLBACK")
    table.add(row("t2"))


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(JournalError, match="IMGOPEN_HOME"):
        open_table(tmp_path / "file" / "home").rows()


def test_a_forked_process_opens_its_own_connection(table: TaskTable):
    table.add(row("parent"))
    child = os.fork()
    if child == 0:
        table.add(row("child"))
        os._exit(0)

    assert os.waitpid(child, 0)[1] == 0
    assert [r["task_id"] for r in table.rows()] == ["parent", "child"]
