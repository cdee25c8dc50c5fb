"""The catalogue as OpenAPI 3.1."""

from __future__ import annotations

from functools import cache
from typing import Any

from ...catalogue.operation import PREFIX, Operation
from ...catalogue.operations import OPERATIONS
from ...catalogue.parameter import Param
from ..process import TOKEN_HEADER
from .access import ID_HEADER, SECRET_HEADER
from .service import QUERIED

TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "text": {"type": "string"},
    "url": {"type": "string", "format": "uri"},
    "image": {"type": "string", "format": "uri"},
    "images": {"type": "array", "items": {"type": "string", "format": "uri"}},
    "strings": {"type": "array", "items": {"type": "string"}},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "object": {"type": "object"},
}
ENVELOPE = {
    "type": "object",
    "required": ["code", "msg", "data"],
    "properties": {
        "code": {"type": "string", "description": '"200" on success; a string'},
        "msg": {"type": "string"},
        "data": {"type": ["object", "null"]},
    },
}
KEYS = {
    "keyId": {"type": "apiKey", "in": "header", "name": ID_HEADER},
    "keySecret": {"type": "apiKey", "in": "header", "name": SECRET_HEADER},
}
TOKEN = {"token": {"type": "apiKey", "in": "header", "name": TOKEN_HEADER}}


def openapi(*urls: str) -> dict[str, Any]:
    """Return the description of the sandbox at `urls`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Img Open (sandbox)",
            "version": "1",
            "description": "The wire protocol of Img Open, served on this machine.",
        },
        "servers": [{"url": url} for url in urls],
        "security": [{"token": []}, {name: [] for name in KEYS}, {}],
        "paths": _paths(),
        "components": {"securitySchemes": {**TOKEN, **KEYS}, "schemas": {"Envelope": ENVELOPE}},
    }


@cache
def _paths() -> dict[str, Any]:
    query = OPERATIONS["query-tool"]
    paths = {op.path: {"post": _call(op, op.name)} for op in OPERATIONS.values()}
    # A tool code may have a slash, a path parameter may not: so each query has a path of its own.
    for path, tool in QUERIED.items():
        paths[path] = {"post": _call(query, f"{query.name}-{tool.name}")}
    code = {"type": "string", "description": f"what follows {PREFIX}/tool/; may hold a slash"}
    place = {"name": "tool_code", "in": "path", "required": True, "schema": code}
    paths[query.path]["post"]["parameters"] = [place]
    return paths


def _call(operation: Operation, name: str) -> dict[str, Any]:
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/Envelope"}}}
    return {
        "operationId": name,
        "summary": operation.title,
        "description": operation.about,
        "tags": [operation.category],
        "x-known": operation.known,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _body(operation)}},
        },
        "responses": {
            "200": {"description": "Success or failure", "content": answer},
            "401": {"description": "The token is missing or wrong", "content": answer},
        },
    }


def _body(operation: Operation) -> dict[str, Any]:
    root: dict[str, Any] = {"type": "object", "properties": {}}
    for param in sorted(operation.params, key=lambda p: p.type != "object"):
        node = root
        for part in param.inside.split(".") if param.inside else ():
            node = node.setdefault("properties", {}).setdefault(part, {"type": "object"})
        node.setdefault("properties", {})[param.wire] = _field(param)
        if param.expected:
            node.setdefault("required", []).append(param.wire)
    return root


def _field(param: Param) -> dict[str, Any]:
    shape = {**TYPES[param.type], **({"type": param.wire_type} if param.wire_type else {})}
    more = {
        "description": param.help,
        "enum": list(param.options) or None,
        "default": param.encode(param.default) if param.default is not None else None,
        "minimum": None if param.wire_type else param.low,
        "maximum": None if param.wire_type else param.high,
        "minItems": param.min_items,
        "maxItems": param.max_items,
        "x-known": param.known,
        "x-name": param.name,
    }
    return shape | {name: value for name, value in more.items() if value is not None}
