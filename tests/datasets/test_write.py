"""Writing a dataset: the diff first, users' files left alone, and every step taken back."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imgopen_nb.datasets.dataset import Dataset
from imgopen_nb.datasets.file_plan import one_line
from imgopen_nb.errors import FileError, ParameterError, UnknownNameError, UsageError
from imgopen_nb.images.picture import samples
from imgopen_nb.session import Session

from ..conftest import often
from ..forks import FORK
from ..pictures import Pictures
from .sets import make_pictures, png


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images; the first has a caption file of its user."""
    made = tmp_path / "set"
    made.mkdir()
    for at, name in enumerate(("a.png", "b.png", "c.png")):
        (made / name).write_bytes(png(at))
    (made / "a.txt").write_bytes(b"my own words\r\n")
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def ds(session: Session, folder: Path) -> Dataset:
    """The same as a dataset: every image has a caption."""
    made = session.dataset(folder)
    made.caption = {"b.png": "blue", "c.png": "green"}
    return made


def content(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder; a link by where it leads to."""
    return {
        str(path.relative_to(folder)): (
            b"link " + os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
        )
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def actions(ds: Dataset, *args: Any, **named: Any) -> dict[str, str]:
    frame = ds.preview(*args, **named)
    return {Path(file).name: action for file, action in zip(frame.file, frame.action, strict=True)}


# The diff.


def test_the_preview_says_what_becomes_of_each_file_and_writes_nothing(ds: Dataset, folder: Path):
    before = content(folder)
    ds.caption = lambda caption: f"ohwx, {caption}"

    frame = ds.preview()

    assert content(folder) == before
    rows = frame.set_index("file").loc["a.txt"]
    assert (rows.action, rows.before, rows.after) == (
        "left", "my own words\r\n", "ohwx, my own words",
    )  # fmt: skip
    assert actions(ds) == {
        "a.txt": "left", "b.txt": "new", "c.txt": "new", "dataset.toml": "new",
    }  # fmt: skip
    assert "a.txt" in frame.attrs["notes"][0]
    assert "overwrite=True" in frame.attrs["notes"][0]
    assert frame.attrs["command"].startswith("accelerate launch")


def test_what_is_written_is_the_same_the_next_time_and_changed_after_a_step(
    ds: Dataset, folder: Path
):
    done = ds.write()
    assert done.counts == {"new": 3, "changed": 0, "removed": 0, "same": 1, "left": 0}
    assert content(folder)["a.txt"] == b"my own words\r\n"  # says the same
    assert set(actions(ds).values()) == {"same"}
    steps = len(ds.steps)
    assert ds.write().files == ()
    assert len(ds.steps) == steps

    ds.caption = {"b.png": "navy"}

    assert actions(ds)["b.txt"] == "changed"
    ds.write()
    assert content(folder)["b.txt"] == b"navy"


def test_a_file_with_a_byte_order_mark_does_not_say_the_same(session: Session, folder: Path):
    (folder / "a.txt").write_bytes(b"\xef\xbb\xbfmy own words")
    ds = session.dataset(folder)
    ds.reject(["b.png", "c.png"])

    assert actions(ds)["a.txt"] == "left"
    ds.write(overwrite=True)
    assert content(folder)["a.txt"] == b"my own words"


def test_the_written_names_its_files_its_notes_and_the_command(ds: Dataset, folder: Path):
    shown = repr(ds.write())

    assert shown.splitlines()[0] == "write for kohya: 3 new, 1 same"
    assert f"--dataset_config {folder}/dataset.toml" in shown
    assert shown.splitlines()[-1] in (folder / "dataset.toml").read_text()


# Users' files.


def test_a_users_file_is_left_until_overwrite_and_then_comes_back(ds: Dataset, folder: Path):
    before = content(folder)
    ds.caption = lambda caption: f"ohwx, {caption}"

    ds.write()
    assert content(folder)["a.txt"] == before["a.txt"]
    ds.write(overwrite=True)
    assert content(folder)["a.txt"] == b"ohwx, my own words"

    assert ds.undo() == "write for kohya"
    assert content(folder)["a.txt"] == before["a.txt"]
    assert ds.undo() == "write for kohya"
    assert content(folder) == before


def test_a_file_of_ours_that_was_edited_is_the_users(ds: Dataset, session: Session, folder: Path):
    ds.write()
    (folder / "b.txt").write_text("edited by hand")
    (folder / "dataset.toml").write_text("resolution = 512")

    assert actions(ds)["b.txt"] == "left"
    done = ds.write()
    assert done.counts["left"] == 2
    assert "b.txt" in done.notes[0]
    assert (folder / "dataset.toml").read_text() == "resolution = 512"
    again = session.dataset(folder)  # takes the edit in
    assert again.caption[1] == "edited by hand"
    assert actions(again)["b.txt"] == "same"


def test_our_own_files_are_not_taken_in_as_edits_of_a_user(
    ds: Dataset, session: Session, folder: Path
):
    ds.caption = {"b.png": "blue\nsky\u2028and sea"}
    ds.write()
    ds.caption = {"c.png": "lime"}
    edits = len(session.dataset(folder).frame)

    again = session.dataset(folder)

    assert edits == len(again.frame)
    assert list(again.caption) == ["my own words", "blue\nsky\u2028and sea", "lime"]
    assert content(folder)["b.txt"] == b"blue sky and sea"
    assert list(again.frame.origin) == ["file", "edited", "edited"]


def test_an_undone_write_is_not_taken_in_as_an_edit_either(
    ds: Dataset, session: Session, folder: Path
):
    ds.caption = lambda caption: f"ohwx, {caption}"
    before = (folder / "a.txt").stat()
    ds.write(overwrite=True)
    ds.undo()

    again = session.dataset(folder)

    assert again.caption[0] == "ohwx, my own words"
    assert (folder / "a.txt").stat().st_mtime_ns == before.st_mtime_ns


def test_after_an_undo_our_file_is_still_ours(ds: Dataset, folder: Path):
    ds.write()
    ds.caption = {"b.png": "navy"}
    ds.write()
    assert ds.undo() == "write for kohya"

    assert content(folder)["b.txt"] == b"blue"
    assert actions(ds)["b.txt"] == "changed"


def test_what_somebody_changed_since_stays_at_an_undo_and_is_said(ds: Dataset, folder: Path):
    ds.write()
    (folder / "b.txt").write_text("edited")
    (folder / "c.txt").unlink()

    said = ds.undo()

    assert said is not None
    assert said.startswith("write for kohya; ")
    assert "b.txt was changed since and stays as it is" in said
    assert content(folder) == {
        "a.png": png(0), "a.txt": b"my own words\r\n", "b.png": png(1), "b.txt": b"edited",
        "c.png": png(2),
    }  # fmt: skip


def test_a_mode_is_kept_and_comes_back(ds: Dataset, folder: Path):
    (folder / "a.txt").chmod(0o640)
    ds.caption = {"a.png": "other"}
    ds.write(overwrite=True)
    assert stat.S_IMODE((folder / "a.txt").stat().st_mode) == 0o640
    ds.undo()
    assert stat.S_IMODE((folder / "a.txt").stat().st_mode) == 0o640


def test_the_old_files_are_kept_where_others_cannot_read_them_and_go_with_the_step(
    ds: Dataset, session: Session
):
    ds.caption = {"a.png": "other"}
    ds.write(overwrite=True)
    backups = session.settings.home / "backups"

    (saved,) = backups.iterdir()
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert stat.S_IMODE(backups.stat().st_mode) == 0o700
    ds.undo()
    assert list(backups.iterdir()) == []


# Rejected images.


def test_the_text_file_of_a_rejected_picture_goes_if_it_is_ours_and_a_note_says_what_stays(
    ds: Dataset, folder: Path
):
    ds.write()
    ds.reject(["a.png", "b.png"])

    assert actions(ds)["b.txt"] == "removed"
    done = ds.write()

    assert "b.txt" not in content(folder)
    assert content(folder)["a.txt"] == b"my own words\r\n"
    assert "2 rejected images stay in the folder" in " ".join(done.notes)
    assert 'images="copy"' in " ".join(done.notes)
    ds.undo()
    assert content(folder)["b.txt"] == b"blue"


def test_the_copy_of_a_rejected_picture_goes_and_the_others_keep_their_names(
    ds: Dataset, tmp_path: Path
):
    ds.write(tmp_path / "out", images="copy")
    ds.reject("a.png")

    assert ds.write(tmp_path / "out", images="copy").counts["removed"] == 2
    assert set(content(tmp_path / "out")) == {
        "b.png", "b.txt", "c.png", "c.txt", "dataset.toml",
    }  # fmt: skip
    ds.undo()
    assert content(tmp_path / "out")["a.png"] == png(0)


# What is refused.


def test_a_picture_without_a_caption_is_refused_before_anything_is_written(
    session: Session, folder: Path
):
    before = content(folder)
    ds = session.dataset(folder)

    for call in (ds.write, ds.preview):
        with pytest.raises(UsageError, match=r"2 images have no caption \(b.png, c.png\)") as said:
            call()
        assert "ds.reject" in said.value.hint
    ds.caption = {"b.png": "\u2028 \ufeff\nx", "c.png": "x"}
    ds.write()
    assert content(folder) == before | content(folder)
    assert content(folder)["b.txt"] == b"x"


def test_a_caption_that_is_only_marks_counts_as_none(session: Session, folder: Path):
    ds = session.dataset(folder)
    ds.caption = {"b.png": "\ufeff", "c.png": "c"}

    with pytest.raises(UsageError, match="1 image has no caption"):
        ds.write()


def test_a_picture_that_is_known_by_its_address_only_is_refused(session: Session, tmp_path: Path):
    ds = session.dataset(["http://127.0.0.1:1/cat.png"])
    ds.caption = {0: "a cat"}

    with pytest.raises(UsageError, match="it is not certain which image") as said:
        ds.write(tmp_path / "out", images="copy")
    assert "ds.reject" in said.value.hint
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_another_picture_by_now_is_refused(
    ds: Dataset, tmp_path: Path, folder: Path
):
    (folder / "b.png").write_bytes(png(77))

    with pytest.raises(UsageError, match="another image now"):
        ds.write()
    with pytest.raises(UsageError, match="a different image now"):
        ds.write(tmp_path / "out", images="copy")
    assert "b.txt" not in content(folder)


def test_two_pictures_of_one_stem_with_two_captions_are_refused_and_can_be_copied(
    ds: Dataset, session: Session, folder: Path, tmp_path: Path
):
    (folder / "b.webp").write_bytes(png(9))
    made = session.dataset(folder)
    made.caption = {"b.webp": "other"}

    with pytest.raises(UsageError, match=r"would share the file b\.txt"):
        made.write()
    made.write(tmp_path / "out", images="copy")
    texts = {n: d for n, d in content(tmp_path / "out").items() if n.startswith("b")}
    assert {texts["b.txt"], texts["b-2.txt"]} == {b"blue", b"other"}


def test_slips_are_told(ds: Dataset, folder: Path, tmp_path: Path):
    with pytest.raises(UnknownNameError, match="no trainer 'koya'") as said:
        ds.write(trainer="koya")
    assert "kohya" in said.value.hint
    with pytest.raises(UsageError, match=r"nothing can be written to https://example\.org/set"):
        ds.write("https://example.org/set?token=1", images="copy")
    with pytest.raises(ParameterError, match="images"):
        ds.write(images="move")
    with pytest.raises(UsageError, match="needs a folder"):
        ds.write(images="copy")
    with pytest.raises(UsageError, match="needs a folder"):
        ds.write(trainer="webdataset")
    with pytest.raises(UsageError, match=r"is not in .* below the folder of its list"):
        ds.write(tmp_path / "other", trainer="imagefolder")
    (folder / "metadata.csv").write_text("file_name,text\n")
    with pytest.raises(UsageError, match=r"metadata\.csv"):
        ds.write(trainer="imagefolder")
    ds.reject("*")
    with pytest.raises(UsageError, match="no kept images"):
        ds.write()


def test_a_folder_in_the_place_of_a_file_is_refused(ds: Dataset, folder: Path):
    (folder / "c.txt").mkdir()

    with pytest.raises(UsageError, match=r"c\.txt is a folder"):
        ds.write(overwrite=True)
    assert "b.txt" not in content(folder)


# Copies and links.


def test_pictures_that_are_links_are_written_like_others(
    session: Session, folder: Path, tmp_path: Path
):
    made = tmp_path / "linked"
    made.mkdir()
    for name in ("a.png", "b.png"):
        (made / name).symlink_to(folder / name)
    ds = session.dataset(made)
    ds.caption = {"*": "words"}

    for trainer in ("kohya", "imagefolder", "llava"):
        ds.write(trainer=trainer)
        ds.write(tmp_path / f"{trainer}-copies", trainer=trainer, images="copy")
        ds.write(tmp_path / f"{trainer}-links", trainer=trainer, images="link")
        assert content(tmp_path / f"{trainer}-copies")["a.png"] == png(0)
        assert (tmp_path / f"{trainer}-links" / "a.png").read_bytes() == png(0)


@pytest.mark.parametrize("trainer", ["imagefolder", "llava", "kohya"])
def test_no_caption_is_listed_or_linked_for_a_file_that_is_another_picture_by_now(
    ds: Dataset, folder: Path, tmp_path: Path, trainer: str
):
    (folder / "b.png").write_bytes(png(77))

    with pytest.raises(UsageError, match="another image"):
        ds.write(trainer=trainer)
    with pytest.raises(UsageError, match="another image"):
        ds.write(tmp_path / "out", trainer=trainer, images="link")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("images", ["stay", "copy", "link"])
def test_the_pictures_own_folder_takes_the_text_files_alone(
    ds: Dataset, folder: Path, tmp_path: Path, images: str
):
    (tmp_path / "way").symlink_to(folder)

    done = ds.write(tmp_path / "way", images=images)

    assert done.counts == {"new": 3, "changed": 0, "removed": 0, "same": 1, "left": 0}
    assert done.notes == ()
    assert content(folder)["b.txt"] == b"blue"


def test_copies_of_pictures_that_the_set_no_longer_has_are_said(
    ds: Dataset, session: Session, folder: Path, tmp_path: Path
):
    ds.write(tmp_path / "out", images="copy")
    (folder / "c.png").unlink()

    done = session.dataset(folder).write(tmp_path / "out", images="copy")

    assert "1 image left from an earlier write (c.png)" in " ".join(done.notes)


def test_copies_keep_off_files_of_users_and_go_with_the_step(ds: Dataset, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.jpg").write_bytes(png(50))  # another image of the same stem
    (out / "B.txt").write_text("not ours")
    (out / "c.png").write_bytes(png(2))  # the very image
    before = content(out)

    ds.write(out, images="copy")

    assert content(out) | before == content(out)
    assert content(out)["a-2.png"] == png(0)
    assert content(out)["a-2.txt"] == b"my own words"
    assert content(out)["b-2.txt"] == b"blue"
    assert content(out)["c.txt"] == b"green"
    assert "c-2.png" not in content(out)
    ds.undo()
    assert content(out) == before


def test_links_lead_to_the_pictures_and_only_they_go(ds: Dataset, tmp_path: Path, folder: Path):
    out = tmp_path / "out"
    ds.write(out, images="link")
    assert os.readlink(out / "a.png") == str(folder / "a.png")
    (out / "b.png").unlink()
    (out / "b.png").symlink_to("elsewhere")

    said = ds.undo()

    assert said is not None
    assert "b.png was changed since" in said
    assert content(out) == {"b.png": b"link elsewhere"}
    assert (folder / "a.png").read_bytes() == png(0)


def test_a_picture_that_is_there_twice_is_copied_once(
    ds: Dataset, session: Session, tmp_path: Path
):
    shutil.copy("b.png", "z.png")
    made = session.dataset(os.getcwd())

    done = made.write(tmp_path / "out", trainer="imagefolder", images="copy")

    assert "z.png" not in content(tmp_path / "out")
    assert "written once" in " ".join(done.notes)


def test_pictures_from_urls_samples_and_objects_are_copied_with_their_own_format(
    session: Session, pictures: Pictures, tmp_path: Path
):
    pictures.body, pictures.headers = png(3), {"ETag": '"one"'}
    image = samples()["coffee"]
    ds = session.dataset([pictures.url, "sample:coffee", png(4)])
    ds.caption = {0: "a", 1: "b", 2: "c"}

    done = ds.write(tmp_path / "out", images="link")

    found = content(tmp_path / "out")
    assert found["cat.png"] == png(3)
    assert found[f"coffee{image.suffix}"] == image.read_bytes()
    assert png(4) in found.values()
    assert "copied instead of linked: 3 images" in " ".join(done.notes)
    with pytest.raises(UsageError, match="is in no folder"):
        ds.write()


def test_formats_that_a_trainer_does_not_take_are_said(ds: Dataset, session: Session, folder: Path):
    (folder / "d.gif").write_bytes(png(8))
    (folder / "e.Png").write_bytes(png(9))
    made = session.dataset(folder)
    made.caption = {"d.gif": "d", "e.Png": "e"}

    assert "does not take .Png and .gif" in " ".join(made.write().notes)
    assert "does not take .gif" in " ".join(made.write(trainer="ai-toolkit").notes)
    assert "does not take" not in " ".join(made.write(trainer="simpletuner").notes)


def test_shards_that_are_no_longer_needed_go(ds: Dataset, tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr("imgopen_nb.datasets.shards.MOST_PICTURES", 1)
    ds.write(tmp_path / "out", trainer="webdataset")
    first = content(tmp_path / "out")
    ds.reject("b.png")
    ds.write(tmp_path / "out", trainer="webdataset")

    assert list(content(tmp_path / "out")) == ["00000.tar", "00001.tar"]
    ds.undo()
    assert content(tmp_path / "out") == first


def test_one_line_is_what_is_read_alike_everywhere():
    assert one_line("a\nb\r\nc\rd\u2028e\x85f\x0cg\vh\x1ci") == "a b c d e f g h i"
    assert one_line("\ufeff a\n ") == "a"
    assert one_line("\u2028\ufeff\n") == ""


def test_names_that_are_no_text_are_written_and_undone(session: Session, tmp_path: Path):
    folder = tmp_path / "set"
    folder.mkdir()
    names = [os.fsdecode(b"caf\xe9.png"), "line\nbreak.png", "bytes:ff.png", "a" * 200 + ".png"]
    for at, name in enumerate(names):
        (folder / name).write_bytes(png(at))
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("by hand")
    before = content(folder)
    ds = session.dataset(folder)
    ds.caption = {at: f"caption {at}" for at in range(4)}

    for entry in ds.entries:
        shown = session.manager.thumbnail(entry.image, picture=entry.picture)
        assert shown.original == (1, 1)
    assert repr(ds.write()).encode()
    ds.write(overwrite=True)
    ds.write(tmp_path / "out", trainer="imagefolder", images="copy")
    with pytest.raises(UsageError, match="a name that is not text"):
        ds.write(trainer="imagefolder")

    assert {t for t in content(folder).values() if t.startswith(b"caption")} == {
        f"caption {at}".encode() for at in range(4)
    }
    again = session.dataset(folder)
    while again.undo():
        pass
    assert content(folder) == before
    assert not (tmp_path / "out").exists()


# Whatever happens.

UNDO = """
import sys
from imgopen_nb.session import Session
session = Session(home=sys.argv[1], backend="sandbox", base_url="http://127.0.0.1:1/")
ds = session.dataset(sys.argv[2])
while len(ds.steps[~ds.steps.undone]) > int(sys.argv[3]):
    print(ds.undo())
"""


def write_all(ds: Dataset, word: str) -> None:
    ds.caption = lambda caption: f"{word} {caption}"
    ds.write(overwrite=True)


def began(path: Path, word: bytes) -> bool:
    """Whether a text file begins with a word; one may be missing at the moment."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes().startswith(word)
    return False


def was_killed(when: Callable[[], bool], work: Callable[..., Any], *given: Any) -> bool:
    """Run some work in a forked process, kill it when it is time, and say whether it still ran."""
    process = FORK.Process(target=work, args=given)
    process.start()
    while process.is_alive() and not when():
        time.sleep(0.0002)
    process.kill()
    process.join()
    return bool(process.exitcode == -signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_killed_write_leaves_old_or_new_files_and_is_undone_by_another_process(tmp_path: Path):
    """Some files are the user's, some ours, some new; the undo is killed now and then too."""
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    number = often(60, 1000)
    home, folder = tmp_path / "h", tmp_path / "set"
    paths = make_pictures(folder, number)
    for path in paths[::2]:
        path.with_suffix(".txt").write_text(f"by hand {path.stem}\n")
    session = Session(home=home, backend="sandbox", base_url="http://127.0.0.1:1/")
    ds = session.dataset(folder)
    ds.caption = {path.name: f"caption {path.stem}" for path in paths[1::2]}
    ds.write()  # those are ours now
    for path in paths[1::4]:
        path.with_suffix(".txt").unlink()  # these will be new
    before, steps = content(folder), len(ds.steps)
    killed = 0
    for turn in range(often(3, 50)):
        word, text = f"w{turn} ".encode(), dice.choice(paths[:-9]).with_suffix(".txt")
        killed += was_killed(lambda: began(text, word), write_all, ds, f"w{turn}")  # noqa: B023
        after = content(folder)
        for name, data in after.items():
            ours = data.startswith(word) and name.endswith(".txt")
            known = data == before.get(name)
            draft = name.startswith(".imgopen-")
            assert known or ours or draft, (seed, name, data)
        assert set(before) <= set(after), seed
        if dice.random() < 0.5 and len(ds.steps[~ds.steps.undone]) > steps:
            was_killed(lambda: not began(text, word), ds.undo)  # noqa: B023
        run = [sys.executable, "-c", UNDO, str(home), str(folder), str(steps)]
        if often(turn == 0, True):
            ended = subprocess.run(run, capture_output=True, text=True)
            assert ended.returncode == 0, (seed, ended.stderr)
        while len(ds.steps[~ds.steps.undone]) > steps:
            ds.undo()
        for draft in folder.glob(".imgopen-*.part"):  # the next write would remove old ones
            draft.unlink()
        assert content(folder) == before, seed
    session.close()
    assert killed >= often(1, 40), seed


def test_a_write_that_fails_in_the_middle_is_undone_like_any_other(
    ds: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    before = content(folder)
    ds.caption = lambda caption: f"ohwx, {caption}"
    replace, calls = os.replace, []

    def fails(*args: Any) -> None:
        calls.append(args)
        raise OSError(28, os.strerror(28))

    link, links = os.link, []

    def second(*args: Any, **named: Any) -> None:
        links.append(args)
        if len(links) == 2:
            raise OSError(28, os.strerror(28))
        link(*args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", second)
        with pytest.raises(FileError, match=r"No space left .* 2 of 4 files were written"):
            ds.write(overwrite=True)
    assert content(folder)["a.txt"] == b"ohwx, my own words"
    assert "c.txt" not in content(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fails)
        with pytest.raises(FileError, match="not restored yet"):
            ds.undo()
    assert replace is os.replace
    assert ds.undo() == "write for kohya"
    assert content(folder) == before


def test_a_write_that_fails_at_once_is_no_step_and_leaves_no_folder(
    ds: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    steps = len(ds.steps)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        with pytest.raises(FileError, match="nothing was written"):
            ds.write(tmp_path / "x" / "y", images="copy")

    assert len(ds.steps) == steps
    assert not (tmp_path / "x").exists()
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "x" / "y" / "b.txt").write_text("blue")  # what was not written is not ours
    ds.caption = {"b.png": "navy"}
    assert actions(ds, tmp_path / "x" / "y", images="copy")["b-2.txt"] == "new"


def test_whatever_is_done_no_users_file_changes_and_each_undo_brings_the_files_back(
    session: Session, tmp_path: Path
):
    """A random walk of a user and of the program; the preview says what then happens."""
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    places = tmp_path / "places"
    paths = make_pictures(places / "in", 6)
    ds = session.dataset(places / "in")
    ds.caption = {"*": "first"}
    users: dict[str, bytes] = {}
    before: list[dict[str, bytes] | None] = []  # of each write that is not undone
    for turn in range(often(60, 1000)):
        choice = dice.randrange(10)
        if choice < 3:
            path = dice.choice(paths).with_suffix(dice.choice((".txt", ".toml")))
            path = dice.choice((path, places / "out" / path.name))
            if path.exists() and dice.random() < 0.3:
                path.unlink()
                users.pop(str(path), None)
            else:
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(f"by hand {turn}".encode())
                users[str(path)] = path.read_bytes()
            before = [None] * len(before)
        elif choice < 5:
            steps = len(ds.steps)
            ds.caption = {dice.choice(paths).name: dice.choice(("x\ny", "z", f"words {turn}"))}
            before += [None] * (len(ds.steps) - steps)
        elif choice == 5:
            judge = dice.choice((ds.reject, ds.keep))
            steps = len(ds.steps)
            judge(dice.sample([path.name for path in paths[1:]], 2))
            before += [None] * (len(ds.steps) - steps)
        elif choice < 8:
            where = dice.choice((None, places / "out"))
            images = "stay" if where is None else dice.choice(("copy", "link"))
            trainer = dice.choice(("kohya", "musubi", "ai-toolkit"))
            seen, steps = content(places), len(ds.steps)
            planned = actions(ds, where, trainer, images)
            done = ds.write(where, trainer, images)
            assert done.counts == {a: [*planned.values()].count(a) for a in done.counts}, seed
            assert {p: Path(p).read_bytes() for p in users} == users, seed
            before += [seen] * (len(ds.steps) - steps)
        elif before:
            ds.undo()
            snapshot = before.pop()
            assert snapshot is None or content(places) == snapshot, seed
            assert {p: Path(p).read_bytes() for p in users} == users, seed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    try:
        refused = subprocess.run(mount, capture_output=True).returncode
    except FileNotFoundError:
        refused = 1
    if refused:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_on_a_full_disk_each_file_is_the_old_or_the_new_one_and_the_step_is_undone(
    session: Session, small_disk: Path
):
    for path in make_pictures(small_disk, 40):
        path.with_suffix(".txt").write_text(f"old {path.stem} " + "x" * 6000)
    ds = session.dataset(small_disk)
    before = content(small_disk)
    ds.caption = lambda caption: f"new {caption} " + "y" * 9000
    filler = small_disk / "filler"
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    with filler.open("r+b") as file:
        file.truncate(filler.stat().st_size - 60_000)

    with pytest.raises(FileError, match=r"No space left .* of 41 files were written"):
        ds.write(overwrite=True)

    found = content(small_disk)
    kinds = {found[name][:3] for name in before if name.endswith(".txt")}
    assert kinds == {b"old", b"new"}
    filler.unlink()
    assert ds.undo() == "write for kohya"
    assert content(small_disk) == before


def test_two_data_sets_in_one_folder_keep_off_each_other(session: Session, tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cat.png").write_bytes(png(ord(name[0])))
        made = session.dataset(tmp_path / name)
        made.caption = {0: name}
        made.write(tmp_path / "out", trainer="ai-toolkit", images="copy")

    assert content(tmp_path / "out")["cat.txt"] == b"one"
    assert content(tmp_path / "out")["cat-2.txt"] == b"two"
