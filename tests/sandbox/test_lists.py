"""The sandbox's lists and its training: answers at once, honest rows, time that passes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgopen_nb.sandbox import engines
from imgopen_nb.sandbox.http.server import page
from imgopen_nb.sandbox.jobs.engine_loader import EngineLoader
from imgopen_nb.sandbox.process import TOKEN_VARIABLE, SandboxProcess
from imgopen_nb.session import Session

from ..sandbox_fixtures import Api, new_key, noisy_jpeg, picture_bytes

pytest_plugins = ["tests.sandbox_fixtures"]

DOCUMENTED = {
    "id", "sdModelCheckpoint", "sdModelName", "modelBaseModel", "modelHash", "modelType",
    "modelVersion", "modelStatus", "modelUploadStatus", "modelImgUrl2",
}  # fmt: skip
PAGE = {"pageSize": 10, "pageNum": 1}


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A sandbox whose clock can be moved."""
    home = tmp_path_factory.mktemp("trainer")
    with SandboxProcess.start(home, "--admin", "--training-seconds", "1000") as sandbox:
        yield Api(sandbox)


def trained(api: Api, *more: str, key: str = "", **values: Any) -> str:
    """Submit a training job on nine good images and `more`."""
    key = key or new_key("training")
    pictures = [api.picture(picture_bytes(colour=(n, 0, 0))) for n in range(10 - len(more))]
    answer = api.call("train", {"fileUrlList": [*pictures, *more], "taskId": key, **values})
    assert answer["code"] == "200", answer
    return key


def stands(api: Api, key: str) -> dict[str, Any]:
    answer = api.call("training-result", {"taskId": key})
    assert answer["code"] == "200", answer
    data: dict[str, Any] = answer["data"]
    return data


