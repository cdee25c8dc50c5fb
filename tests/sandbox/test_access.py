"""Who may use a sandbox: its owner, who has the token, and no other user of the machine."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import pickle
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from imgopen_nb.api.client import Client
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.config.settings import load
from imgopen_nb.errors import APIError, AuthenticationError, SandboxError, SettingsError
from imgopen_nb.sandbox.http.service import PATHS
from imgopen_nb.sandbox.jobs.store import FileStore
from imgopen_nb.sandbox.process import TOKEN_HEADER, TOKEN_VARIABLE, SandboxProcess
from imgopen_nb.session import Session

from ..forks import Child, as_user
from ..sandbox_fixtures import (
    Api,
    command,
    headers_of,
    new_key,
    noisy_jpeg,
    picture_bytes,
    wait_for,
)
from ..stub import Reply, Stub

pytest_plugins = ["tests.sandbox_fixtures"]

ADMIN = ("/_sandbox/clock", "/_sandbox/faults", "/_sandbox/requests")
PAGES = ("/", "/openapi.json")
GUARDED = (*PATHS, *ADMIN, "/upload", "/nothing", "/AIGCImgOpenServ/nothing")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
NOBODY = 65534
as_root = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user"
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A sandbox with everything that there is to guard."""
    home = tmp_path_factory.mktemp("guarded")
    with SandboxProcess.start(home, "--admin", "--training-seconds", "0") as running:
        yield running


def wrong_tokens(token: str) -> list[dict[str, str]]:
    """Headers of requests that do not have access."""
    tries = ["", "x", token[:-1], f"{token}x", f"x{token}", token.swapcase(), f"{token},x",
             f"Bearer {token}", "\u00e9" * len(token), "0" * len(token)]  # fmt: skip
    named = [{TOKEN_HEADER: text.encode("latin-1").decode("latin-1")} for text in tries]
    basic = base64.b64encode(f"x:{token}".encode()).decode()
    return [{}, *named, {"X-Imgopen-Token": token}, {"Cookie": f"token={token}"},
            {"Authorization": f"Basic {basic}"}]  # fmt: skip


