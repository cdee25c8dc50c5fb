"""`%imgopen describe --from df.url`: the options that run an operation as a batch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..batch.sources import fits_files, near_or_where
from ..batch.tables.files import reader_of
from ..batch.tables.table import looks_like_picture
from ..catalogue.operation import Operation
from ..catalogue.values import listed
from ..datasets.hints import quoted
from ..errors import ImgOpenError, ParameterError, UnknownNameError
from ..images.picture import as_meant, path_of_address
from ..syntax.parser import Parser, whole_number_of
from ..syntax.words import (
    Word,
    is_look_up,
    look_up,
    no_list,
    rest_of,
    unknown_variable,
    values,
)
from ..text import clip, clip_path, counted, in_terminal, in_words
from .command import Invocation
from .saving import save

_CALL = re.compile(r"([^\W\d]\w*)(?:\.\w+)*[(\[+]")
_MOST_SOURCES = 6  # images that are repeated in a hint
_BRACKETED = re.compile(r"\[.*\]|\(.*\)", re.DOTALL)
_VARIABLE = re.compile(r"\{[^{}]+\}")
_DOTTED_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
# Options that only go with --from, by their name in the parsed line.
_ONLY_WITH_FROM = {
    "column": "--column",
    "models": "--models",
    "grid": "--grid",
    "most": "--max",
    "concurrency": "--concurrency",
    "dry_run": "--dry-run",
}


def add_batch_options(parser: Parser, operation: Operation) -> None:
    """Add the options of a batch."""
    parser.option(
        "--from",
        dest="source",
        nargs="+",
        metavar="MANY",
        help=(
            "run it for each item of a column (df.url), {list}, folder, glob, .csv, .jsonl, "
            ".json, .parquet, .txt or .zip"
        ),
    )
    parser.option("--column", metavar="NAME", help="with --from: which column of the table")
    if any(param.name == "model" for param in operation.user_params):
        parser.option(
            "--models", nargs="+", metavar="MODEL", help="with --from: one task for each model"
        )
    parser.option(
        "--grid",
        nargs="+",
        metavar="NAME=A,B",
        help=(
            "with --from: one task for each combination; quote a value with a comma or a space: "
            "'NAME=\"a, b\",c'"
        ),
    )
    parser.option(
        "--max", dest="most", metavar="N", help="with --from: send at most this many tasks"
    )
    parser.option(
        "--concurrency", metavar="N", help="with --from: how many run at a time (default: 16)"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="with --from: show what would be sent, and send nothing",
    )
    if not parser.prog.startswith("%"):
        parser.described(
            "--out", "FILE", "with --from: write the table to this .csv, .jsonl or .parquet file"
        )


def run_batch(operation: Operation, params: dict[str, Any], call: Invocation, seconds: Any) -> Any:
    """Run a batch and return it, or its wide frame if --out keeps it."""
    from ..batch.batch import main_param

    options = call.options
    main = main_param(operation)
    if main.name in params:
        raise ParameterError(
            f"{main.name} was given twice: by --from and as {in_words(params[main.name])}"
        )
    if options.form:
        raise ParameterError("--form cannot be used with --from: a form runs one task at a time")
    if options.no_wait:
        raise ParameterError("--no-wait cannot be used with --from: a batch waits for its rows")
    grid: dict[str, Any] = _grid(operation, options)
    for name in set(grid) & set(params):
        raise ParameterError(f"{name} was given twice: as an option and in --models or --grid")
    _refuse_swallowed(operation, {*params, *grid, main.name}, options.source)
    batch = call.session().map(
        operation.name,
        _source(options.source, call.variables, call.typed, pictures=bool(main.picture)),
        column=options.column,
        concurrency=whole_number_of("--concurrency", options.concurrency, 1) or 16,
        timeout=seconds,
        most=whole_number_of("--max", options.most, 0),
        fresh=options.fresh,
        dry_run=options.dry_run,
        **params,
        **grid,
    )
    keeps = options.save is not None or call.session().settings.save
    if hasattr(batch, "results") and keeps:
        save(call, batch.results())
    return batch.wide() if options.out and hasattr(batch, "wide") else batch


def _refuse_swallowed(operation: Operation, known: set[str], source: list[Any]) -> None:
    """Refuse a line on which --from has taken the words of another parameter.

    Raises:
        ParameterError: it says where such a word goes.
    """
    needed = [p for p in operation.user_params if p.required and p.name not in known]
    if not known.intersection(operation.one_of):
        needed += [p for p in operation.positional if p.name in operation.one_of]
    if needed and len(source) > 1:
        raise ParameterError(
            f"{operation.name} needs {needed[0].as_needed}, and --from takes every word after it",
            hint=f"put the words of {needed[0].name} before --from, or after {needed[0].flag}",
        )


def refuse_batch_options(options: Any) -> None:
    """Refuse the options of a batch on a line without --from.

    Raises:
        ParameterError: one was given.
    """
    for name, flag in _ONLY_WITH_FROM.items():
        if getattr(options, name, None):
            raise ParameterError(f"{flag} needs --from", hint="add --from df.url, or --from FOLDER")


def refuse_many(operation: Operation, call: Invocation, parser: Parser) -> None:
    """Refuse several images where one goes: words, a folder, a glob, a table, a variable.

    Raises:
        ParameterError: the hint is the same line with --from.
    """
    from ..batch.batch import main_param

    found = _images(operation, call.options)
    typed = _images(operation, parser.read(call.typed)) if found else []
    name = _behind_from(typed[0]) if typed else ""
    what = _several(found, name, call.variables) if typed else ""
    if what:
        sources = [_behind_from(word) for word in typed]
        if len(sources) > _MOST_SOURCES:
            sources = [*sources[:2], "..."]
        flag = main_param(operation).flag
        flags = {flag, f"{flag}={typed[0]}"}
        others = [
            _typed(word)
            for word in call.typed
            if word not in flags and not any(word is image for image in typed)
        ]
        line = " ".join([parser.prog, *others, "--from", *sources])
        if what.endswith(" is a text file"):
            raise ParameterError(f"{what}, not an image", hint=f"if it lists images: {line}")
        raise ParameterError(
            f"{operation.name} takes one image, but {what}", hint=f"to run it for each: {line}"
        )


def _images(operation: Operation, options: Any) -> list[Any]:
    """Return the words of a parsed line that stand where the image goes."""
    from ..batch.batch import main_param

    positional = operation.positional
    main = main_param(operation) if positional else None
    if main is None or not main.picture or main.several:
        return []
    if (named := getattr(options, main.name)) is not None:
        return [named]
    words = list(options.words)
    if len(positional) == 1 or main not in positional:
        return words
    at = positional.index(main)
    return words[at : at + 1]


def _typed(word: str) -> str:
    """Return a word as it is typed; braces stay, since they may name a variable."""
    if word.startswith("-"):
        return word
    return quoted(word).replace("{{", "{").replace("}}", "}")


def _behind_from(word: str) -> str:
    """Return a word as it is typed behind --from, where a variable needs no braces."""
    bare = word[1:-1] if _VARIABLE.fullmatch(word) else word.removeprefix("$")
    return bare if re.fullmatch(r"\w+(\.\w+|\[[^\]]*\])*", bare) else _typed(word)


def _several(words: list[Any], name: str, variables: Mapping[str, Any]) -> str:
    """Return a clause that says what holds several images; "" if it is one image, or none."""
    if len(words) > 1:
        one = os.path.exists(as_meant(" ".join(map(str, words))))  # "my cat.png" without its quotes
        each = all(not isinstance(word, str) or looks_like_picture(word) for word in words)
        return f"{len(words)} were given" if each and not one else ""
    word = _as_path(words[0])
    if isinstance(word, str) and os.path.exists(word):
        if os.path.isdir(word):
            return f"{clip_path(word)} is a folder"
        if word.lower().endswith(".txt"):  # a note as often as a list of images
            return f"{clip_path(word)} is a text file"
        return f"{clip_path(word)} is a table" if reader_of(Path(word)) else ""
    if isinstance(word, str) and fits_files(word):
        return f"{clip_path(word)} is a pattern that matches files"
    if isinstance(word, str):
        name = word.removeprefix("$")
        if not is_look_up(name, variables):
            return ""
        try:
            word = look_up(name, variables)
        except ImgOpenError:  # the hint for a variable of that name says more
            return ""
    if hasattr(word, "columns"):
        return f"{name} is a table"
    if isinstance(word, Iterator):  # reading it here would empty it
        return f"{name} is a generator"
    several = listed(word, pictures=True)
    return "" if several is None else f"{name} holds {counted(len(several), 'value')}"


def _source(
    words: list[Any], variables: Mapping[str, Any], typed: Sequence[str], *, pictures: bool
) -> Any:
    _refuse_lists(words, typed)
    if len(words) == 1:
        return _meant(words[0], variables)
    if all(isinstance(word, str) for word in words):
        whole = as_meant(" ".join(words))  # "my photos" without its quotes
        if os.path.exists(whole) or fits_files(whole):
            return whole
    several = [
        look_up(word, variables)
        if pictures and isinstance(word, str) and is_look_up(word, variables)
        else _as_path(word)
        for word in words
    ]
    return [item for each in several for item in (listed(each, pictures=True) or [each])]


def _refuse_lists(words: list[Any], typed: Sequence[str]) -> None:
    """Refuse a list that is written out: its pieces would be sent as texts.

    Args:
        words: those after --from.
        typed: the words of the line as they were typed, in which braces that are meant are doubled.

    Raises:
        ParameterError: it says how a list is given.
    """
    texts = [word for word in words if isinstance(word, str)]
    whole = " ".join(texts)
    if len(texts) < len(words) or os.path.exists(whole) or any("{{" in word for word in typed):
        return
    parts = [part for word in texts for part in getattr(word, "parts", ())]
    bare = bool(parts) and not parts[0].held and len(parts) > 1
    if _in_braces(whole) or (bare and _BRACKETED.fullmatch(whole)):
        raise no_list(whole, "--from {x}")


def _in_braces(text: str) -> bool:
    """Whether a text is one pair of braces with something in it."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return sign == "}" and at == len(text) - 1
    return False


