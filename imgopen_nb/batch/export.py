"""Writes the frame of a batch to .csv, .jsonl and .parquet files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..database.written_files import WrittenFiles
from ..errors import ImgOpenError, ParameterError, UsageError, install_command
from ..text import clip, is_valid, to_cell, visible

if TYPE_CHECKING:
    import pandas as pd


def writable(
    name: Any, sources: Iterable[Any], files: WrittenFiles, *, overwrite: bool = False
) -> Path:
    """Return the path of a file, after a check that a batch can be written to it.

    Args:
        name: the path; its suffix says the format.
        sources: what the batch reads: none of it is ever replaced.
        files: knows which files are ours.
        overwrite: whether a file of the user may be replaced.

    Raises:
        UsageError: the suffix is not supported, the folder cannot be written to, the file is the
            input, or it is the user's.
    """
    path = Path(os.path.expanduser(name))
    if path.suffix.lower() not in _WRITERS:
        raise ParameterError(
            f"{path.name} is not a .csv, .jsonl or .parquet file", hint="--out NAME.csv"
        )
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise ParameterError(
                "writing Parquet needs pyarrow", hint=install_command("fast")
            ) from None
    folder = path.absolute().parent
    if os.path.isdir(path) or not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise ParameterError(f"{clip(path)} cannot be written", hint=f"is {clip(folder)} a folder?")
    if any(_is_same_file(source, path) for source in sources):
        raise ParameterError(
            f"{clip(path)} is the input of this batch: nothing was sent",
            hint="--out ANOTHER_NAME.csv",
        )
    files.check(path, overwrite=overwrite)
    return path


def _is_same_file(source: Any, path: Path) -> bool:
    if not isinstance(source, (str, os.PathLike)):
        return False
    try:
        return os.path.samefile(os.path.expanduser(source), path)
    except (OSError, ValueError):  # one of them does not exist
        return False


def write(frame: pd.DataFrame, path: Path, files: WrittenFiles, *, overwrite: bool = False) -> Path:
    """Write the frame of a batch to a .csv, .jsonl or .parquet file and return its path.

    Raises:
        ParameterError: the file cannot be written, or was changed while the batch ran.
    """
    try:
        with files.draft(path, overwrite=overwrite) as part:
            _WRITERS[path.suffix.lower()](_with_valid_names(frame), part)
    except (OSError, ValueError, UsageError) as error:
        said = error.message if isinstance(error, ImgOpenError) else clip(error)
        raise ParameterError(
            f"{clip(path)} was not written ({said})",
            hint="the results are in the history; imgopen export NAME.csv writes them from there",
        ) from None
    return path


def _with_valid_names(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose index is valid text: the name of a file may be none."""
    if frame.index.nlevels > 1 or frame.index.dtype != object:
        return frame
    names = frame.index.map(lambda v: v if not isinstance(v, str) or is_valid(v) else visible(v))
    return frame.set_axis(names)


def _to_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame; no text in it, in its index or its header is a formula for a spreadsheet."""
    shown = frame.copy()
    for at in range(frame.shape[1]):  # by position: two columns may have the same name
        shown.isetitem(at, _cells(frame.iloc[:, at]))
    shown.columns = frame.columns.map(to_cell)
    levels = [_cells(frame.index.get_level_values(at)) for at in range(frame.index.nlevels)]
    names = [to_cell(name) for name in frame.index.names]
    if frame.index.nlevels > 1:
        kind: Any = type(frame.index)  # a MultiIndex
        shown.index = kind.from_arrays(levels, names=names)
    else:
        shown.index = levels[0].rename(names[0])
    # With such line ends a text that holds one of the two characters is quoted (RFC 4180).
    shown.to_csv(path, errors="replace", lineterminator="\r\n")


def _cells(values: Any) -> Any:
    """Return a column or a level of the index for a .csv file; numbers and times stay as they are.

    It is turned into objects first, as the types of pandas may refuse what a text becomes.
    """
    if values.dtype.kind in "iufcbmM":
        return values
    return values.astype(object).map(lambda value: to_cell(_json(value)))


def _to_jsonl(frame: pd.DataFrame, path: Path) -> None:
    rows = frame.reset_index(names=_index_names(frame))
    rows.to_json(path, orient="records", lines=True, force_ascii=False, date_format="iso")


def _index_names(frame: pd.DataFrame) -> list[str]:
    """Return a name for each level of the index; it differs from all others and the columns."""
    names: list[str] = []
    for given in frame.index.names:
        name = str(given or "index")
        while name in names or name in frame.columns:
            name += "_"
        names.append(name)
    return names


def _json(value: Any) -> Any:
    if not isinstance(value, (list, dict)):
        return value
    return json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()


_WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".csv": _to_csv,
    ".jsonl": _to_jsonl,
    ".parquet": lambda frame, path: frame.to_parquet(path),
}
