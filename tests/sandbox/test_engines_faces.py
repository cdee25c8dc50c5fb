"""The engines that move, clear and recolour faces: what changes, what stays, what is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw

from imgopen_nb.sandbox import engines
from imgopen_nb.sandbox.editing.blend import match_colours, poisson
from imgopen_nb.sandbox.editing.hair import colour_in, find_hair
from imgopen_nb.sandbox.engine import EngineError
from imgopen_nb.sandbox.vision.mesh import OVAL, Mesh, largest_mesh, outlined, read_meshes

from ..sandbox_fixtures import FakeWork, sample

ENGINES = engines.load()
ASTRONAUT_FACE, HOPPER_FACE = (170, 50, 280, 200), (125, 100, 330, 310)


def run(operation: str, params: dict[str, Any] | None = None, **pictured: Any) -> Image.Image:
    work = FakeWork(pictured, params or {})
    answer = ENGINES[operation].run(work)
    assert answer["outputImageUrl"] == "http://localhost/results/1.png"
    return work.saved[0]


def changed(before: Image.Image, after: Image.Image) -> tuple[int, int, int, int]:
    box = ImageChops.difference(before, after).getbbox()
    assert box is not None, "nothing changed"
    return box


def within(inner: tuple[int, int, int, int], outer: tuple[int, int, int, int]) -> bool:
    return (
        inner[0] >= outer[0]
        and inner[1] >= outer[1]
        and inner[2] <= outer[2]
        and inner[3] <= outer[3]
    )


def pixels(image: Image.Image, box: tuple[int, int, int, int]) -> np.ndarray:
    return np.asarray(image.crop(box), float)


def pair() -> Image.Image:
    image = Image.new("RGB", (1024, 512), "grey")
    image.paste(sample("grace_hopper"), (0, 0))
    image.paste(sample("astronaut"), (512, 0))
    return image


def middle(mesh: Mesh) -> tuple[float, float]:
    x, y = mesh.points.mean(0).tolist()
    return x, y


@pytest.mark.parametrize(
    ("giver", "receiver", "face"),
    [("grace_hopper", "astronaut", ASTRONAUT_FACE), ("astronaut", "grace_hopper", HOPPER_FACE)],
)
def test_a_swap_changes_the_face_and_not_a_pixel_outside_it(
    giver: str, receiver: str, face: tuple[int, int, int, int]
) -> None:
    image = sample(receiver)
    result = run("face-swap", face=sample(giver), image=image)
    box = changed(image, result)

    assert result.size == image.size
    assert within(box, face), box
    assert (box[2] - box[0]) > 60


def test_a_swapped_face_is_still_a_face_in_the_same_place_and_of_the_skin_colour() -> None:
    image = sample("astronaut")
    result = run("face-swap", face=sample("grace_hopper"), image=image)
    before, after = largest_mesh(image), largest_mesh(result)

    assert before is not None
    assert after is not None
    assert middle(after) == pytest.approx(middle(before), abs=4)
    cheeks = (195, 120, 255, 160)
    means = [np.asarray(each.crop(cheeks), float).mean((0, 1)) for each in (image, result)]
    assert np.abs(means[0] - means[1]).max() < 30


def test_a_swap_carries_the_givers_glasses_over() -> None:
    """The frame of the glasses is darker than anything at that height of the receiver's face."""
    image = sample("astronaut")
    result = run("face-swap", face=sample("grace_hopper"), image=image)
    band = (190, 88, 260, 125)

    assert np.asarray(result.crop(band).convert("L")).mean() < (
        np.asarray(image.crop(band).convert("L")).mean() - 10
    )


def test_a_swap_with_oneself_changes_next_to_nothing() -> None:
    image = sample("astronaut")
    result = run("face-swap", face=image, image=image)

    assert np.abs(np.asarray(image, int) - np.asarray(result, int)).mean() < 0.1


def test_the_same_pictures_give_the_same_bytes() -> None:
    results = [
        run("face-swap-v2", face=sample("grace_hopper"), image=sample("astronaut")).tobytes()
        for _ in range(2)
    ]

    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("face", "image", "which"),
    [
        ("coffee", "astronaut", "gives the face"),
        ("astronaut", "coffee", "receives the face"),
    ],
)
@pytest.mark.parametrize("operation", ["face-swap", "face-swap-v2"])
def test_a_picture_without_a_face_is_named(
    operation: str, face: str, image: str, which: str
) -> None:
    with pytest.raises(EngineError, match=f"no face was found in the image that {which}"):
        run(operation, face=sample(face), image=sample(image))


