"""docs/differences.md names every member that the sandbox adds to an answer, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgopen_nb.sandbox import engines
from imgopen_nb.sandbox.engine import TaskView
from imgopen_nb.session import Session

from ..sandbox_fixtures import FakeWork, picture_bytes, sample

ENGINES = engines.load()
DOCUMENT = Path(__file__).parents[2] / "docs" / "differences.md"
ROW = re.compile(r"^\| (`[^|]+) \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)
# The members that hold the results, and those that the documentation has.
RESULTS = {
    "outputImageUrl", "caption", "style", "faces", "prompts", "differentialImageRspList", "rows",
    "total", "pageSize", "pageNum", "status", "taskId", "task_id", "businessTaskId", "errorMessage",
}  # fmt: skip
FREE = {"note", "engine", "fidelity"}
SMALL = {"width": 64, "height": 64, "seed": 1}


def documented() -> dict[str, str]:
    """Return each member with the answers that have it."""
    table = DOCUMENT.read_text("utf-8").partition("## Extra members")[2]
    rows = ROW.findall(table)
    return {name: where for names, where in rows for name in re.findall(r"`(\w+)`", names)}


def dotted_mask() -> Image.Image:
    mask = Image.new("L", (512, 512))
    mask.paste(255, (200, 200, 216, 216))
    return mask


class Trained(FakeWork):
    """A work that finds one training job, which has ended."""

    def task(self, asked: str) -> TaskView:
        result = {"modelName": "a", "sdModelCheckpoint": "a.safetensors", "pictures": 10}
        return TaskView("k", "pro1", "train", "succeeded", 1.0, {"epochs": 20}, result, "")

    def each_picture(self, name: str) -> Any:
        return iter(self.pictures(name))


def pictures_of(name: str) -> dict[str, Any]:
    face = sample("grace_hopper").resize((256, 320))
    plain = Image.new("RGB", (48, 40), "teal")
    return {
        "image2image": {"image": plain},
        "controlnet": {"image": plain},
        "train": {"images": [plain] * 10},
        "face-swap": {"face": face, "image": face},
        "face-swap-v2": {"face": face, "image": face},
        "face-fusion": {"faces": [face], "image": face},
        "erase": {"image": sample("astronaut"), "mask": dotted_mask()},
        "control-preview": {"image": sample("astronaut")},
        **{n: {"image": face} for n in ("instant-id", "face-restore", "detect-faces", "hairstyle")},
        **{n: {"image": plain} for n in ("outpaint", "upscale", "enlarge", "watermark", "style")},
    }.get(name, {"image": sample("astronaut")})


PARAMS: dict[str, dict[str, Any]] = {
    "outpaint": {"horizontal": 1.1, "seed": 1},
    "hairstyle": {"hair": "red"},
    "watermark": {"text": "x"},
    "control-preview": {"preprocessor": "openpose"},
    "describe": {"model": "deepdanbooru"},
    "training-result": {"task": "k"},
    "controlnet": {"image": "u", "control": {"module": "invert"}, **SMALL},
    **dict.fromkeys(("text2image", "image2image", "flux"), SMALL),
    **{name: {"page": 1, "page_size": 9} for name in ("models", "loras", "vaes", "embeddings")},
}


@pytest.mark.parametrize("name", list(ENGINES))
def test_every_extra_member_is_in_the_document_and_says_where_it_is(name: str):
    work = Trained(pictures_of(name), {"prompt": "a fox", **PARAMS.get(name, {})})

    found = ENGINES[name].run(work)

    extra = set(found) - RESULTS
    assert {m for m in extra - FREE if name not in documented().get(m, "")} == set()
    listed = {
        member
        for member, where in documented().items()
        if re.search(rf"(?<![\w-]){name}(?![\w-])(?! \((?:clip|deepdanbooru with))", where)
        and not where.startswith(("each of", "all"))
    }
    if name == "controlnet":
        listed -= {"people"}  # with openpose only
    assert listed - extra == set()
    for face in found.get("faces", []):
        assert {m for m in face if "detect-faces" not in documented().get(m, "")} == set()


def test_what_every_answer_has_is_in_the_document(local: Session):
    result = local.run(
        "enlarge", image=picture_bytes(), scale=2, callback_url="http://127.0.0.1:9/none"
    )

    assert set(result.data) - RESULTS <= set(documented())
    assert {"callback", "backend", "engine", "fidelity", "seconds"} <= set(result.data)
    assert {"unused", "note", "terms"} <= set(documented())
