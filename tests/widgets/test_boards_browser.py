"""The caption board in a real JupyterLab: by mouse, by keyboard alone, and without a kernel."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, expect

from ..lab import Lab, Notebook7, Sheet, book, reopened, wait_until
from ..page_checks import broken_pictures, faint, pale_borders

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

BOARD = ".imgopen-board"
HACK = "window.hacked=1"
HOSTILE = [
    f"<img src=x onerror={HACK}> </div><script>{HACK}</script> and more words than a tag has",
    f"[click](javascript:{HACK}) $x^2$ http://example.org/x",
    "W" * 3_000,
]
COFFEE = "a cup of coffee on a saucer with a spoon"
SENTENCE = "a tabby cat lying on a wooden floor"
SETUP = """
import time
import imgopen_nb as imgopen
from imgopen_nb.widgets.caption_board.board import board
session = imgopen.current()
def describe(image, model, caption, tags=None):
    now = time.time()
    session.manager.table.add({
        "task_id": f"nb-{now}-{model}", "operation": "describe", "model": model, "image": image,
        "params": {"model": model}, "status": "succeeded", "caption": caption, "created": now,
        "tags": tags, "submitted": now, "finished": now + 1, "backend": "sandbox"})
def tags(text):
    return [{"name": name, "score": None} for name in text.split(", ")]
"""
SAID = f"""
SAID = {{
    "chelsea": ("{SENTENCE}", "cat, whiskers, wooden_floor"),
    "coffee": ("{COFFEE}", "cup, spoon, coffee, table"),
    "rocket": ("a rocket on a launch pad at night", "rocket, sky, night"),
    "astronaut": ("a woman in an orange suit smiling", "1girl, smile, suit"),
    "camera": ("a man with a camera in a field", "1boy, camera, monochrome"),
    "grace_hopper": ("a woman in a uniform with a hat", "1girl, hat, military_uniform"),
}}
for image, (clip, booru) in SAID.items():
    describe(f"sample:{{image}}", "clip", clip)
    describe(f"sample:{{image}}", "deepdanbooru", booru, tags(booru))
    describe(f"sample:{{image}}", "wd-tagger", booru + ", indoors", tags(booru + ", indoors"))
"""
TOLD = "print(made.frame['caption'].fillna('').to_dict())"
ELSEWHERE = """
from imgopen_nb.captions.edits import Draft, Edits
first = "first" not in dir()
if not first:
    draft = Draft("from elsewhere", [], {}, "edited")
    Edits(session.manager.database).add("sample:camera", "name sample:camera", draft, None)
    print("written")
"""
# Lab has comms answered beside a running cell, so it is the board itself that is made slow.
SLOW = """
import time
runs = globals().get("runs", 0) + 1
quick = globals().get("quick", made.edits.current)
made.edits.current = (lambda images: time.sleep(2) or quick(images)) if runs == 2 else quick
print("run", runs)
"""
CELLS = [SETUP + SAID, "made = board()\nmade", TOLD, ELSEWHERE, SLOW]
LARGE = f"""
HOSTILE = {HOSTILE!r}
for at in range(130):
    describe(f"img{{at}}.png", "clip", HOSTILE[at % 25] if at % 25 < 3 else "a cat " + str(at))
    describe(f"img{{at}}.png", "<b>{HACK}</b>", "cat, $x$ <i>y</i>", tags("cat, $x$ <i>y</i>"))
"""
LARGE_CELLS = [SETUP + LARGE, "board()"]


def notebook(cells: list[str], home: str) -> nbformat.NotebookNode:
    first = f"import os\nos.environ['IMGOPEN_HOME'] = {home!r}"
    return book(first, *cells)


@pytest.fixture(scope="module")
def sheet(lab: Lab, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sheet]:
    opened = shown(lab, browser, CELLS, tmp_path_factory)
    yield opened
    opened.close()


def shown(lab: Lab, browser: Browser, cells: list[str], folders: pytest.TempPathFactory) -> Sheet:
    home = folders.mktemp("board")
    lab.put(f"{home.name}.ipynb", notebook(cells, str(home)))
    sheet = Sheet(lab, browser, f"{home.name}.ipynb")
    sheet.run_all()
    sheet.page.wait_for_selector(f"{BOARD} .row")
    return sheet


def told(sheet: Sheet) -> dict[str, str]:
    """What the kernel's DataFrame says, read by running its cell again."""
    cell = sheet.cell("made.frame")
    before = cell.locator(".jp-InputPrompt").inner_text()
    cell.locator(".cm-content").click()
    sheet.page.keyboard.press("Control+Enter")
    done = re.compile(r"\[\d+\]")
    prompt = cell.locator(".jp-InputPrompt")
    wait_until(lambda: prompt.inner_text() != before and bool(done.search(prompt.inner_text())))
    output = cell.locator(".jp-OutputArea-output")
    wait_until(lambda: (output.text_content() or "").strip().endswith("}"))
    captions: dict[str, str] = ast.literal_eval((output.text_content() or "").strip())
    return captions


