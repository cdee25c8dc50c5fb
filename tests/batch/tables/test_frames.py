"""Frames, columns, arrays and datasets of other libraries: a row for each value, in order."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest

import imgopen_nb as imgopen
from imgopen_nb.batch.batch import Batch
from imgopen_nb.batch.sources import source_of
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.errors import ParameterError, UnknownNameError
from imgopen_nb.images.picture import read_picture
from imgopen_nb.session import Session

PROMPT = OPERATIONS["text2image"].param("prompt")
URLS = ["https://e.org/1.jpg", "https://e.org/2.jpg"]
TEXT: Any = getattr(getattr(np, "dtypes", None), "StringDType", lambda: object)()
TABLE = pa.table({"no": [1, 2], "url": URLS})


def png(colour: str = "red") -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", (40, 30), colour).save(out, "PNG")
    return out.getvalue()


def values(given: Any, column: Any = None, **more: Any) -> list[Any]:
    return [value for _, value in source_of(given, column, **more).pairs()]


class Stream:
    """Data of some library that says only how Arrow gets it."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.held.__arrow_c_stream__(requested_schema)


class Relation:
    """A result of some database, like DuckDB's."""

    columns = ("no", "url")

    def to_arrow_table(self) -> Any:
        return TABLE


class Interchanged:
    """A frame of some library that has the interchange protocol alone."""

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> Any:
        return TABLE.__dataframe__(nan_as_null, allow_copy)


FRAMES: dict[str, Callable[[], Any]] = {
    "Arrow table": lambda: TABLE,
    "Arrow column": lambda: TABLE["url"],
    "Arrow array": lambda: pa.array(URLS),
    "Arrow dictionary": lambda: pa.array(URLS).dictionary_encode(),
    "Arrow batch": lambda: TABLE.to_batches()[0],
    "Arrow reader": lambda: TABLE.to_reader(),
    "Arrow dataset": lambda: pyarrow.dataset.dataset(TABLE),
    "list of Arrow scalars": lambda: list(TABLE["url"]),
    "polars frame": lambda: pl.from_arrow(TABLE),
    "polars column": lambda: pl.Series("url", URLS),
    "polars query": lambda: pl.LazyFrame({"no": [1, 2], "url": URLS}),
    "frame of one column": lambda: pl.DataFrame({"whatever": URLS}),
    "only column with images": lambda: pl.DataFrame({"a": [1, 2], "b": URLS, "c": ["x", "y"]}),
    "other library's frame": lambda: Stream(pl.from_arrow(TABLE)),
    "other library's column": lambda: Stream(pl.Series(URLS)),
    "interchange": Interchanged,
    "relation": Relation,
    "array of one column": lambda: np.array([[url] for url in URLS]),
    "array of one row": lambda: np.array([URLS]),
    "objects of one column": lambda: np.array([[url] for url in URLS], dtype=object),
    "array of two columns": lambda: np.array([["x", url] for url in URLS]),
    "array of bytes": lambda: np.array(URLS, dtype="S"),
    "array of variable texts": lambda: np.array(URLS, dtype=TEXT),
    "structured array": lambda: np.rec.fromrecords(list(enumerate(URLS)), names="no,url"),
    "pandas array": lambda: pd.array(URLS),
    "list of rows": lambda: [{"no": 1, "url": url} for url in URLS],
    "list of named tuples": lambda: list(pd.DataFrame({"url": URLS, "no": 1}).itertuples()),
    "list of tuples": lambda: list(zip([1, 2], URLS, strict=True)),
    "list of labelled rows": lambda: [pd.Series({"no": 1, "url": url}) for url in URLS],
    "list of frames": lambda: TABLE.to_batches(1),
    "dict of arrays": lambda: {"no": np.arange(2), "url": pd.Series(URLS)},
    "dict of columns": lambda: {"no": [1, 2], "url": URLS},
    "DataFrame.to_dict()": lambda: pd.DataFrame({"no": [1, 2], "url": URLS}).to_dict(),
    "view of a dict": lambda: dict.fromkeys(URLS).keys(),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_what_holds_two_addresses_is_two_rows(make: Callable[[], Any]):
    source = source_of(make())

    assert [pair for _ in range(2) for pair in source.pairs()] == 2 * list(enumerate(URLS))
    assert source.total in (2, None)


@pytest.mark.parametrize(
    "given",
    [pa.array([URLS[0], None]), pl.Series([URLS[0], None]), pd.Series([URLS[0], None]),
     pl.DataFrame({"url": [URLS[0], None]}), np.array([[URLS[0]], [None]], dtype=object),
     np.ma.array(np.array(URLS, dtype=object), mask=[0, 1])],
    ids=lambda given: f"{type(given).__module__}.{type(given).__name__}",
)  # fmt: skip
def test_a_missing_value_stays_a_row_with_an_error_of_its_own(session: Session, given: Any):
    plan = session.map("describe", given, dry_run=True)

    assert (plan.rows, plan.unusable) == (2, 1)
    assert plan.reason == "this row has no image"


@pytest.mark.parametrize(
    "make",
    [lambda: ({"no": 1, "url": url} for url in URLS), lambda: iter(TABLE.to_batches(1))],
    ids=["rows", "frames"],
)
def test_a_generator_may_yield_rows_or_frames(make: Callable[[], Any]):
    assert [value for _, value in source_of(make()).pairs()] == URLS


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        (np.zeros((4, 5), "uint8"), 1),
        (np.zeros((4, 1), "uint8"), 1),
        (np.zeros((4, 5, 3), "uint8"), 1),
        (np.zeros((3, 40, 50), "uint8"), 1),  # channels first: the error says so
        (np.zeros((7, 40, 50), "uint8"), 7),  # grey images
        (np.zeros((7, 4, 5, 3), "uint8"), 7),
        (np.array([np.zeros((40, 50), "uint8")] * 2, dtype=object), 2),
        (np.array([PIL.Image.new("L", (2, 2)), None], dtype=object), 2),
    ],
    ids=lambda each: str(getattr(each, "shape", each)),
)
def test_numbers_are_pixels(given: Any, rows: int):
    assert len(values(given)) == rows


