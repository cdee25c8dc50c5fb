"""The fields of a form: one for each parameter, made from its row in the catalogue.

A field's value is None until the user sets it: the service's own default then applies. What the
field shows is always what would be sent.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from ...catalogue.operation import Operation
from ...catalogue.parameter import Param
from ...display.rendering import render
from ...errors import ParameterError
from ...syntax.snippets import tidy

MOST_BUTTONS = 4
SEEDS = 2**31
SMALLEST_SPAN = 0.01
NONE = ""


class Field:
    """One parameter: a label, the control, and a place for its error.

    Attributes:
        param: the parameter's row in the catalogue.
        control: the ipywidget that holds the value.
        box: the complete field, to be put into the form.
    """

    def __init__(self, operation: Operation, param: Param) -> None:
        self.operation, self.param = operation, param
        self.control = self._make_control()
        self._note = widgets.HTML()
        self._callbacks: list[Callable[[], None]] = []
        self.box = widgets.VBox([*self._parts(), self._note])
        self.box.add_class("imgopen-field")
        self.control.observe(lambda _: [call() for call in self._callbacks], "value")

    @property
    def label(self) -> str:
        """The text beside the control; a star marks a required parameter."""
        return self.param.name.replace("_", " ") + (" *" if self.param.required else "")

    @property
    def value(self) -> Any:
        """What the user gave, not checked yet; None for nothing."""
        if self.control.value == self._initial():
            return None
        found = self._read(self.control.value)
        return None if found in (NONE, []) else found

    @value.setter
    def value(self, value: Any) -> None:
        self.control.value = self._initial() if value is None else self._shown(value)

    def problem(self) -> str:
        """Return what is wrong with the value, "" if nothing is."""
        try:
            given = self.value
            if given is None:
                return f"{self.param.name} is needed" if self.param.required else ""
            self.param.check(given)
        except ParameterError as error:
            return error.message
        return ""

    def commit(self) -> None:
        """Called before a run uses the value."""

    def show_error(self, text: str) -> None:
        """Show an error beside the field; "" removes it."""
        shown = render("fielderror.html", text=text) if text else ""
        if self._note.value != shown:
            self._note.value = shown

    def on_change(self, call: Callable[[], None]) -> None:
        """Have `call()` called whenever the value changes."""
        self._callbacks.append(call)

    def _parts(self) -> list[widgets.Widget]:
        return [self.control]

    def _make_control(self) -> Any:
        low, high = self.param.minimum, self.param.maximum
        hint = f"{low:g} to {high:g}" if low is not None and high is not None else ""
        return widgets.Text(value=self._initial(), placeholder=hint, **self._labels())

    def _initial(self) -> Any:
        start = self._default()
        return NONE if start is None else self._shown(start)

    def _default(self) -> Any:
        return self.param.preset if self.param.preset is not None else self.param.default

    def _read(self, shown: Any) -> Any:
        return tidy(self.operation, self.param, shown)

    def _shown(self, value: Any) -> Any:
        return str(value)

    def _labels(self) -> dict[str, Any]:
        return {"description": self.label, "tooltip": self.param.help}


class TextField(Field):
    """Long text, with the number of its characters."""

    def _make_control(self) -> Any:
        self._count = widgets.HTML(value=_characters(""))
        area = widgets.Textarea(value=self._initial(), rows=3, **self._labels())
        area.observe(lambda change: setattr(self._count, "value", _characters(change.new)), "value")
        return area

    def _parts(self) -> list[widgets.Widget]:
        return [self.control, self._count]


def _characters(text: str) -> str:
    return render("hint.html", text=f"{len(text)} characters")


class NumberField(Field):
    """A number without both limits: typed in, so that it can be left out."""

    def _read(self, shown: Any) -> Any:
        with contextlib.suppress(ParameterError):
            return self.param.check(shown.strip())
        return shown


class SeedField(NumberField):
    """A seed: typed in, or a random one at the press of a button."""

    def _parts(self) -> list[widgets.Widget]:
        self.dice = widgets.Button(
            description="🎲", tooltip="pick a random seed", layout=widgets.Layout(width="3rem")
        )
        self.dice.on_click(lambda _: setattr(self.control, "value", str(secrets.randbelow(SEEDS))))
        return [widgets.HBox([self.control, self.dice])]


class SliderField(Field):
    """A number with two limits and a default: a slider with a box to type in."""

    def _make_control(self) -> Any:
        low, high = self.param.minimum, self.param.maximum
        given = {"value": self._initial(), "min": low, "max": high, **self._labels()}
        if self.param.type == "integer":
            return widgets.IntSlider(**given, readout_format="d")
        step = _step(float(high or 0) - float(low or 0))
        return widgets.FloatSlider(**given, step=step, readout_format=".7g")

    def _initial(self) -> Any:
        return self._default()

    def _shown(self, value: Any) -> Any:
        return self.param.check(value)


def _step(span: float) -> float:
    return 10 ** round(-2 + len(f"{span:.0f}") - 1) if span >= 1 else span / 100


class BooleanField(Field):
    """Yes, no, or the service's own choice."""

    def _make_control(self) -> Any:
        options = [("not given", NONE), ("yes", "yes"), ("no", "no")]
        return widgets.Dropdown(options=options, value=self._initial(), **self._labels())

    def _read(self, shown: Any) -> Any:
        return shown == "yes"

    def _shown(self, value: Any) -> Any:
        return "yes" if self.param.check(value) else "no"


class ChoiceField(Field):
    """One of several values: buttons for a few with a default, else a menu with "not given"."""

    def _make_control(self) -> Any:
        about = {v.value: v.about for v in self.param.values if isinstance(v.value, int)}
        options = [
            (f"{option}: {about[option]}" if about.get(option) else str(option), str(option))
            for option in self.param.options
        ]
        kind = widgets.ToggleButtons if len(options) <= MOST_BUTTONS else widgets.Dropdown
        if self._default() is None:
            kind, options = widgets.Dropdown, [("not given", NONE), *options]
        return kind(options=options, value=self._initial(), **self._labels())

    def _read(self, shown: Any) -> Any:
        return next(choice for choice in self.param.options if str(choice) == shown)

    def _shown(self, value: Any) -> Any:
        return str(self.param.check(value))


class ObjectField(TextField):
    """A JSON object, typed in."""

    def _read(self, shown: Any) -> Any:
        try:
            return json.loads(shown)
        except ValueError:
            return shown

    def _shown(self, value: Any) -> Any:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_FIELDS: dict[str, type[Field]] = {
    "text": TextField,
    "boolean": BooleanField,
    "object": ObjectField,
    "integer": NumberField,
    "number": NumberField,
}


def field_for(operation: Operation, param: Param) -> Field:
    """Return the field that suits a parameter that is not a picture."""
    kind = _FIELDS.get(param.type, Field)
    if param.options:
        kind = ChoiceField
    elif param.name == "seed":
        kind = SeedField
    elif _has_slider(param):
        kind = SliderField
    return kind(operation, param)


def _has_slider(param: Param) -> bool:
    """Whether a number has limits and a default; a tiny range is easier to type in."""
    has_default = param.preset is not None or param.default is not None
    low, high = param.minimum, param.maximum
    return has_default and low is not None and high is not None and high - low > SMALLEST_SPAN
