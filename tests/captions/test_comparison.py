from __future__ import annotations

import io
import math
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from imgopen_nb.captions.comparison import Comparison, compare
from imgopen_nb.captions.comparison_card import comparison_text, comparison_view
from imgopen_nb.errors import JournalError, UsageError
from imgopen_nb.history.frame import history_frame
from imgopen_nb.images.picture import thumbnail


@dataclass
class Tag:
    name: str
    score: float | None = None


@dataclass
class Answer:
    """A result of which the comparison reads only this."""

    image: str
    model: str
    caption: str | None = None
    tags: list[Tag] = field(default_factory=list)
    operation: str = "describe"
    status: str = "succeeded"
    seconds: float | None = 2.0
    error: str | None = None
    backend: str = "real"
    engine: str | None = None
    task_id: str = "nb1"


def clip(image: str, caption: str, **more: Any) -> Answer:
    return Answer(image, "clip", caption, **more)


def booru(image: str, tags: str, **more: Any) -> Answer:
    names = tags.split()
    found = [Tag(name, round(0.9 - 0.1 * i, 1)) for i, name in enumerate(names)]
    return Answer(image, "deepdanbooru", ", ".join(names), found, **more)


def failed(image: str, model: str) -> Answer:
    return Answer(image, model, status="failed", error="too dark", seconds=None)


def unsent(image: str, model: str, why: str) -> Answer:
    return Answer(image, model, status="not sent", error=why, seconds=None, task_id="")


PAIR = [clip("a.png", "a tabby cat on a mat"), booru("a.png", "cat red_mat no_humans")]
MIXED = [
    *PAIR,
    clip("b.png", "a dog", seconds=4.0),
    booru("b.png", "dog"),
    clip("c.png", "a boat at sea"),
    failed("c.png", "deepdanbooru"),
]


def frame_of(answers: list[Answer]) -> pd.DataFrame:
    rows = [{**vars(a), "tags": [vars(t) for t in a.tags] or None} for a in answers]
    for i, row in enumerate(rows):
        row["submitted"] = 1e9 + i
    return history_frame(rows)


