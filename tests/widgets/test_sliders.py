"""Before and after from Python: which images it takes, and what stands in without a kernel."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from traitlets import TraitError

from imgopen_nb.errors import ParameterError, PictureError
from imgopen_nb.images.picture import Thumbnail, thumbnail
from imgopen_nb.session import Session
from imgopen_nb.tasks.result import Result
from imgopen_nb.widgets.before_after import before_after

AFTER = "https://example.org/after.png"


def png(size: tuple[int, int], colour: str = "teal") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def result(
    sizes: dict[str, tuple[int, int]], image: str | None = "before.png", url: str = AFTER
) -> Result:
    """A result whose images, by label, have these sizes; others cannot be had."""

    class Pictures:
        def thumbnail(self, image: str, size: int, *, picture: str, trusted: bool) -> Thumbnail:
            if image not in sizes:
                raise PictureError("gone")
            return thumbnail(png(sizes[image]), size)

        def download(self, url: str, task_id: str, number: int) -> bytes:
            raise PictureError("gone")

    home: Any = Pictures()
    data = {"outputImageUrl": url}
    return Result("nb1", "upscale", "images", data, "outputImageUrl", image=image, home=home)


def size_of(jpeg: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(jpeg)).size


def test_two_pictures_of_any_kind_and_size(tmp_path: Path):
    file = tmp_path / "one.png"
    file.write_bytes(png((300, 200)))
    slider = before_after(file, Image.new("L", (1500, 1000)))

    assert size_of(slider.widget.before) == (300, 200)
    assert size_of(slider.widget.after) == (1280, 853)
    assert (slider.widget.width, slider.widget.height) == (300, 200)
    assert slider.widget.names == (str(file), "an image")
    assert slider.widget.alike
    assert repr(slider) == f"BeforeAfter({file} → an image)"


def test_a_result_with_what_went_in_and_what_came_out():
    slider = before_after(result({"before.png": (300, 200), AFTER: (1200, 800)}))

    assert size_of(slider.widget.before) == (300, 200)
    assert size_of(slider.widget.after) == (1200, 800)
    assert slider.widget.names == ("before.png", AFTER)


def test_a_real_result_of_the_sandbox(local: Session):
    slider = before_after(local.run("upscale", image=png((60, 40)), scale=2))

    assert (size_of(slider.widget.before), size_of(slider.widget.after)) == ((60, 40), (120, 80))


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ((result({}, image=None),), ParameterError, "no input image"),
        ((result({}, url=""),), ParameterError, "no output"),
        ((result({"before.png": (3, 2)}),), PictureError, "after.png cannot be fetched"),
        ((result({AFTER: (3, 2)}),), PictureError, "before.png cannot be fetched"),
        ((png((3, 2)),), ParameterError, "one image is not enough"),
        ((png((3, 2)), "nowhere.png"), PictureError, "no file nowhere.png"),
    ],
)
def test_what_is_missing_is_said(given: tuple[Any, ...], error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        before_after(*given)


def test_the_bar_can_be_set_within_the_frame():
    slider = before_after(png((30, 20)), png((30, 20)))
    assert slider.position == 50
    slider.position = 12.5
    assert slider.widget.position == 12.5
    with pytest.raises(TraitError):
        slider.widget.set_state({"position": 1e9})
    assert slider.position == 12.5


@pytest.mark.parametrize(("size", "alike"), [((1200, 800), True), ((300, 300), False)])
def test_the_stand_in_has_both_and_a_slider_if_they_are_alike(size: tuple[int, int], alike: bool):
    slider = before_after(png((300, 200)), png(size))
    html = slider.static_html()

    assert slider.widget.alike == alike
    assert html.count("data:image/jpeg;base64,") == 2
    assert 0 < html.index(">before<") < html.index(">after<")
    assert ('<input type="range"' in html) == alike
    assert "<script" not in html


def test_the_stand_in_is_small_and_hostile_names_stay_text(tmp_path: Path):
    file = tmp_path / '"><img src=x onerror=hack()>.png'
    Image.effect_noise((2000, 1500), 100).save(file)
    html = before_after(file, file).static_html()

    assert len(html) <= 30_000
    assert "<img src=x" not in html
