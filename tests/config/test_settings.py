"""Where the home folder is, and what a settings file that cannot be used is told as."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from imgopen_nb import cli
from imgopen_nb.config.settings import home_folder, load, store_setting
from imgopen_nb.errors import SettingsError
from imgopen_nb.session import Session


def deep(levels: int, of: str = "[]") -> bytes:
    return b'{"paths": ' + of[0].encode() * levels + of[1].encode() * levels + b"}"


def nested_objects(levels: int) -> bytes:
    return b'{"fields": ' + b'{"a": ' * levels + b"1" + b"}" * (levels + 1)


BROKEN: dict[str, bytes] = {
    "10,000 lists": deep(10_000),
    "500 lists": deep(500),
    "100,000 lists, cut off": b"[" * 100_000,
    "10,000 objects": nested_objects(10_000),
    "300 objects": nested_objects(300),
    "another code page": '{"model": "é"}'.encode("latin-1"),
    "UTF-16": '{"model": "clip"}'.encode("utf-16"),
    "zeros": bytes(500),
    "a zero in it": b'{"model": "clip"\0}',
    "nothing": b"",
    "2 MB": json.dumps({"model": "x" * 2_000_000}).encode(),
    "a list": b"[]",
    "a number of 5,000 digits": b'{"timeout": ' + b"9" * 5000 + b"}",
    "cut off": b'{"model": "cl',
    "a list as a timeout": b'{"timeout": [[1]]}',
    "a list as paths": b'{"paths": [1]}',
    "a text as fields": b'{"fields": "erase"}',
    "a list as fields": b'{"fields": [1]}',
    "an object as an address": b'{"base_url": {"a": 1}}',
    "half a bracket as an address": b'{"base_url": "http://[::1"}',
    "a port of 99,999": b'{"base_url": "http://x.invalid:99999"}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_settings_file_is_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """n = 21 files: in Python, and on the command line without a traceback."""
    (tmp_path / "settings.json").write_bytes(BROKEN[name])
    with pytest.raises(SettingsError) as caught:
        load(home=tmp_path)
    assert len(caught.value.message) < 300 + len(str(tmp_path))
    assert "\n" not in caught.value.message

    monkeypatch.setenv("IMGOPEN_HOME", str(tmp_path))
    assert cli.main(["history"]) != 0
    assert capsys.readouterr().err.startswith("imgopen: ")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
def test_a_settings_file_that_is_no_file_is_told(make: Callable[[Path], None], tmp_path: Path):
    make(tmp_path / "settings.json")
    with pytest.raises(SettingsError, match=r"settings\.json is (a folder|not an ordinary file)"):
        load(home=tmp_path)
    with pytest.raises(SettingsError, match=r"settings\.json is"):
        store_setting(tmp_path, "rate", "1")


@pytest.mark.parametrize("name", ["paths", "fields"])
def test_a_deep_value_is_not_stored(name: str, tmp_path: Path):
    with pytest.raises(SettingsError):
        store_setting(tmp_path, name, '{"erase": ' * 5000 + "1" + "}" * 5000)
    assert not (tmp_path / "settings.json").exists()


def test_a_settings_file_may_begin_as_windows_editors_do(tmp_path: Path):
    (tmp_path / "settings.json").write_bytes(b'\xef\xbb\xbf{"timeout": 5}')
    assert load(home=tmp_path).timeout == 5


def test_a_relative_home_stays_where_it_was_at_the_first_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also for the programs that this one starts later, from another folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGOPEN_HOME", "history")
    first = home_folder()
    os.chdir("work")

    assert first == home_folder() == tmp_path / "history"
    with Session() as session:
        session.rows()
    code = "from imgopen_nb.config.settings import home_folder as h; print(h())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.stdout.strip() == str(tmp_path / "history")
    assert (tmp_path / "history" / "imgopen.sqlite").exists()
    assert list((tmp_path / "work").iterdir()) == []


def test_a_relative_home_of_a_session_stays_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with Session(home="mine") as session:
        monkeypatch.chdir("/")
        session.rows()
        assert session.settings.home == tmp_path / "mine"
    assert (tmp_path / "mine" / "imgopen.sqlite").exists()


@pytest.mark.parametrize("given", ["", "  ", "\t"])
def test_an_empty_home_is_none(given: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("IMGOPEN_HOME", given)
    assert home_folder() == tmp_path / "imgopen_nb"


def test_blanks_around_a_home_do_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("IMGOPEN_HOME", f" {tmp_path}/a b ")
    assert home_folder() == tmp_path / "a b"


def test_a_home_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IMGOPEN_HOME", "~/x/../y")
    assert home_folder() == tmp_path / "y"


def test_the_folder_of_nobody_is_told_by_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGOPEN_HOME", "~there-is-no-such-user/x")
    with pytest.raises(SettingsError, match=r"^IMGOPEN_HOME is '~there-is"):
        home_folder()


def test_a_relative_home_in_a_folder_that_is_gone_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv("IMGOPEN_HOME", "x")
    with pytest.raises(SettingsError, match="the current folder no longer exists"):
        home_folder()
    monkeypatch.undo()


@pytest.mark.parametrize("words", [["history"], ["config"], ["describe", "x.png"], ["doctor"]])
def test_a_user_without_home_and_name_is_told_what_to_set(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """As in a container that runs with a bare user id."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("HOME", "IMGOPEN_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)

    assert cli.main(words) != 0
    told = capsys.readouterr().err
    assert told.startswith("imgopen: there is no folder for the history")
    assert "IMGOPEN_HOME" in told
    assert len(told.splitlines()) == 2
