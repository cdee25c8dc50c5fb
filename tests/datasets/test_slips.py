"""Slips of people who caption images: each is refused in a sentence, or does what was meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import imgopen_nb as imgopen
from imgopen_nb.datasets import entry
from imgopen_nb.datasets.dataset import Dataset
from imgopen_nb.errors import ImgOpenError, UsageError

from .sets import make_pictures, png
from .test_dataset import captions, folder

__all__ = ["folder"]


@pytest.fixture
def ds(folder: Path) -> Dataset:
    """Three images with captions."""
    made = imgopen.dataset(folder)
    made.caption = {"a.png": "red, cat", "b.png": "blue, cat", "c.png": "green, cat"}
    return made


@pytest.mark.parametrize(
    "where",
    [
        [1, 0, 1], np.array([0, 1, 1]), {"a.png": False}, b"a.png", -1, 1.0,
        pd.Series([True, False, True, False], index=[0, 1, 2, 0]),
        pd.Series([True], index=["a.png"]),
    ],
    ids=str,
)  # fmt: skip
def test_a_selection_that_is_none_is_refused_and_rejects_nothing(ds: Dataset, where: Any):
    with pytest.raises(UsageError):
        ds.reject(where)

    assert len(ds.kept) == 3


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (pd.Series([True, None, False], dtype=object), ["a.png"]),
        (pd.Series([None, True, float("nan")], dtype=object), ["b.png"]),
        (pd.Series([None, None, None], dtype="boolean"), []),
        (pd.Series([True], index=[2]), ["c.png"]),
        (1, ["b.png"]),
        (np.int64(2), ["c.png"]),
    ],
)
def test_a_mask_may_have_gaps_and_a_place_may_stand_alone(
    ds: Dataset, where: Any, expected: list[str]
):
    ds.reject(where)

    assert [Path(e.image).name for e in ds.entries if e.rejected] == expected


@pytest.mark.parametrize(
    "value",
    [lambda _: 3, lambda _: ["a"], lambda _: "", {"b.png": " "}, {"a.png": "x" * 20_001}],
    ids=["a number", "a list", "an empty text", "spaces", "too long"],
)
def test_captions_that_are_none_are_refused_and_change_nothing(ds: Dataset, value: Any):
    before = captions(ds)

    with pytest.raises(UsageError, match="nothing was changed"):
        ds.caption = value

    assert captions(ds) == before


def test_a_function_that_returns_nothing_leaves_the_caption(ds: Dataset):
    ds.caption = lambda caption: "a dog" if "red" in caption else None

    assert captions(ds) == {"a.png": "a dog", "b.png": "blue, cat", "c.png": "green, cat"}


@pytest.mark.parametrize(
    "call",
    [
        lambda ds: ds.merge(["union"]),
        lambda ds: ds.merge(models=3),
        lambda ds: ds.merge(blacklist=[3]),
        lambda ds: ds.merge(blacklist=3),
        lambda ds: ds.merge(min_score=float("nan")),
        lambda ds: ds.describe(3, dry_run=True),
        lambda ds: ds.check(limit=True),
        lambda ds: ds.write(overwrite="no"),
        lambda ds: ds.tags.remove(),
        lambda ds: ds.tags.remove("red, cat"),
        lambda ds: ds.tags.spaces(3),
        lambda ds: ds.tags.blacklist(None),
    ],
)
def test_a_wrong_type_is_a_typed_error_that_changes_nothing(
    ds: Dataset, call: Callable[[Dataset], object]
):
    with pytest.raises(ImgOpenError):
        call(ds)

    assert len(ds.steps) == 1


def test_one_tag_a_list_of_tags_and_numbers_of_numpy_are_taken(ds: Dataset):
    ds.tags.remove(["red", "blue"])
    ds.tags.order("kept", kept="cat")

    assert captions(ds) == {"a.png": "cat", "b.png": "cat", "c.png": "cat, green"}
    assert list(ds.check(limit=np.int64(75), pictures=False).finding.unique()) != []


def test_text_files_of_windows_are_read(folder: Path):
    (folder / "a.txt").unlink()
    (folder / "a.TXT").write_bytes(b"\xef\xbb\xbfa cat\r\n")
    (folder / "b.txt").write_bytes("é cat".encode("utf-16"))

    ds = imgopen.dataset(folder)

    assert captions(ds) == {"a.png": "a cat", "b.png": "é cat", "c.png": ""}
    assert ds.frame.note[1] == "b.txt is not UTF-8: read as UTF-16"


def test_the_longest_name_of_a_picture_is_no_trouble(folder: Path):
    (folder / f"{'x' * 251}.png").write_bytes(png(9))
    (folder / "c.txt").write_text("x " * 15_000)

    notes = list(imgopen.dataset(folder).frame.note.dropna())

    assert notes == ["c.txt is too long for a caption"]


def test_a_name_that_leads_nowhere_does_not_rename_the_data_set(folder: Path):
    paths = make_pictures(folder / "deep", 2)

    ds = imgopen.dataset([*paths, "/no/such.png"])

    assert ds.name == str((folder / "deep").resolve())


def test_undo_brings_a_file_back_that_somebody_removed(ds: Dataset, folder: Path):
    ds.write(overwrite=True)
    (folder / "a.txt").unlink()

    assert ds.undo() == "write for kohya"
    assert (folder / "a.txt").read_text() == "my own words\n"


def test_names_are_looked_up_in_one_pass(ds: Dataset, monkeypatch: pytest.MonkeyPatch):
    """Captions of 10,000 images by name took half an hour."""
    shortened: list[str] = []
    monkeypatch.setattr(entry, "short_path", lambda path: shortened.append(path) or path)

    ds.caption = {f"{name}.png": f"{name} by name" for name in "abc"}

    assert list(ds.caption) == ["a by name", "b by name", "c by name"]
    assert len(shortened) == 3
