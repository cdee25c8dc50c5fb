"""A batch as DataFrames, aligned with its input; imports pandas, so callers import it late."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..catalogue.operation import Operation
from ..catalogue.status import State
from ..display.tables import Table
from ..history.frame import history_frame
from ..tasks.result import Result
from ..text import clip, in_words, visible

if TYPE_CHECKING:
    from .batch import Batch, Kept

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


def tidy(batch: Batch) -> pd.DataFrame:
    """Return one row for each call that was run; see `Batch.frame`."""
    places = sorted(batch.kept)
    frame = history_frame(list(_history(batch, places)))
    frame["cached"] = pd.Series([batch.kept[place].cached for place in places], dtype="bool")
    for name in batch.grid[0]:
        if name != "model":
            values = [batch.grid[place % len(batch.grid)][name] for place in places]
            frame[name] = _typed(batch.operation, name, values)
    frame.index = _index(batch, [place // len(batch.grid) for place in places])
    return frame


def wide(batch: Batch) -> pd.DataFrame:
    """Return one row for each row of the input; see `Batch.wide`."""
    width = len(batch.grid)
    numbers = sorted({place // width for place in batch.kept})
    values, errors = _read(batch)
    columns: dict[str, Any] = {}
    for at, name in enumerate(labels(batch)):
        column = [values.get(number * width + at) for number in numbers]
        columns[name] = pd.array(column, dtype="string") if _texts(batch) else _objects(column)
    first = [_first_error(errors, number, width) for number in numbers]
    columns["error"] = pd.array(first, dtype="string")
    return pd.DataFrame(columns, index=_index(batch, numbers))


def labels(batch: Batch) -> list[str]:
    """Return a name for each combination of the grid, no two the same."""
    if not batch.grid[0]:
        return [MAIN.get(batch.operation.kind, "result")]
    names: dict[str, None] = {"error": None}
    for combination in batch.grid:
        name = " · ".join(map(label, combination.values()))
        same = (f"{name} ({number})" for number in itertools.count(2))
        names[name if name not in names else next(n for n in same if n not in names)] = None
    return list(names)[1:]


def label(value: Any) -> str:
    """Return a value of a grid as part of a column's name."""
    plain = isinstance(value, (str, int, float)) and value != ""
    return visible(clip(value, 60)) if plain else clip(in_words(value), 60)


def overview(batch: Batch) -> Table:
    """Return how the calls of each combination went; of many combinations the first."""
    counts: list[list[Any]] = [[0, 0, 0, ""] for _ in batch.grid]
    for place, kept in sorted(batch.kept.items()):
        row = counts[place % len(batch.grid)]
        row[0] += 1
        row[1] += kept.cached
        row[2] += kept.error is not None
        row[3] = row[3] or clip(kept.error or "", 160)
    rows = [(name, *row) for name, row in zip(labels(batch), counts, strict=True)][:SHOWN]
    if len(counts) > SHOWN:
        rows.append((f"… and {len(counts) - SHOWN:,} more", "", "", "", ""))
    heads = (batch.operation.name, "calls", "from the history", "failed", "first error")
    return Table(heads, rows)


def _history(batch: Batch, places: list[int]) -> Iterator[dict[str, Any]]:
    """Yield a row as the history has it for each call; of one that was not sent, what is known."""
    journal = batch.journal
    for part in _parts(places):
        kept = [batch.kept[place] for place in part]
        found = {row["task_id"]: row for row in journal.by_ids({k.task_id for k in kept})}
        for place, one in zip(part, kept, strict=True):
            row = found.get(one.task_id) or _unsent(batch, place, one)
            failed = row["status"] != State.SUCCEEDED
            yield {**row, "error": one.error or row["error"]} if failed else row


def _unsent(batch: Batch, place: int, kept: Kept) -> dict[str, Any]:
    from .batch import GONE

    given = {**batch.fixed, **batch.grid[place % len(batch.grid)]}
    return {
        "operation": batch.operation.name,
        "model": given.get("model"),
        "image": kept.image,
        "status": "not sent",
        "error": kept.error or GONE,
    }


def _parts(places: list[int]) -> Iterator[list[int]]:
    rest = iter(places)
    while part := list(itertools.islice(rest, CHUNK)):
        yield part


def _index(batch: Batch, numbers: list[int]) -> pd.Index[Any]:
    """Return the index of these rows of the input."""
    if batch.index is not None:
        if numbers == list(range(len(batch.index))):
            same: pd.Index[Any] = batch.index.copy()
            return same
        taken: pd.Index[Any] = batch.index.take(pd.Index(numbers, dtype="int64"))
        return taken
    if not numbers:
        return pd.RangeIndex(0)
    width = len(batch.grid)
    known = {place // width: kept.index for place, kept in batch.kept.items()}
    names = [known[number] for number in numbers]
    found: pd.Index[Any]
    try:
        found = pd.Index(names, tupleize_cols=False)
    except UnicodeEncodeError:  # a file's name that is no proper text
        found = pd.Index(names, dtype=object, tupleize_cols=False)
    return found


def _texts(batch: Batch) -> bool:
    return batch.operation.kind == "caption"


def _read(batch: Batch) -> tuple[dict[int, Any], dict[int, str | None]]:
    """Return the main result of each call that has one, and the error of the others."""
    places = sorted(batch.kept)
    if not _texts(batch):
        results = dict(zip(places, batch.results(), strict=True))
        errors = {place: result.error for place, result in results.items()}
        return {place: _main(result) for place, result in results.items()}, errors
    values, errors = {}, {}
    for place, row in zip(places, _history(batch, places), strict=True):
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
