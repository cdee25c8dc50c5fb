"""What was asked before comes from the history: once paid, never across backends, never stale."""

from __future__ import annotations

import io
import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgopen_nb import session as session_module
from imgopen_nb.errors import BudgetError, ImgOpenError, TaskFailedError, UsageError
from imgopen_nb.images import identity as identity_module
from imgopen_nb.images.picture import samples
from imgopen_nb.session import Session

from ..conftest import KEY_ID, KEY_SECRET
from ..pictures import Pictures
from ..service import Service
from ..stub import TOOL, Reply, Request, Stub, ok, refusal

URL = "http://127.0.0.1:9/cat.png"  # nobody is there: the address counts


@pytest.fixture(autouse=True)
def each_version_is_asked_for(cached: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_module, "FRESH", 0.0)


@pytest.fixture
def service(stub: Stub) -> Service:
    return Service(duration=lambda: 0.0).on(stub)


def at_once(stub: Stub, **data: Any) -> None:
    """Answer every submission with its end."""
    stub.answer = lambda request: ok(status=2, taskId="s", **data)


def test_the_same_call_is_sent_once_and_its_second_result_says_so(session: Session, stub: Stub):
    at_once(stub, caption="a cat")

    first, second = (session.run("describe", image=URL, model="clip") for _ in range(2))

    assert len(stub.requests) == 1
    assert (first.cached, second.cached) == (False, True)
    assert (second.task_id, second.caption) == (first.task_id, "a cat")
    assert "cached" in second.notes[0]
    assert "--fresh" in second.notes[0]
    assert not any("cached" in note for note in first.notes)


def test_a_later_session_has_it_too(session: Session, stub: Stub):
    at_once(stub, caption="a cat")
    session.run("describe", image=URL)
    session.close()

    with Session(stub.url, KEY_ID, KEY_SECRET) as later:
        assert later.run("describe", image=URL).cached
    assert len(stub.requests) == 1


def test_fresh_asks_again_and_what_came_last_counts_from_then_on(session: Session, stub: Stub):
    captions = iter("abc")
    stub.answer = lambda request: ok(status=2, taskId="s", caption=next(captions))
    session.run("describe", image=URL)

    again = session.run("describe", image=URL, fresh=True)
    then = session.run("describe", image=URL)

    assert (again.caption, again.cached) == ("b", False)
    assert (then.caption, then.cached) == ("b", True)


def test_a_model_that_is_given_is_the_same_as_the_documented_default(session: Session, stub: Stub):
    at_once(stub, caption="a cat")
    session.run("describe", image=URL)

    assert session.run("describe", image=URL, model="clip").cached
    assert not session.run("describe", image=URL, model="deepdanbooru").cached


def test_a_preset_is_the_same_as_its_value_given(session: Session, stub: Stub):
    at_once(stub, prompts=["x"])
    session.run("expand-prompt", prompt="a girl")

    assert session.run("expand-prompt", prompt="a girl", mode=0).cached
    assert not session.run("expand-prompt", prompt="a girl", mode=1).cached


def test_without_a_seed_each_picture_is_another(session: Session, stub: Stub):
    at_once(stub, differentialImageRspList=[])
    for seed in (None, -1):
        for _ in range(2):
            given = {} if seed is None else {"seed": seed}
            assert not session.run("text2image", prompt="a fox", **given).cached

    assert len(stub.requests) == 4


def test_with_a_seed_the_same_picture_is_taken_again(session: Session, stub: Stub):
    at_once(stub)
    session.run("text2image", prompt="a fox", seed=7)

    assert session.run("text2image", prompt="a fox", seed=7).cached
    assert not session.run("text2image", prompt="a fox", seed=8).cached
    assert not session.run("text2image", prompt="a hen", seed=7).cached


def test_lists_and_raw_calls_are_never_cached(session: Session, stub: Stub):
    at_once(stub, rows=[])
    for _ in range(2):
        session.run("models")
        session.call("/tool/video/expand", {"a": 1}).result()

    assert len(stub.requests) == 4


# Failures.


def test_a_failed_task_is_sent_again(session: Session, stub: Stub):
    stub.replies(ok(status=0, errorMessage="no"), ok(status=2, caption="yes"))
    with pytest.raises(TaskFailedError):
        session.run("describe", image=URL)

    result = session.run("describe", image=URL)

    assert (result.caption, result.cached) == ("yes", False)


