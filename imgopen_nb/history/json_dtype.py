"""A pandas dtype for columns of JSON texts, which are parsed when a value is accessed.

A history of a million tasks contains millions of dicts and lists, and creating them takes longer
than reading the file. Access, iteration and `explode` give the same as a column of objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype, register_extension_dtype
from pandas.api.indexers import check_array_indexer

from ..display.record import name_and_score


def tag_names(tags: Iterable[Any]) -> list[str]:
    """Return the names of tags, which are names, mappings or objects."""
    return [str(name_and_score(tag)[0]) for tag in tags]


# By view: makes a value from its parsed JSON or from None.
VIEWS: dict[str, Callable[[Any], Any]] = {
    "params": lambda value: value or {},
    "tags": lambda value: None if value is None else tag_names(value),
    "image_urls": lambda value: list(value) if value else [],
}


@register_extension_dtype
class JsonDtype(ExtensionDtype):
    """json[params]: dicts; json[tags]: lists of names, or None; json[image_urls]: lists."""

    type = object
    kind = "O"
    na_value = None
    _metadata = ("view",)

    def __init__(self, view: str = "params") -> None:
        self.view = view

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name as pandas shows it."""
        return f"json[{self.view}]"

    @classmethod
    def construct_array_type(cls) -> Any:
        """Return the class of the arrays."""
        return JsonArray

    @classmethod
    def construct_from_string(cls, string: str) -> JsonDtype:
        """Return the dtype of a name; raises TypeError for any other string."""
        view = string[5:-1] if isinstance(string, str) else ""
        if view not in VIEWS or string != f"json[{view}]":
            raise TypeError(f"Cannot construct a 'JsonDtype' from {string!r}")
        return cls(view)


class JsonArray(ExtensionArray):
    """An array of JSON texts whose items are the parsed values.

    Args:
        texts: a pandas array of dtype "string".
        dtype: the kind of the values.
    """

    def __init__(self, texts: Any, dtype: JsonDtype) -> None:
        self._texts = texts
        self._dtype = dtype

    @classmethod
    def of(cls, view: str, values: Sequence[Any]) -> JsonArray:
        """Return an array of values, each given as JSON text, as a value, or None."""
        texts = [v if v is None or isinstance(v, str) else _text(view, v) for v in values]
        return cls(pd.array(texts, dtype="string"), JsonDtype(view))

    @classmethod
    def _from_sequence(cls, scalars: Any, *, dtype: Any = None, copy: bool = False) -> JsonArray:
        wanted: Any = JsonDtype() if dtype is None else pd.api.types.pandas_dtype(dtype)
        return cls.of(wanted.view, [None if missing(value) else value for value in scalars])

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[JsonArray]) -> JsonArray:
        texts = [array._texts for array in to_concat]
        return cls(texts[0]._concat_same_type(texts), to_concat[0]._dtype)

    @property
    def dtype(self) -> JsonDtype:
        """The dtype."""
        return self._dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the texts."""
        return int(self._texts.nbytes)

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, item: Any) -> Any:
        found = self._texts[check_array_indexer(self, item)]
        return JsonArray(found, self._dtype) if hasattr(found, "dtype") else self._value(found)

    def __iter__(self) -> Iterator[Any]:
        return map(self._value, self._texts.to_numpy(dtype=object, na_value=None))

    def __eq__(self, other: Any) -> Any:
        several = isinstance(other, (JsonArray, pd.Series, np.ndarray))
        others = other if several else [other] * len(self)
        return np.array([a == b for a, b in zip(self, others, strict=True)], dtype=bool)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        found = np.empty(len(self), dtype=object)
        for at, value in enumerate(
            self
        ):  # `found[:] = list(self)` would turn lists of equal length into rows
            found[at] = value
        return found

    def __arrow_array__(self, type: Any = None) -> Any:
        return self._texts.__arrow_array__(type=type)

    def isna(self) -> Any:
        """Return where values are missing; a missing dict or list of URLs counts as empty."""
        missing = self._texts.isna()
        return missing if self._dtype.view == "tags" else np.zeros_like(missing)

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> JsonArray:
        """Return the values at these positions."""
        return JsonArray(self._texts.take(indices, allow_fill=allow_fill), self._dtype)

    def copy(self) -> JsonArray:
        """Return a copy."""
        return JsonArray(self._texts.copy(), self._dtype)

    def map(self, mapper: Any, na_action: Any = None) -> Any:
        """Apply a function or dict to the values, as for a column of objects."""
        return pd.Series(np.asarray(self, dtype=object)).map(mapper, na_action=na_action).array

    def _value(self, text: Any) -> Any:
        return VIEWS[self._dtype.view](None if missing(text) else json.loads(text))

    def _explode(self) -> tuple[Any, Any]:
        series = pd.Series(np.asarray(self, dtype=object)).explode()
        counts = series.index.value_counts(sort=False).sort_index()
        return series.to_numpy(), counts.to_numpy(dtype="uint64")

    def _formatter(self, boxed: bool = False) -> Callable[[Any], str]:
        return str


def _text(view: str, value: Any) -> str:
    plain = tag_names(value) if view == "tags" else value
    return json.dumps(plain, ensure_ascii=False, default=str)


def missing(value: Any) -> bool:
    """Whether a value is None, NaN, NaT or NA."""
    if isinstance(value, float):
        return value != value
    return value is None or value is pd.NA or value is pd.NaT
