"""Real taggers behind describe: the WD14 form, tried with a network of a few numbers."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgopen_nb.sandbox import engines, interrogators

from .test_engines import FakeWork, sample

ENGINES = engines.load()
TAGS = (
    ("general", 9), ("sensitive", 9), ("red_background", 0), ("blue_background", 0),
    ("someone_known", 4), ("dim", 0),
)  # fmt: skip
# Rows blue, green, red (the mean of each channel, 0..255) by tag; then what is added.
WEIGHTS = np.zeros((3, 6), np.float32)
WEIGHTS[0, 3] = WEIGHTS[2, 2] = WEIGHTS[2, 4] = 0.03
BIAS = np.array([1.0, -1.0, -4.0, -4.0, -5.5, -3.0], np.float32)


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def part(field: int, value: bytes | str | int) -> bytes:
    """Write one field of a protobuf message."""
    if isinstance(value, int):
        return varint(field << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def tensor(name: str, values: np.ndarray) -> bytes:
    dims = b"".join(part(1, side) for side in values.shape)
    return dims + part(2, 1) + part(8, name) + part(9, values.tobytes())


def node(kind: str, inputs: str, output: str, attribute: bytes = b"") -> bytes:
    names = b"".join(part(1, name) for name in inputs.split())
    return names + part(2, output) + part(4, kind) + attribute


def value(name: str, *sides: int) -> bytes:
    shape = b"".join(part(1, part(1, side)) for side in sides)
    return part(1, name) + part(2, part(1, part(1, 1) + part(2, shape)))


def network(*, sigmoid: bool = True) -> bytes:
    """Return an ONNX model: channel means, a matrix, and on top of it the sigmoid or not."""
    axes = part(5, part(1, "axes") + part(8, 1) + part(8, 2) + part(20, 7))
    flat = part(5, part(1, "keepdims") + part(3, 0) + part(20, 2))
    nodes = [
        node("ReduceMean", "input", "means", axes + flat),
        node("MatMul", "means weights", "raw"),
        node("Add", "raw bias", "logits" if sigmoid else "output"),
    ]
    nodes += [node("Sigmoid", "logits", "output")] if sigmoid else []
    graph = b"".join(part(1, each) for each in nodes) + part(2, "tiny")
    graph += part(5, tensor("weights", WEIGHTS)) + part(5, tensor("bias", BIAS))
    graph += part(11, value("input", 1, 448, 448, 3)) + part(12, value("output", 1, len(TAGS)))
    return part(1, 8) + part(7, graph) + part(8, part(1, "") + part(2, 13))


def write(folder: Path, *, sigmoid: bool = True, tags: tuple[tuple[str, int], ...] = TAGS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(network(sigmoid=sigmoid))
    rows = [f"{at},{name},{category},{1000 - at}" for at, (name, category) in enumerate(tags)]
    text = "\n".join(["tag_id,name,category,count", *rows])
    (folder / "selected_tags.csv").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv(interrogators.VARIABLE, raising=False)
    interrogators.load.cache_clear()


@pytest.fixture
def tagger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write(tmp_path / "tiny-tagger")
    monkeypatch.setenv(interrogators.VARIABLE, str(folder))
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
        monkeypatch.setenv(interrogators.VARIABLE, str(write(tmp_path / name, sigmoid=sigmoid)))
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


def test_a_hub_id_is_fetched_by_huggingface_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = write(tmp_path / "snapshot"), []

    def download(repository: str, file: str) -> str:
        asked.append((repository, file))
        return str(folder / file)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=download))
    monkeypatch.setenv(interrogators.VARIABLE, "someone/some-tagger")

    assert describe(Image.new("RGB", (64, 64), "blue"))["engine"] == "someone/some-tagger"
    assert asked == [("someone/some-tagger", file) for file in interrogators.FILES]


@pytest.mark.parametrize(
    ("named", "word"),
    [("no-such-folder", "neither a folder nor an id"), ("a/b", "huggingface_hub|cannot be had")],
)
def test_a_tagger_that_cannot_be_had_is_an_error_that_says_why(
    named: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as if it were not installed
    monkeypatch.setenv(interrogators.VARIABLE, named)

    with pytest.raises(engines.EngineError, match=word):
        describe(Image.new("RGB", (64, 64)))


def test_a_folder_without_the_files_or_with_too_few_tags_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv(interrogators.VARIABLE, str(tmp_path / "empty"))
    with pytest.raises(engines.EngineError, match=r"has no model\.onnx"):
        describe(Image.new("RGB", (64, 64)))

    monkeypatch.setenv(interrogators.VARIABLE, str(write(tmp_path / "few", tags=TAGS[:2])))
    with pytest.raises(engines.EngineError, match="6 outputs, but 2 rows"):
        describe(Image.new("RGB", (64, 64)))


def test_the_protobuf_writer_writes_floats_little_endian() -> None:
    assert struct.unpack("<f", tensor("x", np.array([1.5], np.float32))[-4:]) == (1.5,)
