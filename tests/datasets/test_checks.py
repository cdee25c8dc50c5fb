"""A check finds each kind of fault alone, with its image, and nothing in a clean set."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import imgopen_nb as imgopen
from imgopen_nb.datasets.checks import KINDS
from imgopen_nb.datasets.dataset import Dataset
from imgopen_nb.datasets.trainers import TRAINERS
from imgopen_nb.errors import UnknownNameError, UsageError
from imgopen_nb.images.picture import samples
from imgopen_nb.session import Session

CAPTIONS = {
    "astronaut": "ohwx, a woman in an orange suit, smile, white helmet",
    "camera": "ohwx, a man behind a camera, black coat, short hair",
    "chelsea": "ohwx, a cat looks to the left, green eyes, white whiskers",
    "coffee": "ohwx, a cup of coffee on a table, brown wood, steel spoon",
    "grace_hopper": "ohwx, an officer in uniform, american flag, “medals”, :d, ^_^",
    "rocket": "ohwx, a rocket on its launch pad, night, tall tower",
}


@pytest.fixture
def folder(cached: None, local: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clean dataset: six images of different things, each with its caption file."""
    made = tmp_path / "set"
    made.mkdir()
    for name, path in samples().items():
        shutil.copy(path, made)
        (made / f"{name}.txt").write_text(CAPTIONS[name])
    monkeypatch.chdir(made)
    return made


def found(checked: pd.DataFrame) -> set[tuple[str, str]]:
    return {(os.path.basename(row.image), row.finding) for row in checked.itertuples()}


def resized(source: str, target: str, size: tuple[int, int], **options: int) -> None:
    with Image.open(source) as image:
        image.resize(size).save(target, **options)


def text(name: str, content: str | bytes) -> None:
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)


def append(name: str, more: str) -> None:
    text(name, CAPTIONS[name.removesuffix(".txt")] + more)


