"""Conclusions from a measured scene, before they are put into words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from ..vision.objects import Detection
from ..vision.scene import Scene
from ..vision.subjects import Reading, Subject
from .wording import an

Certainty = Literal["sure", "coarse", "possible", "none"]

SURE, COARSE, POSSIBLE = 0.35, 0.45, 0.15
# The classifier mostly takes drawings and shapes for things (a computer mouse, a clock).
SURE_THING, THINGS = 0.5, frozenset({"thing", "clothing", "place"})
PATTERN_OVER = 0.3
# Anything with leaves or a texture like fur gets a little of the 398 animal classes' probability.
COARSE_ANIMAL = 0.55
HEDGED = 0.25
FOLIAGE = 0.6

# COCO's classes by family, and the ImageNet groups and kinds that back them: alone, the detector
# sees umbrellas, kites and cakes in any smooth shape.
FAMILIES: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = tuple(
    (name, frozenset(members.split(",")), frozenset(backing.split(",")))
    for name, members, backing in (
        ("traffic", "bicycle,car,motorcycle,airplane,bus,train,truck,boat", "vehicle"),
        ("pot", "potted plant", "plant"),
        ("street", "traffic light,fire hydrant,stop sign,parking meter,bench",
         "vehicle,road sign,traffic light"),
        ("tableware", "bottle,wine glass,cup,fork,knife,spoon,bowl,dining table",
         "food,cup,bottle,jar,bowl,cooking utensil,table"),
        ("meal", "banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake", "food"),
        ("room", "chair,couch,bed,toilet,television,microwave,oven,toaster,sink,refrigerator,vase",
         "chair,table,cupboard,bed,household appliance,screen"),
        ("desk", "laptop,mouse,remote control,keyboard,mobile phone,book",
         "computer,telephone,screen,table"),
        ("clock", "clock", "clock"),
        ("sport", "frisbee,skis,snowboard,sports ball,baseball bat,baseball glove,skateboard,"
         "surfboard,tennis racket",
         "ball"),
    )
)  # fmt: skip
ANIMALS = frozenset(["bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra"])
# COCO's names, and those of ImageNet's groups for the same things.
SAME = {"sports ball": "ball", "laptop": "computer", "keyboard": "computer", "mouse": "computer",
        "cup": "drink", "dining table": "table", "couch": "chair",
        "airplane": "aeroplane"}  # fmt: skip
WORN = frozenset(["backpack", "umbrella", "handbag", "tie", "suitcase"])
SUPPORT, UNAIDED = 0.2, 0.8

# ImageNet's photographs of insects mostly show flowers, so an insect also suggests a flower.
VISITORS = ("insect", "butterfly", "beetle")
FLOWER_SEEN, VISITOR_SURE = 0.12, 0.5


@dataclass(frozen=True)
class Findings:
    """Conclusions about one picture.

    `subject` is the main thing besides people, None if nothing is probable; `things` are the
    other objects with their counts; `setting` has any of: foliage, sky, lights, surface, night,
    pattern, plain, gradient, noise.
    """

    subject: Subject | None
    certainty: Certainty
    number: int
    things: dict[str, int]
    setting: frozenset[str]


def _groups(reading: Reading) -> list[Subject]:
    """Return the likely subjects; unsure insects count as the flower that they sit on."""
    found = reading.subjects()
    flower = reading.groups.get("flower", 0.0)
    visitors = sum(reading.groups[name] for name in VISITORS)
    if flower < FLOWER_SEEN or max(reading.groups[name] for name in VISITORS) > VISITOR_SURE:
        return found
    others = [each for each in found if each.group not in (*VISITORS, "flower")]
    bloom = Subject("flower", "flower", "plant", flower + visitors, "flower")
    return sorted([bloom, *others], key=lambda each: -each.probability)


def _subject(scene: Scene) -> tuple[Subject | None, Certainty]:
    best, *_ = _groups(scene.reading)
    rival = next(
        (each for each in scene.objects if each.name in ANIMALS and each.score > 0.6), None
    )
    if rival and best.kind == "animal" and rival.name != best.group and best.probability < 0.85:
        return replace(best, noun="animal", finest=f"{best.finest} or {an(rival.name)}"), "coarse"
    if best.probability >= (SURE_THING if best.kind in THINGS else SURE):
        return best, "sure"
    coarse = _kind(scene)
    if coarse:
        return coarse, "coarse"
    return (best, "possible") if best.probability >= POSSIBLE else (None, "none")


def _kind(scene: Scene) -> Subject | None:
    """Return the kind of thing that the picture shows, if no group is probable enough."""
    masses = {kind: scene.reading.kinds[kind] for kind in GENERAL}
    kind, mass = max(masses.items(), key=lambda each: each[1])
    cut_out = scene.prominence > 0.05 and scene.tone.green < FOLIAGE
    if mass < COARSE or (kind == "animal" and not (mass >= COARSE_ANIMAL and cut_out)):
        return None
    finest = next(each for each in scene.reading.subjects() if each.kind == kind)
    return Subject(GENERAL[kind], finest.group, kind, mass, finest.finest)


GENERAL = {
    "animal": "animal",
    "vehicle": "vehicle",
    "building": "building",
    "plant": "plant",
    "food": "dish",
}


def _backed(detection: Detection, scene: Scene) -> bool:
    if detection.name in WORN:
        return scene.people > 0 and detection.score > 0.45
    if detection.name in ANIMALS:
        return scene.reading.groups.get(detection.name, 0.0) > HEDGED
    for _, members, backing in FAMILIES:
        if detection.name in members:
            support = sum(
                scene.reading.groups.get(name, 0.0) for name in backing - scene.reading.kinds.keys()
            )
            support += sum(scene.reading.kinds.get(name, 0.0) for name in backing)
            relatives = {each.name for each in scene.objects if each.score > 0.45} & members
            return support > SUPPORT or len(relatives) > 1 or detection.score > UNAIDED
    return False


def _setting(scene: Scene) -> frozenset[str]:
    tone = scene.tone
    facts = {
        "foliage": tone.green > FOLIAGE,
        "sky": tone.sky > 0.4,
        "lights": 0.002 < tone.lights < 0.1 and scene.prominence < 0.03,
        "surface": next(iter(scene.palette.whole.values())) > 0.95 and scene.prominence < 0.05,
        "night": tone.lightness < 30,
        tone.texture: tone.texture != "picture",
    }
    return frozenset(name for name, true in facts.items() if true)


def _things(scene: Scene, subject: Subject | None) -> tuple[dict[str, int], int]:
    """Return the objects beside the subject, with counts, and how many of the subject there are."""
    counts = Counter(
        each.name for each in scene.objects if each.name != "person" and _backed(each, scene)
    )
    if subject is None:
        return dict(counts), 1
    same = {
        name
        for name in counts
        if SAME.get(name, name) in (subject.group, subject.noun, subject.finest)
    }
    number = max([1, *(counts[name] for name in same)])
    if subject.kind == "vehicle":
        same |= FAMILIES[0][1]
    return {name: many for name, many in counts.items() if name not in same}, number


def conclude(scene: Scene) -> Findings:
    """Weigh the networks' evidence, and drop what only one of them sees."""
    subject, certainty = _subject(scene)
    setting = _setting(scene)
    patterned = "pattern" in setting and (subject is None or subject.probability < PATTERN_OVER)
    if setting & {"plain", "gradient", "noise"} or patterned:
        return Findings(None, "none", 1, {}, setting)
    things, number = _things(scene, subject if certainty == "sure" else None)
    return Findings(subject, certainty, number, things, setting)
