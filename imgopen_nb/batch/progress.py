"""A progress bar for many calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..display.progress_bar import COUNT, RATE, progress_bar
from .rows import Outcome


@contextmanager
def batch_progress(
    name: str, total: int | None, waits_for: Callable[[], str] = str
) -> Iterator[Callable[[Outcome | None], None]]:
    """Show one progress bar for many calls, with the rate and the time left.

    Args:
        name: the operation.
        total: the number of calls, None if not known.
        waits_for: returns what is waited for, "" if nothing is out of the ordinary.

    Yields:
        A function to call with each outcome, and with None when only time has passed.
    """
    tally = {"cached": 0, "failed": 0}
    with progress_bar(name, total, RATE if total else COUNT) as bar:

        def count(outcome: Outcome | None) -> None:
            if outcome is not None:
                bar.n += 1
                tally["cached"] += outcome.result.cached
                tally["failed"] += outcome.failed
            counts = (f"{n} {word}" for word, n in tally.items() if n)
            bar.postfix = ", ".join(filter(None, (*counts, waits_for())))
            bar.draw()

        yield count
