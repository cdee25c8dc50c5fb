"""A DataFrame with captions is shown with its text on the left, and whole."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from imgopen_nb.display.frames import frame_html
from imgopen_nb.magics.magic import load, unload

LONG = "a close-up of a brown and tan tabby cat, with a blurry grey background behind it"
FRAME = pd.DataFrame({"image": ["cat.png"], "score": [0.5], "caption": [LONG], "n": [3]})


def test_a_caption_is_whole_and_numbers_are_on_the_right() -> None:
    html = frame_html(FRAME) or ""

    assert LONG in html
    assert re.search(r'class="io-scroll io-data n2 n4"', html)
    assert "& .n2 td:nth-of-type(2){text-align:end}" in html
    assert "& .n1 " not in html
    assert pd.get_option("display.max_colwidth") == 50


def test_a_frame_with_a_row_for_each_image_is_shown_so_too() -> None:
    """As `Comparison.wide` returns it: the images are the index, each model is a column."""
    frame = pd.DataFrame({"clip": [LONG]}, index=pd.Index(["cat.png"], name="image"))

    assert LONG in (frame_html(frame) or "")


def test_a_frame_without_captions_is_left_to_pandas() -> None:
    frame = pd.DataFrame({"x": [1]})

    assert frame_html(frame) == frame._repr_html_()


def test_hostile_cells_stay_text() -> None:
    html = frame_html(pd.DataFrame({"caption": ["<script>alert(1)</script>"]})) or ""

    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_an_option_of_pandas_that_wants_no_html_is_heeded() -> None:
    with pd.option_context("display.notebook_repr_html", False):
        assert frame_html(FRAME) is None


def test_it_comes_with_the_extension_and_goes_with_it() -> None:
    shell = InteractiveShell()
    html = shell.display_formatter.formatters["text/html"]

    load(shell)
    assert "io-data" in html(FRAME)
    load(shell)
    assert "io-data" in html(FRAME)
    unload(shell)
    assert "io-data" not in html(FRAME)


@pytest.mark.parametrize("columns", [21, 40])
def test_a_wide_frame_is_shown_by_pandas_with_whole_captions(columns: int) -> None:
    frame = pd.DataFrame({"caption": [LONG], **{f"c{i}": [i] for i in range(columns)}})

    assert LONG in (frame_html(frame) or "")
