"""The colours of a placeholder image: those that its prompt names or suggests."""

from __future__ import annotations

import re
import zlib
from typing import NamedTuple

Colour = tuple[int, int, int]
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


class Palette(NamedTuple):
    """Colours from the top of the sky to the nearest ground; `disc` is the sun's or the moon's."""

    top: Colour
    low: Colour
    disc: Colour
    far: Colour
    near: Colour


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return the colour that lies `share` of the way from one to the other."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _rgb(code: str) -> Colour:
    red, green, blue = bytes.fromhex(code)
    return red, green, blue


# Words of a prompt and Palette's five colours; rows without words serve all other prompts.
THEMES = (
    ("sunset sunrise dusk dawn evening", "3b2a5c f08a5d ffe0a3 8c4a6b 2b1b3d"),
    ("night dark midnight moon moonlight", "0b1030 2a3a72 f3efd2 243056 0a0d1c"),
    ("space galaxy planet star stars nebula cosmos", "070716 2b1747 f6d6a8 5a3a8c 0e0b22"),
    ("sea ocean lake beach island wave river underwater", "7cc0e8 dff1f5 fff6d6 4a9bb8 0e4f73"),
    ("snow winter ice arctic snowy frozen", "9fb9d6 eef3f8 fffdf2 b6c9dc 6d88a8"),
    ("forest jungle tree trees green meadow grass spring", "a9d3d0 eef3cf fff7c9 7fa87a 1f4a35"),
    ("desert sand canyon dune savanna egypt", "e9b872 fbe6bf fff8e1 d08c4c 7f3f1d"),
    ("autumn fall october harvest pumpkin", "d9a05b f7dfae fff1cc b8622c 5a2417"),
    ("fire lava volcano dragon flame", "2a0a12 a3261b ffc55c 6e1a1a 190508"),
    ("flower flowers garden rose blossom love", "f2b5c8 fde7e2 fff6dc c9709a 5b2a55"),
    ("neon cyberpunk futuristic city", "1a1140 c23a8c 7df0e6 4a2a86 120b2c"),
    ("coffee food cake bread wood kitchen tea", "e8d3b5 f7ecd9 fff3d8 b07a4b 4a2a1c"),
    ("", "5d8fb3 f3d9b1 fff3cf 6c8a91 24404a"),
    ("", "44567c e7b7a3 ffe8c2 8a6a86 2a2747"),
    ("", "2f6f73 d9e2b8 fff6c8 5a9580 143a3c"),
    ("", "c26d4f f6cf9b fff2d4 8c4f58 2f2440"),
    ("", "6a5aa0 e8c3dd fff0d8 7c6cae 26204c"),
)
NAMED = {
    "black": "16161a", "grey": "85888f", "gray": "85888f", "white": "f4f4f0", "red": "c8302c",
    "orange": "ee8532", "brown": "7a4c2b", "tan": "cbab80", "beige": "e6d8bd", "yellow": "f2d24a",
    "gold": "d9a833", "golden": "d9a833", "olive": "74743a", "green": "3d9150", "teal": "1f7f80",
    "turquoise": "3fbfb8", "cyan": "46cbe0", "blue": "2e66c8", "navy": "182a5c", "indigo": "3c2f8f",
    "purple": "7440a8", "violet": "7d55c0", "magenta": "c8389c", "pink": "ee93b3",
    "crimson": "a81c38", "silver": "bfc4cc", "红": "c8302c", "橙": "ee8532", "黄": "f2d24a",
    "绿": "3d9150", "蓝": "2e66c8", "紫": "7440a8", "粉": "ee93b3", "黑": "16161a", "白": "f4f4f0",
}  # fmt: skip
SKY = frozenset({"sky", "heaven", "sunset", "sunrise", "clouds", "cloud", "background"})
DISCS = frozenset({"sun", "moon", "star", "stars", "lamp", "lantern", "planet"})


def _words(prompt: str) -> list[str]:
    """Return the prompt's words; of writing without spaces, each sign is one."""
    return re.findall(r"[a-z]+|[^\W\d_a-z]", prompt.lower())


def _theme(words: list[str], prompt: str) -> Palette:
    chosen = next((row for row in THEMES if set(row[0].split()) & set(words)), None)
    if chosen is None:
        plain = [row for row in THEMES if not row[0]]
        chosen = plain[zlib.crc32(prompt.encode()) % len(plain)]
    return Palette(*map(_rgb, chosen[1].split()))


def palette_of(prompt: str) -> Palette:
    """Return a prompt's colours: "blue sea, yellow moon" has blue ground and a yellow disc.

    Of the colours that belong to neither sky nor disc, the first is the ground's, and the second
    (or the only one) is that of what is far.
    """
    words = _words(prompt)
    found = _theme(words, prompt)
    others: list[Colour] = []
    for place, word in enumerate(words):
        if word not in NAMED:
            continue
        colour, after = _rgb(NAMED[word]), set(words[place + 1 : place + 3])
        if after & DISCS:
            found = found._replace(disc=mix(colour, WHITE, 0.25))
        elif after & SKY:
            found = found._replace(top=mix(colour, BLACK, 0.15), low=mix(colour, found.low, 0.6))
        else:
            others.append(colour)
    if not others:
        return found
    first, second = others[0], others[:2][-1]
    far, low = mix(second, found.low, 0.3), mix(found.low, second, 0.25)
    return found._replace(near=mix(first, BLACK, 0.25), far=far, low=low)
