"""The gallery in a real JupyterLab: 10,000 images, mouse, keyboard, both themes, no kernel."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator

import nbformat
import pytest
from playwright.sync_api import Browser, Locator

from ..lab import OURS, Lab, Sheet, book, reopened, wait_until
from ..page_checks import broken_pictures, faint, pale_borders
from ..widgets.test_galleries import fill_history

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

COUNT = 10_000
ROOT = ".imgopen-gallery"
TILE = f"{ROOT} .tile"
SEEN = f"{TILE} img:not([hidden])"
IMPORT = "from imgopen_nb.widgets.gallery.gallery import gallery"
HACK = "window.hacked=1"
HOSTILE = (
    f'<img src=x onerror="{HACK}">',
    f"<script>{HACK}</script>",
    "a harmless \u202ecat\u202c",
    '<img src="http://example.org/pixel.png">',
)


def open_sheet(lab: Lab, browser: Browser, name: str, *cells: str, **options: object) -> Sheet:
    lab.put(name, book(*cells))
    sheet = Sheet(lab, browser, name, **options)
    sheet.run_all()
    sheet.page.wait_for_selector(SEEN)
    return sheet


@pytest.fixture(scope="module")
def filled(lab: Lab) -> Lab:
    fill_history(lab.folder / "home", COUNT)
    return lab


@pytest.fixture(scope="module")
def sheet(filled: Lab, browser: Browser) -> Iterator[Sheet]:
    opened = open_sheet(filled, browser, "gallery.ipynb", IMPORT, "shown = gallery()\nshown")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def fresh(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test begins at the top, with nothing looked for, selected or told."""
    yield
    if "sheet" in request.fixturenames:
        python(request.getfixturevalue("sheet"), "shown.selected = None; shown.filter()")
        page = request.getfixturevalue("sheet").page
        page.locator(f"{ROOT} .frame").evaluate("e => e.scrollTop = 0")
        close = page.locator(f"{ROOT} .pane button[aria-label]")
        if close.is_visible():
            close.click()


def python(sheet: Sheet, code: str) -> str:
    """Run code in the notebook's kernel and return what it prints."""
    run = """async code => {
      const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
      let text = '';
      const future = kernel.requestExecute({ code, store_history: false, silent: false });
      future.onIOPub = m => {
        text += m.content.text ?? (m.content.ename ? m.content.ename + m.content.evalue : '');
      };
      await future.done;
      return text;
    }"""
    return str(sheet.page.evaluate(run, code)).strip()


def count(sheet: Sheet) -> str:
    """What the gallery says below its tiles, but for what it shows: that stays the same."""
    said = sheet.page.locator(f"{ROOT} .count").inner_text()
    return said.replace(" · the whole history", "")


def wait_count(sheet: Sheet, text: str) -> None:
    wait_until(lambda: count(sheet) == text)


def chosen(sheet: Sheet) -> list[int]:
    """Return the places of the selected tiles in the page."""
    places = sheet.page.locator(f"{TILE}[aria-selected=true]").evaluate_all(
        "all => all.map(e => Number(e.dataset.place)).sort((a, b) => a - b)"
    )
    return list(places)


def tile(sheet: Sheet, place: int) -> Locator:
    return sheet.page.locator(f'{TILE}[data-place="{place}"]')


def columns(sheet: Sheet) -> int:
    tops = sheet.page.locator(TILE).evaluate_all(
        "all => all.map(e => Math.round(e.getBoundingClientRect().top))"
    )
    return max(tops.count(top) for top in set(tops))


def grid(sheet: Sheet) -> Locator:
    return sheet.page.locator(f"{ROOT} .frame")


def test_the_newest_pictures_are_shown_with_their_captions(sheet: Sheet):
    first = tile(sheet, 0)

    said = sheet.page.locator(f"{ROOT} .count").inner_text()
    assert said == "10,000 images · the whole history"
    assert "number 9999" in first.inner_text()
    assert first.locator("img").get_attribute("alt") == first.locator(".text").inner_text()
    assert grid(sheet).get_attribute("role") == "listbox"
    assert first.get_attribute("role") == "option"
    assert first.get_attribute("aria-setsize") == str(COUNT)
    wait_until(lambda: broken_pictures(sheet.page, SEEN) == [])


