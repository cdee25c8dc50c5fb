"""Tables in files as people have them: read, or refused in one sentence before anything is sent."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import PIL.Image
import pytest

import imgopen_nb as imgopen
from imgopen_nb.batch.batch import Batch
from imgopen_nb.batch.sources import source_of
from imgopen_nb.batch.tables import files, text_files
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.errors import ImgOpenError, ParameterError
from imgopen_nb.session import Session

PROMPT = OPERATIONS["text2image"].param("prompt")
ONE, TWO, COMMA = "https://e.org/1.jpg", "https://e.org/2.jpg", "https://e.org/a,b.jpg"
DATA = "data:image/png;base64,iVBORw0KGgo="
QUERY = "https://e.org/a,b/3.jpg?x=1;y=2"
CDN = "https://cdn.e.org/w_300,h_200/"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat.png").write_bytes(png())
    return tmp_path


def png(colour: str = "red") -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", (40, 30), colour).save(out, "PNG")
    return out.getvalue()


def written(name: str, content: str | bytes) -> str:
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def read(name: str, content: str | bytes, column: Any = None, **more: Any) -> list[Any]:
    found = source_of(written(name, content), column, **more)
    values = [value for _, value in found.pairs()]
    assert found.total == len(values)
    return [value.message if isinstance(value, ImgOpenError) else value for value in values]


# .csv

CSV: dict[str, tuple[str | bytes, list[Any]]] = {
    "a title above": (f"My images,,\n,,\nid,url,x\n1,{ONE},\n", [ONE]),
    "a remark above": (f"# exported\nid,url\n1,{ONE}\n", [ONE]),
    "a number sign in the header": (f"#,url\n1,{ONE}\n", [ONE]),
    "a blank line of blanks": (f"url\n  \n{ONE}\n", [ONE]),
    "a usual name in two words": (f"Page URL,Image-URL\n{TWO},{ONE}\n", [ONE]),
    "a zero byte": (f"id,url\n1,{ONE}\x00\n", [f"{ONE}\x00"]),
    "no header, one column": (f"{ONE}\n{TWO}\n", [ONE, TWO]),
    "no header, two columns": (f"1,{ONE}\n2,{TWO}\n", [ONE, TWO]),
    "no header, a file that is there": ("cat.png,a cat\nnone.png,a dog", ["./cat.png", "none.png"]),
    "no header, commas in the addresses": (
        f"{CDN}1.jpg\n{CDN}2.jpg\n",
        [f"{CDN}1.jpg", f"{CDN}2.jpg"],
    ),
    "no header, addresses with any separator": (f"{QUERY}\n{QUERY}\n", [QUERY, QUERY]),
    "no header, such addresses between tabs": (f"{QUERY}\tx\n", [QUERY]),
    "no header, other separators in the cells": ('"a.png"|"x\ty"|"b, c"\n', ["a.png"]),
    "data: without quotes": (f"id,url,n\n1,{DATA},2\n2,{ONE},3\n", [DATA, ONE]),
    "data: between semicolons": (f"id;url;n\n1;{DATA};2\n", [DATA]),
    "data: alone": (f"{DATA}\n{DATA}\n", [DATA, DATA]),
    "no header, semicolons": (f"1;{ONE}\n2;{COMMA}\n", [ONE, COMMA]),
    "blank lines first": (f"\n\n{ONE}\n", [ONE]),
    "semicolons": (f"id;url\n1;{ONE}\n2;{COMMA}\n", [ONE, COMMA]),
    "tabs": (f"id\turl\n1\t{COMMA}\n", [COMMA]),
    "bars": (f"id|url\n1|{COMMA}\n", [COMMA]),
    "as Excel says": (f"sep=;\r\nid;url\r\n1;{COMMA}\r\n", [COMMA]),
    "blanks after commas": (f'id, url\n1, {ONE}\n2, "{COMMA}"\n', [ONE, COMMA]),
    "blanks around names": (f" id , URL \n1,{ONE}\n", [ONE]),
    "one column, commas without quotes": (f"url\n{COMMA}\n{ONE}\n", [COMMA, ONE]),
    "commas at the ends": (f"id,url\n1,{ONE},,\n", [ONE]),
    "a column that is plainly the one": (f"name,see\nx,{ONE}\n", [ONE]),
    "an image that is a number": (f"image,url\n1,{ONE}\n2,{TWO}\n", [ONE, TWO]),
    "line ends of an old Mac": (f"url\r{ONE}\r{TWO}\r", [ONE, TWO]),
    "UTF-16": (f"id\turl\r\n1\t{ONE}\r\n".encode("utf-16"), [ONE]),
    "UTF-16 without a mark": (f"url\n{ONE}\n".encode("utf-16-be"), [ONE]),
    "UTF-32": (f"url\n{ONE}\n".encode("utf-32"), [ONE]),
    "UTF-8 with a mark": (f"url\n{ONE}\n".encode("utf-8-sig"), [ONE]),
    "Windows-1252, from Excel": (f"id;url;\xe4\n1;{ONE};caf\xe9\n".encode("cp1252"), [ONE]),
    "Windows-1252, at the very end": (f"url,n\n{ONE},caf\xe9".encode("cp1252"), [ONE]),
    "both UTF-8 and Windows-1252": (f"url,n\n{ONE},\xe9\n".encode() + b"x,\xe9\n", [ONE, "x"]),
    "header alone": ("id,url\n", []),
    "quoted lines": (f'url,note\n{ONE},"a\nb"\n{TWO},c\n', [ONE, TWO]),
    "an empty cell": (f"id,url\n1,\n2,{ONE}\n", ["", ONE]),
    "an address without quotes": (
        f"id,url\n1,{COMMA}\n2,{TWO}\n",
        ["a.csv, row 2 has 3 cells for 2 columns", TWO],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), CSV.values(), ids=CSV)
def test_a_csv_is_read_as_it_is_meant(content: str | bytes, expected: list[Any]):
    assert read("a.csv", content) == expected


PROMPTS = {
    "a comma in prose": ("prompt\na cat, a dog, a fox\nfox\n", ["a cat, a dog, a fox", "fox"]),
    "no header": ("a cat, a dog\nfox\n", ["a cat, a dog", "fox"]),
    "no header, sentences": ("a red fox in snow\na cat\n", ["a red fox in snow", "a cat"]),
    "semicolons": ("id;prompt\n1;a cat, a dog\n", ["a cat, a dog"]),
    "quotes": ('prompt,seed\n"a, ""b""",3\n', ['a, "b"']),
}


