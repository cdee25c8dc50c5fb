"""Caption files: named as their images are, and never beside another image."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from imgopen_nb.captions.caption_files import MAPPING, stem, write_files
from imgopen_nb.database.database import Database
from imgopen_nb.database.written_files import WrittenFiles
from imgopen_nb.errors import FileError, UsageError

from ..conftest import often

Row = tuple[str, str, str]
COUNT = 1000
EXPORT = """
import hashlib
import sys
from pathlib import Path
from imgopen_nb.captions.caption_files import write_files
from imgopen_nb.database.database import Database
from imgopen_nb.database.written_files import WrittenFiles
home, folder, text = sys.argv[1:]
images = sorted(Path(folder).glob("*.png"))
known = [f"sha256:{hashlib.sha256(p.read_bytes()).hexdigest()}" for p in images]
texts = [f"{text} {p.stem} " + "x" * 200 for p in images]
rows = list(zip(map(str, images), known, texts))
print("begun", flush=True)
write_files(rows, WrittenFiles(Database(Path(home))), None, ".txt", overwrite=False)
print("done", flush=True)
"""


@pytest.fixture
def files(tmp_path: Path) -> WrittenFiles:
    return WrittenFiles(Database(tmp_path / "home"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def picture(path: Path, content: str = "") -> Path:
    """Write an image, whose bytes are those of its name unless something else is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG" + os.fsencode(content or path.name))
    return path


def of(path: Path, caption: str = "a cat") -> Row:
    """Return the row of an image, known by its bytes."""
    return str(path), f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}", caption


def url(address: str, caption: str = "a cat") -> Row:
    return address, f"{address} unverified", caption


def export(
    files: WrittenFiles,
    rows: Iterable[Row],
    folder: Path | None = None,
    suffix: str = ".txt",
    overwrite: bool = False,
) -> list[str]:
    """Export, and return the names of the files."""
    return [p.name for p in write_files(rows, files, folder, suffix, overwrite=overwrite)]


def texts(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in sorted(folder.glob("*.txt"))}


def refused(
    files: WrittenFiles, rows: list[Row], folder: Path | None, says: str, hint: str
) -> None:
    """Expect a refusal, with `overwrite` too, and that nothing is written."""
    places = {Path(row[0]).parent for row in rows if os.path.isabs(row[0])} | {folder}
    before = {p: sorted(os.listdir(p)) for p in places if p and p.exists()}
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=says) as caught:
            export(files, rows, folder, overwrite=overwrite)
        assert "nothing was written" in caught.value.message
        assert hint in caught.value.hint
    assert {p: sorted(os.listdir(p)) for p in before} == before


# Names.


@pytest.mark.parametrize(
    "name",
    [
        "Shot 10:11:12.png",
        "photo...png",
        ".hidden.png",
        "a.b.c.jpeg",
        "no suffix",
        "con.png",
        'what? <"*|\\>.webp',
        "trailing .png",
        "猫.PNG",
        "x" * 246 + ".png",
        "猫" * 82 + ".png",
        os.fsdecode(b"caf\xe9.png"),
        "new\nline.png",
        "e\N{COMBINING ACUTE ACCENT}.png",
    ],
)
@pytest.mark.parametrize("beside", [True, False])
def test_the_text_has_the_name_that_a_trainer_looks_for(
    files: WrittenFiles, place: Path, tmp_path: Path, name: str, beside: bool
):
    path = picture(tmp_path / "set" / name)
    folder = path.parent if beside else place

    for caption in ("a cat", "a dog"):
        (found,) = export(files, [of(path, caption)], None if beside else place)

    assert found == os.path.splitext(name)[0] + ".txt"
    assert (folder / found).read_bytes() == b"a dog\n"


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("pics/my cat (1).png", "my cat (1)"),
        ("C:\\pics\\cat.jpeg", "cat"),
        ("sample:chelsea", "chelsea"),
        ("https://e.org/a/b%20c.webp?x=1#y", "b c"),
        ("https://e.org/", "picture"),
        ("https://e.org/a/photo/", "photo"),
        ("https://e.org/%2e%2e%2f%2e%2e%2fpasswd", "passwd"),
        ("https://e.org/view?filename=C_0.png&type=output", "C_0"),
        ("https://e.org/view?type=output&filename=sub%2FC_0.png", "C_0"),
        ("https://e.org/cat.jpg?filename=C_0.png", "cat"),
        ("https://e.org/view?filename=C_0", "C_0"),
        ("https://e.org/view?id=7", "view"),
        ("set://[1]2/cat.png", "cat"),
        ("https://user:***@e.org/secret.png", "secret"),
        ("../../etc/passwd", "passwd"),
        ("..", "picture"),
        ("<PIL 640x480 3fa9c1d2>", "PIL 640x480 3fa9c1d2"),
        ("a/con.png", "_con"),
        ('a:b?"*|.png', "a_b_"),
        ("猫.png", "猫"),
        ("", "picture"),
    ],
)
def test_a_picture_that_is_no_file_here_gets_a_name_that_is_safe(image: str, name: str):
    assert stem(image) == name


