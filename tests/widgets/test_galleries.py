"""The gallery's kernel side: what it shows, finds, selects, and what it takes from the browser."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from imgopen_nb.errors import UsageError
from imgopen_nb.images.thumbnail import JPEG, thumbnail
from imgopen_nb.session import Session, set_current
from imgopen_nb.widgets.gallery.gallery import Gallery, gallery
from imgopen_nb.widgets.gallery.tiles import Query, Source
from imgopen_nb.widgets.picture_loader import Key, Loader

from ..stub import Stub
from ..tables import open_table, put_thumbnail

ANIMALS = ("tabby cat", "spotted dog", "red fox", "grey heron", "brown bear")
PLACES = ("on a sofa", "in the snow", "by the sea", "under a tree")


def picture(at: int) -> bytes:
    """Return a small image that looks like no other one."""
    image = Image.effect_noise((240, 160 + 20 * (at % 5)), 40).convert("RGB")
    draw = ImageDraw.Draw(image, "RGBA")
    draw.rectangle((0, 0, 240, 240), fill=(at * 37 % 256, at * 91 % 256, at * 53 % 256, 150))
    draw.text((80, 60), str(at), fill="white", font_size=48)
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


def fill_history(home: Path, count: int, different: int = 50) -> None:
    """Write a history of `count` described images quickly, every tenth by two models."""
    journal = open_table(home)
    journal.rows()
    journal.database.close()
    smalls = [thumbnail(picture(at), 192) for at in range(different)]
    rows, thumbnails = [], []
    for at in range(count):
        label, when = f"photos/picture-{at:05}.jpg", 1.7e9 + 60 * at
        said = f"a {ANIMALS[at % 5]} {PLACES[at % 4]}, number {at}"
        rows.append((f"nb{at:018}c", "describe", "clip", label, said, None, when))
        if at % 10 == 0:
            tags = [{"name": word, "score": 0.9} for word in (*said.split()[1:3], "no_humans")]
            names = ", ".join(tag["name"] for tag in tags)
            rows.append(
                (
                    f"nb{at:018}d",
                    "describe",
                    "deepdanbooru",
                    label,
                    names,
                    json.dumps(tags),
                    when + 1,
                )
            )
        small = smalls[at % different]
        thumbnails.append(
            (f"sha256:{label}", small.jpeg, small.width, small.height, *small.original, when)
        )
    _write(home / "imgopen.sqlite", rows, thumbnails)


def _write(path: Path, rows: list[Any], thumbnails: list[Any]) -> None:
    with sqlite3.connect(path) as db:
        db.executemany(
            "INSERT INTO tasks (task_id, operation, model, image, caption, tags, created, picture,"
            " submitted, finished, params, status, backend, image_urls)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'sha256:' || ?4, ?7, ?7 + 2,"
            " json_object('image', ?4, 'model', ?3), 'succeeded', 'sandbox', '[]')",
            rows,
        )
        db.executemany("INSERT INTO thumbnails VALUES (?, ?, ?, ?, ?, ?, ?)", thumbnails)
    db.close()


class Ears:
    """What the browser would get: messages sent through the widget."""

    def __init__(self, shown: Gallery) -> None:
        self.told: list[tuple[dict[str, Any], list[bytes]]] = []
        self.shown = shown
        shown.widget.send = self.take  # type: ignore[method-assign]

    def take(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        self.told.append((content, list(buffers or [])))

    def say(self, kind: str, tiles: list[int] | None = None, **more: Any) -> None:
        """Send a message as the browser does."""
        buffers = [] if tiles is None else [memoryview(array("I", tiles).tobytes())]
        self.shown._receive(None, {"kind": kind, "by": "view-1", **more}, buffers)

    def of(self, kind: str) -> list[tuple[dict[str, Any], list[bytes]]]:
        return [(content, buffers) for content, buffers in self.told if content["kind"] == kind]

    def pictures(self) -> dict[int, bytes]:
        found = self.of("pictures")
        return {k[0]: jpeg for c, bs in found for k, jpeg in zip(c["keys"], bs, strict=True)}

    def lost(self) -> list[int]:
        return [key[0] for content, _ in self.of("pictures") for key in content["lost"]]

    def order(self) -> list[int]:
        buffers = self.of("order")[-1][1]
        return list(array("I", buffers[0])) if buffers else []


def until(done: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def history(clean_world: Path, stub: Stub) -> Iterator[Session]:
    """A session whose history has 40 images, four of them described twice."""
    fill_history(clean_world, 40, different=5)
    with Session(stub.url, "an-id", "a-secret") as made:
        set_current(made)
        yield made


class TestTheProtocol:
    def test_a_view_that_opens_is_told_everything_but_pictures(self, history: Session) -> None:
        ears = Ears(gallery())
        ears.say("open")

        assert [content["kind"] for content, _ in ears.told] == ["state", "order", "selected"]
        assert ears.order() == list(range(40))
        assert ears.told[0][0]["choices"]["model"] == [("clip", 40), ("deepdanbooru", 4)]

    def test_captions_come_at_once_and_pictures_from_a_thread(self, history: Session) -> None:
        ears = Ears(gallery())
        ears.say("view", [0, 7, 39])
        at, caption, state = ears.of("captions")[0][0]["tiles"][0]
        until(lambda: len(ears.pictures()) == 3)

        assert (at, caption, state) == (0, "a brown bear under a tree, number 39", "")
        assert all(jpeg.startswith(b"\xff\xd8\xff") for jpeg in ears.pictures().values())

    def test_what_cannot_be_had_is_said_to_be_lost(self, history: Session) -> None:
        shown = gallery(["not/there.png", "sample:chelsea"])
        ears = Ears(shown)
        ears.say("view", [0, 1])
        until(lambda: len(ears.pictures()) + len(ears.lost()) == 2)

        assert (ears.lost(), list(ears.pictures())) == ([0], [1])

    def test_the_threads_end_when_nobody_waits(self, history: Session) -> None:
        shown = gallery()
        ears = Ears(shown)
        ears.say("view", list(range(40)))
        until(lambda: len(ears.pictures()) == 40)

        until(lambda: shown._loader._threads == 0)

    def test_the_tile_of_an_image_without_words_says_what_made_it(self, history: Session) -> None:
        """Its address is a random text, which tells nobody anything."""
        url = "http://127.0.0.1:1/files/5ed80382ab4f"
        row = {"operation": "remove-background", "image": "a.jpg", "image_urls": [url]}

        assert [tile.caption for tile in Gallery(Source([row])).tiles] == ["Remove background"]

    def test_a_query_is_answered_with_the_tiles_that_fit(self, history: Session) -> None:
        ears = Ears(gallery())
        ears.say("query", search="FOX  snow", model="", tag=7)
        fox = ears.order()
        ears.say("query", search="tabby", model="deepdanbooru")

        assert [ears.shown.tiles[at].label[-9:] for at in fox] == ["00037.jpg", "00017.jpg"]
        assert len(ears.order()) == 4
        assert ears.of("order")[-1][0]["query"]["model"] == "deepdanbooru"

    def test_details_have_captions_of_all_models_and_the_line(self, history: Session) -> None:
        ears = Ears(gallery())
        ears.say("details", tile=9)
        told = ears.of("details")[0][0]

        assert [said["title"] for said in told["said"]] == [
            "describe · deepdanbooru", "describe · clip",
        ]  # fmt: skip
        assert told["said"][0]["tags"] == ("tabby", "cat", "no_humans")
        assert told["said"][1]["line"] == (
            "%imgopen describe photos/picture-00030.jpg --model clip"
        )
        assert told["said"][1]["facts"][1:] == ["2.0 s", "nb000000000000000030c"]
        assert json.dumps(told)

    @pytest.mark.parametrize(
        ("content", "buffers"),
        [
            (None, []),
            ("open", []),
            ([], []),
            ({}, []),
            ({"kind": "open"}, []),
            ({"kind": "open", "by": 7}, []),
            ({"kind": "open", "by": "x" * 1000}, []),
            ({"kind": ["open"], "by": "x"}, []),
            ({"kind": "_receive", "by": "x"}, []),
            ({"kind": "view", "by": "x"}, [b"123"]),
            ({"kind": "view", "by": "x"}, [array("I", [40]).tobytes()]),
            ({"kind": "select", "by": "x"}, [array("I", [0] * 41).tobytes()]),
            ({"kind": "select", "by": "x"}, [b"\xff" * 4]),
            ({"kind": "select", "by": "x"}, ["text"]),
            ({"kind": "details", "by": "x", "tile": 40}, []),
            ({"kind": "details", "by": "x", "tile": -1}, []),
            ({"kind": "details", "by": "x", "tile": True}, []),
            ({"kind": "details", "by": "x", "tile": "0"}, []),
        ],
    )
    def test_what_is_no_message_is_not_answered(
        self, history: Session, content: Any, buffers: list[Any]
    ) -> None:
        ears = Ears(gallery())
        ears.shown._receive(None, content, buffers)

        assert (ears.told, len(ears.shown.selected)) == ([], 0)


class TestSelection:
    def test_the_browsers_selection_is_rows_with_the_index_of_the_source(
        self, history: Session
    ) -> None:
        frame = history.history().set_index("task_id", drop=False)
        ears = Ears(gallery(frame[frame.model == "clip"]))
        ears.say("select", [3, 1, 3])

        assert list(ears.shown.selected.index) == ["nb000000000000000001c", "nb000000000000000003c"]
        assert ears.shown.pictures == ["photos/picture-00001.jpg", "photos/picture-00003.jpg"]
        assert ears.of("selected")[-1][0]["by"] == "view-1"

    def test_all_tasks_of_a_selected_picture_are_rows(self, history: Session) -> None:
        ears = Ears(gallery())
        ears.say("select", [9])

        assert list(ears.shown.selected.model) == ["clip", "deepdanbooru"]

    def test_python_selects_by_mask_labels_or_rows(self, history: Session) -> None:
        frame = history.history()
        shown = gallery(frame)
        ears = Ears(shown)
        wanted = ["photos/picture-00001.jpg", "photos/picture-00004.jpg"]
        mask = frame.image.isin(wanted)
        for given in (mask, mask.tolist(), mask.to_numpy(), frame[mask], frame.index[mask]):
            shown.selected = given
            assert shown.pictures == wanted
            shown.selected = None
            assert shown.pictures == []
        shown.selected = frame.index[mask][0]

        assert shown.pictures == wanted[:1]
        assert list(array("I", ears.of("selected")[-1][1][0])) == [1]

    @pytest.mark.parametrize("wanted", [["nothing"], [True], "nothing", 4711, [4711]])
    def test_rows_that_are_not_there_are_explained(self, history: Session, wanted: Any) -> None:
        shown = gallery()
        with pytest.raises(UsageError, match="no such rows"):
            shown.selected = wanted

    def test_callbacks_hear_of_changes_and_may_fail(
        self, history: Session, caplog: pytest.LogCaptureFixture
    ) -> None:
        shown, heard = gallery(), []
        shown.on_select(lambda g: 1 / 0)
        shown.on_select(lambda g: heard.append(g.pictures))
        ears = Ears(shown)
        ears.say("select", [0])
        ears.say("select", [0])
        shown.selected = []

        assert heard == [["photos/picture-00039.jpg"], []]
        assert "a callback of on_select failed" in caplog.text

    def test_python_filters(self, history: Session) -> None:
        shown = gallery()
        ears = Ears(shown)
        shown.filter("cat", tag="no_humans")

        assert len(ears.order()) == 4
        assert shown.query == Query(search="cat", tag="no_humans")


class TestTheStandIn:
    def test_it_is_24_pictures_within_300_kilobytes(self, history: Session) -> None:
        html = gallery().static_html()

        assert html.count("<img ") == 24
        assert "16 more" in html
        assert len(html) < 300_000

    def test_it_stays_small_with_the_largest_thumbnails(self, history: Session) -> None:
        noise = Image.effect_noise((192, 192), 200).convert("RGB")
        out = io.BytesIO()
        noise.save(out, "JPEG", quality=100)
        jpeg = out.getvalue()
        assert len(jpeg) > 20_000
        for row in history.rows():
            put_thumbnail(history.manager.table, row["image"], jpeg)

        assert len(gallery().static_html()) < 300_000

    def test_it_waits_for_nothing_and_is_filled_later(
        self, history: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shown = gallery(["sample:chelsea", "not/there.png"])
        ears, refreshed = Ears(shown), []
        monkeypatch.setattr(shown, "refresh", lambda: refreshed.append(shown.static_html()))
        assert shown.static_html().count("<img ") == 0
        ears.say("view", [0, 1])
        until(lambda: bool(refreshed))

        assert refreshed[0].count("<img ") == 1

    def test_hostile_captions_are_escaped(self, history: Session) -> None:
        hostile = {"image": "<b>x", "operation": "describe", "caption": "<script>1</script>"}
        html = Gallery(Source([hostile])).static_html()

        assert "<script>" not in html
        assert "&lt;script&gt;" in html


class TestTheLoader:
    def test_what_has_scrolled_away_is_not_read(self) -> None:
        """Four slow images hold all slow threads; those behind them are given up."""
        gate, read, told = threading.Event(), [], {}

        def slow(key: Key) -> bytes:
            gate.wait(10)
            read.append(key[0])
            return JPEG

        loader = Loader(lambda key: JPEG if key[0] > 90 else None, slow, told.update)
        loader.request([(at, 192) for at in range(40)])
        until(lambda: loader._reading == 4)
        loader.request([(at, 192) for at in range(91, 95)])  # now these are in view
        until(lambda: len(told) == 4)
        gate.set()
        until(lambda: loader._threads == 0)

        assert sorted(read) == [0, 1, 2, 3]
        assert sorted(told) == [(at, 192) for at in range(91, 95)]

    def test_what_it_keeps_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("imgopen_nb.widgets.picture_loader.KEPT_BYTES", 100_000)
        told: dict[Key, bytes] = {}
        loader = Loader(lambda key: None, lambda key: JPEG + bytes(10_000), told.update)
        loader.request([(at, 192) for at in range(50)])
        until(lambda: len(told) == 50)
        until(lambda: loader._threads == 0)

        assert sum(map(len, loader._cache.values())) <= 100_000

    def test_what_is_no_jpeg_and_what_fails_is_lost(self) -> None:
        def read(key: Key) -> bytes:
            if key[0] == 1:
                raise RuntimeError("broken")
            return b"<svg onload=...>"

        told: dict[Key, bytes] = {}
        loader = Loader(lambda key: None, read, told.update)
        loader.request([(0, 192), (1, 192)])
        until(lambda: len(told) == 2)

        assert set(told.values()) == {b""}

    def test_more_is_read_first_and_loses_nothing(self) -> None:
        told: list[Key] = []
        loader = Loader(lambda key: JPEG, lambda key: b"", told.extend)
        loader.request([(at, 192) for at in range(30)])
        loader.request([(7, 512)], more=True)
        until(lambda: loader._threads == 0)

        assert sorted(told) == sorted([(7, 512), *((at, 192) for at in range(30))])


def test_the_kernel_never_waits_for_pictures(history: Session) -> None:
    """A message is answered while every image takes its time."""
    shown = gallery(["sample:chelsea", *(f"{i}.png" for i in range(30))])
    ears = Ears(shown)
    gate = threading.Event()
    shown._loader._read = lambda key: b"x" * gate.wait(10)
    begun = time.monotonic()
    ears.say("view", list(range(31)))
    ears.say("query", search="sample")
    passed = time.monotonic() - begun
    gate.set()

    assert passed < 5
    assert ears.of("order")


def test_ten_thousand_pictures_are_ready_soon(clean_world: Path, stub: Stub) -> None:
    fill_history(clean_world, 10_000, different=2)
    with Session(stub.url, "an-id", "a-secret") as session:
        begun = time.monotonic()
        ears = Ears(gallery(session=session))
        ears.say("open")
        ears.say("query", search="fox")
        passed = time.monotonic() - begun

    assert len(ears.order()) == 2000
    assert passed < 10
    state = ears.shown.widget.get_state()
    assert len(json.dumps(state["total"])) + len(str(state["layout"])) < 1000


def test_the_package_loads_no_widgets_and_a_gallery_of_the_history_no_pandas(
    tmp_path: Path,
) -> None:
    code = (
        "import sys, imgopen_nb; print('anywidget' in sys.modules);"
        "from imgopen_nb.widgets.gallery.gallery import gallery; g = gallery(); len(g);"
        "print('pandas' in sys.modules, 'PIL' in sys.modules)"
    )
    environment = {**os.environ, "IMGOPEN_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )

    assert done.stdout.split() == ["False", "False", "False"]
