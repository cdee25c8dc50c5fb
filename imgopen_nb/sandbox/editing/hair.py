"""Hair: found by its colour above the face mesh, and given another colour."""

from __future__ import annotations

import math
import re

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ..engine import EngineError
from ..vision.arrays import (
    Array,
    Mask,
    Region,
    as_image,
    box_mean,
    clipped,
    flatten,
    grey,
    grown,
    resized,
    scaled,
)
from ..vision.colours import clusters, distances, lab, lab_of, srgb
from ..vision.cutout import guided, refined
from ..vision.mesh import OVAL, Mesh, outlined
from ..vision.networks import classify, subject_mask

# Words and their colours.
COLOURS = {
    "black": "1c191b", "brown": "5f3d24", "brunette": "4c3020", "chestnut": "6e3b22",
    "auburn": "7a2f1c", "red": "a8241c", "ginger": "b9571f", "copper": "b0552b",
    "orange": "e07a20", "blonde": "d9b672", "blond": "d9b672", "golden": "d6a544",
    "yellow": "e6cf3a", "green": "3c9a4a", "teal": "1f8f8a", "turquoise": "37b9b4",
    "blue": "2f5fd0", "purple": "7a3bb0", "violet": "7a3bb0", "pink": "e878b0",
    "silver": "b9bcc2", "grey": "8c8e93", "gray": "8c8e93", "white": "ededf0",
}  # fmt: skip
# The head, in sizes of the face mesh around its middle, and the size of the mesh in pixels at which
# hair is looked for, whatever the image's.
AROUND, FACE = 1.1, 70
# The colour is measured on a copy of the hair of at most this side.
SIDE = 288
FOREHEAD, CHIN = 10, 152
CHEEKS = (50, 101, 118, 205, 280, 330, 347, 425)
# The ridge of the nose, between the brows and above: bare as well, but for glasses and a fringe.
RIDGE = (4, 5, 195, 9, 151, 108, 337)
# The difference of the cheeks' depths beyond which the face is seen from aside.
ASIDE = 45
# The mesh ends below the hairline: its forehead is raised by this share of the face's height.
HIGHER = 0.16
# The skull is an ellipse: middle and half axes in heights of the face, as the line of the eyes and
# half the width of the top of the head.
SKULL_MIDDLE, SKULL_ACROSS, SKULL_DOWN, EYES, TOP = -0.12, 0.5, 0.7, -0.2, 0.22
CLUSTERS, FAR = 5, 1000.0
# Down to the brows a fringe may hide the face; this far above and below its middle are the ears.
BROWS, EAR = -0.26, 0.12
# Hair is rougher than skin: how much the spread of L* counts, at most so much of it, and the
# product below which a place is smooth.
TEXTURE, ROUGHEST, SMOOTH = 1.5, 10.0, 3.0
# Skin is lit unevenly: light and dark count less than the hue when colours are compared to it.
SHADE = 0.5
# The ridge is skin where it is this like the cheeks (a distance in Lab). Colours of hair are at
# least this share as far from skin as the farthest. Hair is dark if L* is this much below skin's.
ALIKE, UNLIKE, DARK = 18.0, 0.4, 25.0
# Hair beside an ear fills this share of the place there, or there is none below.
BESIDE = 0.3
# Distances in Lab: what is nearer to the cheeks' colours is skin; how soft the decision is; how
# much nearer to hair than to all else a fringe has to be, and how much less near what is around the
# face; how much more the background's colours count where the mask of the subject is 0 than where
# it is 1.
SKIN, SOFT, FRINGE, AROUND_FACE, CERTAIN = 9.0, 3.0, 3.0, 3.0, 30.0
# The skull around the face must be in the image (in squares of the face's height), and its top
# be hair on this share, each pixel counted by how likely it is: a bald head has less.
LEAST_SKULL, LEAST_TOP = 0.06, 0.35
# ImageNet's hats and its baseball player, and how sure the classifier must be of them together:
# it saw 14 of 19 hats on 115 portraits, at most 0.22 where hair was seen, and a hat in a drawing.
HATS = (433, 439, 452, 515, 518, 560, 667, 715, 793, 796, 808, 981)
HATTED = 0.25
HAT = "no hair found: a hat or cap seems to cover the head; use an image without one"
NO_HAIR = (
    "no hair found around the face; use an image of the whole head, where hair stands out from "
    "skin and background"
)
TURNED = (
    "no hair found: the face is turned too far to the side to tell hair from skin; use an image "
    "where it looks towards the camera"
)
# Recoloured at a time, to limit the memory.
ROWS = 256


