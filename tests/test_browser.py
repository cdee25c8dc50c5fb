"""What people see: the notebooks in a real JupyterLab, and the exported pages, in Chromium."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page

from .lab import (
    CARD,
    OURS,
    OUTPUT,
    PROJECT,
    Lab,
    Sheet,
    book,
    reopened,
    running,
    snap,
    without_outputs,
)
from .notebook_runs import RUN_IN_LAB, assert_runs_as_planned, assert_small, assert_subjects_named
from .page_checks import TOO_WIDE, broken_pictures, faint
from .stub import Reply, Request, Stub, ok, refusal

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

# Notebook -> cards that it shows at least, what must stand in its outputs, its most bytes as saved.
NOTEBOOKS = {
    "01_quickstart.ipynb": (1, ("cat", "person", "portrait", "sandbox"), 400_000),
    "02_a_folder_becomes_a_dataset.ipynb": (0, ("cat", "ohwx", "rejected"), 400_000),
    "03_compare_captions.ipynb": (0, ("cat", "espresso", "rocket", "person"), 400_000),
    "04_every_operation.ipynb": (9, ("approximate", "real"), 2_000_000),
    "05_generate_and_control.ipynb": (6, ("placeholder",), 2_000_000),
    "08_callbacks_and_local_images.ipynb": (1, ("approximate",), 2_000_000),
    "09_many_images.ipynb": (1, ("real",), 2_000_000),
}
QUICKSTART = pytest.mark.parametrize("tour", ["01_quickstart.ipynb"], indirect=True)
CALLBACKS = pytest.mark.parametrize("tour", ["08_callbacks_and_local_images.ipynb"], indirect=True)
COMPARISON = pytest.mark.parametrize("tour", ["03_compare_captions.ipynb"], indirect=True)

# Our notebooks


def test_every_notebook_that_is_left_to_jupyterlab_is_run_here():
    assert set(RUN_IN_LAB) <= set(NOTEBOOKS)


@pytest.fixture(scope="module", params=NOTEBOOKS)
def tour(request: pytest.FixtureRequest, lab: Lab, browser: Browser) -> Iterator[Sheet]:
    with running(lab, browser, request.param) as sheet:
        yield sheet


def test_every_cell_runs_and_every_picture_shows(tour: Sheet):
    cards, words, _ = NOTEBOOKS[tour.path.name]
    cells = without_outputs(tour.path.name).cells
    fails = sum("raises-exception" in cell.metadata.get("tags", []) for cell in cells)
    said = " ".join(tour.text(OURS))

    assert tour.page.locator(".jp-RenderedText[data-mime-type*=stderr]").count() == fails
    assert tour.page.locator(CARD).count() >= cards
    assert [word for word in words if word not in said] == []
    assert broken_pictures(tour.page) == []
    assert [text for text in tour.text(OUTPUT) if "model not found" in text] == []


@pytest.fixture(scope="module")
def left(tour: Sheet) -> nbformat.NotebookNode:
    """What the run left in the file."""
    tour.save()
    return nbformat.read(tour.path, 4)


def test_every_cell_fails_only_where_it_says_so_and_shows_its_value(left: nbformat.NotebookNode):
    assert_runs_as_planned(left)


def test_a_fresh_run_names_the_subjects_and_stays_small(left: nbformat.NotebookNode):
    assert_subjects_named(left)
    assert_small(left)


@CALLBACKS
def test_beside_a_server_results_arrive_by_themselves(left: nbformat.NotebookNode):
    said = json.dumps(left.cells)

    assert "Callbacks arrive at http://127.0.0.1" in said
    assert re.search(r"\b0 queries", said)


@QUICKSTART
def test_the_quickstart_shows_captions_tags_and_where_they_come_from(tour: Sheet):
    assert "cat" in tour.captions()
    assert {"portrait", "solo"} <= set(re.findall(r"[a-z]+", " ".join(tour.text(".io-chip"))))
    assert "sandbox" in tour.text(f"{CARD} .io-badge")


@QUICKSTART
def test_an_error_is_one_short_message(tour: Sheet):
    output = tour.cell("--modle").locator(OUTPUT)

    assert output.inner_text().strip().splitlines() == [
        "UnknownNameError: there is no option of %imgopen describe called '--modle'",
        "  → did you mean --model or --models?",
    ]


@QUICKSTART
def test_tab_offers_and_inserts_verbs_and_samples(tour: Sheet):
    """`%imgopen des`, Tab, ` sample:ch`, Tab: a whole line with hardly any typing."""
    page = tour.page
    page.locator(".jp-Cell").last.click()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.keyboard.type("%imgopen des")
    complete(page, "describe")
    page.keyboard.type(" sample:c")
    complete(page, "sample:chelsea")

    assert editor(page).text_content() == "%imgopen describe sample:chelsea"
    delete_cell(page)


def complete(page: Page, word: str) -> None:
    """Press Tab and choose the word among what is offered, by its end as Lab shows it."""
    page.keyboard.press("Tab")
    offers = page.locator(".jp-Completer-item", has_text=word.rpartition(":")[2])
    offers.first.wait_for()
    snap(page, f"lab-tab-{word.partition(':')[0]}", full=False)
    offers.first.click()
    page.wait_for_function(f"() => document.activeElement.textContent.endsWith({word!r})")


def editor(page: Page) -> Locator:
    return page.locator(".jp-Cell.jp-mod-active .cm-content")


def delete_cell(page: Page) -> None:
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    page.keyboard.press("d")


@COMPARISON
def test_the_comparison_shows_six_pictures_two_models_and_what_they_share(tour: Sheet):
    said = tour.captions()

    assert tour.page.locator(f"{OURS} .io-row-of").count() == 6
    assert tour.page.locator(f"{OURS} .io-model").count() == 12
    assert all(word in said for word in ("cat", "espresso", "rocket", "person"))
    assert tour.page.locator(f"{OURS} .io-row-of .io-chip.shared").count() >= 6


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_is_readable_in_both_themes(tour: Sheet, theme: str):
    tour.theme(theme)
    tour.shot(f"lab-{tour.path.stem}-{theme.lower()}")
    low = faint(tour.page)
    tour.theme("Light")

    assert low == []


def test_the_page_fetches_nothing_and_complains_about_nothing(tour: Sheet, lab: Lab):
    """Neither our HTML nor what it embeds goes to the network or into the browser's console."""
    foreign = [url for url in tour.fetched if not url.startswith((lab.url, "data:", "blob:"))]

    assert (tour.complaints, foreign) == ([], [])


