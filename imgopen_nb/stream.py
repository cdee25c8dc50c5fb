"""Rows in, outcomes out, lazily: the core of every batch, for programs that make their own rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .batch import stream as _stream
from .batch.rows import Limits, Outcome, Row, Watch
from .catalogue.operation import Operation
from .catalogue.operations import OPERATIONS
from .errors import UsageError
from .session import Session, checked_session
from .text import in_words

__all__ = ["Limits", "Outcome", "Row", "Watch", "stream"]


def stream(
    session: Session,
    operation: Operation | str,
    rows: Iterable[Row],
    limits: Limits | None = None,
    watch: Watch | None = None,
) -> Iterator[Outcome]:
    """Run a call for each row and yield the outcomes as they arrive, each row once.

    Args:
        session: sends the calls.
        operation: the operation to run, or its name.
        rows: number, key and parameters of each call; read one by one, only as many as can run.
        limits: how many at a time, how long, how many in all; see `Limits`.
        watch: called with each outcome, and with None several times a second as time passes.

    Raises:
        UnknownNameError: there is no such operation.
        UsageError: a row is no `Row`; it was not sent.
        TaskInterrupted: Ctrl-C; running tasks keep running at the service.

    Example:
        >>> rows = (Row(i, i, {"image": url}) for i, url in enumerate(urls))
        >>> for outcome in stream(imgopen.current(), "describe", rows):
        ...     print(outcome.row.index, outcome.result.caption)
    """
    found = OPERATIONS[operation] if isinstance(operation, str) else operation
    return _stream.stream(checked_session(session).manager, found, _checked(rows), limits, watch)


def _checked(rows: Iterable[Row]) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if not isinstance(row, Row):
            raise UsageError(
                f"row {number} is {in_words(row)}, not a Row: it was not sent",
                hint='Row(0, "cat", {"image": "photos/cat.jpg"}), from imgopen_nb.stream',
            )
        yield row
