"""The engine control-preview: what each preprocessor draws, and what it says of itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.sandbox import engines
from imgopen_nb.sandbox.engine import EngineError
from imgopen_nb.sandbox.vision import control_maps, edge_maps, pose

from ..sandbox_fixtures import FakeWork, sample

ENGINES = engines.load()


def preview(image: Image.Image, module: str) -> tuple[Image.Image, dict[str, Any]]:
    work = FakeWork(image, {"preprocessor": module})
    result = ENGINES["control-preview"].run(work)
    return work.saved[0], result


def square() -> Image.Image:
    image = Image.new("RGB", (200, 160), (30, 30, 30))
    ImageDraw.Draw(image).rectangle((60, 40, 140, 120), fill=(220, 220, 220))
    return image


def lit(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L")) > 127


@pytest.mark.parametrize("module", [m.name for m in control_maps.MODULES])
def test_every_module_returns_a_picture_of_the_same_size_and_says_what_it_is(module: str) -> None:
    drawn, result = preview(sample("grace_hopper"), module)

    assert drawn.size == sample("grace_hopper").size
    assert result["outputImageUrl"].endswith("1.png")
    assert result["module"] == module
    assert result["fidelity"] in ("real", "approximate", "placeholder")
    assert len(result["about"]) > 20


@pytest.mark.parametrize("module", ["canny", "lineart", "softedge", "scribble"])
def test_edges_are_white_lines_on_black(module: str) -> None:
    share = float(np.asarray(preview(sample("camera"), module)[0].convert("L")).mean() / 255)

    assert 0.005 < share < 0.3


def test_canny_draws_the_outline_of_a_square_one_pixel_wide_and_nothing_else() -> None:
    found = lit(edge_maps.canny(square()))
    rows, columns = np.nonzero(found)

    assert found[80].sum() == 2
    assert found[:, 100].sum() == 2
    assert set(np.flatnonzero(found[80]) // 10) <= {5, 6, 13, 14}
    assert 35 < rows.min() < rows.max() < 125
    assert 55 < columns.min() < columns.max() < 145


@pytest.mark.parametrize("module", ["canny", "lineart", "softedge", "scribble"])
def test_a_plain_picture_has_no_edges(module: str) -> None:
    drawn, _ = preview(Image.new("RGB", (90, 70), (120, 60, 200)), module)

    assert np.asarray(drawn.convert("L")).max() < 20


@pytest.mark.parametrize("size", [(1, 1), (3, 300), (1500, 40)])
def test_tiny_thin_and_large_pictures_keep_their_size(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "white")

    assert all(
        preview(image, module)[0].size == size
        for module in ("canny", "lineart", "softedge", "scribble")
    )


def test_the_same_picture_gets_the_same_edges() -> None:
    first, again = preview(sample("coffee"), "canny")[0], preview(sample("coffee"), "canny")[0]

    assert first.tobytes() == again.tobytes()


def test_openpose_finds_the_shoulders_of_the_astronaut_where_they_are() -> None:
    points = pose.poses(sample("astronaut"))[0].points
    right, left = points["right shoulder"], points["left shoulder"]

    assert 40 < right[0] < 140 < 250 < left[0] < 340
    assert points["nose"][1] < points["neck"][1] < points["left hip"][1]


def test_openpose_draws_a_coloured_skeleton_on_black() -> None:
    drawn, result = preview(sample("astronaut"), "openpose")
    pixels = np.asarray(drawn)

    assert (result["fidelity"], result["people"]) == ("approximate", 1)
    assert result["note"] == "1 person was found."
    assert (pixels.max(-1) == 0).mean() > 0.85
    assert {pose.HUES[2], pose.HUES[5]} <= {tuple(p) for p in pixels.reshape(-1, 3).tolist()}


def test_openpose_draws_both_people_of_a_collage() -> None:
    collage = Image.new("RGB", (1024, 512), "grey")
    collage.paste(sample("camera"), (0, 0))
    collage.paste(sample("astronaut"), (512, 0))
    found = pose.poses(collage)

    assert len(found) == 2
    assert sorted(each.points["nose"][0] > 512 for each in found) == [False, True]


@pytest.mark.parametrize("name", ["chelsea", "coffee"])
def test_openpose_without_a_person_is_an_error_that_says_so(name: str) -> None:
    with pytest.raises(EngineError, match="no person"):
        preview(sample(name), "openpose")


def test_segmentation_is_named_the_subject_mask_that_it_is() -> None:
    drawn, result = preview(sample("coffee"), "segmentation")

    assert result["module"] == "subject_mask"
    assert result["fidelity"] == "approximate"
    assert lit(drawn)[170, 260]
    assert not lit(drawn)[5, 500]


@pytest.mark.parametrize(
    ("word", "module"),
    [
        ("openpose_full", "openpose"), ("dw_openpose_full", "openpose"),
        ("softedge_hed", "softedge"), ("lineart_anime", "lineart"), ("Lineart-Standard", "lineart"),
        ("scribble_pidinet", "scribble"), ("seg_ofade20k", "subject_mask"),
        ("depth_midas", "pseudo_depth"), ("depth", "pseudo_depth"),
    ],
)  # fmt: skip
def test_the_web_ui_s_names_of_preprocessors_are_known(word: str, module: str) -> None:
    assert control_maps.find(word).name == module


def test_depth_is_a_placeholder_and_says_that_none_was_measured() -> None:
    _, result = preview(sample("coffee"), "depth_midas")

    assert result["fidelity"] == "placeholder"
    assert "no depth network" in result["note"]


def test_an_unknown_module_is_refused_with_the_near_match_and_the_list() -> None:
    with pytest.raises(EngineError) as caught:
        preview(sample("coffee"), "cany")

    assert "did you mean canny?" in str(caught.value)
    known = OPERATIONS["control-preview"].param("preprocessor").values
    assert all(value.value in str(caught.value) for value in known)


def test_networks_that_are_not_here_are_not_passed_off_as_something_else() -> None:
    for name in ("mlsd", "normal_bae"):
        with pytest.raises(EngineError, match="no preprocessor"):
            preview(sample("coffee"), name)
    _, result = preview(sample("coffee"), "softedge_hed")
    assert (result["module"], result["fidelity"]) == ("softedge", "approximate")
    assert result["note"] == "softedge was drawn in place of softedge_hed."


def test_invert_is_the_negative() -> None:
    drawn, _ = preview(square(), "invert")

    assert drawn.tobytes() == ImageOps.invert(square()).tobytes()


def test_transparent_pictures_are_seen_on_white() -> None:
    drawn, _ = preview(Image.new("RGBA", (60, 60), (0, 0, 0, 0)), "invert")

    assert drawn.getpixel((5, 5)) == (0, 0, 0)
