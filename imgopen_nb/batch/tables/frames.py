"""Frames and columns in memory, of any library: polars, Arrow, Hugging Face datasets, NumPy ...

pandas is not among them: its frames have an index, and `sources` reads them as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from numbers import Number
from typing import Any

from ...errors import ParameterError, install_command
from ...images.picture import is_image
from ...text import clip, in_words
from .table import ROWS, Table, in_batches

# Attributes of frames and columns that this module reads.
_FRAME_MARKS = (
    "__arrow_c_stream__", "__arrow_c_array__", "__dataframe__", "__narwhals_dataframe__",
    "__narwhals_lazyframe__", "__narwhals_series__", "collect_schema", "to_batches", "to_arrow",
    "to_arrow_table", "to_pyarrow", "to_table", "toArrow", "iter_batches",
)  # fmt: skip
_CONVERSIONS = ("to_arrow_table", "to_pyarrow", "to_arrow")  # of other libraries, to Arrow's
_TEXTS = frozenset("USOT")  # kinds of NumPy's types that hold texts or objects, not pixels


def table_in_memory(given: Any) -> Table | None:
    """Return the table that an object is; a single column is a table of one.

    Returns:
        None for what is none: a list, a single image, an array of pixels.

    Raises:
        ParameterError: it is a table that cannot be read; the message says why.
    """
    if isinstance(given, type) or is_image(given):
        return None
    for read in (_dataset, _array):
        table = read(given)
        if table is not None:
            return table
    if any(hasattr(type(given), mark) for mark in _FRAME_MARKS):
        return _frame(given)
    return None


def column_names(given: Any) -> list[Any]:
    """Return the names of the columns of a frame of any library, [] for what is none."""
    names = getattr(given, "column_names", None)  # Arrow, and Hugging Face
    if names is None and hasattr(given, "collect_schema"):
        names = given.collect_schema().names()
    if names is None:
        names = getattr(given, "columns", None)
    return list(names) if isinstance(names, Iterable) else []


# NumPy.


def _array(given: Any) -> Table | None:
    """Return an array of texts or objects as rows; numbers are pixels.

    A structured array has named columns. One with a single row or column is one column.
    """
    dtype, shape = getattr(given, "dtype", None), getattr(given, "shape", None)
    fields = getattr(dtype, "names", None)
    if not isinstance(shape, tuple) or not hasattr(given, "reshape"):
        return None
    if fields:
        rows = given.reshape(-1)
        return Table("the array", fields, lambda name: iter(rows[name].tolist()), len(rows))
    if getattr(dtype, "kind", "") not in _TEXTS or not shape:
        return None
    if sum(side != 1 for side in shape) <= 1:
        column = given if len(shape) == 1 else given.reshape(-1)
        return Table("the array", ["values"], lambda _: map(_plain, column), len(column))
    first = given.flat[0]
    if len(shape) > 2 and isinstance(first, Number):  # images that became an array of objects
        pixels = given.astype(type(first))
        return Table("the array", ["values"], lambda _: iter(pixels), len(pixels))
    if len(shape) != 2:
        sides = " × ".join(map(str, shape))
        raise ParameterError(
            f"an array of {sides} texts or objects has neither rows nor pixels",
            hint="pass one column of it, such as array[:, 0]",
        )
    return Table("the array", range(shape[1]), lambda at: map(_plain, given[:, at]), shape[0])


def _plain(value: Any) -> Any:
    """Return a text for NumPy's bytes, which have lost the zeros at their end."""
    if type(value).__name__ != "bytes_":
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return bytes(value)


# Hugging Face.


def _dataset(given: Any) -> Table | None:
    """Return a dataset of the library `datasets`; its images stay the bytes that they are."""
    if isinstance(given, dict) and given and all(map(_is_dataset, given.values())):
        if len(given) > 1:
            first = next(iter(given))
            raise ParameterError(
                f"choose a split of the dataset: it has {clip(', '.join(map(str, given)))}",
                hint=f"pass one split: data[{first!r}]",
            )
        given = next(iter(given.values()))
    of, name = getattr(given, "source", None), getattr(given, "column_name", None)
    if isinstance(name, str) and (_is_dataset(of) or hasattr(of, "column_name")):
        inner = _dataset(of)  # data["image"], which would decode each image
        if inner is not None and name in inner.columns:
            return replace(inner, columns=[name], name=f"the column {name!r}")
        return None
    if not _is_dataset(given):
        return None
    data = given.with_format(None) if hasattr(given, "with_format") else given
    columns = data.column_names
    if columns is None:  # a stream that does not know its columns
        columns = list(next(iter(data.take(1)), {}))

    if hasattr(data, "__len__"):

        def stored(name: Any) -> Iterator[Any]:
            return in_batches(data.select_columns([name]).with_format("arrow").iter(ROWS))

        return Table("the dataset", columns, stored, len(data))

    def values(name: Any) -> Iterator[Any]:
        feature = _undecoded((data.features or {}).get(name))
        column = data.select_columns([name])
        if feature is not None:
            column = column.cast_column(name, feature)
        return (row.get(name) for row in column)

    return Table("the dataset", columns, values, None)


