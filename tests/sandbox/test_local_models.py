"""The settings that name a user's own models, the hub's cache, and how images are prepared."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgopen_nb.config import settings
from imgopen_nb.errors import SettingsError
from imgopen_nb.sandbox.engine import EngineError
from imgopen_nb.sandbox.user_models.local_models import Model
from imgopen_nb.sandbox.user_models.preprocessing import read_preprocessing
from imgopen_nb.session import Session

from ..onnx_files import value
from ..sandbox.tiny_models import (
    DANBOORU,
    OFFSETS,
    PREPROCESSING,
    TABLE,
    VECTORS,
    WORDS,
    clip_files,
    clip_text,
    clip_vision,
    decoder,
    describe,
    encoder,
    picture,
    tagged,
    tagger_network,
    tokenizer,
    write,
    write_captioner,
    write_danbooru,
    write_tagger,
)  # fmt: skip
from ..sandbox_fixtures import sample

# How a model of each kind is written, and which model of describe uses it.
KINDS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "captioner": (write_captioner, "clip"),
    "clip": (lambda folder: write(folder, clip_files()), "clip"),
    "tagger": (write_danbooru, "deepdanbooru"),
}


def chosen(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a model of that kind and set it."""
    monkeypatch.setenv(f"IMGOPEN_{kind.upper()}", str(folder / f"tiny-{kind}"))
    return KINDS[kind][0](folder / f"tiny-{kind}")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    # The package reads its variables once, when it is imported.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def in_the_cache(cache: Path, repository: str) -> Path:
    """Lay out the hub's cache as huggingface_hub keeps it; return the folder of the files."""
    top, commit = cache / f"models--{repository.replace('/', '--')}", "0" * 40
    (top / "refs").mkdir(parents=True)
    (top / "refs" / "main").write_text(commit)
    return top / "snapshots" / commit


