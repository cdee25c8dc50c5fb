"""The words of other tools name our parameters, on a line and in Python alike."""

from __future__ import annotations

import re
from typing import Any

import pytest

from imgopen_nb.catalogue.operation import Operation
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.catalogue.parameter import folded
from imgopen_nb.commands.registry import find
from imgopen_nb.errors import ParameterError, UnknownNameError
from imgopen_nb.session import Session
from imgopen_nb.syntax.parser import HelpAsked, given
from imgopen_nb.text import near_match

KNOWN = [
    ("text2image", {"cfg_scale": 7}, {"guidance": 7}),
    ("text2image", {"guidance_scale": 7.5}, {"guidance": 7.5}),
    ("text2image", {"n_iter": 2}, {"batches": 2}),
    ("text2image", {"num_images": 2}, {"batches": 2}),
    ("text2image", {"batch_count": 2}, {"batches": 2}),
    ("text2image", {"num_inference_steps": 30}, {"steps": 30}),
    ("text2image", {"sampler_name": "Euler a"}, {"sampler": "Euler a"}),
    ("text2image", {"sampler_index": "euler_ancestral"}, {"sampler": "Euler a"}),
    ("text2image", {"sampler": "dpm++ 2m karras"}, {"sampler": "DPM++ 2M Karras"}),
    ("text2image", {"enable_hr": True}, {"hires": True}),
    ("text2image", {"hr_scale": 2}, {"hires_scale": 2}),
    ("image2image", {"hr_upscaler": "Latent"}, {"hires_upscaler": "Latent"}),
    ("image2image", {"denoising_strength": 0.4}, {"denoising": 0.4}),
    ("image2image", {"strength": 0.4}, {"denoising": 0.4}),
    ("text2image", {"override_settings": {"a": 1}}, {"settings": {"a": 1}}),
    ("text2image", {"checkpoint": "x.ckpt"}, {"model": "x.ckpt"}),
    ("text2image", {"ckpt": "x.ckpt"}, {"model": "x.ckpt"}),
    ("text2image", {"negative": "blur"}, {"negative_prompt": "blur"}),
    ("text2image", {"neg": "blur"}, {"negative_prompt": "blur"}),
    ("text2image", {"negativePrompt": "blur"}, {"negative_prompt": "blur"}),
    ("text2image", {"w": 512, "h": 768}, {"width": 512, "height": 768}),
    ("image2image", {"inpainting_fill": "latent noise"}, {"inpaint_fill": 2}),
    ("image2image", {"resize_mode": "Crop and resize"}, {"resize_mode": 1}),
    ("image2image", {"mask_invert": True}, {"mask_invert": 1}),
    ("upscale", {"factor": 4}, {"scale": 4}),
    ("upscale", {"upscale_factor": "4"}, {"scale": 4}),
    ("enlarge", {"scale_factor": 1.5}, {"scale": 1.5}),
    ("flux", {"fluxGuidance": 3}, {"guidance": 3}),
    ("flux", {"model": "schnell"}, {"model": "Flux1SchnellFP8"}),
    ("describe", {"model": "DeepBooru"}, {"model": "deepdanbooru"}),
    ("watermark", {"position": "middle"}, {"position": "center"}),
    ("watermark", {"position": "bottom right"}, {"position": "bottom-right"}),
    ("watermark", {"alpha": 0.2}, {"opacity": 0.2}),
    ("outpaint", {"num_images": 2}, {"count": 2}),
    ("hairstyle", {"hair_color": "red"}, {"hair": "red"}),
    ("train", {"lr": 1e-5, "rank": 64}, {"learning_rate": 1e-5, "network_dim": 64}),
    ("training-result", {"id": "nb1"}, {"task": "nb1"}),
    ("models", {"per_page": 5}, {"page_size": 5}),
    (
        "face-swap",
        {"source_image": "a.png", "target_image": "b.png"},
        {"face": "a.png", "image": "b.png"},
    ),
    (
        "face-swap",
        {"swap_image": "a.png", "input_image": "b.png"},
        {"face": "a.png", "image": "b.png"},
    ),
    ("face-fusion", {"source": "a.png", "target": "b.png"}, {"faces": ["a.png"], "image": "b.png"}),
    ("text2image", {"num_outputs": 2}, {"batches": 2}),
    ("image2image", {"prompt_strength": 0.3}, {"denoising": 0.3}),
]
URL = "https://example.org/a.png"
PICTURES = [
    "init_image", "init_images", "image_url", "img", "picture", "input_image", "sourceImage",
]  # fmt: skip


@pytest.mark.parametrize(("name", "said", "meant"), KNOWN)
def test_a_word_of_another_tool_is_taken(name: str, said: dict[str, Any], meant: dict[str, Any]):
    row = OPERATIONS[name]

    named = row.named(said)
    assert {n: row.param(n).check(v) for n, v in named.items()} == meant
    words = [w for n, v in said.items() if v is not True and not isinstance(v, dict)
             for w in ("--" + n.replace("_", "-"), str(v))]  # fmt: skip
    read = given(row, find(name).parser().read(words))
    assert {n: row.param(n).check(v) for n, v in read.items()} == (meant if words else {})