def row(sheet: Sheet, at: int) -> Locator:
    return sheet.page.locator(f"{BOARD} .row").nth(at)


def mine(sheet: Sheet, at: int, text: str, kind: str) -> None:
    """Wait until the caption of a person is this one."""
    card = row(sheet, at).locator(".mine")
    card.locator(".badge", has_text=kind).wait_for()
    card.locator(".text", has_text=re.compile(f"^{re.escape(text)}$")).wait_for()


def said(sheet: Sheet, text: str) -> None:
    sheet.page.locator(f"{BOARD} .status", has_text=text).wait_for()


def asked(sheet: Sheet, text: str) -> Locator:
    bar = sheet.page.locator(f"{BOARD} .bar", has_text=text)
    bar.wait_for()
    return bar


def tool(sheet: Sheet, name: str) -> Locator:
    return sheet.page.locator(f"{BOARD} .tools button", has_text=name)


def press(sheet: Sheet, *keys: str) -> None:
    for key in keys:
        sheet.page.keyboard.press(key)


def focus_by_tab(sheet: Sheet) -> None:
    """Reach the marked image from the buttons above it, as Tab does."""
    tool(sheet, "Help").focus()
    for _ in range(4):  # the buttons that turn the pages may be between
        press(sheet, "Tab")
        if sheet.page.evaluate("document.activeElement.classList.contains('row')"):
            return
    pytest.fail("no image comes after the buttons")


def cells(sheet: Sheet) -> list[str]:
    """Kind and text of every cell of the notebook."""
    found: list[str] = sheet.page.locator(".jp-Notebook .jp-Cell").evaluate_all(
        "all => all.map(e => e.className.match(/jp-\\w+Cell/)[0] + e.querySelector('.cm-content')"
        "?.textContent)"
    )
    return found


def test_the_pictures_and_captions_are_there(sheet: Sheet):
    loaded = f"document.querySelectorAll('{BOARD} img[src]').length === 6"
    sheet.page.wait_for_function(loaded)

    assert broken_pictures(sheet.page, f"{BOARD} img") == []
    assert row(sheet, 0).locator(".text").first.inner_text() == SENTENCE
    assert row(sheet, 0).locator(".chip.shared").all_inner_texts()[:2] == ["cat", "wooden"]
    assert sheet.page.locator(".imgopen-static:visible").count() == 0


def test_by_mouse(sheet: Sheet):
    """Pick, merge, be asked, keep, replace, edit, take back; the kernel has it all."""
    row(sheet, 0).locator(".pick").first.click()
    mine(sheet, 0, SENTENCE, "picked")
    tool(sheet, "Intersection").click()
    asked(sheet, "Replace the caption you picked?").get_by_role("button", name="Keep").click()
    said(sheet, "nothing was replaced")
    mine(sheet, 0, SENTENCE, "picked")
    tool(sheet, "Intersection").click()
    asked(sheet, "Replace").get_by_role("button", name="Replace").click()
    mine(sheet, 0, "cat, wooden_floor", "merged")
    row(sheet, 0).locator(".edit").click()
    sheet.page.locator(f"{BOARD} textarea").fill("cat, wooden floor, by mouse")
    sheet.page.locator(f"{BOARD} .editor button", has_text="Save").click()
    mine(sheet, 0, "cat, wooden floor, by mouse", "edited")
    assert told(sheet)["sample:chelsea"] == "cat, wooden floor, by mouse"

    tool(sheet, "Undo").click()
    mine(sheet, 0, "cat, wooden_floor", "merged")
    assert told(sheet)["sample:chelsea"] == "cat, wooden_floor"


