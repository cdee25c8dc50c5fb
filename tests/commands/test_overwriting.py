"""Commands that write a file leave a file of the user alone, before they do anything else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imgopen_nb import session as session_module
from imgopen_nb.cli import main
from imgopen_nb.sandbox import process


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    session_module.current().close()


def test_the_demo_does_not_begin_where_its_report_would_replace_a_file_of_the_user(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(process, "SandboxProcess", None)  # nothing may start one
    (folder / "imgopen-demo.html").write_text("mine")

    assert main(["demo"]) == 2

    said = capsys.readouterr()
    assert "imgopen-demo.html was not written by imgopen_nb" in said.err
    assert "--overwrite" in said.err
    assert (said.out, (folder / "imgopen-demo.html").read_text()) == ("", "mine")


def test_an_export_replaces_its_own_file_and_one_of_the_user_only_if_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    file = folder / "history.csv"
    file.write_text("mine")

    assert main(["export", "history.csv"]) == 2
    assert "history.csv was not written by imgopen_nb" in capsys.readouterr().err
    assert file.read_text() == "mine"

    assert main(["export", "history.csv", "--overwrite"]) == 0
    assert main(["export", "history.csv"]) == 0
    assert file.read_text("utf-8-sig").startswith("task_id,")


def test_an_export_that_cannot_be_written_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["export", "nowhere/history.csv"]) == 1

    said = capsys.readouterr().err
    assert "nowhere/history.csv cannot be written (No such file or directory)" in said
    assert "choose a folder that exists" in said
