"""Rows in, outcomes out, lazily: the core of every batch, for programs that make their own rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .batch import stream as _stream
from .batch.rows import Limits, Outcome, Row, Watch
from .catalogue.operation import Operation
from .session import Session, checked_session

__all__ = ["Limits", "Outcome", "Row", "Watch", "stream"]


def stream(
    session: Session,
    operation: Operation,
    rows: Iterable[Row],
    limits: Limits | None = None,
    watch: Watch | None = None,
) -> Iterator[Outcome]:
    """Run a call for each row and yield the outcomes as they arrive, each row once.

    Args:
        session: sends the calls.
        operation: the operation to run.
        rows: read one by one, only as many as can run.
        limits: how many at a time, how long, how many in all; see `Limits`.
        watch: called with each outcome, and with None several times a second as time passes.

    Raises:
        TaskInterrupted: Ctrl-C; running tasks keep running at the service.

    Example:
        >>> rows = (Row(i, i, {"image": url}) for i, url in enumerate(urls))
        >>> for outcome in stream(imgopen.current(), imgopen.OPERATIONS["describe"], rows):
        ...     print(outcome.row.index, outcome.result.caption)
    """
    return _stream.stream(checked_session(session).manager, operation, rows, limits, watch)
