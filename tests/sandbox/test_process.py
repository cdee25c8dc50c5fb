"""The sandbox as a process: start, end, what survives it, what it never tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
import requests

from imgopen_nb.errors import SandboxError
from imgopen_nb.sandbox import process as module
from imgopen_nb.sandbox.process import SandboxProcess

from ..sandbox_fixtures import Api, command, new_key, noisy_jpeg, picture_bytes

pytest_plugins = ["tests.sandbox_fixtures"]
needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def task_of_a_picture(api: Api) -> str:
    key = new_key()
    image = api.picture(noisy_jpeg())
    assert api.call("describe", {"image": image, "businessTaskId": key})["code"] == "200"
    return key


def test_start_is_quick_and_the_first_description_comes_soon(tmp_path: Path):
    """Ready within 2 s, first caption within 5 s on an idle machine; far more is allowed here."""
    begin = time.monotonic()
    with SandboxProcess.start(tmp_path) as sandbox:
        ready = time.monotonic() - begin
        api = Api(sandbox)
        key = task_of_a_picture(api)
        answer = api.ended("describe", key)
        first = time.monotonic() - begin
    assert answer["data"]["status"] == 2
    assert ready < 5
    assert first < 15


def test_stop_ends_the_process_and_may_be_called_twice(tmp_path: Path):
    sandbox = SandboxProcess.start(tmp_path)
    assert sandbox.alive
    assert requests.get(f"{sandbox.url}/health", timeout=5).json() == {"ok": True}
    sandbox.stop()
    sandbox.stop()
    assert not sandbox.alive
    assert gone_within(sandbox.pid, 1)


def test_dropping_the_object_ends_the_process(tmp_path: Path):
    sandbox = SandboxProcess.start(tmp_path)
    pid = sandbox.pid
    del sandbox
    assert gone_within(pid, 3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_with_exit_code_zero(tmp_path: Path, number: int):
    with command(tmp_path) as (running, api):
        assert requests.get(f"{api.url}/health", timeout=5).ok
        running.send_signal(number)
        assert running.wait(5) == 0


def test_the_command_prints_one_line_only(tmp_path: Path):
    with command(tmp_path) as (running, api):
        api.call("describe", {"image": "http://127.0.0.1:9/", "businessTaskId": "a"})
        running.terminate()
        assert running.stdout is not None
        assert running.stdout.read() == b""


def test_the_sandbox_is_in_a_session_of_its_own_so_that_ctrl_c_spares_it(sandbox: SandboxProcess):
    assert os.getsid(sandbox.pid) == sandbox.pid != os.getsid(0)


PARENT = """
import os, sys, time
from pathlib import Path
from imgopen_nb.sandbox.process import SandboxProcess
sandbox = SandboxProcess.start(Path(sys.argv[1]))
if sys.argv[2] == "forked" and os.fork() == 0:
    time.sleep(30)  # a child that holds the pipe open
print(sandbox.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["plain", "forked"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_sandbox_is_gone_soon_after_its_parent_dies(tmp_path: Path, kind: str, number: int):
    line = [sys.executable, "-c", PARENT, str(tmp_path), kind]
    parent = subprocess.Popen(line, stdout=subprocess.PIPE, start_new_session=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    try:
        assert psutil.pid_exists(pid)
        parent.send_signal(number)
        parent.wait(5)
        assert gone_within(pid, 3)
    finally:
        parent.stdout.close()
        os.killpg(parent.pid, signal.SIGKILL) if kind == "forked" else None


def test_a_fork_that_drops_the_object_leaves_the_sandbox_alone(sandbox: SandboxProcess):
    child = os.fork()
    if child == 0:
        sandbox.stop()
        os._exit(0)
    os.waitpid(child, 0)
    assert requests.get(f"{sandbox.url}/health", timeout=5).ok
    assert sandbox.alive


def test_tasks_and_files_outlive_the_process_and_its_port(tmp_path: Path):
    """A new sandbox answers for old tasks, by either id, and knows URLs with the old port."""
    with SandboxProcess.start(tmp_path) as first:
        api = Api(first)
        image = api.picture(noisy_jpeg())
        body = {"image": image, "businessTaskId": "kept"}
        server_id = api.call("describe", body)["data"]["taskId"]
        before = api.ended("describe", "kept")
    with SandboxProcess.start(tmp_path) as second:
        api = Api(second)
        assert second.url != first.url
        assert api.query("describe", "kept") == before
        assert api.query("describe", server_id) == before
        assert api.call("describe", body)["data"]["taskId"] == server_id
        again = {"image": image, "businessTaskId": new_key(), "model": "deepdanbooru"}
        api.call("describe", again)
        assert api.ended("describe", again["businessTaskId"])["data"]["status"] == 2


def test_a_killed_sandbox_leaves_tasks_that_the_next_one_finishes(tmp_path: Path):
    with SandboxProcess.start(tmp_path) as first:
        api = Api(first)
        keys = [task_of_a_picture(api) for _ in range(3)]
        os.kill(first.pid, signal.SIGKILL)
    with SandboxProcess.start(tmp_path) as second:
        api = Api(second)
        assert [api.ended("describe", key)["data"]["status"] for key in keys] == [2, 2, 2]


def test_a_task_that_keeps_ending_the_sandbox_is_given_up(tmp_path: Path):
    """The third process that meets the same unfinished task says so and does not start it."""
    with SandboxProcess.start(tmp_path) as sandbox:
        Api(sandbox).call("describe", {"image": "http://127.0.0.1:9/", "businessTaskId": "x"})
        Api(sandbox).ended("describe", "x")
        (path,) = (tmp_path / "sandbox/tasks").glob("*.json")
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "state": "accepted", "error": "", "revivals": 2}))
        answer = Api(sandbox).ended("describe", "x")
    assert "stopped 3 times" in answer["data"]["errorMessage"]


