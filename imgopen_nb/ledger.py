"""The ledger joins tasks and journal: every step is written down before anybody is told of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakValueDictionary

from .catalogue import OPERATIONS
from .errors import clip
from .journal import Journal
from .raw import raw_operation
from .result import Result, missing_note
from .spec import Operation
from .task import Task
from .wire import Answer, State


class Ledger:
    """Makes tasks, reads them back, and writes what becomes known of them.

    Args:
        journal: the history.
        watch: called by a task that wants to be asked for.
        fetch: gives results their thumbnails; `download` the whole pictures they made.
        timeout: seconds that waits last at most by default.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        watch: Callable[[Task], None],
        fetch: Callable[[str, int, bool], Any],
        download: Callable[[str], bytes],
        timeout: float,
    ) -> None:
        self._journal = journal
        self._watch = watch
        self._fetch = fetch
        self._download = download
        self._timeout = timeout
        # Weak, so that memory does not grow with the tasks of a long session.
        self._tasks: WeakValueDictionary[str, Task] = WeakValueDictionary()

    def open(
        self, operation: Operation, params: Mapping[str, Any], *, backend: str, base_url: str
    ) -> Task:
        """Write a new task into the history and return it; nothing has been sent yet."""
        task_id = f"nb{time.strftime('%Y%m%d')}{uuid.uuid4().hex[:16]}"
        task = self._make(task_id, operation, params, backend)
        self._journal.add(
            {
                "task_id": task.id,
                "operation": operation.name,
                "model": task.model,
                "image": task.image,
                "params": task.params,
                "status": task.state.value,
                "created": time.time(),
                "backend": backend,
                "base_url": base_url,
            }
        )
        return task

    def find(self, task_id: str) -> Task:
        """Return a task of the history by an id or the beginning of one."""
        known = self._tasks.get(task_id)
        if known is not None:
            return known
        row = self._journal.get(task_id)
        return self._tasks.get(row["task_id"]) or self._from_row(row)

    def sending(self, task: Task) -> None:
        """Note that the request goes out now."""
        task.note(submitted=time.time(), attempts=task.attempts + 1)

    def learn(self, task: Task, answer: Answer) -> None:
        """Take over what an answer says: the status decides, not the presence of a result."""
        state = answer.state(task.operation) or State.SUBMITTED
        failed = {"message": answer.explanation} if state is State.FAILED else {}
        own_id_echoed = answer.server_id in ("", task.id)
        self.write(
            task,
            state,
            status=answer.status,
            progress=task.progress if answer.progress is None else answer.progress,
            preview=answer.preview or task.preview,
            server_id=task.server_id if own_id_echoed else answer.server_id,
            data=dict(answer.data),
            **failed,
        )

    def write(self, task: Task, state: State, **changes: Any) -> None:
        """Write a step into the journal, then tell the task; an end is never overwritten."""
        if state.final:
            changes["finished"] = time.time()
        if state is not task.state and not task.state.final:
            self._journal.update(task.id, **self._columns(task, state, changes))
        task.note(state=state, **changes)

    def result(self, task: Task, **later: Any) -> Result:
        """Return the result of a task that has succeeded; `later` is not in the task yet."""
        row, data = task.operation, later.get("data", task.data)
        return Result(
            task_id=task.id,
            operation=row.name,
            kind=row.kind,
            data=data,
            output=row.output,
            server_id=later.get("server_id", task.server_id),
            model=task.model,
            image=task.image,
            params=task.params,
            backend="sandbox" if data.get("backend") == "sandbox" else task.backend,
            submitted=task.submitted,
            finished=later.get("finished", task.finished),
            queries=task.queries,
            attempts=task.attempts,
            notes=(*missing_note(row, data), *_known_note(task), *_told(data)),
            download=self._download,
            fetch=self._fetch,
        )

    def failed_result(self, task: Task, error: str) -> Result:
        """Return a stand-in for the result of a task that has none, to be shown beside others."""
        return Result(
            task_id=task.id,
            operation=task.operation.name,
            kind=task.operation.kind,
            data={},
            model=task.model,
            image=task.image,
            params=task.params,
            backend=task.backend,
            status=task.state.value,
            error=error,
            submitted=task.submitted,
            finished=task.finished,
            queries=task.queries,
            attempts=task.attempts,
            fetch=self._fetch,
        )

    def _columns(self, task: Task, state: State, changes: Mapping[str, Any]) -> dict[str, Any]:
        columns: dict[str, Any] = {
            "status": state.value,
            "submitted": task.submitted,
            "queries": task.queries,
            "attempts": task.attempts,
        }
        for name in ("server_id", "data", "finished"):
            if name in changes:
                columns[name] = changes[name]
        if "message" in changes:
            columns["error"] = changes["message"]
        if state is State.SUCCEEDED:
            result = self.result(task, **changes)
            columns["caption"], columns["engine"] = result.caption, result.engine
            columns["tags"] = [{"name": t.name, "score": t.score} for t in result.tags] or None
            columns["image_urls"] = result.images
        return columns

    def _make(
        self,
        task_id: str,
        operation: Operation,
        params: Mapping[str, Any],
        backend: str,
        state: State = State.CREATED,
    ) -> Task:
        task = Task(
            task_id,
            operation,
            params,
            model=_model(operation, params),
            image=_first_picture(operation, params),
            backend=backend,
            state=state,
            timeout=self._timeout,
            watch=self._watch,
            build=self.result,
        )
        return self._tasks.setdefault(task_id, task)

    def _from_row(self, row: Mapping[str, Any]) -> Task:
        name, state = row["operation"], State(row["status"])
        known = name in OPERATIONS
        operation = OPERATIONS[name] if known else raw_operation(row["params"]["path"])
        task = self._make(row["task_id"], operation, row["params"], row["backend"], state)
        task.server_id, task.message = row["server_id"] or "", row["error"] or ""
        task.submitted, task.finished = row["submitted"] or row["created"], row["finished"]
        task.queries, task.attempts = row["queries"], row["attempts"]
        task.image, task.data = row["image"], row["data"] or {}
        return task


def _known_note(task: Task) -> tuple[str, ...]:
    """Return a note if fields were sent that only a working client is known to send."""
    given = [p.name for p in task.operation.user_params if p.name in task.params]
    seen = [n for n in given if task.operation.param(n).known == "client"]
    if not seen or task.backend != "real":
        return ()
    return (f"{', '.join(seen)}: not documented by the vendor, seen in a working client only",)


def _told(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the sandbox says of how it made the result."""
    note = data.get("note")
    return (clip(note, 500),) if isinstance(note, str) and note else ()


def _model(operation: Operation, params: Mapping[str, Any]) -> str | None:
    """Return the model that is used: the given one, or the documented default."""
    default = next((p.default for p in operation.user_params if p.name == "model"), None)
    model: str | None = params.get("model", default)
    return model


def _first_picture(operation: Operation, params: Mapping[str, Any]) -> str | None:
    names = ["image", *(p.name for p in operation.user_params if p.picture)]
    value = next((params[name] for name in names if params.get(name)), None)
    return value[0] if isinstance(value, list) else value
