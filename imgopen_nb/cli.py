"""The command `imgopen`: the verbs of the magic on a command line, the demo and the sandbox."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ._version import __version__
from .catalogue.operations import OPERATIONS
from .commands.command import Call, Verb
from .commands.registry import find, overview
from .display.record import MIME
from .display.tables import Table
from .errors import ImgOpenError, TaskInterrupted, UnknownNameError, UsageError
from .syntax.parser import HelpAsked, Parser
from .tasks.result import Result

PREFIX = "imgopen "


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 failed, 2 a slip in the call, 130 Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _answer(words)
    except ImgOpenError as error:
        print(f"imgopen: {error}".replace("%imgopen", "imgopen"), file=sys.stderr)
        return 2 if isinstance(error, (UsageError, ValueError)) else 1
    except TaskInterrupted as stopped:
        print(f"\nimgopen: {stopped}".replace("%imgopen", "imgopen"), file=sys.stderr)
        return 130
    except (KeyboardInterrupt, BrokenPipeError):
        return 130


def _answer(words: list[str]) -> int:
    try:
        return _run(words)
    except HelpAsked as asked:
        print(asked)
        return 0


def _run(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(overview(PREFIX))
        print("\nOn the command line only")
        print("\n".join(f"  {name:<17}  {about}" for name, (about, _) in COMMANDS.items()))
        return 0
    if words[0] == "--version":
        print(f"imgopen_nb {__version__}")
        return 0
    if words[0] in COMMANDS:
        return COMMANDS[words[0]][1](words[1:])
    return _verb(words)


def _verb(words: list[str]) -> int:
    from .session import current

    as_json = "--json" in words
    words = [word for word in words if word != "--json"]
    verb = find(words[0])
    options = verb.parser(PREFIX).read(words[1:])
    out = getattr(options, "out", None)
    if out and getattr(options, "source", None):
        return _batch_file(verb, Call(options, None, current, PREFIX), out)
    if out:
        raise UsageError("--out is for notebooks: there is no variable to fill here")
    value = verb.run(Call(options, None, current, PREFIX))
    print(_json(value) if as_json else _plain(value))
    return 0


def _batch_file(verb: Verb, call: Call, name: str) -> int:
    """Run a batch and write its wide frame to a file; 1 where no row has a result."""
    from .batch.table_files import writable, write

    path = writable(name)  # before anything is sent
    value = verb.run(call)
    if call.options.dry_run:
        print(_plain(value))
        return 0
    failed = int(value["error"].notna().sum())
    said = f"{len(value):,} rows written to {write(value, path)}"
    print(f"{said}, {failed:,} of them with an error" if failed else said)
    return 1 if failed and failed == len(value) else 0


def _run_named(words: list[str]) -> int:
    if not words or words[0].startswith("-"):
        raise HelpAsked(f"usage: {PREFIX}run NAME ... [--json]\n\n{overview(PREFIX)}")
    if words[0] not in OPERATIONS:
        raise UnknownNameError("operation", words[0], OPERATIONS)
    return _verb(words)


def _json(value: Any) -> str:
    """Return a value as JSON: the record that notebook outputs carry, or rows."""
    bundle = getattr(value, "_repr_mimebundle_", None)
    record = bundle().get(MIME) if bundle else None
    if isinstance(value, Result):
        record = {**record["tasks"][0], "data": value.data} if record else value.data
    elif isinstance(value, Table):
        record = [dict(zip(value.columns, row, strict=True)) for row in value.rows]
    return json.dumps(record if record is not None else str(value), ensure_ascii=False, indent=2)


def _plain(value: Any) -> str:
    bundle = getattr(value, "_repr_mimebundle_", None)
    return str(bundle()["text/plain"]) if bundle else str(value)


def _demo(words: list[str]) -> int:
    parser = Parser(PREFIX + "demo", "Describe the sample photographs in the sandbox and compare.")
    parser.option("--report", metavar="FILE", help="where the HTML report goes")
    options = parser.read(words)

    from .demo import demo

    return demo(options.report or "imgopen-demo.html")


def _sandbox(words: list[str]) -> int:
    from .sandbox.__main__ import main as serve

    return int(serve(words) or 0)


COMMANDS: dict[str, tuple[str, Callable[[list[str]], int]]] = {
    "run": ("Run an operation by its name; --json prints the result as JSON.", _run_named),
    "demo": ("Describe the sample photographs in the sandbox and compare.", _demo),
    "sandbox": ("Serve the sandbox until Ctrl-C.", _sandbox),
}


if __name__ == "__main__":
    sys.exit(main())
