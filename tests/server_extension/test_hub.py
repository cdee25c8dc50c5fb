"""Behind a real JupyterHub: callbacks and published images come through its proxy."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from imgopen_nb.server_extension.receiver import Receiver

from ..hub import Hub, find_proxy, hub

pytestmark = [pytest.mark.server, pytest.mark.kernel]

SUBMIT = """
import imgopen_nb
session = imgopen_nb.current()
task = session.submit("describe", image=imgopen_nb.samples()["coffee"], model="clip", fresh=True)
result = task.result(60)
print(task.id, task.queries, result.caption, sep="|")
"""
PUBLISH = "import imgopen_nb; imgopen_nb.current().manager.urls.publish_always = True"


def needed() -> None:
    """Fail in CI and skip elsewhere where the proxy is missing."""
    if find_proxy() is None:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop("the hub needs its proxy: npm install -g configurable-http-proxy")


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with a base URL that tells its users' servers its public address; two users."""
    needed()
    with hub(tmp_path_factory.mktemp("hub"), base="/jh/") as running:
        for user in ("alice", "bob"):
            running.start(user)
        yield running


def status(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    """Ask as a stranger does: with no cookie and no token."""
    headers = {"Content-Type": "application/json"} if body else {}
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_callback_arrives_through_the_proxy_and_no_query_is_made(public: Hub):
    with public.kernel("alice") as kernel:
        task_id, queries, caption = kernel.printed(SUBMIT).split("|")
        assert (queries, "espresso" in caption) == ("0", True)
        address = kernel.printed("print(session.manager.urls.address.url)")
        assert address == f"{public.url}user/alice/"
        rows = "SELECT task_id FROM inbox WHERE task_id = ?"
        code = f"print(len(session.manager.database.read({rows!r}, ({task_id!r},), ('task_id',))))"
        assert kernel.printed(code) == "1"


def test_a_local_picture_is_fetched_through_the_proxy(public: Hub):
    log = public.log.read_text("utf-8").count("imgopen picture: 200")
    with public.kernel("alice") as kernel:
        kernel.printed(PUBLISH)
        assert "espresso" in kernel.printed(SUBMIT)
        assert (
            kernel.printed("print(list((session.settings.home / 'published').iterdir()))") == "[]"
        )
    assert public.log.read_text("utf-8").count("imgopen picture: 200") == log + 1


def test_the_doctor_tests_both_addresses(public: Hub):
    with public.kernel("bob") as kernel:
        kernel.printed("from imgopen_nb import current; from imgopen_nb import selftest")
        said = kernel.printed("print(selftest.reached(current()))")
    assert said.count("the sandbox fetched an image and called back") == 2
    assert f"{public.url}user/bob/" in said


def test_what_is_signed_for_one_user_is_nothing_at_anothers_server(public: Hub):
    """Alice's true callback, and the link to her image, at Bob's server: the same 404."""
    receiver = Receiver(public.folder / "alice" / "imgopen")
    signature = receiver.signer.sign("callback", "nb20260101aaaaaaaaaaaaaaaa")
    name = receiver.publisher.publish("nb20260101aaaaaaaaaaaaaaaa", b"bytes", ".png")
    bob = f"{public.url}user/bob/imgopen/"
    callback = f"{bob}callback/nb20260101aaaaaaaaaaaaaaaa/{signature}"

    own = status(f"{public.url}user/alice/imgopen/files/{name}")  # there is no such task
    answers = [
        status(callback, "POST", b'{"status": 2}'),
        status(f"{bob}files/{name}"),
        status(f"{bob}files/..%2f..%2falice%2fimgopen%2ffiles%2f{name}"),
    ]
    assert answers == [own] * 3
    assert own[0] == 404
    mangled = status(f"{bob}files/../../alice/imgopen/files/{name}")
    assert (mangled[0], b"bytes" in mangled[1]) == (404, False)  # this one the hub answers
    receiver.close()


def test_the_sandbox_page_is_for_the_user_alone(public: Hub):
    """A stranger is sent to the hub's login; the user's token opens page and description."""
    code, page = status(f"{public.url}user/alice/imgopen/sandbox/")
    assert code != 200 or b"imgopen" not in page
    described = public.ask("user/alice/imgopen/sandbox/openapi.json")
    assert described["openapi"].startswith("3.")


def test_a_hub_that_does_not_tell_its_address_is_named_by_the_doctor(
    tmp_path_factory: pytest.TempPathFactory,
):
    """The sandbox still calls back on this machine; for the real service there is a sentence."""
    needed()
    with hub(tmp_path_factory.mktemp("quiet"), public=False) as quiet:
        quiet.start("carol")
        with quiet.kernel("carol") as kernel:
            assert kernel.printed(SUBMIT).split("|")[1] == "0"
            code = (
                "import os; from imgopen_nb.session import Session\n"
                "real = Session('https://api.example.org', 'an-id-of-a-key', 'a-secret-of-a-key')\n"
                "print(real.manager.urls.address, real.manager.urls.why)\n"
                "os.environ['IMGOPEN_PUBLIC_URL'] = " + repr(quiet.url) + "\n"
                "print(Session().manager.urls.address.url)"
            )
            nothing, given = kernel.printed(code).splitlines()
    assert nothing.startswith("None this JupyterHub does not tell its public address")
    assert given == f"{quiet.url}user/carol/"
