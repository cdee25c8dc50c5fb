"""A progress bar: tqdm's in a terminal, plain HTML in a notebook.

It appears after half a second, is redrawn at most four times a second, and disappears at the end.
In a notebook no widget stays behind in the saved file.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm.std import tqdm

from .rendering import render

APPEARS_AFTER = 0.5
INTERVAL = 0.25
SHARE = "{desc}: {percentage:3.0f}% |{bar}| {elapsed}{postfix}"
RATE = "{desc}: {n_fmt} of {total_fmt} |{bar}| {elapsed}<{remaining}, {rate_fmt}{postfix}"
COUNT = "{desc}: {n_fmt} {elapsed}, {rate_fmt}{postfix}"
ELAPSED = "{desc}: {elapsed}{postfix}"


@contextmanager
def progress_bar(
    name: str, total: int | None, bar_format: str = ELAPSED, postfix: str = ""
) -> Iterator[Any]:
    """Show a bar while the block runs; set its `n`, `bar_format`, `postfix` and call `draw`."""
    kind = _NotebookBar if in_notebook() else _Bar
    bar = kind(
        total=total,
        desc=name,
        bar_format=bar_format,
        delay=1e9,  # tqdm draws nothing by itself: `draw` decides when
        leave=False,
        file=sys.stderr,
        disable=None if kind is _Bar else False,  # None: only if stderr is a terminal
        dynamic_ncols=True,
    )
    bar.started, bar.drawn = time.monotonic(), 0.0
    bar.postfix = postfix
    try:
        yield bar
    finally:
        bar.close()


def in_notebook() -> bool:
    """Whether outputs go to a front end that shows HTML."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    return bool(shell and getattr(shell, "kernel", None))


class _Bar(tqdm):  # type: ignore[type-arg]
    """tqdm's bar without its monitor thread."""

    monitor_interval = 0
    started = drawn = 0.0

    def draw(self) -> None:
        """Redraw the bar if it is time."""
        now = time.monotonic()
        if now - self.started >= APPEARS_AFTER and now - self.drawn >= INTERVAL:
            self.drawn, self.delay = now, 0  # from now on there is something to clear at the end
            self.refresh()


if hasattr(os, "register_at_fork"):  # a thread may have been drawing: its lock stays locked
    os.register_at_fork(after_in_child=lambda: _Bar.set_lock(threading.RLock()))


class _NotebookBar(_Bar):
    """tqdm's numbers in one output of the cell, updated in place and emptied at the end."""

    _handle: Any = None

    @staticmethod
    def status_printer(file: Any) -> Callable[[str], None]:
        """Print nothing: `display` shows the bar."""
        return lambda text: None

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Show or update the output."""
        from IPython.display import DisplayHandle

        if self._handle is None:
            self._handle = DisplayHandle()  # type: ignore[no-untyped-call]
            self._handle.display(self._bundle(), raw=True)
        else:
            self._handle.update(self._bundle(), raw=True)

    def close(self) -> None:
        """Empty the output."""
        if self._handle is not None:
            self._handle.update({"text/plain": "", "text/html": ""}, raw=True)
            self._handle = None
        self.disable = True

    def _bundle(self) -> dict[str, str]:
        share = self.n / self.total if self.bar_format != ELAPSED and self.total else None
        text = str(self)
        label = text.replace("|" + text.split("|")[1] + "|", "·") if text.count("|") > 1 else text
        return {"text/plain": text, "text/html": render("progress.html", text=label, share=share)}
