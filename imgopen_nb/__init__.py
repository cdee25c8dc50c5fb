"""Img Open in Jupyter: magics, results inline, a history, and a sandbox that needs no key.

`%load_ext imgopen_nb` registers the magics; `import imgopen_nb as imgopen` gives the names below.
Everything is loaded on first use, so importing the package takes almost no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import pandas_accessor as _accessor
from ._version import __version__ as __version__
from .database.interrupts import import_whole as _import_whole

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .captions.comparison import Comparison
    from .catalogue.operations import OPERATIONS
    from .errors import ImgOpenError
    from .images.picture import samples
    from .session import Session, compare, current, dataset
    from .tasks.result import Result
    from .tasks.task import Task
    from .widgets.before_after import before_after
    from .widgets.caption_board.board import board
    from .widgets.forms.form import Form, form
    from .widgets.forms.studio import studio
    from .widgets.gallery.gallery import gallery
    from .widgets.history_browser import browse
    from .widgets.mask_painter import paint

# Public name -> the module that defines it.
_HOMES = {
    "OPERATIONS": "catalogue.operations",
    "Comparison": "captions.comparison",
    "Form": "widgets.forms.form",
    "ImgOpenError": "errors",
    "Result": "tasks.result",
    "Session": "session",
    "Task": "tasks.task",
    "before_after": "widgets.before_after",
    "board": "widgets.caption_board.board",
    "browse": "widgets.history_browser",
    "compare": "session",
    "current": "session",
    "dataset": "session",
    "form": "widgets.forms.form",
    "gallery": "widgets.gallery.gallery",
    "paint": "widgets.mask_painter",
    "samples": "images.picture",
    "studio": "widgets.forms.studio",
}
__all__ = [
    "OPERATIONS",
    "Comparison",
    "Form",
    "ImgOpenError",
    "Result",
    "Session",
    "Task",
    "before_after",
    "board",
    "browse",
    "compare",
    "current",
    "dataset",
    "form",
    "gallery",
    "load_ipython_extension",
    "paint",
    "samples",
    "studio",
    "unload_ipython_extension",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .errors import UnknownAttributeError

        raise UnknownAttributeError(name, _HOMES)
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]  # Tab offers these, not the modules that happen to be loaded


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Register the magics and the completion: called by `%load_ext imgopen_nb`."""
    from .magics.magic import load

    load(ipython)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "imgopen_nb.server_extension.extension"}]


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Remove the magics and the completion: called by `%unload_ext imgopen_nb`."""
    from .magics.magic import unload

    unload(ipython)


_import_whole()
_accessor.install()
