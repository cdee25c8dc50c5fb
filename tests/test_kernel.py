"""The extension in a real kernel: completion, errors, awaiting, and what a saved output holds."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

import imgopen_nb
from imgopen_nb.sandbox.process import SandboxProcess

from .kernels import Kernel, started
from .stub import Reply, Stub

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def service(shared_sandbox: SandboxProcess) -> dict[str, str]:
    """The variables by which a kernel finds the shared sandbox."""
    url, token = shared_sandbox.url, shared_sandbox.token.reveal()
    return {"IMGOPEN_BASE_URL": url, "IMGOPEN_SANDBOX_TOKEN": token}


@pytest.fixture(scope="module")
def kernel(service: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("kernel")
    with started(folder, IMGOPEN_HOME=str(folder / "home"), **service) as kernel:
        assert kernel.run("%load_ext imgopen_nb")["error"] is None
        yield kernel


def test_describe_shows_a_card_with_text_html_and_json(kernel: Kernel):
    seen = kernel.run("%imgopen describe sample:chelsea")

    data = seen["data"][-1]  # before it, on a busy machine, a progress bar
    assert "cat" in data["text/plain"]
    assert '<img src="data:image/jpeg;base64,' in data["text/html"]
    assert "sandbox" in data["text/html"]
    (entry,) = data["application/vnd.imgopen.task+json"]["tasks"]
    assert (entry["operation"], entry["image"]) == ("describe", "sample:chelsea")


def test_compare_shows_both_models(kernel: Kernel):
    seen = kernel.run("c = %imgopen compare sample:coffee sample:rocket\nc")

    assert seen["error"] is None
    text = seen["data"][-1]["text/plain"]
    assert "clip" in text
    assert "deepdanbooru" in text


def test_a_task_can_be_awaited_in_a_cell(kernel: Kernel):
    code = (
        "import imgopen_nb as imgopen\n"
        "t = imgopen.current().submit('describe', image='sample:coffee')\n"
        "print((await t).caption)"
    )
    assert "espresso" in kernel.run(code)["text"] or "coffee" in kernel.run(code)["text"]


def test_a_slip_is_one_message_and_run_all_stops(kernel: Kernel):
    seen = kernel.run("%imgopen descripe sample:chelsea")

    assert seen["reply"]["status"] == "error"
    assert "did you mean describe?" in "\n".join(seen["error"]["traceback"])
    assert len(seen["error"]["traceback"]) == 1


def test_interrupting_a_wait_names_the_task(kernel: Kernel):
    code = (
        "import os, signal, socket, threading, imgopen_nb\n"
        "silent = socket.create_server(('127.0.0.1', 0))\n"
        "url = f'http://127.0.0.1:{silent.getsockname()[1]}/x.png'\n"
        "t = imgopen_nb.current().submit('describe', image=url)\n"
        "threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "t.wait()"
    )
    seen = kernel.run(code)

    assert seen["error"]["ename"] == "TaskInterrupted"
    assert "%imgopen wait nb" in "\n".join(seen["error"]["traceback"])


COMPLETIONS = [
    ("%imgopen des", "%imgopen describe"),
    ("%imgopen ", "%imgopen history"),
    ("r = %imgopen des", "r = %imgopen describe"),
    ("%%imgopen text2", "%%imgopen text2image"),
    ("%imgopen describe --mo", "%imgopen describe --model"),
    ("%imgopen describe x --model d", "%imgopen describe x --model deepdanbooru"),
    ("%imgopen describe x --model ", "%imgopen describe x --model clip"),
    ("%%imgopen flux --mod", "%%imgopen flux --model"),
    ("%%imgopen flux --model Flux1S", "%%imgopen flux --model Flux1SchnellFP8"),
    ("%imgopen describe sam", "%imgopen describe sample:chelsea"),
    ("%imgopen describe sample:ch", "%imgopen describe sample:chelsea"),
    ("%imgopen describe {my_pic", "%imgopen describe {my_picture}"),
    ("%imgopen compare x --models clip deep", "%imgopen compare x --models clip deepdanbooru"),
    ("%imgopen history --status suc", "%imgopen history --status succeeded"),
    ("%imgopen config time", "%imgopen config timeout"),
]


@pytest.mark.parametrize(("typed", "offered"), COMPLETIONS, ids=[row[0] for row in COMPLETIONS])
def test_tab_completes(kernel: Kernel, typed: str, offered: str):
    kernel.run("my_picture = 'sample:chelsea'")

    assert offered in kernel.complete(typed)


def test_tab_completes_task_ids(kernel: Kernel):
    kernel.run("last = imgopen_nb.current().run('describe', image='sample:rocket').task_id")
    task_id = kernel.run("print(last)")["text"].strip()

    assert f"%imgopen status {task_id}" in kernel.complete("%imgopen status nb")


def test_tab_elsewhere_is_left_alone(kernel: Kernel):
    kernel.run("import collections")

    assert "collections.OrderedDict" in kernel.complete("collections.Ordered")
    assert not any("describe" in c for c in kernel.complete("%%imgopen flux\ndes"))


def test_the_bar_is_one_output_that_is_empty_at_the_end(kernel: Kernel):
    """Its updates replace each other under one display id, and no widget stays behind."""
    with Stub() as pictures:
        photo = imgopen_nb.samples()["coffee"].read_bytes()
        pictures.answer = lambda request: Reply(photo, delay=2.0)
        seen = kernel.run(f"%imgopen describe {pictures.url}/coffee.jpg")

    *bar, card = seen["data"]
    assert "describe · clip" in bar[0]["text/plain"]
    assert "<progress>" in bar[0]["text/html"]
    assert bar[-1] == {"text/plain": "", "text/html": ""}
    assert len(bar) <= 16
    assert "espresso" in card["text/plain"]


def test_the_second_kernel_shares_the_history(
    kernel: Kernel, service: dict[str, str], tmp_path: Path
):
    home = kernel.run("import os; print(os.environ['IMGOPEN_HOME'])")["text"].strip()
    with started(tmp_path, IMGOPEN_HOME=home, **service) as other:
        before = kernel.run("print(len(imgopen_nb.current().history()))")["text"].strip()
        code = "import imgopen_nb as i; print(len(i.current().history()))"
        assert other.run(code)["text"].strip() == before


def test_nothing_arrives_after_the_cell_is_done(kernel: Kernel):
    """No background thread prints into whatever cell comes next."""
    kernel.run("%imgopen describe sample:camera --no-wait")

    with pytest.raises(queue.Empty):
        kernel.client.get_iopub_msg(timeout=2)
