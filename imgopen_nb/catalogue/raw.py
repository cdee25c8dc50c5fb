"""Calls of paths that the catalogue does not know: the escape hatch `%imgopen call`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ParameterError
from .operation import PREFIX, Operation

NAME = "call"


def raw_operation(path: str) -> Operation:
    """Return an operation for any path; image tools and sd tasks are polled as usual.

    Args:
        path: below the host, or below the vendor's prefix, e.g. "/tool/video/expand".

    Raises:
        ParameterError: it does not start with a slash.
    """
    if not path.startswith("/") or any(c in path for c in "?# \n"):
        raise ParameterError("the path must start with / and hold no blank, ? or #")
    whole = path if path.startswith(PREFIX) else PREFIX + path
    below = whole.removeprefix(PREFIX)
    asked = not below.rpartition("/")[2].lower().startswith("query")
    query = {"tool": "query-tool", "sd": "query-v2"}.get(below.split("/")[1], "") if asked else ""
    about = "A call that the catalogue does not know."
    return Operation(NAME, NAME, NAME, "call", about, whole, "raw", query=query)


def raw_body(operation: Operation, body: Mapping[str, Any], task_id: str) -> dict[str, Any]:
    """Return the body with our task id where the path's family has it, unless one is given."""
    made = dict(body)
    if operation.query == "query-tool":
        made.setdefault("businessTaskId", task_id)
    elif operation.query == "query-v2":
        made["alwayson_scripts"] = {"id_task": task_id, **made.get("alwayson_scripts", {})}
    return made
