"""Captions that lie in metadata files are taken in, and nothing of them is lost without a word."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import imgopen_nb as imgopen
from imgopen_nb.datasets.dataset import Dataset
from imgopen_nb.session import Session, set_current

from .test_selection import png

COLOURS = {"a.png": "red", "b.png": "blue", "sub/c.png": "green"}


@pytest.fixture
def folder(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three images without captions, one of them in a folder below."""
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    for name, colour in COLOURS.items():
        (photos / name).write_bytes(png(colour))
    monkeypatch.chdir(photos)
    set_current(session)
    return photos


def opened() -> Dataset:
    """The dataset of all three."""
    return imgopen.dataset("**/*.*g")


def captions(ds: Dataset) -> dict[str, str]:
    return {Path(entry.image).name: entry.caption for entry in ds.entries}


def jsonl(path: Path, rows: list[Any]) -> None:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("\n".join(lines), "utf-8")


def table(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def parquet(path: Path, rows: list[dict[str, str]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path)


def backdate(path: Path, seconds: float = 1e9) -> None:
    os.utime(path, (seconds, seconds))


@pytest.mark.parametrize(
    ("write", "name"),
    [(jsonl, "metadata.jsonl"), (table, "metadata.csv"), (parquet, "metadata.parquet")],
)
@pytest.mark.parametrize("column", ["text", "caption", "prompt", "Text"])
def test_a_table_beside_the_pictures_has_their_captions(
    folder: Path, write: Any, name: str, column: str
):
    rows = {"a.png": "red, with a comma", "sub/c.png": 'a "green" one'}
    write(folder / name, [{"file_name": key, column: text} for key, text in rows.items()])

    ds = opened()

    assert captions(ds) == {"a.png": "red, with a comma", "b.png": "", "c.png": 'a "green" one'}
    assert list(ds.frame.origin.fillna("")) == ["metadata", "", "metadata"]
    assert ds.notes == []


@pytest.mark.parametrize(
    "keys",
    [
        ("a.png", "sub/c.png"),
        ("a", "sub/c"),
        ("./a", "sub\\c"),
        ("{folder}/a.png", "{folder}/sub/c"),
    ],
)
def test_the_keys_of_kohyas_json_are_paths_or_stems(folder: Path, keys: tuple[str, str]):
    first, second = (key.format(folder=folder) for key in keys)
    content = {first: {"caption": "a red one", "tags": "red, plain"}, second: {"tags": "green"}}
    (folder / "meta_cap.json").write_text(json.dumps(content))

    found = captions(opened())

    assert found == {"a.png": "a red one, red, plain", "b.png": "", "c.png": "green"}


def test_a_text_file_wins_over_metadata_whichever_is_newer(folder: Path):
    (folder / "a.txt").write_text("by hand")
    backdate(folder / "a.txt")
    jsonl(folder / "metadata.jsonl", [{"file_name": "a.png", "text": "red"}])

    assert captions(opened())["a.png"] == "by hand"


def test_an_empty_text_file_does_not_hide_metadata(folder: Path):
    (folder / "a.txt").write_text("\n")
    jsonl(folder / "metadata.jsonl", [{"file_name": "a.png", "text": "red"}])

    assert captions(opened())["a.png"] == "red"


def test_a_caption_of_the_history_that_is_newer_than_the_file_stays(folder: Path):
    opened().caption = {"a.png": "by hand", "b.png": "blue"}
    rows = [{"file_name": "a.png", "text": "red"}, {"file_name": "b.png", "text": "blue"}]
    jsonl(folder / "metadata.jsonl", rows)
    backdate(folder / "metadata.jsonl")

    ds = opened()

    assert captions(ds)["a.png"] == "by hand"
    assert ds.notes == ["metadata.jsonl is older than 1 caption in the history, which stays"]
    assert opened().notes == []  # it was said once


def test_metadata_that_was_edited_since_is_taken_in_again_and_else_it_is_not(folder: Path):
    path = folder / "metadata.jsonl"
    jsonl(path, [{"file_name": "a.png", "text": "one"}, {"file_name": "b.png", "text": "two"}])
    ds = opened()
    ds.caption = {"a.png": "by hand", "b.png": "by hand"}

    assert set(captions(opened()).values()) == {"by hand", ""}
    jsonl(path, [{"file_name": "a.png", "text": "new"}, {"file_name": "b.png", "text": "two"}])
    backdate(path, 2e9)

    assert captions(opened()) == {"a.png": "new", "b.png": "by hand", "c.png": ""}


def test_the_newest_of_several_files_counts_and_the_others_are_named(folder: Path):
    table(folder / "metadata.csv", [{"file_name": "a.png", "text": "old"}])
    jsonl(folder / "metadata.jsonl", [{"file_name": "a.png", "text": "new"}])
    backdate(folder / "metadata.csv")

    ds = opened()

    assert captions(ds)["a.png"] == "new"
    assert ds.notes == [
        "metadata.csv and metadata.jsonl have different captions for 1 image; "
        "metadata.jsonl is newer and was used"
    ]


def test_what_is_not_taken_in_is_said(folder: Path):
    (folder / "a.jpg").write_bytes(png("black"))
    rows = [
        {"file_name": "gone.png", "text": "x"},
        {"file_name": "a", "text": "which one?"},
        {"file_name": "b.png", "text": "long " * 5000},
        "[1]",
        {"file_name": "sub/c.png", "text": None},
        {"file_name": "sub/c.png", "text": "half a pair \ud83d, a bell \a"},
    ]
    jsonl(folder / "metadata.jsonl", rows)

    ds = opened()

    assert captions(ds) == {
        "a.jpg": "", "a.png": "", "b.png": "", "c.png": "half a pair ?, a bell",
    }  # fmt: skip
    assert ds.notes == [
        "metadata.jsonl, line 4 is not a JSON object",
        "metadata.jsonl names 1 image that is missing (gone.png)",
        "metadata.jsonl is ambiguous about 1 image (a)",
        "metadata.jsonl has a caption that is too long for 1 image (b.png)",
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("metadata.jsonl", b"\xff\xfe\x00", "metadata.jsonl is not read: "),
        ("metadata.csv", b"file_name,text\na.png,\xe7\x8c\xab\x81\n", "metadata.csv is not read: "),
        ("metadata.parquet", b"no parquet", "metadata.parquet is not read: "),
        ("meta_cap.json", b"{", "meta_cap.json is not read: "),
    ],
)
def test_a_file_that_cannot_be_read_is_a_note(folder: Path, name: str, content: bytes, said: str):
    (folder / name).write_bytes(content)

    (note,) = opened().notes

    assert note.startswith(said)


@pytest.mark.parametrize("content", ["[]", "{}", '{"a": 1}', '{"version": {"number": 2}}'])
def test_json_that_is_no_metadata_is_let_be(folder: Path, content: str):
    (folder / "meta.json").write_text(content)

    assert set(captions(opened()).values()) == {""}


def test_a_table_above_a_folder_is_read_only_if_it_is_in_the_data_set(folder: Path):
    jsonl(folder / "metadata.jsonl", [{"file_name": "sub/c.png", "text": "green"}])

    assert captions(imgopen.dataset(folder / "sub"))["c.png"] == ""
    assert captions(opened())["c.png"] == "green"


def test_a_text_file_of_control_characters_is_a_note(folder: Path):
    (folder / "a.txt").write_bytes(b"\x01\x02")

    ds = opened()

    assert ds.frame.note[0] == "a.txt: an empty caption is not saved"


def test_a_copy_with_another_caption_is_said(folder: Path):
    (folder / "copy.png").write_bytes(png("red"))
    (folder / "a.txt").write_text("one")
    (folder / "copy.txt").write_text("two")

    ds = opened()

    assert captions(ds)["a.png"] == captions(ds)["copy.png"] == "one"
    assert ds.frame.note[2] == "the same image has another caption in copy.txt"


def test_captions_in_the_frame_of_the_pictures_are_taken_in(folder: Path):
    given = pd.DataFrame(
        {"url": [str(folder / "a.png"), str(folder / "b.png"), str(folder / "sub" / "c.png")]}
    ).assign(caption=["of the frame", None, "of the frame too"])
    (folder / "sub" / "c.txt").write_text("of the file")

    ds = imgopen.dataset(given)

    assert list(ds.caption.fillna("")) == ["of the frame", "", "of the file"]
    assert list(ds.frame.origin.fillna("")) == ["metadata", "", "file"]


def test_a_frame_changes_no_caption_that_is_there_and_says_so(folder: Path):
    imgopen.dataset(folder).caption = {"a.png": "mine"}
    given = pd.DataFrame({"image": [str(folder / "a.png")], "caption": ["another"]})

    ds = imgopen.dataset(given)

    assert list(ds.caption) == ["mine"]
    assert "the DataFrame differs from 1 caption in the history, which stays" in ds.notes


def test_a_frame_of_a_data_set_gives_the_same_captions_again(folder: Path):
    ds = imgopen.dataset(folder)
    ds.caption = {"a.png": "ohwx, a cat, hat", "b.png": "ohwx, a dog"}
    ds.frame.to_csv(folder / "set.csv")

    for source in (ds.frame, folder / "set.csv"):
        again = imgopen.dataset(source)
        assert list(again.caption.fillna("")) == list(ds.caption.fillna(""))
        assert len(again.steps) == len(ds.steps), "it is the same dataset"


def test_captions_in_the_file_that_lists_the_pictures_are_taken_in(folder: Path):
    (folder / "set.csv").write_text('file,tags\na.png,"cat, hat"\nb.png,\n')

    ds = imgopen.dataset(folder / "set.csv")

    assert list(ds.caption.fillna("")) == ["cat, hat", ""]
