"""The commands that open a widget, and so need a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..catalogue.operation import Operation
from ..catalogue.operations import OPERATIONS
from ..datasets.hints import quoted
from ..errors import UsageError
from ..syntax.parser import Parser
from .command import Command, Invocation, no_options, operation_names, pictures, sample_names


def open_form(operation: Operation, params: Mapping[str, Any], call: Invocation) -> Any:
    """Return the form of an operation, with values filled in.

    Raises:
        UsageError: there is no front end here that could show it.
    """
    _need_notebook("a form")
    from ..widgets.forms.form import Form

    return Form(operation, call.session(), params)


def _need_notebook(what: str) -> None:
    from ..display.progress_bar import in_notebook

    if not in_notebook():
        raise UsageError(
            f"{what} needs a notebook",
            hint="open it in Jupyter, or give the options on the line here",
        )


def _form_options(parser: Parser) -> None:
    parser.stray = _filled
    parser.add_argument("words", nargs=1, metavar="OPERATION", help="its name; see ops")


def _filled(word: Any, line: Any) -> str:
    """Return the line that opens the form with a word filled in."""
    filled = quoted(word) if isinstance(word, str) else "{NAME}"
    return f"to fill in values: %imgopen {line.words[0]} {filled} --form"


def _form(call: Invocation) -> Any:
    return open_form(OPERATIONS[call.options.words[0]], {}, call)


def _studio_options(parser: Parser) -> None:
    parser.add_argument("words", nargs="?", metavar="OPERATION", help="which form to show first")


def _studio(call: Invocation) -> Any:
    _need_notebook("the studio")
    from ..widgets.forms.studio import Studio

    return Studio(call.session(), call.options.words or "describe")


def _gallery(call: Invocation) -> Any:
    _need_notebook("the gallery")
    from ..widgets.gallery.gallery import gallery

    return gallery(pictures(call), session=call.session())


def _board(call: Invocation) -> Any:
    _need_notebook("the caption board")
    from ..widgets.caption_board.board import board

    return board(pictures(call), session=call.session())


def _pictures_options(parser: Parser) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="IMAGE",
        help="folders, globs, files, URLs or {name} (default: the last batch, or the history)",
    )


def _browse(call: Invocation) -> Any:
    _need_notebook("the live table")
    from ..widgets.history_browser import HistoryBrowser

    return HistoryBrowser(call.session())


COMMANDS = (
    Command(
        "form",
        "Open the form for an operation.",
        _form_options,
        _form,
        values={"words": operation_names},
    ),
    Command(
        "studio",
        "Open all forms behind one menu.",
        _studio_options,
        _studio,
        values={"words": operation_names},
    ),
    Command(
        "gallery",
        "Browse images in a grid: search, filter, select.",
        _pictures_options,
        _gallery,
        values={"words": sample_names},
    ),
    Command(
        "board",
        "Compare, merge and edit captions, image by image.",
        _pictures_options,
        _board,
        values={"words": sample_names},
    ),
    Command(
        "browse", "Browse the history as a live table: open, run again, copy.", no_options, _browse
    ),
)