def test_long_names_fit_every_file_system():
    assert 200 < len((stem("猫" * 200 + ".png") + "-12.txt").encode()) < 255


def test_a_caption_is_one_line_of_utf8(files: WrittenFiles, place: Path):
    export(files, [url("https://e.org/a.png", "eine\nKatze\r\n猫")], place)

    assert (place / "a.txt").read_bytes() == "eine Katze 猫\n".encode()


@pytest.mark.parametrize(
    "suffix", ["txt", ".", "/x", ".png", ".JPEG", "./../x", ".a.b", "", ".json"]
)
def test_a_suffix_that_would_hit_pictures_or_folders_is_refused(
    files: WrittenFiles, place: Path, suffix: str
):
    with pytest.raises(UsageError, match="not a suffix"):
        export(files, [url("https://e.org/a.png")], place, suffix, overwrite=True)


def test_a_name_that_is_too_long_with_the_suffix_is_said_and_nothing_is_written(
    files: WrittenFiles, place: Path
):
    long, short = picture(place / ("x" * 251 + ".png")), picture(place / "a.png")

    with pytest.raises(FileError, match="nothing was written"):
        export(files, [of(short), of(long)], suffix=".caption")
    assert not list(place.glob("*.caption"))


# Where the files go.


def test_without_a_folder_each_text_goes_beside_its_picture(files: WrittenFiles, tmp_path: Path):
    one, two = picture(tmp_path / "a" / "1.png", "red"), picture(tmp_path / "b" / "1.png", "blue")

    export(files, [of(one, "red"), of(two, "blue")])

    assert (texts(one.parent), texts(two.parent)) == ({"1.txt": "red\n"}, {"1.txt": "blue\n"})


def test_pictures_that_are_no_local_files_need_a_folder(files: WrittenFiles, place: Path):
    rows = [of(picture(place / "a.png")), url("https://e.org/1.png"), url("sample:coffee")]
    says = r"https://e.org/1.png is in no folder; sample:coffee is in no folder"

    refused(files, rows, None, says, "name a folder")
    refused(files, [("images/1.png", "name images/1.png", "x")], None, "no folder", "name a folder")


def test_two_pictures_of_one_name_are_refused_in_a_folder_and_go_beside_their_pictures(
    files: WrittenFiles, tmp_path: Path
):
    one, two = picture(tmp_path / "a" / "1.png", "red"), picture(tmp_path / "b" / "1.png", "blue")
    rows = [of(one, "red"), of(two, "blue")]

    refused(
        files, rows, tmp_path / "new", rf"the file 1.txt: {one} and {two}", "leave out the folder"
    )
    assert not (tmp_path / "new").exists()
    assert export(files, rows) == ["1.txt", "1.txt"]


def test_the_same_picture_with_the_same_caption_is_no_collision(
    files: WrittenFiles, tmp_path: Path
):
    one, two = picture(tmp_path / "a" / "1.png", "x"), picture(tmp_path / "b" / "1.png", "x")

    assert export(files, [of(one), of(two)], tmp_path / "new") == ["1.txt"]
    refused(files, [of(one, "this"), of(two, "that")], tmp_path / "other", "two images", "leave")


