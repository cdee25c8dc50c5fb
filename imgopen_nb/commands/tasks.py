"""The commands about tasks: compare, status, wait, resume, and calls that the catalogue lacks."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from ..catalogue.operations import OPERATIONS
from ..catalogue.status import UNSENT, State
from ..errors import ImgOpenError, ParameterError, UsageError
from ..syntax.parser import Parser, seconds_of
from .batch import all_values
from .command import (
    Command,
    Invocation,
    describe_models,
    limit_of,
    out_option,
    sample_names,
    submit_options,
    wait,
    wait_options,
)
from .saving import check_save, save, save_options

if TYPE_CHECKING:
    from ..tasks.task import Task

# `resume` prints at most so many lines, and counts of the rest.
MOST_LINES = 20
LOST_ADVICE = (
    "  → the service may or may not have the lost tasks: run resume again to look for them; "
    "resume --send-lost also sends those it does not know"
)


def _compare_options(parser: Parser) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="IMAGE",
        help="URLs, files, folders, globs or {names} (default: what was described)",
    )
    models = ", ".join(describe_models())
    parser.option("--models", nargs="+", metavar="MODEL", help=f"{models} (default: all)")
    out_option(parser, "variable for the comparison")
    _timeout_for_each(parser)


def _timeout_for_each(parser: Parser) -> None:
    parser.option("--timeout", metavar="SECONDS", help="longest time to wait for each task")


def _compare(call: Invocation) -> Any:
    from ..batch.progress import batch_progress
    from ..datasets.selection import pictures_in
    from ..session import compare

    lines = [line.strip() for line in (call.body or "").splitlines()]
    words = [*call.options.words, *(line for line in lines if line)]
    if not words:
        return compare()
    only = words[0] if len(words) == 1 and not isinstance(words[0], str) else None
    if hasattr(only, "results") or hasattr(only, "agreement"):  # a batch, a comparison
        return compare(only)
    images = list(pictures_in(words if only is None else only))
    models = describe_models()
    if call.options.models is not None:
        check = OPERATIONS["describe"].param("model").check
        models = [check(model) for model in all_values("--models", call.options.models)]
    calls = [{"image": image, "model": model} for image in images for model in models]
    seconds = seconds_of(call.options.timeout)
    with batch_progress("describe", len(calls)) as count:
        results = call.session().run_all("describe", calls, seconds, watch=count)
    if all(result.error for result in results):
        raise UsageError(f"no image could be described: {results[0].error}")
    return compare(results)


def _task_option(parser: Parser) -> None:
    parser.add_argument("words", nargs=1, metavar="TASK", help="a task's id, or how it starts")


def _status_options(parser: Parser) -> None:
    _task_option(parser)
    save_options(parser)


def _status(call: Invocation) -> Any:
    check_save(call)
    task = call.session().task(call.options.words[0])
    if call.options.save is not None:
        if task.result_or_none is None:
            raise ParameterError(
                f"{task.operation.name} {task.id} has no result to save: it is {task.state}",
                hint=f"{call.prefix}wait {task.id} --save FOLDER",
            )
        save(call, [task.result_or_none])
    return task


def _wait_options(parser: Parser) -> None:
    _task_option(parser)
    wait_options(parser)
    save_options(parser)


def _wait(call: Invocation) -> Any:
    check_save(call)
    session = call.session()
    result = wait(session, session.task(call.options.words[0]), limit_of(call, session))
    save(call, [result])
    return result


def _recent_tasks() -> list[str]:
    from ..session import current

    rows = current().manager.table.rows(limit=30, columns=("task_id",))
    return [row["task_id"] for row in rows[::-1]]


def _resume_options(parser: Parser) -> None:
    _timeout_for_each(parser)
    parser.add_argument(
        "--send-lost",
        action="store_true",
        help=(
            "send tasks again that the service does not know; only if you are sure they never "
            "arrived"
        ),
    )


def _resume(call: Invocation) -> str:
    seconds = seconds_of(call.options.timeout)
    tasks = call.session().resume(send_lost=call.options.send_lost)
    if not tasks:
        return "no unfinished tasks"
    lines = [_wait_and_report(task, seconds) for task in tasks]
    advice = [LOST_ADVICE] if any(task.state in UNSENT for task in tasks) else []
    if len(lines) <= MOST_LINES:
        return "\n".join([*lines, *advice])
    states = Counter(task.state.value for task in tasks)
    counts = ", ".join(f"{count:,} {state}" for state, count in states.items())
    others = [
        line for task, line in zip(tasks, lines, strict=True) if task.state is not State.SUCCEEDED
    ]
    return "\n".join(
        [f"{len(tasks):,} tasks were unfinished: {counts}", *others[:MOST_LINES], *advice]
    )


def _wait_and_report(task: Task, seconds: float | None) -> str:
    try:
        task.wait(seconds)
    except ImgOpenError as error:
        said = error.message.removeprefix(f"{task.operation.name} {task.id} ")
        return f"{task.id} {task.operation.name}: {said}"
    return f"{task.id} {task.operation.name}: {task.state}"


def _call_options(parser: Parser) -> None:
    parser.add_argument("words", nargs=1, metavar="PATH", help="e.g. /tool/video/expand")
    parser.option(
        "--body", metavar="JSON", help="the JSON object to send (default: the cell's body)"
    )
    submit_options(parser)
    save_options(parser)


def _call(call: Invocation) -> Any:
    text = call.options.body or call.body or "{}"
    try:
        body = json.loads(text)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ParameterError("the body must be a JSON object")
    check_save(call)
    session = call.session()
    limit = limit_of(call, session)
    task = session.call(call.options.words[0], body, timeout=limit)
    if call.options.no_wait:
        return task
    result = wait(session, task, limit)
    save(call, [result])
    return result


COMMANDS = (
    Command(
        "compare",
        "Show the captions of several models side by side.",
        _compare_options,
        _compare,
        takes_body=True,
        values={"words": sample_names, "models": describe_models},
    ),
    Command(
        "status",
        "Show the status of a task.",
        _status_options,
        _status,
        values={"words": _recent_tasks},
    ),
    Command(
        "wait",
        "Wait for an earlier task and show its result.",
        _wait_options,
        _wait,
        values={"words": _recent_tasks},
    ),
    Command("resume", "Wait for every unfinished task.", _resume_options, _resume),
    Command(
        "call",
        "Send a JSON body to any path of the service.",
        _call_options,
        _call,
        takes_body=True,
    ),
)
