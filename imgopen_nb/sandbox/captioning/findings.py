"""Conclusions from a measured scene, before they are put into words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from ..vision.classes import COCO
from ..vision.objects import Detection
from ..vision.scene import MEDIUM_SURE, PERHAPS_PHOTO, Scene
from ..vision.subjects import GENERAL, Subject

Certainty = Literal["sure", "coarse", "none"]

# The least probability of a family, by its kind: the classifier mostly takes what it doesn't know
# for things.
SURE = {"animal": 0.5, "vehicle": 0.5, "building": 0.45, "landscape": 0.5, "plant": 0.5,
        "food": 0.5, "place": 0.65, "thing": 0.65, "page": 0.65, "clothing": 0.42}  # fmt: skip
# The least probability of a whole kind. Anything with leaves or a texture like fur gets a little of
# the 398 animal classes' probability.
COARSE = {"animal": 0.6, "vehicle": 0.5, "building": 0.45, "plant": 0.65, "food": 0.6,
          "landscape": 0.38}  # fmt: skip
ANIMAL_UNCUT = 0.75  # of an animal that does not stand out from its surroundings
# Photographs of people, and drawings, are named only by what is very sure, and of few kinds.
VERY_SURE, QUITE_SURE, PERHAPS_SURE = 0.85, 0.7, 0.6
BESIDE_PEOPLE = frozenset({"thing", "vehicle"})
IN_DRAWINGS = frozenset({"animal", "vehicle", "food", "plant"})
# Less is enough for a thing in what is clearly a photograph, if nothing else is nearly as likely.
CLEAR_PHOTO, CLEAR_THING = 0.85, 0.5
# Images of hardly more than two colours are never photographs, whatever they remind of.
FEW_TONES = 0.95
# A face that is not seen must never be named as one of these.
LIKE_PEOPLE = frozenset({"ape", "monkey", "wild boar or pig", "seal", "sloth"})
SIGN_OF_PERSON = 0.4
# The least sign of a person that keeps an image from being one of nobody.
FAINT_SIGN = 0.25
LEAST, TIMES = 0.3, 3.5
FOLIAGE = 0.6
# Below this lightness little can be made out; a surface has hardly any pixels of another tone.
DARK, SPECKS = 18, 0.01
# An even texture in which something is this likely may be its fur, or what is around it.
PATTERN_UNDER, BACKDROP = 0.3, 0.75

# COCO's classes by family, and the ImageNet families and kinds that back them: alone, the detector
# sees umbrellas, kites and cakes in any smooth shape.
FAMILIES: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = tuple(
    (name, frozenset(members.split(",")), frozenset(backing.split(",")))
    for name, members, backing in (
        ("traffic", "bicycle,car,motorcycle,airplane,bus,train,truck,boat", "vehicle"),
        ("pot", "potted plant", "plant"),
        ("street", "traffic light,bench", "vehicle,road sign,traffic light"),
        ("tableware", "bottle,wine glass,cup,fork,knife,spoon,bowl,dining table",
         "food,cup,bottle,vessel,bowl,cooking utensil,table"),
        ("meal", "banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake", "food"),
        ("room", "chair,couch,bed,television,microwave,oven,refrigerator,vase",
         "chair,couch,table,cabinet,bed,household appliance,television"),
        ("desk", "laptop,keyboard", "computer"),
        ("phone", "mobile phone", "telephone"),
        ("reading", "book", "printed page"),
        ("clock", "clock", "clock"),
        ("toy", "teddy bear", "teddy bear"),
        ("worn", "backpack,umbrella,handbag,tie,suitcase", "backpack,umbrella"),
        ("sport", "skis,snowboard,sports ball,skateboard,surfboard,tennis racket", "ball"),
    )
)  # fmt: skip
ANIMALS = frozenset(
    ["bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"]
)
# COCO's names, and those of ImageNet's families for the same things.
SAME = {"sports ball": "ball", "laptop": "computer", "keyboard": "computer", "cup": "drink",
        "dining table": "table"}  # fmt: skip
SEEN, SUPPORT, UNAIDED, ANIMAL_SEEN = 0.55, 0.3, 0.8, 0.6


@dataclass(frozen=True)
class Findings:
    """Conclusions about one image.

    `medium` is photo, drawing, text, screenshot, diagram or "" if unsure; `subject` is the main
    thing besides people, None if nothing is probable; `things` are the other objects with their
    counts; `setting` has any of: foliage, sky, lights, surface, night, pattern, plain, gradient,
    noise.
    """

    medium: str
    subject: Subject | None
    certainty: Certainty
    number: int
    things: dict[str, int]
    setting: frozenset[str]


def _subject(scene: Scene) -> tuple[Subject | None, Certainty]:
    best, *_ = scene.reading.subjects()
    if scene.medium != "photo":
        return (best, "sure") if _is_sure_in_a_drawing(scene, best) else (None, "none")
    if scene.people:
        named = best.kind in BESIDE_PEOPLE and best.probability >= VERY_SURE
        return (best, "sure") if named else (None, "none")
    if scene.somebody > SIGN_OF_PERSON and best.kind not in ("vehicle", "building", "landscape"):
        return (best, "sure") if best.probability >= VERY_SURE else (None, "none")
    rivals = [
        each.name
        for each in scene.objects
        if each.name in ANIMALS and each.score > ANIMAL_SEEN and each.name != best.group
    ]
    doubtful = best.group in LIKE_PEOPLE or (best.kind == "animal" and rivals)
    least = CLEAR_THING if best.kind == "thing" and _leads(scene, CLEAR_PHOTO) else SURE[best.kind]
    least = VERY_SURE if doubtful else _least(scene, least)
    if best.probability >= least or _stands_out(scene):
        return best, "sure"
    coarse = _kind(scene)
    return (coarse, "coarse") if coarse else (None, "none")


def _is_sure_in_a_drawing(scene: Scene, best: Subject) -> bool:
    """Whether an image that is no sure photograph shows `best` all the same."""
    if scene.people or scene.tones_share > FEW_TONES or scene.medium not in ("", "drawing"):
        return False
    if scene.medium == "" and scene.media["photo"] > PERHAPS_PHOTO:
        return best.probability >= PERHAPS_SURE
    least = QUITE_SURE if scene.medium == "" else VERY_SURE
    return best.kind in IN_DRAWINGS and best.probability >= least


def _least(scene: Scene, usual: float) -> float:
    """Return the least probability of a subject: even textures remind of much."""
    return max(usual, QUITE_SURE) if scene.tone.texture == "pattern" else usual


def _leads(scene: Scene, photo: float) -> bool:
    """Whether, in such a sure photograph, one family is far likelier than all others."""
    best, second, *_ = scene.reading.subjects()
    return scene.media["photo"] >= photo and best.probability >= TIMES * second.probability


def _stands_out(scene: Scene) -> bool:
    """Whether a vehicle, a building, a landscape or food is far likelier than all else."""
    best, *_ = scene.reading.subjects()
    leads = best.probability >= _least(scene, LEAST) and _leads(scene, MEDIUM_SURE["photo"])
    return leads and best.kind in ("vehicle", "building", "landscape", "food")


def _kind(scene: Scene) -> Subject | None:
    """Return the kind of thing that the image shows, if no family is probable enough."""
    kind, mass = max(
        ((kind, scene.reading.kinds[kind]) for kind in GENERAL), key=lambda each: each[1]
    )
    seen = scene.prominence > 0.05 or mass > ANIMAL_UNCUT
    if mass < _least(scene, COARSE[kind]) or (
        kind == "animal" and (not seen or scene.tone.green > FOLIAGE)
    ):
        return None
    return Subject(GENERAL[kind], kind, kind, mass)


def _backed(detection: Detection, scene: Scene) -> bool:
    if detection.name not in COCO or detection.score < SEEN:
        return False
    if detection.name in ANIMALS:
        return scene.reading.groups.get(detection.name, 0.0) > SUPPORT
    for _, members, backing in FAMILIES:
        if detection.name in members:
            support = sum(
                scene.reading.groups.get(name, 0.0) for name in backing - scene.reading.kinds.keys()
            )
            support += sum(scene.reading.kinds.get(name, 0.0) for name in backing)
            relatives = {each.name for each in scene.objects if each.score > SEEN} & members
            several = len(relatives) > 1 and support > SUPPORT / 2
            return support > SUPPORT or several or detection.score > UNAIDED
    return False


def _setting(scene: Scene) -> frozenset[str]:
    tone, photo = scene.tone, scene.media["photo"] > 0.5
    # Small sharp letters vary from pixel to pixel as noise does.
    written = scene.media["photo"] < PERHAPS_PHOTO
    facts = {
        "foliage": tone.green > FOLIAGE,
        "sky": tone.sky > 0.35 and photo,
        "lights": 0.002 < tone.lights < 0.1 and scene.prominence < 0.03 and photo,
        "surface": next(iter(scene.palette.whole.values())) > 0.95
        and scene.prominence < 0.05
        and (scene.ink < SPECKS or scene.backdrop < BACKDROP)
        and tone.lightness > DARK,
        "night": tone.lightness < 30,
        tone.texture: tone.texture != "picture" and not (tone.texture == "noise" and written),
    }
    return frozenset(name for name, true in facts.items() if true)


def _things(scene: Scene, subject: Subject | None) -> tuple[dict[str, int], int]:
    """Return the objects beside the subject, with counts, and how many of the subject there are."""
    if scene.medium != "photo":
        return {}, 1
    counts = Counter(each.name for each in scene.objects if _backed(each, scene))
    if subject is None:
        return dict(counts), 1
    alike = Counter(
        each.name
        for each in scene.objects
        if each.score > SEEN and SAME.get(each.name, each.name) in (subject.group, subject.noun)
    )
    same, number = set(alike), max(1, *alike.values(), 1)
    if subject.kind == "animal":
        same |= ANIMALS
    if subject.kind == "vehicle":
        same |= FAMILIES[0][1]
    if subject.kind == "food":
        same |= FAMILIES[4][1]
    return {name: many for name, many in counts.items() if name not in same}, number


def conclude(scene: Scene) -> Findings:
    """Weigh the networks' evidence, and drop what only one of them sees."""
    subject, certainty = _subject(scene)
    setting = _setting(scene)
    likely = max(scene.reading.kinds.values()) > PATTERN_UNDER
    flat = scene.medium != "text" and scene.tones_share > FEW_TONES
    single = likely or scene.backdrop > BACKDROP or not (scene.medium in ("photo", "") or flat)
    if "pattern" in setting and (subject or scene.people or single):
        setting -= {"pattern"}
    if setting & {"plain", "gradient", "noise", "pattern"}:
        return Findings(scene.medium, None, "none", 1, {}, setting)
    things, number = _things(scene, subject)
    return Findings(scene.medium, subject, certainty, number, things, setting)
