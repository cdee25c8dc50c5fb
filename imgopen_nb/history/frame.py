"""The task history as a DataFrame. Imports pandas, so callers import this module late."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import register_extension_dtype

from ..catalogue.values import scalar
from ..errors import ParameterError
from ..text import in_words
from .json_dtype import JsonDtype
from .json_values import COLUMNS as JSON
from .json_values import values, without_collections

register_extension_dtype(JsonDtype)  # or no Parquet file that names it could be read
_UNITS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LATEST = 1e12  # seconds since the epoch; more are probably milliseconds
_BACK = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


def history_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return tasks as a tidy DataFrame, one row per task, with the same dtypes for any number.

    Args:
        rows: tasks as rows of the database: `submitted` and `finished` in seconds since the
            epoch; `tags` as names or as {"name", "score"}; JSON as texts or as values. Missing
            values become NA.
    """
    rows = list(rows)
    return frame_of_columns({name: [row.get(name) for row in rows] for name in COLUMNS})


def frame_of_columns(
    columns: Mapping[str, Sequence[Any]], wanted: Iterable[str] = ()
) -> pd.DataFrame:
    """Return the same DataFrame from its columns: all, or those that are wanted."""
    with without_collections():
        return _frame({name: _BUILDS[name](columns[name]) for name in columns}, wanted)


def needed(wanted: Iterable[str]) -> tuple[str, ...]:
    """Return the columns to read for those that are wanted."""
    spans = ("submitted", "finished") if "seconds" in wanted else ()
    return tuple(dict.fromkeys((*wanted, *spans))) or COLUMNS


def _frame(columns: dict[str, pd.Series[Any]], wanted: Iterable[str]) -> pd.DataFrame:
    if "seconds" in columns:
        spans = (columns["finished"] - columns["submitted"]).dt.total_seconds().clip(lower=0)
        columns["seconds"] = columns["seconds"].fillna(spans)
    return pd.DataFrame({name: columns[name] for name in wanted or COLUMNS}, copy=False)


def arrow_frame(
    parts: list[tuple[Any, dict[str, list[Any]]]], wanted: Iterable[str] = ()
) -> pd.DataFrame:
    """Return the same DataFrame as `history_frame`, oldest first.

    Args:
        parts: Arrow batches, each with the values of its JSON columns.
        wanted: its columns; all if there are none.
    """
    columns = {
        name: pd.Series([each for _, part in parts for each in part[name]], dtype=object)
        if name in JSON
        else _from_arrow([batch.column(name) for batch, _ in parts], build)
        for name, build in {**{n: _BUILDS[n] for n in needed(wanted)}, "created": _floats}.items()
    }
    created = columns.pop("created").to_numpy()
    frame = _frame(columns, wanted)
    if (created[1:] >= created[:-1]).all():
        return frame
    return frame.iloc[created.argsort(kind="stable")].reset_index(drop=True)


def _from_arrow(parts: list[Any], build: Callable[[Any], Any]) -> pd.Series[Any]:
    if build in (_times, _floats):
        return build(np.concatenate([part.to_numpy(zero_copy_only=False) for part in parts]))
    import pyarrow as pa

    dtype: Any = pd.Int64Dtype() if build is _integers else pd.StringDtype()
    return pd.Series(dtype.__from_arrow__(pa.chunked_array(parts)))


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
    value = scalar(value)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        if not isinstance(value, Real) or isinstance(value, np.timedelta64):
            return moment(value)
        if not isinstance(value, bool) and abs(seconds := float(value)) < _LATEST:
            return seconds
    said = in_words(value if isinstance(value, (str, int, float)) else str(value)[:40])
    raise ParameterError(
        f"{name}={said} is not a time",
        hint='use "7d", "12h", a date ("2026-01-31") or seconds since 1970',
    )


def moment(value: Any) -> float:
    """Return seconds since the epoch for a datetime, a date, an ISO text, or "7d" back from now.

    Times without a time zone are local.

    Raises:
        ValueError, TypeError, OverflowError: it is none of these.
    """
    back = _BACK.fullmatch(value) if isinstance(value, str) else None
    if back and back[2] in _UNITS:
        seconds = time.time() - float(back[1]) * _UNITS[back[2]]
    elif isinstance(value, np.timedelta64):
        return moment(pd.Timedelta(value))
    elif isinstance(value, timedelta):
        seconds = time.time() - value.total_seconds()
    else:
        seconds = _timestamp(value)
    if not math.isfinite(seconds):
        raise ValueError("no moment")
    return seconds


def _timestamp(value: Any) -> float:
    if not isinstance(value, (str, date, np.datetime64)) or value is pd.NaT:
        raise TypeError("no date")
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        value = pd.Timestamp(value)
    if isinstance(value, pd.Timestamp):
        value = value.to_pydatetime(warn=False)
    if value.tzinfo is None:
        with contextlib.suppress(ValueError, OverflowError, OSError):
            return float(value.timestamp())
        value = value.replace(tzinfo=UTC)  # the local clock of years 1 and 9999 is not known
    return float(value.timestamp())


def _strings(given: Sequence[Any]) -> pd.Series[Any]:
    if not {*map(type, given)} <= {str, type(None)}:
        given = [None if _missing(v) else str(v) for v in given]
    return pd.Series(given, dtype="string")


def _json(column: str) -> Callable[[Any], pd.Series[Any]]:
    return lambda given: pd.Series(values(column, given), dtype=object)


def _missing(value: Any) -> bool:
    """Whether a value is None, NaN, NaT or NA."""
    if isinstance(value, float):
        return value != value
    return value is None or value is pd.NA or value is pd.NaT


def _times(given: Any) -> pd.Series[Any]:
    seconds = np.array(given, dtype="float64")  # None becomes NaN
    known = (seconds > -6e10) & (seconds < 1e11)  # the years that datetime knows, at least
    micros = np.where(known, np.round(np.where(known, seconds, 0) * 1e6), 0).astype("int64")
    stamps = micros.astype("datetime64[us]")
    stamps[~known] = np.datetime64("NaT", "us")
    return pd.Series(stamps).dt.tz_localize("UTC")


def _floats(given: Any) -> pd.Series[Any]:
    return pd.Series(np.array(given, dtype="float64"))  # None becomes NaN


def _integers(given: Sequence[Any]) -> pd.Series[Any]:
    return pd.Series(given, dtype="Int64")


_BUILDS: dict[str, Callable[[Any], Any]] = {
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
COLUMNS = tuple(_BUILDS)
