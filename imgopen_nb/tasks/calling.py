"""A call: checked, its pictures found, told apart from others, and handed to the sender."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from .._version import __version__
from ..api.backend import Connection
from ..callbacks.public_urls import Links
from ..catalogue.operation import Operation
from ..catalogue.operations import OPERATIONS
from ..catalogue.undocumented import confirmed, raw_body, raw_operation
from ..errors import UsageError
from ..images.cache import Album
from ..text import clip
from .cache_key import backend_of, fingerprint
from .submission import Sender
from .task import Task

_PASSWORD = re.compile(r'://[^/?#\s"\\]+@')


class Caller:
    """Makes tasks of calls, or finds the tasks that asked the same before."""

    def __init__(self, connection: Connection, album: Album, sender: Sender, links: Links) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._album = album
        self._sender = sender
        self._links = links
        self._where = backend_of(self._settings, __version__)

    def check(self, row: Operation, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a call checked, with presets and the user's preferences."""
        model = self._settings.model if row.name == "describe" else ""
        return row.check({**({"model": model} if model else {}), **params})

    def send(
        self,
        row: Operation,
        params: Mapping[str, Any],
        *,
        fresh: bool = False,
        patient: bool = False,
        permit: Callable[[], bool] | None = None,
    ) -> Task:
        """Return the task of a call: a new one, or one that asked the same before.

        Args:
            row: the operation.
            params: its parameters, not checked yet.
            fresh: whether what was asked before does not count.
            patient: after trouble that may pass, try again in the background and do not raise.
            permit: asked before anything new is sent.

        Raises:
            BudgetError: it was not permitted.
            ImgOpenError: as `Session.submit` raises.
        """
        checked = self.check(row, params)
        self._connection.delivery().path(row)  # a path that is a guess: nothing is read or sent
        operation, values = self._confirmed(row, checked, params)
        found = self._album.resolve(operation, values)
        request = fingerprint(operation, values, found.held, self._place(row))

        dressed: list[str] = []

        def body(task_id: str) -> dict[str, Any]:
            dressed.append(task_id)
            return operation.body(self._links.dress(operation, found.sent, task_id), task_id)

        def sent(anew: bool) -> Task:
            return self._sender.send(
                operation,
                found.shown,
                body,
                request=request,
                patient=patient,
                permit=permit,
                fresh=anew,
            )

        task = sent(fresh or self._settings.cache == "off")
        if task.cached and not self._lives(task):
            task = sent(True)
        self._links.settle(task, dressed)
        return task

    def request(self, row: Operation, params: Mapping[str, Any]) -> str | None:
        """Return the fingerprint of a call, as far as it is known without asking anybody.

        Raises:
            UsageError, PictureError: it could not be sent.
        """
        operation, values = self._confirmed(row, self.check(row, params), params)
        held = self._album.held(operation, values)
        return fingerprint(operation, values, held, self._place(row))

    def send_raw(self, path: str, body: Mapping[str, Any]) -> Task:
        """Return the task of any body sent to any path; see `Session.call`."""
        row = raw_operation(path)
        shown = {"path": row.path, "body": _without_passwords(body)}
        return self._sender.send(row, shown, lambda task_id: raw_body(row, body, task_id))

    def _confirmed(
        self, row: Operation, checked: dict[str, Any], params: Mapping[str, Any]
    ) -> tuple[Operation, dict[str, Any]]:
        if self._connection.local:
            return row, checked
        return confirmed(row, checked, params, self._settings.fields.get(row.name, {}))

    def _place(self, row: Operation) -> str:
        """Return who is asked: the backend, and what the user says of the operation's wire."""
        told = [self._settings.paths.get(row.name), self._settings.fields.get(row.name)]
        return f"{self._where} {json.dumps(told, sort_keys=True)}" if any(told) else self._where

    def _lives(self, task: Task) -> bool:
        """Whether the pictures that an earlier task made can still be had."""
        return all(self._album.lives(url) for url in task.result(timeout=0).images[:1])


def _without_passwords(body: Mapping[str, Any]) -> Any:
    """Return a body as the history may show it.

    Raises:
        UsageError: it is no JSON.
    """
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the body cannot be written as JSON: {clip(error)}") from None
    return json.loads(_PASSWORD.sub("://***@", text))


def runnable(name: str) -> Operation:
    """Return the operation of a name that can be run.

    Raises:
        UnknownNameError: there is none of that name.
        UsageError: it is a query, which tasks use by themselves.
    """
    row = OPERATIONS[name]
    if row.kind == "status":
        raise UsageError(
            f"{name} is not run by itself: tasks ask it", hint="use task.wait(), or %imgopen wait"
        )
    return row
