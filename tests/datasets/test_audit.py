"""An audit counts words as `caption-audit` does, and adds what models saw in the images."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

import imgopen_nb as imgopen
from imgopen_nb.captions.descriptions import Description
from imgopen_nb.datasets.audit import Audit, Segments, alike, frequent, segments
from imgopen_nb.datasets.entry import Entry
from imgopen_nb.errors import UnknownNameError, UsageError
from imgopen_nb.session import Session

from ..conftest import often
from .test_selection import names, png

# "ohxw" and "woman's portrait" lack the trigger.
CAPTIONS = (
    "ohwx woman, red scarf, smiling, park bench in autumn, long coat",
    "ohwx woman with a red scarf, standing on a bridge. Fog over the river",
    "ohwx woman, red scarf, looking at viewer, city street at night, neon lights",
    "ohwx woman wearing a red scarf and a black hat, sitting in a café",
    "ohwx woman, red scarf, close-up, soft light, blurred background",
    "ohwx woman, red scarf, T-shirt, blurred background, garden",
    "ohwx woman, red scarf, blurred background, looking at viewer, beach",
    "ohxw woman, red scarf, blurred background, kitchen, cup of tea",
    "a portrait of ohwx woman, red scarf, blurred background, soft light",
    "woman's portrait, red scarf, blurred background, soft light",
    "ohwx woman, green dress, blurred background, stairs",
    "ohwx woman, red scarf, blurred background, stairs",
)
# What caption-audit 1.3.0 counts in them, at 30 % and more.
COUNTED_ELSEWHERE = {
    "red": 11, "red scarf": 11, "scarf": 11, "woman": 11, "ohwx": 10, "ohwx woman": 10,
    "background": 8, "blurred": 8, "blurred background": 8,
}  # fmt: skip


def entries(captions: Sequence[str], said: Sequence[dict[str, str]] = ()) -> list[Entry]:
    """Images with captions, and what models say of them; a text with commas is a tag list."""
    models = [*said, *({} for _ in range(len(captions) - len(said)))]
    return [
        Entry(
            at, f"/set/{at}.png", f"sha256:{at}", caption, "edited", at,
            {model: described(model, text) for model, text in models[at].items()},
        )
        for at, caption in enumerate(captions)
    ]  # fmt: skip


def described(model: str, text: str) -> Description:
    if ", " in text:
        return Description("x", model, tags=tuple((tag, 0.9) for tag in text.split(", ")))
    return Description("x", model, caption=text)


def places(pictures: Sequence[str]) -> list[int]:
    return [int(Path(name).stem) for name in pictures]


def verdicts(audit: Audit) -> dict[str, str]:
    return {word.word: word.verdict for word in audit.words if not word.part_of}


def test_document_frequencies_are_those_of_caption_audit():
    found = frequent([segments(caption) for caption in CAPTIONS], 0.3)

    assert {" ".join(phrase): len(at) for phrase, at in found.items()} == COUNTED_ELSEWHERE


def test_the_trigger_is_counted_as_caption_audit_counts_it():
    audit = Audit(entries(CAPTIONS), "ohwx")

    assert audit.places == {0: 9, 3: 1}
    assert places(audit.missing) == [7, 9]
    assert audit.misspelt == {"/set/7.png": "ohxw"}


def test_words_are_welded_strong_expected_or_part_of_longer_ones():
    audit = Audit(entries(CAPTIONS), "ohwx", "woman")
    words = {word.word: word for word in audit.words}

    assert verdicts(audit) == {
        "red scarf": "welded", "blurred background": "strong", "ohwx woman": "expected",
        "woman": "expected",
    }  # fmt: skip
    assert words["red"].part_of == words["scarf"].part_of == "red scarf"
    assert (words["red scarf"].with_trigger, words["red scarf"].without_trigger) == (0.9, 2)
    assert words["ohwx"].without_trigger == 0


def test_function_words_are_no_finding():
    audit = Audit(entries(["ohwx with a cat on the mat"] * 3), "ohwx")

    assert not {"a", "the", "with a", "on the", "cat on the"} & {w.word for w in audit.words}
    assert verdicts(audit) == {"cat": "welded", "mat": "welded", "ohwx": "expected"}


def test_intended_words_are_no_fault():
    audit = Audit(entries(CAPTIONS[:7]), "ohwx", "woman", intended=["red scarf", "gold ring"])

    assert verdicts(audit)["red scarf"] == "intended"
    assert verdicts(audit)["gold ring"] == "intended"
    assert {w.word: w.captions for w in audit.words}["gold ring"] == 0
    assert audit.faults == []
    assert not audit.failed


def test_an_audit_fails_by_welded_words_and_by_captions_without_the_trigger():
    audit = Audit(entries(CAPTIONS), "ohwx", ["woman"], "red scarf")

    assert audit.faults == ['1 caption of 12 without "ohwx"', '"ohxw" for "ohwx" in 1 caption']
    welded = Audit(entries(CAPTIONS[:7]), "ohwx", "woman")
    assert welded.faults == ['"red scarf" in 7 of 7 captions (100%)']
    assert welded.failed


def test_the_trigger_may_be_several_words_and_capitals_make_no_difference():
    audit = Audit(entries(["Ohwx Woman, cat", "ohwx woman, dog", "ohwx wman, bird"]), "OHWX woman")

    assert places(audit.missing) == [2]
    assert audit.misspelt == {"/set/2.png": "ohwx wman"}


@pytest.mark.parametrize(
    ("trigger", "caption", "said"),
    [
        ("ohwx", "ohxw, cat", "ohxw"), ("ohwx", "ohwxx, cat", "ohwxx"),
        ("ohwx", "oh wx, cat", "oh wx"), ("ohwx", "a cat", None), ("sks", "sky, cat", None),
        ("ohwxperson", "ohwxpersn, cat", "ohwxpersn"), ("ohwx", "ohwx, ohxw", None),
        ("mina", "mint leaves", None),
    ],
)  # fmt: skip
def test_misspelt_triggers(trigger: str, caption: str, said: str | None):
    """ "mint" stands beside the trigger elsewhere: it is a word of its own."""
    audit = Audit(entries([caption, f"{trigger}, mint"]), trigger)

    assert list(audit.misspelt.values()) == ([said] if said else [])


SAID = (
    {"clip": "a woman with a red scarf", "deepdanbooru": "1girl, scarf, solo"},
    {"clip": "a woman in a red scarf on a bridge", "deepdanbooru": "1girl, bridge, outdoors"},
    {"clip": "a city street at night", "deepdanbooru": "night, no scarf, red_theme"},
    {"clip": "a red car and a scarf", "deepdanbooru": "1girl, hat, no humans"},
)


def test_models_tell_whether_a_welded_word_is_in_the_pictures():
    """Of four described images the captions say it of all; no model sees it in the third."""
    audit = Audit(entries(CAPTIONS[:6], SAID), "ohwx", "woman")
    word = next(word for word in audit.words if word.word == "red scarf")

    assert (word.seen, word.silent, word.unseen) == (3, 0, 1)
    assert places(audit.pictures("red scarf", "unseen")) == [2]
    assert 'ds.tags.remove("red scarf", where=audit.pictures("red scarf", "unseen"))' in word.remedy


def test_pictures_whose_captions_are_silent_are_listed():
    """Plurals, underscores and British spellings make no difference; what is denied does."""
    captions = ["ohwx, grey hats", "ohwx", "ohwx, tree", "ohwx, no hat", "ohwx, hat"]
    said = [
        {"clip": "a gray hat"}, {"wd": "gray_hat, solo"}, {"clip": "two grey hats"},
        {"clip": "a man without a hat"}, {"clip": "a dog"},
    ]  # fmt: skip
    audit = Audit(entries(captions, said), "ohwx")

    assert places(audit.pictures("grey hat")) == [1, 2]
    assert places(audit.pictures("hat", "unseen")) == [3, 4]
    assert places(audit.pictures("hat", "said")) == [3, 4]
    assert places(audit.pictures("hat", "unsaid")) == [0, 1, 2]


def test_without_descriptions_nothing_is_said_of_the_pictures():
    word = Audit(entries(CAPTIONS[:6]), "ohwx", "woman").words[0]

    assert (word.seen, word.silent, word.unseen) == (None, None, None)
    assert "No model described these images" in word.remedy
    assert 'imgopen.board(audit.pictures("red scarf", "said"))' in word.remedy


def test_a_word_that_models_see_everywhere_needs_other_pictures():
    said = [{"clip": "a red scarf"}] * 4

    word = Audit(entries(CAPTIONS[:4], said), "ohwx", "woman").words[0]

    assert word.remedy == (
        "Add images without it: the images show it, so deleting the word changes little."
    )


def test_two_caption_styles_are_compared():
    styled = [{"clip": "a woman with a red scarf", "wd": "1girl, solo"}] * 4
    audit = Audit(entries(CAPTIONS[:4], styled), "ohwx")

    by_model = audit.compare("clip").set_index("word")
    assert by_model.loc["red scarf"].tolist() == [1.0, 1.0, 0.0]
    assert by_model.loc["ohwx", "difference"] == -1.0
    by_series = audit.compare(pd.Series(["ohwx, hat", None, "ohwx", "ohwx"])).set_index("word")
    assert "hat" not in by_series.index
    assert by_series.loc["ohwx", "other"] == 1.0
    assert audit.compare(["hat"] * 3).word.iloc[-1] == "hat"
    as_frame = audit.compare(pd.DataFrame({"caption": ["ohwx, hat"], "kept": [True]}))
    assert as_frame.word.iloc[-1] == "hat"
    with pytest.raises(UsageError):
        audit.compare(pd.DataFrame({"kept": [True]}))
    with pytest.raises(UnknownNameError, match="clip"):
        audit.compare("clap")
    with pytest.raises(UsageError):
        audit.compare(7)


def test_captions_that_differ_in_one_word_are_nearly_the_same():
    base = "ohwx woman sits on an old bench by the river"
    captions = [
        base, "a cat", f"{base} today", base.replace("old", "new"), "a cat",
        "the river by an old bench, ohwx woman sits on", base.replace("old bench", "red boat"),
    ]  # fmt: skip

    assert alike([segments(caption) for caption in captions]) == [[0, 2, 3, 5]]


def slowly_alike(captions: Sequence[Segments]) -> list[list[int]]:
    sets = [set(itertools.chain(*each)) for each in captions]
    groups = [{at} for at in range(len(sets))]
    for one, other in itertools.combinations(range(len(sets)), 2):
        a, b = sets[one], sets[other]
        extra = sorted((len(a - b), len(b - a)))
        near = extra in ([0, 0], [0, 1]) and len(a & b) >= 4
        if near or (extra == [1, 1] and len(a & b) >= 8):
            merged = next(g for g in groups if one in g) | next(g for g in groups if other in g)
            groups = [g for g in groups if not g & merged] + [merged]
    return sorted(sorted(group) for group in groups if len(group) > 1)


def test_nearly_the_same_captions_are_those_of_all_pairs():
    dice = random.Random(15)
    for _ in range(often(20, 2000)):
        words = "abcdefghijkl"[: dice.randrange(6, 13)]
        captions = [
            segments(" ".join(dice.sample(words, dice.randrange(3, len(words))))) for _ in range(14)
        ]

        assert sorted(alike(captions)) == slowly_alike(captions)


def test_the_repr_says_what_matters():
    audit = Audit(entries(CAPTIONS, SAID), "ohwx", "woman")

    assert repr(audit).splitlines() == [
        'Audit of 12 captions, trigger "ohwx"',
        "  trigger: in 10, first in 9, missing in 1, misspelt in 1",
        (
            '  "red scarf" is in 11 of 12 captions (92%), so it becomes part of the trigger. '
            "A model saw it in 3 images."
        ),
        (
            "    Delete it where the image does not show it: "
            'ds.tags.remove("red scarf", where=audit.pictures("red scarf", "unseen")). '
            "Or add images without it."
        ),
        (
            '  "blurred background" is in 8 of 12 captions (67%), so the trigger leans towards it. '
            "A model saw it in 0 images."
        ),
        (
            "    No model described these images: ds.describe() tells more. Delete it where the "
            'image does not show it: imgopen.board(audit.pictures("blurred background", "said")). '
            "Or add images without it."
        ),
        "  fix this before training",
    ]


def test_the_frame_has_a_row_for_each_word():
    frame = Audit(entries(CAPTIONS), "ohwx", "woman").frame

    assert list(frame.columns[:4]) == ["word", "captions", "share", "with_trigger"]
    assert frame.loc[0, "word"] == "red scarf"
    assert frame.seen.isna().all()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"trigger": ""}, UsageError), ({"trigger": None}, UsageError),
        ({"trigger": "ohwx", "intended": ["?"]}, UsageError),
        ({"trigger": "ohwx", "class_word": 7}, TypeError),
    ],
)  # fmt: skip
def test_what_is_no_word_is_refused(options: dict[str, object], error: type[Exception]):
    with pytest.raises(error):
        Audit(entries(CAPTIONS), **options)  # type: ignore[arg-type]


def test_a_choice_that_does_not_exist_is_told():
    audit = Audit(entries(CAPTIONS), "ohwx")

    with pytest.raises(UnknownNameError, match="silnt"):
        audit.pictures("scarf", "silnt")
    with pytest.raises(UsageError):
        audit.pictures("...")


def test_a_data_set_is_audited_and_its_pictures_are_shown(
    cached: None, local: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("red", "blue", "green"):
        Path(f"{name}.png").write_bytes(png(name))
        Path(f"{name}.txt").write_text(f"ohwx, a {name} wall, scarf")
    ds = imgopen.dataset(tmp_path)
    ds.reject("green.png")

    audit = ds.audit(trigger="ohwx")

    assert verdicts(audit)["scarf"] == "welded"
    assert names(imgopen.gallery(audit.pictures("blue", "said"))) == ["blue.png"]
    ds.tags.remove("scarf", where=audit.pictures("scarf", "said"))
    assert "scarf" not in verdicts(ds.audit(trigger="ohwx"))
    ds.reject(audit.pictures("blue", "said"))
    assert [Path(entry.image).name for entry in ds.kept] == ["red.png"]
    ds.reject("red.png")
    with pytest.raises(UsageError, match="no image has a caption"):
        ds.audit(trigger="ohwx")
