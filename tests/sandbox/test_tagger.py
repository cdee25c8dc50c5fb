"""Real taggers behind describe: the layouts of WD14 and DeepDanbooru, with a few numbers each."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgopen_nb.sandbox.engine import EngineError
from imgopen_nb.sandbox.user_models import tagger as taggers

from ..onnx_files import tensor
from ..sandbox.tiny_models import TAGS, describe, picture, tagged, write_danbooru, write_tagger
from ..sandbox_fixtures import sample

VARIABLE = "IMGOPEN_TAGGER"


@pytest.fixture
def tagger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_tagger(tmp_path / "tiny-tagger")
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


def scores(result: dict[str, Any]) -> dict[str, float]:
    return {tag["name"]: tag["score"] for tag in result["tags"]}


@pytest.mark.usefixtures("tagger")
def test_describe_uses_the_tagger_and_names_it() -> None:
    result = tagged(picture("red", (90, 90)))

    assert result["engine"] == "tiny-tagger"
    assert result["fidelity"] == "real"
    assert result["rating"] == "general"
    assert result["caption"] == ", ".join(scores(result))


@pytest.mark.usefixtures("tagger")
def test_the_channels_are_fed_blue_first_and_in_0_to_255() -> None:
    red, blue = (tagged(Image.new("RGB", (90, 90), name)) for name in ("red", "blue"))

    assert scores(red)["red_background"] == pytest.approx(1 / (1 + np.exp(-3.65)), abs=0.002)
    assert "red_background" not in scores(blue)
    assert "blue_background" in scores(blue)


@pytest.mark.usefixtures("tagger")
def test_characters_need_085_general_tags_035_and_ratings_are_no_tags() -> None:
    found = scores(tagged(picture("red", (90, 90))))
    less = scores(tagged(picture((220, 0, 0), (90, 90))))

    assert found["someone_known"] == pytest.approx(0.896, abs=0.003)
    assert "someone_known" not in less  # 0.75
    assert not {"general", "sensitive", "dim"} & set(found)


@pytest.mark.usefixtures("tagger")
def test_pictures_are_padded_to_a_square_with_white() -> None:
    wide = scores(tagged(picture("red", (400, 100))))

    assert wide["blue_background"] == pytest.approx(
        1 / (1 + np.exp(-(0.03 * 255 * 0.75 - 4))), abs=0.01
    )


def test_a_network_that_ends_before_the_sigmoid_gives_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name, sigmoid in (("with", True), ("without", False)):
        monkeypatch.setenv(VARIABLE, str(write_tagger(tmp_path / name, sigmoid=sigmoid)))
        found.append(scores(tagged(picture("blue", (64, 64)))))

    assert found[0] == pytest.approx(found[1], abs=0.002)


@pytest.mark.usefixtures("tagger")
def test_the_sentence_is_still_the_local_one() -> None:
    result = describe(sample("coffee"), "clip")

    assert "espresso" in result["caption"]
    assert "engine" not in result


def test_without_the_variable_the_tags_are_the_local_ones() -> None:
    result = tagged(sample("coffee"))

    assert "engine" not in result
    assert "coffee" in scores(result)


def test_a_folder_without_the_files_or_with_too_few_tags_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "empty"))
    with pytest.raises(EngineError, match=r"has no selected_tags\.csv and no tags\.txt"):
        tagged(Image.new("RGB", (64, 64)))

    monkeypatch.setenv(VARIABLE, str(write_tagger(tmp_path / "few", tags=TAGS[:2])))
    with pytest.raises(EngineError, match="6 outputs, but 2 tags"):
        tagged(Image.new("RGB", (64, 64)))


def test_the_protobuf_writer_writes_floats_little_endian() -> None:
    assert struct.unpack("<f", tensor("x", np.array([1.5], np.float32))[-4:]) == (1.5,)


@pytest.fixture
def danbooru(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_danbooru(tmp_path / "tiny-danbooru")
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


@pytest.mark.usefixtures("danbooru")
def test_tags_txt_makes_it_a_deepdanbooru_fed_with_red_first_and_in_0_to_1() -> None:
    result = tagged(picture("red", (90, 90)))

    assert result["tags"] == [{"name": "red_theme", "score": 0.982}]  # 1 / (1 + exp(-4))
    assert (result["rating"], result["engine"], result["fidelity"]) == (
        "safe", "tiny-danbooru", "real",
    )  # fmt: skip


@pytest.mark.usefixtures("danbooru")
def test_deepdanbooru_tags_need_05() -> None:
    assert tagged(picture((126, 0, 129), (64, 64)))["caption"] == "blue_theme"


def test_deepdanbooru_pictures_keep_their_shape_and_their_edges_are_drawn_out() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (2, 4, 3), np.uint8)
    layout = taggers.LAYOUTS[1]

    fed = layout.feed(Image.fromarray(pixels), 8)

    twice = pixels.repeat(2, axis=0).repeat(2, axis=1) / 255
    assert fed.shape == (1, 8, 8, 3)
    assert fed[0] == pytest.approx(np.concatenate([twice[:1]] * 2 + [twice] + [twice[-1:]] * 2))


@pytest.mark.usefixtures("tagger")
def test_a_long_strip_is_nearly_white_in_its_square_and_fits_into_memory() -> None:
    """60000 pixels squared would be 10 GB."""
    strip = tagged(picture("black", (60000, 1)))
    white = tagged(picture("white", (64, 64)))

    assert scores(strip) == pytest.approx(scores(white), abs=0.002)