def test_saved_and_reopened_without_a_kernel_it_shows_the_same(
    tour: Sheet, lab: Lab, browser: Browser
):
    """The reader has no kernel and does not trust the file: JupyterLab then strips our style."""
    _, words, most_bytes = NOTEBOOKS[tour.path.name]
    cards = tour.page.locator(CARD).count()
    tour.save()
    assert tour.path.stat().st_size < most_bytes

    again = reopened(lab, browser, f"reopened-{tour.path.name}", nbformat.read(tour.path, 4))
    said = " ".join(again.text(OURS))

    assert again.page.locator(CARD).count() == cards
    assert [word for word in words if word not in said] == []
    assert broken_pictures(again.page) == []
    assert again.complaints == []
    again.shot(f"lab-{tour.path.stem}-untrusted")
    again.leave()


# Captions that want to be more than text

HACK = "window.hacked=1"
BIDI = "a harmless \u202ecat\u202c and \u2066more\u2069"
PRICES = "from $5 to $6, and \\(x^2\\)"
# What a caption says -> what must be readable on the page, letter by letter.
HOSTILE = {
    f'<img src=x onerror="{HACK}">': f'<img src=x onerror="{HACK}">',
    f"<script>{HACK}</script>": f"<script>{HACK}</script>",
    f"</div></style><svg onload={HACK}>": f"</div></style><svg onload={HACK}>",
    f"<a href='javascript:{HACK}'>click</a>": f"<a href='javascript:{HACK}'>click</a>",
    f"[click](javascript:{HACK})": f"[click](javascript:{HACK})",
    "http://example.org/x": "http://example.org/x",
    '<img src="http://example.org/pixel.png">': '<img src="http://example.org/pixel.png">',
    "/etc/passwd": "/etc/passwd",
    "{{ 7*7 }} {% raw %}": "{{ 7*7 }} {% raw %}",
    "<i>" + "long " * 20_000: "more characters",
    "W" * 5_000: "more characters",
    BIDI: "a harmless ⟨U+202E⟩cat⟨U+202C⟩ and ⟨U+2066⟩more⟨U+2069⟩",
    "قطة صغيرة جالسة": "قطة صغيرة جالسة",
}
PICTURE = "https://example.invalid/{}.png"
HOSTILE_CELLS = [
    "import os\nos.environ |= {settings!r}",
    "%load_ext imgopen_nb",
    *(f"%imgopen describe {PICTURE.format(i)}" for i in range(len(HOSTILE))),
    f"%imgopen describe {PICTURE.format('prices')}",
    f"%imgopen describe {PICTURE.format(1)} --model deepdanbooru",
    f"%imgopen describe {PICTURE.format('refused')}",
    f"%imgopen compare {' '.join(PICTURE.format(i) for i in range(len(HOSTILE)))}",
    "%imgopen history --limit 0",
]
MESSAGE = f"<img src=x onerror={HACK}> http://example.org/error"


