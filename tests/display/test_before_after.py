"""An image that became another of its shape is shown as before and after, without JavaScript."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from imgopen_nb.errors import PictureError
from imgopen_nb.images.picture import Thumbnail, thumbnail
from imgopen_nb.tasks.cards import result_bundle
from imgopen_nb.tasks.result import Result


def made(sizes: dict[str, tuple[int, int]]) -> Result:
    """A result whose images, by label, have these sizes; others cannot be had."""

    class Pictures:
        def thumbnail(self, image: str, size: int, *, picture: str, trusted: bool) -> Thumbnail:
            if image not in sizes:
                raise PictureError("gone")
            out = io.BytesIO()
            Image.new("RGB", sizes[image], "teal").save(out, "PNG")
            return thumbnail(out.getvalue(), size)

    data: dict[str, Any] = {"outputImageUrl": "https://example.org/after.png"}
    home: Any = Pictures()
    return Result("nb1", "upscale", "images", data, "outputImageUrl", image="before.png", home=home)


AFTER = "https://example.org/after.png"


def test_one_picture_of_the_same_shape_lies_over_the_other():
    html = result_bundle(made({"before.png": (300, 200), AFTER: (1200, 800)}))["text/html"]

    assert 'alt="before upscale"' in html
    assert 'alt="after upscale"' in html
    assert '<input type="range"' in html
    assert html.count("@keyframes io-uncover{") == 1
    assert "<script" not in html


def test_another_shape_is_shown_beside():
    html = result_bundle(made({"before.png": (300, 200), AFTER: (300, 300)}))["text/html"]

    assert 'alt="before upscale"' not in html
    assert html.count("data:image/jpeg;base64,") == 2


def test_a_picture_that_is_gone_leaves_the_other():
    html = result_bundle(made({AFTER: (300, 200)}))["text/html"]

    assert html.count("data:image/jpeg;base64,") == 1
    assert "The image is not available." in html
