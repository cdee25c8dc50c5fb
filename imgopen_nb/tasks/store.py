"""Task rows and task handles: each change is in the database before the handle shows it."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet, WeakValueDictionary

from ..api.envelope import Answer
from ..catalogue.operation import Operation
from ..catalogue.operations import OPERATIONS
from ..catalogue.status import UNSENT, State
from ..catalogue.undocumented import raw_operation
from ..database.task_table import TaskTable
from ..errors import JournalError
from ..images.identity import doubt
from ..text import clip
from .result import Result, missing_note
from .search import Search
from .task import Saver, Task, TaskHome

# Attributes that a result copies from its task, under the same names.
COPIED = (
    "model", "image", "picture", "params", "backend", "submitted", "finished", "queries",
    "attempts",
)  # fmt: skip
JUST_NOW = 1.0  # seconds
NEVER_LEFT = "never left"  # the owner of a task that was withdrawn before its request left


@dataclass(frozen=True, slots=True)
class Call:
    """What a call said, with the caller's own names for its images.

    Attributes:
        params: the parameters as the history shows them.
        image: the name of the image that stands for the call, None if it has none.
        picture: which image that was (`images/identity.py`).
    """

    params: Mapping[str, Any]
    image: str | None = None
    picture: str | None = None


class TaskStore:
    """Creates tasks, loads them from the database, and saves their changes.

    Args:
        table: the table of tasks.
        timeout: default timeout of a wait, in seconds.
        watch: called with a task when polling should start; None in a program that never waits.
        home: fetches the images of results, and finds a pickled task again.

    Attributes:
        saver: keeps the images that tasks made, if anything does.
    """

    def __init__(
        self,
        table: TaskTable,
        *,
        timeout: float = 600.0,
        watch: Callable[[Task], None] | None = None,
        home: TaskHome | None = None,
    ) -> None:
        self._table = table
        self._timeout = timeout
        self._watch = watch
        self.home = home
        self.saver: Saver | None = None
        # Weak, so that memory does not grow with the tasks of a long session.
        self._tasks: WeakValueDictionary[str, Task] = WeakValueDictionary()
        self._handles: WeakSet[Task] = WeakSet()  # also those that are not shared
        self.after_fork()

    def after_fork(self) -> None:
        """Make the locks, those of the tasks too; a forked child does so again."""
        self._guard = threading.RLock()
        for task in self._handles:
            task.after_fork()

    def add(
        self,
        task_id: str,
        operation: Operation,
        call: Call,
        *,
        since: float | None = None,
        **columns: Any,
    ) -> Task:
        """Insert a new task and return it, or return the earlier task of the same call.

        Args:
            task_id: id of the new task; an earlier task has a different one.
            operation: its operation.
            call: its parameters and its image.
            since: count only earlier tasks that were made from then on; None counts all. The new
                task counts as made then or later, even if the clock was set back.
            **columns: backend, base_url, owner, request (the cache key), body (the JSON to send,
                None if it may not be stored).
        """
        row = {
            "task_id": task_id,
            "operation": operation.name,
            "model": call.params.get("model", operation.default_model),
            "image": call.image,
            "picture": call.picture,
            "params": dict(call.params),
            "status": State.CREATED.value,
            "created": max(time.time(), since or 0.0) if since != math.inf else time.time(),
            # It is sent at once: one write says both (see `mark_sending`).
            "submitted": time.time(),
            "attempts": 1,
            **columns,
        }
        with self._guard:  # nobody may load the row before this handle is marked as sending
            earlier = self._table.find_or_add(row, since=since)
            if earlier is None:
                task = self._tasks[task_id] = self._new_handle(row, operation)
                task.submitted, task.attempts = row["submitted"], 1
                task.start_clock()
                task.sending = True
                return task
        return self._reuse(earlier, call)

    def find_earlier(
        self, request: str | None, call: Call, since: float | None = None
    ) -> Task | None:
        """Return the earlier task with this cache key, finished (`cached`) or running, or None.

        Its handle has the names that `call` gives to its images.
        """
        row = self._table.cached(request, since)
        return self._reuse(row, call) if row else None

    def load_cached(self, row: Mapping[str, Any]) -> Task:
        """Return a new handle of a task that has succeeded, for a call that is made again."""
        task = self._from_row(row)
        task.cached = True
        return task

    def load(self, row: Mapping[str, Any]) -> Task:
        """Return the shared handle of a task in the history."""
        with self._guard:
            task_id = row["task_id"]
            return self.loaded(task_id) or self._tasks.setdefault(task_id, self._from_row(row))

    def claim(self, task: Task, owner: str, alive: Callable[[str | None], bool]) -> bool:
        """Become the session that sends a task; False if another live session does."""
        row = self._table.get(task.id)
        if row["owner"] == owner:
            return True
        if alive(row["owner"]):
            return False
        claimed = self._table.claim(task.id, row["owner"], owner)
        if claimed and row["owner"] == NEVER_LEFT:
            task.search = Search(row["submitted"])
        return claimed

    def release(self, task: Task, owner: str, *, never_left: bool = False) -> None:
        """Let any session send a task, this one or another.

        Args:
            task: the task.
            owner: this session.
            never_left: its request certainly did not leave, so it need not be looked for.
        """
        with contextlib.suppress(JournalError):  # then it stays ours while this process runs
            self._table.claim(task.id, owner, NEVER_LEFT if never_left else "")

    def sending(self, task: Task) -> tuple[float | None, Mapping[str, Any] | None]:
        """Return when a submission was sent last, if that is known, and its body, if it was kept.

        The handle learns it too: another session may have sent the task since.
        """
        row = self._table.get(task.id)
        submitted, attempts = row["submitted"] or row["created"], row["attempts"]
        if (task.submitted, task.attempts) != (submitted, attempts):
            task.update(submitted=submitted, attempts=attempts)
        return row["submitted"], row["body"]

    def refresh(self, task: Task) -> None:
        """Update a task with what another session or the notebook server has written."""
        row = self._table.get(task.id)
        state, answer = State(row["status"]), Answer(row["data"] or {})
        if state is not task.state:
            task.update(state=state, **_progress(task, answer), **_attributes(row))
        elif answer.data and answer.data != task.data:
            task.update(data=answer.data, **_progress(task, answer))

    def find(self, task_id: str) -> Task:
        """Return a task in the history by its id or the beginning of its id."""
        known = self.loaded(task_id) if isinstance(task_id, str) else None
        return known or self.load(self._table.get(task_id))

    def loaded(self, task_id: str) -> Task | None:
        """Return the handle of a task that is in use in this process, or None."""
        return self._tasks.get(task_id)

    def handles(self) -> list[Task]:
        """Return all handles in use in this process."""
        with self._guard:
            return list(self._handles)

    def mark_sending(self, task: Task) -> None:
        """Write into the history that the request is sent now, before it leaves.

        A new task's row says so already, unless something has held the request back since.
        """
        submitted, attempts = time.time(), task.attempts + (task.search is not None)
        # By the clock of the row, as it may have been set, or the computer may have slept.
        if task.search is not None or abs(submitted - (task.submitted or 0.0)) > JUST_NOW:
            self._table.write_sending(task.id, submitted, attempts)
            task.start_clock()
            task.update(submitted=submitted, attempts=attempts)
        task.search = Search(task.submitted, settled=math.inf)

    def apply_answer(self, task: Task, answer: Answer, *, always: bool = False) -> None:
        """Save what an answer says. The status decides the state, not the presence of a result.

        Args:
            task: the task that the answer is about.
            answer: the answer.
            always: write to the database even if the state has not changed.
        """
        state = answer.state(task.operation) or State.SUBMITTED
        own_id_echoed = answer.server_id in ("", task.id)
        self.write(
            task,
            state,
            always=always,
            server_id=task.server_id if own_id_echoed else answer.server_id,
            data=dict(answer.data),
            message=answer.explanation if state is State.FAILED else "",
            **_progress(task, answer),
        )

    def write(self, task: Task, state: State, *, always: bool = False, **changes: Any) -> None:
        """Write a change to the database, then to the task. A final state is never overwritten."""
        if state.final:
            changes |= {"finished": time.time(), "took": task.seconds}
        new = (always or state is not task.state) and not task.state.final
        if new and not self._table.update(task.id, **self._columns(task, state, changes)):
            self.refresh(task)  # another session wrote the final state first
        else:
            task.update(state=state, **changes)

    def result(self, task: Task, **later: Any) -> Result:
        """Return the result of a task that has succeeded; `later` holds newer attributes."""
        row, data = task.operation, later.get("data", task.data)
        notes = (*_cached_note(task), *missing_note(row, data), *_undocumented_note(task))
        notes += row.remarks(task.params)
        unsure = doubt(task.picture) if task.picture else ""
        return self._new_result(
            task,
            data=data,
            output=row.output,
            server_id=later.get("server_id", task.server_id),
            backend="sandbox" if data.get("backend") == "sandbox" else task.backend,
            finished=later.get("finished", task.finished),
            cached=task.cached,
            notes=(*task.remarks, *notes, *_sandbox_note(data), *filter(None, [unsure])),
        )

    def failed_result(self, task: Task, error: str) -> Result:
        """Return a result that only has an error, for a task that did not succeed."""
        return self._new_result(task, data={}, status=task.state.value, error=error)

    def _new_result(self, task: Task, **facts: Any) -> Result:
        row, known = task.operation, {name: getattr(task, name) for name in COPIED}
        about = {
            "task_id": task.id,
            "operation": row.name,
            "kind": row.kind,
            "home": self.home,
        }
        return Result(**{**about, **known, **facts})

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
            columns["error"] = changes["message"] or None
        if state not in UNSENT:
            columns["body"] = None
        if state.final:
            columns |= {"pending": task.pending, "seconds": changes["took"]}
        if state is State.SUCCEEDED:
            result = self.result(task, **changes)
            columns["caption"], columns["engine"] = result.caption, result.engine
            columns["tags"] = [{"name": t.name, "score": t.score} for t in result.tags] or None
            columns["image_urls"] = result.images
        return columns

    def _reuse(self, row: Mapping[str, Any], call: Call) -> Task:
        """Return an earlier task for a call that is made again."""
        if row["picture"] is None and call.picture:  # the same cache key proves that it is this one
            self._table.identify([row["request"]], call.picture)
        if row["status"] == State.SUCCEEDED:
            named = {"params": dict(call.params), "image": call.image, "picture": call.picture}
            found = self.load_cached({**row, **named})
            if self.saver:
                self.saver.ended(found)
            return found
        task = self.load(row)
        if (task.image, task.params) == (call.image, call.params):
            return task
        alias = task.alias(call.image, call.picture, call.params)
        with self._guard:
            self._handles.add(alias)
        return alias

    def _new_handle(self, row: Mapping[str, Any], operation: Operation) -> Task:
        task = Task(
            row["task_id"],
            operation,
            row["params"],
            model=row["model"],
            image=row["image"],
            picture=row["picture"],
            backend=row["backend"],
            state=State(row["status"]),
            timeout=self._timeout,
            watch=self._watch,
            build=self.result,
            home=self.home,
            saver=self.saver,
        )
        with self._guard:
            self._handles.add(task)
        return task

    def _from_row(self, row: Mapping[str, Any]) -> Task:
        name = row["operation"]
        known = name in OPERATIONS
        operation = OPERATIONS[name] if known else raw_operation(row["params"]["path"])
        task = self._new_handle(row, operation)
        for fact, value in _attributes(row).items():
            setattr(task, fact, value)
        if row["imported"]:
            task.remarks += (f"imported from a file ({row['imported']}), not run here",)
        task.shared = True
        task.start_clock(time.time() - (task.submitted or 0.0))
        return task


def _attributes(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's attributes from its row in the database."""
    return {
        "server_id": row["server_id"] or "",
        "message": row["error"] or "",
        "submitted": row["submitted"] or row["created"],
        "finished": row["finished"],
        "took": row["seconds"],
        "queries": row["queries"],
        "attempts": row["attempts"],
        "data": row["data"] or {},
    }


