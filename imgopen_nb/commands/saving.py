"""`--save FOLDER`: the images (or captions) that a command made, as files with their origin."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import ImgOpenError, ParameterError
from ..files import not_writable, path_of
from ..syntax.parser import Parser
from ..text import clip_path, counted
from .command import Invocation

MOST_NAMED = 20  # files; of more, only the number


def save_options(parser: Parser) -> None:
    """Add --save and --overwrite."""
    parser.option(
        "--save",
        metavar="FOLDER",
        help=(
            "save the images (or the caption, or the answer) and where they come from to this "
            "folder; files are named after the image, the operation and the task"
        ),
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="also replace your own files (--save, --out FILE)"
    )


def check_save(call: Invocation) -> None:
    """Check that the folder of --save can be written to, before anything is sent.

    Raises:
        ParameterError: it cannot, or the line returns before there is a result.
    """
    options = call.options
    if getattr(options, "save", None) is None:
        terminal = not call.prefix.startswith("%")
        table = terminal and getattr(options, "source", None) and options.out
        if options.overwrite and not table:
            raise ParameterError(
                "--overwrite needs --save FOLDER, or in a terminal --from and --out FILE"
            )
        return
    for flag in ("no_wait", "form"):
        if getattr(options, flag, False):
            raise ParameterError(
                f"--save cannot be used with --{flag.replace('_', '-')}: there is no result yet",
                hint=f"{call.prefix}wait TASK --save FOLDER" if flag == "no_wait" else "",
            )
    folder = path_of(options.save).absolute()
    if trouble := not_writable(folder):
        raise ParameterError(f"--save: {trouble}: nothing was sent", hint="choose another folder")
    for source in getattr(options, "source", None) or ():
        if isinstance(source, (str, os.PathLike)) and _same(os.path.expanduser(source), folder):
            raise ParameterError(
                "--save: this folder is the input, so the next run would read what this one "
                "saves: nothing was sent",
                hint=f"--save {clip_path(Path(options.save) / 'made')}",
            )


def save(call: Invocation, results: Iterable[Any]) -> None:
    """Save results into the folder of --save, and note in `call.said` what lies where.

    One that cannot be saved does not keep the others from being saved. Without --save, note where
    the setting `save` keeps them, if it does.

    Raises:
        ImgOpenError: none could be saved.
    """
    options = call.options
    if options.save is None:
        for result in results if call.session().settings.save else ():
            if result is not None and result.error is None:
                call.places.update(zip(map(str, result.images), result.files, strict=False))
        return
    troubles: list[ImgOpenError] = []
    for result in results:
        if result.error is not None:
            continue
        try:
            paths = result.save(options.save, overwrite=options.overwrite)
        except ImgOpenError as error:
            task = f"{result.operation} {result.task_id}"
            troubles.append(type(error)(f"{task} was not saved: {error.message}", hint=error.hint))
        else:
            call.files.extend(path for path in paths if path not in call.files)
            call.places.update(zip(map(str, result.images), paths, strict=False))
    if troubles and not call.files:
        raise troubles[0]
    call.said.extend(str(error) for error in troubles)
    call.said.append(_where(call.files, path_of(options.save)))


def _where(files: list[Path], folder: Path) -> str:
    if len(files) <= MOST_NAMED:
        return "\n".join(f"saved: {path}" for path in files) or f"nothing to save in {folder}"
    made = sum(path.suffix != ".json" for path in files)
    return f"saved: {counted(made, 'file')} and {counted(len(files) - made, 'origin')} in {folder}"


def _same(one: Any, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False
