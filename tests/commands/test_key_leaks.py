"""`doctor --leaks` finds the user's key wherever it must not be, and never shows it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from urllib.parse import quote

import pytest

from imgopen_nb.commands.key_leaks import BLOCK, find_leaks
from imgopen_nb.config.credentials import Keys, Secret, store_keys
from imgopen_nb.config.settings import Settings, load
from imgopen_nb.errors import SettingsError, UsageError

KEY, SECRET = "canary-id-1f", 'canary"secret/&=2'


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    store_keys(tmp_path / "home", KEY, SECRET)
    return load(home=tmp_path / "home")


def found(settings: Settings, *files: Path) -> list[str]:
    table = find_leaks(settings, files)
    assert KEY not in repr(table)
    assert SECRET not in repr(table)
    return [str(row[1]) for row in table.rows if row[2] == "found"]


def test_a_clean_world_is_clean_and_the_key_s_own_file_does_not_count(
    settings: Settings, tmp_path: Path
):
    (tmp_path / "clean.ipynb").write_text('{"cells": []}')

    assert found(settings, tmp_path / "clean.ipynb") == []


@pytest.mark.parametrize(
    "text",
    [KEY, json.dumps({"o": SECRET}), f"https://x/?s={quote(SECRET, safe='')}", "é" * BLOCK + KEY],
    ids=["plain", "JSON", "URL", "beyond a block"],
)
def test_a_notebook_that_holds_it_is_named(settings: Settings, tmp_path: Path, text: str):
    (tmp_path / "n.ipynb").write_text(text, "utf-8")

    assert found(settings, tmp_path / "n.ipynb") == ["n.ipynb"]


def test_a_key_across_two_blocks_is_found(settings: Settings, tmp_path: Path):
    (tmp_path / "n.ipynb").write_bytes(b"x" * (BLOCK - 4) + KEY.encode())

    assert found(settings, tmp_path / "n.ipynb") == ["n.ipynb"]


def test_ipython_s_history_and_the_data_folder_are_searched(settings: Settings, tmp_path: Path):
    folder = tmp_path / "ipython" / "profile_default"
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "history.sqlite") as db:
        db.execute("CREATE TABLE history (source TEXT)")
        db.execute("INSERT INTO history VALUES (?)", (f"s = {KEY!r}",))
    (settings.home / "sandbox").mkdir()
    (settings.home / "sandbox" / "sandbox.log").write_text(KEY)

    assert found(settings) == ["history.sqlite", "sandbox.log"]


def test_without_a_key_there_is_nothing_to_look_for(tmp_path: Path):
    with pytest.raises(SettingsError, match="no access key"):
        find_leaks(Settings(home=tmp_path), [])


def test_a_file_that_cannot_be_read_is_named(settings: Settings, tmp_path: Path):
    with pytest.raises(UsageError, match=r"gone\.ipynb cannot be read"):
        find_leaks(settings, [tmp_path / "gone.ipynb"])


def test_keys_of_the_arguments_are_looked_for_as_well(tmp_path: Path):
    (tmp_path / "n.ipynb").write_text("abc-secret-9")
    keys = Keys(Secret("abc-id-9"), Secret("abc-secret-9"))

    assert found(Settings(home=tmp_path / "home", keys=keys), tmp_path / "n.ipynb") == ["n.ipynb"]