def _progress(task: Task, answer: Answer) -> dict[str, Any]:
    """Return the status, progress and preview of an answer; missing ones stay the same."""
    return {
        "status": answer.status,
        "progress": task.progress if answer.progress is None else answer.progress,
        "preview": answer.preview or task.preview,
    }


def _cached_note(task: Task) -> tuple[str, ...]:
    if not task.cached:
        return ()
    return ("cached: taken from the history without sending a request; add --fresh to send one",)


def _undocumented_note(task: Task) -> tuple[str, ...]:
    """Return a note if fields were sent that are known only from a working client."""
    given = [p.name for p in task.operation.user_params if p.name in task.params]
    seen = [n for n in given if task.operation.param(n).known == "client"]
    if not seen or task.backend != "real":
        return ()
    return (f"{', '.join(seen)}: not documented by the vendor, only seen in a working client",)


def _sandbox_note(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the sandbox's notes: how it made the result, and what it did not use."""
    if data.get("backend") != "sandbox":
        return ()
    note, unused = data.get("note"), data.get("unused")
    notes = [clip(note, 500)] if isinstance(note, str) and note else []
    if isinstance(unused, list) and unused:
        notes.append(clip(f"not used by the sandbox: {', '.join(map(str, unused))}", 500))
    return tuple(notes)