def test_the_stand_in_is_not_seen_while_the_widget_lives(sheet: Sheet):
    assert sheet.page.locator(".imgopen-static").count() == 1
    assert not sheet.page.locator(".imgopen-static").is_visible()


def test_search_and_filters_leave_what_fits(sheet: Sheet):
    page = sheet.page
    page.locator(f"{ROOT} input").fill("fox snow")
    wait_count(sheet, "500 of 10,000 images")
    page.locator(f"{ROOT} select[aria-label=model]").select_option("clip")
    page.locator(f"{ROOT} input").fill("TABBY sofa")
    wait_count(sheet, "500 of 10,000 images")
    texts = page.locator(f"{TILE} .text")
    wait_until(lambda: all("tabby cat on a sofa" in t for t in texts.all_inner_texts()))

    page.locator(f"{ROOT} input").fill("nothing says this")
    wait_count(sheet, "0 of 10,000 images")
    assert page.locator(f"{ROOT} .none").is_visible()
    assert page.locator(TILE).count() == 0

    page.locator(f"{ROOT} input").fill("")
    page.locator(f"{ROOT} select[aria-label=model]").select_option("")
    page.locator(f"{ROOT} select[aria-label=tag]").select_option("no_humans")
    wait_count(sheet, "1,000 of 10,000 images")


def test_letters_typed_into_the_search_are_no_commands_of_the_notebook(sheet: Sheet):
    """In JupyterLab "a" adds a cell and "d d" deletes one."""
    before = sheet.page.locator(".jp-Cell").count()
    sheet.page.locator(f"{ROOT} input").focus()
    sheet.page.keyboard.type("add bdd fox")
    sheet.page.keyboard.press("Control+a")
    sheet.page.keyboard.type("fox")
    wait_count(sheet, "2,000 of 10,000 images")
    grid(sheet).focus()
    sheet.page.keyboard.type("abdd")

    assert sheet.page.locator(f"{ROOT} input").input_value() == "fox"
    assert sheet.page.locator(".jp-Cell").count() == before


def test_the_mouse_selects(sheet: Sheet):
    tile(sheet, 1).click()
    assert chosen(sheet) == [1]
    tile(sheet, 3).click(modifiers=["Control"])
    assert chosen(sheet) == [1, 3]
    tile(sheet, 1).click(modifiers=["Control"])
    assert chosen(sheet) == [3]
    tile(sheet, 6).click(modifiers=["Shift"])
    wait_until(lambda: chosen(sheet) == [1, 2, 3, 4, 5, 6])  # from where it was clicked last
    tile(sheet, 8).locator(".check").click()
    wait_count(sheet, "10,000 images · 7 selected")

    said = "print(len(shown.pictures), shown.pictures[0])"
    wait_until(lambda: python(sheet, said) == "7 photos/picture-09998.jpg")


def test_the_keyboard_does_everything(sheet: Sheet):
    page, step = sheet.page, columns(sheet)
    page.locator(f"{ROOT} input").focus()
    while not grid(sheet).evaluate("e => e === document.activeElement"):
        page.keyboard.press("Tab")
    for key in ("Home", "ArrowRight", "ArrowDown", "Space", "ArrowLeft", "Space"):
        page.keyboard.press(key)
    assert chosen(sheet) == [step, step + 1]

    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    assert chosen(sheet) == list(range(step + 2))

    page.keyboard.press("End")
    page.keyboard.press("Space")
    wait_until(lambda: tile(sheet, COUNT - 1).get_attribute("aria-selected") == "true")
    active = grid(sheet).get_attribute("aria-activedescendant")
    assert active == tile(sheet, COUNT - 1).get_attribute("id")
    page.keyboard.press("PageUp")
    page.keyboard.press("Home")
    wait_until(lambda: tile(sheet, 0).is_visible())

    page.keyboard.press("Control+a")
    wait_count(sheet, "10,000 images · 10,000 selected")
    wait_until(lambda: python(sheet, "print(len(shown.selected))") == "11000")


def test_control_a_selects_what_the_filter_leaves(sheet: Sheet):
    sheet.page.locator(f"{ROOT} input").fill("red fox sofa")
    wait_count(sheet, "500 of 10,000 images")
    grid(sheet).focus()
    sheet.page.keyboard.press("Control+a")
    wait_count(sheet, "500 of 10,000 images · 500 selected")
    wait_until(lambda: python(sheet, "print(len(shown.pictures))") == "500")

    sheet.page.get_by_role("button", name="Select none").click()
    wait_count(sheet, "500 of 10,000 images")
    wait_until(lambda: python(sheet, "print(len(shown.selected))") == "0")


