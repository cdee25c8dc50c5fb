"""From an image to a caption through the sandbox over real HTTP, as a notebook does it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import imgopen_nb as imgopen
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.errors import TaskFailedError
from imgopen_nb.sandbox import engines
from imgopen_nb.session import Session

# What each photograph must be recognised as, by a word of its caption in either model.
SUBJECTS = {
    "astronaut": ("person", "1other"),
    "camera": ("tripod", "1other"),
    "chelsea": ("cat", "cat"),
    "coffee": ("espresso", "coffee"),
    "grace_hopper": ("person", "1other"),
    "rocket": ("rocket", "rocket"),
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_main_subject_of_each_sample_is_named_by_both_models(local: Session, name: str):
    sentence, tag = SUBJECTS[name]

    by_clip = local.run("describe", image=f"sample:{name}", model="clip")
    by_tags = local.run("describe", image=f"sample:{name}", model="deepdanbooru")

    assert sentence in (by_clip.caption or "")
    assert any(tag in t.name for t in by_tags.tags)
    assert all(t.score is not None for t in by_tags.tags)
    assert (by_clip.backend, by_clip.fidelity) == ("sandbox", "approximate")


def encoded(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def pictures() -> dict[str, Any]:
    cat = Image.open(imgopen.samples()["chelsea"])
    return {
        "path": str(imgopen.samples()["chelsea"]),
        "Path": imgopen.samples()["chelsea"],
        "bytes": encoded(cat, "PNG"),
        "PIL": cat,
        "array": np.asarray(cat),
        "floats": np.asarray(cat) / 255.0,
        "with alpha": cat.convert("RGBA"),
        "palette": cat.convert("P"),
        "CMYK": encoded(cat.convert("CMYK"), "JPEG"),
        "grey": cat.convert("L"),
    }


@pytest.mark.parametrize("kind", pictures())
def test_a_picture_may_be_given_in_any_form(local: Session, kind: str):
    result = local.run("describe", image=pictures()[kind])

    assert "cat" in (result.caption or "")
    assert result.thumbnail(192) is not None


FACE, FACES, CAT = "sample:grace_hopper", "sample:astronaut", "sample:chelsea"
# What each operation needs, besides what it has by itself.
CALLS: dict[str, dict[str, Any]] = {
    "text2image": {"prompt": "a red fox", "width": 256, "height": 192, "seed": 3},
    "image2image": {"prompt": "a red fox", "image": CAT, "model": "any.safetensors"},
    "controlnet": {
        "prompt": "a fox", "image": CAT, "control": {"module": "canny"}, "resize_mode": 0,
    },
    "models": {},
    "loras": {},
    "vaes": {},
    "embeddings": {},
    "flux": {"prompt": "a red fox"},
    "face-swap": {"face": FACE, "image": FACES},
    "face-swap-v2": {"face": FACE, "image": FACES, "fidelity": 0.5},
    "instant-id": {"image": FACE, "prompt": "a ceramic doll"},
    "face-restore": {"image": FACE},
    "upscale": {"image": "SMALL"},
    "describe": {"image": CAT},
    "face-fusion": {"faces": [FACE], "image": FACES},
    "detect-faces": {"image": FACES},
    "expand-prompt": {"prompt": "a girl", "count": 3},
    "hairstyle": {"image": FACES, "hair": "red"},
    "erase": {"image": CAT, "mask": "MASK"},
    "style": {"image": CAT},
    "outpaint": {"image": "SMALL", "vertical": 1.25, "horizontal": 1.5},
    "control-preview": {"image": CAT, "preprocessor": "canny"},
    "remove-background": {"image": CAT},
    "enlarge": {"image": CAT},
    "watermark": {"image": CAT, "text": "imgopen"},
}  # fmt: skip


def filled(call: dict[str, Any]) -> dict[str, Any]:
    """Put in the images that the test makes."""
    cat = Image.open(imgopen.samples()["chelsea"])
    mask = Image.new("L", cat.size, 0)
    mask.paste(255, (20, 20, 80, 80))
    made = {"SMALL": cat.resize((128, 85)), "MASK": mask}
    return {k: made.get(v, v) if isinstance(v, str) else v for k, v in call.items()}


def test_the_list_of_calls_is_complete():
    """Training lives for minutes and has tests of its own."""
    runnable = {op.name for op in OPERATIONS.runnable}

    assert set(CALLS) == runnable - {"train", "training-result"}


@pytest.mark.parametrize("name", CALLS)
def test_every_operation_runs_by_its_name(local: Session, name: str):
    """With a result of its kind, marked with the engine's true fidelity, and a card."""
    result = local.run(name, **filled(CALLS[name]))

    row, engine = OPERATIONS[name], engines.load()[name]
    assert result.status == "succeeded"
    assert (result.backend, result.kind) == ("sandbox", row.kind)
    assert result.fidelity in ("real", "approximate", "placeholder")
    assert engine.about
    output = {
        "images": result.images, "caption": result.caption, "style": result.tags,
        "boxes": result.faces, "prompts": result.prompts, "rows": result.rows,
    }[row.kind]  # fmt: skip
    assert output or row.kind == "rows"
    for image in result.images:
        assert min(image.pil().size) >= 64
    assert "sandbox" in result._repr_mimebundle_()["text/html"]