def test_by_keyboard_alone(sheet: Sheet):
    focus_by_tab(sheet)
    press(sheet, "j", "2")
    mine(sheet, 1, "cup, spoon, coffee, table", "picked")
    press(sheet, "u")
    asked(sheet, "Replace the caption you picked?")
    press(sheet, "Escape")
    said(sheet, "nothing was replaced")
    press(sheet, "u")
    asked(sheet, "Replace the caption you picked?")
    sheet.shot("board-asks")
    press(sheet, "Enter")
    mine(sheet, 1, f"{COFFEE}, cup, spoon, coffee, table, indoors", "merged")
    for key, caption in (
        ("i", "cup, spoon, coffee"), ("v", "cup, spoon, coffee, table"),
        ("m", f"{COFFEE}, table, indoors"),
    ):  # fmt: skip
        press(sheet, key)
        asked(sheet, "Replace your merged caption?")
        press(sheet, "Enter")
        mine(sheet, 1, caption, "merged")
    press(sheet, "z")
    mine(sheet, 1, "cup, spoon, coffee, table", "merged")
    press(sheet, "ArrowDown", "k", "ArrowUp", "ArrowUp", "j")
    assert "current" in (row(sheet, 1).get_attribute("class") or "")
    assert told(sheet)["sample:coffee"] == "cup, spoon, coffee, table"


TYPED = "dd b 1 u i s v z j k e ? x"


def test_what_is_typed_in_the_editor_is_text(sheet: Sheet):
    """None of its letters does what it does outside, in the board or in the notebook."""
    before = cells(sheet)
    focus_by_tab(sheet)
    press(sheet, "k", "k", "j", "j", "e")
    sheet.page.keyboard.type(TYPED)
    press(sheet, "Enter")
    sheet.page.keyboard.type("second line")
    sheet.shot("board-editor")
    press(sheet, "Control+Enter")
    mine(sheet, 2, f"{TYPED}\nsecond line", "edited")

    assert cells(sheet) == before
    press(sheet, "1")
    asked(sheet, "Replace what you wrote?")
    press(sheet, "d", "b", "u", "Escape")
    assert told(sheet)["sample:rocket"] == f"{TYPED}\nsecond line"
    assert cells(sheet) == before


def test_a_text_that_is_not_saved_is_not_dropped_by_accident(sheet: Sheet):
    area = sheet.page.locator(f"{BOARD} textarea")
    focus_by_tab(sheet)
    press(sheet, "j", "e")
    sheet.page.keyboard.type("unsaved")
    press(sheet, "Escape")
    asked(sheet, "not saved yet")
    press(sheet, "Escape")
    assert area.input_value() == "unsaved"
    row(sheet, 0).locator(".pick").first.click()
    asked(sheet, "not saved yet")
    press(sheet, "d")
    area.wait_for(state="detached")
    asked(sheet, "Replace your merged caption?")
    press(sheet, "Escape", "j", "j", "j", "e")
    sheet.page.keyboard.type("kept by Esc and Enter")
    press(sheet, "Escape")
    asked(sheet, "not saved yet")
    press(sheet, "Enter")
    mine(sheet, 3, "kept by Esc and Enter", "edited")


def test_a_caption_saved_elsewhere_is_told_and_asked_about(sheet: Sheet):
    cell = sheet.cell("Draft")
    cell.locator(".cm-content").click()
    press(sheet, "Control+Enter")
    wait_until(
        lambda: "written" in (cell.locator(".jp-OutputArea-output").last.text_content() or "")
    )
    focus_by_tab(sheet)
    press(sheet, "ArrowDown", "1")
    bar = asked(sheet, "It was saved elsewhere meanwhile")
    assert "from elsewhere" in bar.inner_text()
    press(sheet, "Escape")
    assert told(sheet)["sample:camera"] == "from elsewhere"


