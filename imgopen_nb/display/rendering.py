"""HTML templates: Jinja2 with autoescape and inline style; loaded with the first output."""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..text import cut, short_path, shown, visible

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """Return a filled-in template: values are escaped, CSS rules that do not apply are left out."""
    html = environment().get_template(template).render(values).strip()
    css = str(environment().globals["css"])
    return html.replace(css, _needed(css, html.replace(css, "")), 1)


def _needed(css: str, html: str) -> str:
    """Return the rules whose classes and elements occur: each output has its own copy of them."""
    names = {f".{name}" for part in re.findall(r'class="([^"]*)"', html) for name in part.split()}
    names |= set(re.findall(r"<(\w+)", html)) | {"*"}

    def kept(rules: str) -> str:
        return "".join(r[0] for r in _RULE.finditer(rules) if _applies(r[1], names))

    media = "".join(m[1] + kept(m[2]) + "}" for m in _MEDIA.finditer(css))
    return kept(_MEDIA.sub("", css)) + media


def _applies(selectors: str, names: set[str]) -> bool:
    parts = (re.findall(r"\.[\w-]+|(?<![\w.:-])[a-z]+\d?|\*", s) for s in selectors.split(","))
    return any(all(part in names for part in wanted) for wanted in parts)


_MEDIA = re.compile(r"(@media[^{]*\{)((?:[^{}]*\{[^{}]*\})*)\}")
_RULE = re.compile(r"([^{}]+)\{[^{}]*\}")


def middle(text: str, most: int) -> str:
    """Return visible text, shortened in the middle because the ends of an address matter most."""
    keep = (most - 1) // 2
    return visible(text if len(text) <= most else f"{text[:keep]}…{text[-keep:]}")


def is_link(text: str) -> bool:
    """Whether a text is a plain http(s) address, which is safe in an `href`."""
    if len(text) > 2000 or visible(text) != text or re.search(r"[\s<>\"'`\\]", text):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None


@functools.cache
def environment() -> jinja2.Environment:
    """Return the Jinja2 environment with the style and the filters."""
    import jinja2

    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {"cut": cut, "say": shown, "middle": middle, "short": short_path}
    env.tests["link"] = is_link
    scope, css = _style()
    env.globals |= {"scope": scope, "css": _markup(css)}
    return env


def _markup(css: str) -> Any:
    import markupsafe

    return markupsafe.Markup(css)


def tokens() -> str:
    """Return the colours that cards and widgets share, as CSS declarations."""
    return (TEMPLATES / "tokens.css").read_text("utf-8")


def _style() -> tuple[str, str]:
    """Return a class and the minified CSS, with every rule scoped to the class."""
    css = (TEMPLATES / "style.css").read_text("utf-8").replace("TOKENS", tokens())
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    css = re.sub(r"\s*([{};,])\s*", r"\1", re.sub(r"\s+", " ", css)).strip()
    scope = "imgopen-" + hashlib.sha256(css.encode()).hexdigest()[:6]
    return scope, css.replace("SCOPE", "." + scope)
