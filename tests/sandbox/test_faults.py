"""Faults on purpose and the admin's routes, over real HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.catalogue.status import KNOWS_AT_ONCE
from imgopen_nb.sandbox import faults as module
from imgopen_nb.sandbox.faults import FaultError, Faults
from imgopen_nb.sandbox.http.request_log import LoggedRequest, RequestLog
from imgopen_nb.sandbox.process import TOKEN_VARIABLE, SandboxProcess
from imgopen_nb.session import Session

from ..sandbox.test_callbacks import Receiver, described
from ..sandbox_fixtures import Api, command, new_key, picture_bytes, wait_for

pytest_plugins = ["tests.sandbox_fixtures"]

SUBMISSION = OPERATIONS["describe"].path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with SandboxProcess.start(tmp_path_factory.mktemp("faulty"), "--admin") as sandbox:
        yield Api(sandbox)


@pytest.fixture
def faulty(running: Api) -> Iterator[Api]:
    """A sandbox in which nothing goes wrong after the test."""
    yield running
    put(running)


def put(api: Api, *rows: dict[str, Any], seed: int = 0) -> None:
    answer = api.post("/_sandbox/faults", {"seed": seed, "rows": list(rows)})
    assert answer["code"] == "200", answer


def submit(api: Api, key: str) -> requests.Response:
    body = {"image": "http://127.0.0.1:9/", "businessTaskId": key}
    return api.http.post(api.url + SUBMISSION, json=body, timeout=10)


def counts(api: Api, key: str) -> dict[str, int]:
    told = api.http.get(f"{api.url}/_sandbox/requests", timeout=5).json()["data"]
    found: dict[str, int] = told["tasks"][key]
    return found


def known(api: Api, key: str) -> bool:
    return bool(api.query("describe", key)["code"] == "200")


# What each kind does


@pytest.mark.parametrize(
    ("row", "status", "body", "accepted"),
    [
        ({"kind": "status"}, 500, b'"code": "500"', False),
        ({"kind": "status", "value": 503}, 503, b'"code": "503"', False),
        ({"kind": "code", "value": "A0400"}, 200, b'"code": "A0400"', False),
        ({"kind": "429", "retry_after": 7}, 429, b'"code": "429"', False),
        ({"kind": "html"}, 200, b"<!doctype html>", True),
        ({"kind": "html", "value": 502}, 502, b"<!doctype html>", True),
        ({"kind": "empty"}, 200, b"", True),
        ({"kind": "truncate"}, 200, b'{"code": "200"', True),
    ],
)
def test_a_fault_answers_so_and_accepts_the_work_or_not(
    faulty: Api, row: dict[str, Any], status: int, body: bytes, accepted: bool
):
    put(faulty, {"operation": "describe", **row})
    key = new_key("fault")
    answer = submit(faulty, key)
    assert answer.status_code == status
    assert answer.content.startswith(body) or body in answer.content
    assert answer.headers.get("Retry-After") == ("7" if row["kind"] == "429" else None)
    assert known(faulty, key) == accepted
    assert counts(faulty, key) == {"submissions": 1, "queries": 1, "accepted": int(accepted)}


def test_a_truncated_answer_is_no_json(faulty: Api):
    put(faulty, {"kind": "truncate"})
    with pytest.raises(ValueError, match=r"."):
        submit(faulty, new_key()).json()


@pytest.mark.parametrize("kind", ["drop-before", "drop-after"])
def test_a_dropped_connection_comes_before_or_after_the_work_is_accepted(faulty: Api, kind: str):
    put(faulty, {"kind": kind})
    key = new_key("dropped")
    with pytest.raises(requests.ConnectionError):
        submit(faulty, key)
    assert known(faulty, key) == (kind == "drop-after")
    assert counts(faulty, key)["submissions"] == 1


def test_a_lost_result_is_a_success_without_its_result(faulty: Api):
    key = new_key("lost")
    image = faulty.picture(picture_bytes())
    faulty.call("describe", {"image": image, "businessTaskId": key})
    assert "caption" in faulty.ended("describe", key)["data"]
    put(faulty, {"kind": "lost-result", "times": 1})
    data = faulty.query("describe", key)["data"]
    assert (data["status"], data["businessTaskId"], "caption" in data) == (2, key, False)
    assert "caption" in faulty.query("describe", key)["data"]


def test_a_delay_holds_a_request_back(faulty: Api):
    put(faulty, {"kind": "delay", "value": 0.6, "on": "query"})
    begin = time.monotonic()
    faulty.query("describe", "x")
    assert time.monotonic() - begin >= 0.6


def test_a_callback_comes_twice_or_late(faulty: Api):
    put(faulty, {"kind": "duplicate-callback"}, {"kind": "late-callback", "value": 900})
    with Receiver() as receiver:
        key = described(faulty, receiver.url)
        assert faulty.ended("describe", key)["data"]["callback"]["attempts"] == 0
        assert receiver.got == []
        faulty.post("/_sandbox/clock", {"advance": 901})
        wait_for(lambda: len(receiver.got) == 2)
    assert receiver.got[0] == receiver.got[1]


# Where and how often


def test_a_row_is_about_its_operation_and_its_occasion_only(faulty: Api):
    put(faulty, {"kind": "code", "operation": "style", "on": "query"})
    assert faulty.query("style", "x")["code"] == "500"
    assert faulty.query("describe", "x")["code"] == "404"
    assert submit(faulty, new_key()).json()["code"] == "200"


def test_a_row_ends_after_its_times_and_tells_how_often_it_came_true(faulty: Api):
    put(faulty, {"kind": "code", "times": 2})
    assert [submit(faulty, new_key()).json()["code"] for _ in range(4)] == ["500"] * 2 + ["200"] * 2
    told = faulty.http.get(f"{faulty.url}/_sandbox/faults", timeout=5).json()["data"]
    assert told["fired"] == [2]
    assert "drop-before" in told["kinds"]


def test_the_same_seed_brings_the_same_faults_and_another_one_others():
    def drawn(seed: int) -> list[bool]:
        faults = Faults()
        faults.put({"seed": seed, "rows": [{"kind": "code", "rate": 0.3}]})
        return [faults.draw("describe", "submit").fault is not None for _ in range(200)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 30 < sum(drawn(1)) < 90


def test_one_rows_dice_do_not_depend_on_another_rows_requests():
    rows = [{"kind": "code", "rate": 0.5}, {"kind": "status", "rate": 0.5, "on": "query"}]
    alone, mixed = Faults(), Faults()
    for faults in (alone, mixed):
        faults.put(rows)
    expected = [alone.draw("describe", "submit") for _ in range(50)]
    found = []
    for _ in range(50):
        mixed.draw("describe", "query")
        found.append(mixed.draw("describe", "submit"))
    assert found == expected


def test_waits_come_from_the_distribution_that_is_named():
    def seconds(value: Any) -> list[float]:
        faults = Faults()
        faults.put([{"kind": "delay", "value": value}])
        return [faults.draw("describe", "submit").seconds for _ in range(500)]

    assert set(seconds(2)) == set(seconds({"fixed": [2]})) == {2.0}
    uniform = seconds({"uniform": [1, 3]})
    assert 1 <= min(uniform) < 1.2 < 2.8 < max(uniform) <= 3
    lognormal = sorted(seconds({"lognormal": [2, 0.5]}))
    assert lognormal[250] == pytest.approx(2, rel=0.2)
    assert lognormal[0] > 0


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (5, "a list of rows"),
        ({"rows": [], "x": 1}, "a list of rows"),
        ({"seed": "a", "rows": []}, "seed is a whole number"),
        (["x"], "row 1 must be an object"),
        ([{"kind": "code"}, {"kind": "nonsense"}], "row 2 needs a kind"),
        ([{"kind": ["code"]}], "needs a kind"),
        ([{"kind": "code", "rtae": 1}], "unknown member 'rtae'"),
        ([{"kind": "code", "operation": "descrbe"}], "operation is a name"),
        ([{"kind": "code", "operation": []}], "operation is a name"),
        ([{"kind": "code", "on": "never"}], "on is one of"),
        ([{"kind": "code", "on": "callback"}], "only those, are on callback"),
        ([{"kind": "late-callback", "value": 1, "on": "query"}], "only those, are on callback"),
        ([{"kind": "code", "rate": 1.5}], "rate is from 0 to 1"),
        ([{"kind": "code", "times": -1}], "times is a whole number"),
        ([{"kind": "code", "value": []}], "value is a code"),
        ([{"kind": "429", "retry_after": "x"}], "retry_after"),
        ([{"kind": "delay"}], "value is seconds"),
        ([{"kind": "delay", "value": {"uniform": [1]}}], "value is seconds"),
        ([{"kind": "delay", "value": {"gamma": [1, 2]}}], "value is seconds"),
        ([{"kind": "status", "value": 99}], "HTTP status"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_the_reason(spec: Any, said: str):
    faults = Faults()
    faults.put([{"kind": "code"}])
    with pytest.raises(FaultError, match=said):
        faults.put(spec)
    assert len(faults.rows) == 1


def test_every_kind_is_described():
    assert all(text for text, _ in module.KINDS.values())


# The command line and the admin's routes


@pytest.mark.parametrize("as_file", [False, True])
def test_faults_are_given_as_text_or_as_a_file(tmp_path: Path, as_file: bool):
    text = json.dumps([{"kind": "code", "value": "777"}])
    (tmp_path / "faults.json").write_text(text)
    given = str(tmp_path / "faults.json") if as_file else text
    with command(tmp_path, "--faults", given) as (_, api):
        assert submit(api, "x").json()["code"] == "777"
        assert api.http.get(f"{api.url}/_sandbox/faults", timeout=5).status_code == 404


@pytest.mark.parametrize("given", ['[{"kind": "x"}]', "[", "no-such-file.json"])
def test_faults_that_do_not_fit_end_the_command_with_code_2(tmp_path: Path, given: str):
    line = [sys.executable, "-m", "imgopen_nb.sandbox", "--home", str(tmp_path), "--faults", given]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, "--faults:" in ended.stderr) == (2, True)
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("path", ["clock", "faults", "requests"])
def test_without_admin_there_are_no_such_routes(api: Api, path: str):
    for method in ("GET", "POST"):
        answer = api.http.request(method, f"{api.url}/_sandbox/{path}", data=b"{}", timeout=5)
        assert (answer.status_code, answer.json()["code"]) == (404, "404")


@pytest.mark.parametrize("path", ["clock", "faults", "requests"])
@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_foreign_hosts_and_origins_may_not_administer(
    running: Api, path: str, headers: dict[str, str]
):
    for method in ("GET", "POST"):
        url = f"{running.url}/_sandbox/{path}"
        answer = requests.request(method, url, headers=headers, data=b"{}", timeout=5)
        assert answer.status_code == 403


def test_where_keys_are_set_the_admin_needs_them_too(tmp_path: Path):
    env = {**os.environ, "CANARY": "secret-5d1"}
    options = ("--admin", "--key-id", "id-1", "--key-secret-env", "CANARY")
    keys = {"X-Request-req-accessKeyId": "id-1", "X-Request-req-accessKeySecret": "secret-5d1"}
    with command(tmp_path, *options, env=env) as (_, api):
        assert api.post("/_sandbox/clock", {"advance": 1})["code"] == "401"
        assert Api(api.url, keys).post("/_sandbox/clock", {"advance": 1})["code"] == "200"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"advance": "x"}', b'{"advance": -1}',
                                  b'{"advance": true}', b'{"advance": 1e300}'])  # fmt: skip
def test_the_clock_only_goes_on(running: Api, body: bytes):
    answer = running.post("/_sandbox/clock", data=body)
    assert answer["code"] == "400"


def test_the_log_of_requests_holds_no_headers_and_no_bodies(running: Api):
    secret = {"X-Request-req-accessKeySecret": "canary-1"}
    body = {"image": "http://127.0.0.1:9/canary-2", "businessTaskId": "logged"}
    running.http.post(running.url + SUBMISSION, json=body, headers=secret, timeout=5)
    answer = running.http.get(f"{running.url}/_sandbox/requests", timeout=5)
    assert "canary" not in answer.text
    last = answer.json()["data"]["requests"][-1]
    assert (last["operation"], last["on"], last["task"]) == ("describe", "submit", "logged")
    assert (last["code"], last["fault"], last["accepted"]) == ("200", "", True)


def test_the_log_of_requests_is_bounded():
    log = RequestLog()
    for number in range(1100):
        log.add(LoggedRequest("describe", "query", time.time(), task=str(number)))
    told = log.as_json()
    assert len(told["requests"]) == len(told["tasks"]) == 1000
    assert told["requests"][-1]["task"] == "1099"
    assert "0" not in told["tasks"]


# What it is for


def test_a_session_gets_its_result_over_a_bad_network_and_the_work_is_done_once(
    faulty: Api, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(TOKEN_VARIABLE, faulty.token)
    put(
        faulty,
        {"kind": "drop-after", "times": 1},
        {"kind": "html", "on": "query", "times": 1},
        {"kind": "429", "on": "query", "retry_after": 0.1, "times": 1},
        {"kind": "drop-before", "on": "query", "times": 1},
    )
    with Session(faulty.url) as session:
        task = session.submit("describe", image=faulty.picture(picture_bytes()))
        assert task.result(timeout=60).caption
    found = counts(faulty, task.id)
    assert found["submissions"] <= 2
    assert found["accepted"] >= 1


# Whether "not found" says that a task never arrived.


def knows_at_once(api: Api) -> bool:
    body = {"businessTaskId": new_key()}
    answer = api.http.post(f"{api.url}{SUBMISSION}/queryTask", json=body, timeout=10)
    assert answer.json()["code"] == "404"
    return answer.headers.get(KNOWS_AT_ONCE) == "1"


def test_it_says_that_it_knows_each_task_at_once_unless_a_fault_may_delay_one(faulty: Api):
    assert knows_at_once(faulty)
    put(faulty, {"kind": "drop-after"}, {"kind": "delay", "value": 0, "rate": 0})
    assert not knows_at_once(faulty)


@pytest.mark.parametrize("row", [{"kind": "code", "value": "404"}, {"kind": "429"}])
def test_a_lie_on_purpose_does_not_say_so(faulty: Api, row: dict[str, Any]):
    put(faulty, {**row, "on": "query"})

    body = {"businessTaskId": new_key()}
    answer = faulty.http.post(f"{faulty.url}{SUBMISSION}/queryTask", json=body, timeout=10)

    assert KNOWS_AT_ONCE not in answer.headers


def test_it_does_not_say_so_while_a_submission_is_held_back(faulty: Api):
    """Whatever holds it back, and even if that fault is no longer in force."""
    put(faulty, {"kind": "delay", "value": 1.0})
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(submit, faulty, new_key())
        wait_for(lambda: not sending.done())
        time.sleep(0.3)
        put(faulty)
        assert not knows_at_once(faulty)
        assert sending.result(10).status_code == 200
    assert knows_at_once(faulty)
