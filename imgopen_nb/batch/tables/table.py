"""A table that a batch goes through, and which of its columns holds the images or the texts."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, KeysView, Sequence
from dataclasses import dataclass
from typing import Any

from ...catalogue.parameter import Param, folded
from ...catalogue.values import is_embedded
from ...errors import ImgOpenError, ParameterError, UnknownNameError
from ...media.formats import FILE_SUFFIXES
from ...text import clip

# Usual names of a column of images, in order of preference.
PICTURE_COLUMNS = (
    "image", "url", "image_url", "picture", "path", "file", "filename", "file_name", "img",
    "photo", "image_path", "file_path", "filepath", "picture_url", "img_url", "photo_url",
)  # fmt: skip
PICTURE = Param("image", "image", "image")  # what gets the values unless another is named
TEXT_COLUMNS = ("prompt", "text")
URL = re.compile(r"(https?|data|sample|file):", re.IGNORECASE)
ROWS = 64  # of a file that are held at a time: each may be a large image
_LOOKED_AT = 10  # values of a column whose name says nothing
_MOST_COLUMNS = 50  # that are looked at


@dataclass(frozen=True)
class Table:
    """Rows in columns, wherever they come from.

    Attributes:
        name: what messages call it, such as "photos.csv" or "the DataFrame".
        columns: the names of its columns.
        values: yields the values of a column, from the first one each time. A row that cannot be
            read is replaced by the error that says why.
        total: the number of rows, None if it is not known before they are read.
        index: a label for each row; None numbers them.
        remarks: how it was read, where that had to be found out: "no header", "separated by ;".
    """

    name: str
    columns: Sequence[Any]
    values: Callable[[Any], Iterator[Any]]
    total: int | None
    index: Sequence[Any] | None = None
    remarks: tuple[str, ...] = ()

    def column(self, wanted: Any, param: Param) -> tuple[Any, str]:
        """Return the column for a parameter, and why it is that one ("" if the user named it).

        Raises:
            UnknownNameError: there is no such column.
            ParameterError: it is not clear which one.
        """
        if not len(self.columns):
            raise ParameterError(f"{clip(self.name)} is empty: it has no columns")
        name, why = self._named(wanted) if wanted is not None else self._usual(param)
        if list(self.columns).count(name) > 1:
            raise ParameterError(
                f"{clip(self.name)} has several columns called {clip(name)!r}",
                hint="give each column its own name",
            )
        return name, why

    def _named(self, wanted: Any) -> tuple[Any, str]:
        names = list(self.columns)
        # On a line each name is a text: the column 1 is the number 1 there.
        found = [n for n in names if type(n) is type(wanted) and n == wanted]
        found = found or [n for n in names if str(n) == str(wanted)]
        if not found:
            known = map(str, names)
            raise UnknownNameError(f"column of {self.name} called", str(wanted), known)
        return found[0], ""

    def _usual(self, param: Param) -> tuple[Any, str]:
        if len(self.columns) == 1:
            return self.columns[0], "the only column"
        known = {folded(str(name)): name for name in reversed(self.columns)}
        usual = [known[name] for name in usual_names(param) if name in known]
        if len(usual) == 1 or (usual and not param.picture):
            return usual[0], "the usual name"
        several = list(dict.fromkeys(self.columns))[:_MOST_COLUMNS] if param.picture else []
        pictured = [name for name in usual or several if self._holds_pictures(name)]
        if usual:
            return (pictured or usual)[0], "the usual name"
        if len(pictured) == 1:
            return pictured[0], "the only column with images"
        what = "images" if param.picture else f"{param.name}s"
        names = clip(", ".join(map(str, pictured or self.columns)))
        raise ParameterError(
            f"which column of {self.name} holds the {what}? It has {names}",
            hint="choose it: column=..., or --column NAME",
        )

    def _holds_pictures(self, name: Any) -> bool:
        found = False
        for value in itertools.islice(self.values(name), _LOOKED_AT):
            if not missing(value):
                found = looks_like_picture(value)
                if not found:
                    break
        return found


def usual_names(param: Param | None = None) -> KeysView[str]:
    """Return the names, folded, under which people keep values of a parameter, or of any.

    The preferred ones come first.
    """
    if param is None:
        names: tuple[str, ...] = (*PICTURE_COLUMNS, *TEXT_COLUMNS)
    else:
        names = (param.name, *(PICTURE_COLUMNS if param.picture else TEXT_COLUMNS))
    return dict.fromkeys(map(folded, names)).keys()


def looks_like_picture(value: Any) -> bool:
    """Whether a value is plainly an image: an address, a file's name, bytes, an object."""
    if isinstance(value, str):
        text = value.strip()
        return bool(URL.match(text)) or has_picture_suffix(text)
    if isinstance(value, (bytes, bytearray, memoryview, os.PathLike)) or is_embedded(value):
        return True
    return hasattr(value, "__array_interface__") and getattr(value, "ndim", 2) in (2, 3)


def has_picture_suffix(name: str | os.PathLike[str]) -> bool:
    """Whether a file is called like an image."""
    return os.path.splitext(name)[1].lower() in FILE_SUFFIXES


def in_batches(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield the values of the first column of Arrow batches, one batch after the other."""
    for batch in batches:
        yield from batch.column(0).to_pylist()


def missing(value: Any) -> bool:
    """Whether a cell of a table is empty."""
    if isinstance(value, str):
        return not value.strip()
    kind = type(value).__name__
    if kind in ("NoneType", "NAType", "NaTType", "MaskedConstant"):
        return True
    if isinstance(value, dict):  # an image of a dataset that has neither bytes nor a path
        return is_embedded(value) and value.get("bytes") is None and not value.get("path")
    return (kind.startswith("float") or kind == "Decimal") and value != value


def guarded(pairs: Callable[[], Iterable[tuple[Any, Any]]]) -> Callable[[], Iterator[Any]]:
    """Return pairs that end with an error if reading fails, so that no earlier row is lost."""

    def read() -> Iterator[tuple[Any, Any]]:
        number = 0
        try:
            for pair in pairs():
                yield pair
                number += 1
        except ImgOpenError as error:
            why = f"the input ended with an error after {number} rows ({clip(error.message)})"
            yield number, ParameterError(why, hint=error.hint)
        except Exception as error:
            why = f"{type(error).__name__}: {clip(error)}"
            yield (
                number,
                ParameterError(f"the input ended with an error after {number} rows ({why})"),
            )

    return read
