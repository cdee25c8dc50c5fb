"""The fields of a form: one for each parameter, made from its row in the catalogue.

A field's value is None where the user has not said anything, so that the service's own default
applies; what is shown is always what would be sent.
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
    """One parameter: a label, the control, and the place of its error.

    Attributes:
        param: the row of the parameter.
        control: the ipywidget that holds the value.
        box: all of it, to be put into the form.
    """

    def __init__(self, operation: Operation, param: Param) -> None:
        self.operation, self.param = operation, param
        self.control = self._control()
        self._note = widgets.HTML()
        self._watchers: list[Callable[[], None]] = []
        self.box = widgets.VBox([*self._parts(), self._note])
        self.box.add_class("imgopen-field")
        self.control.observe(lambda _: self._changed(), "value")

    @property
    def label(self) -> str:
        """What stands beside the control; a star marks what is required."""
        return self.param.name.replace("_", " ") + (" *" if self.param.required else "")

    @property
    def value(self) -> Any:
        """What the user gave, checked by nobody yet; None for nothing."""
        if self.control.value == self._initial():
            return None
        found = self._read(self.control.value)
        return None if found in (NONE, []) else found

    @value.setter
    def value(self, value: Any) -> None:
        self.control.value = self._initial() if value is None else self._shown(value)

    def problem(self) -> str:
        """Return what is wrong with the value, "" where nothing is."""
        try:
            given = self.value
            if given is None:
                return f"{self.param.name} is needed" if self.param.required else ""
            self.param.check(given)
        except ParameterError as error:
            return error.message
        return ""

    def settle(self) -> None:
        """Take the value as it is for good: a run is about to name it."""

    def tell(self, text: str) -> None:
        """Show an error beside the field, or none."""
        shown = render("fielderror.html", text=text) if text else ""
        if self._note.value != shown:
            self._note.value = shown

    def watch(self, changed: Callable[[], None]) -> None:
        """Have something called whenever the value changes."""
        self._watchers.append(changed)

    def _changed(self) -> None:
        for changed in self._watchers:
            changed()

    def _parts(self) -> list[widgets.Widget]:
        return [self.control]

    def _control(self) -> Any:
        return widgets.Text(value=self._initial(), placeholder=self._hint(), **self._look())

    def _initial(self) -> Any:
        start = self._start()
        return NONE if start is None else self._shown(start)

    def _start(self) -> Any:
        return self.param.preset if self.param.preset is not None else self.param.default

    def _read(self, shown: Any) -> Any:
        return tidy(self.operation, self.param, shown)

    def _shown(self, value: Any) -> Any:
        return str(value)

    def _hint(self) -> str:
        low, high = self.param.minimum, self.param.maximum
        return f"{low:g} to {high:g}" if low is not None and high is not None else ""

    def _look(self) -> dict[str, Any]:
        return {"description": self.label, "tooltip": self.param.help}


class TextField(Field):
    """Long text, with the number of its characters."""

    def _control(self) -> Any:
        self._count = widgets.HTML(value=_characters(""))
        area = widgets.Textarea(value=self._initial(), rows=3, **self._look())
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

    def _shown(self, value: Any) -> Any:
        return str(value)


class SeedField(NumberField):
    """A seed: typed, or thrown."""

    def _parts(self) -> list[widgets.Widget]:
        dice = widgets.Button(
            description="🎲",
            tooltip="throw a new seed",
            layout=widgets.Layout(width="3rem"),
        )
        dice.on_click(lambda _: setattr(self.control, "value", str(secrets.randbelow(SEEDS))))
        self.dice = dice
        return [widgets.HBox([self.control, dice])]


class SliderField(Field):
    """A number between two limits that starts somewhere: a slider with a box to type in."""

    def _control(self) -> Any:
        whole = self.param.type == "integer"
        kind = widgets.IntSlider if whole else widgets.FloatSlider
        low, high = self.param.minimum, self.param.maximum
        step = {} if whole else {"step": _step(float(high or 0) - float(low or 0))}
        look = {**self._look(), "readout_format": "d" if whole else ".7g"}
        return kind(value=self._initial(), min=low, max=high, **step, **look)

    def _initial(self) -> Any:
        return self._start()

    def _shown(self, value: Any) -> Any:
        return self.param.check(value)


def _step(span: float) -> float:
    return 10 ** round(-2 + len(f"{span:.0f}") - 1) if span >= 1 else span / 100


class BooleanField(Field):
    """Yes, no, or the service's own choice."""

    def _control(self) -> Any:
        options = [("not given", NONE), ("yes", "yes"), ("no", "no")]
        return widgets.Dropdown(options=options, value=self._initial(), **self._look())

    def _read(self, shown: Any) -> Any:
        return shown == "yes"

    def _shown(self, value: Any) -> Any:
        return "yes" if self.param.check(value) else "no"


class ChoiceField(Field):
    """One of a few: buttons where there is a start among them, else a list with "not given"."""

    def _control(self) -> Any:
        start = self._start()
        choices = [str(choice) for choice in self.param.choices]
        few = len(choices) <= MOST_BUTTONS and start is not None
        kind = widgets.ToggleButtons if few else widgets.Dropdown
        rest = [] if start is not None else [("not given", NONE)]
        options = [*rest, *((choice, choice) for choice in choices)]
        return kind(options=options, value=self._initial(), **self._look())

    def _read(self, shown: Any) -> Any:
        return next(choice for choice in self.param.choices if str(choice) == shown)

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


_KINDS: dict[str, type[Field]] = {
    "text": TextField,
    "boolean": BooleanField,
    "object": ObjectField,
    "integer": NumberField,
    "number": NumberField,
}


def field_for(operation: Operation, param: Param) -> Field:
    """Return the field that suits a parameter that is no picture."""
    if param.choices:
        return ChoiceField(operation, param)
    if param.name == "seed":
        return SeedField(operation, param)
    if _slides(param):
        return SliderField(operation, param)
    return _KINDS.get(param.type, Field)(operation, param)


def _slides(param: Param) -> bool:
    """Whether a number has limits and a start; a rate in the millionths is better typed."""
    starts = param.preset is not None or param.default is not None
    low, high = param.minimum, param.maximum
    return starts and low is not None and high is not None and high - low > SMALLEST_SPAN