def _meant(word: Any, variables: Mapping[str, Any]) -> Any:
    """Return what a word after --from stands for: a variable, or the path or address itself."""
    word = _as_path(word)
    if not isinstance(word, str) or os.path.exists(word):
        return word
    if is_look_up(word, variables):
        return look_up(word, variables)
    name = word.removeprefix("$")
    if _DOTTED_NAME.fullmatch(name) and not looks_like_picture(word):
        what = "file or folder" if in_terminal() else "variable, file or folder"
        raise unknown_variable(what, name, variables, near_or_where(word))
    table, _, column = word.partition(".")
    if column and table in variables and hasattr(variables[table], "columns"):
        raise UnknownNameError(
            f"column of {table} called",
            column,
            [],
            hint=f"in quotes: {table}['{clip(column, 60)}']",
        )
    called = _CALL.match(word)
    if called and called[1] in variables:
        raise ParameterError(
            f"--from takes names of variables and runs no code: {in_words(word)}",
            hint="x = ..., then --from x",
        )
    return word


def _as_path(word: Any) -> Any:
    """Return the path of a file: address, or of a path in quotes; anything else as it is."""
    if not isinstance(word, str):
        return word
    path = as_meant(word)
    return path if os.path.exists(path) or path_of_address(word) else word


def _grid(operation: Operation, options: Any) -> dict[str, list[Any]]:
    models = getattr(options, "models", None)
    grid = {"model": all_values("--models", models)} if models is not None else {}
    for name, written in _axes(options.grid or ()):
        param = operation.param(name.strip().lstrip("-"))
        if param.name in grid:
            raise ParameterError(f"--grid: {param.name} was given twice")
        found = values(f"--grid {param.name}", written)
        if param.type in ("integer", "number") and isinstance(found[0], str):  # [1, 2]
            found = [each.strip("[]() ") if isinstance(each, str) else each for each in found]
        grid[param.name] = [[each] for each in found] if param.several else found
    return grid


