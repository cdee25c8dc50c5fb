"""The task history as a DataFrame. Imports pandas, so callers import this module late."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from ..errors import ParameterError
from .json_dtype import VIEWS, JsonArray, JsonDtype, missing

_UNITS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_BACK = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


def history_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return tasks as a tidy DataFrame, one row per task, with the same dtypes for any number.

    Args:
        rows: tasks as rows of the database: `submitted` and `finished` in seconds since the
            epoch; `tags` as names or as {"name", "score"}; JSON as texts or as values. Missing
            values become NA.
    """
    rows = list(rows)
    return _with_seconds({n: build([row.get(n) for row in rows]) for n, build in _COLUMNS.items()})


def _with_seconds(columns: dict[str, pd.Series[Any]]) -> pd.DataFrame:
    spans = (columns["finished"] - columns["submitted"]).dt.total_seconds().clip(lower=0)
    columns["seconds"] = columns["seconds"].fillna(spans)
    return pd.DataFrame(columns, copy=False)


def arrow_frame(batches: list[Any]) -> pd.DataFrame:
    """Return the same DataFrame as `history_frame`, oldest first, from Arrow batches."""
    columns = {
        name: _from_arrow([batch.column(name) for batch in batches], name, build)
        for name, build in (_COLUMNS | {"created": _floats}).items()
    }
    created = columns.pop("created").to_numpy()
    frame = _with_seconds(columns)
    if (created[1:] >= created[:-1]).all():
        return frame
    return frame.iloc[created.argsort(kind="stable")].reset_index(drop=True)


def _from_arrow(parts: list[Any], name: str, build: Callable[[Any], Any]) -> pd.Series[Any]:
    if build in (_times, _floats):
        return build(np.concatenate([part.to_numpy(zero_copy_only=False) for part in parts]))
    import pyarrow as pa

    dtype: Any = pd.Int64Dtype() if build is _integers else pd.StringDtype()
    found = dtype.__from_arrow__(pa.chunked_array(parts))
    return pd.Series(JsonArray(found, JsonDtype(name)) if name in VIEWS else found)


def events_frame(events: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the events of a task; `at`, in seconds since the epoch, becomes a time."""
    steps = list(events)
    builds = {"at": _times, "state": _strings, "detail": _strings}
    return pd.DataFrame({n: build([s[n] for s in steps]) for n, build in builds.items()})


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a DataFrame as dictionaries, with None for missing values."""
    columns = {str(n): frame[n].astype(object).where(frame[n].notna(), None) for n in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def rows_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the rows of a list (models, LoRAs ...) with the keys of the service as columns."""
    return pd.DataFrame(list(rows))


def since(value: Any, name: str = "since") -> float:
    """Return seconds since the epoch for a point in time; `name` is for the error message.

    Raises:
        ParameterError: it is not a point in time.
    """
    if isinstance(value, (int, float)):
        return float(value)
    with contextlib.suppress(ValueError, TypeError):
        return moment(value)
    raise ParameterError(
        f"{name}={str(value)[:40]!r} is no moment",
        hint='give "7d", "12h" or a date: "2026-01-31"',
    )


def moment(value: Any) -> float:
    """Return seconds since the epoch for a datetime, a date, an ISO text, or "7d" back from now.

    Times without a time zone are local.

    Raises:
        ValueError, TypeError: it is none of these.
    """
    now = datetime.now().astimezone()
    if isinstance(value, timedelta):
        return (now - value).timestamp()
    back = _BACK.fullmatch(value) if isinstance(value, str) else None
    if back and back[2] in _UNITS:
        return now.timestamp() - float(back[1]) * _UNITS[back[2]]
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    stamp = pd.Timestamp(value)
    if pd.isna(stamp):
        raise ValueError(f"{value!r} is no moment")
    return stamp.to_pydatetime().astimezone().timestamp()


def _strings(values: list[Any]) -> pd.Series[Any]:
    if not all(v is None or type(v) is str for v in values):
        values = [None if missing(v) else str(v) for v in values]
    return pd.Series(values, dtype="string")


def _json(view: str) -> Callable[[Any], pd.Series[Any]]:
    def build(values: Any) -> pd.Series[Any]:
        return pd.Series(JsonArray.of(view, values))

    return build


def _times(values: Any) -> pd.Series[Any]:
    seconds = np.array(values, dtype="float64")  # None becomes NaN
    known = np.isfinite(seconds) & (np.abs(seconds) < 1e11)
    micros = np.where(known, np.round(np.where(known, seconds, 0) * 1e6), 0).astype("int64")
    stamps = micros.astype("datetime64[us]")
    stamps[~known] = np.datetime64("NaT", "us")
    return pd.Series(stamps).dt.tz_localize("UTC")


def _floats(values: Any) -> pd.Series[Any]:
    return pd.Series(np.array(values, dtype="float64"))  # None becomes NaN


def _integers(values: list[Any]) -> pd.Series[Any]:
    return pd.Series(values, dtype="Int64")


_COLUMNS: dict[str, Callable[[list[Any]], Any]] = {
    "task_id": _strings,
    "server_id": _strings,
    "operation": _strings,
    "model": _strings,
    "image": _strings,
    "picture": _strings,
    "params": _json("params"),
    "status": _strings,
    "caption": _strings,
    "tags": _json("tags"),
    "image_urls": _json("image_urls"),
    "submitted": _times,
    "finished": _times,
    "seconds": _floats,
    "queries": _integers,
    "attempts": _integers,
    "backend": _strings,
    "engine": _strings,
    "error": _strings,
}
