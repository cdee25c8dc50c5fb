"""Files where users have theirs: none of a user's is replaced unasked, each is the old or the new.

The full disk is a real one, of 1 MB, where this machine lets a test mount it; elsewhere the system
calls are told to report one, at random moments.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgopen_nb import files as files_module
from imgopen_nb.config.credentials import store_keys
from imgopen_nb.config.settings import store_setting
from imgopen_nb.database.database import Database
from imgopen_nb.database.written_files import WrittenFiles
from imgopen_nb.errors import FileError, SettingsError, UsageError
from imgopen_nb.files import STALE

from ..conftest import often

PART = ".imgopen-0123456789abcdef.part"
WRITER = """
import sys
from pathlib import Path
from imgopen_nb.database.database import Database
from imgopen_nb.database.written_files import WrittenFiles
home, folder, word = sys.argv[1:]
contents = {Path(folder, f"{i}.txt"): f"{word} {i} " + "x" * 2000 for i in range(60)}
print("begun", flush=True)
while True:
    for turn in range(10):
        WrittenFiles(Database(Path(home))).write({p: f"{t} {turn}" for p, t in contents.items()})
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def ours(database: Database) -> WrittenFiles:
    return WrittenFiles(database)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def recorded(database: Database) -> set[tuple[str, str]]:
    rows = database.read("SELECT path, sha256 FROM written_files", (), ("path", "sha256"))
    return {(row["path"], row["sha256"]) for row in rows}


def refused(error: pytest.ExceptionInfo[UsageError], *names: str) -> None:
    assert "nothing was written" in error.value.message
    assert "overwrite=True" in error.value.hint
    assert "--overwrite" in error.value.hint
    for name in names:
        assert name in error.value.message


# Whose file it is.


def test_a_new_file_and_its_folders_are_made(ours: WrittenFiles, place: Path):
    ours.write({place / "new" / "a.txt": "ä\n", place / "b.bin": b"\0"})

    assert (place / "new" / "a.txt").read_bytes() == "ä\n".encode()
    assert content(place) == {"b.bin": b"\0"}


def test_a_file_of_ours_is_replaced_and_only_its_newest_content_is_recorded(
    ours: WrittenFiles, database: Database, place: Path
):
    for text in ("one", "two", "three"):
        ours.write({place / "a.txt": text})

    assert content(place) == {"a.txt": b"three"}
    digest = hashlib.sha256(b"three").hexdigest()
    assert recorded(database) == {(str(place.resolve() / "a.txt"), digest)}


def test_a_file_of_ours_that_was_edited_is_the_users(ours: WrittenFiles, place: Path):
    ours.write({place / "a.txt": "one"})
    (place / "a.txt").write_text("edited")

    with pytest.raises(UsageError) as caught:
        ours.write({place / "a.txt": "two"})

    refused(caught, str(place / "a.txt"))
    assert content(place) == {"a.txt": b"edited"}


def test_a_file_of_ours_is_ours_for_another_kernel_and_through_a_linked_folder(
    ours: WrittenFiles, database: Database, place: Path, tmp_path: Path
):
    ours.write({place / "a.txt": "one"})
    (tmp_path / "link").symlink_to(place)

    WrittenFiles(Database(database.path.parent)).write({tmp_path / "link" / "a.txt": "two"})

    assert content(place) == {"a.txt": b"two"}


def test_the_same_content_under_another_name_is_the_users(ours: WrittenFiles, place: Path):
    ours.write({place / "a.txt": "one"})
    (place / "a.txt").rename(place / "b.txt")

    with pytest.raises(UsageError):
        ours.write({place / "b.txt": "two"})


def test_if_one_file_is_refused_none_is_written_and_three_are_named(
    ours: WrittenFiles, place: Path
):
    for number in range(5):
        (place / f"{number}.txt").write_text("by hand")
    before = content(place)

    with pytest.raises(UsageError) as caught:
        ours.write({place / f"{number}.txt": "new" for number in range(-2, 5)})

    refused(caught, "0.txt", "1.txt", "2.txt and 2 more")
    assert "3.txt" not in caught.value.message
    assert content(place) == before


