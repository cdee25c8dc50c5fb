"""A dataset: what it takes in, how captions and verdicts change, and how each step is undone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import imgopen_nb as imgopen
from imgopen_nb.datasets.dataset import Dataset
from imgopen_nb.errors import ImgOpenError, UsageError
from imgopen_nb.session import Session

from .test_selection import names, png

COLOURS = {"a.png": "red", "b.png": "blue", "c.png": "green"}


@pytest.fixture
def folder(cached: None, local: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three images; a.png has a caption file."""
    for name, colour in COLOURS.items():
        (tmp_path / name).write_bytes(png(colour))
    (tmp_path / "a.txt").write_text("my own words\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def captions(ds: Dataset) -> dict[str, str]:
    return {Path(entry.image).name: entry.caption for entry in ds.entries}


def kept(ds: Dataset) -> list[str]:
    return [Path(entry.image).name for entry in ds.kept]


def test_a_caption_file_is_the_pictures_caption(folder: Path):
    ds = imgopen.dataset(folder)

    assert captions(ds) == {"a.png": "my own words", "b.png": "", "c.png": ""}
    assert list(ds.frame.origin.fillna("")) == ["file", "", ""]
    assert (folder / "a.txt").read_text() == "my own words\n"


def test_a_file_that_was_edited_since_is_taken_in_again(folder: Path):
    imgopen.dataset(folder)
    (folder / "a.txt").write_text("wrong words")

    assert captions(imgopen.dataset(folder))["a.png"] == "wrong words"


def test_a_file_that_was_seen_before_does_not_come_back_over_a_later_step(folder: Path):
    ds = imgopen.dataset(folder)
    ds.caption = {"a.png": "by hand"}

    assert captions(imgopen.dataset(folder))["a.png"] == "by hand"


def test_a_file_older_than_a_caption_of_the_history_does_not_replace_it(folder: Path):
    ds = imgopen.dataset(folder)
    ds.caption = {"b.png": "by hand"}
    (folder / "b.txt").write_text("old words")
    os.utime(folder / "b.txt", (1e9, 1e9))

    again = imgopen.dataset(folder)

    assert captions(again)["b.png"] == "by hand"
    assert again.frame.note[1] == "b.txt is older than this caption"


def test_captions_are_assigned_by_name_by_index_and_by_function(folder: Path):
    ds = imgopen.dataset(folder)

    ds.caption = {"b.png": "blue", "c*": "green"}
    ds.caption = pd.Series({0: "red"})
    ds.caption = str.upper

    assert list(ds.caption) == ["RED", "BLUE", "GREEN"]
    assert len(ds.steps) == 3


def test_rejects_stay_rejected_in_another_session_and_can_be_kept_again(folder: Path):
    ds = imgopen.dataset(folder)
    ds.reject(ds.frame.image.str.endswith("b.png"), note="blurry")

    again = imgopen.dataset("*.png")
    assert kept(again) == ["a.png", "c.png"]
    assert again.frame.note[1] == "blurry"
    again.keep("b.png")
    assert kept(imgopen.dataset(folder)) == ["a.png", "b.png", "c.png"]


def test_each_step_is_undone_in_turn_also_the_day_after(folder: Path):
    ds = imgopen.dataset(folder)
    ds.caption = {"a.png": "one"}
    ds.reject(["a.png"])
    ds.caption = {"b.png": "two"}

    again = imgopen.dataset(folder)
    assert [again.undo() for _ in range(4)] == [
        "captions by hand", "reject 1 image", "captions by hand", None,
    ]  # fmt: skip
    assert captions(again) == {"a.png": "my own words", "b.png": "", "c.png": ""}
    assert kept(again) == ["a.png", "b.png", "c.png"]


def test_undo_leaves_what_was_written_since_elsewhere(folder: Path):
    ds = imgopen.dataset(folder)
    ds.caption = {"a.png": "a step"}
    board = imgopen.board(ds)
    board._receive({"kind": "edit", "image": 0, "text": "on the board", "base": None})
    board._receive({
        "kind": "edit", "image": 0, "text": "on the board", "base": ds.entries[0].edit_id,
    })  # fmt: skip

    ds.undo()

    assert captions(ds)["a.png"] == "on the board"


def test_boards_and_galleries_show_the_kept_pictures(folder: Path):
    ds = imgopen.dataset(folder)
    ds.reject("b.png")

    assert names(imgopen.board(ds)) == ["a.png", "c.png"]
    assert names(imgopen.gallery(ds)) == ["a.png", "c.png"]


def test_only_kept_pictures_are_described_and_each_is_sent_once(folder: Path):
    ds = imgopen.dataset(folder)
    ds.reject("c.png")

    ds.describe(progress=False)
    ds.describe(progress=False)

    assert set(ds.models) == {"clip", "deepdanbooru"}
    assert ds.frame["clip"].notna().tolist() == [True, True, False]
    assert len(imgopen.current().rows(operation="describe")) == 4


def test_copies_of_a_picture_share_captions_and_verdicts(folder: Path):
    (folder / "copy.png").write_bytes(png("red"))
    ds = imgopen.dataset(folder)
    ds.caption = {"copy.png": "both"}
    ds.reject("a.png")

    assert captions(ds)["a.png"] == "both"
    assert kept(ds) == ["b.png", "c.png"]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ([True, False], "the mask has 2 values, but the dataset has 3 images"),
        ("d.png", "no image of this dataset called"),
        (7, "there is no image 7"),
        ([7], "there is no image 7"),
        (pd.Series([True], index=[99]), "belongs to another frame"),
        ([object()], "not the name of an image"),
    ],
)
def test_a_mask_that_does_not_fit_changes_nothing(folder: Path, where: object, said: str):
    ds = imgopen.dataset(folder)

    with pytest.raises(ImgOpenError, match=said):
        ds.reject(where)
    assert ds.steps.empty


