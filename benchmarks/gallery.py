"""A gallery of 10,000 images in JupyterLab: first view, frames per second, memory, file size."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser

from tests.lab import Lab, Sheet, open_browser, without_outputs
from tests.widgets.test_galleries import fill_history

HEAD = ("what", "figure", "ratio")
Row = tuple[str, str, str]
CELLS = (
    "import psutil, imgopen_nb as imgopen\n"
    "from imgopen_nb.widgets.gallery.gallery import gallery\n"
    "imgopen.current().rows(limit=1)\n"
    "before = psutil.Process().memory_info().rss",
    "gallery()",
)
GROWN = "import psutil; print((psutil.Process().memory_info().rss - before) / 2**20)"
# Milliseconds from the call until every tile in view has its image on the screen.
FIRST_VIEW = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  document.querySelectorAll('.imgopen-gallery').forEach(e => e.classList.add('before'));
  const begun = performance.now();
  panel.content.activeCellIndex = 1;
  window.jupyterapp.commands.execute('notebook:run-cell');
  const done = () => {
    const tiles = [...document.querySelectorAll('.imgopen-gallery:not(.before) .tile')];
    const frame = tiles[0]?.closest('.frame').getBoundingClientRect();
    return tiles.length > 0 && tiles.filter(t => t.getBoundingClientRect().top < frame.bottom)
      .every(t => { const i = t.querySelector('img'); return i.complete && i.naturalWidth > 0; });
  };
  while (!done()) await new Promise(requestAnimationFrame);
  return performance.now() - begun;
}"""
# Timestamps of the frames during `milliseconds`, while a `share` of the grid is scrolled, there and
# back again. With 0 nothing is scrolled, for comparison.
SCROLL = """async ([milliseconds, share]) => {
  const grid = document.querySelector('.imgopen-gallery .frame');
  const way = (grid.scrollHeight - grid.clientHeight) * share, stamps = [];
  let most = 0;
  const begun = await new Promise(requestAnimationFrame);
  for (let now = begun; now < begun + milliseconds;) {
    now = await new Promise(requestAnimationFrame);
    const part = 1 - Math.abs(1 - 2 * (now - begun) / milliseconds);
    if (share) grid.scrollTop = way * part;
    stamps.push(now);
    most = Math.max(most, document.querySelectorAll('.imgopen-gallery .tile').length);
  }
  return { stamps, most, height: way };
}"""
RUN = """async code => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  let text = '';
  const future = kernel.requestExecute({ code, store_history: false });
  future.onIOPub = m => { text += m.content.text ?? ''; };
  await future.done;
  return text;
}"""


def rows(pictures: int = 10_000, rounds: int = 5, seconds: float = 20) -> Iterator[Row]:
    """Measure; a scroll takes so many seconds."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        open_browser() as browser,
    ):
        lab = Lab(Path(folder))
        try:
            fill_history(Path(folder) / "home", pictures)
            yield from measured(lab, browser, pictures, rounds, seconds)
        finally:
            lab.stop()


def measured(
    lab: Lab, browser: Browser, pictures: int, rounds: int, seconds: float
) -> Iterator[Row]:
    sheet = opened(lab, browser)
    views = []
    for _ in range(rounds):
        views.append(sheet.page.evaluate(FIRST_VIEW) / 1000)
        sheet.page.wait_for_timeout(500)
    first, *later = views
    middle = statistics.median(later)
    yield (
        f"gallery of {pictures:,} images: first view, first time",
        f"{first:.2f} s",
        f"{first / middle:.1f} x again",
    )
    yield f"the same again (worst {max(later):.2f} s)", f"{middle:.2f} s", "1.0 x again"
    sheet.close()
    # A fresh kernel: each gallery stays in the memory of the old one.
    sheet = opened(lab, browser)
    sheet.page.evaluate(FIRST_VIEW)
    early = float(sheet.page.evaluate(RUN, GROWN))
    yield from scrolled(sheet, seconds)
    late = float(sheet.page.evaluate(RUN, GROWN))
    yield "kernel memory for it, after the first view", f"{early:.0f} MiB", ""
    yield "kernel memory for it, after all scrolling", f"{late:.0f} MiB", f"{late / early:.1f} x"
    sheet.save()
    yield "notebook file", f"{sheet.path.stat().st_size / 1000:.0f} kB", ""
    sheet.close()


def opened(lab: Lab, browser: Browser) -> Sheet:
    """Open the notebook and run its first cell."""
    made = new_notebook(cells=[new_code_cell(code) for code in CELLS])
    made.metadata = without_outputs("01_quickstart.ipynb").metadata
    lab.put("gallery.ipynb", made)
    sheet = Sheet(lab, browser, "gallery.ipynb")
    sheet.page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status"
        " === 'idle'"
    )
    sheet.page.evaluate(RUN, CELLS[0])
    return sheet


def scrolled(sheet: Sheet, seconds: float) -> Iterator[Row]:
    """Scroll to the end and back, and then as slowly as a person who looks at images."""
    still = frames(sheet.page.evaluate(SCROLL, [150 * seconds, 0]))
    for what, share in (
        (f"to the end and back in {seconds:g} s", 1),
        ("3 screens a second", 0.05),
    ):
        found = sheet.page.evaluate(SCROLL, [1000 * seconds, share])
        gaps = sorted(b - a for a, b in zip(found["stamps"], found["stamps"][1:], strict=False))
        worst = gaps[int(0.99 * len(gaps))]
        yield (
            f"scrolling {what} (99 % of frames within {worst:.0f} ms; {found['most']} tiles)",
            f"{frames(found):.0f} frames/s",
            f"{frames(found) / still:.2f} x standing still",
        )


def frames(found: dict[str, Any]) -> float:
    stamps = found["stamps"]
    return 1000 * (len(stamps) - 1) / float(stamps[-1] - stamps[0])
