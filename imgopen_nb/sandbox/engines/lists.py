"""The engines of the four lists: models, LoRAs, VAEs and embeddings.

The rows are placeholders and say so, except for those that a caller has "trained" here. The keys of
a row of `models` are documented; those of the other three lists are assumed to be similar.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...catalogue.operations import OPERATIONS
from ..engine import EngineError, TaskView, Work, engine

if TYPE_CHECKING:
    from PIL import Image

Row = dict[str, Any]
ABOUT = "Placeholder rows without weights, plus what was trained here."
NOTE = "placeholder, no weights"
CHECKPOINTS = (
    (1, "sandbox-photo.safetensors", "sandbox photo"),
    (2, "sandbox-drawing.safetensors", "sandbox drawing"),
)
LORAS = ((1, "sandbox-lora.safetensors", "sandbox_lora"),)
VAES = ((1, "sandbox-vae.safetensors"), (2, "sandbox-vae-soft.safetensors"))
EMBEDDINGS = ((1, "sandbox-embedding.pt"),)
FIRST_TRAINED = 1001


@engine("models", name="lists", fidelity="placeholder", about=ABOUT)
def models(work: Work) -> Row:
    """Return the checkpoints and what was trained, filtered by file and by display name."""
    preview = work.save(_preview())
    rows = [_model(number, file, name, preview) for number, file, name in CHECKPOINTS]
    for number, task in _trained(work):
        file, name = task.result["sdModelCheckpoint"], task.result["modelName"]
        rows.append({**_model(number, file, name, preview), "modelType": "LoRA"})
    return _page(work, [row for row in rows if _wanted(work, row)])


@engine("loras", name="lists", fidelity="placeholder", about=ABOUT)
def loras(work: Work) -> Row:
    """Return the LoRA files; `sdLoraFileSimplifyName` is what a prompt calls one by."""
    rows = [_lora(*row) for row in LORAS]
    for number, task in _trained(work):
        rows.append(_lora(number, task.result["sdModelCheckpoint"], task.result["modelName"]))
    return _page(work, rows)


@engine("vaes", name="lists", fidelity="placeholder", about=ABOUT)
def vaes(work: Work) -> Row:
    """Return the VAE files."""
    return _page(work, [{"id": n, "sdVaeFileName": f, "note": NOTE} for n, f in VAES])


@engine("embeddings", name="lists", fidelity="placeholder", about=ABOUT)
def embeddings(work: Work) -> Row:
    """Return the embeddings."""
    return _page(work, [{"id": n, "sdEmbeddingFileName": f, "note": NOTE} for n, f in EMBEDDINGS])


def checkpoints(work: Work) -> list[str]:
    """Return the files that `models` lists."""
    trained = [task.result["sdModelCheckpoint"] for _, task in _trained(work)]
    return [*(file for _, file, _ in CHECKPOINTS), *trained]


def _model(number: int, file: str, name: str, preview: str) -> Row:
    return {
        "id": number,
        "sdModelCheckpoint": file,
        "sdModelName": f"{name} ({NOTE})",
        "modelBaseModel": "none",
        # The hash of the name, as there is no file.
        "modelHash": hashlib.sha256(file.encode("utf-8", "replace")).hexdigest().upper(),
        "modelType": "Checkpoint",
        "modelVersion": "placeholder",
        "modelStatus": 1,
        "modelUploadStatus": 2,
        "modelImgUrl2": preview,
    }


def _lora(number: int, file: str, call: str) -> Row:
    return {
        "id": number,
        "sdLoraFileName": file,
        "sdLoraFileSimplifyName": call,
        "sdLoraName": f"{call} ({NOTE})",
        "note": NOTE,
    }


def _trained(work: Work) -> Iterator[tuple[int, TaskView]]:
    """Yield the training jobs that succeeded, each with a number that does not change."""
    for number, task in enumerate(work.trainings(), FIRST_TRAINED):
        if task.state == "succeeded":
            yield number, task


def _wanted(work: Work, row: Row) -> bool:
    """Whether a row fits the filters: a file by its name, a display name by any part of it."""
    file, name = (str(work.params.get(key, "")).lower() for key in ("model", "model_name"))
    return file in ("", row["sdModelCheckpoint"].lower()) and name in row["sdModelName"].lower()


def _page(work: Work, rows: list[Row]) -> Row:
    size, number = _count(work, "page_size"), _count(work, "page")
    shown = rows[(number - 1) * size : number * size]
    return {"rows": shown, "total": len(rows), "pageSize": size, "pageNum": number}


def _count(work: Work, name: str) -> int:
    count = int(work.params[name])
    if count < 1:
        field = OPERATIONS["models"].param(name).label
        raise EngineError(f"{field} must be at least 1, not {count}")
    return count


def _preview() -> Image.Image:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (128, 128), (120, 120, 128))
    ImageDraw.Draw(image).text((22, 58), "placeholder", fill=(240, 240, 240))
    return image
