"""The command `imgopen`: the commands of the magic in a terminal, the demo and the sandbox."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ._version import __version__
from .catalogue.operations import OPERATIONS
from .commands.command import Command, Invocation
from .commands.registry import find, overview
from .display.record import MIME
from .display.tables import Table
from .errors import ImgOpenError, TaskInterrupted, UnknownNameError, UsageError
from .syntax.parser import HelpAsked, Parser
from .tasks.result import Result
from .text import counted

PREFIX = "imgopen "
PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "grace_hopper", "rocket")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except ImgOpenError as error:
        print(f"imgopen: {error}".replace("%imgopen", "imgopen"), file=sys.stderr)
        return 2 if isinstance(error, (UsageError, ValueError)) else 1
    except TaskInterrupted as stopped:
        print(f"\nimgopen: {stopped}".replace("%imgopen", "imgopen"), file=sys.stderr)
        return 130
    except (KeyboardInterrupt, BrokenPipeError):
        return 130


def _run(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(overview(PREFIX))
        print("\nOn the command line only")
        print("\n".join(f"  {name:<17}  {about}" for name, (about, _) in TERMINAL_COMMANDS.items()))
        return 0
    if words[0] == "--version":
        print(f"imgopen_nb {__version__}")
        return 0
    try:
        if words[0] in TERMINAL_COMMANDS:
            return TERMINAL_COMMANDS[words[0]][1](words[1:])
        return _run_command(words)
    except HelpAsked as asked:
        print(asked)
        return 0


def _run_command(words: list[str]) -> int:
    from .session import current

    as_json = "--json" in words
    words = [word for word in words if word != "--json"]
    command = find(words[0])
    options = command.parser(PREFIX).read(words[1:])
    call = Invocation(options, None, current, PREFIX)
    out = getattr(options, "out", None)
    if out and getattr(options, "source", None):
        return _write_batch(command, call, out)
    if out:
        raise UsageError("in a terminal, --out FILE goes with --from")
    value = command.run(call)
    print(_json(value) if as_json else _plain(value))
    return 0


def _write_batch(command: Command, call: Invocation, name: str) -> int:
    """Run a batch, write its wide frame into a file, and return 1 if no row has a result."""
    from .batch.table_files import writable, write

    files, overwrite = call.session().manager.files, call.options.overwrite
    # Before anything is sent.
    path = writable(name, call.options.source, files, overwrite=overwrite)
    value = command.run(call)
    if call.options.dry_run:
        print(_plain(value))
        return 0
    failed = int(value["error"].notna().sum())
    errors = f", {failed:,} of them with an error" if failed else ""
    write(value, path, files, overwrite=overwrite)
    print(f"{counted(len(value), 'row')} written to {path}{errors}")
    return 1 if failed and failed == len(value) else 0


def _run_named(words: list[str]) -> int:
    if not words or words[0].startswith("-"):
        raise HelpAsked(f"usage: {PREFIX}run NAME ... [--json]\n\n{overview(PREFIX)}")
    if words[0] not in OPERATIONS:
        raise UnknownNameError("operation", words[0], OPERATIONS)
    return _run_command(words)


def _json(value: Any) -> str:
    """Return a value as JSON: the record that notebook outputs contain, or the rows of a table."""
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
    """Describe six photographs with every model in the sandbox; print and write the comparison."""
    parser = Parser(PREFIX + "demo", TERMINAL_COMMANDS["demo"][0])
    parser.option("--report", metavar="FILE", help="where the HTML report goes")
    parser.add_argument("--overwrite", action="store_true", help="replace a file of yours too")
    options = parser.read(words)
    path = Path(options.report or "imgopen-demo.html")

    from .captions.comparison_card import report
    from .session import Session, compare, set_current

    begun = time.monotonic()
    models = OPERATIONS["describe"].param("model").choices
    calls = [{"image": f"sample:{n}", "model": model} for n in PHOTOGRAPHS for model in models]
    with Session(backend="sandbox") as session:
        files = session.manager.files
        files.check(path, overwrite=options.overwrite)
        set_current(session)
        print(
            "Starting the sandbox: nothing leaves this machine, and no key is needed.", flush=True
        )
        results = session.run_all("describe", calls)
        comparison = compare(results)
        print(_plain(comparison))
        page = report(comparison, "Six photographs, two models")
        files.write({path: page}, overwrite=options.overwrite)
    set_current(None)
    failed = [result for result in results if result.error]
    print(f"\n{len(results) - len(failed)} captions in {time.monotonic() - begun:.1f} s.")
    print(f"Report with pictures:  {path.resolve()}")
    print("Go on in JupyterLab:   make lab")
    for result in failed:
        print(f"failed: {result.image} ({result.model}): {result.error}", file=sys.stderr)
    return 1 if failed else 0


def _sandbox(words: list[str]) -> int:
    from .sandbox.__main__ import main as serve

    return int(serve(words) or 0)


TERMINAL_COMMANDS: dict[str, tuple[str, Callable[[list[str]], int]]] = {
    "run": ("Run an operation by its name; --json prints the result as JSON.", _run_named),
    "demo": ("Describe the sample photographs in the sandbox and compare.", _demo),
    "sandbox": ("Serve the sandbox until Ctrl-C.", _sandbox),
}


if __name__ == "__main__":
    sys.exit(main())
