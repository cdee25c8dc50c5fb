"""One sentence about a scene, like a CLIP interrogator's: subject, setting, colours, medium."""

from __future__ import annotations

from ..vision.colours import ACHROMATIC, leading
from ..vision.scene import Scene
from ..vision.subjects import Subject
from .findings import HEDGED, Findings, conclude
from .wording import an, count, listed

COLOURED = frozenset({"animal", "plant"})
OUTDOORS = frozenset({"vehicle", "building", "landscape"})
CLOTHED = frozenset({"uniform", "suit", "gown", "helmet", "hat", "pair of glasses", "mask"})
PORTRAIT, CLOSE_UP, FINEST, DRAWN = 0.16, 0.45, 0.12, 0.95

SURFACES = {
    "plain": "a plain {colours} picture",
    "gradient": "a smooth gradient of {colours}",
    "noise": "random noise in {colours}, no subject to be seen",
    "pattern": "an even texture or pattern in {colours}",
}


def _tones(scene: Scene) -> str:
    return listed(leading(scene.palette.whole, 0.15)) or next(iter(scene.palette.whole))


def _worn(scene: Scene) -> str:
    """Describe what a lone person wears: a garment, the colours below the face, or both."""
    garment = next((each for each in scene.reading.subjects() if each.group in CLOTHED), None)
    colours = leading(scene.palette.clothes, 0.15)
    if garment and garment.probability > HEDGED:
        one = leading(scene.palette.clothes, 0.6, 1)
        return f" wearing {an(' '.join([*one, garment.noun]))}"
    maybe = f", possibly with {an(garment.group)}" if garment and garment.probability > 0.15 else ""
    return (f" wearing {listed(colours)}" if colours else "") + maybe


def _people(scene: Scene, findings: Findings) -> str:
    who = count(scene.people, "person") if scene.people < 6 else "a group of people"
    if scene.people == 1:
        who = f"a portrait of {who}" if scene.face_share > PORTRAIT else who
        who += _worn(scene)
    return who + _with(findings, people=True)


def _with(findings: Findings, *, people: bool = False) -> str:
    things = [count(number, name) for name, number in findings.things.items()]
    sure = findings.subject if people and findings.certainty == "sure" else None
    if sure and sure.kind not in ("clothing", "animal"):
        things.insert(0, count(findings.number, sure.noun))
    return f" with {listed(things[:3])}" if things else ""


def _coloured(scene: Scene, subject: Subject) -> str:
    """Return the subject's noun, after its colours if it is an animal or a plant."""
    own = scene.palette.subject if subject.kind in COLOURED else {}
    colours = leading(own, 0.25) if max(own.values(), default=0.0) >= 0.4 else ()
    return f"{listed(colours)} {subject.noun}" if colours else subject.noun


def _subject(scene: Scene, findings: Findings) -> str:
    subject = findings.subject
    if subject is None or findings.certainty == "possible":
        return _unclear(scene, findings)
    phrase = count(findings.number, _coloured(scene, subject))
    if subject.kind in ("animal", "plant", "food") and scene.prominence > CLOSE_UP:
        phrase = f"a close-up of {phrase}"
    probability = scene.reading.nouns.get(subject.finest, subject.probability)
    if subject.finest not in subject.noun and probability >= FINEST:
        phrase += f", possibly {an(subject.finest)}"
    return phrase + _with(findings)


UNCLEAR = {
    "foliage": "green plants, possibly leaves or grass",
    "lights": "points of light in the dark, possibly stars or city lights",
    "sky": "an open view under a blue sky",
    "surface": "a {colours} surface or texture",
}


def _unclear(scene: Scene, findings: Findings) -> str:
    if findings.things:
        return listed([count(number, name) for name, number in findings.things.items()][:3])
    guess = f"possibly {an(findings.subject.noun)}" if findings.subject else "no clear subject"
    known = next((name for name in UNCLEAR if name in findings.setting), None)
    if known is None:
        return f"a picture in {_tones(scene)}, {guess}"
    phrase = UNCLEAR[known].format(colours=_tones(scene))
    return f"{phrase}, {guess}" if known == "sky" and findings.subject else phrase


def _background(scene: Scene) -> list[str]:
    colour, share = next(iter(scene.palette.background.items()), ("", 0.0))
    plain = share > 0.9 and scene.depth > 100
    words = ["plain"] if plain else ["blurry"] if scene.depth > 8 else []
    words += [colour] if share > 0.5 else []
    return [f"{' '.join(words)} background"] if words else []


def _light(scene: Scene, findings: Findings) -> list[str]:
    subject = findings.subject if findings.certainty != "possible" else None
    outdoors = subject is not None and subject.kind in OUTDOORS
    if outdoors and not scene.people and findings.setting & {"night", "sky"}:
        return ["at night or dusk" if "night" in findings.setting else "under a blue sky"]
    return ["dark"] if scene.tone.lightness < 18 and "lights" not in findings.setting else []


def _colours(scene: Scene, said: str) -> list[str]:
    """Return the picture's leading colours, unless grey or already mentioned."""
    if scene.people or scene.tone.chroma <= 12:
        return []
    found = leading(scene.palette.whole, 0.15, 3)
    names = [name for name in found if name not in ACHROMATIC and name not in said]
    return [f"{listed(names)} tones"] if names else []


def _medium(scene: Scene) -> list[str]:
    """Return the medium if it is unusual; of the styles only cartoons are recognised reliably."""
    name, probability = scene.style
    if name == "cartoon" and probability > DRAWN:
        return ["possibly a drawing or logo"]
    return ["black and white photograph"] if scene.tone.monochrome else []


def caption(scene: Scene) -> str:
    """Describe a scene in one sentence that mentions only what was measured."""
    findings = conclude(scene)
    for surface, phrase in SURFACES.items():
        if surface in findings.setting and not findings.subject and not scene.people:
            return phrase.format(colours=_tones(scene))
    head = _people(scene, findings) if scene.people else _subject(scene, findings)
    surround = [] if "surface" in findings.setting else _background(scene)
    said = [head, *_light(scene, findings), *surround]
    return ", ".join([*said, *_colours(scene, ", ".join(said)), *_medium(scene)])
