"""The columns `params`, `tags` and `image_urls` are plain objects: pandas does with them what it
does with any column, and what earlier versions saved still opens."""

from __future__ import annotations

import copy
import io
import json
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgopen_nb.history.frame import history_frame
from imgopen_nb.history.json_values import values

SAVED = sorted((Path(__file__).parents[1] / "data" / "frames").iterdir())
ROWS: list[dict[str, Any]] = [
    {"task_id": "a", "operation": "describe", "model": "clip", "caption": "a cat",
     "params": '{"image": "x.png", "model": "clip"}', "status": "succeeded",
     "image_urls": "[]", "submitted": 1.7e9, "finished": 1.7e9 + 2, "queries": 1, "attempts": 1},
    {"task_id": "b", "operation": "describe", "model": "deepdanbooru", "caption": "cat, mat",
     "params": '{"image": "x.png", "model": "deepdanbooru"}', "status": "succeeded",
     "tags": '[{"name": "cat", "score": 0.9}, {"name": "mat", "score": null}]',
     "submitted": 1.7e9 + 60, "finished": 1.7e9 + 61, "queries": 2, "attempts": 1},
    {"task_id": "c", "operation": "upscale", "params": '{"image": "x.png", "scale": 2}',
     "status": "failed", "error": "too large", "queries": 3, "attempts": 1},
]  # fmt: skip


@pytest.fixture
def frame() -> pd.DataFrame:
    return history_frame(ROWS)


def _set(frame: pd.DataFrame, at: Any, value: Any) -> Any:
    frame.at[at] = value
    return frame.loc[at]


def _sql(frame: pd.DataFrame) -> Any:
    with sqlite3.connect(":memory:") as database:
        frame.astype({"params": str, "tags": str, "image_urls": str}).to_sql("t", database)
        return pd.read_sql("SELECT params FROM t", database).params.tolist()[2]


CALLS: list[tuple[Callable[[pd.DataFrame], Any], Any]] = [
    (lambda f: f.fillna("").tags.tolist(), ["", ["cat", "mat"], ""]),
    (lambda f: f.fillna({"tags": "none"}).tags[0], "none"),
    (lambda f: f.where(f.status == "failed").params.isna().tolist(), [True, True, False]),
    (lambda f: f.tags.where(f.tags.notna(), "-").tolist(), ["-", ["cat", "mat"], "-"]),
    (lambda f: f.tags.mask(f.tags.isna(), "-").tolist(), ["-", ["cat", "mat"], "-"]),
    (lambda f: f.mask(f.isna(), "?").tags[0], "?"),
    (lambda f: f.combine_first(f).params.tolist() == f.params.tolist(), True),
    (lambda f: f.tags.combine_first(pd.Series([["x"]] * 3))[0], ["x"]),
    (lambda f: f.compare(f.assign(tags=None)).shape[0], 1),
    (lambda f: _set(f, (0, "tags"), ["a", "b"]), ["a", "b"]),
    (lambda f: _set(f, (0, "params"), {"seed": 1}), {"seed": 1}),
    (lambda f: f.tags.str.len().fillna(0).tolist(), [0, 2, 0]),
    (lambda f: f.tags.str.join("+")[1], "cat+mat"),
    (lambda f: f.tags.str[0][1], "cat"),
    (lambda f: f.params.str["model"].fillna("").tolist(), ["clip", "deepdanbooru", ""]),
    (lambda f: f.params.str.get("scale")[2], 2),
    (lambda f: f.params.map(lambda p: p["image"]).nunique(), 1),
    (lambda f: f.params.apply(len).tolist(), [2, 2, 2]),
    (lambda f: f.explode("tags").tags.fillna("").tolist(), ["", "cat", "mat", ""]),
    (lambda f: f.explode("tags").tags.value_counts().to_dict(), {"cat": 1, "mat": 1}),
    (lambda f: f.groupby("operation").tags.count().tolist(), [1, 0]),
    (lambda f: f.groupby("operation").tags.agg(list)["upscale"], [None]),
    (lambda f: f.groupby("operation").first().params["upscale"]["scale"], 2),
    (lambda f: f.merge(f[["task_id", "tags"]], on="task_id").tags_y[1], ["cat", "mat"]),
    (lambda f: f.set_index("task_id").join(f.set_index("task_id").tags.rename("t")).t["b"],
     ["cat", "mat"]),
    (lambda f: f.query("model == 'deepdanbooru'").tags.iloc[0], ["cat", "mat"]),
    (lambda f: f.loc[f.tags.notna(), "task_id"].tolist(), ["b"]),
    (lambda f: f.sort_values("queries", ascending=False).params.iloc[0]["scale"], 2),
    (lambda f: f.drop_duplicates("operation").task_id.tolist(), ["a", "c"]),
    (lambda f: f.astype(str).drop_duplicates().shape[0], 3),
    (lambda f: f.tags.astype(str)[1], "['cat', 'mat']"),
    (lambda f: f.isna().tags.tolist(), [True, False, True]),
    (lambda f: f.dropna(subset="tags").task_id.tolist(), ["b"]),
    (lambda f: pd.concat([f, f], ignore_index=True).tags[4], ["cat", "mat"]),
    (lambda f: f.pivot_table(index="operation", values="queries", aggfunc="sum").queries.tolist(),
     [3, 3]),
    (lambda f: f.pivot(index="task_id", columns="operation", values="tags")["describe"].tolist()[1],
     ["cat", "mat"]),
    (lambda f: pd.json_normalize(f.params.tolist()).model.fillna("").tolist(),
     ["clip", "deepdanbooru", ""]),
    (lambda f: f.equals(f.copy()), True),
    (lambda f: copy.deepcopy(f).equals(f), True),
    (lambda f: pickle.loads(pickle.dumps(f)).params.tolist() == f.params.tolist(), True),
    (lambda f: pd.read_json(io.StringIO(f.to_json(orient="records"))).tags[1], ["cat", "mat"]),
    (lambda f: pd.read_csv(io.StringIO(f.to_csv())).tags[1], "['cat', 'mat']"),
    (_sql, "{'image': 'x.png', 'scale': 2}"),
    (lambda f: f.info(buf=io.StringIO()), None),
    (lambda f: "tags" in f.drop(columns=["params"]).to_html(), True),
    (lambda f: "params" in f.describe().columns, False),
    (lambda f: f.reindex([2, 9]).params.isna().tolist(), [False, True]),
    (lambda f: f.shift(1).tags[2], ["cat", "mat"]),
    (lambda f: f.assign(tags=f.tags.map(lambda t: t or [])).tags[0], []),
    (lambda f: f.T.loc["tags", 1], ["cat", "mat"]),
    (lambda f: f.iloc[::-1].tags.iloc[1], ["cat", "mat"]),
    (lambda f: f.replace({"clip": "CLIP"}).model[0], "CLIP"),
    (lambda f: f.melt("task_id", ["tags", "params"]).value[1], ["cat", "mat"]),
    (lambda f: f.to_dict("records")[1]["tags"], ["cat", "mat"]),
    (lambda f: f.sample(3, random_state=1).sort_index().equals(f), True),
    (lambda f: next(f.itertuples()).params["model"], "clip"),
    (lambda f: f.transform(lambda c: c).equals(f), True),
]  # fmt: skip


