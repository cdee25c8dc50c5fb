"""The engines that cut out, enlarge, mark, erase and extend: their effects, measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw

from imgopen_nb.sandbox.editing.fonts import undrawable
from imgopen_nb.sandbox.editing.super_resolution import TILE, quadrupled
from imgopen_nb.sandbox.editing.watermarks import text_mark
from imgopen_nb.sandbox.engine import EngineError
from imgopen_nb.sandbox.vision.faces import detect_faces
from imgopen_nb.sandbox.vision.networks import quadruple

from ..sandbox.test_engines_faces import ENGINES, changed, run, within
from ..sandbox_fixtures import FakeWork, sample


def alpha(image: Image.Image) -> np.ndarray:
    return np.asarray(image.getchannel("A"))


def psnr(one: Image.Image, other: Image.Image) -> float:
    error = (np.asarray(one, float) - np.asarray(other, float)) ** 2
    return float(10 * np.log10(255**2 / error.mean()))


def mask_of(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask


def test_the_cat_is_opaque_and_what_is_behind_it_transparent() -> None:
    image = sample("chelsea")
    result = run("remove-background", image=image)
    found = alpha(result)

    assert result.mode == "RGBA"
    assert result.size == image.size
    assert found[100:170, 150:300].min() > 240
    assert found[:40, -40:].max() < 30
    assert found[-40:, -40:].max() < 30


def test_the_coffee_cup_is_cut_out_by_a_sharp_edge() -> None:
    found = alpha(run("remove-background", image=sample("coffee")))

    assert 0.2 < (found > 127).mean() < 0.6
    assert ((found > 25) & (found < 230)).mean() < 0.05


def test_what_was_transparent_stays_so() -> None:
    image = sample("coffee")
    image.putalpha(mask_of(image.size, (0, 0, 300, 400)))

    found = alpha(run("remove-background", image=image))
    assert found[:, 301:].max() == 0
    assert found[200, 250] > 240


def brickwork() -> Image.Image:
    image = Image.new("RGB", (400, 300), "silver")
    pen = ImageDraw.Draw(image)
    for row in range(0, 300, 30):
        for left in range(-30 * (row % 60 > 0), 400, 62):
            pen.rectangle((left, row, left + 56, row + 25), fill="brown")
    return image


def dotted(*box: int) -> Image.Image:
    image = Image.new("RGB", (500, 400), "white")
    ImageDraw.Draw(image).ellipse(box, fill="navy")
    return image


def noise() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(Image.new("RGB", (400, 300), "grey"), id="plain grey"),
        pytest.param(Image.new("RGB", (1, 1), "white"), id="one pixel"),
        pytest.param(Image.linear_gradient("L").convert("RGB"), id="gradient"),
        pytest.param(noise(), id="noise"),
        pytest.param(brickwork(), id="bricks"),
        pytest.param(Image.new("RGBA", (300, 200)), id="transparent"),
    ],
)
def test_without_a_subject_there_is_no_cutout(image: Image.Image) -> None:
    with pytest.raises(EngineError, match="no subject found"):
        run("remove-background", image=image)


def test_a_mask_of_the_subject_needs_one() -> None:
    with pytest.raises(EngineError, match="no subject found"):
        run("control-preview", {"preprocessor": "segmentation"}, image=brickwork())


@pytest.mark.parametrize("box", [(240, 190, 256, 206), (240, 40, 260, 360), (100, 50, 400, 350)])
def test_small_thin_and_large_subjects_are_cut_out(box: tuple[int, int, int, int]) -> None:
    found = alpha(run("remove-background", image=dotted(*box)))

    assert found[(box[1] + box[3]) // 2, (box[0] + box[2]) // 2] > 127
    assert found[:20].max() < 30


@pytest.mark.parametrize("name", ["coffee", "astronaut", "chelsea"])
def test_upscaling_a_shrunk_photograph_beats_bicubic_interpolation(name: str) -> None:
    image = sample(name).crop((100, 40, 356, 296))
    small = image.resize((64, 64), Image.Resampling.LANCZOS)
    result = run("upscale", {"scale": 4}, image=small)

    assert result.size == image.size
    assert psnr(result, image) > psnr(small.resize(image.size, Image.Resampling.BICUBIC), image)


def test_upscaling_by_two_gives_twice_the_size_and_keeps_transparency() -> None:
    image = sample("chelsea").crop((200, 60, 261, 100)).convert("RGBA")
    image.putalpha(mask_of(image.size, (0, 0, 30, 39)))
    result = run("upscale", {"scale": 2}, image=image)

    assert result.size == (122, 80)
    assert alpha(result)[:, :50].min() > 250
    assert alpha(result)[:, 80:].max() < 5


def test_tiles_leave_no_seams() -> None:
    """Beside a seam the tiled image differs from the whole one as little as anywhere."""
    image = sample("coffee").crop((150, 60, 150 + TILE + 24, 100))
    from imgopen_nb.sandbox.editing.super_resolution import enhanced

    whole = enhanced(np.asarray(image, np.float32))
    tiled = np.asarray(quadrupled(image), np.float32)

    assert quadruple(np.asarray(image, np.float32)).shape == tiled.shape
    assert np.abs(whole - tiled).mean() < 0.3
    assert np.abs(whole - tiled).max() < 12


def test_too_large_a_picture_is_not_upscaled_and_the_limit_is_told() -> None:
    with pytest.raises(EngineError, match=r"1000 × 700 .* at most 640,000"):
        run("upscale", image=Image.new("RGB", (1000, 700)))


@pytest.mark.parametrize(("scale", "size"), [(2, (40, 20)), (1.5, (30, 15)), (8, (160, 80))])
def test_enlarging_multiplies_both_sides(scale: float, size: tuple[int, int]) -> None:
    assert run("enlarge", {"scale": scale}, image=Image.new("RGB", (20, 10))).size == size


def test_an_enlarged_picture_beyond_the_limit_is_refused() -> None:
    with pytest.raises(EngineError, match="the limit of the sandbox is 36 megapixels"):
        run("enlarge", {"scale": 8}, image=Image.new("RGB", (1000, 1000)))


QUARTERS = {
    "top-left": (0, 0, 256, 170),
    "top-right": (256, 0, 512, 170),
    "bottom-left": (0, 170, 256, 341),
    "bottom-right": (256, 170, 512, 341),
    "center": (128, 85, 384, 256),
}


@pytest.mark.parametrize("position", QUARTERS)
@pytest.mark.parametrize("kind", ["text", "watermark"])
def test_a_mark_touches_its_place_only(kind: str, position: str) -> None:
    image = sample("coffee")
    params = {kind: "img open", "position": position}
    result = run("watermark", params, image=image, watermark=sample("chelsea"))

    assert result.mode == image.mode
    assert within(changed(image, result), QUARTERS[position])


def test_a_long_text_is_wrapped_not_shrunk_to_a_thread() -> None:
    text = "Draft of the annual report; do not copy or pass on without permission of the author"
    mark, short = text_mark(text, (400, 300)), text_mark("Draft", (400, 300))

    assert mark.width <= 0.9 * 400
    assert mark.height > 2 * short.height
    assert text_mark("x" * 300, (200, 200)).width <= 0.9 * 200


def test_tiles_of_a_mark_reach_every_quarter() -> None:
    image = sample("coffee")
    result = run("watermark", {"text": "SAMPLE", "position": "tile"}, image=image)

    for box in QUARTERS.values():
        assert changed(image.crop(box), result.crop(box))


def test_opacity_scales_the_mark_down_to_nothing() -> None:
    image = Image.new("RGB", (3000, 2000), (0, 0, 0))
    tops = [
        np.asarray(run("watermark", {"text": "X", "opacity": opacity}, image=image)).max()
        for opacity in (0, 0.5, 1)
    ]

    assert tops == [0, pytest.approx(128, abs=2), 255]


def test_a_transparent_picture_keeps_its_alpha_where_no_mark_is() -> None:
    image = Image.new("RGBA", (300, 200), (10, 20, 30, 0))
    result = run("watermark", {"text": "mark", "position": "top-left"}, image=image)

    assert alpha(result)[100:].max() == 0
    assert alpha(result)[:60, :150].max() > 0


def test_a_mark_is_needed_and_only_one() -> None:
    with pytest.raises(EngineError, match="give text, or an image as watermark"):
        run("watermark", image=sample("coffee"))
    with pytest.raises(EngineError, match="not both"):
        run("watermark", {"text": "a", "watermark": "b"}, image=sample("coffee"))


def test_signs_that_the_font_lacks_are_named() -> None:
    assert undrawable("© Img Open 2026, all rights reserved!") == ""
    with pytest.raises(EngineError, match="no font here has a character for"):
        run("watermark", {"text": "mark \ue123"}, image=sample("coffee"))


HOLE = (200, 60, 259, 119)


def erased(image: Image.Image, box: tuple[int, int, int, int] = HOLE) -> Image.Image:
    return run("erase", image=image, mask=mask_of(image.size, box))


def test_what_is_painted_white_goes_and_all_else_stays() -> None:
    image = sample("rocket").resize((400, 267))
    ImageDraw.Draw(image).rectangle((210, 70, 250, 110), fill=(255, 0, 0))
    result = erased(image)
    pixels = np.asarray(result, int)[60:120, 200:260]

    assert within(changed(image, result), (200, 60, 260, 120))
    assert (pixels[..., 0] - pixels[..., 2]).max() < 120


def test_a_large_picture_is_worked_on_small_but_only_the_gap_changes() -> None:
    image = sample("chelsea").resize((1804, 1200))
    result = erased(image, (800, 500, 899, 599))

    assert within(changed(image, result), (800, 500, 900, 600))


def coins(*places: tuple[int, int], ground: float = 3.0) -> Image.Image:
    """Return coins with a rim on a grey ground with as much noise."""
    random = np.random.default_rng(0)
    image = Image.new("RGB", (360, 200), (110, 112, 115))
    pen = ImageDraw.Draw(image)
    for x, y in places:
        pen.ellipse(
            (x - 24, y - 24, x + 24, y + 24), fill="goldenrod", outline="saddlebrown", width=4
        )
        pen.arc((x - 12, y - 12, x + 12, y + 12), 30, 300, fill="saddlebrown", width=4)
    pixels = np.asarray(image, float) + random.normal(0, ground, (200, 360, 1))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


ROWS = [(60 + 80 * number, y) for number in range(4) for y in (50, 150)]


@pytest.mark.parametrize("ground", [0.0, 3.0])
def test_an_erased_coin_does_not_become_another_coin(ground: float) -> None:
    box = (110, 20, 170, 80)
    work = FakeWork({"image": coins(*ROWS, ground=ground), "mask": mask_of((360, 200), box)})
    answer = ENGINES["erase"].run(work)

    filled = np.asarray(work.saved[0].crop(box), float)
    assert np.abs(filled - [110, 112, 115]).max() < 30
    assert "note" not in answer


def test_gaps_that_lie_apart_do_not_fill_each_other() -> None:
    mask = mask_of((360, 200), (110, 20, 170, 80))
    ImageDraw.Draw(mask).rectangle((270, 120, 330, 180), fill=255)
    result = run("erase", image=coins(*ROWS), mask=mask)

    for box in [(112, 22, 168, 78), (272, 122, 328, 178)]:
        assert np.abs(np.asarray(result.crop(box), float) - [110, 112, 115]).max() < 30


def test_a_fill_that_looks_like_what_was_removed_says_so() -> None:
    work = FakeWork({"image": brickwork(), "mask": mask_of((400, 300), (100, 100, 200, 180))})

    assert "looks much like what was removed" in ENGINES["erase"].run(work)["note"]


def test_a_small_mask_over_a_plain_area_gets_no_note() -> None:
    noise = np.random.default_rng(5).normal(0, 2, (200, 240, 1)) + np.array([150, 180, 220])
    image = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
    ImageDraw.Draw(image).rectangle((0, 150, 240, 200), fill="black")
    work = FakeWork({"image": image, "mask": mask_of(image.size, (100, 130, 108, 138))})

    assert "note" not in ENGINES["erase"].run(work)


@pytest.mark.parametrize(
    ("box", "note"),
    [
        ((110, 20, 140, 80), "continue beyond the mask"),
        ((4, 4, 195, 95), "covers 88% of the image"),
    ],
    ids=["half a coin", "nearly all"],
)
def test_a_fill_that_must_show_says_why(box: tuple[int, int, int, int], note: str) -> None:
    image = coins(*ROWS).crop((0, 0, 200, 100))
    work = FakeWork({"image": image, "mask": mask_of(image.size, box)})

    assert note in ENGINES["erase"].run(work)["note"]


def test_erasing_twice_gives_the_same_bytes() -> None:
    image = sample("coffee").resize((256, 170))

    assert erased(image).tobytes() == erased(image).tobytes()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            Image.new("L", (10, 20), 255),
            r"mask \(maskImage\) has 10 × 20 pixels, .* \(sourceImage\) has 512 × 341",
        ),
        (Image.new("L", (512, 341)), "mask .* is empty"),
        (Image.new("L", (512, 341), 1), "mask .* has no value above 1 of 255"),
        (Image.new("RGBA", (512, 341), (255, 255, 255, 0)), "mask .* is empty"),
        (Image.new("L", (512, 341), 255), "covers the whole image"),
    ],
    ids=["size", "black", "zeros and ones", "transparent", "white"],
)
def test_masks_that_cannot_be_used_are_refused(mask: Image.Image, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        run("erase", image=sample("coffee"), mask=mask)


def outpainted(image: Image.Image, **params: Any) -> tuple[FakeWork, dict[str, Any]]:
    work = FakeWork({"image": image}, params)
    return work, ENGINES["outpaint"].run(work)


def test_the_outpainted_picture_has_the_factors_size_and_the_original_in_its_middle() -> None:
    image = sample("rocket").resize((201, 133))
    work, answer = outpainted(image, horizontal=1.5, vertical=1.25, seed=7)
    result = work.saved[0]
    left, top = (result.width - 201) // 2, (result.height - 133) // 2

    assert result.size == (round(201 * 1.5), round(133 * 1.25)) == (302, 166)
    assert (answer["width"], answer["height"], answer["seed"]) == (302, 166, 7)
    assert "filled with patches" in answer["note"]
    middle = result.crop((left, top, left + 201, top + 133))
    assert ImageChops.difference(middle, image).getbbox() is None
    assert np.asarray(result, float)[:, :20].std() > 5


def test_the_border_repeats_no_face() -> None:
    image = sample("astronaut").resize((300, 300))
    work, _ = outpainted(image, horizontal=1.6, vertical=1.3, seed=3)

    assert len(detect_faces(image)) == len(detect_faces(work.saved[0])) == 1


def test_each_of_several_pictures_has_its_own_border_and_a_seed_repeats_them() -> None:
    image = sample("coffee").resize((150, 100))
    (first, answer), (second, _) = (
        outpainted(image, horizontal=1.4, vertical=1, count=2, seed=5) for _ in range(2)
    )
    one, other = (each.tobytes() for each in first.saved)

    assert answer["outputImageUrls"] == [answer["outputImageUrl"], "http://localhost/results/2.png"]
    assert one != other
    assert [one, other] == [each.tobytes() for each in second.saved]


def test_factors_of_one_return_the_picture() -> None:
    work, _ = outpainted(sample("coffee"), horizontal=1, vertical=1)

    assert work.saved[0].tobytes() == sample("coffee").tobytes()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"horizontal": 0.5, "vertical": 1}, "horizontal .* must be a factor from 1 to 4, not 0.5"),
        ({"horizontal": 1, "vertical": 1, "count": 9}, r"count \(imageCount\) must be from 1 to 4"),
    ],
)
def test_growth_and_count_have_limits(params: dict[str, Any], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        outpainted(Image.new("RGB", (20, 20)), **params)
