"""A batch as DataFrames, aligned with its input; imports pandas, so callers import it late."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .errors import ParameterError
from .frames import history_frame
from .result import Result
from .tables import Table

if TYPE_CHECKING:
    from .batch import Batch, Kept

CHUNK = 1000


def tidy(batch: Batch) -> pd.DataFrame:
    """Return one row for each call that was run; see `Batch.frame`."""
    places = sorted(batch.kept)
    frame = history_frame(list(_history(batch, places)))
    frame["cached"] = pd.Series([batch.kept[p].cached for p in places], dtype="bool")
    for name in batch.grid[0]:
        if name != "model":
            frame[name] = [batch.grid[place % len(batch.grid)][name] for place in places]
    return frame.set_index(_index(batch, places))


def wide(batch: Batch) -> pd.DataFrame:
    """Return one row for each row of the input; see `Batch.wide`."""
    width = len(batch.grid)
    numbers = sorted({place // width for place in batch.kept})
    values = _values(batch)
    columns: dict[str, Any] = {}
    for at, name in enumerate(labels(batch)):
        column = [values.get(number * width + at) for number in numbers]
        columns[name] = pd.array(column, dtype="string") if _texts(batch) else _objects(column)
    errors = [_error(batch, number * width) for number in numbers]
    columns["error"] = pd.array(errors, dtype="string")
    return pd.DataFrame(columns, index=_index(batch, [n * width for n in numbers]))


def labels(batch: Batch) -> list[str]:
    """Return a name for each combination of the grid."""
    from .batch import MAIN

    if not batch.grid[0]:
        return [MAIN.get(batch.operation.kind, "result")]
    return [" · ".join(map(str, combination.values())) for combination in batch.grid]


def overview(batch: Batch) -> Table:
    """Return how the calls of each combination went."""
    width = len(batch.grid)
    rows = []
    for at, name in enumerate(labels(batch)):
        kept = [k for place, k in batch.kept.items() if place % width == at]
        failed = [k.error for k in kept if k.error is not None]
        cached = sum(k.cached for k in kept)
        rows.append((name, len(kept), cached, len(failed), failed[0] if failed else ""))
    return Table(("result", "calls", "from the history", "failed", "first error"), rows)


def write(frame: pd.DataFrame, name: str) -> Path:
    """Write the frame of a batch to a .csv, .jsonl or .parquet file and return its path.

    Raises:
        ParameterError: another kind of file, or a package is missing for this one.
        OSError: it cannot be written.
    """
    path = Path(name).expanduser()
    if path.suffix == ".csv":
        frame.to_csv(path)
    elif path.suffix == ".jsonl":
        frame.reset_index().to_json(path, orient="records", lines=True, force_ascii=False)
    elif path.suffix == ".parquet":
        try:
            frame.to_parquet(path)
        except ImportError:
            hint = 'pip install "imgopen-nb[fast]"'
            raise ParameterError("writing Parquet needs pyarrow", hint=hint) from None
    else:
        raise ParameterError(f"{path.name} is no .csv, .jsonl or .parquet", hint="--out NAME.csv")
    return path


def _history(batch: Batch, places: list[int]) -> Iterator[dict[str, Any]]:
    """Yield a row as the history has it for each call; of one that was not sent, what is known."""
    journal = batch.journal
    for part in _parts(places):
        kept = [batch.kept[place] for place in part]
        found = {row["task_id"]: row for row in journal.by_ids({k.task_id for k in kept})}
        for place, one in zip(part, kept, strict=True):
            yield found.get(one.task_id) or _unsent(batch, place, one)


def _unsent(batch: Batch, place: int, kept: Kept) -> dict[str, Any]:
    return {
        "operation": batch.operation.name,
        "model": batch.grid[place % len(batch.grid)].get("model"),
        "status": "not sent",
        "error": kept.error,
    }


def _parts(places: list[int]) -> Iterator[list[int]]:
    rest = iter(places)
    while part := list(itertools.islice(rest, CHUNK)):
        yield part


def _index(batch: Batch, places: list[int]) -> pd.Index[Any]:
    width = len(batch.grid)
    if batch.index is not None:
        taken: pd.Index[Any] = batch.index.take([place // width for place in places])
        return taken
    found: pd.Index[Any] = pd.Index([batch.kept[place].index for place in places])
    return found


def _texts(batch: Batch) -> bool:
    return batch.operation.kind == "caption"


def _values(batch: Batch) -> dict[int, Any]:
    """Return the main result of each call that has one, by its place."""
    if _texts(batch):
        places = sorted(batch.kept)
        rows = zip(places, _history(batch, places), strict=True)
        return {place: row.get("caption") for place, row in rows}
    return dict(zip(sorted(batch.kept), map(_main, batch.results()), strict=True))


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


def _objects(values: list[Any]) -> Any:
    column = pd.Series([None] * len(values), dtype=object)
    for at, value in enumerate(values):
        column.iat[at] = value
    return column.array


def _error(batch: Batch, first: int) -> str | None:
    kept = (batch.kept.get(first + at) for at in range(len(batch.grid)))
    return next((k.error for k in kept if k is not None and k.error is not None), None)
