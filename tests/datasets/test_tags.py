"""`ds.merge` and `ds.tags`: each a step with a name; rules can be saved and applied again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import imgopen_nb as imgopen
from imgopen_nb.datasets.dataset import Dataset
from imgopen_nb.errors import ImgOpenError, UsageError
from imgopen_nb.session import Session

from ..conftest import often
from .test_rules import EVERY, PIECES
from .test_selection import png

SAID: dict[str, dict[str, object]] = {
    "clip": {"caption": "A close-up of a grey tabby cat, lying on a sofa."},
    "deepdanbooru": {
        "caption": "close-up, cat, grey_fur, no_humans",
        "tags": [
            {"name": name, "score": score}
            for name, score in (("close-up", 0.9), ("cat", 0.8), ("grey_fur", 0.7),
                                ("no_humans", 0.3))
        ],
    },
}  # fmt: skip


def described(folder: Path) -> Dataset:
    """Return a dataset whose history has what both models said of each image."""
    table = imgopen.current().manager.table
    for at, entry in enumerate(imgopen.dataset(folder).entries):
        for model, said in SAID.items():
            table.add({
                "task_id": f"{model}{at}", "operation": "describe", "model": model,
                "image": entry.image, "picture": entry.picture, "params": {}, "backend": "sandbox",
                "status": "succeeded", "created": 1e9, "submitted": 1e9, "finished": 1e9, **said,
            })  # fmt: skip
    return imgopen.dataset(folder)


@pytest.fixture
def folder(cached: None, local: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, colour in {"a.png": "red", "b.png": "blue", "c.png": "green"}.items():
        (tmp_path / name).write_bytes(png(colour))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ds(folder: Path) -> Dataset:
    made = imgopen.dataset(folder)
    made.caption = {
        "a.png": "a grey cat on a sofa, in the sun, red_hair, shirt, white shirt, ^_^, cat, cat",
        "b.png": "Cat, hat (red), blurry",
        "c.png": "dog, blurry",
    }
    return made


def texts(ds: Dataset) -> list[str]:
    return [entry.caption for entry in ds.entries]


def test_each_rule_changes_what_it_says_and_is_one_step(ds: Dataset):
    sentence = "a grey cat on a sofa, in the sun"
    ds.tags.spaces()
    assert texts(ds)[0] == f"{sentence}, red hair, shirt, white shirt, ^_^, cat, cat"
    ds.tags.drop_implied()
    assert texts(ds)[0] == f"{sentence}, red hair, white shirt, ^_^, cat, cat"
    ds.tags.dedupe()
    assert texts(ds)[0] == f"{sentence}, red hair, white shirt, ^_^, cat"
    ds.tags.remove("CAT", "blurry")
    assert texts(ds) == [f"{sentence}, red hair, white shirt, ^_^", "hat (red)", "dog"]
    ds.tags.escape()
    assert texts(ds)[1] == r"hat \(red\)"
    ds.tags.add("ohwx", first=True, where=["b.png", "c.png"])
    assert texts(ds)[1:] == [r"ohwx, hat \(red\)", "ohwx, dog"]
    ds.tags.rename("dog", "big dog")
    ds.tags.replace("grey", "tabby")
    assert texts(ds)[0].startswith("a tabby cat on a sofa, in the sun")
    ds.tags.suffix(", by night", where="c.png")
    assert texts(ds)[2] == "ohwx, big dog, by night"
    assert len(ds.steps) == 10

    while ds.undo():
        pass
    assert texts(ds) == ["", "", ""]


def test_counts_tell_those_of_a_selection_beside_those_of_all(ds: Dataset):
    found = ds.tags.counts(where="c.png").set_index("tag")

    assert found.loc["blurry", ["count", "selected"]].tolist() == [2, 1]
    assert found.loc["dog", ["count", "selected"]].tolist() == [1, 1]
    assert "in the sun" not in found.index


def test_a_caption_that_would_be_empty_stays(ds: Dataset):
    done = ds.tags.remove("dog", "blurry")

    assert texts(ds)[2] == "dog, blurry"
    assert "would become empty" in repr(done)


def test_rejected_pictures_are_left_alone(ds: Dataset):
    ds.reject("c.png")
    ds.tags.add("ohwx", first=True)

    assert texts(ds)[2] == "dog, blurry"


def test_rules_are_saved_and_applied_to_tomorrows_pictures(ds: Dataset, folder: Path):
    ds.tags.remove("blurry")
    ds.tags.dedupe()
    ds.undo()
    ds.tags.add("ohwx", first=True)
    ds.save_rules("rules.toml")
    (folder / "d.png").write_bytes(png("white"))
    again = imgopen.dataset(folder)
    again.caption = {"d.png": "bird, blurry"}

    again.apply("rules.toml")

    assert [rule["rule"] for rule in ds.rules][:2] == ["remove", "add"]
    assert texts(again)[3] == "ohwx, bird"
    assert texts(again)[:3] == texts(ds)[:3]
    (folder / "rules.toml").write_text((folder / "rules.toml").read_text() + "# mine\n")
    with pytest.raises(UsageError, match="not written by imgopen_nb, or edited since"):
        again.save_rules("rules.toml")


def test_the_rules_of_a_dataset_applied_again_change_nothing(ds: Dataset):
    ds.tags.add("ohwx", first=True)
    ds.tags.prefix("photo of ")
    ds.tags.replace("cat", "tom")
    before, rules, steps = texts(ds), ds.rules, len(ds.steps)

    ds.apply(ds.rules)

    assert (texts(ds), ds.rules, len(ds.steps)) == (before, rules, steps)
    assert before[2] == "photo of ohwx, dog, blurry"


def test_cells_that_run_again_change_nothing(ds: Dataset):
    def cells() -> list[str]:
        ds.tags.add("ohwx", first=True)
        ds.tags.add("photograph")
        ds.tags.prefix("photo of ")
        ds.tags.suffix("by night")
        return texts(ds)

    before = cells()

    assert cells() == before
    ds.caption = {"c.png": before[2].replace("dog", "wolf")}  # edited by hand
    assert cells()[2] == before[2].replace("dog", "wolf")
    assert before[2] == "photo of ohwx, dog, blurry, photograph by night"


def test_more_rules_go_on_where_the_caption_is(ds: Dataset):
    first = [{"rule": "add", "tag": "ohwx", "first": True},
             {"rule": "replace", "pattern": "ohwx", "new": "sks"}]  # fmt: skip
    ds.apply(first)

    ds.apply([*first, {"rule": "remove", "tags": ["blurry"]}])

    assert texts(ds)[1:] == ["sks, Cat, hat (red)", "sks, dog"]


@pytest.mark.parametrize("seed", range(often(12, 2000)))
def test_any_list_of_rules_applied_again_changes_nothing(ds: Dataset, seed: int):
    """Random rules of all kinds, on random captions, twice and a third time."""
    dice = random.Random(seed)
    several = dice.choices(EVERY, k=dice.randint(2, 8))
    made = [", ".join(dice.choices(PIECES, k=dice.randint(1, 7))) or "x" for _ in range(3)]
    made = [text if text.strip(", \r\n\t") else "cat" for text in made]
    ds.caption = dict(zip(("a.png", "b.png", "c.png"), made, strict=True))

    ds.apply(several)
    once = texts(ds)
    ds.apply(several)
    ds.apply(ds.rules)

    assert texts(ds) == once, several


def test_a_tag_that_no_caption_has_is_told_and_makes_no_step(ds: Dataset):
    done = ds.tags.remove("blury")

    assert repr(done).endswith('no caption has the tag "blury"; did you mean blurry?')
    assert not ds.rules
    done = ds.tags.rename("dogg", "wolf")
    assert 'no caption has the tag "dogg"' in repr(done)
    assert not ds.rules
    done = ds.tags.remove("blurry", "mouse")
    assert 'no caption has the tag "mouse"' in repr(done)
    assert len(ds.rules) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("rules = [", "not valid TOML"),
        ('rules = [{ rule = "ad", tag = "x" }]', "rule 1"),
        ('rules = [{ rule = "dedupe" }, { rule = "add" }]', "rule 2"),
        ('rules = [{ rule = "add", tag = "x", frist = true }]', "frist"),
        ("rules = 5", "rules"),
    ],
)
def test_a_rules_file_that_does_not_fit_changes_nothing(
    ds: Dataset, folder: Path, content: str, said: str
):
    (folder / "rules.toml").write_text(content)
    before = texts(ds)

    with pytest.raises(ImgOpenError) as caught:
        ds.apply("rules.toml")

    assert said in str(caught.value)
    assert "rules.toml" in str(caught.value)
    assert texts(ds) == before


def test_lists_come_from_files_too(ds: Dataset, folder: Path):
    (folder / "unwanted.txt").write_text("# not these\nblurry\n*hat*\n", encoding="utf-8-sig")

    ds.tags.blacklist("unwanted.txt")

    assert texts(ds)[1:] == ["Cat", "dog"]


MERGED = {
    "sentence + tags": "A close-up of a grey tabby cat, lying on a sofa, grey_fur, no_humans",
    "sentence only": "A close-up of a grey tabby cat, lying on a sofa.",
    "tags only": "close-up, cat, grey_fur, no_humans",
    "intersection": "close-up, cat",
}


@pytest.mark.parametrize("how", MERGED)
def test_a_merge_keeps_the_models_own_spelling(how: str, folder: Path):
    ds = described(folder)
    ds.caption = {"c.png": "mine"}

    done = ds.merge(how)

    assert texts(ds) == [MERGED[how], MERGED[how], "mine"]
    assert "1 image already had a caption" in repr(done)
    assert "without a caption" not in repr(done), "all got one"


def test_a_merge_takes_a_threshold_and_a_blacklist(folder: Path):
    ds = described(folder)

    ds.merge("tags only", min_score=0.5, blacklist=["*_fur"], where="a.png")

    assert texts(ds) == ["close-up, cat", "", ""]
