"""A DataFrame with captions is shown with its text on the left, and whole."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from imgopen_nb.captions.comparison import compare
from imgopen_nb.display.frames import frame_html
from imgopen_nb.history.frame import history_frame
from imgopen_nb.magics.magic import load, unload
from imgopen_nb.session import Session

LONG = "a close-up of a brown and tan tabby cat, with a blurry grey background behind it"
CAPTION = pd.array([LONG], dtype="string")  # as all our frames have them
FRAME = pd.DataFrame({"image": ["cat.png"], "score": [0.5], "caption": CAPTION, "n": [3]})


def test_a_caption_is_whole_and_numbers_are_on_the_right() -> None:
    html = frame_html(FRAME) or ""

    assert LONG in html
    assert re.search(r'class="io-scroll io-data n2 n4"', html)
    assert "& .n2 td:nth-of-type(2){text-align:end}" in html
    assert "& .n1 " not in html
    assert pd.get_option("display.max_colwidth") == 50


def test_a_frame_with_a_row_for_each_image_is_shown_so_too() -> None:
    """As `Comparison.wide` returns it: the images are the index, each model is a column."""
    frame = pd.DataFrame({"clip": CAPTION}, index=pd.Index(["cat.png"], name="image"))

    assert LONG in (frame_html(frame) or "")


@pytest.mark.parametrize("name", ["x", "caption", "image", "clip"])
def test_a_frame_of_the_users_own_is_left_to_pandas(name: str) -> None:
    """Whatever its columns are called."""
    frame = pd.DataFrame({name: [LONG], "image": [3], "tags": pd.array(["a"], dtype="string")})

    assert frame_html(frame) == frame._repr_html_()


def test_a_frame_that_captions_were_joined_to_has_room_for_them() -> None:
    frame = pd.DataFrame({"url": ["cat.png"]}).join(pd.DataFrame({"deepdanbooru": CAPTION}))

    assert LONG in (frame_html(frame) or "")


def test_every_frame_with_captions_of_ours_is_known(local: Session) -> None:
    batch = local.map("describe", ["sample:coffee"], models=["clip"], progress=False)

    for frame in (batch.frame(), batch.wide(), history_frame(local.rows()), compare(batch).wide()):
        assert "io-data" in (frame_html(frame) or "")


def test_a_width_that_the_user_chose_is_heeded() -> None:
    with pd.option_context("display.max_colwidth", 20):
        assert LONG not in (frame_html(FRAME) or "")


def test_hostile_cells_stay_text() -> None:
    hostile = pd.array(["<script>alert(1)</script>"], dtype="string")
    html = frame_html(pd.DataFrame({"caption": hostile})) or ""

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


@pytest.mark.parametrize(("columns", "most"), [(20, 20), (21, 20), (40, 20), (40, 5), (3, 1)])
def test_of_a_wide_frame_the_numbers_that_are_shown_are_on_the_right(
    columns: int, most: int
) -> None:
    """pandas leaves out columns in the middle, and has one of dots instead."""
    texts = {f"t{i}": ["x"] for i in range(columns - 2)}
    frame = pd.DataFrame({"caption": CAPTION, **texts, "n": [3]})
    with pd.option_context("display.max_columns", most):
        html = frame_html(frame) or ""
        shown = re.findall("<td>(.*?)</td>", frame._repr_html_())

    assert LONG in html
    wanted = f" n{len(shown)}" if shown[-1] == "3" else ""
    assert f'class="io-scroll io-data{wanted}"' in html


def test_a_frame_of_more_columns_than_can_be_marked_is_left_to_pandas_with_whole_captions() -> None:
    frame = pd.DataFrame({"caption": CAPTION, **{f"c{i}": [i] for i in range(40)}})
    with pd.option_context("display.max_columns", None):
        html = frame_html(frame) or ""

    assert LONG in html
    assert "io-data" not in html
