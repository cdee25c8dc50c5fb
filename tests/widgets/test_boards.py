"""The board in the kernel: what it takes from the browser, asks, keeps and writes to files."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from imgopen_nb import session as session_module
from imgopen_nb.captions.comparison import compare
from imgopen_nb.captions.edits import Draft, Edits
from imgopen_nb.errors import UsageError
from imgopen_nb.session import Session
from imgopen_nb.tasks.result import Result
from imgopen_nb.widgets.caption_board import board as boards
from imgopen_nb.widgets.caption_board.board import Board, board

HOSTILE = "<img src=x onerror=alert(1)> {{ 7*7 }} </script>\u202e"
SAID = [
    ("a.png", "clip", "a tabby cat on a mat", None),
    ("a.png", "deepdanbooru", "cat, red_mat", "cat, red_mat"),
    ("b.png", "clip", "a dog", None),
    ("b.png", "deepdanbooru", None, None),
]


def describe(session: Session, image: str, model: str, caption: str | None, tags: str | None):
    names = [{"name": name, "score": None} for name in tags.split(", ")] if tags else None
    session.manager.table.add(
        {
            "task_id": f"{image}-{model}", "operation": "describe", "model": model,
            "image": image, "picture": f"sha256:{image}",
            "params": {}, "status": "succeeded" if caption else "failed",
            "caption": caption, "tags": names, "created": time.time(), "submitted": time.time(),
            "backend": "sandbox", "error": None if caption else "too dark",
        }
    )  # fmt: skip


class Browser:
    """What the browser would send and get."""

    def __init__(self, made: Board, monkeypatch: pytest.MonkeyPatch) -> None:
        self.board, self.got = made, []
        self.pictures: dict[int, bytes | None] = {}
        monkeypatch.setattr(made.widget, "send", self._take)

    def _take(self, content: dict[str, Any], buffers: Any = None) -> None:
        if content["kind"] == "thumb":
            self.pictures[content["image"]] = buffers[0] if buffers else None
        self.got.append(content)

    def send(self, content: Any) -> list[dict[str, Any]]:
        """Send a message, and return the answers."""
        self.got.clear()
        self.board.widget._handle_custom_msg(content, [])
        return list(self.got)

    def one(self, content: Any, kind: str) -> dict[str, Any]:
        return next(answer for answer in self.send(content) if answer["kind"] == kind)


@pytest.fixture
def session(clean_world: Path) -> Iterator[Session]:
    with Session() as made:
        session_module.set_current(made)
        for row in SAID:
            describe(made, *row)
        yield made


@pytest.fixture
def made(session: Session) -> Board:
    return board()


@pytest.fixture
def browser(made: Board, monkeypatch: pytest.MonkeyPatch) -> Browser:
    return Browser(made, monkeypatch)


def mine(made: Board, image: str = "a.png") -> str | None:
    picture = f"sha256:{image}"
    held = made.edits.current([picture]).get(picture)
    return held.caption if held else None


PICK = {"kind": "pick", "image": 0, "model": 0}
UNION = {"kind": "merge", "image": 0, "how": "union"}


def write(text: str, base: int | None = None, **more: Any) -> dict[str, Any]:
    return {"kind": "edit", "image": 0, "text": text, "base": base, **more}


class TestSources:
    def test_a_history_a_comparison_and_results_give_the_same(self, session: Session):
        history = session.history()
        answers = [
            Result(f"{i}-{m}", "describe", "caption", {"caption": c}, "caption", model=m, image=i)
            for i, m, c, _ in SAID
            if c
        ]
        for source in (None, history, compare(history), answers):
            made = board(source)

            assert made.frame.index.tolist() == ["a.png", "b.png"]
            assert made.frame["clip"].tolist() == ["a tabby cat on a mat", "a dog"]

    def test_nothing_described_says_what_to_do(self, session: Session):
        with pytest.raises(UsageError, match="describe images first"):
            board([])

    @pytest.mark.parametrize("threshold", [1, -0.1, 5, float("nan")])
    def test_a_threshold_is_a_share(self, session: Session, threshold: float):
        with pytest.raises(UsageError, match="no share"):
            board(threshold=threshold)

    def test_without_a_notebook_it_is_one_line(self, made: Board, capsys: Any):
        made._ipython_display_()

        said = capsys.readouterr().out
        assert said.startswith("Board(2 images · clip, deepdanbooru")


class TestRows:
    def test_a_page_has_captions_marks_and_troubles(self, browser: Browser):
        page = browser.one({"kind": "page", "page": 0}, "rows")
        first, second = page["rows"]

        assert [first["image"], second["image"]] == [0, 1]
        assert first["said"][0]["text"] == "a tabby cat on a mat"
        assert first["said"][0]["chips"] == [["tabby", "own"], ["cat", "shared"], ["mat", "shared"]]
        assert first["said"][1]["chips"] == [["cat", "shared"], ["red_mat", "own"]]
        assert (first["said"][0]["list"], first["said"][1]["list"]) == (False, True)
        assert second["said"][1]["trouble"] == "too dark"
        assert first["held"] is None

    def test_a_thousand_pictures_come_by_pages(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ):
        answers = [
            Result(str(i), "describe", "caption", {"caption": "a cat"}, "caption", image=f"{i}.png")
            for i in range(1000)
        ]
        browser = Browser(board(answers), monkeypatch)

        page = browser.one({"kind": "page", "page": 39}, "rows")
        assert [row["image"] for row in page["rows"]] == list(range(975, 1000))
        assert browser.one({"kind": "page", "page": 10**30}, "rows")["rows"] == []

    def test_long_captions_are_cut_for_the_browser(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ):
        describe(session, "c.png", "clip", "x" * 100_000, None)
        describe(session, "c.png", "deepdanbooru", "y", ", ".join(f"t{i}" for i in range(500)))
        browser = Browser(board(), monkeypatch)

        said = browser.one({"kind": "page", "page": 0}, "rows")["rows"][2]["said"]
        assert len(said[0]["text"]) < 2_100
        assert (len(said[1]["chips"]), said[1]["more"]) == (60, 440)


class TestWriting:
    def test_a_pick_is_kept_and_shown(self, browser: Browser):
        answers = browser.send(PICK)

        assert [a["kind"] for a in answers] == ["row", "said"]
        assert answers[0]["row"]["held"]["text"] == "a tabby cat on a mat"
        assert answers[0]["done"] is True
        assert mine(browser.board) == "a tabby cat on a mat"
        assert browser.board.widget.written == 1

    @pytest.mark.parametrize(
        ("how", "caption"),
        [
            ("sentence + tags", "a tabby cat on a mat, red_mat"),
            ("tags only", "cat, red_mat"),
            ("union", "a tabby cat on a mat, cat, red_mat"),
            ("intersection", "cat"),
            ("subtraction", "red_mat"),
            ("vote", "cat"),
        ],
    )
    def test_merges(self, browser: Browser, how: str, caption: str):
        browser.send({**UNION, "how": how})

        assert mine(browser.board) == caption

    def test_the_same_again_asks_nothing_and_adds_nothing(self, browser: Browser):
        browser.send(PICK)
        answers = browser.send(PICK)

        assert [a["kind"] for a in answers] == ["row", "said"]
        assert len(browser.board.edits.history()) == 1

    @pytest.mark.parametrize("message", [PICK, UNION])
    def test_what_is_there_is_not_replaced_without_asking(
        self, browser: Browser, message: dict[str, Any]
    ):
        browser.send(write("what I wrote"))
        ask = browser.one(message, "ask")

        assert ask["text"] == "Replace what you wrote?"
        assert ask["held"] == "what I wrote"
        assert mine(browser.board) == "what I wrote"
        browser.send(ask["again"])
        assert mine(browser.board) != "what I wrote"
        assert browser.board.edits.history("sha256:a.png")[0].caption == "what I wrote"

    def test_an_edit_of_what_is_shown_is_not_asked_about(self, browser: Browser):
        browser.send(PICK)
        shown = browser.board.edits.current(["sha256:a.png"])["sha256:a.png"]
        answers = browser.send(write("a cat", base=shown.edit_id))

        assert "ask" not in [a["kind"] for a in answers]
        held = browser.board.edits.current(["sha256:a.png"])["sha256:a.png"]
        assert (held.caption, held.kind, held.origin["models"]) == ("a cat", "edited", ["clip"])

    def test_empty_failed_and_lone_captions_are_told(self, browser: Browser):
        told = [
            browser.one(message, "said")
            for message in (
                write("  \n"),
                {"kind": "pick", "image": 1, "model": 1},
                {"kind": "merge", "image": 1, "how": "union"},
            )
        ]
        assert [t["trouble"] for t in told] == [True] * 3
        assert browser.board.edits.history() == []


class TestElsewhere:
    """Another kernel writes into the same history."""

    @pytest.fixture
    def other(self, session: Session, browser: Browser) -> Iterator[Edits]:
        with Session() as second:
            yield Edits(second.manager.database)

    def test_a_newer_caption_is_told_and_asked_about(self, browser: Browser, other: Edits):
        browser.send({"kind": "page", "page": 0})
        other.add("a.png", "sha256:a.png", Draft("from elsewhere", [], {}, "edited"), None)
        answers = browser.send(PICK)
        ask = answers[-1]

        assert ask["text"] == "It was saved elsewhere meanwhile. Replace that?"
        assert ask["held"] == "from elsewhere"
        assert answers[0]["row"]["held"]["text"] == "from elsewhere"
        assert mine(browser.board) == "from elsewhere"

    def test_an_edit_begun_before_it_is_asked_about_too(self, browser: Browser, other: Edits):
        browser.send(PICK)
        base = browser.board.edits.current(["sha256:a.png"])["sha256:a.png"].edit_id
        other.add("a.png", "sha256:a.png", Draft("from elsewhere", [], {}, "edited"), base)
        ask = browser.one(write("mine", base=base), "ask")
        assert mine(browser.board) == "from elsewhere"

        browser.send(ask["again"])
        assert mine(browser.board) == "mine"

    def test_a_change_after_the_question_is_asked_about_again(self, browser: Browser, other: Edits):
        browser.send(PICK)
        ask = browser.one(UNION, "ask")
        base = browser.board.edits.current(["sha256:a.png"])["sha256:a.png"].edit_id
        other.add("a.png", "sha256:a.png", Draft("from elsewhere", [], {}, "edited"), base)

        again = browser.one(ask["again"], "ask")
        assert "elsewhere" in again["text"]
        assert mine(browser.board) == "from elsewhere"

    def test_an_undo_does_not_touch_it(self, browser: Browser, other: Edits):
        browser.send(PICK)
        base = browser.board.edits.current(["sha256:a.png"])["sha256:a.png"].edit_id
        other.add("a.png", "sha256:a.png", Draft("from elsewhere", [], {}, "edited"), base)
        said = browser.one({"kind": "undo"}, "said")

        assert (said["trouble"], mine(browser.board)) == (True, "from elsewhere")


class TestUndo:
    def test_steps_go_back_one_by_one_and_nothing_is_lost(self, browser: Browser):
        browser.send(PICK)
        browser.send({"kind": "pick", "image": 1, "model": 0})
        browser.send(browser.one(UNION, "ask")["again"])

        said = browser.one({"kind": "undo"}, "said")
        assert (said["image"], mine(browser.board)) == (0, "a tabby cat on a mat")
        assert browser.board.undo() == "b.png"
        assert browser.board.undo() == "a.png"
        assert browser.board.undo() is None
        assert (mine(browser.board), mine(browser.board, "b.png")) == (None, None)
        assert len(browser.board.edits.history()) == 3

    def test_nothing_of_other_boards_is_taken_back(self, browser: Browser, made: Board):
        before = Draft("before", [], {}, "edited")
        Edits(made.session.manager.database).add("a.png", "sha256:a.png", before, None)

        assert "nothing" in browser.one({"kind": "undo"}, "said")["text"]
        assert mine(made) == "before"


BAD = [
    None,
    "pick",
    {},
    {"kind": "drop"},
    {"kind": ["pick"]},
    {"kind": "pick"},
    {"kind": "pick", "image": 2, "model": 0},
    {"kind": "pick", "image": -1, "model": 0},
    {"kind": "pick", "image": True, "model": 0},
    {"kind": "pick", "image": 0, "model": 9},
    {"kind": "pick", "image": 0, "model": -1},
    {"kind": "pick", "image": "0", "model": 0},
    {"kind": "pick", "image": 0, "model": 0, "replacing": "1"},
    {"kind": "merge", "image": 0, "how": "drop table"},
    {"kind": "merge", "image": 0, "how": 3},
    {"kind": "edit", "image": 0, "text": "x" * 20_001, "base": None},
    {"kind": "edit", "image": 0, "text": ["x"], "base": None},
    {"kind": "edit", "image": 0, "text": "x", "base": 1.5},
    {"kind": "page", "page": None},
    {"kind": "thumbs", "images": [99]},
    {"kind": "thumbs", "images": [[0]]},
    {"kind": "thumbs", "images": "0"},
]


@pytest.mark.parametrize("message", BAD, ids=lambda m: str(m)[:50])
def test_a_message_that_is_off_changes_nothing_and_is_told(browser: Browser, message: Any):
    answers = browser.send(message)

    assert [(a["kind"], a["trouble"]) for a in answers] == [("said", True)]
    assert browser.board.edits.history() == []


class TestFrameAndCallbacks:
    def test_the_frame_has_the_models_and_the_persons_captions(self, browser: Browser):
        browser.send(UNION)
        frame = browser.board.frame

        assert frame.columns.tolist() == [
            "clip", "deepdanbooru", "caption", "tags", "source", "origin", "kind", "created",
            "picture",
        ]  # fmt: skip
        assert frame.loc["a.png", "tags"] == ["cat", "red_mat"]
        assert frame.loc["a.png", "origin"]["merge"] == "union"
        assert frame.loc["a.png", "source"] == "human"
        assert pd.isna(frame.loc["b.png", "caption"])

    def test_a_model_may_be_called_like_a_column(self, session: Session):
        describe(session, "a.png", "caption", "x", None)

        assert {"caption", "caption (model)"} <= set(board().frame.columns)

    def test_callbacks_get_every_change_and_may_fail(self, browser: Browser):
        seen: list[Any] = []
        browser.board.on_change(lambda image, caption: 1 / 0)
        browser.board.on_change(lambda image, caption: seen.append((image, caption)))
        answers = browser.send(PICK)
        browser.send({"kind": "undo"})

        assert seen == [("a.png", "a tabby cat on a mat"), ("a.png", None)]
        assert "on_change failed: ZeroDivisionError" in str(answers)
        assert len(browser.board.edits.history()) == 1

    def test_export_writes_what_is_captioned(self, browser: Browser, tmp_path: Path):
        browser.send(PICK)
        files = browser.board.export(tmp_path / "set")

        assert [f.name for f in files] == ["a.txt"]
        assert files[0].read_text() == "a tabby cat on a mat\n"
        assert browser.board.export(str(tmp_path / "set")) == files  # the same content: no question
        browser.send({"kind": "undo"})
        browser.send(UNION)
        browser.board.export(tmp_path / "set")  # of an earlier export, and unchanged since
        assert files[0].read_text() == "a tabby cat on a mat, cat, red_mat\n"
        files[0].write_text("by hand")
        with pytest.raises(UsageError, match="overwrite=True"):
            browser.board.export(tmp_path / "set")
        browser.board.export(tmp_path / "set", overwrite=True)
        assert files[0].read_text() == "a tabby cat on a mat, cat, red_mat\n"
        with pytest.raises(UsageError, match=r"a\.png is in no folder"):
            browser.board.export()


def jpeg(size: int) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((size, size), 90).save(out, "JPEG")
    return out.getvalue()


def eventually(done: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestPictures:
    def test_they_come_as_bytes_from_a_thread_and_missing_ones_are_told(
        self, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        (tmp_path / "real.jpg").write_bytes(jpeg(600))
        describe(session, str(tmp_path / "real.jpg"), "clip", "noise", None)
        browser = Browser(board(), monkeypatch)
        threads = threading.active_count()
        assert browser.send({"kind": "thumbs", "images": [2, 0]}) is not None

        eventually(lambda: len(browser.pictures) == 2)
        assert browser.pictures[0] is None
        assert len(browser.pictures[2] or b"") <= 8_000
        eventually(lambda: threading.active_count() <= threads + 1)  # the stand-in's timer

    def test_a_slow_picture_does_not_keep_the_kernel(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ):
        gate = threading.Event()
        slow = compare(session.history(), thumbnail=lambda label: gate.wait(10) and None)
        browser = Browser(board(slow), monkeypatch)
        begun = time.monotonic()
        browser.send({"kind": "thumbs", "images": [0, 1]})
        browser.send(PICK)

        assert time.monotonic() - begun < 2
        assert mine(browser.board) == "a tabby cat on a mat"
        gate.set()
        eventually(lambda: set(browser.pictures) == {0, 1})

    def test_a_broken_source_of_pictures_ends_nothing(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ):
        def broken(label: str) -> bytes:
            raise RuntimeError(label)

        browser = Browser(board(compare(session.history(), thumbnail=broken)), monkeypatch)
        browser.send({"kind": "thumbs", "images": [0]})
        eventually(lambda: browser.pictures == {0: None})
        browser.send({"kind": "thumbs", "images": [1]})
        eventually(lambda: browser.pictures == {0: None, 1: None})


class TestStandIn:
    def test_it_holds_the_captions_of_models_and_person_escaped(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ):
        describe(session, HOSTILE, "clip", HOSTILE, None)
        browser = Browser(board(), monkeypatch)
        browser.send(write("what I wrote <b>"))
        html = browser.board.static_html()

        assert "what I wrote &lt;b&gt;" in html
        assert "cat, red_mat" in html
        assert "<img" not in html
        assert "<script" not in html
        assert "{{ 7*7 }}" in html
        assert "\u202e" not in html
        assert "tex2jax_ignore" in html

    def test_many_pictures_with_long_captions_stay_within_300_kb(self, session: Session):
        big = jpeg(192)[:8_000].ljust(8_000, b"x")
        answers = [
            Result(f"{i}{m}", "describe", "caption", {"caption": "&<猫" * 400}, "caption",
                   model=m, image=f"{i}.png")
            for i in range(100) for m in ("a", "b", "c")
        ]  # fmt: skip
        made = board(compare(answers))
        made._loader._put({(i, 192): big for i in range(24)})
        html = made.static_html()

        assert len(html.encode()) < 300_000
        assert html.count("<tr>") == 25
        assert "76 more images" in html
        assert 10 < html.count("<img") < 24

    def test_it_is_made_anew_once_all_is_quiet(
        self, made: Board, browser: Browser, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(boards, "SETTLE", 0.1)
        refreshed: list[int] = []
        monkeypatch.setattr(made, "refresh", lambda: refreshed.append(1))
        for text in "abcdef":
            held = made.edits.current(["a.png"]).get("a.png")
            browser.send(write(text, base=held.edit_id if held else None))

        eventually(lambda: refreshed == [1])
        time.sleep(0.2)
        assert refreshed == [1]
