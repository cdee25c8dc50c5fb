"""What people hand in as one value or as several, by what an object can do and not by its type.

NumPy, pandas, polars and Arrow are recognized without being imported.
"""

from __future__ import annotations

import itertools
import math
import operator
import os
from collections.abc import Iterable, Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

from ..errors import ParameterError
from ..text import in_words

MOST_VALUES = 100_000  # of a collection: a generator may have no end
_SINGLE = (str, bytes, bytearray, memoryview, Mapping, os.PathLike)


def is_embedded(value: Any) -> bool:
    """Whether this is an image as datasets keep them: {"bytes": ..., "path": ...}.

    One of the two may be missing or None.
    """
    if not isinstance(value, Mapping) or not {"bytes", "path"} & value.keys():
        return False
    data, path = value.get("bytes"), value.get("path")
    if data is None:
        return value.keys() <= {"bytes", "path"} and isinstance(path, (str, type(None)))
    return isinstance(data, (bytes, bytearray, memoryview))


def scalar(value: Any) -> Any:
    """Return a single value as one of Python's own: NumPy's, Arrow's, Decimal, Fraction ...

    Example:
        >>> scalar(np.int64(3)), scalar(np.array(0.5)), scalar(Decimal("2"))
        (3, 0.5, 2)
    """
    if type(value) in (str, int, float, bool, bytes, dict, list, tuple, type(None)):
        return value
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in ("m", "M"):  # a time, which would become a number
        return value
    if callable(getattr(value, "item", None)) and getattr(value, "ndim", None) == 0:
        value = value.item()
    elif callable(getattr(value, "as_py", None)):
        value = value.as_py()
    if isinstance(value, (str, int, float)):
        return value
    try:
        if hasattr(type(value), "__index__"):
            return operator.index(value)
        if isinstance(value, Decimal) and value.is_nan():  # float() refuses a signaling one
            return math.nan
        if isinstance(value, Decimal) and value.adjusted() > 400:  # as an integer it takes ages
            return float(value)
        if isinstance(value, Real | Decimal):
            return int(value) if value == int(value) else float(value)  # type: ignore[arg-type]
        if hasattr(type(value), "__float__") and not isinstance(value, Iterable):
            return float(value)
    except (TypeError, ValueError, ArithmeticError):  # an array of several; NaN and infinity
        return float(value) if isinstance(value, Decimal) else value
    return value


def whole_number(name: str, value: Any, least: int) -> int:
    """Return a number of rows or the like as an int, whatever type it has; 3.0 is 3.

    Raises:
        ParameterError: it is no whole number, below `least`, or beyond what a database counts.
    """
    number = scalar(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, int) and not isinstance(number, bool) and least <= number < 2**63:
        return int(number)
    raise ParameterError(
        f"{name} must be a whole number of at least {least}, not {in_words(value)}"
    )


def listed(value: Any, *, pictures: bool = False) -> list[Any] | None:
    """Return the items of a collection, None for what is a single value.

    A collection is a list, an array, a column of any library, a generator, a set or a view of a
    dict; of arrays of numbers, those with two or three dimensions are a single image.

    Args:
        value: what was given.
        pictures: whether images are wanted.

    Raises:
        ParameterError: it has more than MOST_VALUES items or no end, or is a table.
    """
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, (*_SINGLE, type)):
        return None
    shape = getattr(value, "shape", None)
    shape = tuple(shape) if isinstance(shape, tuple) else None
    if not (shape or isinstance(value, Iterable) or _is_sequence(value)):
        return None
    if shape == () or callable(getattr(value, "read", None)):
        return None
    if pictures and _is_pixels(value):
        return None
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if shape and len(shape) > 1 and not (pictures and len(shape) > 3):
        value = _only_column(value, shape)
    if hasattr(value, "tolist") and not pictures and kind not in ("m", "M"):
        value = value.tolist()
    items = list(itertools.islice(iter(value), MOST_VALUES + 1))
    if len(items) > MOST_VALUES:
        raise ParameterError(
            f"{in_words(value)} gives more than {MOST_VALUES:,} values", hint="pass a list"
        )
    if isinstance(value, (set, frozenset)):  # in an order that is the same the next time
        items.sort(key=lambda item: (isinstance(item, str), item if _is_plain(item) else str(item)))
    return [item.as_py() if hasattr(item, "as_py") else item for item in items]


def _is_sequence(value: Any) -> bool:
    """Whether this has a length and items, as sequences had before they had __iter__."""
    names = {name for base in type(value).__mro__ for name in vars(base)}  # not of an Enum's class
    return {"__len__", "__getitem__"} <= names


def _only_column(value: Any, shape: tuple[int, ...]) -> Any:
    """Return the values of an array or frame with one column, or one row."""
    if sum(side != 1 for side in shape) > 1:
        sides = " × ".join(map(str, shape))
        raise ParameterError(
            f"{in_words(value)} is a table of {sides}", hint="pass one of its columns"
        )
    if hasattr(value, "reshape"):
        return value.reshape(-1)
    return value.to_numpy().reshape(-1) if hasattr(value, "to_numpy") else value.columns[0]


def _is_plain(item: Any) -> bool:
    return isinstance(item, (str, int, float))


def _is_pixels(value: Any) -> bool:
    """Whether this is an array of numbers with the shape of one image."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return kind not in tuple("OSUT") and getattr(value, "ndim", 1) in (2, 3)
