"""What makes two calls the same: operation, values, images by content, and who is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.config.credentials import Keys, Secret
from imgopen_nb.config.settings import Settings
from imgopen_nb.tasks.cache_key import backend_of, cache_key

HOME = Path("/nowhere")
REAL = Keys(Secret("id-123456"), Secret("secret-123456"))
PICTURE = {"image": ["sha256 aa"]}
SEEDED = [op for op in OPERATIONS.runnable if any(p.name == "seed" for p in op.user_params)]
LISTS = [op for op in OPERATIONS.runnable if op.kind == "rows"]


def of(
    name: str = "describe",
    held: dict[str, list[str]] = PICTURE,
    where: str = "here",
    **values: Any,
) -> str | None:
    return cache_key(OPERATIONS[name], {"image": "x.png", **values}, held, where)


def test_the_same_call_has_the_same_fingerprint_whatever_the_order_of_its_values():
    one = cache_key(OPERATIONS["style"], {"a": 1, "b": {"x": 1, "y": 2}}, {}, "here")
    other = cache_key(OPERATIONS["style"], {"b": {"y": 2, "x": 1}, "a": 1}, {}, "here")

    assert one == other
    assert one is not None
    assert len(one) == 64


@pytest.mark.parametrize(
    "other",
    [
        of("style"),
        of(where="there"),
        of(held={"image": ["sha256 bb"]}),
        of(held={"image": ["sha256 aa", "sha256 aa"]}),
        of(model="deepdanbooru"),
    ],
    ids=["operation", "backend", "content", "number of images", "parameter"],
)
def test_whatever_differs_makes_another_fingerprint(other: str | None):
    assert other not in (None, of())


def test_how_a_picture_is_called_does_not_count_only_what_it_holds():
    assert of(image="a.png") == of(image="/elsewhere/b.png")


def test_two_pictures_that_swap_their_places_are_another_call():
    faces = cache_key(OPERATIONS["face-swap"], {}, {"face": ["a"], "image": ["b"]}, "here")
    swapped = cache_key(OPERATIONS["face-swap"], {}, {"face": ["b"], "image": ["a"]}, "here")

    assert faces != swapped


def test_a_documented_default_counts_as_given():
    assert of(model="clip") == of()


@pytest.mark.parametrize("row", SEEDED, ids=lambda row: row.name)
def test_a_call_with_a_random_result_has_no_key(row: Any):
    """No seed, and -1, which the vendor's own texts take for "any"."""
    assert cache_key(row, {}, {}, "here") is None
    assert cache_key(row, {"seed": -1}, {}, "here") is None


@pytest.mark.parametrize("row", SEEDED, ids=lambda row: row.name)
def test_with_a_seed_the_same_call_is_the_same(row: Any):
    assert cache_key(row, {"seed": 7}, {}, "here") is not None
    assert cache_key(row, {"seed": 7}, {}, "x") != cache_key(row, {"seed": 8}, {}, "x")


@pytest.mark.parametrize("row", LISTS, ids=lambda row: row.name)
def test_lists_are_always_requested(row: Any):
    assert cache_key(row, {}, {}, "here") is None


def test_odd_text_has_a_fingerprint_too():
    assert of(note="half a \ud800 sign") != of(note="half a \ud801 sign")


def test_backends_differ_by_address_and_the_sandbox_by_its_models_and_version():
    places = [
        backend_of(Settings(HOME, "https://api.example.org", REAL), "1"),
        backend_of(Settings(HOME, "https://other.example.org", REAL), "1"),
        backend_of(Settings(HOME, "http://127.0.0.1:1"), "1"),
        backend_of(Settings(HOME), "1"),
        backend_of(Settings(HOME), "2"),
        backend_of(Settings(HOME, tagger="/models/a"), "1"),
        backend_of(Settings(HOME, captioner="/models/a"), "1"),
    ]

    assert len(set(places)) == len(places)


def test_no_key_is_in_what_a_backend_is_called():
    assert "123456" not in backend_of(Settings(HOME, "https://api.example.org", REAL), "1")


def test_the_folder_of_the_history_does_not_count():
    assert backend_of(Settings(HOME), "1") == backend_of(Settings(Path("/other")), "1")