def test_a_column_may_be_called_by_a_number():
    frame = pd.DataFrame([["a", URLS[0]], ["b", URLS[1]]])
    both = pd.DataFrame([[1, 2]], columns=["1", 1])

    assert values(frame, "1") == values(frame, 1) == values(frame) == URLS
    assert values(np.array([["a", URLS[0]]] * 2), "1") == URLS[:1] * 2
    assert (values(both, "1"), values(both, 1)) == ([1], [2])


@pytest.mark.parametrize(
    ("given", "column", "says"),
    [
        (pl.DataFrame({"a": [1], "b": [2]}), None, "which column of the frame holds the images"),
        (pl.DataFrame({"one": URLS, "two": URLS}), None, "which column .* It has one, two"),
        (TABLE, "link", "no column of the frame called 'link'"),
        (pl.DataFrame(), None, "the frame is empty: it has no columns"),
        (pa.Table.from_arrays([pa.array(URLS)] * 2, names=["url", "url"]), None, "several columns"),
        (np.array([[["a"] * 2] * 2] * 2), None, "an array of 2 × 2 × 2 texts or objects"),
        (pa.scalar(URLS[0]), None, "a batch cannot be read from"),
        (pl.Series(URLS), "link", "no column of the column called 'link'"),
    ],
)
def test_what_is_not_clear_is_said_in_one_sentence(given: Any, column: Any, says: str):
    with pytest.raises((ParameterError, UnknownNameError), match=says) as caught:
        source_of(given, column)

    assert "\n" not in caught.value.message


def test_the_plan_says_which_column_it_takes_and_why(session: Session):
    named = session.map("describe", pl.DataFrame({"no": [1], "url": URLS[:1]}), dry_run=True)
    found = session.map("describe", pl.DataFrame({"no": [1], "b": URLS[:1]}), dry_run=True)

    assert "the frame: column 'url' (the usual name)" in repr(named)
    assert found.reads == "the frame: column 'b' (the only column with images)"
    assert found.reads in found._repr_mimebundle_()["text/html"].replace("&#39;", "'")


def test_a_query_runs_once_so_that_its_rows_keep_their_order():
    ran = []
    query = pl.LazyFrame({"url": URLS}).map_batches(lambda frame: ran.append(1) or frame)
    source = source_of(query)

    assert [list(source.pairs()) for _ in range(3)] == 3 * [list(enumerate(URLS))]
    assert len(ran) <= 1


def test_prompts_come_from_frames_too():
    assert values(pl.DataFrame({"no": [1], "prompt": ["a fox"]}), param=PROMPT) == ["a fox"]


