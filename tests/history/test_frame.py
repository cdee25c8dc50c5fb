from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from imgopen_nb.history.frame import history_frame, moment

DTYPES = {
    "task_id": "string",
    "server_id": "string",
    "operation": "string",
    "model": "string",
    "image": "string",
    "picture": "string",
    "params": "object",
    "status": "string",
    "caption": "string",
    "tags": "object",
    "image_urls": "object",
    "submitted": "datetime64[us, UTC]",
    "finished": "datetime64[us, UTC]",
    "seconds": "float64",
    "queries": "Int64",
    "attempts": "Int64",
    "backend": "string",
    "engine": "string",
    "error": "string",
}
ROW: dict[str, Any] = {
    "task_id": "nb1",
    "server_id": "81",
    "operation": "describe",
    "model": "deepdanbooru",
    "image": "cat.png",
    "picture": None,
    "params": {"model": "deepdanbooru"},
    "status": "succeeded",
    "caption": "cat, mat",
    "tags": [{"name": "cat", "score": 0.9}, {"name": "mat", "score": None}],
    "image_urls": ["https://example.org/1.png"],
    "submitted": 1_700_000_000.25,
    "finished": 1_700_000_002.5,
    "queries": 3,
    "attempts": 1,
    "backend": "sandbox",
    "engine": "local-caption",
    "error": None,
}


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


@pytest.mark.parametrize("rows", [[], [ROW], [{}], [ROW, {}], [{"operation": "flux"}] * 3])
def test_columns_and_dtypes_are_the_same_whatever_the_rows(rows: list[dict[str, Any]]) -> None:
    frame = history_frame(rows)

    assert dtypes(frame) == DTYPES
    assert list(frame.columns) == list(DTYPES)
    assert len(frame) == len(rows)


def test_values_arrive_as_they_are() -> None:
    row = history_frame([ROW]).iloc[0]

    assert row["task_id"] == "nb1"
    assert row["params"] == {"model": "deepdanbooru"}
    assert row["tags"] == ["cat", "mat"]
    assert row["image_urls"] == ["https://example.org/1.png"]
    assert row["submitted"] == pd.Timestamp("2023-11-14 22:13:20.25", tz="UTC")
    assert row["queries"] == 3


def test_missing_values_are_na() -> None:
    row = history_frame([{"task_id": "nb1"}]).iloc[0]

    for name in ("caption", "submitted", "finished", "seconds", "queries", "engine", "error"):
        assert pd.isna(row[name])
    assert (row["params"], row["image_urls"], row["tags"]) == ({}, [], None)


def test_seconds_are_taken_or_worked_out() -> None:
    frame = history_frame([ROW, {**ROW, "seconds": 7.0}, {**ROW, "finished": None}])

    assert frame["seconds"].tolist()[:2] == [2.25, 7.0]
    assert pd.isna(frame["seconds"][2])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_lists_of_equal_length_stay_lists(count: int) -> None:
    """NumPy would make a matrix of them."""
    frame = history_frame([{**ROW, "tags": ["a", "b", "c"]}] * count)

    assert frame["tags"].tolist() == [["a", "b", "c"]] * count


@pytest.mark.parametrize("stamp", [float("nan"), float("inf"), 1e300])
def test_impossible_times_are_missing(stamp: float) -> None:
    assert pd.isna(history_frame([{"submitted": stamp}])["submitted"][0])


def test_a_hundred_thousand_rows_take_seconds_not_minutes() -> None:
    rows = [{**ROW, "task_id": f"nb{i}"} for i in range(100_000)]

    start = time.perf_counter()
    frame = history_frame(rows)
    took = time.perf_counter() - start

    assert (len(frame), took < 10) == (100_000, True)


class TestMoment:
    @pytest.mark.parametrize(
        ("text", "back"),
        [("90s", 90), ("30min", 1800), ("12h", 43200), ("7d", 604800), ("1.5 h", 5400)],
    )
    def test_spans_count_back_from_now(self, text: str, back: float) -> None:
        assert moment(text) == pytest.approx(time.time() - back, abs=5)

    def test_timedelta_counts_back_from_now(self) -> None:
        assert moment(timedelta(hours=1)) == pytest.approx(time.time() - 3600, abs=5)

    @pytest.mark.parametrize(
        "value",
        [
            datetime(2026, 1, 31, 8, tzinfo=UTC),
            "2026-01-31T08:00Z",
            "2026-01-31 09:00+01:00",
            pd.Timestamp("2026-01-31 08:00", tz="UTC"),
        ],
    )
    def test_moments_with_a_zone_are_exact(self, value: Any) -> None:
        assert moment(value) == datetime(2026, 1, 31, 8, tzinfo=UTC).timestamp()

    @pytest.mark.parametrize(
        "value", ["2026-01-31", date(2026, 1, 31), datetime(2026, 1, 31), pd.Timestamp(2026, 1, 31)]
    )
    def test_moments_without_a_zone_are_local(self, value: Any) -> None:
        assert moment(value) == datetime(2026, 1, 31).timestamp()

    @pytest.mark.parametrize("value", ["soon", "", "7x", None, pd.NaT, [1], object()])
    def test_anything_else_is_an_error(self, value: Any) -> None:
        with pytest.raises((ValueError, TypeError)):
            moment(value)
