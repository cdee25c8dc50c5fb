"""One sentence about a scene, like a CLIP interrogator's: subject, setting, colours, medium."""

from __future__ import annotations

from ..vision.colours import ACHROMATIC, leading
from ..vision.scene import Scene
from ..vision.subjects import Subject
from .findings import SURE, Findings, conclude
from .wording import an, count, listed, plural

COLOURED = frozenset({"animal", "plant"})
OUTDOORS = frozenset({"vehicle", "building", "landscape"})
PORTRAIT, CLOSE_UP, PLAIN = 0.16, 0.45, 0.93
# Above this many, detections overlap too much to be counted.
COUNTED = 3
# Two colours that cover this much make a drawing one of lines, or a silhouette if much is inked.
TWO_TONES, INKED = 0.9, 0.12
# Smooth things, near or cut out, look nearly as drawn as drawings in colour.
DRAWN = 0.91

SURFACES = {
    "plain": "a plain {colours} picture",
    "gradient": "a smooth gradient of {colours}",
    "noise": "random noise in {colours}, no subject to be seen",
    "pattern": "an even texture or pattern in {colours}",
}


def is_counted(scene: Scene) -> bool:
    """Whether so few people are seen so clearly that their number is sure."""
    return scene.people <= COUNTED and scene.people <= len(scene.faces)


def _tones(scene: Scene) -> str:
    drawn = scene.medium == "drawing"
    found = leading(scene.palette.whole, 0.04, 3) if drawn else leading(scene.palette.whole, 0.15)
    return listed(found) or next(iter(scene.palette.whole))


def _worn(scene: Scene) -> str:
    """Describe what a lone person wears: a garment if it is sure, the colours below the face."""
    garment = next((each for each in scene.reading.subjects() if each.kind == "clothing"), None)
    colours = leading(scene.palette.clothes, 0.25)
    if garment and garment.probability >= SURE["clothing"]:
        return f" wearing {an(garment.noun)}"
    return f" wearing {listed(colours)}" if colours else ""


def _people(scene: Scene, findings: Findings) -> str:
    who = "a group of people" if scene.people > COUNTED else "people"
    if scene.people == 1 or is_counted(scene):
        who = count(scene.people, "person")
    if findings.medium == "drawing":
        return f"a drawing of {'a person' if scene.people == 1 else 'people'}"
    if scene.people == 1:
        who = f"a portrait of {who}" if scene.face_share > PORTRAIT else who
        who += _worn(scene)
    return who + _with(findings, people=True)


def _with(findings: Findings, *, people: bool = False) -> str:
    things = [_number(number, name) for name, number in findings.things.items()]
    if people and findings.subject:
        things.insert(0, _number(findings.number, findings.subject.noun))
    return f" with {listed(things[:3])}" if things else ""


def _number(number: int, noun: str) -> str:
    """Say one or more: the detector overlooks some of many, so they are not counted."""
    return an(noun) if number == 1 else plural(noun)


def _coloured(scene: Scene, subject: Subject) -> str:
    """Return the subject's noun, after its colour if an animal or a plant has mostly one."""
    own = scene.palette.subject if subject.kind in COLOURED else {}
    colours = [name for name in leading(own, 0.5, 1) if "grey" not in name]
    return " ".join([*colours, subject.noun])


def _subject(scene: Scene, findings: Findings) -> str:
    subject = findings.subject
    if subject is None:
        return _unclear(scene, findings)
    phrase = _number(findings.number, _coloured(scene, subject))
    if findings.medium == "drawing":
        return f"a drawing of {phrase}"
    if subject.kind in ("animal", "plant", "food") and scene.prominence > CLOSE_UP:
        phrase = f"a close-up of {phrase}"
    return phrase + _with(findings)


UNCLEAR = {
    "foliage": "green plants, possibly leaves or grass",
    "lights": "points of light in the dark, possibly stars or city lights",
    "sky": "an open view under a blue sky",
    "surface": "a {colours} surface or texture",
}
MEDIA = {
    "text": "a page of text",
    "screenshot": "a screenshot of a program or a web page",
    "diagram": "a diagram or plot",
    "drawing": "a drawing or graphic in {colours}",
    "photo": "a picture in {colours}, no clear subject",
    "": "a picture in {colours}, no clear subject",
}


def is_plain(scene: Scene) -> bool:
    """Whether the picture's backdrop has one colour."""
    return scene.backdrop > PLAIN


def drawn_form(scene: Scene) -> str:
    """Return "silhouette" or "lineart" for a drawing in two colours, else ""."""
    if scene.medium != "drawing" or scene.tones_share < TWO_TONES or not scene.tone.monochrome:
        return ""
    shares = [*scene.palette.whole.values(), 0.0]
    return "silhouette" if shares[1] > INKED else "lineart"


FORMS = {
    "silhouette": "a silhouette or simple shape in {colours}",
    "lineart": "a simple line drawing in {colours}",
}


def _unclear(scene: Scene, findings: Findings) -> str:
    if findings.things:
        return listed([_number(many, name) for name, many in findings.things.items()][:3])
    known = next((name for name in UNCLEAR if name in findings.setting), None)
    if known and findings.medium in ("photo", ""):
        return UNCLEAR[known].format(colours=_tones(scene))
    unsure = findings.medium == "drawing" and scene.media["drawing"] < DRAWN
    phrase = FORMS.get(drawn_form(scene), MEDIA["" if unsure else findings.medium])
    return phrase.format(colours=_tones(scene))


def _background(scene: Scene, findings: Findings) -> list[str]:
    if findings.medium in ("text", "screenshot", "diagram"):
        return []
    colour, share = next(iter(scene.palette.background.items()), ("", 0.0))
    if is_plain(scene):
        colour, share = scene.palette.edge, 1.0
    words = ["plain"] if is_plain(scene) else ["blurry"] if scene.depth > 8 else []
    words += [colour] if share > 0.6 else []
    return [f"{' '.join(words)} background"] if words else []


def _light(scene: Scene, findings: Findings) -> list[str]:
    subject = findings.subject
    outdoors = subject is not None and subject.kind in OUTDOORS and findings.medium == "photo"
    if outdoors and not scene.people and findings.setting & {"night", "sky"}:
        return ["at night or dusk" if "night" in findings.setting else "under a blue sky"]
    dark = scene.tone.lightness < 18 and "lights" not in findings.setting
    return ["dark"] if dark and findings.medium in ("photo", "") else []


def _colours(scene: Scene, said: str) -> list[str]:
    """Return the picture's leading colours, unless grey or already mentioned."""
    if scene.people or scene.tone.chroma <= 12:
        return []
    found = leading(scene.palette.whole, 0.15, 3)
    names = [name for name in found if name not in ACHROMATIC and name not in said]
    return [f"{listed(names)} tones"] if names else []


def _medium(scene: Scene) -> list[str]:
    grey = scene.tone.monochrome and scene.medium == "photo" and not is_plain(scene)
    return ["black and white photograph"] if grey else []


def caption(scene: Scene) -> str:
    """Describe a scene in one sentence that mentions only what was measured."""
    findings = conclude(scene)
    if not findings.subject and not scene.people:
        for surface in findings.setting & SURFACES.keys():
            return SURFACES[surface].format(colours=_tones(scene))
    people = scene.people and findings.medium in ("photo", "drawing", "")
    head = _people(scene, findings) if people else _subject(scene, findings)
    surround = [] if "surface" in findings.setting else _background(scene, findings)
    said = [head, *_light(scene, findings), *surround]
    return ", ".join([*said, *_colours(scene, ", ".join(said)), *_medium(scene)])
