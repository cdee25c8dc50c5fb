"""Scored tags for a scene, spelled as on Danbooru: objects, counts, setting and colours."""

from __future__ import annotations

from typing import TypedDict

from ..vision.colours import ACHROMATIC
from ..vision.scene import Scene
from .caption import CLOSE_UP, OUTDOORS, PORTRAIT
from .findings import HEDGED, Findings, conclude

LEAST = 0.1
COARSE = ("animal", "vehicle", "building", "plant", "food")
FOCUS = {
    "animal": "animal_focus",
    "vehicle": "vehicle_focus",
    "food": "food_focus",
    "landscape": "scenery",
}
THEMES = {"light blue": "blue", "dark blue": "blue", "dark green": "green", "olive": "green",
          "dark red": "red", "cyan": "aqua", "teal": "aqua", "tan": "brown",
          "beige": "brown"}  # fmt: skip
RENAMED = {"cup of espresso": "coffee", "cup of tea": "tea", "glass of red wine": "wine",
           "hairless dog": "dog", "mountain landscape": "mountain", "valley landscape": "valley",
           "pair of glasses": "glasses", "pair of sunglasses": "sunglasses",
           "printed page": "text"}  # fmt: skip


class Tag(TypedDict):
    """One tag, and how likely it is, 0..1."""

    name: str
    score: float


def spelled(noun: str) -> str:
    """Spell a noun as a tag: lower case, underscores."""
    return RENAMED.get(noun, noun).lower().replace(" ", "_")


def _people(scene: Scene) -> dict[str, float]:
    bodies = [each.score for each in scene.objects if each.name == "person"]
    surest = max([*bodies, *(face.score for face in scene.faces)], default=0.0)
    if not scene.people:
        return {"no_humans": 1 - surest}
    found = {"person": surest, "solo" if scene.people == 1 else "multiple_people": surest}
    if scene.people == 1 and scene.face_share > PORTRAIT:
        found["portrait"] = min(1.0, 0.5 + scene.face_share)
    return found


def _subjects(scene: Scene, findings: Findings) -> dict[str, float]:
    main, found = findings.subject, dict[str, float]()
    if main is None:
        return found
    for subject in scene.reading.subjects()[:5]:
        least = HEDGED if scene.people and subject.kind != "clothing" else LEAST
        scores = (
            (subject.group, subject.probability),
            (subject.finest, scene.reading.nouns[subject.finest]),
        )
        found.update({spelled(noun): score for noun, score in scores if score >= least})
    if findings.certainty == "possible":
        return found
    found[spelled(main.group)] = max(main.probability, found.get(spelled(main.group), 0.0))
    if main.kind in COARSE and scene.reading.kinds[main.kind] >= 0.4:
        found[main.kind] = scene.reading.kinds[main.kind]
    if main.kind in FOCUS and not scene.people:
        found[FOCUS[main.kind]] = main.probability
    return found


def _things(scene: Scene, findings: Findings) -> dict[str, float]:
    return {
        spelled(name): max(each.score for each in scene.objects if each.name == name)
        for name in findings.things
    }


def _setting(scene: Scene, findings: Findings) -> dict[str, float]:
    tone = scene.tone
    scenery = scene.reading.kinds.get("landscape", 0.0)
    seen = findings.certainty in ("sure", "coarse")
    # A blue wall behind an animal or a thing is not the sky.
    inside = seen and findings.subject is not None and findings.subject.kind not in OUTDOORS
    sky = "sky" in findings.setting and not inside and not scene.people
    facts = {
        "monochrome": (tone.monochrome, 0.99),
        "greyscale": (tone.monochrome, 0.99),
        "dark": ("night" in findings.setting, 1 - tone.lightness / 50),
        "blue_sky": (sky, tone.sky),
        "outdoors": (scenery > 0.5 or sky, max(scenery, tone.sky)),
        "foliage": ("foliage" in findings.setting, tone.green),
        "pattern": ("pattern" in findings.setting and findings.certainty == "none", 0.7),
        "gradient": ("gradient" in findings.setting, 0.8),
        "noise": ("noise" in findings.setting, 0.8),
        "close-up": (scene.prominence > CLOSE_UP and seen and not scene.people, scene.prominence),
        "blurry_background": (8 < scene.depth < 200, min(0.95, 0.4 + scene.depth / 60)),
    }
    return {name: score for name, (true, score) in facts.items() if true}


def _colours(scene: Scene) -> dict[str, float]:
    """Return the background's colour and the dominant one, by their shares."""
    colour, share = next(iter(scene.palette.background.items()), ("", 0.0))
    found = {f"{spelled(colour)}_background": share} if share > 0.5 else {}
    if share > 0.9 and scene.depth > 100:
        found["simple_background"] = share
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
        **_people(scene),
        **_setting(scene, findings),
        **_colours(scene),
    }
    kept = sorted(
        ((name, score) for name, score in scores.items() if score >= LEAST),
        key=lambda each: (-each[1], each[0]),
    )
    return [Tag(name=name, score=round(min(1.0, score), 2)) for name, score in kept]