def test_a_refused_task_is_sent_again(session: Session, stub: Stub):
    stub.replies(refusal("77", "no credit"), ok(status=2, caption="yes"))
    with pytest.raises(ImgOpenError, match="no credit"):
        session.run("describe", image=URL)

    assert not session.run("describe", image=URL).cached


def test_a_failure_with_fresh_leaves_the_earlier_result(session: Session, stub: Stub):
    stub.replies(ok(status=2, caption="yes"), refusal("77", "no credit"))
    session.run("describe", image=URL)
    with pytest.raises(ImgOpenError):
        session.run("describe", image=URL, fresh=True)

    assert session.run("describe", image=URL).caption == "yes"


# Who is asked.


def test_another_address_is_another_service(session: Session, stub: Stub):
    at_once(stub, caption="a cat")
    session.run("describe", image=URL)

    with Stub() as other, Session(other.url, KEY_ID, KEY_SECRET) as elsewhere:
        at_once(other, caption="a dog")
        assert elsewhere.run("describe", image=URL).caption == "a dog"


def test_the_sandbox_and_the_real_service_at_one_address_are_two(session: Session, stub: Stub):
    at_once(stub, caption="a cat")
    session.run("describe", image=URL)

    with Session(stub.url, backend="sandbox") as local:
        assert not local.run("describe", image=URL).cached
        assert local.run("describe", image=URL).cached
    assert session.run("describe", image=URL).cached


