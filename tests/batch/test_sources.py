"""What a batch can go through: read as people have it, refused with one sentence."""

from __future__ import annotations

import io
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from imgopen_nb.batch.sources import axes_of, combinations, source_of
from imgopen_nb.batch.tables.table import missing
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.errors import ParameterError, UnknownNameError
from imgopen_nb.images.picture import samples

PROMPT = OPERATIONS["text2image"].param("prompt")
URLS = ["https://e.org/1.jpg", "https://e.org/2.jpg"]


def values(given: Any, column: str | None = None, **more: Any) -> list[Any]:
    return [value for _, value in source_of(given, column, **more).pairs()]


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (4, 4)).save(path)
    return path


# In memory.


@pytest.mark.parametrize(
    "given",
    [URLS, tuple(URLS), np.array(URLS), pd.Series(URLS, index=["b", "a"]), pd.Index(URLS),
     pd.DataFrame({"no": [1, 2], "URL": URLS}), pd.DataFrame({"anything": URLS}),
     OrderedDict(b=URLS[0], a=URLS[1]), dict.fromkeys(URLS), iter(URLS)],
    ids=lambda given: type(given).__name__,
)  # fmt: skip
def test_collections_are_read_in_their_order(given: Any):
    if isinstance(given, dict):
        given = dict(zip(given, URLS, strict=True))

    assert values(given) == URLS


def test_a_dict_names_its_pictures():
    assert list(source_of({"cat": "sample:cat", 3: b"x"}).pairs()) == [
        ("cat", "sample:cat"),
        (3, b"x"),
    ]


def test_a_source_can_be_read_again_unless_it_is_a_generator():
    listed, once = source_of(URLS), source_of(u for u in URLS)

    assert [list(listed.pairs()) for _ in range(2)] == [list(enumerate(URLS))] * 2
    assert (listed.once, listed.total, once.once, once.total) == (False, 2, True, None)


ONE = [
    np.zeros((4, 5, 3), "uint8"),
    np.zeros((4, 5), "uint8"),
    PIL.Image.new("RGB", (3, 3)),
    b"\x89PNG",
    memoryview(b"\x89PNG"),
    io.BytesIO(b"\x89PNG"),
    "https://e.org/a?b=[1]*",
    "sample:coffee",
    "data:image/png;base64,AAAA",
]


@pytest.mark.parametrize("given", ONE, ids=lambda given: type(given).__name__)
def test_one_picture_is_a_batch_of_one(given: Any):
    found = values(given)

    assert len(found) == 1
    assert found[0] is given


@pytest.mark.parametrize(
    "many", [np.zeros((3, 4, 5, 3), "uint8"), [PIL.Image.new("L", (2, 2))] * 3]
)
def test_many_pictures_of_pixels_are_many(many: Any):
    assert len(values(many)) == 3