def test_an_answer_that_comes_late_takes_nobody_away_from_a_cell(sheet: Sheet):
    """Else Enter, meant for the cell, would replace a caption."""
    cell = sheet.cell("quick")

    def run(times: int) -> None:
        cell.locator(".cm-content").click()
        press(sheet, "Control+Enter")
        cell.locator(".jp-OutputArea-output", has_text=f"run {times}").wait_for()

    run(2)
    focus_by_tab(sheet)
    press(sheet, "2")
    said(sheet, "waiting for the kernel")
    cell.locator(".cm-content").click()
    bar = asked(sheet, "Replace what you wrote?")
    assert sheet.page.evaluate("document.activeElement.className.includes('cm-content')")
    run(3)
    bar.get_by_role("button", name="Keep").click()
    said(sheet, "nothing was replaced")


@pytest.mark.parametrize("keys", ["dd", "b", "a", "x", "r", "y", "c", "0", "00", "Shift+Enter"])
def test_labs_shortcuts_stay_away_from_the_board(sheet: Sheet, keys: str):
    before = cells(sheet)
    focus_by_tab(sheet)
    press(sheet, *([keys] if "+" in keys else keys))
    sheet.page.wait_for_timeout(150)

    assert cells(sheet) == before
    assert sheet.page.locator(".jp-Dialog").count() == 0
    assert sheet.page.evaluate("document.activeElement.className.includes('row')")


def test_beside_the_board_labs_shortcuts_work_and_ctrl_s_does_everywhere(sheet: Sheet):
    """So the test above would notice a key that is not held back."""
    before = len(cells(sheet))
    sheet.page.locator(".jp-Cell").last.locator(".jp-InputPrompt").click()
    press(sheet, "b")
    wait_until(lambda: len(cells(sheet)) == before + 1)
    press(sheet, "d", "d")
    wait_until(lambda: len(cells(sheet)) == before)
    focus_by_tab(sheet)
    changed = sheet.path.stat().st_mtime_ns
    press(sheet, "Control+s")
    wait_until(lambda: sheet.path.stat().st_mtime_ns > changed)


def test_the_help_says_all_keys(sheet: Sheet):
    help_ = sheet.page.locator(f"{BOARD} .help")
    focus_by_tab(sheet)
    press(sheet, "?")
    help_.wait_for()
    assert tool(sheet, "Help").get_attribute("aria-expanded") == "true"
    assert "Ctrl+Enter saves" in help_.inner_text()
    sheet.shot("board-help")
    press(sheet, "Escape")
    help_.wait_for(state="hidden")


def test_screen_readers_are_told_what_is_what(sheet: Sheet):
    root = sheet.page.locator(BOARD)

    assert root.get_attribute("aria-label") == "caption board; press ? for its keys"
    assert sheet.page.locator(f"{BOARD} .status").get_attribute("aria-live") == "polite"
    assert row(sheet, 0).get_attribute("aria-label") == "image 1 of 6: sample:chelsea"
    assert sheet.page.locator(f"{BOARD} [aria-current]").count() == 1
    nameless = "all => all.filter(e => !(e.textContent.trim() || e.ariaLabel)).length"
    assert sheet.page.locator(f"{BOARD} button").evaluate_all(nameless) == 0


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_is_readable_in_both_themes(sheet: Sheet, theme: str):
    sheet.theme(theme)
    sheet.shot(f"board-{theme.lower()}")
    low = faint(sheet.page, BOARD) + pale_borders(sheet.page, BOARD)
    sheet.theme("Light")

    assert low == []


def test_it_fits_a_narrow_window(sheet: Sheet):
    sheet.command("application:toggle-left-area")
    sheet.page.set_viewport_size({"width": 360, "height": 900})
    sheet.page.wait_for_timeout(500)
    sheet.shot("board-360")
    wide = sheet.page.locator(f"{BOARD}, {BOARD} *").evaluate_all(
        "all => all.filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth"
        " && getComputedStyle(e).display !== 'inline').map(e => e.className)"
    )
    sheet.page.set_viewport_size({"width": 1200, "height": 1400})
    sheet.command("application:toggle-left-area")

    assert wide == []


def test_in_a_narrow_window_the_buttons_of_the_editor_are_in_view(sheet: Sheet):
    sheet.command("application:toggle-left-area")
    sheet.page.set_viewport_size({"width": 380, "height": 800})
    row(sheet, 1).locator("button.edit").click()
    buttons = row(sheet, 1).locator(".editor button")
    for name in ("Save", "Close"):
        expect(buttons.filter(has_text=name)).to_be_in_viewport(ratio=1)
    buttons.filter(has_text="Close").click()
    sheet.page.set_viewport_size({"width": 1200, "height": 1400})
    sheet.command("application:toggle-left-area")


