"""Values of parameters: text or Python objects in, the parameter's type and the wire's JSON out."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .errors import ParameterError, clip, near_match

if TYPE_CHECKING:
    from .spec import Param

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a JSON object",
    "strings": "a list of strings",
    "images": "a list of pictures",
    "string": "a string",
    "text": "a string",
    "url": "an http(s) URL",
}


def check_value(param: Param, value: Any) -> Any:
    """Return value as the type of `param`, in its choices and range, or raise ParameterError."""
    checked = value if param.type == "image" else _CHECKS[param.type](param, value)
    if param.type == "image" and _empty(value):
        raise ParameterError(f"{param.name} is empty: give a URL, a file or a picture")
    _check_choice(param, checked)
    _check_range(param, checked)
    _check_count(param, checked)
    return checked


def to_wire(param: Param, value: Any) -> Any:
    """Return a checked value in its JSON type: some numbers travel as strings."""
    if param.wire_type == "string" and not isinstance(value, str):
        return format(Decimal(str(value)), "f")
    return value


def _empty(value: Any) -> bool:
    return isinstance(value, (str, bytes)) and not value.strip()


def _fail(param: Param, value: Any) -> ParameterError:
    shown = clip(repr(value), 80)
    return ParameterError(f"{param.name} must be {_WORDS[param.type]}, not {shown}")


def _string(param: Param, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _fail(param, value)
    text = str(value)
    if param.required and not text.strip():
        raise ParameterError(f"{param.name} is empty")
    return text


def _url(param: Param, value: Any) -> str:
    text = _string(param, value)
    if not text.lower().startswith(("http://", "https://")):
        raise _fail(param, value)
    return text


def _integer(param: Param, value: Any) -> int:
    number = _number(param, value)
    if not float(number).is_integer():
        raise _fail(param, value)
    return int(value) if isinstance(value, (int, str)) and "." not in str(value) else int(number)


def _number(param: Param, value: Any) -> float | int:
    if isinstance(value, bool) or len(str(value)) > 40:
        raise _fail(param, value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise _fail(param, value) from None
    if not math.isfinite(number):
        raise _fail(param, value)
    return value if isinstance(value, (int, float)) else number


def _boolean(param: Param, value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise _fail(param, value)
    return word in _TRUE


def _object(param: Param, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise _fail(param, value) from None
    if not isinstance(value, dict):
        raise _fail(param, value)
    return value


def _strings(param: Param, value: Any) -> list[str]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(i, str) for i in items):
        raise _fail(param, value)
    return list(items)


def _images(param: Param, value: Any) -> list[Any]:
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    if not items or any(_empty(item) for item in items):
        raise _fail(param, value)
    return items


_CHECKS = {
    "string": _string,
    "text": _string,
    "url": _url,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "object": _object,
    "strings": _strings,
    "images": _images,
}


def _check_choice(param: Param, value: Any) -> None:
    if param.choices and value not in param.choices:
        names = [str(c) for c in param.choices]
        hint = near_match(str(value), names)
        raise ParameterError(
            f"{param.name} must be {' or '.join(names)}, not {clip(repr(value), 80)}", hint=hint
        )


def _check_range(param: Param, value: Any) -> None:
    low, high = param.minimum, param.maximum
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return
    if (low is not None and value < low) or (high is not None and value > high):
        between = f"from {_plain(low)} to {_plain(high)}"
        if high is None or low is None:
            between = f"at least {_plain(low)}" if high is None else f"at most {_plain(high)}"
        raise ParameterError(f"{param.name} must be {between}, not {value}")


def _plain(number: float | None) -> str:
    return "" if number is None else format(Decimal(str(number)), "f")


def _check_count(param: Param, value: Any) -> None:
    if not isinstance(value, list):
        return
    low, high = param.min_items or 0, param.max_items or math.inf
    if not low <= len(value) <= high:
        raise ParameterError(f"{param.name} takes {low} to {high} items, not {len(value)}")
