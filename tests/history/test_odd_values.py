"""Values of the wrong kind or size: one sentence each, and nothing is lost."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from imgopen_nb.errors import ImgOpenError, ParameterError, UnknownNameError
from imgopen_nb.history.export import ArchiveError
from imgopen_nb.history.frame import history_frame, since
from imgopen_nb.history.history import History
from imgopen_nb.history.table import history_text
from imgopen_nb.session import Session
from imgopen_nb.syntax.parser import whole_number_of

from ..tables import open_table
from .test_history import row

HUGE = pytest.param(10**5000, id="huge")  # Python does not print it

EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
FIRST, LAST = -62135596800, 253402300799  # the first and the last second that datetime knows
NO_MOMENTS = [
    10**400, -(10**400), 10**5000, 1e300, float("nan"), float("inf"), 1.7e12, True, False,
    np.bool_(True), np.float32("nan"), Fraction(10**400, 3), Decimal("NaN"), 1j,
    pd.NaT, pd.NA, np.datetime64("NaT"), np.timedelta64("NaT"), np.datetime64("30000-01-01"),
    "", "soon", "-7d", "9" * 400 + "d", "1e400", "99999-01-01", "2024-13-45", "\ud800", "a\x00b",
    b"7d", [1], {}, object(), np.array([1, 2]), pd.Series([1]), Path("x"), datetime.now().time(),
]  # fmt: skip
MOMENTS = [
    (np.float64(3.5), 3.5),
    (np.int64(3), 3),
    (Fraction(1, 2), 0.5),
    (Decimal(3), 3),
    (-5, -5),
    (datetime(1, 1, 1, tzinfo=EAST), FIRST - 14 * 3600),
    (datetime(9999, 12, 31, 23, 59, 59, tzinfo=WEST), LAST + 12 * 3600),
    ("9999-12-31T23:59:59-12:00", LAST + 12 * 3600),
    (np.datetime64("2020-01-01"), datetime(2020, 1, 1).timestamp()),
]
NEAR = [datetime.min, datetime.max, date.min, date.max, "0001-01-01", "9999-12-31"]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A history of one task, which no test changes."""
    table = open_table(tmp_path_factory.mktemp("odd"))
    table.add(row("a" * 8))
    return History(table, list)


@pytest.mark.parametrize("value", NO_MOMENTS, ids=range(len(NO_MOMENTS)))
def test_what_is_no_moment_is_told(history: History, value: Any):
    for call in (
        lambda: history(since=value), lambda: history.rows(since=value),
        lambda: history.count(since=value), lambda: history.prune(value),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=r"^(since|before)=.{1,90} is not a time\n"):
            call()
    assert len(history) == 1


@pytest.mark.parametrize(("value", "expected"), MOMENTS, ids=range(len(MOMENTS)))
def test_moments_of_any_library_and_year_are_taken(value: Any, expected: float):
    assert since(value) == expected


@pytest.mark.parametrize("value", NEAR, ids=str)
def test_local_times_at_the_ends_of_the_calendar_are_within_a_day(value: Any):
    assert min(abs(since(value) - FIRST), abs(since(value) - LAST)) <= 86400


def test_spans_beyond_the_calendar_mean_everything_and_nothing(history: History):
    assert len(history(since=timedelta.max)) == len(history(since=np.timedelta64(90_000, "D"))) == 1
    assert len(history(since=timedelta.min)) == 0


@pytest.mark.parametrize(
    "value",
    [10**30, 2**63, HUGE, -1, True, False, 1.5, "3", float("nan"), [1], np.bool_(True)],
    ids=range(11),
)
def test_what_is_no_limit_is_told(history: History, tmp_path: Path, value: Any):
    for call in (
        lambda: history(limit=value), lambda: history.rows(limit=value),
        lambda: history.count(limit=value), lambda: history.export(tmp_path / "x.csv", limit=value),
    ):  # fmt: skip
        with pytest.raises(
            ParameterError, match="limit must be a whole number of at least 0, not "
        ):
            call()
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize("value", [2**63 - 1, np.int64(5), np.uint8(1)])
def test_limits_of_any_library_are_taken(history: History, value: Any):
    assert len(history(limit=value)) == 1


