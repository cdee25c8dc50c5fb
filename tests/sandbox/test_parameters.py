"""What a caller gives is used, replaced with a word, or named as not used: never ignored."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgopen_nb.catalogue.operation import Operation
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.errors import TaskFailedError
from imgopen_nb.sandbox.jobs.work import Recorded
from imgopen_nb.session import Session

from ..sandbox_fixtures import picture_bytes, sample
from .test_engines_generate import picture

SMALL = {"width": 64, "height": 64, "seed": 3}
SAID = "not used by the sandbox: "


def test_values_remember_what_was_read_also_in_objects_and_lists():
    values = Recorded({"steps": 20, "control": {"units": [{"module": "canny", "weight": 1}]}})

    assert values["control"]["units"][0].get("module") == "canny"
    assert "steps" in values
    assert list(values.unread()) == ["steps", "control.units.weight"]


CONTROL = {"module": "invert", "weight": 0.5}
MODEL = {"model": "sandbox-photo.safetensors"}


@pytest.mark.parametrize(
    ("name", "given", "unused"),
    [
        ("text2image", {"steps": 9, "guidance": 4, "sampler": "Euler a", **SMALL},
         "steps, guidance, sampler"),
        ("text2image", {"steps": 9, "hires_scale": 2, "vae": "v.pt", **SMALL},
         "steps, hires_scale, vae"),
        ("text2image", {"hires": False, **SMALL}, ""),
        ("image2image", {"inpaint_fill": 1, "mask_blur": 4, "adetailer": {}, **SMALL, **MODEL},
         "adetailer, mask_blur, inpaint_fill"),
        ("controlnet", {"control": CONTROL, "resize_mode": 1, **SMALL}, "control.weight"),
        ("flux", {"model": "dev", "steps": 4, "guidance": 3.5, "width": 64, "height": 64},
         "model, steps, guidance"),
        ("outpaint", {"vertical": 1, "horizontal": 1.1, "prompt": "sea", "steps": 9, "seed": 1},
         "prompt, steps"),
        ("describe", {"model": "clip"}, ""),
        ("expand-prompt", {"count": 2, "top_k": 40, "temperature": 0.7}, ""),
        ("enlarge", {"factor": 2}, ""),
        ("models", {"page_size": 3}, ""),
    ],
)  # fmt: skip
def test_a_result_names_the_parameters_that_the_sandbox_did_not_use(
    local: Session, name: str, given: dict[str, Any], unused: str
):
    row = OPERATIONS[name]
    picture = {"image": picture_bytes()} if "image" in row.names else {}
    prompt = {"prompt": "a fox"} if row.names.get("prompt") and "prompt" not in given else {}

    result = local.run(name, **{**picture, **prompt, **given})

    said = [note.removeprefix(SAID) for note in result.notes if note.startswith(SAID)]
    assert sorted(said[0].split(", ") if said else []) == sorted(filter(None, unused.split(", ")))


def test_an_unknown_checkpoint_is_named_with_what_drew(local: Session):
    result = local.run("text2image", prompt="a fox", checkpoint="nope.ckpt", **SMALL)

    assert result.notes[-1] == (
        "The sandbox has no checkpoint nope.ckpt (only sandbox-photo.safetensors, "
        "sandbox-drawing.safetensors): drawn without a model."
    )


def test_a_value_far_from_the_usual_gets_a_note(local: Session):
    result = local.run("text2image", prompt="a fox", steps=5000, **SMALL)

    assert any("steps is 5000, far from the usual 1 to 150" in note for note in result.notes)


REFUSED = [
    ({"steps": -5}, "steps must be at least 1, not -5"),
    ({"guidance": -3}, "guidance must be at least 0, not -3"),
    ({"sampler": "nonsense"}, "sampler: there is no 'nonsense'"),
    ({"sampler": "Eular a"}, "did you mean Euler a"),
    ({"resize_mode": 9}, "resize_mode must be 0, 1, 2 or 3, not 9"),
    ({"mask_blur": -3}, "mask_blur must be at least 0, not -3"),
    ({"inpaint_fill": 77}, "2: latent noise"),
    ({"denoising": 1.5}, "denoising must be from 0 to 1, not 1.5"),
    ({"batches": 0}, "batches must be at least 1, not 0"),
    ({"width": -64}, "width must be at least 1, not -64"),
    ({"seed": -2}, "seed must be at least -1, not -2"),
    ({"format": "bmp"}, "format must be png, jpg or webp, not 'bmp'"),
    ({"mask_invert": 2}, "1: black is redrawn"),
]


@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_what_no_such_service_takes_is_refused_before_it_is_sent(
    local: Session, given: dict[str, Any], said: str
):
    before = len(local.history())
    with pytest.raises(ValueError, match=r"must be|there is no") as caught:
        local.run("image2image", image="sample:coffee", prompt="a", model="m", **given)

    assert said in str(caught.value)
    assert len(local.history()) == before


def test_mask_blur_softens_the_rim():
    layer = Image.new("L", (512, 512))
    layer.paste(255, (150, 150, 350, 350))
    given = {"image": sample("astronaut"), "mask": layer}

    hard, soft = (
        np.asarray(picture("image2image", given, mask_blur=blur), int)[150:350, 150:350]
        for blur in (0, 60)
    )

    assert np.abs(hard - soft).mean() > 2


def test_a_control_unit_s_own_picture_is_the_one_that_is_followed(local: Session):
    text = base64.b64encode(picture_bytes(size=(80, 64))).decode()
    call = {"prompt": "a", "resize_mode": 0, "seed": 1}

    own = local.run("controlnet", control={"module": "invert", "input_image": text}, **call)
    assert own.images[0].pil().size == (80, 64)
    assert not any("No image" in note for note in own.notes)
    with pytest.raises(TaskFailedError, match=r"control.input_image: neither an http"):
        local.run("controlnet", control={"input_image": "holiday.jpg"}, **call)


def test_the_mark_is_drawn_last_also_with_an_inverted_mask(monkeypatch: pytest.MonkeyPatch):
    """What the mark returns is what is saved."""
    from imgopen_nb.sandbox.generation import placeholder

    marked: list[Image.Image] = []
    real = placeholder.mark
    monkeypatch.setattr(placeholder, "mark", lambda *a: marked.append(real(*a)) or marked[-1])
    layer = Image.new("L", (512, 512))
    layer.paste(255, (20, 380, 490, 500))

    for name, given in (("text2image", {}), ("image2image", {"mask": layer, "mask_invert": 1})):
        image = {"image": sample("astronaut")} if name == "image2image" else {}
        pictures = {k: v for k, v in given.items() if k == "mask"} | image
        drawn = picture(name, pictures, **{k: v for k, v in given.items() if k != "mask"})
        assert np.array_equal(np.asarray(drawn), np.asarray(marked[-1]))


def test_a_face_that_was_not_used_is_named(local: Session):
    result = local.run(
        "face-fusion",
        faces=["sample:grace_hopper", "sample:astronaut"],
        image="sample:grace_hopper",
    )

    assert any("Face 2 was not used" in note for note in result.notes)


@pytest.mark.parametrize(
    ("name", "given", "field"),
    [
        ("face-swap", {"face": "sample:coffee", "image": "sample:astronaut"}, r"\(face\)"),
        ("face-swap", {"face": "sample:astronaut", "image": "sample:coffee"}, r"\(image\)"),
        ("face-fusion", {"faces": ["sample:astronaut", "sample:coffee"],
                         "image": "sample:astronaut"}, r"\(faces, image 2\)"),
        ("hairstyle", {"image": "sample:coffee", "hair": "red"}, r"\(image\)"),
    ],
)  # fmt: skip
def test_no_face_names_the_picture_by_its_parameter(
    local: Session, name: str, given: dict[str, Any], field: str
):
    with pytest.raises(TaskFailedError, match=f"no face was found in the image .*{field}"):
        local.run(name, **given)


@pytest.mark.parametrize("op", OPERATIONS.runnable, ids=lambda op: op.name)
def test_every_parameter_that_the_help_lists_with_values_takes_them(op: Operation):
    for param in op.user_params:
        for value in param.values:
            for word in (value.value, *value.words):
                assert param.check(word) in (value.value, word)
