"""Columns of JSON texts behave as columns of their values, however they are cut and joined."""

from __future__ import annotations

import io
import json
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgopen_nb.history.frame import history_frame
from imgopen_nb.history.json_dtype import JsonArray, JsonDtype

TAGS = [["a", "b"], None, [], ["b"]]
PARAMS = [{"image": "x"}, {}, {"seed": 3, "deep": {"a": [1]}}, {"image": "猫"}]
PLAIN = pd.Series(PARAMS, dtype=object)


@pytest.fixture
def frame() -> pd.DataFrame:
    columns = {"tags": JsonArray.of("tags", TAGS), "params": JsonArray.of("params", PARAMS)}
    return pd.DataFrame({"n": [1, 2, 3, 4], **columns}, index=list("wxyz"))


def values(series: Any) -> list[Any]:
    return list(series)


def test_values_are_those_that_went_in_whole_cut_and_picked(frame: pd.DataFrame):
    assert values(frame.tags) == TAGS
    assert values(frame.params) == PARAMS
    assert frame.tags.iloc[0] == ["a", "b"]
    assert frame.loc["x", "tags"] is None
    assert values(frame.tags.iloc[1:3]) == TAGS[1:3]
    assert values(frame.tags[frame.n > 2]) == TAGS[2:]
    assert values(frame.loc[["z", "w"], "params"]) == [PARAMS[3], PARAMS[0]]
    assert frame.params.tolist() == frame.params.to_numpy().tolist() == PARAMS


def test_names_are_taken_from_tags_with_scores_and_missing_texts_have_their_empty_value():
    tags = JsonArray.of("tags", ['[{"name": "cat", "score": 0.9}, "dog"]', None])
    urls = JsonArray.of("image_urls", ['["http://a"]', None])
    params = JsonArray.of("params", [None])

    assert values(tags) == [["cat", "dog"], None]
    assert values(urls) == [["http://a"], []]
    assert values(params) == [{}]
    assert [tags.isna().tolist(), urls.isna().tolist()] == [[False, True], [False, False]]


def test_what_is_done_with_lists_is_the_same_as_on_objects(frame: pd.DataFrame):
    objects = frame.assign(tags=frame.tags.astype(object))

    assert frame.explode("tags").tags.tolist() == objects.explode("tags").tags.tolist()
    assert frame.explode("tags").index.tolist() == objects.explode("tags").index.tolist()
    counts = frame.explode("tags").tags.value_counts()
    assert counts.to_dict() == {"a": 1, "b": 2}
    assert frame.tags.map(lambda t: len(t or [])).tolist() == [2, 0, 0, 1]
    images = [held.apply(lambda p: p.get("image")) for held in (frame.params, PLAIN)]
    pd.testing.assert_series_equal(*images, check_names=False, check_index=False)
    assert pd.json_normalize(values(frame.params)).shape[0] == 4


def test_rows_can_be_joined_sorted_missing_and_written(frame: pd.DataFrame):
    twice = pd.concat([frame, frame], ignore_index=True)
    assert values(twice.tags) == TAGS * 2
    assert values(frame.sort_values("n", ascending=False).tags) == TAGS[::-1]
    joined = pd.DataFrame({"m": [1, 2]}, index=["w", "q"]).join(frame)
    assert values(joined.tags) == [["a", "b"], None]
    assert frame.tags.isna().tolist() == [False, True, False, False]
    assert values(frame.dropna(subset=["tags"]).n) == [1, 3, 4]
    assert values(pickle.loads(pickle.dumps(frame)).params) == PARAMS
    assert "['a', 'b']" in repr(frame)
    assert json.loads(frame.to_json(orient="records"))[0]["tags"] == ["a", "b"]
    assert "image" in frame.to_csv()
    copied = frame.copy(deep=True)
    assert (copied.tags == frame.tags).tolist() == [True] * 4
    pd.testing.assert_frame_equal(copied, frame)


def test_parquet_takes_the_texts(frame: pd.DataFrame):
    pytest.importorskip("pyarrow")
    file = io.BytesIO()
    frame.to_parquet(file)

    assert json.loads(pd.read_parquet(file).params.iloc[2]) == PARAMS[2]


def test_the_dtype_has_a_name_and_no_other_is_taken_for_it():
    assert pd.api.types.pandas_dtype("json[tags]") == JsonDtype("tags")
    assert JsonDtype("tags") != JsonDtype("params")
    with pytest.raises(TypeError):
        pd.api.types.pandas_dtype("json[nothing]")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=8), st.randoms())
def test_any_values_in_any_order_come_back(found: list[dict[str, Any]], dice: Any):
    array = JsonArray.of("params", found)
    places = [dice.randrange(len(found)) for _ in found]

    assert values(array) == found
    assert values(array.take(np.array(places, dtype=int))) == [found[place] for place in places]


def test_frames_that_earlier_versions_pickled_open():
    """They name `imgopen_nb.json_columns`, where the classes were."""
    frame = history_frame([{"task_id": "a", "params": {"x": 1}, "tags": ["cat"]}])
    text = pickle.dumps(frame, protocol=0)
    assert b"imgopen_nb.history.json_dtype\n" in text

    old = text.replace(b"imgopen_nb.history.json_dtype\n", b"imgopen_nb.json_columns\n")

    pd.testing.assert_frame_equal(pickle.loads(old), frame)
