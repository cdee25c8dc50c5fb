"""Batches that ask everything again (`fresh=True`): one that was interrupted can be taken up.

Such a run is recorded when it begins and forgotten when it has ended. While it is recorded, the
same batch counts the tasks that were made since the run began, and sends only the others.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from numbers import Integral, Real
from typing import Any

from ..catalogue.operation import Operation
from ..catalogue.values import is_embedded
from ..database.database import Database
from .sources import Source
from .tables.table import URL, missing

# Seconds after its beginning in which a run can be taken up.
KEPT = 24 * 3600.0


class FreshRun:
    """A run of a batch with `fresh=True`.

    Args:
        database: the history's file.
        key: what the same batch has again, see `run_key`; None if this run cannot be taken up.

    Attributes:
        since: when it began, in seconds since the epoch: tasks from then on belong to it. Infinity
            before `begin`.
        taken_up: whether an interrupted run goes on.
    """

    def __init__(self, database: Database, key: str | None) -> None:
        self._database = database
        self._key = key
        self.since = math.inf
        self.taken_up = False

    def look(self) -> None:
        """Find the interrupted run that `begin` would take up; changes nothing."""
        begun = self._recorded()
        if begun is not None and begun > time.time() - KEPT:
            self.since, self.taken_up = begun, True

    def begin(self) -> None:
        """Take up the interrupted run, or begin and record a new one.

        A new run begins after every task of the history, also if the clock was set back.
        """
        with self._database.transaction():
            now = time.time()
            self._database.run("DELETE FROM fresh_runs WHERE begun <= ?", (now - KEPT,))
            self.look()
            if self.taken_up:
                return
            sql = "SELECT created FROM tasks WHERE imported IS NULL ORDER BY created DESC LIMIT 1"
            newest = [row["at"] for row in self._database.read(sql, (), ("at",))]
            self.since = max(now, *(math.nextafter(at, math.inf) for at in newest), 0.0)
            self._record()

    def end(self) -> None:
        """Forget the run: the next one asks everything again."""
        sql = "DELETE FROM fresh_runs WHERE run = ? AND begun = ?"
        self._database.run(sql, (self._key, self.since))

    def keep(self) -> float | None:
        """Keep the run, which has not ended, and return `kept_until`.

        Another kernel that ran the same batch may have ended it: it is recorded again.
        """
        self._record()
        return self.kept_until()

    def kept_until(self) -> float | None:
        """Return until when it can be taken up, in seconds since the epoch; None if it cannot."""
        same = self._recorded() == self.since
        return self.since + KEPT if same and time.time() < self.since + KEPT else None

    def __str__(self) -> str:
        return f"the --fresh run of {moment(self.since)}"

    def _record(self) -> None:
        if self._key is not None:
            sql = "INSERT OR IGNORE INTO fresh_runs VALUES (?, ?)"
            self._database.run(sql, (self._key, self.since))

    def _recorded(self) -> float | None:
        sql = "SELECT begun FROM fresh_runs WHERE run = ?"
        found = self._database.read(sql, (self._key,), ("begun",))
        return found[0]["begun"] if found else None


def moment(at: float) -> str:
    """Return a time of today as "14:05", another one with its date."""
    when = datetime.fromtimestamp(at)
    today = when.date() == datetime.now().date()
    return f"{when:%H:%M}" if today else f"{when:%Y-%m-%d %H:%M}"


def run_key(
    operation: Operation, backend: str, calls: Iterable[Mapping[str, Any]], source: Source
) -> str | None:
    """Return a text that the same batch has again, None if its input cannot be recognized.

    A folder, a glob and a file are known by their absolute paths, texts by themselves, bytes by
    their hash. Generators and objects, such as arrays, are not recognized.

    Args:
        operation: the operation of all calls.
        backend: the service.
        calls: the checked parameters of each combination of the grid.
        source: the input.
    """
    digest = hashlib.sha256()
    pictured = {param.name for param in operation.user_params if param.picture}
    known: list[Any] = [operation.name, backend]
    try:
        for call in calls:
            known.append({n: _plain(value, n in pictured) for n, value in sorted(call.items())})
        _add(digest, [*known, source.name])
        if not source.name:
            if source.once or source.total is None:
                return None
            for _, value in source.pairs():
                _add(digest, _plain(value, source.pictures))
    except (TypeError, ValueError, BufferError):
        return None
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    digest.update(json.dumps(value).encode() + b"\n")


def _plain(value: Any, picture: bool) -> Any:
    """Return a value as JSON that is the same for the same value.

    Raises:
        TypeError: it is an object that cannot be recognized.
    """
    if missing(value):
        return None
    if is_embedded(value):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, (list, tuple)):
        return [_plain(item, picture) for item in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return [hashlib.sha256(value).hexdigest()]
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    text = os.fspath(value)
    local = picture and isinstance(text, str) and not URL.match(text)
    return os.path.join(os.getcwd(), os.path.expanduser(text)) if local else str(text)
