"""The engine expand-prompt: how many prompts, how long, how different, and what is in them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from imgopen_nb.sandbox import engines
from imgopen_nb.sandbox.engine import EngineError
from imgopen_nb.sandbox.prompts import vocabulary
from imgopen_nb.sandbox.prompts.expansion import kinds_of

from ..sandbox_fixtures import FakeWork

ENGINES = engines.load()


def expand(prompt: str, **params: Any) -> list[str]:
    work = FakeWork(params={"prompt": prompt, **params})
    found: list[str] = ENGINES["expand-prompt"].run(work)["prompts"]
    return found


@pytest.mark.parametrize("count", [1, 4, 20])
@pytest.mark.parametrize("mode", [0, 1])
def test_as_many_prompts_as_asked_for_and_all_different(count: int, mode: int) -> None:
    found = expand("a girl", count=count, mode=mode)

    assert len(found) == len(set(found)) == count


def test_sd_prompts_are_comma_tags_that_begin_with_the_prompt_and_have_weights() -> None:
    for prompt in expand("a red fox", mode=0, count=5):
        assert prompt.startswith("a red fox, ")
        assert len(prompt.split(", ")) >= 4
        assert re.search(r"\([^():]+:1\.\d+\)", prompt)


def test_sdxl_prompts_are_sentences_without_weights() -> None:
    for prompt in expand("a red fox", mode=1, count=5):
        assert "a red fox" in prompt.lower()
        assert prompt[0].isupper()
        assert prompt.endswith(".")
        assert "(" not in prompt
        assert ":" not in prompt


def test_the_same_call_gives_the_same_prompts_and_another_prompt_others() -> None:
    assert expand("a lighthouse", count=3) == expand("a lighthouse", count=3)
    tails = [text.split(", ", 1)[1] for text in (*expand("a fox"), *expand("a wolf"))]
    assert len(set(tails)) == len(tails)


@pytest.mark.parametrize("most", [6, 15, 40, 90])
@pytest.mark.parametrize("mode", [0, 1])
def test_max_tokens_bounds_the_words(most: int, mode: int) -> None:
    for prompt in expand("a cat", mode=mode, max_tokens=most, count=4):
        assert len(prompt.split()) <= most + 4


def test_min_tokens_makes_prompts_long() -> None:
    for prompt in expand("a cat", min_tokens=70, max_tokens=90, count=3):
        assert 66 <= len(prompt.split()) <= 92


def test_cold_and_narrow_draws_from_fewer_phrases_than_hot_and_wide() -> None:
    def variety(**params: Any) -> int:
        found = expand("a cat", count=12, repetition_penalty=1.0, max_tokens=30, **params)
        tags = re.findall(r"[^,():]+", " ".join(text.split(", ", 1)[1] for text in found))
        return len({tag.strip() for tag in tags})

    assert variety(top_k=1, temperature=0.1) < variety(top_k=0, temperature=2.0)
    assert variety(top_k=3) < variety(top_k=0)
    assert variety(top_p=0.2) < variety(top_p=1)


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("a girl", "person"),
        ("two cats", "animal"),
        ("Blue Sea", "sea"),
        ("a cup of coffee", "food"),
        ("an old bridge", "city"),
        ("quxx", None),
    ],
)
def test_the_subject_words_tell_the_kind(prompt: str, kind: str | None) -> None:
    assert next(iter(kinds_of(prompt)), None) == kind


def test_phrases_fit_the_subject() -> None:
    cats = " ".join(expand("a cat", count=10))
    cities = " ".join(expand("a city", count=10))

    assert "fur" in cats
    assert "cobblestones" not in cats
    assert "fur" not in cities


def test_what_the_prompt_says_already_is_not_said_again() -> None:
    for prompt in expand("a cat, highly detailed, sharp focus", count=8, max_tokens=60):
        assert prompt.count("highly detailed") == 1


@pytest.mark.parametrize("prompt", ["霓虹城市", "кот", "a" * 500, "x, " * 100, "{|}()<>"])
def test_any_prompt_is_expanded(prompt: str) -> None:
    assert len(expand(prompt, count=3)) == 3


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"count": 0}, r"count \(sequencesNum\) must be 1 to 20"),
        ({"count": 21}, r"count \(sequencesNum\) must be 1 to 20"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"mode": 2}, "mode must be 0"),
        ({"min_tokens": 50, "max_tokens": 10}, "min_tokens"),
        ({"prompt": "  "}, "nothing to expand"),
    ],
)
def test_values_that_make_no_sense_are_refused(params: dict[str, Any], word: str) -> None:
    with pytest.raises(EngineError, match=word):
        expand(**{"prompt": "a cat", **params})


def test_the_word_lists_have_no_doubles_and_only_known_kinds_and_categories() -> None:
    phrases = [phrase for row in vocabulary.ROWS for phrase in row.phrases]

    assert len(phrases) == len(set(phrases))
    assert {row.category for row in vocabulary.ROWS} == set(vocabulary.ORDER)
    assert {kind for row in vocabulary.ROWS for kind in row.kinds.split()} <= set(vocabulary.KINDS)
