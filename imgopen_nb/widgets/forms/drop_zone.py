"""The place of a form where a picture is dropped, pasted or chosen, and shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from .. import STATIC

MOST_NAME = 200


class DropZone(anywidget.AnyWidget):
    """A small picture and a line of text; the browser's files come to `on_file`.

    Attributes:
        preview: the JPEG that is shown, b"" for none; the original never stays in the widget.
        text, alt, label: what stands beside it, describes it, and names it for screen readers.
        several: whether more than one file may be chosen at once.
    """

    _esm = STATIC / "dropzone.js"
    _css = STATIC / "dropzone.css"
    preview = traitlets.Bytes(b"").tag(sync=True)
    text = traitlets.Unicode("drop, paste or choose a picture").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    label = traitlets.Unicode("picture").tag(sync=True)
    several = traitlets.Bool(False).tag(sync=True)

    def on_file(self, take: Callable[[str, bytes], None], refuse: Callable[[str], None]) -> None:
        """Have `take(name, bytes)` called for each file, `refuse(text)` for one that is too large.

        What the browser sends is not trusted: anything of another form is ignored.
        """

        def hear(_: Any, content: Any, buffers: list[memoryview]) -> None:
            kind = content.get("kind") if isinstance(content, dict) else None
            name = str(content.get("name", ""))[:MOST_NAME] if kind else ""
            if kind == "file" and len(buffers) == 1:
                take(name, bytes(buffers[0]))
            elif kind == "too large":
                refuse(f"{name} is larger than 50 MB")

        self.on_msg(hear)