def test_saved_and_reopened_without_a_kernel_the_table_reads(
    sheet: Sheet, lab: Lab, browser: Browser
):
    sheet.left("kept by Esc and Enter")
    sheet.save()
    saved = nbformat.read(sheet.path, as_version=4)
    again = reopened(lab, browser, "reopened-board.ipynb", saved)
    table = again.page.locator(".imgopen-static")
    text = " ".join(table.all_inner_texts())
    again.shot("board-static")

    assert sheet.path.stat().st_size < 300_000
    assert (SENTENCE in text, "kept by Esc and Enter" in text) == (True, True)
    assert broken_pictures(again.page, ".imgopen-static img") == []
    assert "model not found" not in again.page.locator("body").inner_text().lower()
    assert again.complaints == []
    again.leave()


def test_the_page_fetches_nothing_and_complains_about_nothing(sheet: Sheet, lab: Lab):
    foreign = [url for url in sheet.fetched if not url.startswith((lab.url, "data:", "blob:"))]

    assert (sheet.complaints, foreign) == ([], [])


# Many images, and captions that want to be more than text


@pytest.fixture(scope="module")
def large(lab: Lab, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sheet]:
    opened = shown(lab, browser, LARGE_CELLS, tmp_path_factory)
    yield opened
    opened.close()


def test_only_a_page_of_many_pictures_is_in_the_page(large: Sheet):
    where = large.page.locator(f"{BOARD} .pages")
    assert large.page.locator(f"{BOARD} .row").count() == 25
    assert "page 1 of 6" in where.inner_text()
    focus_by_tab(large)
    press(large, "PageDown")
    large.page.locator(f"{BOARD} .row", has_text="img25").wait_for()
    assert large.page.locator(f"{BOARD} .row").count() == 25
    press(large, "k")
    large.page.locator(f"{BOARD} .row", has_text="img24").wait_for()
    assert large.page.evaluate("document.activeElement.ariaLabel").startswith("image 25 of 130")
    press(large, "1")
    said(large, "picked")


def test_hostile_captions_are_text(large: Sheet, lab: Lab):
    texts = "\n".join(large.text(f"{BOARD} .row"))
    alive = f"{BOARD} script, {BOARD} svg, {BOARD} a, {BOARD} .text img, {BOARD} mjx-container"
    large.shot("board-hostile")
    foreign = [u for u in large.fetched if not u.startswith((lab.url, "data:", "blob:"))]

    assert [caption[:40] in texts for caption in HOSTILE] == [True] * len(HOSTILE)
    assert large.page.locator(alive).count() == 0
    assert large.page.evaluate("window.hacked") is None
    assert (foreign, large.complaints) == ([], [])
    wide = "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.className)"
    assert large.page.locator(f"{BOARD} .row, {BOARD} .row div").evaluate_all(wide) == []


# Notebook 7, which looks for shortcuts at another moment than Lab


def test_in_notebook_7_the_keys_are_the_boards_too(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
):
    server = Notebook7(tmp_path_factory.mktemp("notebook7"))
    sheet = shown(server, browser, CELLS, tmp_path_factory)
    before = cells(sheet)
    focus_by_tab(sheet)
    press(sheet, *"ddbaxmy", "Shift+Enter", "j", "2")
    mine(sheet, 1, "cup, spoon, coffee, table", "picked")
    press(sheet, "e")
    sheet.page.keyboard.type(" dd b")
    press(sheet, "Control+Enter")
    mine(sheet, 1, "cup, spoon, coffee, table dd b", "edited")
    press(sheet, "z")
    mine(sheet, 1, "cup, spoon, coffee, table", "picked")
    sheet.shot("board-notebook7")
    static = sheet.page.locator(".imgopen-static:visible").count()
    same, caption, complaints = cells(sheet) == before, told(sheet), sheet.complaints
    sheet.close()
    server.stop()

    assert (same, static, complaints) == (True, 0, [])
    assert caption["sample:coffee"] == "cup, spoon, coffee, table"
