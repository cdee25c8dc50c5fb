"""The verbs after %imgopen that handle the history as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..catalogue.operations import OPERATIONS
from ..errors import ParameterError, UsageError
from ..syntax.parser import Parser
from .command import Call, Verb, no_options

_FILTERS = {
    "operation": "only this operation",
    "model": "only this model",
    "status": "only this status: succeeded, failed, refused, running ...",
    "since": "only since a date, or back from now: 30min, 12h, 7d",
    "backend": "only real or only sandbox",
    "limit": "only the newest so many",
}


def _export_options(parser: Parser) -> None:
    parser.add_argument("words", nargs=1, metavar="FILE", help=".parquet, .jsonl or .csv")
    for name, about in _FILTERS.items():
        parser.option(f"--{name}", metavar=name.upper(), help=about)


def _export(call: Call) -> str:
    filters = {name: getattr(call.options, name) for name in _FILTERS}
    limit = filters["limit"]
    if limit is not None and not str(limit).isdecimal():
        raise ParameterError(f"--limit must be a whole number, not {limit!r}")
    filters["limit"] = None if limit is None else int(limit)
    try:
        path = call.session().history.export(_path(call), **filters)
    except OSError as error:
        raise UsageError(
            f"{call.options.words[0]} cannot be written ({error.strerror or error})",
            hint="give a file in a folder that can be written",
        ) from None
    return f"{path}: {path.stat().st_size:,} bytes"


def _import_options(parser: Parser) -> None:
    parser.add_argument("words", nargs=1, metavar="FILE", help="a .parquet or .jsonl of export")


def _import(call: Call) -> str:
    return str(call.session().history.import_(_path(call)))


def _path(call: Call) -> Path:
    word = call.options.words[0]
    if not isinstance(word, (str, Path)):
        raise ParameterError("FILE must be a path", hint=f"{call.prefix}export history.parquet")
    return Path(word)


def _prune_options(parser: Parser) -> None:
    parser.option("--before", metavar="MOMENT", help="a date, or back from now: 90d")
    parser.add_argument("--dry-run", action="store_true", help="only tell how many it would be")
    parser.add_argument("--yes", action="store_true", help="delete them; they are gone then")


def _prune(call: Call) -> str:
    before = call.options.before
    if before is None:
        raise ParameterError("prune needs --before", hint=f"{call.prefix}prune --before 90d")
    certain = call.options.yes and not call.options.dry_run
    count = call.session().history.prune(before, dry_run=not certain)
    tasks = "1 task that ended" if count == 1 else f"{count:,} tasks that ended"
    if certain:
        return f"{tasks} before {before} deleted; {call.prefix}vacuum makes the file smaller"
    return f"{tasks} before {before} would be deleted; nothing was done: --yes deletes"


def _vacuum(call: Call) -> str:
    before, after = call.session().history.vacuum()
    return f"the history's file had {before:,} bytes and has {after:,} now"


def _rotate(call: Call) -> str:
    call.session().manager.rotate()
    return "a new key is in use: every address that was given away before is dead"


# What completion offers for the filters of the history.
FILTER_VALUES: dict[str, Callable[[], list[str]]] = {
    "operation": lambda: [op.name for op in OPERATIONS.runnable],
    "model": lambda: list(OPERATIONS["describe"].param("model").choices),
    "status": lambda: ["succeeded", "failed", "refused", "running", "submitted", "lost"],
    "backend": lambda: ["real", "sandbox"],
}
HISTORY_VERBS = (
    Verb(
        "export",
        "Write the tasks so far into a file: .parquet, .jsonl or .csv.",
        _export_options,
        _export,
        values=FILTER_VALUES,
    ),
    Verb("import", "Take over the tasks of an exported file.", _import_options, _import),
    Verb("prune", "Delete tasks that ended long ago.", _prune_options, _prune),
    Verb("vacuum", "Make the history's file smaller after a prune.", no_options, _vacuum),
    Verb("rotate", "Make a new key for callbacks and published pictures.", no_options, _rotate),
)