def colour_in(words: str) -> str | None:
    """Return the first colour word of a text."""
    found = re.findall(r"[a-z]+", words.lower())
    return next((word for word in found if word in COLOURS), None)


def _nearness(colours: Array, samples: Mask, shade: float = 1.0) -> Array:
    """Return the distance of each pixel's colour to the nearest one among the samples.

    Differences of lightness count `shade` times.
    """
    if samples.sum() < CLUSTERS:
        return np.full(colours.shape[:2], FAR, np.float32)
    flat = colours.reshape(-1, 4) * np.array([shade, 1, 1, 1], np.float32)
    found = distances(flat, clusters(flat[samples.ravel()], CLUSTERS)).min(1)
    return np.asarray(np.sqrt(found).reshape(samples.shape))


def _upright(mesh: Mesh, size: tuple[int, int]) -> tuple[Array, Array, float]:
    """Return how far right and down each pixel is from the face's middle, in its heights.

    The height of the face itself, in pixels, is the third value.
    """
    top, bottom = mesh.points[FOREHEAD], mesh.points[CHIN]
    height = max(1.0, float(np.linalg.norm(bottom - top)))
    down, across = np.mgrid[: size[1], : size[0]].astype(np.float32)
    across, down = across - (top[0] + bottom[0]) / 2, down - (top[1] + bottom[1]) / 2
    cosine, sine = math.cos(mesh.turn) / height, math.sin(mesh.turn) / height
    return across * cosine + down * sine, down * cosine - across * sine, height


def _with_forehead(mesh: Mesh, size: tuple[int, int]) -> Mask:
    """Return the face with a higher forehead than the mesh's."""
    up, rim = mesh.points[FOREHEAD] - mesh.points[CHIN], mesh.points[list(OVAL)]
    heights = np.clip((rim - mesh.points.mean(0)) @ up / max(1.0, float(up @ up)), 0, None)
    canvas = Image.new("L", size)
    corners = rim + HIGHER * heights[:, None] * up
    ImageDraw.Draw(canvas).polygon(corners.ravel().tolist(), fill=255)
    return np.asarray(canvas) > 0


def _discs(mesh: Mesh, where: tuple[int, ...], size: tuple[int, int]) -> Mask:
    """Return discs around landmarks on the skin."""
    canvas, reach = Image.new("L", size), 0.04 * mesh.size
    pen = ImageDraw.Draw(canvas)
    for x, y in mesh.points[list(where)].tolist():
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=255)
    return np.asarray(canvas) > 0


def _softly(nearer: Array) -> Array:
    """Return 1 where colours are much nearer to hair than to all else, 0 where they are not."""
    return np.asarray(1 / (1 + np.exp(-nearer / SOFT)), np.float32)


def _features(small: Image.Image) -> Array:
    """Return the colours in Lab and how rough each place is, shape (height, width, 4)."""
    level = lab(np.asarray(small))[..., 0]
    fine = level - box_mean(level, 2)
    rough = TEXTURE * np.sqrt(np.maximum(box_mean(fine * fine, 2), 0))
    # An edge is rough on a line only, hair all over: the least of the surroundings counts.
    coded = as_image(rough * (255 / ROUGHEST)).filter(ImageFilter.MinFilter(5))
    smooth = lab(np.asarray(small.filter(ImageFilter.GaussianBlur(1))))
    return np.concatenate([smooth, grey(coded)[..., None] * ROUGHEST], -1)


def _bare(mesh: Mesh, colours: Array) -> tuple[Mask, Mask]:
    """Return where the cheeks are, and where skin is on the cheeks, the nose and the forehead."""
    size, smooth = (colours.shape[1], colours.shape[0]), colours[..., 3] < SMOOTH
    cheeks = _discs(mesh, CHEEKS, size)
    # Rims of glasses are no skin.
    if (cheeks & smooth).sum() > 0.3 * cheeks.sum():
        cheeks &= smooth
    alike = _nearness(colours, cheeks, SHADE) < ALIKE
    return cheeks, cheeks | (_discs(mesh, RIDGE, size) & alike & smooth)


