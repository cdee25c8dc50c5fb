"""Forms in a real browser: by the mouse, by the keyboard alone, saved, reopened, and in Voila."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from ..lab import OURS, Lab, Notebook7, Sheet, book, end, reopened, snap
from ..page_checks import TOO_WIDE, UNNAMED, faint

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

FORM = ".imgopen-form"
# Where an element that has the keyboard shows it: an outline, or a border or shadow of its own.
SEEN = """() => {
  const style = getComputedStyle(document.activeElement);
  const line = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0
    && !/, 0\\)$/.test(style.outlineColor);
  return line || style.boxShadow !== 'none';
}"""
FOCUS = """() => {
  const e = document.activeElement;
  const label = e.getAttribute('aria-label') || e.title || e.textContent || e.placeholder;
  return e.tagName + ' ' + label.trim().slice(0, 30);
}"""
MISSING = "Error displaying widget"


CELLS = (
    "%load_ext imgopen_nb",
    "f = get_ipython().run_line_magic('imgopen', 'form describe')\nf",
    "g = get_ipython().run_line_magic('imgopen', 'text2image \"a <b>fox</b>\" --seed 3 --form')\ng",
)


@pytest.fixture(scope="module", params=[Lab, Notebook7], ids=["lab", "notebook"])
def sheet(
    request: pytest.FixtureRequest, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sheet]:
    """A notebook with two forms, in JupyterLab and in Notebook 7."""
    running = request.param(tmp_path_factory.mktemp("front-end"))
    running.put("forms.ipynb", book(*CELLS))
    opened = Sheet(running, browser, "forms.ipynb")
    opened.lab = running
    opened.run_all()
    opened.page.wait_for_selector(f"{FORM} >> nth=1")
    yield opened
    opened.close()
    running.stop()


def describe_form(sheet: Sheet) -> Locator:
    return sheet.page.locator(FORM).first


def run_button(form: Locator) -> Locator:
    return form.get_by_role("button", name="Run")


def test_by_the_mouse_a_sample_is_chosen_and_described(sheet: Sheet):
    form = describe_form(sheet)
    expect(run_button(form)).to_be_disabled()
    form.get_by_label("Image: Samples").select_option(label="chelsea")
    expect(form.get_by_text("451 × 300 pixels")).to_be_visible()
    run_button(form).click()
    expect(form.locator(f"{OURS} .io-caption")).to_contain_text("cat", timeout=30_000)

    expect(run_button(form)).to_be_enabled()
    assert form.locator(".imgopen-drop img").first.evaluate("e => e.naturalWidth") == 192


def test_what_is_typed_is_seen_as_code_at_once(sheet: Sheet):
    form = sheet.page.locator(FORM).nth(1)
    code = form.locator(".io-code code")
    expect(code).to_have_text('%imgopen text2image "a <b>fox</b>" --seed 3')
    form.get_by_label("Prompt", exact=True).fill("a blue fox")
    expect(code).to_have_text('%imgopen text2image "a blue fox" --seed 3')
    form.get_by_role("tab", name="Python").click()

    expect(code).to_contain_text("run(\"text2image\", prompt='a blue fox', seed=3)")
    form.get_by_role("tab", name="curl").click()
    expect(code).to_contain_text("$IMGOPEN_ACCESS_KEY_SECRET")


def test_an_error_appears_below_its_field_and_run_leads_to_it(sheet: Sheet):
    form = sheet.page.locator(FORM).nth(1)
    width = form.get_by_label("Width", exact=True)
    width.fill("wide")
    expect(form.get_by_role("alert")).to_contain_text("width must be a whole number")
    expect(run_button(form)).to_be_disabled()
    form.get_by_role("status").get_by_role("button", name="Width").click()
    expect(width).to_be_focused()
    expect(width).to_have_attribute("aria-invalid", "true")
    width.fill("128")
    expect(run_button(form)).to_be_enabled()

    assert form.get_by_role("alert").count() == 0


def test_a_change_is_marked_and_reset_and_the_arrows_go_by_a_step(sheet: Sheet):
    form = sheet.page.locator(FORM).nth(1)
    size = form.get_by_label("Batch size", exact=True)
    size.focus()
    sheet.page.keyboard.press("ArrowUp")
    expect(size).to_have_value("2")
    expect(form.get_by_label("Batch size, slider")).to_have_value("2")
    expect(form.locator("summary", has_text="Size")).to_contain_text("batch size 2")
    form.get_by_role("button", name="Batch size: reset to 1").click()

    expect(size).to_have_value("1")


def test_a_shape_sets_width_and_height_in_steps_of_eight_pixels(sheet: Sheet):
    form = sheet.page.locator(FORM).nth(1)
    width, height = (form.get_by_label(name, exact=True) for name in ("Width", "Height"))
    width.fill("128")
    form.get_by_text("3:2", exact=True).click()
    expect(height).to_have_value("88")
    expect(width).to_have_value("128")
    height.fill("64")
    expect(form.get_by_role("radio", name="Free")).to_be_checked()


def test_help_is_shown_on_demand(sheet: Sheet):
    form = sheet.page.locator(FORM).nth(1)
    told = form.get_by_text("How closely to follow the prompt")
    expect(told).to_be_hidden()
    form.get_by_role("button", name="About Guidance scale").click()
    expect(told).to_be_visible()
    form.get_by_role("button", name="About Guidance scale").click()


def test_the_service_s_models_are_offered_and_any_other_may_be_typed(sheet: Sheet):
    form = sheet.page.locator(FORM).nth(1)
    model = form.get_by_label("Model", exact=True)
    model.focus()
    options = form.locator("datalist option[value$='.safetensors']")
    options.first.wait_for(state="attached")
    model.fill("mine.safetensors")
    expect(form.locator(".io-code code")).to_contain_text("mine.safetensors")
    model.fill("")


def test_the_keyboard_alone_reaches_everything_and_runs(sheet: Sheet):
    """From the first field by Tab to the last, with the place of the keyboard always seen."""
    page, form = sheet.page, sheet.page.locator(FORM).nth(1)
    form.get_by_label("Prompt", exact=True).focus()
    met = tab_to(page, "BUTTON Random seed")
    page.keyboard.press("Space")
    expect(form.get_by_label("Seed", exact=True)).not_to_have_value("3")
    form.get_by_label("Prompt", exact=True).focus()
    page.keyboard.press("Control+Enter")

    expect(form.locator(".main[src]")).to_be_visible(timeout=30_000)
    assert any("Run" in each for each in met)
    assert sheet.cell("describe").count() == 1  # Ctrl+Enter ran the form, not the cell


def test_the_result_is_large_and_has_its_next_steps(sheet: Sheet):
    form = sheet.page.locator(FORM).nth(1)
    assert form.locator(".main").evaluate("e => e.naturalWidth") >= 128
    form.get_by_label("Seed", exact=True).fill("5")
    sheet.page.keyboard.press("Enter")
    expect(form.locator(".facts")).to_contain_text("seed 5", timeout=30_000)
    form.get_by_role("button", name="Compare with before").click()
    expect(form.locator(".imgopen-slider")).to_be_visible()
    form.get_by_role("button", name="Compare with before").click()
    expect(form.locator(".imgopen-slider")).to_have_count(0)
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_text("in pictures/")).to_be_visible()
    expect(form.locator(".film li")).to_have_count(2)
    form.locator(".film button").nth(1).click()

    expect(form.get_by_label("Seed", exact=True)).not_to_have_value("5")


def seen(page: Page) -> bool:
    """Whether the place of the keyboard shows, once the page has come to rest."""
    for _ in range(20):
        if page.evaluate(SEEN):
            return True
        page.wait_for_timeout(50)
    return False


def test_letters_pressed_on_a_menu_are_no_shortcuts_of_jupyter(sheet: Sheet):
    """In command mode "d d" would delete the cell, and "a" add one."""
    before = sheet.page.locator(".jp-Cell").count()
    describe_form(sheet).get_by_label("Image: Samples").focus()
    for key in ("d", "d", "a", "b", "r", "o"):
        sheet.page.keyboard.press(key)

    assert sheet.page.locator(".jp-Cell").count() == before
    sheet.page.keyboard.press("Control+s")
    sheet.page.wait_for_selector(".jp-mod-dirty", state="detached")


def tab_to(page: Page, wanted: str) -> list[str]:
    """Press Tab until the keyboard is there; return where it was, each place to be seen."""
    met = [page.evaluate(FOCUS)]
    while met[-1].rstrip() != wanted:
        page.keyboard.press("Tab")
        met.append(page.evaluate(FOCUS))
        assert seen(page), f"no visible focus on the last of {met}"
        assert len(met) < 60, f"no way to {wanted} from {met[0]}: {met}"
    return met


def test_a_picture_is_uploaded_by_the_keyboard_s_file_dialog(sheet: Sheet, tmp_path: Path):
    from PIL import Image

    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    form = describe_form(sheet)
    form.locator(".imgopen-drop").focus()
    sheet.page.on("filechooser", lambda _: None)  # a first listener has Chromium tell of them
    sheet.page.wait_for_timeout(500)
    with sheet.page.expect_file_chooser() as chosen:
        sheet.page.keyboard.press("Enter")
    chosen.value.set_files(tmp_path / "red.png")

    expect(form.get_by_text("40 × 30 pixels")).to_be_visible()
    assert "uploads" in form.get_by_label("Image", exact=True).input_value()


def test_a_picture_is_dropped(sheet: Sheet):
    """A file of 30 × 20 pixels, drawn by the page itself."""
    form = describe_form(sheet)
    form.locator(".imgopen-drop").evaluate("""async zone => {
      const canvas = new OffscreenCanvas(30, 20);
      canvas.getContext('2d').fillRect(0, 0, 30, 20);
      const files = new DataTransfer();
      files.items.add(new File([await canvas.convertToBlob()], 'dropped.png', {type: 'image/png'}));
      zone.dispatchEvent(new DragEvent('drop', {dataTransfer: files, bubbles: true}));
    }""")

    expect(form.get_by_text("30 × 20 pixels")).to_be_visible()
    assert "dropped-" in form.get_by_label("Image", exact=True).input_value()


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_text_can_be_read_in_both_themes(sheet: Sheet, theme: str):
    sheet.theme(theme)
    sheet.shot(f"forms-{type(sheet.lab).__name__.lower()}-{theme.lower()}")
    # What is off is meant to be pale.
    low = [row for row in faint(sheet.page, FORM) if "Stop waiting" not in row[2]]
    sheet.theme("Light")

    assert low == []


def test_every_control_has_a_name_for_screen_readers(sheet: Sheet):
    sheet.page.locator(f"{FORM} details").evaluate_all(
        "all => all.forEach(e => { e.open = true; })"
    )

    assert sheet.page.evaluate(UNNAMED, FORM) == []


def test_nothing_is_fetched_from_elsewhere_and_nothing_complained_about(sheet: Sheet):
    url = sheet.lab.url
    foreign = [u for u in sheet.fetched if not u.startswith((url, "data:", "blob:"))]

    assert (sheet.complaints, foreign) == ([], [])


def test_reopened_without_its_kernel_the_results_are_there_and_no_error(
    sheet: Sheet, browser: Browser
):
    """Trusted, as it was written here, the outputs are shown as they are saved."""
    sheet.save()
    saved = nbformat.read(sheet.path, 4)
    again = reopened(sheet.lab, browser, "reopened-forms.ipynb", saved)
    text = again.page.locator(".imgopen-static").all_inner_texts()

    assert "%imgopen describe" in text[0]
    assert again.page.locator(".imgopen-static img").count() >= 2
    assert again.page.get_by_text(MISSING).count() == 0
    assert not any(place.is_visible() for place in again.page.get_by_text(MISSING).all())
    again.leave()


def test_reopened_and_trusted_the_widget_s_empty_place_is_hidden(sheet: Sheet, browser: Browser):
    sheet.save()
    again = Sheet(sheet.lab, browser, "forms.ipynb")
    again.page.wait_for_selector(".imgopen-static, .imgopen-form", state="attached")
    shown = [place.is_visible() for place in again.page.get_by_text(MISSING).all()]
    again.leave()

    assert not any(shown)


# Voila

# Its template asks a CDN for icons, and two of its own modules do not find each other.
VOILAS_OWN = ("ERR_NAME_NOT_RESOLVED", "shared module is not a function")


@pytest.fixture(scope="module")
def voila(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The same forms as a page of Voila, in a narrow window."""
    folder = tmp_path_factory.mktemp("voila")
    nbformat.write(book(*CELLS), folder / "forms.ipynb")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("IMGOPEN_", "JUPYTER"))}
    env = {**kept, "IMGOPEN_HOME": str(folder / "home"), "IPYTHONDIR": str(folder / "ipython")}
    command = [sys.executable, "-m", "voila", str(folder / "forms.ipynb"), "--no-browser"]
    log = (folder / "voila.log").open("wb")
    process = subprocess.Popen([*command, f"--port={port}"], env=env, stdout=log, stderr=log)
    try:
        yield opened(browser, f"http://127.0.0.1:{port}/", process)
    finally:
        end(process)
        log.close()


