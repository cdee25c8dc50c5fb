"""The task history: reading, filtering, exporting, importing, pruning and compacting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..catalogue.operations import OPERATIONS
from ..catalogue.values import whole_number
from ..config.credentials import NotPickled
from ..database.task_queries import HISTORY_COLUMNS, count
from ..database.task_table import TaskTable
from ..errors import ParameterError, UnknownNameError, UsageError
from ..files import path_of
from ..text import in_words, is_valid
from . import arrow
from . import export as archive
from .json_values import without_collections

if TYPE_CHECKING:
    import pandas as pd

# With fewer rows of all columns, starting processes for the fast reader takes longer than it saves.
LARGE = 100_000
_FILTERS = ("operation", "model", "status", "since", "backend", "limit", "picture", "images")
_ENDED = (
    "status IN ('succeeded', 'failed', 'refused') "
    "AND coalesce(finished, created) < (SELECT moment FROM moment)"
)
# The identities of images, and all texts in the parameters and outputs of tasks: the addresses
# of images are among them.
_TEXTS = (
    "SELECT picture AS image FROM tasks WHERE {0} UNION SELECT image FROM tasks WHERE {0} UNION "
    "SELECT j.atom FROM tasks, json_tree(params) j WHERE j.type = 'text' AND {0} UNION "
    "SELECT j.atom FROM tasks, json_each(ifnull(image_urls, '[]')) j WHERE {0}"
)
_DELETIONS = (
    f"CREATE TEMP TABLE unused AS {_TEXTS.format(_ENDED)}",
    f"DELETE FROM unused WHERE image IN ({_TEXTS.format(f'NOT ({_ENDED})')})",
    "DELETE FROM thumbnails WHERE image IN (SELECT image FROM unused) "
    "AND image NOT IN (SELECT image FROM edits UNION SELECT ifnull(picture, '') FROM edits)",
    f"DELETE FROM events WHERE task_id IN (SELECT task_id FROM tasks WHERE {_ENDED})",
    f"DELETE FROM inbox WHERE task_id IN (SELECT task_id FROM tasks WHERE {_ENDED})",
    f"DELETE FROM tasks WHERE {_ENDED}",
    "DROP TABLE unused",
)


class History(NotPickled):
    """The history of tasks: `history()` returns it as a DataFrame.

    Args:
        table: the table of tasks.
        identities: returns the images that a filter selects (`datasets/selection.py`).

    Raises:
        JournalError: the history file cannot be read or written; any method raises it.

    Example:
        >>> session.history(operation="describe", since="7d")
    """

    instead = "it belongs to its session; use the DataFrame that it returns when called"

    def __init__(self, table: TaskTable, identities: Callable[[Any], list[str]]) -> None:
        self._table = table
        self._identities = identities
        self._database = table.database

    def __call__(
        self,
        *,
        operation: str | None = None,
        model: str | None = None,
        status: str | Iterable[str] | None = None,
        since: Any = None,
        backend: str | None = None,
        limit: int | None = None,
        picture: Any = None,
        images: Any = None,
        columns: str | Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Return the task history as a DataFrame, one row per task, oldest first.

        Args:
            operation: keep only this operation.
            model: keep only this model.
            status: one status or several: succeeded, failed, refused, running, submitted ...
            since: a datetime, an ISO date, a timedelta, or "30min", "12h", "7d" back from now.
            backend: "real" or "sandbox".
            limit: keep only this many of the newest.
            picture: keep only this image, under any name: a value of the column `picture`, or the
                image itself.
            images: keep only these images: a folder, a glob, a list, a DataFrame ...
            columns: the columns to return, in this order; reading only these is faster if the
                history is long.

        Raises:
            UsageError: a filter is invalid.
            UnknownNameError: there is no such column.

        Example:
            >>> session.history(since="7d", columns=["image", "caption"])
        """
        from .frame import COLUMNS, frame_of_columns, needed

        given = (operation, model, status, since, backend, limit, picture, images)
        filters = self._checked(dict(zip(_FILTERS, given, strict=True)))
        wanted = _texts("columns", columns)
        for name in wanted:
            if name not in COLUMNS:
                raise UnknownNameError("column of the history called", name, COLUMNS)
        fast = self._fast(filters, wanted)
        if fast is not None:
            return fast
        with without_collections():
            return frame_of_columns(self._table.columns(needed(wanted), **filters), wanted)

    def rows(
        self, *, columns: tuple[str, ...] = HISTORY_COLUMNS, **filters: Any
    ) -> list[dict[str, Any]]:
        """Return the history as dictionaries, one for each task; takes the filters of the call."""
        return self._table.rows(columns=columns, **self._checked(filters))

    def count(self, **filters: Any) -> int:
        """Return how many tasks match the filters."""
        return self._count(self._checked(filters))

    def _count(self, checked: Mapping[str, Any]) -> int:
        sql, values = count(checked)
        return int(self._database.read(sql, values, ("count",))[0]["count"])

    def events(self, task_id: str) -> pd.DataFrame:
        """Return the events of a task, one row each: `at` (the time), `state` and `detail`.

        Raises:
            UnknownNameError: the history has no such task.
        """
        from .frame import events_frame

        return events_frame(self._table.events(self._table.get(task_id)["task_id"]))

    def export(self, path: str | Path, *, overwrite: bool = False, **filters: Any) -> Path:
        """Write tasks with their raw answers to a file; takes the filters of the call.

        Args:
            path: a .parquet (needs pyarrow), .jsonl or .csv file; an earlier export is replaced
                unless it was changed since.
            overwrite: whether to replace any other file as well.
            **filters: which tasks; all if no filter is given.

        Raises:
            UsageError: the suffix is not one of these, or a file of yours is there; nothing was
                written.
            MissingPackageError: pyarrow is not installed.
            FileError: the file cannot be written; an existing one is unchanged.
        """
        place, wanted = path_of(path), self._checked(filters)
        overwrite = flag("overwrite", overwrite)
        return archive.export(self._database, place, wanted, overwrite=overwrite)

    def import_(self, path: str | Path, *, trust: bool = False) -> archive.Imported:
        """Import the tasks of an exported .parquet or .jsonl file, and return how many.

        Tasks that are already in the history are not changed. Unfinished tasks are left out,
        because two histories would poll for them. The returned number has both counts as its
        attributes `known` and `open`.

        Args:
            path: the file.
            trust: whether these tasks may answer later calls and count for time estimates. Only for
                a file that you exported yourself: any other could contain anything.

        Raises:
            ArchiveError: the file is not a valid export; nothing was imported.
            MissingPackageError: pyarrow is not installed.
        """
        return archive.load(self._database, path_of(path), trust=flag("trust", trust))

    def prune(self, before: Any, *, dry_run: bool = False) -> int:
        """Delete tasks that finished before a point in time, and return how many.

        Their events and unused thumbnails are deleted too. Unfinished tasks and edited captions are
        kept.

        Args:
            before: a date, or an age such as "90d"; like `since` of the call.
            dry_run: only count the tasks.
        """
        from .frame import since

        moment, dry_run = since(before, "before"), flag("dry_run", dry_run)
        database = self._database
        with database.transaction():
            database.run("CREATE TEMP TABLE moment AS SELECT ? AS moment", (moment,))
            sql = f"SELECT count(*) FROM tasks WHERE {_ENDED}"
            count = int(database.read(sql, (), ("count",))[0]["count"])
            for sql in () if dry_run or not count else _DELETIONS:
                database.run(sql, ())
            database.run("DROP TABLE moment", ())
        return count

    def vacuum(self) -> tuple[int, int]:
        """Free the disk space of deleted tasks, and return the file size before and after in bytes.

        Raises:
            JournalError: another program is using the file.
        """
        before = self._size()
        self._database.run("VACUUM", ())
        self._database.read("PRAGMA wal_checkpoint(TRUNCATE)", (), ("busy", "log", "done"))
        return before, self._size()

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return (
            f"History({self.count():,} tasks in {str(self._database.path)!r}; call it for a table)"
        )

    def _fast(self, filters: Mapping[str, Any], wanted: list[str]) -> pd.DataFrame | None:
        """Return the DataFrame of the fast reader; None if it would not be faster, or fails."""
        limit = filters.get("limit")
        few = "pictures" in filters or (limit is not None and limit < LARGE)
        if few or not arrow.available():
            return None
        sql = "SELECT coalesce(max(rowid), 0) FROM tasks"
        last = self._database.read(sql, (), ("last",))[0]["last"]
        large = LARGE * len(HISTORY_COLUMNS) // len(wanted or HISTORY_COLUMNS)
        if last < large or self._count(filters) < large:
            return None
        try:
            frame = arrow.read(self._database.path, last, filters, wanted)
        except Exception:  # the plain reader works, or its error says what is wrong
            return None
        return frame if limit is None else frame.tail(limit).reset_index(drop=True)

    def _size(self) -> int:
        path = self._database.path
        files = (path, path.with_name(path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def _checked(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Return filters as the database takes them: with identities as `pictures`."""
        known = checked(filters)
        sources = [known.pop(name, None) for name in ("picture", "images")]
        for source in (each for each in sources if each is not None):
            found = self._identities(source)
            both = known.get("pictures")
            known["pictures"] = found if both is None else [p for p in found if p in both]
        return known


def checked(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return filters with `since` in seconds.

    Raises:
        UsageError: there is no such filter or operation, or a value is invalid.
    """
    known = dict(filters)
    for name in known:
        if name not in _FILTERS:
            raise ParameterError(f"{name!r} is not a filter", hint="one of " + ", ".join(_FILTERS))
    for name in ("operation", "model", "status", "backend"):
        known[name] = _texts(name, known.get(name))
    for name in known["operation"]:
        if OPERATIONS[name].kind == "status":
            raise UsageError(f"{name} is a query that tasks send, so it is not in the history")
    if known.get("since") is not None:
        from .frame import since

        known["since"] = since(known["since"])
    if known.get("limit") is not None:
        known["limit"] = whole_number("limit", known["limit"], 0)
    return known


def _texts(name: str, wanted: Any) -> list[str]:
    """Return the texts that pass a filter; none if it is not set."""
    texts = [] if wanted is None else [wanted] if isinstance(wanted, str) else wanted
    several = isinstance(texts, Iterable) and not isinstance(texts, (bytes, Mapping))
    found = list(dict.fromkeys(texts)) if several else [texts]
    if not all(isinstance(text, str) and is_valid(text) for text in found):
        raise ParameterError(f"{name} must be a text or a list of texts, not {in_words(wanted)}")
    return list(map(str, found))


def flag(name: str, value: Any) -> bool:
    """Return a value that has to be True or False: `trust="no"` is no yes.

    Raises:
        ParameterError: it is neither.
    """
    if type(value).__name__ not in ("bool", "bool_"):  # also NumPy's
        raise ParameterError(f"{name} must be True or False, not {in_words(value)}")
    return bool(value)
