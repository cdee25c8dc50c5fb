"""The live history in JupyterLab: it follows tasks by itself, its buttons work by the keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from ..lab import Lab, Notebook7, Sheet, book
from ..page_checks import faint

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

TABLE = ".imgopen-history"
HOSTILE = "<img src=x onerror=window.hacked=1>"
CELLS = (
    "import imgopen_nb as imgopen\nsession = imgopen.current()\n"
    "_ = session.run('describe', image='sample:coffee')\n"
    f"_ = session.run('watermark', image='sample:coffee', text='{HOSTILE}')\n"
    "browser = imgopen.browse()\nbrowser",
    "task = session.submit('erase', image='sample:camera', mask=mask)",
)
MASK = (
    "from PIL import Image\nmask = Image.new('L', (512, 512))\nmask.paste(255, (60, 60, 330, 500))"
)


@pytest.fixture(scope="module", params=[Lab, Notebook7], ids=["lab", "notebook"])
def sheet(
    request: pytest.FixtureRequest, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sheet]:
    lab = request.param(tmp_path_factory.mktemp("front-end"))
    lab.put("browse.ipynb", book(MASK, *CELLS))
    opened = Sheet(lab, browser, "browse.ipynb")
    opened.run_all()
    opened.lab = lab
    yield opened
    opened.close()
    lab.stop()


def test_a_task_of_another_cell_appears_and_ends_by_itself(sheet: Sheet):
    rows = sheet.page.locator(f"{TABLE} tbody tr")
    expect(rows).to_have_count(3, timeout=30_000)

    expect(rows.first).to_contain_text("erase")
    expect(rows.first).to_contain_text("succeeded", timeout=60_000)


def test_open_and_open_in_form_by_the_keyboard(sheet: Sheet):
    page = sheet.page
    row = page.locator(f"{TABLE} tbody tr", has_text="describe")
    row.get_by_role("button", name="open describe").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".io-caption", has_text="espresso").first).to_be_visible()
    row.get_by_role("button", name="open in form describe").focus()
    page.keyboard.press("Space")

    expect(page.locator(".imgopen-form input[type=text]").first).to_have_value("sample:coffee")


def test_search_leaves_what_fits(sheet: Sheet):
    page = sheet.page
    page.get_by_label("Search the history").fill("espresso")
    expect(page.locator(f"{TABLE} tbody tr")).to_have_count(1)
    page.get_by_label("Search the history").fill("")
    expect(page.locator(f"{TABLE} tbody tr")).to_have_count(3)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_can_be_read_in_both_themes(sheet: Sheet, theme: str):
    sheet.theme(theme)
    sheet.shot(f"browse-{type(sheet.lab).__name__}-{theme}".lower())
    low = faint(sheet.page, TABLE)
    sheet.theme("Light")

    assert low == []


def test_hostile_texts_are_texts_and_nothing_is_complained_about(sheet: Sheet):
    own = (sheet.lab.url, "data:", "blob:")
    foreign = [url for url in sheet.fetched if not url.startswith(own)]

    assert sheet.page.evaluate("() => window.hacked") is None
    assert (sheet.complaints, foreign) == ([], [])
