"""The key of a call in the history: two calls with the same key have the same result.

Images count by their content: the hash of their bytes, or the version that their server gives. A
call with a random result has no key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..catalogue.operation import Operation
from ..config.settings import LOCAL_MODELS, Settings


def cache_key(
    operation: Operation,
    values: Mapping[str, Any],
    pictures: Mapping[str, Sequence[str]],
    where: str,
) -> str | None:
    """Return the key of a call, None if its result cannot be reused.

    Args:
        operation: the operation.
        values: its checked parameters by user-facing name.
        pictures: the versions of the images, by parameter.
        where: the backend, as `backend_of` names it.
    """
    if not reusable(operation, values):
        return None
    return digest(call_text(operation, values, pictures, where))


def call_text(
    operation: Operation,
    values: Mapping[str, Any],
    pictures: Mapping[str, Sequence[str]],
    where: str,
) -> str:
    """Return the text of which `digest` is the key of a call; see `cache_key`."""
    # The documented defaults of parameters that are not given.
    usual = {p.name: p.default for p in operation.user_params if p.default is not None}
    plain = {name: v for name, v in {**usual, **values}.items() if name not in pictures}
    asked = [operation.name, plain, {name: list(held) for name, held in pictures.items()}, where]
    return json.dumps(asked, sort_keys=True, ensure_ascii=False, default=str)


def digest(text: str) -> str:
    """Return the key of a call with this text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def reusable(operation: Operation, values: Mapping[str, Any]) -> bool:
    """Whether the same call with these checked parameters has the same result again."""
    listed = not operation.query or operation.kind in ("rows", "status", "raw")
    return not listed and not _is_random(operation, values)


def backend_of(settings: Settings, version: str) -> str:
    """Return the name of a backend: its address, or the sandbox with its version and models."""
    if settings.base_url:
        return f"{settings.backend} {settings.base_url}"
    models = [f"{name}={getattr(settings, name)}" for name in LOCAL_MODELS]
    return " ".join(["sandbox", version, *models])


def _is_random(operation: Operation, values: Mapping[str, Any]) -> bool:
    """Whether the operation takes a seed and none is given, so that each result is different."""
    if not any(param.name == "seed" for param in operation.user_params):
        return False
    seed = values.get("seed")
    return not isinstance(seed, int) or seed < 0
