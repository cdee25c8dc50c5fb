"""Tag lists made one: what every merge promises, whatever the lists are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgopen_nb.captions import tag_merge
from imgopen_nb.captions.parts import join
from imgopen_nb.captions.tag_merge import (
    MERGES,
    Said,
    as_tags,
    listed,
    merge,
    said_by,
    vocabulary,
    whose,
    words_of,
)

WORDS = ("hair", "long", "red", "blue", "eyes", "dress", "girl", "cat")
tags = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map("_".join),
    st.sampled_from(["1girl", "no_humans", ":d", "Long Hair", "cats", "猫", "rating:safe", "4"]),
    st.text(max_size=12),
)
tag_lists = st.lists(tags, max_size=8)
several = st.lists(tag_lists, min_size=1, max_size=4)


def once(tags: list[str]) -> list[str]:
    """A list without tags of the same words."""
    found: dict[frozenset[str], str] = {}
    for tag in tags:
        if tag.strip():
            found.setdefault(words_of(tag), tag.strip())
    return list(found.values())


def says(tags: list[str], tag: str) -> bool:
    return vocabulary(tags).says(tag)


def union(lists: list[list[str]]) -> list[str]:
    return tag_merge.union([Said("", tags) for tags in lists])


def intersection(lists: list[list[str]]) -> list[str]:
    return tag_merge.intersection([Said("", tags) for tags in lists])


def subtraction(lists: list[list[str]]) -> list[str]:
    return tag_merge.subtraction([Said("", tags) for tags in lists])


def vote(lists: list[list[str]], threshold: float = 0.5) -> list[str]:
    return tag_merge.vote([Said("", tags) for tags in lists], threshold)


def merged(lists: list[list[str]], how: str) -> list[str]:
    return list(merge([Said("", tags) for tags in lists], how).tags)


@given(tag_lists)
def test_a_list_merged_with_itself_is_itself(tags: list[str]):
    assert union([tags, tags]) == intersection([tags, tags]) == vote([tags, tags]) == once(tags)
    assert subtraction([tags, tags]) == []


@given(several, st.sampled_from(sorted(MERGES)))
def test_a_merge_merged_again_does_not_change(lists: list[list[str]], how: str):
    once_merged = merged(lists, how)

    assert merged([once_merged], how) == once_merged


@given(several)
def test_the_union_says_every_tag_of_every_list(lists: list[list[str]]):
    found = union(lists)

    assert [t for tags in lists for t in once(tags) if not says(found, t)] == []


@given(several)
def test_the_union_loses_only_words_that_it_has_within_a_tag(lists: list[list[str]]):
    found = union(lists)
    lost = [t for tags in lists for t in once(tags) if words_of(t) not in map(words_of, found)]

    assert all(len(words_of(t)) == 1 and vocabulary(found).holds(words_of(t)) for t in lost)


@given(several)
def test_every_list_says_every_tag_of_the_intersection(lists: list[list[str]]):
    found = intersection(lists)

    assert [t for t in found for tags in lists if not says(tags, t)] == []


@given(several)
def test_no_other_list_says_a_tag_of_the_subtraction(lists: list[list[str]]):
    first = next((at for at, tags in enumerate(lists) if tags), 0)
    found = subtraction(lists)

    assert set(found) <= set(once(lists[first]))
    others = lists[:first] + lists[first + 1 :]
    assert [t for t in found for tags in others if says(tags, t)] == []


@given(several, st.floats(0, 0.99), st.floats(0, 0.99))
def test_a_stricter_vote_says_nothing_that_a_milder_one_does_not(
    lists: list[list[str]], a: float, b: float
):
    mild, strict = vote(lists, min(a, b)), vote(lists, max(a, b))

    assert [t for t in strict if not says(mild, t)] == []


@given(several)
def test_the_strictest_vote_is_the_intersection(lists: list[list[str]]):
    assert vote(lists, 0.99) == intersection(lists)


@given(several, st.sampled_from(sorted(MERGES)))
def test_tags_keep_their_spelling_and_the_order_they_are_first_seen_in(
    lists: list[list[str]], how: str
):
    seen = list(dict.fromkeys(t.strip() for tags in lists for t in tags if t.strip()))
    found = merged(lists, how)

    assert [tag for tag in seen if tag in set(found)] == found


@given(several)
def test_what_all_share_is_what_the_intersection_is_made_of(lists: list[list[str]]):
    marks = whose(lists)
    shared = {t.strip() for tags, of in zip(lists, marks, strict=True) for t, w in zip(tags, of, strict=True) if w == "shared"}  # fmt: skip  # noqa: E501

    assert [len(of) for of in marks] == [len(tags) for tags in lists]
    assert len(lists) == 1 or set(intersection(lists)) <= shared


A = ["red_hair", "blue_eyes", "1girl"]
B = ["blue_hair", "red_eyes", "girl", "Red hair"]


def test_tags_stay_in_one_piece():
    """By words alone red hair and blue eyes would be the same as blue hair and red eyes."""
    assert intersection([A, B]) == ["red_hair", "1girl"]
    assert subtraction([A, B]) == ["blue_eyes"]
    assert union([A, B]) == ["red_hair", "blue_eyes", "1girl", "blue_hair", "red_eyes"]


def captions(*said: Said) -> dict[str, str]:
    return {how: join(merge(said, how)) for how in MERGES}


SENTENCE = "a close-up of a brown tabby cat on a grey sofa"
TAGS = ["close-up", "gray_sofa", "Cats", "whiskers", "no_humans", "^_^"]


def test_a_sentence_stays_whole_and_nothing_is_spelt_otherwise():
    rest = "whiskers, no_humans, ^_^"

    assert captions(said_by(SENTENCE), said_by(", ".join(TAGS), TAGS)) == {
        "sentence + tags": f"{SENTENCE}, {rest}",
        "tags only": ", ".join(TAGS),
        "sentence only": SENTENCE,
        "union": f"{SENTENCE}, {', '.join(TAGS)}",
        "intersection": "close-up, gray_sofa, Cats",
        "subtraction": rest,
        "vote": "close-up, gray_sofa, Cats",
    }


@pytest.mark.parametrize(
    ("sentence", "tag", "said"),
    [
        ("a close-up of a cat", "close_up", True),
        ("a closeup of a cat", "close-up", True),
        ("a girl with long red hair", "red_hair", True),
        ("a girl with a red dress and blonde hair", "red_hair", False),
        ("a hat, hair", "hat hair", False),
        ("a girl", "1girl", True),
        ("a girl", "2girls", False),
        ("two girls", "2girls", True),
        ("a man without a hat", "hat", False),
        ("a street, no humans", "no_humans", True),
        ("a street, no humans", "humans", False),
        ("A GREY armchair.", "gray_arm_chairs", True),
        ("a cat", ":d", False),
        ("a cat", "rating:safe", False),
        ("一只猫", "一只猫", True),
        ("a cat at d", "d", False),
    ],
)
def test_a_sentence_says_a_tag_if_its_words_are_side_by_side(sentence: str, tag: str, said: bool):
    assert merge([Said(sentence, [tag])]).tags == (() if said else (tag,))


@pytest.mark.parametrize(
    ("sentence", "caption"),
    [
        ("A cat sits on a mat.", "A cat sits on a mat, red_mat"),
        ("A cat sits. It sleeps.", "A cat sits. It sleeps, red_mat"),
        ("A cat in the sun, sleeping.", "A cat in the sun, sleeping. red_mat"),
        ("What a cat!", "What a cat!, red_mat"),
        ("A cat...", "A cat..., red_mat"),
        ("tabby cat", "tabby cat, red_mat"),
        ("Tabby cat.", "Tabby cat, red_mat"),
        ("a cat, in the sun,\nby a wall", "a cat, in the sun,\nby a wall, red_mat"),
    ],
)
def test_tags_follow_a_sentence_of_any_punctuation(sentence: str, caption: str):
    assert join(merge([said_by(sentence), said_by("", ["red_mat"])])) == caption


def test_several_sentences_are_units_too():
    one, same, other = (said_by(c) for c in ("a cat on a mat", "A cat on a mat.", "A dog"))

    assert captions(one, same, other) == {
        "sentence + tags": "a cat on a mat",
        "tags only": "",
        "sentence only": "a cat on a mat",
        "union": "a cat on a mat. A dog",
        "intersection": "",
        "subtraction": "",
        "vote": "a cat on a mat",
    }


def test_a_model_may_give_a_sentence_and_tags():
    said = said_by("a cat on a mat, in the sun, mat, sun", ["cat", "whiskers"])

    assert said == Said("a cat on a mat, in the sun", ["cat", "whiskers", "mat", "sun"])
    assert said_by("cat, red_mat", ["cat", "red mat"]) == Said("", ["cat", "red mat"])
    assert join(merge([said])) == "a cat on a mat, in the sun, whiskers"


hostile = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from([
            "a cat", "sits", "(cat, dog:1.2)", "\u202eאבג", "🐈‍⬛", '"quoted"', ":(", "^_^", "...",
            "in the sun.", "red_mat", "\n", "e\u0301", "[x", "{a|b}", "well, well", "一只猫。",
        ]),
        max_size=8,
    ).map(", ".join),
)  # fmt: skip


@given(hostile, st.lists(hostile, max_size=6), st.sampled_from(sorted(MERGES)))
def test_no_merge_shreds_a_sentence_or_spells_a_tag_otherwise(
    caption: str, tags: list[str], how: str
):
    one, two = said_by(caption), said_by("", tags)
    made = merge([one, two], how)

    assert made.sentence in ("", one.sentence)
    assert set(made.tags) <= {*one.tags, *two.tags}
    if how in ("union", "sentence + tags", "sentence only") and one.sentence:
        assert one.sentence.removesuffix(".") in join(made)


def test_half_is_no_majority():
    assert vote([["cat"], ["dog"]]) == []
    assert vote([["cat"], ["dog"], ["Cats"]]) == ["cat"]


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("cat, red_mat , ,dog", ["cat", "red_mat", "dog"]),
        ("solo", ["solo"]),
        ("a cat", []),
        ("", []),
        ("a tabby cat on a mat, in the evening sun", []),
        ("A cat, a dog.", []),
    ],
)
def test_a_list_of_tags_is_told_from_a_sentence(text: str, tags: list[str]):
    assert listed(text) == tags


def test_tags_go_before_the_parts_of_a_caption_and_those_before_its_words():
    assert as_tags("a cat", ["x y"]) == ["x y"]
    assert as_tags("tabby cat, mat") == ["tabby cat", "mat"]
    assert as_tags("two cats on a mat") == ["two", "cat", "mat"][1:]
    assert as_tags(None) == []


def test_long_captions_are_read_by_their_beginning():
    assert len(as_tags("a," * 1_000_000)) == 1_000


EMOTICONS = (
    r">_< ^_^ :3 ;) <|>_<|> =_= o_o \(^o^)/ :d x3 <3 (o)_(o) @_@ :( d: 0_0 +_+ |_| ^^^ ... !? >:)"
)


@pytest.mark.parametrize("emoticon", EMOTICONS.split())
def test_emoticons_are_tags_like_others(emoticon: str) -> None:
    """Parsed, merged, compared and written again, each is itself and takes no tag with it."""
    text = f"cat, {emoticon}, mat, <3 dog"
    tags = ["cat", emoticon, "mat", "<3 dog"]

    assert as_tags(text) == tags
    assert as_tags(", ".join(union([tags, [emoticon, "dog"]]))) == tags
    assert intersection([tags, [emoticon.upper()]]) == [emoticon]
    assert subtraction([tags, ["cat", "mat", "dog"]]) == [emoticon]
    assert vote([tags, [emoticon], ["x"]]) == [emoticon]
    assert whose([tags, [emoticon]])[0][1] == "shared"


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("(cat, dog:1.3), mat", ["(cat, dog:1.3)", "mat"]),
        ("((cat, dog)), [a b, c], d", ["((cat, dog))", "[a b, c]", "d"]),
        (":(, cat, :)", [":(", "cat", ":)"]),
        ("(cat, dog, mat", ["(cat", "dog", "mat"]),
        (r"naruto_\(series\), don't_say, 猫", [r"naruto_\(series\)", "don't_say", "猫"]),
        ("(best quality, very highly detailed:1.2), cat",
         ["(best quality, very highly detailed:1.2)", "cat"]),
    ],
)  # fmt: skip
def test_commas_in_brackets_separate_no_tags(text: str, tags: list[str]) -> None:
    assert as_tags(text) == tags