def test_another_path_or_field_of_the_same_operation_is_another_call(
    session: Session, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    """The user found out that the first guess was wrong: its results count no more."""
    at_once(stub, imageUrl="")
    fields = '{"style": {"image": "picture"}}'
    for path, names in (("a", ""), ("b", ""), ("b", ""), ("b", fields)):
        monkeypatch.setenv("IMGOPEN_PATHS", f"style={TOOL}{path}")
        monkeypatch.setenv("IMGOPEN_FIELDS", names)
        with Session(stub.url, KEY_ID, KEY_SECRET) as told:
            told.run("style", image=URL)

    assert [path.rpartition("/")[2] for path in stub.paths()] == ["a", "b", "b"]


# Images.


def test_the_same_bytes_are_the_same_picture_however_they_are_given(
    stub: Stub, tmp_path: Path, local: Session
):
    """A path, another path, bytes, an open file and a data: URL of one file."""
    data = samples()["chelsea"].read_bytes()
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(data)
    first = local.run("describe", image=str(samples()["chelsea"]))

    for same in ("sample:chelsea", str(copy), copy, data, io.BytesIO(data)):
        result = local.run("describe", image=same)
        assert (result.cached, result.task_id) == (True, first.task_id)
    assert not local.run("describe", image="sample:coffee").cached


def test_equal_pixels_are_the_same_picture_as_pil_or_array_but_not_the_file_they_came_from(
    local: Session,
):
    """PIL images and arrays go out as PNG files made of their pixels; a JPEG file as it is."""
    pixels = np.full((20, 30, 3), 200, np.uint8)
    pixels[5:9] = (9, 80, 160)
    first = local.run("describe", image=Image.fromarray(pixels))

    assert local.run("describe", image=Image.fromarray(pixels.copy())).cached
    assert local.run("describe", image=pixels).cached
    pixels[0, 0] = 0
    assert local.run("describe", image=pixels).task_id != first.task_id


def test_a_file_that_was_changed_is_another_picture(local: Session, tmp_path: Path):
    file = tmp_path / "picture.jpg"
    for name in ("chelsea", "coffee"):
        file.write_bytes(samples()[name].read_bytes())
        assert not local.run("describe", image=file).cached


def test_a_changed_remote_picture_is_sent_again(session: Session, stub: Stub, pictures: Pictures):
    at_once(stub, caption="a cat")
    pictures.headers = {"ETag": '"one"'}
    session.run("describe", image=pictures.url)
    assert session.run("describe", image=pictures.url).cached

    pictures.headers = {"ETag": '"two"'}
    assert not session.run("describe", image=pictures.url).cached
    pictures.stop()
    assert session.run("describe", image=pictures.url).cached


def test_a_picture_that_its_server_does_not_have_is_the_services_to_judge(
    session: Session, stub: Stub, pictures: Pictures
):
    stub.replies(refusal("400", "the image cannot be fetched"))
    pictures.status = 404

    for _ in range(2):
        with pytest.raises(ImgOpenError, match="cannot be fetched"):
            session.run("describe", image=pictures.url)
    assert len(stub.requests) == 2


def test_a_result_picture_that_is_gone_is_made_again(session: Session, stub: Stub):
    """The service keeps what it made for a while only."""
    kept = Reply(b"a picture")
    made: list[str] = []

    def answer(request: Request) -> Reply:
        if request.path.startswith("/made/"):
            return kept
        made.append(f"{stub.url}/made/{len(made)}.png")
        return ok(status=2, taskId="s", outputImageUrl=made[-1])

    stub.answer = answer
    assert session.run("flux", prompt="a fox").images == made
    assert session.run("flux", prompt="a fox").cached

    kept = Reply(b"gone", 404)

    again = session.run("flux", prompt="a fox")
    assert (again.cached, again.images) == (False, made[1:])
    assert len(made) == 2


def test_a_result_picture_whose_server_is_out_of_reach_is_not_paid_for_again(
    session: Session, stub: Stub
):
    at_once(stub, outputImageUrl="http://127.0.0.1:9/made.png")
    session.run("flux", prompt="a fox")

    assert session.run("flux", prompt="a fox").cached
    assert len(stub.requests) == 1


def test_pictures_of_the_sandbox_load_after_it_has_moved_to_another_port(tmp_path: Path):
    """Its address is another one in each session; a result from the history shows all the same."""
    with Session(home=tmp_path) as first:
        made = first.run("remove-background", image="sample:chelsea")
        before = first.download(made.images[0])
        old = first.manager.backend.http.base_url
    with Session(home=tmp_path) as later:
        again = later.run("remove-background", image="sample:chelsea")
        assert later.manager.backend.http.base_url != old
        assert again.cached
        assert again.images == made.images
        assert later.manager.thumbnails.download(again.images[0]) == before
        assert later.thumbnail(again.images[0]) is not None


# Switches.


def test_the_setting_off_asks_each_time(stub: Stub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGOPEN_CACHE", "off")
    at_once(stub, caption="a cat")
    with Session(stub.url, KEY_ID, KEY_SECRET) as session:
        assert not any(session.run("describe", image=URL).cached for _ in range(2))

    monkeypatch.setenv("IMGOPEN_CACHE", "on")
    with Session(stub.url, KEY_ID, KEY_SECRET) as session:
        assert session.run("describe", image=URL).cached


def test_the_setting_is_changed_by_a_magic(stub: Stub, monkeypatch: pytest.MonkeyPatch):
    from IPython.core.interactiveshell import InteractiveShell

    at_once(stub, caption="a cat")
    monkeypatch.delenv("IMGOPEN_CACHE")
    monkeypatch.setenv("IMGOPEN_BASE_URL", stub.url)
    monkeypatch.setenv("IMGOPEN_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("IMGOPEN_ACCESS_KEY_SECRET", KEY_SECRET)
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "imgopen_nb")
    said = []
    for line in ("off", "on"):
        shell.run_line_magic("imgopen", f"config cache {line}")
        said += [session_module.current().run("describe", image=URL).cached for _ in range(2)]

    assert said == [False, False, True, True]


# At the same moment.


def test_two_calls_at_once_in_threads_are_one_submission(session: Session, stub: Stub):
    """Sixteen threads ask the same while the service takes its time to accept it."""
    service = Service(duration=lambda: 0.2)
    stub.answer = slowly(service, 0.5)
    gate = threading.Barrier(16)

    def call(_: int) -> str | None:
        gate.wait()
        return session.run("describe", image=URL, model="clip", timeout=60).caption

    with ThreadPoolExecutor(16) as pool:
        captions = set(pool.map(call, range(16)))

    assert captions == {f"clip sees {URL}"}
    assert len(stub.submissions()) == 1


def test_two_calls_at_once_in_two_sessions_of_one_process_are_one_submission(
    session: Session, stub: Stub
):
    service = Service(duration=lambda: 0.2)
    stub.answer = slowly(service, 3.5)  # longer than a lost task is looked for
    with (
        Session(stub.url, KEY_ID, KEY_SECRET) as other,
        ThreadPoolExecutor(2) as pool,
    ):
        run = [pool.submit(s.run, "describe", 60, image=URL) for s in (session, other)]
        assert len({one.result().task_id for one in run}) == 1
    assert len(stub.submissions()) == 1


CALL = """
import sys
from imgopen_nb.session import Session
url, key, secret, image = sys.argv[1:]
with Session(url, key, secret) as session:
    print("ready", flush=True)
    sys.stdin.readline()
    print(session.run("describe", 60, image=image).caption)
"""


def test_two_calls_at_once_in_two_processes_are_one_submission(stub: Stub):
    service = Service(duration=lambda: 0.2)
    stub.answer = slowly(service, 1.0)
    command = [sys.executable, "-c", CALL, stub.url, KEY_ID, KEY_SECRET, URL]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
    for one in both:
        assert one.stdout is not None
        one.stdout.readline()

    for one in both:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()

    said = [one.communicate(timeout=90)[0].strip() for one in both]

    assert said == [f"sees {URL}"] * 3
    assert len(stub.submissions()) == 1


def slowly(service: Service, seconds: float) -> Any:
    """Accept at once, and take so long to say so."""

    def answer(request: Request) -> Reply:
        reply = service.answer(request)
        if not request.path.endswith("queryTask"):
            reply.delay = seconds
        return reply

    return answer


def test_a_call_joins_a_task_that_is_under_way(session: Session, stub: Stub):
    Service(duration=lambda: 0.6).on(stub)
    first = session.submit("describe", image=URL)

    assert session.submit("describe", image=URL) is first
    assert first.result(timeout=30).caption is not None
    assert len(stub.submissions()) == 1


def test_a_task_that_the_service_forgot_says_how_to_send_a_new_one(
    session: Session, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("imgopen_nb.tasks.polling.poller.backoff", lambda *_: 0.01)

    def answer(request: Request) -> Reply:
        query = request.path.endswith("queryTask")
        return refusal("404", "no such task") if query else ok(taskId="s")

    stub.answer = answer

    with pytest.raises(ImgOpenError, match="--fresh"):
        session.run("describe", image=URL, timeout=60)


def test_what_is_in_the_history_needs_no_permission(session: Session, service: Service):
    from imgopen_nb.catalogue.operations import OPERATIONS

    row = OPERATIONS["describe"]
    session.run("describe", image=URL)

    assert session.manager.submitter.submit(row, {"image": URL}, permit=lambda: False).done
    with pytest.raises(BudgetError):
        session.manager.submitter.submit(row, {"image": URL}, permit=lambda: False, since=math.inf)
    with pytest.raises(BudgetError):
        session.manager.submitter.submit(row, {"image": URL + "?2"}, permit=lambda: False)


# Secrets.


def test_a_password_in_an_address_is_kept_nowhere(session: Session, stub: Stub, tmp_path: Path):
    """Neither in the tasks nor their bodies, images or events, whatever becomes of the task."""
    address = "http://me:s3same-open@127.0.0.1:9/cat.png"
    stub.replies(ok(taskId="s", status=1))
    task = session.submit("describe", image=address)
    stub.replies(Reply(drop=True))
    session.call("/tool/x", {"deep": [{"url": "ftp://me:s3same@open@x.org/"}], "n": 1.5})

    assert stub.requests[0].body["image"] == address
    assert "s3same" not in everything(session)
    assert task.params["image"] == "http://***@127.0.0.1:9/cat.png"
    assert {"deep": [{"url": "ftp://***@x.org/"}], "n": 1.5} in [
        row["params"].get("body") for row in session.rows()
    ]


def everything(session: Session) -> str:
    """Return all that the history's tables hold."""
    found = []
    names = session.manager.database.read(
        "SELECT name FROM sqlite_master WHERE type = 'table'", (), ("n",)
    )
    for name in (row["n"] for row in names):
        columns = session.manager.database.read(
            f"SELECT name FROM pragma_table_info('{name}')", (), ("n",)
        )
        titles = [row["n"] for row in columns]
        text = ", ".join(f"CAST({title} AS TEXT)" for title in titles)
        kept = session.manager.database.read(
            f"SELECT {text} FROM {name}", (), tuple(range(len(titles)))
        )
        found += [str(row) for row in kept]
    return "\n".join(found)


def test_what_two_accounts_see_at_one_address_is_never_mixed_up(session: Session, stub: Stub):
    at_once(stub, caption="a cat")
    for who in ("me:one", "you:two"):
        assert not session.run("describe", image=f"http://{who}@127.0.0.1:9/cat.png").cached

    assert len(stub.requests) == 2


@pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": object()}, {"x": "\ud800"}])
def test_a_raw_body_that_is_not_json_is_refused_before_anything_is_written(
    session: Session, stub: Stub, body: dict[str, Any]
):
    with pytest.raises(UsageError, match="JSON"):
        session.call("/tool/x", body)
    assert stub.requests == []
    assert session.rows() == []