def _lit(colours: Array, sure: Mask, skull: Mask, cheeks: Mask, seen: Mask) -> Mask:
    """Return what shines or is as light as skin on a head of dark hair: a high forehead.

    `seen` is the part of the mesh above the eyes, where the forehead begins.
    """
    level, smooth = colours[..., 0], colours[..., 3] < SMOOTH
    pale = float(np.median(level[cheeks]))
    lit = np.asarray(skull & (level > pale) & smooth)
    if (sure & lit).sum() > (sure & ~lit).sum():
        lit = np.zeros_like(lit)
    dark = float(np.quantile(level[sure & ~lit], 0.25))
    if pale - dark < DARK:
        return lit
    # The forehead goes on upwards for as long as it is smooth and nearer to skin than to hair.
    light = smooth & (level > (pale + dark) / 2)
    return lit | grown(seen & light, light & skull, 2, sum(lit.shape))


def _hair_in(small: Image.Image, mesh: Mesh, alpha: Array) -> Array:
    """Return where hair is in a small image of a head, 0 or 1; all 0 if hardly any is sure.

    Colours of hair come from the skull above the face, those of skin from the cheeks and the face.
    Each pixel goes to the nearest of hair, skin, clothes and background.
    """
    colours = _features(small)
    across, down, height = _upright(mesh, small.size)
    face = np.asarray(outlined(mesh, OVAL, small.size)) > 0
    forehead, subject = _with_forehead(mesh, small.size), alpha > 0.5
    cheeks, bare = _bare(mesh, colours)
    skin = _nearness(colours, bare, SHADE)
    behind = _nearness(colours, alpha < 0.1) + CERTAIN * (alpha - 0.5)
    skull = np.hypot(across / SKULL_ACROSS, (down - SKULL_MIDDLE) / SKULL_DOWN) < 1
    around = np.hypot(across / SKULL_ACROSS / 1.4, (down - SKULL_MIDDLE) / SKULL_DOWN) < 1
    crown = skull & ~forehead & (down < EYES)
    unlike = np.minimum(skin, behind) - SKIN
    sure, top = crown & subject & (unlike > 0), crown & (np.abs(across) < TOP)
    is_seen = crown.sum() >= LEAST_SKULL * height**2 and sure.any()
    if not is_seen or _softly(unlike[top]).sum() <= LEAST_TOP * top.sum():
        return np.zeros(alpha.shape, np.float32)
    sure &= skin > UNLIKE * np.quantile(skin[sure], 0.9)
    lit = _lit(colours, sure, skull, cheeks, face & (down < EYES))
    sure &= ~lit
    clothes = _nearness(colours, (np.abs(across) < 0.4) & (down > 0.62) & subject)
    clothes += 40 * np.clip(0.6 - down, 0, 1)
    jaw = (np.abs(across) < 0.46) & (down > 0.15)
    possible = subject & ~(face & (down > BROWS)) & ~jaw & ~lit
    bars = FRINGE * forehead - AROUND_FACE * (around & ~forehead)
    found = sure
    # Twice: hair beside the face and in another light has other colours than that on the crown.
    for _ in range(2):
        hair = _nearness(colours, found)
        face_skin = _nearness(colours, face & (skin < np.minimum(hair, 2 * SKIN)), SHADE)
        others = np.minimum.reduce([skin, face_skin, clothes, behind])
        likely = np.asarray(possible * _softly(others - hair - bars), np.float32)
        for _ in range(2):
            slope, offset = guided(grey(small), likely, 4, 1e-3)
            likely = np.clip(slope * grey(small) + offset, 0, 1)
        likely = likely * possible
        reached = grown(sure, likely > 0.5, 2, sum(likely.shape))
        found = reached & around & (likely > 0.8) & (skin > SKIN / 2)
    return np.asarray(_hanging(reached, face, across, down), np.float32)


