"""Results and tasks are values: copied, pickled and tabled, and found again by their history."""

from __future__ import annotations

import copy
import dataclasses
import json
import multiprocessing
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from imgopen_nb import errors
from imgopen_nb.errors import ImgOpenError, PictureError, SettingsError, TaskFailedError
from imgopen_nb.session import Session, compare, set_current
from imgopen_nb.tasks.result import Result

from ..conftest import KEY_ID, KEY_SECRET
from ..stub import Stub, ok
from ..test_session import URL
from .test_saving import picture, serving

COPIES = [
    pytest.param(copy.copy, id="copy"),
    pytest.param(copy.deepcopy, id="deepcopy"),
    pytest.param(dataclasses.replace, id="replace"),
    *(
        pytest.param(lambda what, p=p: pickle.loads(pickle.dumps(what, p)), id=f"pickle {p}")
        for p in range(pickle.HIGHEST_PROTOCOL + 1)
    ),
]


@pytest.fixture
def result(session: Session, stub: Stub) -> Result:
    serving(stub, 2, picture())
    return session.run("text2image", prompt="a fox", seed=7)


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_of_a_result_is_equal_and_fetches_the_same_pictures(
    result: Result, tmp_path: Path, copied: Any
):
    other = copied(result)

    assert (other, hash(other)) == (result, hash(result))
    assert {other: 1}[result] == 1
    assert [image.data() for image in other.images] == [picture()] * 2
    assert pickle.loads(pickle.dumps(other.images))[1].data() == picture()
    assert len(other.save(tmp_path)) == 3
    assert repr(other) == repr(result)


def test_results_are_rows_of_a_frame_and_records_of_json(session: Session, stub: Stub):
    stub.answer = lambda request: ok(status=2, caption="a cat")
    results = session.map("describe", [URL, URL + "?2"], progress=False).results()

    frame = pd.DataFrame(results)
    assert frame.image.tolist() == [URL, URL + "?2"]
    assert frame.home.tolist() == [str(session.settings.home)] * 2
    assert frame.fillna("").status.tolist() == ["succeeded"] * 2
    assert json.loads(json.dumps(dataclasses.asdict(results[0])))["data"]["caption"] == "a cat"


def test_a_task_is_its_own_copy_and_the_same_handle_after_pickling(session: Session, stub: Stub):
    stub.answer = lambda request: ok(status=2, caption="a cat")
    task = session.submit("describe", image=URL)

    assert copy.copy(task) is copy.deepcopy(task) is pickle.loads(pickle.dumps(task)) is task
    assert len(pickle.dumps(task)) < 600
    assert pickle.loads(pickle.dumps([task, task.result()]))[1].caption == "a cat"


def test_nothing_secret_is_in_a_pickle(session: Session, stub: Stub):
    stub.answer = lambda request: ok(status=0, errorMessage="too dark")
    failed = session.submit("describe", image=URL).wait()
    with pytest.raises(TaskFailedError) as error:
        failed.result()
    stub.answer = lambda request: ok(status=2, caption="a cat")
    result = session.run("describe", image=URL)
    batch = session.map("describe", [URL], progress=False)

    told = pickle.dumps(
        [failed, result, error.value, batch.results(), batch.frame(), compare(batch)]
    )

    session.manager.urls.signer.sign("callback", "x")
    hidden = [KEY_ID.encode(), KEY_SECRET.encode(), session.manager.urls.signer._key(make=False)]
    assert [each for each in hidden if each in told] == []


def test_a_sandbox_picture_is_found_from_another_process_and_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with Session(backend="sandbox") as session:
        result = session.run("enlarge", image="sample:coffee", scale=1)
        task = session.task(result.task_id)
        told = pickle.dumps([result, task])
        token = session.manager.backend._sandbox.token.reveal()  # type: ignore[union-attr]
    assert token.encode() not in told
    (tmp_path / "told").write_bytes(told)
    code = (
        "import pickle, sys; result, task = pickle.load(open(sys.argv[1], 'rb'));"
        "print(result.images[0].pil().size, task.result(0).task_id == result.task_id,"
        "result.thumbnail(64) is not None, task)"
    )

    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "told")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert found.stdout.startswith(f"{result.images[0].pil().size} True True Task(enlarge"), found


