"""A large history read with ADBC, in a third of the time: optional, and never another frame.

Needs the extra `fast` (adbc-driver-sqlite and pyarrow). The rows are read by `arrowreader.py`, in
processes of its own; here the JSON texts become dicts and lists. What journals usually hold is
taken apart by whole columns, once a pattern has shown that it has that form; all else is parsed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .schema import HISTORY_COLUMNS, INTEGERS, NUMBERS, select

if TYPE_CHECKING:
    import pandas as pd

READERS = 2
_READER = Path(__file__).with_name("arrowreader.py")
_NEEDED = ("adbc_driver_sqlite", "adbc_driver_manager", "pyarrow")
_COLUMNS = (*HISTORY_COLUMNS, "created")
_TEXT = r'"[^"\\\x00-\x1f]*"'
# {"image": "https://...", and whatever follows
_OPENING = rf"^\{{{_TEXT}: {_TEXT}[,}}]"
_SCORE = r"(null|-?\d+(\.\d+)?([eE][+-]?\d+)?)"
_TAGS = (
    rf'^\[\{{"name": {_TEXT}, "score": {_SCORE}\}}(, \{{"name": {_TEXT}, "score": {_SCORE}\}})*\]$'
)
_QUOTES = 6  # of one tag


def available() -> bool:
    """Whether the packages of the extra are installed."""
    return all(importlib.util.find_spec(name) is not None for name in _NEEDED)


def read(path: Path, last: int, filters: Mapping[str, Any]) -> pd.DataFrame:
    """Return the tasks up to a rowid that pass the filters, as `frames.history_frame` would.

    Args:
        path: the journal's file.
        last: the highest rowid.
        filters: those of `schema.select`, without a limit.

    Raises:
        Exception: any; the plain reader then has to do it, or to tell what is wrong.
    """
    from .frames import arrow_frame

    share = -(-last // READERS)
    spans = [(at * share + 1, min((at + 1) * share, last)) for at in range(READERS)]
    with no_collection(), ThreadPoolExecutor(READERS) as pool:
        parts = pool.map(lambda span: list(_batches(path, span, filters)), spans)
        return arrow_frame([batch for part in parts for batch in part])


def query(span: tuple[int, int], filters: Mapping[str, Any]) -> str:
    """Return the query of one reader: a first row that is none tells ADBC the columns' types.

    Its values are in it, as making Arrow arrays of them would load pandas in each reader.
    """
    sql, values = select(filters, _COLUMNS, span)
    parts = zip(sql.split("?"), [*map(_literal, values), ""], strict=True)
    types = ", ".join(f"{_example(name)} AS {name}" for name in _COLUMNS)
    return f"SELECT {types} UNION ALL {''.join(map(''.join, parts))}"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(float(value)) if isinstance(value, float) else str(int(value))


def _example(column: str) -> str:
    return "0" if column in INTEGERS else "0.5" if column in NUMBERS else "''"


def _batches(
    path: Path, span: tuple[int, int], filters: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    import pyarrow as pa

    asked = {"uri": f"{path.resolve().as_uri()}?mode=ro", "sql": query(span, filters)}
    with subprocess.Popen(
        [sys.executable, "-P", str(_READER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.write(json.dumps(asked).encode())
        reader.stdin.close()
        for number, batch in enumerate(pa.ipc.open_stream(reader.stdout)):
            yield decoded(batch.slice(1) if number == 0 else batch)
    if reader.returncode:
        raise OSError(f"the reader ended with {reader.returncode}")


def decoded(batch: Any) -> dict[str, Any]:
    """Return the columns of a batch: Arrow arrays, and lists of Python values for JSON."""
    columns = {name: batch.column(name) for name in _COLUMNS}
    columns["params"] = params(columns["params"])
    columns["tags"] = tags(columns["tags"])
    columns["image_urls"] = _few(columns["image_urls"])
    return columns


def params(column: Any) -> list[Any]:
    """Return JSON texts as values; rows that differ in their first text only are parsed once."""
    import pyarrow.compute as pc

    usual = pc.fill_null(pc.match_substring_regex(column, _OPENING), False)
    texts = column.filter(usual)
    quotes, offsets = _marks(texts)
    first = quotes.searchsorted(offsets[:-1])
    keys = _pieces(texts, quotes[first] + 1, quotes[first + 1])
    values = _pieces(texts, quotes[first + 2] + 1, quotes[first + 3])
    rests = _pieces(texts, quotes[first + 3] + 1, offsets[1:])
    forms = pc.binary_join_element_wise(keys, rests, '"').dictionary_encode()
    found = None if len(forms.dictionary) > len(texts) // 4 else _filled(forms, values)
    return _each(column) if found is None else _placed(column, usual, found)


def _filled(forms: Any, values: Any) -> list[Any] | None:
    """Return a dict of its own for each form, with the value of the first key.

    None where that is not enough: for lists in it, or a key that is there twice.
    """
    names, made = [], []
    for form in forms.dictionary.to_pylist():
        name, _, rest = form.partition('"')
        names.append(name)
        made.append(json.loads(f'{{"{name}": ""{rest}'))
    if any(d[n] != "" or _deep(d) for n, d in zip(names, made, strict=True)):
        return None
    found = []
    for at, value in zip(_list(forms.indices), _list(values), strict=True):
        filled = made[at].copy()
        filled[names[at]] = value
        found.append(filled)
    return found


def _deep(found: Mapping[str, Any]) -> bool:
    return any(isinstance(value, (dict, list)) for value in found.values())


def tags(column: Any) -> list[Any]:
    """Return JSON lists of {"name", "score"} as lists of the names; others are parsed."""
    import numpy as np
    import pyarrow.compute as pc

    from .frames import tag_names

    usual = pc.fill_null(pc.match_substring_regex(column, _TAGS), False)
    texts = column.filter(usual)
    quotes, offsets = _marks(texts)
    ends = quotes.searchsorted(offsets[1:]) // _QUOTES
    names = _pieces(texts, quotes[2::_QUOTES] + 1, quotes[3::_QUOTES]).dictionary_encode()
    known = np.array(names.dictionary.to_pylist(), dtype=object)
    flat = known[names.indices.to_numpy()].tolist()
    ends = ends.tolist()
    found = [flat[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    return _placed(column, usual, found, tag_names)


def _marks(texts: Any) -> tuple[Any, Any]:
    """Return where in the data of an array its quotes are, and where its texts begin and end."""
    import numpy as np

    data = np.frombuffer(texts.buffers()[2] or b"", dtype=np.uint8)
    offsets = np.frombuffer(texts.buffers()[1] or b"\0" * 4, dtype=np.int32)
    offsets = offsets[texts.offset : texts.offset + len(texts) + 1]
    return np.flatnonzero(data[: offsets[-1]] == ord('"')), offsets


def _pieces(texts: Any, starts: Any, ends: Any) -> Any:
    """Return pieces of an array's data as an array; what lies between them is every second."""
    import numpy as np
    import pyarrow as pa

    offsets = np.empty(2 * len(starts) + 1, dtype=np.int32)
    offsets[0:-1:2], offsets[1::2] = starts, ends
    offsets[-1] = offsets[-2] if len(starts) else 0
    every = pa.StringArray.from_buffers(2 * len(starts), pa.py_buffer(offsets), texts.buffers()[2])
    return every.take(pa.array(np.arange(0, 2 * len(starts), 2)))


def _placed(
    column: Any, usual: Any, found: list[Any], shaped: Callable[[Any], Any] = lambda value: value
) -> list[Any]:
    """Return what was found in its rows, and the others parsed one by one and shaped."""
    if len(found) == len(column):
        return found
    each = iter(found)
    texts = zip(_list(usual), _list(column), strict=True)
    return [
        next(each) if is_usual else None if text is None else shaped(json.loads(text))
        for is_usual, text in texts
    ]


def _each(column: Any) -> list[Any]:
    return [None if text is None else json.loads(text) for text in _list(column)]


def _few(column: Any) -> list[Any]:
    """Return JSON texts as values, equal ones shared: whoever makes the frame copies them."""
    codes = column.dictionary_encode()
    known = [*_each(codes.dictionary), None]
    return [known[at] for at in _list(codes.indices.fill_null(len(known) - 1))]


def _list(array: Any) -> list[Any]:
    found: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
    return found


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Millions of new dicts would have the collector look through all of them again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
