"""HTML templates: Jinja2 with autoescape and inline style; loaded with the first output."""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..text import cut, short_path, shown, visible

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).parent / "templates"
SHEET = Path(__file__).parent / "imgopen.css"
RUN = secrets.token_hex(3)  # marks the cards of this process: its kernel alone answers for them


# A box that scrolls, as templates write it; the keyboard has to reach it to scroll it.
_SCROLLS = '<div class="io-scroll'


def render(template: str, **values: Any) -> str:
    """Return a filled-in template: values are escaped, CSS rules that do not apply are left out."""
    html = environment().get_template(template).render(values).strip()
    html = html.replace(_SCROLLS, f'<div tabindex="0"{_SCROLLS[4:]}')
    return html.replace(_EMPTY, f"<style>{_scoped(html)}</style>", 1)


@dataclass(frozen=True)
class Rule:
    """A CSS rule: its selectors, its declarations, and the at-rule that it stands in, or ""."""

    selectors: str
    body: str
    within: str = ""

    def widget(self) -> str:
        """The widget whose section it belongs to, "" if it is for all."""
        found = re.search(r"\.imgopen-(\w+)", self.selectors)
        return found[1] if found else ""

    @property
    def keyframes(self) -> str:
        """The animation that it is a step of, or ""."""
        return self.within.partition("@keyframes ")[2].strip()


@functools.cache
def rules() -> tuple[Rule, ...]:
    """Return the rules of the style sheet in its order, without comments and spare spaces."""
    css = re.sub(r"/\*.*?\*/", "", SHEET.read_text("utf-8"), flags=re.DOTALL)
    css = re.sub(r"\s*([{};,])\s*", r"\1", re.sub(r"\s+", " ", css)).strip()
    css = re.sub(r"([\w-]): ", r"\1:", css).replace(";}", "}").replace(" > ", ">")
    css = _constants_in_place(css)
    found = []
    for at in re.finditer(r"(@[^{]*)\{((?:[^{}]*\{[^{}]*\})*)\}|([^{}]+)\{([^{}]*)\}", css):
        if at[1]:
            inner = re.finditer(r"([^{}]+)\{([^{}]*)\}", at[2])
            found += [Rule(rule[1], rule[2], at[1]) for rule in inner]
        else:
            found.append(Rule(at[3], at[4]))
    return tuple(found)


def _constants_in_place(css: str) -> str:
    """Return CSS with the lengths of tokens that have one value: it is shorter, as outputs need."""
    values = Counter(name for name, _ in _CUSTOM.findall(css))
    lengths = {
        n: v for n, v in _CUSTOM.findall(css) if values[n] == 1 and re.fullmatch(r"\d+px", v)
    }
    return re.sub(r"var\((--[\w-]+)\)", lambda at: lengths.get(at[1], at[0]), css)


def css_of(kept: Iterable[Rule]) -> str:
    """Return rules as CSS, without the custom properties that none of them uses."""
    kept = list(kept)
    declared = [pair for rule in kept for pair in _CUSTOM.findall(rule.body)]
    used = {name for rule in kept for name in _USED.findall(_CUSTOM.sub("", rule.body))}
    while (
        more := {n for name, value in declared if name in used for n in _USED.findall(value)} - used
    ):
        used |= more

    def written(rule: Rule) -> str:
        body = _CUSTOM.sub(lambda at: at[0] if at[1] in used else "", rule.body).strip(";")
        return f"{rule.selectors}{{{body}}}" if body else ""

    out = ""
    for within, group in itertools.groupby(kept, lambda rule: rule.within):
        inner = "".join(map(written, group))
        out += f"{within}{{{inner}}}" if within and inner else inner
    return out


_CUSTOM = re.compile(r"(--[\w-]+):([^;{}]*);?")
_USED = re.compile(r"var\((--[\w-]+)")


def _scoped(html: str) -> str:
    """Return the rules that apply to an output, nested in its class; each output has its own copy.

    The class is written three times: JupyterLab's rules for rendered HTML have two classes.
    """
    names = {f".{name}" for part in re.findall(r'class="([^"]*)"', html) for name in part.split()}
    names |= set(re.findall(r"<(\w+)", html)) | {".imgopen", "body"}
    names |= {"[data-jp-theme-light", "[open"}
    names |= {f"[{name}" for name in re.findall(r' ([\w-]+)="', html)}
    kept = (replace(rule, selectors=_applying(rule.selectors, names)) for rule in _still())
    css = css_of(rule for rule in kept if rule.selectors)
    frames = css_of(r for r in rules() if r.keyframes and r.keyframes in css)  # cannot be nested
    return f"{f'.{_scope()}' * 3}{{{_ROOT.sub('&', css)}}}{frames}"


@functools.cache
def _still() -> list[Rule]:
    """Return the rules for outputs, where nothing moves by itself.

    The browser itself marks the focus, unless an element hides the mark of what is inside.
    """
    unmarked = re.compile(r"(?<!:has\():focus")
    return [r for r in rules() if "motion" not in r.within and not unmarked.search(r.selectors)]


def _applying(selectors: str, names: set[str]) -> str:
    """Return the selectors that can match elements, classes and attributes of these names."""
    return ",".join(filter(None, (_kept(s, names) for s in _COMMA.split(selectors))))


def _kept(selector: str, names: set[str]) -> str:
    """Return a selector with the alternatives that can match; "" if it cannot."""
    if found := _CHOICE.search(selector):
        before, after = selector[: found.start()], selector[found.end() :]
        fits = [each for each in _COMMA.split(found[2]) if _kept(f"{before}{each}{after}", names)]
        return f"{before}:{found[1]}({','.join(fits)}){after}" if fits else ""
    known = all(part in names for part in _NAME.findall(_STATE.sub("", selector)))
    return selector if known else ""


_COMMA = re.compile(r",(?![^()]*\))")
_CHOICE = re.compile(r":(is|where)\(((?:[^()]|\([^()]*\))*)\)")
_STATE = re.compile(r"::?[\w-]+(\((?:[^()]|\([^()]*\))*\))?|=[^\]]*\]")
_NAME = re.compile(r"[.\[][\w-]+|(?<![\w.\[-])[a-z]+\d?")
_ROOT = re.compile(r"\.imgopen(?![\w-])")
_EMPTY = "<style></style>"  # where a template has its rules; no escaped value can look like it


@functools.cache
def _scope() -> str:
    """Return a class with a hash of the sheet: outputs of different versions share a notebook."""
    return "imgopen-" + hashlib.sha256(css_of(rules()).encode()).hexdigest()[:6]


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


def is_local(text: str) -> bool:
    """Whether an address is one of this machine: in a saved notebook it leads nowhere."""
    try:
        host = urlsplit(text).hostname or ""
    except ValueError:
        return False
    return bool(re.fullmatch(r"localhost|.*\.localhost|127(\.\d+){3}|0\.0\.0\.0|::1", host))


@functools.cache
def environment() -> jinja2.Environment:
    """Return the Jinja2 environment with the filters and the class of the outputs."""
    import jinja2

    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {"cut": cut, "say": shown, "middle": middle, "short": short_path}
    env.tests["public_link"] = lambda text: is_link(text) and not is_local(text)
    env.globals |= {"scope": _scope(), "run": RUN}
    return env
