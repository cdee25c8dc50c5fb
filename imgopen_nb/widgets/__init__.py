"""Interactive widgets: forms, studio, mask painter, before/after slider, gallery, caption board.

Nothing here is imported before the first of them is used. The browser's code is in `static`: plain
ES modules without a build step, and `display/imgopen.css`.
"""

from pathlib import Path

from ..display.rendering import css_of, rules

STATIC = Path(__file__).parent / "static"


def script(*names: str) -> str:
    """Return the ES module of a widget, which begins with the helpers that all of them share."""
    return "".join((STATIC / f"{file}.js").read_text("utf-8") for file in ("shared", *names))


def style(*names: str) -> str:
    """Return the CSS rules that all widgets share and those for `.imgopen-<name>`."""
    return css_of(rule for rule in rules() if rule.widget() in ("", *names))
