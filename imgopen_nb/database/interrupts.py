"""Ctrl-C in the midst of a change: it waits until the change is whole.

Python raises KeyboardInterrupt between any two steps of the main thread. A lock that was just
taken, a list that was just changed: what was to follow never happens, and other threads wait for
it in vain. Other threads are never interrupted.

An import that is cut off is such a change too: pandas and numpy cannot be imported a second time.
"""

from __future__ import annotations

import _thread
import contextlib
import importlib.abc
import importlib.machinery
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType, ModuleType
from typing import Any

# What is imported whole: this package, and what it imports when it is first needed.
WHOLE = frozenset(
    ("imgopen_nb", "pandas", "numpy", "PIL", "IPython", "ipywidgets", "anywidget", "narwhals",
     "onnxruntime", "pyarrow", "requests", "urllib3", "jinja2", "tqdm", "filelock",
     "platformdirs", "wcwidth", "traitlets", "tornado", "jupyter_server", "tomli_w", "fsspec",
     "upath", "tokenizers", "huggingface_hub")
)  # fmt: skip
SOON = 0.02  # seconds until Python has noted that an import is complete


class Uninterrupted:
    """Holds Ctrl-C back until the block ends. For short blocks only; they may be nested.

    Args:
        soon: whether it is raised a moment after the end, not at the end, where an error would
            undo what the block has done.

    Example:
        with Uninterrupted(), self._lock:
            self._open.add(task)
            self._queue.put(task)
    """

    def __init__(self, *, soon: bool = False) -> None:
        self._soon = soon
        self._handler: Any = None
        self._came = False

    def __enter__(self) -> None:
        if _can_be_interrupted():
            self._handler = signal.getsignal(signal.SIGINT)
            signal.signal(signal.SIGINT, self._hold)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._handler is None:
            return
        signal.signal(signal.SIGINT, self._handler)
        if self._came and self._soon:
            _press_soon()
        elif self._came:
            try:
                self._handler(signal.SIGINT, None)
            except KeyboardInterrupt:  # pressed twice: the first one leaves the block already
                if kind is None or not issubclass(kind, KeyboardInterrupt):
                    raise

    def _hold(self, number: int, frame: FrameType | None) -> None:
        self._came = True


class WholeImports(importlib.abc.MetaPathFinder):
    """Has Ctrl-C wait until an import of `WHOLE` is complete; in `sys.meta_path`.

    The module is found and loaded by those who would do so anyway.
    """

    imports_whole = True

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec that the other finders return, to be loaded whole."""
        if fullname.partition(".")[0] not in WHOLE or not _can_be_interrupted():
            return None
        for finder in sys.meta_path:
            if finder is not self and not getattr(finder, "of_imgopen", False):
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    _load_whole(spec.loader)
                    return spec
        return None


def _load_whole(loader: Any) -> None:
    """Have a loader hold Ctrl-C back while it runs a module; it is as before afterwards."""
    if isinstance(loader, type):  # of modules within Python itself; it serves them all
        return

    def load(module: ModuleType) -> None:
        with contextlib.suppress(AttributeError):
            del loader.exec_module
        with Uninterrupted(soon=True):
            run(module)

    with contextlib.suppress(AttributeError):  # some allow no new attribute
        run = loader.exec_module
        loader.exec_module = load


def import_whole() -> None:
    """Have the libraries of `WHOLE` imported whole from now on."""
    finders = [one for one in sys.meta_path if not getattr(one, "imports_whole", False)]
    sys.meta_path[:] = [WholeImports(), *finders]


def _can_be_interrupted() -> bool:
    """Whether Ctrl-C would now be raised in this thread, and no block of ours holds it back."""
    handler = signal.getsignal(signal.SIGINT)
    return (
        threading.get_ident() == threading.main_thread().ident
        and callable(handler)
        and not isinstance(getattr(handler, "__self__", None), Uninterrupted)
    )


def _press_soon() -> None:
    pressed = threading.Timer(SOON, _press)
    pressed.daemon = True
    pressed.start()


def _press() -> None:
    if hasattr(signal, "pthread_kill"):  # it wakes the main thread from what it waits for
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
