"""Interactive widgets: forms, studio, mask painter, before/after slider, gallery, caption board.

Nothing here is imported before the first of them is used. The browser's code is in `static`: plain
ES modules without a build step, and `display/imgopen.css`.
"""

import re
from pathlib import Path

from ..display.rendering import Rule, css_of, rules

STATIC = Path(__file__).parent / "static"
_ROOTS = re.compile(r"\.imgopen-[\w-]+")


def script(*names: str) -> str:
    """Return the ES module of a widget, which begins with the helpers that all of them share."""
    return "".join((STATIC / f"{file}.js").read_text("utf-8") for file in ("shared", *names))


def style(*names: str) -> str:
    """Return the CSS rules that all widgets share and those for `.imgopen-<name>`.

    A page has the shared rules once for each kind of widget, the last ones after the own rules of
    the others. So a widget's own rules weigh one element more (`:not(i)`): in whatever order the
    widgets appear, they win over shared rules of the same weight.
    """
    shared, own = [], []
    for rule in rules():
        if not rule.widget():
            shared.append(rule)
        elif rule.widget() in names:
            own.append(Rule(_ROOTS.sub(r"\g<0>:not(i)", rule.selectors), rule.body, rule.within))
    return css_of([*shared, *own])