def everything_in(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("path", GUARDED)
def test_without_the_token_nothing_at_all_is_done(guarded: SandboxProcess, path: str):
    """Each path, method and wrong token: 401 in the envelope, no file, no task, no log."""
    home = guarded.log.parent
    before = everything_in(home)
    body = json.dumps({"image": "http://127.0.0.1:9/canary", "businessTaskId": "canary"}).encode()
    tries = wrong_tokens(guarded.token.reveal())
    for number, method in enumerate(METHODS):
        for headers in tries if method == "POST" else tries[number : number + 1]:
            answer = requests.request(
                method, guarded.url + path, data=body, headers=headers, timeout=10
            )
            assert answer.status_code == 401, (method, headers.keys())
            if method != "HEAD":
                told = answer.json()
                assert (told["code"], told["data"]) == ("401", None)
                assert TOKEN_HEADER in told["msg"]
                assert TOKEN_VARIABLE in told["msg"]
                assert "canary" not in answer.text
                assert guarded.token.reveal() not in answer.text

    assert everything_in(home) == before
    asked = Api(guarded).http.get(f"{guarded.url}/_sandbox/requests", timeout=5).json()
    assert "canary" not in json.dumps(asked)


def test_the_answer_arrives_though_a_large_body_is_under_way(guarded: SandboxProcess):
    """It is read to its end, so that no reset connection takes the answer with it; n = 5."""
    for _ in range(5):
        answer = requests.post(f"{guarded.url}/upload", data=b"x" * 20_000_000, timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (401, "401")


def test_a_fetch_is_not_even_tried_without_the_token(guarded: SandboxProcess):
    with Stub() as watched:
        body = {"image": f"{watched.url}/x.png", "businessTaskId": new_key()}
        path = OPERATIONS["describe"].path
        assert requests.post(guarded.url + path, json=body, timeout=10).status_code == 401
        assert Api(guarded).query("describe", body["businessTaskId"])["code"] == "404"

        assert watched.requests == []


def test_pages_take_the_token_as_a_header_or_as_a_browsers_password(guarded: SandboxProcess):
    basic = ("anybody", guarded.token.reveal())
    for path in PAGES:
        refused = requests.get(guarded.url + path, timeout=10)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Basic")
        assert requests.get(guarded.url + path, auth=("", "wrong"), timeout=10).status_code == 401
        assert requests.get(guarded.url + path, auth=basic, timeout=10).ok
        assert requests.get(guarded.url + path, headers=headers_of(guarded), timeout=10).ok


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic /w==", "Basic eA==", "Bearer x"])
def test_a_password_that_is_none_is_no_access(guarded: SandboxProcess, header: str):
    headers = {"Authorization": header}
    assert requests.get(f"{guarded.url}/", headers=headers, timeout=10).status_code == 401


def test_health_is_open_to_all_and_tells_nothing(guarded: SandboxProcess):
    answer = requests.get(f"{guarded.url}/health", timeout=5)
    assert answer.json() == {"ok": True}
    assert "Server" not in answer.headers


def test_a_picture_is_open_to_who_knows_its_name(guarded: SandboxProcess):
    """An <img> sends no header: GET gives it whole, HEAD its headers, a range is not cut out."""
    data = picture_bytes()
    url = Api(guarded).picture(data)

    answer = requests.get(url, headers={"Range": "bytes=0-3"}, timeout=5)
    head = requests.head(url, timeout=5)

    assert (answer.status_code, answer.content) == (200, data)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(data))
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert requests.request(method, url, timeout=5).status_code == 405


def test_a_name_cannot_be_found_out_from_a_copy_of_the_picture(guarded: SandboxProcess):
    """It is not a plain hash of the content: n = 4 hashes of it, and none is served."""
    data = noisy_jpeg()
    url = Api(guarded).picture(data)

    for name in ("sha256", "sha1", "md5", "blake2s"):
        guess = f"{guarded.url}/files/{hashlib.new(name, data).hexdigest()}.jpg"
        assert guess != url
        assert requests.get(guess, timeout=5).status_code == 404
    assert len(urlsplit(url).path.rpartition("/")[2].partition(".")[0]) == 64


def test_the_same_picture_keeps_its_name_in_one_home_and_has_another_elsewhere(tmp_path: Path):
    stores = [FileStore(tmp_path / home / "files") for home in ("a", "a", "b")]
    first, again, elsewhere = (store.add(b"picture", "png") for store in stores)

    assert first == again != elsewhere


def test_a_secret_that_was_cut_off_is_made_anew(tmp_path: Path):
    (tmp_path / "files.secret").write_bytes(b"short")
    store = FileStore(tmp_path / "files")

    assert store.find(store.add(b"picture", "png"))
    assert stat.S_IMODE((tmp_path / "files.secret").stat().st_mode) == 0o600
    assert len((tmp_path / "files.secret").read_bytes()) == 32


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "%2e", "../files.secret", "..%2ffiles.secret", "%2e%2e%2fsandbox.log",
     "....//tasks", "//etc/passwd", "%00", "*", "?list", "files.secret", "\u0661" * 64 + ".png"],
)  # fmt: skip
def test_pictures_cannot_be_listed_nor_left(guarded: SandboxProcess, name: str):
    prepared = requests.Request("GET", f"{guarded.url}/").prepare()
    prepared.url = f"{guarded.url}/files/{name}".encode().decode("latin-1")
    for method in ("GET", "HEAD"):
        prepared.method = method
        assert requests.Session().send(prepared, timeout=5).status_code == 404