def test_what_python_selects_and_filters_is_shown(sheet: Sheet):
    code = "shown.on_select(lambda g: seen.append(len(g.pictures)))"
    python(sheet, f"seen = []; frame = shown._source.frame; {code}")
    python(sheet, "shown.selected = frame.image == 'photos/picture-09998.jpg'")
    wait_until(lambda: chosen(sheet) == [1])
    python(sheet, "shown.filter('number 9977', model='clip')")
    wait_until(lambda: " of " in count(sheet))
    assert sheet.page.locator(f"{ROOT} input").input_value() == "number 9977"
    tile(sheet, 0).click()

    wait_until(lambda: python(sheet, "print(seen)") == "[1, 1]")
    assert "number 9977" in python(sheet, "print(shown.selected.caption.iloc[0])")


def test_enter_shows_the_details_with_captions_side_by_side(sheet: Sheet):
    page = sheet.page
    python(sheet, "shown.filter('heron', tag='no_humans')")
    python(sheet, "shown.filter('number 9990')")
    wait_count(sheet, "1 of 10,000 images")
    grid(sheet).focus()
    page.keyboard.press("Enter")
    pane = page.locator(f"{ROOT} .pane")
    page.wait_for_selector(f"{ROOT} .pane section >> nth=1")

    assert pane.locator(".title bdi").all_inner_texts() == [
        "describe · deepdanbooru",
        "describe · clip",
    ]
    assert "no_humans" in pane.locator(".chip").all_inner_texts()
    assert "%imgopen describe photos/picture-09990.jpg" in pane.locator("code").first.inner_text()
    assert "photos/picture-09990.jpg" in pane.inner_text()
    assert pane.locator("img").get_attribute("alt")
    wait_until(lambda: broken_pictures(page, f"{ROOT} .pane img") == [])
    page.keyboard.press("Escape")
    assert not pane.is_visible()


def test_the_details_follow_the_keyboard(sheet: Sheet):
    grid(sheet).focus()
    sheet.page.keyboard.press("Home")
    sheet.page.keyboard.press("Enter")
    pane = sheet.page.locator(f"{ROOT} .pane")
    wait_until(lambda: "number 9999" in pane.inner_text())
    sheet.page.keyboard.press("ArrowRight")
    wait_until(lambda: "number 9998" in pane.inner_text())


def test_scrolling_to_the_end_keeps_the_page_small(sheet: Sheet):
    """No more tiles are in the page than are in view and in one screen more."""
    frame = grid(sheet)
    each = """async e => {
      const most = [], end = e.scrollHeight;
      for (let at = 0; at <= 60; at += 1) {
        e.scrollTop = end * at / 60;
        await new Promise(done => setTimeout(done, 40));
        most.push(document.querySelectorAll('.imgopen-gallery .tile').length);
      }
      return Math.max(...most);
    }"""
    most = frame.evaluate(each)
    step = columns(sheet)
    height = frame.evaluate("e => e.clientHeight")
    row = tile(sheet, COUNT - 1).bounding_box()["height"]
    assert most <= 2 * step * (height / row + 2)

    wait_until(lambda: "number 0" in tile(sheet, COUNT - 1).inner_text())
    sheet.page.wait_for_selector(f'{TILE}[data-place="{COUNT - 1}"] img:not([hidden])')
    python(sheet, "total = sum(map(len, shown._loader._cache.values()))")
    assert int(python(sheet, "print(total)")) < 40e6


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_is_readable_in_both_themes(sheet: Sheet, theme: str):
    python(sheet, "shown.filter('', tag='no_humans')")
    wait_count(sheet, "1,000 of 10,000 images")
    sheet.theme(theme)
    tile(sheet, 2).click()
    tile(sheet, 4).click(modifiers=["Shift"])
    grid(sheet).focus()
    sheet.page.keyboard.press("ArrowLeft")
    sheet.page.keyboard.press("Enter")
    sheet.page.wait_for_selector(f"{ROOT} .pane .chip")
    wait_until(lambda: broken_pictures(sheet.page, f"{ROOT} .pane img") == [])
    sheet.page.wait_for_selector(SEEN)
    sheet.shot(f"lab-gallery-{theme.lower()}")
    low = faint(sheet.page, ROOT) + pale_borders(sheet.page, ROOT)
    sheet.theme("Light")

    assert low == []


