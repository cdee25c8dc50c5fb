"""Submits a call: checks it, looks it up in the history, writes it there and sends it once.

The history is searched before any work is done, so a call that was made before costs nothing. If
sending was interrupted (a lost answer, a killed kernel, Ctrl-C), the task is LOST, and `recover`
looks for it at the service by our own id (`search.py`). It is sent again only when that has proved
that it never arrived, and by one session only.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from .._version import __version__
from ..api.backend import Backend
from ..api.envelope import Answer
from ..api.retrying_client import MAX_ATTEMPTS, TRANSIENT
from ..callbacks.public_urls import PublicUrls
from ..catalogue.operation import Operation
from ..catalogue.operations import OPERATIONS
from ..catalogue.status import UNSENT, State
from ..catalogue.undocumented import confirmed, raw_body, raw_operation
from ..errors import (
    BudgetError,
    ImgOpenError,
    JournalError,
    SubmissionLostError,
    TaskFailedError,
    UsageError,
    WaitCancelledError,
)
from ..images.identity import Identity
from ..media.picture_store import SignedUrl
from ..text import clip, hide_passwords, in_words
from .cache_key import backend_of, cache_key, reusable
from .callback_trust import CallbackTrust, callback_param
from .inputs import InputResolver, Route
from .search import Search
from .session_lock import SessionLock
from .store import Call, TaskStore
from .task import Task

# Seconds until we check again on a task that is being sent elsewhere.
CLAIM_RETRY = 0.25
# Errors after which the same call may succeed a little later.
TRANSIENT_ERRORS = (*TRANSIENT, SubmissionLostError)
NEVER_SENT = "it never reached the service, and its request is no longer known: run it again"
LEFT_BEHIND = "its session ended while it was being sent"
CANNOT_CHECK = (
    "its session ended while it was being sent, and this path has no query that tells whether it "
    "was accepted: it is not sent again automatically"
)


class Submitter:
    """Turns a call into a task, or finds the earlier task of the same call."""

    def __init__(
        self,
        backend: Backend,
        store: TaskStore,
        inputs: InputResolver,
        lock: SessionLock,
        urls: PublicUrls,
        trust: CallbackTrust,
    ) -> None:
        self._settings = backend.settings
        self._backend = backend
        self._store = store
        self._inputs = inputs
        self._lock = lock
        self._urls = urls
        self._trust = trust
        self._backend_name = backend_of(self._settings, __version__)
        self.after_fork()

    def after_fork(self) -> None:
        """Make the lock; a forked child does so again."""
        # If two equal calls are made at once, only one of them counts against the budget.
        self._budget_lock = threading.Lock()

    def check(self, operation: Operation, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the checked parameters of a call, with presets and the user's preferences."""
        model = self._settings.model if operation.name == "describe" else ""
        return operation.check({**({"model": model} if model else {}), **operation.named(params)})

    def reusable(self, operation: Operation, params: Mapping[str, Any]) -> bool:
        """Whether the result of a call can be taken from the history when it is made again.

        Raises:
            UsageError: a parameter does not fit.
        """
        return reusable(operation, self.check(operation, params))

    def cache_key(self, operation: Operation, params: Mapping[str, Any]) -> str | None:
        """Return the cache key of a call, as far as it is known without any request.

        Returns:
            The key, or None if results of this call are never taken from the history.

        Raises:
            UsageError, PictureError: the call could not be sent.
        """
        return self.look(operation, params)[0]

    def look(
        self, operation: Operation, params: Mapping[str, Any]
    ) -> tuple[str | None, list[Route]]:
        """Return the cache key of a call, and where its local images go; sends nothing.

        Raises:
            UsageError, PictureError: the call could not be sent.
        """
        row, values = self._confirmed(operation, self.check(operation, params), params)
        inputs = self._inputs.read(row, values)
        identities = self._inputs.identify(inputs, ask=False)
        routes = [
            self._inputs.route(picture, identity)
            for name, each in inputs.pictures.items()
            for picture, identity in zip(each, identities[name], strict=True)
        ]
        return self._key(row, values, identities), [route for route in routes if route]

    def check_route(self, route: Route) -> str:
        """Return why the service cannot have an image, "" if nothing is known against it."""
        return self._inputs.check(route)

    def submit(
        self,
        operation: Operation,
        params: Mapping[str, Any],
        *,
        since: float | None = None,
        retry_later: bool = False,
        permit: Callable[[], bool] | None = None,
        written: Callable[[Task], None] | None = None,
    ) -> Task:
        """Return the task of a call: a new one that was accepted, or an earlier one.

        Args:
            operation: the row of the catalogue.
            params: its parameters, not checked yet.
            since: return an earlier task only if it was made from then on, in seconds since the
                epoch; None counts all earlier tasks, infinity none.
            retry_later: after a transient error, try again in the background and do not raise.
            permit: called before a new task is written; False if it is not to be sent.
            written: called with a new task when it is in the history, before it is sent.

        Raises:
            BudgetError: `permit` returned False.
            ImgOpenError: the same errors as `Session.submit`.
        """
        checked = self.check(operation, params)
        self._backend.check_path(operation)
        row, values = self._confirmed(operation, checked, params)
        inputs = self._inputs.read(row, values)
        if self._settings.cache == "off":
            since = math.inf
        begun, before = time.time(), None
        for again in (False, True) if inputs.remote else (False,):
            # What a URL's server said a minute ago will do for a task from the history. A new task
            # is given what is there now.
            max_age = time.time() - begun if again else None
            identities = self._inputs.identify(inputs, ask=True, max_age=max_age)
            if identities == before:
                break
            before = identities
            request = self._key(row, values, identities)
            picture = identities[inputs.first][0].picture if inputs.first else None
            call = Call(inputs.shown, inputs.name, picture)
            if earlier := self._store.find_earlier(request, call, since):
                if not earlier.cached or self._output_exists(earlier):
                    return _watch(earlier)
                since = math.inf
        placed = inputs.placed(self._inputs.place)
        return self._send_new(
            row,
            call,
            lambda task_id: self._body(row, placed, task_id),
            request=request,
            # A signed address is worth nothing in an hour, and a secret until then.
            keep_body=not (inputs.hidden or _is_signed(placed)),
            since=since,
            retry_later=retry_later,
            permit=permit,
            written=written,
        )

    def submit_raw(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        permit: Callable[[], bool] | None = None,
        written: Callable[[Task], None] | None = None,
    ) -> Task:
        """Send any body to any path and return its task; see `Session.call`."""
        row = raw_operation(path)
        shown, hidden = _hide_passwords(body)
        return self._send_new(
            row,
            Call({"path": row.path, "body": shown}),
            lambda task_id: raw_body(row, body, task_id),
            keep_body=not hidden,
            permit=permit,
            written=written,
        )

    def send_lost(self, task: Task) -> None:
        """Have a task sent as soon as the service does not know it, without the settling time."""
        if task.state in UNSENT and not task.sending:
            task.search = Search(self._store.sending(task)[0])

    def recover(self, task: Task) -> float:
        """Look once for a task that may have arrived, and send it if it certainly has not.

        Returns:
            Seconds until this should be tried again; 0 if it is done.

        Raises:
            SubmissionLostError: the service cannot tell, although the settling time is over.
            ImgOpenError: it cannot be sent, or not now.
        """
        if task.sending:
            return CLAIM_RETRY
        self._store.refresh(task)
        if task.state not in UNSENT:
            return 0.0
        with self._lock.in_use():
            if not self._store.claim(task, self._lock.id, self._lock.is_alive):
                return CLAIM_RETRY
            try:
                self._send(task, lambda: self._find_or_send(task), retry_later=True)
            except SubmissionLostError as error:
                if error.again is None:
                    raise
                assert task.search is not None
                return max(error.again, task.search.next_look())
        return 0.0

    def _send_new(
        self,
        operation: Operation,
        call: Call,
        make_body: Callable[[str], dict[str, Any]],
        *,
        keep_body: bool,
        request: str | None = None,
        since: float | None = None,
        retry_later: bool = False,
        permit: Callable[[], bool] | None = None,
        written: Callable[[Task], None] | None = None,
    ) -> Task:
        """Write a task and send it. The transaction that inserts it decides whether it is new."""
        task_id = f"nb{time.strftime('%Y%m%d')}{uuid.uuid4().hex[:16]}"
        with self._lock.in_use(), self._withdrawn_unless_sent(task_id) as sent:
            with self._budget_lock if permit else contextlib.nullcontext():
                new = not (permit and self._store.find_earlier(request, call, since))
                if permit and new and not permit():
                    raise BudgetError(
                        f"{operation.name} was not sent: the limit on new tasks was reached",
                        hint="raise --max (most= in Python)",
                    )
                body = make_body(task_id)
                task = self._store.add(
                    task_id,
                    operation,
                    call,
                    since=since,
                    request=request,
                    body=body if keep_body else None,
                    backend=self._settings.backend,
                    base_url=self._settings.base_url,
                    owner=self._lock.id,
                )
            if task.id == task_id:
                sent.append(task)
                task.unwritten_body = None if keep_body else body
                if written:
                    written(task)
                try:
                    self._send(task, lambda: self._submit(task, body), retry_later)
                except TRANSIENT_ERRORS as error:
                    looked_for = isinstance(error, SubmissionLostError) and error.again is not None
                    if not (retry_later or looked_for):
                        raise
        return _watch(task)

    @contextlib.contextmanager
    def _withdrawn_unless_sent(self, task_id: str) -> Iterator[list[Task]]:
        """Withdraw the images published for a task: at its end, or now if it is not sent."""
        sent: list[Task] = []
        try:
            yield sent
        finally:
            if sent:
                if callback_param(sent[0].operation, self._settings):
                    sent[0].remarks += self._urls.note_once()
                sent[0].add_done_callback(self._withdraw)
            else:
                self._trust.forget(task_id)
                self._urls.publisher.withdraw(task_id)

    def _withdraw(self, task: Task) -> None:
        if task.state.final:  # otherwise only the wait was given up
            self._urls.publisher.withdraw(task.id)

    def _body(
        self, operation: Operation, values: Mapping[str, Any], task_id: str
    ) -> dict[str, Any]:
        """Return the JSON body of a call, with the addresses that the service needs."""
        values = {name: self._urls.published(value, task_id) for name, value in values.items()}
        param = callback_param(operation, self._settings)
        if param and param.name not in values and self._urls.address:
            with contextlib.suppress(ImgOpenError):  # without a key we poll
                values[param.name] = self._urls.callback_url(task_id)
                self._trust.expect(task_id)
        return operation.body(values, task_id)

    def _confirmed(
        self, operation: Operation, checked: dict[str, Any], params: Mapping[str, Any]
    ) -> tuple[Operation, dict[str, Any]]:
        if self._backend.local:
            return operation, checked
        true_names = self._settings.fields.get(operation.name, {})
        return confirmed(operation, checked, params, true_names)

    def _key(
        self,
        operation: Operation,
        values: Mapping[str, Any],
        identities: Mapping[str, Sequence[Identity]],
    ) -> str | None:
        pictures = {name: [i.cache_key for i in each] for name, each in identities.items()}
        return cache_key(operation, values, pictures, self.backend_key(operation))

    def backend_key(self, operation: Operation) -> str:
        """Return the backend's name, with any path and field names set by the user."""
        wire = [self._settings.paths.get(operation.name), self._settings.fields.get(operation.name)]
        name = self._backend_name
        return f"{name} {json.dumps(wire, sort_keys=True)}" if any(wire) else name

    def _output_exists(self, task: Task) -> bool:
        """Whether the first image that an earlier task made was kept or can still be fetched."""
        result = task.result(timeout=0)
        kept = bool(result.files)
        return kept or all(self._inputs.exists(url) for url in result.images[:1])

    def _send(self, task: Task, exchange: Callable[[], Answer | None], retry_later: bool) -> None:
        """Send a task, or look it up, and save the outcome; `exchange` returns None if neither."""
        task.sending, never_left = True, False
        try:
            answer = exchange()
            if answer is None:
                reason = CANNOT_CHECK if _untraceable(task) else NEVER_SENT
                self._store.write(task, State.REFUSED, message=reason)
            else:
                self._store.apply_answer(task, answer)
        except JournalError as error:
            error.task = task  # it may have been accepted: `recover` finds out
            raise
        except ImgOpenError as error:
            error.task = task
            if isinstance(error, SubmissionLostError):
                if task.state is not State.LOST:
                    self._store.write(task, State.LOST, message=error.message)
            elif isinstance(error, WaitCancelledError):
                never_left = True  # whoever asks for it again has it sent
            elif not (retry_later and isinstance(error, TRANSIENT_ERRORS)):
                self._store.write(task, State.REFUSED, message=error.message)
            raise
        finally:
            if task.state in UNSENT:
                self._store.release(task, self._lock.id, never_left=never_left)
            else:
                task.unwritten_body = None
            task.sending = False

    def _find_or_send(self, task: Task) -> Answer | None:
        """Look for a task at the service once, and send it if "not found" is proof by now."""
        if _untraceable(task):
            return None
        sent, body = self._store.sending(task)
        body = body or task.unwritten_body
        if task.search is None or task.search.sent != sent:
            task.search = Search.for_row(sent, self._settings.settle)
        search, proof = task.search, task.search.is_settled
        try:
            found = self._backend.client().find(task.operation, task.id)
        except SubmissionLostError as error:
            if proof:
                error.again = None
            raise
        if isinstance(found, Answer):
            return found
        if not (proof or found.at_once):
            raise SubmissionLostError(task.message or LEFT_BEHIND, again=0.0)
        if body is None:
            return None
        if search.losses >= MAX_ATTEMPTS:
            text = f"sent {search.losses} times, but the service still does not know it"
            raise TaskFailedError(f"{text}; {task.message}" if task.message else text)
        return self._submit(task, body)

    def _submit(self, task: Task, body: Mapping[str, Any]) -> Answer:
        """Send a task; unless it certainly did not arrive, its search begins when this ends."""
        earlier = task.search or Search(task.submitted)
        arrived = True
        try:
            leaving = partial(self._leaving, task)
            return self._backend.client().submit(task.operation, body, task.id, leaving)
        except ImgOpenError as error:
            arrived = isinstance(error, SubmissionLostError)
            raise
        finally:
            settled = time.monotonic() + self._settings.settle if arrived else earlier.settled
            losses = earlier.losses + arrived
            task.search = Search(task.submitted, settled, max(0, losses - 1), losses)

    def _leaving(self, task: Task) -> None:
        """Note that a request leaves now, unless nobody wants it to any more."""
        if task.withdrawn:
            raise WaitCancelledError("stopped before it was sent", task=task)
        self._store.mark_sending(task)


