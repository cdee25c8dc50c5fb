"""A table for a spreadsheet holds no formula, and comes back as it was."""

from __future__ import annotations

import csv
import datetime
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgopen_nb.batch.export import write
from imgopen_nb.batch.tables.files import read_table
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.database.database import Database
from imgopen_nb.database.written_files import WrittenFiles
from imgopen_nb.history.history import History
from imgopen_nb.session import Session
from imgopen_nb.text import from_cell, to_cell

from ..conftest import often
from ..history.test_history import fill, row
from ..tables import open_table

PROMPT = OPERATIONS["text2image"].param("prompt")
SIGNS = "=+-@\t\r\n＝＋－＠"
FORMULAS = [f"{sign}HYPERLINK(0)" for sign in SIGNS] + ["'=1", "''@x", "=cmd|' /C calc'!A0", "-"]
HARMLESS = ["a=b", "", " =1", "'", "'tis", "é", "1-2", '"=1"', "{=1}"]


@pytest.fixture
def files(tmp_path: Path) -> WrittenFiles:
    return WrittenFiles(Database(tmp_path / "home"))


def cells(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def formulas(path: Path) -> list[str]:
    found = [cell for line in cells(path) for cell in line if cell[:1] and cell[:1] in SIGNS]
    return [cell for cell in found if not re.fullmatch(r"-\d+", cell)]


@settings(max_examples=often(300, 3000))
@given(text=st.text(alphabet=st.sampled_from(list(SIGNS + "'a ")), max_size=5))
def test_a_cell_is_no_formula_and_comes_back(text: str):
    assert from_cell(to_cell(text)) == text
    assert to_cell(text)[:1] not in tuple(SIGNS)


@pytest.mark.parametrize("value", [-5, -1.5, 0, True, None, float("-inf"), datetime.date.min, ()])
def test_what_is_no_text_stays(value: Any):
    assert to_cell(value) is value
    assert from_cell(value) is value


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_values_of_any_column_type(files: WrittenFiles, tmp_path: Path, dtype: Any):
    """14 formulas and 9 harmless texts, in the columns, the header and the index."""
    texts = [*FORMULAS, *HARMLESS]
    frame = pd.DataFrame({"=header": pd.Series(texts, dtype=dtype), "n": range(len(texts))})
    frame.index = pd.Index(pd.Series(texts, dtype=dtype), name="@index")
    path = write(frame, tmp_path / "out.csv", files)

    assert formulas(path) == []
    table = read_table(path, PROMPT)
    assert (table.columns, table.total) == (["@index", "=header", "n"], len(texts))
    assert list(table.values("=header")) == list(table.values("@index")) == texts


def test_numbers_and_times_stay_what_they_are(files: WrittenFiles, tmp_path: Path):
    frame = pd.DataFrame({
        "int": [-1, 2], "float": [-1.5, np.nan], "mixed": [-3, "-x"], "flag": [True, False],
        "when": pd.to_datetime(["2026-01-01", None]), "Int64": pd.array([-7, None], "Int64"),
        "list": [["=1"], {"a": -1}], "none": [None, None],
    }, index=[-10, -20])  # fmt: skip
    path = write(frame, tmp_path / "out.csv", files)

    assert cells(path)[1:] == [
        ["-10", "-1", "-1.5", "-3", "True", "2026-01-01", "-7", '["=1"]', ""],
        ["-20", "2", "", "'-x", "False", "", "", '{"a": -1}', ""],
    ]
    again = pd.read_csv(path, index_col=0)
    assert list(again["int"]) == [-1, 2]
    assert list(again.index) == [-10, -20]


@pytest.mark.parametrize(
    "index",
    [
        pd.MultiIndex.from_tuples([("=a", -1), ("b", 2)], names=["@one", None]),
        pd.RangeIndex(2),
        pd.CategoricalIndex(["=a", "b"]),
        pd.DatetimeIndex(["2026-01-01", "2026-01-02"]),
    ],
    ids=["several levels", "range", "categories", "times"],
)
def test_any_index_and_columns_of_the_same_name(
    files: WrittenFiles, tmp_path: Path, index: pd.Index[Any]
):
    frame = pd.DataFrame([["=x", "=y"], ["x", "y"]], columns=["=same", "=same"], index=index)
    path = write(frame, tmp_path / "out.csv", files)
    assert formulas(path) == []
    assert [line[-2:] for line in cells(path)] == [["'=same"] * 2, ["'=x", "'=y"], ["x", "y"]]


def test_frames_without_rows_or_columns(files: WrittenFiles, tmp_path: Path):
    for number, frame in enumerate((pd.DataFrame(), pd.DataFrame({"=a": []}))):
        assert formulas(write(frame, tmp_path / f"{number}.csv", files)) == []


def test_the_history_is_written_in_the_same_way(tmp_path: Path):
    history = History(open_table(tmp_path / "home"), list)
    fill(
        history._table, [row(f"t{n}", caption=text, image=text) for n, text in enumerate(FORMULAS)]
    )
    path = history.export(tmp_path / "out.csv")
    assert formulas(path) == []
    columns = cells(path)[0]
    said = [from_cell(line[columns.index("caption")]) for line in cells(path)[1:]]
    assert said == FORMULAS


def test_a_batch_reads_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Prompts that begin like formulas, through --out and --from."""
    monkeypatch.chdir(tmp_path)
    prompts = ["-- a fox", "=a cat", "@home", "a dog"]
    with Session(home=tmp_path / "home") as session:
        given = pd.Series(prompts, index=pd.Index(prompts, name="@prompt"))
        batch = session.map("expand-prompt", given, progress=False)
        path = write(batch.wide(), tmp_path / "out.csv", session.manager.files)
        assert formulas(path) == []
        table = read_table(path, PROMPT)
        name = table.columns[0]
        again = session.map("expand-prompt", str(path), column=name, dry_run=True, progress=False)
        read = list(table.values(name))
    assert read == prompts
    assert "4" in str(again)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_the_table_of_a_file_whose_name_is_no_text_is_written(
    files: WrittenFiles, tmp_path: Path, suffix: str
):
    frame = pd.DataFrame({"clip": ["a cup"]}, index=pd.Index(["caf\udce9.png"], dtype=object))

    path = write(frame, tmp_path / f"table{suffix}", files)

    assert "caf⟨U+DCE9⟩.png".encode() in path.read_bytes()
