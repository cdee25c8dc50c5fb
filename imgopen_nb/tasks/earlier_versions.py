"""Finds out which images the tasks of earlier versions were given: they kept only a name.

The cache key of such a task is made of its parameters and the content of its image. So an image
that is at hand now is the one that the task was given if the key can be made again with it. Its
name proves nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..catalogue.operation import Operation
from ..catalogue.operations import OPERATIONS
from ..config.settings import LOCAL_MODELS
from ..database.task_table import TaskTable
from ..images.identity import Identity
from .cache_key import call_text, digest

# The last version that kept only names: it is part of the cache keys of its sandbox.
VERSION = "0.1.0"
_PLACE = "the image's place"
_UNKNOWN = "picture IS NULL AND image IS NOT NULL AND request IS NOT NULL AND rowid > ?"
_COLUMNS = ("rowid", "operation", "params", "backend", "base_url")


class EarlierTasks:
    """The tasks of the history whose image is known by name only.

    Args:
        table: the table of tasks.
        backend_key: returns the backend's part of a cache key, for an operation.
    """

    def __init__(self, table: TaskTable, backend_key: Callable[[Operation], str]) -> None:
        self._table = table
        self._backend_key = backend_key
        self.after_fork()
        self._read_to = 0
        # The texts of their calls, before and after the place of the image, and their cache keys.
        self._calls: set[tuple[str, str]] = set()
        self._requests: set[str] = set()
        self._tried: set[Identity] = set()

    def after_fork(self) -> None:
        """Make the lock; a forked child does so again."""
        self._lock = threading.Lock()

    def identify(self, pictures: Iterable[Identity]) -> int:
        """Write down which tasks were given one of these images, as far as that is proved.

        Returns:
            The number of tasks whose image is known from now on.
        """
        found = set(pictures)
        with self._lock:
            if self._read_calls():
                self._tried.clear()
            new = found - self._tried
            known = sum(map(self._identify, new))
            self._tried |= new
            return known

    def _identify(self, identity: Identity) -> int:
        picture = json.dumps(identity.cache_key, ensure_ascii=False)
        keys = (digest(f"{before}{picture}{after}") for before, after in self._calls)
        proved = self._requests.intersection(keys)
        return self._table.identify(proved, identity.picture) if proved else 0

    def _read_calls(self) -> bool:
        """Read the different calls of tasks that were added since; return whether there are any."""
        sql = (
            "SELECT max(rowid), operation, json_remove(params, '$.image'), backend, base_url "
            f"FROM tasks WHERE {_UNKNOWN} GROUP BY 2, 3, 4, 5"
        )
        begun = self._read_to
        rows = self._table.database.read(sql, (begun,), _COLUMNS)
        sql = f"SELECT request FROM tasks WHERE {_UNKNOWN}"
        for row in self._table.database.read(sql, (begun,), ("request",)) if rows else ():
            self._requests.add(row["request"])
        for row in rows:
            self._read_to = max(self._read_to, row["rowid"])
            operation = OPERATIONS.get(row["operation"])
            if operation is None or not _one_picture(operation, row["params"]):
                continue
            for backend in {self._backend_key(operation), _backend_then(row)}:
                text = call_text(operation, row["params"], {"image": [_PLACE]}, backend)
                before, _, after = text.rpartition(json.dumps(_PLACE))
                self._calls.add((before, after))
        return bool(rows)


def _one_picture(operation: Operation, params: Mapping[str, Any]) -> bool:
    """Whether `image` is the only image of a call; of others the content is not known."""
    rows = [param for param in operation.user_params if param.picture]
    others = {param.name for param in rows} & params.keys()
    return not others and any(p.name == "image" and p.type == "image" for p in rows)


def _backend_then(row: Mapping[str, Any]) -> str:
    """Return the backend's part of the cache key with the settings that most people have."""
    if row["base_url"]:
        return f"{row['backend']} {row['base_url']}"
    return " ".join(["sandbox", VERSION, *(f"{name}=" for name in LOCAL_MODELS)])
