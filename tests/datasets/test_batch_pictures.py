"""The images of a batch on boards and in galleries, those that no task was given among them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgopen_nb.batch.batch import Batch
from imgopen_nb.images.picture import samples
from imgopen_nb.session import Session
from imgopen_nb.widgets.caption_board.board import board
from imgopen_nb.widgets.gallery.gallery import gallery

COFFEE, ROCKET = (samples()[name].read_bytes() for name in ("coffee", "rocket"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with one image in it."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(COFFEE)
    monkeypatch.chdir(tmp_path / "a")
    return tmp_path / "a"


def not_sent(session: Session, images: Any) -> Batch:
    """Return a batch whose budget was spent before it began."""
    batch = session.map("describe", images, most=0, progress=False)
    assert isinstance(batch, Batch)
    return batch


@pytest.mark.parametrize("spell", [str, Path, lambda name: f" {name}"])
def test_a_picture_that_cannot_be_read_has_its_whole_absolute_name(
    session: Session, folder: Path, spell: Callable[[str], Any]
):
    name = "n" * 240 + ".jpg"
    batch = not_sent(session, [spell(name)])

    assert batch.frame()["image"].tolist() == [str(folder / name)]
    assert batch.results()[0].image == str(folder / name)
    assert board([spell("1.jpg"), spell(name)], session).frame.index[1] == str(folder / name)


@pytest.mark.parametrize("source", [lambda batch: batch, Batch.wide], ids=["batch", "wide"])
def test_a_picture_that_was_not_sent_is_a_row_that_can_be_captioned(
    session: Session, folder: Path, source: Callable[[Batch], Any]
):
    made = board(source(not_sent(session, ["1.jpg", "2.jpg"])), session)
    for image in (0, 1):
        message = {"kind": "edit", "image": image, "text": "a cup", "base": None}
        made.widget._handle_custom_msg(message, [])

    first, second = made.comparison.rows
    assert (first.image, first.trouble) == (str(folder / "1.jpg"), "")
    assert "no file" in second.trouble
    assert made.frame["caption"].fillna("").tolist() == ["a cup", ""]


@pytest.mark.parametrize("images", [["1.jpg"], "*.jpg", "../a"], ids=["list", "glob", "folder"])
def test_what_a_batch_did_not_read_is_meant_in_the_folder_in_which_it_was_made(
    session: Session, folder: Path, monkeypatch: pytest.MonkeyPatch, images: Any
):
    batch = not_sent(session, images)
    for other in ("b", "c"):
        (folder.parent / other).mkdir()
        (folder.parent / other / "1.jpg").write_bytes(ROCKET)
    monkeypatch.chdir(folder.parent / "b")

    (row,) = board(batch, session).comparison.rows
    assert os.path.realpath(row.image) == str(folder / "1.jpg")
    assert [os.path.realpath(tile.label) for tile in gallery(batch, session=session).tiles] == [
        str(folder / "1.jpg")
    ]


def test_no_other_picture_is_shown_for_one_that_could_not_be_read(session: Session, folder: Path):
    """Not even a later one of its name: nobody knows whether that is the one."""
    shown, tiles = board(["1.jpg", "2.jpg"], session), gallery(["1.jpg", "2.jpg"], session=session)
    Path("2.jpg").write_bytes(ROCKET)

    assert shown._read((0, 192))
    assert shown._read((1, 192)) is None
    assert tiles._cached((1, 192)) == b""
    assert tiles._cached((1, 512)) == b""


def test_a_picture_is_shown_from_whichever_of_its_files_is_there(session: Session, folder: Path):
    """Two files had the same bytes, and the one that was described is another image by now."""
    (folder / "2.jpg").write_bytes(COFFEE)
    tiles = gallery(["1.jpg", "2.jpg"], session=session)
    (folder / "1.jpg").write_bytes(ROCKET)
    tiles._source.fetch = {tiles.tiles[0].picture: lambda size: None}  # what its result can read

    assert tiles._read((1, 192))


def test_a_name_that_looks_like_a_pattern_and_fits_no_file_is_one_row(
    session: Session, folder: Path
):
    made = board(["1.jpg", "shot[1].jpg"], session)

    assert [row.image for row in made.comparison.rows] == [
        str(folder / "1.jpg"),
        str(folder / "shot[1].jpg"),
    ]
    assert "no file" in made.comparison.rows[1].trouble


def test_a_file_whose_name_is_no_text_is_a_row_that_can_be_captioned(
    session: Session, folder: Path
):
    name = os.path.join(folder, os.fsdecode(b"caf\xe9.jpg"))
    Path(name).write_bytes(ROCKET)
    made = board(folder, session)
    made.widget._handle_custom_msg({"kind": "edit", "image": 1, "text": "up", "base": None}, [])

    assert list(made.frame.index) == [str(folder / "1.jpg"), name]
    assert made.frame["caption"].fillna("").tolist() == ["", "up"]
    assert [os.fsencode(file) for file in made.export()] == [os.fsencode(folder) + b"/caf\xe9.txt"]
