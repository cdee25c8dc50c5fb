"""The mask painter in a real JupyterLab: what is painted arrives in Python, pixel by pixel."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import nbformat
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from ..lab import Lab, Sheet, book, reopened, wait_until
from ..page_checks import TOO_WIDE, broken_pictures, faint, pale_borders

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

HOSTILE = "<img src=x onerror=window.hacked=1>"
WIDE, HIGH = 600, 400
CELL = """
import time
import numpy as np
from PIL import Image
from imgopen_nb.widgets.mask_painter import paint

rows, columns = np.mgrid[0:{high}, 0:{wide}]
waves = 128 + 100 * np.sin(rows / 30) * np.cos(columns / 40)
image = np.stack([waves, rows * 255 / {high}, columns * 255 / {wide}], -1).astype("uint8")
name = {name!r}
Image.fromarray(image).save(name)
arrivals = []
painter = paint(name)
painter.on_change(lambda p: arrivals.append((time.time(), float(p.share))))
painter
"""
# Notes every position of the pointer that the page is told, on the canvas, in CSS pixels.
RECORD = """() => {
  window.positions = [];
  const note = event => {
    if (!event.target.matches?.('.imgopen-paint .over')) return;
    if (event.type === 'pointerup') { window.ended = Date.now() / 1000; return; }
    if (event.type === 'pointermove' && !event.buttons) return;
    const all = event.getCoalescedEvents();
    const box = event.target.getBoundingClientRect();
    for (const each of all.length ? all : [event])
      window.positions.push([each.clientX - box.left, each.clientY - box.top]);
  };
  for (const name of ['pointerdown', 'pointermove', 'pointerup'])
    window.addEventListener(name, note, true);
}"""
EXECUTE = """async code => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const reply = await kernel.requestExecute({ code, store_history: false }).done;
  return reply.content.status + ' ' + (reply.content.evalue ?? '');
}"""
CANVAS = ".imgopen-paint .over"

Point = tuple[float, float]


class Bench:
    """A painter in JupyterLab, and what its mask is in Python."""

    def __init__(self, lab: Lab, sheet: Sheet) -> None:
        self.lab, self.sheet, self.page = lab, sheet, sheet.page
        self.page.wait_for_selector(CANVAS)
        self.page.evaluate(RECORD)
        self.page.locator(CANVAS).scroll_into_view_if_needed()

    def run(self, code: str) -> None:
        assert self.page.evaluate(EXECUTE, code) == "ok "

    def mask(self) -> Any:
        self.run("painter.mask.save('mask.png')")
        image = Image.open(self.lab.root / "mask.png")
        assert image.mode == "L"
        return np.asarray(image)

    def becomes(self, expected: Any, seconds: float = 10) -> None:
        """Wait until the mask in Python is this one; say where it is not."""
        expected = np.asarray(expected, dtype=bool) * np.uint8(255)
        found: list[Any] = [None]

        def same() -> bool:
            found[0] = self.mask()
            return np.array_equal(found[0], expected)

        try:
            wait_until(same, seconds)
        except AssertionError:
            wrong = np.argwhere(found[0] != expected)
            pytest.fail(f"{len(wrong)} pixels differ, the first at {wrong[:4].tolist()}")

    def reset(self) -> None:
        self.key("Escape")
        self.key("0")
        self.button("brush")
        self.size(24)
        self.run("painter.mask = None")
        self.becomes(np.zeros(self.shape()))
        self.wait_for("0.0 % painted")

    def shape(self) -> tuple[int, int]:
        return self.mask().shape

    def wait_for(self, text: str) -> None:
        self.page.locator(".imgopen-paint .line", has_text=text).wait_for()

    def box(self) -> dict[str, float]:
        return self.page.locator(CANVAS).bounding_box()

    def drag(self, *points: Point, steps: int = 6) -> list[Point]:
        """Drag the mouse over points of the canvas; return the positions in the image."""
        self.page.evaluate("window.positions = []")
        box = self.box()
        for place, (x, y) in enumerate(points):
            self.page.mouse.move(box["x"] + x, box["y"] + y, steps=steps if place else 1)
            if place == 0:
                self.page.mouse.down()
        self.page.mouse.up()
        return self.positions()

    def positions(self) -> list[Point]:
        """Return the recorded positions in the image, in eighths of a pixel, as documented."""
        view = self.page.locator(CANVAS).evaluate("e => ({...e.dataset})")
        scale, left, top = (float(view[name]) for name in ("scale", "left", "top"))
        found = self.page.evaluate("window.positions")
        return [(eighth(x / scale + left), eighth(y / scale + top)) for x, y in found]

    def button(self, name: str) -> None:
        self.page.locator(f'.imgopen-paint button[aria-label^="{name}"]').first.click()

    def size(self, size: int) -> None:
        self.page.locator(".imgopen-paint input").fill(str(size))

    def key(self, *keys: str) -> None:
        self.page.locator(CANVAS).focus()
        for key in keys:
            self.page.keyboard.press(key)

    def touch(self, kind: str, pointer: int, x: float, y: float, device: str = "touch") -> None:
        """Have a pointer event of a finger or a pen arrive at the canvas."""
        box = self.box()
        about = {"pointerId": pointer, "pointerType": device, "bubbles": True, "cancelable": True}
        about |= {"clientX": box["x"] + x, "clientY": box["y"] + y, "button": 0}
        about |= {"buttons": 0 if kind == "pointerup" else 1, "isPrimary": pointer == 1}
        self.page.locator(CANVAS).evaluate(
            "(e, [kind, about]) => e.dispatchEvent(new PointerEvent(kind, about))", [kind, about]
        )


def eighth(value: float) -> float:
    return float(np.floor(value * 8 + 0.5) / 8)


def stroke(shape: tuple[int, int], points: Sequence[Point], size: int) -> Any:
    """The rule of the documentation in whole numbers: sixteenths of a pixel, exact."""
    radius = 8 * size
    ends = np.round(np.array(points) * 16).astype(np.int64)
    out = np.zeros(shape, bool)
    for a, b in itertools.pairwise(ends if len(ends) > 1 else [*ends, *ends]):
        low = np.maximum(np.minimum(a, b) - radius, 0) // 16
        high = np.maximum(np.maximum(a, b) + radius, 0) // 16 + 1
        part = np.s_[low[1] : high[1], low[0] : high[0]]
        rows, columns = np.mgrid[: shape[0], : shape[1]][(slice(None), *part)]
        x, y = 16 * columns + 8 - a[0], 16 * rows + 8 - a[1]
        (dx, dy), long = b - a, int(((b - a) ** 2).sum())
        along = x * dx + y * dy
        beside = (x * dy - y * dx) ** 2 <= radius**2 * long
        start, end = x**2 + y**2 <= radius**2, (x - dx) ** 2 + (y - dy) ** 2 <= radius**2
        out[part] |= np.where(along <= 0, start, np.where(along >= long, end, beside))
    return out


def rectangle(shape: tuple[int, int], one: Point, other: Point) -> Any:
    (left, right), (top, bottom) = sorted((one[0], other[0])), sorted((one[1], other[1]))
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    return (rows >= top) & (rows <= bottom) & (columns >= left) & (columns <= right)


@contextmanager
def painting(
    lab: Lab, browser: Browser, file: str, wide: int, high: int, name: str, **options: Any
) -> Iterator[Bench]:
    lab.put(file, book(CELL.format(wide=wide, high=high, name=name)))
    sheet = Sheet(lab, browser, file, **options)
    sheet.run_all()
    yield Bench(lab, sheet)
    sheet.close()


@pytest.fixture(scope="module")
def shared(lab: Lab, browser: Browser) -> Iterator[Bench]:
    with painting(lab, browser, "painting.ipynb", WIDE, HIGH, f"{HOSTILE}.png") as bench:
        yield bench


@pytest.fixture
def bench(shared: Bench) -> Bench:
    shared.reset()
    return shared


BLANK = (HIGH, WIDE)


def test_a_stroke_at_full_size_is_exact(bench: Bench):
    """An image that fits is shown pixel by pixel; the mouse's way is what is painted."""
    box = bench.box()
    assert (box["width"], box["height"]) == (WIDE, HIGH)

    way = bench.drag((50, 60), (300, 100), (301, 300), (77, 333))

    assert np.abs(np.array(way[0]) - (50, 60)).max() <= 1
    assert np.abs(np.array(way[-1]) - (77, 333)).max() <= 1
    assert len(way) > 10
    bench.becomes(stroke(BLANK, way, 24))


