from __future__ import annotations

import math
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imgopen_nb.captions.terms import (
    MAX_TEXT,
    jaccard,
    ordered_terms,
    shared_and_only,
    singular,
    terms,
    word_count,
)

LETTERS = string.ascii_letters + string.digits + " ,.-_'()你好猫犬"
PLURALS = """
cats/cat boxes/box berries/berry people/person men/man women/woman firemen/fireman
children/child feet/foot teeth/tooth mice/mouse geese/goose leaves/leaf knives/knife
wolves/wolf shelves/shelf scarves/scarf gloves/glove waves/wave sleeves/sleeve olives/olive
dresses/dress buses/bus benches/bench dishes/dish houses/house horses/horse roses/rose
vases/vase blouses/blouse lenses/lens canvases/canvas octopuses/octopus viruses/virus
cookies/cookie movies/movie hoodies/hoodie ties/tie puppies/puppy cherries/cherry
tomatoes/tomato potatoes/potato shoes/shoe canoes/canoe toes/toe prizes/prize quizzes/quiz
headaches/headache moustaches/moustache axes/axe eyes/eye stairs/stair
"""
SINGULARS = """
glass bus grass dress glasses sunglasses pants jeans shorts scissors clothes news series
species gas lens canvas iris chess tennis cactus octopus walrus moss kiss specimen abdomen
ramen omen christmas bias atlas this is as us
"""
SPELLINGS = """
grey/gray colour/color colourful/colorful centre/center jewellery/jewelry moustaches/mustache
pyjamas/pajamas doughnuts/donut tyres/tire aeroplanes/airplane blond/blonde
"""
captions = st.text(LETTERS, max_size=60)


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


class TestTerms:
    def test_sentence_and_tag_list_become_comparable(self) -> None:
        sentence = terms("a close up of two tabby cats lying on a grey sofa")
        tags = terms("cat, grey_sofa, no_humans", ["cat", "grey_sofa", "no_humans"])

        assert sentence == words("tabby cat lying gray sofa")
        assert tags == words("cat gray sofa")

    @pytest.mark.parametrize(
        ("caption", "expected"),
        [
            ("an image of a dog", "dog"),
            ("A photograph showing two dogs", "dog"),
            ("this image shows a dog in the foreground of a house", "dog house"),
            ("there is a dog that is possibly asleep", "dog asleep"),
            ("a black and white photo of a dog", "black white dog"),
            ("a close-up of a dog", "dog"),
            ("a man taking an image of an image frame", "man taking image frame"),
        ],
    )
    def test_saying_that_it_is_a_picture_says_nothing(self, caption: str, expected: str) -> None:
        assert terms(caption) <= words(expected + " image")
        assert words(expected) - {"picture"} <= terms(caption)

    @pytest.mark.parametrize(
        ("tag", "expected"),
        [
            ("1girl", "girl"),
            ("2boys", "boy"),
            ("6+girls", "girl"),
            ("long_hair", "long hair"),
            ("(blue_eyes:1.2)", "blue eye"),
            ("((cat))", "cat"),
            ("[cat]", "cat"),
            ("{cat:0.8}", "cat"),
            (r"miku_\(vocaloid\)", "miku vocaloid"),
            ("t-shirt", "shirt"),
            ("rating:safe", ""),
            ("highres", ""),
            ("<lora:add_detail:0.6>", ""),
            ("<|endoftext|>", ""),
            ("no_humans", ""),
            ("close-up", ""),
            (":d", ""),
            ("^_^", ""),
            ("3", ""),
            ("😀", ""),
        ],
    )
    def test_tags_lose_their_marks(self, tag: str, expected: str) -> None:
        assert terms(None, [tag]) == words(expected)

    @pytest.mark.parametrize(
        ("caption", "expected"),
        [
            ("<3 cat, dog, mat >_<", "cat dog mat"),
            ("<|>_<|>, cat, <|>_<|>, dog", "cat dog"),
            ("a<b, cat, c>d", "cat"),
            ("cat <lora:add_detail:0.6>, <lyco:x y:1>, <hypernet:h:1:2> dog", "cat dog"),
            ("<|startoftext|>cat</s><pad>", "cat"),
            ("five star rating system", "star rating system"),
            ("a rating general store", "rating general store"),
            ("rating:safe, cat, rating: explicit, dog rating:q", "cat dog"),
            ("rating_safe, cat, (score_9:1.1), score_8_up", "cat"),
            ("a final score 3 to 2", "final score"),
            ("a movie with a rating: 5 stars", "movie rating star"),
            ("highly detailed (cat:1.2), [dog]", "highly detailed cat dog"),
            ("black&white 1girl/2girls", "black white girl"),
        ],
    )
    def test_marks_take_no_other_word_away(self, caption: str, expected: str) -> None:
        assert terms(caption) == words(expected)

    @pytest.mark.parametrize("denial", ["no hat", "without a hat", "without any hats", "not a hat"])
    def test_what_is_denied_is_not_said(self, denial: str) -> None:
        assert terms(f"a man with {denial}, smiling") == words("man smiling")

    @pytest.mark.parametrize(
        ("caption", "expected"),
        [
            ("ＣＡＴ ﬁsh", "cat fish"),
            ("Straße STRASSE", "strasse"),
            ("一只猫坐在沙发上。一只狗", "一只猫坐在沙发上 一只狗"),
            ("हिन्दी बिल्ली", "हिन्दी बिल्ली"),
            ("گربه‌ای روی مبل", "گربه ای روی مبل"),
            ("the dog's bowl, the dogs’ bowl", "dog bowl"),
        ],
    )
    def test_other_scripts_are_kept_as_words(self, caption: str, expected: str) -> None:
        assert terms(caption) == words(expected)

    def test_tags_come_first_then_the_caption(self) -> None:
        assert ordered_terms("a cat on a red mat", ["mat", "dog"]) == ("mat", "dog", "cat", "red")

    def test_nothing_gives_nothing(self) -> None:
        assert terms(None) == terms("", []) == frozenset()

    def test_a_huge_caption_is_compared_by_its_beginning(self) -> None:
        text = "cat " * MAX_TEXT + "dog"

        assert terms(text) == {"cat"}

    @given(captions)
    def test_case_does_not_matter(self, caption: str) -> None:
        assert terms(caption.upper()) == terms(caption) == terms(caption.lower())

    @given(captions)
    def test_underscores_are_spaces(self, caption: str) -> None:
        assert terms(caption.replace(" ", "_")) == terms(caption)

    @given(captions)
    @example("womens busses glasses 1980s")
    def test_terms_of_terms_are_the_same(self, caption: str) -> None:
        """So joining terms and comparing again changes nothing."""
        found = terms(caption)

        assert terms(None, sorted(found)) == found

    @given(st.text(max_size=80))
    @example("\ud800 \x00 ﷺ")
    def test_any_text_gives_folded_words(self, caption: str) -> None:
        for term in terms(caption, [caption]):
            assert term
            assert " " not in term
            assert "_" not in term
            assert term == term.lower() or not term.isascii()

    @given(captions, st.randoms())
    def test_the_order_of_tags_does_not_matter(self, caption: str, chance: object) -> None:
        tags = caption.split(",")

        assert terms(None, tags) == terms(None, tags[::-1])


