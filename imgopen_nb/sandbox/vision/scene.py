"""Everything that the sandbox measures in an image before describing it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock

import numpy as np
from PIL import Image, ImageOps

from . import medium
from .arrays import Array, Box, Region, clipped, middle, resized, scaled, shrink
from .colours import lab, shares
from .faces import Face, detect_faces
from .networks import classify, subject_mask
from .objects import Detection, detect_objects
from .subjects import Reading
from .tones import Tone, measure, sharpness

SIDE = 1024
# What the classifier sees is first brought to this size: it names sizes of one photograph alike.
SEEN_SIDE = 448
REMEMBERED = 32
# The least probability of a medium: small cut out photographs look drawn.
MEDIUM_SURE = {"photo": 0.6, "drawing": 0.82, "text": 0.7, "screenshot": 0.7, "diagram": 0.7}
PERHAPS_PHOTO, PAPER = 0.25, 0.85
# These are told from each other with less, in what is surely no photograph.
NO_PHOTO, UNPHOTOGRAPHIC = 0.07, {"text": 0.55, "screenshot": 0.65, "diagram": 0.65}
# A person needs this score if no face confirms it, and this much beside another person.
CLEAR_BODY, LIKELY_BODY = 0.69, 0.5
# What is less sure is not an object; a faint person only keeps an image from being one of nobody.
OBJECT, FAINT = 0.4, 0.2
MASK_SIDE = 224
# Kinds of images that are all subject, so that cutting it out would not help.
VIEWS = ("landscape", "building", "vehicle")


@dataclass(frozen=True)
class Palette:
    """Shares of colour names, largest first: of all, the subject, the rest, a person's body.

    `edge` is the name of the commonest colour of the outermost pixels.
    """

    whole: dict[str, float]
    subject: dict[str, float]
    background: dict[str, float]
    clothes: dict[str, float]
    edge: str


@dataclass(frozen=True)
class Scene:
    """What was measured in one image.

    `people` are those counted, `somebody` is the best sign of a person, counted or not, 0..1;
    `media` has the probability of each medium (photo, drawing, text, screenshot, diagram);
    `backdrop` is the share of the outermost pixels that have one colour, `framed` whether that is
    only a frame's; `ink` is the share of all pixels that differ clearly from it, and `tones_share`
    of those that have one of two colours. `prominence` is the subject's share of the area, 0 if no
    subject was cut out; `depth` is how many times sharper the subject is than its surroundings.
    """

    width: int
    height: int
    reading: Reading
    objects: tuple[Detection, ...]
    faces: tuple[Face, ...]
    people: int
    somebody: float
    tone: Tone
    palette: Palette
    prominence: float
    depth: float
    media: dict[str, float]
    backdrop: float
    framed: bool
    ink: float
    tones_share: float

    @property
    def face_share(self) -> float:
        """Return the largest face's height as a share of the image's height."""
        return max(((face.box[3] - face.box[1]) / self.height for face in self.faces), default=0.0)

    @property
    def medium(self) -> str:
        """Return the likeliest medium, or "" if none is probable enough."""
        name, probability = max(self.media.items(), key=lambda each: each[1])
        least = MEDIUM_SURE[name]
        if name == "diagram" and self.backdrop < PAPER:
            return ""  # a dark desk from above, say: diagrams are on paper of one colour
        if self.media["photo"] < NO_PHOTO:
            least = UNPHOTOGRAPHIC.get(name, least)
        return name if probability >= least else ""


def _somebody(objects: list[Detection], faces: tuple[Face, ...]) -> float:
    bodies = [each.score for each in objects if each.name == "person"]
    return max([*bodies, *(face.score for face in faces)], default=0.0)


def _views(picture: Image.Image) -> list[Image.Image]:
    """Return what the classifier sees: the whole, then the centre and its middle; each mirrored."""
    scale = SEEN_SIDE / max(picture.size)
    seen = picture.resize(scaled(picture.size, scale), Image.Resampling.BICUBIC)
    views = [seen]
    for share in (0.875, 0.65):
        side = max(1, round(share * min(seen.size)))
        views.append(middle(seen, (side, side)))
    return views + [ImageOps.mirror(view) for view in views]


def _frame(mask: Array, size: tuple[int, int], margin: float = 0.1) -> Region:
    """Return the box around a mask's subject in the image's pixels, with a margin."""
    rows, columns = np.nonzero((mask > 0.5).any(1))[0], np.nonzero((mask > 0.5).any(0))[0]
    (width, height), (tall, wide) = size, mask.shape
    left, right = columns[0] / wide * width, (columns[-1] + 1) / wide * width
    top, bottom = rows[0] / tall * height, (rows[-1] + 1) / tall * height
    edge = margin * max(right - left, bottom - top)
    box = clipped((left - edge, top - edge, right + edge, bottom + edge), size)
    return int(box[0]), int(box[1]), int(box[2]), int(box[3])


def _holds(box: Box, face: Face) -> bool:
    x, y = (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _is_true_face(face: Face, bodies: list[Detection], height: int) -> bool:
    """Whether a face is a true one: sure, on a body, or large (the false ones are small)."""
    large = face.box[3] - face.box[1] > 0.25 * height
    return face.score > (0.7 if large else 0.85) or any(_holds(body.box, face) for body in bodies)


def _people(
    objects: list[Detection], faces: list[Face], height: int
) -> tuple[tuple[Face, ...], int]:
    """Return the true faces and the number of people.

    Both networks see people in trees, toys and tools, so one has to confirm the other.
    """
    bodies = [each for each in objects if each.name == "person"]
    sure = tuple(face for face in faces if _is_true_face(face, bodies, height))
    clear = [
        body
        for body in bodies
        if body.score > CLEAR_BODY or any(_holds(body.box, face) for face in sure)
    ]
    if sure or clear:
        clear += [body for body in bodies if body.score > LIKELY_BODY and body not in clear]
    lone = [face for face in sure if not any(_holds(body.box, face) for body in clear)]
    return sure, len(clear) + len(lone)


def _clothes(
    pixels: Array, faces: tuple[Face, ...], scale: tuple[float, float]
) -> dict[str, float]:
    """Return the colours below the largest face, where its owner's body should be."""
    if not faces:
        return {}
    left, top, right, bottom = max(faces, key=lambda face: face.box[2] - face.box[0]).box
    wide, tall = right - left, bottom - top
    rows = slice(int((bottom + 0.5 * tall) * scale[1]), int((bottom + 2.5 * tall) * scale[1]))
    columns = slice(
        int(max(0.0, left - 0.4 * wide) * scale[0]), int((right + 0.4 * wide) * scale[0])
    )
    return shares(pixels[rows, columns].reshape(-1, 3))


