"""A batch: one operation over many pictures (or prompts), with every combination of a grid.

What is kept of a row is its task's id; results and frames are read from the history when asked for.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any

from ..catalogue.operation import Operation
from ..catalogue.parameter import Param
from ..catalogue.status import State
from ..errors import ImgOpenError, ParameterError, UsageError
from ..tasks.manager import TaskManager
from ..tasks.result import Result
from ..text import in_words, visible
from .plan import Plan, plan_of
from .progress import counting
from .rows import GONE, Calls, Kept, Limits, Outcome, Row, not_run
from .sources import Source, axes_of, combinations, missing
from .stream import stream

if TYPE_CHECKING:
    import pandas as pd

_PASSWORD = re.compile(r"//[^/\s]*@")
_FILLED_IN = "https://imgopen.invalid/picture"  # stands for the pictures while the rest is checked


class Batch:
    """Calls of one operation; made by `Session.map`, to be run, looked through and read as frames.

    Args:
        manager: where the calls go.
        operation: what is run.
        source: the pictures (or prompts).
        params: the other parameters; a list where one value belongs is an axis of the grid.
        limits: how much at a time, how long, how many.

    Raises:
        UsageError: a parameter does not fit; nothing was sent.
    """

    def __init__(
        self,
        manager: TaskManager,
        operation: Operation,
        source: Source,
        params: Mapping[str, Any],
        limits: Limits,
    ) -> None:
        self._manager = manager
        self._source = source
        self._limits = limits
        self.operation = operation
        self.param = main_param(operation)
        _check_limits(limits)
        given = _given(operation, params, self.param)
        axes = axes_of(operation, given)
        fixed = {name: value for name, value in given.items() if name not in axes}
        calls = [self._example({**fixed, **values}) for values in combinations(axes)]
        checked = [manager.submitter.check(operation, call) for call in calls]
        grid = [{name: call.get(name) for name in axes} for call in checked]
        self._calls = Calls(operation, fixed, grid, source.index, manager.table)
        pictured = any(operation.param(name).picture for name in axes)
        for call in calls if pictured else calls[:1]:
            manager.submitter.cache_key(operation, call)  # reads what lies on this machine

    def _example(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return a call with something in the place of the picture or text."""
        example = _FILLED_IN if self.param.picture else "x"
        value = [example] * (self.param.min_items or 1) if self.param.several else example
        return {self.param.name: value, **params}

    def rows(self) -> Iterator[Row]:
        """Yield the calls, in the order of the input."""
        width = len(self._calls.grid)
        for number, (index, value) in enumerate(self._source.pairs()):
            trouble = value if isinstance(value, ImgOpenError) else None
            if missing(value):
                trouble = ParameterError(f"there is no {self.param.name} in this row")
            given = {} if trouble else {self.param.name: value}
            for at, combination in enumerate(self._calls.grid):
                params = {**given, **self._calls.fixed, **combination}
                yield Row(number * width + at, index, params, trouble)

    def run(self, progress: bool = True) -> Batch:
        """Run it to its end, with one bar, and return it.

        Raises:
            TaskInterrupted: Ctrl-C; what is under way goes on into the history.
        """
        total = None if self._source.total is None else self._source.total * len(self._calls.grid)
        with counting(self.operation.name, total) as count:
            deque(self.outcomes(count if progress else None), maxlen=0)
        return self

    def outcomes(self, watch: Callable[[Outcome | None], None] | None = None) -> Iterator[Outcome]:
        """Run it and yield the outcomes as they come.

        Args:
            watch: is told of each outcome, and with None several times a second that time passes.

        Raises:
            UsageError: it has run, and its input can be read only once.
            TaskInterrupted: Ctrl-C; what is under way goes on into the history.
        """
        if self._source.once and self._calls.kept:
            raise UsageError("this input can be read only once", hint="give it as a list")
        self._calls.kept.clear()
        self._limits.sent = 0

        def told(outcome: Outcome | None) -> None:
            if outcome is not None:
                self._calls.kept[outcome.row.place] = _kept(outcome)
            if watch:
                watch(outcome)

        return stream(self._manager, self.operation, self.rows(), self._limits, told)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results())

    def plan(self) -> Plan:
        """Return what running it would do; reads the input and the history, and sends nothing."""
        if self._source.total is None and self._source.once:
            raise UsageError(
                "a plan would use up this input: it can be read only once",
                hint="give it as a list",
            )
        rows, width = self.rows(), len(self._calls.grid)
        return plan_of(self._manager, self.operation, rows, width, self._limits)

    def results(self) -> list[Result]:
        """Return a result for each call that was run, in the order of the input."""
        rows = {row["task_id"]: row for row in self._manager.table.by_ids(self._ids())}
        return [self._result(place, kept, rows) for place, kept in sorted(self._calls.kept.items())]

    def frame(self) -> pd.DataFrame:
        """Return one row for each call that was run: index of the input, columns of the history.

        Further columns: `cached`, and those of the grid.
        """
        from .frame import tidy

        return tidy(self._calls)

    def wide(self) -> pd.DataFrame:
        """Return one row for each row of the input, in its order and with its index.

        There is a column for each combination of the grid, named by its values ("clip"), or by what
        the result is ("caption") where there is only one; and `error`. `df.join(wide)` puts it
        beside the input; where an index repeats, `pd.concat([df, wide], axis=1)` does.
        """
        from .frame import wide

        return wide(self._calls, self.results)

    def errors(self) -> pd.DataFrame:
        """Return the rows of `frame` that have no result."""
        frame = self.frame()
        return frame[frame["status"] != State.SUCCEEDED.value]

    def __len__(self) -> int:
        return len(self._calls.kept)

    def __repr__(self) -> str:
        calls = self._calls.kept.values()
        failed = sum(kept.error is not None for kept in calls)
        cached = sum(kept.cached for kept in calls)
        advice = "\n  → .errors() tells why; the same again tries them again" if failed else ""
        return (
            f"{self.operation.name}: {len(calls):,} calls done: {self._limits.sent:,} sent, "
            f"{cached:,} from the history, {failed:,} failed{advice}"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from .frame import overview

        bundle = overview(self._calls)._repr_mimebundle_()
        return {**bundle, "text/plain": f"{self!r}\n{bundle['text/plain']}"}

    def _ids(self) -> Iterable[str]:
        return {kept.task_id for kept in self._calls.kept.values() if kept.task_id}

    def _result(self, place: int, kept: Kept, rows: Mapping[str, Any]) -> Result:
        row = rows.get(kept.task_id)
        if row is None:
            params = {
                **self._calls.fixed,
                **self._calls.grid[place % len(self._calls.grid)],
                "image": kept.image,
            }
            return not_run(self.operation, params, kept.error or GONE)
        store = self._manager.store
        if row["status"] == State.SUCCEEDED:
            return (store.load_cached(row) if kept.cached else store.load(row)).result(0)
        return store.failed_result(store.load(row), kept.error or str(row["error"]))


def main_param(operation: Operation) -> Param:
    """Return the parameter that a batch goes through: the picture, else the first text.

    Raises:
        ParameterError: the operation has none.
    """
    names = {param.name: param for param in operation.user_params}
    first = names.get("image") if "image" in names else next(iter(operation.positional), None)
    if first is None:
        raise ParameterError(f"{operation.name} takes neither a picture nor a text: run it alone")
    return first


def _given(operation: Operation, params: Mapping[str, Any], main: Param) -> dict[str, Any]:
    """Return parameters by their names in the catalogue, `models` as a list of models."""
    given: dict[str, Any] = {}
    for name, value in params.items():
        if name == "models":
            value = [value] if isinstance(value, str) or not isinstance(value, Iterable) else value
            name, value = "model", list(value)
        name = operation.param(name).name
        if name in given:
            raise ParameterError(f"{name} is given twice")
        given[name] = value
    if main.name in given:
        raise ParameterError(
            f"{main.name} is given twice: it is what the batch goes through",
            hint=f"leave {main.name}=... out",
        )
    return given


def _check_limits(limits: Limits) -> None:
    for name, least in (("concurrency", 1), ("most", 0)):
        number = getattr(limits, name)
        whole = isinstance(number, Integral) and not isinstance(number, bool)
        if not (name == "most" and number is None) and not (whole and number >= least):
            raise ParameterError(
                f"{name} must be a whole number from {least}, not {in_words(number)}"
            )
    seconds = limits.timeout
    if seconds is not None and not (isinstance(seconds, (int, float)) and seconds >= 0):
        raise ParameterError(f"timeout must be seconds, not {in_words(seconds)}")


def _kept(outcome: Outcome) -> Kept:
    result = outcome.result
    unsent = result.image if result.image and not result.task_id else None
    image = unsent and visible(_PASSWORD.sub("//***@", unsent))
    return Kept(outcome.row.index, result.task_id, result.cached, result.error, image)
