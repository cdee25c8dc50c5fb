"""A parameter of an operation, and the checks that turn text or objects into its type."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from numbers import Number
from typing import Any, Literal, NamedTuple

from ..errors import ParameterError
from ..text import counted, in_words, near_match, one_of
from .values import is_embedded, listed, scalar

Known = Literal["documented", "client", "assumed"]
Mark = Literal["required", "optional", "unmarked", "conflict"]
Group = Literal[
    "Image", "Prompt", "Options", "Size", "Sampling", "High resolution", "Training", "Advanced"
]
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a JSON object",
    "strings": "a list of strings",
    "image": "an image (URL, file, bytes, PIL image or array)",
    "string": "a string",
    "text": "a string",
    "url": "an http(s) URL",
}
# Longer lists of values are not put into a sentence.
MOST_LISTED = 12
# Names of one thing, which take an article in a sentence.
_COUNTED = ("image", "mask", "face", "prompt", "model", "task", "preprocessor")
_LETTER = re.compile(r"[^\W\d_]")
_JOINTS = re.compile(r"(?<=[^\s_-])[\s_-]+(?=[^\s_-])")
_BYTES = (str, bytes, bytearray, memoryview)
# Attributes of a path, an array, a PIL image, an open file and a `Picture`.
_PICTURE_MARKS = ("__fspath__", "__array__", "__array_interface__", "read", "label")


class Value(NamedTuple):
    """One value of a parameter: what it means, and the other words for it."""

    value: Any
    about: str = ""
    words: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """The value with its meaning, if it has one: "1: original"."""
        return f"{self.value}: {self.about}" if self.about else str(self.value)


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter: what a user types, and the field in which it is sent.

    Attributes:
        name: the user's name, `snake_case` in Python and `--kebab-case` on a line.
        wire: the vendor's name of the field.
        type: string, text (long), url, integer, number, boolean, object, strings, image or images.
        help: one line for `--help` and the form.
        mark: what the documentation says: required, optional, unmarked, or conflict (both).
        needed: whether a call without it is refused; by default if `mark` is "required".
        default: the documented default, which the service applies; None if none is documented.
        preset: what imgopen_nb sends if the user gives nothing (its own choice).
        inside: the object that holds the field, dotted; "" is the body itself.
        wire_type: the JSON type, if it is not the usual one for `type`.
        known: documented, client (seen only in a working client) or assumed.
        inside_known: likewise for its place in `inside`.
        spellings: other spellings in the vendor's documentation, which the sandbox accepts too.
        aliases: other names that users know; the vendor's own name is always one.
        values: what the values mean. Where the vendor documents no `choices`, these are the values
            that every such service knows; others are refused, unless `open_values`.
        open_values: whether `values` are examples.
        least, most: the range outside of which no such service works, if none is documented.
        usual: a range outside of which a result gets a note.
        unit: what the number counts, for the help: "in pixels", "a factor".
        group: the part of a form that shows it.
        title: its name in a form, if it is not `name` in words.
        listed_by: the operation that lists the values the service knows, e.g. "models".
        task_id: True for the field that carries the caller's own task id.
    """

    name: str
    wire: str
    type: str = "string"
    help: str = ""
    mark: Mark = "optional"
    needed: bool | None = None
    default: Any = None
    preset: Any = None
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    min_items: int | None = None
    max_items: int | None = None
    inside: str = ""
    wire_type: str = ""
    known: Known = "documented"
    inside_known: Known = "documented"
    spellings: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    values: tuple[Value, ...] = ()
    open_values: bool = False
    least: float | None = None
    most: float | None = None
    usual: tuple[float, float] | None = None
    unit: str = ""
    group: Group = "Advanced"
    title: str = ""
    listed_by: str = ""
    task_id: bool = False

    @property
    def required(self) -> bool:
        """Whether a user must give a value."""
        return self.expected and not self.task_id and self.preset is None

    @property
    def expected(self) -> bool:
        """Whether a body without the field is incomplete."""
        return self.mark == "required" if self.needed is None else self.needed

    @property
    def flag(self) -> str:
        """The option on a magic or command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def field(self) -> str:
        """The vendor's name of the field, dotted with the objects that hold it."""
        return f"{self.inside}.{self.wire}" if self.inside else self.wire

    @property
    def label(self) -> str:
        """Its name in a message: the user's, and the vendor's if that differs."""
        return self.name if self.name == self.wire else f"{self.name} ({self.wire})"

    @property
    def heading(self) -> str:
        """Its name in a form."""
        return self.title or self.name.replace("_", " ").capitalize()

    @property
    def as_needed(self) -> str:
        """What a call without it lacks: "an image", "a mask", "images", "hair"."""
        if self.name not in _COUNTED:
            return self.name
        return f"{'an' if self.name[0] in 'aeio' else 'a'} {self.name}"

    @property
    def options(self) -> tuple[Any, ...]:
        """The only values that pass; empty if any value may."""
        return self.choices or (() if self.open_values else tuple(v.value for v in self.values))

    @property
    def low(self) -> float | None:
        """The lowest value that passes."""
        return self.least if self.minimum is None and not self.choices else self.minimum

    @property
    def high(self) -> float | None:
        """The highest value that passes."""
        return self.most if self.maximum is None and not self.choices else self.maximum

    @property
    def other_names(self) -> Iterator[str]:
        """The names besides `name` by which users may call it."""
        return (name for name in (self.wire, *self.spellings, *self.aliases) if name != self.name)

    @property
    def picture(self) -> bool:
        """Whether the value is an image or several."""
        return self.type in ("image", "images")

    @property
    def several(self) -> bool:
        """Whether the value is a list."""
        return self.type in ("images", "strings")

    def check(self, value: Any) -> Any:
        """Return the value as this parameter's Python type; words for a value become the value.

        Raises:
            ParameterError: it has another type, or is not among the options or in the range.
        """
        return self.check_sent(self._meant(scalar(value)))

    def check_sent(self, value: Any) -> Any:
        """Return a value as it may be sent; takes no words for it. Raises the same as `check`."""
        try:
            checked = _CHECKS[self.type](self, scalar(value))
        except ParameterError:
            if isinstance(value, str) and not is_number(value):
                _check_choice(self, value)
            raise
        _check_choice(self, checked)
        _check_range(self, checked)
        _check_count(self, checked)
        return checked

    def _meant(self, value: Any) -> Any:
        """Return what a user means: 1 for "crop", "clip" for "CLIP", the image in a list."""
        if self.type == "image" and isinstance(value, (list, tuple)) and len(value) == 1:
            return value[0] if isinstance(value[0], _BYTES) or _is_picture(value[0]) else value
        if isinstance(value, bool) and self.options == (0, 1):
            return int(value)
        closed = self.options or self.type in ("integer", "number")
        if not isinstance(value, str) or not closed or value in self.options:
            return value
        known = {_spoken(str(option)): option for option in self.options}
        known |= {_spoken(word): v.value for v in self.values for word in (v.about, *v.words)}
        return known.get(_spoken(value), value) if _spoken(value) else value

    def remark(self, value: Any) -> str:
        """Return what is odd about a checked value, "" if nothing is."""
        if self.usual is None or not isinstance(value, (int, float)):
            return ""
        low, high = self.usual
        if low <= value <= high:
            return ""
        return (
            f"{self.label} is {_told(value)}, far from the usual {plain(low)} to {plain(high)}: "
            "it was sent as it is, because the vendor documents no range"
        )

    def check_sendable(self, value: Any) -> None:
        """Refuse text and objects that cannot be written as JSON, before the task is stored.

        Raises:
            ParameterError: it is one of these.
        """
        items = value if isinstance(value, list) else [value]
        try:
            content = [i for i in items if isinstance(i, (str, dict)) and not is_embedded(i)]
            json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
        except UnicodeEncodeError as error:
            half = in_words(error.object[error.start])
            raise ParameterError(
                f"{self.name} must be valid Unicode, without {half}",
                hint="rename the file: its name is not UTF-8" if self.picture else "",
            ) from None
        except (TypeError, ValueError, RecursionError):
            raise ParameterError(
                f"{self.name} must be a JSON object without NaN or Python objects, not "
                f"{in_words(value)}"
            ) from None

    def encode(self, value: Any) -> Any:
        """Return a checked value in its JSON type: some numbers are sent as strings."""
        if self.wire_type == "string" and not isinstance(value, str):
            return format(Decimal(str(value)), "f")
        return value