@pytest.mark.parametrize("size", [1, 2, 7, 150])
def test_every_size_of_the_brush_is_exact(bench: Bench, size: int):
    bench.size(size)

    way = bench.drag((20, 20), (333, 222), (599, 15))

    if size == 1:  # from pixel to pixel
        way = [(np.floor(x) + 0.5, np.floor(y) + 0.5) for x, y in way]
    bench.becomes(stroke(BLANK, way, size))


def test_strokes_zoomed_and_panned_are_exact(bench: Bench):
    bench.key("+", "+", "+")
    bench.button("move")
    bench.drag((300, 200), (123, 117))
    bench.button("brush")

    way = bench.drag((100, 100), (250, 333), (500, 20))
    view = bench.page.locator(CANVAS).evaluate("e => ({...e.dataset})")

    assert float(view["scale"]) == pytest.approx(1.5**3)
    assert float(view["left"]) > 200
    bench.becomes(stroke(BLANK, way, 24))


def test_the_wheel_zooms_with_ctrl_alone_and_about_the_pointer(bench: Bench):
    """Without Ctrl it scrolls the page, as everywhere."""
    box = bench.box()
    bench.page.mouse.move(box["x"] + 150, box["y"] + 300)
    bench.page.mouse.wheel(0, -10)
    assert bench.page.locator(CANVAS).get_attribute("data-scale") == "1"
    bench.page.keyboard.down("Control")
    bench.page.mouse.wheel(0, -100)
    bench.page.keyboard.up("Control")
    bench.page.wait_for_selector(f"{CANVAS}[data-scale='1.25']")
    view = bench.page.locator(CANVAS).evaluate("e => ({...e.dataset})")

    assert float(view["left"]) == pytest.approx(150 - 150 / 1.25, abs=0.5)
    assert float(view["top"]) == pytest.approx(300 - 300 / 1.25, abs=0.5)


