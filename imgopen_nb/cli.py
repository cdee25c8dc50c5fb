"""The command `imgopen`: the commands of the magic in a terminal, the demo and the sandbox."""

from __future__ import annotations

import errno
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ._version import __version__
from .api.backend import SANDBOX_PICTURE
from .batch.batch import Batch
from .catalogue.operations import OPERATIONS
from .commands.command import Command, Invocation
from .commands.registry import find_in, overview
from .display.record import MIME, record
from .display.tables import Table
from .display.terminal import can_write, let_go, write_anything
from .errors import FileError, ImgOpenError, TaskInterrupted, UsageError
from .syntax.parser import HelpAsked, Parser
from .tasks.result import Result
from .text import counted, short_path, spell_commands

PREFIX = "imgopen "
MOST_PICTURES = 20
# What a terminal has instead of --out NAME.
_INSTEAD = {"history": "imgopen export FILE.csv", "dataset": "--json prints it as JSON"}
_KEPT = "  → the sandbox keeps images for a week; --save FOLDER keeps them for good"
_GONE = "  → an image is no longer in the sandbox; --fresh makes it again"
PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "grace_hopper", "rocket")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C, 141 nobody reads the output.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    write_anything()
    before = spell_commands(PREFIX.strip())
    try:
        return _reported(words)
    except BrokenPipeError:  # `imgopen history | head`
        let_go(sys.stdout)
        let_go(sys.stderr)
        return 141
    finally:
        spell_commands(before)


