"""The table of trainers, and the configurations that it writes."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from imgopen_nb.datasets.trainers import SHARDS, TRAINERS, Setup
from imgopen_nb.session import Session

from . import readers
from .sets import png

ODD = ('a "b" \\ c', "# [x] = ${1}", "line\nbreak", "u\u2028\x85\ufeffx", "猫's", "a: b, {c}")


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("word", ODD)
def test_a_folder_of_any_name_is_in_the_configuration_as_it_is(name: str, word: str):
    trainer, folder = TRAINERS[name], f"/sets/{word}"
    setup = Setup("set", folder, [folder, f"{folder}2"], [(f"{word}.png", "a cat")])

    text = trainer.content(setup, trainer.command(setup))

    if trainer.configuration.endswith(".toml"):
        said = str(tomllib.loads(text))
    elif trainer.configuration.endswith(".yaml"):
        said = str(yaml.safe_load(text))
    else:
        said = str([json.loads(line) for line in text.split("\n") if line] if ".jsonl" in
                   trainer.configuration else json.loads(text or "0"))  # fmt: skip
    if trainer.layout != SHARDS:
        assert repr(word)[1:-1] in said or repr(f"{word}.png")[1:-1] in said


@pytest.mark.parametrize("name", ["kohya", "musubi", "ai-toolkit"])
def test_the_command_line_is_a_comment_above_the_configuration(name: str):
    trainer = TRAINERS[name]
    setup = Setup("set", "/sets/x", ["/sets/x"])
    command = trainer.command(setup)

    lines = trainer.content(setup, command).splitlines()

    assert f"# {command}" in lines[:3]
    assert lines[0] == f"# Written by imgopen_nb for {trainer.title}." or "musubi" in lines[0]


def test_kohyas_configuration_says_which_files_are_captions():
    trainer = TRAINERS["kohya"]
    text = trainer.content(Setup("set", "/x", ["/x"]), "")

    assert 'caption_extension = ".txt"' in text
    assert "[[datasets.subsets]]" in text  # its parser knows no tables within a line


@pytest.mark.parametrize("name", TRAINERS)
def test_every_row_says_what_the_trainer_does(name: str):
    trainer = TRAINERS[name]

    assert trainer.name == name
    assert trainer.missing
    assert trainer.unread
    odd = (trainer.line_breaks, trainer.empty, trainer.bom, trainer.encoding)
    assert all(odd) if trainer.caption_files else not any(odd)
    for sentence in (*odd, trainer.missing, trainer.unread):
        assert not sentence.endswith(".")


@pytest.mark.parametrize(
    ("name", "taken", "left"),
    [
        ("kohya", ["a.png", "a.JPG", "a.webp", "a.bmp"], ["a.gif", "a.Png", "a.tif", "a.avif"]),
        ("musubi", ["a.png", "a.JPEG"], ["a.gif", "a.Jpg"]),
        ("onetrainer", ["a.Png", "a.tiff", "a.bmp"], ["a.gif", "a.avif"]),
        ("ai-toolkit", ["a.jpeg", "a.WebP"], ["a.bmp", "a.gif", "a.tif"]),
        ("simpletuner", ["a.gif", "a.avif", "a.tif"], ["a"]),
        ("imagefolder", ["a.gif", "a.tif"], ["a.avif"]),
    ],
)
def test_what_pictures_a_trainer_takes(name: str, taken: list[str], left: list[str]):
    assert all(map(TRAINERS[name].takes, taken))
    assert not any(map(TRAINERS[name].takes, left))


def test_what_the_rows_say_of_odd_files_is_what_the_readers_do(session: Session, tmp_path: Path):
    """An empty file, one with a byte order mark, one with two lines, and one in another code."""
    odd = {"empty": b"", "bom": b"\xef\xbb\xbfa", "line_breaks": b"a\nb", "encoding": b"caf\xe9"}
    for field, data in odd.items():
        folder = tmp_path / field
        folder.mkdir()
        (folder / "x.png").write_bytes(png(1))
        for name, trainer in TRAINERS.items():
            if not trainer.caption_files:
                continue
            (folder / "x.txt").write_bytes(b"words")
            ds = session.dataset(folder)
            ds.write(trainer=name)
            (folder / "x.txt").write_bytes(data)
            reader = getattr(readers, name.replace("-", "_"))
            try:
                said = repr(reader(folder / trainer.configuration)[str(folder / "x.png")])
            except (readers.ReaderError, UnicodeDecodeError):
                said = "an error"
            promised = getattr(trainer, field)
            if "error" in promised:
                assert said == "an error", (name, field)
            elif "mark" in promised:
                assert "\\ufeff" in said, (name, field)
            elif "empty" in promised:
                assert said in ("''", "['']"), (name, field)
            elif "first line" in promised:
                assert said == "'a'", (name, field)
            elif "each line" in promised:
                assert said == "['a', 'b']", (name, field)
            else:
                assert said == "'a\\nb'", (name, field, promised)
