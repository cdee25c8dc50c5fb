"""A batch as DataFrames, aligned with its input; imports pandas, so callers import it late."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from ..catalogue.operation import Operation
from ..catalogue.status import State
from ..display.tables import Table
from ..history.frame import history_frame
from ..tasks.result import Result
from ..text import clip, in_words, visible
from .rows import GONE, Calls, Kept

CHUNK = 1000
SHOWN = 20
# What a row of a result is called where there is one for each row of the input.
MAIN = {
    "caption": "caption",
    "images": "images",
    "boxes": "faces",
    "prompts": "prompts",
    "style": "tags",
    "rows": "rows",
}
_DTYPES = {"integer": "Int64", "number": "Float64", "boolean": "boolean"}


def tidy(calls: Calls) -> pd.DataFrame:
    """Return one row for each call that was run; see `Batch.frame`."""
    places = sorted(calls.kept)
    frame = history_frame(list(_history(calls, places)))
    frame["cached"] = pd.Series([calls.kept[place].cached for place in places], dtype="bool")
    for name in calls.grid[0]:
        if name != "model":
            values = [calls.combination(place)[name] for place in places]
            frame[name] = _typed(calls.operation, name, values)
    frame.index = _index(calls, [place // len(calls.grid) for place in places])
    return frame


def wide(calls: Calls, results: Callable[[], list[Result]]) -> pd.DataFrame:
    """Return one row for each row of the input; see `Batch.wide`."""
    width = len(calls.grid)
    numbers = sorted({place // width for place in calls.kept})
    values, errors = _read(calls, results)
    columns: dict[str, Any] = {}
    for at, name in enumerate(labels(calls)):
        column = [values.get(number * width + at) for number in numbers]
        columns[name] = pd.array(column, dtype="string") if _texts(calls) else _objects(column)
    first = [_first_error(errors, number, width) for number in numbers]
    columns["error"] = pd.array(first, dtype="string")
    return pd.DataFrame(columns, index=_index(calls, numbers))


def labels(calls: Calls) -> list[str]:
    """Return a name for each combination of the grid, no two the same."""
    if not calls.grid[0]:
        return [MAIN.get(calls.operation.kind, "result")]
    names: dict[str, None] = {"error": None}
    for combination in calls.grid:
        name = " · ".join(map(label, combination.values()))
        same = (f"{name} ({number})" for number in itertools.count(2))
        names[name if name not in names else next(n for n in same if n not in names)] = None
    return list(names)[1:]


def label(value: Any) -> str:
    """Return a value of a grid as part of a column's name."""
    plain = isinstance(value, (str, int, float)) and value != ""
    return visible(clip(value, 60)) if plain else clip(in_words(value), 60)


def overview(calls: Calls) -> Table:
    """Return how the calls of each combination went; of many combinations the first."""
    counts: list[list[Any]] = [[0, 0, 0, ""] for _ in calls.grid]
    for place, kept in sorted(calls.kept.items()):
        row = counts[place % len(calls.grid)]
        row[0] += 1
        row[1] += kept.cached
        row[2] += kept.error is not None
        row[3] = row[3] or clip(kept.error or "", 160)
    rows = [(name, *row) for name, row in zip(labels(calls), counts, strict=True)][:SHOWN]
    if len(counts) > SHOWN:
        rows.append((f"… and {len(counts) - SHOWN:,} more", "", "", "", ""))
    heads = (calls.operation.name, "calls", "from the history", "failed", "first error")
    return Table(heads, rows)


def _history(calls: Calls, places: list[int]) -> Iterator[dict[str, Any]]:
    """Yield a row as the history has it for each call; of one that was not sent, what is known."""
    for part in _parts(places):
        kept = [calls.kept[place] for place in part]
        found = {row["task_id"]: row for row in calls.table.by_ids({k.task_id for k in kept})}
        for place, one in zip(part, kept, strict=True):
            row = found.get(one.task_id) or _unsent(calls, place, one)
            failed = row["status"] != State.SUCCEEDED
            yield {**row, "error": one.error or row["error"]} if failed else row


def _unsent(calls: Calls, place: int, kept: Kept) -> dict[str, Any]:
    given = {**calls.fixed, **calls.combination(place)}
    return {
        "operation": calls.operation.name,
        "model": given.get("model"),
        "image": kept.image,
        "status": "not sent",
        "error": kept.error or GONE,
    }


def _parts(places: list[int]) -> Iterator[list[int]]:
    rest = iter(places)
    while part := list(itertools.islice(rest, CHUNK)):
        yield part


def _index(calls: Calls, numbers: list[int]) -> pd.Index[Any]:
    """Return the index of these rows of the input."""
    if calls.index is not None:
        if numbers == list(range(len(calls.index))):
            same: pd.Index[Any] = calls.index.copy()
            return same
        taken: pd.Index[Any] = calls.index.take(pd.Index(numbers, dtype="int64"))
        return taken
    if not numbers:
        return pd.RangeIndex(0)
    width = len(calls.grid)
    known = {place // width: kept.index for place, kept in calls.kept.items()}
    names = [known[number] for number in numbers]
    found: pd.Index[Any]
    try:
        found = pd.Index(names, tupleize_cols=False)
    except UnicodeEncodeError:  # a file's name that is no proper text
        found = pd.Index(names, dtype=object, tupleize_cols=False)
    return found


def _texts(calls: Calls) -> bool:
    return calls.operation.kind == "caption"


def _read(
    calls: Calls, results: Callable[[], list[Result]]
) -> tuple[dict[int, Any], dict[int, str | None]]:
    """Return the main result of each call that has one, and the error of the others."""
    places = sorted(calls.kept)
    if not _texts(calls):
        found = dict(zip(places, results(), strict=True))
        errors = {place: result.error for place, result in found.items()}
        return {place: _main(result) for place, result in found.items()}, errors
    values, errors = {}, {}
    for place, row in zip(places, _history(calls, places), strict=True):
        values[place] = row.get("caption")
        errors[place] = None if row["status"] == State.SUCCEEDED else row["error"]
    return values, errors


def _first_error(errors: dict[int, str | None], number: int, width: int) -> str | None:
    found = (errors.get(number * width + at) for at in range(width))
    return next((error for error in found if error is not None), None)


def _main(result: Result) -> Any:
    if result.error is not None:
        return None
    kinds: dict[str, Any] = {
        "images": lambda: list(map(str, result.images)),
        "boxes": lambda: result.faces,
        "prompts": lambda: result.prompts,
        "style": lambda: [tag.name for tag in result.tags],
        "rows": lambda: result.rows,
    }
    return kinds.get(result.kind, lambda: dict(result.data))()


def _typed(operation: Operation, name: str, values: list[Any]) -> Any:
    """Return the values of an axis as a column of the type that its parameter has."""
    dtype: Any = _DTYPES.get(operation.param(name).type)
    if dtype:
        return pd.array(values, dtype=dtype)
    texts = [value if isinstance(value, str) or value is None else label(value) for value in values]
    return pd.array(texts, dtype="string")


def _objects(values: list[Any]) -> Any:
    column = pd.Series([None] * len(values), dtype=object)
    for at, value in enumerate(values):
        column.iat[at] = value
    return column.array