def hostile(request: Request) -> Reply:
    """Answer with the caption whose number the image's name gives."""
    name = Path(str((request.body or {}).get("image"))).stem
    if name == "prices":
        return ok(status=2, caption=PRICES)
    if not name.isdigit():
        return refusal("400", MESSAGE)
    caption = list(HOSTILE)[int(name)]
    return ok(status=2, caption=caption if len(caption) > 100 else f"{caption}, <b>{HACK}</b>")


@pytest.fixture(scope="module")
def hostile_sheet(
    lab: Lab, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sheet]:
    with Stub() as stub:
        stub.answer = hostile
        settings = {"IMGOPEN_BASE_URL": stub.url, "IMGOPEN_ACCESS_KEY_ID": "an-id-of-no-use"}
        settings |= {"IMGOPEN_ACCESS_KEY_SECRET": "a-secret-of-no-use"}
        settings |= {"IMGOPEN_HOME": str(tmp_path_factory.mktemp("hostile"))}
        cells = [code.replace("{settings!r}", repr(settings)) for code in HOSTILE_CELLS]
        made = book(*cells)
        for cell in made.cells:
            cell.metadata.tags = ["raises-exception"]
        lab.put("hostile.ipynb", made)
        sheet = Sheet(lab, browser, "hostile.ipynb")
        sheet.run_all()
        yield sheet
        sheet.close()


def test_hostile_captions_are_shown_letter_by_letter(hostile_sheet: Sheet):
    cards = hostile_sheet.text(f"{CARD}")
    shown = list(zip(HOSTILE.values(), cards, strict=False))

    hostile_sheet.shot("lab-hostile")
    assert len(cards) == len(HOSTILE) + 2
    assert [wanted for wanted, card in shown if wanted not in card] == []
    everywhere = [
        hostile_sheet.text(f"{OURS} {place}") for place in (".io-row-of", "table.history tr")
    ]
    assert [len(rows) >= len(HOSTILE) for rows in everywhere] == [True, True]
    assert [f"<script>{HACK}</script>" in " ".join(rows) for rows in everywhere] == [True, True]
    assert max(map(len, cards)) < 5_000
    assert MESSAGE in " ".join(hostile_sheet.text(OUTPUT))