@pytest.mark.parametrize(
    "path", ["/files", "/files/../upload", "/Files/x", "//files/x", "/health/"]
)
def test_what_is_nearly_an_open_path_is_guarded(guarded: SandboxProcess, path: str):
    parts = urlsplit(guarded.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    connection.request("POST", path, b"{}")
    assert connection.getresponse().status in (401, 404, 405)
    connection.close()


# How the token travels


def test_each_process_has_a_token_of_its_own_that_nothing_shows(tmp_path: Path):
    with SandboxProcess.start(tmp_path) as first, SandboxProcess.start(tmp_path) as second:
        token = first.token.reveal()
        lines = [Path(f"/proc/{each.pid}/{name}").read_bytes()
                 for each in (first, second) for name in ("cmdline", "environ")]  # fmt: skip
        shown = f"{first!r} {first.headers!r} {first.token} {first.token!r} {vars(first)!r}"

        assert len(token) >= 32
        assert token != second.token.reveal()
        assert not [line for line in lines if token.encode() in line]
        assert token not in shown
        with pytest.raises(TypeError):
            pickle.dumps(first)
    assert token not in "".join(
        path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()
    )


def test_a_child_gets_no_token_that_was_meant_for_another_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(TOKEN_VARIABLE, "canary-token-of-another")
    with SandboxProcess.start(tmp_path) as sandbox:
        assert sandbox.token.reveal() != "canary-token-of-another"
        assert b"canary" not in Path(f"/proc/{sandbox.pid}/environ").read_bytes()


def test_the_command_prints_its_token_or_takes_that_of_the_environment(tmp_path: Path):
    given = "canary-token-0123456789"
    with command(tmp_path / "a") as (_, one), command(tmp_path / "b") as (_, other):
        assert len(one.token) >= 32
        assert one.token != other.token
        assert one.query("describe", "x")["code"] == "404"
    with command(tmp_path / "c", env={**os.environ, TOKEN_VARIABLE: given}) as (_, api):
        assert api.token == given
        assert api.query("describe", "x")["code"] == "404"
        assert requests.post(f"{api.url}/upload", timeout=5).status_code == 401


@pytest.mark.parametrize(
    "token", ["short", "with a space in it", "line\nbreak-0123456789", "é" * 20]
)
def test_what_cannot_be_a_token_is_refused_without_being_quoted(
    token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    line = [sys.executable, "-m", "imgopen_nb.sandbox", "--home", str(tmp_path)]
    ended = subprocess.run(
        line, env={**os.environ, TOKEN_VARIABLE: token}, capture_output=True, text=True, timeout=20
    )
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    with Session("http://127.0.0.1:9") as session, pytest.raises(SettingsError) as caught:
        session.run("models")

    assert (ended.returncode, ended.stdout) == (2, "")
    for told in (ended.stderr, str(caught.value)):
        assert TOKEN_VARIABLE in told
        assert token not in told
        assert "Traceback" not in told


def test_a_session_hands_the_token_on_and_says_what_to_do_without_it(
    guarded: SandboxProcess, monkeypatch: pytest.MonkeyPatch
):
    with Session(guarded.url) as session, pytest.raises(AuthenticationError) as caught:
        session.run("models")
    assert f"set {TOKEN_VARIABLE}" in str(caught.value)
    assert "login" not in str(caught.value)

    monkeypatch.setenv(TOKEN_VARIABLE, guarded.token.reveal())
    with Session(guarded.url) as session:
        assert session.run("models").data["rows"]
        assert session.reach() > 0


def test_the_token_goes_to_no_other_host(monkeypatch: pytest.MonkeyPatch, stub: Stub):
    """Neither with keys to the real service, nor along with a ping or a download."""
    monkeypatch.setenv(TOKEN_VARIABLE, "canary-token-0123456789")
    stub.replies(*[Reply({"code": "200", "msg": "", "data": {}})] * 3)
    with Session(stub.url, "key-id-0123", "key-secret-0123") as session:
        session.reach()
        session.call("/AIGCImgOpenServ/saas/x", {})
        session.download(f"{stub.url}/x.png")

    assert len(stub.requests) == 3
    assert "canary" not in repr([dict(request.headers) for request in stub.requests])


def test_an_answer_that_repeats_the_token_shows_stars(stub: Stub):
    from imgopen_nb.config.credentials import Secret

    token = "canary-token-0123456789"
    client = Client(stub.url, headers={TOKEN_HEADER: Secret(token)})
    stub.replies(Reply({"code": "400", "msg": f"you sent {token}", "data": None}))
    with pytest.raises(APIError) as caught:
        client.exchange("/x", {})
    caught.value.__traceback__ = caught.tb.tb_next  # ours holds the token
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)

    assert stub.requests[0].headers[TOKEN_HEADER] == token
    assert token not in "".join(shown.format()) + repr(client) + repr(vars(client))
    client.close()


def test_a_sandbox_that_died_is_started_again_with_a_new_token(tmp_path: Path):
    with Session(home=tmp_path) as session:
        assert session.run("models").data["rows"]
        process = session.manager.backend._sandbox
        assert process is not None
        before = process.token.reveal()
        os.kill(process.pid, 9)
        process._process.wait(10)

        assert session.run("loras").data["rows"]
        assert session.manager.backend._sandbox is not process
        assert session.manager.backend._sandbox.token.reveal() != before  # type: ignore[union-attr]


def test_a_forked_child_uses_its_parents_token(guarded: SandboxProcess):
    told = Child(lambda: Api(guarded).query("describe", "x")["code"]).answer()
    assert told == "404"


def test_open_asks_for_no_token_and_keeps_foreign_pages_out(tmp_path: Path):
    with command(tmp_path, "--open") as (_, api):
        assert api.token == ""
        assert api.query("describe", "x")["code"] == "404"
        assert requests.get(f"{api.url}/", timeout=10).ok
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            answer = requests.post(f"{api.url}/upload", headers=headers, timeout=5)
            assert answer.status_code == 403


def test_where_keys_are_demanded_they_take_the_place_of_the_token(tmp_path: Path):
    env = {**os.environ, "CANARY": "secret-5d1", TOKEN_VARIABLE: "canary-token-0123456789"}
    keys = {"X-Request-req-accessKeyId": "id-1", "X-Request-req-accessKeySecret": "secret-5d1"}
    with command(tmp_path, "--key-id", "id-1", "--key-secret-env", "CANARY", env=env) as (_, api):
        assert api.token == ""
        assert Api(api.url, keys).query("describe", "x")["code"] == "404"
        assert (
            Api(api.url, {TOKEN_HEADER: env[TOKEN_VARIABLE]}).query("describe", "x")["code"]
            == "401"
        )
        assert requests.get(f"{api.url}/", timeout=10).status_code == 401
        assert requests.get(f"{api.url}/", auth=("id-1", "secret-5d1"), timeout=10).ok
        assert requests.get(f"{api.url}/", headers=keys, timeout=10).ok


def test_open_and_keys_exclude_each_other(tmp_path: Path):
    line = [sys.executable, "-m", "imgopen_nb.sandbox", "--home", str(tmp_path), "--open",
            "--key-id", "id-1", "--key-secret-env", "CANARY"]  # fmt: skip
    env = {**os.environ, "CANARY": "secret-5d1"}
    ended = subprocess.run(line, env=env, capture_output=True, text=True, timeout=20)
    assert (ended.returncode, "--open" in ended.stderr) == (2, True)


# Files and other users


def test_what_the_sandbox_writes_is_its_owners_alone(tmp_path: Path):
    """Whatever the umask is, and where an earlier version left wider modes."""
    folder = tmp_path / "sandbox"
    for name in ("files", "tasks"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "sandbox.log").write_text("")
    (folder / "sandbox.log").chmod(0o644)
    before = os.umask(0)
    try:
        with SandboxProcess.start(tmp_path) as sandbox:
            api, key = Api(sandbox), new_key()
            api.call("describe", {"image": api.picture(noisy_jpeg()), "businessTaskId": key})
            assert api.ended("describe", key)["data"]["status"] == 2
    finally:
        os.umask(before)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode)
             for path in folder.rglob("*") if path.is_file()}  # fmt: skip
    assert len(modes) >= 4
    assert set(modes.values()) == {0o600}, modes


