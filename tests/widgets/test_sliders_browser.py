"""The bar between before and after, in a real JupyterLab: mouse, touch, keyboard, no kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Browser, Locator

from ..lab import Lab, Sheet, book, reopened, wait_until
from ..page_checks import broken_pictures, faint

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

HOSTILE = "<img src=x onerror=window.hacked=1>.png"
CELLS = [
    f"""
from PIL import Image, ImageFilter, ImageOps
from imgopen_nb.images.picture import decode, read_picture
from imgopen_nb.widgets.before_after import before_after

image = decode(read_picture("sample:chelsea").data).convert("RGB")
image.save({HOSTILE!r})
large = ImageOps.grayscale(image).resize((2 * image.width, 2 * image.height))
slider = before_after({HOSTILE!r}, large)
slider
""",
    "before_after(image, ImageOps.expand(image, (0, 200), 'teal'))",
]
BAR = ".imgopen-slider [role=slider]"


@pytest.fixture(scope="module")
def sheet(lab: Lab, browser: Browser) -> Iterator[Sheet]:
    lab.put("slider.ipynb", book(*CELLS))
    sheet = Sheet(lab, browser, "slider.ipynb")
    sheet.run_all()
    sheet.page.wait_for_function("document.querySelectorAll('.imgopen-slider').length === 2")
    yield sheet
    sheet.close()


def bar(sheet: Sheet) -> Locator:
    return sheet.page.locator(BAR).first


def now(sheet: Sheet) -> int:
    return int(bar(sheet).get_attribute("aria-valuenow") or "")


def frame(sheet: Sheet) -> dict[str, float]:
    place = sheet.page.locator(".imgopen-slider .frame").first
    place.scroll_into_view_if_needed()
    return place.bounding_box()


def clips(sheet: Sheet) -> list[str]:
    pictures = sheet.page.locator(".imgopen-slider").first.locator("img")
    return pictures.evaluate_all("all => all.map(e => getComputedStyle(e).clipPath)")


def test_the_mouse_moves_the_bar_and_python_knows(sheet: Sheet):
    box = frame(sheet)
    sheet.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    sheet.page.mouse.down()
    sheet.page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 80, steps=4)
    sheet.page.mouse.up()

    assert now(sheet) == 25
    before, after = clips(sheet)
    assert before.startswith("inset(0px 75")
    assert after.endswith("25%)")
    assert "25 % before" in (bar(sheet).get_attribute("aria-valuetext") or "")
    wait_until(lambda: abs(position(sheet) - 25) < 0.5)


def position(sheet: Sheet) -> float:
    code = "open('position.txt', 'w').write(str(slider.position))"
    execute = """async code => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
      .requestExecute({ code, store_history: false }).done.then(() => null)"""
    sheet.page.evaluate(execute, code)
    return float((sheet.path.parent / "position.txt").read_text())


def test_the_keyboard_moves_the_bar(sheet: Sheet):
    bar(sheet).focus()
    found = []
    for key in ("Home", "ArrowRight", "ArrowUp", "PageUp", "ArrowLeft", "ArrowDown", "End"):
        sheet.page.keyboard.press(key)
        found.append(now(sheet))

    assert found == [0, 1, 2, 12, 11, 10, 100]
    assert sheet.page.locator(".jp-Cell.jp-mod-active").count() == 1
    outline = sheet.page.locator(".imgopen-slider .frame").first
    assert outline.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


def test_a_finger_moves_the_bar(sheet: Sheet):
    box = frame(sheet)
    for kind, share in (("pointerdown", 0.9), ("pointermove", 0.6), ("pointerup", 0.6)):
        about: dict[str, Any] = {"pointerId": 7, "pointerType": "touch", "bubbles": True}
        about |= {"clientX": box["x"] + share * box["width"], "clientY": box["y"] + 20}
        sheet.page.locator(".imgopen-slider .frame").first.evaluate(
            "(e, [kind, about]) => e.dispatchEvent(new PointerEvent(kind, about))", [kind, about]
        )

    assert now(sheet) == 60


def test_both_pictures_lie_in_one_frame(sheet: Sheet):
    """A larger one is scaled to the frame of the one before; one of another shape is seen whole."""
    boxes = sheet.page.locator(".imgopen-slider img").evaluate_all(
        "all => all.map(e => [e.offsetWidth, e.offsetHeight, getComputedStyle(e).objectFit])"
    )

    assert boxes[0] == boxes[1]
    assert boxes[2][:2] == boxes[3][:2]
    assert boxes[3][2] == "contain"
    assert broken_pictures(sheet.page, ".imgopen-slider img") == []


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_is_readable_in_both_themes(sheet: Sheet, theme: str):
    sheet.theme(theme)
    bar(sheet).focus()
    sheet.shot(f"lab-slider-{theme.lower()}")
    low = faint(sheet.page, ".imgopen-slider")
    sheet.theme("Light")

    assert low == []


def test_on_a_narrow_page_it_fits(sheet: Sheet):
    sheet.page.set_viewport_size({"width": 480, "height": 900})
    sheet.command("application:toggle-left-area")
    sheet.page.wait_for_timeout(300)
    boxes = [each.bounding_box() for each in sheet.page.locator(".imgopen-slider .frame").all()]
    sheet.shot("lab-slider-480")
    sheet.command("application:toggle-left-area")
    sheet.page.set_viewport_size({"width": 1200, "height": 1400})

    assert all(box["x"] + box["width"] <= 480 for box in boxes)
    assert boxes[0]["width"] / boxes[0]["height"] == pytest.approx(451 / 300, rel=0.02)


def test_a_hostile_name_does_nothing_and_nothing_is_fetched(sheet: Sheet, lab: Lab):
    foreign = [u for u in sheet.fetched if not u.startswith((lab.url, "data:", "blob:"))]

    assert HOSTILE in sheet.text(".imgopen-slider .line")[0]
    assert (sheet.page.evaluate("window.hacked"), foreign, sheet.complaints) == (None, [], [])


def test_saved_and_reopened_without_a_kernel_both_pictures_are_seen(
    sheet: Sheet, lab: Lab, browser: Browser
):
    sheet.save()
    saved = nbformat.read(sheet.path, as_version=4)
    assert sheet.path.stat().st_size < 80_000

    again = reopened(lab, browser, "reopened-slider.ipynb", saved)
    shown = again.page.locator(".jp-OutputArea-child:visible")

    assert again.page.locator(".imgopen-static:visible img").count() == 4
    assert broken_pictures(again.page, ".imgopen-static img") == []
    assert "model not found" not in " ".join(shown.all_inner_texts())
    assert (again.page.evaluate("window.hacked"), again.complaints) == (None, [])
    again.shot("lab-slider-untrusted")
    again.leave()


def test_as_a_page_of_its_own_it_is_shown_once(sheet: Sheet, browser: Browser, tmp_path: Path):
    """As nbconvert writes it: the images, and no text of a widget beside them."""
    sheet.save()
    html, _ = HTMLExporter().from_notebook_node(nbformat.read(sheet.path, as_version=4))
    path = tmp_path / "slider.html"
    path.write_text(html, "utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())

    assert "BeforeAfter(" not in page.locator("body").inner_text()
    assert page.locator(".imgopen-static:visible img").count() == 4
    page.close()