def test_swap_v2_enhances_more_at_low_fidelity() -> None:
    pictures = {"face": sample("astronaut"), "image": sample("grace_hopper")}
    plain = np.asarray(run("face-swap", **pictures), int)
    results = [
        np.asarray(run("face-swap-v2", {"fidelity": fidelity}, **pictures), int)
        for fidelity in (0, 1)
    ]
    gains = [np.abs(result - plain).mean() for result in results]

    assert gains[0] > 2 * gains[1] > 0


def test_fusion_replaces_all_faces_and_nothing_between_them() -> None:
    image = pair()
    work = FakeWork({"faces": [sample("astronaut"), sample("grace_hopper")], "image": image})
    answer = ENGINES["face-fusion"].run(work)
    result = work.saved[0]

    assert answer["facesReplaced"] == 2
    assert within(changed(image.crop((0, 0, 512, 512)), result.crop((0, 0, 512, 512))), HOPPER_FACE)
    right = (512, 0, 1024, 512)
    assert within(changed(image.crop(right), result.crop(right)), ASTRONAUT_FACE)


def test_fusion_matches_two_givers_left_to_right() -> None:
    """Each given to the place it came from changes little; crossed, much."""
    image, faces = pair(), [sample("grace_hopper"), sample("astronaut")]
    straight = run("face-fusion", faces=faces, image=image)
    crossed = run("face-fusion", faces=faces[::-1], image=image)
    base = np.asarray(image, int)

    assert 5 * np.abs(np.asarray(straight, int) - base).mean() < (
        np.abs(np.asarray(crossed, int) - base).mean()
    )


@pytest.mark.parametrize(("index", "half"), [(1, 0), (2, 512)])
def test_fusion_with_an_index_replaces_that_face_only(index: int, half: int) -> None:
    image = pair()
    giver = sample("astronaut" if index == 1 else "grace_hopper")
    box = changed(image, run("face-fusion", {"face_index": index}, faces=[giver], image=image))

    assert half <= box[0] < box[2] <= half + 512


def test_fusion_refuses_an_index_beyond_the_faces() -> None:
    with pytest.raises(EngineError, match=r"face_index \(faceIdx\) is 3, but .* has 2 faces"):
        run("face-fusion", {"face_index": 3}, faces=[sample("astronaut")], image=pair())


def test_fusion_names_the_giver_without_a_face() -> None:
    with pytest.raises(EngineError, match="gives face 2"):
        run("face-fusion", faces=[sample("astronaut"), sample("coffee")], image=pair())


