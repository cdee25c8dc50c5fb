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
journal = TaskTable(Database(Path(sys.argv[1])))
for i in range(100):
    task_id = f"{sys.argv[2]}-{i}"
    journal.add({"task_id": task_id, "operation": "describe", "params": {}, "status": "created",
                 "created": float(i), "backend": "real"})
    journal.update(task_id, status="succeeded", caption="é")
"""


def row(task_id: str, **more: Any) -> dict[str, Any]:
    base = {"operation": "describe", "params": {"a": [1]}, "status": "created", "backend": "real"}
    return {"task_id": task_id, "created": time.time(), **base, **more}


@pytest.fixture
def journal(tmp_path: Path) -> TaskTable:
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


def test_only_the_user_can_read_it(journal: TaskTable):
    journal.add(row("t1"))

    assert journal.database.path.stat().st_mode & 0o777 == 0o600
    assert journal.database.path.parent.stat().st_mode & 0o777 == 0o700


def test_values_come_back_as_they_went_in(journal: TaskTable):
    tags = [{"name": "猫", "score": 0.5}]
    journal.add(row("t1", tags=tags, image="a'b\";--", submitted=1.5, data={"x": {"y": None}}))

    (read,) = journal.rows(columns=COLUMNS)
    assert (read["tags"], read["params"], read["submitted"]) == (tags, {"a": [1]}, 1.5)
    assert (read["image"], read["data"]) == ("a'b\";--", {"x": {"y": None}})


def test_the_first_end_wins(journal: TaskTable):
    journal.add(row("t1"))
    journal.update("t1", status="succeeded", caption="first")
    journal.update("t1", status="failed", caption="second")

    assert journal.get("t1")["caption"] == "first"


def test_a_beginning_that_fits_several_tasks_is_not_guessed(journal: TaskTable):
    journal.add(row("nb-100"))
    journal.add(row("nb-101"))

    with pytest.raises(UnknownNameError, match="give more of its id"):
        journal.get("nb-1")
    with pytest.raises(UnknownNameError):
        journal.get("n%_-")


def test_a_file_of_a_newer_version_is_left_alone(journal: TaskTable):
    journal.add(row("t1"))
    journal.database.close()
    with sqlite3.connect(journal.database.path) as db:
        db.execute("PRAGMA user_version = 99")

    with pytest.raises(JournalError, match="newer imgopen_nb"):
        journal.rows()


@pytest.mark.parametrize("content", [b"not a database at all " * 100, os.urandom(4096)])
def test_a_file_that_is_no_database_is_told(journal: TaskTable, content: bytes):
    journal.database.path.parent.mkdir()
    journal.database.path.write_bytes(content)

    with pytest.raises(JournalError, match="move the file away"):
        journal.add(row("t1"))


def test_a_file_locked_by_another_program_is_told(
    journal: TaskTable, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT", 0.2)
    journal.add(row("t1"))
    other = sqlite3.connect(journal.database.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    journal.database.close()

    with pytest.raises(JournalError, match="another program holds it"):
        journal.add(row("t2"))
    other.execute("ROLLBACK")
    journal.add(row("t2"))


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(JournalError, match="IMGOPEN_HOME"):
        open_table(tmp_path / "file" / "home").rows()


def test_a_forked_process_opens_its_own_connection(journal: TaskTable):
    journal.add(row("parent"))
    child = os.fork()
    if child == 0:
        journal.add(row("child"))
        os._exit(0)

    assert os.waitpid(child, 0)[1] == 0
    assert [r["task_id"] for r in journal.rows()] == ["parent", "child"]