def test_narwhals_is_loaded_by_such_a_frame_alone():
    code = """if True:
        import sys, pandas, numpy
        from imgopen_nb.batch.sources import source_of
        list(source_of(pandas.DataFrame({"url": ["x"]})).pairs())
        list(source_of(numpy.array([["x"]])).pairs())
        list(source_of(["x"]).pairs())
        print("narwhals" in sys.modules, "polars" in sys.modules, "datasets" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False"] * 3


# Images as datasets keep them.

ROWS = [
    {"bytes": png("red"), "path": "set/red.png"},
    {"bytes": png("blue"), "path": None},
    None,
    {"bytes": b"no picture", "path": "broken.png"},
    {"bytes": None, "path": None},
]


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A dataset of Hugging Face whose images nobody may decode."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("USE_TORCH", "0")  # its import takes seconds
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"id": datasets.Value("int64"), "image": datasets.Image(), "text": datasets.Value("string")}
    )
    made = datasets.Dataset.from_dict(
        {"id": range(4), "image": ROWS[:4], "text": list("abcd")}, features=features
    )

    def decode(*_: Any, **__: Any) -> None:
        raise AssertionError("an image was decoded")

    monkeypatch.setattr(datasets.Image, "decode_example", decode)
    return made


SHAPES: dict[str, Callable[[Any], Any]] = {
    "dataset": lambda data: data,
    "column": lambda data: data["image"],
    "stream": lambda data: data.to_iterable_dataset(),
    "column of a stream": lambda data: data.to_iterable_dataset()["image"],
    "only split": lambda data: {"train": data},
    "with a format": lambda data: data.with_format("numpy"),
    "with another name": lambda data: data.rename_column("image", "photograph"),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_data_set_gives_the_bytes_that_it_has(dataset: Any, shape: Callable[[Any], Any]):
    source = source_of(shape(dataset))
    found = [value for _, value in source.pairs()]

    assert [value and value["bytes"] for value in found] == [
        row and row["bytes"] for row in ROWS[:4]
    ]
    assert found[0]["path"] == "set/red.png"
    assert source.total in (4, None)
    assert not source.once


def test_of_several_splits_one_is_to_be_named(dataset: Any):
    with pytest.raises(
        ParameterError, match=r"choose a split of the dataset.* train, test"
    ) as caught:
        source_of({"train": dataset, "test": dataset})

    assert caught.value.hint == "pass one split: data['train']"


def test_a_list_of_pictures_in_each_row_is_not_decoded(dataset: Any):
    import datasets

    lists = datasets.Dataset.from_dict(
        {"faces": [ROWS[:2]]}, features=datasets.Features({"faces": [datasets.Image()]})
    )

    assert values(lists) == [ROWS[:2]]


@pytest.mark.usefixtures("cached")
def test_rows_of_a_parquet_file_are_named_by_their_paths(
    local: Session, dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Described, compared and shown: images that lie nowhere else, two of five are broken."""
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"id": range(5), "image": ROWS}).to_parquet("hf.parquet")

    batch = local.map("describe", "hf.parquet", model="clip", progress=False)
    again = local.map("describe", dataset, model="clip", progress=False)

    assert isinstance(batch, Batch)
    assert isinstance(again, Batch)
    names = [row.image for row in batch.results()]
    assert (names[0], names[3]) == ("set/red.png", "broken.png")
    assert str(names[1]).startswith("<bytes 40x30")
    captions = batch.wide()["caption"].tolist()
    assert ["red" in captions[0], "blue" in captions[1]] == [True, True]
    assert list(batch.wide()["error"].notna()) == [False, False, True, True, True]
    assert [row.cached for row in again.results()][:2] == [True, True]
    for given in (dataset, "hf.parquet", pl.read_parquet("hf.parquet")):
        rows = imgopen.compare(given).rows
        assert [row.image for row in rows][::3] == ["set/red.png", "broken.png"]
        assert "red" in rows[0].descriptions["clip"].caption
    assert len(imgopen.gallery(dataset).tiles) == 4
    assert local.run("describe", image=ROWS[0], model="clip").image == "set/red.png"


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ({"bytes": png(), "path": "a/b.png"}, "a/b.png"),
        ({"bytes": png(), "path": "a\x1b[31m\u202eb.png"}, "a␛[31m⟨U+202E⟩b.png"),
        ({"bytes": png(), "path": "https://me:secret@e.org/x.png"}, "https://***@e.org/x.png"),
        ({"bytes": bytearray(png())}, "<bytes 40x30"),
        ({"path": "sample:coffee"}, "sample:coffee"),
    ],
)
def test_a_picture_of_a_data_set_is_a_picture_anywhere(value: Any, label: str):
    checked = OPERATIONS["describe"].check({"image": value, "model": "clip"})

    assert read_picture(checked["image"]).label.startswith(label)


@pytest.mark.parametrize(
    "value", [{}, {"bytes": 3, "path": "x"}, {"path": 3}, {"bytes": None, "path": None}, {"a": 1}]
)
def test_another_dict_is_no_picture(value: dict[str, Any]):
    with pytest.raises(ParameterError, match=r"image (must be an image|is empty)"):
        OPERATIONS["describe"].check({"image": value, "model": "clip"})


def test_pictures_of_the_same_name_are_not_mixed_up(local: Session):
    """A dataset may call all its images alike."""
    given = [{"bytes": png(colour), "path": "image.png"} for colour in ("red", "blue")]

    rows = imgopen.gallery(given)

    assert len({tile.picture for tile in rows.tiles}) == 2
    jpegs: Iterator[Any] = (
        local.manager.thumbnail("image.png", picture=tile.picture).jpeg for tile in rows.tiles
    )
    assert len(set(jpegs)) == 2