def test_a_session_without_keys_starts_its_sandbox_and_starts_it_again_when_it_dies():
    with Session() as session:
        assert "cat" in (session.run("describe", image="sample:chelsea").caption or "")
        process = session.manager.backend._sandbox
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.2)

        assert "rocket" in (session.run("describe", image="sample:rocket").caption or "")
    assert not process.alive


KILLED = """
import os, signal, sys
from imgopen_nb.session import Session
session = Session()
print(session.submit("describe", image=sys.argv[1]).id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_task_outlives_the_kill_of_its_process(clean_world: Path):
    """kill -9 after the submission: the next process resumes the task and gets its caption."""
    picture = str(imgopen.samples()["coffee"])
    command = [sys.executable, "-c", KILLED, picture]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL

    with Session() as session:
        (task,) = session.resume()

        assert task.id == killed.stdout.strip()
        assert "espresso" in (task.result(timeout=60).caption or "")
        assert session.history().status.tolist() == ["succeeded"]


def test_a_failed_task_says_why_and_is_kept(local: Session):
    with pytest.raises(TaskFailedError, match="no face was found"):
        local.run("detect-faces", image="sample:coffee")

    assert "no face was found" in local.history().error[0]


def test_the_demo_prints_a_table_writes_a_report_and_succeeds(tmp_path: Path):
    command = [sys.executable, "-m", "imgopen_nb.cli", "demo", "--report", "report.html"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert "espresso" in done.stdout
    assert "make lab" in done.stdout
    report = (tmp_path / "report.html").read_text("utf-8")
    assert report.count("data:image/jpeg;base64,") == 6
    assert "<script" not in report


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["describe", "sample:coffee"], 0, "espresso"),
        (["ops"], 0, "remove-background"),
        (["history"], 0, "history is empty"),
        (["describe", "sample:cofee"], 2, "did you mean coffee?"),
        (["describe", "nothing.png"], 2, "no file"),
        (["describe", "--help"], 0, "usage: imgopen describe"),
        (["detect-faces", "sample:coffee"], 1, "no face was found"),
        (["nonsense"], 2, "no command"),
        (["--version"], 0, imgopen.__version__),
        ([], 0, "Serve the sandbox"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_command_line_has_the_same_verbs(
    arguments: list[str], code: int, part: str, sandbox_url: str
):
    env = {**os.environ, "IMGOPEN_BASE_URL": sandbox_url}
    command = [sys.executable, "-m", "imgopen_nb.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)

    assert done.returncode == code
    assert part in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
