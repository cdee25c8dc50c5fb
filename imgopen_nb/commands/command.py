"""A command: one word after `%imgopen` or `imgopen`, how its options are read, and what it does."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..catalogue.operations import OPERATIONS
from ..errors import ParameterError
from ..syntax.parser import Parser, seconds_of
from ..syntax.words import is_look_up

if TYPE_CHECKING:
    from ..session import Session
    from ..tasks.task import Task, TimeLimit


@dataclass
class Invocation:
    """A command as somebody typed it.

    Attributes:
        options: the parsed line.
        body: the rest of the cell, for `%%imgopen`.
        session: returns the current session, and makes one if there is none.
        prefix: what stands before the command's name: "%imgopen " or "imgopen ".
        variables: the variables of the notebook.
        typed: the words after the command's name, before variables were put in.
        files, said: the files that the command wrote, and what is to be said of them.
        places: the file of each image's address, for those that were saved.
        exit_code: what the command line ends with, unless there is an error.
    """

    options: argparse.Namespace
    body: str | None
    session: Callable[[], Session]
    prefix: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    places: dict[str, Path] = field(default_factory=dict)
    typed: Sequence[str] = ()
    exit_code: int = 0


@dataclass(frozen=True)
class Command:
    """A word after `%imgopen`.

    Attributes:
        name: the word; several are one where a command has actions, as "dataset check".
        about: one line for people.
        options: adds its options to a parser.
        run: does it, and returns what to show.
        takes_body: whether it may stand over a cell.
        values: the words that completion offers, by option; "words" for those without an option.
    """

    name: str
    about: str
    options: Callable[[Parser], None]
    run: Callable[[Invocation], Any]
    takes_body: bool = False
    values: Mapping[str, Callable[[], list[str]]] = field(default_factory=dict)

    def parser(self, prefix: str = "%imgopen ") -> Parser:
        """Return the parser of this command's options."""
        parser = Parser(prefix + self.name, self.about)
        self.options(parser)
        return parser


def no_options(parser: Parser) -> None:
    """Add nothing: the command takes only --help."""


def submit_options(parser: Parser) -> None:
    """Add the options of every command that submits one task."""
    wait_options(parser)
    parser.add_argument(
        "--no-wait", action="store_true", help="return the task immediately, without waiting"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="send the request even if the result is cached"
    )
    parser.add_argument("--form", action="store_true", help="open the form with these values")


def out_option(parser: Parser, about: str) -> None:
    """Add --out NAME, which a terminal has no variable for: there it says what to write instead."""
    parser.option(
        "--out", metavar="NAME", help=about if parser.prog.startswith("%") else argparse.SUPPRESS
    )


def wait_options(parser: Parser) -> None:
    """Add the options of every command that waits for one task."""
    out_option(parser, "variable for the result")
    parser.option("--timeout", metavar="SECONDS", help="longest time to wait")


def limit_of(call: Invocation, session: Session) -> TimeLimit:
    """Return how long a line is to wait at most, from now on."""
    from ..tasks.task import time_limit

    return time_limit(seconds_of(call.options.timeout), session.settings.timeout)


def wait(session: Session, task: Task, limit: TimeLimit) -> Any:
    """Return the result of a task; a progress bar is shown until it has ended."""
    from ..tasks.progress import follow

    if not task.done:
        follow(task, limit, session.manager.timing.usual_seconds(task))
    return task.result(limit)


def pictures(call: Invocation) -> Any:
    """Return what a line says about which images are meant, None if it says nothing."""
    words = call.options.words
    for word in words:
        refuse_bare_name(word, call, "file or folder")
    return words[0] if len(words) == 1 else words or None


def refuse_bare_name(word: Any, call: Invocation, what: str = "file") -> None:
    """Refuse an image that is named like a variable and is not a file.

    Raises:
        ParameterError: it says how the variable is written.
    """
    if not isinstance(word, str) or os.path.exists(word):
        return
    name = word.removeprefix("$")
    if is_look_up(name, call.variables):
        raise ParameterError(f"there is no {what} {word}", hint=f"for the variable: {{{name}}}")


def operation_names() -> list[str]:
    """Return the names of the operations that a user can run."""
    return [operation.name for operation in OPERATIONS.runnable]


def describe_models() -> list[str]:
    """Return the models of `describe`."""
    return list(OPERATIONS["describe"].param("model").choices)


def sample_names() -> list[str]:
    """Return the names of the sample photographs, as they are typed on a line."""
    from ..images.picture import samples

    return [f"sample:{name}" for name in samples()]
