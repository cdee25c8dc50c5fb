"""What one means by images: boards, galleries, comparisons and the history's filter agree."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

import imgopen_nb as imgopen
from imgopen_nb import session as session_module
from imgopen_nb.batch.batch import Batch
from imgopen_nb.errors import ImgOpenError, TaskInterrupted, UsageError
from imgopen_nb.session import Session
from imgopen_nb.widgets.caption_board.board import Board

from ..pictures import Pictures
from ..stub import Request, Stub, ok

COLOURS = {"a.png": "red", "b.png": "blue", "c.png": "green"}


def png(colour: str, size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def here(cached: None, local: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session on the sandbox, in a working folder with `set/`: three images and a note."""
    (tmp_path / "set").mkdir()
    for name, colour in COLOURS.items():
        (tmp_path / "set" / name).write_bytes(png(colour))
    (tmp_path / "set" / "notes.txt").write_text("not an image")
    monkeypatch.chdir(tmp_path)
    return local


def names(made: Any) -> list[str]:
    """The names of the rows of a board, a comparison or a gallery, without folders."""
    if isinstance(made, Board):
        made = made.comparison
    labels = [tile.label for tile in made.tiles] if hasattr(made, "tiles") else None
    return [Path(name).name for name in labels or [row.image for row in made.rows]]


def write(board: Board, place: int, text: str) -> None:
    board._receive({"kind": "edit", "image": place, "text": text, "base": None})


def ran(session: Session, source: Any, **options: Any) -> Batch:
    batch = session.map("describe", source, progress=False, **options)
    assert isinstance(batch, Batch)
    return batch


# Every source gives the same rows, in its own order.


def sources(session: Session) -> dict[str, Any]:
    paths = [f"set/{name}" for name in COLOURS]
    frame = pd.DataFrame({"file_name": paths, "seed": [1, 2, 3]}, index=["x", "y", "z"])
    return {
        "folder": "set",
        "folder with a slash": "set/",
        "path": Path("set"),
        "glob": "set/*.png",
        "list": paths,
        "folder in a list": ["set"],
        "glob in a list": ["set/?.png"],
        "series": pd.Series(paths),
        "frame": frame,
        "absolute": [str(Path(path).absolute()) for path in paths],
    }


@pytest.mark.parametrize("kind", list(sources(None)))  # type: ignore[arg-type]
def test_each_source_has_its_pictures_in_order_whether_they_are_described_or_not(
    here: Session, kind: str
):
    here.run("describe", image="set/b.png", model="clip")
    source = sources(here)[kind]

    for made in (imgopen.board(source), imgopen.compare(source), imgopen.gallery(source)):
        assert names(made) == ["a.png", "b.png", "c.png"]
    captions = imgopen.compare(source).wide()["clip"]
    assert captions.isna().tolist() == [True, False, True]
    assert here.history(images=source)["image"].tolist() == [str(Path("set/b.png").absolute())]


def test_a_table_file_is_a_source_too(here: Session):
    pd.DataFrame({"path": ["a.png", "b.png"]}).to_csv("set/list.csv")

    assert names(imgopen.board("set/list.csv")) == ["a.png", "b.png"]


def test_the_order_of_the_input_is_kept_and_repeats_stay(here: Session):
    source = ["set/c.png", "set/a.png", "set/c.png"]

    for made in (imgopen.board(source), imgopen.compare(source), imgopen.gallery(source)):
        assert names(made) == ["c.png", "a.png", "c.png"]
    assert imgopen.compare(source).__repr__().startswith("Comparison(2 images in 3 files")


@pytest.mark.parametrize(
    "index", [None, ["x", "y", "z"], [7, 7, 7]], ids=["numbers", "labels", "one label thrice"]
)
def test_a_batch_and_its_wide_frame_are_sources(here: Session, index: Any):
    frame = pd.DataFrame({"url": [f"set/{name}" for name in reversed(COLOURS)]}, index=index)
    batch = ran(here, frame, models=["clip", "deepdanbooru"])

    for source in (batch, batch.wide(), batch.frame(), frame.join(batch.wide()).head(3)):
        if index == [7, 7, 7] and source is not batch and "url" in getattr(source, "columns", ()):
            continue  # a join on a label that occurs three times makes nine rows
        made = imgopen.board(source)
        assert names(made) == ["c.png", "b.png", "a.png"]
        assert made.comparison.models == ("clip", "deepdanbooru")