@pytest.mark.parametrize(("content", "expected"), PROMPTS.values(), ids=PROMPTS)
def test_prompts_keep_their_commas(content: str, expected: list[str]):
    assert read("a.csv", content, param=PROMPT) == expected


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"id;url\n1;{ONE}\n", "a.csv: column 'url' (the usual name), separated by semicolons"),
        (f"{ONE}\n", "a.csv: no header"),
        (
            f"url\n{ONE}?\xe9\n".encode("cp1252"),
            "a.csv: read as Windows-1252, because it is not UTF-8",
        ),
        (f"1\t{ONE}\n", "a.csv: column '2' (the only column with images), no header, so the "
         "columns are numbered, separated by tabs"),
        (f"name,see\nx,{ONE}\n", "a.csv: column 'see' (the only column with images)"),
        ("cats\ncat.png\n", "a.csv: the first line, 'cats', read as the header"),
        (f"url\n{ONE}\n", ""),
    ],
)  # fmt: skip
def test_it_is_said_what_was_found_out(session: Session, content: str | bytes, says: str):
    plan = session.map("describe", written("a.csv", content), dry_run=True)

    assert plan.reads == says
    assert says in repr(plan)


def test_columns_without_names_have_numbers():
    assert read("a.csv", f"{ONE},{TWO}\n", 2) == read("a.csv", f"{ONE},{TWO}\n", "2") == [TWO]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"id,url,url\n1,{ONE},{TWO}\n", "a.csv has several columns called 'url'"),
        ("name,score\nhi,3\n", "which column of a.csv holds the images"),
        ("url\nкошка.jpg\n".encode("cp1251"), "a.csv is not UTF-8: it contains the byte 0xea"),
        ("url\n编号.jpg\n".encode("gbk"), "a.csv is not UTF-8: it contains the byte 0xb1"),
        ("url\n番号.jpg\n".encode("shift-jis"), "a.csv is not UTF-8: it contains the byte 0x94"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "a.csv is not UTF-8: it contains the byte 0x89"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1" + bytes(90), "a.csv is not a table but an old Office file"),
        (f"{ONE},{TWO}\n", "which column of a.csv holds the images.* It has 1, 2"),
    ],
)
def test_what_cannot_be_known_is_said(content: str | bytes, says: str):
    with pytest.raises(ParameterError, match=says) as caught:
        source_of(written("a.csv", content))

    assert caught.value.hint