def test_a_log_that_is_a_link_is_not_written_through(tmp_path: Path):
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "target").write_text("mine")
    (tmp_path / "sandbox/sandbox.log").symlink_to(tmp_path / "target")

    with pytest.raises(SandboxError, match="cannot write to"):
        SandboxProcess.start(tmp_path)
    assert (tmp_path / "target").read_text() == "mine"


@as_root
def test_as_another_user_of_the_machine_the_sandbox_does_nothing():
    """Submissions, queries, uploads, admin, guessed names, files, the log and /proc, as nobody."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place, Stub() as watched:
        os.chmod(place, 0o755)
        home = Path(place) / "home"
        with SandboxProcess.start(home, "--admin") as sandbox:
            api, key = Api(sandbox), new_key()
            picture = noisy_jpeg()
            url = api.picture(picture)
            api.call("describe", {"image": url, "businessTaskId": key})
            api.ended("describe", key)
            before = everything_in(home / "sandbox")
            guess = f"{sandbox.url}/files/{hashlib.sha256(picture).hexdigest()}.jpg"
            body = {"image": f"{watched.url}/x.png", "businessTaskId": "stranger"}

            def as_stranger() -> dict[str, Any]:
                statuses = {
                    path: requests.post(sandbox.url + path, json=body, timeout=10).status_code
                    for path in GUARDED
                }
                files = {}
                for path in (
                    home / "sandbox", home / "sandbox/sandbox.log", home / "sandbox/files",
                    home / "sandbox/files.secret", home / "sandbox/tasks",
                    Path(f"/proc/{sandbox.pid}/environ"), Path(f"/proc/{sandbox.pid}/fd"),
                ):  # fmt: skip
                    try:
                        os.listdir(path) if path.suffix == "" and path.name != "environ" else (
                            path.read_bytes()
                        )
                        files[str(path)] = "read"
                    except PermissionError:
                        files[str(path)] = "refused"
                shown = Path(f"/proc/{sandbox.pid}/cmdline").read_bytes().decode("latin-1")
                return {
                    "uid": os.getuid(), "statuses": statuses, "files": files, "cmdline": shown,
                    "guess": requests.get(guess, timeout=5).status_code,
                    "health": requests.get(f"{sandbox.url}/health", timeout=5).json(),
                }  # fmt: skip

            told = as_user(NOBODY, as_stranger)

            assert told["uid"] == NOBODY
            assert set(told["statuses"].values()) == {401}
            assert set(told["files"].values()) == {"refused"}, told["files"]
            assert told["guess"] == 404
            assert told["health"] == {"ok": True}
            assert "imgopen_nb.sandbox" in told["cmdline"]
            assert sandbox.token.reveal() not in told["cmdline"]
            assert everything_in(home / "sandbox") == before
            assert watched.requests == []


# What the owner's own sandbox fetches and calls


def failed(api: Api, url: str) -> str:
    key = new_key()
    assert api.call("describe", {"image": url, "businessTaskId": key})["code"] == "200"
    return str(api.ended("describe", key)["data"].get("errorMessage"))


def test_a_redirect_to_another_server_inside_is_refused_without_a_word_about_its_port(api: Api):
    """Open ports and closed ones give the same answer: n = 2 targets, each asked for nothing."""
    with Stub() as first, Stub() as inner:
        said = []
        for target in (f"{inner.url}/secret", "http://127.0.0.1:9/secret"):
            first.replies(Reply(b"", 302, {"Location": target}))
            said.append(failed(api, f"{first.url}/x.png"))

        assert said[0] == said[1]
        assert "is in a private network, so it was not fetched" in said[0]
        assert inner.requests == []


def test_a_redirect_at_the_same_server_is_followed(api: Api):
    with Stub() as server:
        server.replies(Reply(b"", 302, {"Location": "/there.png"}), Reply(picture_bytes()))
        key = new_key()
        api.call("describe", {"image": f"{server.url}/x.png", "businessTaskId": key})

        assert api.ended("describe", key)["data"]["status"] == 2


def test_a_callback_is_not_redirected(api: Api):
    with Stub() as receiver, Stub() as inner:
        receiver.replies(Reply(b"", 307, {"Location": f"{inner.url}/secret"}))
        key = new_key()
        body = {"image": api.picture(noisy_jpeg()), "businessTaskId": key}
        api.call("describe", {**body, "callbackUrl": receiver.url})
        api.ended("describe", key)
        wait_for(lambda: receiver.requests)
        wait_for(lambda: api.query("describe", key)["data"]["callback"]["attempts"])

        assert len(receiver.requests) == 1
        assert inner.requests == []


def test_settings_know_nothing_of_the_token(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(TOKEN_VARIABLE, "canary-token-0123456789")
    assert "canary" not in repr(load())