@pytest.mark.parametrize("text", ["9" * 5000, "-1", "²", "1.0", HUGE, True, "\ud800"])
def test_whole_numbers_on_a_line_are_told(text: Any):
    with pytest.raises(ParameterError, match="--limit must be a whole number of at least 0, not"):
        whole_number_of("--limit", text)


@pytest.mark.parametrize("name", ["operation", "model", "status", "backend"])
@pytest.mark.parametrize(
    "value",
    [
        5,
        1.5,
        True,
        b"clip",
        "\ud800",
        ["clip", "\ud800"],
        {},
        {"clip": 1},
        [None],
        pd.NA,
        Path("x"),
    ],
    ids=range(11),
)
def test_what_is_no_text_is_told(history: History, name: str, value: Any):
    with pytest.raises(ParameterError, match=f"{name} must be a text or a list of texts, not"):
        history(**{name: value})


@pytest.mark.parametrize(
    "value", ["clip", np.array(["clip"]), {"clip"}, ["clip"] * 300_000, ("x\0",)]
)
def test_texts_may_be_in_anything(history: History, value: Any):
    assert len(history(model=value)) <= 1


@pytest.mark.parametrize("task_id", ["\ud800", "aaaa\ud800", "a\0b", "", 5, None, b"x", HUGE])
def test_ids_that_no_task_has_are_told(history: History, task_id: Any):
    for call in (history.events, history._table.get):
        with pytest.raises(UnknownNameError, match="there is no task"):
            call(task_id)


@pytest.mark.parametrize("value", ["no", "yes", 1, None, []])
def test_a_flag_is_true_or_false(history: History, session: Session, tmp_path: Path, value: Any):
    for call in (
        lambda: history.import_(tmp_path / "x.jsonl", trust=value),
        lambda: session.resume(send_lost=value),
        lambda: history.prune("1d", dry_run=value),
        lambda: history.export(tmp_path / "x.csv", overwrite=value),
    ):
        with pytest.raises(ParameterError, match="must be True or False, not"):
            call()


@pytest.mark.parametrize(
    "path", [None, 5, b"x", "a\0b", "\ud800.csv", ["x.csv"], "x" * 5000 + ".csv"]
)
def test_paths_that_are_none_are_told(history: History, path: Any):
    for call in (history.export, history.import_):
        with pytest.raises(ImgOpenError):
            call(path)


@pytest.mark.parametrize("name", ["created", "submitted", "finished"])
@pytest.mark.parametrize("moment", [-99_000_000_000, -1, 1e300, 1e11, 10**400])
def test_a_file_with_an_impossible_time_is_not_imported(
    history: History, tmp_path: Path, name: str, moment: float
):
    file = tmp_path / "x.jsonl"
    file.write_text(json.dumps(row("b")) + "\n" + json.dumps({**row("c"), name: moment}) + "\n")

    with pytest.raises(ArchiveError, match=f"row 2 of the file has .* as {name}: nothing was"):
        history.import_(file)
    assert len(history) == 1


@pytest.mark.parametrize("moment", [-99_000_000_000, 1e300, -1e300, 4e15, float("inf")])
def test_an_impossible_time_in_the_history_is_shown_as_none(tmp_path: Path, moment: float):
    """An earlier version may have imported it."""
    table = open_table(tmp_path)
    table.add(row("aaaaaaaa"))
    table.add({**row("b"), "created": moment, "submitted": moment, "finished": moment})
    rows = table.rows()

    frame = history_frame(rows)
    assert frame.submitted.isna().all()
    assert all(name in history_text(rows) for name in ("aaaaaaaa", "b"))
    assert len(frame.to_csv()) > 100
    assert str(datetime.now(UTC).year) not in history_text(rows)