def test_the_page_fetches_nothing_and_complains_about_nothing(sheet: Sheet, lab: Lab):
    foreign = [url for url in sheet.fetched if not url.startswith((lab.url, "data:", "blob:"))]

    assert (sheet.complaints, foreign) == ([], [])


def test_saved_and_reopened_without_a_kernel_the_first_pictures_are_there(
    sheet: Sheet, lab: Lab, browser: Browser
):
    sheet.save()
    saved = nbformat.read(sheet.path, as_version=4)
    assert sheet.path.stat().st_size < 400_000
    again = reopened(lab, browser, "gallery-reopened.ipynb", saved)
    still = again.page.locator(".imgopen-static")

    assert still.is_visible()
    assert still.locator("img").count() == 24
    assert "9,976 more" in still.inner_text()
    assert broken_pictures(again.page) == []
    assert "Error displaying widget" not in again.page.locator(".jp-Notebook").inner_text()
    assert again.complaints == []
    again.shot("lab-gallery-reopened")
    again.leave()


def test_it_fits_a_narrow_window(filled: Lab, browser: Browser):
    """In 360 pixels the columns shrink and the details lie below."""
    narrow = open_sheet(filled, browser, "narrow.ipynb", IMPORT, "gallery()")
    narrow.command("application:toggle-left-area")
    narrow.page.set_viewport_size({"width": 360, "height": 900})
    wait_until(lambda: grid(narrow).bounding_box()["width"] < 360)
    tile(narrow, 0).dblclick()
    narrow.page.wait_for_selector(f"{ROOT} .pane section")
    frame, pane = (narrow.page.locator(f"{ROOT} {c}").bounding_box() for c in (".frame", ".pane"))
    narrow.shot("lab-gallery-360")
    inside = "e => e.scrollWidth <= e.clientWidth + 1"

    assert columns(narrow) >= 2
    assert pane["y"] >= frame["y"] + frame["height"]
    assert narrow.page.locator(ROOT).evaluate(inside)
    narrow.close()


def test_hostile_captions_are_texts(filled: Lab, browser: Browser):
    journal = filled.folder / "home/imgopen.sqlite"
    rows = [
        (f"nbhostile{at}", said, said, json.dumps([said, "x"]), said)
        for at, said in enumerate(HOSTILE)
    ]
    with sqlite3.connect(journal) as db:
        db.executemany(
            "INSERT INTO tasks (task_id, operation, model, image, caption, tags, error, created,"
            " params, status, backend) VALUES (?1, 'describe', ?2, ?3, ?2, ?4, ?5, 2e9, '{}',"
            " 'failed', 'real')",
            [(task, said, said, tags, said) for task, said, _, tags, _ in rows],
        )
    db.close()
    code = "from imgopen_nb import current\ngallery(current().history(status='failed'))"
    filled.put("hostile-gallery.ipynb", book(IMPORT, code))
    sheet = Sheet(filled, browser, "hostile-gallery.ipynb")
    sheet.run_all()
    sheet.page.wait_for_selector(f"{TILE} .lost:not(:empty)")
    for place in range(len(HOSTILE)):
        tile(sheet, place).dblclick()
        sheet.page.wait_for_timeout(200)
    with sqlite3.connect(journal) as db:
        db.execute("DELETE FROM tasks WHERE task_id LIKE 'nbhostile%'")
    db.close()
    sheet.shot("lab-gallery-hostile")
    texts = " ".join(sheet.text(f"{TILE} .text"))
    foreign = [u for u in sheet.fetched if not u.startswith((filled.url, "data:", "blob:"))]

    assert all(said in texts for said in (*HOSTILE[:2], HOSTILE[3]))
    assert "⟨U+202E⟩cat" in texts
    assert re.search("failed, not available", " ".join(sheet.text(TILE)))
    assert sheet.page.evaluate("window.hacked") is None
    assert sheet.page.locator(f"{ROOT} script, {ROOT} a, {OURS} script").count() == 0
    assert (foreign, sheet.complaints) == ([], [])
    sheet.close()
