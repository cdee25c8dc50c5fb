"""Published images: what a call was given, while it runs, and not one byte of anything else."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgopen_nb.callbacks import published_pictures as publishing
from imgopen_nb.callbacks.published_pictures import LIFETIME, Published, Publisher
from imgopen_nb.callbacks.signing import Signer
from imgopen_nb.errors import PictureError
from imgopen_nb.media.formats import MIME_TYPES

from ..conftest import often

TASK = "nb20260101abc"
PICTURE = b"\x89PNG\r\n\x1a\n the bytes of a picture"
SECRET = b"not one byte of this"


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path, Signer(tmp_path))


def place(home: Path, name: str) -> Path:
    task, content, *_ = name.split(".")
    return home / "published" / task / content


@pytest.mark.parametrize("suffix", MIME_TYPES)
def test_what_is_published_is_found_with_its_type(publisher: Publisher, suffix: str):
    name = publisher.publish(TASK, PICTURE, suffix)

    assert publisher.find(name) == Published(TASK, PICTURE, MIME_TYPES[suffix])


def test_only_its_owner_can_read_the_copy(publisher: Publisher, tmp_path: Path):
    before = os.umask(0)
    try:
        path = place(tmp_path, publisher.publish(TASK, PICTURE, ".png"))
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == [path.name]


def test_what_is_withdrawn_is_gone_and_other_tasks_keep_theirs(publisher: Publisher):
    mine, theirs = (publisher.publish(task, PICTURE, ".png") for task in (TASK, "other"))
    publisher.withdraw(TASK)
    publisher.withdraw(TASK)

    assert publisher.find(mine) is None
    assert publisher.find(theirs)


def test_an_address_ends_by_itself(publisher: Publisher, monkeypatch: pytest.MonkeyPatch):
    name = publisher.publish(TASK, PICTURE, ".png")
    now = time.time()
    monkeypatch.setattr(publishing.time, "time", lambda: now + LIFETIME + 1)

    assert publisher.find(name) is None


def test_an_address_of_another_home_is_none_here(publisher: Publisher, tmp_path: Path):
    foreign = Publisher(tmp_path / "b", Signer(tmp_path / "b"))
    name = foreign.publish(TASK, PICTURE, ".png")
    publisher.publish(TASK, PICTURE, ".png")

    assert foreign.find(name)
    assert publisher.find(name) is None


def test_no_part_of_an_address_can_be_exchanged(publisher: Publisher):
    """Another task's, another content's, a later end, another type."""
    mine = publisher.publish(TASK, PICTURE, ".png").split(".")
    other = publisher.publish("other", SECRET, ".jpg").split(".")
    for number, part in enumerate(other):
        if part != mine[number]:
            mixed = ".".join([*mine[:number], part, *mine[number + 1 :]])
            assert publisher.find(mixed) is None, number
    later = [*mine[:2], str(int(mine[2]) + 1), *mine[3:]]
    assert publisher.find(".".join(later)) is None


@pytest.mark.parametrize("how", ["swapped", "link", "pipe", "folder", "longer", "none"])
def test_whatever_else_lies_in_its_place_is_not_served(
    publisher: Publisher, tmp_path: Path, how: str
):
    name = publisher.publish(TASK, PICTURE, ".png")
    path = place(tmp_path, name)
    path.unlink()
    secret = tmp_path / "secret"
    secret.write_bytes(PICTURE if how == "link" else SECRET)
    makes = {
        "swapped": lambda: path.write_bytes(SECRET),
        "link": lambda: path.symlink_to(secret),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "longer": lambda: path.write_bytes(PICTURE + b"x"),
        "none": lambda: None,
    }
    makes[how]()

    assert publisher.find(name) is None


def test_what_was_put_into_the_folder_by_hand_has_no_address(publisher: Publisher, tmp_path: Path):
    name = publisher.publish(TASK, PICTURE, ".png")
    content = hashlib.sha256(SECRET).hexdigest()
    (place(tmp_path, name).parent / content).write_bytes(SECRET)
    parts = name.split(".")

    assert publisher.find(".".join([TASK, content, *parts[2:]])) is None


@given(st.data())
@settings(max_examples=often(300, 5000), deadline=None)
def test_mangled_addresses_lead_nowhere(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    home = tmp_path_factory.getbasetemp() / "mangled"
    publisher = Publisher(home, Signer(home))
    name = publisher.publish(TASK, PICTURE, ".png")
    odd = st.sampled_from(
        ["..", "/", "\\", "%2f", "%00", "\0", "\n", ".", "~", "é", "\ud800", "A", "0"]
    )
    piece = data.draw(odd | st.text(max_size=5))
    at = data.draw(st.integers(0, len(name)))
    cut = data.draw(st.integers(0, 3))
    mangled = name[:at] + piece + name[at + cut :]

    assert (publisher.find(mangled) is not None) == (mangled == name)


@given(st.text())
def test_any_other_text_leads_nowhere(tmp_path_factory: pytest.TempPathFactory, text: str):
    home = tmp_path_factory.getbasetemp() / "texts"

    assert Publisher(home, Signer(home)).find(text) is None


@pytest.mark.parametrize("task", ["../x", "", "a/b", "..", "a\n", "a" * 65])
def test_a_task_names_no_other_folder(publisher: Publisher, tmp_path: Path, task: str):
    (tmp_path / "x").mkdir()
    with pytest.raises(ValueError, match="task"):
        publisher.publish(task, PICTURE, ".png")
    publisher.withdraw(task)

    assert (tmp_path / "x").is_dir()


@pytest.mark.parametrize("suffix", ["", ".svg", ".html", "png", ".PNG"])
def test_only_pictures_are_published(publisher: Publisher, suffix: str):
    with pytest.raises(PictureError, match="cannot be published"):
        publisher.publish(TASK, PICTURE, suffix)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "published").write_text("")
    with pytest.raises(PictureError, match="cannot be published in"):
        Publisher(tmp_path, Signer(tmp_path)).publish(TASK, PICTURE, ".png")


def test_leftovers_are_old_and_one_odd_entry_hides_no_other(publisher: Publisher, tmp_path: Path):
    publisher.publish(TASK, PICTURE, ".png")
    publisher.publish("old", PICTURE, ".png")
    folder = tmp_path / "published"
    (folder / "dangling").symlink_to(tmp_path / "nowhere")
    os.utime(folder / "old", (1, 1))

    assert publisher.leftovers() == ["old"]
    assert Publisher(tmp_path / "none", Signer(tmp_path)).leftovers() == []
