"""A batch as DataFrames, aligned with its input. Imports pandas: import this in functions only."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from ..catalogue.operation import Operation
from ..catalogue.status import DELETED, State
from ..display.tables import Table
from ..errors import UsageError
from ..history.frame import history_frame
from ..tasks.result import Result
from ..text import clip, in_words, visible
from .rows import NOT_IN_HISTORY, Calls, InputPicture, OutcomeRecord
from .tables.table import PICTURE_COLUMNS

ATTRIBUTE = "imgopen"
CHUNK = 1000
MAX_ROWS = 20
# The name of the column with the results, by the kind of result, if there is no grid.
RESULT_COLUMNS = {
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
    places = sorted(calls.records)
    frame = history_frame(list(_history(calls, places)))
    frame["cached"] = pd.Series([calls.records[place].cached for place in places], dtype="bool")
    for name in calls.grid[0]:
        if name != "model":
            values = [calls.combination(place)[name] for place in places]
            frame[name] = _typed_column(calls.operation, name, values)
    frame.index = _index(calls, [place // len(calls.grid) for place in places])
    return frame


def wide(calls: Calls, results: Callable[[], list[Result]], *, pictured: bool) -> pd.DataFrame:
    """Return one row for each row of the input, images if `pictured`; see `Batch.wide`."""
    width = len(calls.grid)
    numbers = sorted({place // width for place in calls.records})
    values, errors = _values_and_errors(calls, results)
    columns: dict[str, Any] = {}
    for at, name in enumerate(column_names(calls)):
        column = [values.get(number * width + at) for number in numbers]
        texts = _is_caption(calls)
        columns[name] = pd.array(column, dtype="string") if texts else _object_column(column)
    first = [_first_error(errors, number, width) for number in numbers]
    columns["error"] = pd.array(first, dtype="string")
    frame = pd.DataFrame(columns, index=_index(calls, numbers))
    if pictured:
        frame.attrs[ATTRIBUTE] = InputPictures(calls, frame)
    return frame


class InputPictures(dict[str, Any]):
    """The images of a wide frame, kept in its `attrs`: name and identity of each row's image.

    A frame of captions has no column of images, so that it can be joined to the one it was made
    from. pandas copies `attrs` with each frame that it makes of this one, and writes them as JSON.
    The hashes of its values show later whether a row is still in its place.
    """

    def __init__(self, calls: Calls, frame: pd.DataFrame) -> None:
        rows = input_pictures(calls).values()
        super().__init__(
            image=[image for image, *_ in rows],
            picture=[picture for _, picture, _ in rows],
            trouble=[trouble for *_, trouble in rows],
            hashes={name: _hashes(frame[name]).tolist() for name in frame},
        )
        self.index = frame.index

    def __deepcopy__(self, memo: Any) -> InputPictures:
        return self  # it never changes, and a copy for each new frame would take long

    def __reduce__(self) -> Any:
        return (dict, (dict(self),))  # a pickled frame opens without this package


def input_pictures(calls: Calls) -> dict[int, InputPicture]:
    """Return the image of each row of the input that was run, by the number of the row."""
    found: dict[int, InputPicture] = {}
    places = sorted(calls.records)
    for place, row in zip(places, _history(calls, places), strict=True):
        number, picture = place // len(calls.grid), row.get("picture")
        if picture or number not in found:
            trouble = None if row.get("task_id") else row["error"]
            found[number] = InputPicture(row["image"], picture, trouble)
    return found


def is_wide(frame: pd.DataFrame) -> bool:
    """Whether this is the wide frame of a batch, or a part of it."""
    kept = frame.attrs.get(ATTRIBUTE)
    return isinstance(kept, dict) and {"image", "picture", "trouble", "hashes"} <= kept.keys()


def pictures_of(frame: pd.DataFrame) -> list[InputPicture] | None:
    """Return the image of each row; None if this is no wide frame.

    A column of images that was added to the frame comes first: then it counts as no wide frame.

    Raises:
        UsageError: rows were added, moved or renamed, so it is not known which images they are.
    """
    if not is_wide(frame):
        return None
    kept = frame.attrs[ATTRIBUTE]
    if any(str(name).lower() in PICTURE_COLUMNS and name not in kept["hashes"] for name in frame):
        return None
    columns = (kept["image"], kept["picture"], kept["trouble"])
    rows = list(itertools.starmap(InputPicture, zip(*columns, strict=True)))
    places = _places(frame, getattr(kept, "index", None), len(rows))
    if places is None or _moved(frame, kept["hashes"], places):
        raise UsageError(
            "this frame no longer says which images its rows describe",
            hint="use the batch, or a DataFrame with a column of images",
        )
    return [rows[place] for place in places]


def _places(frame: pd.DataFrame, index: pd.Index[Any] | None, total: int) -> list[int] | None:
    """Return which row of the batch each row of a frame is, by its label; None if not known."""
    if index is not None and index.is_unique:
        places = index.get_indexer(frame.index)
        if (places >= 0).all():
            return places.tolist()
    same = total == len(frame) and (index is None or index.equals(frame.index))
    return list(range(total)) if same else None


def _moved(frame: pd.DataFrame, hashes: dict[str, list[int]], places: list[int]) -> bool:
    """Whether a row has a value that another row had, as after a filter and `reset_index`.

    A value that none had was edited, so it tells nothing.
    """
    nothing = int(_hashes(pd.Series([None], dtype="string"))[0])
    for name, before in hashes.items():
        if name not in frame or isinstance(frame[name], pd.DataFrame):
            continue
        pairs = zip(_hashes(frame[name]).tolist(), places, strict=True)
        other = {now for now, place in pairs if now not in (before[place], nothing)}
        if not other.isdisjoint(before):
            return True
    return False


def _hashes(column: pd.Series[Any]) -> Any:
    """Return a 64-bit hash of each value as text; what is missing is as an empty text."""
    texts = column.astype("string").fillna("").astype(object)
    return pd.util.hash_pandas_object(texts, index=False).to_numpy()


def column_names(calls: Calls) -> list[str]:
    """Return a unique name for each combination of the grid."""
    if not calls.grid[0]:
        return [RESULT_COLUMNS.get(calls.operation.kind, "result")]
    names: dict[str, None] = {"error": None}
    for combination in calls.grid:
        name = " · ".join(map(label, combination.values()))
        same = (f"{name} ({number})" for number in itertools.count(2))
        names[name if name not in names else next(n for n in same if n not in names)] = None
    return list(names)[1:]


def label(value: Any) -> str:
    """Return the part of a column's name that stands for a value of a grid."""
    plain = isinstance(value, (str, int, float)) and value != ""
    return visible(clip(value, 60)) if plain else clip(in_words(value), 60)


