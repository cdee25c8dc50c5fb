"""One style sheet: nothing else has colours or sizes, and what it shows can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from imgopen_nb.display.rendering import SHEET

from ..page_checks import TOO_WIDE, faint, pale_borders

PACKAGE = SHEET.parents[1]

SOURCES = [
    path
    for path in PACKAGE.rglob("*")
    if path.suffix in (".html", ".js", ".py")
    and ("sandbox" not in path.parts or path.name == "page.html")
]
OWN = [
    r"(?<![&\w])#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})\b(?!;)",  # a colour, not an entity
    r"\brgba?\(\d",
    r"\bhsla?\(\d",
    r"(?<![\w-])font(?:-size|-family)?: ",
    r"\.style\.(?:color|background|font|padding|margin|border)",
    r'style="[^"]*\d(?:px|rem|em)',
]
# Each component in its states, as widgets and cards use them.
SPECIMEN = """
<div class="io-page io-stack">
<div class="io-head"><span class="io-title">Title</span><span class="io-about">about it</span></div>
<div class="io-row"><button class="io-btn">Save</button><button class="io-btn primary">Run</button>
<button class="io-btn quiet">Quiet</button><button class="io-btn danger">Delete</button>
<button class="io-btn" aria-pressed="true">On</button>
<button class="io-btn s">Small <kbd>s</kbd></button></div>
<div class="io-row"><span class="io-seg"><label><input type="radio" name="a" checked>one</label>
<label><input type="radio" name="a">two</label></span></div>
<div class="io-field"><label class="io-label" for="x">Label <span class="aside">px</span></label>
<input class="io-input" id="x" value="text"><span class="io-help">help</span>
<span class="io-error">an error</span></div>
<span class="io-select"><select aria-label="s"><option>one</option></select></span>
<textarea class="io-input" aria-label="t">text</textarea>
<input class="io-input" aria-label="i" aria-invalid="true" value="wrong">
<div class="io-chips"><code class="io-chip"><bdi>tag</bdi> <small class="n">0.91</small></code>
<code class="io-chip shared"><span class="m"></span>all</code>
<code class="io-chip partly"><span class="m"></span>several</code>
<code class="io-chip unique"><span class="m"></span>one</code><code class="io-chip mine">mine</code>
<button class="io-chip word" aria-pressed="true">in</button>
<button class="io-chip on">on</button><code class="io-chip removed">gone</code></div>
<div class="io-row"><span class="io-badge">none</span><span class="io-badge sandbox">sandbox</span>
<span class="io-badge real">real</span><span class="io-badge approximate">approximate</span>
<span class="io-badge placeholder">placeholder</span><span class="io-badge failed">failed</span>
<span class="io-badge mine">open</span></div>
<article class="io-card"><div class="io-caption">A caption <a href="https://example.org">link</a></div>
<div class="io-from">facts</div><details class="io-more" open><summary>Details</summary>
<dl class="io-facts"><dt>Task</dt><dd>nb1</dd></dl></details></article>
<section class="io-panel"><header>head</header><footer>foot</footer></section>
<div class="io-note">note</div><div class="io-note bad">bad</div><div class="io-note odd">odd</div>
<div class="io-scroll"><table class="io-table"><thead><tr><th>a</th></tr></thead>
<tbody><tr><td>1</td></tr></tbody></table></div>
<div class="io-code"><code>%imgopen describe cat.png</code></div>
<span class="io-tabs"><button role="tab" aria-selected="true">One</button>
<button role="tab" aria-selected="false">Two</button></span>
<div class="io-none">nothing</div></div>
"""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_colours_and_sizes_stand_in_the_style_sheet_alone(path: Path) -> None:
    text = path.read_text("utf-8")

    assert [found for rule in OWN for found in re.findall(rule, text)] == []


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("jupyter", [True, False], ids=["in Jupyter", "alone"])
@pytest.mark.parametrize("width", [1280, 380])
def test_every_component_can_be_read(
    browser: Browser, theme: str, jupyter: bool, width: int
) -> None:
    """4.5:1 for text and 3:1 for the borders of controls, whoever says which theme it is."""
    said = f' data-jp-theme-light="{"true" if theme == "light" else "false"}"' if jupyter else ""
    scheme = "light" if jupyter else theme
    back = {"light": "#fff", "dark": "#111"}[theme]
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.set_content(
        f'<!doctype html><meta name="color-scheme" content="light dark">'
        f"<style>{SHEET.read_text('utf-8')}</style>"
        f'<body{said} style="background:{back}"><main class="imgopen">{SPECIMEN}</main>'
    )

    assert faint(page, ".imgopen") == []
    assert pale_borders(page, ".imgopen") == []
    assert page.evaluate(TOO_WIDE) == []
    context.close()
