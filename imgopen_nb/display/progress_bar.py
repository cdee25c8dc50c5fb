"""A progress bar while somebody waits: tqdm's in a terminal, one quiet output in a notebook.

It appears after half a second, moves at most four times a second, and is gone when the wait ends.
In a notebook it is plain HTML: no widget stays behind in the saved file.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tqdm.std import tqdm

from ..tasks.task import Event, Task
from .rendering import render

if TYPE_CHECKING:
    from ..batch.rows import Outcome

APPEARS_AFTER = 0.5
INTERVAL = 0.25
_SHARE = "{desc}: {percentage:3.0f}% |{bar}| {elapsed}{postfix}"
_RATE = "{desc}: {n_fmt} of {total_fmt} |{bar}| {elapsed}<{remaining}, {rate_fmt}{postfix}"
_COUNT = "{desc}: {n_fmt} {elapsed}, {rate_fmt}{postfix}"
_ELAPSED = "{desc}: {elapsed}{postfix}"

Usual = tuple[float, float] | None


def follow(task: Task, timeout: float | None = None, usual: Usual = None) -> None:
    """Wait for a task with a bar: its share where the service tells it, else the time.

    Args:
        task: what to wait for.
        timeout: seconds, as in `Task.wait`, whose errors it raises.
        usual: median and 90 % quantile of the seconds that such tasks took.
    """
    if task.done:
        return
    name = " · ".join(filter(None, (task.operation.name, task.model)))
    with _bar(name, 100, _postfix(usual)) as bar:
        for event in task.events(timeout, tick=INTERVAL):
            _show(bar, event)


@contextmanager
def counting(name: str, total: int | None) -> Iterator[Callable[[Outcome | None], None]]:
    """Show one bar for many calls, with rate and time left; yields what `stream` may tell.

    Args:
        name: what is done.
        total: how many there are, None where that is not known.
    """
    tally = {"cached": 0, "failed": 0}
    with _bar(name, total, "", _RATE if total else _COUNT) as bar:

        def count(outcome: Outcome | None) -> None:
            if outcome is not None:
                bar.n += 1
                tally["cached"] += outcome.result.cached
                tally["failed"] += outcome.failed
                said = [f"{number} {word}" for word, number in tally.items() if number]
                bar.postfix = ", ".join(said)
            _refresh(bar)

        yield count


def _postfix(usual: Usual) -> str:
    return f"usually {usual[0]:.2g} s, 90 % under {usual[1]:.2g} s" if usual else ""


def _show(bar: Any, event: Event) -> None:
    bar.bar_format = _ELAPSED if event.progress is None else _SHARE
    bar.n = round(100 * (event.progress or 0.0))
    _refresh(bar)


def _refresh(bar: Any) -> None:
    now = time.monotonic()
    if now - bar.begun >= APPEARS_AFTER and now - bar.shown >= INTERVAL:
        bar.shown, bar.delay = now, 0  # from now on there is something to clear at the end
        bar.refresh()


@contextmanager
def _bar(name: str, total: int | None, postfix: str, bar_format: str = _ELAPSED) -> Iterator[Any]:
    kind = _NotebookBar if in_notebook() else _Bar
    bar = kind(
        total=total,
        desc=name,
        bar_format=bar_format,
        delay=1e9,  # nothing by itself: `_refresh` decides when
        leave=False,
        file=sys.stderr,
        disable=None if kind is _Bar else False,  # None: quiet where no terminal is
        dynamic_ncols=True,
    )
    bar.begun, bar.shown = time.monotonic(), 0.0
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
    """tqdm's bar without the thread that looks after forgotten ones: `_refresh` decides when."""

    monitor_interval = 0
    begun = shown = 0.0


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
        share = self.n / self.total if self.bar_format != _ELAPSED and self.total else None
        text = str(self)
        label = text.replace("|" + text.split("|")[1] + "|", "·") if text.count("|") > 1 else text
        return {"text/plain": text, "text/html": render("progress.html", text=label, share=share)}
