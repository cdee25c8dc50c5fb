"""A verb: one word after %imgopen, how its options are read, and what it does."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..catalogue.operation import Operation
from ..errors import ParameterError
from ..syntax.parser import Parser, given, operation_parser
from ..text import in_words
from .batch import batch_options, refuse_alone, run_batch

if TYPE_CHECKING:
    from ..session import Session
    from ..tasks.task import Task


@dataclass(frozen=True)
class Call:
    """One parsed line: the options, the body of the cell, the session and the variables."""

    options: argparse.Namespace
    body: str | None
    session: Callable[[], Session]
    prefix: str
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verb:
    """A word after %imgopen: how its options are read and what it does.

    `takes_body` says whether it may stand over a cell; `values` offers words for completion, by the
    name of the option ("words" for those without one).
    """

    name: str
    about: str
    options: Callable[[Parser], None]
    run: Callable[[Call], Any]
    takes_body: bool = False
    values: Mapping[str, Callable[[], list[str]]] | None = None

    def parser(self, prefix: str = "%imgopen ") -> Parser:
        """Return the parser of this verb."""
        parser = Parser(prefix + self.name, self.about)
        self.options(parser)
        return parser


class OperationVerb(Verb):
    """An operation of the catalogue as a verb."""

    operation: Operation

    def __init__(self, operation: Operation) -> None:
        super().__init__(
            operation.name,
            operation.about,
            operation_options,
            lambda call: _run_operation(operation, call),
            takes_body=operation.body_param is not None,
        )
        object.__setattr__(self, "operation", operation)

    def parser(self, prefix: str = "%imgopen ") -> Parser:
        """Return the parser made from the catalogue's row."""
        parser = operation_parser(self.operation, prefix)
        self.options(parser)
        if self.operation.positional:
            batch_options(parser, self.operation)
        return parser


def no_options(parser: Parser) -> None:
    """Take nothing but --help."""


def operation_options(parser: Parser) -> None:
    """Add the options of everything that runs as a task."""
    parser.option("--out", metavar="NAME", help="variable that takes the result")
    parser.option("--timeout", metavar="SECONDS", help="how long to wait at most")
    parser.add_argument("--no-wait", action="store_true", help="return the task at once")
    parser.add_argument("--fresh", action="store_true", help="ask again what was asked before")
    parser.add_argument("--form", action="store_true", help="open the form with these values")


def _run_operation(operation: Operation, call: Call) -> Any:
    params, seconds = given(operation, call.options), seconds_of(call.options.timeout)
    if call.body is not None and call.body.strip():
        body = operation.body_param
        assert body is not None, "the magic refuses a body where there is no place for it"
        if body.name in params:
            raise ParameterError(f"{body.name} is given twice: on the line and in the cell")
        params[body.name] = call.body.strip("\n")
    if getattr(call.options, "source", None):
        return run_batch(operation, params, call, seconds)
    refuse_alone(call.options)
    if call.options.form:
        from .widgets import open_form

        return open_form(operation, params, call)
    session = call.session()
    task = session.submit(operation.name, fresh=call.options.fresh, **params)
    return task if call.options.no_wait else wait(session, task, seconds)


def wait(session: Session, task: Task, seconds: float | None) -> Any:
    """Return the result of a task, with a progress bar while it lasts."""
    from ..tasks.progress import follow

    if not task.done:
        follow(task, seconds, session.timing.usual(task))
    return task.result(seconds)


def seconds_of(text: str | None) -> float | None:
    """Return the value of --timeout."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except (TypeError, ValueError):  # {name} on a line may stand for any object
        seconds = -1.0
    if not seconds >= 0:
        raise ParameterError(f"--timeout must be seconds, not {in_words(text)}")
    return seconds
