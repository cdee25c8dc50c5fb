"""`df.imgopen.describe("url")`: the operations on a column of a DataFrame.

pandas is not loaded for it: the accessor is put in place when the notebook itself loads pandas.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from .batch import Plan

NAME = "imgopen"


class Accessor:
    """The operations of Img Open on a column: `df.imgopen.describe("url", models=["clip"])`."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def __getattr__(self, name: str) -> Any:
        from .calling import runnable

        if name.startswith("_"):
            raise AttributeError(name)
        operation = runnable(name.replace("_", "-"))

        def run(column: str | None = None, **options: Any) -> pd.DataFrame | Plan:
            from .batch import Batch
            from .session import current

            batch = current().map(operation.name, self._frame, column=column, **options)
            return batch.wide() if isinstance(batch, Batch) else batch

        run.__name__ = run.__qualname__ = name
        run.__doc__ = (
            f"{operation.about}\n\nArgs:\n    column: the column that holds the pictures.\n"
            "    **options: as for `Session.map`.\n\nReturns:\n"
            "    A DataFrame with this frame's index; see `Batch.wide`."
        )
        return run

    def __dir__(self) -> list[str]:
        from .catalogue import OPERATIONS

        return [operation.name.replace("-", "_") for operation in OPERATIONS.runnable]


def install() -> None:
    """Put the accessor in place: now if pandas is loaded, else as soon as it is."""
    if "pandas" in sys.modules and hasattr(sys.modules["pandas"], "api"):
        _register(sys.modules["pandas"])
    elif not any(isinstance(finder, _AfterPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterPandas())


def _register(pandas: ModuleType) -> None:
    if not hasattr(pandas.DataFrame, NAME):
        pandas.api.extensions.register_dataframe_accessor(NAME)(Accessor)


class _AfterPandas(importlib.abc.MetaPathFinder):
    """Finds pandas the usual way, once, and registers the accessor after it has been loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "pandas":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("pandas")
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_and_register(module: ModuleType) -> None:
            load(module)
            _register(module)

        spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec
