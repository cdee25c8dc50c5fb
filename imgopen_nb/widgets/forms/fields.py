"""The fields of a form: one for each parameter, made from its row in the catalogue.

A field's value is None until the user sets it: the service's own default then applies. What the
field shows is always what would be sent. Labels, help, errors and sliders are drawn by `frame.py`.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from ...catalogue.operation import Operation
from ...catalogue.parameter import Param, plain
from ...errors import ParameterError
from ...syntax.snippets import tidy

MOST_BUTTONS, MOST_LETTERS = 4, 24  # of choices that are buttons; longer ones are a menu
MOST_IN_A_MENU = 24
SEEDS = 2**31
SMALLEST_SPAN = 0.01
NONE = ""
UNSET = "service default"
LORAS = "Add a LoRA"


class Field:
    """One parameter: the control, and what the form says about it.

    Attributes:
        param: the parameter's row in the catalogue.
        control: the ipywidget that holds the value.
        remark: what is odd about the value although it may be sent, "" for nothing.
    """

    def __init__(self, operation: Operation, param: Param) -> None:
        self.operation, self.param = operation, param
        self.remark = self._shown_error = ""
        self._callbacks: list[Callable[[], None]] = []
        self._noted: Callable[[], None] = lambda: None
        self.control = self._make_control()
        self.control.observe(lambda _: [call() for call in self._callbacks], "value")

    @property
    def wide(self) -> bool:
        """Whether it takes the whole width of the form."""
        return self.param.picture or self.param.type in ("text", "object")

    @property
    def listed(self) -> bool:
        """Whether the service's own list of values is offered."""
        return False

    @property
    def lead(self) -> str:
        """What a button says that leads here after a failed run."""
        return f"Change {self.param.heading.lower()}"

    @property
    def parts(self) -> list[widgets.Widget]:
        """The widgets of the field, the control first."""
        return [self.control, *self._companions()]

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

    @property
    def default(self) -> str:
        """The value that applies if the user gives none, as the field shows it; "" if unknown."""
        start = self._default()
        return "" if start is None else str(self._shown(start))

    @property
    def summary(self) -> str:
        """The value in a few words for the line of a folded group, "" without one."""
        value = self.value
        if value is None:
            return ""
        text = str(self._shown(value))
        return f"{self.param.heading.lower()} {text if len(text) <= 24 else text[:23] + '…'}"

    @property
    def error(self) -> str:
        """What is shown below the control."""
        return self._shown_error or self.remark

    def problem(self) -> str:
        """Return what is wrong with the value, "" if nothing is."""
        try:
            given = self.value
            if given is None:
                return f"{self.param.name} is needed" if self.param.required else ""
            self.param.check(given)
        except ParameterError as error:
            return error.message
        return self._trouble()

    def commit(self) -> None:
        """Called before a run uses the value."""

    def show_error(self, text: str) -> None:
        """Show an error below the control; "" removes it."""
        if text != self._shown_error:
            self._shown_error = text
            self._noted()

    def on_change(self, call: Callable[[], None]) -> None:
        """Have `call()` called whenever the value changes."""
        self._callbacks.append(call)

    def on_note(self, call: Callable[[], None]) -> None:
        """Have `call()` called whenever the error or the remark changes, in any thread."""
        self._noted = call

    def about(self) -> dict[str, Any]:
        """Return what the frame draws around the control."""
        param = self.param
        unit = param.unit.removeprefix("in ") if param.unit.startswith("in ") else ""
        limits = [plain(param.low), plain(param.high)] if param.low is not None else []
        told = "" if not limits else "from {} to {}" if limits[1] else "at least {}"
        help_text = [param.help, "" if unit else param.unit, told.format(*limits)]
        return {
            "name": param.name,
            "label": param.heading,
            "unit": "" if unit in param.heading else unit,
            "help": " · ".join(part.rstrip(".") for part in help_text if part),
            "wide": self.wide,
            "required": param.required,
            "default": self.default,
            "listed": self.listed,
            **self._details(),
        }

    def _companions(self) -> list[widgets.Widget]:
        return []

    def _details(self) -> dict[str, Any]:
        return {}

    def _trouble(self) -> str:
        return ""

    def _make_control(self) -> Any:
        return widgets.Text(value=self._initial(), placeholder=self._placeholder, **self._names())

    @property
    def _placeholder(self) -> str:
        if self.param.required:
            return ""
        return f"default {self.default}" if self.default else UNSET

    def _initial(self) -> Any:
        start = self._default()
        return NONE if start is None else self._shown(start)

    def _default(self) -> Any:
        return self.param.preset if self.param.preset is not None else self.param.default

    def _read(self, shown: Any) -> Any:
        return tidy(self.operation, self.param, shown)

    def _shown(self, value: Any) -> Any:
        return str(value)

    def _names(self) -> dict[str, Any]:
        return {"tooltip": self.param.help}


class TextField(Field):
    """Long text; a prompt with a menu of the LoRAs that can be called in it."""

    @property
    def listed(self) -> bool:
        """Whether the service's own list of values is offered."""
        return bool(self.param.listed_by)

    def offer(self, values: list[str]) -> None:
        """Offer the LoRAs that the service lists."""
        self._loras.options = [(LORAS, LORAS), *((name, name) for name in values)]

    def _companions(self) -> list[widgets.Widget]:
        return [self._loras] if self.param.listed_by else []

    def _add_lora(self, name: str) -> None:
        """Add a LoRA to the prompt, as the web UI calls one, at full weight."""
        text = self.control.value.rstrip()
        self.control.value = f"{text}{' ' if text else ''}<lora:{name}:1>"

    def _details(self) -> dict[str, Any]:
        return {"counted": self.param.type == "text"}

    def _make_control(self) -> Any:
        self._loras = menu(LORAS, [], self._add_lora)
        given = {"value": self._initial(), "placeholder": self._placeholder}
        return widgets.Textarea(rows=3 if self.param.required else 2, **given, **self._names())