@pytest.mark.parametrize("word", PICTURES)
def test_a_picture_has_many_names(word: str):
    value = [URL] if word == "init_images" else URL

    assert OPERATIONS["upscale"].check({word: value})["image"] == URL


@pytest.mark.parametrize("op", OPERATIONS.values(), ids=lambda op: op.name)
def test_no_word_means_two_parameters_and_none_hides_an_option(op: Operation):
    meant: dict[str, str] = {}
    true = {folded(p.name) for p in op.user_params}
    for param in op.user_params:
        for word in map(folded, param.other_names):
            if word not in true:
                assert meant.setdefault(word, param.name) == param.name, (op.name, word)
    if op in OPERATIONS.runnable:
        flags = set(map(folded, find(op.name).parser().flags)) - true
        assert flags.isdisjoint(meant)


def test_a_parameter_under_two_names_is_given_twice():
    with pytest.raises(ParameterError, match="guidance was given twice: as guidance and cfg_scale"):
        OPERATIONS["text2image"].check({"prompt": "a", "guidance": 7, "cfg_scale": 8})
    with pytest.raises(ParameterError, match="--guidance was given twice"):
        find("text2image").parser().read(["--cfg-scale", "7", "--guidance", "8"])


def test_an_alias_has_the_key_of_the_true_name(local: Session):
    key = local.manager.submitter.cache_key
    row = OPERATIONS["text2image"]

    assert key(row, {"prompt": "a", "seed": 1, "cfg_scale": 7, "n_iter": 2}) == key(
        row, {"prompt": "a", "seed": 1, "guidance": 7, "batches": 2}
    )


SLIPS = [
    ("--stpes", "--steps"), ("--stepps", "--steps"), ("--guidence", "--guidance"),
    ("--promt", "--prompt"), ("--negativ-prompt", "--negative-prompt"), ("--hieght", "--height"),
    ("--widht", "--width"), ("--samplr", "--sampler"), ("--sed", "--seed"), ("--modle", "--model"),
    ("--denoisng", "--denoising"), ("--mask-blurr", "--mask-blur"),
    ("--hires-scal", "--hires-scale"),

    ("--resize-mod", "--resize-mode"), ("--restore-fases", "--restore-faces"),
    ("--batchs", "--batches"), ("--batch-szie", "--batch-size"), ("--mask-invrt", "--mask-invert"),
    ("--image-guidanse", "--image-guidance"), ("--inpaint-fil", "--inpaint-fill"),
    ("--imgae", "--image"), ("--formt", "--format"), ("--setings", "--settings"),
]  # fmt: skip
UNRELATED = [
    "--cfg-rescale", "--tiling", "--eta", "--subseed-strength", "--sigma", "--styles", "--resume",
    "--refiner", "--hires-seed", "--mask-colour", "--image-size", "--clip",
    "--position", "--module", "--text",  # other operations have these
]  # fmt: skip


@pytest.mark.parametrize(("slip", "meant"), SLIPS)
def test_a_slip_is_answered_by_what_was_meant(slip: str, meant: str):
    parser = find("image2image").parser()
    with pytest.raises(UnknownNameError) as caught:
        parser.read([slip, "1"])

    assert (
        caught.value.hint.removeprefix("did you mean ").partition("?")[0].split(" or ")[0] == meant
    )


@pytest.mark.parametrize(
    ("word", "meant"),
    [("--output", "--save"), ("-o", "--save"), ("--out-dir", "--save"), ("--force", "--fresh"),
     ("--workers", "--concurrency"), ("--limit", "--max"), ("--detach", "--no-wait")],
)  # fmt: skip
def test_an_option_of_another_program_is_answered_by_ours(word: str, meant: str):
    with pytest.raises(UnknownNameError, match=re.escape(f"did you mean {meant}?")):
        find("image2image").parser().read([word, "1"])


@pytest.mark.parametrize(
    ("word", "meant"),
    [("img2img", "image2image"), ("txt2img", "text2image"), ("rembg", "remove-background"),
     ("remove_background", "remove-background"), ("interrogate", "describe"),
     ("inpaint", "image2image or erase"), ("enlrge", "enlarge")],
)  # fmt: skip
def test_an_operation_of_another_tool_is_answered_by_ours(word: str, meant: str):
    for look_up in (find, OPERATIONS.__getitem__):
        with pytest.raises(UnknownNameError, match=re.escape(f"did you mean {meant}?")):
            look_up(word)


