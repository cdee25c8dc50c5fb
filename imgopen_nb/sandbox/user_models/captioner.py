"""A real captioner: a user's own image-to-text model, exported to ONNX.

The setting `captioner` names a folder or a hub repository as Optimum and Transformers.js lay them
out: `encoder_model.onnx` and `decoder_model.onnx` (in `onnx/` or not), `tokenizer.json`,
`preprocessor_config.json`, and `generation_config.json` or `config.json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..vision.arrays import Array
from . import local_models
from .local_models import Model, Network
from .preprocessing import Preprocessing, read_preprocessing

ENCODER = ("onnx/encoder_model.onnx", "encoder_model.onnx")
DECODER = tuple(
    f"{folder}{name}.onnx" for name in ("decoder_model", "decoder_model_merged")
    for folder in ("onnx/", "")
)  # fmt: skip
# Transformers' default length, and our limit, as each token costs a run of the decoder.
LENGTH, MOST = 20, 64


@dataclass(frozen=True)
class Captioner:
    """One captioner; `start`, `ends` and `length` (in tokens, with the first) limit a sentence."""

    model: Model
    encoder: Network
    decoder: Network
    preprocessing: Preprocessing
    tokenizer: Any
    start: int
    ends: frozenset[int]
    length: int

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    def caption(self, image: Image.Image) -> str:
        """Return the sentence of an image.

        Raises:
            EngineError: the model cannot be run, or its sentence is empty.
        """
        states = self.encoder.run({"pixel_values": self.preprocessing.pixels(image)})
        tokens = list(self._tokens(states))
        try:
            text = self.tokenizer.decode(tokens, skip_special_tokens=True)
        except Exception as error:  # the package's errors have no class of their own
            raise self.model.fault("tokenizer.json cannot decode the tokens") from error
        if not text.strip():
            raise self.model.fault("it wrote an empty caption for this image")
        return " ".join(text.split()).rstrip(" .")

    def _tokens(self, states: Array) -> Iterator[int]:
        """Yield the likeliest token after the ones before, until an end or the full length."""
        tokens = [self.start]
        while len(tokens) < self.length:
            logits = self.decoder.run(self._inputs(tokens, states), "logits")
            if logits.ndim != 3 or logits.shape[:2] != (1, len(tokens)):
                raise self.model.fault(f"the decoder's logits have the shape {logits.shape}")
            token = int(logits[0, -1].argmax())
            if token in self.ends:
                return
            tokens.append(token)
            yield token

    def _inputs(self, tokens: list[int], states: Array) -> dict[str, NDArray[Any]]:
        ids = np.array([tokens], np.int64)
        # A merged decoder needs its cache as an input even if it does not use it.
        empty = {
            name: np.zeros([1, *(side if isinstance(side, int) else 0 for side in shape[1:])])
            for name, shape in self.decoder.inputs().items()
            if name.startswith("past_key_values.")
        }
        return {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "encoder_hidden_states": states,
            "encoder_attention_mask": np.ones(states.shape[:2], np.int64),
            "use_cache_branch": np.array([False]),
            **empty,
        }


def chosen() -> Captioner | None:
    """Return the captioner that the setting names, or None."""
    model = local_models.model("captioner")
    return load(model) if model else None


@lru_cache(maxsize=2)
def load(model: Model) -> Captioner:
    """Return the captioner of a folder or of a repository's id."""
    encoder, decoder = model.file(*ENCODER), model.file(*DECODER)
    config = _generation_config(model)
    start, ends, length = (
        config.get(name) for name in ("decoder_start_token_id", "eos_token_id", "max_length")
    )
    start = config.get("bos_token_id") if start is None else start
    ends = ends if isinstance(ends, list) else [ends]
    if not all(isinstance(token, int) for token in (start, *ends)):
        raise model.fault("generation_config.json names no decoder_start_token_id or eos_token_id")
    return Captioner(
        model=model,
        encoder=Network(model, encoder),
        decoder=Network(model, decoder),
        preprocessing=read_preprocessing(model),
        tokenizer=model.tokenizer(),
        start=int(start or 0),
        ends=frozenset(ends),
        length=min(length, MOST) if isinstance(length, int) and length > 1 else LENGTH,
    )


def _generation_config(model: Model) -> dict[str, Any]:
    """Return the settings of the loop; older exports have them in config.json or its `decoder`."""
    config = model.read("config.json")
    inner = config.get("decoder")
    parts = (inner if isinstance(inner, dict) else {}, config, model.read("generation_config.json"))
    return {name: value for part in parts for name, value in part.items() if value is not None}
