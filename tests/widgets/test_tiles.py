"""From any source to tiles: one for each image, with every task that has to do with it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from imgopen_nb.captions.comparison import compare
from imgopen_nb.errors import UsageError
from imgopen_nb.history.frame import history_frame
from imgopen_nb.images.identity import by_content
from imgopen_nb.images.picture import Thumbnail, samples
from imgopen_nb.session import current
from imgopen_nb.tasks.result import Result
from imgopen_nb.widgets.gallery.tiles import Query, Source, choices, details, read_source, tiles_of

URL = "https://example.org/{}.png"


def described(image: str, caption: str | None, model: str = "clip", **more: Any) -> dict[str, Any]:
    row = {"task_id": f"nb-{image}-{model}", "operation": "describe", "model": model}
    row |= {"image": image, "caption": caption, "status": "succeeded", "tags": None}
    return row | {"params": {"image": image, "model": model}, "image_urls": [], **more}


def made(prompt: str, *urls: str, status: str = "succeeded", **more: Any) -> dict[str, Any]:
    row = {"task_id": f"nb-{prompt}", "operation": "text2image", "params": {"prompt": prompt}}
    return row | {"image": None, "image_urls": list(urls), "status": status, **more}


def result(image: str, caption: str, model: str = "clip") -> Result:
    return Result(
        "nb" + image, "describe", "caption", {"caption": caption}, "caption",
        model=model, image=image,
        home=SimpleNamespace(thumbnail=lambda *_, **given: Thumbnail(b"", 1, 1, (1, 1))),
    )  # fmt: skip


def labels(source: Any) -> list[str]:
    return [tile.label for tile in tiles_of(read_source(source, current()))]


class TestTiles:
    def test_tasks_of_one_picture_share_a_tile(self) -> None:
        rows = [described("a.png", "a cat"), described("b.png", "a dog")]
        rows.append(described("a.png", "cat, no_humans", "deepdanbooru", tags=["cat", "no_humans"]))
        one, two = tiles_of(Source(rows))

        assert (one.label, [said.model for said in one.tasks]) == (
            "a.png",
            ["clip", "deepdanbooru"],
        )
        assert (two.label, two.caption) == ("b.png", "a dog")

    def test_each_picture_that_was_made_is_a_tile(self) -> None:
        first, second = tiles_of(Source([made("a fox", URL.format(1), URL.format(2))]))

        assert (first.label, first.made, first.caption) == (URL.format(1), True, "a fox")
        assert second.tasks[0].place == 0

    def test_a_made_picture_that_was_described_is_one_tile_of_the_users(self) -> None:
        """Its address was given by the user as well, so it is read as such."""
        rows = [made("a fox", URL.format(1)), described(URL.format(1), "a red fox")]
        (tile,) = tiles_of(Source(rows))

        assert (tile.made, len(tile.tasks)) == (False, 2)

    def test_what_made_nothing_shows_what_it_was_given_or_nothing(self) -> None:
        failed = made("a fox", status="failed")
        upscaled = made("x", status="failed", operation="upscale", image="a.png", params={})
        alone, given = tiles_of(Source([failed, upscaled]))

        assert (alone.label, alone.caption, alone.mark) == ("", "a fox", "failed")
        assert (given.label, given.caption) == ("a.png", "a.png")

    def test_addresses_of_the_service_that_are_none_are_no_pictures(self) -> None:
        """Else the service could have files of this machine read."""
        rows = [made("a fox", "/etc/passwd", "file:///etc/passwd", "sample:chelsea")]
        (tile,) = tiles_of(Source(rows))

        assert tile.label == ""

    def test_lists_have_no_tiles(self) -> None:
        rows = [{"operation": "models", "image": None}, {"operation": "raw", "image_urls": None}]

        assert tiles_of(Source(rows)) == []

    def test_a_sentence_describes_a_picture_better_than_tags(self) -> None:
        tags = described("a.png", "cat, mat", "deepdanbooru", tags=["cat", "mat"])
        (tile,) = tiles_of(Source([tags, described("a.png", "a cat on a mat")]))

        assert tile.caption == "a cat on a mat"

    def test_only_visible_texts_and_short_ones(self) -> None:
        (tile,) = tiles_of(Source([described("a.png", "\u202ea\x1b" + "x" * 50_000)]))

        assert tile.caption.startswith("⟨U+202E⟩a␛xx")
        assert len(tile.caption) < 2100


class TestSources:
    def test_a_history_keeps_its_index(self) -> None:
        frame = history_frame([described("a.png", "a cat"), described("b.png", "a dog")])
        frame.index = pd.Index(["x", "y"])
        source = read_source(frame, current())

        assert source.frame is frame
        assert [tile.caption for tile in tiles_of(source)] == ["a cat", "a dog"]

    @pytest.mark.parametrize("column", ["image", "picture", "File_Name"])
    def test_a_table_of_ones_own_has_a_tile_for_each_row_with_its_picture_and_its_words(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("a.jpg").write_bytes(data := samples()["coffee"].read_bytes())
        frame = pd.DataFrame({column: ["a.jpg", None, "b.jpg"], "tags": ["cat, mat", None, 7]})
        first, *others = tiles_of(read_source(frame, current()))

        assert (first.label, first.picture) == (str(tmp_path / "a.jpg"), by_content(data).picture)
        assert first.tasks[0].tags == ("cat", "mat")
        assert [tile.label for tile in others] == ["no image", str(tmp_path / "b.jpg")]

    def test_results_are_read_by_themselves(self) -> None:
        source = read_source([result("a.png", "a cat"), result("b.png", "a dog")], current())

        assert [tile.caption for tile in tiles_of(source)] == ["a cat", "a dog"]
        assert source.fetch["name b.png"](192) == Thumbnail(b"", 1, 1, (1, 1))
        assert list(source.frame.image) == ["a.png", "b.png"]

    def test_a_comparison_has_a_tile_for_each_picture(self) -> None:
        answers = [result("a.png", "a cat"), result("a.png", "a pet", "deepdanbooru")]
        history = history_frame([described("a.png", "a cat"), described("a.png", "a pet", "x")])
        for source in (compare(answers), compare(history)):
            (tile,) = tiles_of(read_source(source, current()))
            assert sorted(said.caption for said in tile.tasks) == ["a cat", "a pet"]

    def test_folders_lists_and_single_pictures(self, tmp_path: Path) -> None:
        for name in ("b.JPG", "a.png", "notes.txt"):
            (tmp_path / name).write_bytes(samples()["coffee"].read_bytes())

        assert [Path(label).name for label in labels(tmp_path)] == ["a.png", "b.JPG"]
        assert labels(str(tmp_path)) == labels(tmp_path)
        assert labels([tmp_path / "a.png", URL.format(1)]) == [
            str(tmp_path / "a.png"),
            URL.format(1),
        ]
        assert labels("sample:chelsea") == ["sample:chelsea"]
        assert labels([]) == []

    def test_a_file_that_was_replaced_is_another_tile(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        names = list(samples().values())
        path.write_bytes(names[0].read_bytes())
        (before,) = tiles_of(read_source(tmp_path, current()))
        path.write_bytes(names[1].read_bytes())
        (after,) = tiles_of(read_source(tmp_path, current()))

        assert before.label == after.label == str(path)
        assert before.picture != after.picture

    @pytest.mark.parametrize(
        "source", [7, b"x", {"a": 1}, [7], ["none.png", 7], pd.DataFrame({"x": [1]})]
    )
    def test_anything_else_is_explained(self, source: Any) -> None:
        with pytest.raises(UsageError) as caught:
            read_source(source, current())
        assert "session.history()" in caught.value.hint

    def test_a_folder_that_cannot_be_read_is_explained(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(folder: Path) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "iterdir", refuse)
        with pytest.raises(UsageError, match=r"cannot be read .*Permission denied"):
            read_source(tmp_path, current())


ROWS = [
    described("a.png", "a cat", tags=[{"name": "cat", "score": 0.9}]),
    described("a.png", None, "deepdanbooru", status="failed"),
    described("b.png", "a DOG on a mat"),
]


class TestQueries:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            (Query(), [0, 1]),
            (Query("dog MAT"), [1]),
            (Query("b.png"), [1]),
            (Query("bird"), []),
            (Query(model="clip", status="failed"), []),  # one task must fit all of it
            (Query(model="deepdanbooru", status="failed"), [0]),
            (Query(tag="cat"), [0]),
            (Query(operation="describe"), [0, 1]),
        ],
    )
    def test_it_takes_the_tiles_with_a_task_that_fits(self, query: Query, found: list[int]) -> None:
        assert query.order(tiles_of(Source(ROWS))) == found

    def test_what_a_message_asks_for_is_texts(self) -> None:
        assert Query.read({"search": "x" * 999, "model": 7, "other": "y"}) == Query("x" * 200)

    def test_choices_count_pictures(self) -> None:
        found = choices(tiles_of(Source(ROWS)))

        assert found["model"] == [("clip", 2), ("deepdanbooru", 1)]
        assert found["tag"] == [("cat", 1)]


class TestDetails:
    def told(self, row: dict[str, Any]) -> dict[str, Any]:
        source = Source([row])
        said: dict[str, Any] = details(tiles_of(source)[0], source)["said"][0]
        return said

    def test_a_failure_says_why(self) -> None:
        said = self.told(described("a.png", None, status="failed", error="too dark\x1b"))

        assert said["trouble"] == "too dark␛"

    def test_the_line_makes_the_call_again(self) -> None:
        line = self.told(described("a b.png", "x"))["line"]

        assert line == '%imgopen describe "a b.png" --model clip'

    @pytest.mark.parametrize(
        "row",
        [
            described("<PIL 2x2 ab>", "x"),
            described("a.png", "x", params=None),
            described("a.png", "x", params={"nonsense": 1}),
            described("a.png", "x", operation="unknown"),
        ],
    )
    def test_what_cannot_be_called_again_has_no_line(self, row: dict[str, Any]) -> None:
        assert self.told(row)["line"] == ""

    @pytest.mark.parametrize("moment", [None, "x", 1e300, float("nan"), pd.NaT, []])
    def test_no_moment_is_no_reason_to_fail(self, moment: Any) -> None:
        assert self.told(described("a.png", "x", submitted=moment))["facts"] == ["nb-a.png-clip"]