def test_no_caption_becomes_empty(folder: Path):
    ds = imgopen.dataset(folder)

    done = ds.rewrite("empty", lambda entry: "")

    assert "1 caption would become empty and stayed as they are" in repr(done)
    assert captions(ds)["a.png"] == "my own words"


def test_a_caption_changed_elsewhere_meanwhile_is_not_replaced(folder: Path):
    ds, other = imgopen.dataset(folder), imgopen.dataset(folder)

    def change(entry: object) -> str:
        if not other.steps.shape[0]:
            other.caption = {"a.png": "elsewhere"}
        return "mine"

    done = ds.rewrite("mine", change, where="a.png")

    assert captions(ds)["a.png"] == "elsewhere"
    assert done.changed == 0


def test_a_file_in_another_encoding_is_read_and_said(folder: Path):
    (folder / "b.txt").write_bytes("Café".encode("cp1252"))
    (folder / "c.txt").write_bytes(b"\xef\xbb\xbfwith a mark")
    os.utime(folder / "b.txt", (time.time(),) * 2)

    ds = imgopen.dataset(folder)

    assert captions(ds) | {"a.png": ""} == {"a.png": "", "b.png": "Café", "c.png": "with a mark"}
    assert ds.frame.note[1] == "b.txt is not UTF-8: read as Windows-1252"


def test_an_empty_folder_is_refused(cached: None, local: Session, tmp_path: Path):
    with pytest.raises(UsageError, match="no images in the folder"):
        imgopen.dataset(tmp_path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a.png": 5}, "5 is not a caption: nothing was changed"),
        (["a", "b", "c"], "captions cannot be read from"),
        ({"d.png": "d"}, "no image of this dataset called"),
    ],
)
def test_captions_that_do_not_fit_are_refused(folder: Path, value: object, said: str):
    ds = imgopen.dataset(folder)

    with pytest.raises(ImgOpenError, match=said):
        ds.caption = value
    assert ds.steps.empty


def test_a_missing_value_leaves_the_caption(folder: Path):
    ds = imgopen.dataset(folder)

    ds.caption = {"a.png": None, "b.png": "blue"}

    assert captions(ds) == {"a.png": "my own words", "b.png": "blue", "c.png": ""}


def test_sets_that_lie_in_no_folder_have_steps_of_their_own(tmp_path: Path):
    pictures = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (10, 90, 200)]
    one, other = imgopen.dataset(pictures[:2]), imgopen.dataset(pictures[2:])
    one.caption = lambda _: "one"
    one.caption = {0: "first", 1: "second"}
    other.caption = {0: "third"}

    assert other.undo() == "captions by hand"
    assert other.undo() is None
    assert list(one.caption) == ["first", "second"]
    assert list(imgopen.dataset(pictures[:2]).steps.name) == list(one.steps.name)
    assert any("name=" in note for note in one.notes)
    assert not any("name=" in note for note in imgopen.dataset(pictures, name="reds").notes)


def test_pictures_in_folders_below_are_not_read_and_are_counted(folder: Path):
    (folder / "more" / "deep").mkdir(parents=True)
    (folder / "more" / "deep" / "z.png").write_bytes(png("grey"))
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "y.png").write_bytes(png("black"))

    (note,) = [note for note in imgopen.dataset(folder).notes if "subfolders" in note]

    assert note.startswith("1 image in subfolders not read: ")
    pattern = note.partition(": use ")[2].removesuffix(" to read them too")
    assert len(imgopen.dataset(pattern)) == len(imgopen.dataset(folder)) + 1


