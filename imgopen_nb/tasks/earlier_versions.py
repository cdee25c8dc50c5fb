"""Finds out which pictures the tasks of earlier versions were given: they kept only a name.

The cache key of such a task is made of its parameters and the content of its picture. So a picture
that is at hand now is the one that the task was given if the key can be made again with it. Its
name proves nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..catalogue.operation import Operation
from ..catalogue.operations import OPERATIONS
from ..config.settings import LOCAL_MODELS
from ..database.task_table import TaskTable
from ..images.identity import Identity
from .cache_key import cache_key

# The last version that kept only names: it is part of the cache keys of its sandbox.
VERSION = "0.1.0"
_COLUMNS = ("rowid", "operation", "params", "backend", "base_url")


class EarlierTasks:
    """The tasks of the history whose picture is known by name only.

    Args:
        table: the table of tasks.
        backend_key: returns the backend's part of a cache key, for an operation.
    """

    def __init__(self, table: TaskTable, backend_key: Callable[[Operation], str]) -> None:
        self._table = table
        self._backend_key = backend_key
        self._lock = threading.Lock()
        self._read_to = 0
        self._calls: dict[str, tuple[Operation, Mapping[str, Any], set[str]]] = {}

    def identify(self, pictures: Iterable[Identity]) -> int:
        """Write down which tasks were given one of these pictures, as far as that is proved.

        Returns:
            The number of tasks whose picture is known from now on.
        """
        found = {each.picture: each for each in pictures}
        with self._lock:
            self._read_calls()
            if not self._calls:
                return 0
            return sum(
                self._table.identify(self._requests(identity), picture)
                for picture, identity in found.items()
            )

    def _requests(self, identity: Identity) -> Iterator[str]:
        """Yield the cache keys that each known call would have with this picture."""
        for operation, values, backends in self._calls.values():
            for backend in backends:
                request = cache_key(operation, values, {"image": [identity.cache_key]}, backend)
                if request:
                    yield request

    def _read_calls(self) -> None:
        """Read the different calls of tasks that were added since the last time."""
        sql = (
            "SELECT max(rowid), operation, json_remove(params, '$.image'), backend, base_url "
            "FROM tasks WHERE picture IS NULL AND image IS NOT NULL AND request IS NOT NULL "
            "AND rowid > ? GROUP BY 2, 3, 4, 5"
        )
        for row in self._table.database.read(sql, (self._read_to,), _COLUMNS):
            self._read_to = max(self._read_to, row["rowid"])
            operation = OPERATIONS.get(row["operation"])
            if operation is None or not _one_picture(operation, row["params"]):
                continue
            call = json.dumps([operation.name, row["params"]], sort_keys=True)
            known = self._calls.setdefault(call, (operation, row["params"], set()))
            known[2].update((self._backend_key(operation), _backend_then(row)))


def _one_picture(operation: Operation, params: Mapping[str, Any]) -> bool:
    """Whether `image` is the only picture of a call; of others the content is not known."""
    rows = [param for param in operation.user_params if param.picture]
    others = {param.name for param in rows} & params.keys()
    return not others and any(p.name == "image" and p.type == "image" for p in rows)


def _backend_then(row: Mapping[str, Any]) -> str:
    """Return the backend's part of the cache key with the settings that most people have."""
    if row["base_url"]:
        return f"{row['backend']} {row['base_url']}"
    return " ".join(["sandbox", VERSION, *(f"{name}=" for name in LOCAL_MODELS)])
