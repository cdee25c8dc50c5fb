"""One run of a form, submitted and waited for in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ...errors import ImgOpenError, WaitCancelledError
from ...session import Session
from ...tasks.progress import usual_time
from ...tasks.result import Result
from ...tasks.sending import Sending
from ...tasks.task import Task

# Seconds between two progress messages to the browser: longer and longer.
FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.4, 1.6, 30.0


class Run(threading.Thread):
    """A thread that submits a task and waits for it.

    Args:
        session: what to work with; a function, as making one may take time.
        operation, params: what to run.
        on_progress: called with a text for people and the share that is done, None if unknown.
        on_end: called once, with the Result or the error.
        fresh: whether to send it even if the history has its result.
    """

    def __init__(
        self,
        session: Callable[[], Session],
        operation: str,
        params: dict[str, Any],
        on_progress: Callable[[str, float | None], None],
        on_end: Callable[[Result | ImgOpenError], None],
        *,
        fresh: bool = False,
    ) -> None:
        super().__init__(name=f"run-{operation}", daemon=True)
        self._session, self._operation = session, operation
        self._params = {**params, "fresh": fresh}
        self._on_progress, self._on_end = on_progress, on_end
        self._cancelled = threading.Event()
        self._sending: Sending | None = None
        self.task: Task | None = None

    def cancel(self) -> None:
        """Stop waiting; a task that was submitted continues at the service, another is not sent."""
        self._cancelled.set()
        if self.task is not None:
            self.task.cancel()
        elif self._sending is not None:
            self._sending.stop()

    def run(self) -> None:
        """Do the work of the thread."""
        try:
            outcome: Result | ImgOpenError = self._wait()
        except ImgOpenError as error:
            outcome = error
        except BaseException as error:  # shown in the form: nobody sees a thread's traceback
            outcome = ImgOpenError(f"{self._operation} broke off ({type(error).__name__})")
        self._on_end(outcome)

    def _wait(self) -> Result:
        self._on_progress("sending …", None)
        session = self._session()
        self._sending = session.sending(self._operation, **self._params)
        if self._cancelled.is_set():
            self._sending.stop()
        self.task = task = self._sending.task(None)
        if self._cancelled.is_set():
            raise WaitCancelledError(task.cancel(), task=task)
        usual = usual_time(session.manager.timing.usual_seconds(task))
        pause, shown = FIRST_PAUSE, time.monotonic()
        for event in task.events(tick=0.1):
            if time.monotonic() - shown >= pause:
                pause, shown = min(pause * GROWTH, LONGEST_PAUSE), time.monotonic()
                text = f"{event.state} · {event.seconds:.0f} s"
                if task.looked_for:
                    text = f"{text} · {task.looked_for}"
                self._on_progress(" · ".join(filter(None, (text, usual))), event.progress)
        return task.result()
