"""Scored tags for a scene, all of them Danbooru's: objects, counts, setting and colours."""

from __future__ import annotations

from typing import TypedDict

from ..vision.classes import COCO, TAGS
from ..vision.colours import ACHROMATIC, COLOURS
from ..vision.scene import Scene
from ..vision.subjects import Subject
from .caption import (
    CLOSE_UP,
    OUTDOORS,
    PORTRAIT,
    SURFACES,
    drawn_form,
    is_counted,
    is_plain,
)
from .findings import FAINT_SIGN, SURE, Findings, conclude

LEAST = 0.1
KINDS = {"animal": "animal", "vehicle": "motor_vehicle", "building": "building", "plant": "plant",
         "food": "food"}  # fmt: skip
# Vehicles of which the tag of their kind is not true.
WITHOUT_MOTOR = {"bicycle", "boat", "ship", "carriage", "airship", "rocket", "train", "airplane"}
FOCUS = {
    "animal": "animal_focus",
    "vehicle": "vehicle_focus",
    "food": "food_focus",
    "landscape": "scenery",
}
MEDIA = {"text": "text_focus", "screenshot": "user_interface", "diagram": "chart"}
COUNTS = {1: "1other", 2: "2others", 3: "3others"}
SETTINGS = (
    "solo", "multiple_others", "no_humans", "portrait", "monochrome", "greyscale", "dark",
    "blue_sky", "outdoors", "nature", "patterned", "gradient_background", "close-up",
    "blurry_background", "simple_background", "silhouette", "lineart", "people",
)  # fmt: skip
THEMES = {"light blue": "blue", "dark blue": "blue", "dark green": "green", "olive": "green",
          "dark red": "red", "cyan": "aqua", "teal": "aqua", "tan": "brown", "beige": "brown",
          "light grey": "grey"}  # fmt: skip


class Tag(TypedDict):
    """One tag, and how likely it is, 0..1."""

    name: str
    score: float


def vocabulary() -> frozenset[str]:
    """Return every tag that can be said."""
    colours = {THEMES.get(name, name) for name, _ in COLOURS}
    tables = (TAGS, COCO, KINDS, FOCUS, MEDIA, COUNTS)
    return frozenset(
        tag
        for tag in (
            *(tag for table in tables for tag in table.values()),
            *SETTINGS,
            *(f"{colour}_{what}" for colour in colours for what in ("background", "theme")),
        )
        if tag
    )


def _people(scene: Scene, findings: Findings) -> dict[str, float]:
    surest = scene.somebody
    if not scene.people or findings.medium in ("text", "screenshot", "diagram"):
        # The networks overlook people from behind, far away or drawn.
        named = findings.subject or findings.things or findings.setting & SURFACES.keys()
        return {"no_humans": 1 - surest} if surest < FAINT_SIGN and named else {}
    found = {"solo" if scene.people == 1 else "multiple_others": surest}
    if scene.people == 1 or is_counted(scene):
        found[COUNTS[scene.people]] = surest
    elif findings.medium != "drawing":
        found["people"] = surest
    if scene.people == 1 and scene.face_share > PORTRAIT:
        found["portrait"] = min(1.0, 0.5 + scene.face_share)
    return found


def _subjects(scene: Scene, findings: Findings) -> dict[str, float]:
    main = findings.subject
    worn = [
        each
        for each in scene.reading.subjects()
        if each.kind == "clothing" and each.probability >= SURE["clothing"] and scene.people == 1
    ]
    found = {tag: score for each in worn for tag, score in _words(each).items()}
    if main is None:
        return found
    found.update(_words(main))
    kind = scene.reading.kinds[main.kind]
    if main.kind in KINDS and main.group not in WITHOUT_MOTOR and findings.certainty == "sure":
        found[KINDS[main.kind]] = max(kind, main.probability)
    if main.kind in FOCUS and not scene.people:
        found[FOCUS[main.kind]] = main.probability
    return found


def _words(subject: Subject) -> dict[str, float]:
    """Return the tags of a subject's noun and of its family, where there are any."""
    general = KINDS.get(subject.kind) if subject.noun == subject.kind else None
    tags = (TAGS.get(subject.noun), TAGS.get(subject.group), general)
    return {tag: subject.probability for tag in tags if tag}


def _things(scene: Scene, findings: Findings) -> dict[str, float]:
    return {
        COCO[name]: max(each.score for each in scene.objects if each.name == name)
        for name in findings.things
        if COCO[name]
    }


def _setting(scene: Scene, findings: Findings) -> dict[str, float]:
    tone, medium = scene.tone, findings.medium
    natural = medium in ("photo", "")
    scenery = scene.reading.kinds.get("landscape", 0.0) if medium == "photo" else 0.0
    # A blue wall behind an animal or a thing is not the sky.
    inside = findings.subject is not None and findings.subject.kind not in OUTDOORS
    sky = "sky" in findings.setting and not inside and not scene.people and natural
    near = findings.subject is not None and not scene.people and medium == "photo"
    facts = {
        MEDIA.get(medium, ""): (
            medium in MEDIA,
            scene.media.get(medium, 0.0),
        ),
        drawn_form(scene): (bool(drawn_form(scene)), scene.tones_share),
        "monochrome": (tone.monochrome, 0.99),
        "greyscale": (tone.monochrome, 0.99),
        "dark": ("night" in findings.setting and natural, 1 - tone.lightness / 50),
        "blue_sky": (sky, tone.sky),
        "outdoors": (scenery > 0.5 or sky, max(scenery, tone.sky)),
        "nature": ("foliage" in findings.setting and natural, tone.green),
        "patterned": ("pattern" in findings.setting, 0.7),
        "gradient_background": ("gradient" in findings.setting, 0.8),
        "close-up": (scene.prominence > CLOSE_UP and near, scene.prominence),
        "blurry_background": (
            8 < scene.depth < 200 and medium == "photo" and not is_plain(scene),
            min(0.95, 0.4 + scene.depth / 60),
        ),
    }
    return {name: score for name, (true, score) in facts.items() if true}


def _colours(scene: Scene) -> dict[str, float]:
    """Return the background's colour and the dominant one, by their shares."""
    found: dict[str, float] = {}
    if is_plain(scene):
        edge = THEMES.get(scene.palette.edge, scene.palette.edge)
        found = {"simple_background": scene.backdrop, f"{edge}_background": scene.backdrop}
    themes: dict[str, float] = {}
    for name, share in scene.palette.whole.items():
        if name not in ACHROMATIC:
            theme = f"{THEMES.get(name, name)}_theme"
            themes[theme] = themes.get(theme, 0.0) + share
    return {**found, **{name: share for name, share in themes.items() if share > 0.4}}


def tags(scene: Scene) -> list[Tag]:
    """Return the scene's tags, highest score first, without those below `LEAST`."""
    findings = conclude(scene)
    scores = {
        **_subjects(scene, findings),
        **_things(scene, findings),
        **_people(scene, findings),
        **_setting(scene, findings),
        **_colours(scene),
    }
    kept = sorted(
        ((name, score) for name, score in scores.items() if score >= LEAST),
        key=lambda each: (-each[1], each[0]),
    )
    return [Tag(name=name, score=round(min(1.0, score), 2)) for name, score in kept]
