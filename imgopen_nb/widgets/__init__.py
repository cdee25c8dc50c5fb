"""Interactive widgets: forms, studio, mask painter, before/after slider, gallery, caption board.

Nothing here is imported before the first of them is used. The browser's code is in `static`: plain
ES modules and CSS without a build step.
"""

import re
from pathlib import Path

from ..display.rendering import TEMPLATES, tokens

STATIC = Path(__file__).parent / "static"


def script(name: str) -> str:
    """Return the ES module of a widget, which begins with the helpers that all of them share."""
    return "".join((STATIC / f"{file}.js").read_text("utf-8") for file in ("shared", name))


def style(name: str) -> str:
    """Return the CSS rules that all widgets share and those for `.imgopen-<name>`."""
    css = (STATIC / "style.css").read_text("utf-8").replace("TOKENS", tokens())
    rules = re.split(r"\n(?=[.@])", css)
    return "\n".join(r for r in rules if re.search(rf"\.imgopen-(widget|{name})\b", r))


def sheet() -> str:
    """Return the tokens and base components that all share, and the rules for forms."""
    base = (TEMPLATES.parent / "imgopen.css").read_text("utf-8")
    return base + (STATIC / "forms.css").read_text("utf-8")
