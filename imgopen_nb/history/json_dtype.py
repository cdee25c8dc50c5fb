"""What files of earlier versions name: a pandas dtype for columns of JSON texts.

Frames that were pickled open with plain objects in such columns; a Parquet file, which names the
dtype only, opens with its texts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionDtype

from .json_values import values


class JsonDtype(ExtensionDtype):
    """json[params], json[tags] and json[image_urls]."""

    type = object
    kind = "O"
    view = "params"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name as it stands in a Parquet file."""
        return f"json[{self.view}]"

    @classmethod
    def construct_array_type(cls) -> Any:
        """Return the class of the arrays."""
        return JsonArray

    @classmethod
    def construct_from_string(cls, string: str) -> JsonDtype:
        """Return the dtype of a name; raises TypeError for any other string."""
        found = cls()
        for found.view in ("params", "tags", "image_urls"):
            if string == found.name:
                return found
        raise TypeError(f"Cannot construct a 'JsonDtype' from {string!r}")


class JsonArray(pd.arrays.NumpyExtensionArray):
    """An array of objects that is unpickled from JSON texts."""

    def __new__(cls, *_: Any) -> JsonArray:
        """Return an empty array, as pickle asks for it before it sets the state."""
        return super().__new__(cls, np.empty(0, dtype=object))

    def __setstate__(self, state: Any) -> None:
        if not (isinstance(state, dict) and "_texts" in state):
            super().__setstate__(state)
            return
        texts = state["_texts"].to_numpy(dtype=object, na_value=None)
        found = pd.Series(values(state["_dtype"].view, texts), dtype=object)
        super().__init__(found.to_numpy(copy=True))  # type: ignore[call-arg]

    def _explode(self) -> tuple[Any, Any]:
        items = pd.Series(self._ndarray, dtype=object).explode()
        counts = items.index.value_counts(sort=False).sort_index()
        return items.to_numpy(), counts.to_numpy(dtype="uint64")
