"""A real CLIP that a user has: which of our terms fit an image, as in CLIP interrogators.

The setting `clip` names a folder or a hub repository with `vision_model.onnx` and
`text_model.onnx`, or `model.onnx` of both (in `onnx/` or not), `tokenizer.json` and
`preprocessor_config.json`. The terms are the rows of `terms.csv`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..vision.arrays import Array
from ..vision.networks import softmax
from . import local_models
from .local_models import Model, Network
from .preprocessing import Preprocessing, read_preprocessing

TERMS = Path(__file__).with_name("terms.csv")
VISION = ("onnx/vision_model.onnx", "vision_model.onnx", "onnx/model.onnx", "model.onnx")
TEXT = ("onnx/text_model.onnx", "text_model.onnx", "onnx/model.onnx", "model.onnx")
BATCH, LONGEST = 32, 77
# All published CLIPs have learned this scale: their training limits it to that.
SCALE = 100.0


@dataclass(frozen=True)
class Clip:
    """One CLIP: two networks whose embeddings can be compared."""

    model: Model
    vision: Network
    text: Network
    preprocessing: Preprocessing
    tokenizer: Any

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    def terms(self, image: Image.Image) -> list[dict[str, Any]]:
        """Return the best term of each list, unless even that is no nearer than the average term.

        Each row has `list`, `name` and `score`, the term's probability within its list.

        Raises:
            EngineError: the model cannot be run, or its embeddings cannot be compared.
        """
        pixels = self.preprocessing.pixels(image)
        offered = {"pixel_values": pixels, **self._ids([terms()[0][1]])}
        near = self._similarity(self.vision.run(offered, "image_embeds"))
        return [
            row
            for row in (_best(name, near) for name in dict.fromkeys(kind for kind, _ in terms()))
            if row
        ]

    def _similarity(self, picture: Array) -> Array:
        """Return the cosine of each term's embedding and the image's."""
        if picture.shape != (1, self.embedded.shape[1]):
            raise self.model.fault("the embeddings of images and of texts differ in length")
        return np.asarray(self.embedded @ self._unit(picture)[0], np.float32)

    @cached_property
    def embedded(self) -> Array:
        """The terms' embeddings (terms, length), each of length one; computed once."""
        names = [name for _, name in terms()]
        batches = [names[at : at + BATCH] for at in range(0, len(names), BATCH)]
        return np.concatenate([self._embed(batch) for batch in batches])

    def _embed(self, names: list[str]) -> Array:
        offered = {"pixel_values": self.preprocessing.blank, **self._ids(names)}
        found = self.text.run(offered, "text_embeds")
        if found.ndim != 2 or len(found) != len(names):
            raise self.model.fault(f"{len(names)} terms give text_embeds of shape {found.shape}")
        return self._unit(found)

    def _ids(self, names: list[str]) -> dict[str, Any]:
        """Return token ids and their mask; CLIP reads no further than its first end token."""
        try:
            rows = [each.ids[:LONGEST] for each in self.tokenizer.encode_batch(names)]
        except Exception as error:  # the package's errors have no class of their own
            raise self.model.fault("tokenizer.json cannot encode the terms") from error
        if not all(rows):
            raise self.model.fault("tokenizer.json has no tokens for the terms")
        fixed = (self.text.inputs().get("input_ids") or [None])[-1]
        width = fixed if fixed in range(LONGEST + 1) else max(map(len, rows))
        ids = np.array([(row + [row[-1]] * width)[:width] for row in rows], np.int64)
        mask = np.array([[at < len(row) for at in range(width)] for row in rows], np.int64)
        return {"input_ids": ids, "attention_mask": mask}

    def _unit(self, embeddings: Array) -> Array:
        lengths = np.linalg.norm(embeddings, axis=-1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise self.model.fault("an embedding has no finite length")
        return np.asarray(embeddings / lengths, np.float32)


def chosen() -> Clip | None:
    """Return the CLIP that the setting names, or None."""
    model = local_models.model("clip")
    return load(model) if model else None


@lru_cache(maxsize=2)
def load(model: Model) -> Clip:
    """Return the CLIP of a folder or of a repository's id."""
    return Clip(
        model=model,
        vision=Network(model, model.file(*VISION)),
        text=Network(model, model.file(*TEXT)),
        preprocessing=read_preprocessing(model),
        tokenizer=model.tokenizer(),
    )


@cache
def terms() -> tuple[tuple[str, str], ...]:
    """Return the list and the name of each of our terms."""
    with TERMS.open(encoding="utf-8", newline="") as file:
        return tuple((row["list"], row["name"]) for row in csv.DictReader(file))


def _best(kind: str, near: Array) -> dict[str, Any] | None:
    """Return the row of a list's best term, or None if it is no nearer than the average."""
    places = [at for at, (each, _) in enumerate(terms()) if each == kind]
    best = max(places, key=lambda at: float(near[at]))
    if near[best] <= near.mean():
        return None
    score = float(softmax(SCALE * near[places]).max())
    return {"list": kind, "name": terms()[best][1], "score": round(score, 3)}
