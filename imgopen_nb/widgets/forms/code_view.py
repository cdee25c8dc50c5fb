"""A call as code, shown in a form with a button that copies it."""

from __future__ import annotations

import anywidget
import traitlets

from .. import STATIC


class CodeView(anywidget.AnyWidget):
    """Pieces of code as (label, text), one of which is shown.

    Attributes:
        codes: the pieces.
    """

    _esm = STATIC / "code.js"
    _css = STATIC / "code.css"
    codes: traitlets.List[tuple[str, str]] = traitlets.List().tag(sync=True)
