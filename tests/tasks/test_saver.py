"""The setting `save`: what the service makes is kept in a folder when the task's end is seen."""

from __future__ import annotations

import copy
import json
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgopen_nb.catalogue.status import State
from imgopen_nb.server_extension.receiver import Receiver
from imgopen_nb.session import Session
from imgopen_nb.tasks import saver as saver_module

from ..conftest import KEY_ID, KEY_SECRET
from ..datasets.test_selection import png
from ..stub import Reply, Request, Stub, ok


class Painter:
    """A service that draws: its tasks end when `done`, and its files are there while `there`."""

    def __init__(self, stub: Stub, count: int = 1) -> None:
        self.stub, self.count = stub, count
        self.done = self.there = True
        self.fetched: list[str] = []
        self.failures = 0
        stub.answer = self

    def __call__(self, request: Request) -> Reply:
        if request.body is None:
            self.fetched.append(request.path)
            if self.failures:
                self.failures -= 1
                return Reply(b"", 503)
            return Reply(png("teal")) if self.there else Reply(b"", 404)
        if not self.done:
            return ok(status=1)
        return ok(**self.end())

    def end(self) -> dict[str, object]:
        urls = [{"image_url": f"{self.stub.url}/out/{n}.png"} for n in range(self.count)]
        return {"status": 2, "differentialImageRspList": urls}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "made"
    monkeypatch.setenv("IMGOPEN_SAVE", str(folder))
    monkeypatch.setattr(saver_module, "PAUSE", 0.05)
    return folder


@pytest.fixture
def opened(made: Path, stub: Stub) -> Iterator[Callable[[], Session]]:
    sessions: list[Session] = []

    def open_one() -> Session:
        sessions.append(Session(stub.url, KEY_ID, KEY_SECRET))
        return sessions[-1]

    yield open_one
    for session in sessions:
        session.close()


Opening = Callable[[], Session]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def test_pictures_are_kept_under_the_names_of_save(opened: Opening, stub: Stub, made: Path):
    Painter(stub, 2)
    result = opened().run("text2image", prompt="a fox", seed=7)

    stem = f"text2image-{result.task_id}"
    assert result.files == [made / f"{stem}-1.png", made / f"{stem}-2.png"]
    assert names(made) == [f"{stem}-1.png", f"{stem}-2.png", f"{stem}.json"]
    assert [path.read_bytes() for path in result.files] == [png("teal")] * 2
    assert json.loads((made / f"{stem}.json").read_text())["params"]["prompt"] == "a fox"
    assert any(note.startswith(f"saved in {made}") for note in result.notes)


def test_without_the_setting_and_for_captions_nothing_is_kept(
    opened: Opening, stub: Stub, made: Path, monkeypatch: pytest.MonkeyPatch
):
    Painter(stub)
    monkeypatch.setenv("IMGOPEN_SAVE", "")
    assert opened().run("text2image", prompt="a fox").files == []
    monkeypatch.setenv("IMGOPEN_SAVE", str(made))
    stub.replies(ok(status=2, caption="a cat"))
    assert opened().run("describe", image="https://e.org/a.png").files == []
    assert not made.exists()


def test_a_result_shows_itself_from_its_file_when_the_address_is_gone(
    opened: Opening, stub: Stub, made: Path, tmp_path: Path
):
    painter = Painter(stub)
    task_id = opened().run("text2image", prompt="a fox", seed=7).task_id
    painter.there = False

    later = opened().task(task_id).result()  # as after a restart: from the history
    for result in (later, copy.copy(later), pickle.loads(pickle.dumps(later))):
        assert result.images[0].data() == png("teal")
        assert result.output_thumbnail().original == result.images[0].pil().size
        assert result.files == [made / f"text2image-{task_id}.png"]
    assert later.save(tmp_path / "copy")[0].read_bytes() == png("teal")

    later.files[0].write_bytes(png("red"))  # edited: no longer what the service made
    assert later.output_thumbnail() is None
    later.files[0].unlink()
    assert later.files == []


def test_a_call_whose_picture_was_kept_is_not_paid_again(
    cached: None, opened: Opening, stub: Stub, made: Path
):
    painter = Painter(stub)
    session = opened()
    first = session.run("text2image", prompt="a fox", seed=7)
    painter.there = False
    again = session.run("text2image", prompt="a fox", seed=7)
    assert (again.cached, again.files) == (True, first.files)

    first.files[0].unlink()
    painter.there = True
    stub.requests.clear()
    assert session.run("text2image", prompt="a fox", seed=7).cached  # its address still is there


def test_what_cannot_be_fetched_is_tried_once_more(opened: Opening, stub: Stub, made: Path):
    painter = Painter(stub)
    painter.failures = 1
    assert len(opened().run("text2image", prompt="a fox").files) == 1
    assert len(painter.fetched) == 2