def test_a_function_that_returns_no_text_changes_nothing(folder: Path):
    ds = imgopen.dataset(folder)

    with pytest.raises(UsageError, match="3 is not a caption: nothing was changed"):
        ds.rewrite("numbers", lambda entry: 3)  # type: ignore[arg-type, return-value]
    ds.rewrite("gaps", lambda entry: float("nan"))  # type: ignore[arg-type, return-value]

    assert len(ds.steps) == 0


def test_a_misspelt_attribute_is_refused_as_its_captions_would_be_lost(folder: Path):
    ds = imgopen.dataset(folder)

    with pytest.raises(AttributeError, match="captions"):
        ds.captions = {"a.png": "wrong words"}  # type: ignore[attr-defined]


def test_a_merge_takes_numbers_of_numpy(folder: Path):
    ds = imgopen.dataset(folder)
    ds.describe(progress=False)

    assert ds.merge("vote", min_score=np.float32(0.25), threshold=np.float32(0.25)).changed


def test_a_board_is_a_source_of_pictures(folder: Path):
    ds = imgopen.dataset(folder)
    ds.describe(progress=False)
    again = imgopen.dataset(imgopen.board(ds))

    assert captions(again) == captions(ds)
    assert again.name == ds.name


def test_a_model_that_is_called_as_a_method_of_pandas_is_told(folder: Path):
    ds = imgopen.dataset(folder)
    ds.describe(progress=False)

    with pytest.raises(UsageError, match="method of pandas") as caught:
        ds.caption = ds.frame.clip
    assert 'ds.frame["clip"]' in str(caught.value)


def test_one_picture_under_two_names_is_not_given_two_captions(folder: Path):
    (folder / "copy.png").write_bytes((folder / "a.png").read_bytes())
    ds = imgopen.dataset(folder)

    for given in ({"a.png": "one", "copy.png": "two"}, pd.Series(["one", "b", "c", "two"])):
        with pytest.raises(UsageError, match="same image"):
            ds.caption = given
    assert captions(ds)["a.png"] == "my own words"
    ds.caption = {"a.png": "one", "copy.png": "one", "b.png": "two"}
    ds.caption = {"copy.png": "three"}
    assert captions(ds) == {"a.png": "three", "b.png": "two", "c.png": "", "copy.png": "three"}


@pytest.mark.parametrize("note", [["a", "list"], "\udcff", None, float("nan"), 3])
def test_a_note_of_any_kind_is_kept_as_text(folder: Path, note: Any):
    ds = imgopen.dataset(folder)
    ds.reject(["a.png"], note=note)

    assert kept(ds) == ["b.png", "c.png"]
    assert pd.isna(ds.frame.note[0]) == (note is None or note != note)


def test_a_text_that_cannot_be_stored_is_no_rule(folder: Path):
    ds = imgopen.dataset(folder)

    for change in (lambda: ds.tags.add("\udcff"), lambda: ds.tags.remove("a", "\udcff")):
        with pytest.raises(UsageError, match="the rule"):
            change()


def test_true_of_numpy_overwrites(folder: Path):
    ds = imgopen.dataset(folder)
    ds.caption = dict.fromkeys(COLOURS, "by hand")
    ds.write(overwrite=np.True_)  # type: ignore[arg-type]

    assert (folder / "a.txt").read_text() == "by hand"


@pytest.mark.parametrize("make", [imgopen.dataset, imgopen.board, imgopen.gallery])
def test_a_folder_that_does_not_exist_is_told_with_where_it_was_looked_for(
    local: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()

    with pytest.raises(UsageError, match=rf"no file or folder nofolder in .*{tmp_path.name}"):
        make("nofolder")
    with pytest.raises(UsageError) as caught:
        make("phtos")
    assert caught.value.hint == "did you mean photos?"


def test_a_dataset_of_nothing_asks_for_a_folder(cached: None, local: Session):
    with pytest.raises(UsageError, match="no images: give a folder"):
        imgopen.dataset()


def test_a_list_without_its_images_says_how_they_are_copied(local: Session, tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(png("red"))
    ds = imgopen.dataset(tmp_path / "photos")
    ds.caption = {"a.png": "a wall"}

    with pytest.raises(UsageError, match="only reads images below") as caught:
        ds.write(tmp_path / "train", trainer="diffusers")

    assert caught.value.hint == 'add images="copy" (on a line: --images copy)'
