"""Buttons on the cards of results while a kernel lives: copy, and use the image as an input.

Cards are static HTML, so that a hundred of them stay small and a saved notebook shows them as they
were. One widget without a view serves all the cards of a kernel: its script finds them in the page.
"""

from __future__ import annotations

import functools
from typing import Any

import anywidget
import traitlets

from ..catalogue.operations import OPERATIONS
from ..display.rendering import RUN
from ..errors import ImgOpenError
from . import script, style
from .forms.form import Form
from .forms.outcome import input_operations


class CardActions(anywidget.AnyWidget):
    """What the cards of this kernel can do.

    Attributes:
        run: the mark of this kernel's cards.
        uses: the operations that take an image, as (name, text).
    """

    _esm = script("before_after", "cards")
    _css = style("cards", "slider")
    run = traitlets.Unicode(RUN).tag(sync=True)
    uses: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self.uses = input_operations()
        self.on_msg(lambda _, content, buffers: self._receive(content))

    def _receive(self, content: Any) -> None:
        """Open a form for the image of a card; a message of any other shape is ignored."""
        if not isinstance(content, dict) or content.get("kind") != "use":
            return
        operation, image, place = (content.get(name) for name in ("operation", "image", "place"))
        if not isinstance(operation, str) or not isinstance(image, str):
            return
        if operation not in dict(self.uses):
            return
        try:
            form = Form(OPERATIONS[operation], values={"image": image})
        except ImgOpenError as error:
            self.send({"kind": "error", "place": place, "text": error.message})
        else:
            self.send({"kind": "form", "place": place, "model": form.widget.model_id})


@functools.cache
def begin() -> CardActions:
    """Give the cards of this kernel their buttons; once is enough."""
    return CardActions()
