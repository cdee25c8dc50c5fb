"""The engines describe, detect-faces and style: what they say, and what they must not."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from imgopen_nb.sandbox import engines
from imgopen_nb.sandbox.captioning import findings, tags
from imgopen_nb.sandbox.engine import EngineError, engine
from imgopen_nb.sandbox.vision import classes, subjects
from imgopen_nb.sandbox.vision.networks import MODELS
from imgopen_nb.sandbox.vision.objects import Detection
from imgopen_nb.sandbox.vision.styles import recognise
from imgopen_nb.sandbox.vision.tones import measure

from ..sandbox_fixtures import FakeWork, sample

SAMPLES = Path(engines.__file__).parents[2] / "images" / "samples"
ENGINES = engines.load()


def caption(image: Image.Image) -> str:
    return str(ENGINES["describe"].run(FakeWork(image, {"model": "clip"}))["caption"])


def tagged(image: Image.Image) -> dict[str, float]:
    found = ENGINES["describe"].run(FakeWork(image, {"model": "deepdanbooru"}))
    return {tag["name"]: tag["score"] for tag in found["tags"]}


def noise(side: int = 256) -> Image.Image:
    return Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    )


def gradient() -> Image.Image:
    ramp = np.linspace(0, 255, 300, dtype=np.uint8)
    return Image.fromarray(np.stack([np.tile(ramp, (200, 1)), np.full((200, 300), 90, np.uint8),
                                     np.tile(ramp[::-1], (200, 1))], -1))  # fmt: skip


def sketch(image: Image.Image) -> Image.Image:
    """Draw by the dodge trick: the grey image over its blurred self."""
    grey = ImageOps.grayscale(image)
    blurred = np.asarray(grey.filter(ImageFilter.GaussianBlur(6)), np.float32)
    lines = np.clip(np.asarray(grey, np.float32) * 255 / (blurred + 1), 0, 255) / 255
    return Image.fromarray((255 * lines**2).astype(np.uint8)).convert("RGB")


def drawing() -> Image.Image:
    image = Image.new("RGB", (300, 300), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((60, 60, 240, 240), outline="black", width=4)
    pen.line((20, 280, 280, 200), fill="black", width=3)
    return image


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("astronaut", ("portrait", "person", "orange")),
        ("chelsea", ("cat", "brown")),
        ("coffee", ("espresso",)),
        ("rocket", ("rocket", "at night")),
        ("camera", ("person", "tripod", "black and white")),
        ("grace_hopper", ("portrait", "person", "black")),
    ],
)
def test_caption_names_the_main_subject_of_each_sample(name: str, words: tuple[str, ...]) -> None:
    said = caption(sample(name))

    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("astronaut", {"1other", "solo", "portrait"}),
        ("chelsea", {"cat", "animal", "animal_focus", "close-up", "no_humans"}),
        ("coffee", {"coffee", "drink", "food", "food_focus"}),
        ("rocket", {"rocket", "dark"}),
        ("camera", {"1other", "solo", "monochrome"}),
        ("grace_hopper", {"1other", "solo", "portrait"}),
    ],
)
def test_tags_name_the_main_subject_of_each_sample(name: str, expected: set[str]) -> None:
    assert expected <= set(tagged(sample(name)))


def test_tags_are_spelled_as_danbooru_spells_and_sorted_by_score() -> None:
    result = ENGINES["describe"].run(FakeWork(sample("chelsea"), {"model": "deepdanbooru"}))
    names, scores = (
        [tag["name"] for tag in result["tags"]],
        [tag["score"] for tag in result["tags"]],
    )

    assert all(re.fullmatch(r"[a-z0-9_'()/-]+", name) for name in names), names
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert result["caption"] == ", ".join(names)


def test_the_same_picture_gets_the_same_words() -> None:
    from imgopen_nb.sandbox.vision import scene

    first = caption(sample("coffee"))
    scene._scenes.clear()

    assert caption(sample("coffee")) == first


def test_caption_and_tags_of_one_picture_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from imgopen_nb.sandbox.vision import scene

    caption(sample("chelsea"))
    monkeypatch.setattr(scene, "_measure", lambda image: pytest.fail("measured again"))

    assert "cat" in tagged(sample("chelsea"))


@pytest.mark.parametrize(
    ("image", "word"),
    [
        pytest.param(noise(), "noise", id="noise"),
        pytest.param(Image.new("RGB", (200, 150), (40, 90, 200)), "plain blue", id="flat"),
        pytest.param(gradient(), "gradient", id="gradient"),
    ],
)
def test_pictures_without_a_subject_get_no_subject(image: Image.Image, word: str) -> None:
    said, names = caption(image), tagged(image)
    nouns = set(classes.TAGS.values()) | set(classes.COCO.values())

    assert word in said
    assert "person" not in said
    assert not nouns & set(names), names


def page(ink: str = "black", paper: str = "white") -> Image.Image:
    image = Image.new("RGB", (640, 800), paper)
    pen = ImageDraw.Draw(image)
    letters = "the quick brown fox jumps over a lazy dog and then sleeps for hours in the sun "
    for line in range(26):
        text = (letters * 2)[line * 5 % 40 :][: 68 if line % 6 else 40]
        pen.text((50, 50 + 27 * line), text, ink, ImageFont.load_default(16))
    return image


def stick_figures(many: int) -> Image.Image:
    image = Image.new("RGB", (160 + 140 * many, 400), "white")
    pen = ImageDraw.Draw(image)
    for x in range(150, 150 + 140 * many, 140):
        pen.ellipse((x - 35, 60, x + 35, 130), outline="black", width=5)
        for line in ((x, 130, x, 250), (x, 160, x - 55, 215), (x, 160, x + 55, 215),
                     (x, 250, x - 45, 345), (x, 250, x + 45, 345)):  # fmt: skip
            pen.line(line, "black", 5)
    return image


def silhouette() -> Image.Image:
    """Fill the outline of an animal on four legs."""
    image = Image.new("RGB", (400, 300), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((90, 100, 300, 180), fill="black")
    pen.polygon([(270, 130), (330, 40), (370, 60), (375, 85), (340, 80), (300, 160)], fill="black")
    for x in (105, 135, 250, 280):
        pen.rectangle((x, 150, x + 14, 270), fill="black")
    return image


def horse() -> Image.Image:
    """Fill the outline of a horse, which the classifier takes for a dog."""
    image = Image.new("RGB", (500, 460), "white")
    outline = ((90, 130), (110, 95), (150, 60), (160, 85), (205, 150), (330, 150), (380, 155),
               (430, 260), (415, 265), (400, 210), (390, 250), (410, 400), (385, 400), (350, 270),
               (240, 270), (240, 400), (215, 400), (200, 260), (150, 160), (95, 155))  # fmt: skip
    ImageDraw.Draw(image).polygon(outline, "black")
    return image


@pytest.mark.parametrize(
    ("image", "words", "tag"),
    [
        pytest.param(page(), "page of text", "text_focus", id="page"),
        pytest.param(page("white", "black"), "page of text", "text_focus", id="white on black"),
        pytest.param(drawing(), "drawing", "lineart", id="line drawing"),
        pytest.param(stick_figures(1), "drawing", "lineart", id="stick figure"),
        pytest.param(stick_figures(3), "drawing", "lineart", id="stick figures"),
        pytest.param(silhouette(), "silhouette", "silhouette", id="silhouette"),
        pytest.param(horse(), "silhouette", "silhouette", id="horse"),
    ],
)
def test_pages_and_drawings_are_called_so_and_nothing_in_them_is_named(
    image: Image.Image, words: str, tag: str
) -> None:
    said, names = caption(image), tagged(image)
    nouns = {*classes.TAGS, *classes.COCO, *subjects.GENERAL.values()}

    assert words in said, said
    assert not nouns & set(re.findall(r"[a-z]+", said)), said
    assert tag in names
    assert not set(names) & ({*classes.TAGS.values(), *classes.COCO.values()} - {""}), names


@pytest.mark.parametrize(
    ("image", "never"),
    [
        pytest.param(
            ImageOps.expand(sample("rocket"), 12, "white"),
            {"plain", "simple_background", "white_background"},
            id="frame",
        ),
        pytest.param(
            Image.eval(sample("coffee"), lambda value: value // 8),
            {"surface", "texture", "drawing", "graphic", "diagram"},
            id="hardly lit",
        ),
    ],
)
def test_a_photograph_in_a_frame_or_in_the_dark_is_still_one(
    image: Image.Image, never: set[str]
) -> None:
    """A frame is no background, and few tones in the dark make no drawing."""
    said = {*re.findall(r"[a-z]+", caption(image)), *tagged(image)}

    assert not never & said, said


def test_an_unknown_subject_may_be_a_person_and_blue_in_a_drawing_may_be_no_sky() -> None:
    from imgopen_nb.sandbox.vision import scene

    seen = scene.analyse(sample("chelsea"))
    nothing = replace(seen, reading=subjects.Reading.of(np.full(1000, 0.001, np.float32)))
    blue = replace(nothing, tone=replace(seen.tone, sky=0.6))
    drawn = replace(blue, media={**seen.media, "photo": 0.45, "drawing": 0.5})

    assert "no_humans" not in {tag["name"] for tag in tags.tags(nothing)}
    assert "blue_sky" in {tag["name"] for tag in tags.tags(blue)}
    assert "blue_sky" not in {tag["name"] for tag in tags.tags(drawn)}


def test_an_even_texture_is_named_only_if_it_is_quite_sure() -> None:
    """Stars have been called a monument, and pollen a flower."""
    from imgopen_nb.sandbox.captioning.caption import caption as write
    from imgopen_nb.sandbox.vision import scene

    odds = np.full(1000, 0.4 / 999, np.float32)
    odds[985] = 0.6
    seen = replace(scene.analyse(sample("rocket")), reading=subjects.Reading.of(odds), objects=())

    assert "flower" in write(seen)
    assert "flower" not in write(replace(seen, tone=replace(seen.tone, texture="pattern")))


def test_only_what_is_seen_twice_and_clearly_is_plural() -> None:
    from imgopen_nb.sandbox.captioning.caption import caption as write
    from imgopen_nb.sandbox.vision import scene

    cat = Detection("cat", 0.7, (10, 10, 90, 90))
    seen = replace(scene.analyse(sample("chelsea")), objects=(cat, replace(cat, score=0.45)))

    assert "cats" not in write(seen)
    assert "cats" in write(replace(seen, objects=(cat, cat)))


def test_a_page_with_a_few_coloured_words_is_not_monochrome() -> None:
    grey, image = page(), page()
    ImageDraw.Draw(image).text((50, 50), "a heading in red", "red", ImageFont.load_default(30))

    assert measure(grey).monochrome
    assert not measure(image).monochrome


@pytest.mark.parametrize("name", ["chelsea", "rocket"])
def test_a_photograph_gets_the_same_head_in_every_size(name: str) -> None:
    picture = sample(name)
    shown = [picture.resize((side, side * picture.height // picture.width)) for side in (480, 640)]

    first, second = (caption(each).split(" with ")[0].split(",")[0] for each in shown)

    assert first == second


def test_tags_come_from_the_vocabulary_of_danbooru() -> None:
    images = [sample(name) for name in ("astronaut", "chelsea", "rocket")] + [page(), drawing()]

    assert {tag for image in images for tag in tagged(image)} <= tags.vocabulary()
    assert {"necktie", "1other", "no_humans", "patterned", "motor_vehicle"} <= tags.vocabulary()
    assert not {"person", "vehicle", "minibus", "tie", "wedding_suit", ""} & tags.vocabulary()


@pytest.mark.parametrize(("index", "noun"), [(366, "gorilla"), (341, "pig"), (235, "dog")])
def test_nobody_who_may_be_a_person_is_called_an_animal(index: int, noun: str) -> None:
    """The classifier's word counts only if it is very sure, and not at all beside a person."""
    from imgopen_nb.sandbox.captioning.caption import caption as write
    from imgopen_nb.sandbox.vision import scene

    odds = np.full(1000, 0.2 / 999, np.float32)
    odds[index] = 0.8
    person = Detection("person", 0.5, (10, 10, 90, 90))
    seen = replace(
        scene.analyse(sample("chelsea")),
        reading=subjects.Reading.of(odds),
        objects=(person,),
        somebody=person.score,
    )

    assert noun not in write(seen)
    assert "animal" not in write(replace(seen, people=1))
    assert noun in write(replace(seen, objects=(), somebody=0.0)) or noun != "dog"


