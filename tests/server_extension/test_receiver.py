"""What comes of a callback: the first end stays, whoever told it, and nothing foreign gets in."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgopen_nb.callbacks.inbox import MAX_ROWS, InboxTable
from imgopen_nb.callbacks.signing import Signer
from imgopen_nb.catalogue.status import State
from imgopen_nb.config.credentials import store_keys
from imgopen_nb.database.database import Database
from imgopen_nb.database.task_table import MAX_EVENTS
from imgopen_nb.errors import JournalError
from imgopen_nb.server_extension.handlers import OUTCOME_REPLIES
from imgopen_nb.server_extension.receiver import CALLBACK, CallbackOutcome, Receiver, read_callback
from imgopen_nb.tasks.store import TaskStore

from ..conftest import often
from ..tables import open_table

TASK = "nb20260101abc"
PICTURE = b"\x89PNG\r\n\x1a\n the bytes of a picture"
URL = "https://example.org/cat.png"
DONE = {"status": 2, "caption": "a cat"}
FAILED = {"status": 0, "msg": "it was not an image"}


def add(home: Path, task_id: str = TASK, **columns: Any) -> None:
    table = open_table(home)
    table.add({
        "task_id": task_id, "operation": "describe", "model": "clip", "params": {"image": URL},
        "image": URL, "status": "submitted", "created": 1.0, "submitted": 1.0, "backend": "real",
        "base_url": "https://api.example.org", "server_id": None, **columns,
    })  # fmt: skip
    table.database.close()


def body(**data: Any) -> bytes:
    return json.dumps({"code": "200", "msg": "", "data": data}).encode()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    add(tmp_path)
    return tmp_path


@pytest.fixture
def receiver(home: Path) -> Receiver:
    return Receiver(home)


def row(home: Path, task_id: str = TASK) -> dict[str, Any]:
    return open_table(home).get(task_id)


def noted(home: Path, task_id: str = TASK) -> list[str]:
    return [e["detail"] for e in open_table(home).events(task_id) if e["state"] == "noted"]


def inbox(home: Path) -> int:
    return len(InboxTable(Database(home)).after(0))


def test_a_callback_that_repeats_the_key_leaves_stars(receiver: Receiver, home: Path):
    """It is the service that knows the key; no file but keys.json has it."""
    store_keys(home, "canary-id-77aa", 'canary/"secret"')
    said = body(status=2, caption='it says canary-id-77aa and canary/"secret"')
    assert receiver.receive(TASK, said) is CallbackOutcome.ACCEPTED
    assert row(home)["caption"] == "it says *** and ***"
    receiver.close()
    files = [path for path in home.iterdir() if path.is_file() and path.name != "keys.json"]
    assert [path.name for path in files if b"canary" in path.read_bytes()] == []


def test_an_end_is_in_the_history_when_it_is_accepted(receiver: Receiver, home: Path):
    assert receiver.receive(TASK, body(**DONE)) is CallbackOutcome.ACCEPTED

    assert (row(home)["status"], row(home)["caption"]) == ("succeeded", "a cat")
    assert row(home)["finished"] > 1.0
    assert inbox(home) == 1


def test_it_is_read_with_and_without_the_envelope(receiver: Receiver, home: Path):
    assert receiver.receive(TASK, json.dumps(DONE).encode()) is CallbackOutcome.ACCEPTED
    assert row(home)["caption"] == "a cat"


def test_a_failure_is_an_end_too(receiver: Receiver, home: Path):
    assert receiver.receive(TASK, body(**FAILED)) is CallbackOutcome.ACCEPTED
    assert (row(home)["status"], row(home)["error"]) == ("failed", "it was not an image")


def test_work_under_way_ends_nothing(receiver: Receiver, home: Path):
    assert receiver.receive(TASK, body(status=1)) is CallbackOutcome.ACCEPTED
    assert row(home)["status"] == "running"
    assert receiver.receive(TASK, body(**DONE)) is CallbackOutcome.ACCEPTED
    assert row(home)["status"] == "succeeded"


def test_a_callback_may_come_before_the_answer_to_the_request(tmp_path: Path):
    add(tmp_path, status="created", submitted=None)
    assert Receiver(tmp_path).receive(TASK, body(**DONE)) is CallbackOutcome.ACCEPTED
    assert row(tmp_path)["status"] == "succeeded"


def test_what_comes_again_changes_nothing(receiver: Receiver, home: Path):
    receiver.receive(TASK, body(**DONE))
    before = row(home)

    assert [receiver.receive(TASK, body(**DONE)) for _ in range(5)] == [
        CallbackOutcome.REPEATED
    ] * 5
    assert (row(home), inbox(home)) == (before, 1)
    assert noted(home) == ["a callback came again"] * 5


@pytest.mark.parametrize("later", [FAILED, {"status": 2, "caption": "a dog"}, {"status": 1}])
def test_the_first_callback_stays_and_contradictions_are_noted(
    receiver: Receiver, home: Path, later: dict[str, Any]
):
    receiver.receive(TASK, body(**DONE))
    before = row(home)

    assert receiver.receive(TASK, body(**later)) is CallbackOutcome.REPEATED
    assert (row(home), inbox(home)) == (before, 1)
    (said,) = noted(home)
    assert said.startswith("a callback after the end told ")
    assert ("the same" in said) is (later["status"] == 2)


def test_a_query_that_ended_it_first_stays(receiver: Receiver, home: Path):
    end = {"status": "succeeded", "caption": "by query", "finished": 5.0}
    assert open_table(home).update(TASK, **end)

    assert receiver.receive(TASK, body(**FAILED)) is CallbackOutcome.REPEATED
    assert (row(home)["status"], row(home)["caption"]) == ("succeeded", "by query")
    assert (noted(home), inbox(home)) == (
        ["a callback after the end told another state (failed)"], 0,
    )  # fmt: skip


def test_a_query_after_a_callback_changes_nothing_and_its_session_shows_the_first(
    receiver: Receiver, home: Path
):
    table = open_table(home)
    store = TaskStore(table)
    task = store.load(table.get(TASK))  # a session's handle, which knows of no end
    receiver.receive(TASK, body(**DONE))
    answer = read_callback(body(**FAILED).decode())
    assert answer
    store.apply_answer(task, answer)

    assert (row(home)["status"], row(home)["caption"]) == ("succeeded", "a cat")
    assert (task.state, task.data["caption"]) == (State.SUCCEEDED, "a cat")
    assert not table.update(TASK, status="failed")


def test_a_task_that_this_history_does_not_know_is_refused(receiver: Receiver, home: Path):
    """Nor does the beginning of an id do, or an id of the service's."""
    add(home, "nb20260101def", server_id="s-1")
    for name in ("nb-nobody", TASK[:-1], TASK.upper(), "s-1", "%", "nb2026010_abc"):
        assert receiver.receive(name, body(**DONE)) is CallbackOutcome.UNKNOWN
    assert (row(home)["status"], inbox(home)) == ("submitted", 0)