@pytest.mark.parametrize("trouble", ["gone", "a file", "html", "a file of the user"])
def test_a_failure_is_a_note_and_the_result_is_there(
    opened: Opening, stub: Stub, made: Path, trouble: str
):
    painter = Painter(stub)
    session = opened()
    painter.done = False
    task = session.submit("text2image", prompt="a fox")
    own = made / f"text2image-{task.id}.png"
    if trouble == "gone":
        painter.there = False
    elif trouble == "a file":
        made.write_text("mine")
    elif trouble == "html":
        answer = painter.__call__
        stub.answer = lambda r: Reply(b"<html>") if r.body is None else answer(r)
    else:
        made.mkdir()
        own.write_text("mine")
    painter.done = True
    result = task.result(20)

    assert [note for note in result.notes if note.startswith(f"not saved in {made}: ")]
    assert (result.status, len(result.images), session.rows()[0]["status"]) == (
        "succeeded", 1, "succeeded",
    )  # fmt: skip
    assert result.files == []
    if trouble.startswith("a file"):
        assert (made if trouble == "a file" else own).read_text() == "mine"


def test_a_slow_download_does_not_hold_the_poller(opened: Opening, stub: Stub, made: Path):
    """While as many downloads hang as there are threads for them, other tasks end as usual."""
    painter, free = Painter(stub), threading.Event()
    answer = painter.__call__

    def slow(request: Request) -> Reply:
        if request.body is None:
            free.wait(20)
        return answer(request)

    stub.answer = slow
    session = opened()
    hanging = [session.submit("text2image", prompt=f"{n}") for n in range(8)]
    for task in hanging:
        assert task.wait(20).state is State.SUCCEEDED
    assert session.submit("text2image", prompt="more").wait(20).result(0).images
    assert not made.exists()
    free.set()
    assert [len(task.result(20).files) for task in hanging] == [1] * 8


def test_every_picture_of_a_batch_is_kept(opened: Opening, stub: Stub, made: Path):
    Painter(stub)
    batch = opened().map("text2image", [f"fox {n}" for n in range(20)], progress=False)

    kept = [result.files for result in batch.results()]  # type: ignore[union-attr]
    assert [len(files) for files in kept] == [1] * 20
    assert len(names(made)) == 40


def test_an_end_that_a_callback_tells_is_kept(opened: Opening, stub: Stub, made: Path):
    painter = Painter(stub)
    painter.done = False
    session = opened()
    task = session.submit("text2image", prompt="a fox")
    receiver = Receiver(session.settings.home)
    receiver.receive(task.id, json.dumps(painter.end()).encode())
    receiver.close()
    session.manager._inbox.poll()

    assert [path.parent for path in task.result(20).files] == [made]


def test_closing_waits_for_what_is_being_saved(opened: Opening, stub: Stub, made: Path):
    Painter(stub)
    session = opened()
    session.submit("text2image", prompt="a fox").wait(20)
    session.close()
    assert len(names(made)) == 2


SCRIPT = """
import os, signal, sys
from imgopen_nb.session import Session
from imgopen_nb.tasks.saver import Saver
if sys.argv[2] == "killed":
    Saver._save = lambda self, task: os.kill(os.getpid(), signal.SIGKILL)
session = Session(sys.argv[1], "id-of-a-test", "secret-of-a-test")
task = session.submit("text2image", prompt="a fox")
if sys.argv[2] == "running":
    os.kill(os.getpid(), signal.SIGKILL)
task.wait(20)
"""


def run_script(stub: Stub, way: str) -> int:
    command = [sys.executable, "-c", SCRIPT, stub.url, way]
    return subprocess.run(command, timeout=60).returncode


def test_a_script_that_ends_has_saved_what_it_saw(made: Path, stub: Stub):
    """It neither closes its session nor asks for the result."""
    Painter(stub)
    assert run_script(stub, "ends") == 0
    assert len(names(made)) == 2


@pytest.mark.parametrize(
    ("way", "later"), [("running", "resume"), ("killed", "resume"), ("killed", "task")]
)
def test_what_a_killed_kernel_did_not_save_is_saved_later(
    opened: Opening, stub: Stub, made: Path, way: str, later: str
):
    """Killed while the task ran, or between its end and its files."""
    painter = Painter(stub)
    painter.done = way == "killed"
    assert (run_script(stub, way), made.exists()) == (-signal.SIGKILL, False)

    painter.done = True
    session = opened()
    task_id = session.rows()[0]["task_id"]
    if later == "resume":
        session.resume()
    result = session.task(task_id).result(20)
    assert result.files == [made / f"text2image-{task_id}.png"]

    result.files[0].unlink()  # the user does not want it: it does not come back
    session.resume()
    session.manager.saver.flush()
    assert result.files == []


def test_imported_tasks_are_not_fetched(opened: Opening, stub: Stub, made: Path, tmp_path: Path):
    painter = Painter(stub)
    session = opened()
    task_id = session.run("text2image", prompt="a fox").task_id
    file = session.history.export(tmp_path / "history.jsonl")
    with Session(stub.url, KEY_ID, KEY_SECRET, home=tmp_path / "other") as other:
        other.history.import_(file)
        painter.fetched.clear()
        other.resume()
        other.task(task_id)
        other.manager.saver.flush()
    assert painter.fetched == []