def test_restoring_brings_a_blurred_face_nearer_to_the_sharp_one() -> None:
    """Measured on the face alone: sharper than the input, and no further from the original."""
    sharp = sample("grace_hopper")
    small = sharp.resize((sharp.width // 3, sharp.height // 3), Image.Resampling.LANCZOS)
    blurred = small.resize(sharp.size, Image.Resampling.BICUBIC)
    result = run("face-restore", {"fidelity": 0}, image=blurred)
    face = (170, 130, 285, 270)
    errors = [
        np.square(pixels(each, face) - pixels(sharp, face)).mean() for each in (blurred, result)
    ]
    steps = [np.square(np.diff(pixels(each, face), 2, 1)).mean() for each in (blurred, result)]

    assert errors[1] < errors[0]
    assert steps[1] > 1.2 * steps[0]
    assert within(changed(blurred, result), (125, 95, 330, 305))


def test_restoring_needs_a_face() -> None:
    with pytest.raises(EngineError, match="no face was found"):
        run("face-restore", image=sample("chelsea"))


def test_instant_id_is_a_labelled_placeholder_of_the_wanted_size_with_the_face() -> None:
    result = run("instant-id", {"prompt": "a knight", "seed": 3}, image=sample("astronaut"))
    foot = np.asarray(result.crop((0, 780, 960, 960)).convert("L"))

    assert ENGINES["instant-id"].fidelity == "placeholder"
    assert result.size == (960, 960)
    assert len(read_meshes(result)) == 1
    assert foot.max() > 240
    assert np.median(foot) < 60


def test_instant_id_depends_on_seed_and_prompt_and_on_nothing_else() -> None:
    def made(prompt: str, seed: int) -> bytes:
        params = {"prompt": prompt, "seed": seed}
        return run("instant-id", params, image=sample("grace_hopper")).tobytes()

    assert made("a queen", 1) == made("a queen", 1)
    assert made("a queen", 1) != made("a queen", 2)


def test_hair_takes_the_colour_of_the_word_and_all_else_keeps_its_own() -> None:
    image = sample("astronaut")
    result = run("hairstyle", {"hair": "long blue hair"}, image=image)
    crown = np.asarray(result.crop((200, 25, 250, 45)), float).mean((0, 1))

    assert crown.argmax() == 2
    assert crown.max() > crown.min() + 40
    difference = np.asarray(ImageChops.difference(image, result).convert("L"))
    assert (difference[25:45, 200:250] > 0).mean() > 0.9
    # The face, the background and the suit.
    for left, top, right, bottom in [(205, 95, 250, 150), (0, 0, 140, 200), (0, 260, 512, 512)]:
        assert difference[top:bottom, left:right].mean() < 1


def hair_of(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Return how much of each pixel is hair, in an image of the given size."""
    part, box = find_hair(image, largest_mesh(image))
    whole = Image.new("L", image.size)
    whole.paste(part, box[:2])
    return np.asarray(whole.resize(size, Image.Resampling.BOX), float)


def test_the_same_hair_is_found_at_another_size_and_compression() -> None:
    image, coded = sample("astronaut"), io.BytesIO()
    image.resize((384, 384)).save(coded, "JPEG", quality=75)
    expected = hair_of(image, image.size)

    for other in (image.resize((256, 256)), Image.open(coded)):
        found = hair_of(other, image.size)
        assert np.minimum(expected, found).sum() > 0.85 * np.maximum(expected, found).sum()


def test_hair_without_a_colour_word_is_refused_with_the_list() -> None:
    with pytest.raises(
        EngineError, match=r"hair \(hairStyle\) must name a colour.*black.*blonde.*blue"
    ):
        run("hairstyle", {"hair": "a bob with bangs"}, image=sample("astronaut"))


def covered(colour: str = "") -> Image.Image:
    """Return the astronaut with skin, or a cap of that colour, where her hair was."""
    image = sample("astronaut")
    mesh = largest_mesh(image)
    face, cheek = outlined(mesh, OVAL, image.size), [round(x) for x in mesh.points[50].tolist()]
    result = image.copy()
    fill = colour or image.getpixel((cheek[0], cheek[1]))
    ImageDraw.Draw(result).ellipse((155, 0, 295, 215), fill=fill)
    result.paste(image, (0, 0), face)
    return result


@pytest.mark.parametrize(
    ("image", "why"),
    [
        pytest.param(covered, "no hair found around the face", id="bald"),
        pytest.param(lambda: covered("navy"), "a hat or cap", id="hat"),
        pytest.param(
            lambda: sample("astronaut").crop((165, 80, 285, 225)), "the whole head", id="close-up"
        ),
    ],
)
def test_without_sure_hair_nothing_is_painted(image: Callable[[], Image.Image], why: str) -> None:
    with pytest.raises(EngineError, match=why):
        run("hairstyle", {"hair": "blue"}, image=image())


@pytest.mark.parametrize(
    ("words", "colour"),
    [("Red hair", "red"), ("blonde, curly", "blonde"), ("bored", None), ("dark-brown", "brown")],
)
def test_colour_words_are_whole_words(words: str, colour: str | None) -> None:
    assert colour_in(words) == colour


def test_poisson_blending_of_a_shifted_copy_gives_the_original_back() -> None:
    base = np.random.default_rng(0).uniform(0, 255, (40, 50, 3)).astype(np.float32)
    inside = np.zeros((40, 50), bool)
    inside[8:30, 10:40] = True

    assert np.abs(poisson(base + 37, base, inside) - base).max() < 0.01


def test_matched_colours_have_the_mean_that_was_wanted() -> None:
    random = np.random.default_rng(1)
    pixels, wanted = (random.normal(level, 20, (30, 30, 3)) for level in (90, 150))
    where = np.ones((30, 30), bool)
    matched = match_colours(pixels.astype(np.float32), wanted.astype(np.float32), where)

    assert matched.mean((0, 1)) == pytest.approx(wanted.mean((0, 1)), abs=0.5)