def checked(api: Api, key: str) -> dict[str, Any]:
    """Wait until the images have been looked at, which is not training yet."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        api.post("/_sandbox/clock", {"advance": 20})
        if (data := stands(api, key))["status"] == 0 or data["percentage"] > 0:
            return data
        time.sleep(0.05)
    raise AssertionError("the images were not checked in time")


def move(api: Api, seconds: float) -> None:
    assert api.post("/_sandbox/clock", {"advance": seconds})["code"] == "200"


# Lists


def test_models_has_the_documented_keys_and_says_that_they_are_placeholders(api: Api):
    data = api.call("models", PAGE)["data"]
    assert {"total", "pageSize", "pageNum", "rows"} <= set(data)
    assert data["fidelity"] == "placeholder"
    for row in data["rows"]:
        assert set(row) == DOCUMENTED
        assert row["sdModelName"].startswith("sandbox")
        assert row["sdModelCheckpoint"].startswith("sandbox")
        assert "placeholder" in row["sdModelName"]
        assert len(row["modelHash"]) == 64
        assert api.http.get(row["modelImgUrl2"], timeout=5).headers["Content-Type"] == "image/png"


@pytest.mark.parametrize("name", ["models", "loras", "vaes", "embeddings"])
def test_every_list_is_paged(api: Api, name: str):
    first = api.call(name, {"pageSize": 1, "pageNum": 1})["data"]
    total = first["total"]
    beyond = api.call(name, {"pageSize": 1, "pageNum": total + 1})["data"]
    assert (len(first["rows"]), beyond["rows"], beyond["total"]) == (1, [], total)
    assert (beyond["pageSize"], beyond["pageNum"]) == (1, total + 1)
    everything = api.call(name, {"pageSize": 99, "pageNum": 1})["data"]["rows"]
    pages = [
        api.call(name, {"pageSize": 1, "pageNum": n + 1})["data"]["rows"] for n in range(total)
    ]
    assert [row for page in pages for row in page] == everything


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"sdModelCheckpoint": "sandbox-photo.safetensors"}, 1),
        ({"sdModelCheckpoint": "sandbox-photo"}, 0),
        ({"sdModelName": "Drawing"}, 1),
        ({"sdModelName": "nothing such"}, 0),
        ({"sdModelCheckpoint": "sandbox-photo.safetensors", "sdModelName": "drawing"}, 0),
    ],
)
def test_models_are_filtered_by_file_and_by_part_of_the_name(
    api: Api, filters: dict[str, str], found: int
):
    data = api.call("models", {**PAGE, **filters})["data"]
    assert (len(data["rows"]), data["total"]) == (found, found)


def test_a_page_of_no_rows_is_refused(api: Api):
    answer = api.call("models", {"pageSize": 0, "pageNum": 1})
    assert (answer["code"], answer["msg"]) == (
        "400",
        "field pageSize must be at least 1, not 0",
    )


def test_a_session_lists_the_models(api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(TOKEN_VARIABLE, api.token)
    with Session(api.url) as session:
        result = session.run("models")
    assert result.data["rows"][0]["sdModelCheckpoint"] == "sandbox-photo.safetensors"


# Training


def test_training_takes_its_time_in_epochs_and_then_names_a_model_without_weights(trainer: Api):
    key = trained(trainer, maxEpochs=50)
    begun = checked(trainer, key)
    assert (begun["status"], begun["taskId"]) == (1, key)
    assert "modelName" not in begun
    move(trainer, 500)
    half = stands(trainer, key)
    assert half["status"] == 1
    assert 45 <= half["percentage"] < 100
    assert half["epoch"] == pytest.approx(half["percentage"] / 2, abs=1)
    move(trainer, 1000)
    done = stands(trainer, key)
    assert (done["status"], done["percentage"], done["epoch"]) == (2, 100, 50)
    assert done["note"] == "the sandbox trained no weights"
    assert done["fidelity"] == "placeholder"
    assert done["sdModelCheckpoint"] == f"{done['modelName']}.safetensors"


def test_what_was_trained_is_in_models_and_loras_once_it_is_done(trainer: Api):
    key = trained(trainer, trainer.picture(noisy_jpeg()))
    checked(trainer, key)
    before = trainer.call("loras", {"pageSize": 99, "pageNum": 1})["data"]["total"]
    move(trainer, 2000)
    file = stands(trainer, key)["sdModelCheckpoint"]
    (model,) = trainer.call("models", {**PAGE, "sdModelCheckpoint": file})["data"]["rows"]
    assert set(model) == DOCUMENTED
    assert model["modelType"] == "LoRA"
    loras = trainer.call("loras", {"pageSize": 99, "pageNum": 1})["data"]
    assert loras["total"] == before + 1
    assert stands(trainer, key)["modelName"] in [r["sdLoraFileSimplifyName"] for r in loras["rows"]]


def test_a_picture_that_cannot_be_read_fails_the_training_and_is_named(trainer: Api, gallery: str):
    said = {"text": "this is not an image", "truncated.jpg": "the image is truncated"}
    for bad, why in said.items():
        key = trained(trainer, f"{gallery}/{bad}")
        data = checked(trainer, key)
        assert data["status"] == 0
        assert data["message"].startswith(f"images (fileUrlList), image 10 of 10: {why}")
        assert data["errorMessage"] == data["message"]


def test_a_picture_that_cannot_be_fetched_is_named_too(trainer: Api):
    data = checked(trainer, trained(trainer, "http://127.0.0.1:9/x.png"))
    assert data["message"].startswith(
        "images (fileUrlList), image 10 of 10: 127.0.0.1 cannot be reached"
    )


def test_training_does_not_keep_other_tasks_waiting(trainer: Api):
    key = trained(trainer)
    checked(trainer, key)
    other = new_key()
    body = {"image": trainer.picture(noisy_jpeg()), "businessTaskId": other}
    trainer.call("describe", body)
    assert trainer.ended("describe", other)["data"]["status"] == 2
    assert stands(trainer, key)["status"] == 1


def test_only_training_jobs_have_a_training_result(trainer: Api):
    key = new_key()
    trainer.call("describe", {"image": "http://127.0.0.1:9/", "businessTaskId": key})
    for asked in (key, "nobody"):
        answer = trainer.call("training-result", {"taskId": asked})
        assert (answer["code"], answer["data"]) == ("404", None)


def test_training_goes_on_while_the_sandbox_is_away(tmp_path: Path):
    options = ("--admin", "--training-seconds", "300")
    with SandboxProcess.start(tmp_path, *options) as first:
        key = trained(Api(first), key="kept")
        before = checked(Api(first), key)
    with SandboxProcess.start(tmp_path, *options) as second:
        api = Api(second)
        assert stands(api, key)["status"] == before["status"] == 1
        move(api, 1000)
        after = stands(api, key)
        assert after["status"] == 2
        rows = api.call("loras", {"pageSize": 99, "pageNum": 1})["data"]["rows"]
        assert after["sdModelCheckpoint"] in [row["sdLoraFileName"] for row in rows]


def test_a_session_waits_for_a_training_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with SandboxProcess.start(tmp_path, "--training-seconds", "0.5") as sandbox:
        api = Api(sandbox)
        pictures = [api.picture(picture_bytes(colour=(n, 9, 9))) for n in range(10)]
        monkeypatch.setenv(TOKEN_VARIABLE, api.token)
        with Session(sandbox.url) as session:
            result = session.run("train", images=pictures)
    assert result.data["sdModelCheckpoint"].startswith("sandbox-trained-")
    assert (result.fidelity, result.data["epoch"]) == ("placeholder", 20)


# Families of engines


def test_a_family_that_cannot_be_imported_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(engines, "FAMILIES", ("describe", "no_such_family", "lists"))
    monkeypatch.setattr(engines, "PROBLEMS", {})
    engine_loader = EngineLoader()
    engine_loader.load()
    assert engine_loader.engine("models") is not None
    assert "no_such_family: ModuleNotFoundError" in engine_loader.problem
    assert "no_such_family" in engine_loader.why_missing("nothing")
    assert "no_such_family cannot be loaded" in caplog.text


def test_the_page_says_which_engines_cannot_be_loaded():
    assert "cannot be loaded:</strong> x: &lt;Error&gt;" in page([], "u", "x: <Error>")
    assert "cannot be loaded" not in page([], "u")
