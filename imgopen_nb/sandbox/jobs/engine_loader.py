"""The engines, loaded while the server already listens."""

from __future__ import annotations

import logging
import threading

from ..engine import ENGINES, Engine

log = logging.getLogger(__name__)


class Registry:
    """Knows which operation has an engine; whoever asks waits until that is known."""

    def __init__(self) -> None:
        self._engines: dict[str, Engine] = {}
        self._loaded = threading.Event()
        self._problem = ""

    def start(self) -> None:
        """Begin to load, on a thread of its own."""
        threading.Thread(target=self.load, name="engines", daemon=True).start()

    def load(self) -> None:
        """Load the engines; what cannot be loaded is named in `missing`, the server stays up."""
        from .. import engines

        self._engines = ENGINES
        try:
            engines.load()
            self._problem = "; ".join(engines.PROBLEMS.values())
        finally:
            self._loaded.set()
        _preload()

    def engine(self, operation: str) -> Engine | None:
        """Return the engine of an operation, or None."""
        self._loaded.wait()
        return self._engines.get(operation)

    def surely_missing(self, operation: str) -> bool:
        """Whether the operation is known, without waiting, to have no engine."""
        return self._loaded.is_set() and operation not in self._engines

    @property
    def problem(self) -> str:
        """What is wrong with the families of engines that could not be loaded, or ""."""
        self._loaded.wait()
        return self._problem

    def missing(self, operation: str) -> str:
        """Return the sentence that explains why an operation does not run."""
        text = f"the sandbox has no engine for {operation} yet"
        return f"{text}; some engines cannot be loaded: {self._problem}" if self._problem else text


def _preload() -> None:
    """Read the networks in before the first picture comes."""
    try:
        from ..vision.networks import MODELS, session

        for path in sorted(MODELS.glob("*.onnx")):
            session(path.stem)
    except Exception as error:
        log.error("a network cannot be loaded: %s", type(error).__name__)