def test_two_formats_of_one_name_are_refused_unless_they_are_one_picture(
    files: WrittenFiles, place: Path
):
    one, two = picture(place / "cat.png", "x"), picture(place / "cat.jpg", "x")
    assert export(files, [of(one), of(two)]) == ["cat.txt"]

    picture(two, "other")
    refused(files, [of(one, "this"), of(two, "that")], None, "two images", "rename one")
    refused(
        files, [of(one, "this")], None, rf"cat.txt would be beside {two}, which is not", "folder"
    )


def test_names_that_differ_in_case_are_two_files_beside_their_pictures_alone(
    files: WrittenFiles, tmp_path: Path
):
    here = tmp_path / "here"
    rows = [of(picture(here / "Cat.png"), "one"), of(picture(here / "cat.png"), "two")]
    if len(list(here.iterdir())) == 1:
        pytest.skip("names that differ in case are the same file here")

    assert export(files, rows) == ["Cat.txt", "cat.txt"]
    assert export(files, rows, here) == ["Cat.txt", "cat.txt"]
    assert texts(here) == {"Cat.txt": "one\n", "cat.txt": "two\n"}
    refused(
        files, rows, tmp_path / "new", "two images would share the file", "leave out the folder"
    )


def test_two_ways_of_writing_an_accent_collide_in_a_folder(files: WrittenFiles, tmp_path: Path):
    here = tmp_path / "here"
    rows = [of(picture(here / "\xe9.png")), of(picture(here / "e\N{COMBINING ACUTE ACCENT}.png"))]

    refused(files, rows, tmp_path / "new", "two images would share", "leave out the folder")


# Images without a file.


def test_urls_of_one_name_get_files_of_their_own_and_the_mapping_says_which(
    files: WrittenFiles, place: Path, tmp_path: Path
):
    rows = [
        of(picture(tmp_path / "set" / "C_0-2.png"), "local"),
        url("https://e.org/view?filename=C_0.png", "one"),
        url("https://e.org/other/C_0.png", "two"),
        url("https://u:***@e.org/c_0.jpg", "three"),
        url("sample:coffee", "coffee"),
        url("https://e.org/coffee.jpg", "tea"),
        url("<PIL 640x480 3fa9c1d2>", "pil"),
    ]

    names = export(files, rows, place)

    assert names == [
        "C_0-2.txt", "C_0.txt", "C_0-3.txt", "c_0-4.txt", "coffee.txt",
        "coffee-2.txt", "PIL 640x480 3fa9c1d2.txt",
    ]  # fmt: skip
    told = json.loads((place / MAPPING).read_text("utf-8"))
    assert told == {n: row[0] for n, row in zip(names[1:], rows[1:], strict=True)}
    assert texts(place)["C_0-3.txt"] == "two\n"


def test_a_later_export_gives_the_same_url_the_same_name(files: WrittenFiles, place: Path):
    one, two, three = (url(f"https://e.org/{n}/C_0.png", n) for n in ("one", "two", "three"))
    assert export(files, [one, two], place) == ["C_0.txt", "C_0-2.txt"]

    assert export(files, [three, two], place) == ["C_0-3.txt", "C_0-2.txt"]
    assert export(files, [two, one], place, ".caption") == ["C_0-2.caption", "C_0.caption"]
    assert export(files, [three, two, one], place) == ["C_0-3.txt", "C_0-2.txt", "C_0.txt"]
    told = json.loads((place / MAPPING).read_text("utf-8"))
    assert {n: u.split("/")[3] for n, u in told.items()} == {
        "C_0.txt": "one", "C_0-2.txt": "two", "C_0-3.txt": "three",
        "C_0-2.caption": "two", "C_0.caption": "one",
    }  # fmt: skip


def test_a_mapping_of_the_user_is_not_replaced(files: WrittenFiles, place: Path):
    (place / MAPPING).write_text('{"mine": 1}')

    with pytest.raises(UsageError, match=MAPPING):
        export(files, [url("https://e.org/a.png")], place)
    assert sorted(os.listdir(place)) == [MAPPING]


