"""The history at scale and at its edges: filters, frames, old files, pruning and the verbs."""

from __future__ import annotations

import itertools
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgopen_nb.commands.command import Invocation
from imgopen_nb.commands.history import COMMANDS
from imgopen_nb.database.migrations import MIGRATIONS
from imgopen_nb.database.task_table import TaskTable
from imgopen_nb.errors import ImgOpenError, JournalError, ParameterError, UnknownNameError
from imgopen_nb.history import arrow
from imgopen_nb.history import history as history_module
from imgopen_nb.history.frame import history_frame
from imgopen_nb.history.history import History

from ..conftest import often
from ..tables import has_thumbnail, open_table, put_thumbnail

OLD = Path(__file__).parents[1] / "data" / "journals"
NAMES = {"operation": ("describe", "flux"), "model": (None, "clip", "deepdanbooru"),
         "status": ("succeeded", "failed", "running"), "backend": ("real", "sandbox")}  # fmt: skip


def row(task_id: str, **more: Any) -> dict[str, Any]:
    base = {"operation": "describe", "params": {"image": "a.png", "model": "clip"}}
    return {"task_id": task_id, "created": 1.0, "status": "succeeded", "backend": "real",
            **base, **more}  # fmt: skip


@pytest.fixture
def journal(tmp_path: Path) -> TaskTable:
    return open_table(tmp_path / "home")


@pytest.fixture
def history(journal: TaskTable) -> History:
    return History(journal, list)


def fill(journal: TaskTable, rows: list[dict[str, Any]]) -> None:
    with journal.database.transaction():
        for each in rows:
            journal.add(each)


