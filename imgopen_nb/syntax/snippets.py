"""A call as code: the magic line, the Python call and the curl command that do the same.

Forms, cards, gallery and history all take their lines from here.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from ..catalogue.operation import Operation
from ..catalogue.operations import OPERATIONS
from ..catalogue.parameter import Param
from ..config.credentials import KEY_ID, KEY_SECRET
from ..text import short_path
from .words import quote

# All that ends a line in Python or in IPython.
LINE_ENDS = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_INVISIBLE = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f\ud800-\udfff]")


def tidy(operation: Operation, param: Param, value: Any) -> Any:
    """Return text that fits into code: on one line, unless it may be a cell's body."""
    if not isinstance(value, str):
        return value
    text = _INVISIBLE.sub("", value)
    if param is operation.body_param:
        return LINE_ENDS.sub("\n", text).strip("\n")
    return LINE_ENDS.sub(" ", text)


def magic_line(operation: Operation, values: Mapping[str, Any]) -> str:
    """Return the magic line that makes this call, or the cell if the prompt has several lines.

    Args:
        operation: the catalogue's row.
        values: what the user gave, by the user's names; text as `tidy` returns it.
    """
    body = operation.body_param
    text = values.get(body.name) if body else None
    if body is None or not isinstance(text, str) or "\n" not in text:
        return " ".join(["%imgopen", operation.name, *_words(operation, values)])
    others = {name: value for name, value in values.items() if name != body.name}
    return " ".join(["%%imgopen", operation.name, *_words(operation, others)]) + f"\n{text}"


def repeat_line(name: str, params: Any) -> str:
    """Return the magic line that makes a call of the history again, "" if no line can.

    Paths below the working folder or the home folder are written without it, as notebooks are
    shared.

    Args:
        name: the operation's name; it may be one that this version does not have.
        params: the parameters of the task, by the user's names; anything, if it was imported.
    """
    if name not in OPERATIONS or not isinstance(params, Mapping) or not params:
        return ""
    operation = OPERATIONS[name]
    try:
        rows = {key: operation.param(key) for key in params}
        # An image that existed only in a kernel cannot be named again.
        if '"<' in json.dumps([params[key] for key, row in rows.items() if row.picture]):
            return ""
        given = settable(operation, params)
        named = {k: _short(v) if rows[k].picture else v for k, v in given.items()}
        return magic_line(operation, {k: tidy(operation, rows[k], v) for k, v in named.items()})
    except (ValueError, TypeError, LookupError):
        return ""


def settable(operation: Operation, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that a user can set, without the presets."""
    rows = {param.name: param for param in operation.user_params}
    return {
        name: value
        for name, value in params.items()
        if name in rows and value is not None and value != rows[name].preset
    }


def _short(image: Any) -> Any:
    if isinstance(image, list):
        return [_short(each) for each in image]
    return short_path(image) if isinstance(image, str) else image


def _words(operation: Operation, values: Mapping[str, Any]) -> list[str]:
    """Return the quoted words: first those that need no option, in their order."""
    rest, plain = dict(values), []
    for param in operation.positional:
        value = rest.get(param.name)
        if not isinstance(value, str) or not value or value.startswith("-"):
            break
        plain.append(quote(str(rest.pop(param.name))))
    params = [p for p in operation.user_params if p.name in rest]
    # An option that takes several words would take the following ones too, so it comes last.
    params.sort(key=lambda p: p.type == "images")
    return plain + [word for p in params for word in _option(p, rest[p.name])]


def _option(param: Param, value: Any) -> list[str]:
    if param.type == "images":
        return [param.flag, *(quote(str(item)) for item in value)]
    text = _text(value)
    return [quote(f"{param.flag}={text}")] if text[:1] == "-" else [param.flag, quote(text)]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def python_call(operation: Operation, values: Mapping[str, Any]) -> str:
    """Return the Python code that makes this call in the current session."""
    given = "".join(f", {name}={value!r}" for name, value in values.items())
    line = f'imgopen.current().run("{operation.name}"{given})'
    if len(line) > 88:
        given = "".join(f"    {name}={value!r},\n" for name, value in values.items())
        line = f'imgopen.current().run(\n    "{operation.name}",\n{given})'
    return f"import imgopen_nb as imgopen\n\n{line}"


def curl(operation: Operation, values: Mapping[str, Any], base_url: str) -> str:
    """Return the shell command that submits this call; the access key is left in shell variables.

    An image that is not a URL becomes `URL-OF:...`, because the service fetches images itself.
    """
    sent = {p.name: p.preset for p in operation.user_params if p.preset is not None}
    for name, value in values.items():
        param = operation.param(name)
        sent[name] = _addressed(param, param.check(value))
    body = operation.body(sent, "my-task-1")
    return " \\\n  ".join(
        [
            f"curl -X POST {shlex.quote(base_url + operation.path)}",
            "-H 'Content-Type: application/json'",
            f'-H "X-Request-req-accessKeyId: ${KEY_ID}"',
            f'-H "X-Request-req-accessKeySecret: ${KEY_SECRET}"',
            f"--data-raw {shlex.quote(json.dumps(body, ensure_ascii=False))}",
        ]
    )


def _addressed(param: Param, value: Any) -> Any:
    if not param.picture:
        return value
    if isinstance(value, list):
        return [_addressed(param, item) for item in value] if param.type == "images" else value
    text = str(value)
    return text if text.startswith(("http://", "https://")) else f"URL-OF:{text}"