class TestCompare:
    def test_history_and_results_give_the_same_but_the_scores(self) -> None:
        """A history has the names of the tags only."""
        one, two = compare(MIXED), compare(frame_of(MIXED))

        pd.testing.assert_frame_equal(one.wide(), two.wide())
        pd.testing.assert_frame_equal(one.agreement(), two.agreement())
        pd.testing.assert_frame_equal(one.summary(), two.summary())
        pd.testing.assert_frame_equal(
            one.tidy().drop(columns="score"), two.tidy().drop(columns="score")
        )

    def test_generator_is_taken(self) -> None:
        assert len(compare(answer for answer in PAIR)) == 1

    def test_other_operations_are_left_out_and_counted(self) -> None:
        style = Answer("a.png", "x", operation="style")

        comparison = compare([*PAIR, style, style])

        assert comparison.models == ("clip", "deepdanbooru")
        assert comparison.notes == ("2 tasks do not describe an image and were left out",)

    def test_operation_may_be_an_object_with_a_name(self) -> None:
        answer = clip("a.png", "a cat")
        answer.operation = Tag("describe")  # type: ignore[assignment]

        assert len(compare([answer])) == 1

    def test_the_latest_answer_of_a_model_wins(self) -> None:
        comparison = compare([*PAIR, clip("a.png", "a dog")])

        assert comparison.wide().loc["a.png", "clip"] == "a dog"
        assert comparison.notes == ("1 description was repeated; the latest answer is shown",)

    def test_the_latest_in_a_history_is_the_last_submitted(self) -> None:
        frame = frame_of([clip("a.png", "a cat"), clip("a.png", "a dog")])[::-1]

        assert compare(frame).wide().loc["a.png", "clip"] == "a dog"

    def test_a_later_failure_does_not_undo_an_answer(self) -> None:
        comparison = compare([*PAIR, failed("a.png", "clip")])

        assert comparison.wide().loc["a.png", "clip"] == "a tabby cat on a mat"

    def test_failures_are_kept_as_missing_and_counted(self) -> None:
        comparison = compare(MIXED)

        assert comparison.wide()["deepdanbooru"].isna().tolist() == [False, False, True]
        assert comparison.summary()["failed"].to_dict() == {"clip": 0, "deepdanbooru": 1}
        assert comparison.notes == ("1 description failed",)

    def test_tasks_under_way_are_said(self) -> None:
        comparison = compare([*PAIR, Answer("d.png", "clip", status="running")])

        assert comparison.notes == ("1 description has not finished yet",)

    def test_what_was_not_sent_is_neither_under_way_nor_a_picture_nor_from_the_real_service(
        self,
    ) -> None:
        """An unreadable file among captions of the sandbox; its result has the default backend."""
        said = [replace(each, backend="sandbox") for each in PAIR]
        lost = [unsent("no.png", model, "there is no file no.png") for model in ("clip", "zoo")]

        comparison = compare([*said, *lost])

        assert comparison.notes == ("2 descriptions were not sent: there is no file no.png",)
        assert repr(comparison).startswith("Comparison(1 image; ")
        assert comparison_text(comparison).startswith("1 image · clip, deepdanbooru, zoo")
        assert comparison_view(comparison)["sandbox"]
        assert "no.png" in comparison.wide().index

    def test_reasons_that_differ_are_not_given_as_one(self) -> None:
        lost = [unsent(name, "clip", f"there is no file {name}") for name in ("a.jpg", "b.jpg")]

        assert compare([*PAIR, *lost]).notes == ("2 descriptions were not sent",)

    def test_an_answer_without_a_caption_has_ended_and_is_from_neither_service(self) -> None:
        empty = Answer("a.png", "zoo", backend="sandbox")

        assert compare([*PAIR, empty]).notes == ()

    def test_answers_of_both_services_are_not_mixed_silently(self) -> None:
        comparison = compare([PAIR[0], booru("a.png", "cat", backend="sandbox")])

        assert comparison.notes == (
            "some captions come from the real service, some from the sandbox",
        )

    def test_a_filtered_history_is_still_a_history(self) -> None:
        frame = frame_of(MIXED)

        assert compare(frame[frame["model"] == "clip"]).models == ("clip",)

    @pytest.mark.parametrize(
        "source", [[], history_frame([]), [Answer("a", "x", operation="flux")]]
    )
    def test_nothing_to_compare_says_what_to_do(self, source: Any) -> None:
        with pytest.raises(UsageError, match=r"nothing to compare: .*\n.*%imgopen compare"):
            compare(source)

    def test_a_frame_that_is_no_history_names_what_it_lacks(self) -> None:
        with pytest.raises(UsageError, match="lacks the columns caption, image, model, operation"):
            compare(pd.DataFrame({"x": [1]}))

    @pytest.mark.parametrize("source", ["cat.png", 3, None, {"a": 1}])
    def test_what_is_no_collection_is_refused(self, source: Any) -> None:
        with pytest.raises(UsageError, match="cannot compare a"):
            compare(source)


