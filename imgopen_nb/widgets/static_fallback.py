"""Widgets that leave something readable behind: a static stand-in in the output after them.

A saved widget needs its kernel. So each of ours is shown together with plain HTML, which a few
rules of CSS hide as long as the widget above it lives; without a kernel they hide the widget's
empty place instead. The rules know the outputs of JupyterLab, Notebook 7 and Voila; elsewhere both
are seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import markupsafe

from ..display.progress_bar import in_notebook
from ..display.rendering import render
from ..session import Session, current

if TYPE_CHECKING:
    from ipywidgets import DOMWidget

VIEW = "application/vnd.jupyter.widget-view+json"


class Live:
    """A widget with its stand-in. A subclass says what each of them is.

    The stand-in is made anew by `refresh`; a display of the widget in another cell has its own.
    """

    def __init__(self, session: Session | None = None) -> None:
        self._given_session = session
        self._stand_ins: list[Any] = []

    @property
    def session(self) -> Session:
        """The session it works with: the one it was given, or the current one."""
        return self._given_session or current()

    @property
    def widget(self) -> DOMWidget:
        """The widget that is shown."""
        raise NotImplementedError

    def stand_in(self) -> str:
        """Return the HTML that is read where no kernel is, made by our own templates."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Bring the stand-ins up to date; any thread may do so."""
        for handle in list(self._stand_ins):
            handle.update(self._static(), raw=True)

    def _ipython_display_(self, **_: Any) -> None:
        from IPython.display import DisplayHandle, display

        if not in_notebook():
            print(repr(self))
            return
        self.widget.add_class("jupyter-widgets")  # by which the rules know that it lives
        view = {"model_id": self.widget.model_id, "version_major": 2, "version_minor": 0}
        bundle = {VIEW: view, "text/plain": repr(self)}
        display(bundle, raw=True)  # type: ignore[no-untyped-call]
        handle = DisplayHandle()  # type: ignore[no-untyped-call]
        handle.display(self._static(), raw=True)  # type: ignore[no-untyped-call]
        self._stand_ins.append(handle)

    def _static(self) -> dict[str, str]:
        html = render("standin.html", content=markupsafe.Markup(self.stand_in()))
        return {"text/html": html, "text/plain": ""}