def test_a_file_that_is_named_through_two_folders_is_written_once(ours: WrittenFiles, place: Path):
    """One of them is a link to the other; with two contents for the file, nothing is written."""
    (place / "real").mkdir()
    (place / "link").symlink_to(place / "real")
    one, two = place / "real" / "a.txt", place / "link" / "a.txt"

    for text in ("new", "newer"):
        ours.write({one: text, two: text})
        assert content(place / "real") == {"a.txt": text.encode()}
    with pytest.raises(UsageError, match="are the same file") as error:
        ours.write({place / "b.txt": "b", one: "one", two: "two"})

    assert error.value.hint
    assert content(place / "real") == {"a.txt": b"newer"}
    assert content(place) == {}


def test_with_overwrite_the_users_files_are_replaced(ours: WrittenFiles, place: Path):
    (place / "a.txt").write_text("by hand")

    ours.write({place / "a.txt": "new"}, overwrite=True)
    ours.write({place / "a.txt": "newer"})  # ours by now

    assert content(place) == {"a.txt": b"newer"}


@pytest.mark.parametrize(
    "there",
    [b"a cat\n", b"a cat", b"\xef\xbb\xbfa cat\n", b"a cat\r\n", b"\xef\xbb\xbfa cat\r\n"],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_text_that_says_the_same_is_not_touched(
    ours: WrittenFiles, database: Database, place: Path, there: bytes, overwrite: bool
):
    (place / "a.txt").write_bytes(there)
    before = (place / "a.txt").stat()

    ours.write({place / "a.txt": "a cat\n"}, overwrite=overwrite)

    assert (place / "a.txt").read_bytes() == there
    after = (place / "a.txt").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert recorded(database) == set()  # it stays the user's


@pytest.mark.parametrize("there", [b"a cat\n\n", b" a cat\n", b"A cat\n", b"a\r cat", b"a cat\0"])
def test_a_text_that_differs_otherwise_is_the_users(ours: WrittenFiles, place: Path, there: bytes):
    (place / "a.txt").write_bytes(there)

    with pytest.raises(UsageError):
        ours.write({place / "a.txt": "a cat\n"})


def test_bytes_are_the_same_only_if_all_are(ours: WrittenFiles, place: Path):
    (place / "a.png").write_bytes(b"\x89PNG\r\n")

    ours.write({place / "a.png": b"\x89PNG\r\n"})
    with pytest.raises(UsageError):
        ours.write({place / "a.png": b"\x89PNG\n"})


@pytest.mark.parametrize("blank", [b"", b"\n", b"\xef\xbb\xbf", b" \r\n\t\n"])
def test_a_blank_text_file_is_filled(ours: WrittenFiles, place: Path, blank: bytes):
    (place / "a.txt").write_bytes(blank)

    ours.write({place / "a.txt": "a cat\n"})

    assert content(place) == {"a.txt": b"a cat\n"}


def test_an_empty_file_is_filled_with_bytes_and_blanks_are_not(ours: WrittenFiles, place: Path):
    (place / "a.png").touch()
    (place / "b.png").write_bytes(b"\n")

    ours.write({place / "a.png": b"x"})
    with pytest.raises(UsageError, match=r"b\.png"):
        ours.write({place / "b.png": b"x"})


def test_a_link_is_the_users_and_with_overwrite_the_link_itself_is_replaced(
    ours: WrittenFiles, place: Path
):
    (place / "target.txt").write_text("mine")
    (place / "a.txt").symlink_to("target.txt")
    (place / "broken.txt").symlink_to("nowhere.txt")
    for name in ("a.txt", "broken.txt"):
        with pytest.raises(UsageError, match=name):
            ours.write({place / name: "new"})

        ours.write({place / name: "new"}, overwrite=True)

        assert not (place / name).is_symlink()
    assert content(place) == {"a.txt": b"new", "broken.txt": b"new", "target.txt": b"mine"}


def test_a_hard_link_of_ours_is_replaced_and_its_other_name_keeps_the_old_content(
    ours: WrittenFiles, place: Path
):
    ours.write({place / "a.txt": "old"})
    os.link(place / "a.txt", place / "kept.txt")

    ours.write({place / "a.txt": "new"})

    assert content(place) == {"a.txt": b"new", "kept.txt": b"old"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_or_a_pipe_is_never_replaced(ours: WrittenFiles, place: Path, overwrite: bool):
    (place / "a.txt").mkdir()
    os.mkfifo(place / "b.txt")

    for name, what in (("a.txt", "a folder"), ("b.txt", "not an ordinary file")):
        with pytest.raises(UsageError, match=f"{name} is {what}: nothing was written"):
            ours.write({place / "c.txt": "x", place / name: "x"}, overwrite=overwrite)
    assert not (place / "c.txt").exists()


def test_names_of_250_bytes_and_names_that_are_no_utf8_are_written(ours: WrittenFiles, place: Path):
    names = ["x" * 246 + ".txt", "猫" * 82 + ".txt", os.fsdecode(b"caf\xe9.txt"), "Shot 10:11.txt"]

    for text in ("one", "two"):
        ours.write({place / name: text for name in names})

    assert content(place) == dict.fromkeys(sorted(names), b"two")


# What the file looks like.


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_follows_the_umask_and_a_replaced_one_keeps_its_mode(
    ours: WrittenFiles, place: Path, mask: int
):
    before = os.umask(mask)
    try:
        ours.write({place / "a.txt": "one"})
        assert stat.S_IMODE((place / "a.txt").stat().st_mode) == 0o666 & ~mask
        (place / "a.txt").chmod(0o664)
        ours.write({place / "a.txt": "two"})
        with ours.draft(place / "a.txt") as part:
            part.write_text("three")
    finally:
        os.umask(before)

    assert stat.S_IMODE((place / "a.txt").stat().st_mode) == 0o664


# What happens meanwhile.


@contextlib.contextmanager
def drafted(ours: WrittenFiles, path: Path, **named: Any) -> Iterator[None]:
    """Write a file with a draft, and run the block before the draft becomes the file."""
    with ours.draft(path, **named) as part:
        part.write_text("ours")
        yield


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_appears_meanwhile_is_not_replaced(
    ours: WrittenFiles, place: Path, overwrite: bool
):
    with (
        pytest.raises(UsageError, match="made or changed by another program just now"),
        drafted(ours, place / "a.csv", overwrite=overwrite),
    ):
        (place / "a.csv").write_text("theirs")

    assert content(place) == {"a.csv": b"theirs"}


def test_a_file_that_appears_at_the_very_last_moment_is_not_replaced(
    ours: WrittenFiles, place: Path, monkeypatch: pytest.MonkeyPatch
):
    link = os.link

    def late(source: Any, target: Any) -> None:
        Path(target).write_text("theirs")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(UsageError, match="just now: nothing was written"):
        ours.write({place / "a.txt": "ours", place / "b.txt": "ours"})

    assert content(place) == {"a.txt": b"theirs"}


def test_a_file_of_ours_that_is_edited_meanwhile_is_not_replaced_and_not_ours(
    ours: WrittenFiles, place: Path
):
    ours.write({place / "a.csv": b"old"})
    with pytest.raises(UsageError, match="just now"), drafted(ours, place / "a.csv"):
        (place / "a.csv").write_text("edited")

    assert content(place) == {"a.csv": b"edited"}
    with pytest.raises(UsageError):
        ours.check(place / "a.csv")


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_where_there_are_no_hard_links_a_new_file_is_written_and_none_is_replaced(
    ours: WrittenFiles, place: Path, monkeypatch: pytest.MonkeyPatch, code: int
):
    def none(source: Any, target: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", none)
    ours.write({place / "a.txt": "ours"})
    with pytest.raises(UsageError, match="just now"), drafted(ours, place / "b.txt"):
        (place / "b.txt").write_text("theirs")

    assert content(place) == {"a.txt": b"ours", "b.txt": b"theirs"}


def test_a_failed_draft_leaves_the_old_file_which_is_still_ours(ours: WrittenFiles, place: Path):
    ours.write({place / "a.csv": b"old"})
    with pytest.raises(ZeroDivisionError), drafted(ours, place / "a.csv"):
        raise ZeroDivisionError

    assert content(place) == {"a.csv": b"old"}
    ours.write({place / "a.csv": b"new"})


def test_what_was_to_be_written_and_was_not_is_the_users_if_he_writes_it(
    ours: WrittenFiles, place: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        with pytest.raises(FileError, match="No space left"):
            ours.write({place / "a.txt": "a cat", place / "b.txt": "a dog"})
    for name, text in (("a.txt", "a cat"), ("b.txt", "a dog")):
        (place / name).write_text(text)
        with pytest.raises(UsageError):
            ours.write({place / name: "new"})


def test_a_stale_temporary_file_of_ours_goes_at_the_next_write_and_nothing_else(
    ours: WrittenFiles, place: Path
):
    names = [PART, ".imgopen-fedcba9876543210.part", ".imgopen-short.part", "mine.part"]
    for name in names:
        (place / name).write_text("x")
        os.utime(place / name, (time.time() - STALE - 60,) * 2)
    os.utime(place / names[1])  # of a program that is still writing

    ours.write({place / "a.txt": "x"})

    assert sorted(content(place)) == sorted([*names[1:], "a.txt"])


# Errors of the system.


def test_errors_of_the_system_are_one_sentence_and_what_to_do(ours: WrittenFiles, place: Path):
    (place / "file").write_text("x")
    cases = {
        place / "file" / "a.txt": "choose a folder that exists",
        place / ("x" * 300): "use a shorter name",
    }
    for path, hint in cases.items():
        with pytest.raises(FileError) as caught:
            ours.write({place / "first.txt": "x", path: "x"})
        assert caught.value.message.endswith("nothing was written")
        assert caught.value.hint == hint
        assert isinstance(caught.value, OSError)
    with pytest.raises(FileError, match="choose a folder that exists"):
        ours.draft(place / "nowhere" / "a.csv").__enter__()
    assert content(place) == {"file": b"x"}


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    try:
        refused = subprocess.run(mount, capture_output=True).returncode
    except FileNotFoundError:
        refused = 1
    if refused:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_on_a_disk_that_fills_up_each_file_is_the_old_or_the_new_one(
    ours: WrittenFiles, small_disk: Path
):
    old = {small_disk / f"{i}.txt": f"old {i} " + "x" * 6000 for i in range(100)}
    new = {path: text.replace("old", "new") * 2 for path, text in old.items()}
    ours.write(old)

    with pytest.raises(FileError, match=r"No space left .* of 100 files were written") as caught:
        ours.write(new)

    assert caught.value.hint.startswith("free some space")
    found = {path: path.read_text() for path in old}
    done = [path for path in old if found[path] == new[path]]
    assert all(found[path] in (old[path], new[path]) for path in old)
    assert f": {len(done)} of 100" in caught.value.message
    assert 0 < len(done) < 100
    assert len(list(small_disk.iterdir())) == 100  # no temporary file is left

    for path in list(old)[50:]:
        path.unlink()  # room
    ours.write({path: new[path] for path in list(old)[:50]})  # all are still ours
    assert all(path.read_text() == new[path] for path in list(old)[:50])


def test_on_a_disk_that_holds_the_history_too_no_file_is_half_and_none_is_lost(small_disk: Path):
    database = Database(small_disk / "home")
    ours, names = WrittenFiles(database), [f"{number}.txt" for number in range(40)]
    ours.write({small_disk / name: f"old {name} " + "x" * 6000 for name in names})
    filler = small_disk / "filler"
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))

    new = {small_disk / name: f"new {name} " + "x" * 9000 for name in names}
    with pytest.raises(FileError, match="No space left"):
        ours.write(new)

    for path, text in new.items():
        assert path.read_text() in (text, f"old {path.name} " + "x" * 6000)
    filler.unlink()
    ours.write(new)
    assert all(path.read_text() == text for path, text in new.items())
    database.close()


def test_a_call_that_reports_a_full_disk_at_any_moment_leaves_the_old_or_the_new_file(
    ours: WrittenFiles, place: Path, monkeypatch: pytest.MonkeyPatch
):
    """`open`, `fsync`, `replace` and `link` fail at random; after each failure all is ours."""
    seed = random.randrange(10**6)
    chance, failing = random.Random(seed), [0.0]

    def fails_sometimes(name: str) -> None:
        call = getattr(os, name)

        def attempt(*args: Any, **named: Any) -> Any:
            at_risk = name == "fsync" or PART[:9] in str(args[0])
            if at_risk and chance.random() < failing[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*args, **named)

        monkeypatch.setattr(os, name, attempt)

    for name in ("open", "fsync", "replace", "link"):
        fails_sometimes(name)
    now: dict[str, str] = {}
    for turn in range(often(30, 1000)):
        new = {f"{i}.txt": f"{turn} {i}" for i in range(chance.randrange(1, 9))}
        failing[0] = 0.1
        with contextlib.suppress(FileError):
            ours.write({place / name: text for name, text in new.items()})
        found = {name: data.decode() for name, data in content(place).items()}
        assert all(text in (now.get(name), new.get(name)) for name, text in found.items()), seed
        assert set(now) <= set(found), seed
        now = found
        failing[0] = 0.0
        ours.write({place / name: text + "." for name, text in now.items()})
        now = {name: text + "." for name, text in now.items()}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_kill_at_any_moment_leaves_files_that_are_whole_and_ours(
    ours: WrittenFiles, database: Database, place: Path
):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    command = [sys.executable, "-c", WRITER, str(database.path.parent), str(place)]
    for turn in range(often(4, 40)):
        with subprocess.Popen([*command, f"w{turn}"], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.random() / 2)
            process.send_signal(signal.SIGKILL)
        for path in place.glob("*.txt"):
            _, number, filler, _ = path.read_text().split(" ")
            assert (number, filler) == (path.stem, "x" * 2000), seed
        ours.write({place / f"{i}.txt": f"mine {i} {'x' * 2000} {turn}" for i in range(60)})


# Settings and keys.


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_settings_and_keys_stay_whole_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
):
    store_setting(tmp_path, "timeout", "5")
    store_keys(tmp_path, "id", "secret")
    before = content(tmp_path)

    with monkeypatch.context() as patch:
        patch.setattr(files_module.os, call, full)
        for change in (
            lambda: store_setting(tmp_path, "timeout", "6"),
            lambda: store_keys(tmp_path, "other", "canary"),
        ):
            with pytest.raises(SettingsError, match="No space left") as caught:
                change()
            assert "canary" not in str(caught.value)
            assert "free some space" in caught.value.hint

    assert content(tmp_path) == before
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_settings_stay_whole_on_a_disk_that_is_full(small_disk: Path):
    store_setting(small_disk, "timeout", "5")
    before = content(small_disk)
    with (small_disk / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))

    with pytest.raises(SettingsError, match="No space left"):
        store_setting(small_disk, "timeout", "6")

    assert content(small_disk) | before == content(small_disk)
    assert len(content(small_disk)) == 2
