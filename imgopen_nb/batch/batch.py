"""A batch: one operation on many images (or prompts), with every combination of a grid.

Each row keeps only the id of its task: results and frames are read from the history on demand.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..catalogue.operation import Operation
from ..catalogue.operations import OPERATIONS
from ..catalogue.parameter import Param, folded
from ..catalogue.status import DELETED, NOT_SENT, State
from ..catalogue.values import listed, whole_number
from ..config.credentials import NotPickled
from ..errors import (
    BudgetError,
    ImgOpenError,
    ParameterError,
    TaskTimeoutError,
    UnknownNameError,
    UsageError,
)
from ..images.picture import within
from ..syntax.parser import OTHER_OPTIONS
from ..tasks.cache_key import reusable
from ..tasks.manager import TaskManager
from ..tasks.result import Result
from ..tasks.submission import TRANSIENT_ERRORS
from ..tasks.task import time_limit
from ..text import counted, in_terminal, in_words
from .card import SHOWN, batch_html
from .fresh_runs import FreshRun, run_key
from .plan import Plan, make_plan
from .progress import batch_progress
from .rows import NOT_IN_HISTORY, Calls, InputPicture, Limits, Outcome, OutcomeRecord, Row, not_run
from .sources import Source, axes_of, combinations
from .stream import FATAL, stream
from .tables.table import missing

if TYPE_CHECKING:
    import pandas as pd

# The options of `Session.submit` and `run`, and of `map`, by their flags on a line.
_SINGLE = {"--fresh": "fresh", "--timeout": "timeout"}
_OPTIONS = {
    **_SINGLE,
    "--max": "most",
    "--concurrency": "concurrency",
    "--dry-run": "dry_run",
    "--column": "column",
}
MOST_CALLS = 8  # of a row of the input, on the card
# Stands for the image while the other parameters are checked.
_PLACEHOLDER = "https://imgopen.invalid/picture"


class Batch(NotPickled):
    """Many calls of one operation and their results; created by `Session.map`.

    Args:
        manager: sends the calls.
        operation: the operation to run.
        source: the images (or prompts).
        params: the other parameters; a list instead of a single value is an axis of the grid.
        limits: how many calls at a time, how long, and how many in all.

    Raises:
        UsageError: a parameter does not fit; nothing was sent.

    Example:
        >>> batch = session.map("describe", "photos/", models=["clip", "deepdanbooru"])
        >>> batch.errors()  # the calls that failed
        >>> batch.wide()  # one row for each image, one column for each model
    """

    instead = "it belongs to its session; use batch.results() or batch.frame()"

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
        self._folder = os.getcwd()  # relative paths of the input are meant in it
        self._limits = limits
        self.operation = operation
        self.param = main_param(operation)
        _check_limits(limits)
        given = _normalized(operation, params, self.param)
        axes = axes_of(operation, given)
        fixed = {name: value for name, value in given.items() if name not in axes}
        calls = [self._sample_call({**fixed, **values}) for values in combinations(axes)]
        checked = [manager.submitter.check(operation, call) for call in calls]
        grid = [{name: call.get(name) for name in axes} for call in checked]
        self._calls = Calls(operation, fixed, grid, source.index, manager.table)
        self._checked = checked
        self._reusable = {reusable(operation, call) for call in checked}
        self._fresh_run: FreshRun | None = None
        self._unfinished = self._ended = False
        pictured = any(operation.param(name).picture for name in axes)
        for call in calls if pictured else calls[:1]:
            manager.submitter.cache_key(operation, call)  # reads the local files

    def _sample_call(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return a call with a placeholder for the image or text."""
        example = _PLACEHOLDER if self.param.picture else "x"
        value = [example] * (self.param.min_items or 1) if self.param.several else example
        return {self.param.name: value, **params}

    def rows(self) -> Iterator[Row]:
        """Yield the calls, in the order of the input."""
        width = len(self._calls.grid)
        for number, (index, value) in enumerate(self._source.pairs()):
            trouble = value if isinstance(value, ImgOpenError) else None
            if missing(value):
                trouble = ParameterError(f"this row has no {self.param.name}")
            given = {} if trouble else {self.param.name: value}
            for column, combination in enumerate(self._calls.grid):
                params = {**given, **self._calls.fixed, **combination}
                yield Row(number * width + column, index, params, trouble)

    def run(self, progress: bool = True) -> Batch:
        """Run all calls and return the batch.

        Args:
            progress: whether to show a progress bar.

        Raises:
            TaskInterrupted: Ctrl-C; running tasks keep running, and the history gets their results.
        """
        self._begin()
        name = ", ".join([self.operation.name, *self._taken_up()])
        with batch_progress(name, self._total, lambda: self._limits.waits_for) as count:
            deque(self._outcomes(count if progress else None), maxlen=0)
        return self

    def outcomes(self, watch: Callable[[Outcome | None], None] | None = None) -> Iterator[Outcome]:
        """Run all calls and yield their outcomes as they arrive.

        Args:
            watch: called with each outcome, and with None several times a second as time passes.

        Raises:
            UsageError: the batch has already run, and its input can be read only once.
            TaskInterrupted: Ctrl-C; running tasks keep running, and the history gets their results.
        """
        self._begin()
        return self._outcomes(watch)

    @property
    def _total(self) -> int | None:
        total = self._source.total
        return None if total is None else total * len(self._calls.grid)

    def _begin(self) -> None:
        if self._source.once and self._calls.records:
            raise UsageError("this input can be read only once", hint="pass it as a list")
        self._calls.records.clear()
        self._limits.sent = 0
        self._unfinished = False
        self._fresh_run = self._new_fresh_run()
        if self._fresh_run:
            self._fresh_run.begin()
            self._limits.since = self._fresh_run.since

    def _outcomes(self, watch: Callable[[Outcome | None], None] | None) -> Iterator[Outcome]:
        run = self._fresh_run

        def record(outcome: Outcome | None) -> None:
            if outcome is not None:
                self._calls.records[outcome.row.place] = _record_of(outcome)
                self._unfinished |= _left_open(outcome)
            if watch:
                watch(outcome)

        yield from stream(
            self._manager,
            self.operation,
            self.rows(),
            self._limits,
            record,
            total=self._total,
            keep=run.keep if run else None,
        )
        self._ended = True
        if run and self._unfinished:
            run.keep()
        elif run:
            run.end()

    def _new_fresh_run(self) -> FreshRun | None:
        """Return the run of a batch with `fresh`, None if each call is sent in any case."""
        if not self._limits.fresh or self._manager.settings.cache == "off":
            return None
        key = None
        if True in self._reusable:
            backend = self._manager.submitter.backend_key(self.operation)
            key = run_key(self.operation, backend, self._checked, self._source)
        return FreshRun(self._manager.database, key)

    def _taken_up(self) -> list[str]:
        """Return [what this batch takes up], [] if it is not an interrupted run."""
        run = self._fresh_run
        return [f"continues {run}"] if run and run.taken_up else []

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results())

    def plan(self) -> Plan:
        """Return what `run` would do. This reads the input and the history, and sends nothing.

        Raises:
            UsageError: the input can be read only once, so a plan would use it up.
        """
        if self._source.total is None and self._source.once:
            raise UsageError(
                "a dry run would use up this input, which can be read only once",
                hint="pass it as a list",
            )
        rows, width, limits = self.rows(), len(self._calls.grid), copy(self._limits)
        if run := self._new_fresh_run():
            run.look()
            limits.since = run.since
        made = make_plan(self._manager, self.operation, rows, width, limits)
        taken_up = str(run) if run and run.taken_up else ""
        reads = self._source.reads if made.rows else self._source.nothing
        return replace(made, takes_up=taken_up, reads=reads)

    def results(self) -> list[Result]:
        """Return a result for each call that was run, in the order of the input."""
        rows = {row["task_id"]: row for row in self._manager.table.by_ids(self._ids())}
        return [
            self._result(place, record, rows)
            for place, record in sorted(self._calls.records.items())
        ]

    def frame(self) -> pd.DataFrame:
        """Return one row for each call that was run, with the index of the input.

        The columns are those of the history, then `cached`, and one for each axis of the grid.
        """
        from .frame import tidy

        return tidy(self._calls)

    def wide(self) -> pd.DataFrame:
        """Return one row for each row of the input, in its order and with its index.

        Each combination of the grid has a column named after its values ("clip"). Without a grid,
        there is one column named after the kind of result ("caption"). The last column is `error`.

        Example:
            >>> df.join(batch.wide())
            >>> pd.concat([df, batch.wide()], axis=1)  # if df has an index value twice
        """
        from .frame import wide

        return wide(self._calls, self.results, pictured=bool(self.param.picture))

    def pictures(self) -> Iterator[InputPicture | Any]:
        """Yield the image of each row of the input, in its order.

        For a row without a task (after Ctrl-C, or beyond the budget), the value from the input is
        yielded instead.
        """
        from .frame import input_pictures

        run = input_pictures(self._calls)
        if self._source.once:
            yield from run.values()
            return
        for number, (_, value) in enumerate(self._source.pairs()):
            known = run.get(number)
            yield known if known and not known.trouble else within(self._folder, value)

    def errors(self) -> pd.DataFrame:
        """Return the rows of `frame` whose calls have no result."""
        frame = self.frame()
        return frame[frame["status"] != State.SUCCEEDED.value]

    def __len__(self) -> int:
        return len(self._calls.records)

    def __repr__(self) -> str:
        calls = self._calls.records.values()
        without = [record.status for record in calls if record.error is not None]
        unsent = without.count(NOT_SENT)
        late = sum(status != NOT_SENT and not State(status).final for status in without)
        counts = [
            f"{self._limits.sent:,} sent",
            f"{sum(record.cached for record in calls):,} from the history",
            f"{len(without) - unsent - late:,} failed",
            f"{unsent:,} not sent" if unsent else "",
            f"{late:,} not finished in time" if late else "",
        ]
        done = len(calls) - unsent - late
        facts = ", ".join([*filter(None, counts), *self._taken_up()])
        why = "--json shows each error" if in_terminal() else ".errors() says why"
        advice = f"\n  → {why}; {self._same_again()}" if without else ""
        if any(record.over_limit for record in calls):
            advice = f"\n  → {self._limit_reached()}"
            if not all(record.over_limit for record in calls if record.error is not None):
                advice += f"; {why}"
        if not calls and self._ended:
            return f"{self.operation.name}: {self._source.nothing}"
        reads = f"\n  {self._source.reads}" if self._source.reads else ""
        return f"{self.operation.name}: {counted(done, 'call')} done: {facts}{reads}{advice}"

    def _limit_reached(self) -> str:
        """Return that `most` ended the batch, and how the rest is sent."""
        raised = "raise --max" if in_terminal() else "raise --max (most= in Python)"
        most = self._limits.most or 0
        if most and self._same_again().startswith("running it again retries"):
            raised += " or run it again"  # what was sent comes from the history, and is not counted
        return f"--max {most:,} was reached; {raised} to send the rest"

    def _same_again(self) -> str:
        """Return what the same batch would do if it was run again."""
        if True not in self._reusable or self._manager.settings.cache == "off":
            return "running it again sends everything again"
        run = self._fresh_run
        anew = " and those with random results" if False in self._reusable else ""
        if run is None or (self._unfinished and run.kept_until()):
            return f"running it again retries them{anew}"
        return f"running it without fresh retries them{anew}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from .frame import overview

        table = overview(self._calls)
        head, *notes = repr(self).split("\n")
        notes = [note.strip() for note in notes]
        rows = self._first(SHOWN)
        total = len({place // len(self._calls.grid) for place in self._calls.records})
        html = batch_html(head, notes, table, rows, total)
        return {"text/plain": f"{self!r}\n{table!r}", "text/html": html}

    def _first(self, count: int) -> list[list[Result]]:
        """Return the results of the first rows of the input, at most eight calls of each."""
        width = len(self._calls.grid)
        rows: dict[int, list[int]] = {}
        for place in sorted(self._calls.records):
            if place // width not in rows and len(rows) == count:
                break
            rows.setdefault(place // width, []).append(place)
        places = [found[:MOST_CALLS] for found in rows.values()]
        records = self._calls.records
        ids = {records[place].task_id for found in places for place in found}
        known = {row["task_id"]: row for row in self._manager.table.by_ids(filter(None, ids))}
        return [[self._result(p, records[p], known) for p in found] for found in places]

    def _ids(self) -> Iterable[str]:
        return {record.task_id for record in self._calls.records.values() if record.task_id}

    def _result(self, place: int, record: OutcomeRecord, rows: Mapping[str, Any]) -> Result:
        row = rows.get(record.task_id)
        if row is None:
            params = {**self._calls.fixed, **self._calls.combination(place)}
            status = DELETED if record.task_id else record.status
            error = record.error or NOT_IN_HISTORY
            return replace(not_run(self.operation, params, error, status), image=record.image)
        store, row = self._manager.store, record.named(row)
        if row["status"] == State.SUCCEEDED:
            result = (store.load_cached(row) if record.cached else store.load(row)).result(0)
        else:
            result = store.failed_result(store.load(row), record.error or str(row["error"]))
        return replace(result, image=row["image"], params=row["params"])


def main_param(operation: Operation) -> Param:
    """Return the parameter that varies from row to row: the image, else the first text.

    Raises:
        ParameterError: the operation takes neither.
    """
    names = {param.name: param for param in operation.user_params}
    first = names.get("image") if "image" in names else next(iter(operation.positional), None)
    if first is None:
        raise ParameterError(
            f"{operation.name} takes neither an image nor a text: run it without rows"
        )
    return first


def _normalized(operation: Operation, params: Mapping[str, Any], main: Param) -> dict[str, Any]:
    """Return parameters under their names in the catalogue, and `models` as a list `model`."""
    given: dict[str, Any] = {}
    for name, value in params.items():
        if name == "models":
            several = listed(value)
            name, value = "model", [value] if several is None else several
        refuse_options(operation, {name: value}, _OPTIONS)
        param = operation.param(name)
        if param.name in given:
            raise ParameterError(f"{param.name} was given twice")
        items = listed(value, pictures=param.picture) if param.several else None
        given[param.name] = value if items is None else items
    if main.name in given:
        raise ParameterError(
            f"{main.name} was given twice: the rows already give it",
            hint=f"leave out {main.name}=...",
        )
    return given


def refuse_options(
    operation: Operation, params: Mapping[str, Any], options: Mapping[str, str] = _SINGLE
) -> None:
    """Refuse an option of ours under the name that another program gives it.

    Args:
        operation: the operation; its own parameters pass.
        params: what was given by name.
        options: the options that the call takes, by their flags on a line.

    Raises:
        UnknownNameError: the hint has our name of it.
    """
    for name, value in params.items():
        if folded(name) in operation.names or name == "models":
            continue
        said = folded(name)
        for flag, option in options.items():
            if said in (folded(flag), *OTHER_OPTIONS.get(flag, ())):
                hint = f"did you mean {option}={in_words(value)}?"
                raise UnknownNameError(f"parameter of {operation.name} called", name, [], hint=hint)


def _check_limits(limits: Limits) -> None:
    for name, minimum in (("concurrency", 1), ("most", 0)):
        given = getattr(limits, name)
        if given is not None or name != "most":
            setattr(limits, name, whole_number(name, given, minimum))
    time_limit(limits.timeout, 0.0)


def _record_of(outcome: Outcome) -> OutcomeRecord:
    result, image = outcome.result, outcome.result.image
    row = OPERATIONS[result.operation]
    shown = {n: v for n, v in result.params.items() if row.param(n).picture}
    pictures = None if list(shown.values()) in ([], [image]) else shown
    return OutcomeRecord(
        outcome.row.index,
        result.task_id,
        result.status,
        result.cached,
        result.error,
        image,
        pictures,
        over_limit=isinstance(outcome.trouble, BudgetError),
    )


def _left_open(outcome: Outcome) -> bool:
    """Whether a run of the same batch would have something left to do for this row."""
    if isinstance(outcome.trouble, FATAL):
        return True  # the rows after it were not sent
    if outcome.result.status == NOT_SENT:
        return isinstance(outcome.trouble, (BudgetError, TaskTimeoutError, *TRANSIENT_ERRORS))
    return not State(outcome.result.status).final