def test_the_eraser_the_rectangle_and_shift(bench: Bench):
    bench.button("rectangle")
    first = bench.drag((100, 50), (500, 350))
    bench.button("eraser")
    second = bench.drag((120, 60), (480, 340))
    bench.button("rectangle")
    bench.page.keyboard.down("Shift")
    third = bench.drag((400, 100), (450, 120))
    bench.page.keyboard.up("Shift")
    expected = rectangle(BLANK, first[0], first[-1]) & ~stroke(BLANK, second, 24)
    expected &= ~rectangle(BLANK, third[0], third[-1])

    assert 0 < expected.sum() < expected.size
    bench.becomes(expected)


def test_undo_redo_invert_and_clear(bench: Bench):
    one = stroke(BLANK, bench.drag((50, 50), (200, 60)), 24)
    both = one | stroke(BLANK, bench.drag((100, 20), (110, 300)), 24)
    bench.becomes(both)
    bench.button("undo")
    bench.becomes(one)
    bench.key("Control+z")
    bench.becomes(np.zeros(BLANK))
    bench.key("Control+Shift+z", "Control+y")
    bench.becomes(both)
    bench.button("invert")
    bench.becomes(~both)
    bench.button("clear")
    bench.becomes(np.zeros(BLANK))
    bench.page.keyboard.press("Control+z")  # with the focus still on the button
    bench.becomes(~both)
    bench.button("eraser")
    third = stroke(BLANK, bench.drag((300, 200), (500, 200)), 24)

    bench.becomes(~both & ~third)
    redo = bench.page.get_by_role("button", name="redo")
    assert redo.get_attribute("aria-disabled") == "true"


def test_the_keyboard_alone_is_enough(bench: Bench):
    """Enter paints where the cursor is, Space draws a line, a rectangle has two corners."""
    bench.page.locator(CANVAS).focus()
    at = np.array(bench.page.locator(".imgopen-paint .ring").evaluate(
        "e => [['left', 'width'], ['top', 'height']]"
        ".map(([a, b]) => parseFloat(e.style[a]) + parseFloat(e.style[b]) / 2)"
    ))  # fmt: skip
    bench.key("]", "Enter")
    expected = stroke(BLANK, [at], 30)
    bench.key("ArrowLeft", "ArrowLeft", "Shift+ArrowUp", "Space", "ArrowUp", "ArrowUp", "Space")
    at += (-20, -1)
    expected |= stroke(BLANK, [at, at - (0, 10), at - (0, 20)], 30)
    at -= (0, 20)
    bench.key("r", "ArrowUp", "Enter", "ArrowRight", "ArrowUp", "Shift+ArrowUp", "Enter")
    at += (0, -10)
    corner = at + np.array((10, -11))
    expected |= rectangle(BLANK, at, corner)
    bench.becomes(expected)
    bench.key("e", "Enter")
    expected &= ~stroke(BLANK, [corner], 30)
    bench.becomes(expected)
    bench.key("i")
    bench.becomes(~expected)
    bench.key("Delete")
    bench.becomes(np.zeros(BLANK))

    assert bench.page.locator(".jp-CodeCell").count() == 1, "a key was a shortcut of JupyterLab"
    assert bench.page.locator(".imgopen-paint [aria-live]").text_content() == "cleared"


