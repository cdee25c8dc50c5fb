"""`ds.train`: the kept images go to the service's training, and captions stay."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgopen_nb.batch.batch import Batch
from imgopen_nb.datasets.dataset import Dataset
from imgopen_nb.datasets.training import TrainingPlan
from imgopen_nb.errors import ImgOpenError, ParameterError, PictureError, UsageError
from imgopen_nb.sandbox.process import SandboxProcess
from imgopen_nb.session import Session
from imgopen_nb.tasks.task import Task

from ..conftest import KEY_ID, KEY_SECRET
from ..folder_server import register_stores, serving
from ..stub import Stub, ok
from .test_selection import png

SENTENCE = "Img Open trains on images only: 2 captions are not sent with them"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve images and a copy of one; the first two have captions."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}.png").write_bytes(png("red") + bytes([number]))
    (folder / "copy of 11.png").write_bytes(png("red") + bytes([11]))
    (folder / "00.txt").write_text("ohwx on a chair")
    (folder / "01.txt").write_text("ohwx in the rain")
    monkeypatch.chdir(tmp_path)
    return folder


def trained(ds: Dataset, **how: object) -> Task:
    task = ds.train(**how)  # type: ignore[arg-type]
    assert isinstance(task, Task)
    return task


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session whose sandbox trains in no time."""
    with SandboxProcess.start(tmp_path / "sandbox", "--training-seconds", "0") as process:
        monkeypatch.setenv("IMGOPEN_SANDBOX_TOKEN", process.token.reveal())
        with Session(process.url) as session:
            yield session


def test_the_kept_pictures_are_uploaded_to_the_sandbox_each_once(folder: Path, local: Session):
    ds = local.dataset(folder)
    ds.reject(["02.png"])
    task = trained(ds, name="ohwx", epochs=10)

    assert len(task.params["images"]) == 11
    assert (task.operation.name, task.params["epochs"]) == ("train", 10)
    assert SENTENCE in task.remarks
    for shown in task._repr_mimebundle_().values():
        assert SENTENCE in str(shown) or isinstance(shown, dict)
    noted = [event["detail"] for event in local.manager.table.events(task.id)]
    assert "training ohwx: 11 images" in noted
    result = task.result(60)
    assert result.data["pictures"] == 11
    assert SENTENCE in result.notes


def test_with_a_key_they_go_by_the_address_of_their_folder(
    folder: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    stub.replies(ok(taskId="s1"))
    with serving(folder) as (url, asked):
        monkeypatch.setenv("IMGOPEN_PICTURES", f"photos={url}")
        with Session(stub.url, KEY_ID, KEY_SECRET) as session:
            ds = session.dataset(folder)
            plan = ds.train(where=range(11), dry_run=True)
            assert stub.requests == []
            trained(ds, where=range(11), seed=7)

    (request,) = stub.submissions()[:1]
    assert request.body["fileUrlList"] == [f"{url}{n:02}.png" for n in range(11)]
    assert "caption" not in json.dumps(request.body)
    assert isinstance(plan, TrainingPlan)
    assert repr(plan).splitlines() == [
        "train photos: 11 images",
        f"  11 images are served at {url}",
        f"  {SENTENCE}",
        "  nothing was sent",
    ]
    assert len(asked) == 11


def test_with_a_store_they_are_uploaded_and_signed(
    folder: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    register_stores()
    stub.replies(ok(taskId="s1"))
    monkeypatch.setenv("IMGOPEN_PICTURES", "photos=signing://bucket/set")
    with Session(stub.url, KEY_ID, KEY_SECRET) as session:
        task = trained(session.dataset(folder))
        assert session.manager.table.get(task.id)["body"] is None

    addresses = stub.submissions()[0].body["fileUrlList"]
    assert len(set(addresses)) == 12
    assert all("/bucket/set/imgopen-" in address for address in addresses)


@pytest.mark.parametrize(
    ("where", "said", "hint"),
    [
        (range(9), "takes 10 to 100 different images, but there are 9: nothing was sent", "keep"),
        (range(11, 13), "but there are 1:", "add images"),  # two files, one image
        (None, "but there are 101:", "where="),
    ],
)
def test_too_few_and_too_many_are_refused_with_what_to_do(
    folder: Path, session: Session, stub: Stub, where: object, said: str, hint: str
):
    if where is None:
        for number in range(12, 101):
            (folder / f"{number:03}.png").write_bytes(png("red") + bytes([number]))
    ds = session.dataset(folder)
    for dry_run in (True, False):
        with pytest.raises(UsageError, match=re.escape(said)) as caught:
            ds.train(where=where, dry_run=dry_run)
        assert hint in caught.value.hint
    assert (stub.requests, session.history.count()) == ([], 0)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"images": ["a.png"]}, "uses the images of the dataset"),
        ({"fileUrlList": []}, "uses the images of the dataset"),
        ({"epochs": 5}, "epochs"),
        ({"nonsense": 1}, "nonsense"),
        ({}, "is on this machine"),
    ],
)
def test_what_cannot_be_sent_is_told_and_nothing_is_paid(
    folder: Path, session: Session, stub: Stub, params: dict[str, object], said: str
):
    with pytest.raises(ImgOpenError, match=said):
        session.dataset(folder).train(**params)  # type: ignore[arg-type]
    assert (stub.requests, session.history.count()) == ([], 0)


def test_rejected_pictures_are_not_sent_whatever_is_chosen(folder: Path, session: Session):
    ds = session.dataset(folder)
    ds.reject(["00.png", "01.png", "02.png"])
    with pytest.raises(UsageError, match="but there are 9"):
        ds.train(where=ds.frame.index >= 0)


def test_a_picture_that_is_gone_is_named(folder: Path, session: Session):
    ds = session.dataset(folder)
    (folder / "05.png").unlink()
    with pytest.raises(PictureError, match=r"images, image 6 of 12: there is no file .*05\.png"):
        ds.train()


def test_text2image_draws_from_the_captions(folder: Path, session: Session, stub: Stub):
    """An image without a caption is a row without a prompt; with `dropna` it is none."""
    stub.replies(ok(status=2, differentialImageRspList=[{"image_url": "https://e.org/1.png"}]))
    ds = session.dataset(folder)
    batch = session.map("text2image", ds.caption.dropna(), progress=False)
    assert isinstance(batch, Batch)
    assert sorted(request.body["prompt"] for request in stub.submissions()) == [
        "ohwx in the rain",
        "ohwx on a chair",
    ]
    assert list(batch.wide().index) == [0, 1]

    whole = session.map("text2image", ds.caption, seed=3, progress=False)
    assert isinstance(whole, Batch)
    assert len(whole.errors()) == 11
    assert len(whole) == len(ds)


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_plan_refuses_the_timeout_that_the_call_would(
    folder: Path, local: Session, dry_run: bool
):
    ds = local.dataset(folder)

    with pytest.raises(ParameterError, match="timeout"):
        ds.train(timeout="soon", dry_run=dry_run)  # type: ignore[arg-type]
