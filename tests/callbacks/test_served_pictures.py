"""Local images for the real service: of a folder that is served, or uploaded and signed."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from imgopen_nb.errors import PictureError
from imgopen_nb.media import picture_store
from imgopen_nb.server_extension.receiver import Receiver
from imgopen_nb.session import Session

from ..conftest import KEY_ID, KEY_SECRET
from ..datasets.test_selection import png
from ..folder_server import SIGNATURE, RefusingStore, SigningStore, register_stores, serving
from ..stub import Reply, Request, Stub, ok, refusal

Opening = Callable[[str], Session]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "photos"
    (folder / "sub dir").mkdir(parents=True)
    (folder / "cat.png").write_bytes(png("red"))
    (folder / "sub dir" / "Kätzchen 100%?#.png").write_bytes(png("blue"))
    (tmp_path / "outside.png").write_bytes(png("green"))
    register_stores()
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def opened(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opening]:
    """Opens a session with keys, whose setting `pictures` is the argument."""
    stub.answer = lambda request: ok(status=2, caption="a cat")
    made: list[Session] = []

    def open_one(places: str) -> Session:
        monkeypatch.setenv("IMGOPEN_PICTURES", places)
        made.append(Session(stub.url, KEY_ID, KEY_SECRET))
        return made[-1]

    yield open_one
    for session in made:
        session.close()


def sent(stub: Stub) -> list[str]:
    return [request.body["image"] for request in stub.submissions() if request.body]


# Folders that are served


def test_a_file_of_a_served_folder_goes_by_its_encoded_address(
    photos: Path, opened: Opening, stub: Stub
):
    with serving(photos) as (url, asked):
        session = opened(f"photos={url}")
        for name in ("cat.png", "sub dir/Kätzchen 100%?#.png"):
            assert session.run("describe", image=photos / name).caption == "a cat"

    assert sent(stub) == [f"{url}cat.png", f"{url}sub%20dir/K%C3%A4tzchen%20100%25%3F%23.png"]
    assert asked == [f"HEAD /{address.removeprefix(url)}" for address in sent(stub)]


def test_a_served_picture_keeps_its_name_and_the_identity_of_its_bytes(
    photos: Path, opened: Opening, stub: Stub, cached: None
):
    with serving(photos) as (url, _):
        result = opened(f"photos={url}").run("describe", image=photos / "cat.png")
        (photos / "copy.png").write_bytes(png("red"))
        again = opened("").submit("describe", image=photos / "copy.png")

    assert result.image == str(photos / "cat.png")
    assert result.picture.startswith("sha256:")  # type: ignore[union-attr]
    assert again.cached  # the key is that of the bytes, wherever they are served


def test_the_innermost_folder_counts(photos: Path, opened: Opening, stub: Stub):
    with serving(photos / "sub dir") as (url, _):
        places = {"photos": "https://not-asked.invalid/", "photos/sub dir": url}
        session = opened(json.dumps(places))
        session.run("describe", image=photos / "sub dir" / "Kätzchen 100%?#.png")

    assert sent(stub) == [f"{url}K%C3%A4tzchen%20100%25%3F%23.png"]


@pytest.mark.parametrize("way", ["a link", "dots", "a linked folder"])
def test_nothing_outside_of_the_folder_is_given_by_its_address(
    photos: Path, opened: Opening, stub: Stub, way: str
):
    """Although the server would follow the link."""
    (photos / "link.png").symlink_to(photos.parent / "outside.png")
    (photos / "up").symlink_to(photos.parent)
    names = {
        "a link": "link.png",
        "dots": "../outside.png",
        "a linked folder": "up/outside.png",
    }
    with serving(photos) as (url, asked), pytest.raises(PictureError, match="is on this machine"):
        opened(f"photos={url}").run("describe", image=str(photos / names[way]))
    assert (asked, stub.requests) == ([], [])


def test_a_folder_that_is_a_link_is_the_folder_it_leads_to(
    photos: Path, opened: Opening, stub: Stub
):
    (photos.parent / "linked").symlink_to(photos)
    with serving(photos) as (url, _):
        opened(f"linked={url}").run("describe", image=photos / "cat.png")
    assert sent(stub) == [f"{url}cat.png"]


def test_another_picture_at_the_address_is_refused_before_anything_is_sent(
    photos: Path, opened: Opening, stub: Stub, tmp_path: Path
):
    other = tmp_path / "other"
    other.mkdir()
    (other / "cat.png").write_bytes(png("red") + b"more")
    with serving(other) as (url, _):
        session = opened(f"photos={url}")
        with pytest.raises(PictureError, match=r"http\S+ serves another file than photos/cat.png"):
            session.run("describe", image=photos / "cat.png")
        (other / "cat.png").unlink()
        with pytest.raises(PictureError, match="404"):
            session.run("describe", image=photos / "cat.png")
    with pytest.raises(PictureError, match="cannot be reached"):
        session.run("describe", image=photos / "cat.png")
    assert stub.requests == []
    assert session.history.count() == 0


def test_an_address_in_this_network_is_refused_for_a_service_outside(
    photos: Path, monkeypatch: pytest.MonkeyPatch
):
    with serving(photos) as (url, asked):
        monkeypatch.setenv("IMGOPEN_PICTURES", f"photos={url}")
        with (
            Session("https://api.example.org", KEY_ID, KEY_SECRET) as session,
            pytest.raises(PictureError, match="only reachable in this network"),
        ):
            session.submit("describe", image=photos / "cat.png")
    assert asked == []


# Stores


def test_pictures_are_uploaded_by_content_once_and_signed_for_an_hour(
    photos: Path, opened: Opening, stub: Stub
):
    session = opened("signing://bucket/set")
    (photos / "copy.png").write_bytes(png("red"))
    for image in (photos / "cat.png", photos / "copy.png", Image.new("RGB", (3, 3), "blue")):
        session.run("describe", image=image)
    opened("signing://bucket/set").run("describe", image=photos / "cat.png")  # another kernel

    first, second, third, fourth = sent(stub)
    assert first == second
    assert first.partition("?")[0] == fourth.partition("?")[0]
    assert len({first, third, fourth}) == 3
    assert len(SigningStore.uploads) == 2
    assert set(SigningStore.signed) == {3600}
    assert SigningStore().cat_file(SigningStore.uploads[0]) == png("red")


def test_a_bucket_is_told_the_media_type(
    photos: Path, opened: Opening, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    """Without it the store would serve the image as a stream of bytes."""
    monkeypatch.setitem(importlib.import_module("fsspec.registry")._registry, "s3", SigningStore)
    monkeypatch.setattr(SigningStore, "protocol", ("signing", "s3"))
    opened("photos=s3://bucket/set").run("describe", image=photos / "cat.png")

    assert SigningStore.headers == [{"ContentType": "image/png"}]
    assert len(sent(stub)) == 1


def test_many_calls_of_one_picture_at_once_upload_it_once(
    photos: Path, opened: Opening, stub: Stub
):
    calls = [{"image": str(photos / "cat.png"), "model": m} for m in ("clip", "deepdanbooru")] * 8
    results = opened("signing://bucket").run_all("describe", calls)

    assert {result.caption for result in results} == {"a cat"}
    assert len(SigningStore.uploads) == len(SigningStore.signed) == 1


def test_a_picture_that_is_gone_is_uploaded_again_and_an_old_address_is_signed_anew(
    photos: Path, opened: Opening, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    session = opened("signing://bucket")
    session.run("describe", image=photos / "cat.png")
    monkeypatch.setattr(picture_store, "SEEN_FOR", 0.0)
    SigningStore.store.clear()
    session.run("describe", image=photos / "cat.png")
    assert (len(SigningStore.uploads), len(set(sent(stub)))) == (2, 1)

    monkeypatch.setattr(picture_store, "LEFT_AT_LEAST", picture_store.SIGNED_FOR)
    session.run("describe", image=photos / "cat.png")
    assert (len(SigningStore.uploads), len(set(sent(stub)))) == (2, 2)


def test_a_store_that_refuses_is_told_without_what_its_library_says(
    photos: Path, opened: Opening, stub: Stub
):
    with pytest.raises(PictureError, match=r"refusing://bucket \(PermissionError\)") as caught:
        opened("refusing://bucket").run("describe", image=photos / "cat.png")
    assert SIGNATURE not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"
    assert (stub.requests, RefusingStore.uploads) == ([], [])


def test_no_signature_is_in_history_messages_or_reprs(
    photos: Path, opened: Opening, stub: Stub, tmp_path: Path
):
    """Even if the service repeats the address in its answer, in an error, or in a callback."""

    def echo(request: Request) -> Reply:
        return ok(status=1, sourceImage=(request.body or {}).get("image", ""))

    stub.answer = echo
    session = opened("signing://bucket")
    task = session.submit("describe", image=photos / "cat.png")
    address = sent(stub)[0]
    assert SIGNATURE in address
    seen = [str(session.manager.table.get(task.id)), repr(task.data)]

    receiver = Receiver(session.settings.home)
    for spelled in (address, address.replace("?", "\\u003f"), address.replace("?", "%3F")):
        body = f'{{"status": 1, "about": "{spelled}"}}'.encode()
        receiver.receive(task.id, body)
    receiver.close()
    stub.answer = lambda request: refusal("400", f"cannot fetch {address}")
    with pytest.raises(Exception, match="cannot fetch") as caught:
        session.run("describe", image=photos / "cat.png")
    seen += [str(caught.value), repr(session.settings), repr(session.manager.served.__dict__)]
    seen += [repr(picture_store.SignedUrl(address)), str(session.rows())]
    session.history.export(tmp_path / "history.jsonl")
    session.close()
    home = [path for path in session.settings.home.rglob("*") if path.is_file()]
    seen += [path.read_bytes().decode("latin-1") for path in [*home, tmp_path / "history.jsonl"]]

    assert len(home) >= 1
    assert [text[:200] for text in seen if SIGNATURE in text] == []


def test_a_lost_call_with_a_signed_address_is_found_by_the_next_session(
    photos: Path, opened: Opening, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    """Its address is not kept, so it is asked for, and never sent again with a dead one."""
    monkeypatch.setenv("IMGOPEN_SETTLE", "60")

    def lose(request: Request) -> Reply:
        known = request.path.endswith("queryTask")
        return refusal("404", "no such task") if known else Reply(drop=True)

    stub.answer = lose
    first = opened("signing://bucket")
    task = first.submit("describe", image=photos / "cat.png")
    assert first.manager.table.get(task.id)["body"] is None
    first.close()

    stub.answer = lambda request: ok(status=2, caption="found")
    assert opened("").task(task.id).result(20).caption == "found"
    assert len(stub.submissions()) == len(sent(stub)) == 1


# The plan


def test_the_plan_says_which_pictures_go_where_and_sends_nothing(
    photos: Path, opened: Opening, stub: Stub, tmp_path: Path
):
    for number in range(12):
        (photos / f"{number}.png").write_bytes(png("red") + bytes([number]))
    with serving(photos) as (url, asked):
        (photos / "gone.png").write_bytes(png("white"))
        images = [*sorted(photos.glob("*.png")), tmp_path / "outside.png", "https://e.org/a.png"]
        places = json.dumps({"photos": url, "": "signing://bucket/set"})
        session = opened(places)
        (photos / "gone.png").rename(tmp_path / "moved.png")
        (photos / "gone.png").symlink_to(tmp_path / "moved.png")
        plan = session.map("describe", images, models=["clip", "deepdanbooru"], dry_run=True)

    assert plan.pictures == (  # type: ignore[union-attr]
        f"13 images are served at {url}, "
        "2 are uploaded to signing://bucket/set (signed for an hour)"
    )
    assert plan.pictures in repr(plan)  # type: ignore[union-attr]
    assert f"13 images are served at {url}" in plan._repr_mimebundle_()["text/html"]
    assert len(asked) == 13  # once, whatever the number of models
    assert (stub.requests, SigningStore.uploads, session.history.count()) == ([], [], 0)


def test_the_plan_names_a_picture_that_cannot_be_reached(
    photos: Path, opened: Opening, stub: Stub, tmp_path: Path
):
    with serving(tmp_path / "photos" / "sub dir") as (url, _):
        session = opened(f"photos={url}")
        plan = session.map("describe", [photos / "cat.png"], dry_run=True)
        alone = session.map("describe", [tmp_path / "outside.png"], dry_run=True)

    assert plan.pictures.startswith("1 image cannot be reached: photos/cat.png: http")  # type: ignore[union-attr]
    assert alone.pictures.startswith("1 image cannot be reached: this kernel was not")  # type: ignore[union-attr]


def test_the_plan_of_the_sandbox_and_of_what_is_in_the_history_says_nothing(
    photos: Path, opened: Opening, stub: Stub, cached: None, tmp_path: Path
):
    session = opened("signing://bucket")
    session.run("describe", image=photos / "cat.png")
    assert session.map("describe", [photos / "cat.png"], dry_run=True).pictures == ""  # type: ignore[union-attr]
    with Session(backend="sandbox", home=tmp_path / "other") as local:
        assert local.map("describe", [photos / "cat.png"], dry_run=True).pictures == ""  # type: ignore[union-attr]


# The doctor


def said(table: object) -> str:
    return " ".join(str(table).split())


def test_the_doctor_tries_a_picture_of_each_folder(photos: Path, opened: Opening, stub: Stub):
    from imgopen_nb.commands.doctor import CHECKS, examine

    checks = {"pictures": CHECKS["pictures"]}
    with serving(photos) as (url, _):
        good = said(examine(opened(f"photos={url},signing://bucket"), checks))
        (photos / "cat.png").rename(photos / "a.png")
        with serving(photos / "sub dir") as (wrong, _):
            bad = said(examine(opened(f"photos={wrong}"), checks))

    assert f"served at {url}; photos/cat.png was found there" in good
    assert "all images: uploaded to signing://bucket" in good
    assert "TROUBLE: photos/a.png" in bad
    assert "404" in bad
