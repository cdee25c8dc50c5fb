"""Rules over captions: what each promises, whatever the caption is."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imgopen_nb.captions.parts import key
from imgopen_nb.datasets.rules import RULES, join, read_rules, rule_of, rules_of, split, toml
from imgopen_nb.errors import FileError, ImgOpenError, UsageError

PIECES = [
    "cat", "Cat", "red_mat", "red mat", "mat", "white shirt", "shirt", "no shirt", "^_^", "(o)_(o)",
    "ohwx", "ohwx woman", "hair_(long)", r"hair_\(long\)", "(cat, dog:1.2)", "[a b, c]", ":(", "_",
    "\\", "", " ", "...", "k-on!", "mouse.", "a cat on the mat", "in the sun, sleeping.",
    "A dog. It sleeps.", "the_legend_of_zelda", "and a hat", "אבג", "\u202eאבג", "🐈‍⬛", "一只猫。",
    "猫", "e\u0301", '"quoted"', "{a|b}", "<lora:my_style:1>", "\n", "\r\n", "\t", "*_*",
    "score_9_up", "tabby. cat", "smiling!", "St. Ives", "x" * 300, "a", "the",
]  # fmt: skip
captions = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=9).map(", ".join),
    st.lists(st.sampled_from(PIECES), max_size=9).map(",".join),
    st.text(max_size=80),
    st.text(alphabet="ab_, .()\\\n!", max_size=40),
)
LONG = "".join(random.Random(5).choices([*PIECES, ", ", " "], k=2_500))[:20_000]
EVERY = [
    {"rule": "add", "tag": "ohwx", "first": True},
    {"rule": "add", "tag": "ohwx"},
    {"rule": "add", "tag": "a photo of the cat", "first": True},
    {"rule": "add", "tag": "a photo of the cat"},
    {"rule": "add", "tag": "(cat, dog:1.2)"},
    {"rule": "remove", "tags": ["cat", "Red Mat", ":("]},
    {"rule": "rename", "old": "cat", "new": "Red mat"},
    {"rule": "rename", "old": "cat", "new": "CAT"},
    {"rule": "rename", "old": "cat", "new": "a cat on a mat"},
    {"rule": "replace", "pattern": "cat", "new": "black cat"},
    {"rule": "replace", "pattern": "Cat", "new": "cat"},
    {"rule": "replace", "pattern": "_", "new": ""},
    {"rule": "replace", "pattern": r"\s+", "new": " ", "regex": True},
    {"rule": "replace", "pattern": r"(?<!tom)cat\b", "new": r"tom\g<0>", "regex": True},
    {"rule": "order", "by": "trigger", "trigger": "ohwx"},
    {"rule": "order", "by": "kept", "kept": ["mat", "cat"], "trigger": "ohwx"},
    {"rule": "order", "by": "alphabet", "kept": 2},
    {"rule": "order", "by": "score", "kept": 1, "trigger": "ohwx"},
    {"rule": "dedupe"},
    {"rule": "drop_implied"},
    {"rule": "spaces"},
    {"rule": "spaces", "keep": ["score_*"]},
    {"rule": "escape"},
    {"rule": "unescape"},
    {"rule": "prefix", "text": "photo of "},
    {"rule": "suffix", "text": ", high quality"},
    {"rule": "suffix", "text": "by night"},
    {"rule": "blacklist", "tags": ["*mat", "k-on!"]},
    {"rule": "whitelist", "tags": ["*mat", "cat", "ohwx"]},
]
SCORES = {"cat": 0.9, "mat": 0.8, "red mat": 0.95, "shirt": 0.1}
ON_TAGS = [rule for rule in EVERY if rule["rule"] not in ("replace", "prefix", "suffix")]
rules = st.sampled_from(EVERY).map(rule_of)


def test_every_rule_is_tried_here():
    assert {rule["rule"] for rule in EVERY} == set(RULES)


@given(captions)
@example(LONG)
def test_split_and_joined_a_caption_is_the_same_byte_for_byte(caption: str):
    parts = split(caption)

    assert join(parts) == caption
    assert parts.sentence in caption
    assert all(piece in caption for piece in parts.tags)


@given(captions)
def test_joined_anew_the_parts_are_found_again_in_their_order(caption: str):
    parts = split(caption)
    again = split(", ".join(parts.pieces))

    assert again.pieces == parts.pieces


@given(captions, rules)
@example("a, b a, b", rule_of({"rule": "dedupe"}))
def test_a_rule_applied_again_changes_nothing(caption: str, rule: Any):
    once = rule.apply(caption, SCORES).strip()

    assert rule.apply(once, SCORES) in (once, "")


@given(captions, st.sampled_from(ON_TAGS))
def test_a_rule_on_tags_leaves_the_sentence_alone(caption: str, data: dict[str, Any]):
    sentence = split(caption).sentence.removesuffix(".")
    after = rule_of(data).apply(caption, SCORES)

    assert sentence in after


@given(captions, st.sampled_from(ON_TAGS))
def test_a_caption_that_keeps_its_tags_is_the_same_byte_for_byte(
    caption: str, data: dict[str, Any]
):
    after = rule_of(data).apply(caption, SCORES)

    assert after == caption or split(caption).pieces != split(after).pieces


@given(captions, st.sampled_from(["order", "dedupe", "spaces", "escape", "unescape"]))
def test_what_is_no_removal_loses_no_tag(caption: str, name: str):
    chosen = [rule_of(data) for data in EVERY if data["rule"] == name]

    for rule in chosen:
        found = split(rule.apply(caption, SCORES))
        assert {*map(bare, found.pieces)} == {*map(bare, split(caption).pieces)}


def bare(tag: str) -> str:
    """A tag without what the rules on spelling change."""
    return key(tag).translate({ord(mark): " " for mark in "_\\"}).replace(" ", "").rstrip(".")


@pytest.mark.parametrize(
    ("caption", "sentence", "tags", "before"),
    [
        ("a cat on a mat, in the sun, cat, red_mat", "a cat on a mat, in the sun", 2, 0),
        ("ohwx, a cat on a mat", "a cat on a mat", 1, 1),
        ("cat, red mat", "", 2, 0),
        ("tabby cat", "", 1, 0),
        ("1girl, the_legend_of_zelda, k-on!, solo", "", 4, 0),
        (
            "A cat sits. It sleeps.\nIt is red.\ncat, mat",
            "A cat sits. It sleeps.\nIt is red.",
            2,
            0,
        ),
        ("a cat, sleeping.", "a cat, sleeping.", 0, 0),
        ("a cat on a mat, sleeping. red hat, mat", "a cat on a mat, sleeping.", 2, 0),
        ("a portrait by St. ives, art", "a portrait by St. ives", 1, 0),
        ("a dog, a cat, and, finally, a mouse", "a dog, a cat, and, finally, a mouse", 0, 0),
        ("(best quality, very highly detailed:1.2), cat", "", 2, 0),
        ("一只猫坐在沙发上。, 猫", "一只猫坐在沙发上。", 1, 0),
        (" , ,", "", 0, 0),
    ],
)
def test_a_sentence_is_told_from_tags(caption: str, sentence: str, tags: int, before: int):
    parts = split(caption)

    assert (parts.sentence, len(parts.tags), parts.before) == (sentence, tags, before)


@pytest.mark.parametrize(
    ("caption", "data", "after"),
    [
        ("cat, mat", {"rule": "add", "tag": "ohwx", "first": True}, "ohwx, cat, mat"),
        ("cat, OHWX", {"rule": "add", "tag": "ohwx", "first": True}, "OHWX, cat"),
        ("a cat, ohwx", {"rule": "add", "tag": "ohwx", "first": True}, "ohwx, a cat"),
        ("ohwx is a cat", {"rule": "add", "tag": "ohwx", "first": True}, "ohwx is a cat"),
        ("A cat sits.", {"rule": "add", "tag": "mat"}, "A cat sits, mat"),
        ("a  cat ,  Red_Mat ,x", {"rule": "remove", "tags": ["red mat"]}, "a  cat, x"),
        ("a red mat, red mat", {"rule": "remove", "tags": ["red mat"]}, "a red mat"),
        ("a cat, Cat, dog, cat", {"rule": "rename", "old": "cat", "new": "tom"}, "a cat, tom, dog"),
        ("cat, tom", {"rule": "rename", "old": "cat", "new": "tom"}, "tom"),
        ("A grey cat, Grey", {"rule": "replace", "pattern": "grey", "new": "gray"},
         "A gray cat, gray"),
        ("cat", {"rule": "replace", "pattern": "cat", "new": r"\1"}, r"\1"),
        ("b, ohwx, a", {"rule": "order", "by": "alphabet", "trigger": "OHWX"}, "ohwx, a, b"),
        ("c, b, ohwx, a", {"rule": "order", "by": "alphabet", "kept": 1, "trigger": "ohwx"},
         "ohwx, c, a, b"),
        ("x, shirt, mat, cat, red_mat", {"rule": "order", "by": "score"},
         "red_mat, cat, mat, shirt, x"),
        ("z, b, a cat on a mat, d, c", {"rule": "order", "by": "alphabet"},
         "b, z, a cat on a mat, c, d"),
        ("c, b, a", {"rule": "order", "by": "kept", "kept": ["a"]}, "a, c, b"),
        ("Cat, cat, red_mat, red mat", {"rule": "dedupe"}, "Cat, red_mat"),
        ("shirt, white shirt, long_white_shirt", {"rule": "drop_implied"}, "long_white_shirt"),
        ("shirt, no shirt, shirts", {"rule": "drop_implied"}, "shirt, no shirt, shirts"),
        ("a_b, ^_^, red_hair, (o)_(o), <lora:a_b:1>, score_9", {"rule": "spaces"},
         "a_b, ^_^, red hair, (o)_(o), <lora:a_b:1>, score 9"),
        ("score_9, red_mat", {"rule": "spaces", "keep": ["score_*"]}, "score_9, red mat"),
        ("hair (long), a cat (grey), (cat:1.2)", {"rule": "escape"},
         r"hair \(long\), a cat (grey), (cat:1.2)"),
        ("hair_(long), :(, (cat:1.2)", {"rule": "escape"}, r"hair_\(long\), :\(, (cat:1.2)"),
        (r"hair_\(long\)", {"rule": "unescape"}, "hair_(long)"),
        ("cat", {"rule": "prefix", "text": "photo of"}, "photo of cat"),
        ("Photo of cat", {"rule": "prefix", "text": "photo of "}, "Photo of cat"),
        ("cat", {"rule": "suffix", "text": ", hq"}, "cat, hq"),
        ("cat, hq, mat", {"rule": "suffix", "text": ", hq"}, "cat, hq, mat"),
        ("red_mat, Mat, cat", {"rule": "blacklist", "tags": ["*MAT"]}, "cat"),
        ("*_*, a_b, cat", {"rule": "blacklist", "tags": ["*_*"]}, "a_b, cat"),
        ("a cat, mat, x", {"rule": "whitelist", "tags": ["m*"]}, "a cat, mat"),
    ],
)  # fmt: skip
def test_what_a_rule_makes_of_a_caption(caption: str, data: dict[str, Any], after: str):
    assert rule_of(data).apply(caption, SCORES) == after


def test_an_empty_caption_stays_empty():
    assert [rule_of(data).apply("", SCORES) for data in EVERY] == [""] * len(EVERY)


def test_a_pattern_that_matches_its_result_is_refused():
    rule = rule_of({"rule": "replace", "pattern": "^", "new": "ohwx ", "regex": True})

    with pytest.raises(UsageError, match="again each time"):
        rule.apply("cat")


class TestFiles:
    def test_a_list_of_tags_has_one_a_line_and_remarks(self, tmp_path: Path):
        file = tmp_path / "unwanted.txt"
        file.write_text("\ufeff# a remark\n\nrating:*\nblurry, Bad_Anatomy\n\\#compass\n")

        rule = rule_of({"rule": "blacklist", "file": str(file)})
        assert rule.apply("cat, rating:safe, BLURRY, bad anatomy, #compass, # a remark") == (
            "cat, # a remark"
        )

    def test_rules_are_read_as_they_were_written(self, tmp_path: Path):
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "tags.txt").write_text("mat")
        listed = [*EVERY, {"rule": "blacklist", "file": str(tmp_path / "sub" / "tags.txt")}]
        file = tmp_path / "rules.toml"
        file.write_text(toml(listed, file))

        assert [dict(rule.data) for rule in read_rules(file)] == listed
        assert 'file = "sub/tags.txt"' in file.read_text()

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            ('[[rules]]\nrule = "dedupe"\n[[rules]]\nrule = "renam"', "rule 2: there is no rule"),
            ('[[rules]]\nrule = "add"\ntga = "x"', r"rule 1 \(add\) does not take 'tga'"),
            ('[[rules]]\nrule = "add"', r"rule 1 \(add\) needs tag"),
            ('[[rules]]\nrule = "add"\ntag = 3', "tag is 3, not a text"),
            ('[[rules]]\nrule = "add"\ntag = "a, b"', "'a, b' is 2 tags"),
            ('[[rules]]\nrule = "remove"\ntags = "x"', "tags is 'x', not a list of texts"),
            ('[[rules]]\nrule = "order"\nby = "size"', "'size' is not an order"),
            ('[[rules]]\nrule = "order"\nby = "alphabet"\nkept = true', "kept is True"),
            ('[[rules]]\nrule = "replace"\npattern = "("\nnew = ""\nregex = true', "not valid"),
            ('[[rules]]\nrule = "blacklist"', "either tags or a file"),
            ('[[rule]]\nrule = "dedupe"', "has 'rule'"),
            ('rules = "dedupe"', "list of tables"),
            ("rules = [1]", "rule 1 is 1, no rule"),
            ("a = " + "[" * 5_000, "not valid TOML"),
            ("a = " + "9" * 5_000, "not valid TOML"),
            ("[[rules]", "not valid TOML"),
            ('[[rules]]\ntag = "x"', "does not say which rule"),
        ],
    )
    def test_an_error_names_the_file_the_rule_and_what_is_allowed(
        self, tmp_path: Path, content: str, says: str
    ):
        file = tmp_path / "bad.toml"
        file.write_text(content)

        with pytest.raises(UsageError, match=says) as caught:
            rules_of(file)
        assert "bad.toml" in str(caught.value)

    def test_files_that_cannot_be_read_are_told(self, tmp_path: Path):
        (tmp_path / "empty.txt").write_text("# nothing\n")
        (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")

        for path in (tmp_path / "none.toml", tmp_path / "latin.toml", tmp_path):
            with pytest.raises(FileError):
                rules_of(path)
        for name in ("none.txt", "empty.txt"):
            with pytest.raises(ImgOpenError, match=name):
                rule_of({"rule": "blacklist", "file": str(tmp_path / name)})


@pytest.mark.parametrize("name", ["remove", "blacklist", "whitelist"])
@pytest.mark.parametrize("tag", ["", " ", "cat, dog"])
def test_a_list_with_a_tag_that_is_none_is_refused(name: str, tag: str):
    """A whitelist of nothing would take all tags away."""
    with pytest.raises(UsageError):
        rule_of({"rule": name, "tags": ["cat", tag]})