def test_more_people_than_can_be_counted_are_a_group() -> None:
    from imgopen_nb.sandbox.captioning.caption import caption as write
    from imgopen_nb.sandbox.vision import scene

    bodies = tuple(Detection("person", 0.9, (20.0 * n, 10, 20.0 * n + 20, 90)) for n in range(4))
    crowd = replace(scene.analyse(sample("astronaut")), people=4, objects=bodies)
    pair = replace(crowd, people=2, objects=bodies[:2], faces=crowd.faces * 2)
    unsure = replace(pair, faces=(), tone=replace(pair.tone, texture="pattern"))

    assert "a group of people" in write(crowd)
    assert "two people" in write(pair)
    assert write(unsure).startswith("people")
    assert "solo" not in {tag["name"] for each in (crowd, pair, unsure) for tag in tags.tags(each)}
    assert "2others" in {tag["name"] for tag in tags.tags(pair)}
    assert "patterned" not in {tag["name"] for tag in tags.tags(unsure)}


def test_no_vocabulary_speaks_of_sex_age_or_mood() -> None:
    forbidden = {
    "man", "woman", "men", "women", "male", "female", "boy", "girl", "boys", "girls", "lady",
    "gentleman", "old", "young", "child", "adult", "elderly", "smile", "smiling", "happy", "sad",
    "angry", "1girl", "1boy", "his", "her", "he", "she",
}  # fmt: skip
    source = " ".join(
        path.read_text(encoding="utf-8")
        for path in (
            Path(engines.__file__).parents[1] / "captioning" / f"{name}.py"
            for name in ("caption", "tags", "findings")
        )
    )
    literals = " ".join(re.findall(r'"([^"\n]*)"', source))
    nouns = " ".join([*classes.TAGS, *classes.COCO])

    assert not forbidden & set(re.findall(r"[a-z0-9]+", f"{literals} {nouns}".lower()))


