"""What is exported comes back as it was; what else lies in a file is refused in one sentence."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings

from imgopen_nb.database.task_table import TaskTable
from imgopen_nb.errors import UsageError
from imgopen_nb.history import export as archive
from imgopen_nb.history.export import EXPORTED, ArchiveError, MissingPackageError
from imgopen_nb.history.history import History

from ..conftest import often
from ..history.test_history import ROWS, fill, row
from ..tables import open_table

# What an import keeps: its mark is another one here than there.
CONTENT = tuple(name for name in EXPORTED if name != "imported")

PARQUET = importlib.util.find_spec("pyarrow") is not None
KINDS = [".jsonl", *([".parquet"] if PARQUET else [])]
FULL = {
    "server_id": "81", "model": "clip", "image": "é.png", "caption": "=1+1", "submitted": 1.5,
    "tags": [{"name": "猫", "score": 0.5}], "image_urls": ["https://x/1.png"], "finished": 2.5,
    "queries": 3, "attempts": 1, "base_url": "https://api.example.org", "engine": "e",
    "data": {"deep": {"x": [None, 10**30, 1.5]}}, "request": "abc", "pending": 0.5, "seconds": 1.0,
}  # fmt: skip


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(open_table(tmp_path / "home"), list)


@pytest.fixture
def other(tmp_path: Path) -> History:
    return History(open_table(tmp_path / "other"), list)


def write(history: History, *rows: dict[str, Any]) -> None:
    fill(history._table, list(rows))


def same(one: History, two: History) -> None:
    assert one.rows(columns=CONTENT) == two.rows(columns=CONTENT)
    pd.testing.assert_frame_equal(one(), two())


@pytest.mark.parametrize("kind", KINDS)
class TestThereAndBack:
    def test_everything_comes_back(
        self, history: History, other: History, tmp_path: Path, kind: str
    ):
        write(history, row("a", **FULL), row("b", status="failed", error="no"), row("c"))
        file = history.export(tmp_path / f"out{kind}")

        assert (other.import_(file), len(other)) == (3, 3)
        same(history, other)
        again = other.import_(file)
        assert (again, again.known, str(again)) == (0, 3, "0 tasks imported; 3 were already there")
        assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [f"out{kind}"]

    @settings(max_examples=often(20, 500), deadline=None)
    @given(rows=ROWS)
    def test_any_rows_come_back(
        self, tmp_path_factory: pytest.TempPathFactory, kind: str, rows: list[dict[str, Any]]
    ):
        home = tmp_path_factory.mktemp("any")
        one, two = History(open_table(home / "1"), list), History(open_table(home / "2"), list)
        likely = [
            {**each, "submitted": None, "queries": 2,
             "tags": [t for t in each["tags"] or [] if t is not None]} for each in rows
        ]  # fmt: skip
        write(one, *(row(f"t{i}", **each) for i, each in enumerate(likely)))

        assert two.import_(one.export(home / f"out{kind}")) == len(rows)
        assert repr(one.rows(columns=CONTENT)) == repr(two.rows(columns=CONTENT))  # NaN too
        assert one().drop(columns=["params", "tags"]).equals(two().drop(columns=["params", "tags"]))

    def test_filters_and_several_chunks(
        self, history: History, other: History, tmp_path: Path, kind: str,
        monkeypatch: pytest.MonkeyPatch,
    ):  # fmt: skip
        monkeypatch.setattr(archive, "CHUNK", 4)
        write(history, *(row(f"t{i}", created=float(i), model="ab"[i % 2]) for i in range(30)))

        assert other.import_(history.export(tmp_path / f"out{kind}", model="a", limit=5)) == 5
        assert [r["task_id"] for r in other.rows()] == ["t20", "t22", "t24", "t26", "t28"]

    def test_open_tasks_are_left_out(
        self, history: History, other: History, tmp_path: Path, kind: str
    ):
        states = ("created", "lost", "submitted", "running", "succeeded", "refused")
        write(history, *(row(state, status=state) for state in states))

        found = other.import_(history.export(tmp_path / f"out{kind}"))
        assert (found, found.open) == (2, 4)
        assert [r["task_id"] for r in other.rows()] == ["succeeded", "refused"]

    def test_what_is_only_for_sending_is_not_exported(
        self, history: History, tmp_path: Path, kind: str
    ):
        write(history, row("a", body={"secret": "canary"}, owner="canary"))
        assert b"canary" not in history.export(tmp_path / f"out{kind}").read_bytes()

    def test_an_older_file_stays_where_the_new_one_cannot_be_written(
        self, history: History, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
    ):
        file = history.export(tmp_path / f"out{kind}")
        old = file.read_bytes()
        write(history, row("a"))

        def broken(journal: TaskTable, filters: Any) -> Any:
            yield [{f"raw {name}": None for name in EXPORTED}]
            raise OSError("full")

        monkeypatch.setattr(archive, "_chunks", broken)
        with pytest.raises(OSError, match="full"):
            history.export(file)
        assert file.read_bytes() == old
        assert [p.name for p in tmp_path.iterdir() if p.is_file()] == [file.name]

    def test_a_file_of_the_user_is_not_replaced_unless_asked(
        self, history: History, tmp_path: Path, kind: str
    ):
        file = tmp_path / f"out{kind}"
        file.write_text("by hand")
        with pytest.raises(UsageError, match=rf"{file.name} was not written by imgopen_nb"):
            history.export(file)
        assert file.read_text() == "by hand"

        history.export(file, overwrite=True)
        write(history, row("a"))
        first = file.read_bytes()
        history.export(file)
        assert file.read_bytes() != first


HOSTILE = {
    "no object": [1], "no task_id": {"task_id": None}, "empty id": {"task_id": ""},
    "id of a wrong type": {"task_id": 7}, "params a list": {"params": []},
    "params missing": {"params": None}, "status unknown": {"status": "done"},
    "status no text": {"status": ["succeeded"]}, "operation unknown": {"operation": "rm"},
    "created a text": {"created": "now"}, "created endless": {"created": 1e300},
    "created true": {"created": True}, "queries negative": {"queries": -1},
    "queries a fraction": {"queries": 1.5}, "queries huge": {"queries": 10**30},
    "tags of numbers": {"tags": [1]}, "tags a text": {"tags": "cat"}, "urls": {"image_urls": [{}]},
    "data a text": {"data": "x"}, "caption a dict": {"caption": {}},
    "half a pair": {"caption": "\ud800"}, "half a pair inside": {"params": {"a": "\ud800"}},
}  # fmt: skip


class TestHostileFiles:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_one_bad_row_and_nothing_is_imported(self, other: History, tmp_path: Path, name: str):
        bad = HOSTILE[name]
        lines = [row("a"), {**row("b"), **bad} if isinstance(bad, dict) else bad]
        file = tmp_path / "bad.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")

        with pytest.raises(ArchiveError, match=r"row 2 of the file has .*: nothing was imported"):
            other.import_(file)
        assert len(other) == 0

    @pytest.mark.parametrize(
        "content",
        [b"\xff\xfe\x00", b"{", b'{"task_id": ' + b"9" * 5000 + b"}", b"[" * 100_000, b"PAR1\n"],
    )
    def test_what_is_no_json_is_told(self, other: History, tmp_path: Path, content: bytes):
        (tmp_path / "bad.jsonl").write_bytes(content)
        with pytest.raises(ArchiveError, match="row 1 of the file"):
            other.import_(tmp_path / "bad.jsonl")

    @pytest.mark.skipif(not PARQUET, reason="needs pyarrow")
    def test_parquet_files_of_others_are_told(self, other: History, tmp_path: Path):
        file = tmp_path / "bad.parquet"
        for content in (b"", b"PAR1" * 20, b"x" * 1000):
            file.write_bytes(content)
            with pytest.raises(ArchiveError, match="not a readable Parquet file"):
                other.import_(file)
        whole = {**row("a"), "params": "{}"}
        for more in ({"task_id": 1}, {"params": "{"}, {"params": 1.5}, {"created": "x"}):
            pd.DataFrame([{**whole, **more}]).to_parquet(file)
            with pytest.raises(ArchiveError, match="row 1 of the file has"):
                other.import_(file)
        pd.DataFrame({"other": [1]}).to_parquet(file)
        with pytest.raises(ArchiveError, match="no task_id"):
            other.import_(file)

    def test_other_suffixes_are_told(self, other: History, tmp_path: Path):
        with pytest.raises(UsageError, match="cannot be imported"):
            other.import_(tmp_path / "h.csv")
        for call in (other.import_, other.export):
            with pytest.raises(UsageError, match="parquet"):
                call(tmp_path / "h.xlsx")
        with pytest.raises(ArchiveError, match="there is no file"):
            other.import_(tmp_path / "none.jsonl")


def test_parquet_without_pyarrow_says_what_to_install(
    other: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match="pip install pyarrow"):
        other.export(tmp_path / "h.parquet")
    assert list(tmp_path.glob("*.parquet")) == []


def test_a_csv_is_for_spreadsheets(history: History, tmp_path: Path):
    write(history, row("a", **FULL))
    with history.export(tmp_path / "h.csv").open(encoding="utf-8-sig", newline="") as lines:
        (read,) = csv.DictReader(lines)

    assert tuple(read) == EXPORTED
    assert (read["caption"], read["image"]) == ("'=1+1", "é.png")
    assert json.loads(read["data"]) == FULL["data"]