def truncate(name: str) -> None:
    data = Path(name).read_bytes()
    Path(name).write_bytes(data[: len(data) // 2])


def another(name: str, size: tuple[int, int]) -> None:
    """One image more, with its caption file."""
    noise = Image.frombytes("L", (8, 8), bytes(range(3, 67)))
    noise.resize(size).save(name)
    text(name.replace(".png", ".txt"), "ohwx, dots in many greys")


def metadata(name: str, *left_out: str) -> None:
    names = [f"{each}.jpg" for each in CAPTIONS if each not in left_out]
    rows = {"csv": ["file_name,text", *(f"{n},words" for n in names)]}
    rows["jsonl"] = [f'{{"file_name": "{n}", "text": "words"}}' for n in names]
    text(name, "\n".join(rows[name.rpartition(".")[2]]) + "\n")


def save_as_gif() -> None:
    with Image.open("rocket.jpg") as image:
        image.save("rocket.gif")
    os.unlink("rocket.jpg")


def copy_with_text(source: str, target: str) -> None:
    shutil.copy(source, target)
    shutil.copy(source.replace(".jpg", ".txt"), target.replace(".jpg", ".txt"))


long_one = CAPTIONS["chelsea"] + ", " + ", ".join(f"striped {n}" for n in "abcdefghijklmnopqrstu")

Fault = tuple[str, Callable[[], object], set[tuple[str, str]]]
FAULTS: list[Fault] = [
    ("empty caption", lambda: text("coffee.txt", " \n"), {("coffee.jpg", "empty caption")}),
    ("no text file", lambda: os.unlink("coffee.txt"), {("coffee.jpg", "no text file")}),
    ("line breaks", lambda: append("coffee.txt", "\nwith sugar"), {("coffee.jpg", "line breaks")}),
    ("bom", lambda: text("coffee.txt", "\ufeff" + CAPTIONS["coffee"]),
     {("coffee.jpg", "byte order mark")}),
    ("cp1252", lambda: text("coffee.txt", (CAPTIONS["coffee"] + ", café").encode("cp1252")),
     {("coffee.jpg", "not UTF-8")}),
    ("utf-16", lambda: text("coffee.txt", "ohwx, ä".encode("utf-16")),
     {("coffee.jpg", "not UTF-8")}),
    ("same caption", lambda: text("coffee.txt", CAPTIONS["rocket"]),
     {("coffee.jpg", "same caption"), ("rocket.jpg", "same caption")}),
    ("duplicate tags", lambda: append("coffee.txt", ", Steel Spoon"),
     {("coffee.jpg", "duplicate tags")}),
    ("implied tags", lambda: append("coffee.txt", ", spoon"), {("coffee.jpg", "implied tags")}),
    ("trigger missing", lambda: text("coffee.txt", CAPTIONS["coffee"][6:]),
     {("coffee.jpg", "trigger missing")}),
    ("trigger not first", lambda: text("coffee.txt", "cup, ohwx"),
     {("coffee.jpg", "trigger not first")}),
    ("trigger misspelt", lambda: text("coffee.txt", "ohxw, cup"),
     {("coffee.jpg", "trigger misspelt")}),
    ("trigger cut in two", lambda: text("coffee.txt", "oh wx, cup"),
     {("coffee.jpg", "trigger misspelt")}),
    ("over 75", lambda: text("chelsea.txt", long_one), {("chelsea.jpg", "over 75 tokens")}),
    ("over 150", lambda: text("chelsea.txt", f"{long_one}. {long_one[6:].upper()} of old"),
     {("chelsea.jpg", "over 150 tokens")}),
    ("over 225", lambda: text("chelsea.txt", "ohwx, " + "a large grey cat and " * 60),
     {("chelsea.jpg", "over 225 tokens")}),
    ("one text file", lambda: another("rocket.png", (300, 300)),
     {("rocket.jpg", "one text file for two images"),
      ("rocket.png", "one text file for two images"),
      ("rocket.jpg", "same caption"), ("rocket.png", "same caption")}),
    ("orphan", lambda: text("gone.txt", "ohwx, a cat"),
     {("gone.txt", "text file without an image")}),
    ("unlisted", lambda: metadata("metadata.jsonl", "coffee"),
     {("coffee.jpg", "not in the metadata")}),
    ("unlisted in a csv", lambda: metadata("metadata.csv", "coffee"),
     {("coffee.jpg", "not in the metadata")}),
    ("listed, but gone", lambda: (metadata("metadata.jsonl"), os.unlink("coffee.jpg"),
                                  os.unlink("coffee.txt")),
     {("coffee.jpg", "listed image is missing")}),
    ("mixed metadata", lambda: (metadata("metadata.jsonl"), metadata("metadata.csv")),
     {("metadata.csv", "mixed metadata")}),
    ("no metadata", lambda: text("metadata.jsonl", "{not JSON"),
     {("metadata.jsonl", "unreadable metadata")}),
    ("truncated", lambda: truncate("coffee.jpg"), {("coffee.jpg", "broken image")}),
    ("no image", lambda: text("coffee.jpg", "<html>"), {("coffee.jpg", "broken image")}),
    ("too small", lambda: another("dots.png", (200, 300)), {("dots.png", "too small")}),
    ("narrow", lambda: another("dots.png", (2000, 300)), {("dots.png", "long and narrow")}),
    ("far larger", lambda: another("dots.png", (2500, 1700)), {("dots.png", "far larger")}),
    ("near-duplicate", lambda: (resized("coffee.jpg", "cup.jpg", (384, 256), quality=40),
                                text("cup.txt", "ohwx, the same cup again")),
     {("cup.jpg", "near-duplicate")}),
    ("exact copy", lambda: copy_with_text("coffee.jpg", "zup.jpg"), {("zup.jpg", "exact copy")}),
    ("format", save_as_gif, {("rocket.gif", "format not read")}),
    ("zero width", lambda: append("coffee.txt", ", ca\u200bke"),
     {("coffee.jpg", "odd characters")}),
    ("control", lambda: append("coffee.txt", ", ca\x07ke"), {("coffee.jpg", "odd characters")}),
    ("wildcard", lambda: append("coffee.txt", ", {red|blue} cup"), {("coffee.jpg", "wildcard")}),
    ("underscores", lambda: append("coffee.txt", ", red_cup"),
     {("coffee.jpg", "mixed underscores")}),
]  # fmt: skip


def test_a_clean_set_has_no_findings(folder: Path):
    ds = imgopen.dataset(folder)

    for trainer in (None, *TRAINERS):
        assert ds.check(trainer=trainer, trigger="ohwx").empty


@pytest.mark.parametrize(("make", "expected"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_each_fault_is_found_alone_and_with_its_picture(
    folder: Path, make: Callable[[], object], expected: set[tuple[str, str]]
):
    make()

    checked = imgopen.dataset(folder).check(trainer="kohya", trigger="ohwx")

    assert found(checked) == expected


def test_all_kinds_are_tried_above_or_below():
    named = {kind for _, _, expected in FAULTS for _, kind in expected}

    assert set(KINDS) - named == {"not written yet", "text file out of date"}
    assert len(named) > 25


def test_a_caption_that_is_not_in_its_file_yet_is_found(folder: Path):
    ds = imgopen.dataset(folder)
    ds.caption = {"coffee.jpg": "ohwx, a cup"}

    checked = ds.check(trainer="kohya", trigger="ohwx")

    assert found(checked) == {("coffee.jpg", "text file out of date")}
    assert checked.effect[0] == "kohya's sd-scripts: reads the old text in coffee.txt"

    (folder / "coffee.txt").unlink()
    checked = ds.check(trainer="kohya", trigger="ohwx")

    assert found(checked) == {("coffee.jpg", "not written yet")}
    assert checked.effect[0] == "kohya's sd-scripts: finds no caption file"


def test_captions_that_were_never_written_are_no_fault(folder: Path):
    for path in folder.glob("*.txt"):
        path.unlink()
    ds = imgopen.dataset(folder)
    ds.caption = {f"{name}.jpg": caption for name, caption in CAPTIONS.items()}

    assert ds.check(trainer="kohya", trigger="ohwx").empty


def test_rejected_pictures_are_not_checked(folder: Path):
    append("coffee.txt", ", {red|blue} cup")
    truncate("rocket.jpg")
    ds = imgopen.dataset(folder)
    ds.reject(["coffee.jpg", "rocket.jpg"])

    assert ds.check(trainer="kohya").empty


def test_a_set_without_a_trigger_is_not_asked_for_one(folder: Path):
    text("coffee.txt", "a cup")

    assert imgopen.dataset(folder).check().empty


def test_what_the_rules_mend_is_found_no_more(folder: Path):
    """The check and the rules agree on which tags are equal, implied, and written with spaces."""
    ds = imgopen.dataset(folder)
    text(
        "coffee.txt",
        r"ohwx, a cup, hat, no hat, Red_Cup, cup, red cup, ^_^, ^_^, cat \(x\), cat (x)",
    )
    text("rocket.txt", "ohwx, no fire, fire, without smoke, smoke, ^_^")
    ds = imgopen.dataset(folder)
    kinds = {"duplicate tags", "implied tags", "mixed underscores"}
    checked = ds.check(pictures=False)
    assert set(checked.finding) == kinds
    assert set(map(os.path.basename, checked.image)) == {"coffee.jpg"}

    for step in (ds.tags.dedupe, ds.tags.drop_implied, ds.tags.spaces):
        step(where="coffee.jpg")

    assert not kinds & set(ds.check(pictures=False).finding)
    assert ds.tags.drop_implied().changed == ds.tags.dedupe().changed == 0


def test_bare_triggers_are_not_the_same_caption(folder: Path):
    for path in folder.glob("*.txt"):
        path.write_text("ohwx")

    assert imgopen.dataset(folder).check(trigger="OHWX").empty


def test_an_effect_is_what_that_trainer_does(folder: Path):
    append("coffee.txt", "\nwith sugar")
    ds = imgopen.dataset(folder)

    effects = {name: list(ds.check(trainer=name).effect) for name in TRAINERS}

    assert effects["kohya"] == ["kohya's sd-scripts: reads the first line only"]
    assert effects["onetrainer"][0].startswith("OneTrainer: reads each line as a separate caption")
    assert effects["diffusers"] == [""]
    assert list(ds.check().effect) == [""]


def test_each_kind_has_a_severity_and_an_effect_on_some_trainer():
    for name, kind in KINDS.items():
        assert kind.severity in ("error", "warning", "note")
        assert any(kind.effect(trainer) for trainer in TRAINERS.values()), name


def test_the_token_limit_can_be_given(folder: Path):
    ds = imgopen.dataset(folder)

    checked = ds.check(limit=16)

    assert ("grace_hopper.jpg", "over 16 tokens") in found(checked)
    assert "estimated" in checked.detail[0]


def test_the_frame_is_of_plain_texts(folder: Path):
    append("coffee.txt", ", ca\u202eke")
    checked = imgopen.dataset(folder).check()

    assert list(checked.columns) == ["image", "finding", "severity", "detail", "effect"]
    assert {str(dtype) for dtype in checked.dtypes} == {"string"}
    assert checked.detail[0] == "U+202E"


def test_findings_choose_pictures(folder: Path):
    truncate("coffee.jpg")
    ds = imgopen.dataset(folder)

    ds.reject(ds.check().image, note="broken")

    assert [Path(entry.image).name for entry in ds.entries if entry.rejected] == ["coffee.jpg"]


def test_pictures_are_not_opened_if_that_is_not_wanted(folder: Path):
    truncate("coffee.jpg")

    assert imgopen.dataset(folder).check(pictures=False).empty


def test_metadata_above_the_pictures_counts(folder: Path):
    deep = folder / "deep"
    deep.mkdir()
    for name in ("camera", "rocket"):
        os.rename(f"{name}.jpg", deep / f"{name}.jpg")
        os.rename(f"{name}.txt", deep / f"{name}.txt")
    names = [*(f"{n}.jpg" for n in CAPTIONS if n not in ("camera", "rocket")), "deep/camera.jpg"]
    text("metadata.jsonl", "".join(f'{{"file_name": "{n}", "text": "x"}}\n' for n in names))

    checked = imgopen.dataset([str(folder), str(deep)]).check(trainer="imagefolder")

    assert found(checked) == {("rocket.jpg", "not in the metadata")}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"trainer": "kohia"}, UnknownNameError), ({"trigger": "..."}, UsageError),
        ({"limit": 0}, UsageError), ({"limit": "75"}, UsageError),
    ],
)  # fmt: skip
def test_what_is_no_trainer_trigger_or_limit_is_refused(
    folder: Path, options: dict[str, object], error: type[Exception]
):
    ds: Dataset = imgopen.dataset(folder)

    with pytest.raises(error):
        ds.check(**options)  # type: ignore[arg-type]


def test_a_picture_in_memory_is_checked_too(local: Session):
    out = io.BytesIO()
    Image.new("RGB", (300, 300), "red").save(out, "PNG")

    checked = imgopen.dataset([out.getvalue()]).check(trainer="kohya")

    assert list(checked.finding) == ["empty caption"]


def test_files_in_a_store_are_checked(folder: Path):
    from upath import UPath

    bucket = UPath("memory://checked/set")
    bucket.mkdir(parents=True, exist_ok=True)
    append("coffee.txt", "\nwith sugar")
    for path in folder.iterdir():
        (bucket / path.name).write_bytes(path.read_bytes())
    (bucket / "gone.txt").write_text("ohwx")
    (bucket / "rocket.txt").unlink()

    checked = imgopen.dataset("memory://checked/set").check(trainer="kohya", trigger="ohwx")

    assert found(checked) == {
        ("coffee.jpg", "line breaks"), ("gone.txt", "text file without an image"),
        ("rocket.jpg", "no text file"),
    }  # fmt: skip
