"""In a real JupyterLab: captions belong to images, and what is not proved is offered only."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from ..lab import Lab, Sheet, book, snap

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

SETUP = """
import os
from pathlib import Path
from PIL import Image
place = Path({place!r})
os.environ["IMGOPEN_HOME"] = str(place / "home")
import imgopen_nb as imgopen
%load_ext imgopen_nb
def paint(path, colour):
    path = place / path
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (240, 160), colour).save(path)
paint("projA/images/1.png", "red")
paint("projB/images/1.png", "blue")
paint("projB/images/edit.png", "green")
"""
IN_A = """
os.chdir(place / "projA")
%imgopen describe images/1.png
first = imgopen.board("images")
first._receive({"kind": "edit", "image": 0, "text": "the red one, by me", "base": None})
"""
IN_B = """
os.chdir(place / "projB")
%imgopen describe images/1.png --model deepdanbooru
%imgopen describe images/edit.png
edit = imgopen.board("images/edit.png")
edit._receive({"kind": "edit", "image": 0, "text": "green, by me", "base": None})
paint("projB/images/edit.png", "yellow")
%imgopen describe images/edit.png
"""
BOARD = "%imgopen board images"
EXPORT = "print([path.name for path in imgopen.board('images').export()])"
LAST = "session = imgopen.current(); session.map('describe', 'images', model='clip', progress=False); imgopen.gallery()"  # noqa: E501
CELLS = [SETUP, IN_A, IN_B, BOARD, EXPORT, LAST]


@pytest.fixture(scope="module")
def sheet(lab: Lab, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sheet]:
    place = tmp_path_factory.mktemp("pictures")
    cells = (code.replace("{place!r}", repr(str(place))) for code in CELLS)
    lab.put("pictures.ipynb", book(*cells))
    opened = Sheet(lab, browser, "pictures.ipynb")
    opened.run_all()
    opened.page.wait_for_selector(".imgopen-gallery")
    yield opened
    opened.close()


def test_the_board_of_the_other_project_has_none_of_the_first_ones_captions(sheet: Sheet):
    board = sheet.page.locator(".imgopen-board").first
    board.locator(".row").nth(1).wait_for()
    snap(sheet.page, "pictures-board")

    rows = board.locator(".row")
    assert rows.count() == 2
    assert "images/1.png" in rows.nth(0).locator(".name").inner_text()
    assert "the red one" not in board.inner_text()
    assert "no caption yet" in rows.nth(0).locator(".mine").inner_text()


def test_a_card_shows_the_name_below_the_working_folder(sheet: Sheet):
    cards = sheet.page.locator(".jp-OutputArea-output", has_text="plain yellow image")

    assert re.search(r"(?<!/)images/edit\.png", cards.first.inner_text())


def test_what_was_written_for_the_earlier_file_is_offered_and_used_when_asked(sheet: Sheet):
    board = sheet.page.locator(".imgopen-board").first
    offered = board.locator(".row").nth(1).locator(".mine")
    offered.scroll_into_view_if_needed()
    snap(sheet.page, "pictures-offer")
    assert "written for an earlier version of this file" in offered.inner_text()
    assert "green, by me" in offered.inner_text()
    assert "[]" in sheet.cell("export()").locator(".jp-OutputArea-output").inner_text()

    offered.get_by_role("button", name="Use this caption").click()
    offered.locator(".badge", has_text="edited").wait_for()
    sheet.cell("export()").locator(".cm-content").click()
    sheet.page.keyboard.press("Control+Enter")
    output = sheet.cell("export()").locator(".jp-OutputArea-output", has_text="edit.txt")
    output.wait_for()
    assert "['edit.txt']" in output.inner_text()


def test_without_an_argument_a_gallery_shows_the_last_batch_and_says_so(sheet: Sheet):
    sheet.page.locator(".imgopen-gallery").scroll_into_view_if_needed()
    snap(sheet.page, "pictures-gallery")

    said = sheet.page.locator(".imgopen-gallery").inner_text()
    assert "2 images · the last batch of this session: describe" in said
