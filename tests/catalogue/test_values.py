"""One value or several, by what an object can do."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.catalogue.values import MOST_VALUES, listed, scalar
from imgopen_nb.errors import ParameterError
from imgopen_nb.session import Session

DRAWING = OPERATIONS["text2image"]


class Counted:
    """A number of some library."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __index__(self) -> int:
        return self.number


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.int64(3), 3), (np.uint8(3), 3), (np.float32(0.5), 0.5), (np.array(3), 3),
        (np.array("x"), "x"), (np.str_("x"), "x"), (np.bool_(True), True), (pa.scalar(3), 3),
        (pa.scalar("x"), "x"), (Decimal("2"), 2), (Decimal("0.5"), 0.5),
        (Decimal("-1e999999999"), -math.inf), (Fraction(4, 2), 2),
        (Fraction(1, 2), 0.5), (Counted(3), 3), (3, 3), ("x", "x"), (None, None), (True, True),
    ],
)  # fmt: skip
def test_a_single_value_is_one_of_python(value: Any, plain: Any):
    assert scalar(value) == plain
    assert isinstance(scalar(value), type(plain))


@pytest.mark.parametrize("value", [np.arange(3), np.array([3]), 3j, object(), [1], {"a": 1}])
def test_anything_else_stays_what_it_is(value: Any):
    assert scalar(value) is value


class Real:
    """A number of some library, which tells its value by __float__ alone."""

    def __float__(self) -> float:
        return 3.0


COLLECTIONS: dict[str, Callable[[], Any]] = {
    "list": lambda: [10, 20],
    "tuple": lambda: (10, 20),
    "range": lambda: range(10, 30, 10),
    "generator": lambda: (n for n in (10, 20)),
    "set": lambda: {20, 10},
    "view of keys": lambda: {10: 1, 20: 2}.keys(),
    "view of values": lambda: {"a": 10, "b": 20}.values(),
    "NumPy array": lambda: np.arange(10, 30, 10),
    "array of one column": lambda: np.array([[10], [20]]),
    "array of floats": lambda: np.array([10.0, 20.0]),
    "list of NumPy numbers": lambda: [np.int64(10), np.float64(20)],
    "list of other numbers": lambda: [Decimal(10), Fraction(20)],
    "Series": lambda: pd.Series([10, 20], index=["a", "b"]),
    "Index": lambda: pd.Index([10, 20]),
    "pandas array": lambda: pd.array([10, 20]),
    "frame of one column": lambda: pd.DataFrame({"steps": [10, 20]}),
    "polars column": lambda: pl.Series([10, 20]),
    "polars frame": lambda: pl.DataFrame({"steps": [10, 20]}),
    "Arrow array": lambda: pa.array([10, 20]),
    "Arrow column": lambda: pa.chunked_array([[10], [20]]),
    "Arrow table": lambda: pa.table({"steps": [10, 20]}),
}


@pytest.mark.parametrize("make", COLLECTIONS.values(), ids=COLLECTIONS)
def test_any_collection_is_an_axis(session: Session, make: Callable[[], Any]):
    plan = session.map("text2image", ["a fox"], steps=make(), dry_run=True)

    assert (plan.combinations, plan.unusable) == (2, 0)


@pytest.mark.parametrize(
    "value",
    ["ab", b"ab", {"a": 1}, 3, None, np.array(3), len, np.int64(3), IntEnum("Seed", "ONE")(1)],
)
def test_a_single_value_has_no_items(value: Any):
    assert listed(value) is None


def test_a_set_has_the_same_order_each_time():
    assert listed({"b", "a", 3, 1}) == [1, 3, "a", "b"]


