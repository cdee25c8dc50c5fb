"""Datasets in stores that fsspec reaches: read, written and taken back; no password is kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pandas as pd
import pytest
from upath import UPath

from imgopen_nb.database.spots import spot_of
from imgopen_nb.errors import ImgOpenError, ParameterError, PictureError, UsageError
from imgopen_nb.images.identity import by_content
from imgopen_nb.images.picture import read_picture
from imgopen_nb.media.stores import is_store, store
from imgopen_nb.session import Session

from .sets import png


@pytest.fixture
def folder() -> Iterator[UPath]:
    """A folder in memory: three images, of which the first has a caption file."""
    fsspec.filesystem("memory").store.clear()
    made = UPath("memory://photos/set")
    made.mkdir(parents=True)
    for at, name in enumerate(("a.png", "größe #1.png", "c.png")):
        (made / name).write_bytes(png(at))
    (made / "a.txt").write_bytes(b"my own words\n")
    (made / "notes.md").write_bytes(b"no picture")
    yield made
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


def content() -> dict[str, bytes]:
    """Return every file in memory."""
    fs = fsspec.filesystem("memory")
    return {path: fs.cat_file(path) for path in fs.find("/")}


def test_a_folder_in_a_store_is_a_data_set_with_its_text_files(session: Session, folder: UPath):
    ds = session.dataset("memory://photos/set/")

    assert list(ds.frame.image) == [
        "memory://photos/set/a.png", "memory://photos/set/c.png",
        "memory://photos/set/größe #1.png",
    ]  # fmt: skip
    assert list(ds.caption.fillna("")) == ["my own words", "", ""]
    assert ds.name == "memory://photos/set"
    assert session.small("memory://photos/set/c.png").original == (1, 1)


@pytest.mark.parametrize(
    "source",
    [
        "memory://photos/set/*.png",
        ["memory://photos/set"],
        ["memory://photos/set/?.png", "memory://photos/set/größe #1.png"],
        UPath("memory://photos/set"),
        pd.DataFrame({"url": [f"memory://photos/set/{n}" for n in ("a.png", "c.png")]}),
    ],
    ids=["glob", "folder in a list", "glob in a list", "UPath", "frame"],
)
def test_globs_lists_and_frames_may_name_a_store(session: Session, folder: UPath, source: object):
    ds = session.dataset(source)

    assert len(ds) == (2 if isinstance(source, pd.DataFrame) else 3)
    assert ds.frame.kept.all()


def test_text_files_are_written_beside_pictures_in_a_store_and_taken_back(
    session: Session, folder: UPath
):
    before = content()
    ds = session.dataset("memory://photos/set")
    ds.caption = {"c.png": "green", "größe*": "blue\nsky"}
    ds.caption = lambda caption: f"ohwx, {caption}"

    done = ds.write()

    assert done.counts == {"new": 3, "changed": 0, "removed": 0, "same": 0, "left": 1}
    found = content()
    assert found["/photos/set/größe #1.txt"] == b"ohwx, blue sky"
    assert found["/photos/set/a.txt"] == b"my own words\n"
    assert b'image_dir = "memory://photos/set"' in found["/photos/set/dataset.toml"]
    ds.write(overwrite=True)
    assert content()["/photos/set/a.txt"] == b"ohwx, my own words"
    again = session.dataset("memory://photos/set")
    assert list(again.caption) == list(ds.caption)
    assert again.undo() == "write for kohya"
    assert again.undo() == "write for kohya"
    assert content() == before


def test_metadata_in_a_store_is_taken_in_where_no_text_file_says_more(
    session: Session, folder: UPath
):
    lines = ['{"file_name": "a.png", "text": "no"}', '{"file_name": "./c.png", "text": "green"}']
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    (folder / "meta_cap.json").write_text('{"größe #1": {"caption": "a sky", "tags": "blue"}}')

    ds = session.dataset("memory://photos/set")

    assert list(ds.caption) == ["my own words", "green", "a sky, blue"]
    assert list(ds.frame.origin) == ["file", "metadata", "metadata"]
    ds.reject("größe*")
    ds.write("memory://out", trainer="imagefolder", images="copy")
    copy = session.dataset("memory://out")
    assert [note for note in copy.notes if "metadata" in note] == []
    assert list(copy.caption) == ["my own words", "green"]


def test_metadata_in_a_store_that_is_broken_is_said_and_the_pictures_open(
    session: Session, folder: UPath
):
    (folder / "metadata.jsonl").write_bytes(b"\xff\xfe{")

    ds = session.dataset("memory://photos/set")

    assert len(ds) == 3
    assert [note for note in ds.notes if note.startswith("metadata.jsonl is not read")]


@pytest.mark.parametrize(
    ("trainer", "said"), [("kohya", True), ("llava", True), ("imagefolder", False)]
)
def test_a_trainer_that_reads_no_store_is_told_of(
    session: Session, folder: UPath, trainer: str, said: bool
):
    ds = session.dataset("memory://photos/set")
    ds.caption = {"c.png": "green", "größe*": "blue"}

    notes = ds.write(trainer=trainer).notes

    assert any("reads only folders of its own machine" in note for note in notes) == said


@pytest.mark.parametrize("trainer", ["kohya", "imagefolder", "llava", "webdataset"])
def test_a_local_set_is_written_into_a_store_and_the_other_way_round(
    session: Session, folder: UPath, tmp_path: Path, trainer: str
):
    ds = session.dataset("memory://photos/set")
    ds.caption = {"c.png": "green", "größe*": "blue"}
    before = content()

    ds.write("memory://out/deep", trainer=trainer, images="copy")
    ds.write(tmp_path / "out", trainer=trainer, images="link")

    local = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    there = {p.rpartition("/")[2]: d for p, d in content().items() if p.startswith("/out/deep/")}
    config = {"dataset.toml"}
    assert {n: d for n, d in local.items() if n not in config} == {
        n: d for n, d in there.items() if n not in config
    }
    if trainer != "webdataset":
        assert there["größe #1.png"] == png(1)
    ds.undo()
    ds.undo()
    assert content() == before
    assert not fsspec.filesystem("memory").exists("/out")
    assert not (tmp_path / "out").exists()


def test_pictures_in_a_store_are_described_like_files(cached: None, local: Session, folder: UPath):
    ds = local.dataset("memory://photos/set")

    ds.describe(models=["clip"], progress=False)

    assert ds.frame["clip"].notna().all()
    assert local.run("describe", image="memory://photos/set/a.png", model="clip").cached


def test_what_somebody_changed_in_a_store_is_left_and_stays(session: Session, folder: UPath):
    ds = session.dataset("memory://photos/set")
    ds.caption = {"c.png": "green", "größe*": "blue"}
    ds.write()
    (folder / "c.txt").write_bytes(b"edited")

    assert ds.write().counts["left"] == 1
    said = ds.undo()

    assert said is not None
    assert "c.txt was changed since" in said
    assert content()["/photos/set/c.txt"] == b"edited"
    assert "/photos/set/dataset.toml" not in content()


def test_a_caption_does_not_lie_beside_another_picture_in_a_store(session: Session, folder: UPath):
    (folder / "a.jpg").write_bytes(png(9))
    ds = session.dataset(["memory://photos/set/a.png"])

    with pytest.raises(UsageError, match=r"beside a\.jpg, another image"):
        ds.write()


def test_a_file_address_is_a_path(session: Session, tmp_path: Path):
    (tmp_path / "my set").mkdir()
    (tmp_path / "my set" / "a.png").write_bytes(png(1))
    ds = session.dataset(f"file://{tmp_path}/my%20set")
    ds.caption = {0: "words"}

    ds.write(f"file://{tmp_path}/out", images="copy")

    assert ds.name == str(tmp_path / "my set")
    assert (tmp_path / "out" / "a.txt").read_bytes() == b"words"


@pytest.mark.parametrize(
    "address",
    [
        "s3://AKIA123:canary-secret@bucket/set",
        "sftp://me:canary-secret@host/set",
        "az://container/set/a.png?sv=1&sig=canary-secret",
        "s3://bucket/set?X-Amz-Security-Token=canary-secret",
    ],
)
def test_an_address_with_a_password_is_refused_and_not_repeated(
    session: Session, tmp_path: Path, address: str
):
    (tmp_path / "a.png").write_bytes(png(1))
    ds = session.dataset(tmp_path)
    ds.caption = {0: "words"}
    for call in (
        lambda: session.dataset(address),
        lambda: session.dataset([address]),
        lambda: read_picture(address),
        lambda: ds.write(address, images="copy"),
        lambda: session.submit("describe", image=address),
    ):
        with pytest.raises(ImgOpenError) as said:
            call()
        assert "canary" not in f"{said.value!r} {said.value}"
    for path in session.settings.home.rglob("*"):
        assert path.is_dir() or b"canary-secret" not in path.read_bytes()


def test_what_is_not_there_is_told(session: Session, folder: UPath):
    with pytest.raises(ParameterError, match="no file or folder"):
        session.dataset("memory://photos/nowhere")
    (UPath("memory://photos/empty") / "x.txt").write_bytes(b"x")
    with pytest.raises(ParameterError, match="no images"):
        session.dataset("memory://photos/empty")
    with pytest.raises(PictureError, match="there is no file"):
        read_picture("memory://photos/set/none.png")
    with pytest.raises(UsageError, match="a package is missing"):
        store("s3://bucket/set")
    with pytest.raises(UsageError, match="chain"):
        store("memory://x::http://127.0.0.1/y")
    assert not is_store("http://127.0.0.1/x")
    assert not is_store("simplecache::http://127.0.0.1/x")


def test_without_the_extra_it_is_said_how_to_install_it():
    code = (
        "import sys; sys.modules['upath'] = None\n"
        "from imgopen_nb.media.stores import store\n"
        "from imgopen_nb.errors import UsageError\n"
        "try: store('memory://set')\n"
        "except UsageError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "a package is missing" in ran.stdout
    assert ".[remote]" in ran.stdout


def test_a_store_that_only_an_imported_history_names_is_not_asked(
    session: Session, folder: UPath, monkeypatch: pytest.MonkeyPatch
):
    """Anybody can write such a file, and the store would be asked with this user's access."""
    image, picture = "memory://photos/set/a.png", by_content(png(0)).picture
    session.manager.database.run(
        "INSERT INTO tasks (task_id, operation, model, image, params, status, caption, created, "
        "backend, picture, imported) VALUES ('t', 'describe', 'clip', ?, '{}', 'success', 'a cat', "
        "1.0, 'real', ?, 'untrusted')",
        (image, picture),
    )
    (folder / "a.png").unlink()  # an answer could only come from there
    asked = []
    fs = type(fsspec.filesystem("memory"))
    for name in ("ls", "info", "_open"):
        monkeypatch.setattr(fs, name, lambda *args, **named: asked.append(args))

    ds = session.dataset(session.history())
    ds.caption = {0: "words"}

    assert len(ds) == 1
    with pytest.raises(UsageError, match="imported history"):
        ds.write()
    with pytest.raises(PictureError, match="imported history"):
        session.manager.thumbnail(image, 512, picture=picture)
    assert asked == []


def test_a_file_in_a_store_that_somebody_changed_since_it_was_looked_at_is_not_removed(
    folder: UPath,
):
    spot = spot_of(str(folder / "a.txt"))
    (folder / "a.txt").write_bytes(b"other words")

    with pytest.raises(UsageError, match="changed by another program"):
        spot.remove()

    assert (folder / "a.txt").read_bytes() == b"other words"
