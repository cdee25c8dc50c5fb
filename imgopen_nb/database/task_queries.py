"""SQL for the table of tasks, built from the filters of the history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from .migrations import KIND

_EVERY_KIND = f"""
    WITH RECURSIVE kinds (kind) AS (
        SELECT min({KIND}) FROM tasks
        UNION ALL
        SELECT (SELECT min({KIND}) FROM tasks WHERE {KIND} > kinds.kind)
        FROM kinds WHERE kinds.kind IS NOT NULL
    )
"""
COLUMNS = (
    "task_id", "server_id", "operation", "model", "image", "params", "status", "caption", "tags",
    "image_urls", "created", "submitted", "finished", "queries", "attempts", "backend", "base_url",
    "engine", "error", "data", "request", "body", "owner", "pending", "seconds", "picture",
    "imported",
)  # fmt: skip
# The columns of history(): all but the raw answer and those that only a submission needs.
HISTORY_COLUMNS = (
    "task_id", "server_id", "operation", "model", "image", "picture", "params", "status",
    "caption", "tags", "image_urls", "submitted", "finished", "seconds", "queries", "attempts",
    "backend", "engine", "error", "imported",
)  # fmt: skip
# How an image is identified in rows of earlier versions, which have no `picture`: by its name.
BY_NAME = "name "
INTEGERS = frozenset({"queries", "attempts"})
NUMBERS = frozenset({"created", "submitted", "finished", "pending", "seconds"})


def select(
    filters: Mapping[str, Any],
    columns: Iterable[str] = HISTORY_COLUMNS,
    span: tuple[int, int] | None = None,
) -> tuple[str, list[Any]]:
    """Return the query, and its values, for the tasks that pass filters: newest first.

    Args:
        filters: operation, model, backend: a name; status: one or several; since: seconds since
            the epoch; limit: how many at most, the newest; images: a list of identities. None
            means no filter.
        columns: the columns to read.
        span: read the rowids of this range only, in their order and without a limit.
    """
    names = ", ".join(columns)
    kinds, values = _kinds(filters)
    if span:
        return _select_span(names, filters, span)
    if filters.get("pictures") is not None:
        return _select_pictures(names, filters)
    limit = -1 if filters.get("limit") is None else filters["limit"]
    recent, moment = _recent(filters)
    order = "ORDER BY created DESC, rowid DESC LIMIT ?"
    if not kinds:
        return f"SELECT {names} FROM tasks WHERE {recent} {order}", [*moment, limit]
    each = f"SELECT rowid FROM tasks WHERE {KIND} = kinds.kind AND {recent} {order}"
    found = (
        f"{_EVERY_KIND} SELECT found.rowid FROM kinds CROSS JOIN tasks found WHERE {kinds} "
        f"AND found.rowid IN ({each}) ORDER BY found.created DESC, found.rowid DESC LIMIT ?"
    )
    sql = f"SELECT {names} FROM tasks WHERE rowid IN ({found}) ORDER BY created DESC, rowid DESC"
    return sql, [*values, *moment, limit, limit]


def kinds(filters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the query, and its values, for the kinds of tasks that pass filters."""
    wanted, values = _kinds(filters)
    return f"{_EVERY_KIND} SELECT kind FROM kinds WHERE {wanted or 'true'}", values


def newest_of_kind(kind: str, filters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the query, and its values, for (created, rowid) of the newest tasks of a kind."""
    recent, moment = _recent(filters)
    sql = f"SELECT created, rowid FROM tasks WHERE {KIND} = ? AND {recent}"
    return f"{sql} ORDER BY created DESC, rowid DESC LIMIT ?", [kind, *moment, filters["limit"]]


def select_by_rowid(columns: Iterable[str]) -> str:
    """Return the query for the tasks of a JSON list of rowids: newest first."""
    return (
        f"SELECT {', '.join(columns)} FROM tasks WHERE rowid IN (SELECT value FROM json_each(?)) "
        "ORDER BY created DESC, rowid DESC"
    )


def count(filters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the query, and its values, for how many tasks pass filters, without a limit."""
    if filters.get("pictures") is not None:
        sql, values = _select_pictures("1", {**filters, "limit": None})
        return f"SELECT count(*) FROM ({sql})", values
    kinds, values = _kinds(filters)
    recent, moment = _recent(filters)
    each = f"SELECT count(*) FROM tasks WHERE {KIND} = kinds.kind AND {recent}"
    sql = f"{_EVERY_KIND} SELECT coalesce(sum(({each})), 0) FROM kinds WHERE {kinds or 'true'}"
    return sql, [*moment, *values]


def _select_pictures(names: str, filters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    limit = -1 if filters.get("limit") is None else filters["limit"]
    where, values = _where(filters)
    return f"SELECT {names} FROM tasks WHERE {where} ORDER BY created DESC, rowid DESC LIMIT ?", [
        *values,
        limit,
    ]


def _where(filters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the condition of all filters but the limit, and its values."""
    parts, values = [], []
    for part, _, wanted in _wanted(filters):
        parts.append(f"{part} IN ({_marks(wanted)})")
        values += wanted
    if (pictures := filters.get("pictures")) is not None:
        part = "picture IN (SELECT value FROM json_each(?))"
        if any(picture.startswith(BY_NAME) for picture in pictures):  # rows of earlier versions
            known = f"picture IS NULL AND '{BY_NAME}' || image IN (SELECT value FROM json_each(?))"
            part = f"({part} OR {known})"
        parts.append(part)
        values += [json.dumps(list(pictures))] * part.count("?")
    recent, moment = _recent(filters)
    return " AND ".join([*parts, recent]), [*values, *moment]


def _select_span(
    names: str, filters: Mapping[str, Any], span: tuple[int, int]
) -> tuple[str, list[Any]]:
    where, values = _where(filters)
    sql = f"SELECT {names} FROM tasks NOT INDEXED WHERE rowid BETWEEN ? AND ? AND {where}"
    return sql, [*span, *values]


def _kinds(filters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the condition on a kind, "" if there is none, and its values."""
    wanted = _wanted(filters)
    parts = [f"json_extract(kind, '$[{at}]') IN ({_marks(values)})" for _, at, values in wanted]
    return " AND ".join(parts), [value for *_, values in wanted for value in values]


def _wanted(filters: Mapping[str, Any]) -> list[tuple[str, int, list[Any]]]:
    """Return (column, its place in a kind, values that pass) for each filter that is set."""
    found = []
    for at, name in enumerate(("operation", "model", "status", "backend")):
        wanted = filters.get(name)
        values = [wanted] if isinstance(wanted, str) else list(wanted or ())
        if values:
            found.append((name, at, values))
    return found


def _recent(filters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    since = filters.get("since")
    return ("true", []) if since is None else ("created >= ?", [since])


def _marks(values: list[Any]) -> str:
    return ", ".join("?" * len(values))
