"""Real taggers behind describe: the layouts of WD14 and DeepDanbooru, with a few numbers each."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgopen_nb.sandbox import engines
from imgopen_nb.sandbox.engine import EngineError
from imgopen_nb.sandbox.user_models import tagger as interrogators

from ..onnx_files import floats, mean, model, node, tensor, value
from ..sandbox.test_engines import FakeWork, sample

ENGINES = engines.load()
VARIABLE = "IMGOPEN_TAGGER"
TAGS = (
    ("general", 9), ("sensitive", 9), ("red_background", 0), ("blue_background", 0),
    ("someone_known", 4), ("dim", 0),
)  # fmt: skip
# Rows blue, green, red (the mean of each channel, 0..255) by tag; then what is added.
WEIGHTS = np.zeros((3, 6), np.float32)
WEIGHTS[0, 3] = WEIGHTS[2, 2] = WEIGHTS[2, 4] = 0.03
BIAS = np.array([1.0, -1.0, -4.0, -4.0, -5.5, -3.0], np.float32)


def network(
    weights: np.ndarray, bias: np.ndarray, *, side: int = 448, sigmoid: bool = True
) -> bytes:
    """Return an ONNX model: channel means, a matrix, and on top of it the sigmoid or not."""
    nodes = [
        mean("input", "means", 1, 2),
        node("MatMul", "means weights", "raw"),
        node("Add", "raw bias", "logits" if sigmoid else "output"),
    ]
    nodes += [node("Sigmoid", "logits", "output")] if sigmoid else []
    return model(
        nodes,
        {"weights": weights, "bias": bias},
        [value("input", 1, side, side, 3)],
        [value("output", 1, len(bias))],
    )


def write(folder: Path, *, sigmoid: bool = True, tags: tuple[tuple[str, int], ...] = TAGS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(network(WEIGHTS, BIAS, sigmoid=sigmoid))
    rows = [f"{at},{name},{category},{1000 - at}" for at, (name, category) in enumerate(tags)]
    text = "\n".join(["tag_id,name,category,count", *rows])
    (folder / "selected_tags.csv").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def tagger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write(tmp_path / "tiny-tagger")
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


def describe(image: Image.Image, model: str = "deepdanbooru") -> dict[str, Any]:
    return ENGINES["describe"].run(FakeWork(image, {"model": model}))


def scores(result: dict[str, Any]) -> dict[str, float]:
    return {tag["name"]: tag["score"] for tag in result["tags"]}


@pytest.mark.usefixtures("tagger")
def test_describe_uses_the_tagger_and_names_it() -> None:
    result = describe(Image.new("RGB", (90, 90), "red"))

    assert result["engine"] == "tiny-tagger"
    assert result["fidelity"] == "real"
    assert result["rating"] == "general"
    assert result["caption"] == ", ".join(scores(result))


@pytest.mark.usefixtures("tagger")
def test_the_channels_are_fed_blue_first_and_in_0_to_255() -> None:
    red, blue = (describe(Image.new("RGB", (90, 90), name)) for name in ("red", "blue"))

    assert scores(red)["red_background"] == pytest.approx(1 / (1 + np.exp(-3.65)), abs=0.002)
    assert "red_background" not in scores(blue)
    assert "blue_background" in scores(blue)


@pytest.mark.usefixtures("tagger")
def test_characters_need_085_general_tags_035_and_ratings_are_no_tags() -> None:
    found = scores(describe(Image.new("RGB", (90, 90), "red")))
    less = scores(describe(Image.new("RGB", (90, 90), (220, 0, 0))))

    assert found["someone_known"] == pytest.approx(0.896, abs=0.003)
    assert "someone_known" not in less  # 0.75
    assert not {"general", "sensitive", "dim"} & set(found)


@pytest.mark.usefixtures("tagger")
def test_pictures_are_padded_to_a_square_with_white() -> None:
    wide = scores(describe(Image.new("RGB", (400, 100), "red")))

    assert wide["blue_background"] == pytest.approx(
        1 / (1 + np.exp(-(0.03 * 255 * 0.75 - 4))), abs=0.01
    )


def test_a_network_that_ends_before_the_sigmoid_gives_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name, sigmoid in (("with", True), ("without", False)):
        monkeypatch.setenv(VARIABLE, str(write(tmp_path / name, sigmoid=sigmoid)))
        found.append(scores(describe(Image.new("RGB", (64, 64), "blue"))))

    assert found[0] == pytest.approx(found[1], abs=0.002)


@pytest.mark.usefixtures("tagger")
def test_the_sentence_is_still_the_local_one() -> None:
    result = describe(sample("coffee"), "clip")

    assert "espresso" in result["caption"]
    assert "engine" not in result


def test_without_the_variable_the_tags_are_the_local_ones() -> None:
    result = describe(sample("coffee"))

    assert "engine" not in result
    assert "coffee" in scores(result)


def test_a_folder_without_the_files_or_with_too_few_tags_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "empty"))
    with pytest.raises(EngineError, match=r"has no selected_tags\.csv and no tags\.txt"):
        describe(Image.new("RGB", (64, 64)))

    monkeypatch.setenv(VARIABLE, str(write(tmp_path / "few", tags=TAGS[:2])))
    with pytest.raises(EngineError, match="6 outputs, but 2 tags"):
        describe(Image.new("RGB", (64, 64)))


def test_the_protobuf_writer_writes_floats_little_endian() -> None:
    assert struct.unpack("<f", tensor("x", np.array([1.5], np.float32))[-4:]) == (1.5,)


# DeepDanbooru: red, green, blue in 0..1 by tag; scores 0.5 at a mean of 0.5.
LINES = "white_walls\nred_theme\n\nblue_theme\nrating:safe\nrating:explicit\n"
DANBOORU = 8 * floats([0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 1, 0, 0])
OFFSETS = floats(-9, -4, -4, 1, -1)


@pytest.fixture
def danbooru(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tiny-danbooru"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(network(DANBOORU, OFFSETS, side=512))
    (folder / "tags.txt").write_text(LINES, encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


@pytest.mark.usefixtures("danbooru")
def test_tags_txt_makes_it_a_deepdanbooru_fed_with_red_first_and_in_0_to_1() -> None:
    result = describe(Image.new("RGB", (90, 90), "red"))

    assert result["tags"] == [{"name": "red_theme", "score": 0.982}]  # 1 / (1 + exp(-4))
    assert (result["rating"], result["engine"], result["fidelity"]) == (
        "safe", "tiny-danbooru", "real",
    )  # fmt: skip


@pytest.mark.usefixtures("danbooru")
def test_deepdanbooru_tags_need_05() -> None:
    assert describe(Image.new("RGB", (64, 64), (126, 0, 129)))["caption"] == "blue_theme"


def test_deepdanbooru_pictures_keep_their_shape_and_their_edges_are_drawn_out() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (2, 4, 3), np.uint8)
    layout = interrogators.LAYOUTS[1]

    fed = layout.feed(Image.fromarray(pixels), 8)

    twice = pixels.repeat(2, axis=0).repeat(2, axis=1) / 255
    assert fed.shape == (1, 8, 8, 3)
    assert fed[0] == pytest.approx(np.concatenate([twice[:1]] * 2 + [twice] + [twice[-1:]] * 2))


@pytest.mark.usefixtures("danbooru")
@pytest.mark.parametrize("size", [(1, 1), (9000, 1), (1, 9000)])
def test_odd_pictures_are_tagged_too(size: tuple[int, int]) -> None:
    assert scores(describe(Image.new("RGB", size, "blue"))) == {"blue_theme": 0.982}


@pytest.mark.usefixtures("tagger")
def test_a_long_strip_is_nearly_white_in_its_square_and_fits_into_memory() -> None:
    """60000 pixels squared would be 10 GB."""
    strip = describe(Image.new("RGB", (60000, 1), "black"))
    white = describe(Image.new("RGB", (64, 64), "white"))

    assert scores(strip) == pytest.approx(scores(white), abs=0.002)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("model.onnx", b"no onnx", "cannot be loaded"),
        ("model.onnx", network(DANBOORU[:2], OFFSETS, side=512), "cannot be (loaded|run)"),
        ("model.onnx", network(DANBOORU * np.float32("nan"), OFFSETS), "no number"),
        ("tags.txt", b"", "holds no tags"),
        ("tags.txt", b"\xff\xfe\xff", "does not hold"),
        ("selected_tags.csv", b"id,tag\n1,x\n", "does not hold"),
    ],
)
def test_broken_files_are_one_sentence_without_a_path(
    danbooru: Path, file: str, content: bytes, words: str
) -> None:
    (danbooru / file).write_bytes(content)

    with pytest.raises(EngineError, match=words) as caught:
        describe(Image.new("RGB", (64, 64)))
    assert str(caught.value).startswith("the setting tagger (tiny-danbooru): ")
    assert str(danbooru.parent) not in str(caught.value)
