"""Loads the engines while the server already listens."""

from __future__ import annotations

import logging
import threading

from .. import engines
from ..engine import ENGINES, Engine

log = logging.getLogger(__name__)


class EngineLoader:
    """Knows which operation has an engine; callers wait until that is known."""

    def __init__(self) -> None:
        self._loaded = threading.Event()
        self._problem = ""

    def start(self) -> None:
        """Begin to load, on a thread of its own."""
        threading.Thread(target=self.load, name="engines", daemon=True).start()

    def load(self) -> None:
        """Load the engines, then their networks; what fails is named by `why_missing`."""
        try:
            engines.load()
            self._problem = "; ".join(engines.PROBLEMS.values())
        finally:
            self._loaded.set()
        _preload_networks()

    def engine(self, operation: str) -> Engine | None:
        """Return the engine of an operation, or None."""
        self._loaded.wait()
        return ENGINES.get(operation)

    def surely_missing(self, operation: str) -> bool:
        """Whether the operation is known, without waiting, to have no engine."""
        return self._loaded.is_set() and operation not in ENGINES

    @property
    def problem(self) -> str:
        """Why families of engines could not be loaded, or ""."""
        self._loaded.wait()
        return self._problem

    def why_missing(self, operation: str) -> str:
        """Return the sentence that explains why an operation does not run."""
        text = f"the sandbox has no engine for {operation} yet"
        return f"{text}; some engines cannot be loaded: {self._problem}" if self._problem else text


def _preload_networks() -> None:
    """Load the networks before the first image comes."""
    try:
        from ..vision.networks import MODELS, session

        for path in sorted(MODELS.glob("*.onnx")):
            session(path.stem)
    except Exception as error:
        log.error("a network cannot be loaded: %s", type(error).__name__)
