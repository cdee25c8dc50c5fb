"""One sentence about a scene, like a CLIP interrogator's: subject, setting, colours, medium."""

from __future__ import annotations

from ..vision.colours import ACHROMATIC, COLOURS, leading
from ..vision.scene import Scene
from ..vision.subjects import Subject
from .findings import DARK, FAINT_SIGN, SURE, Findings, conclude
from .wording import an, count, listed, plural

GREYS = frozenset({"grey", "light grey"})
COLOURED = frozenset({"animal", "plant"})
OUTDOORS = frozenset({"vehicle", "building", "landscape"})
# Less of a colour below the face may be what is behind the person.
WORN_SHARE, LIKE_SKIN = 0.35, frozenset({"grey", "light grey", "brown", "tan", "beige"})
PORTRAIT, CLOSE_UP, PLAIN = 0.16, 0.45, 0.93
# Above this many, detections overlap too much to be counted.
COUNTED = 3
# Two colours that cover this much make a drawing one of lines, or a silhouette if much is inked.
TWO_TONES, INKED = 0.9, 0.12
# Drawings in ink have fewer greys than photographs: two cover this much.
FEW_GREYS = 0.8
# Smooth things, near or cut out, look nearly as drawn as drawings: they have a photograph's share.
A_PHOTO, WRITTEN = 0.12, 0.7

SURFACES = {
    "plain": "a plain {colours} image",
    "gradient": "a smooth gradient of {colours}",
    "noise": "random noise in {colours}, no subject to be seen",
    "pattern": "an even texture or pattern in {colours}",
}


def is_counted(scene: Scene) -> bool:
    """Whether so few people are seen so clearly that their number is sure."""
    return scene.people <= COUNTED and scene.people <= len(scene.faces)


def _tones(scene: Scene) -> str:
    """Return the image's leading colours."""
    return listed(leading(scene.palette.whole, 0.15)) or next(iter(scene.palette.whole))


def _inks(scene: Scene) -> str:
    """Return the leading colours, without that of a plain background, which has its own words."""
    whole = scene.palette.whole
    if is_plain(scene) and len(whole) > 1:
        whole = {name: share for name, share in whole.items() if name != scene.palette.edge}
    inked = sum(whole.values())
    drawn = inked < 0.5 or scene.medium == "drawing"
    found = leading(whole, min(0.04, 0.1 * inked) if drawn else 0.15, 3 if drawn else 2)
    if {"black", "white"} & {*found, scene.palette.edge}:
        # The edges of what is black or white are grey.
        found = tuple(name for name in found if name not in GREYS) or found
    return listed(found) or next(iter(whole))


def _worn(scene: Scene) -> str:
    """Describe what a lone person wears: a garment if it is sure, the colours below the face."""
    garment = next((each for each in scene.reading.subjects() if each.kind == "clothing"), None)
    colours = leading(scene.palette.clothes, WORN_SHARE, 1)
    if garment and garment.probability >= SURE["clothing"]:
        return f" wearing {an(garment.noun)}"
    seen = colours and colours[0] not in LIKE_SKIN and scene.tone.lightness > DARK
    return f" wearing {listed(colours)}" if seen else ""


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
    "surface": "{colours} surface or texture",
}
MEDIA = {
    "text": "a page of text",
    "screenshot": "a screenshot of a program or a web page",
    "written": "a page or a screen with text",
    "diagram": "a diagram or plot",
    "drawing": "a drawing or graphic in {colours}",
    "graphic": "a drawing, diagram or other graphic in {colours}",
    "photo": "an image in {colours}, no clear subject",
    "object": "an object in {colours}",
    "": "an image in {colours}, no clear subject",
}


def guessed_medium(scene: Scene) -> str:
    """Return the medium, or what can be said if it is unsure: written, graphic or ""."""
    if scene.medium == "drawing":
        return "drawing" if scene.media["photo"] < A_PHOTO else ""
    if scene.medium:
        return scene.medium
    written = scene.media["text"] + scene.media["screenshot"]
    if written > WRITTEN:
        return "written"
    flat = scene.media["photo"] < A_PHOTO and scene.tone.lightness > DARK
    return "graphic" if flat and written < 1 - WRITTEN else ""


