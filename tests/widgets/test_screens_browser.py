"""Every screen at three widths in both themes: contrast, names of controls, no horizontal scroll.

All forms, the studio, the painter, the slider, the gallery, the board, the history, and cards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from imgopen_nb.catalogue.operations import OPERATIONS

from ..lab import Lab, Sheet, book
from ..page_checks import OVERFLOWING, UNNAMED, faint, pale_borders

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

SETUP = """%load_ext imgopen_nb
import imgopen_nb as imgopen
s = imgopen.current()
cut = s.run("remove-background", image="sample:coffee")
tags = s.run("describe", image="sample:chelsea", model="deepdanbooru")
said = s.run("describe", image="sample:coffee")"""
OTHERS = {
    "studio": "imgopen.studio()",
    "painter": "imgopen.paint('sample:rocket')",
    "slider": "imgopen.before_after('sample:coffee', 'sample:chelsea')",
    "gallery": "imgopen.gallery()",
    "board": "imgopen.board(['sample:coffee', 'sample:chelsea'])",
    "history": "imgopen.browse()",
    "cut-out": "cut",
    "tags": "tags",
    "sentence": "said",
    "table": "imgopen.compare()",
}
FORMS = {row.name: f"imgopen.form({row.name!r})" for row in OPERATIONS.runnable}
SCREENS = FORMS | OTHERS
WIDTHS = (1280, 700, 380)
# The root of each output; static ones have a class of their own, which begins with the name too.
_OURS = ":is(.imgopen, [class^='imgopen-'])"
ROOT = f".jp-CodeCell {_OURS}:not({_OURS} {_OURS})"
# Rules about a page as a whole: the page is JupyterLab's.
PAGES_OWN = ("region", "landmark-one-main", "page-has-heading-one", "heading-order", "bypass")


@pytest.fixture(scope="module")
def sheet(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sheet]:
    """A notebook with all screens, each of its cells drawn, however far down it is."""
    lab = Lab(tmp_path_factory.mktemp("screens"))
    settings = lab.folder / "settings/@jupyterlab/notebook-extension"
    settings.mkdir(parents=True)
    all_drawn = json.dumps({"windowingMode": "none"})
    (settings / "tracker.jupyterlab-settings").write_text(all_drawn, "utf-8")
    lab.put("screens.ipynb", book(SETUP, *SCREENS.values()))
    opened = Sheet(lab, browser, "screens.ipynb")
    opened.run_all()
    opened.page.wait_for_function(
        f"document.querySelectorAll('.imgopen-form .run .why').length > {len(FORMS)}"
    )
    opened.command("application:toggle-left-area")
    yield opened
    opened.close()
    lab.stop()


@pytest.fixture(params=["Light", "Dark"])
def theme(request: pytest.FixtureRequest, sheet: Sheet) -> Iterator[str]:
    sheet.theme(request.param)
    yield request.param
    sheet.theme("Light")


def at_width(sheet: Sheet, width: int) -> None:
    sheet.page.set_viewport_size({"width": width, "height": 1400})
    sheet.page.wait_for_timeout(500)


def test_all_screens_are_there(sheet: Sheet):
    at_width(sheet, 1280)
    shown = sheet.page.locator(".jp-CodeCell").evaluate_all(
        f"all => all.map(e => [...e.querySelectorAll(`{_OURS}`)]"
        ".some(root => root.getClientRects().length))"
    )

    assert [name for name, seen in zip(SCREENS, shown[1:], strict=True) if not seen] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_its_output(sheet: Sheet, width: int):
    """Closed groups are opened first; a box that scrolls by itself holds a table or code."""
    at_width(sheet, width)
    sheet.page.locator(f"{ROOT} details").evaluate_all("all => all.forEach(e => e.open = true)")

    assert sheet.page.evaluate(OVERFLOWING, ROOT) == []


@pytest.mark.parametrize("width", [1280, 380])
def test_axe_finds_nothing_serious(sheet: Sheet, theme: str, width: int):
    at_width(sheet, width)
    options = {
        "resultTypes": ["violations"],
        "rules": {name: {"enabled": False} for name in PAGES_OWN},
    }
    found = Axe().run(sheet.page, ROOT, options).response
    serious = [
        (each["id"], len(each["nodes"]), [node["html"][:200] for node in each["nodes"][:3]])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]

    assert {"color-contrast", "label", "button-name"} <= {each["id"] for each in found["passes"]}
    assert serious == []


def test_texts_and_borders_of_controls_can_be_seen(sheet: Sheet, theme: str):
    """What cannot be used just now is meant to be pale."""
    at_width(sheet, 1280)
    off = re.compile("Stop waiting|Run")
    low = [row for row in faint(sheet.page, ROOT) if not off.search(row[2])]

    assert low == []
    assert pale_borders(sheet.page, ROOT) == []


def test_every_control_has_a_name(sheet: Sheet):
    assert sheet.page.evaluate(UNNAMED, ROOT) == []