def test_after_a_restart_the_keys_are_those_of_the_new_process(
    session: Session, stub: Stub, result: Result, monkeypatch: pytest.MonkeyPatch
):
    """Without them an image is fetched all the same, but not from this machine's networks."""
    session.close()
    told = pickle.dumps(result)

    with pytest.raises(PictureError, match="private network"):
        pickle.loads(told).images[0].data()
    for name, value in (("BASE_URL", stub.url), ("ACCESS_KEY_ID", KEY_ID),
                        ("ACCESS_KEY_SECRET", KEY_SECRET)):  # fmt: skip
        monkeypatch.setenv(f"IMGOPEN_{name}", value)

    assert pickle.loads(told).images[0].data() == picture()


def test_a_history_that_was_moved_is_found_as_the_present_home(
    session: Session, stub: Stub, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told = pickle.dumps([result, session.task(result.task_id)])
    session.close()
    moved = session.settings.home.rename(tmp_path / "moved")
    for name, value in (("HOME", str(moved)), ("BASE_URL", stub.url), ("ACCESS_KEY_ID", KEY_ID),
                        ("ACCESS_KEY_SECRET", KEY_SECRET)):  # fmt: skip
        monkeypatch.setenv(f"IMGOPEN_{name}", value)

    other, task = pickle.loads(told)

    assert (other, task.result(0).task_id) == (result, result.task_id)
    assert other.images[0].data() == picture()
    assert pickle.loads(told)[1] is task


def test_an_open_task_says_that_its_service_needs_a_session(session: Session, stub: Stub):
    stub.answer = lambda request: ok(status=1)
    told = pickle.dumps(session.submit("describe", image=URL))
    session.close()

    with pytest.raises(SettingsError, match=r"was sent to .*no session for it\n.*access key"):
        pickle.loads(told)


def test_without_the_history_one_sentence_says_which_is_missing(
    session: Session, stub: Stub, result: Result, tmp_path: Path
):
    told, task = pickle.dumps(result), pickle.dumps(session.task(result.task_id))
    session.close()
    shutil.rmtree(session.settings.home)
    other = pickle.loads(told)

    assert (other, other.thumbnail(), bool(other._repr_mimebundle_())) == (result, None, True)
    for call in (
        other.images[0].data, lambda: other.save(tmp_path / "x"), lambda: pickle.loads(task),
    ):  # fmt: skip
        with pytest.raises(ImgOpenError, match=r"the history in .*, which is not on this machine"):
            call()
    assert not session.settings.home.exists()


def test_results_go_through_processes(result: Result):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_same, [result]) == [result]


def _same(result: Result) -> Result:
    return dataclasses.replace(result)


def test_a_plan_an_outcome_and_a_comparison_are_values(session: Session, stub: Stub):
    stub.answer = lambda request: ok(status=2, caption="a cat")
    set_current(session)
    plan = session.map("describe", [URL], dry_run=True)
    batch = session.map("describe", [URL], models=["clip", "blip"][:1], progress=False)
    comparison = pickle.loads(pickle.dumps(compare(batch)))

    assert pickle.loads(pickle.dumps(plan)) == copy.deepcopy(plan) == plan
    assert comparison.wide().equals(compare(batch).wide())
    assert copy.deepcopy(comparison).thumbnail(comparison.rows[0]) is None


@pytest.mark.parametrize("name", ["last_batch", "history", "manager"])
@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
def test_what_belongs_to_a_session_says_what_to_take_instead(
    session: Session, stub: Stub, name: str, how: Any
):
    stub.answer = lambda request: ok(status=2, caption="a cat")
    session.map("describe", [URL], progress=False)

    with pytest.raises(TypeError, match=r"of imgopen_nb cannot be pickled or copied: it "):
        how(getattr(session, name))


KINDS = [
    errors.UnknownNameError("task", "x", ["y"]),
    errors.NetworkError("no answer", sent=False, hint="try again"),
    errors.RateLimitError("slow", retry_after=3.0, code="7"),
    errors.SubmissionLostError("lost", again=2.0),
    errors.FileError("full", hint="free some"),
    errors.TaskInterrupted("stopped"),
    PictureError("gone"),
]


@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
def test_errors_come_through_processes_as_they_are(error: BaseException):
    other = pickle.loads(pickle.dumps(error))

    assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))
    assert str(copy.copy(error)) == str(error)
