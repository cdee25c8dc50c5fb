"""Real captioners behind describe: networks of a few numbers, computed a second time in numpy."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing

from imgopen_nb.sandbox import engines
from imgopen_nb.sandbox.engine import EngineError
from imgopen_nb.sandbox.user_models import captioner

from ..onnx_files import BOOL, INT64, floats, mean, model, node, value
from ..sandbox.test_engines import FakeWork

ENGINES = engines.load()
WORDS = ("<s>", "</s>", "a", "red", "blue", "square", "on", "white")
START, END = 0, 1
SIDE = 8
RED, BLUE = floats(1, -1, -1), floats(-1, -1, 1)  # as the preparation below gives them
PREPARATION = {
    "size": SIDE, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    "do_resize": True, "do_normalize": True,
}  # fmt: skip
GENERATION = {"decoder_start_token_id": START, "eos_token_id": END, "max_length": 12}


def follows(*pairs: tuple[str, str]) -> np.ndarray:
    """Return logits (words, words) of each word after each: 4 for these pairs."""
    table = np.zeros((len(WORDS), len(WORDS)), np.float32)
    for before, after in pairs:
        table[WORDS.index(before), WORDS.index(after)] = 4
    return table


# After "a" both colours are as likely, and the picture decides.
TABLE = follows(
    ("<s>", "a"), ("a", "red"), ("a", "blue"), ("red", "square"), ("blue", "square"),
    ("square", "</s>"),
)  # fmt: skip
COLOURS = np.zeros((3, len(WORDS)), np.float32)
COLOURS[0, WORDS.index("red")] = COLOURS[2, WORDS.index("blue")] = 1


def encoder() -> bytes:
    """Return a network whose one hidden state is the mean of each channel."""
    nodes = [mean("pixel_values", "means", 2, 3), node("Unsqueeze", "means one", "states")]
    pixels = value("pixel_values", "batch", 3, "height", "width")
    axis = {"one": np.array([1])}
    return model(nodes, axis, [pixels], [value("states", "batch", 1, 3)])


def decoder(
    table: np.ndarray = TABLE, colours: np.ndarray = COLOURS, more: tuple[bytes, ...] = ()
) -> bytes:
    """Return a network whose logits are those of the last word and of the state together."""
    nodes = [
        node("Gather", "table input_ids", "words"),
        node("MatMul", "encoder_hidden_states colours", "seen"),
        node("Add", "words seen", "logits"),
    ]
    inputs = [
        value("input_ids", "batch", "length", kind=INT64),
        value("encoder_hidden_states", "batch", "states", 3),
    ]
    logits = value("logits", "batch", "length", table.shape[1])
    return model(nodes, {"table": table, "colours": colours}, [*inputs, *more], [logits])


def tokenizer(words: tuple[str, ...], *, ends: bool = False) -> str:
    made = Tokenizer(WordLevel({word: at for at, word in enumerate(words)}, unk_token=words[0]))
    made.pre_tokenizer = WhitespaceSplit()
    made.add_special_tokens(list(words[:2]))
    if ends:
        marks = [(words[0], 0), (words[1], 1)]
        made.post_processor = TemplateProcessing("<s> $A </s>", special_tokens=marks)
    return str(made.to_str())


def write(folder: Path, files: dict[str, bytes | str | dict[str, Any]]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content) if isinstance(content, dict) else content
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def export(folder: Path, **more: Any) -> Path:
    """Write a captioner; `more` replaces files by their name without the ending."""
    files = {
        "onnx/encoder_model.onnx": encoder(),
        "onnx/decoder_model.onnx": decoder(),
        "tokenizer.json": tokenizer(WORDS),
        "preprocessor_config.json": PREPARATION,
        "generation_config.json": GENERATION,
    }
    return write(folder, {**files, **more})


def greedy(table: np.ndarray, seen: np.ndarray, length: int) -> str:
    """Return the words of the greedy loop, computed without any of our code."""
    tokens = [START]
    while len(tokens) < length:
        token = int(np.argmax(table[tokens[-1]] + seen))
        if token == END:
            break
        tokens.append(token)
    return " ".join(WORDS[token] for token in tokens if token > END)


def picture(colour: Any, size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.new("RGB", size, colour)


def describe(image: Image.Image) -> dict[str, Any]:
    return ENGINES["describe"].run(FakeWork(image, {"model": "clip"}))


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A captioner that is set."""
    monkeypatch.setenv("IMGOPEN_CAPTIONER", str(tmp_path / "tiny-captioner"))
    return export(tmp_path / "tiny-captioner")


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

    with pytest.raises(EngineError, match="says nothing"):
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


@pytest.mark.parametrize("size", [(1, 1), (1, 9000), (5000, 4000)])
def test_odd_pictures_are_described_too(chosen: Path, size: tuple[int, int]) -> None:
    assert describe(picture("blue", size))["caption"] == "a blue square"


NAN = np.full_like(TABLE, np.nan)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("onnx/encoder_model.onnx", b"", "cannot be loaded"),
        ("onnx/encoder_model.onnx", decoder(), "wants input_ids as .* not known here"),
        ("onnx/decoder_model.onnx", encoder(), "has no output logits"),
        ("onnx/decoder_model.onnx", decoder(NAN), "no number"),
        ("onnx/decoder_model.onnx", decoder(TABLE[:1]), "cannot be run on input_ids"),
        ("onnx/decoder_model.onnx", decoder(more=(value("inputs_embeds", 1),)), "inputs_embeds"),
        ("tokenizer.json", b"{}", "tokenizer.json cannot be read"),
        ("tokenizer.json", tokenizer(WORDS[:2]), "says nothing"),
        ("generation_config.json", b"[1]", "no JSON object"),
        ("generation_config.json", {}, "names no decoder_start_token_id"),
        ("preprocessor_config.json", {"size": 8}, "'image_mean'"),
        ("preprocessor_config.json", {**PREPARATION, "size": 10**6}, "a side must be"),
        ("preprocessor_config.json", {**PREPARATION, "resample": 77}, "not understood"),
        ("preprocessor_config.json", {**PREPARATION, "image_std": [1, 0, 1]}, "for the colours"),
    ],
)
def test_broken_files_are_one_sentence_without_a_path(
    chosen: Path, file: str, content: Any, words: str
) -> None:
    write(chosen, {file: content})

    with pytest.raises(EngineError, match=words) as caught:
        describe(picture("red"))
    assert str(caught.value).startswith("the setting captioner (tiny-captioner): ")
    assert str(chosen.parent) not in str(caught.value)


def test_a_missing_file_is_named_and_so_is_a_missing_package(
    chosen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(EngineError, match=r'tokenizers is missing: pip .*\[models\]"'):
        describe(picture("red"))

    (chosen / "onnx" / "encoder_model.onnx").unlink()
    with pytest.raises(EngineError, match=r"it has no onnx/encoder_model\.onnx and no enc"):
        describe(picture("red"))