def is_plain(scene: Scene) -> bool:
    """Whether the image's backdrop has one colour."""
    return scene.backdrop > PLAIN and not scene.framed


def drawn_form(scene: Scene) -> str:
    """Return "silhouette" or "lineart" for a drawing in two colours, else ""."""
    drawn = scene.media["drawing"] + scene.media["diagram"] > 0.5
    two = scene.tones_share > TWO_TONES and scene.tone.monochrome and drawn
    if (
        not two
        or scene.tone.texture == "plain"
        or guessed_medium(scene) not in ("drawing", "graphic")
    ):
        return ""
    others = [share for name, share in scene.palette.whole.items() if name != scene.palette.edge]
    contrasting = {*scene.palette.whole} - GREYS - {scene.palette.edge}
    if not contrasting:
        return ""
    return "silhouette" if max(others) > INKED else "lineart"


FORMS = {
    "silhouette": "a silhouette or simple shape in {colours}",
    "lineart": "a simple line drawing",
}


def _unclear(scene: Scene, findings: Findings) -> str:
    if findings.things:
        return listed([_number(many, name) for name, many in findings.things.items()][:3])
    known = next((name for name in UNCLEAR if name in findings.setting), None)
    if known and findings.medium in ("photo", "") and not drawn_form(scene):
        return UNCLEAR[known].format(colours=an(_tones(scene)))
    medium = "object" if _is_an_object(scene) else guessed_medium(scene)
    phrase = FORMS.get(drawn_form(scene), MEDIA[medium])
    return phrase.format(colours=_inks(scene))


def _is_an_object(scene: Scene) -> bool:
    """Whether some thing that nobody knows lies or stands before a backdrop of one colour."""
    kinds = scene.reading.kinds
    cut_out = is_plain(scene) and 0.05 < scene.prominence < 0.9
    lifeless = kinds["animal"] < 0.2 and scene.somebody < FAINT_SIGN
    return cut_out and lifeless and kinds["thing"] > 0.3 and scene.media["photo"] > 0.5


def _background(scene: Scene, findings: Findings) -> list[str]:
    if guessed_medium(scene) in ("text", "screenshot", "diagram", "written"):
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
    dark = scene.tone.lightness < DARK and "lights" not in findings.setting
    return ["dark"] if dark and findings.medium in ("photo", "") else []


def _colours(scene: Scene, said: str) -> list[str]:
    """Return the image's leading colours, unless they are grey or some are already mentioned."""
    if scene.people or scene.tone.chroma <= 12:
        return []
    found = leading(scene.palette.whole, 0.15, 3)
    if any(name in said for name, _ in COLOURS if name not in ACHROMATIC):
        return []
    names = [name for name in found if name not in ACHROMATIC]
    return [f"{listed(names)} tones"] if names else []


def _medium(scene: Scene) -> list[str]:
    grey = scene.tone.monochrome and scene.medium == "photo" and scene.tones_share < FEW_GREYS
    return ["black and white photograph"] if grey and not is_plain(scene) else []


def caption(scene: Scene) -> str:
    """Describe a scene in one sentence that mentions only what was measured."""
    findings = conclude(scene)
    if not findings.subject and not scene.people:
        for surface in findings.setting & SURFACES.keys():
            return SURFACES[surface].format(colours=_tones(scene))
    people = scene.people and findings.medium in ("photo", "drawing", "")
    head = _people(scene, findings) if people else _subject(scene, findings)
    even = "surface" in findings.setting and not drawn_form(scene)
    surround = [] if even else _background(scene, findings)
    said = [head, *_light(scene, findings), *surround]
    return ", ".join([*said, *_colours(scene, ", ".join(said)), *_medium(scene)])