def overview(calls: Calls) -> Table:
    """Return how the calls of each combination went, for the first MAX_ROWS."""
    counts: list[list[Any]] = [[0, 0, 0, ""] for _ in calls.grid]
    for place, record in sorted(calls.records.items()):
        row = counts[place % len(calls.grid)]
        row[0] += 1
        row[1] += record.cached
        row[2] += record.error is not None
        row[3] = row[3] or clip(record.error or "", 160)
    rows = [(name, *row) for name, row in zip(column_names(calls), counts, strict=True)][:MAX_ROWS]
    if len(counts) > MAX_ROWS:
        rows.append((f"… and {len(counts) - MAX_ROWS:,} more", "", "", "", ""))
    heads = (calls.operation.name, "calls", "from the history", "no result", "first error")
    return Table(heads, rows)


def _history(calls: Calls, places: list[int]) -> Iterator[dict[str, Any]]:
    """Yield the row of the history for each call, or the known columns if it was not sent."""
    for part in _chunks(places):
        records = [calls.records[place] for place in part]
        ids = {record.task_id for record in records}
        found = {row["task_id"]: row for row in calls.table.by_ids(ids)}
        for place, record in zip(part, records, strict=True):
            known = found.get(record.task_id)
            row = record.named(known) if known else _unsent_row(calls, place, record)
            failed = row["status"] != State.SUCCEEDED
            yield {**row, "error": record.error or row["error"]} if failed else row


def _unsent_row(calls: Calls, place: int, record: OutcomeRecord) -> dict[str, Any]:
    given = {**calls.fixed, **calls.combination(place)}
    return {
        "operation": calls.operation.name,
        "model": given.get("model"),
        "image": record.image,
        "status": DELETED if record.task_id else record.status,
        "queries": 0,
        "attempts": 0,
        "error": record.error or NOT_IN_HISTORY,
    }


def _chunks(places: list[int]) -> Iterator[list[int]]:
    rest = iter(places)
    while part := list(itertools.islice(rest, CHUNK)):
        yield part


def _index(calls: Calls, numbers: list[int]) -> pd.Index[Any]:
    """Return the index for these rows of the input."""
    if calls.index is not None:
        if numbers == list(range(len(calls.index))):
            same: pd.Index[Any] = calls.index.copy()
            return same
        taken: pd.Index[Any] = calls.index.take(pd.Index(numbers, dtype="int64"))
        return taken
    if not numbers:
        return pd.RangeIndex(0)
    width = len(calls.grid)
    known = {place // width: record.index for place, record in calls.records.items()}
    names = [known[number] for number in numbers]
    found: pd.Index[Any]
    try:
        found = pd.Index(names, tupleize_cols=False)
    except UnicodeEncodeError:  # a file's name that is not valid text
        found = pd.Index(names, dtype=object, tupleize_cols=False)
    return found


def _is_caption(calls: Calls) -> bool:
    return calls.operation.kind == "caption"


def _values_and_errors(
    calls: Calls, results: Callable[[], list[Result]]
) -> tuple[dict[int, Any], dict[int, str | None]]:
    """Return the values of the calls that succeeded and the errors of the others, by place."""
    places = sorted(calls.records)
    if not _is_caption(calls):
        found = dict(zip(places, results(), strict=True))
        errors = {place: result.error for place, result in found.items()}
        return {place: _value(result) for place, result in found.items()}, errors
    values, errors = {}, {}
    for place, row in zip(places, _history(calls, places), strict=True):
        values[place] = row.get("caption")
        errors[place] = None if row["status"] == State.SUCCEEDED else row["error"]
    return values, errors


def _first_error(errors: dict[int, str | None], number: int, width: int) -> str | None:
    found = (errors.get(number * width + at) for at in range(width))
    return next((error for error in found if error is not None), None)


def _value(result: Result) -> Any:
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


def _typed_column(operation: Operation, name: str, values: list[Any]) -> Any:
    """Return the values of an axis as a column whose dtype fits the parameter's type."""
    dtype: Any = _DTYPES.get(operation.param(name).type)
    if dtype:
        return pd.array(values, dtype=dtype)
    texts = [value if isinstance(value, str) or value is None else label(value) for value in values]
    return pd.array(texts, dtype="string")


def _object_column(values: list[Any]) -> Any:
    column = pd.Series([None] * len(values), dtype=object)
    for at, value in enumerate(values):
        column.iat[at] = value
    return column.array
