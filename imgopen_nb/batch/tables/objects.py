"""Tables that lists and dictionaries are: handed in, or read from JSON."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

from ...catalogue.parameter import Param, folded
from ...catalogue.values import is_embedded, listed
from ...errors import ParameterError
from ...text import clip
from .table import PICTURE, Table, has_picture_suffix, looks_like_picture, usual_names

# Names of the list of rows in a .json file that holds other things too.
_LISTS = ("images", "data", "rows", "items", "records", "results", "pictures", "prompts", "urls")


def is_table(given: Any, param: Param = PICTURE) -> bool:
    """Whether a list holds rows with columns, or a dict columns with their values."""
    if isinstance(given, dict):
        values = given.values()
        columns = all(map(_is_column, values)) or all(type(value) is dict for value in values)
        return bool(given) and not param.several and columns and not any(map(is_embedded, values))
    rows = [row for row in itertools.islice(given, 10) if row is not None]
    return bool(rows) and all(row_of(row, param) is not None for row in rows)


def _is_column(value: Any) -> bool:
    """Whether this has many values: a list, an array with one dimension, a column."""
    if isinstance(value, (list, tuple)):
        return True
    single = isinstance(value, (str, bytes, bytearray, Mapping)) or getattr(value, "ndim", 1) != 1
    return isinstance(value, Sized) and isinstance(value, Iterable) and not single


def table_from_collection(given: Any, param: Param) -> Table | None:
    """Return the table that a list of rows or a dict of columns is; its rows are not copied."""
    name = f"the {type(given).__name__}"
    if isinstance(given, dict):
        sizes = {*map(len, given.values())}
        if any(isinstance(values, dict) for values in given.values()):  # DataFrame.to_dict()
            by_text = {
                str(at): {str(key): each for key, each in row.items()} for at, row in given.items()
            }
            return table_from_json(by_text, name)
        if len(sizes) == 1 and "data" not in given:
            return Table(name, list(given), lambda at: iter(given[at]), sizes.pop())
        return table_from_json({at: listed(values) for at, values in given.items()}, name)
    if all(isinstance(row, (Mapping, type(None))) for row in itertools.islice(given, 10)):
        return table_from_json(list(given), name)
    rows = filter(None, (row_of(row, param) for row in itertools.islice(given, 100)))
    columns = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    return Table(
        name, columns, lambda at: ((row_of(r, param) or {}).get(at) for r in given), len(given)
    )


def row_of(row: Any, param: Param) -> Mapping[Any, Any] | None:
    """Return a row of any library by column, None for what is a value: an image, a text.

    The cells of a tuple or list have numbers.
    """
    if isinstance(row, Mapping):
        return None if is_embedded(row) else row
    if callable(getattr(row, "_asdict", None)):  # a named tuple
        return dict(row._asdict())
    if isinstance(row, (tuple, list)):
        if param.several or not any(map(looks_like_picture if param.picture else _is_text, row)):
            return None
        return dict(enumerate(row, 1))
    if callable(getattr(row, "keys", None)) and getattr(row, "ndim", 1) == 1:
        return {name: row[name] for name in row.keys()}  # noqa: SIM118 - sqlite3.Row, a Series
    return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def table_from_json(content: Any, name: str, folder: Path | None = None) -> Table | None:
    """Return the table that JSON holds, None if it holds none.

    Known are lists of values, of objects and of lists, an object with a list for each column, and
    what pandas writes: `orient` "columns", "index", "records", "split", "table" and "values". Of
    other objects, a list called "images", "data" or the like is taken, or their only list. Where
    the keys are images, such as "cat.jpg" or, in this folder, the "cat" of cat.jpg, so is theirs.
    """
    if isinstance(content, list):
        return _of_list(content, name)
    if not isinstance(content, dict):
        return None
    columns, data = content.get("columns"), content.get("data")
    if _is_list_of(columns, (str, int)) and _is_list_of(data, list):  # orient="split"
        known = content.get("index")
        index = known if isinstance(known, list) and len(known) == len(data) else None
        return _of_rows([dict(zip(columns, row, strict=False)) for row in data], name, index)
    if rows := _with_pictures(content, folder):
        return _of_rows(rows, name)
    if content and all(isinstance(value, dict) for value in content.values()):
        return _of_dicts(content, name)
    lists = {key: value for key, value in content.items() if isinstance(value, list)}
    only = next(iter(lists)) if len(lists) == 1 < len(content) else None
    found = next((key for key in _LISTS if key in lists), only)
    if found and (len(lists) < len(content) or len(lists) == 1 or _is_list_of(lists[found], dict)):
        table = _of_list(lists[found], name)
        return replace(table, remarks=(f"the list {found!r}", *table.remarks))
    if lists and len(lists) == len(content) and len({*map(len, lists.values())}) == 1:
        rows = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
        return _of_rows(rows, name, columns=list(lists))
    if usual_names() & content.keys():
        return _of_rows([content], name)
    if content and all(isinstance(value, str) for value in content.values()):
        return _of_values(list(content.values()), name, list(content))
    return None


def _with_pictures(content: dict[str, Any], folder: Path | None) -> list[dict[str, Any]] | None:
    """Return rows for what is told of images by their names, None if the keys are no images."""
    if not content or not all(isinstance(value, (dict, str)) for value in content.values()):
        return None
    named = usual_names() & {
        key for row in content.values() if isinstance(row, dict) for key in row
    }
    pictures = dict(zip(content, content, strict=True))
    if folder and not all(map(looks_like_picture, content)):
        stems = {path.stem: path.name for path in folder.iterdir() if has_picture_suffix(path)}
        pictures = {key: stems.get(key, key) for key in content}
    if named or not all(map(looks_like_picture, pictures.values())):
        return None
    about = ((pictures[key], value) for key, value in content.items())
    return [
        {"image": picture, **(value if isinstance(value, dict) else {"text": value})}
        for picture, value in about
    ]


def _of_list(content: list[Any], name: str) -> Table:
    if any(isinstance(row, dict) and row.keys() != {"bytes", "path"} for row in content):
        return _of_rows(content, name)
    if content and all(isinstance(row, list) for row in content):  # orient="values"
        return _of_rows([dict(enumerate(row, 1)) for row in content], name)
    return _of_values(content, name)


def _of_values(values: list[Any], name: str, index: list[Any] | None = None) -> Table:
    return Table(name, ["value"], lambda _: iter(values), len(values), index)


def _of_rows(
    rows: list[Any], name: str, index: list[Any] | None = None, columns: list[Any] | None = None
) -> Table:
    """Return a table of dictionaries by column; another row is an error of its own."""

    def values(column: Any) -> Iterator[Any]:
        for number, row in enumerate(rows, 1):
            if row is None or isinstance(row, Mapping):
                yield (row or {}).get(column)
            else:
                yield ParameterError(
                    f"{clip(name)}, row {number} is not an object with named columns"
                )

    found = dict.fromkeys(key for row in rows if isinstance(row, Mapping) for key in row)
    return Table(name, columns or list(found), values, len(rows), index)


def _of_dicts(content: dict[str, dict[str, Any]], name: str) -> Table:
    """Return a table of dictionaries in one: by column (pandas' usual way), or by row."""
    inner = dict.fromkeys(key for value in content.values() for key in value)
    usual = usual_names()
    numbered = all(key.isdecimal() for key in inner)
    if numbered or (usual & {*map(folded, content)} and not usual & {*map(folded, inner)}):
        rows = [{key: value.get(at) for key, value in content.items()} for at in inner]
        return _of_rows(rows, name, _labels(list(inner)), list(content))
    return _of_rows(list(content.values()), name, _labels(list(content)), list(inner))


def _labels(keys: list[str]) -> list[Any]:
    """Return the labels of rows: JSON writes numbers as texts."""
    return [int(key) for key in keys] if all(k.isdecimal() and len(k) < 19 for k in keys) else keys


def _is_list_of(value: Any, kind: type | tuple[type, ...]) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)
