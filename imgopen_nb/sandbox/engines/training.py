"""The engines of training: pictures are checked, time passes, and no weights come of it."""

from __future__ import annotations

import hashlib
from typing import Any

from ..engine import AbsentError, Seen, Work, engine

ABOUT = "Checks the pictures and lets time pass; no weights are trained."
NOTE = "the sandbox trained no weights"
STATUSES = {"running": 1, "succeeded": 2, "failed": 0}
SAID = {"running": "Training", "succeeded": "Success"}


@engine("train", name="training", fidelity="placeholder", about=ABOUT)
def train(work: Work) -> dict[str, Any]:
    """Check every picture and name the model that there would be; `Jobs` lets the time pass."""
    digest, count = hashlib.sha256(), 0
    for image in work.each_picture("images"):
        digest.update(image.resize((8, 8)).tobytes())
        count += 1
    name = f"sandbox-trained-{digest.hexdigest()[:8]}"
    return {
        "modelName": name,
        "sdModelCheckpoint": f"{name}.safetensors",
        "pictures": count,
        "note": NOTE,
    }


@engine("training-result", name="training", fidelity="placeholder", about=ABOUT)
def training_result(work: Work) -> dict[str, Any]:
    """Return how a training job stands; every member of the answer is assumed."""
    seen = work.task(str(work.params["task"]))
    if seen is None or seen.operation != "train":
        raise AbsentError("there is no training job of this taskId")
    return {
        "taskId": seen.key,
        "task_id": seen.server_id,
        "status": STATUSES[seen.state],
        "percentage": int(100 * seen.fraction),
        "epoch": int(seen.fraction * int(seen.params["epochs"])),
        "message": seen.error or SAID[seen.state],
        "note": NOTE,
        **_ending(seen),
    }


def _ending(seen: Seen) -> dict[str, Any]:
    """Return what only a job that has ended has."""
    if seen.state == "failed":
        return {"errorMessage": seen.error}
    return dict(seen.result) if seen.state == "succeeded" else {}
