"""A call that was made before costs nothing: no request, no process, no row, no file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgopen_nb.api.client import Client
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.images.picture import samples
from imgopen_nb.sandbox.process import SandboxProcess
from imgopen_nb.session import Session

from ..conftest import KEY_ID, KEY_SECRET
from ..stub import Stub, ok

PICTURES: dict[str, Callable[[], Any]] = {
    "file": lambda: samples()["coffee"],
    "text": lambda: str(samples()["coffee"]),
    "bytes": lambda: samples()["coffee"].read_bytes(),
    "PIL": lambda: Image.new("RGB", (40, 30), "teal"),
    "sample": lambda: "sample:coffee",
}


pytestmark = pytest.mark.usefixtures("cached")


def counts(session: Session) -> dict[str, int]:
    """Return how many rows each table of the history has."""
    read = session.manager.database.read
    names = read("SELECT name FROM sqlite_master WHERE type = 'table'", (), ("name",))
    tables = [row["name"] for row in names]
    return {t: read(f"SELECT count(*) FROM {t}", (), ("n",))[0]["n"] for t in tables}


def files(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_cached_call_starts_no_sandbox_and_leaves_no_trace(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The sandbox that made the first result has ended by then."""
    home = tmp_path / "own"
    with Session(home=home) as session:
        first = session.run("describe", image=PICTURES[kind](), model="clip")
        first._repr_mimebundle_()  # a card keeps the thumbnail that it shows

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a cached call needs no sandbox and no request")

    monkeypatch.setattr(SandboxProcess, "start", refuse)
    monkeypatch.setattr(Client, "_post", refuse)
    with Session(home=home) as session:
        rows, there = counts(session), files(home)
        again = session.run("describe", image=PICTURES[kind](), model="clip")
        card = again._repr_mimebundle_()

        assert (again.cached, again.caption) == (True, first.caption)
        assert first.caption in card["text/plain"]
        assert "<img" in card["text/html"]
        assert (counts(session), files(home)) == (rows, there)
        assert session.manager.backend.address == ""


def test_a_picture_that_the_service_could_not_fetch_may_still_be_cached(stub: Stub, tmp_path: Path):
    """The early look comes before the question where the service would find the image."""
    path = tmp_path / "red.png"
    Image.new("RGB", (9, 7), "red").save(path)
    with Session(stub.url, KEY_ID, KEY_SECRET) as session:
        session.manager.urls.candidates = list
        key = session.manager.submitter.cache_key(OPERATIONS["describe"], {"image": path})
        session.manager.table.add({
            "task_id": "nb-old", "operation": "describe", "params": {}, "status": "succeeded",
            "created": 1.0, "submitted": 1.0, "finished": 2.0, "backend": "real",
            "data": {"caption": "red", "status": 2}, "caption": "red", "request": key,
        })  # fmt: skip

        assert session.run("describe", image=path).caption == "red"
    assert stub.requests == []


def test_the_transaction_decides_and_who_loses_withdraws_what_it_published(
    session: Session, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    """Both looked too early to find each other; only one is sent."""
    published: list[str] = []
    monkeypatch.setattr(session.manager.store, "find_earlier", lambda request, call, since: None)
    monkeypatch.setattr(
        session.manager.urls,
        "published",
        lambda value, task_id: published.append(publish(session, task_id)) or value,
    )
    stub.answer = lambda request: ok(status=2, taskId="s", caption="a cat")
    url = "http://127.0.0.1:9/cat.png"
    first, second = (session.submit("describe", image=url, model="clip") for _ in range(2))

    assert (second.id, second.cached) == (first.id, True)
    assert len(stub.submissions()) == 1
    assert published
    assert not any((session.settings.home / "published").iterdir())


def publish(session: Session, task_id: str) -> str:
    data = samples()["coffee"].read_bytes()
    return session.manager.urls.publisher.publish(task_id, data, ".jpg")