def test_the_keyboard_pans_after_its_cursor(bench: Bench):
    bench.key("+", "+", "+", "+", *["Shift+ArrowRight"] * 5, *["ArrowRight"] * 100)

    view = bench.page.locator(CANVAS).evaluate("e => ({...e.dataset})")
    ring = bench.page.locator(".imgopen-paint .ring").bounding_box()
    box = bench.box()
    assert float(view["left"]) > 300
    assert box["x"] < ring["x"] + ring["width"] / 2 < box["x"] + box["width"]


def test_tools_say_what_they_are(bench: Bench):
    page = bench.page
    bench.key("r")
    said = page.locator(".imgopen-paint [aria-live]")
    pressed = page.locator(".imgopen-paint button[aria-pressed=true]")

    assert said.text_content() == "rectangle"
    assert pressed.get_attribute("aria-label") == "rectangle (R)"
    canvas = page.locator(CANVAS)
    assert canvas.get_attribute("aria-label") == f"mask of {HOSTILE}.png"
    help_text = page.locator(f"#{canvas.get_attribute('aria-describedby')}").text_content()
    assert all(word in help_text for word in ("Enter", "Space", "Ctrl+Z", "[ ]"))
    names = page.locator(".imgopen-paint button").evaluate_all("all => all.map(e => e.ariaLabel)")
    assert all(names)
    stage = page.locator(".imgopen-paint .stage")
    assert stage.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


def test_ctrl_s_still_saves_the_notebook(bench: Bench):
    """The painter keeps its keys from JupyterLab, and no others."""
    bench.drag((30, 30), (40, 40))
    bench.page.wait_for_selector(".jp-mod-dirty", state="attached")
    before = bench.sheet.path.stat().st_mtime_ns
    bench.key("Control+s")

    wait_until(lambda: bench.sheet.path.stat().st_mtime_ns > before)


@pytest.mark.parametrize("device", ["touch", "pen"])
def test_a_finger_and_a_pen_paint(bench: Bench, device: str):
    bench.page.evaluate("window.positions = []")
    bench.touch("pointerdown", 1, 100.25, 100.5, device)
    bench.touch("pointermove", 1, 180.75, 140.125, device)
    bench.touch("pointermove", 1, 260.5, 90, device)
    bench.touch("pointerup", 1, 260.5, 90, device)

    way = bench.positions()
    assert len(way) == 3
    bench.becomes(stroke(BLANK, way, 24))


def test_two_fingers_zoom_and_pan_and_paint_nothing(bench: Bench):
    bench.touch("pointerdown", 1, 250, 200)
    bench.touch("pointerdown", 2, 350, 200)
    bench.touch("pointermove", 1, 200, 200)
    bench.touch("pointermove", 2, 400, 200)
    bench.touch("pointerup", 1, 200, 200)
    bench.touch("pointerup", 2, 400, 200)
    view = bench.page.locator(CANVAS).evaluate("e => ({...e.dataset})")

    assert float(view["scale"]) == pytest.approx(2, rel=0.01)
    assert float(view["left"]) == pytest.approx(150, abs=1)
    assert not bench.mask().any()
    bench.button("the whole image")
    way = bench.drag((10, 10), (60, 10))
    bench.becomes(stroke(BLANK, way, 24))


def test_escape_gives_a_stroke_up(bench: Bench):
    box = bench.box()
    bench.page.mouse.move(box["x"] + 50, box["y"] + 50)
    bench.page.mouse.down()
    bench.page.mouse.move(box["x"] + 150, box["y"] + 50)
    bench.key("Escape")
    bench.page.mouse.move(box["x"] + 250, box["y"] + 50)
    bench.page.mouse.up()
    bench.wait_for("0.0 % painted")

    assert not bench.mask().any()