def test_old_tasks_and_files_are_deleted_at_the_start(tmp_path: Path):
    with SandboxProcess.start(tmp_path) as sandbox:
        api = Api(sandbox)
        old = api.picture(picture_bytes(colour=(9, 9, 9)))
        new = api.picture(picture_bytes(colour=(8, 8, 8)))
        files = tmp_path / "sandbox/files"
        past = time.time() - 8 * 24 * 3600
        os.utime(files / old.rpartition("/")[2], (past, past))
    with SandboxProcess.start(tmp_path):
        deadline = time.monotonic() + 5
        while (files / old.rpartition("/")[2]).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not (files / old.rpartition("/")[2]).exists()
        assert (files / new.rpartition("/")[2]).exists()


def test_half_written_or_strange_task_files_do_no_harm(tmp_path: Path):
    tasks = tmp_path / "sandbox/tasks"
    tasks.mkdir(parents=True)
    (tasks / ("0" * 64 + ".json")).write_text("{")
    (tasks / ("1" * 64 + ".json")).write_text('{"other": "version"}')
    (tasks / ("2" * 64 + ".json")).write_text("[]")
    with SandboxProcess.start(tmp_path) as sandbox:
        assert Api(sandbox).query("describe", "pro" + "1" * 22)["code"] == "404"


def test_delay_holds_back_the_result(tmp_path: Path):
    with SandboxProcess.start(tmp_path, delay=2.0) as sandbox:
        api = Api(sandbox)
        begin = time.monotonic()
        api.call("describe", {"image": "http://127.0.0.1:9/", "businessTaskId": "slow"})
        assert api.query("describe", "slow")["data"]["status"] == 1
        assert api.ended("describe", "slow")["data"]["status"] == 0
        assert time.monotonic() - begin >= 1.9


@needs_proc
def test_the_child_does_not_get_the_real_services_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("IMGOPEN_ACCESS_KEY_ID", "canary-id")
    monkeypatch.setenv("IMGOPEN_ACCESS_KEY_SECRET", "canary-secret")
    with SandboxProcess.start(tmp_path) as sandbox:
        environment = Path(f"/proc/{sandbox.pid}/environ").read_bytes()
    assert b"canary" not in environment


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "NEEDED", ("tornado", "no_such_module"))
    with pytest.raises(SandboxError, match=r"needs no_such_module") as caught:
        SandboxProcess.start(tmp_path)
    assert 'pip install ".[sandbox]" in a clone' in str(caught.value)


def test_a_home_that_cannot_be_written_to_is_a_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SandboxError, match="cannot write to") as caught:
        SandboxProcess.start(tmp_path / "file")
    assert "IMGOPEN_HOME" in str(caught.value)


def test_a_process_that_dies_at_its_start_is_reported_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox/tasks").write_text("in the way")
    with pytest.raises(SandboxError, match="exited while starting") as caught:
        SandboxProcess.start(tmp_path)
    assert "the sandbox cannot start" in str(caught.value)


def test_a_process_that_is_never_ready_is_ended_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    begin = time.monotonic()
    with pytest.raises(SandboxError, match=r"not ready after 0\.01 s"):
        SandboxProcess.start(tmp_path, timeout=0.01)
    assert time.monotonic() - begin < 5


def test_a_taken_port_is_a_clear_message_and_exit_code_1(sandbox: SandboxProcess, tmp_path: Path):
    port = sandbox.url.rpartition(":")[2]
    line = [sys.executable, "-m", "imgopen_nb.sandbox", "--port", port, "--home", str(tmp_path)]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert "the sandbox cannot start" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("options", [["--key-id", "x"], ["--port", "70000"], ["--delay", "nan"]])
def test_options_that_do_not_fit_end_the_command_with_code_2(tmp_path: Path, options: list[str]):
    line = [sys.executable, "-m", "imgopen_nb.sandbox", "--home", str(tmp_path), *options]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


def test_a_large_log_is_emptied_at_the_start(tmp_path: Path):
    log = tmp_path / "sandbox/sandbox.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * 1_000_001)
    with SandboxProcess.start(tmp_path):
        assert log.stat().st_size < 1000


def test_keys_bodies_and_headers_are_never_in_the_log(tmp_path: Path):
    """Neither after refusals, nor after malformed requests, nor after engine failures."""
    with SandboxProcess.start(tmp_path) as sandbox:
        api = Api(sandbox, {"X-Request-req-accessKeySecret": "canary-1"})
        api.call("describe", {"image": "canary-2", "businessTaskId": "canary-3"})
        api.post("/AIGCImgOpenServ/saas/canary-4?key=canary-5", {})
        raw = "POST / HTTP/1.1\r\nX-Request-req-accessKeySecret canary-6\r\n\r\n"
        send_raw(sandbox.url, raw)
        send_raw(sandbox.url, "canary-7 nonsense\r\n\r\n")
        api.ended("describe", "canary-3")
    assert b"canary" not in (tmp_path / "sandbox/sandbox.log").read_bytes()


def send_raw(url: str, text: str) -> bytes:
    import socket

    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(text.encode())
        return sock.recv(4096)


def test_the_process_module_imports_nothing_heavy():
    code = textwrap.dedent("""
        import sys, imgopen_nb.sandbox.process
        heavy = "tornado numpy onnxruntime PIL jinja2 requests pandas IPython".split()
        print([name for name in heavy if name in sys.modules])
    """)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_file_in_the_working_folder_does_not_shadow_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "tornado.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    with SandboxProcess.start(tmp_path / "home") as sandbox:
        assert sandbox.alive