def test_a_cell_may_hold_a_picture_and_the_limit_of_others_stays():
    """A data: URL is longer than the 131,072 characters that Python's csv allows."""
    before = csv.field_size_limit()
    url = "data:image/png;base64," + "A" * 300_000
    source = source_of(written("a.csv", f"id,url\n1,{url}\n2,{ONE}\n"))
    pairs = source.pairs()

    assert next(pairs) == (0, url)
    assert csv.field_size_limit() == before
    assert list(pairs) == [(1, ONE)]
    with pytest.raises(csv.Error, match="field larger"):
        next(csv.reader([url]))


# Other files.


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f"id;url\n1;{ONE}\n"),
        ("a.tsv", f"id\turl\n1\t{ONE}\n"),
        ("a.jsonl", json.dumps({"url": ONE})),
        ("a.json", json.dumps([ONE])),
        ("a.txt", f"{ONE}\n"),
    ],
)
def test_a_packed_file_is_unpacked(pack: Any, name: str, content: str):
    suffix = ".gz" if pack is gzip.compress else ".bz2"

    assert read(name + suffix, pack(content.encode())) == [ONE]
    assert read(name, pack(content.encode())) == [ONE]  # a download that was not unpacked


FRAME = pd.DataFrame({"no": [1, 2], "url": [ONE, TWO]}, index=[5, 7])
JSON: dict[str, tuple[str, list[Any]]] = {
    **{
        orient: (FRAME.to_json(orient=orient), [(5, ONE), (7, TWO)])
        for orient in ("columns", "index", "split")
    },
    **{
        orient: (FRAME.to_json(orient=orient), [(0, ONE), (1, TWO)])
        for orient in ("records", "values", "table")
    },
    "texts": (json.dumps([ONE, None]), [(0, ONE), (1, None)]),
    "columns of lists": (json.dumps({"url": [ONE, TWO], "n": [1, 2]}), [(0, ONE), (1, TWO)]),
    "names": (json.dumps({"cat": ONE, "dog": TWO}), [("cat", ONE), ("dog", TWO)]),
    "objects by name": (json.dumps({"cat": {"url": ONE}}), [("cat", ONE)]),
    "COCO": (
        json.dumps({"images": [{"id": 1, "file_name": "cat.png"}], "annotations": [{"id": 1}] * 3}),
        [(0, "./cat.png")],
    ),
    "an answer of an API": (json.dumps({"count": 1, "results": [{"url": ONE}]}), [(0, ONE)]),
    "images by their names": (
        json.dumps({"cat.png": {"caption": "x"}, "b.png": {}}),
        [(0, "./cat.png"), (1, "b.png")],
    ),
    "images by their stems": (json.dumps({"cat": {"tags": "x"}}), [(0, "./cat.png")]),
    "captions by name": (json.dumps({"cat.png": "a cat"}), [(0, "./cat.png")]),
    "a single row": (json.dumps({"image": "cat.png", "caption": "x"}), [(0, "./cat.png")]),
    "a list of another name": (json.dumps({"page": 1, "hits": [{"url": ONE}]}), [(0, ONE)]),
    "an object on each line": (f'{{"url": "{ONE}"}}\n{{"url": "{TWO}"}}\n', [(0, ONE), (1, TWO)]),
    "nothing": ("[]", []),
}


