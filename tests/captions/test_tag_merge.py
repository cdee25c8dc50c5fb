"""Tag lists made one: what every merge promises, whatever the lists are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgopen_nb.captions.tag_merge import (
    MERGES,
    as_tags,
    intersection,
    listed,
    subtraction,
    union,
    vocabulary,
    vote,
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
    return vocabulary(tags).says(words_of(tag))


@given(tag_lists)
def test_a_list_merged_with_itself_is_itself(tags: list[str]):
    assert union([tags, tags]) == intersection([tags, tags]) == vote([tags, tags]) == once(tags)
    assert subtraction([tags, tags]) == []


@given(several, st.sampled_from(sorted(MERGES)))
def test_a_merge_merged_again_does_not_change(lists: list[list[str]], how: str):
    merged = MERGES[how](lists)

    assert MERGES[how]([merged]) == merged


@given(several)
def test_the_union_says_every_tag_of_every_list(lists: list[list[str]]):
    merged = union(lists)

    assert [t for tags in lists for t in once(tags) if not says(merged, t)] == []


@given(several)
def test_the_union_loses_only_words_that_it_has_within_a_tag(lists: list[list[str]]):
    merged = union(lists)
    lost = [t for tags in lists for t in once(tags) if words_of(t) not in map(words_of, merged)]

    assert all(len(words_of(t)) == 1 and vocabulary(merged).holds(words_of(t)) for t in lost)


@given(several)
def test_every_list_says_every_tag_of_the_intersection(lists: list[list[str]]):
    merged = intersection(lists)

    assert [t for t in merged for tags in lists if not says(tags, t)] == []


@given(several)
def test_no_other_list_says_a_tag_of_the_subtraction(lists: list[list[str]]):
    merged = subtraction(lists)

    assert set(merged) <= set(once(lists[0]))
    assert [t for t in merged for tags in lists[1:] if says(tags, t)] == []


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
    merged = MERGES[how](lists)

    assert [tag for tag in seen if tag in set(merged)] == merged


@given(several)
def test_what_all_share_is_what_the_intersection_is_made_of(lists: list[list[str]]):
    marks = whose(lists)
    shared = {t.strip() for tags, of in zip(lists, marks, strict=True) for t, w in zip(tags, of, strict=True) if w == "shared"}  # fmt: skip  # noqa: E501

    assert [len(of) for of in marks] == [len(tags) for tags in lists]
    assert len(lists) == 1 or set(intersection(lists)) <= shared


A = ["red_hair", "blue_eyes", "1girl"]
B = ["blue_hair", "red_eyes", "girl", "Red hair"]
SENTENCE = as_tags("a girl with long red hair")


def test_tags_stay_in_one_piece():
    """By words alone red hair and blue eyes would be the same as blue hair and red eyes."""
    assert intersection([A, B]) == ["red_hair", "1girl"]
    assert subtraction([A, B]) == ["blue_eyes"]
    assert union([A, B]) == ["red_hair", "blue_eyes", "1girl", "blue_hair", "red_eyes"]


def test_a_sentence_says_a_tag_by_its_words():
    assert SENTENCE == ["girl", "long", "red", "hair"]
    assert intersection([A, SENTENCE]) == ["red_hair", "1girl"]
    assert vote([A, SENTENCE, ["long_hair"]]) == ["red_hair", "1girl", "long", "long_hair"]
    assert whose([A, SENTENCE]) == [["shared", "own", "shared"], ["shared", "own", "shared", "shared"]]  # fmt: skip  # noqa: E501


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