@pytest.mark.parametrize(
    ("name", "word", "hint"),
    [
        ("inpaint_fill", "orignal", "did you mean original?"),
        ("resize_mode", "squeeze", "0: just resize, 1: crop and resize"),
        ("format", "jpge", "did you mean jpg"),
    ],
)
def test_a_wrong_choice_is_answered_by_the_choices(name: str, word: str, hint: str):
    with pytest.raises(ParameterError, match=f"{name} must be .* or .*, not '{word}'") as caught:
        OPERATIONS["image2image"].param(name).check(word)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--steps"], "--steps needs a value"), (["--fresh=yes"], "--fresh takes no value")],
)
def test_a_line_that_cannot_be_read_is_answered_in_a_sentence(words: list[str], said: str):
    with pytest.raises(ParameterError, match=f"^{said}\n"):
        find("image2image").parser().read(words)


@pytest.mark.parametrize("word", UNRELATED)
def test_an_unrelated_option_is_never_offered(word: str):
    with pytest.raises(UnknownNameError) as caught:
        find("image2image").parser().read([word, "1"])

    assert "did you mean" not in caught.value.hint


@pytest.mark.parametrize(
    ("asked", "known", "hint"),
    [
        ("middle", ["tile", "center"], ""),
        ("mask", ["task", "image"], ""),
        ("--cfg-scal", ["--cfg-scale", "--cfg-scale"], "did you mean --cfg-scale?"),
        ("escribe", ["describe"], "did you mean describe?"),
        ("holiday.jpg", ["holiday.png"], ""),
        ("IMG_1234.jpg", ["IMG_1243.jpg", "IMG_9999.jpg"], "did you mean IMG_1243.jpg?"),
    ],
)
def test_near_matches_share_more_than_a_word(asked: str, known: list[str], hint: str):
    assert near_match(asked, known) == hint


@pytest.mark.parametrize(
    ("name", "words", "meant"),
    [
        ("hairstyle", ["p.jpg", "red"], {"image": "p.jpg", "hair": "red"}),
        ("training-result", ["nb1"], {"task": "nb1"}),
        ("control-preview", ["p.jpg", "canny"], {"image": "p.jpg", "preprocessor": "canny"}),
        ("upscale", ["p.jpg", "4"], {"image": "p.jpg", "scale": "4"}),
        ("enlarge", ["p.jpg", "1.5"], {"image": "p.jpg", "scale": "1.5"}),
        ("watermark", ["p.jpg", "(c) me"], {"image": "p.jpg", "text": "(c) me"}),
        ("face-fusion", ["a.jpg", "b.jpg", "c.jpg"],
         {"faces": ["a.jpg", "b.jpg"], "image": "c.jpg"}),
    ],
)  # fmt: skip
def test_plain_words_need_no_option(name: str, words: list[str], meant: dict[str, Any]):
    assert given(OPERATIONS[name], find(name).parser().read(words)) == meant


def test_a_text_without_quotes_is_still_one_word_too_many():
    parser = find("image2image").parser()
    with pytest.raises(ParameterError, match="'red' was not expected"):
        given(OPERATIONS["image2image"], parser.read(["p.jpg", "a", "red", "fox"]))


@pytest.mark.parametrize(
    ("values", "said"),
    [({}, "neither is"), ({"text": " "}, "neither is"), ({"text": "a", "logo": URL}, "both are")],
)
def test_a_watermark_is_a_text_or_a_picture(values: dict[str, Any], said: str):
    with pytest.raises(ParameterError, match=f"takes either text or watermark: {said} given"):
        OPERATIONS["watermark"].check({"image": URL, **values})


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("image2image", ["2: latent noise", "1: crop and resize", "in pixels", "from 0 to 1",
                         "also cfg_scale", "Euler a", "1: black is redrawn"]),
        ("control-preview", ["canny", "openpose: skeletons"]),
        ("hairstyle", ["blonde", "auburn"]),
        ("watermark", ["tile repeats it across the image", "from 0 to 1",
                       "Example: %imgopen watermark IMAGE TEXT"]),
        ("expand-prompt", ["0: SD", "1: SDXL"]),
        ("outpaint", ["from -1 to 2147483647"]),
    ],
)  # fmt: skip
def test_help_lists_the_values_their_meaning_and_the_units(name: str, parts: list[str]):
    with pytest.raises(HelpAsked) as caught:
        find(name).parser().read(["--help"])

    text = " ".join(str(caught.value).split())
    assert [part for part in parts if part not in text] == []


@pytest.mark.parametrize("name", ["models", "loras", "vaes", "embeddings"])
@pytest.mark.parametrize("field", ["page", "page_size"])
def test_pages_are_counted_from_one(name: str, field: str):
    with pytest.raises(ParameterError, match=f"{field} must be at least 1, not 0"):
        OPERATIONS[name].check({field: 0})


def test_the_words_of_the_help_are_what_the_sandbox_knows():
    from imgopen_nb.sandbox.editing.hair import colour_in
    from imgopen_nb.sandbox.vision.control_maps import find as find_module

    for value in OPERATIONS["hairstyle"].param("hair").values:
        assert colour_in(value.value) == value.value
    for value in OPERATIONS["control-preview"].param("preprocessor").values:
        assert find_module(value.value)
