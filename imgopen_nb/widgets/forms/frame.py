"""What the ipywidgets of a form cannot draw, as one widget that holds them all.

Labels with their default, help and errors below a field, sliders, groups that fold, the result, the
filmstrip and the code. The browser's part is `static/form.js`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from .. import script, style

Handler = Callable[..., None]


class FormFrame(anywidget.AnyWidget):
    """A complete form in the browser.

    Attributes:
        about: what does not change: title, help, and the groups with their fields.
        parts: the ipywidgets, by the name of their field or place.
        states: of each field what it shows besides its value: changed, error.
        summaries: the values of each group in its closed line.
        why: why the form cannot run, as (field, text).
        running: whether a run is in progress; `progress` is its text and share.
        outcome: the last result or error, as the pane shows it.
        pictures: JPEGs of the result, small ones; `main` is a large one, of number `chosen`.
        film: earlier runs, as (task id, text); `frames` are their JPEGs.
        codes: the call as code, as (language, text).
    """

    _esm = script("form")
    _css = style("form", "studio")
    about = traitlets.Dict().tag(sync=True)
    parts = traitlets.Dict().tag(sync=True, **widgets.widget_serialization)
    states = traitlets.Dict().tag(sync=True)
    summaries = traitlets.Dict().tag(sync=True)
    why: traitlets.List[Any] = traitlets.List().tag(sync=True)
    running = traitlets.Bool(False).tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)
    outcome = traitlets.Dict().tag(sync=True)
    main = traitlets.Bytes(b"").tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)
    pictures: traitlets.List[Any] = traitlets.List().tag(sync=True)
    film: traitlets.List[Any] = traitlets.List().tag(sync=True)
    frames: traitlets.List[Any] = traitlets.List().tag(sync=True)
    codes: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def on_order(self, orders: dict[str, Handler]) -> None:
        """Have the function of an order called with its text when the browser sends it.

        Messages from the browser are not trusted: one of any other shape is ignored.
        """

        def receive(_: Any, content: Any, buffers: Any) -> None:
            if not isinstance(content, dict):
                return
            order, text = content.get("kind"), content.get("text", "")
            if isinstance(order, str) and order in orders and isinstance(text, str):
                orders[order](text)

        self.on_msg(receive)
