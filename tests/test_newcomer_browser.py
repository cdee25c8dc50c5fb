"""A newcomer's first hour in JupyterLab and Notebook 7: by the mouse, then by the keyboard alone.

Studio, describe, a painted mask, erase, before and after, gallery, choose five, caption board:
merge, edit, DataFrame.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Browser, Locator, expect

from imgopen_nb.config.credentials import KEY_ID, KEY_SECRET

from .conftest import KEY_ID as CANARY_ID
from .conftest import KEY_SECRET as CANARY_SECRET
from .conftest import often
from .lab import OURS, Lab, Notebook7, Sheet, book, reopened

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

STUDIO = "import imgopen_nb as imgopen\n\nstudio = imgopen.studio()\nstudio"
COMPARED = "imgopen.before_after(studio.form.result)"
GALLERY = """calls = [{"image": f"sample:{name}", "model": model}
         for name in imgopen.samples() for model in ("clip", "deepdanbooru")]
imgopen.current().run_all("describe", calls)
gallery = imgopen.gallery(imgopen.current().history(operation="describe", limit=len(calls)))
gallery"""
BOARD = "board = imgopen.board(gallery.selected)\nboard"
FRAME = "print(board.frame['caption'].dropna().to_dict())"
CELLS = (STUDIO, COMPARED, GALLERY, BOARD, FRAME)
MISSING = "Error displaying widget"
LOGGED = ("Traceback", "ERROR", "CRITICAL")


class Hand:
    """What a person does, whatever with; `sheet` is the notebook."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet, self.page = sheet, sheet.page

    def part(self, selector: str) -> Locator:
        return self.page.locator(selector).first

    def run_cell(self, at: int) -> Locator:
        """Run a cell and return it."""
        cell = self.page.locator(".jp-CodeCell").nth(at)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        expect(cell.locator(".jp-InputPrompt")).to_have_text(f"[{at + 1}]:", timeout=60_000)
        return cell


class Mouse(Hand):
    def choose(self, menu: Locator, label: str) -> None:
        menu.select_option(label=label)

    def press(self, button: Locator) -> None:
        button.click()

    def paint(self, canvas: Locator) -> None:
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box() or {}
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x - 60, y)
        self.page.mouse.down()
        self.page.mouse.move(x + 60, y, steps=8)
        self.page.mouse.up()

    def select(self, tiles: Locator, number: int) -> None:
        tiles.nth(0).click()
        tiles.nth(number - 1).click(modifiers=["Shift"])

    def merge_and_edit(self, board: Locator, text: str) -> None:
        board.locator("[role=toolbar] button", has_text="Union").click()
        expect(board.locator(".row").first).to_contain_text("merged")
        board.locator(".row .edit").first.click()
        board.locator("textarea").fill(text)
        board.locator(".editor button", has_text="Save").click()


class Keys(Hand):
    def choose(self, menu: Locator, label: str) -> None:
        menu.focus()
        self.page.keyboard.type(label, delay=20)
        self.page.keyboard.press("Enter")

    def press(self, button: Locator) -> None:
        button.focus()
        self.page.keyboard.press("Space")

    def paint(self, canvas: Locator) -> None:
        canvas.focus()
        for key in ("]", "]", "]", "Space", *["ArrowRight"] * 6, "Space"):
            self.page.keyboard.press(key)

    def select(self, tiles: Locator, number: int) -> None:
        self.page.locator("[role=listbox]").focus()
        for key in ("Home", "Space", *["Shift+ArrowRight"] * (number - 1)):
            self.page.keyboard.press(key)

    def merge_and_edit(self, board: Locator, text: str) -> None:
        board.locator(".row").first.focus()
        self.page.keyboard.press("u")
        expect(board.locator(".row").first).to_contain_text("merged")
        self.page.keyboard.press("e")
        board.locator("textarea").wait_for()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Control+Enter")


# Each front end and each way to work once; every pair of them in a soak.
PAIRS = [(Lab, Mouse), (Notebook7, Keys), (Lab, Keys), (Notebook7, Mouse)][: often(2, 4)]
IDS = ["-".join(each.__name__.lower() for each in pair) for pair in PAIRS]


@pytest.fixture(scope="module", params=PAIRS, ids=IDS)
def pair(request: pytest.FixtureRequest) -> tuple[type[Lab], type[Hand]]:
    return request.param


