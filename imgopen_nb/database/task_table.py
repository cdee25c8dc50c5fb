"""The table of tasks. A row is written before its request is sent; each change is one statement."""

from __future__ import annotations

import heapq
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import UnknownNameError
from ..text import in_words, is_valid, near_match
from .database import Database, encode
from .migrations import KIND, TRUSTED
from .task_queries import COLUMNS, HISTORY_COLUMNS, kinds, newest_of_kind, select, select_by_rowid
from .written_files import key_of

# The limit for one task: anybody who has the address for its callbacks could send any number.
MAX_EVENTS = 100
MOST_UNSAVED = 20_000


class TaskTable:
    """The table `tasks`, and `events`, which says what happened to each task.

    Raises:
        JournalError: from every method, if the file cannot be read or written.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, row: Mapping[str, Any]) -> None:
        """Insert a task."""
        marks = ", ".join("?" * len(row))
        sql = f"INSERT INTO tasks ({', '.join(row)}) VALUES ({marks})"
        self.database.run(sql, encode(row))

    def find_or_add(
        self, row: Mapping[str, Any], *, since: float | None = None
    ) -> dict[str, Any] | None:
        """Insert a task, or return an earlier one with the same cache key.

        This is one transaction: if two kernels submit the same call at once, only one inserts. It
        survives a power cut: the task may be paid for a moment later.

        Args:
            row: the new task; its `request` is the cache key, None if it is never cached.
            since: count only earlier tasks that were made from then on, as in `cached`.

        Returns:
            The earlier task, None if the new one was inserted.
        """
        with self.database.transaction(durable=True):
            found = self.cached(row["request"], since)
            if found is None:
                self.add(row)
            return found

    def cached(self, request: str | None, since: float | None = None) -> dict[str, Any] | None:
        """Return a task with this cache key: one that succeeded, else one that has not ended.

        Tasks of an imported file count only if the user trusts it.

        Args:
            request: the cache key; None has no task.
            since: count only tasks that were made from then on, in seconds since the epoch; None
                counts all, infinity counts none.
        """
        if request is None or since == math.inf:
            return None
        sql = (
            f"SELECT {', '.join(COLUMNS)} FROM tasks WHERE request = ? "
            f"AND status NOT IN ('failed', 'refused') AND created >= ? AND {TRUSTED} "
            "ORDER BY status = 'succeeded' DESC, rowid DESC LIMIT 1"
        )
        return next(iter(self.database.read(sql, (request, since or 0.0), COLUMNS)), None)

    def open_tasks(self, backend: str, base_url: str) -> list[dict[str, Any]]:
        """Return the tasks of a backend that have not ended, oldest first.

        Args:
            backend: "real" or "sandbox".
            base_url: its address, "" for the sandbox of this home folder.
        """
        # Tasks from before the column `owner` have the address that the sandbox had at that time.
        place = "(base_url = ? OR owner IS NULL AND ? = '' AND base_url LIKE 'http://127.0.0.1:%')"
        sql = (
            f"SELECT {', '.join(COLUMNS)} FROM tasks "
            f"WHERE status IN ('created', 'lost', 'submitted', 'running') "
            f"AND backend = ? AND {place} AND imported IS NULL ORDER BY created, rowid"
        )
        return self.database.read(sql, (backend, base_url, base_url), COLUMNS)

    def unsaved(self, backend: str, base_url: str, since: float) -> list[dict[str, Any]]:
        """Return the tasks of a backend that made images since then and kept none, oldest first.

        Only the newest MOST_UNSAVED tasks are looked at.
        """
        sql = (
            f"SELECT {', '.join(COLUMNS)} FROM tasks "
            "WHERE rowid > (SELECT max(rowid) FROM tasks) - ? AND status = 'succeeded' "
            "AND finished > ? AND backend = ? AND base_url = ? AND imported IS NULL "
            "AND image_urls NOT IN ('', '[]') AND NOT EXISTS "
            "(SELECT 1 FROM events WHERE events.task_id = tasks.task_id AND state = 'saved') "
            "ORDER BY rowid"
        )
        return self.database.read(sql, (MOST_UNSAVED, since, backend, base_url), COLUMNS)

    def by_ids(self, ids: Iterable[str]) -> list[dict[str, Any]]:
        """Return the tasks with these ids, in any order."""
        sql = (
            f"SELECT {', '.join(COLUMNS)} FROM tasks "
            "WHERE task_id IN (SELECT value FROM json_each(?))"
        )
        return self.database.read(sql, (json.dumps(sorted(ids)),), COLUMNS)

    def pictures(self, ids: Iterable[str]) -> dict[str, str]:
        """Return the identities of the images of tasks, by task, as far as they are known."""
        sql = (
            "SELECT task_id, picture FROM tasks WHERE picture IS NOT NULL "
            "AND task_id IN (SELECT value FROM json_each(?))"
        )
        rows = self.database.read(sql, (json.dumps(sorted(ids)),), ("task_id", "picture"))
        return {row["task_id"]: row["picture"] for row in rows}

    def pictures_named(self, image: str) -> set[str | None]:
        """Return the identities of all images of this name, None for what is not known."""
        sql = f"SELECT DISTINCT picture FROM tasks WHERE image = ? AND {TRUSTED}"
        return {row["picture"] for row in self.database.read(sql, (key_of(image),), ("picture",))}

    def only_imported(self, image: str, picture: str | None) -> bool:
        """Whether an image's name comes from an untrusted file, and from no call made here."""
        sql = (
            "SELECT EXISTS (SELECT 1 FROM tasks WHERE image = ? AND imported = 'untrusted') "
            f"AND NOT EXISTS (SELECT 1 FROM tasks WHERE picture = ? AND image = ? AND {TRUSTED})"
        )
        found = self.database.read(sql, (key_of(image), picture, key_of(image)), ("only",))
        return bool(found[0]["only"])

    def write_sending(self, task_id: str, submitted: float, attempts: int) -> None:
        """Write, so that it survives a power cut, that a task is sent at this moment."""
        with self.database.transaction(durable=True):
            self.update(task_id, submitted=submitted, attempts=attempts)

    def update(self, task_id: str, **changes: Any) -> bool:
        """Write changes of a task; False if it has ended already: the first end stays."""
        names = ", ".join(f"{name} = ?" for name in changes)
        return bool(
            self.database.run(
                f"UPDATE tasks SET {names} "
                f"WHERE task_id = ? AND status NOT IN ('succeeded', 'failed', 'refused')",
                (*encode(changes), task_id),
            )
        )

    def identify(self, requests: Iterable[str], picture: str) -> int:
        """Write down which image tasks of earlier versions were given; return how many.

        Args:
            requests: the cache keys of calls with this image: they are made of its content.
            picture: its identity.
        """
        sql = (
            "UPDATE tasks SET picture = ? WHERE picture IS NULL AND image IS NOT NULL "
            "AND request IN (SELECT value FROM json_each(?))"
        )
        return self.database.run(sql, (picture, json.dumps(list(requests))))

    def claim(self, task_id: str, old: str | None, new: str) -> bool:
        """Change the owner of a task that was not sent; False if another session was faster."""
        sql = (
            "UPDATE tasks SET owner = ? WHERE task_id = ? AND owner IS ? "
            "AND status IN ('created', 'lost')"
        )
        return bool(self.database.run(sql, (new, task_id, old)))

    def add_event(self, task_id: str, state: str, detail: str) -> None:
        """Append an event that does not change the task."""
        sql = (
            "INSERT INTO events (task_id, at, state, detail) SELECT ?, ?, ?, ? "
            "WHERE (SELECT count(*) FROM events WHERE task_id = ?) < ?"
        )
        self.database.run(sql, (task_id, time.time(), state, detail, task_id, MAX_EVENTS))

    def events(self, task_id: str) -> list[dict[str, Any]]:
        """Return the events of a task: `at` (seconds since the epoch), `state` and `detail`."""
        columns = ("at", "state", "detail")
        sql = "SELECT at, state, detail FROM events WHERE task_id = ? ORDER BY event_id"
        return self.database.read(sql, (task_id,), columns)

    def get(self, task_id: str) -> dict[str, Any]:
        """Return a task by our id, the service's id, or the beginning of ours.

        Raises:
            UnknownNameError: there is no such task, or there are several.
        """
        if not isinstance(task_id, str) or not is_valid(task_id):
            raise UnknownNameError("task", in_words(task_id), [], hint="see %imgopen history")
        names = ", ".join(COLUMNS)
        sql = f"SELECT {names} FROM tasks WHERE task_id = ? OR server_id = ? "
        sql += "ORDER BY imported IS NOT NULL LIMIT 1"
        rows = self.database.read(sql, (task_id, task_id), COLUMNS)
        if not rows and len(task_id) >= 4:
            like = task_id.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            sql = f"SELECT {names} FROM tasks WHERE task_id LIKE ? ESCAPE '\\' LIMIT 2"
            rows = self.database.read(sql, (like,), COLUMNS)
        if len(rows) == 1:
            return rows[0]
        if rows:
            raise UnknownNameError("single task", task_id, [], hint="use more of its id")
        recent = [r["task_id"] for r in self.rows(limit=50)]
        raise UnknownNameError(
            "task", task_id, [], hint=near_match(task_id, recent) or "see %imgopen history"
        )

    def rows(
        self, *, columns: tuple[str, ...] = HISTORY_COLUMNS, **filters: Any
    ) -> list[dict[str, Any]]:
        """Return tasks, oldest first; for the filters see `select`."""
        return self.database.read(*self._select(filters, columns), columns)[::-1]

    def columns(
        self, columns: tuple[str, ...] = HISTORY_COLUMNS, **filters: Any
    ) -> dict[str, tuple[Any, ...]]:
        """Return tasks by column, oldest first; JSON stays text."""
        found = self.database.read_columns(*self._select(filters, columns), columns)
        return {name: values[::-1] for name, values in found.items()}

    def _select(
        self, filters: Mapping[str, Any], columns: tuple[str, ...]
    ) -> tuple[str, Sequence[Any]]:
        """Return the query for tasks; the index alone finds the newest of each kind."""
        if filters.get("limit") is None or filters.get("pictures") is not None:
            return select(filters, columns)
        found: list[tuple[float, int]] = []
        for row in self.database.read(*kinds(filters), ("kind",)):
            sql, values = newest_of_kind(row["kind"], filters)
            rows = self.database.read(sql, values, ("created", "rowid"))
            found += [(row["created"], row["rowid"]) for row in rows]
        found = heapq.nlargest(filters["limit"], found)
        rowids = json.dumps([rowid for _, rowid in found])
        return select_by_rowid(columns), (rowids,)

    def durations(
        self, operation: str, model: str | None, backend: str
    ) -> list[tuple[float, float]]:
        """Return how long the last 200 such tasks took, in the order of their submission.

        Each is (age at the last poll that found it running, age when its end was seen), in seconds.
        """
        sql = (
            "SELECT coalesce(pending, 0.9 * (finished - submitted)), "
            "coalesce(seconds, finished - submitted) FROM tasks "
            f"WHERE {KIND} = json_array(?, ?, 'succeeded', ?) AND {TRUSTED} "
            "ORDER BY created DESC LIMIT 200"
        )
        rows = self.database.read(sql, (operation, model, backend), ("pending", "seconds"))
        known = [(row["pending"], row["seconds"]) for row in rows[::-1] if row["seconds"]]
        return [(pending, seconds) for pending, seconds in known if 0 <= pending <= seconds]
