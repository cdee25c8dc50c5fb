"""The sandbox's neural networks: loaded on first use, each run by one small function.

Only this module touches onnxruntime. Where the files come from is in `models/MODELS.md`.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from .arrays import Array, Floats, flatten

MODELS = Path(__file__).parents[1] / "models"
# A second thread costs the small networks up to twice the processor time, for no speed.
THREADS = {"nanodet": 2, "realesr_animevideov3_x4": 2, "u2netp": 2}
ALL_CORES = 0  # for networks of a user's own, which are large
# ImageNet's, as U2-Net was trained with.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)

_sessions: dict[str, Any] = {}
_lock = Lock()


def _options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    # The arena never gives memory back: u2netp alone would hold 540 MB instead of 380.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.intra_op_num_threads = threads
    # Threads that wait by spinning double the processor time of the small networks, for no speed.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def session(model: str) -> Any:
    """Return the onnxruntime session of the file `model`.onnx, loading it once."""
    with _lock:
        if model not in _sessions:
            _sessions[model] = onnxruntime.InferenceSession(
                MODELS / f"{model}.onnx",
                _options(ALL_CORES if Path(model).is_absolute() else THREADS.get(model, 1)),
                providers=["CPUExecutionProvider"],
            )
        return _sessions[model]


def run(model: str, inputs: Floats, outputs: list[str] | None = None) -> dict[str, Array]:
    """Feed a network of one input, and return its outputs (or the named ones) by name."""
    loaded = session(model)
    names = outputs or [output.name for output in loaded.get_outputs()]
    feed = {loaded.get_inputs()[0].name: np.ascontiguousarray(inputs, dtype=np.float32)}
    return dict(zip(names, loaded.run(names, feed), strict=True))


def softmax(logits: Array) -> Array:
    """Turn logits into probabilities along the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)


def classify(image: Image.Image) -> tuple[Array, Array]:
    """Return EfficientNet-Lite0's 1000 ImageNet probabilities and its 1280 features."""
    square = flatten(image).resize((224, 224), Image.Resampling.BICUBIC)
    pixels = (np.asarray(square, np.float32) - np.float32(127)) / np.float32(128)
    read = run("efficientnet_lite0", pixels.transpose(2, 0, 1)[None])
    return softmax(read["logits"][0]), read["feat"][0]


def subject_map(image: Image.Image, side: int = 320) -> Array:
    """Return how sure U2-Net-p is of the subject, `side` by `side`, each value in 0..1.

    The network was trained at 320; at 224 it takes half the time, which is good enough for areas.
    """
    square = flatten(image).resize((side, side), Image.Resampling.BILINEAR)
    pixels = np.asarray(square, np.float32)
    pixels = (pixels / max(1.0, float(pixels.max())) - MEAN) / DEVIATION
    read = run("u2netp", pixels.transpose(2, 0, 1)[None], ["1959"])["1959"]
    return np.asarray(read[0, 0], np.float32)


def stretched(mask: Array) -> Array:
    """Return a map with its values spread from 0 to 1; all 0 if they are the same."""
    spread = float(mask.max() - mask.min())
    return np.asarray((mask - mask.min()) / spread if spread > 1e-6 else np.zeros_like(mask))


def subject_mask(image: Image.Image, side: int = 320) -> Array:
    """Return `subject_map` stretched: it has a subject even where the network saw hardly any."""
    return stretched(subject_map(image, side))


def quadruple(pixels: Array) -> Array:
    """Return what Real-ESRGAN makes of pixels (height, width, 3) in 0..255: four times the size."""
    read = run("realesr_animevideov3_x4", pixels.transpose(2, 0, 1)[None] / 255)["output"][0]
    return np.asarray(np.clip(read.transpose(1, 2, 0), 0, 1) * 255, np.float32)
