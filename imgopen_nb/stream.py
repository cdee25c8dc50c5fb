"""Rows in, outcomes out, lazily: `imgopen_nb.stream.stream(session, operation, rows)`."""

from .batch.stream import Limits, Outcome, Row, Watch, run_all, stream

__all__ = ["Limits", "Outcome", "Row", "Watch", "run_all", "stream"]
