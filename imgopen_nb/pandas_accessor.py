"""`df.imgopen.describe("url")`: the operations on a column of a DataFrame.

It does not load pandas: the accessor is registered when the notebook itself loads pandas.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .errors import UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

    from .batch.plan import Plan
    from .catalogue.operation import Operation

NAME = "imgopen"


class UnknownOperationError(UnknownNameError, AttributeError):  # type: ignore[misc]
    """The accessor has no operation of that name."""


class Accessor:
    """The operations of Img Open on a column of a DataFrame: `df.imgopen.describe("url")`.

    Each returns a DataFrame with the same index: `df.join(df.imgopen.describe("url"))`.
    `models=["clip", "deepdanbooru"]` gives a column for each, and `dry_run=True` the plan.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        operation = _operations().get(name)
        if operation is None:
            raise UnknownOperationError("operation", name, _operations())

        def run(column: str | None = None, **options: Any) -> pd.DataFrame | Plan:
            from .batch.batch import Batch
            from .session import current

            batch = current().map(operation.name, self._frame, column=column, **options)
            return batch.wide() if isinstance(batch, Batch) else batch

        run.__name__ = run.__qualname__ = name
        run.__doc__ = _help(operation)
        return run

    def __dir__(self) -> list[str]:
        return sorted(_operations())

    def __repr__(self) -> str:
        return f"The operations, each on one column, as in df.{NAME}.describe('url'): " + ", ".join(
            dir(self)
        )


def _operations() -> dict[str, Operation]:
    """Return the operations that take images or texts, by their names in Python."""
    from .catalogue.operations import OPERATIONS

    return {row.name.replace("-", "_"): row for row in OPERATIONS.runnable if row.positional}


def _help(operation: Operation) -> str:
    lines = [
        operation.about,
        "",
        "Args:",
        "    column: the column of images or prompts; by default the one named image, url ...",
        *(f"    {param.name}: {param.help}" for param in operation.user_params),
        "    **options: as for `Session.map`: dry_run, most, concurrency, timeout, fresh.",
        "",
        "Returns:",
        "    A DataFrame with this frame's index; see `Batch.wide`.",
    ]
    return "\n".join(lines)


def install() -> None:
    """Register the accessor: now if pandas is loaded, else as soon as it is."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_ours(finder)]
    pandas = sys.modules.get("pandas")
    if pandas is None or not register(pandas):
        sys.meta_path.insert(0, _AfterPandas())


def register(pandas: ModuleType) -> bool:
    """Register the accessor with pandas; False if pandas is not loaded completely yet."""
    frame = getattr(pandas, "DataFrame", None)
    if frame is None or not hasattr(pandas, "api"):
        return False
    if not hasattr(frame, NAME):
        pandas.api.extensions.register_dataframe_accessor(NAME)(Accessor)
    return True


def _is_ours(finder: Any) -> bool:
    """Whether a finder is ours, from this or an earlier import of this module."""
    return getattr(finder, "of_imgopen", False) is True


class _AfterPandas(importlib.abc.MetaPathFinder):
    """Finds pandas with the other finders, and registers the accessor once it is loaded."""

    of_imgopen = True

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "pandas":
            return None
        spec = _find_elsewhere(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_and_register(module: ModuleType) -> None:
            load(module)
            if module.__name__ == fullname and register(module) and self in sys.meta_path:
                sys.meta_path.remove(self)

        # Some loaders allow no new attribute; then there is no accessor, but pandas still loads.
        with contextlib.suppress(AttributeError):
            spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec


def _find_elsewhere(
    name: str, path: Sequence[str] | None, target: ModuleType | None
) -> importlib.machinery.ModuleSpec | None:
    """Return the spec that the other finders return."""
    for finder in sys.meta_path:
        if not _is_ours(finder) and hasattr(finder, "find_spec"):
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
    return None
