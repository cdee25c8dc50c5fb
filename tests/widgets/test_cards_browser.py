"""Cards in a real JupyterLab: the slider without a script, buttons, no kernel, a page elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Browser, Page

from ..lab import CARD, Lab, Sheet, book, reopened, wait_until
from ..page_checks import TOO_WIDE, UNNAMED, broken_pictures, faint, pale_borders

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

CELLS = [
    "%load_ext imgopen_nb",
    "%imgopen describe sample:chelsea",
    "r = %imgopen upscale sample:coffee\nr",
    "%imgopen describe sample:coffee --model deepdanbooru",
    "%imgopen text2image 'a red fox' --batch-size 4",
]
MANY = """
from IPython.display import display
from imgopen_nb.widgets import card_actions
import ipywidgets
for _ in range(100):
    display(r)
open('widgets.txt', 'w').write(str(len(ipywidgets.widget._instances)))
"""
PAIR = f"{CARD} .io-pair"
# How much of the image before is seen, in per cent.
SHARE = """e => {
  const cut = getComputedStyle(e.querySelector('.io-over')).clipPath;
  return Math.round(100 - parseFloat(cut.match(/inset\\(\\S+ ([\\d.]+)%/)?.[1] ?? 0));
}"""


@pytest.fixture(scope="module")
def sheet(lab: Lab, browser: Browser) -> Iterator[Sheet]:
    lab.put("cards.ipynb", book(*CELLS))
    sheet = Sheet(lab, browser, "cards.ipynb")
    sheet.run_all()
    sheet.page.wait_for_function("document.querySelectorAll('.imgopen-cards').length === 4")
    yield sheet
    sheet.close()


def share(page: Page) -> int:
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
    return int(page.locator(PAIR).first.evaluate(SHARE))


def drag(page: Page, start: float, end: float, height: float = 0.2) -> None:
    page.locator(PAIR).first.scroll_into_view_if_needed()
    box = page.locator(PAIR).first.bounding_box()
    assert box is not None
    at = box["y"] + height * box["height"]
    page.mouse.move(box["x"] + start * box["width"], at)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], at + 10, steps=4)
    page.mouse.up()


@pytest.mark.parametrize("height", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("end", [0.25, 0.9, 0.5])
def test_before_and_after_is_dragged_anywhere(sheet: Sheet, end: float, height: float):
    drag(sheet.page, 0.7, end, height)

    assert share(sheet.page) == pytest.approx(100 * end, abs=1)


def test_the_keyboard_moves_it_and_the_notebook_stays_where_it_is(sheet: Sheet):
    sheet.page.locator(f"{PAIR} input").first.focus()
    found = []
    for key in ("Home", "ArrowRight", "ArrowUp", "PageUp", "ArrowLeft", "End"):
        sheet.page.keyboard.press(key)
        found.append(share(sheet.page))

    assert found == [0, 1, 2, 12, 11, 100]
    assert sheet.page.locator(".jp-Cell.jp-mod-active").count() == 1
    outline = "e => getComputedStyle(e).outlineStyle"
    assert sheet.page.locator(PAIR).first.evaluate(outline) == "solid"


def test_a_finger_moves_it(sheet: Sheet, browser: Browser):
    """By the browser's own touch events, as a script cannot move a slider's thumb."""
    place = sheet.page.locator(PAIR).first
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    assert box is not None
    session = sheet.page.context.new_cdp_session(sheet.page)
    y = box["y"] + box["height"] / 2
    for kind, at in (("touchStart", 0.5), ("touchMove", 0.4), ("touchMove", 0.2), ("touchEnd", 0)):
        points = [{"x": box["x"] + at * box["width"], "y": y}] if at else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    assert share(sheet.page) == pytest.approx(20, abs=2)


def test_each_card_ends_with_its_line_and_can_be_copied(sheet: Sheet):
    sheet.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lines = sheet.text(f"{CARD} .io-code code")
    copied = []
    for name in ("Copy caption", "Copy tags", "Copy as code"):
        sheet.page.get_by_role("button", name=name).first.click()
        wait_until(lambda: sheet.page.get_by_role("button", name="Copied").count() > 0)
        copied.append(sheet.page.evaluate("navigator.clipboard.readText()"))
        wait_until(lambda: sheet.page.get_by_role("button", name="Copied").count() == 0)

    assert lines == [
        "%imgopen describe sample:chelsea",
        "%imgopen upscale sample:coffee",
        "%imgopen describe sample:coffee --model deepdanbooru",
        '%imgopen text2image "a red fox" --batch-size 4',
    ]
    assert copied[0] == sheet.text(f"{CARD} .io-caption")[0]
    assert "," in copied[1]
    assert copied[2] == lines[0]


def test_the_image_of_a_card_opens_a_form(sheet: Sheet):
    card = sheet.cell("upscale")
    card.locator(".imgopen-cards select").select_option("remove-background")
    form = card.locator(".imgopen-form")
    form.wait_for()

    assert "Remove background" in form.inner_text()
    assert form.locator("img").count() > 0
    assert sheet.complaints == []


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_cards_can_be_read_and_used_in_both_themes(sheet: Sheet, theme: str):
    sheet.theme(theme)
    sheet.shot(f"lab-cards-{theme.lower()}")
    found = faint(sheet.page, CARD), pale_borders(sheet.page, ".imgopen-cards")
    sheet.theme("Light")

    assert found == ([], [])
    assert sheet.page.evaluate(UNNAMED, CARD) == []


def test_several_images_lie_beside_each_other(sheet: Sheet):
    boxes = [each.bounding_box() for each in sheet.cell("text2image").locator(".io-grid img").all()]

    assert len({round(box["y"]) for box in boxes if box}) < len(boxes) == 4


def test_on_a_narrow_page_cards_fit(sheet: Sheet):
    sheet.page.set_viewport_size({"width": 380, "height": 900})
    sheet.page.wait_for_timeout(300)
    sheet.shot("lab-cards-380")
    wide = sheet.page.evaluate(TOO_WIDE)
    sheet.page.set_viewport_size({"width": 1200, "height": 1400})

    assert wide == []


def test_saved_it_needs_no_kernel(sheet: Sheet, lab: Lab, browser: Browser):
    """Untrusted, the style and the buttons are gone; what is left can be read."""
    sheet.save()
    saved = nbformat.read(sheet.path, as_version=4)
    assert "widgets" not in saved.metadata
    assert "imgopen-cards" not in sheet.path.read_text("utf-8")

    again = reopened(lab, browser, "reopened-cards.ipynb", saved)
    again.shot("lab-cards-untrusted")
    assert again.page.locator(".imgopen-cards").count() == 0
    assert again.page.locator("input[type=range]:visible").count() == 0
    assert broken_pictures(again.page, ".jp-OutputArea img") == []
    assert "%imgopen upscale sample:coffee" in again.page.locator(".jp-Notebook").inner_text()
    assert again.complaints == []
    again.leave()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_as_a_page_of_its_own_the_slider_still_moves(
    sheet: Sheet, browser: Browser, tmp_path: Path, scheme: Any
):
    """As nbconvert writes it: nothing of ours is a script, and no link leads nowhere."""
    sheet.save()
    html, _ = HTMLExporter().from_notebook_node(nbformat.read(sheet.path, as_version=4))
    path = tmp_path / "cards.html"
    path.write_text(html, "utf-8")
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1000, "height": 900})
    page = context.new_page()
    page.goto(path.as_uri())
    drag(page, 0.5, 0.3)
    links = page.locator(f"{CARD} a").evaluate_all("all => all.map(e => e.href)")

    assert share(page) == pytest.approx(30, abs=1)
    assert broken_pictures(page, f"{CARD} img") == []
    assert [link for link in links if "127.0.0.1" in link] == []
    context.close()


def test_a_browser_that_cannot_slide_without_a_script_gets_one(sheet: Sheet):
    """As Firefox, where the kernel's widget does what the style sheet cannot."""
    sheet.page.evaluate("CSS.supports = () => false")
    sheet.cell("upscale").locator(".jp-InputArea-editor").click()
    sheet.command("notebook:run-cell")
    frame = sheet.cell("upscale").locator(".io-card .imgopen-slider .frame")
    frame.wait_for()
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    assert box is not None
    assert box["width"] == pytest.approx(288, abs=6)
    bar = sheet.cell("upscale").locator(".imgopen-slider [role=slider]")
    sheet.page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 20)
    assert bar.get_attribute("aria-valuenow") == "25"
    sheet.page.keyboard.press("PageUp")

    assert bar.get_attribute("aria-valuenow") == "35"
    assert broken_pictures(sheet.page, ".imgopen-slider img") == []
    assert sheet.complaints == []


def test_a_hundred_cards_are_one_widget(sheet: Sheet):
    sheet.page.evaluate(
        """async code => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
          .requestExecute({ code, store_history: false }).done.then(() => null)""",
        MANY,
    )
    # The widget and its layout, and what the form above has.
    before = int((sheet.path.parent / "widgets.txt").read_text())
    sheet.page.evaluate(
        """async code => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
          .requestExecute({ code, store_history: false }).done.then(() => null)""",
        MANY,
    )

    assert int((sheet.path.parent / "widgets.txt").read_text()) == before