@pytest.mark.parametrize(
    "said", ["[", "[1]", '{"../../out.txt": "https://e.org/a.png", "": "https://e.org/a.png"}']
)
def test_a_mapping_that_somebody_else_made_leads_nowhere_else(
    files: WrittenFiles, place: Path, said: str
):
    (place / MAPPING).write_text(said)

    assert export(files, [url("https://e.org/a.png")], place, overwrite=True) == ["a.txt"]
    assert sorted(os.listdir(place)) == ["a.txt", MAPPING]


def test_local_pictures_need_no_mapping(files: WrittenFiles, place: Path, tmp_path: Path):
    export(files, [of(picture(tmp_path / "set" / "a.png"))], place)

    assert os.listdir(place) == ["a.txt"]


def test_two_versions_of_one_url_do_not_share_a_file(files: WrittenFiles, place: Path):
    rows = [("https://e.org/a.png", f"https://e.org/a.png etag {n}", str(n)) for n in (1, 2)]

    refused(files, rows, place, "two images would share the file a.txt", "separate boards")


# No caption reaches another image's file.


def test_a_text_never_lies_beside_another_picture_of_that_name(
    files: WrittenFiles, place: Path, tmp_path: Path
):
    """In A a caption was written; in B lies another image of the same name."""
    mine = picture(tmp_path / "a" / "1.png", "red")
    for name in ("1.png", "1.JPG", "1.tiff"):
        other = picture(place / name, "blue")
        says = rf"1.txt would be beside {other}, which is not {mine}"
        refused(files, [of(mine)], place, says, "another folder")
        other.unlink()
    picture(place / "1.png", "red")  # the same bytes
    (place / "1.png.txt").write_text("no image")
    picture(place / "11.png")

    assert export(files, [of(mine)], place) == ["1.txt"]


def test_beside_another_picture_whose_name_differs_in_case_only_nothing_is_written(
    files: WrittenFiles, place: Path, tmp_path: Path
):
    picture(place / "CAT.png", "other")

    refused(files, [of(picture(tmp_path / "a" / "cat.png"))], place, "which is not", "another")


def test_where_it_is_not_known_whether_it_is_the_same_picture_nothing_is_written(
    files: WrittenFiles, place: Path
):
    other = picture(place / "1.png", "blue")
    address = "https://e.org/1.png"
    says = rf"there is no way to tell whether {other} is the same image as "

    refused(files, [url(address)], place, says + address, "another folder")
    refused(files, [("set/1.png", "name set/1.png", "x")], place, says + "set/1", "another folder")
    known = f"sha256:{hashlib.sha256(other.read_bytes()).hexdigest()}"
    assert export(files, [(address, known, "x")], place) == ["1.txt"]


def test_a_name_that_a_url_gets_to_be_unique_is_checked_too(files: WrittenFiles, place: Path):
    picture(place / "a-2.png")
    rows = [url("https://e.org/1/a.png"), url("https://e.org/2/a.png")]

    refused(files, rows, place, "a-2.png is the same image", "another folder")


def test_an_old_row_is_not_written_even_beside_the_file_that_it_names(
    files: WrittenFiles, place: Path
):
    """The name proves nothing: the file may have been replaced since."""
    path = picture(place / "1.png")
    row = (str(path), f"name {path}", "x")

    refused(files, [row], None, "still the image that was captioned", "another folder")


@pytest.mark.parametrize("folder", [None, "own"])
def test_a_picture_that_has_changed_since_gets_no_caption(
    files: WrittenFiles, place: Path, folder: str | None
):
    good, bad, odd = (picture(place / name) for name in ("good.png", "bad.png", "odd.picture"))
    rows = [of(good), of(bad), of(odd)]
    picture(bad, "changed")
    picture(odd, "changed")

    says = f"{bad} has changed since it was captioned.*; {odd} has changed"
    refused(files, rows, place if folder else None, says, "describe it again")
    assert export(files, rows[:1], place if folder else None) == ["good.txt"]


def test_a_picture_that_is_gone_gets_no_file_beside_it_and_one_elsewhere(
    files: WrittenFiles, place: Path, tmp_path: Path
):
    path = picture(tmp_path / "a" / "1.png")
    row = of(path)
    path.unlink()

    refused(files, [row], None, f"{path} is gone", "another folder")
    assert export(files, [row], place) == ["1.txt"]