class TestFilters:
    def test_every_combination_finds_what_a_plain_look_at_all_rows_finds(
        self, journal: TaskTable, history: History
    ):
        """Moments come several times, so that the order of writing decides too."""
        chosen = random.Random(7)
        kinds = [{n: chosen.choice(v) for n, v in NAMES.items()} for _ in range(300)]
        fill(journal, [row(f"t{i}", created=float(i // 3 % 70), **k) for i, k in enumerate(kinds)])
        names = ("task_id", "created", *NAMES)
        every = history.rows(columns=names)
        assert [r["created"] for r in every] == sorted(r["created"] for r in every)

        statuses = (None, "failed", ("succeeded", "running"))
        others = [(None, *(v for v in NAMES[n] if v)) for n in ("operation", "model", "backend")]
        for *wanted, status, since, limit in itertools.product(
            *others, statuses, (None, 30.0), (None, 0, 7)
        ):
            asked = dict(zip(("operation", "model", "backend"), wanted, strict=True))
            allowed = (status,) if isinstance(status, str) else status
            plain = [
                r
                for r in every
                if all(v is None or r[n] == v for n, v in asked.items())
                and (allowed is None or r["status"] in allowed)
                and (since is None or r["created"] >= since)
            ]
            filters = {**asked, "status": status, "since": since}
            found = history.rows(columns=names, limit=limit, **filters)
            assert found == (
                plain if limit is None else plain[len(plain) - min(limit, len(plain)) :]
            )
            assert history.count(**filters) == len(plain)

    @pytest.mark.parametrize(
        ("filters", "said"),
        [({"since": "soon"}, "since='soon' is not a time"), ({"limit": "many"}, "whole number"),
         ({"limit": -1}, "whole number"), ({"colour": "red"}, "not a filter"),
         ({"operation": "discribe"}, "describe")],
    )  # fmt: skip
    def test_a_slip_is_told(self, history: History, filters: dict[str, Any], said: str):
        with pytest.raises(ImgOpenError, match=said):
            history.rows(**filters)

    def test_an_empty_history_has_all_columns(self, history: History):
        assert (len(history()), list(history().columns)[:2]) == (0, ["task_id", "server_id"])
        assert (len(history), bool(history), history.rows()) == (0, True, [])
        assert repr(history).startswith("History(0 tasks")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
TEXT = st.none() | st.text(st.characters(codec="utf-8"), max_size=20)
SCORES = st.none() | st.floats() | st.integers()
TAGS = st.none() | st.lists(
    TEXT | st.fixed_dictionaries({"name": TEXT, "score": SCORES}), max_size=4
)
PARAMS = st.dictionaries(st.sampled_from(["image", "model", 'a"b', "é"]), JSON, max_size=3)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"params": PARAMS | st.just({"image": "a.png", "model": "clip"}), "tags": TAGS,
         "image_urls": st.none() | st.lists(st.text(st.characters(codec="utf-8"), max_size=5)),
         "model": TEXT, "caption": TEXT, "engine": TEXT, "error": TEXT,
         "created": st.floats(0, 10), "submitted": st.none() | st.floats(allow_nan=False),
         "finished": st.none() | st.floats(0, 2e9), "seconds": st.none() | st.floats(0, 9),
         "queries": st.integers(0, 2**62), "attempts": st.integers(0, 9)}
    ),
    max_size=12,
)  # fmt: skip


def both(journal: TaskTable, rows: list[dict[str, Any]]) -> None:
    """Read with both readers and compare."""
    fill(journal, [row(f"t{i}", **each) for i, each in enumerate(rows)])
    history = History(journal, list)
    plain = history_frame(history.rows())
    last = journal.database.read("SELECT coalesce(max(rowid), 0) FROM tasks", (), ("last",))[0][
        "last"
    ]
    fast = arrow.read(journal.database.path, last, {})
    pd.testing.assert_frame_equal(fast, plain)
    for name in ("params", "tags", "image_urls"):
        assert list(map(repr, fast[name])) == list(map(repr, plain[name]))  # also NaN, 1 or 1.0
        values = [value for value in fast[name] if value is not None]
        assert len(set(map(id, values))) == len(values)


@pytest.mark.skipif(not arrow.available(), reason="needs the extra `fast`")
class TestColumns:
    @pytest.mark.parametrize(
        "wanted", [["tags", "task_id"], ["seconds"], ("params", "submitted"), "error", []]
    )
    def test_only_those_asked_for_are_there_in_their_order(
        self, journal: TaskTable, history: History, wanted: Any
    ):
        fill(journal, [row("a", created=1, submitted=2, finished=4), row("b", error="no face")])
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        whole = history()
        expected = whole[names or list(whole.columns)]
        newest = expected.tail(1).reset_index(drop=True)

        pd.testing.assert_frame_equal(history(columns=wanted), expected)
        pd.testing.assert_frame_equal(history(columns=wanted, limit=1), newest)

    def test_a_column_that_does_not_exist_is_told_with_its_neighbour(self, history: History):
        with pytest.raises(UnknownNameError, match="captoin") as told:
            history(columns=["captoin"])
        assert "caption" in str(told.value)


class TestTheFastReader:
    @pytest.mark.parametrize("count", [0, 1, 2, 9, 1000])
    def test_usual_rows_are_the_same(self, journal: TaskTable, count: int):
        tags = [{"name": "猫", "score": 0.5}, {"name": "a b", "score": None}]
        both(journal, [{"created": float(-i), "tags": tags if i % 3 else None,
                        "params": {"image": f"é{i}.png", "model": "clip"}, "image_urls": []}
                       for i in range(count)])  # fmt: skip

    def test_odd_rows_are_the_same(self, journal: TaskTable):
        odd: list[Any] = [
            {},
            {"image": ["a", "b"]},
            {"prompt": "x", "seed": 10**30},
            {"a": {"b": []}},
            {"image": 'say "hi"\n\\', "model": "clip"},
            {"image": "\x00", "image2": "🐻"},
        ]
        params = [{"image": str(i), "size": [1]} for i in range(9)]
        both(journal, [{"params": each} for each in (*odd, *params)])

    @settings(max_examples=often(12, 300), deadline=None)
    @given(rows=ROWS)
    def test_any_rows_are_the_same(self, tmp_path_factory: Any, rows: list[dict[str, Any]]):
        both(open_table(tmp_path_factory.mktemp("any")), rows)

    @pytest.mark.parametrize(
        "filters",
        [{"model": "it's ?"}, {"model": "it's ?", "status": ("failed", "succeeded"), "since": 3.5},
         {"operation": "' OR 1 --"}],
    )  # fmt: skip
    def test_filters_are_the_same(
        self, journal: TaskTable, history: History, monkeypatch: pytest.MonkeyPatch,
        filters: dict[str, Any],
    ):  # fmt: skip
        fill(journal, [row(f"t{i}", model=("it's ?", "b")[i % 2], created=i) for i in range(9)])
        plain = history_frame(journal.rows(**filters))
        path, wanted = journal.database.path, ["seconds", "tags", "task_id"]
        pd.testing.assert_frame_equal(arrow.read(path, 9, filters), plain)
        pd.testing.assert_frame_equal(arrow.read(path, 9, filters, wanted), plain[wanted])

    def test_a_column_without_a_value_in_the_first_ten_thousands_is_read(self, journal: TaskTable):
        """ADBC guesses the type of a column from what comes first."""
        fill(journal, [row(f"t{i}", error="late" if i == 69_999 else None) for i in range(70_000)])

        found = arrow.read(journal.database.path, 70_000, {})
        assert (found["error"].notna().sum(), found["error"].iloc[-1]) == (1, "late")

    def test_it_is_used_for_large_histories_only(
        self, journal: TaskTable, history: History, monkeypatch: pytest.MonkeyPatch
    ):
        used: list[Any] = []
        monkeypatch.setattr(history_module, "LARGE", 3)
        monkeypatch.setattr(
            arrow, "read", lambda path, last, filters, _: used.append(filters) or history_frame([])
        )
        fill(journal, [row("a"), row("b")])
        history()
        assert used == []
        fill(journal, [row("c", status="failed"), row("d")])
        history()
        history(status="failed")
        history(limit=2)
        assert len(used) == 1

    def test_trouble_in_it_gives_the_plain_frame(
        self, journal: TaskTable, history: History, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ):
        fill(journal, [row("a"), row("b", model="clip")])
        plain = history()
        monkeypatch.setattr(history_module, "LARGE", 1)
        for broken in ("import sys; sys.exit(3)", "print('no arrow')", "import not_there"):
            (tmp_path / "reader.py").write_text(broken)
            monkeypatch.setattr(arrow, "_READER", tmp_path / "reader.py")
            pd.testing.assert_frame_equal(history(), plain)
            pd.testing.assert_frame_equal(history(limit=1), plain.tail(1).reset_index(drop=True))

    def test_other_programs_see_what_is_written_after_it(self, journal: TaskTable):
        """A second SQLite library in this process would have taken the file's WAL away."""
        fill(journal, [row("a")])
        arrow.read(journal.database.path, 1, {})
        journal.add(row("b"))

        code = f"import sqlite3; d = sqlite3.connect({str(journal.database.path)!r}); "
        code += "print(d.execute('SELECT count(*) FROM tasks').fetchone()[0])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.strip() == "2"
        assert "adbc_driver_sqlite" not in sys.modules


class TestPruning:
    def filled(self, journal: TaskTable) -> None:
        old = {"created": 10.0, "finished": 20.0}
        fill(journal, [
            row("old", **old, image="old.png", params={"image": "old.png"}),
            row("old2", **old, image="shared.png", image_urls=["https://x/1.png"]),
            row("late", created=10.0, finished=2e9, image="shared.png"),
            row("pair", created=10.0, params={"face": "face.png"}, status="running"),
            row("old3", **old, image="face.png"),
            row("old4", **old, image="edited.png"),
            row("new", created=2e9, finished=2e9),
        ])  # fmt: skip
        for name in ("old.png", "shared.png", "face.png", "edited.png", "https://x/1.png", "z"):
            put_thumbnail(journal, name)
        journal.database.run(
            "INSERT INTO edits (image, caption, origin, kind, source, created) "
            "VALUES ('edited.png', 'mine', '{}', 'edited', 'human', 1)",
            (),
        )
        journal.add_event("old", "told", "")
        journal.add_event("late", "told", "")

    def test_ended_tasks_go_with_their_events_and_pictures(
        self, journal: TaskTable, history: History
    ):
        self.filled(journal)

        assert history.prune("2020-01-01", dry_run=True) == 4
        assert len(history) == 7
        assert history.prune("2020-01-01") == 4
        assert [r["task_id"] for r in history.rows()] == ["late", "pair", "new"]
        smalls = journal.database.read(
            "SELECT image FROM thumbnails ORDER BY image", (), ("image",)
        )
        assert [s["image"] for s in smalls] == ["edited.png", "face.png", "shared.png", "z"]
        assert journal.events("old") == []
        assert [e["state"] for e in journal.events("late")] == ["told"]
        assert journal.database.read("SELECT caption FROM edits", (), ("caption",)) == [
            {"caption": "mine"}
        ]
        assert history.prune("2020-01-01") == 0

    @pytest.mark.parametrize("before", ["soon", None, object()])
    def test_a_moment_that_is_none_deletes_nothing(
        self, journal: TaskTable, history: History, before: Any
    ):
        self.filled(journal)
        with pytest.raises(ParameterError, match="before"):
            history.prune(before)
        assert len(history) == 7

    def test_vacuum_gives_the_space_back(self, journal: TaskTable, history: History):
        fill(journal, [row(f"t{i}", caption="c" * 2000, finished=1.0) for i in range(500)])
        history.prune("2020-01-01")

        before, after = history.vacuum()
        assert before > 500_000 > 200_000 > after
        assert journal.database.path.stat().st_size == after

    def test_vacuum_tells_of_another_program(
        self, journal: TaskTable, history: History, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("imgopen_nb.database.database.BUSY_TIMEOUT", 0.1)
        fill(journal, [row("a")])
        other = sqlite3.connect(journal.database.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(JournalError, match="another program is using it"):
            history.vacuum()
        other.close()

    def test_events_are_the_life_of_a_task(self, journal: TaskTable, history: History):
        journal.add(row("nb-task", status="created"))
        journal.update("nb-task", status="failed", error="no face")

        found = history.events("nb-t")
        assert found["state"].tolist() == ["created", "failed"]
        assert found["detail"].tolist()[1] == "no face"
        assert abs(found["at"].iloc[0].timestamp() - time.time()) < 100
        with pytest.raises(UnknownNameError):
            history.events("other")


class TestCommands:
    def said(self, history: History, name: str, *words: str) -> str:
        command = next(command for command in COMMANDS if command.name == name)
        session: Any = SimpleNamespace(history=history)
        options = command.parser("imgopen ").read(words)
        return str(command.run(Invocation(options, None, lambda: session, "imgopen ")))

    def test_export_and_import(self, journal: TaskTable, history: History, tmp_path: Path):
        fill(journal, [row("a"), row("b", status="failed"), row("c", status="running")])
        file = str(tmp_path / "out.jsonl")

        assert "out.jsonl: " in self.said(history, "export", file, "--limit", "2")
        said = self.said(History(open_table(tmp_path / "new"), list), "import", file)
        assert said == "1 task imported; 1 are unfinished and were left out"

    def test_prune_asks_for_yes(self, journal: TaskTable, history: History):
        fill(journal, [row("a", finished=5.0)])

        for words in ([], ["--dry-run"], ["--dry-run", "--yes"]):
            said = self.said(history, "prune", "--before", "90d", *words)
            assert "1 finished task before 90d would be deleted" in said
        assert len(history) == 1
        assert "deleted; imgopen vacuum" in self.said(history, "prune", "--before", "90d", "--yes")
        assert len(history) == 0
        assert "bytes and now has" in self.said(history, "vacuum")

    @pytest.mark.parametrize(
        ("words", "said"),
        [(["prune"], "needs --before"), (["prune", "--before", "x", "--yes"], "not a time"),
         (["export", "h.txt"], "parquet"), (["export", "/nowhere/h.csv"], "cannot be written"),
         (["export", "h.csv", "--limit", "x"], "whole number"), (["import", "h.csv"], "jsonl"),
         (["import", "/nowhere/h.jsonl"], "there is no file")],
    )  # fmt: skip
    def test_a_slip_is_one_sentence(
        self, journal: TaskTable, history: History, words: list[str], said: str
    ):
        fill(journal, [row("a")])
        with pytest.raises(ImgOpenError, match=said):
            self.said(history, *words)
        assert len(history) == 1

    def test_all_are_rows_with_help(self):
        for command in COMMANDS:
            assert command.name in command.parser().format_help()


def before(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read a file with nothing of ours."""
    with sqlite3.connect(path) as db:
        db.row_factory = sqlite3.Row
        tables = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        known = [
            name for name in tables if name in ("tasks", "thumbnails", "edits", "events", "inbox")
        ]
        return {name: [dict(r) for r in db.execute(f"SELECT * FROM {name}")] for name in known}


@pytest.mark.parametrize("name", ["m1", "m2", "m3"])
class TestOldFiles:
    @pytest.fixture
    def home(self, tmp_path: Path, name: str) -> Path:
        shutil.copy(OLD / f"{name}.sqlite", tmp_path / "imgopen.sqlite")
        return tmp_path

    def same(self, home: Path, name: str) -> None:
        old, new = before(OLD / f"{name}.sqlite"), before(home / "imgopen.sqlite")
        assert len(old["tasks"]) == 9
        for table, rows in old.items():
            assert [{n: r[n] for n in rows[0]} for r in new[table]] == rows

    def test_everything_is_still_there(self, home: Path, name: str):
        for _ in range(2):
            journal = open_table(home)
            assert journal.get("nb20260102tags")["tags"][1] == {"name": "猫", "score": None}
            assert has_thumbnail(journal, "фото 0 猫.png")
            events = [event["state"] for event in journal.events("nb20260102tags")]
            assert events == (["created", "succeeded", "noted"] if name == "m3" else [])
            frame = History(journal, list)(status="succeeded")
            assert frame["caption"].dropna().tolist() == ["ein Bär 🐻 auf der Wiese", "cat, 猫"]
            journal.database.close()
        self.same(home, name)
        assert len(before(home / "imgopen.sqlite")["edits"]) == (0 if name == "m1" else 2)
        with sqlite3.connect(home / "imgopen.sqlite") as db:
            assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"

    def test_two_programs_open_it_at_once(self, home: Path, name: str):
        code = "import sys; from pathlib import Path; "
        code += "from imgopen_nb.database.database import Database; "
        code += "from imgopen_nb.database.task_table import TaskTable; "
        code += "print(len(TaskTable(Database(Path(sys.argv[1]))).rows()))"
        command = [sys.executable, "-c", code, str(home)]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]

        assert [p.communicate(timeout=120)[0].strip() for p in both] == [b"9"] * 3
        self.same(home, name)

    def test_a_kill_in_the_middle_leaves_the_old_file(self, home: Path, name: str):
        """Killed after each of the new statements in turn; the file is whole, and opens after."""
        code = (
            "import os, signal, sys; from pathlib import Path\n"
            "from imgopen_nb.database import migrations\n"
            "real, left = migrations.statements, [int(sys.argv[2])]\n"
            "def some(script):\n"
            "    for statement in real(script):\n"
            "        if not left[0]: os.kill(os.getpid(), signal.SIGKILL)\n"
            "        left[0] -= 1\n"
            "        yield statement\n"
            "migrations.statements = some\n"
            "from imgopen_nb.database.database import Database\n"
            "from imgopen_nb.database.task_table import TaskTable\n"
            "TaskTable(Database(Path(sys.argv[1]))).rows()"
        )
        for at in (0,) if name == "m3" else (0, 3, 9):
            done = subprocess.run([sys.executable, "-c", code, str(home), str(at)], check=False)
            assert done.returncode == -signal.SIGKILL
            with sqlite3.connect(home / "imgopen.sqlite") as db:
                assert db.execute("PRAGMA user_version").fetchone()[0] == int(name[1])
            assert before(home / "imgopen.sqlite") == before(OLD / f"{name}.sqlite")
        assert len(open_table(home).rows()) == 9
        self.same(home, name)

    def test_a_newer_file_is_refused_untouched(self, home: Path, name: str):
        with sqlite3.connect(home / "imgopen.sqlite") as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        content = before(home / "imgopen.sqlite")

        with pytest.raises(JournalError, match="newer imgopen_nb"):
            History(open_table(home), list).rows()
        assert before(home / "imgopen.sqlite") == content
