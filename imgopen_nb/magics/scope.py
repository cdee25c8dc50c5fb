"""Where a magic was called: the variables that count there, as they would for Python code."""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

# Between the line and the magic.
_BETWEEN = ("IPython", "decorator", "traitlets", "imgopen_nb")


@dataclass(frozen=True)
class Scope:
    """The place of a magic in the code.

    IPython's `needs_local_scope` gives the variables of the nearest frame only: in a comprehension
    those are not the function's, and over a cell they are the notebook's.

    Attributes:
        variables: by name: those of the function, of the functions around it, of its module, and of
            the notebook. A local variable that has no value yet hides the others of its name.
        function: the name of the function that the line is in, "" outside of functions.
        local: the names of the function's own variables.
        statement: whether the line is a statement of its own, so that nothing takes its value.
    """

    variables: Mapping[str, Any]
    function: str
    local: frozenset[str]
    statement: bool


def scope(notebook: Mapping[str, Any]) -> Scope:
    """Return where the magic was called that calls this.

    Args:
        notebook: the variables of the notebook.
    """
    caller: FrameType | None = sys._getframe(1)
    while caller and caller.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        caller = caller.f_back
    if caller is None:
        return Scope(notebook, "", frozenset(), statement=False)
    frames = _around(caller)
    variables = notebook
    if caller.f_locals is not notebook:
        variables = {**notebook, **caller.f_globals}
        for frame in reversed(frames):
            for name in _own(frame):
                variables.pop(name, None)
            variables.update(frame.f_locals)
    functions = [frame for frame in frames if frame.f_code.co_flags & inspect.CO_OPTIMIZED]
    local = frozenset(name for frame in functions for name in _own(frame))
    line = linecache.getline(caller.f_code.co_filename, caller.f_lineno).strip()
    return Scope(
        variables,
        functions[-1].f_code.co_name if functions else "",
        local,
        line.startswith(("get_ipython().run_line_magic(", "get_ipython().run_cell_magic(")),
    )


def _around(frame: FrameType) -> list[FrameType]:
    """Return a frame and those of the functions that its code stands in, as far as they run."""
    frames = [frame]
    name, file = frame.f_code.co_qualname, frame.f_code.co_filename
    below = frame.f_back
    while below and ".<locals>." in name:
        around = name.rpartition(".<locals>.")[0]
        if below.f_code.co_qualname == around and below.f_code.co_filename == file:
            frames.append(below)
            name = around
        below = below.f_back
    return frames


def _own(frame: FrameType) -> tuple[str, ...]:
    code = frame.f_code
    return (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