def test_a_picture_that_cannot_be_read_is_not_taken_for_the_same(
    files: WrittenFiles, place: Path, tmp_path: Path
):
    mine = picture(tmp_path / "a" / "1.png")
    (place / "1.png").symlink_to("nowhere.png")
    refused(files, [of(mine)], place, "cannot be read, so it may or may not be", "another folder")

    (place / "1.png").unlink()
    os.mkfifo(place / "1.png")
    refused(files, [of(mine)], place, "cannot be read, so it may or may not be", "another folder")


def test_a_text_never_replaces_a_picture(files: WrittenFiles, place: Path):
    """An image may be called cat.txt."""
    odd, other = picture(place / "cat.txt"), picture(place / "cat.png", "cat.txt")

    refused(files, [of(odd)], None, "cat.txt is one of the images", "another suffix")
    refused(files, [of(other), of(odd)], None, "cat.txt is one of the images", "another suffix")
    assert export(files, [of(odd)], suffix=".caption") == ["cat.caption"]


def test_a_linked_picture_is_captioned_beside_the_link(
    files: WrittenFiles, place: Path, tmp_path: Path
):
    real = picture(tmp_path / "a" / "real.png")
    (place / "link.png").symlink_to(real)

    assert export(files, [of(place / "link.png")]) == ["link.txt"]
    assert texts(place) == {"link.txt": "a cat\n"}
    assert texts(real.parent) == {}


# Files that are there.


def test_a_file_of_the_user_is_kept_unless_asked(files: WrittenFiles, place: Path):
    for name, text in {"a.txt": "by hand", "b.txt": "same", "d.txt": ""}.items():
        (place / name).write_text(text)
    rows = [
        of(picture(place / f"{name}.png"), caption)
        for name, caption in {"a": "new", "b": "same", "c": "new", "d": "new"}.items()
    ]

    with pytest.raises(UsageError, match=r"a.txt was not written by imgopen_nb") as caught:
        export(files, rows)
    assert "overwrite=True" in caught.value.hint
    assert texts(place) == {"a.txt": "by hand", "b.txt": "same", "d.txt": ""}
    export(files, rows, overwrite=True)
    export(files, [of(place / "a.png", "newer")])
    assert texts(place) == {
        "a.txt": "newer\n", "b.txt": "same", "c.txt": "new\n", "d.txt": "new\n",
    }  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_an_export_of_a_thousand_files_that_is_killed_leaves_each_the_old_or_the_new_one(
    files: WrittenFiles, place: Path, tmp_path: Path
):
    """Whatever was killed, the next export succeeds without overwrite."""
    pictures = [picture(place / f"{number}.png") for number in range(COUNT)]
    seed = random.randrange(10**6)
    chance, whole, mixed = random.Random(seed), 0.5, 0

    def said(text: str, path: Path) -> str:
        return f"{text} {path.stem} " + "x" * 200

    def now(text: str) -> None:
        rows = [of(path, said(text, path)) for path in pictures]
        assert len(export(files, rows)) == COUNT

    now("old")
    command = [sys.executable, "-c", EXPORT, str(tmp_path / "home"), str(place), "new"]
    for turn in range(often(6, 50) + 1):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            begun = time.monotonic()
            if turn:  # the first shows how long a whole one takes
                time.sleep(chance.random() * whole)
                process.send_signal(signal.SIGKILL)
            if process.stdout.readline() == b"done\n" and not turn:
                whole = time.monotonic() - begun
        found = [path.with_suffix(".txt").read_text() for path in pictures]
        old = [said("old", path) + "\n" for path in pictures]
        new = [said("new", path) + "\n" for path in pictures]
        states = {(f == o, f == n) for f, o, n in zip(found, old, new, strict=True)}
        assert states <= {(True, False), (False, True)}, seed
        mixed += len(states) == 2
        now("old")
    assert mixed, f"no export was killed midway (seed {seed})"
    assert texts(place) == {path.stem + ".txt": said("old", path) + "\n" for path in pictures}
