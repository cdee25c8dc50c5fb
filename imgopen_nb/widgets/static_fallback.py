"""Widgets that stay readable in a saved notebook: each is followed by an output of static HTML.

A saved widget does not work without its kernel. A few CSS rules hide the static HTML while the
widget above it is alive; without a kernel they hide the widget's empty place instead. The rules
know the outputs of JupyterLab, Notebook 7 and Voila; other front ends show both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import markupsafe

from ..display.progress_bar import in_notebook
from ..display.rendering import render
from ..errors import UsageError
from ..session import Session, current
from ..text import clip

if TYPE_CHECKING:
    from ipywidgets import DOMWidget

VIEW = "application/vnd.jupyter.widget-view+json"


def checked_session(session: Session | None) -> Session | None:
    """Return the session that a widget was given.

    Raises:
        UsageError: it is something else.
    """
    if session is None or isinstance(session, Session):
        return session
    raise UsageError(
        f"session takes a Session, not {clip(repr(session), 60)}",
        hint="leave it out: the widget then uses imgopen.current()",
    )


class NotebookWidget:
    """A widget with a static fallback, which each display of the widget has its own copy of.

    Attributes:
        widget: the ipywidget that is shown.
    """

    widget: DOMWidget

    def __init__(self, session: Session | None = None) -> None:
        self._given_session = checked_session(session)
        self._fallbacks: list[Any] = []

    @property
    def session(self) -> Session:
        """The session it works with: the one it was given, or the current one."""
        return self._given_session or current()

    def static_html(self) -> str:
        """Return the HTML that is shown without a kernel, made by our own templates."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Update the static fallbacks; may be called from any thread."""
        for handle in list(self._fallbacks):
            handle.update(self._static(), raw=True)

    def _ipython_display_(self, **_: Any) -> None:
        from IPython.display import DisplayHandle, display

        if not in_notebook():
            print(repr(self))
            return
        self.widget.add_class("jupyter-widgets")  # the CSS rules find live widgets by this class
        view = {"model_id": self.widget.model_id, "version_major": 2, "version_minor": 0}
        # A page that knows no widgets shows the text of this output, and the HTML of the next.
        bundle = {VIEW: view, "text/plain": ""}
        display(bundle, raw=True)  # type: ignore[no-untyped-call]
        handle = DisplayHandle()  # type: ignore[no-untyped-call]
        handle.display(self._static(), raw=True)  # type: ignore[no-untyped-call]
        self._fallbacks.append(handle)

    def _static(self) -> dict[str, str]:
        html = render("standin.html", content=markupsafe.Markup(self.static_html()))
        return {"text/html": html, "text/plain": repr(self)}