@pytest.mark.parametrize("given", ["", "  "])
def test_an_empty_text_is_not_the_working_folder(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A variable that holds nothing must not send all images that lie here."""
    (tmp_path / "a.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ParameterError, match="the input is an empty text"):
        source_of(given)


@pytest.mark.parametrize("given", [3, None, object(), np.array(3), len])
def test_what_is_no_collection_is_refused(given: Any):
    with pytest.raises(ParameterError, match="a batch cannot be read from "):
        source_of(given)


@pytest.mark.parametrize("empty", [[], {}, pd.Series([], dtype=object), iter([])])
def test_nothing_is_a_batch_of_nothing(empty: Any):
    assert values(empty) == []


@pytest.mark.parametrize(
    "value", [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, "", " \t"], ids=repr
)
def test_empty_cells_are_missing(value: Any):
    assert missing(value)


@pytest.mark.parametrize("value", ["x", 0, 0.0, b"", [], np.zeros(3), np.float32(1)], ids=repr)
def test_other_values_are_not_missing(value: Any):
    assert not missing(value)


# Columns.


def test_a_column_is_named_or_known_by_its_usual_name():
    frame = pd.DataFrame({"caption": ["x"], "path": ["p"], "Image": ["i"], "prompt": ["t"]})

    assert values(frame) == ["i"]
    assert values(frame, "path") == ["p"]
    assert values(frame, param=PROMPT) == ["t"]


def test_a_column_that_is_not_there_or_not_clear_is_explained():
    frame = pd.DataFrame({"links": ["x"], "notes": ["y"]})

    with pytest.raises(UnknownNameError, match="column of the DataFrame called 'link'") as caught:
        source_of(frame, "link")
    assert "links" in caught.value.hint
    with pytest.raises(ParameterError, match=r"which column .* holds the images.*links, notes"):
        source_of(frame)
    with pytest.raises(ParameterError, match="holds the prompts"):
        source_of(frame, param=PROMPT)
    with pytest.raises(ParameterError, match="several columns called 'links'"):
        source_of(pd.DataFrame([["a", "b"]], columns=["links", "links"]), "links")


@pytest.mark.parametrize("given", [URLS, URLS[0], {"a": URLS[0]}])
def test_a_column_of_what_has_none_is_refused(given: Any):
    with pytest.raises(ParameterError, match="column 'url' needs a table as input"):
        source_of(given, "url")


# Folders and globs.


def test_a_folder_gives_its_pictures_by_name_and_nothing_else(tmp_path: Path):
    for name in ("b.jpg", "a.PNG", "c.webp", ".hidden.jpg", "._b.jpg"):
        picture(tmp_path / "x.png").rename(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "folder.jpg").mkdir()

    pairs = list(source_of(tmp_path).pairs())

    assert [Path(name).name for name, _ in pairs] == ["a.PNG", "b.jpg", "c.webp"]
    assert all(name == value for name, value in pairs)
    assert values(str(tmp_path) + "/") == [value for _, value in pairs]


def test_a_glob_goes_into_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("a/1.jpg", "a/b/2.jpg", "3.png", "odd [1].jpg"):
        picture(tmp_path / name)
    monkeypatch.chdir(tmp_path)

    assert values("**/*.jpg") == ["a/1.jpg", "a/b/2.jpg", "odd [1].jpg"]
    assert values("?.png") == ["3.png"]
    assert values("odd [1].jpg") == ["odd [1].jpg"]


def test_the_home_folder_may_be_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = picture(tmp_path / "a.jpg")

    assert values("~") == values("~/*.jpg") == values("~/a.jpg") == [str(file)]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("empty", "no images in the folder"),
        ("empty/*.jpg", "no file matches"),
        ("none", "there is no file or folder"),
        ("none.csv", "there is no file or folder"),
        ("none\x00", "there is no file or folder"),
        ("x" * 5000, "there is no file or folder"),
        ("~nobody-of-that-name/x", "there is no file or folder"),
    ],
)
def test_where_there_are_no_pictures_one_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ParameterError, match=says) as caught:
        source_of(name)

    assert len(caught.value.message) < 300


# Tables.


def test_a_csv_with_bom_quotes_and_blank_lines(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_bytes(
        b'\xef\xbb\xbfurl,note\r\n"https://e.org/a,b.jpg","say ""hi""\r\nthere"\r\n\r\n'
        b"https://e.org/2.jpg\r\n,empty\r\n"
    )

    found = source_of(file)

    assert [value for _, value in found.pairs()] == [
        "https://e.org/a,b.jpg",
        "https://e.org/2.jpg",
        "",
    ]
    assert found.total == 3
    assert values(file, "note") == ['say "hi"\r\nthere', None, "empty"]


def test_a_tsv_has_tabs(tmp_path: Path):
    (tmp_path / "a.tsv").write_text("no\turl\n1\thttps://e.org/a,b.jpg\n")

    assert values(tmp_path / "a.tsv") == ["https://e.org/a,b.jpg"]


def test_paths_in_a_table_are_looked_for_beside_it_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A table and its images can be moved together; else a path counts from where one works."""
    beside, here = picture(tmp_path / "set/both.jpg"), picture(tmp_path / "work/both.jpg")
    picture(tmp_path / "work/here.jpg")
    table = tmp_path / "set/a.csv"
    table.write_text(f"path\nboth.jpg\nhere.jpg\nnone.jpg\n{here}\nsample:coffee\n")
    monkeypatch.chdir(tmp_path / "work")

    assert values(table) == [str(beside), "here.jpg", "none.jpg", str(here), "sample:coffee"]


def test_prompts_of_a_table_are_no_paths(tmp_path: Path):
    (tmp_path / "fox").write_text("x")
    (tmp_path / "a.csv").write_text("prompt\nfox\n" + "long " * 2000 + "\n")

    assert values(tmp_path / "a.csv", param=PROMPT)[0] == "fox"
    assert values(tmp_path / "a.csv")[1] == "long " * 2000


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.csv", b"", "a.csv is empty: it has no columns"),
        ("a.csv", "url\nкошка.jpg\n".encode("cp1251"), "a.csv is not UTF-8"),
        ("a.csv", b"a,b\n1,2\n", "which column of a.csv holds the images"),
        ("a.jsonl", b"", "a.jsonl is empty: it has no columns"),
        ("a.jsonl", b"[1]\n2\n", "a.jsonl holds no JSON objects"),
        ("a.jsonl", b'{"url": "caf\xe9"}', "a.jsonl is not UTF-8"),
        ("a.parquet", b"", "a.parquet is not a Parquet file"),
        ("a.parquet", b"PAR1 and so on", "a.parquet is not a Parquet file"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_one_sentence(
    tmp_path: Path, name: str, data: bytes, says: str
):
    (tmp_path / name).write_bytes(data)

    with pytest.raises(ParameterError, match=says) as caught:
        source_of(tmp_path / name)

    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_column_that_a_table_does_not_have_is_explained(tmp_path: Path, name: str):
    frame = pd.DataFrame({"links": URLS, "no": [1, 2]})
    {
        "a.csv": frame.to_csv,
        "a.jsonl": lambda path: frame.to_json(path, orient="records", lines=True),
        "a.parquet": frame.to_parquet,
    }[name](tmp_path / name)

    assert values(tmp_path / name, "links") == URLS
    assert source_of(tmp_path / name, "links").total == 2
    with pytest.raises(UnknownNameError, match=f"no column of {name} called 'link'"):
        source_of(tmp_path / name, "link")


def test_a_broken_line_in_the_middle_of_jsonl_is_one_row(tmp_path: Path):
    lines = [json.dumps({"url": u}) for u in URLS]
    (tmp_path / "a.jsonl").write_text("\n".join([lines[0], '{"url": ', "", "7", lines[1], "{}"]))

    first, broken, number, second, without = values(tmp_path / "a.jsonl")

    assert [first, second, without] == [*URLS, None]
    assert str(broken) == "a.jsonl, line 2 is not a JSON object"
    assert str(number) == "a.jsonl, line 4 is not a JSON object"
    assert source_of(tmp_path / "a.jsonl").total == 5


def test_a_large_parquet_file_is_read_part_by_part(tmp_path: Path):
    frame = pd.DataFrame({"url": [f"https://e.org/{n}.jpg" for n in range(2500)], "x": 1})
    frame.loc[3, "url"] = None
    frame.to_parquet(tmp_path / "a.parquet")

    found = values(tmp_path / "a.parquet")

    assert (len(found), found[3], found[-1]) == (2500, None, "https://e.org/2499.jpg")


def test_pictures_in_a_parquet_file_are_bytes(tmp_path: Path):
    data = next(iter(samples().values())).read_bytes()
    pd.DataFrame({"image": [data]}).to_parquet(tmp_path / "a.parquet")

    assert values(tmp_path / "a.parquet") == [data]


# Prompts.


@pytest.mark.parametrize("text", ["a fox", "https://e.org is a page", "what?", "fox*", "~wow"])
def test_a_text_is_one_prompt(text: str):
    assert values(text, param=PROMPT) == [text]


def test_a_folder_of_pictures_or_a_table_that_is_not_there_is_no_prompt(tmp_path: Path):
    for name in (tmp_path, tmp_path / "prompts.csv"):
        with pytest.raises(ParameterError, match="cannot read prompts from"):
            source_of(name, param=PROMPT)


# Grids.


def test_a_list_is_an_axis_where_one_value_belongs():
    fusion, drawing = OPERATIONS["face-fusion"], OPERATIONS["text2image"]

    assert axes_of(fusion, {"faces": URLS, "face_index": [1, 2]}) == {"face_index": [1, 2]}
    assert axes_of(fusion, {"faces": [URLS, URLS[:1]]}) == {"faces": [URLS, URLS[:1]]}
    assert axes_of(drawing, {"seed": range(3), "prompt": "x"}) == {"seed": [0, 1, 2]}
    assert axes_of(drawing, {"settings": {"a": [1, 2]}}) == {}


def test_a_grid_has_every_combination():
    assert combinations({}) == [{}]
    assert combinations({"a": [1, 2], "b": ["x"]}) == [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]


@pytest.mark.parametrize("rights", [0o000, 0o444])
def test_a_folder_without_rights_is_told_and_one_around_it_is_read(nobody: Path, rights: int):
    closed = nobody / "around/closed"
    closed.mkdir(parents=True)
    (closed / "cat.png").write_bytes(b"x")
    closed.chmod(rights)

    with pytest.raises(ParameterError, match="Permission denied"):
        source_of(closed)
    with pytest.raises(ParameterError, match="no images in the folder"):
        source_of(closed.parent)