@pytest.fixture(scope="module")
def front_end(
    pair: tuple[type[Lab], type[Hand]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    running = pair[0](tmp_path_factory.mktemp("front-end"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def hand(pair: tuple[type[Lab], type[Hand]], front_end: Lab, browser: Browser) -> Iterator[Hand]:
    """A notebook with the newcomer's cells; a key that must show up nowhere is in the world."""
    name = f"newcomer-{type(front_end).__name__}-{pair[1].__name__}.ipynb".lower()
    world = (
        f"import os\nos.environ.update({KEY_ID}=open('id').read(), {KEY_SECRET}=open('key').read(),"
        f" IMGOPEN_BACKEND='sandbox', IMGOPEN_HOME={str(front_end.folder / Path(name).stem)!r})"
    )
    (front_end.root / "id").write_text(CANARY_ID)
    (front_end.root / "key").write_text(CANARY_SECRET)
    made = book(*CELLS)
    made.cells[0].source = f"{world}\n{STUDIO}"
    front_end.put(name, made)
    sheet = Sheet(front_end, browser, name)
    sheet.page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"
        "?.connectionStatus === 'connected'"
    )
    yield pair[1](sheet)
    sheet.close()


def test_the_first_hour(hand: Hand):
    described(hand)
    erased(hand)
    cell = hand.run_cell(1)
    expect(cell.get_by_role("slider")).to_be_visible()
    chosen(hand)
    captioned(hand)

    hand.sheet.shot(Path(hand.sheet.path).stem)
    assert hand.sheet.complaints == []


def described(hand: Hand) -> None:
    """The studio opens with describe: a sample, Run, a caption."""
    studio = hand.run_cell(0).locator(".imgopen-studio").first
    hand.choose(studio.get_by_label("Image: Samples"), "coffee")
    expect(studio.get_by_text("512 × 341 pixels")).to_be_visible()
    hand.press(studio.get_by_role("button", name="Run"))
    expect(studio.locator(f"{OURS} .io-caption")).to_contain_text("espresso", timeout=60_000)


def erased(hand: Hand) -> None:
    """Another operation, the mask painted over the image."""
    studio = hand.part(".imgopen-studio")
    operation = studio.get_by_label("Operation", exact=True)
    hand.choose(operation, "Erase")
    studio.get_by_role("button", name="Paint the mask").wait_for()
    hand.choose(studio.get_by_label("Image: Samples"), "camera")
    expect(studio.get_by_text("512 × 512 pixels").first).to_be_visible()
    canvas = studio.locator(".imgopen-paint .over")
    canvas.wait_for()
    hand.paint(canvas)
    run = studio.get_by_role("button", name="Run")
    expect(run).to_be_enabled()
    hand.press(run)
    expect(studio.locator(".facts")).to_contain_text("patchmatch", timeout=90_000)


def chosen(hand: Hand) -> None:
    """Five images of the gallery."""
    cell = hand.run_cell(2)
    tiles = cell.locator("[role=option]")
    expect(tiles).to_have_count(6)
    hand.select(tiles, 5)
    expect(cell.locator("[role=option][aria-selected=true]")).to_have_count(5)


def captioned(hand: Hand) -> None:
    """Merge the captions of the first image, edit them, and read them as a DataFrame."""
    cell = hand.run_cell(3)
    board = cell.locator(".imgopen-board")
    expect(board.locator(".row")).to_have_count(5)
    hand.merge_and_edit(board, "my own caption")
    expect(board.locator(".row").first).to_contain_text("edited")
    output = hand.run_cell(4).locator(".jp-OutputArea-output")
    expect(output).to_contain_text("my own caption")

    assert list(ast.literal_eval(output.inner_text()).values()) == ["my own caption"]


def test_the_key_is_in_no_file_and_the_server_had_no_trouble(hand: Hand, front_end: Lab):
    """Saved, with whatever the widgets left; the log of the server and our data included."""
    hand.sheet.save()
    saved = nbformat.read(hand.sheet.path, 4)
    files = [path for path in front_end.folder.rglob("*") if path.is_file()]
    canaries = (CANARY_ID.encode(), CANARY_SECRET.encode())
    held = [
        path.name
        for path in files
        if path.name not in ("id", "key") and any(c in path.read_bytes() for c in canaries)
    ]
    log = (front_end.folder / "server.log").read_text()

    assert len(saved.cells) == len(CELLS)
    assert held == []
    assert [line for line in log.splitlines() if any(word in line for word in LOGGED)] == []


def test_reopened_without_a_kernel_every_widget_has_left_something_to_read(
    hand: Hand, front_end: Lab, browser: Browser
):
    """The erased image, the pair, five images and what was written; in an export as well."""
    hand.sheet.left("my own caption")
    hand.sheet.save()
    saved = nbformat.read(hand.sheet.path, 4)
    again = reopened(front_end, browser, f"again-{hand.sheet.path.name}", saved)
    left = again.page.locator(".imgopen-static")
    expect(left).to_have_count(4)
    words = " ".join(left.all_inner_texts())
    missing = [place.is_visible() for place in again.page.get_by_text(MISSING).all()]
    again.leave()
    html, _ = HTMLExporter(template_name="lab").from_notebook_node(saved)

    said = ("Erase", "before", "espresso", "my own caption")
    assert [word for word in said if word not in words] == []
    assert not any(missing)
    assert html.count("my own caption") >= 2
    assert MISSING not in html
