"""A real CLIP behind describe: embeddings of three numbers, ranked a second time in numpy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgopen_nb.sandbox.engine import EngineError
from imgopen_nb.sandbox.user_models import clip

from ..onnx_files import INT64, floats, value
from ..sandbox.tiny_models import (
    BLUE,
    CLIP_WORDS,
    MARKS,
    RED,
    VECTORS,
    clip_files,
    clip_in_one,
    clip_text,
    clip_vision,
    describe,
    picture,
    write,
    write_captioner,
)  # fmt: skip
from ..sandbox_fixtures import sample


def ranked(colour: np.ndarray) -> list[dict[str, Any]]:
    """Return what must be found among all terms, computed without any of our code."""
    vectors = dict(zip(CLIP_WORDS, VECTORS, strict=True))
    sums = {name: sum(vectors[word] for word in name.split()) for _, name in clip.terms()}
    near = {
        name: float(each @ colour / np.linalg.norm(each) / np.linalg.norm(colour))
        for name, each in sums.items()
    }
    average = sum(near.values()) / len(near)
    rows = []
    for kind in ("medium", "style", "lighting", "composition", "quality"):
        names = [name for each, name in clip.terms() if each == kind]
        best = max(names, key=near.__getitem__)
        share = 1 / sum(np.exp(100 * (near[name] - near[best])) for name in names)
        if near[best] > average:
            rows.append({"list": kind, "name": best, "score": pytest.approx(share, abs=0.002)})
    return rows


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CLIP that is set."""
    monkeypatch.setenv("IMGOPEN_CLIP", str(tmp_path / "tiny-clip"))
    return write(tmp_path / "tiny-clip", clip_files())


def test_the_terms_are_ours_each_once_in_five_lists() -> None:
    names = [name for _, name in clip.terms()]

    assert len(set(names)) == len(names) > 150
    assert {kind for kind, _ in clip.terms()} == {
        "medium", "style", "lighting", "composition", "quality",
    }  # fmt: skip


@pytest.mark.usefixtures("chosen")
@pytest.mark.parametrize(("name", "colour"), [("red", RED), ("blue", BLUE)])
def test_the_nearest_term_of_each_list_follows_the_sentence(name: str, colour: np.ndarray) -> None:
    result = describe(picture(name))

    assert result["terms"] == ranked(colour)
    added = ", ".join(row["name"] for row in ranked(colour))
    assert result["caption"].endswith(f", {added}")


@pytest.mark.usefixtures("chosen")
def test_our_own_sentence_stays_approximate_with_a_clip() -> None:
    result = describe(sample("coffee"))

    assert "espresso" in result["caption"]
    assert (result["engine"], result["fidelity"]) == ("local-caption + tiny-clip", "approximate")


@pytest.mark.usefixtures("chosen")
def test_a_captioner_and_a_clip_together_are_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGOPEN_CAPTIONER", str(write_captioner(tmp_path / "tiny-captioner")))

    result = describe(picture("red"))

    assert result["caption"].startswith("a red square, ")
    assert (result["engine"], result["fidelity"]) == ("tiny-captioner + tiny-clip", "real")


@pytest.mark.parametrize(
    ("gone", "put"),
    [
        (("vision_model", "text_model"), {"onnx/model.onnx": clip_in_one()}),
        (
            ("vision_model", "text_model"),
            {"vision_model.onnx": clip_vision(), "text_model.onnx": clip_text()},
        ),
        ((), {"onnx/text_model.onnx": clip_text(ids=value("input_ids", "texts", 77, kind=INT64))}),
    ],
)
def test_one_network_for_both_the_top_folder_and_a_fixed_length_work_too(
    chosen: Path, gone: tuple[str, ...], put: dict[str, bytes]
) -> None:
    for name in gone:
        (chosen / "onnx" / f"{name}.onnx").unlink()
    write(chosen, put)

    assert describe(picture("blue"))["terms"] == ranked(BLUE)


FEW = "list,name\nmedium,photograph\nmedium,drawing\nlighting,dim\nlighting,dark\nquality,red\n"
FEW_WORDS = (*MARKS, "photograph", "drawing", "dim", "dark", "red")
FEW_VECTORS = floats(
    [0, 0, 0], [0, 0, 0], [1, -1, -1], [-1, -1, 1], [-2, 1, 1], [-1, 2, 2], [1, -1, -0.5]
)


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A handful of terms with vectors that can be judged by eye."""
    (tmp_path / "terms.csv").write_text(FEW)
    write(tmp_path / "few", clip_files(FEW_WORDS, FEW_VECTORS))
    monkeypatch.setenv("IMGOPEN_CLIP", str(tmp_path / "few"))
    monkeypatch.setattr(clip, "TERMS", tmp_path / "terms.csv")
    clip.terms.cache_clear()
    yield
    monkeypatch.undo()
    clip.terms.cache_clear()


@pytest.mark.usefixtures("few")
def test_a_list_of_which_nothing_fits_adds_nothing() -> None:
    assert describe(picture("red"))["terms"] == [
        {"list": "medium", "name": "photograph", "score": 1.0},
        {"list": "quality", "name": "red", "score": 1.0},
    ]


@pytest.mark.usefixtures("few")
def test_a_term_that_the_sentence_has_is_not_said_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGOPEN_CAPTIONER", str(write_captioner(tmp_path / "tiny-captioner")))

    assert describe(picture("red"))["caption"] == "a red square, photograph"


def test_missing_networks_are_named(chosen: Path) -> None:
    (chosen / "onnx" / "text_model.onnx").unlink()

    with pytest.raises(EngineError, match=r"has no onnx/text_model\.onnx and no text_model"):
        describe(picture("red"))