def test_hostile_captions_run_nothing_and_fetch_nothing(hostile_sheet: Sheet, lab: Lab):
    hacked = hostile_sheet.page.evaluate("window.hacked")
    foreign = [u for u in hostile_sheet.fetched if not u.startswith((lab.url, "data:", "blob:"))]
    alive = (
        f"{OURS} script, {OURS} svg, {OURS} a[href^='javascript'], {OURS} a[href*='example.org']"
    )

    assert (hacked, foreign, hostile_sheet.complaints) == (None, [], [])
    assert hostile_sheet.page.locator(alive).count() == 0


def test_dollar_signs_are_no_formulas(hostile_sheet: Sheet):
    """JupyterLab sets $...$ in any HTML as a formula, unless an element's class forbids it."""
    assert PRICES in " ".join(hostile_sheet.text(CARD))
    assert hostile_sheet.page.locator(f"{OURS} mjx-container").count() == 0


def test_hostile_captions_do_not_break_the_layout(hostile_sheet: Sheet):
    """The longest word there is stays inside its output."""
    wide = """all => all.filter(e => e.scrollWidth > e.clientWidth + 1
      && getComputedStyle(e).overflowX === 'visible').map(e => e.className)"""

    assert hostile_sheet.page.locator(f"{OURS}, {OURS} div").evaluate_all(wide) == []


# Pages that stand alone


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of `imgopen demo`, and the first notebooks in a light and a dark theme."""
    from nbconvert import HTMLExporter

    folder = tmp_path_factory.mktemp("pages")
    made = {"report": write_report(folder)}
    for path in sorted((PROJECT / "notebooks").glob("0[123]*.ipynb")):
        for theme in ("light", "dark"):
            html, _ = HTMLExporter(template_name="lab", theme=theme).from_filename(path)
            made[f"{path.stem}-{theme}"] = folder / f"{path.stem}-{theme}.html"
            made[f"{path.stem}-{theme}"].write_text(html, "utf-8")
    return made


def write_report(folder: Path) -> Path:
    """Run the command as people do: no key, a home of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("IMGOPEN_")}
    report = folder / "report.html"
    command = [sys.executable, "-m", "imgopen_nb.cli", "demo", "--report", str(report)]
    done = subprocess.run(
        command,
        env={**kept, "IMGOPEN_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return report


DOCUMENTS = ["report", "01_quickstart", "02_a_folder_becomes_a_dataset", "03_compare_captions"]


@contextmanager
def still(
    browser: Browser, pages: dict[str, Path], name: str, theme: str, width: int
) -> Iterator[Page]:
    """Open a page with JavaScript disabled."""
    context = browser.new_context(
        java_script_enabled=False, color_scheme=theme, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    page.goto((pages.get(name) or pages[f"{name}-{theme}"]).as_uri())
    yield page
    context.close()


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_page_without_javascript_shows_its_pictures_and_fits(
    browser: Browser, pages: dict[str, Path], name: str, theme: str, width: int
):
    with still(browser, pages, name, theme, width) as page:
        snap(page, f"{name}-{theme}-{width}")
        low, wide = faint(page), page.evaluate(TOO_WIDE)

        assert broken_pictures(page) == []
        assert all(map(Locator.is_visible, page.locator(f"{OURS} img").all()))
        assert (low, wide) == ([], [])


def test_the_report_reads_as_a_page(browser: Browser, pages: dict[str, Path]):
    """It has a title, a heading, six images with a text for those who do not see them."""
    with still(browser, pages, "report", "light", 1280) as page:
        pictures = page.locator("img")

        assert page.title() == page.locator("h1").text_content() == "Six photographs, two models"
        assert pictures.count() == 6
        assert all(picture.get_attribute("alt") for picture in pictures.all())
        assert faint(page, "body") == []


def test_the_report_fetches_nothing(browser: Browser, pages: dict[str, Path]):
    """It can be sent by mail and opened on a train."""
    page = browser.new_page()
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(pages["report"].as_uri())
    page.close()

    assert [url for url in fetched if not url.startswith(("file:", "data:"))] == []