def is_number(text: str) -> bool:
    """Whether a text is what Python reads as a number, finite or not."""
    with contextlib.suppress(ValueError):
        float(text)
        return True
    return False


def folded(name: str) -> str:
    """Return a name without its case and without what joins its words: cfgScale is cfg_scale."""
    return re.sub(r"[\s_-]+", "", name.lower())


def _spoken(text: str) -> str:
    """Return a word for a value without its case and without what joins its parts.

    A sign before it or behind it counts, as does whatever stands in a number: -2 is not 2.

    Example:
        >>> _spoken("Top-Left"), _spoken("-2"), _spoken("2-4")
        ('topleft', '-2', '2-4')
    """
    text = text.strip().lower()
    return _JOINTS.sub("", text) if _LETTER.search(text) else text


def _fail(param: Param, value: Any, hint: str = "") -> ParameterError:
    return ParameterError(
        f"{param.name} must be {_WORDS[param.type]}, not {in_words(value)}", hint=hint
    )


def _string(param: Param, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _fail(param, value)
    if not isinstance(value, str):
        value = _number(param, value)  # no NaN: an empty cell of a DataFrame is one
    text = str(value)
    if param.required and not text.strip():
        raise ParameterError(f"{param.name} is empty: it needs some text")
    return text


def _url(param: Param, value: Any) -> str:
    text = _string(param, value)
    if not re.fullmatch(r"https?://[^\s/]+\S*", text, re.IGNORECASE):
        raise _fail(param, value)
    return text


def _integer(param: Param, value: Any) -> int:
    number = _number(param, value)
    if not float(number).is_integer():
        raise _fail(param, value)
    try:
        whole = int(value)  # exact, where a float would round
    except ValueError:
        whole = int(number)
    if not -(2**63) <= whole < 2**63:
        raise ParameterError(
            f"{param.name} must be a whole number that fits in 64 bits, not {in_words(value)}"
        )
    return whole


def _number(param: Param, value: Any) -> float | int:
    known = isinstance(value, (str, Number)) and not isinstance(value, bool)
    try:
        number = float(value) if known else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _fail(param, value)
    return value if isinstance(value, (int, float)) else number


def _boolean(param: Param, value: Any) -> bool:
    word = "" if isinstance(value, int) and value not in (0, 1) else str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise _fail(param, value)
    return word in _TRUE


def _object(param: Param, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise _fail(param, value, "put it in quotes: '{\"name\": 1}'") from None
    if not isinstance(value, dict):
        raise _fail(param, value)
    return value


def _strings(param: Param, value: Any) -> list[str]:
    items = [value] if isinstance(value, str) else listed(value)
    if items is None or not all(isinstance(i, str) for i in items):
        raise _fail(param, value)
    return items


def _image(param: Param, value: Any, label: str = "") -> Any:
    label = label or param.name
    if isinstance(value, (str, bytes)) and not value.strip():
        raise ParameterError(f"{label} is empty: it needs a URL, a file or an image")
    if is_embedded(value):
        given = value.get("path") or ""
        return value if value.get("bytes") is not None else _image(param, given, label)
    made = getattr(value, "images", None)  # of a result
    if isinstance(made, (list, tuple)) and not _is_picture(value):
        if len(made) == 1:
            return _image(param, made[0], label)
        raise ParameterError(
            f"{label}: this {type(value).__name__} holds {counted(len(made), 'image')}",
            hint="pass one image, such as result.images[0]",
        )
    if not isinstance(value, _BYTES) and not _is_picture(value):
        raise ParameterError(f"{label} must be {_WORDS['image']}, not {in_words(value)}")
    return value


def _is_picture(value: Any) -> bool:
    return any(hasattr(value, mark) for mark in _PICTURE_MARKS)


def _images(param: Param, value: Any) -> list[Any]:
    items = listed(value, pictures=True)
    if items is None:
        return [_image(param, value)]
    labels = (f"{param.name}, image {number} of {len(items)}," for number in itertools.count(1))
    return list(map(_image, itertools.repeat(param), items, labels))


_CHECKS = {
    "string": _string,
    "text": _string,
    "url": _url,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "object": _object,
    "strings": _strings,
    "image": _image,
    "images": _images,
}


def _check_choice(param: Param, value: Any) -> None:
    if not param.options or value in param.options:
        return
    *names, last = [str(option) for option in param.options]
    words = [word for v in param.values for word in (v.about, *v.words) if word]
    hint = near_match(str(value), [*names, last, *words]) if isinstance(value, str) else ""
    if len(names) > MOST_LISTED:
        hint = hint or one_of([*names, last])
        raise ParameterError(f"{param.name}: there is no {in_words(value)}", hint=hint)
    told = [v.told for v in param.values if v.about]
    hint = hint or ", ".join(told)
    either = f"{', '.join(names)} or {last}" if names else last
    raise ParameterError(f"{param.name} must be {either}, not {in_words(value)}", hint=hint)


def _check_range(param: Param, value: Any) -> None:
    low, high = param.low, param.high
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return
    if (low is not None and value < low) or (high is not None and value > high):
        between = f"from {plain(low)} to {plain(high)}"
        if high is None or low is None:
            between = f"at least {plain(low)}" if high is None else f"at most {plain(high)}"
        raise ParameterError(f"{param.name} must be {between}, not {_told(value)}")


def plain(number: float | None) -> str:
    """Return a number in plain digits: 2147483647, not 2.14748e+09, and 3, not 3.0; "" for None."""
    digits = "" if number is None else format(Decimal(str(number)), "f")
    return digits.removesuffix(".0")


def _told(number: float) -> str:
    return plain(number) if abs(number) < 1e15 else in_words(number)


def _check_count(param: Param, value: Any) -> None:
    if not isinstance(value, list):
        return
    low, high = param.min_items or 0, param.max_items or math.inf
    if not low <= len(value) <= high:
        what = "images" if param.picture else "items"
        raise ParameterError(f"{param.name} takes {low} to {high} {what}, not {len(value)}")
