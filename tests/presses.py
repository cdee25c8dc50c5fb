"""Ctrl-C in the process of the tests themselves, none of which may reach pytest or a later test."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from .processes import wait_until


class CtrlC:
    """Ctrl-C that can be pressed once, from any thread, while a block runs.

    When the block has ended, what was pressed has arrived, and later presses do nothing. A bare
    KeyboardInterrupt that leaves the block fails the test: to pytest it is the end of the run.

    Attributes:
        pressed: whether it was.
    """

    def __init__(self) -> None:
        self.pressed = False
        self._arrived = self._ended = False
        self._lock = threading.Lock()

    def press(self) -> None:
        with self._lock:
            if not self.pressed and not self._ended:
                self.pressed = True
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def _arrive(self, number: int, frame: FrameType | None) -> None:
        self._arrived = True
        signal.default_int_handler(number, frame)

    def __enter__(self) -> CtrlC:
        self._before = signal.signal(signal.SIGINT, self._arrive)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with suppress(KeyboardInterrupt):
            with self._lock:
                self._ended = True
            if self.pressed and not self._arrived:  # it is held back while a module is imported
                time.sleep(10)
        signal.signal(signal.SIGINT, self._before)
        assert self._arrived or not self.pressed, "Ctrl-C was pressed and never arrived"
        if kind is KeyboardInterrupt and self.pressed:
            raise AssertionError("Ctrl-C left the block as a bare KeyboardInterrupt")


@contextmanager
def ctrl_c(when: float | Callable[[], object]) -> Iterator[None]:
    """Press Ctrl-C while the block runs: after so many seconds, or once something holds."""
    over = threading.Event()

    def wait() -> None:
        if callable(when):
            wait_until(lambda: over.is_set() or when())
        else:
            over.wait(when)
        if not over.is_set():
            key.press()

    with CtrlC() as key:
        thread = threading.Thread(target=wait)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