def _axes(words: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the name of each axis and what was written for its values."""
    for word in _joined(words):
        if isinstance(word, Mapping):
            yield from ((str(name), each) for name, each in word.items())
            continue
        name, sign, _ = word.partition("=") if isinstance(word, str) else ("", "", "")
        if not sign:
            raise ParameterError(
                f"--grid takes NAME=A,B, not {in_words(word)}",
                hint="quote a value with a comma or a space: --grid 'NAME=\"a, b\",c'",
            )
        yield name, rest_of(word, len(name) + 1)


def _joined(words: Iterable[Any]) -> list[Any]:
    """Return the words, those joined that stand before and after a comma with a blank."""
    found: list[Any] = []
    for word in words:
        last = found[-1] if found else None
        if (
            isinstance(word, Word)
            and isinstance(last, Word)
            and last.endswith(",")
            and "=" not in word
        ):
            found[-1] = Word((*last.parts, *word.parts))
        else:
            found.append(word)
    return found


def all_values(flag: str, words: Iterable[Any]) -> list[Any]:
    """Return the values of an option that takes several words, each a list with commas."""
    # A word that is quoted as a whole is a list like any other.
    whole = (str(w) if isinstance(w, Word) and len(w.parts) == 1 else w for w in words)
    return [value for word in whole for value in values(flag, word)]