def test_a_part_of_a_wide_frame_is_those_pictures(here: Session):
    wide = ran(here, "set", models=["clip"]).wide()

    assert names(imgopen.board(wide.iloc[[2, 0]])) == ["c.png", "a.png"]
    assert names(imgopen.board(wide[wide["clip"].str.contains("blue")])) == ["b.png"]


def test_a_wide_frame_whose_rows_are_not_known_any_more_is_refused(here: Session):
    wide = ran(here, [f"set/{name}" for name in COLOURS], models=["clip"]).wide()
    renamed = wide.head(2).set_axis(["one", "two"])

    with pytest.raises(UsageError, match="not known any more which images"):
        imgopen.board(renamed)


@pytest.mark.parametrize(
    "moved",
    [
        lambda wide: wide[wide["clip"].str.contains("blue")].reset_index(drop=True),
        lambda wide: wide.iloc[::-1].reset_index(drop=True),
        lambda wide: wide.sample(2, random_state=1, ignore_index=True),
        lambda wide: wide.groupby("clip", as_index=False).first(),
        lambda wide: wide.set_axis([1, 0, 2]),
    ],
)
def test_rows_that_moved_to_the_label_of_another_are_never_taken_for_it(here: Session, moved: Any):
    """A filter and `reset_index` would show the first images in place of those that passed."""
    wide = ran(here, [f"set/{name}" for name in COLOURS], models=["clip"]).wide()

    with pytest.raises(UsageError, match="not known any more which images"):
        imgopen.board(moved(wide))


def test_rows_under_one_label_that_changed_places_are_refused_in_a_saved_frame_too(here: Session):
    frame = pd.DataFrame({"url": [f"set/{name}" for name in COLOURS]}, index=[7, 7, 7])
    wide = ran(here, frame, models=["clip"]).wide()
    wide.to_parquet("wide.parquet")

    for again in (wide, pd.read_parquet("wide.parquet")):
        assert names(imgopen.board(again)) == ["a.png", "b.png", "c.png"]
        with pytest.raises(UsageError, match="not known any more which images"):
            imgopen.board(again.iloc[[1, 0, 2]])


def test_captions_that_were_edited_in_a_wide_frame_do_not_hide_its_pictures(here: Session):
    wide = ran(here, [f"set/{name}" for name in COLOURS], models=["clip"]).wide()
    wide["clip"] = wide["clip"].str.upper()
    wide.loc[1, "clip"] = None

    assert names(imgopen.board(wide.iloc[[2, 0]])) == ["c.png", "a.png"]


def test_a_column_of_pictures_that_was_added_to_a_wide_frame_counts(here: Session):
    wide = ran(here, ["set/a.png", "set/b.png"], models=["clip"]).wide()

    assert names(imgopen.board(wide.assign(Image=["set/c.png", "set/a.png"]))) == ["c.png", "a.png"]


def test_the_wide_frame_of_a_batch_without_pictures_has_none(here: Session):
    batch = here.map("text2image", ["a cat", "a dog"], progress=False, most=0)

    for source in (batch, batch.wide()):
        with pytest.raises(ImgOpenError, match="image"):
            imgopen.board(source)


def test_a_wide_frame_joins_saves_and_copies_as_any_other(here: Session, tmp_path: Path):
    wide = ran(here, "set", models=["clip"]).wide()
    wide.to_parquet("wide.parquet")
    wide.to_pickle("wide.pickle")

    assert "image" not in wide.columns
    assert pd.concat([wide, wide]).shape == (6, 2)
    for again in (pd.read_parquet("wide.parquet"), pd.read_pickle("wide.pickle"), wide.copy()):
        assert names(imgopen.board(again)) == ["a.png", "b.png", "c.png"]


def test_pictures_that_are_no_files_are_sources(here: Session):
    array = np.full((20, 20, 3), 200, np.uint8)
    board = imgopen.board([array, png("red"), "sample:coffee"])

    assert [row.image[:6] for row in board.comparison.rows] == ["<array", "<bytes", "sample"]
    here.run("describe", image="set/a.png", model="clip")
    assert imgopen.compare([png("red")]).wide()["clip"].notna().all()  # the same bytes as a.png


def test_what_is_no_source_is_refused_in_one_sentence(here: Session):
    for source in (
        7,
        {"a": 1},
        [],
        "nothing-here",
        pd.DataFrame({"x": [], "y": []}),
        b"no picture",
    ):
        for make in (imgopen.board, imgopen.compare):
            with pytest.raises(ImgOpenError) as caught:
                make(source)
            assert "\n" not in caught.value.message


