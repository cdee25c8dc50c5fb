"""The studio: every operation by the mouse; choose one, and its form appears."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from ...catalogue.operations import OPERATIONS
from ...session import Session
from ...tasks.result import Result
from ..static_fallback import Live
from .form import Form


class Studio(Live):
    """A choice of operations, and the form of the one that is chosen.

    A form keeps what was typed, and its result, while another one is in front.
    """

    def __init__(self, session: Session | None = None, operation: str = "describe") -> None:
        super().__init__(session)
        self._forms: dict[str, Form] = {}
        options = [(f"{row.name}: {row.about}", row.name) for row in OPERATIONS.runnable]
        self.choice = widgets.Dropdown(
            options=options,
            value=OPERATIONS[operation].name,
            description="operation",
            tooltip="what to do; its form appears below",
            layout=widgets.Layout(width="100%", max_width="52rem"),
        )
        self._place = widgets.VBox()
        self._box = widgets.VBox([self.choice, self._place])
        self._box.add_class("imgopen-form")
        self.choice.observe(lambda _: self._show(), "value")
        self._show()

    @property
    def widget(self) -> widgets.VBox:
        """All of the studio."""
        return self._box

    @property
    def form(self) -> Form:
        """The form in front."""
        name = self.choice.value
        if name not in self._forms:
            self._forms[name] = Form(OPERATIONS[name], self._given_session)
            self._forms[name].on_end(lambda _: self.refresh())
        return self._forms[name]

    @property
    def result(self) -> Result | None:
        """The last result of the form in front."""
        return self.form.result

    def choose(self, operation: str) -> Form:
        """Bring the form of an operation to the front and return it."""
        self.choice.value = OPERATIONS[operation].name
        return self.form

    def stand_in(self) -> str:
        """Return the stand-in of the form in front."""
        return self.form.stand_in()

    def __repr__(self) -> str:
        return "%imgopen studio"

    def _show(self) -> Any:
        self._place.children = [self.form.widget]
        self.refresh()


def studio(operation: str = "describe", session: Session | None = None) -> Studio:
    """Return the studio, to be shown as the last expression of a cell.

    Args:
        operation: whose form is in front at first.
        session: what to work with; the current session if not given.

    Raises:
        UnknownNameError: there is no such operation.
    """
    return Studio(session, operation)
