"""Checks of a page in the browser: contrast of texts and borders, images, width."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from .lab import OURS

LEAST_CONTRAST = 4.5  # WCAG 2.2 AA for text of any size
LEAST_BORDER = 3.0  # and for what shows where a control is

# For each image whether it has loaded and has pixels.
LOADED = """images => images.map(image => image.complete && image.naturalWidth > 0)"""

# What both checks of contrast need: the backgrounds and opacities of all ancestors are blended, as
# in the browser. `paint` returns the ground and the ink: the colour of text or of a border.
BLEND = """
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const canvas = dark ? [18, 18, 18] : [255, 255, 255];
  const parse = text => {
    const n = text.match(/-?[\\d.]+(e-?\\d+)?/g).map(Number);
    const scale = text.startsWith('color(') ? 255 : 1;
    return [n[0] * scale, n[1] * scale, n[2] * scale, n.length > 3 ? n[3] : 1];
  };
  const mix = (over, under, a) => over.map((v, i) => v * a + under[i] * (1 - a));
  const paint = (chain, at, behind, ink_of) => {
    const style = getComputedStyle(chain[at]);
    const back = parse(style.backgroundColor), fore = parse(style[ink_of]);
    let ground = mix(back.slice(0, 3), behind, back[3]);
    let ink = mix(fore.slice(0, 3), ink_of === 'color' ? ground : behind, fore[3]);
    if (at + 1 < chain.length) [ground, ink] = paint(chain, at + 1, ground, ink_of);
    else if (ink_of !== 'color') ground = behind;
    const opacity = Number(style.opacity);
    return [mix(ground, behind, opacity), mix(ink, behind, opacity)];
  };
  const light = rgb => {
    const l = rgb.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * l[0] + .7152 * l[1] + .0722 * l[2];
  };
  const measured = (element, ink_of) => {
    const chain = [];
    for (let e = element; e; e = e.parentElement) chain.unshift(e);
    const [a, b] = paint(chain, 0, canvas, ink_of).map(light);
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const where = element.tagName.toLowerCase() + '.' + element.className
      + ' in .' + element.parentElement.className;
    return [Math.round(ratio * 100) / 100, where, element.textContent.trim().slice(0, 40)];
  };
"""

# The contrast of every text below a selector with its background.
CONTRAST = f"""selector => {{ {BLEND}
  const seen = element => [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim())
    && !element.closest('style') && element.getClientRects().length > 0
    && element.getBoundingClientRect().width > 1;
  return [...document.querySelectorAll(selector + ' *')].filter(seen)
    .map(element => measured(element, 'color'));
}}"""

# The contrast of the border of every control with what lies around it. A border may be missing (a
# quiet button is its text) and pale on a control that cannot be used.
BORDERS = f"""selector => {{ {BLEND}
  const control = 'button, select, textarea, '
    + 'input:not([type=checkbox], [type=radio], [type=range])';
  const drawn = element => {{
    const style = getComputedStyle(element);
    return element.getClientRects().length > 0 && element.getBoundingClientRect().width > 1
      && !element.disabled && element.getAttribute('aria-disabled') !== 'true'
      && parseFloat(style.borderTopWidth) > 0 && style.borderTopStyle !== 'none'
      && parse(style.borderTopColor)[3] > 0;
  }};
  return [...document.querySelectorAll(selector)].flatMap(e => [...e.querySelectorAll(control)])
    .filter(drawn).map(element => measured(element, 'borderTopColor'));
}}"""

# Elements beyond the right edge of the window; the content of scrolling boxes may be wider.
TOO_WIDE = """() => {
  const root = document.documentElement, edge = root.clientWidth;
  const inside = e => { for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
    if (getComputedStyle(p).overflowX !== 'visible') return true; return false; };
  const out = [...document.body.querySelectorAll('*')]
    .filter(e => e.getBoundingClientRect().right > edge + 1 && !inside(e))
    .map(e => e.tagName + '.' + e.className + ' ' + Math.round(e.getBoundingClientRect().right));
  return root.scrollWidth > edge ? [root.scrollWidth + ' > ' + edge, ...out.slice(0, 8)] : [];
}"""


# For each of the elements that a selector finds: what lies beyond its right edge. Boxes that scroll
# by themselves may only hold tables, code or a filmstrip.
OVERFLOWING = """selector => [...document.querySelectorAll(selector)]
  .filter(root => root.getClientRects().length)
  .flatMap(root => {
    const edge = root.getBoundingClientRect().right + 1;
    const inside = e => { for (let p = e.parentElement; p && p !== root; p = p.parentElement)
      if (getComputedStyle(p).overflowX !== 'visible') return true; return false; };
    const scrolls = e => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)
      && e.scrollWidth > e.clientWidth + 1
      && !e.matches('.io-scroll, .io-code, .film, textarea, pre');
    return [...root.querySelectorAll('*')]
      .filter(e => e.getClientRects().length && getComputedStyle(e).position !== 'fixed'
        && (e.getBoundingClientRect().right > edge && !inside(e) || scrolls(e)))
      .slice(0, 3)
      .map(e => [root.className, e.tagName + '.' + e.className, e.scrollWidth, edge]);
  })"""

# Controls without a name for screen readers; a title or a placeholder alone is none.
UNNAMED = """selector => {
  const text = id => document.getElementById(id)?.textContent ?? '';
  const name = e => e.getAttribute('aria-label')
    || (e.getAttribute('aria-labelledby') ?? '').split(' ').map(text).join(' ')
    || [...(e.labels ?? [])].map(l => l.getAttribute('aria-label') || l.textContent).join(' ')
    || (e.matches('button, summary, a, [role=tab]') ? e.textContent : '');
  const controls = 'button, input, select, textarea, summary, a[href], [role=slider], [role=tab]';
  return [...document.querySelectorAll(selector)].flatMap(e => [...e.querySelectorAll(controls)])
    .filter(e => e.getClientRects().length && !name(e).trim())
    .map(e => e.outerHTML.slice(0, 120));
}"""


def faint(page: Page, selector: str = OURS) -> list[Any]:
    """Return the texts whose contrast is too low, as (ratio, element, text)."""
    found = page.evaluate(CONTRAST, selector)
    assert found, f"no text in {selector}"
    return [row for row in found if row[0] < LEAST_CONTRAST]


def pale_borders(page: Page, selector: str = OURS) -> list[Any]:
    """Return the controls whose border is too pale, as (ratio, element, text)."""
    found = page.evaluate(BORDERS, selector)
    assert found, f"no control with a border in {selector}"
    return [row for row in found if row[0] < LEAST_BORDER]


def broken_pictures(page: Page, selector: str = f"{OURS} img") -> list[int]:
    """Return the indexes of the images that did not load; the page must have images."""
    loaded = page.locator(selector).evaluate_all(LOADED)
    assert loaded, f"no images in {selector}"
    return [place for place, good in enumerate(loaded) if not good]
