"""A progress bar for one task."""

from __future__ import annotations

from ..display.progress_bar import ELAPSED, INTERVAL, SHARE, progress_bar
from .task import Task

Usual = tuple[float, float] | None


def follow(task: Task, timeout: float | None = None, usual: Usual = None) -> None:
    """Wait for a task and show a bar: the progress if the service reports it, else the time.

    Args:
        task: what to wait for.
        timeout: seconds, as in `Task.wait`.
        usual: median and 90 % quantile of the seconds that such tasks took.

    Raises:
        ImgOpenError: the same errors as `Task.wait`.
    """
    if task.done:
        return
    name = " · ".join(filter(None, (task.operation.name, task.model)))
    with progress_bar(name, 100, postfix=usual_time(usual)) as bar:
        for event in task.events(timeout, tick=INTERVAL):
            bar.postfix = task.looked_for or usual_time(usual)
            bar.bar_format = ELAPSED if event.progress is None else SHARE
            bar.n = round(100 * (event.progress or 0.0))
            bar.draw()


def usual_time(usual: Usual) -> str:
    """Return "usually 4 s, 90 % under 9 s", "" while nothing is known."""
    return f"usually {usual[0]:.2g} s; 90 % take less than {usual[1]:.2g} s" if usual else ""
