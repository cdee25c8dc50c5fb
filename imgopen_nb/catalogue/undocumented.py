"""What the vendor does not document: assumed fields, never sent by accident, and raw calls."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import AssumedFieldError, ParameterError
from .operation import PREFIX, Operation
from .parameter import Param


def confirmed(
    row: Operation,
    values: Mapping[str, Any],
    given: Mapping[str, Any],
    true_names: Mapping[str, str],
) -> tuple[Operation, dict[str, Any]]:
    """Return the operation with the true names of its fields, and the values that may be sent.

    Args:
        row: the operation.
        values: checked values with presets; those of fields with an assumed name are left out.
        given: what the user gave.
        true_names: the field names that the user has set, by parameter.

    Raises:
        AssumedFieldError: the user gave a field whose wire name is only assumed.
    """
    guessed = [p for p in row.user_params if p.known == "assumed" and p.name not in true_names]
    _refuse(row, [p for p in guessed if p.name in row.named(given)])
    left_out = {param.name for param in guessed}
    kept = {name: value for name, value in values.items() if name not in left_out}
    return row.renamed(true_names), kept


def _refuse(operation: Operation, guessed: Iterable[Param]) -> None:
    names = {param.name: param.wire for param in guessed}
    if names:
        example = json.dumps({operation.name: names})
        raise AssumedFieldError(
            f"the real service's name for {', '.join(names)} of {operation.name} is not "
            f"documented (page: {operation.title}); {', '.join(names.values())} is a guess, so "
            "nothing was sent",
            hint=(
                f"set the real names: IMGOPEN_FIELDS='{example}', or %imgopen config fields "
                "...; the sandbox needs no such setting"
            ),
        )


def raw_operation(path: str) -> Operation:
    """Return an operation for any path; tools and sd tasks are polled as usual.

    Args:
        path: below the host, or below the vendor's prefix, e.g. "/tool/video/expand".

    Raises:
        ParameterError: it does not start with a slash.
    """
    if not isinstance(path, str) or not path.startswith("/") or any(c in path for c in "?# \n"):
        raise ParameterError("the path must start with / and contain no space, ? or #")
    below = path.removeprefix(PREFIX)
    is_query = below.rpartition("/")[2].lower().startswith("query")
    queries = {} if is_query else {"tool": "query-tool", "sd": "query-v2"}
    return Operation(
        name="call",
        id="call",
        title="call",
        category="call",
        about="A call to a path that is not in the catalogue.",
        group="Other",
        path=PREFIX + below,
        kind="raw",
        query=queries.get(below.lstrip("/").partition("/")[0], ""),
    )


def raw_body(operation: Operation, body: Mapping[str, Any], task_id: str) -> dict[str, Any]:
    """Return the body with our task id where this kind of path has one, unless one is given."""
    made = dict(body)
    if operation.query == "query-tool":
        made.setdefault("businessTaskId", task_id)
    elif operation.query == "query-v2":
        made["alwayson_scripts"] = {"id_task": task_id, **made.get("alwayson_scripts", {})}
    return made