@pytest.mark.parametrize(("call", "expected"), CALLS, ids=range(len(CALLS)))
def test_what_pandas_does_with_any_column_of_objects_works(
    frame: pd.DataFrame, call: Callable[[pd.DataFrame], Any], expected: Any
):
    found = call(frame)

    assert found == expected


def test_parquet_holds_lists_and_structs(frame: pd.DataFrame):
    pytest.importorskip("pyarrow")
    file = io.BytesIO()
    frame.to_parquet(file)

    back = pd.read_parquet(file)
    assert list(back.tags[1]) == ["cat", "mat"]
    assert back.params[2]["scale"] == 2


def test_everything_is_described(frame: pd.DataFrame):
    """Like any column of dicts, `params` cannot be counted: what can be is."""
    plain = frame.drop(columns=["params", "tags", "image_urls"])

    assert plain.describe(include="all").loc["unique", "operation"] == 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (['{"a": 1}', None], [{"a": 1}, {}]),
        ([{"a": 1}, None, '{"b": 2}'], [{"a": 1}, {}, {"b": 2}]),
        (['{"a": 1}', "damaged", '{"a": ' * 9000 + "1" + "}" * 9000], [{"a": 1}, {}, {}]),
        (['{"a": 1}, {"b": 2}', "{}", '{"c"', ": 3}"], [{}, {}, {}, {}]),
        ([], []),
    ],
)
def test_values_come_from_texts_values_and_nothing(given: list[Any], expected: Any):
    """What is not JSON counts as missing: the rest of the history is shown."""
    assert values("params", given) == expected


@pytest.mark.parametrize("tags", [["a"], [{"name": "a"}], [{"name": "a", "score": 2}, "b"], None])
def test_tags_are_names(tags: Any):
    names = None if tags is None else ["a", "b"][: len(tags)]

    assert values("tags", [tags, json.dumps(tags)]) == [names, names]


@given(
    tags=st.lists(
        st.fixed_dictionaries({"name": st.text(max_size=5), "score": st.floats() | st.integers()})
    ),
    cut=st.integers(0, 60),
)
def test_the_names_in_texts_are_those_of_the_parsed_json(tags: list[dict[str, Any]], cut: int):
    text = json.dumps(tags, ensure_ascii=False)
    names = [tag["name"] for tag in tags]

    assert values("tags", [text, text[:cut], text + "]"]) == [
        names,
        names if cut >= len(text) else None,
        None,
    ]


@pytest.mark.parametrize("file", SAVED, ids=lambda file: file.name)
def test_frames_that_earlier_versions_saved_open(file: Path):
    """A pickle opens with the values, a Parquet file with their texts; it names the dtype only."""
    pytest.importorskip("pyarrow")
    late_numpy = file.suffix == ".pickle" and np.__version__ < "2"  # it names numpy._core
    if late_numpy or ("3.1" in file.name and pd.__version__ < "3"):
        pytest.skip("a later pandas or NumPy wrote it")

    if file.suffix == ".pickle":
        opened = pickle.loads(file.read_bytes())
        frame, series = opened["frame"], opened["series"]
        assert frame.params.tolist() == [{"image": "x", "seed": 3}, {}]
        assert frame.fillna("").tags.tolist() == [["cat", "dog"], ""]
        assert frame.explode("tags").tags.tolist()[:2] == ["cat", "dog"]
        assert pd.concat([frame, history_frame(ROWS)]).tags.tolist()[3] == ["cat", "mat"]
        assert pickle.loads(pickle.dumps(series)).tolist() == series.tolist()
        frame.at[1, "tags"] = ["new"]
        assert frame.tags.tolist() == [["cat", "dog"], ["new"]]
    else:
        assert pd.read_parquet(file).tags[0] == '["cat", "dog"]'


def test_the_old_name_of_the_module_is_known():
    from imgopen_nb.history.json_dtype import JsonArray, JsonDtype
    from imgopen_nb.json_columns import JsonArray as Array
    from imgopen_nb.json_columns import JsonDtype as Dtype

    assert (Array, Dtype) == (JsonArray, JsonDtype)