@pytest.mark.parametrize(("content", "expected"), JSON.values(), ids=JSON)
def test_json_has_rows_in_any_of_the_usual_ways(content: str, expected: list[Any]):
    assert list(source_of(written("a.json", content)).pairs()) == expected


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", "3", "a.json holds no rows"),
        ("a.json", "{", "a.json is not JSON"),
        ("a.json", "[" * 100_000, "a.json is not JSON"),
        (
            "a.csv.gz",
            gzip.compress(b"url\n" + ONE.encode(), mtime=0)[:-12],
            "a.csv.gz cannot be read",
        ),
        ("a.csv.gz", b"\x1f\x8bnot gzip", "a.csv.gz cannot be read"),
        ("a.zip", b"PK no zip", "a.zip cannot be read"),
        ("a.xlsx", b"PK\x03\x04", "a.xlsx is a workbook"),
        ("a.tar.gz", b"\x1f\x8b", "a.tar.gz is neither an image nor a table"),
        ("a.parquet.gz", b"\x1f\x8b", "a.parquet.gz is neither an image nor a table"),
        ("a.yaml", b"a: 1", "a.yaml is neither an image nor a table of a known format"),
        ("a", b"PAR1", "a is neither an image nor a table of a known format"),
        ("a.pdf", b"%PDF-1.7", "a.pdf is not an image but a PDF"),
        ("a.dat", b"", "a.dat is empty"),
    ],
)
def test_what_is_not_read_is_said_in_one_sentence(name: str, content: str | bytes, says: str):
    with pytest.raises(ParameterError, match=says) as caught:
        source_of(written(name, content))

    assert caught.value.hint or "JSON" in says or "cannot be read" in says
    assert "\n" not in caught.value.message


def test_a_picture_may_have_any_name():
    assert read("download", png()) == ["download"]


def test_a_text_file_has_an_address_on_each_line():
    lines = f"# my cats\n{ONE}\n\n  {TWO}  \r\ncat.png\n"

    assert read("a.txt", lines) == [ONE, TWO, "./cat.png"]
    assert read("a.lst", f"url\n{ONE}\n") == [ONE]
    assert read("a.txt", f"no\turl\n1\t{ONE}\n") == [ONE]
    assert read("a.txt", "a cat, a dog\n#1 fan\n", param=PROMPT) == ["a cat, a dog", "#1 fan"]


def test_the_parts_of_a_data_set_are_one_table():
    for number in range(3):
        pd.DataFrame({"n": [1], "url": [f"https://e.org/{number}.jpg"]}).to_parquet(
            f"train-{number}-of-3.parquet"
        )

    found = source_of("train-*.parquet")
    assert [value for _, value in found.pairs()] == [f"https://e.org/{n}.jpg" for n in range(3)]
    assert found.total == 3
    pd.DataFrame({"other": [1]}).to_parquet("train-9-of-3.parquet")
    with pytest.raises(ParameterError, match=r"train-9-of-3.parquet and"):
        source_of("train-*.parquet")


def test_a_folder_without_pictures_names_the_table_in_it():
    Path("data").mkdir()
    written("data/train.csv", "url\n")

    with pytest.raises(ParameterError, match="no images in the folder data") as caught:
        source_of("data")
    assert caught.value.hint == "it holds train.csv: use that"


# Archives.


def zipped(name: str, members: dict[str, bytes]) -> str:
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return name


@pytest.mark.usefixtures("cached")
def test_the_pictures_of_an_archive_are_named_by_their_places_in_it(local: Session, folder: Path):
    name = zipped(
        "set.zip",
        {"b.png": png("blue"), "in/a.PNG": png(), "notes.txt": b"x", "__MACOSX/._b.png": b"x",
         ".hidden.png": png()},
    )  # fmt: skip

    batch = local.map("describe", name, model="clip", progress=False)

    assert isinstance(batch, Batch)
    assert [row.image for row in batch] == [f"{folder}/set.zip/{n}" for n in ("b.png", "in/a.PNG")]
    assert list(batch.wide().index) == ["b.png", "in/a.PNG"]
    assert ["blue" in batch.wide()["caption"].iloc[0], batch.errors().empty] == [True, True]
    assert len(imgopen.gallery("set.zip").tiles) == 2