def _is_signed(values: Mapping[str, Any]) -> bool:
    """Whether an image's address among the values of a call is signed."""
    several = (each if isinstance(each, list) else [each] for each in values.values())
    return any(isinstance(one, SignedUrl) for each in several for one in each)


def _untraceable(task: Task) -> bool:
    """Whether the service cannot be asked if a task arrived. A list is simply requested again."""
    return not task.operation.query and task.operation.kind != "rows"


def _watch(task: Task) -> Task:
    if not task.done:
        task.watch()
    return task


def _hide_passwords(body: Mapping[str, Any]) -> tuple[Any, bool]:
    """Return a body as the history may show it, and whether a password was hidden in it.

    Raises:
        UsageError: it is not JSON.
    """
    if not isinstance(body, Mapping):
        raise UsageError(f"the body must be a JSON object, not {in_words(body)}")
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the body cannot be written as JSON: {clip(error)}") from None
    shown, found = hide_passwords(text)
    return json.loads(shown), found > 0


def runnable(name: str) -> Operation:
    """Return the operation with this name.

    Raises:
        UnknownNameError: there is no such operation.
        UsageError: it is a status query, which only tasks use.
    """
    row = OPERATIONS[name]
    if row.kind == "status":
        raise UsageError(
            f"{name} is a query that tasks send: it is not run on its own",
            hint="use task.wait(), or %imgopen wait",
        )
    return row
