"""What an operation is, how a call of it is checked, and how it is written as JSON and read back.

A row of `operations.py` is an `Operation`. The parser, the help, the completion, the Python call,
the sandbox's validation and its /openapi.json all read the same row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from ..errors import ParameterError, UnknownNameError
from ..text import near_match
from .conventions import OTHER_NAMES
from .parameter import Known, Param, folded

Kind = Literal[
    "caption", "style", "images", "boxes", "prompts", "rows", "training", "status", "raw"
]
PREFIX = "/AIGCImgOpenServ/saas"
_EVERY_NAME: set[str] = set()  # of the parameters of all operations


def is_of_others(name: str, own: Iterable[str]) -> bool:
    """Whether a name is no slip, but a parameter that only other operations have.

    Args:
        name: what was given.
        own: the names that are known here, folded; the plural of one is a slip.
    """
    asked = folded(name)
    return asked in _EVERY_NAME and asked.rstrip("s") not in {each.rstrip("s") for each in own}


# What people call an operation, where its name in words is not that.
_HEADINGS = {
    "text2image": "Text to image",
    "image2image": "Image to image",
    "controlnet": "ControlNet",
    "control-preview": "ControlNet preview",
    "instant-id": "InstantID",
    "loras": "LoRAs",
    "vaes": "VAEs",
    "train": "Train a LoRA",
}


@dataclass(frozen=True)
class Operation:
    """One operation of the service.

    Attributes:
        name: what a user types, e.g. `describe`.
        id: its id in the wire contract, e.g. `image_description`.
        title, category: the vendor's words.
        group: the heading under which users find it.
        about: one line for people.
        path: below the host; a guess where `known` is "assumed".
        params: the parameters, the most used ones first.
        kind: what the result is.
        output: where the result is in the answer's `data`; see `find`.
        query: the operation that polls for the result; "" if the answer itself is the result.
        known, result_known: how the path and the result's place are known.
        zero_may_succeed: the vendor's own example shows status 0 with a result.
        unknown: what the documentation leaves open.
        one_of: parameters of which exactly one is given.
        words: parameters that may be given without their name, after the required ones.
        source: a page of the documentation.
    """

    name: str
    id: str
    title: str
    category: str
    about: str
    group: str
    path: str
    kind: Kind
    params: tuple[Param, ...] = ()
    output: str = ""
    query: str = ""
    known: Known = "documented"
    result_known: Known = "assumed"
    zero_may_succeed: bool = False
    unknown: tuple[str, ...] = ()
    source: str = ""
    one_of: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _EVERY_NAME.update(self.names)

    @property
    def heading(self) -> str:
        """Its name above a form and in menus."""
        return _HEADINGS.get(self.name) or self.name.replace("-", " ").capitalize()

    @property
    def tool_code(self) -> str:
        """What follows /tool/ in the path (may hold a slash), or ""."""
        head, found, code = self.path.partition(f"{PREFIX}/tool/")
        return code if found and not head else ""

    @property
    def family(self) -> str:
        """The family that decides how a status is read: sd, tool, training or list."""
        if self.tool_code:
            return "tool"
        return {"rows": "list", "training": "training"}.get(self.kind, "sd")

    @property
    def default_model(self) -> str | None:
        """The model that the service uses if none is given, as documented; None without one."""
        return next((p.default for p in self.user_params if p.name == "model"), None)

    @property
    def id_param(self) -> Param | None:
        """The field that carries the caller's task id."""
        return next((p for p in self.params if p.task_id), None)

    @cached_property
    def user_params(self) -> tuple[Param, ...]:
        """The parameters a user may give."""
        return tuple(p for p in self.params if not p.task_id)

    @cached_property
    def positional(self) -> tuple[Param, ...]:
        """The parameters that may be given without their name, in this order.

        A plain string is one unless a text is: the words of a text without quotes would fill it.
        """
        types = {"image", "images", "text"}
        required = [p for p in self.user_params if p.required]
        if not any(p.type == "text" for p in required):
            types.add("string")
        more = [p for p in self.user_params if p.name in self.words]
        return (*(p for p in required if p.type in types), *more)

    @property
    def body_param(self) -> Param | None:
        """The parameter that takes the body of a cell magic: the first long text."""
        return next((p for p in self.user_params if p.type == "text"), None)

    @cached_property
    def names(self) -> dict[str, Param]:
        """The parameters by everything that a user may call them, without case and joints."""
        found: dict[str, Param] = {}
        for param in self.user_params:
            found |= {folded(name): param for name in param.other_names}
        return found | {folded(param.name): param for param in self.user_params}

    def param(self, name: str) -> Param:
        """Return the parameter that a user calls `name`: its own name, the vendor's or an alias.

        Example:
            >>> OPERATIONS["text2image"].param("cfg_scale").name
            'guidance'
        """
        known = self.names.get(folded(name))
        if known is None:
            others = [n for p in self.user_params for n in (p.name, *p.aliases)]
            near = "" if is_of_others(name, self.names) else near_match(name, others)
            names = [p.name for p in self.user_params]
            raise UnknownNameError(f"parameter of {self.name} called", name, names, hint=near)
        return known

    def named(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the given parameters under their names in the catalogue; None is nothing.

        Raises:
            UnknownNameError: this operation has no parameter of that name.
            ParameterError: a parameter was given twice, under two of its names.
        """
        found: dict[str, Any] = {}
        said: dict[str, str] = {}
        for name, value in given.items():
            param = self.param(name)
            if value is None:
                continue
            if param.name in found:
                both = " and ".join(dict.fromkeys((said[param.name], name)))
                raise ParameterError(f"{param.name} was given twice: as {both}")
            found[param.name], said[param.name] = value, name
        return found

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the given parameters, checked and with presets, by the user's names.

        Raises:
            UnknownNameError: this operation has no parameter of that name.
            ParameterError: a value does not fit, or a required one is missing.
        """
        values = {}
        for name, value in self.named(given).items():
            param = self.param(name)
            values[name] = param.check(value)
            param.check_sendable(values[name])
        for param in self.user_params:
            if param.name not in values and param.preset is not None:
                values[param.name] = param.preset
        missing = [p for p in self.user_params if p.required and p.name not in values]
        if missing:
            raise self._lacks(missing, values)
        self._check_one_of(values)
        return values

    def _lacks(self, missing: list[Param], values: Mapping[str, Any]) -> ParameterError:
        """Return the error for required parameters that were not given."""
        needed = [p for p in self.user_params if p.required and p.picture]
        first = next((p for p in self.positional if p in needed), None)
        if [p.name for p in missing] == ["mask"]:
            image = values.get("image")
            image = (
                image if isinstance(image, str) and re.fullmatch(r"[\w./:~-]+", image) else "IMAGE"
            )
            return ParameterError(
                f"{self.name} needs a mask",
                hint=f"--mask FILE, or paint one: %imgopen {self.name} {image} --form",
            )
        if first and len(needed) == 2 and missing == [p for p in needed if p is not first]:
            order = " then ".join(_one(p.name).upper() for p in self.positional if p in needed)
            return ParameterError(
                f"{self.name} needs two images, {order}; only the {_one(first.name)} was given",
                hint=" ".join([f"%imgopen {self.name}", *(f"{p.flag} FILE" for p in needed)]),
            )
        return ParameterError(
            f"{self.name} needs {' and '.join(p.as_needed for p in missing)}",
            hint=f"see %imgopen {self.name} --help",
        )

    def _check_one_of(self, values: Mapping[str, Any]) -> None:
        given = [n for n in self.one_of if values.get(n) is not None and not _blank(values[n])]
        if self.one_of and len(given) != 1:
            what = "both are" if given else "neither is"
            raise ParameterError(
                f"{self.name} takes either {' or '.join(self.one_of)}: {what} given",
                hint=f"give exactly one; see %imgopen {self.name} --help",
            )

    def remarks(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Return what is odd about the values of a call."""
        given = (p.remark(values[p.name]) for p in self.user_params if p.name in values)
        return tuple(filter(None, given))

    def body(self, values: Mapping[str, Any], task_id: str = "") -> dict[str, Any]:
        """Return the JSON body for checked values, in which images are URLs already."""
        body: dict[str, Any] = {}
        # Objects first, so that a member that is given by its own name overrides theirs.
        for param in sorted(self.params, key=lambda p: p.type != "object"):
            value = task_id if param.task_id else values.get(param.name)
            if value is not None and value != "":
                _place(body, param, param.encode(value))
        return body

    def renamed(self, fields: Mapping[str, str]) -> Operation:
        """Return this operation with other wire names for some parameters."""
        params = (replace(p, wire=fields.get(p.name, p.wire)) for p in self.params)
        return replace(self, params=tuple(params)) if fields else self

    def read(self, body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return (task id, checked values) of a JSON body that the sandbox received.

        Raises:
            ParameterError: the body does not fit; the message has the vendor's field names.
        """
        extra = sorted(set(_leaves(body)) - set(self._wire_names()))
        if extra:
            hint = near_match(extra[0].rpartition(".")[2], [p.wire for p in self.params])
            raise ParameterError(f"unknown field {extra[0]}", hint=hint)
        values = {}
        for param in self.params:
            value = _take(body, param)
            if value is not None:
                values[param.name] = replace(param, name=f"field {param.field}").check_sent(value)
            elif param.expected:
                raise ParameterError(f"field {param.field} is required")
        id_param = self.id_param
        return str(values.pop(id_param.name, "")) if id_param else "", values

    def _wire_names(self) -> Iterator[str]:
        for param in self.params:
            for wire in (param.wire, *param.spellings):
                yield replace(param, wire=wire).field
            if param.inside:
                yield param.inside


class Catalogue(Mapping[str, Operation]):
    """The operations by name; an unknown name is answered with a similar one."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._rows = {row.name: row for row in operations}

    def __getitem__(self, name: str) -> Operation:
        if name in self:
            return self._rows[name]
        raise UnknownNameError("operation", name, self._rows, hint=near_operation(name, self))

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._rows

    @property
    def runnable(self) -> tuple[Operation, ...]:
        """The operations that a user can run: all but the queries."""
        return tuple(row for row in self._rows.values() if row.kind != "status")


def near_operation(name: str, known: Iterable[str]) -> str:
    """Return "did you mean ...?" with the names that are like it or mean the same, or ""."""
    asked = folded(str(name))
    same = [each for each, words in OTHER_NAMES.items() if asked in map(folded, words)]
    return f"did you mean {' or '.join(same)}?" if same else near_match(name, known)


def _one(name: str) -> str:
    return name.removesuffix("s")


def _blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()


def find(data: Any, place: str) -> Any:
    """Return the value at `place` ("a.b" or "list[].member") in an answer's data, or None."""
    head, _, rest = place.partition(".")
    name, many = head.removesuffix("[]"), head.endswith("[]")
    node = data.get(name) if isinstance(data, Mapping) else None
    if not rest:
        return node
    if many:
        members = [node] if isinstance(node, Mapping) else node
        found = [find(item, rest) for item in members] if isinstance(members, list) else []
        return [item for item in found if item is not None]
    return find(node, rest)


def _place(body: dict[str, Any], param: Param, value: Any) -> None:
    for part in param.inside.split(".") if param.inside else ():
        body = body.setdefault(part, {})
    if isinstance(value, dict) and isinstance(body.get(param.wire), dict):
        body[param.wire].update(value)
    else:
        body[param.wire] = value


def _take(body: Mapping[str, Any], param: Param) -> Any:
    node: Any = body
    for part in param.inside.split(".") if param.inside else ():
        node = node.get(part) if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping):
        return None
    return next((node[w] for w in (param.wire, *param.spellings) if node.get(w) is not None), None)


def _leaves(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of a body's fields, and dotted those of alwayson_scripts."""
    for key, value in body.items():
        yield key
        if key == "alwayson_scripts" and isinstance(value, Mapping):
            yield from (f"{key}.{member}" for member in value)