def opened(browser: Browser, url: str, process: subprocess.Popen[bytes]) -> Page:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=30).close()
            break
        except OSError:
            time.sleep(0.2)
    page = browser.new_context(viewport={"width": 360, "height": 900}).new_page()
    page.set_default_timeout(60_000)
    page.complaints = []
    page.on("console", lambda m: m.type == "error" and page.complaints.append(m.text))
    page.fetched = []
    page.on("request", lambda request: page.fetched.append(request.url))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.origin = url
    page.goto(url)
    page.wait_for_selector(f"{FORM} >> nth=1")
    return page


def test_in_voila_a_form_works_on_a_narrow_screen(voila: Page):
    form = voila.locator(FORM).first
    form.get_by_label("Image: Samples").select_option(label="coffee")
    expect(form.get_by_text("512 × 341 pixels")).to_be_visible()
    run_button(form).click()
    expect(form.locator(f"{OURS} .io-caption")).to_contain_text("espresso", timeout=30_000)
    snap(voila, "forms-voila-360")

    assert voila.evaluate(TOO_WIDE) == []
    assert not any(place.is_visible() for place in voila.locator(".imgopen-static").all())
    assert [c for c in voila.complaints if not any(part in c for part in VOILAS_OWN)] == []
    foreign = [u for u in voila.fetched if not u.startswith((voila.origin, "data:", "blob:"))]
    assert [u for u in foreign if "fontawesome" not in u] == []
