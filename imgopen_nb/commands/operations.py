"""The commands that run an operation of the catalogue, and the one that lists them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..catalogue.operation import Operation
from ..catalogue.operations import OPERATIONS
from ..catalogue.parameter import Param
from ..errors import ParameterError
from ..syntax.parser import Parser, add_operation, given, seconds_of
from .batch import add_batch_options, refuse_batch_options, refuse_many, run_batch
from .command import (
    Command,
    Invocation,
    limit_of,
    no_options,
    refuse_bare_name,
    sample_names,
    submit_options,
    wait,
)
from .saving import check_save, save, save_options
from .widgets import open_form


def _command(operation: Operation) -> Command:
    return Command(
        operation.name,
        operation.about,
        partial(_add_options, operation),
        partial(_run, operation),
        takes_body=operation.body_param is not None,
        values={"words": _values_of(operation.positional[0]) if operation.positional else list}
        | {p.name: _values_of(p) for p in operation.user_params},
    )


def _values_of(param: Param) -> Callable[[], list[str]]:
    choices = param.options or tuple(v.value for v in param.values)
    if param.type == "boolean":
        choices = ("true", "false")
    return sample_names if param.picture else lambda: [str(choice) for choice in choices]


def _add_options(operation: Operation, parser: Parser) -> None:
    add_operation(parser, operation)
    submit_options(parser)
    save_options(parser)
    if operation.positional:
        add_batch_options(parser, operation)


def _run(operation: Operation, call: Invocation) -> Any:
    from ..batch.batch import main_param
    from ..datasets.selection import pictures_in

    check_save(call)
    many = getattr(call.options, "source", None)
    if not many:
        refuse_many(operation, call, _command(operation).parser(call.prefix))
    params = given(operation, call.options, main_param(operation).name if many else "")
    seconds = seconds_of(call.options.timeout)
    if call.body is not None and call.body.strip():
        body = operation.body_param
        assert body is not None, "the magic refuses a body where there is no place for it"
        if body.name in params:
            raise ParameterError(f"{body.name} was given twice: on the line and in the cell")
        params[body.name] = call.body.strip("\n")
    for param in operation.user_params:
        if param.type == "images" and isinstance(params.get(param.name), list):
            params[param.name] = list(pictures_in(params[param.name]))
    if many:
        return run_batch(operation, params, call, seconds)
    refuse_batch_options(call.options)
    if call.options.form:
        return open_form(operation, params, call)
    for param in operation.user_params:
        if param.picture and param.name in params:
            refuse_bare_name(params[param.name], call)
    session = call.session()
    limit = limit_of(call, session)
    task = session.submit(operation.name, fresh=call.options.fresh, timeout=limit, **params)
    if call.options.no_wait:
        return task
    result = wait(session, task, limit)
    save(call, [result])
    return result


def _list(call: Invocation) -> Any:
    from ..display.tables import Table

    columns = ("operation", "what it does", "result", "path")
    rows = [(op.name, op.about, op.kind, op.known) for op in OPERATIONS.runnable]
    return Table(columns, rows)


COMMANDS = (
    *map(_command, OPERATIONS.runnable),
    Command("ops", "List the operations.", no_options, _list),
)
