"""Models that a user may have, of a few numbers each: a captioner, a CLIP and two taggers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing

from imgopen_nb.sandbox import engines
from imgopen_nb.sandbox.user_models import clip

from ..onnx_files import INT64, floats, mean, model, node, value
from ..sandbox_fixtures import FakeWork

ENGINES = engines.load()


def picture(colour: Any, size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.new("RGB", size, colour)


def describe(image: Image.Image, model: str = "clip") -> dict[str, Any]:
    return ENGINES["describe"].run(FakeWork(image, {"model": model}))


def tagged(image: Image.Image) -> dict[str, Any]:
    return describe(image, "deepdanbooru")


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


# A captioner

WORDS = ("<s>", "</s>", "a", "red", "blue", "square", "on", "white")
START, END = 0, 1
RED, BLUE = floats(1, -1, -1), floats(-1, -1, 1)  # as the preprocessing below gives them
PREPROCESSING = {
    "size": 8, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    "do_resize": True, "do_normalize": True,
}  # fmt: skip
GENERATION = {"decoder_start_token_id": START, "eos_token_id": END, "max_length": 12}


def follows(*pairs: tuple[str, str]) -> np.ndarray:
    """Return logits (words, words) of each word after each: 4 for these pairs."""
    table = np.zeros((len(WORDS), len(WORDS)), np.float32)
    for before, after in pairs:
        table[WORDS.index(before), WORDS.index(after)] = 4
    return table


# After "a" both colours are as likely, and the image decides.
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


def write_captioner(folder: Path, **more: Any) -> Path:
    """Write a captioner; `more` replaces files by their name without the ending."""
    files = {
        "onnx/encoder_model.onnx": encoder(),
        "onnx/decoder_model.onnx": decoder(),
        "tokenizer.json": tokenizer(WORDS),
        "preprocessor_config.json": PREPROCESSING,
        "generation_config.json": GENERATION,
    }
    return write(folder, {**files, **more})


# A CLIP

MARKS = ("<s>", "</s>")
CLIP_WORDS = (*MARKS, *sorted({word for _, name in clip.terms() for word in name.split()}))
# Both marks are zero, so that padding with the end adds nothing.
VECTORS = np.random.default_rng(5).normal(size=(len(CLIP_WORDS), 3)).astype(np.float32)
VECTORS[:2] = 0
PIXELS = value("pixel_values", "batch", 3, "height", "width")
IDS = value("input_ids", "texts", "length", kind=INT64)
MASK = value("attention_mask", "texts", "length", kind=INT64)


def clip_vision() -> bytes:
    """Return a network whose embedding is the mean of each channel."""
    nodes = [mean("pixel_values", "image_embeds", 2, 3)]
    return model(nodes, {}, [PIXELS], [value("image_embeds", "batch", 3)])


# The embedding of a text is the sum of its words' vectors.
TEXT_NODES = [
    node("Gather", "vectors input_ids", "words"),
    node("ReduceSum", "words axis", "sums"),
    node("Squeeze", "sums axis", "text_embeds"),
]
AXIS = np.array([1])


def clip_text(vectors: np.ndarray = VECTORS, ids: bytes = IDS) -> bytes:
    outputs = [value("text_embeds", "texts", vectors.shape[1])]
    return model(TEXT_NODES, {"vectors": vectors, "axis": AXIS}, [ids], outputs)


def clip_in_one() -> bytes:
    """Return both in one network that wants both inputs."""
    nodes = [mean("pixel_values", "image_embeds", 2, 3), *TEXT_NODES]
    outputs = [value("image_embeds", "batch", 3), value("text_embeds", "texts", 3)]
    return model(nodes, {"vectors": VECTORS, "axis": AXIS}, [IDS, PIXELS, MASK], outputs)


def clip_files(
    words: tuple[str, ...] = CLIP_WORDS, vectors: np.ndarray = VECTORS
) -> dict[str, Any]:
    return {
        "onnx/vision_model.onnx": clip_vision(),
        "onnx/text_model.onnx": clip_text(vectors),
        "tokenizer.json": tokenizer(words, ends=True),
        "preprocessor_config.json": PREPROCESSING,
    }


# Taggers: WD14

TAGS = (
    ("general", 9), ("sensitive", 9), ("red_background", 0), ("blue_background", 0),
    ("someone_known", 4), ("dim", 0),
)  # fmt: skip
# Rows blue, green, red (the mean of each channel, 0..255) by tag; then what is added.
WEIGHTS = np.zeros((3, 6), np.float32)
WEIGHTS[0, 3] = WEIGHTS[2, 2] = WEIGHTS[2, 4] = 0.03
BIAS = np.array([1.0, -1.0, -4.0, -4.0, -5.5, -3.0], np.float32)


def tagger_network(
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


def write_tagger(
    folder: Path, *, sigmoid: bool = True, tags: tuple[tuple[str, int], ...] = TAGS
) -> Path:
    rows = [f"{at},{name},{category},{1000 - at}" for at, (name, category) in enumerate(tags)]
    text = "\n".join(["tag_id,name,category,count", *rows])
    network = tagger_network(WEIGHTS, BIAS, sigmoid=sigmoid)
    return write(folder, {"model.onnx": network, "selected_tags.csv": text})


# DeepDanbooru: red, green, blue in 0..1 by tag; scores 0.5 at a mean of 0.5.
LINES = "white_walls\nred_theme\n\nblue_theme\nrating:safe\nrating:explicit\n"
DANBOORU = 8 * floats([0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 1, 0, 0])
OFFSETS = floats(-9, -4, -4, 1, -1)


def write_danbooru(folder: Path) -> Path:
    return write(
        folder,
        {"model.onnx": tagger_network(DANBOORU, OFFSETS, side=512), "tags.txt": LINES},
    )
