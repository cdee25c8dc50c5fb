"""Export of the history to .parquet, .jsonl or .csv files, and import from the first two.

Files are not trusted: each value is checked, and a file is imported completely or not at all.
"""

from __future__ import annotations

import contextlib
import csv
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..catalogue.operations import OPERATIONS
from ..catalogue.status import State
from ..database.database import Database
from ..database.migrations import JSON_COLUMNS
from ..database.task_queries import COLUMNS, INTEGERS, NUMBERS, select
from ..database.written_files import WrittenFiles
from ..errors import ImgOpenError, JournalError, UsageError
from ..images.picture import near_file
from ..text import clip, counted, in_words, is_valid, one_of, to_cell

CHUNK = 20_000
MOMENTS = frozenset({"created", "submitted", "finished"})
MOST_SECONDS = 1e11  # since the epoch, which is in the year 5138
MOST_TEXT = 50_000_000  # characters of a value, and of a line
NOT_EXPORTED = frozenset({"body", "owner"})
EXPORTED = tuple(name for name in COLUMNS if name not in NOT_EXPORTED)
_NEEDED = ("task_id", "operation", "params", "status", "created", "backend")
Row = dict[str, Any]
Rows = Iterator[Row]


class ArchiveError(ImgOpenError, ValueError):
    """The file to import is not a valid export."""


class MissingPackageError(ImgOpenError, ImportError):
    """A required package is not installed."""


class Imported(int):
    """The number of imported tasks.

    Attributes:
        known: how many others existed already.
        open: how many have not ended.
        unused: how many of the imported ones could answer calls, but do not: they are not trusted.
    """

    known: int
    open: int
    unused: int

    def __new__(cls, added: int, known: int = 0, open: int = 0, unused: int = 0) -> Imported:
        """Create the number with its attributes."""
        made = super().__new__(cls, added)
        made.known, made.open, made.unused = known, open, unused
        return made

    def __str__(self) -> str:
        parts = [f"{counted(self, 'task')} imported"]
        parts += [f"{self.known:,} were already there"] if self.known else []
        parts += [f"{self.open:,} are unfinished and were left out"] if self.open else []
        if self.unused:
            hint = "if the file is your own, import it again with trust=True (--trust)"
            parts += [f"they will not answer calls from the cache: {hint}"]
        return "; ".join(parts)


def export(
    database: Database, path: Path, filters: Mapping[str, Any], *, overwrite: bool = False
) -> Path:
    """Write the tasks that pass the filters; see `History.export`."""
    write = _of_suffix(_WRITERS, path)
    with WrittenFiles(database).draft(path, overwrite=overwrite) as part:
        write(part, _chunks(database, filters))
    return path


def load(database: Database, path: Path, *, trust: bool = False) -> Imported:
    """Import what `export` wrote; see `History.import_`."""
    if path.suffix.lower() == ".csv":
        raise UsageError(
            "a .csv file cannot be imported: it does not distinguish an empty text from a "
            "missing one",
            hint="export to .parquet or .jsonl",
        )
    read = _of_suffix(_READERS, path)
    if not path.exists():
        raise ArchiveError(f"there is no file {path}", hint=near_file(path, str(path)))
    names, table = ", ".join(EXPORTED), f"incoming_{uuid.uuid4().hex}"
    # First into a temporary table: a large file would lock out other programs for too long.
    database.run(f"CREATE TEMP TABLE {table} ({names})", ())
    opened = database.opened
    try:
        total, ended = _fill(database, table, _readable(read(path), path), trust)
        usable = (
            f"SELECT count(*) FROM {table} WHERE imported <> 'trusted' AND request <> '' "
            "AND task_id NOT IN (SELECT task_id FROM tasks)"
        )
        new = f"task_id IN (SELECT task_id FROM {table} WHERE imported = 'trusted')"
        with database.transaction():
            # Trusted tasks replace the untrusted ones of an earlier import.
            database.run(f"DELETE FROM tasks WHERE imported = 'untrusted' AND {new}")
            (unused,) = database.read(usable, (), ("count",))
            added = database.run(
                f"INSERT OR IGNORE INTO tasks ({names}) SELECT {names} FROM {table} ORDER BY rowid"
            )
    except JournalError:
        if database.opened == opened:
            raise
        raise ArchiveError(  # the temporary table went when the file was closed
            f"{path.name} was not imported, because this process was forked in the meantime",
            hint="import it again",
        ) from None
    finally:
        with contextlib.suppress(JournalError):  # what ended the import is to be reported
            database.run(f"DROP TABLE IF EXISTS temp.{table}", ())
    return Imported(added, ended - added, total - ended, unused["count"])


def _fill(database: Database, table: str, rows: Rows, trust: bool) -> tuple[int, int]:
    """Insert the rows whose tasks have ended; return the number of rows and of insertions.

    Rows that were not trusted where they were exported are not trusted here either.
    """
    sql = f"INSERT INTO {table} VALUES ({', '.join('?' * len(EXPORTED))})"
    total = ended = 0
    for total, row in enumerate(rows, 1):
        trusted = trust and row.get("imported") in (None, "trusted")
        values = _checked(row | {"imported": "trusted" if trusted else "untrusted"}, total)
        if State(row["status"]).final:
            ended += database.run(sql, values)
    return total, ended


def _readable(rows: Rows, path: Path) -> Rows:
    try:
        yield from rows
    except OSError as error:
        raise ArchiveError(f"{path.name} cannot be read ({error.strerror or error})") from None


def _of_suffix(table: Mapping[str, Callable[..., Any]], path: Path) -> Any:
    if path.suffix.lower() not in table:
        said = f"cannot have the suffix {path.suffix!r}" if path.suffix else "needs a suffix"
        raise UsageError(f"the name {clip(path.name)!r} {said}", hint=one_of(table))
    return table[path.suffix.lower()]


