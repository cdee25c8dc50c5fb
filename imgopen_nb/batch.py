"""Several calls at once: all are sent, all are waited for, and one that fails loses no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import APIError, AuthenticationError, ImgOpenError, PictureError, TaskError
from .result import Result
from .spec import Operation
from .task import Task

if TYPE_CHECKING:
    from .session import Session

Call = dict[str, Any]


def run_all(
    session: Session,
    row: Operation,
    calls: list[Call],
    timeout: float | None,
    follow: Callable[[list[Task]], None] | None,
) -> list[Result]:
    """Return a result for each call, in their order; see `Session.run_all`."""
    for call in calls:
        session.check(row, call)
    begun = [_begun(session, row, call) for call in calls]
    if follow:
        follow([item for item in begun if isinstance(item, Task)])
    pairs = zip(calls, begun, strict=True)
    return [_ended(session, row, call, item, timeout) for call, item in pairs]


def _begun(session: Session, row: Operation, call: Call) -> Task | ImgOpenError:
    try:
        return session.submit(row.name, **call)
    except AuthenticationError:
        raise  # the next call would fare no better
    except (APIError, TaskError, PictureError) as error:
        return error


def _ended(
    session: Session, row: Operation, call: Call, begun: Task | ImgOpenError, timeout: float | None
) -> Result:
    task = begun if isinstance(begun, Task) else begun.task
    try:
        if isinstance(begun, Task):
            return begun.result(timeout)
        reason = begun.message
    except (APIError, TaskError) as error:
        reason = error.message
    if task is not None:
        return session.ledger.failed_result(task, reason)
    shown, model = str(call.get("image")), call.get("model")
    return Result(
        "", row.name, row.kind, {}, model=model, image=shown, status="failed", error=reason
    )