class NumberField(Field):
    """A number: typed in, so that it can be left out; with a slider if its range is known."""

    def _details(self) -> dict[str, Any]:
        return {"number": True, "range": self._range()}

    @property
    def _placeholder(self) -> str:
        narrow = self._range() and not self.param.required
        return "default" if narrow else super()._placeholder

    def _range(self) -> dict[str, float] | None:
        """The range of the slider, which may be narrower than what may be typed."""
        low, high = self.param.low, self.param.high
        if (low is None or high is None) and self.param.usual:
            low, high = self.param.usual
        if low is None or high is None or high - low <= SMALLEST_SPAN:
            return None  # a tiny range is easier to type in
        step = _step(high - low, self.param)
        return {"min": low, "max": high, "step": step}

    def _read(self, shown: Any) -> Any:
        with contextlib.suppress(ParameterError):
            return self.param.check(shown.strip())
        return shown

    def _shown(self, value: Any) -> Any:
        return plain(value) if isinstance(value, float) and value >= SMALLEST_SPAN else str(value)


def _step(span: float, param: Param) -> float:
    if param.type == "integer":
        return 8 if param.unit == "in pixels" and span > 1000 else 1
    return 0.05 if span <= 4 else 0.5


class SeedField(NumberField):
    """A seed: typed in, or a random one at the press of a button."""

    def _make_control(self) -> Any:
        self.dice = widgets.Button(tooltip="Random seed")
        self.dice.add_class("imgopen-dice")
        self.dice.on_click(lambda _: setattr(self.control, "value", str(secrets.randbelow(SEEDS))))
        return super()._make_control()

    def _companions(self) -> list[widgets.Widget]:
        return [self.dice]

    def _range(self) -> None:
        return None


class BooleanField(Field):
    """Yes, no, or the service's own choice."""

    def _make_control(self) -> Any:
        options = [("default", NONE), ("on", "yes"), ("off", "no")]
        return widgets.ToggleButtons(options=options, value=self._initial(), **self._names())

    def _read(self, shown: Any) -> Any:
        return shown == "yes"

    def _shown(self, value: Any) -> Any:
        return "yes" if self.param.check(value) else "no"


class ChoiceField(Field):
    """One of several values: buttons for a few with a default, else a menu."""

    def _make_control(self) -> Any:
        about = {v.value: v.about for v in self.param.values if isinstance(v.value, int)}
        options = [
            (f"{option}: {about[option]}" if about.get(option) else str(option), str(option))
            for option in self.param.options
        ]
        few = len(options) <= MOST_BUTTONS and sum(len(text) for text, _ in options) <= MOST_LETTERS
        kind = widgets.ToggleButtons if few else widgets.Dropdown
        if self._default() is None:
            unset = "choose one" if self.param.required else UNSET
            kind, options = widgets.Dropdown, [(unset, NONE), *options]
        return kind(options=options, value=self._initial(), **self._names())

    def _read(self, shown: Any) -> Any:
        return next(choice for choice in self.param.options if str(choice) == shown)

    def _shown(self, value: Any) -> Any:
        return str(self.param.check(value))


class MenuField(Field):
    """Text with a menu of known values; any other text may be typed."""

    @property
    def listed(self) -> bool:
        """Whether the service's own list of values is offered."""
        return bool(self.param.listed_by)

    @property
    def lead(self) -> str:
        """What a button says that leads here after a failed run."""
        return f"Choose another {self.param.heading.lower()}"

    @property
    def _placeholder(self) -> str:
        if self.param.required:
            return "choose or type one"
        return f"default {self.default}" if self.default else UNSET

    @property
    def wide(self) -> bool:
        """Whether it takes the whole width: names of checkpoints are long."""
        return self.param.group == "Prompt"

    def _make_control(self) -> Any:
        known = [str(value.value) for value in self.param.values]
        given = {"value": self._initial(), "placeholder": self._placeholder, "options": known}
        return widgets.Combobox(**given, **self._names())

    def offer(self, values: list[str]) -> None:
        """Offer the values that the service lists."""
        if values and list(self.control.options) != values:
            self.control.options = values


class ObjectField(TextField):
    """A JSON object, typed in."""

    @property
    def _placeholder(self) -> str:
        return "a JSON object" if self.param.required else super()._placeholder

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
    """Return the field that suits a parameter that is not an image."""
    kind = _FIELDS.get(param.type, Field)
    if param.options and len(param.options) <= MOST_IN_A_MENU:
        kind = ChoiceField
    elif param.values or (param.listed_by and param.type == "string"):
        kind = MenuField
    elif param.name == "seed":
        kind = SeedField
    return kind(operation, param)


def menu(title: str, options: list[tuple[str, str]], choose: Callable[[str], None]) -> Any:
    """Return a menu of addresses that goes back to its title once one is chosen."""
    shown = widgets.Dropdown(
        options=[(title, title), *options],
        tooltip=title,
    )

    def chosen(change: Any) -> None:
        if change.new and change.new != title:
            choose(change.new)
            shown.value = title

    shown.observe(chosen, "value")
    return shown