# Without an argument.


def test_without_an_argument_it_is_the_last_batch_and_says_so(here: Session):
    here.run("describe", image="sample:coffee", model="clip")
    batch = ran(here, "set", models=["clip"])

    for made in (imgopen.board(), imgopen.compare(), imgopen.gallery()):
        assert names(made) == ["a.png", "b.png", "c.png"]
    assert "the last batch of this session: describe" in imgopen.compare().notes
    assert "the last batch" in repr(imgopen.gallery())
    assert here.last_batch is batch


def test_before_any_batch_it_is_the_whole_history_and_says_so(here: Session):
    here.run("describe", image="sample:coffee", model="clip")

    for made in (imgopen.board(), imgopen.compare(), imgopen.gallery()):
        assert names(made) == ["sample:coffee"]
    assert "the whole history" in imgopen.compare().notes
    assert "the whole history" in repr(imgopen.gallery())


def test_a_plan_is_not_the_last_batch(here: Session):
    here.map("describe", "set", dry_run=True)

    assert here.last_batch is None


def test_nothing_described_says_what_to_do(here: Session):
    for make in (imgopen.board, imgopen.compare):
        with pytest.raises(
            UsageError, match=r"the history has no description of an image\n.*compare"
        ):
            make()


# What cannot be read.


def test_an_unreadable_picture_keeps_its_row_and_is_not_counted(here: Session):
    (Path("set") / "b.png").write_text("this is no image")
    board = imgopen.board("set")

    assert names(board) == ["a.png", "b.png", "c.png"]
    assert repr(board).startswith("Board(2 images")
    assert any("1 image cannot be read (set/b.png" in note for note in board.comparison.notes)
    write(board, 1, "a caption for what nobody can see")
    assert board.frame["caption"].isna().all()


def test_an_interrupted_batch_shows_every_row_of_its_input(
    here: Session, monkeypatch: pytest.MonkeyPatch
):
    def interrupt(outcome: Any) -> None:
        if outcome is not None:
            raise KeyboardInterrupt

    real = Batch._outcomes
    monkeypatch.setattr(Batch, "_outcomes", lambda self, watch: real(self, interrupt))
    with pytest.raises(TaskInterrupted):
        ran(here, "set", models=["clip"], concurrency=1)

    assert names(imgopen.board()) == ["a.png", "b.png", "c.png"]
    assert here.last_batch is not None
    assert len(here.last_batch) < 3


# Images, not names.


def test_copies_are_rows_of_their_own_that_share_captions(here: Session):
    shutil.copy("set/a.png", "set/copy.png")
    ran(here, ["set/a.png"], models=["clip"])
    board = imgopen.board("set")
    write(board, 0, "a red sheet")
    frame = board.frame

    assert names(board) == ["a.png", "b.png", "c.png", "copy.png"]
    assert frame["clip"].notna().tolist() == [True, False, False, True]
    assert frame["caption"].fillna("").tolist() == ["a red sheet", "", "", "a red sheet"]
    assert board.widget.written == 2
    assert repr(board).startswith("Board(3 images in 4 files")


def test_a_batch_of_copies_has_a_row_for_each_with_its_own_name(here: Session):
    ran(here, "set", models=["clip"])
    Path("renamed").mkdir()
    for name in COLOURS:
        shutil.copy(f"set/{name}", f"renamed/{name.replace('.', '-2.')}")
    batch = ran(here, "renamed", models=["clip"])

    assert batch.frame()["cached"].all()
    wanted = [str(Path("renamed", n).absolute()) for n in ("a-2.png", "b-2.png", "c-2.png")]
    assert batch.frame()["image"].tolist() == wanted
    assert [result.image for result in batch.results()] == wanted
    assert [result.params["image"] for result in batch.results()] == wanted
    assert imgopen.compare(batch).wide().index.tolist() == wanted


def test_the_same_picture_under_two_names_in_one_batch_is_two_rows(here: Session):
    """One of them may wait for the task of the other; each bears its own name."""
    for number in range(4):
        shutil.copy("set/a.png", f"set/copy-{number}.png")
    batch = ran(here, "set", models=["clip"], concurrency=8)

    found = [Path(image).name for image in batch.frame()["image"]]
    assert found == ["a.png", "b.png", "c.png", *(f"copy-{n}.png" for n in range(4))]
    assert [Path(str(r.image)).name for r in batch.results()] == found