def test_every_group_index_is_an_imagenet_class_of_one_group_only() -> None:
    indices = [index for group in classes.GROUPS for index in group.members]

    assert len(indices) == len(set(indices))
    assert all(0 <= index < 1000 for index in indices)
    assert all(group.words.keys() <= set(group.members) for group in classes.GROUPS)


def test_every_detector_class_belongs_to_one_family() -> None:
    from imgopen_nb.sandbox.vision.objects import NAMES

    families = [members for _, members, _ in findings.FAMILIES] + [findings.ANIMALS]
    listed = [name for members in families for name in members]

    assert len(listed) == len(set(listed))
    assert set(listed) == set(classes.COCO) <= set(NAMES)


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3)])
def test_tiny_and_thin_pictures_are_described(size: tuple[int, int]) -> None:
    assert caption(Image.new("RGB", size, "red"))


def test_transparent_pictures_are_seen_on_white() -> None:
    image = Image.new("RGBA", (120, 120), (0, 0, 0, 0))

    assert "plain white" in caption(image)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(EngineError, match="clip"):
        ENGINES["describe"].run(FakeWork(sample("coffee"), {"model": "gpt"}))


def test_loading_the_registry_loads_no_network_runtime() -> None:
    code = (
        "import sys; from imgopen_nb.sandbox import engines; engines.load(); "
        "sys.exit('onnxruntime' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_second_engine_for_an_operation_is_refused() -> None:
    with pytest.raises(ValueError, match="describe"):
        engine("describe", name="x", fidelity="real", about="x")(lambda work: {})


@pytest.mark.parametrize(
    ("name", "centre"), [("astronaut", (0.44, 0.22)), ("grace_hopper", (0.53, 0.43))]
)
def test_one_face_is_found_where_it_is(name: str, centre: tuple[float, float]) -> None:
    work = FakeWork(sample(name))
    result = ENGINES["detect-faces"].run(work)
    left, top, width, height = result["faces"][0]["box"]
    found = ((left + width / 2) / result["width"], (top + height / 2) / result["height"])

    assert result["faceCount"] == 1
    assert found == pytest.approx(centre, abs=0.08)
    assert result["faces"][0]["cropUrl"].endswith("1.png")
    assert work.saved[0].width > width


def test_two_faces_come_left_to_right_with_their_key_points() -> None:
    collage = Image.new("RGB", (1024, 512), "grey")
    collage.paste(sample("grace_hopper"), (0, 0))
    collage.paste(sample("astronaut"), (512, 0))
    faces = ENGINES["detect-faces"].run(FakeWork(collage))["faces"]

    assert len(faces) == 2
    assert faces[0]["box"][0] < 512 < faces[1]["box"][0]
    for face in faces:
        left, top, width, height = face["box"]
        x, y = face["keyPoints"]["nose"]
        assert left < x < left + width
        assert top < y < top + height
        assert face["keyPoints"]["rightEye"][0] < face["keyPoints"]["leftEye"][0]


def test_a_small_face_in_a_large_picture_is_found() -> None:
    scene = Image.new("RGB", (1600, 1000), (120, 140, 120))
    scene.paste(sample("astronaut").resize((220, 220)), (1250, 600))
    faces = ENGINES["detect-faces"].run(FakeWork(scene))["faces"]

    assert len(faces) == 1
    assert faces[0]["box"][0] > 1250


@pytest.mark.parametrize(
    "image", [sample("chelsea"), noise(), Image.new("RGB", (1, 1))], ids=["cat", "noise", "1x1"]
)
def test_a_picture_without_a_face_is_an_error_that_says_so(image: Image.Image) -> None:
    with pytest.raises(EngineError, match="no face"):
        ENGINES["detect-faces"].run(FakeWork(image))


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_photographs_are_photos(name: str) -> None:
    result = ENGINES["style"].run(FakeWork(sample(name)))

    assert result["style"] == "photo"
    assert sum(each["score"] for each in result["styles"]) == pytest.approx(1, abs=0.01)


def test_a_made_sketch_is_a_sketch() -> None:
    assert recognise(sketch(sample("coffee")))[0][0] == "sketch"


def test_model_files_are_those_of_the_table() -> None:
    """Every file has its row, every row its file, and the hashes agree."""
    rows = dict(
        re.findall(
            r"\| `([\w.]+)` \|.*`([0-9a-f]{64})`",
            (MODELS / "MODELS.md").read_text(encoding="utf-8"),
        )
    )
    files = {
        path.name: path
        for path in MODELS.iterdir()
        if path.suffix in (".onnx", ".json", ".npz", ".npy")
    }
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}

    assert rows == hashes


def test_every_sample_has_its_credits_and_a_small_size() -> None:
    credits = (SAMPLES / "CREDITS.md").read_text(encoding="utf-8")

    for path in SAMPLES.glob("*.jpg"):
        assert f"`{path.name}`" in credits
        assert max(sample(path.stem).size) <= 512
