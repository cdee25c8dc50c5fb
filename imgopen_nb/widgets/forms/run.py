"""One run of a form: submitted and waited for beside everything else, and stopped at any moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...errors import ImgOpenError, WaitCancelledError
from ...session import Session
from ...tasks.result import Result
from ...tasks.task import Event, Task

# A form's progress is for one pair of eyes: rarely, and ever more rarely, as each is a message.
FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.4, 1.6, 30.0


@dataclass(frozen=True)
class Standing:
    """Where a run stands: a text for people, and the share that is done where that is known."""

    text: str
    share: float | None = None


class Run:
    """A thread that submits and waits; it tells where it stands, and at its end one outcome.

    Args:
        session: what to work with; a function, as making one may take time.
        operation, params: what to run.
        tell: called with each Standing.
        end: called once, with the Result or the error.
        fresh: whether it is asked again if the history has it.
    """

    def __init__(
        self,
        session: Callable[[], Session],
        operation: str,
        params: dict[str, Any],
        tell: Callable[[Standing], None],
        end: Callable[[Result | ImgOpenError], None],
        *,
        fresh: bool = False,
    ) -> None:
        self._fresh = fresh
        self._session, self._operation, self._params = session, operation, params
        self._tell, self._end = tell, end
        self._stopped = threading.Event()
        self.task: Task | None = None
        self._thread = threading.Thread(target=self._work, name=f"run-{operation}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop waiting; a task that is at the service already goes on there."""
        self._stopped.set()
        if self.task is not None:
            self.task.cancel()

    def join(self, seconds: float | None = None) -> None:
        """Wait for the end; for scripts and tests."""
        self._thread.join(seconds)

    def _work(self) -> None:
        try:
            outcome: Result | ImgOpenError = self._outcome()
        except ImgOpenError as error:
            outcome = error
        except Exception as error:  # told in the form, as nobody else would hear of it
            outcome = ImgOpenError(f"{self._operation} broke off ({type(error).__name__})")
        self._end(outcome)

    def _outcome(self) -> Result:
        self._tell(Standing("sending …"))
        session = self._session()
        self.task = task = session.submit(self._operation, fresh=self._fresh, **self._params)
        if self._stopped.is_set():
            raise WaitCancelledError(task.cancel(), task=task)
        usual = session.manager.timing.usual(task)
        pause, shown = FIRST_PAUSE, time.monotonic()
        for event in task.events(tick=0.1):
            if time.monotonic() - shown >= pause:
                pause, shown = min(pause * GROWTH, LONGEST_PAUSE), time.monotonic()
                self._tell(standing(event, usual))
        return task.result()


def standing(event: Event, usual: tuple[float, float] | None) -> Standing:
    """Return an event in words: the time so far and, once learned, the usual one."""
    text = f"{event.state} · {event.seconds:.0f} s"
    if usual:
        text += f" · usually {usual[0]:.2g} s, 90 % under {usual[1]:.2g} s"
    return Standing(text, event.progress)
