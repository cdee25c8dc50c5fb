"""The setting `pictures`: what it takes, what it refuses in one sentence, and what it hides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgopen_nb import cli
from imgopen_nb.config.settings import load, store_setting
from imgopen_nb.errors import SettingsError

from ..folder_server import register_stores

PASSWORD = "canary-password-1b2c"
SECRETS = (
    f"photos=https://me:{PASSWORD}@e.org/",
    f"photos=https://{PASSWORD}@e.org/",
    f"photos=https://e.org/?token={PASSWORD}",
    f"photos=https://e.org/#{PASSWORD}",
    f"s3://key:{PASSWORD}@bucket/set",
    f"photos=ftp://me:{PASSWORD}@e.org/",
    f"photos=https://me:{PASSWORD}@[::1/",
)
BAD = (
    "photos",
    "photos=",
    "photos=pictures.example.org",
    "photos=https://",
    "photos=https:///x",
    "photos=https://e.org:99999/",
    "https://e.org/",
    "nowhere=https://e.org/",
    "photos=zzz://bucket",
    "photos=memory://bucket",
    "photos=file:///srv",
    "photos=simplecache::s3://bucket",
    "photos=https://e.org/,photos=https://f.org/",
    "signing://a,signing://b",
    '{"photos": 1}',
    '{"photos": ',
    '["photos"]',
    '{"pho\\u0000tos": "https://e.org/"}',
)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register_stores()
    (tmp_path / "photos").mkdir()
    (tmp_path / "a=b, c").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("photos=https://e.org/p", {"photos": "https://e.org/p/"}),
        (
            " photos = https://e.org/ , signing://bucket/set/",
            {"photos": "https://e.org/", "": "signing://bucket/set"},
        ),
        ('{"a=b, c": "https://e.org/"}', {"a=b, c": "https://e.org/"}),
        ("photos=signing://bucket", {"photos": "signing://bucket"}),
        ("", {}),
        ({"photos": "HTTPS://e.org:8443"}, {"photos": "https://e.org:8443/"}),
    ],
)
def test_what_is_given_is_kept_with_absolute_folders(tmp_path: Path, given: str, kept: object):
    stored = store_setting(tmp_path, "pictures", given)

    assert stored == {str(tmp_path / f) if f else "": a for f, a in kept.items()}  # type: ignore[attr-defined]
    assert load(home=tmp_path).pictures == stored


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store_setting(tmp_path, "pictures", "photos=https://e.org/")
    monkeypatch.setenv("IMGOPEN_PICTURES", "photos=https://other.org/")

    assert list(load(home=tmp_path).pictures.values()) == ["https://other.org/"]


@pytest.mark.parametrize("given", [*BAD, *SECRETS])
def test_what_cannot_be_used_is_refused_in_one_sentence_without_its_password(
    tmp_path: Path, given: str
):
    with pytest.raises(SettingsError) as caught:
        store_setting(tmp_path, "pictures", given)

    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 250
    assert PASSWORD not in f"{caught.value!r} {caught.value}"
    assert not (tmp_path / "settings.json").exists()


def test_a_store_that_signs_nothing_is_refused_with_the_reason(tmp_path: Path):
    with pytest.raises(SettingsError, match="memory:// cannot sign addresses"):
        store_setting(tmp_path, "pictures", "memory://bucket")


def test_a_store_whose_package_is_missing_says_which(tmp_path: Path):
    with pytest.raises(SettingsError, match="needs a package") as caught:
        store_setting(tmp_path, "pictures", "dropbox://pictures")
    assert "dropbox" in caught.value.hint.lower()


def test_a_file_with_a_password_in_it_is_told_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "settings.json").write_text(
        json.dumps({"pictures": {"photos": f"https://me:{PASSWORD}@e.org/"}})
    )
    monkeypatch.setenv("IMGOPEN_HOME", str(tmp_path))

    assert cli.main(["history"]) != 0
    said = capsys.readouterr().err
    assert said.startswith("imgopen: pictures:")
    assert PASSWORD not in said


def test_save_is_a_folder_that_can_be_written(tmp_path: Path):
    assert store_setting(tmp_path, "save", "made/here") == str(tmp_path / "made" / "here")
    assert store_setting(tmp_path, "save", "") == ""
    (tmp_path / "file").touch()
    for given in ("file", "file/below", "\0", "s3://bucket/kept", "https://e.org/"):
        with pytest.raises(SettingsError, match="save"):
            store_setting(tmp_path, "save", given)