def test_a_mask_of_python_is_shown_and_can_be_undone(bench: Bench):
    bench.run("half = np.zeros((400, 600), bool); half[:, :150] = True; painter.mask = half")
    bench.wait_for("25.0 % painted")
    colours = bench.page.locator(CANVAS).evaluate(
        "e => [100, 200].map(x => [...e.getContext('2d').getImageData(x, 50, 1, 1).data])"
    )
    half = np.zeros(BLANK, bool)
    half[:, :150] = True

    assert [colour[3] > 0 for colour in colours] == [True, False]
    added = stroke(BLANK, bench.drag((140, 140), (160, 300)), 24)
    bench.becomes(half | added)
    bench.key("Control+z", "Control+z")
    bench.becomes(np.zeros(BLANK))


def test_a_mask_that_is_none_is_refused_in_sight(bench: Bench):
    """Whatever the browser sends, Python keeps the last good mask, and the browser gets it back."""
    good = stroke(BLANK, bench.drag((50, 50), (60, 60)), 24)
    bench.becomes(good)
    bench.run("painter.widget.set_state({'value': b'no mask at all', 'number': 99})")

    bench.page.locator(".imgopen-paint .trouble", has_text="cannot be").wait_for()
    bench.becomes(good)
    again = stroke(BLANK, bench.drag((300, 300), (310, 310)), 24)
    bench.becomes(good | again)
    assert bench.page.locator(".imgopen-paint .trouble").text_content() == ""


def test_a_second_view_shows_the_same_mask(bench: Bench):
    """Of the same widget, and one that is opened after the painting."""
    done = stroke(BLANK, bench.drag((50, 50), (300, 60)), 24)
    bench.becomes(done)
    sheet, page = bench.sheet, bench.page
    sheet.command("notebook:insert-cell-below")
    page.locator(".jp-Cell.jp-mod-active .cm-content").click()
    page.keyboard.type("painter")
    sheet.command("notebook:run-cell")
    page.wait_for_function("document.querySelectorAll('.imgopen-paint .over').length === 2")
    second = page.locator(CANVAS).nth(1)
    page.wait_for_function(
        "document.querySelectorAll('.imgopen-paint .line')[1].firstChild.textContent"
        " === document.querySelectorAll('.imgopen-paint .line')[0].firstChild.textContent"
    )
    alpha = second.evaluate("e => e.getContext('2d').getImageData(100, 55, 1, 1).data[3]")
    sheet.command("notebook:delete-cell")
    page.wait_for_function("document.querySelectorAll('.imgopen-paint .over').length === 1")

    assert alpha > 0


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_is_readable_in_both_themes(bench: Bench, theme: str):
    bench.drag((150, 120), (450, 130), (300, 300))
    bench.button("rectangle")
    bench.drag((40, 40), (120, 200))
    bench.key("b")
    bench.sheet.theme(theme)
    bench.sheet.shot(f"lab-painter-{theme.lower()}")
    low = faint(bench.page, ".imgopen-paint") + pale_borders(bench.page, ".imgopen-paint")
    bench.sheet.theme("Light")

    assert low == []


def test_nothing_foreign_is_fetched_or_complained_about(shared: Bench, lab: Lab):
    foreign = [
        url for url in shared.sheet.fetched if not url.startswith((lab.url, "data:", "blob:"))
    ]

    assert (shared.sheet.complaints, foreign) == ([], [])
    assert shared.page.evaluate("window.hacked") is None


def test_saved_and_reopened_without_a_kernel_it_shows_the_mask(
    shared: Bench, lab: Lab, browser: Browser
):
    shared.reset()
    shared.drag((100, 100), (400, 300))
    shared.wait_for("% painted")
    wait_until(lambda: bool(shared.mask().any()))
    shared.sheet.left("3.8 % painted")
    shared.sheet.save()
    saved = nbformat.read(shared.sheet.path, as_version=4)
    assert shared.sheet.path.stat().st_size < 80_000

    sheet = reopened(lab, browser, "reopened-painting.ipynb", saved)
    static = sheet.page.locator(".imgopen-static")

    assert static.is_visible()
    assert "3.8 % painted, 600 × 400 pixels" in static.text_content()
    assert broken_pictures(sheet.page, ".imgopen-static img") == []
    assert static.locator("img").get_attribute("alt") == f"the mask of {HOSTILE}.png"
    visible = sheet.page.locator(".jp-OutputArea-child:visible")
    assert "model not found" not in " ".join(visible.all_inner_texts())
    assert sheet.page.evaluate("window.hacked") is None
    assert sheet.complaints == []
    sheet.shot("lab-painter-untrusted")
    sheet.leave()


