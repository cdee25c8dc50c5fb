"""`%imgopen describe --from df.url`: the options that run an operation as a batch."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ..catalogue.operation import Operation
from ..errors import ParameterError, UnknownNameError
from ..syntax.parser import Parser, whole_number
from ..text import in_words, near_match
from .command import Invocation

_DOTTED_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
# Options that only go with --from, by their name in the parsed line.
_ONLY_WITH_FROM = {
    "column": "--column",
    "models": "--models",
    "grid": "--grid",
    "most": "--max",
    "concurrency": "--concurrency",
    "dry_run": "--dry-run",
    "overwrite": "--overwrite",
}


def add_batch_options(parser: Parser, operation: Operation) -> None:
    """Add the options of a batch."""
    parser.option(
        "--from",
        dest="source",
        nargs="+",
        metavar="MANY",
        help="run it for each of: a column (df.url), {list}, a folder, a glob, .csv, .jsonl, "
        ".json, .parquet, .txt, .zip",
    )
    parser.option("--column", metavar="NAME", help="with --from: the column of the table")
    if any(param.name == "model" for param in operation.user_params):
        parser.option("--models", nargs="+", metavar="MODEL", help="with --from: a task for each")
    parser.option(
        "--grid", nargs="+", metavar="NAME=A,B", help="with --from: a task for each combination"
    )
    parser.option("--max", dest="most", metavar="N", help="with --from: send at most so many tasks")
    parser.option("--concurrency", metavar="N", help="with --from: so many at a time (16)")
    parser.add_argument(
        "--dry-run", action="store_true", help="with --from: show what would be sent, send nothing"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="in a terminal, with --from and --out FILE: replace a file of yours too",
    )


def run_batch(operation: Operation, params: dict[str, Any], call: Invocation, seconds: Any) -> Any:
    """Run a batch and return it, or its wide frame if --out keeps it."""
    from ..batch.batch import main_param

    options = call.options
    main = main_param(operation)
    if main.name in params:
        raise ParameterError(
            f"{main.name} is given twice: by --from and as {in_words(params[main.name])}"
        )
    if options.form:
        raise ParameterError("--form does not go with --from: a form asks for one task at a time")
    if options.no_wait:
        raise ParameterError("--no-wait does not go with --from: a batch waits for its rows")
    if options.overwrite and (not options.out or call.prefix.startswith("%")):
        raise ParameterError("--overwrite goes with --out FILE, in a terminal")
    grid: dict[str, Any] = _grid(operation, options)
    for name in set(grid) & set(params):
        raise ParameterError(f"{name} is given twice: as one value and as several")
    batch = call.session().map(
        operation.name,
        _source(options.source, call.variables),
        column=options.column,
        concurrency=whole_number("--concurrency", options.concurrency, 1) or 16,
        timeout=seconds,
        most=whole_number("--max", options.most, 0),
        fresh=options.fresh,
        dry_run=options.dry_run,
        **params,
        **grid,
    )
    return batch.wide() if options.out and hasattr(batch, "wide") else batch


def refuse_batch_options(options: Any) -> None:
    """Refuse the options of a batch on a line without --from.

    Raises:
        ParameterError: one was given.
    """
    for name, flag in _ONLY_WITH_FROM.items():
        if getattr(options, name, None):
            raise ParameterError(f"{flag} goes with --from", hint="--from df.url, or a folder")


def _source(words: list[Any], variables: Mapping[str, Any]) -> Any:
    if len(words) > 1:
        return words
    word = words[0]
    if isinstance(word, str) and _DOTTED_NAME.fullmatch(word) and not os.path.exists(word):
        return _look_up(word, variables)
    return word


def _look_up(dotted: str, variables: Mapping[str, Any]) -> Any:
    """Return the variable, column or attribute of a dotted name."""
    first, *names = dotted.split(".")
    if first not in variables:
        near = near_match(first, [n for n in variables if not n.startswith("_")])
        raise UnknownNameError("variable, file or folder", dotted, [], hint=near)
    value = variables[first]
    for name in names:
        columns = list(getattr(value, "columns", ()))
        if name in columns:
            value = value[name]
        elif not name.startswith("_") and hasattr(value, name):
            value = getattr(value, name)
        else:
            raise UnknownNameError(f"column of {first} called", name, map(str, columns))
    return value


def _grid(operation: Operation, options: Any) -> dict[str, list[Any]]:
    models = getattr(options, "models", None)
    grid = {"model": _split("--models", models)} if models is not None else {}
    for word in options.grid or ():
        name, sign, values = str(word).partition("=")
        if not sign:
            raise ParameterError(f"--grid takes NAME=A,B, not {in_words(word)}")
        param = operation.param(name.lstrip("-"))
        if param.name in grid:
            raise ParameterError(f"--grid: {param.name} is given twice")
        parts = _split(f"--grid {param.name}", [values])
        grid[param.name] = [[part] for part in parts] if param.several else parts
    return grid


def _split(flag: str, words: list[Any]) -> list[Any]:
    """Return the values in words like "a,b" and "c"; objects are kept as they are."""
    found: list[Any] = []
    for word in words:
        found += [p for p in word.split(",") if p] if isinstance(word, str) else [word]
    if not found:
        raise ParameterError(f"{flag} names no value", hint="separate values by commas")
    return found
