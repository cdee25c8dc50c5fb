"""Jobs counted in clicks and keys, the keyboard alone, and a form whose kernel has stopped.

The file dialog belongs to the system: a click opens it, and choosing a file there is no step here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from ..lab import ARTIFACTS, Lab, Sheet, book

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

FORM = ".imgopen-form"
CELLS = (
    "%load_ext imgopen_nb\nimport imgopen_nb as imgopen\n"
    "_ = imgopen.current().run('text2image', prompt='a fox', width=128, height=128, seed=3)",
    "imgopen.form('describe')",
    "imgopen.form('erase')",
    "imgopen.form('text2image')",
    "studio = imgopen.studio('upscale')\nstudio",
    "imgopen.form('face-swap')",
)


class Hand:
    """A mouse that counts its clicks."""

    def __init__(self, page: Page) -> None:
        self.page, self.clicks = page, 0
        page.on("filechooser", lambda _: None)  # a first listener has Chromium tell of them
        page.wait_for_timeout(500)

    def click(self, wanted: Locator) -> None:
        expect(wanted).to_be_enabled()
        wanted.click()
        self.clicks += 1

    def choose(self, form: Locator, file: Path) -> None:
        """Click on the place for an image, and choose a file in the dialog that opens."""
        with self.page.expect_file_chooser() as chosen:
            self.click(form.locator(".imgopen-drop").first)
        chosen.value.set_files(file)


@pytest.fixture(scope="module")
def sheet(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sheet]:
    lab = Lab(tmp_path_factory.mktemp("jobs"))
    lab.put("jobs.ipynb", book(*CELLS))
    opened = Sheet(lab, browser, "jobs.ipynb", permissions=["clipboard-read", "clipboard-write"])
    opened.run_all()
    opened.page.wait_for_function(
        f"document.querySelectorAll('{FORM} .run .why').length >= {len(CELLS) - 1}"
    )
    yield opened
    opened.close()
    lab.stop()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.effect_noise((96, 64), 60).convert("RGB").save(tmp_path / "noise.png")
    return tmp_path / "noise.png"


def form_of(sheet: Sheet, number: int) -> Locator:
    """Return a form, scrolled to, with its parts in place."""
    form = sheet.page.locator(FORM).nth(number)
    form.scroll_into_view_if_needed()
    expect(run_button(form)).to_be_visible()
    return form


def run_button(form: Locator) -> Locator:
    return form.locator("button.run")


def test_an_image_is_described_in_two_clicks(sheet: Sheet, image: Path):
    hand, form = Hand(sheet.page), form_of(sheet, 0)
    hand.choose(form, image)
    hand.click(run_button(form))
    expect(form.locator(".io-caption")).not_to_be_empty(timeout=60_000)

    assert hand.clicks == 2
    # The image that was given is in its field, and nowhere else.
    assert form.locator(".card img:visible").count() == 0
    assert form.locator(".imgopen-drop img:visible").count() == 1


def test_a_failed_run_leads_to_the_field_that_it_is_about(sheet: Sheet):
    form = form_of(sheet, 0)
    address = form.get_by_label("Image", exact=True)
    address.fill("http://127.0.0.1:9/not-there.png")  # nobody listens there
    run_button(form).click()
    lead = form.get_by_role("button", name="Choose another image")
    expect(lead).to_be_visible(timeout=30_000)
    expect(form.get_by_role("button", name="Run again")).to_be_visible()
    form.screenshot(path=ARTIFACTS / "form-failed.png")
    lead.click()
    expect(address).to_be_focused()
    # The result before is still there.
    expect(form.locator(".io-caption")).not_to_be_empty()
    address.fill("sample:coffee")
    form.get_by_role("button", name="Run again").click()
    expect(form.locator(".io-caption")).to_contain_text("espresso", timeout=60_000)

    assert lead.count() == 0


def test_a_run_that_cannot_start_names_all_that_is_missing(sheet: Sheet):
    form = sheet.page.locator(f"{FORM}[aria-label='Face swap']")
    form.scroll_into_view_if_needed()
    why = form.locator(".run .why")
    expect(why).to_have_text("To run, fill in Image to change and Face to use.")
    why.get_by_role("button", name="Face to use").click()

    expect(form.get_by_label("Face to use", exact=True)).to_be_focused()


def test_the_details_of_a_result_are_a_table_whose_words_stay_whole(sheet: Sheet):
    form = form_of(sheet, 0)
    details = form.locator(".result details")
    expect(details).to_have_count(1)
    details.locator("summary").click()
    heights = details.locator("dt").evaluate_all("all => all.map(e => e.offsetHeight)")

    assert heights
    assert max(heights) < 24  # pixels: one line of text
    form.get_by_role("button", name="Copy caption").click()
    assert "espresso" in sheet.page.evaluate("navigator.clipboard.readText()")
    assert form.get_by_text("%imgopen describe", exact=False).count() == 1


def test_an_object_is_erased_and_the_result_saved_by_painting_and_three_clicks(
    sheet: Sheet, image: Path
):
    hand, form, page = Hand(sheet.page), form_of(sheet, 1), sheet.page
    hand.choose(form, image)
    canvas = form.locator("canvas.over")
    expect(canvas).to_be_visible()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 60, steps=4)
    page.mouse.up()
    hand.click(run_button(form))
    save = form.get_by_role("button", name="Save")
    save.wait_for(timeout=60_000)
    hand.click(save)
    expect(form.get_by_text(re.compile("^Saved .* in pictures/"))).to_be_visible()

    assert hand.clicks == 3


def test_an_old_call_is_repeated_with_another_seed_in_three_clicks(sheet: Sheet):
    hand, form = Hand(sheet.page), form_of(sheet, 2)
    seed = form.get_by_label("Seed", exact=True)
    hand.click(form.locator(".film button").first)
    expect(seed).to_have_value("3")
    hand.click(form.get_by_role("button", name="Random seed"))
    expect(seed).not_to_have_value("3")
    hand.click(run_button(form))
    expect(form.locator(".facts")).to_contain_text(f"seed {seed.input_value()}", timeout=60_000)

    assert hand.clicks == 3
    assert form.get_by_label("Prompt", exact=True).input_value() == "a fox"


def test_the_seed_of_a_result_is_taken_over(sheet: Sheet):
    form = form_of(sheet, 2)
    seed = form.get_by_label("Seed", exact=True)
    seed.fill("")
    form.get_by_label("Prompt", exact=True).fill("a fox at dusk")
    run_button(form).click()
    expect(form.locator(".main")).to_have_attribute("alt", "Result: a fox at dusk", timeout=60_000)
    form.get_by_role("button", name="Use this seed").click()
    expect(seed).not_to_have_value("")

    assert f"seed {seed.input_value()}" in form.locator(".facts").inner_text()


def test_the_keyboard_alone_goes_from_a_field_to_the_saved_result(sheet: Sheet):
    """Fill in, run, save, copy as code and open an earlier run; the keyboard is never lost."""
    page, form = sheet.page, form_of(sheet, 2)
    form.get_by_label("Prompt", exact=True).focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("a boat")
    steps = tab_to(page, form.locator("button.run"))
    page.keyboard.press("Enter")
    expect(form.locator(".main")).to_have_attribute("alt", "Result: a boat", timeout=60_000)
    expect(run_button(form)).to_be_focused()
    steps += tab_to(page, form.get_by_role("button", name="Save"))
    page.keyboard.press("Enter")
    expect(form.get_by_text(re.compile("^Saved .* in pictures/"))).to_be_visible()
    tab_to(page, form.get_by_role("button", name="Copy as code"))
    page.keyboard.press("Enter")
    expect(form.get_by_role("button", name="Copied")).to_be_visible()
    assert "a boat" in page.evaluate("navigator.clipboard.readText()")
    tab_to(page, form.locator(".film button").nth(1))
    page.keyboard.press("Enter")
    expect(form.get_by_label("Prompt", exact=True)).to_have_value("a fox at dusk")

    # From the top of the form to its end: no step back, and none of the sliders on the way.
    assert steps.index("Prompt") < steps.index("Model") < steps.index("Run") < steps.index("Save")
    assert not [each for each in steps if "slider" in each]


def test_escape_cancels_a_run_and_the_keyboard_stays_in_the_form(sheet: Sheet):
    page, form = sheet.page, form_of(sheet, 2)
    form.get_by_label("Prompt", exact=True).fill("a slow boat")
    form.get_by_label("Batch size", exact=True).fill("4")
    form.get_by_label("Width", exact=True).fill("1024")
    run_button(form).focus()
    page.keyboard.press("Enter")
    expect(form.get_by_role("button", name="Stop waiting")).to_be_focused()
    page.keyboard.press("Escape")
    expect(run_button(form)).to_be_focused(timeout=30_000)

    assert form.evaluate("e => e.contains(document.activeElement)")


def test_the_studio_is_worked_from_its_menu_to_run_by_the_keyboard(sheet: Sheet):
    page = sheet.page
    menu = page.get_by_label("Operation", exact=True)
    menu.scroll_into_view_if_needed()
    menu.focus()
    for letter in "enl":  # as in any menu, letters find an entry
        page.keyboard.press(letter)
    form = page.locator(f".imgopen-studio {FORM}[aria-label='Enlarge']")
    expect(form).to_be_visible()
    groups = menu.locator("optgroup").evaluate_all("all => all.map(e => e.label)")
    assert "Edit" in groups
    menu.focus()
    tab_to(page, form.get_by_label("Image", exact=True))
    page.keyboard.type("sample:coffee")
    page.keyboard.press("Enter")

    expect(form.locator(".main[src]")).to_be_visible(timeout=60_000)


def tab_to(page: Page, wanted: Locator) -> list[str]:
    """Press Tab until the keyboard is there; return the names of all places on the way."""
    name = """() => { const e = document.activeElement;
      return e.getAttribute('aria-label') || e.labels?.[0]?.textContent
        || e.textContent.replace('Ctrl ⏎', '').trim() || e.tagName; }"""
    met = [page.evaluate(name)]
    while not wanted.evaluate("e => e === document.activeElement"):
        page.keyboard.press("Tab")
        met.append(page.evaluate(name))
        assert len(met) < 50, f"no way to {wanted}: {met}"
    return met


def test_in_one_column_the_result_is_in_view_below_run(sheet: Sheet):
    page, form = sheet.page, form_of(sheet, 2)
    before = page.viewport_size
    assert before is not None
    sheet.command("application:toggle-left-area")
    page.set_viewport_size({"width": 380, "height": 800})
    try:
        form.get_by_label("Prompt", exact=True).fill("a small boat")
        form.locator("div.run").evaluate("run => run.scrollIntoView({block: 'start'})")
        run_button(form).click()
        result = form.locator(".main")
        expect(result).to_have_attribute("alt", "Result: a small boat", timeout=60_000)
        expect(result).to_be_in_viewport()
        below = form.evaluate(
            """form => [".parameters .run", ".columns > .result", ".columns > .more"].map(
              name => form.querySelector(name).getBoundingClientRect().top)"""
        )
    finally:
        page.set_viewport_size(before)
        sheet.command("application:toggle-left-area")

    assert below == sorted(below)


def test_a_form_whose_kernel_has_stopped_keeps_what_was_typed(sheet: Sheet):
    """The last test here: it restarts the kernel."""
    form = form_of(sheet, 2)
    prompt = form.get_by_label("Prompt", exact=True)
    prompt.fill("a long prompt that must not be lost")
    expect(form.locator(".io-code code").last).to_contain_text("must not be lost")
    sheet.page.evaluate(
        "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    expect(form.get_by_text("The kernel has stopped.")).to_be_visible(timeout=30_000)

    expect(prompt).to_have_value("a long prompt that must not be lost")
    expect(prompt).to_have_js_property("readOnly", True)
    expect(run_button(form)).to_be_disabled()
    form.get_by_role("button", name="Copy the code").click()
    assert "must not be lost" in sheet.page.evaluate("navigator.clipboard.readText()")
    sheet.shot("form-without-kernel")
