"""Images that look the same are found however they were saved, and others are not."""

from __future__ import annotations

import io
import itertools
import random

import pytest
from PIL import Image, ImageEnhance

from imgopen_nb.datasets.near_duplicates import MOST_BITS, groups, look_of
from imgopen_nb.images.picture import samples
from imgopen_nb.images.thumbnail import thumbnail

from ..conftest import often

SAMPLES = samples()


def look(image: Image.Image, quality: int = 90) -> int | None:
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=quality)
    return look_of(thumbnail(out.getvalue(), 192).jpeg)


def changed(image: Image.Image) -> dict[str, int | None]:
    width, height = image.size
    inner = (width * 0.015, height * 0.015, width * 0.985, height * 0.985)
    return {
        "half": look(image.resize((width // 2, height // 2))),
        "a third, distorted": look(image.resize((width // 3, height // 3 + 9))),
        "cropped": look(image.crop(tuple(map(int, inner)))),
        "poor JPEG": look(image, quality=15),
        "brighter": look(ImageEnhance.Brightness(image).enhance(1.1)),
        "grey": look(image.convert("L")),
    }


@pytest.mark.parametrize("name", SAMPLES)
def test_a_picture_is_known_in_another_size_quality_and_crop(name: str):
    with Image.open(SAMPLES[name]) as image:
        image.load()
    own = look(image)

    for way, other in changed(image).items():
        assert groups([own, other]) == [[0, 1]], way


def test_different_pictures_do_not_look_the_same():
    looks = []
    for path in SAMPLES.values():
        with Image.open(path) as image:
            looks += [look(image), look(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))]

    assert groups(looks) == []


def test_plain_pictures_are_not_compared():
    red, blue = Image.new("RGB", (64, 64), "red"), Image.new("RGB", (64, 64), "blue")

    assert (look(red), look(blue)) == (None, None)
    assert groups([None, None, 5]) == []
    assert groups([]) == []


def slowly(looks: list[int | None]) -> list[list[int]]:
    found = [{at} for at, look in enumerate(looks) if look is not None]
    for one, other in itertools.combinations([at for group in found for at in group], 2):
        a, b = looks[one], looks[other]
        if a is not None and b is not None and (a ^ b).bit_count() <= MOST_BITS:
            merged = next(g for g in found if one in g) | next(g for g in found if other in g)
            found = [g for g in found if not g & merged] + [merged]
    return sorted(sorted(group) for group in found if len(group) > 1)


def flipped(look: int, bits: list[int]) -> int:
    return look ^ sum(1 << bit for bit in bits)


def test_groups_are_those_of_all_pairs():
    dice = random.Random(15)
    for _ in range(often(10, 500)):
        looks: list[int | None] = [None, 0, 2**64 - 1]
        for _ in range(8):
            base = dice.getrandbits(64)
            looks += [flipped(base, dice.sample(range(64), dice.randrange(14))) for _ in range(6)]
        dice.shuffle(looks)

        assert sorted(groups(looks)) == slowly(looks)


@pytest.mark.parametrize("bits", [(2, 2, 2, 2), (8, 0, 0, 0), (0, 0, 4, 4), (1, 1, 1, 5)])
def test_eight_bits_are_found_wherever_they_are(bits: tuple[int, ...]):
    places = [16 * part + bit for part, count in enumerate(bits) for bit in range(count)]

    assert groups([0xDEADBEEF, flipped(0xDEADBEEF, places)]) == [[0, 1]]
    assert groups([0xDEADBEEF, flipped(0xDEADBEEF, [*places, 63])]) == []


def test_many_equal_pictures_are_one_group():
    assert groups([7] * 30_000 + [2**40 - 1]) == [list(range(30_000))]
