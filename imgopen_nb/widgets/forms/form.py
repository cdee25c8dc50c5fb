"""Forms: an operation's row of the catalogue as ipywidgets, run without blocking the kernel.

A form also shows its call as code, and a call in code can be opened as a form.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import ipywidgets as widgets
import markupsafe
import traitlets

from ...catalogue.operation import Operation
from ...catalogue.operations import OPERATIONS
from ...catalogue.parameter import Param
from ...config.settings import VENDOR_URL
from ...display.rendering import render
from ...errors import ImgOpenError, JournalError
from ...session import Session
from ...syntax.snippets import curl, magic_line, python_call
from ...tasks.cards import result_bundle
from ...tasks.result import Result
from .. import script, style
from ..static_fallback import NotebookWidget
from .fields import Field, field_for
from .picture_fields import MaskField, PictureField, PicturesField
from .run import Run

# Besides the required parameters, the ones that most people need.
FIRST = ("image", "mask", "prompt", "model", "scale", "text", "watermark", "position", "opacity")


class CodeView(anywidget.AnyWidget):
    """A call as code, one version of it shown at a time, with a button that copies it.

    Attributes:
        codes: the versions, as (label, text).
    """

    _esm = script("code")
    _css = style("code")
    codes: traitlets.List[tuple[str, str]] = traitlets.List().tag(sync=True)


class Form(NotebookWidget):
    """A form of one operation.

    Attributes:
        operation: the catalogue's row.
        fields: the fields, by the parameter's name.
        result: the last result, None before the first.
        error: why the last run has no result, None if it has one.
        run_button, cancel_button: can be pressed from Python with `click()`.
        widget: the complete form.
    """

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
        self.fields: dict[str, Field] = {p.name: self._field(p) for p in operation.user_params}
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
        return {name: problem for name, problem in found.items() if problem}

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
        """Return the magic line and the last result as HTML."""
        result = markupsafe.Markup(self._outcome.value)
        return render("formstatic.html", line=self.line, result=result)

    def __repr__(self) -> str:
        return self.line

    def _field(self, param: Param) -> Field:
        field = self._picture_field(param) if param.picture else field_for(self.operation, param)
        field.on_change(self._changed)
        return field

    def _picture_field(self, param: Param) -> PictureField:
        if param.name != "mask":
            kind = PicturesField if param.type == "images" else PictureField
            return kind(self.operation, param, lambda: self.session)
        field = MaskField(self.operation, param, lambda: self.session)
        field.picture = lambda: self.fields["image"].value
        return field

    def _build(self) -> None:
        operation = self.operation
        head = widgets.HTML(render("formhead.html", name=operation.name, about=operation.about))
        first = [self.fields[p.name].box for p in operation.user_params if _comes_first(p)]
        more = [self.fields[p.name].box for p in operation.user_params if not _comes_first(p)]
        self.run_button = widgets.Button(description="Run", button_style="primary")
        self.cancel_button = widgets.Button(description="Cancel", disabled=True)
        self.again_button = widgets.Button(
            description="Ask again", tooltip="Send it, although the history has its result"
        )
        self._offer_again(False)
        self.again_button.on_click(lambda _: self.run(fresh=True))
        self.run_button.on_click(lambda _: self.run())
        self.cancel_button.on_click(lambda _: self.cancel())
        self._progress, self._outcome = widgets.HTML(), widgets.HTML()
        self._code = CodeView()
        buttons = widgets.HBox(
            [self.run_button, self.cancel_button, self.again_button, self._progress]
        )
        buttons.add_class("imgopen-row")
        folded = [_Folded("More", more)] if more else []
        self.widget = widgets.VBox(
            [head, *first, *folded, buttons, self._outcome, _Folded("As code", [self._code])]
        )
        self.widget.add_class("imgopen-form")

    def _changed(self) -> None:
        if self._filling:
            return
        problems = self.problems
        for name, field in self.fields.items():
            # A missing value is an error only after the first try to run.
            wanted = self._tried or field.value is not None
            field.show_error(problems.get(name, "") if wanted else "")
        self._update_buttons()
        self._code.codes = self._codes()

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

    def _show_progress(self, text: str, share: float | None) -> None:
        self._progress.value = render("progress.html", text=text, share=share)

    def _finish(self, outcome: Result | ImgOpenError) -> None:
        """Show the result or the error of a run; called in the thread of the run."""
        if isinstance(outcome, ImgOpenError):
            self.error = outcome
            html = render("formerror.html", message=outcome.message, hint=outcome.hint)
        else:
            self.result, self.error = outcome, None
            self._offer_again(outcome.cached)
            html = result_bundle(outcome)["text/html"]
        self._outcome.value, self._progress.value = html, ""
        self._run = None
        self._update_buttons()
        self._offer_results()
        self.refresh()
        for call in self._callbacks:
            call(self)


def _comes_first(param: Param) -> bool:
    return param.required or param.name in FIRST


class _Folded(widgets.VBox):  # type: ignore[misc]
    """A button that shows and hides what is below it; the keyboard cannot reach an Accordion."""

    def __init__(self, title: str, children: list[Any]) -> None:
        self.inside = widgets.VBox(children)
        self.button = widgets.ToggleButton(
            value=False, description=title, tooltip=title, icon="caret-right"
        )
        self.button.observe(lambda _: self._toggle(), "value")
        super().__init__([self.button, self.inside])
        self._toggle()

    def _toggle(self) -> None:
        opened = self.button.value
        self.inside.layout.display = "" if opened else "none"
        self.button.icon = "caret-down" if opened else "caret-right"


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