def _is_dataset(given: Any) -> bool:
    needed = ("features", "column_names", "select_columns", "cast_column")
    return not isinstance(given, type) and all(hasattr(type(given), name) for name in needed)


def _undecoded(feature: Any) -> Any:
    """Return the type of a column with its images left as bytes; None if it has no images."""
    if isinstance(feature, (list, tuple)) and len(feature) == 1:
        inner = _undecoded(feature[0])
        return None if inner is None else [inner]
    if type(feature).__name__ == "Image" and hasattr(feature, "decode"):
        return replace(feature, decode=False)
    inner = getattr(feature, "feature", None)  # a list of images in each row
    found = None if inner is None else _undecoded(inner)
    return None if found is None else replace(feature, feature=found)


# All others, by narwhals.


def _frame(given: Any) -> Table:
    kind = f"{type(given).__module__.partition('.')[0]}.{type(given).__name__}"
    try:
        return _by_narwhals(given) or _by_arrow(given)
    except ParameterError:
        raise
    except Exception as error:
        raise ParameterError(
            f"the {clip(kind)} cannot be read ({type(error).__name__}: {clip(error)})",
            hint="pass one of its columns as a list",
        ) from None


def _by_narwhals(given: Any) -> Table | None:
    """Return a frame or column that narwhals knows as a whole, None for all others."""
    import narwhals.stable.v1 as nw

    names = column_names(given)
    if len({*names}) < len(names):
        return None
    native = nw.from_native(given, allow_series=True, pass_through=True)
    if isinstance(native, nw.Series):
        return Table("the column", [native.name or "values"], lambda _: iter(native), len(native))
    if isinstance(native, nw.LazyFrame):

        @cache
        def collected(name: str) -> Any:  # once: each run of a query may have another order
            return native.select(name).collect()[name]

        names = native.collect_schema().names()
        return Table("the frame", names, lambda name: iter(collected(name)), None)
    if isinstance(native, nw.DataFrame) and nw.get_level(native) == "full":
        return Table("the frame", native.columns, lambda n: iter(native[n]), len(native))
    return None


def _by_arrow(given: Any) -> Table:
    """Return what gives its data to Arrow: its own arrays and batches, and foreign frames."""
    try:
        import pyarrow as pa
        from pyarrow.interchange import from_dataframe
    except ImportError:
        raise ParameterError(
            f"reading {in_words(given)} needs pyarrow", hint=install_command("fast")
        ) from None
    if hasattr(given, "to_batches") and hasattr(given, "count_rows"):  # files on a disk

        def values(name: str) -> Iterator[Any]:
            return in_batches(given.to_batches(columns=[name], batch_size=ROWS))

        return Table("the dataset", given.schema.names, values, given.count_rows())
    if hasattr(given, "iter_batches"):  # an open Parquet file

        def stored(name: str) -> Iterator[Any]:
            return in_batches(given.iter_batches(columns=[name], batch_size=ROWS))

        return Table("the file", given.schema_arrow.names, stored, given.metadata.num_rows)
    convert = next((n for n in _CONVERSIONS if hasattr(given, n)), None)
    found: Any
    if isinstance(given, (pa.Array, pa.Scalar)):
        found = pa.chunked_array([given])
    elif convert:
        found = getattr(given, convert)()
    elif isinstance(given, (pa.Table, pa.RecordBatchReader)):
        found = given
    elif hasattr(given, "__arrow_c_stream__"):
        try:
            found = pa.table(given)
        except pa.ArrowInvalid:  # a column
            found = pa.chunked_array(given)
    elif hasattr(given, "__arrow_c_array__"):
        found = pa.chunked_array([pa.array(given)])
    else:
        found = from_dataframe(given)
    if isinstance(found, pa.ChunkedArray):
        return Table("the column", ["values"], lambda _: _items(found), len(found))
    if isinstance(found, pa.RecordBatchReader):
        found = found.read_all()

    def column(name: str) -> Iterator[Any]:
        return _items(found.column(name))

    return Table("the frame", found.schema.names, column, found.num_rows)


def _items(column: Any) -> Iterator[Any]:
    return (item.as_py() for item in column)