def test_a_page_that_is_loaded_again_shows_the_mask(shared: Bench):
    """The kernel lives on, the page is new: state comes from the kernel."""
    shared.reset()
    done = stroke(BLANK, shared.drag((50, 50), (300, 60)), 24)
    shared.becomes(done)
    shared.sheet.save()
    shared.page.reload()
    shared.page.wait_for_selector(CANVAS)
    shared.page.evaluate(RECORD)
    shared.wait_for("% painted")

    assert "0.0 % painted" not in shared.page.locator(".imgopen-paint .line").text_content()
    more = stroke(BLANK, shared.drag((400, 300), (450, 350)), 24)
    shared.becomes(done | more)


# A photograph of a camera, and a telephone


def test_a_large_picture_is_exact_and_fast(lab: Lab, browser: Browser):
    with painting(lab, browser, "large.ipynb", 4000, 3000, "large.jpg") as bench:
        shape = (3000, 4000)
        bench.size(80)
        expected = stroke(shape, bench.drag((50, 60), (500, 300), (300, 500)), 80)
        waited = arrival(bench)
        bench.becomes(expected, 30)
        bench.key("1")
        view = bench.page.locator(CANVAS).evaluate("e => ({...e.dataset})")
        assert view["scale"] == "1"
        expected |= stroke(shape, bench.drag((50, 60), (500, 300)), 80)
        waited = max(waited, arrival(bench, 2))
        bench.becomes(expected, 30)
        bench.key("i")
        bench.becomes(~expected, 30)
        bench.key("0")
        bench.sheet.shot("lab-painter-large")
        frames = bench.page.evaluate(FRAMES)
        print(f"4000×3000: {waited:.2f} s to Python, longest frame {frames:.0f} ms")

        assert waited < 10
        assert bench.sheet.complaints == []


def arrival(bench: Bench, number: int = 1) -> float:
    """Seconds from the end of the last stroke to the arrival of the mask in Python."""
    code = "open('arrivals.txt', 'w').write(repr([when for when, _ in arrivals]))"

    def there() -> bool:
        bench.run(code)
        return len(eval((bench.lab.root / "arrivals.txt").read_text())) >= number

    wait_until(there, 30)
    arrivals = eval((bench.lab.root / "arrivals.txt").read_text())
    return arrivals[number - 1] - bench.page.evaluate("window.ended")


# The longest time between two frames while a stroke of 60 moves is painted.
FRAMES = """async () => {
  const canvas = document.querySelector('.imgopen-paint .over');
  const box = canvas.getBoundingClientRect();
  const send = (kind, x, y) => canvas.dispatchEvent(new PointerEvent(kind, {
    pointerId: 1, pointerType: 'pen', button: 0, buttons: kind === 'pointerup' ? 0 : 1,
    clientX: box.left + x, clientY: box.top + y, bubbles: true,
  }));
  send('pointerdown', 20, 20);
  let longest = 0, last = performance.now();
  for (let i = 0; i < 60; i++) {
    send('pointermove', 20 + 8 * i, 200 + 150 * Math.sin(i / 5));
    await new Promise(requestAnimationFrame);
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }
  send('pointerup', 500, 200);
  return longest;
}"""


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_on_a_telephone_the_tools_wrap(lab: Lab, browser: Browser, theme: str):
    options = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
    options |= {"device_scale_factor": 2}
    with painting(lab, browser, f"narrow-{theme}.ipynb", 1600, 1200, "n.jpg", **options) as bench:
        bench.sheet.theme(theme)
        bench.sheet.command("application:toggle-left-area")
        bench.page.wait_for_timeout(300)
        way = tap_and_drag(bench)
        bench.becomes(stroke((1200, 1600), way, 64))
        widths = bench.page.evaluate(
            "['.bar', '.stage', '.help'].map(s => document.querySelector('.imgopen-paint ' + s))"
            ".map(e => e.scrollWidth - e.clientWidth)"
        )
        bench.sheet.shot(f"lab-painter-360-{theme.lower()}")

        assert max(widths) <= 1
        inside = bench.page.locator(".imgopen-paint").bounding_box()
        assert inside["x"] + inside["width"] <= 360
        assert not [row for row in bench.page.evaluate(TOO_WIDE)[1:] if "imgopen" in row]


def tap_and_drag(bench: Bench) -> list[Point]:
    bench.page.evaluate("window.positions = []")
    for kind, x, y in (("pointerdown", 20, 30), ("pointermove", 90, 60), ("pointerup", 90, 60)):
        bench.touch(kind, 1, x, y)
    return bench.positions()
