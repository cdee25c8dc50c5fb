"""The engines of training: they check the images and let time pass, but train no weights."""

from __future__ import annotations

import hashlib
from typing import Any

from ..engine import AbsentError, TaskView, Work, engine

ABOUT = "Checks the images and waits; no weights are trained."
NOTE = "the sandbox trained no weights"
STATUSES = {"running": 1, "succeeded": 2, "failed": 0}
SAID = {"running": "Training", "succeeded": "Success"}


@engine("train", name="training", fidelity="placeholder", about=ABOUT)
def train(work: Work) -> dict[str, Any]:
    """Check every image and invent a model's name; `Jobs` lets the time pass."""
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
    """Return the state of a training job; every member of the answer is assumed."""
    task = work.task(str(work.params["task"]))
    if task is None or task.operation != "train":
        raise AbsentError("there is no training job with this taskId")
    return {
        "taskId": task.key,
        "task_id": task.server_id,
        "status": STATUSES[task.state],
        "percentage": int(100 * task.fraction),
        "epoch": int(task.fraction * int(task.params["epochs"])),
        "message": task.error or SAID[task.state],
        "note": NOTE,
        **_ending(task),
    }


def _ending(task: TaskView) -> dict[str, Any]:
    """Return what only a job that has ended has."""
    if task.state == "failed":
        return {"errorMessage": task.error}
    return dict(task.result) if task.state == "succeeded" else {}
