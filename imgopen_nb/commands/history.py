"""The commands about the history as a whole: show, export, import, prune, vacuum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..datasets.hints import quoted
from ..errors import ParameterError
from ..syntax.parser import Parser, whole_number_of
from ..syntax.words import values
from ..text import clip, counted, in_terminal
from .command import Command, Invocation, describe_models, no_options, operation_names, out_option

SHOWN = 20  # tasks, unless --limit says otherwise
_FILTERS = {
    "operation": "only this operation",
    "model": "only this model",
    "status": "only this status: succeeded, failed, refused, running ...",
    "since": "only since a date, or the last 30min, 12h, 7d",
    "backend": "only real or only sandbox",
    "picture": "only the image with this identity, as in the column picture",
}


def _filter_options(parser: Parser, limit: str = "") -> None:
    parser.option(
        "--images", nargs="+", metavar="IMAGE", help="only these images: a folder, files, URLs"
    )
    for name, about in {**_FILTERS, "limit": f"only this many of the newest{limit}"}.items():
        parser.option(f"--{name}", metavar=name.upper(), help=about)


def _filters(call: Invocation) -> dict[str, Any]:
    found = {name: getattr(call.options, name) for name in _FILTERS}
    images = call.options.images
    found["images"] = images[0] if images and len(images) == 1 else images
    return {**found, "limit": whole_number_of("--limit", call.options.limit)}


def _history_options(parser: Parser) -> None:
    parser.stray = _meant
    _filter_options(parser, f" (default: {SHOWN}; 0 for all)")
    about = "show only these columns: task_id, caption, seconds ..."
    parser.option("--columns", nargs="+", metavar="NAME", help=about)
    out_option(parser, "variable for the DataFrame")


def _meant(word: Any, _: Any) -> str:
    """Return the filter that a word without an option was meant for."""
    if isinstance(word, str) and word in operation_names():
        return f"did you mean --operation {word}?"
    if not isinstance(word, str):
        return "did you mean --images {NAME}?"
    return f"did you mean --{'limit' if word.isdecimal() else 'images'} {quoted(word)}?"


def _history(call: Invocation) -> Any:
    from ..history.table import NOTHING, HistoryView

    filters = _filters(call)
    limit = SHOWN if filters["limit"] is None else filters["limit"]
    filters["limit"] = limit or None
    if call.options.columns:
        from ..display.tables import Table
        from ..history.frame import records

        wanted = [name for word in call.options.columns for name in values("--columns", word)]
        frame = call.session().history(**filters, columns=wanted)
        if call.options.out or not in_terminal():
            return frame
        return Table([*map(str, frame)], [list(row.values()) for row in records(frame)])
    rows = call.session().rows(**filters)
    view = HistoryView(rows) if rows else HistoryView(rows, _no_match(call, NOTHING))
    return view.frame if call.options.out else view


def _no_match(call: Invocation, empty: str) -> str:
    """Return why a line shows no task: its filters fit none, or there are none."""
    count = len(call.session().history)
    names = [name for name in ("images", *_FILTERS) if getattr(call.options, name) is not None]
    if not count or not names:
        return empty
    told = (_told(getattr(call.options, name)) for name in names)
    filters = " ".join(f"--{name} {value}" for name, value in zip(names, told, strict=True))
    return f"No task matches {filters} ({count:,} in the history)."


def _told(value: Any) -> str:
    words = value if isinstance(value, list) else [value]
    return clip(" ".join(w if isinstance(w, str) else "{...}" for w in words), 80)


def _export_options(parser: Parser) -> None:
    parser.add_argument("words", nargs=1, metavar="FILE", help=".parquet, .jsonl or .csv")
    parser.add_argument("--overwrite", action="store_true", help="also replace your own file")
    _filter_options(parser)


def _export(call: Invocation) -> str:
    history, overwrite = call.session().history, call.options.overwrite
    path = history.export(_path(call), overwrite=overwrite, **_filters(call))
    return f"{path}: {path.stat().st_size:,} bytes"


def _import_options(parser: Parser) -> None:
    parser.add_argument(
        "words", nargs=1, metavar="FILE", help="a .parquet or .jsonl file written by export"
    )
    about = "also answer later calls from it: only for a file that you exported yourself"
    parser.add_argument("--trust", action="store_true", help=about)


def _import(call: Invocation) -> str:
    return str(call.session().history.import_(_path(call), trust=call.options.trust))


def _path(call: Invocation) -> Path:
    word = call.options.words[0]
    if not isinstance(word, (str, Path)):
        raise ParameterError("FILE must be a path", hint=f"{call.prefix}export history.parquet")
    return Path(word)


def _prune_options(parser: Parser) -> None:
    parser.option("--before", metavar="MOMENT", help="a date, or an age: 90d")
    parser.add_argument("--dry-run", action="store_true", help="only count them")
    parser.add_argument("--yes", action="store_true", help="delete them permanently")


def _prune(call: Invocation) -> str:
    before = call.options.before
    if before is None:
        raise ParameterError("prune needs --before", hint=f"{call.prefix}prune --before 90d")
    delete = call.options.yes and not call.options.dry_run
    count = call.session().history.prune(before, dry_run=not delete)
    tasks = f"{counted(count, 'finished task')}"
    if delete:
        return f"{tasks} before {before} deleted; {call.prefix}vacuum makes the file smaller"
    return f"{tasks} before {before} would be deleted; add --yes to delete them"


def _vacuum(call: Invocation) -> str:
    before, after = call.session().history.vacuum()
    return f"the history file had {before:,} bytes and now has {after:,}"


# What completion offers after a filter's option.
_FILTER_VALUES = {
    "operation": operation_names,
    "model": describe_models,
    "status": lambda: ["succeeded", "failed", "refused", "running", "submitted", "lost"],
    "backend": lambda: ["real", "sandbox"],
}
COMMANDS = (
    Command(
        "history",
        "Show earlier tasks.",
        _history_options,
        _history,
        values=_FILTER_VALUES,
    ),
    Command(
        "export",
        "Export the history to a .parquet, .jsonl or .csv file.",
        _export_options,
        _export,
        values=_FILTER_VALUES,
    ),
    Command("import", "Import tasks from an exported file.", _import_options, _import),
    Command("prune", "Delete old tasks.", _prune_options, _prune),
    Command("vacuum", "Shrink the history file after prune.", no_options, _vacuum),
)
