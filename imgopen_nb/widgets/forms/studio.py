"""The studio: a menu of all operations above the form of the chosen one."""

from __future__ import annotations

from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from ...catalogue.operations import OPERATIONS
from ...session import Session
from ...tasks.result import Result
from .. import script, style
from ..static_fallback import NotebookWidget
from .form import Form


class OperationMenu(anywidget.AnyWidget):
    """A menu of all operations by group, which ipywidgets' own cannot show.

    Attributes:
        groups: (group, [(name of an operation, its line in the menu), ...]), as shown.
        value: the operation that is chosen.
    """

    _esm = script("studio")
    _css = style("studio")
    groups: traitlets.List[Any] = traitlets.List().tag(sync=True)
    value = traitlets.Unicode().tag(sync=True)

    @traitlets.validate("value")
    def _known(self, proposal: Any) -> str:
        """Refuse a name that the browser made up."""
        return OPERATIONS[proposal["value"]].name


class Studio(NotebookWidget):
    """A menu of operations and the form of the chosen one.

    A form keeps its values and its result while another one is shown.

    Attributes:
        choice: the menu.
        widget: the menu and the form.
    """

    def __init__(self, session: Session | None = None, operation: str = "describe") -> None:
        super().__init__(session)
        self._forms: dict[str, Form] = {}
        self._image: Any = None  # of the form before, for the next one that has none yet
        groups: dict[str, list[tuple[str, str]]] = {}
        for row in OPERATIONS.runnable:
            groups.setdefault(row.group, []).append((row.name, row.heading))
        self.choice = OperationMenu(groups=list(groups.items()), value=OPERATIONS[operation].name)
        self._place = widgets.VBox()
        self.widget = widgets.VBox([self.choice, self._place])
        for name in ("imgopen", "imgopen-studio"):
            self.widget.add_class(name)
        self.choice.observe(self._changed, "value")
        self._show()

    @property
    def form(self) -> Form:
        """The form that is shown."""
        name = self.choice.value
        if name not in self._forms:
            self._forms[name] = Form(OPERATIONS[name], self._given_session)
            self._forms[name].on_end(lambda _: self.refresh())
            self._forms[name].on_use = self._use
        return self._forms[name]

    @property
    def result(self) -> Result | None:
        """The last result of the form that is shown."""
        return self.form.result

    def choose(self, operation: str) -> Form:
        """Show the form of an operation and return it."""
        self.choice.value = OPERATIONS[operation].name
        return self.form

    def static_html(self) -> str:
        """Return the static HTML of the form that is shown."""
        return self.form.static_html()

    def __repr__(self) -> str:
        return "%imgopen studio"

    def _use(self, operation: str, image: str) -> None:
        """Show the form of an operation with an image of a result."""
        self.choose(operation).values = {"image": image}

    def _changed(self, change: Any) -> None:
        """Show another form; an image that was chosen goes with the user."""
        self._image = self._forms[change.old].values.get("image") or self._image
        form = self.form
        if self._image and "image" in form.fields and form.fields["image"].value is None:
            form.values = {"image": self._image}
        self._show()

    def _show(self) -> None:
        self._place.children = [self.form.widget]
        self.refresh()


def studio(operation: str = "describe", session: Session | None = None) -> Studio:
    """Return the studio, to be shown as the last expression of a cell.

    Args:
        operation: the operation whose form is shown first.
        session: what to work with; the current session if not given.

    Raises:
        UnknownNameError: there is no such operation.
    """
    return Studio(session, operation)