def test_a_task_is_found_though_another_one_has_its_id_from_the_service(tmp_path: Path):
    add(tmp_path, "first", server_id=TASK)
    add(tmp_path)

    assert Receiver(tmp_path).receive(TASK, body(**DONE)) is CallbackOutcome.ACCEPTED
    assert row(tmp_path, "first")["status"] == "submitted"


UNREADABLE = [
    b"", b"null", b"[]", b"7", b"{", b"{}", b'{"status": null}', b'{"a":' * 5000, b"\xff", b"\0",
    b'{"code": "500", "msg": "no", "data": {"status": 2}}', b'{"code": "200", "data": null}',
    "{\"status\": 2}".encode("utf-16")[:-1], b'\xff{"status": 2}',
]  # fmt: skip


@pytest.mark.parametrize("text", UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_tells_no_state_is_refused_and_leaves_nothing(
    receiver: Receiver, home: Path, text: bytes
):
    assert receiver.receive(TASK, text) is CallbackOutcome.UNREADABLE
    assert (row(home)["status"], inbox(home), noted(home)) == ("submitted", 0, [])


@pytest.mark.parametrize(
    "text",
    [
        b'{"status": 2, "caption": "a fox\\ud800"}',
        b'{"caption": "a fox\\u0000", "status": 2, "msg": ' + b"9" * 5000 + b"}",
        b'{"status": 2, "caption": "a fox\x01", "percentage": NaN}',
        b'{"status": 2.0, "caption": "a fox\xff"}',
        '{"status": " 2", "caption": "a fox\ufffd"}'.encode("utf-16"),
    ],
)
def test_what_no_text_or_number_can_be_does_not_keep_an_end_from_being_taken(
    receiver: Receiver, home: Path, text: bytes
):
    assert receiver.receive(TASK, text) is CallbackOutcome.ACCEPTED
    assert (row(home)["status"], row(home)["caption"]) == ("succeeded", "a fox\ufffd")


@pytest.mark.parametrize("name", ["businessTaskId", "business_task_id", "id_task"])
def test_a_callback_about_another_task_is_refused(receiver: Receiver, home: Path, name: str):
    assert receiver.receive(TASK, body(**DONE, **{name: "nb-other"})) is CallbackOutcome.FOREIGN
    assert (row(home)["status"], inbox(home)) == ("submitted", 0)
    assert receiver.receive(TASK, body(**DONE, **{name: TASK})) is CallbackOutcome.ACCEPTED


def test_the_service_may_call_it_by_its_own_id(home: Path):
    add(home, "named", server_id="s-1")
    receiver = Receiver(home)

    assert receiver.receive("named", body(**DONE, task_id="s-2")) is CallbackOutcome.FOREIGN
    assert receiver.receive("named", body(**DONE, task_id="s-1")) is CallbackOutcome.ACCEPTED


def test_one_address_has_only_so_much_to_say(receiver: Receiver, home: Path):
    """Neither the inbox nor the events of a task grow without end."""
    for number in range(MAX_ROWS):
        told = receiver.receive(TASK, body(status=1, percentage=number))
        assert told is CallbackOutcome.ACCEPTED
    for number in range(MAX_EVENTS + 20):
        assert receiver.receive(TASK, body(status=1, n=number)) is CallbackOutcome.REPEATED

    assert inbox(home) == MAX_ROWS
    assert len(open_table(home).events(TASK)) <= MAX_EVENTS


@pytest.mark.parametrize("end", [DONE, FAILED])
def test_the_end_is_taken_after_any_number_of_others(
    receiver: Receiver, home: Path, end: dict[str, Any]
):
    """Three times the limit of "running" ones, then the end, its repetition, a late one."""
    for number in range(3 * MAX_ROWS):
        receiver.receive(TASK, body(status=1, percentage=number))
    assert row(home)["status"] == "running"

    assert receiver.receive(TASK, body(**end)) is CallbackOutcome.ACCEPTED
    assert row(home)["status"] == ("succeeded" if end is DONE else "failed")
    assert inbox(home) == MAX_ROWS + 1  # so the kernels that wait learn of it
    assert [e["state"] for e in open_table(home).events(TASK)][-1] == row(home)["status"]
    before = row(home)
    for late in (body(**end), body(status=1, percentage=1), body(status=1, percentage=999)):
        assert receiver.receive(TASK, late) is CallbackOutcome.REPEATED
    assert (row(home), inbox(home)) == (before, MAX_ROWS + 1)


def test_a_step_forward_is_taken_after_any_number_of_others(receiver: Receiver, home: Path):
    """Unknown states leave a task submitted; "running" comes after 150 of them."""
    for number in range(MAX_ROWS + 50):
        receiver.receive(TASK, body(status=77, n=number))
    assert row(home)["status"] == "submitted"
    assert receiver.receive(TASK, body(status=1)) is CallbackOutcome.ACCEPTED
    assert row(home)["status"] == "running"


def test_steps_back_and_forth_do_not_fill_the_history(receiver: Receiver, home: Path):
    for number in range(4 * MAX_ROWS):
        receiver.receive(TASK, body(status=(1, 77)[number % 2], n=number))
    assert inbox(home) <= MAX_ROWS + 1
    assert len(open_table(home).events(TASK)) <= MAX_ROWS + 2
    assert receiver.receive(TASK, body(**DONE)) is CallbackOutcome.ACCEPTED


@pytest.mark.parametrize(
    "data",
    [
        '{"status": 2, "percentage": 1%s}' % ("0" * 400),
        '{"status": 1, "percentage": 1%s}' % ("0" * 400),
        '{"status": 2, "temporaryImageDto": {"percentage": 1%s}}' % ("0" * 400),
        '{"status": 2, "tags": [{"name": "a", "score": 1%s}]}' % ("0" * 400),
        '{"status": 2, "caption": "a fox \\ud83d"}',
        '{"status": 2, "percentage": 1e999}',
        '{"status": 2, "percentage": NaN}',
        '{"status": "\u00b2", "caption": "x"}',
        '{"status": "--2", "caption": "x"}',
        '{"status": [2], "caption": "x"}',
        '{"status": {"a": 2}, "caption": "x"}',
        '{"status": true, "caption": "x"}',
        '{"status": 1%s}' % ("0" * 400),
    ],
)
def test_what_can_never_be_taken_in_as_it_is_does_not_come_again(
    receiver: Receiver, home: Path, data: str
):
    """13 bodies: all that can be used is used; else it is noted, and the service is asked."""
    for text in (data, f'{{"code": "200", "data": {data}}}'):
        outcome = receiver.receive(TASK, text.encode())
        assert OUTCOME_REPLIES[outcome.name].status == 200
        assert b'"code":"200"' in OUTCOME_REPLIES[outcome.name].body
    assert row(home)["status"] in ("submitted", "running", "succeeded")


def test_a_locked_history_is_reported_soon(receiver: Receiver, home: Path):
    """The vendor calls again after 3, 5, 15 ... seconds; a kernel would wait 15 s for the lock."""
    other = sqlite3.connect(home / "imgopen.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="locked"):
        receiver.receive(TASK, body(**DONE))
    assert receiver.picture("nothing") is None
    other.execute("ROLLBACK")
    assert receiver.receive(TASK, body(**DONE)) is CallbackOutcome.ACCEPTED


def test_threads_that_bring_the_same_at_once_leave_one(home: Path):
    receptions = [Receiver(home), Receiver(home)]
    start, verdicts = threading.Barrier(8), []

    def post(number: int) -> None:
        start.wait()
        verdicts.append(receptions[number % 2].receive(TASK, body(**DONE)))

    threads = [threading.Thread(target=post, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(v.name for v in verdicts) == ["ACCEPTED"] + ["REPEATED"] * 7
    assert inbox(home) == 1


POST = """
import sys
from pathlib import Path
from imgopen_nb.server_extension.handlers import OUTCOME_REPLIES
from imgopen_nb.server_extension.receiver import Receiver
receiver = Receiver(Path(sys.argv[1]))
sys.stdin.readline()
print(receiver.receive(sys.argv[2], sys.argv[3].encode()).name)
"""


def test_of_processes_that_bring_contradicting_ends_at_once_one_wins(home: Path):
    ends = [body(status=2, caption=f"cat {n}").decode() for n in range(4)]
    command = [sys.executable, "-c", POST, str(home), TASK]
    processes = [subprocess.Popen([*command, end], stdin=-1, stdout=-1, text=True) for end in ends]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[0].strip() for process in processes]

    assert sorted(said) == ["ACCEPTED", "REPEATED", "REPEATED", "REPEATED"]
    assert row(home)["caption"] == f"cat {said.index('ACCEPTED')}"
    assert inbox(home) == 1


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["status", "caption", "task_id", "tags", "percentage", "temporaryImageDto", "imageUrl",
     "images", "output", "data", "code", "msg", "businessTaskId", "errorMessage"]
)  # fmt: skip


@given(data=st.dictionaries(NAMES, JSONS, max_size=6), status=st.integers(-1, 4) | JSONS)
@settings(
    max_examples=often(200, 2000), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
def test_whatever_it_holds_it_gets_a_verdict_and_the_history_stays_readable(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any], status: Any
):
    home = tmp_path_factory.getbasetemp() / "fuzzed"
    task_id = f"nb{len(list(home.glob('*.mark'))) if home.exists() else 0}"
    add(home, task_id)
    (home / f"{task_id}.mark").touch()
    receiver = Receiver(home)
    for content in (
        {**data, "status": status},
        {"code": "200", "data": {**data, "status": status}},
    ):
        assert receiver.receive(task_id, json.dumps(content).encode()) in CallbackOutcome
    assert row(home, task_id)["task_id"] == task_id
    receiver.close()


@pytest.mark.parametrize("trouble", ["corrupt", "home is a file"])
def test_a_history_that_cannot_be_used_is_an_error(tmp_path: Path, trouble: str):
    home = tmp_path / "home"
    if trouble == "corrupt":
        home.mkdir()
        (home / "imgopen.sqlite").write_bytes(b"this is no database" * 100)
    else:
        home.write_text("")

    with pytest.raises(JournalError, match="cannot be used"):
        Receiver(home).receive(TASK, body(**DONE))
    with pytest.raises(Exception, match="cannot be"):
        Receiver(home).check()


def test_looking_whether_all_is_well_makes_nothing(tmp_path: Path):
    Receiver(tmp_path / "new").check()
    assert not (tmp_path / "new").exists()


def test_an_address_is_authentic_for_its_task_alone(receiver: Receiver, home: Path):
    signature = Signer(home).sign(CALLBACK, TASK)

    assert receiver.authentic(TASK, signature)
    assert not receiver.authentic("nb-other", signature)
    assert not receiver.authentic(TASK, Signer(home).sign("picture", TASK))
    Signer(home).rotate()
    assert not receiver.authentic(TASK, signature)


def test_a_hello_proves_the_same_home_and_is_good_for_nothing_else(
    receiver: Receiver, tmp_path: Path
):
    nonce = "0" * 32
    assert Signer(tmp_path).check(receiver.hello(nonce), "hello", nonce)
    assert not receiver.authentic(nonce, receiver.hello(nonce))
    assert Receiver(tmp_path / "other").hello(nonce) != receiver.hello(nonce)


class TestPictures:
    def test_a_picture_is_there_while_its_task_runs(self, receiver: Receiver, home: Path):
        name = receiver.publisher.publish(TASK, PICTURE, ".png")
        found = receiver.picture(name)
        assert found
        assert found.data == PICTURE

        receiver.receive(TASK, body(**DONE))
        assert receiver.picture(name) is None
        assert not (home / "published" / TASK).exists()

    def test_it_is_gone_too_when_a_query_ended_the_task(self, receiver: Receiver, home: Path):
        name = receiver.publisher.publish(TASK, PICTURE, ".png")
        open_table(home).update(TASK, status="failed")

        assert receiver.picture(name) is None

    def test_without_a_task_there_is_no_picture(self, receiver: Receiver):
        assert receiver.picture(receiver.publisher.publish("nobody", PICTURE, ".png")) is None

    def test_a_refused_callback_leaves_it(self, receiver: Receiver):
        name = receiver.publisher.publish(TASK, PICTURE, ".png")
        receiver.receive(TASK, b"{}")
        receiver.receive(TASK, body(status=1))

        assert receiver.picture(name)

    def test_old_ones_are_swept_away(self, receiver: Receiver, home: Path):
        name = receiver.publisher.publish(TASK, PICTURE, ".png")
        receiver.sweep()
        assert receiver.picture(name)
        os.utime(home / "published" / TASK, (1, 1))
        receiver.sweep()
        assert receiver.picture(name) is None