def test_a_hub_id_is_taken_from_the_cache_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tagger(in_the_cache(tmp_path, "someone/some-tagger"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("IMGOPEN_TAGGER", "someone/some-tagger")

    assert tagged(picture("blue"))["engine"] == "someone/some-tagger"

    monkeypatch.setenv("IMGOPEN_TAGGER", "someone/else")
    with pytest.raises(EngineError, match=r"tagger \(someone/else\): the hub .* has no"):
        tagged(picture("red"))


def test_without_the_package_a_hub_id_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as if it were not installed
    monkeypatch.setenv("IMGOPEN_TAGGER", "someone/other")

    with pytest.raises(EngineError, match=r'pip install "\.\[models\]" in a clone'):
        tagged(picture("red"))


def test_an_error_of_the_hub_is_one_sentence_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(repository: str, file: str) -> str:
        raise PermissionError("the token hf_0123 is not right")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refused)
    monkeypatch.setenv("IMGOPEN_TAGGER", "someone/private")

    with pytest.raises(EngineError) as caught:
        tagged(picture("red"))
    assert str(caught.value) == (
        "the setting tagger (someone/private): cannot be downloaded from the hub "
        "(PermissionError); correct the id or use a folder"
    )


@pytest.mark.parametrize(
    "named", ["no-such-folder", "/somewhere/no-such-folder", "~x/a/b", "a//b", "x" * 5000]
)
def test_a_folder_that_is_not_there_is_named_by_its_last_part(
    named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGOPEN_TAGGER", named)

    with pytest.raises(EngineError, match="neither a folder") as caught:
        tagged(picture("red"))
    assert "somewhere" not in str(caught.value)


def test_the_setting_is_read_at_each_use_and_the_variable_goes_before_it(
    clean_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    red = picture("red")
    settings.store_setting(clean_world, "tagger", str(write_tagger(tmp_path / "one")))
    assert tagged(red)["engine"] == "one"

    settings.store_setting(clean_world, "tagger", str(write_tagger(tmp_path / "two")))
    assert tagged(red)["engine"] == "two"

    monkeypatch.setenv("IMGOPEN_TAGGER", str(write_tagger(tmp_path / "three")))
    assert tagged(red)["engine"] == "three"
    assert settings.load().tagger.endswith("three")

    monkeypatch.delenv("IMGOPEN_TAGGER")
    settings.store_setting(clean_world, "tagger", "")
    assert "engine" not in tagged(red)


def test_a_setting_keeps_a_folder_as_a_full_path_and_refuses_what_is_neither(
    clean_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)

    assert settings.store_setting(clean_world, "clip", "here") == str(tmp_path / "here")
    assert settings.store_setting(clean_world, "captioner", "someone/model") == "someone/model"
    with pytest.raises(SettingsError, match="neither a folder nor a hub id"):
        settings.store_setting(clean_world, "diffusers", "nowhere")
    for wrong in ("x" * 5000, "~nobody-here/a"):
        with pytest.raises(SettingsError, match="neither a folder nor a hub id"):
            settings.store_setting(clean_world, "diffusers", wrong)


def test_settings_that_cannot_be_read_are_an_error_that_says_so(clean_world: Path) -> None:
    clean_world.mkdir(exist_ok=True)
    (clean_world / "settings.json").write_text("{")

    with pytest.raises(EngineError, match=r"cannot read settings\.json"):
        tagged(picture("red"))


def test_a_sandbox_takes_up_changed_settings_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A captioner in a folder, a tagger in the hub's cache, and then neither."""
    home, red, blue = tmp_path / "home", tmp_path / "red.png", tmp_path / "blue.png"
    picture("red").save(red)
    picture("blue").save(blue)
    write_tagger(in_the_cache(tmp_path / "hub", "someone/tiny-tagger"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    settings.store_setting(home, "tagger", "someone/tiny-tagger")
    settings.store_setting(home, "captioner", str(write_captioner(tmp_path / "tiny-captioner")))

    with Session(backend="sandbox", home=home) as session:
        sentences = [session.run("describe", image=str(path)) for path in (red, blue)]
        tags = session.run("describe", image=str(red), model="deepdanbooru")
        settings.store_setting(home, "captioner", "")
        plain = session.run("describe", image=str(red))

    assert [each.caption for each in sentences] == ["a red square", "a blue square"]
    assert {(each.engine, each.fidelity) for each in sentences} == {("tiny-captioner", "real")}
    assert (tags.engine, tags.fidelity) == ("someone/tiny-tagger", "real")
    assert "red_background" in [tag.name for tag in tags.tags]
    assert (plain.engine, plain.fidelity) == ("local-caption", "approximate")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9000), (9000, 1), (5000, 4000)])
def test_odd_pictures_are_described_like_any_other(
    kind: str, size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen(kind, tmp_path, monkeypatch)
    told = {"captioner": "caption", "clip": "terms", "tagger": "tags"}[kind]

    odd, plain = (describe(picture("blue", each), KINDS[kind][1]) for each in (size, (64, 64)))

    assert odd[told]
    assert odd[told] == plain[told]


BROKEN: dict[str, list[tuple[str, Any, str]]] = {
    "captioner": [
        ("onnx/encoder_model.onnx", b"", "cannot be loaded"),
        ("onnx/encoder_model.onnx", decoder(), "wants input_ids as .* not supported here"),
        ("onnx/decoder_model.onnx", encoder(), "has no output logits"),
        ("onnx/decoder_model.onnx", decoder(TABLE * np.nan), "computes NaN"),
        ("onnx/decoder_model.onnx", decoder(TABLE[:1]), "cannot be run on input_ids"),
        ("onnx/decoder_model.onnx", decoder(more=(value("inputs_embeds", 1),)), "inputs_embeds"),
        ("tokenizer.json", b"{}", "tokenizer.json cannot be read"),
        ("tokenizer.json", tokenizer(WORDS[:2]), "wrote an empty caption"),
        ("generation_config.json", b"[1]", "not a JSON object"),
        ("generation_config.json", {}, "names no decoder_start_token_id"),
        ("preprocessor_config.json", {"size": 8}, "'image_mean'"),
        ("preprocessor_config.json", {**PREPROCESSING, "size": 10**6}, "each side must be"),
        ("preprocessor_config.json", {**PREPROCESSING, "resample": 77}, "not understood"),
        (
            "preprocessor_config.json",
            {**PREPROCESSING, "image_std": [1, 0, 1]},
            "a colour needs three",
        ),
    ],
    "clip": [
        ("onnx/vision_model.onnx", b"\x00", "cannot be loaded"),
        ("onnx/vision_model.onnx", clip_text(), "has no output image_embeds"),
        ("onnx/text_model.onnx", clip_vision(), "has no output text_embeds"),
        ("onnx/text_model.onnx", clip_text(VECTORS * np.float32("nan")), "computes NaN"),
        (
            "onnx/text_model.onnx",
            clip_text(np.full_like(VECTORS, np.inf)),
            "no (number|finite length)",
        ),
        ("onnx/text_model.onnx", clip_text(VECTORS * 0), "no finite length"),
        ("onnx/text_model.onnx", clip_text(VECTORS[:, :2]), "differ in length"),
        ("onnx/text_model.onnx", clip_text(VECTORS[:9]), "cannot be run on input_ids"),
        ("tokenizer.json", b"no", "cannot be read"),
        ("preprocessor_config.json", {}, "'size'"),
    ],
    "tagger": [
        ("model.onnx", b"no onnx", "cannot be loaded"),
        ("model.onnx", tagger_network(DANBOORU[:2], OFFSETS, side=512), "cannot be (loaded|run)"),
        ("model.onnx", tagger_network(DANBOORU * np.float32("nan"), OFFSETS), "computes NaN"),
        ("tags.txt", b"", "holds no tags"),
        ("tags.txt", b"\xff\xfe\xff", "does not hold"),
        ("selected_tags.csv", b"id,tag\n1,x\n", "does not hold"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "file", "content", "words"),
    [(kind, *row) for kind, rows in BROKEN.items() for row in rows],
)
def test_broken_files_are_one_sentence_without_a_path(
    kind: str, file: str, content: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(chosen(kind, tmp_path, monkeypatch), {file: content})

    with pytest.raises(EngineError, match=words) as caught:
        describe(picture("red"), KINDS[kind][1])
    assert str(caught.value).startswith(f"the setting {kind} (tiny-{kind}): ")
    assert str(tmp_path) not in str(caught.value)


CLIP_LIKE = {
    "size": {"shortest_edge": 6}, "do_center_crop": True, "crop_size": {"height": 4, "width": 6},
    "resample": 3, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
    "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28],
}  # fmt: skip


def preprocessed(folder: Path, image: Image.Image, **config: Any) -> np.ndarray:
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return read_preprocessing(Model("clip", str(folder))).pixels(image)


def test_the_middle_is_cut_out_as_clip_does_it(tmp_path: Path) -> None:
    cat = sample("chelsea")  # 451 by 300

    found = preprocessed(tmp_path, cat, **CLIP_LIKE)

    small = np.asarray(cat.resize((9, 6), Image.Resampling.BICUBIC), float)[1:5, 1:7]
    expected = (small / 255 - CLIP_LIKE["image_mean"]) / CLIP_LIKE["image_std"]
    assert found.shape == (1, 3, 4, 6)
    assert found[0] == pytest.approx(expected.transpose(2, 0, 1), abs=1e-5)


def test_an_older_file_with_one_number_means_the_shorter_side_where_it_cuts(tmp_path: Path) -> None:
    older = {**CLIP_LIKE, "size": 6, "crop_size": 6}
    newer = {**CLIP_LIKE, "crop_size": {"height": 6, "width": 6}}
    both = [preprocessed(tmp_path, sample("rocket"), **config) for config in (older, newer)]

    assert both[0].tolist() == both[1].tolist()


def test_without_a_cut_both_sides_are_that_number_and_nothing_more_is_done_unasked(
    tmp_path: Path,
) -> None:
    config = {"size": 5, "resample": 2, "do_rescale": False, "do_normalize": False}

    found = preprocessed(tmp_path, sample("coffee"), **config)

    expected = np.asarray(sample("coffee").resize((5, 5), Image.Resampling.BILINEAR))
    assert found[0].tolist() == expected.transpose(2, 0, 1).astype(float).tolist()


def test_what_is_transparent_is_white_and_a_strip_is_cut_before_it_is_enlarged(
    tmp_path: Path,
) -> None:
    config = {**CLIP_LIKE, "size": 2000, "crop_size": 4, "do_normalize": False}
    strip = Image.new("RGBA", (60000, 1), (255, 0, 0, 0))

    assert preprocessed(tmp_path, strip, **config) == pytest.approx(np.ones((1, 3, 4, 4)))