class TestSingular:
    @pytest.mark.parametrize(
        ("plural", "expected"),
        [row.split("/") for row in PLURALS.split()],
    )
    def test_plurals_become_singular(self, plural: str, expected: str) -> None:
        assert singular(plural) == expected

    @pytest.mark.parametrize(
        "word",
        SINGULARS.split(),
    )
    def test_words_that_end_in_s_by_nature_stay(self, word: str) -> None:
        assert singular(word) == word

    @given(st.text(string.ascii_lowercase, min_size=1, max_size=12))
    def test_singular_of_a_singular_is_itself(self, word: str) -> None:
        assert singular(singular(word)) == singular(word)


@pytest.mark.parametrize(
    ("british", "american"),
    [row.split("/") for row in SPELLINGS.split()],
)
def test_british_and_american_spellings_are_one(british: str, american: str) -> None:
    assert terms(british) == terms(american) == {american}


class TestJaccard:
    def test_is_the_shared_part_of_all_words(self) -> None:
        assert jaccard(words("a b c"), words("b c d")) == 0.5

    def test_two_empty_sets_have_no_agreement_to_speak_of(self) -> None:
        assert math.isnan(jaccard(frozenset(), frozenset()))
        assert jaccard(frozenset(), words("a")) == 0

    @given(
        st.frozensets(st.sampled_from("abcdef"), min_size=1),
        st.frozensets(st.sampled_from("abcdef")),
    )
    def test_is_symmetric_and_one_for_equals(self, a: frozenset[str], b: frozenset[str]) -> None:
        assert jaccard(a, b) == jaccard(b, a)
        assert 0 <= jaccard(a, b) <= 1
        assert (jaccard(a, b) == 1) == (a == b)


class TestSharedAndOnly:
    def test_each_term_is_shared_partly_shared_or_one_models_own(self) -> None:
        found = shared_and_only({"x": "abc", "y": "abd", "z": "ae"})

        assert found.shared == {"a"}
        assert found.partly == {"x": {"b"}, "y": {"b"}, "z": set()}
        assert found.only == {"x": {"c"}, "y": {"d"}, "z": {"e"}}

    def test_one_model_alone_shares_nothing(self) -> None:
        assert shared_and_only({"x": "ab"}).only == {"x": {"a", "b"}}
        assert shared_and_only({"x": "ab"}).shared == shared_and_only({}).shared == frozenset()

    @given(st.dictionaries(st.sampled_from("xyz"), st.frozensets(st.sampled_from("abcdef"))))
    def test_nothing_is_lost_or_counted_twice(self, said: dict[str, frozenset[str]]) -> None:
        found = shared_and_only(said)

        for model, own in said.items():
            parts = (found.shared, found.partly[model], found.only[model])
            assert own == frozenset().union(*parts)
            assert len(own) == sum(map(len, parts))


def test_words_are_counted_as_written() -> None:
    assert word_count("A close-up of a cat, 3 years old!") == 9
    assert word_count(None) == word_count("...") == 0