def _palette(picture: Image.Image, mask: Array | None, faces: tuple[Face, ...]) -> Palette:
    small = shrink(picture, 112)
    pixels = lab(np.asarray(small))
    scale = (small.width / picture.width, small.height / picture.height)
    clothes = _clothes(pixels, faces, scale)
    whole = shares(pixels.reshape(-1, 3))
    rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    edge = next(iter(shares(rim)))
    if mask is None or not 0.02 < (mask > 0.5).mean() < 0.9:
        return Palette(whole, {}, {}, clothes, edge)
    fitted = resized(mask, small.size, Image.Resampling.BILINEAR)
    subject, rest = shares(pixels[fitted > 0.6]), shares(pixels[fitted < 0.3])
    return Palette(whole, subject, rest, clothes, edge)


def _bodies(objects: list[Detection], size: tuple[int, int]) -> Array:
    """Return the boxes of people as a mask of the same shape as `subject_mask`."""
    mask = np.zeros((MASK_SIDE, MASK_SIDE), np.float32)
    for each in objects:
        if each.name == "person":
            left, right = (round(max(0.0, x) / size[0] * MASK_SIDE) for x in each.box[::2])
            top, bottom = (round(max(0.0, y) / size[1] * MASK_SIDE) for y in each.box[1::2])
            mask[top:bottom, left:right] = 1
    return mask


def _mask(
    picture: Image.Image, objects: list[Detection], people: int, reading: Reading, tone: Tone
) -> Array | None:
    """Cut out the subject; U2-Net, slower than all others together, runs only where it helps."""
    if people:
        return _bodies(objects, picture.size)
    if tone.texture != "picture" or any(reading.kinds[kind] > 0.4 for kind in VIEWS):
        return None
    return subject_mask(picture, MASK_SIDE)


def _measure(image: Image.Image) -> Scene:
    picture = shrink(image, SIDE)
    tone = measure(picture)
    found = detect_objects(picture, FAINT)
    objects = [each for each in found if each.score > OBJECT]
    tiled = any(each.name == "person" for each in objects)
    faces, people = _people(objects, detect_faces(picture, tiled=tiled), picture.height)
    views = [classify(view) for view in _views(picture)]
    media = medium.recognise(picture, views[0][1])
    if media["drawing"] > media["photo"]:
        people = len(faces)  # any dark figure in a drawing looks like a body
    seen = [odds for odds, _ in views]
    mask = None
    if media["photo"] > PERHAPS_PHOTO:
        mask = _mask(picture, objects, people, Reading.of(np.mean(seen, axis=0)), tone)
    prominence = float((mask > 0.5).mean()) if mask is not None else 0.0
    cut_out = mask if 0.02 < prominence < 0.9 else None
    if cut_out is not None and 0.05 < prominence < 0.6 and not people:
        near = picture.crop(_frame(cut_out, picture.size))
        seen += [classify(view)[0] for view in (near, ImageOps.mirror(near))]
    pixels = np.asarray(shrink(picture, medium.SIDE), np.float32)
    return Scene(
        *picture.size,
        reading=Reading.of(np.mean(seen, axis=0)),
        objects=tuple(objects),
        faces=faces,
        people=people,
        somebody=_somebody(found, faces),
        tone=tone,
        palette=_palette(picture, cut_out, faces),
        prominence=prominence,
        media=media,
        backdrop=medium.border(pixels)[1],
        framed=medium.is_framed(pixels),
        ink=float(medium.inked(pixels).mean()),
        tones_share=medium.tones_share(pixels),
        depth=sharpness(picture, cut_out) if cut_out is not None else 1.0,
    )


_scenes: OrderedDict[str, Scene] = OrderedDict()
_lock = Lock()


def _key(image: Image.Image) -> str:
    return sha256(f"{image.mode} {image.size}".encode() + image.tobytes()).hexdigest()


def analyse(image: Image.Image) -> Scene:
    """Measure an image; the same pixels are measured once, for all engines."""
    key = _key(image)
    with _lock:
        if key in _scenes:
            _scenes.move_to_end(key)
            return _scenes[key]
    scene = _measure(image)
    with _lock:
        _scenes[key] = scene
        while len(_scenes) > REMEMBERED:
            _scenes.popitem(last=False)
    return scene
