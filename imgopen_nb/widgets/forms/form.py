"""Forms: an operation's row of the catalogue as ipywidgets, run without blocking the kernel.

A form also shows its call as code, and a call in code can be opened as a form.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_args

import ipywidgets as widgets
import markupsafe

from ...catalogue.conventions import GROUPS
from ...catalogue.operation import Operation
from ...catalogue.operations import OPERATIONS
from ...catalogue.parameter import Group, Param
from ...config.settings import VENDOR_URL
from ...display.rendering import render
from ...errors import ImgOpenError, JournalError, WaitCancelledError
from ...session import Session
from ...syntax.snippets import curl, magic_line, python_call
from ...tasks.cards import result_bundle, result_view
from ...tasks.result import Result
from ..static_fallback import NotebookWidget
from .fields import Field, MenuField, TextField, field_for
from .frame import FormFrame
from .outcome import Outcome, input_operations
from .picture_fields import MaskField, PictureField, PicturesField
from .run import Run

# The groups above the Run button; the others fold below it.
ALWAYS_OPEN = ("Image", "Prompt", "Options")
# What a list of the service calls the values that a field takes.
LISTED = {
    "models": "sdModelCheckpoint", "vaes": "sdVaeFileName", "loras": "sdLoraFileSimplifyName",
}  # fmt: skip
MOST_LISTED = 100


class Form(NotebookWidget):
    """A form of one operation.

    Attributes:
        operation: the catalogue's row.
        fields: the fields, by the parameter's name.
        result: the last result, None before the first.
        error: why the last run has no result, None if it has one.
        run_button, cancel_button: can be pressed from Python with `click()`.
        on_use: called with an operation and an image of the result that it is to take.
        widget: the complete form.
    """

    widget: FormFrame

    def __init__(
        self, operation: Operation, session: Session | None = None, values: Mapping[str, Any] = {}
    ) -> None:
        super().__init__(session)
        self.operation = operation
        self.result: Result | None = None
        self.error: ImgOpenError | None = None
        self._run: Run | None = None
        self._tried = self._filling = False
        self._callbacks: list[Callable[[Form], None]] = []
        self.on_use: Callable[[str, str], None] = self._open_below
        self.fields: dict[str, Field] = {p.name: self._field(p) for p in operation.user_params}
        # From the top of the form to its end.
        self._order = [name for _, found in self._groups() for name in found]
        self._build()
        self.values = values
        self._offer_results()

    @property
    def values(self) -> dict[str, Any]:
        """The parameters that the user set, by name; the service's defaults apply to the rest."""
        found = {name: field.value for name, field in self.fields.items()}
        return {name: value for name, value in found.items() if value is not None}

    @values.setter
    def values(self, values: Mapping[str, Any]) -> None:
        found = {self.operation.param(name).name: value for name, value in values.items()}
        self._filling = True
        try:
            for name, value in found.items():
                self.fields[name].value = value
        finally:
            self._filling = False
            self._changed()

    @property
    def problems(self) -> dict[str, str]:
        """Why the form cannot run, by parameter."""
        found = {name: field.problem() for name, field in self.fields.items()}
        found = {name: problem for name, problem in found.items() if problem}
        one_of = self.operation.one_of
        given = [name for name in one_of if self.fields[name].value is not None]
        if one_of and len(given) != 1:
            names = " or ".join(self.fields[name].param.heading.lower() for name in one_of)
            many = f"only one of {names} may be given"
            found.setdefault(one_of[0], many if given else f"{names} is needed")
        return found

    @property
    def line(self) -> str:
        """The magic line that makes the same call."""
        return magic_line(self.operation, self.values)

    @property
    def running(self) -> bool:
        """Whether a run is in progress."""
        return self._run is not None

    def run(self, *, fresh: bool = False) -> None:
        """Start a run, as the Run button does; does nothing while there are problems.

        Args:
            fresh: whether to send it even if the history has its result, like "Ask again".
        """
        self._tried = True
        self._changed()
        if self.problems or self._run is not None:
            return
        call = (self.operation.name, self.values, self._show_progress, self._finish)
        self._run = Run(lambda: self.session, *call, fresh=fresh)
        self._offer_again(False)
        for field in self.fields.values():
            field.commit()
        self._update_buttons()
        self._run.start()

    def cancel(self) -> None:
        """Stop waiting for the current run; its task stays in the history."""
        if self._run is not None:
            self._run.cancel()

    def on_end(self, call: Callable[[Form], None]) -> None:
        """Have `call(form)` called after each run, in the thread of the run."""
        self._callbacks.append(call)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the current run has ended; this blocks the kernel."""
        if self._run is not None:
            self._run.join(seconds)

    def static_html(self) -> str:
        """Return the last result or error as HTML, and the magic line."""
        last = str(result_bundle(self.result)["text/html"]) if self.result else ""
        if self.error is not None:
            last = render("formerror.html", message=self.error.message, hint=self.error.hint)
        told = markupsafe.escape(self.line) in last  # the card of a result ends with its line
        line = "" if told else self.line
        return render("formstatic.html", line=line, result=markupsafe.Markup(last))

    def __repr__(self) -> str:
        return self.line

    def _field(self, param: Param) -> Field:
        field: Field
        if param.picture:
            field = self._picture_field(param)
            field.on_checked(self._changed)
        else:
            field = field_for(self.operation, param)
        field.on_change(self._changed)
        field.on_note(lambda: self._show_states())
        return field

    def _picture_field(self, param: Param) -> PictureField:
        if param.name != "mask":
            kind = PicturesField if param.type == "images" else PictureField
            return kind(self.operation, param, lambda: self.session)
        return MaskField(self.operation, param, lambda: self.session)

    def _build(self) -> None:
        self._join_mask()
        self.run_button = widgets.Button(description="Run", tooltip="Run (Ctrl+Enter)")
        self.cancel_button = widgets.Button(description="Stop waiting", disabled=True)
        self.again_button = widgets.Button(
            description="Ask again", tooltip="Send it, although the history has its result"
        )
        self._offer_again(False)
        self.again_button.on_click(lambda _: self.run(fresh=True))
        self.run_button.on_click(lambda _: self.run())
        self.cancel_button.on_click(lambda _: self.cancel())
        self._card, self._next = widgets.HTML(), widgets.VBox()
        self.widget = FormFrame()
        self._outcome = Outcome(
            self.widget, self.operation, lambda: self.session, self._use_as_input
        )
        places = {
            "run": self.run_button, "cancel": self.cancel_button, "again": self.again_button,
            "card": self._card, "compare": self._outcome.place, "next": self._next,
        }  # fmt: skip
        parts = {f"field {name}": field.parts for name, field in self.fields.items()}
        parts |= {name: [place] for name, place in places.items()}
        self.widget.parts, self.widget.about = parts, self._about()
        self.widget.on_order(self._orders())

    def _join_mask(self) -> None:
        """Have the painter open over the image of the form."""
        mask, image = self.fields.get("mask"), self.fields.get("image")
        if isinstance(mask, MaskField) and isinstance(image, PictureField):
            mask.picture, mask.opened = (lambda: image.value), image.hide_preview
            if mask.param.required:
                image.on_seen(mask.paint_over)

    def _groups(self) -> list[tuple[str, list[str]]]:
        """Return the groups that the form has, with the names of their fields in order."""
        groups = []
        for group in get_args(Group):
            found = [param for param in self.operation.user_params if param.group == group]
            if found:
                groups.append((group, [param.name for param in sorted(found, key=_place)]))
        return groups

    def _about(self) -> dict[str, Any]:
        groups = [
            {
                "name": group,
                "folds": group not in ALWAYS_OPEN,
                "open": group not in ("Advanced", "High resolution"),
                "fields": [self.fields[name].about() for name in names],
            }
            for group, names in self._groups()
        ]
        return {
            "name": self.operation.name,
            "title": self.operation.heading,
            "about": self.operation.about,
            "sandbox": self.session.backend == "sandbox",
            "groups": groups,
            "uses": input_operations(),
        }

    def _orders(self) -> dict[str, Callable[[str], None]]:
        """Return what the browser may ask for."""
        slow: dict[str, Callable[[str], None]] = {
            "ready": self._outcome.read_earlier,
            "list": self._list_if_known,
            "refresh": self._list_again,
            "choose": self._outcome.choose,
            "save": self._outcome.save,
            "compare": self._outcome.compare,
            "use": self._outcome.use,
            "earlier": self._open_earlier,
        }
        return {
            "run": self._run_typed,
            "cancel": lambda _: self.cancel(),
            "seed": self._use_seed,
            "reset": self._reset,
            **{name: partial(self._in_background, work) for name, work in slow.items()},
        }

    def _in_background(self, work: Callable[[str], None], text: str) -> None:
        """Do what may take time in a thread; the form shows why it did not work."""

        def run() -> None:
            try:
                work(text)
            except ImgOpenError as error:
                self._outcome.show_error(error)

        threading.Thread(target=run, daemon=True).start()

    def _run_typed(self, text: str) -> None:
        """Run with what has been typed, which may come later than the order to run."""
        with contextlib.suppress(ValueError):
            typed = json.loads(text)
            for name, value in typed.items() if isinstance(typed, dict) else ():
                if name in self.fields and isinstance(value, str):
                    self.fields[name].control.value = value
        self.run()

    def _use_seed(self, text: str) -> None:
        """Take over the seed of the image that is shown."""
        if "seed" in self.fields and text.isdecimal():
            self.fields["seed"].value = int(text)

    def _lead(self, error: ImgOpenError) -> tuple[str, str] | None:
        """Return the field that an error speaks of, with what its button says.

        A field whose value the error quotes comes before one that it only names.
        """
        said = f"{error.message} {error.hint or ''}".casefold()

        def found(word: str) -> bool:
            return re.search(rf"(?<![\w-]){re.escape(word.casefold())}(?![\w-])", said) is not None

        values = {name: str(value) for name, value in self.values.items()}
        quoted = [name for name, value in values.items() if len(value) > 3 and found(value)]
        named = [
            name
            for name, field in self.fields.items()
            if found(field.param.heading) or found(name) or found(field.param.wire)
        ]
        name = next(iter(quoted + named), "")
        return (name, self.fields[name].lead) if name else None

    def _reset(self, name: str) -> None:
        """Have the default of a field apply again, of all if no name is given."""
        self._filling = True
        try:
            for field in [self.fields[name]] if name in self.fields else self.fields.values():
                field.value = None
        finally:
            self._filling = False
            self._changed()

    def _list_if_known(self, name: str) -> None:
        """Offer the values that the service lists; a list that cannot be had is not missed."""
        with contextlib.suppress(ImgOpenError):
            self._list(name)

    def _list_again(self, name: str) -> None:
        """Ask the service for its list, although the history has one."""
        self._list(name, fresh=True)

    def _list(self, name: str, *, fresh: bool = False) -> None:
        field = self.fields.get(name)
        if isinstance(field, (MenuField, TextField)) and (listed := field.param.listed_by):
            found = self.session.run(listed, page_size=MOST_LISTED, fresh=fresh)
            named = (row.get(LISTED[listed]) for row in found.rows)
            field.offer([value for value in named if isinstance(value, str)])

    def _open_earlier(self, task_id: str) -> None:
        """Fill the form with an earlier run and show its result."""
        task = self.session.task(task_id)
        known = {param.name: param.preset for param in self.operation.user_params}
        given = {n: v for n, v in task.params.items() if n in known and v not in (None, known[n])}
        self.values = {**dict.fromkeys(self.fields), **given}
        result = task.result()
        self.result, self.error = result, None
        self._show(result)

    def _show(self, result: Result) -> None:
        view = result_view(result)
        self._card.value = render("formresult.html", **view)
        self._outcome.show(result, view["details"])

    def _use_as_input(self, operation: str, image: str) -> None:
        self.on_use(operation, image)

    def _open_below(self, operation: str, image: str) -> None:
        """Give an image to this form, or to one of another operation that opens below."""
        if operation == self.operation.name:
            self.values = {"image": image}
        else:
            self._next.children = [
                Form(OPERATIONS[operation], self._given_session, {"image": image}).widget
            ]

    def _changed(self) -> None:
        if self._filling:
            return
        problems = self.problems
        for name, field in self.fields.items():
            # A missing value is an error only after the first try to run.
            wanted = self._tried or field.value is not None
            field.show_error(problems.get(name, "") if wanted else "")
        with self.widget.hold_sync():
            self.widget.why = [
                (name, self.fields[name].param.heading, problems[name])
                for name in self._order
                if name in problems
            ]
            self._show_states()
            self.widget.summaries = self._summaries()
            self.widget.codes = self._codes()
        self._update_buttons()

    def _show_states(self) -> None:
        if self._filling:
            return
        self.widget.states = {
            name: {"changed": field.value is not None, "error": field.error}
            for name, field in self.fields.items()
        }

    def _summaries(self) -> dict[str, str]:
        """Return for a group's closed line what the user set in it, and what is still missing."""
        found: dict[str, str] = {}
        for group, names in self._groups():
            fields = [self.fields[name] for name in names]
            empty = [field for field in fields if field.param.required and field.value is None]
            missing = ", ".join(field.param.heading.lower() for field in empty)
            said = [f"needed: {missing}" if missing else "", *(field.summary for field in fields)]
            found[group] = " · ".join(filter(None, said)) or "defaults"
        return found

    def _offer_results(self) -> None:
        """Fill the menus of earlier results, unless the history cannot be read."""
        with contextlib.suppress(JournalError):
            for field in self.fields.values():
                if isinstance(field, PictureField):
                    field.offer_results()

    def _codes(self) -> list[tuple[str, str]]:
        values = self.values
        url = self.session.settings.base_url or VENDOR_URL
        try:
            command = curl(self.operation, values, url)
        except ImgOpenError as error:
            command = f"# {error.message}"
        call = python_call(self.operation, values)
        return [("Magic", self.line), ("Python", call), ("curl", command)]

    def _offer_again(self, offered: bool) -> None:
        self.again_button.layout.display = None if offered else "none"

    def _update_buttons(self) -> None:
        self.run_button.disabled = self._run is not None or bool(self.problems)
        self.cancel_button.disabled = self._run is None
        self.widget.running = self._run is not None

    def _show_progress(self, text: str, share: float | None) -> None:
        self.widget.progress = {"text": text, "share": share}

    def _finish(self, outcome: Result | ImgOpenError) -> None:
        """Show the result or the error of a run; called in the thread of the run."""
        if isinstance(outcome, WaitCancelledError):
            self.error = outcome
            self._outcome.show_stopped(outcome)
        elif isinstance(outcome, ImgOpenError):
            self.error = outcome
            self._outcome.show_error(outcome, self._lead(outcome), again=True)
        else:
            self.result, self.error = outcome, None
            self._offer_again(outcome.cached)
            self._show(outcome)
        self._run = None
        self._update_buttons()
        self.widget.progress = {}
        self._offer_results()
        self.refresh()
        for call in self._callbacks:
            call(self)


def _place(param: Param) -> tuple[bool, int]:
    """Return where a field is in its group: what is required first, then as in `GROUPS`."""
    names = GROUPS.get(param.group, ())
    return not param.required, names.index(param.name) if param.name in names else len(names)


def form(operation: str, /, session: Session | None = None, **values: Any) -> Form:
    """Return the form of an operation, to be shown as the last expression of a cell.

    Args:
        operation: a name of the catalogue, e.g. "describe".
        session: what to work with; the current session if not given.
        **values: initial values of the parameters.

    Raises:
        UnknownNameError: there is no such operation or parameter.
        ParameterError: a value does not fit its field.
    """
    return Form(OPERATIONS[operation], session, values)
