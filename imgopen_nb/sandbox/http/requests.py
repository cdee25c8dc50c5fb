"""Request bodies: JSON in, the caller's id and checked values out."""

from __future__ import annotations

import json
from typing import Any

from ...catalogue.operation import Operation
from ...errors import ParameterError
from ..messages import WireError, describe_error, tidy


def parse_body(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body."""
    try:
        parsed = json.loads(body or b"null", parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise WireError("400", f"the body is not JSON: {tidy(error, 120)}") from None
    if not isinstance(parsed, dict):
        raise WireError("400", "the body must be a JSON object")
    return parsed


def read_submission(operation: Operation, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return (the caller's id, checked values by user-facing name) of a submission."""
    _check_pictures(operation, body)
    try:
        key, values = operation.read(body)
    except ParameterError as error:
        raise WireError("400", describe_error(error)) from None
    id_param = operation.id_param
    if id_param and id_param.expected and not key.strip():
        raise WireError("400", f"field {id_param.field} is required")
    return key, values


def _check_pictures(operation: Operation, body: dict[str, Any]) -> None:
    """Refuse images that are not strings: on the wire an image is a URL."""
    for param in operation.params:
        node: Any = body
        for part in (*filter(None, param.inside.split(".")), param.wire):
            node = node.get(part) if isinstance(node, dict) else None
        items = node if param.type == "images" and isinstance(node, list) else [node]
        if param.picture and any(not isinstance(i, str) and i is not None for i in items):
            raise WireError("400", f"field {param.field} must be the URL of an image, as a string")


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")