def test_one_name_in_two_folders_never_shares_a_caption(
    here: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for project, colour in (("A", "red"), ("B", "blue")):
        (tmp_path / project / "images").mkdir(parents=True)
        (tmp_path / project / "images" / "1.png").write_bytes(png(colour))
    monkeypatch.chdir(tmp_path / "A")
    here.run("describe", image="images/1.png", model="clip")
    write(imgopen.board("images"), 0, "mine, of the red one")
    monkeypatch.chdir(tmp_path / "B")
    here.run("describe", image="images/1.png", model="deepdanbooru")
    board = imgopen.board("images")

    assert board.comparison.models == ("deepdanbooru",)
    assert board.frame["caption"].isna().all()
    assert board.offers == {}
    assert board.export() == []
    wide = imgopen.compare(here.history()).wide()
    assert wide.notna().sum(axis=1).tolist() == [1, 1]


def test_what_was_written_for_a_file_before_it_was_replaced_is_offered_only(here: Session):
    write(imgopen.board("set/a.png"), 0, "a red sheet")
    Path("set/a.png").write_bytes(png("yellow"))
    board = imgopen.board("set/a.png")
    (image,) = board.offers

    assert board.frame["caption"].isna().all()
    assert board.offers[image].why == "written for an earlier version of this file"
    assert board.export() == []
    assert board.accept("set/a.png") == "a red sheet"
    assert board.offers == {}
    assert [path.read_text() for path in board.export()] == ["a red sheet\n"]


def test_the_old_picture_has_its_own_thumbnail_or_none(here: Session):
    before = here.run("describe", image="set/a.png")
    seen = here.run("describe", image="set/b.png")
    assert seen.thumbnail() is not None
    for name in ("a.png", "b.png"):
        Path("set", name).write_bytes(png("yellow"))
    after = here.run("describe", image="set/a.png")

    assert before.thumbnail() is None  # nobody looked at it while it was there
    small = seen.thumbnail()
    assert small is not None
    assert Image.open(io.BytesIO(small.jpeg)).getpixel((10, 10))[2] > 200  # type: ignore[index]
    new = after.thumbnail()
    assert new is not None
    assert Image.open(io.BytesIO(new.jpeg)).getpixel((10, 10))[2] < 60  # type: ignore[index]


def test_the_bytes_of_a_sample_are_the_sample(here: Session):
    """As `doctor` describes them: they are one image, and the sample's name is shown."""
    data = imgopen.samples()["coffee"].read_bytes()
    here.run("describe", image=data, model="clip")
    result = here.run("describe", image="sample:coffee", model="clip")
    here.run("describe", image="sample:coffee", model="deepdanbooru")

    assert result.cached
    assert result.image == "sample:coffee"
    assert names(imgopen.compare(here.history())) == ["sample:coffee"]


# An image at a URL.


def at_once(stub: Stub) -> None:
    numbers = iter(range(10**6))

    def answer(request: Request) -> Any:
        return ok(status=2, taskId="s", caption=f"caption {next(numbers)}")

    stub.answer = answer


def test_a_url_whose_content_changed_is_another_picture(
    cached: None, session: Session, stub: Stub, pictures: Pictures
):
    session_module.set_current(session)
    at_once(stub)
    pictures.headers, pictures.body = {"ETag": '"one"'}, png("red")
    first = session.run("describe", image=pictures.url)
    write(imgopen.board([pictures.url]), 0, "the first one")
    pictures.headers, pictures.body = {"ETag": '"two"'}, png("blue")
    second = session.run("describe", image=pictures.url, fresh=True)

    assert first.picture != second.picture
    assert first.thumbnail() is None  # the address has another image by now
    assert second.thumbnail() is not None
    board = imgopen.board([pictures.url])
    assert board.frame["caption"].isna().all()
    assert [offer.edit.caption for offer in board.offers.values()] == ["the first one"]


def test_a_url_that_was_fetched_is_known_by_its_content(
    cached: None, session: Session, stub: Stub, pictures: Pictures, tmp_path: Path
):
    """Its server names no version, so its bytes were read: a file with these bytes is the same."""
    session_module.set_current(session)
    at_once(stub)
    pictures.headers, pictures.body = {}, png("red")
    result = session.run("describe", image=pictures.url)
    (tmp_path / "saved.png").write_bytes(png("red"))

    assert str(result.picture).startswith("sha256:")
    assert imgopen.compare([tmp_path / "saved.png"]).wide()["clip"].tolist() == [result.caption]


def test_an_address_that_cannot_be_checked_is_marked(cached: None, session: Session, stub: Stub):
    session_module.set_current(session)
    at_once(stub)
    result = session.run("describe", image="http://127.0.0.1:9/cat.png")

    assert result.picture == "http://127.0.0.1:9/cat.png unverified"
    assert "known by its address only: not verified" in result.notes
    assert "known by its address only" in imgopen.compare([result])._repr_mimebundle_()["text/html"]


def test_the_history_is_filtered_by_identity_or_by_the_picture_itself(
    here: Session, pictures: Pictures
):
    pictures.headers, pictures.body = {"ETag": '"one"'}, png("red")
    made = here.run("describe", image="set/a.png", model="clip")
    remote = here.run("describe", image=pictures.url, model="clip")
    shutil.copy("set/a.png", "copy.png")

    for picture in (made.picture, "set/a.png", "copy.png", png("red"), [made]):
        assert here.history(picture=picture)["task_id"].tolist() == [made.task_id]
    assert here.history(picture=remote.picture)["task_id"].tolist() == [remote.task_id]
    both = here.history(images=["copy.png", pictures.url], status="succeeded", limit=1)
    assert both["task_id"].tolist() == [remote.task_id]
    assert here.history.count(images="set", model="deepdanbooru") == 0


def test_tasks_that_describe_nothing_stand_for_the_pictures_that_they_were_given(here: Session):
    here.run("describe", image="set/b.png", model="clip")
    batch = here.map("upscale", "set/*.png", progress=False)

    for source in (batch, batch.results(), batch.frame(), batch.wide()):
        board = imgopen.board(source)
        assert names(board) == ["a.png", "b.png", "c.png"]
        assert board.frame["clip"].notna().tolist() == [False, True, False]


def test_a_filter_by_no_picture_finds_none(here: Session):
    here.run("describe", image="set/b.png", model="clip")

    assert here.history(images=[]).empty
    assert here.history(images=pd.Series([], dtype="string")).empty


def test_a_gallery_says_how_many_of_its_pictures_cannot_be_read(here: Session):
    Path("set/b.png").write_text("this is no image")

    assert repr(imgopen.gallery("set")) == "Gallery(3 images · 1 cannot be read)"


# On a line.


@pytest.fixture
def shell(here: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setattr("imgopen_nb.display.progress_bar.in_notebook", lambda: True)
    made = InteractiveShell.instance()
    made.run_line_magic("load_ext", "imgopen_nb")
    yield made
    made.run_line_magic("unload_ext", "imgopen_nb")
    InteractiveShell.clear_instance()


def test_board_gallery_and_compare_take_pictures_on_a_line(here: Session, shell: InteractiveShell):
    ran(here, "set", models=["clip"])
    run = shell.run_line_magic

    assert names(run("imgopen", "board set")) == ["a.png", "b.png", "c.png"]
    assert names(run("imgopen", "gallery set/c.png set/a.png")) == ["c.png", "a.png"]
    assert names(run("imgopen", "compare set/[ab].png")) == ["a.png", "b.png"]
    assert names(run("imgopen", "compare")) == ["a.png", "b.png", "c.png"]
    shell.user_ns["batch"] = here.last_batch
    assert names(run("imgopen", "compare {batch}")) == ["a.png", "b.png", "c.png"]
    shown = run("imgopen", "history --images set/a.png")
    assert {Path(row["image"]).name for row in shown.rows} == {"a.png"}


def test_a_column_of_identities_filters_the_history(here: Session):
    ran(here, "set", models=["clip"])
    frame = here.history()
    pictures = frame["picture"].iloc[:2]

    for wanted in (pictures, pictures.tolist(), [*pictures, None]):
        assert set(here.history(picture=wanted)["picture"]) == set(pictures)


def test_a_gallery_of_captions_without_models_has_its_pictures(here: Session):
    """A column that is called caption does not make the rows tasks."""
    frame = pd.DataFrame({"url": ["set/c.png", "set/a.png"]})
    wide = ran(here, frame).wide()

    for source in (wide, frame.join(wide)):
        assert names(imgopen.gallery(source)) == ["c.png", "a.png"]
