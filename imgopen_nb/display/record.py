"""A small JSON record beside each output: a saved notebook can restore its results from it.

Front ends ignore the mime type and save it with the notebook. It never contains image bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ..text import short_path, valid

MIME = "application/vnd.imgopen.task+json"
VERSION = 1
MAX_BYTES = 20_000
# (characters of a text, number of tags, whether to include params): the first that fits is used.
_DETAIL = ((4000, 100, True), (1000, 40, True), (300, 20, False), (120, 8, False), (40, 0, False))
_FIELDS = (
    "task_id", "server_id", "operation", "model", "image", "picture", "caption", "status", "error",
    "backend", "engine", "seconds", "submitted", "finished", "queries", "attempts",
)  # fmt: skip


def record(tasks: Iterable[Any]) -> dict[str, Any]:
    """Return the JSON of results or history rows, at most 20 kB."""
    rows = list(tasks)
    for detail in _DETAIL:
        found = [_row(task, *detail) for task in rows]
        if _size(found) <= MAX_BYTES - 100:
            break
    kept = found[: _fitting(found)]
    out: dict[str, Any] = {"version": VERSION, "tasks": kept}
    if len(kept) < len(rows):
        out["omitted"] = len(rows) - len(kept)
    return out


def _fitting(rows: list[dict[str, Any]]) -> int:
    used = 100
    for count, row in enumerate(rows):
        used += _size(row) + 2
        if used > MAX_BYTES:
            return count
    return len(rows)


def _size(value: Any) -> int:
    # With ASCII escapes, which some programs write into notebooks.
    return len(json.dumps(value))


def _row(task: Any, most: int, tags: int, params: bool) -> dict[str, Any]:
    def get(name: str) -> Any:
        return task.get(name) if isinstance(task, Mapping) else getattr(task, name, None)

    row = {name: _plain(get(name), most) for name in _FIELDS}
    row["image"] = _named(row["image"])
    row["tags"] = [_tag(tag, most) for tag in (get("tags") or [])[:tags]]
    row["image_urls"] = [_plain(u, most) for u in (get("image_urls") or get("images") or [])[:20]]
    given = get("params")
    if params and isinstance(given, Mapping):
        row["params"] = {str(k)[:80]: _plain(_named(v), min(most, 500)) for k, v in given.items()}
    return {name: value for name, value in row.items() if value not in (None, "", [], {})}


def _named(value: Any) -> Any:
    """Return names of images without folders that only this user has: notebooks are shared."""
    if isinstance(value, (list, tuple)):
        return [_named(each) for each in value]
    return short_path(value) if isinstance(value, str) else value


def _tag(tag: Any, most: int) -> Any:
    name, score = name_and_score(tag)
    name = str(name)[: min(most, 200)]
    return name if score is None else [name, _plain(score, most)]


def name_and_score(tag: Any) -> tuple[Any, Any]:
    """Return the name and the score of a tag: a name, a pair, a mapping or an object.

    A score that is not a number, or beyond a million, is None: an imported history may hold any.
    """
    if isinstance(tag, tuple):
        name, score = tag[0], tag[1]
    elif isinstance(tag, Mapping):
        name, score = tag.get("name"), tag.get("score")
    else:
        name, score = getattr(tag, "name", tag), getattr(tag, "score", None)
    number = isinstance(score, (int, float)) and not isinstance(score, bool)
    return name, score if number and abs(score) < 1e6 else None


def _plain(value: Any, most: int) -> Any:
    """Return a value for JSON, shortened; any other type is replaced by its name."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, str):
        return _string(value, most)
    if isinstance(value, Mapping):
        return {str(k)[:80]: _plain(v, most) for k, v in list(value.items())[:50]}
    if isinstance(value, (list, tuple)):
        return [_plain(v, most) for v in value[:50]]
    return f"<{type(value).__name__}>"


def _string(text: str, most: int) -> str:
    if text[:5].lower() == "data:":
        return f"<data URL of {len(text)} characters>"
    text = valid(text)
    return text if len(text) <= most else text[: most - 1] + "…"