def _hanging(hair: Mask, face: Mask, across: Array, down: Array) -> Mask:
    """Return the hair without what is below an ear that has none beside it: a beard, a collar."""
    kept = hair.copy()
    for side in (across < 0, across >= 0):
        ear = side & (np.abs(down) < EAR) & ~face
        room = ear & (np.abs(across) < 0.6)
        if (hair & ear & (np.abs(across) < 0.8)).sum() < BESIDE * max(1, room.sum()):
            kept &= ~(side & (down > EAR))
    return kept


def _is_hatted(image: Image.Image, mesh: Mesh, box: Region) -> bool:
    """Return whether the head, or its upper part, looks like one with a hat."""
    up = mesh.points[FOREHEAD] - mesh.points[CHIN]
    reach = 0.75 * float(np.linalg.norm(up))
    x, y = (mesh.points[FOREHEAD] + 0.05 * up).tolist()
    left, top, right, bottom = clipped((x - reach, y - reach, x + reach, y + reach), image.size)
    views = (box, (int(left), int(top), math.ceil(right), math.ceil(bottom)))
    return any(classify(image.crop(view))[0][list(HATS)].sum() > HATTED for view in views)


def find_hair(image: Image.Image, mesh: Mesh) -> tuple[Image.Image, Region]:
    """Return how much of each pixel of a box is hair (mode L), and the box in the image.

    Raises:
        EngineError: hardly any hair is sure, the face is seen from aside, or a hat is on the head.
    """
    if np.ptp(mesh.depths[list(CHEEKS)]) > ASIDE:
        raise EngineError(TURNED)
    box = mesh.region(image.size, AROUND)
    head = flatten(image.crop(box))
    scale = FACE / mesh.size
    small = head.resize(scaled(head.size, scale), Image.Resampling.LANCZOS)
    mask = subject_mask(small)
    hair = _hair_in(small, mesh.placed((box[0], box[1]), scale), grey(refined(small, mask)))
    if not hair.any():
        raise EngineError(NO_HAIR)
    if _is_hatted(image, mesh, box):
        raise EngineError(HAT)
    factors = guided(grey(small), hair, 3, 1e-3)
    slope, offset = (resized(each, head.size, Image.Resampling.BILINEAR) for each in factors)
    steep = np.clip((slope * grey(head) + offset - 0.15) / 0.7, 0, 1) * grey(refined(head, mask))
    return as_image(steep * 255), box


def recoloured(image: Image.Image, hair: Image.Image, box: Region, colour: str) -> Image.Image:
    """Return the image (mode RGB) with its hair in another colour: light and shadow stay."""
    result = flatten(image).copy()
    wanted, mean = lab_of(COLOURS[colour])[0], _brightness(result.crop(box), hair)
    for top in range(0, hair.height, ROWS):
        rows = (box[0], box[1] + top, box[2], min(box[3], box[1] + top + ROWS))
        weights = hair.crop((0, top, hair.width, top + rows[3] - rows[1]))
        result.paste(_painted(result.crop(rows), wanted, mean), rows[:2], weights)
    return result


def _brightness(head: Image.Image, hair: Image.Image) -> float:
    """Return the mean L* of the hair."""
    size = (min(SIDE, head.width), min(SIDE, head.height))
    level = lab(np.asarray(head.resize(size, Image.Resampling.BOX)))[..., 0]
    weights = grey(hair.resize(size, Image.Resampling.BOX))
    return max(1.0, float((level * weights).sum() / max(1e-6, float(weights.sum()))))


def _painted(strip: Image.Image, wanted: Array, mean: float) -> Image.Image:
    """Return a strip in the wanted Lab colour, with its own differences of light and dark."""
    ratio = float(wanted[0]) / mean
    # A large lift as a factor would turn the faint strands of dark hair into blotches.
    strands = (lab(np.asarray(strip))[..., 0] - mean) * np.clip(ratio**0.75, 0.5, 1.6)
    lifted = np.clip(mean * ratio**0.75 + strands, 0, 100)
    # Dark strands take less of the colour, as dark hair does.
    share = np.clip(lifted / max(20.0, float(wanted[0])), 0.3, 1.15)[..., None]
    new = np.concatenate([lifted[..., None], share * wanted[1:]], -1).astype(np.float32)
    return as_image(srgb(new))
