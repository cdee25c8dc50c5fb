"""The engines that draw: sizes, counts, seeds, marks; and the hand-over to a diffusers model."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw

from imgopen_nb.sandbox import engines
from imgopen_nb.sandbox.editing import fonts
from imgopen_nb.sandbox.engine import EngineError
from imgopen_nb.sandbox.generation import diffusion, marking, palettes, scenery

from ..sandbox_fixtures import FakeWork, sample

ENGINES = engines.load()
SD = ("text2image", "image2image", "controlnet")


def run(
    operation: str, given: dict[str, Image.Image] | None = None, **params: Any
) -> tuple[Any, FakeWork]:
    given = given or {}
    if operation in ("image2image", "controlnet"):
        given = {"image": sample("coffee"), **given}
    names = {name: f"http://localhost/{name}" for name in given}
    work = FakeWork(given, {"prompt": "a quiet harbour", "seed": 5, **names, **params})
    return ENGINES[operation].run(work), work


def picture(operation: str, given: dict[str, Image.Image] | None = None, **params: Any) -> Any:
    return run(operation, given, **params)[1].saved[0]


def differing(one: Image.Image, other: Image.Image) -> float:
    """Return the share of pixels that differ visibly."""
    assert one.size == other.size
    return float((np.asarray(ImageChops.difference(one, other)).max(-1) > 12).mean())


@pytest.mark.parametrize("operation", [*SD, "flux"])
def test_every_engine_is_a_placeholder_and_says_there_is_no_model(operation: str) -> None:
    assert ENGINES[operation].fidelity == "placeholder"
    assert "no image model" in ENGINES[operation].about or "no Flux" in ENGINES[operation].about


@pytest.mark.parametrize("operation", SD)
def test_results_have_the_shape_of_the_sd_family(operation: str) -> None:
    result, work = run(operation, batches=2, batch_size=2)
    rows = result["differentialImageRspList"]

    assert len(rows) == len(work.saved) == 4
    assert [row["seed"] for row in rows] == [5, 6, 7, 8]
    assert [row["image_url"][-5:] for row in rows] == ["1.png", "2.png", "3.png", "4.png"]
    for row in rows:
        assert row["image_status"] == 1
        assert row["img_audit_status"] is True
        assert row["img_audit"] == [{"confidence": None, "label": "nonLabel"}]
    assert len({image.tobytes() for image in work.saved}) == 4


def test_flux_returns_one_picture_the_same_for_the_same_prompt() -> None:
    result, work = run("flux", width=256, height=320)

    assert result["outputImageUrl"] == "http://localhost/results/1.png"
    assert work.saved[0].size == (256, 320)
    assert picture("flux", width=256, height=320).tobytes() == work.saved[0].tobytes()


@pytest.mark.parametrize("operation", ["text2image", "flux"])
def test_pictures_are_512_square_unless_told_otherwise(operation: str) -> None:
    assert picture(operation).size == (512, 512)
    assert picture(operation, width=200, height=90).size == (200, 90)
    assert picture(operation, width=64, height=2048).size == (64, 2048)


@pytest.mark.parametrize("operation", ["image2image", "controlnet"])
def test_pictures_from_a_picture_have_its_size_unless_told_otherwise(operation: str) -> None:
    size = sample("coffee").size

    assert picture(operation).size == size
    assert picture(operation, width=256).size == (256, round(256 * size[1] / size[0]))
    assert picture(operation, width=300, height=300).size == (300, 300)


def test_the_second_pass_enlarges() -> None:
    assert picture("text2image", width=100, height=120, hires=True).size == (200, 240)
    assert picture("text2image", hires=True, hires_scale=3).size == (1536, 1536)
    assert picture("text2image", hires=True, hires_width=700, hires_height=640).size == (700, 640)


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"width": 63}, "width must be 64 to 2048"),
        ({"height": 2049}, "height must be 64 to 2048"),
        ({"width": 1500, "hires": True}, "width after the second pass"),
        ({"batches": 17}, r"batches \(n_iter\) × batch_size must be 1 to 16"),
        ({"batches": 4, "batch_size": 5}, "not 4 × 5"),
        ({"batches": -2, "batch_size": -2}, r"× batch_size must be"),
        ({"seed": -7}, "seed must be -1"),
        ({"format": "gif"}, "png, jpg, jpeg, webp"),
    ],
)
def test_values_outside_the_limits_are_refused(params: dict[str, Any], word: str) -> None:
    with pytest.raises(EngineError, match=word):
        run("text2image", **params)


@pytest.mark.parametrize("operation", SD)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(operation: str) -> None:
    first = picture(operation, seed=11)

    assert picture(operation, seed=11).tobytes() == first.tobytes()
    assert differing(picture(operation, seed=12), first) > 0.05


def test_seed_minus_one_is_a_new_one_each_time_and_is_reported() -> None:
    seeds = [
        run("text2image", seed=-1, width=64, height=64)[0]["differentialImageRspList"][0]["seed"]
        for _ in range(3)
    ]
    again = picture("text2image", seed=seeds[0], width=64, height=64)

    assert len(set(seeds)) == 3
    assert min(seeds) >= 0
    assert again.size == (64, 64)


@pytest.mark.parametrize(("asked", "suffix"), [("png", "png"), ("JPEG", "jpg"), ("webp", "webp")])
def test_the_format_of_the_file_is_obeyed(asked: str, suffix: str) -> None:
    assert run("image2image", format=asked)[1].suffixes == [suffix]


def test_different_prompts_look_different_and_named_colours_show() -> None:
    red = np.asarray(picture("text2image", prompt="red hills"), float)
    blue = np.asarray(picture("text2image", prompt="blue hills"), float)

    assert red[300:400, :, 0].mean() > red[300:400, :, 2].mean() + 40
    assert blue[300:400, :, 2].mean() > blue[300:400, :, 0].mean() + 40


def test_a_colour_belongs_to_the_word_after_it() -> None:
    palette = palettes.palette_of("blue sea, light yellow moon")

    assert palette.disc[0] > palette.disc[2] + 60
    assert palette.near[2] > palette.near[0] + 60


@pytest.mark.parametrize("size", [(64, 64), (512, 512), (900, 200), (200, 900)])
def test_mark_and_prompt_stand_on_every_picture(size: tuple[int, int]) -> None:
    plain = scenery.draw("a quiet harbour", 5, size)
    drawn = picture("text2image", width=size[0], height=size[1])
    box = ImageChops.difference(plain, drawn).getbbox()
    other = picture("text2image", width=size[0], height=size[1], prompt="a quiet harbouR")

    assert box is not None
    assert box[2] - box[0] > 0.7 * size[0]
    assert drawn.tobytes() != other.tobytes()


def test_the_words_sandbox_placeholder_are_drawn_in_light_letters_on_dark() -> None:
    ground = Image.new("RGB", (400, 400), (90, 140, 90))
    marked = np.asarray(marking.mark(ground, "", (255, 255, 255)).convert("L"))
    rows = np.flatnonzero((marked > 200).any(1))

    assert marking.MARK == "sandbox placeholder"
    assert 8 <= np.ptp(rows) <= 40
    assert (marked < 70).sum() > 3000


def test_a_long_prompt_is_wrapped_and_cut_within_the_picture() -> None:
    font = fonts.font_for("word", 20)
    lines = fonts.wrapped("word " * 200, font, 300, 4)

    assert len(lines) == 4
    assert lines[-1].endswith("…")
    assert all(font.getlength(line) <= 300 for line in lines)
    assert fonts.wrapped("w" * 400, font, 100, 4)


@pytest.mark.parametrize("prompt", ["", "霓虹城市", "кот в шляпе", "a\nb\tc", "x" * 3000, "🦊"])
def test_any_prompt_is_drawn(prompt: str) -> None:
    assert picture("text2image", prompt=prompt, width=128, height=96).size == (128, 96)


def test_progress_rises_to_the_end_with_previews() -> None:
    told = run("text2image", batches=2)[1].told
    fractions = [fraction for fraction, _ in told]

    assert fractions == sorted(fractions)
    assert len(fractions) >= 4
    assert fractions[-1] == pytest.approx(1.0)
    assert [preview is not None for _, preview in told] == [True, True, False] * 2
    assert all(max(preview.size) <= 256 for _, preview in told if preview)


def test_a_work_without_progress_is_fine() -> None:
    work = SimpleNamespace(params={"prompt": "x", "width": 64, "height": 64}, save=lambda *a: "u")

    assert ENGINES["text2image"].run(work)["differentialImageRspList"]


def test_denoising_says_how_far_the_result_leaves_the_input() -> None:
    given = sample("astronaut")
    sky = (0, 0, 512, 380)  # above the mark
    away = [
        float(np.abs(np.asarray(picture("image2image", {"image": given}, denoising=strength)
                                .crop(sky), float) - np.asarray(given.crop(sky), float)).mean())
        for strength in (0.0, 0.3, 0.6, 1.0)
    ]  # fmt: skip

    assert away[0] == 0
    assert away == sorted(away)
    assert away[3] > 15


def mask(box: tuple[int, int, int, int]) -> Image.Image:
    layer = Image.new("L", (512, 512))
    ImageDraw.Draw(layer).ellipse(box, fill=255)
    return layer


def test_outside_the_mask_every_pixel_is_the_input_s() -> None:
    given, painted = sample("astronaut"), mask((140, 20, 330, 240))
    drawn = np.asarray(picture("image2image", {"image": given, "mask": painted}))
    changed = (drawn != np.asarray(given)).any(-1)

    assert not changed[np.asarray(painted) == 0].any()
    assert changed[np.asarray(painted) > 0].mean() > 0.8


def test_an_inverted_mask_keeps_the_inside() -> None:
    given, painted = sample("astronaut"), mask((140, 20, 330, 240))
    drawn = picture("image2image", {"image": given, "mask": painted}, mask_invert=1)
    changed = (np.asarray(drawn) != np.asarray(given)).any(-1)

    assert not changed[np.asarray(painted) == 255].any()
    assert changed[400:].mean() > 0.8


def test_what_is_transparent_in_a_mask_is_not_redrawn() -> None:
    layer = Image.new("RGBA", (512, 512), (255, 255, 255, 0))
    ImageDraw.Draw(layer).rectangle((100, 300, 400, 500), fill=(255, 255, 255, 255))
    drawn = picture("image2image", {"image": sample("astronaut"), "mask": layer})

    assert drawn.crop((0, 0, 512, 299)).tobytes() == (
        sample("astronaut").crop((0, 0, 512, 299)).tobytes()
    )


@pytest.mark.parametrize("side", [1, 3, 20])
def test_tiny_masks_are_no_trouble(side: int) -> None:
    painted = Image.new("L", (512, 512))
    painted.paste(255, (50, 50, 50 + side, 50 + side))

    assert picture("image2image", {"image": sample("astronaut"), "mask": painted})


def test_a_black_mask_is_refused() -> None:
    with pytest.raises(EngineError, match="no white"):
        picture("image2image", {"mask": Image.new("L", (512, 341))})


@pytest.mark.parametrize(
    "control", [{"module": "canny"}, {"preprocessor": "canny"}, {"args": [{"module": "canny"}]}, {}]
)
def test_the_first_unit_s_module_is_read_and_canny_is_the_default(control: dict[str, Any]) -> None:
    expected = picture("controlnet", control={"module": "canny"})

    assert picture("controlnet", control=control).tobytes() == expected.tobytes()


def test_controlnet_is_light_along_the_edges_of_its_input() -> None:
    given = Image.new("RGB", (300, 300), "black")
    ImageDraw.Draw(given).rectangle((80, 60, 220, 180), fill="white")
    drawn = np.asarray(picture("controlnet", {"image": given}, prompt="night").convert("L"))

    assert drawn[120, 74:86].max() > 180
    assert drawn[120, 140:160].max() < 110


def test_controlnet_takes_poses_and_ready_maps_and_refuses_unknown_modules() -> None:
    pose = picture("controlnet", {"image": sample("astronaut")}, control={"module": "openpose"})

    assert pose.size == (512, 512)
    assert picture("controlnet", control={"module": "none"}).size == sample("coffee").size
    with pytest.raises(EngineError, match="one of canny"):
        picture("controlnet", control={"module": "mlsd"})


def test_controlnet_without_a_picture_draws_the_scene_alone_and_says_so() -> None:
    work = FakeWork(params={"prompt": "x", "seed": 1, "control": {"module": "canny"}})
    result = ENGINES["controlnet"].run(work)

    assert "No image was given" in result["note"]
    assert work.saved[0].size == (512, 512)
    with pytest.raises(EngineError, match="no preprocessor"):
        ENGINES["controlnet"].run(FakeWork(params={"prompt": "x", "control": {"module": "mlsd"}}))


class Pipeline:
    """What a diffusers pipeline looks like from outside: no weights, flat images."""

    calls: list[dict[str, Any]] = []  # noqa: RUF012 - one list for all, emptied by the fixture

    @classmethod
    def from_pretrained(cls, model: str, torch_dtype: Any = None) -> Pipeline:
        cls.calls.append({"loaded": model, "as": cls.__name__, "type": torch_dtype})
        return cls()

    @classmethod
    def from_pipe(cls, other: Pipeline) -> Pipeline:
        cls.calls.append({"from": type(other).__name__, "as": cls.__name__})
        return cls()

    def set_progress_bar_config(self, *, disable: bool) -> None:
        assert disable

    def to(self, device: str) -> Pipeline:
        assert device == "cpu"
        return self

    def __call__(self, **given: Any) -> Any:
        self.calls.append(given)
        step = given.pop("callback_on_step_end")
        for number in range(given["num_inference_steps"]):
            assert step(self, number, 999 - number, {"latents": 1}) == {"latents": 1}
        size = given["image"].size if "image" in given else (given["width"], given["height"])
        shade = given["generator"] % 256
        return SimpleNamespace(images=[Image.new("RGB", size, (shade, 20, 30))])


@pytest.fixture
def _diffusers(monkeypatch: pytest.MonkeyPatch) -> Any:
    torch = SimpleNamespace(
        float16="float16",
        float32="float32",
        cuda=SimpleNamespace(is_available=lambda: False),
        Generator=lambda device: SimpleNamespace(manual_seed=lambda seed: seed),
    )
    kinds = {name: type(name, (Pipeline,), {}) for name in diffusion.CLASSES.values()}
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "diffusers", SimpleNamespace(**kinds))
    monkeypatch.setattr(diffusion, "installed", lambda: True)
    monkeypatch.setenv("IMGOPEN_DIFFUSERS", "someone/some-model")
    Pipeline.calls.clear()
    yield
    diffusion._pipeline.cache_clear()
    diffusion._loaded.clear()


@pytest.mark.usefixtures("_diffusers")
def test_with_a_model_text2image_is_drawn_by_it_and_is_real() -> None:
    result, work = run(
        "text2image", width=260, height=200, steps=4, guidance=3.5, negative_prompt="rain",
        batches=2,
    )  # fmt: skip
    loaded, first, second = Pipeline.calls

    assert result["engine"] == "diffusers someone/some-model"
    assert result["fidelity"] == "real"
    assert loaded["as"] == "AutoPipelineForText2Image"
    assert (first["generator"], second["generator"]) == (5, 6)
    assert (first["width"], first["height"]) == (256, 192)
    assert (first["num_inference_steps"], first["guidance_scale"]) == (4, 3.5)
    assert (first["prompt"], first["negative_prompt"]) == ("a quiet harbour", "rain")
    assert work.saved[0].size == (260, 200)
    assert [round(fraction, 3) for fraction, _ in work.told[:3]] == [0.125, 0.25, 0.375]


@pytest.mark.usefixtures("_diffusers")
def test_with_a_model_image2image_gets_the_picture_and_strength_and_keeps_outside_the_mask() -> (
    None
):
    given, painted = sample("astronaut"), mask((140, 20, 330, 240))
    result, work = run("image2image", {"image": given, "mask": painted}, denoising=0.4, steps=2)
    call = Pipeline.calls[-1]
    kept = np.asarray(painted) == 0

    assert call["strength"] == 0.4
    assert call["image"].size == (512, 512)
    assert call["mask_image"].size == (512, 512)
    assert result["fidelity"] == "real"
    assert (np.asarray(work.saved[0])[kept] == np.asarray(given)[kept]).all()


@pytest.mark.usefixtures("_diffusers")
def test_both_kinds_share_one_load_of_the_weights() -> None:
    run("text2image", steps=1)
    run("image2image", steps=1)
    run("text2image", steps=1)

    loads = [call for call in Pipeline.calls if "loaded" in call or "from" in call]
    first = {"loaded": "someone/some-model", "as": "AutoPipelineForText2Image", "type": "float32"}
    second = {"from": "AutoPipelineForText2Image", "as": "AutoPipelineForImage2Image"}

    assert loads == [first, second]


@pytest.mark.usefixtures("_diffusers")
def test_a_model_s_folder_is_named_by_its_last_part_only(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my-model").mkdir()
    monkeypatch.setenv("IMGOPEN_DIFFUSERS", str(tmp_path / "my-model"))

    result, _ = run("text2image", steps=1)

    assert result["engine"] == "diffusers my-model"


def test_without_the_package_the_placeholder_is_drawn_and_the_reason_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IMGOPEN_DIFFUSERS", "someone/some-model")
    monkeypatch.setattr(diffusion, "installed", lambda: False)
    result, _ = run("text2image")

    assert "engine" not in result
    assert "not installed" in result["note"]


def test_placeholders_know_nothing_of_diffusers() -> None:
    run("text2image", width=64, height=64)

    assert "diffusers" not in sys.modules
    assert "torch" not in sys.modules