@pytest.mark.parametrize("make", [itertools.count, lambda: range(MOST_VALUES + 1)])
def test_what_has_no_end_is_refused(make: Callable[[], Any]):
    with pytest.raises(ParameterError, match="gives more than 100,000 values"):
        listed(make())


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.array([True, False]), "steps must be a whole number, not True"),
        ([np.bool_(True)], "steps must be a whole number, not True"),
        (np.array([1.5]), "steps must be a whole number, not 1.5"),
        (pd.Series([10, None]), "steps must be a whole number, not nan"),
        ([math.inf], "steps must be a whole number, not inf"),
        (Decimal("NaN"), "steps must be a whole number, not nan"),
        (Decimal("sNaN"), "steps must be a whole number, not nan"),
        (np.array([]), "steps is an empty list"),
        (np.array([[1, 2], [3, 4]]), "steps: an object of type ndarray is a table of 2 × 2"),
        (pd.DataFrame({"a": [1, 2], "b": [1, 2]}), "steps: an object of type DataFrame is a table"),
        (np.array(["2026-01-01"], dtype="M8[ns]"), "steps must be a whole number"),
        (3j, "steps must be a whole number"),
    ],
)
def test_what_is_no_number_stays_refused(session: Session, value: Any, says: str):
    with pytest.raises(ParameterError, match=says):
        session.map("text2image", ["a fox"], steps=value, dry_run=True)


FACES = ["sample:astronaut", "sample:coffee"]


@pytest.mark.parametrize(
    ("faces", "combinations"),
    [
        (np.array(FACES), 1), (pd.Series(FACES), 1), (pl.Series(FACES), 1), (iter(FACES), 1),
        (pa.array(FACES), 1), ([np.zeros((9, 9), "uint8")] * 2, 1), (np.zeros((9, 9), "uint8"), 1),
        (np.zeros((2, 9, 9, 3), "uint8"), 1), ([pd.Series(FACES), FACES[:1]], 2),
        ((each for each in (FACES, FACES[:1])), 2), ([np.array(FACES), "sample:coffee"], 2),
    ],
)  # fmt: skip
def test_a_list_of_pictures_is_one_value_and_a_list_of_lists_an_axis(
    session: Session, faces: Any, combinations: int
):
    plan = session.map("face-fusion", [FACES[0], FACES[0]], faces=faces, dry_run=True)

    assert (plan.combinations, plan.unusable) == (combinations, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": np.int64(60)}, {"timeout": 10**400}, {"timeout": np.float32(60)},
        {"timeout": Decimal("1.5")},
        {"timeout": Fraction(1, 2)}, {"timeout": np.array(60)}, {"timeout": timedelta(minutes=1)},
        {"timeout": pd.Timedelta("1min")}, {"timeout": np.timedelta64(60, "s")},
        {"timeout": Real()}, {"most": Real()}, {"concurrency": np.int64(4)},
        {"concurrency": 4.0},
        {"concurrency": pa.scalar(4)}, {"most": np.int32(3)}, {"most": Decimal(3)},
    ],
)  # fmt: skip
def test_limits_are_numbers_of_any_library(session: Session, options: dict[str, Any]):
    plan = session.map("describe", ["sample:coffee"], dry_run=True, **options)

    assert plan.concurrency in (4, 16)
    assert isinstance(plan.concurrency, int)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": "60"}, {"most": 10**400},
        {"timeout": np.array([60])}, {"timeout": np.int64(-1)},
        {"timeout": np.float64("nan")}, {"concurrency": np.bool_(True)}, {"concurrency": "4"},
        {"concurrency": Decimal("2.5")}, {"most": np.int64(-1)}, {"most": True},
    ],
)  # fmt: skip
def test_other_limits_are_refused(session: Session, options: dict[str, Any]):
    with pytest.raises(ParameterError, match=f"{next(iter(options))} must be"):
        session.map("describe", ["sample:coffee"], dry_run=True, **options)


def test_a_generator_of_models_is_not_used_up_by_a_look(session: Session):
    plan = session.map("describe", ["sample:coffee"], models=iter(["clip"]), dry_run=True)

    assert plan.combinations == 1


def test_a_number_of_any_library_is_sent_as_the_same_call():
    plain = {"prompt": "a fox", "steps": 3, "seed": 5, "width": 64}
    given = {
        "prompt": np.array("a fox"), "steps": np.array(3), "seed": Decimal(5),
        "width": pa.scalar(64),
    }  # fmt: skip

    checked = DRAWING.check(given)

    assert checked == DRAWING.check(plain)
    assert {type(checked[name]) for name in ("steps", "seed", "width")} == {int}