@pytest.mark.parametrize("members", [{}, {"data.csv": b"url\n"}])
def test_an_archive_without_pictures_says_what_it_holds(members: dict[str, bytes]):
    holds = "only data.csv" if members else "nothing"

    with pytest.raises(ParameterError, match=f"a.zip holds no images, only {holds}"):
        source_of(zipped("a.zip", members))


def test_nothing_hostile_takes_the_memory(monkeypatch: pytest.MonkeyPatch):
    """Zeros that take a thousandth when they are packed are unpacked no further than needed."""
    zeros = bytes(30_000_000)
    written("a.csv.gz", gzip.compress(zeros, 1))
    zipped("a.zip", {f"{number}.png": zeros for number in range(2)})
    monkeypatch.setattr(text_files, "_SMALL", 1_000_000)
    monkeypatch.setattr(files, "MAX_BYTES", 1_000_000)
    monkeypatch.setattr(text_files, "_MOST_GROWTH", 10)
    tracemalloc.start()
    try:
        with pytest.raises(
            ParameterError, match=r"a.csv.gz unpacks to more than any table would need"
        ):
            source_of("a.csv.gz")
        pictures = [picture for _, picture in source_of("a.zip").pairs()]
        assert [len(picture.load()) for picture in pictures] == [1_000_001] * 2
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000


@pytest.mark.parametrize("damage", ["broken", "encrypted"])
def test_a_damaged_picture_of_an_archive_is_a_row_of_its_own(session: Session, damage: str):
    name = zipped("a.zip", {"a.png": png(), "b.png": png("blue")})
    data = bytearray(Path(name).read_bytes())
    if damage == "broken":
        data[40:60] = bytes(20)
    else:
        for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            data[data.index(mark) + at] |= 1
    Path(name).write_bytes(data)

    plan = session.map("describe", name, dry_run=True)

    assert (plan.rows, plan.unusable) == (2, 1)
    assert "a.png cannot be unpacked" in plan.reason


# Names of files that look like patterns.


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("[Name] set/*.png", ["[Name] set/1.png", "[Name] set/set [v2] 01.png"]),
        ("[Name] set", ["[Name] set/1.png", "[Name] set/set [v2] 01.png"]),
        ("[Name] set/**/*.png", ["[Name] set/1.png", "[Name] set/in [x]/2.png",
                                 "[Name] set/set [v2] 01.png"]),
        ("[Name] set/in [x]/?.png", ["[Name] set/in [x]/2.png"]),
        ("[Name] set/set [v2] 01.png", ["[Name] set/set [v2] 01.png"]),
        ("[Name] set/set [v2] *.png", ["[Name] set/set [v2] 01.png"]),
        ("what?.png", ["what?.png"]),
        ("wh[ao]t*.png", ["what?.png", "whatx.png"]),
        ("a*b [?]/*/*.png", ["a*b [?]/deep/3.png"]),
        ("*/1.png", ["[Name] set/1.png"]),
    ],
)  # fmt: skip
def test_signs_in_the_name_of_a_folder_that_is_there_are_no_pattern(
    pattern: str, found: list[str], folder: Path
):
    for name in ("[Name] set/1.png", "[Name] set/in [x]/2.png", "[Name] set/set [v2] 01.png",
                 "what?.png", "whatx.png", "a*b [?]/deep/3.png", "a1b x/deep/4.png"):  # fmt: skip
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(png())
    absolute = str(folder / pattern)

    assert [value for _, value in source_of(pattern).pairs()] == found
    assert [value for _, value in source_of(absolute).pairs()] == [f"{folder}/{n}" for n in found]


@pytest.mark.parametrize(
    ("pattern", "says"),
    [("[Name] set/none.png", "there is no file or folder"), ("[Name] set/x*", "no file matches")],
)
def test_a_file_that_is_not_there_is_named(pattern: str, says: str):
    Path("[Name] set").mkdir()

    with pytest.raises(ParameterError, match=says):
        source_of(pattern)
