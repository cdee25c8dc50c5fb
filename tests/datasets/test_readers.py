"""What is written is read back as each trainer reads it: captions of anything, by each trainer."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from imgopen_nb.datasets.dataset import Dataset
from imgopen_nb.datasets.trainers import TRAINERS
from imgopen_nb.session import Session

from ..conftest import often
from . import readers
from .sets import hostile, make_pictures, png

NUMBER = often(250, 1000)
TEXT_TRAINERS = ("kohya", "onetrainer", "ai-toolkit", "simpletuner", "musubi")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about content, not about what survives a power cut."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def captions() -> list[str]:
    return hostile(NUMBER, random.randrange(10**6))


def as_line(caption: str) -> str:
    """Return what is to be read: each line break is a space, and nothing is around it."""
    return re.sub(r"^[\s\ufeff]+|[\s\ufeff]+$", "", " ".join(caption.splitlines()))


@pytest.fixture
def written(
    session: Session, tmp_path: Path, captions: list[str]
) -> tuple[Dataset, dict[str, str]]:
    """A dataset, and the captions that a trainer is to read, by name."""
    paths = make_pictures(tmp_path / "set", NUMBER)
    ds = session.dataset(tmp_path / "set")
    ds.caption = pd.Series(captions)
    # Controls are not taken into a caption at all.
    clean = [re.sub("[\x00-\x08\x0b-\x1f\x7f]", "", c.replace("\r\n", "\n")) for c in captions]
    return ds, {path.name: as_line(text) for path, text in zip(paths, clean, strict=True)}


def by_name(found: dict[str, Any]) -> dict[str, Any]:
    return {os.path.basename(path): text for path, text in found.items()}


def test_each_trainer_reads_every_caption_beside_its_picture(
    written: tuple[Dataset, dict[str, str]], tmp_path: Path
):
    ds, expected = written
    folder = tmp_path / "set"
    for name in (*TEXT_TRAINERS[:-1], "imagefolder", "diffusers", "llava"):
        ds.write(trainer=name)

    assert by_name(readers.kohya(folder / "dataset.toml")) == expected
    assert by_name(readers.ai_toolkit(folder / "ai-toolkit.yaml")) == expected
    assert by_name(readers.simpletuner(folder / "multidatabackend.json")) == expected
    lines = by_name(readers.onetrainer(folder / "concepts.json"))
    assert lines == {name: [text] for name, text in expected.items()}
    assert by_name(readers.imagefolder(folder)) == expected
    assert by_name(readers.llava(folder / "llava.json", folder)) == expected
    ds.write(trainer="musubi")  # its configuration has the name of kohya's
    assert by_name(readers.musubi(folder / "dataset.toml")) == expected
    for path in folder.glob("*.txt"):
        data = path.read_bytes()
        assert data, path
        assert not data.startswith(b"\xef\xbb\xbf"), path
        assert len(data.decode("utf-8").splitlines()) == 1, path


def test_the_shards_hold_every_picture_with_its_caption(
    written: tuple[Dataset, dict[str, str]], tmp_path: Path
):
    ds, expected = written
    ds.write(tmp_path / "shards", trainer="webdataset")

    found = readers.webdataset(tmp_path / "shards")
    assert {row["png"]: row["txt"].decode() for row in found} == {
        png(at): text for at, text in enumerate(expected.values())
    }
    assert all(set(row) == {"__key__", "png", "txt", "json"} for row in found)
    assert all(json.loads(row["json"])["text"] == row["txt"].decode() for row in found)


@pytest.mark.parametrize("name", [name for name in TRAINERS if name != "webdataset"])
@pytest.mark.parametrize("images", ["copy", "link"])
def test_each_trainer_reads_pictures_with_hard_names_in_a_folder_of_their_own(
    session: Session, tmp_path: Path, name: str, images: str
):
    """Among them some of one stem in two folders, dots, brackets, and capitals in the suffix."""
    names = (
        "a/cat.png", "b/cat.png", "b/CAT.PNG", "a/Cat.Png", "a/x.y.z.png", "a/shot[1].png",
        "a/.hidden.png", "a/größe.png", "a/Shot 10:11:12.png", "b/a_1_2_3_4.png", "b/a.png",
        "b/con.png", "a/test.png", "a/#1.png", "b/x%20y.png", "b/猫.png",
    )  # fmt: skip
    for at, each in enumerate(names):
        path = tmp_path / "in" / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(at))
    ds = session.dataset([str(tmp_path / "in" / each) for each in names])
    ds.caption = pd.Series([f"caption of {each}" for each in names])

    done = ds.write(tmp_path / "out", trainer=name, images=images)

    out = tmp_path / "out"
    given = out if TRAINERS[name].layout == "metadata" else out / TRAINERS[name].configuration
    reader = getattr(readers, name.replace("-", "_"))
    found = reader(given, out) if name == "llava" else reader(given)
    expected = {png(at): f"caption of {each}" for at, each in enumerate(names)}
    texts = {Path(p).read_bytes(): "".join(text) for p, text in found.items()}
    assert texts == expected
    assert done.counts["left"] == 0
    assert ds.undo() == done.name
    assert not out.exists()


def test_two_folders_of_pictures_are_two_sets_in_the_configuration(
    session: Session, tmp_path: Path
):
    for at, folder in enumerate(("one", "two")):
        make_pictures(tmp_path / "sets" / folder, 1)[0].write_bytes(png(at))
    ds = session.dataset([str(path) for path in (tmp_path / "sets").rglob("*.png")])
    ds.caption = {"*": "words"}

    for name in TEXT_TRAINERS:
        ds.write(trainer=name)
        reader = getattr(readers, name.replace("-", "_"))
        found = reader(tmp_path / "sets" / TRAINERS[name].configuration)
        assert len(found) == 2, name
        ds.undo()


def test_hugging_face_datasets_reads_what_is_written_for_it(session: Session, tmp_path: Path):
    """The real library, with the very command line that is given."""
    captions = hostile(40, 5)
    make_pictures(tmp_path / "set", 40)
    make_pictures(tmp_path / "set" / "more", 41)[40].rename(tmp_path / "set" / "test.png")
    for path in (tmp_path / "set" / "more").iterdir():
        path.unlink()
    ds = session.dataset(tmp_path / "set")
    ds.caption = pd.Series([*captions, "the last"])
    done = ds.write(tmp_path / "out", trainer="imagefolder", images="copy")
    shards = ds.write(tmp_path / "shards", trainer="webdataset")

    code = (
        "import sys, json; from datasets import load_dataset\n"
        "folder, shards = sys.argv[1:]\n"
        'one = load_dataset("imagefolder", data_files={"train": folder + "/**"}, split="train")\n'
        'two = load_dataset("webdataset", data_files=shards + "/*.tar", split="train")\n'
        'print(json.dumps([sorted(one["text"]), sorted(two["txt"]), one.column_names]))'
    )
    assert json.dumps({"train": f"{tmp_path}/out/**"}) in done.command
    assert json.dumps(f"{tmp_path}/shards/*.tar") in shards.command
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "out", tmp_path / "shards"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_DATASETS_OFFLINE": "1"},
    )

    texts, lines, columns = json.loads(ran.stdout)
    clean = [re.sub("[\x00-\x08\x0b-\x1f\x7f]", "", c.replace("\r\n", "\n")) for c in captions]
    expected = sorted([*map(as_line, clean), "the last"])
    assert texts == expected
    assert lines == expected
    assert columns == ["image", "text"]