class TestTables:
    def test_wide_has_a_row_for_each_picture_and_a_column_for_each_model(self) -> None:
        wide = compare(MIXED).wide()

        assert wide.index.name == "image"
        assert wide.index.tolist() == ["a.png", "b.png", "c.png"]
        assert wide.columns.tolist() == ["clip", "deepdanbooru"]
        assert set(map(str, wide.dtypes)) == {"string"}

    def test_tidy_has_a_row_for_each_term_with_rank_score_and_shared(self) -> None:
        tidy = compare(PAIR).tidy()

        assert list(tidy.itertuples(index=False, name=None))[3:] == [
            ("a.png", "deepdanbooru", "cat", 1, 0.9, True, "name a.png"),
            ("a.png", "deepdanbooru", "red", 2, 0.8, False, "name a.png"),
            ("a.png", "deepdanbooru", "mat", 3, 0.8, True, "name a.png"),
        ]
        assert tidy["score"][:3].isna().all()

    def test_agreement_is_the_jaccard_index_and_the_shared_terms(self) -> None:
        row = compare(PAIR).agreement().loc["a.png"]

        assert row["jaccard"] == 0.5  # cat, mat of tabby, cat, mat, red
        assert (row["n_models"], row["n_shared"], row["shared"]) == (2, 2, ["cat", "mat"])

    def test_agreement_of_three_models_is_the_mean_over_the_pairs(self) -> None:
        third = Answer("a.png", "other", "a tabby cat on a mat")

        row = compare([*PAIR, third]).agreement().loc["a.png"]

        assert row["jaccard"] == pytest.approx((0.5 + 0.5 + 1) / 3)

    def test_one_answer_alone_agrees_with_nobody(self) -> None:
        row = compare(MIXED).agreement().loc["c.png"]

        assert math.isnan(row["jaccard"])
        assert (row["n_models"], row["n_shared"]) == (1, 0)

    def test_pairs_count_only_pictures_that_both_described(self) -> None:
        (pair,) = compare(MIXED).pairs().to_dict("records")

        assert pair == {
            "model_a": "clip", "model_b": "deepdanbooru", "jaccard": 0.75, "n_images": 2,
        }  # fmt: skip

    def test_summary_describes_each_model(self) -> None:
        summary = compare(MIXED).summary()

        assert summary.loc["clip"].to_dict() == {
            "n": 3, "failed": 0, "median_seconds": 2.0, "median_words": 4.0, "vocabulary": 6,
            "own_terms": 1, "novelty": 0.25,
        }  # fmt: skip

    def test_disagreements_are_sorted_and_only_of_pictures_with_two_answers(self) -> None:
        found = compare(MIXED).disagreements(10)

        assert found.index.tolist() == ["a.png", "b.png"]
        assert found["jaccard"].tolist() == [0.5, 1.0]
        assert found.columns.tolist() == ["jaccard", "clip", "deepdanbooru"]
        assert len(compare(MIXED).disagreements(1)) == 1

    @pytest.mark.parametrize(
        "name", ["wide", "tidy", "agreement", "pairs", "summary", "disagreements"]
    )
    def test_dtypes_do_not_depend_on_what_was_said(self, name: str) -> None:
        silent = [failed("a.png", "clip"), failed("a.png", "deepdanbooru")]

        full, empty = getattr(compare(MIXED), name)(), getattr(compare(silent), name)()

        assert full.dtypes.to_dict() == empty.dtypes.to_dict()

    def test_captions_without_any_term_have_no_agreement(self) -> None:
        assert math.isnan(compare([clip("a", "..."), booru("a", ":d")]).agreement()["jaccard"]["a"])


def jpeg(size: int) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((size, size), 90).save(out, "JPEG")
    return out.getvalue()


class TestThumbnail:
    def first(self, comparison: Comparison) -> bytes | None:
        return comparison.thumbnail(comparison.rows[0])

    def test_is_what_the_callback_returns(self) -> None:
        small = jpeg(64)

        assert (
            self.first(compare(PAIR, thumbnail=lambda row: {"a.png": small}.get(row.image)))
            == small
        )

    def test_is_made_small_if_it_is_not(self) -> None:
        found = self.first(compare(PAIR, thumbnail=lambda label: jpeg(900)))

        assert found is not None
        assert len(found) <= 14_000

    def test_comes_from_the_result_without_a_callback(self) -> None:
        answer = clip("a.png", "a cat")
        answer.thumbnail = lambda size: thumbnail(jpeg(300), size)  # type: ignore[attr-defined]

        found = self.first(compare([answer]))

        assert found is not None
        assert Image.open(io.BytesIO(found)).size == (192, 192)

    def test_nothing_readable_gives_none(self) -> None:
        def broken(label: str) -> bytes:
            raise JournalError("the history is gone")

        assert self.first(compare(PAIR)) is None
        assert self.first(compare(PAIR, thumbnail=broken)) is None
        assert self.first(compare(PAIR, thumbnail=lambda label: b"no picture")) is None


def test_repr_is_short_and_without_address() -> None:
    assert repr(compare(MIXED)) == "Comparison(3 images; clip, deepdanbooru)"


def test_a_thousand_pictures_are_compared_in_seconds() -> None:
    answers = [a for i in range(1000) for a in (clip(f"{i}", f"a cat {i}x"), booru(f"{i}", "cat"))]

    assert compare(answers).summary()["n"].tolist() == [1000, 1000]
