"""`imgopen_nb.stream`: what a row is, and what is said of a wrong one."""

from __future__ import annotations

import pytest

from imgopen_nb.errors import UnknownNameError, UsageError
from imgopen_nb.session import Session
from imgopen_nb.stream import Row, stream


def test_a_row_is_a_number_a_key_and_parameters(cached: None, local: Session):
    rows = [Row(0, "cup", {"image": "sample:coffee"}), Row(1, "cat", {"image": "sample:chelsea"})]

    outcomes = {each.row.index: each.result for each in stream(local, "describe", rows)}

    assert set(outcomes) == {"cup", "cat"}
    assert all(result.caption for result in outcomes.values())


@pytest.mark.parametrize("row", [{"image": "sample:coffee"}, "sample:coffee", None, (0, 0, {})])
def test_what_is_no_row_is_told_in_a_sentence(cached: None, local: Session, row: object):
    with pytest.raises(UsageError, match=r"row 0 is .*, not a Row"):
        list(stream(local, "describe", [row]))  # type: ignore[list-item]


def test_an_operation_that_does_not_exist_is_told(cached: None, local: Session):
    with pytest.raises(UnknownNameError, match="descrbe"):
        stream(local, "descrbe", [])