def _reported(words: list[str]) -> int:
    try:
        return _run(words)
    except ImgOpenError as error:
        print(f"imgopen: {error}", file=sys.stderr)
        return 2 if isinstance(error, (UsageError, ValueError)) else 1
    except TaskInterrupted as stopped:
        print(f"\nimgopen: {stopped}", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        return 130


def _say(text: str = "") -> None:
    """Write a text to stdout at once.

    Raises:
        FileError: the disk is full, for example.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        let_go(sys.stdout)
        reason = error.strerror or errno.errorcode.get(error.errno or 0, "unknown")
        raise FileError(f"the output cannot be written: {reason}") from None


def _run(words: list[str]) -> int:
    if words[:1] == ["help"] and len(words) > 1:
        words = [*words[1:3], "--help"]
    if not words or words[0] in ("--help", "-h", "help"):
        _say(overview(PREFIX))
        _say("\nOn the command line only")
        _say("\n".join(f"  {name:<17}  {about}" for name, (about, _) in TERMINAL_COMMANDS.items()))
        return 0
    if words[0] == "--version":
        _say(f"imgopen_nb {__version__}")
        return 0
    try:
        if words[0] in TERMINAL_COMMANDS:
            return TERMINAL_COMMANDS[words[0]][1](words[1:])
        return _run_command(words)
    except HelpAsked as asked:
        _say(str(asked))
        return 0


def _run_command(words: list[str]) -> int:
    from .session import current

    as_json = "--json" in words
    words = [word for word in words if word != "--json"]
    command, rest = find_in(words)
    options = command.parser(PREFIX).read(rest)
    call = Invocation(options, None, current, PREFIX, typed=rest)
    out = getattr(options, "out", None)
    if out and getattr(options, "source", None):
        return _write_batch(command, call, out, as_json=as_json)
    if out:
        hint = _INSTEAD.get(words[0], "for images: --save FOLDER")
        raise UsageError(
            "in a terminal, --out is the file for the table of a batch: use it with --from",
            hint=hint,
        )
    value = command.run(call)
    _say(_json(value, call) if as_json else _text(value, call))
    return call.exit_code


def _write_batch(command: Command, call: Invocation, name: str, *, as_json: bool) -> int:
    """Run a batch, write its wide frame into a file, and return 1 if no row has a result."""
    from .batch.export import writable, write

    files, overwrite = call.session().manager.files, call.options.overwrite
    # Before anything is sent.
    path = writable(name, call.options.source, files, overwrite=overwrite)
    value = command.run(call)
    if call.options.dry_run:
        _say(_json(value, call) if as_json else _text(value, call))
        return 0
    for at, dtype in enumerate(value.dtypes):
        if dtype.kind == "O":
            value.isetitem(at, value.iloc[:, at].map(partial(_located, call=call)))
    failed = int(value["error"].notna().sum())
    write(value, path, files, overwrite=overwrite)
    if as_json:
        facts = {"file": str(path), "rows": len(value), "errors": failed}
        _say(json.dumps({**facts, "files": list(map(str, call.files))}, indent=2))
    else:
        errors = f", {failed:,} with an error" if failed else ""
        _say("\n".join([*call.said, f"{counted(len(value), 'row')} written to {path}{errors}"]))
        if "images" in value and not (call.files or call.places):
            _say(_KEPT)
    return 1 if failed and failed == len(value) else 0


def _run_named(words: list[str]) -> int:
    if not words or words[0].startswith("-"):
        raise HelpAsked(f"usage: {PREFIX}run NAME ... [--json]\n\n{overview(PREFIX)}")
    return _run_command([OPERATIONS[words[0]].name, *words[1:]])  # another verb is refused


def _json(value: Any, call: Invocation) -> str:
    """Return a value as JSON: the record that notebook outputs contain, or the rows of a table.

    It is in ASCII where stdout cannot write it as it is.
    """
    from .datasets.audit import Audit
    from .datasets.dataset import Dataset
    from .history.frame import records

    bundle = getattr(value, "_repr_mimebundle_", None)
    found = bundle().get(MIME) if bundle else None
    if isinstance(value, Batch):
        found = [_record(result) for result in value]
    elif isinstance(value, Result):
        found = _record(value)
    elif isinstance(value, Table):
        found = [dict(zip(value.columns, row, strict=True)) for row in value.rows]
    elif isinstance(value, Dataset):
        facts = {"name": value.name, "notes": value.notes, "next": value.card.next}
        found = {**facts, "pictures": records(value.frame)}
    elif isinstance(value, Audit):
        found = {"faults": value.faults, "words": records(value.frame)}
    elif is_dataclass(value) and not isinstance(value, type):
        found = asdict(value)
    found = _located(found if found is not None else str(value), call)
    if call.files and isinstance(found, dict):
        found["files"] = list(map(str, call.files))
    text = json.dumps(found, ensure_ascii=False, indent=2, default=str)
    return text if can_write(text) else json.dumps(found, indent=2, default=str)


def _record(result: Result) -> dict[str, Any]:
    """Return what notebook outputs contain of a result, with the whole answer."""
    return {**record([result])["tasks"][0], "data": result.data}


def _text(value: Any, call: Invocation) -> str:
    """Return a value as text, with what is to be said of the files that it is about."""
    text, said = _located(_plain(value), call), list(call.said)
    if isinstance(value, Batch) and not said:
        return "\n".join([text, *_pictures(value, call)])
    kept = call.places or getattr(call.options, "save", None) is not None
    if not kept and SANDBOX_PICTURE.search(_plain(value)):
        gone = SANDBOX_PICTURE.search(text) and not call.session().settings.base_url
        said.append(_GONE if gone else _KEPT)
    return "\n".join([text, *said])


def _pictures(batch: Batch, call: Invocation) -> list[str]:
    """Return a line for each image of a batch, at most 20."""
    made = [(result, url) for result in batch for url in result.images]
    shown = [
        f"{short_path(result.image or result.task_id)}: {_place(url, call)}"
        for result, url in made[:MOST_PICTURES]
    ]
    more = [f"and {len(made) - MOST_PICTURES:,} more"] if len(made) > MOST_PICTURES else []
    return [
        *shown,
        *more,
        *(["  → --save FOLDER keeps them for good"] if made and not call.places else []),
    ]


def _located(value: Any, call: Invocation) -> Any:
    """Return a value in which the sandbox's images have their paths on this machine.

    Those that were saved have the path of the saved file. The addresses end with the sandbox.
    """
    if isinstance(value, str):
        return SANDBOX_PICTURE.sub(lambda found: str(_place(found[0], call)), value)
    if isinstance(value, dict):
        return {name: _located(each, call) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_located(each, call) for each in value]
    return value


def _place(url: str, call: Invocation) -> Path | str:
    return call.places.get(url) or call.session().manager.backend.file_of(url) or url


def _plain(value: Any) -> str:
    bundle = getattr(value, "_repr_mimebundle_", None)
    return str(bundle()["text/plain"]) if bundle else str(value)


def _demo(words: list[str]) -> int:
    """Describe six photographs with every model in the sandbox; print and write the comparison."""
    parser = Parser(PREFIX + "demo", TERMINAL_COMMANDS["demo"][0])
    parser.option("--report", metavar="FILE", help="where to write the HTML report")
    parser.add_argument("--overwrite", action="store_true", help="also replace your own file")
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
        _say("Starting the sandbox: nothing leaves this machine, and no key is needed.")
        results = session.run_all("describe", calls)
        comparison = compare(results)
        _say(_plain(comparison))
        page = report(comparison, "Six photographs, two models")
        files.write({path: page}, overwrite=options.overwrite)
    set_current(None)
    failed = [result for result in results if result.error]
    _say(f"\n{len(results) - len(failed)} captions in {time.monotonic() - begun:.1f} s.")
    _say(f"Report with images:  {path.resolve()}")
    _say("Next, in JupyterLab:   make lab")
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
