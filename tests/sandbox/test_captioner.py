"""Real captioners behind describe: networks of a few numbers, computed a second time in numpy."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from imgopen_nb.sandbox.engine import EngineError
from imgopen_nb.sandbox.user_models import captioner

from ..onnx_files import BOOL, INT64, value
from ..sandbox.tiny_models import (
    BLUE,
    COLOURS,
    END,
    GENERATION,
    RED,
    START,
    WORDS,
    decoder,
    describe,
    follows,
    picture,
    tokenizer,
    write,
    write_captioner,
)  # fmt: skip


def greedy(table: np.ndarray, seen: np.ndarray, length: int) -> str:
    """Return the words of the greedy loop, computed without any of our code."""
    tokens = [START]
    while len(tokens) < length:
        token = int(np.argmax(table[tokens[-1]] + seen))
        if token == END:
            break
        tokens.append(token)
    return " ".join(WORDS[token] for token in tokens if token > END)


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A captioner that is set."""
    monkeypatch.setenv("IMGOPEN_CAPTIONER", str(tmp_path / "tiny-captioner"))
    return write_captioner(tmp_path / "tiny-captioner")


@pytest.mark.usefixtures("chosen")
def test_the_captioner_says_what_its_networks_say_and_is_named() -> None:
    assert describe(picture("red")) == {
        "caption": "a red square", "engine": "tiny-captioner", "fidelity": "real",
    }  # fmt: skip
    assert describe(picture("blue"))["caption"] == "a blue square"


@pytest.mark.parametrize("seed", range(5))
def test_the_loop_is_the_greedy_one_for_random_weights(chosen: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    table = random.normal(size=(len(WORDS),) * 2).astype(np.float32)
    colours = random.normal(size=(3, len(WORDS))).astype(np.float32)
    table[:, START] = table[START, END] = -9  # something is said
    write(chosen, {"onnx/decoder_model.onnx": decoder(table, colours)})

    for name, colour in (("red", RED), ("blue", BLUE)):
        expected = greedy(table, colour @ colours, GENERATION["max_length"])
        assert describe(picture(name))["caption"] == expected


MASKS = (
    value("encoder_attention_mask", "batch", "states", kind=INT64),
    value("attention_mask", "batch", "length", kind=INT64),
)
CACHE = (
    value("use_cache_branch", 1, kind=BOOL),
    value("past_key_values.0.decoder.key", "batch", 2, "past", 4),
    value("past_key_values.0.encoder.value", "batch", 2, "states_past", 4),
)


@pytest.mark.parametrize(
    ("file", "inputs"),
    [
        ("onnx/decoder_model.onnx", MASKS),
        ("decoder_model.onnx", ()),
        ("onnx/decoder_model_merged.onnx", CACHE),
    ],
)
def test_exports_with_masks_in_the_top_folder_or_with_a_merged_decoder_work_too(
    chosen: Path, file: str, inputs: tuple[bytes, ...]
) -> None:
    (chosen / "onnx" / "decoder_model.onnx").unlink()
    write(chosen, {file: decoder(more=inputs)})

    assert describe(picture("red"))["caption"] == "a red square"


def test_an_older_export_tells_the_tokens_in_config_json(chosen: Path) -> None:
    (chosen / "generation_config.json").unlink()
    inner = {"decoder_start_token_id": 5, "eos_token_id": None, "max_length": 3}
    write(chosen, {"config.json": {"decoder": inner, "bos_token_id": START, "eos_token_id": [END]}})

    with pytest.raises(EngineError, match="wrote an empty caption"):
        describe(picture("red"))  # after "square" comes the end

    outer = {"decoder": inner, "decoder_start_token_id": START, "eos_token_id": [END]}
    write(chosen, {"config.json": outer})
    captioner.load.cache_clear()
    assert describe(picture("red"))["caption"] == "a red"  # three tokens with the first


@pytest.mark.parametrize(("told", "words"), [(12, 11), (10**9, captioner.MOST - 1), (None, 19)])
def test_a_sentence_without_an_end_is_cut(chosen: Path, told: int | None, words: int) -> None:
    table = follows(("<s>", "a"), ("a", "a"))
    generation = {**GENERATION, "max_length": told}
    write(chosen, {"onnx/decoder_model.onnx": decoder(table, COLOURS * 0),
                   "generation_config.json": generation})  # fmt: skip

    assert describe(picture("red"))["caption"].split() == ["a"] * words


def test_the_words_are_put_together_in_one_line_without_the_full_stop(chosen: Path) -> None:
    words = ("<s>", "</s>", "a", "red", "blue", "square\n .", "on", "white")
    write(chosen, {"tokenizer.json": tokenizer(words)})

    assert describe(picture("red"))["caption"] == "a red square"


def test_a_missing_file_is_named_and_so_is_a_missing_package(
    chosen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(EngineError, match=r'tokenizers is missing: pip .*\[models\]"'):
        describe(picture("red"))

    (chosen / "onnx" / "encoder_model.onnx").unlink()
    with pytest.raises(EngineError, match=r"it has no onnx/encoder_model\.onnx and no enc"):
        describe(picture("red"))
