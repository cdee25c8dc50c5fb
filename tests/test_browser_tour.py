"""The notebooks that show every operation, run in a real JupyterLab."""

from __future__ import annotations

from collections.abc import Iterator

import nbformat
import pytest
from playwright.sync_api import Browser

from .lab import CARD, OURS, OUTPUT, Lab, Sheet, reopened, running
from .page_checks import broken_pictures, faint

pytestmark = [pytest.mark.browser, pytest.mark.kernel]
# Notebook -> how many cards it shows at least, and what must stand on them.
NOTEBOOKS = {
    "03_every_operation.ipynb": (9, ("approximate", "real")),
    "04_generate_and_control.ipynb": (6, ("placeholder",)),
    "07_callbacks_and_local_pictures.ipynb": (1, ("approximate",)),
    "08_many_pictures.ipynb": (1, ("real",)),
}
MOST_BYTES = 2_000_000


@pytest.fixture(scope="module", params=NOTEBOOKS)
def tour(request: pytest.FixtureRequest, lab: Lab, browser: Browser) -> Iterator[Sheet]:
    with running(lab, browser, request.param) as sheet:
        yield sheet


def test_every_cell_runs_and_every_picture_shows(tour: Sheet):
    cards, marks = NOTEBOOKS[tour.path.name]
    said = " ".join(tour.text(CARD))

    assert tour.page.locator(".jp-RenderedText[data-mime-type*=stderr]").count() == 0
    assert tour.page.locator(CARD).count() >= cards
    assert all(mark in said for mark in marks)
    assert broken_pictures(tour.page) == []
    assert [text for text in tour.text(OUTPUT) if "model not found" in text] == []


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_is_readable_in_both_themes(tour: Sheet, theme: str):
    tour.theme(theme)
    tour.shot(f"lab-{tour.path.stem}-{theme.lower()}")
    low = faint(tour.page)
    tour.theme("Light")

    assert low == []


def test_it_asks_nobody_but_jupyter(tour: Sheet, lab: Lab):
    foreign = [url for url in tour.fetched if not url.startswith((lab.url, "data:", "blob:"))]

    assert (tour.complaints, foreign) == ([], [])


def test_saved_and_reopened_without_a_kernel_it_shows_the_same(
    tour: Sheet, lab: Lab, browser: Browser
):
    cards = tour.page.locator(CARD).count()
    tour.save()
    assert tour.path.stat().st_size < MOST_BYTES

    again = reopened(lab, browser, f"reopened-{tour.path.name}", nbformat.read(tour.path, 4))

    assert again.page.locator(CARD).count() == cards
    assert broken_pictures(again.page, f"{OURS} img") == []
    again.page.context.close()
