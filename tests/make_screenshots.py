"""Makes the images of the README in a real JupyterLab: python -m tests.make_screenshots."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from nbformat.v4 import new_markdown_cell
from PIL import Image

from .lab import PROJECT, Browser, Lab, Sheet, book, open_browser

MOST_BYTES = 150_000
EDGE = 4  # where the frame of the next cell begins
# Best first. Dots between two colours of the palette look better than bands, and take more bytes.
PALETTES = [
    (256, Image.Dither.FLOYDSTEINBERG),
    (128, Image.Dither.FLOYDSTEINBERG),
    (256, Image.Dither.NONE),
    (128, Image.Dither.NONE),
]
FORM = """import imgopen_nb as imgopen
form = imgopen.form("describe", image="sample:chelsea"); form.run(); form.wait()
form"""
BOARD = """import imgopen_nb as imgopen
samples = ["sample:coffee", "sample:chelsea", "sample:rocket"]
%imgopen compare {samples} --out compared
imgopen.board(compared)"""
# (file, cells that are run, the last of which is shown)
PICTURES = [
    ("board", ["%load_ext imgopen_nb", BOARD]),
    ("compare", ["%load_ext imgopen_nb", "%imgopen compare sample:coffee sample:rocket"]),
    ("form", ["%load_ext imgopen_nb", FORM]),
]


def main() -> None:
    """Write docs/NAME.png for each of PICTURES."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        open_browser() as chrome,
    ):
        lab = Lab(Path(folder))
        try:
            for name, cells in PICTURES:
                path = PROJECT / "docs" / f"{name}.png"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(small(picture(lab, chrome, name, cells)))
                print(f"{path.name}: {path.stat().st_size:,} bytes")
        finally:
            lab.stop()


def picture(lab: Lab, browser: Browser, name: str, cells: list[str]) -> bytes:
    """Run the cells and return an image of the last one, with its output."""
    # A cell below takes the selection, and with it the frame and the buttons of Lab.
    notebook = book(*cells)
    notebook.cells.append(new_markdown_cell("&nbsp;"))
    lab.put(f"{name}.ipynb", notebook)
    size = {"width": 960, "height": 1600}
    sheet = Sheet(lab, browser, f"{name}.ipynb", viewport=size, device_scale_factor=1.5)
    sheet.command("application:toggle-left-area")
    sheet.run_all()
    cell = sheet.page.locator(".jp-CodeCell").nth(len(cells) - 1)
    cell.locator("img:visible").last.wait_for()
    sheet.page.wait_for_timeout(1_000)  # previews of a form come a moment later
    box = cell.bounding_box()
    assert box, "the cell is in sight"
    clip = {**box, "height": box["height"] - EDGE}
    taken: bytes = sheet.page.screenshot(clip=clip)
    sheet.close()
    return taken


def small(png: bytes) -> bytes:
    """Return the image in 256 colours or fewer, so that the README's page loads at once."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours, dither in PALETTES:
        palette = image.quantize(colours, Image.Quantize.MAXCOVERAGE)
        out = io.BytesIO()
        image.quantize(palette=palette, dither=dither).save(out, "PNG", optimize=True)
        if out.tell() < MOST_BYTES:
            return out.getvalue()
    raise ValueError(f"{len(png):,} bytes do not become {MOST_BYTES:,}")


if __name__ == "__main__":
    main()