def _chunks(database: Database, filters: Mapping[str, Any]) -> Iterator[list[Row]]:
    """Yield the tasks in the order of their insertion, a limited number at a time."""
    wanted = None
    if filters.get("limit") is not None:
        found = database.read(*select(filters, ("rowid",)), ("rowid",))
        wanted = {row["rowid"] for row in found}
    sql = "SELECT coalesce(max(rowid), 0) FROM tasks"
    last = database.read(sql, (), ("last",))[0]["last"]
    columns = ("rowid", *EXPORTED)
    names = ("rowid", *(f"raw {name}" for name in EXPORTED))  # other names: JSON stays text
    for first in range(1, last + 1, CHUNK):
        sql, values = select(filters, columns, (first, min(first + CHUNK - 1, last)))
        rows = database.read(sql, values, names)
        yield [row for row in rows if wanted is None or row["rowid"] in wanted]


def _parsed(row: Row) -> Row:
    """Return a row with its JSON texts parsed."""
    return {n: json.loads(v) if n in JSON_COLUMNS and v is not None else v for n, v in row.items()}


def _flat(row: Row) -> Row:
    return {name: row[f"raw {name}"] for name in EXPORTED}


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _write_jsonl(path: Path, chunks: Iterator[list[Row]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for rows in chunks:
            out.writelines(
                json.dumps(_parsed(_flat(row)), ensure_ascii=False) + "\n" for row in rows
            )


def _write_csv(path: Path, chunks: Iterator[list[Row]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        table = csv.DictWriter(out, EXPORTED)
        table.writeheader()
        for rows in chunks:
            table.writerows({n: to_cell(v) for n, v in _flat(row).items()} for row in rows)


def _write_parquet(path: Path, chunks: Iterator[list[Row]]) -> None:
    pa, parquet = _pyarrow()
    types = {n: pa.int64() if n in INTEGERS else pa.float64() for n in INTEGERS | NUMBERS}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in EXPORTED])
    with parquet.ParquetWriter(path, schema, compression="zstd") as out:
        for rows in chunks:
            if rows:
                columns = {n: [row[f"raw {n}"] for row in rows] for n in EXPORTED}
                out.write_table(pa.Table.from_pydict(columns, schema))


def _read_jsonl(path: Path) -> Rows:
    with path.open("rb") as lines:
        number = 0
        while line := lines.readline(MOST_TEXT):
            number += 1
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise _wrong(number, "a line that is not JSON, or too long") from None
            if not isinstance(row, dict):
                raise _wrong(number, f"{in_words(row)} instead of a task")
            yield row


def _read_parquet(path: Path) -> Rows:
    pa, parquet = _pyarrow()
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            names = [name for name in EXPORTED if name in file.schema_arrow.names]
            for batch in file.iter_batches(1000, columns=names):
                for row in batch.to_pylist():
                    number += 1
                    yield _unflat(row, number)
    except (pa.ArrowException, ValueError) as error:
        if isinstance(error, ArchiveError):
            raise
        raise ArchiveError(f"{path.name} is not a readable Parquet file") from None


def _unflat(row: Row, number: int) -> Row:
    try:
        return _parsed(row)
    except (ValueError, TypeError, RecursionError):
        raise _wrong(number, "a text that should be JSON but is not") from None


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingPackageError(
            "Parquet files need the package pyarrow",
            hint="pip install pyarrow, or export to .jsonl",
        ) from None
    return pyarrow, pyarrow.parquet


_WRITERS = {".parquet": _write_parquet, ".jsonl": _write_jsonl, ".csv": _write_csv}
_READERS = {".parquet": _read_parquet, ".jsonl": _read_jsonl}


def _checked(row: Row, number: int) -> list[Any]:
    """Return the values of a task in the order of EXPORTED after checking them."""
    missing = [name for name in _NEEDED if row.get(name) is None]
    if missing:
        raise _wrong(number, f"no {missing[0]}")
    for name in EXPORTED:
        if row.get(name) is not None and not _fits(name, row[name]):
            raise _wrong(number, f"{in_words(row[name])} as {name}")
    if row["operation"] not in OPERATIONS and not isinstance(row["params"].get("path"), str):
        raise _wrong(number, f"{in_words(row['operation'])} as operation")
    values = {"queries": 0, "attempts": 0} | {n: row[n] for n in EXPORTED if row.get(n) is not None}
    return [
        _text(values[n]) if n in JSON_COLUMNS and n in values else values.get(n) for n in EXPORTED
    ]


def _fits(name: str, value: Any) -> bool:
    if name in NUMBERS:
        least = 0 if name in MOMENTS else -MOST_SECONDS
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and least <= value < MOST_SECONDS
    if name in INTEGERS:
        return type(value) is int and 0 <= value < 2**31
    if name in JSON_COLUMNS:
        return _fits_json(name, value) and _storable(_text(value))
    if name == "status":
        return value in list(State)
    return isinstance(value, str) and (name != "task_id" or value != "") and _storable(value)


def _fits_json(name: str, value: Any) -> bool:
    if name in ("params", "data"):
        return isinstance(value, dict)
    kinds = (str,) if name == "image_urls" else (str, dict)
    return isinstance(value, list) and all(isinstance(each, kinds) for each in value)


def _storable(text: str | None) -> bool:
    return text is not None and is_valid(text) and len(text.encode()) <= MOST_TEXT


def _wrong(number: int, what: str) -> ArchiveError:
    said = f"row {number} of the file has {what}: nothing was imported"
    return ArchiveError(said, hint="use a file that history.export wrote")
