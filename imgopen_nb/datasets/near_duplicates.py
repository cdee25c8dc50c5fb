"""Finds images that look the same: resized, saved again as JPEG, brighter, cropped by 3 %.

An image's hash has 64 bits: which of the low frequencies of its brightness are above their median
(a DCT of 32 × 32 pixels). Images whose hashes differ in at most 8 bits look the same; colours do
not count.

No two images have to be compared one by one. Of four parts of two such hashes, one differs in at
most one bit, or each of them in two: so each part is looked up with the 17 values that differ in
one bit at most, and the first one with those of two bits too.
"""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .joined import Joined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_BITS = 8
_SIDE, _LOW = 32, 8  # pixels, frequencies
_PARTS, _PART_BITS = 4, 16
_FLATTEST = 3.0  # standard deviation of the brightness, of 255; below, a hash is noise
_MOST_PAIRS = 1_000_000  # that are compared at a time


def look_of(jpeg: bytes) -> int | None:
    """Return the hash of an image, None if it is too plain to be told from others.

    Args:
        jpeg: the image in any size, such as its thumbnail.
    """
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    grey = np.asarray(small, np.float64)
    if grey.std() < _FLATTEST:
        return None
    waves = _waves()
    low = (waves @ grey @ waves.T).ravel()
    above = low > np.median(low[1:])  # the first is the mean brightness
    return int.from_bytes(np.packbits(above).tobytes(), "big")


def groups(looks: Sequence[int | None]) -> list[list[int]]:
    """Return the places of images that look the same, a list for each group, in order.

    Each image of a group looks like another one of it, not like all of them.
    """
    import numpy as np

    joined, first = Joined(len(looks)), dict[int, int]()
    for at, look in enumerate(looks):
        if look is not None:
            joined.join(at, first.setdefault(look, at))
    places = list(first.values())
    for one, other in _near(np.array(list(first), np.uint64)):
        joined.join(places[one], places[other])
    return joined.groups()


@functools.cache
def _waves() -> NDArray[np.float64]:
    import numpy as np

    frequencies, places = np.arange(_LOW)[:, None], np.arange(_SIDE)[None, :]
    waves: NDArray[np.float64] = np.cos(np.pi * frequencies * (2 * places + 1) / (2 * _SIDE))
    return waves


def _near(bits: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """Yield the places of hashes that are near each other, a pair perhaps more than once.

    Args:
        bits: hashes, each another one.
    """
    import numpy as np

    single = [1 << bit for bit in range(_PART_BITS)]
    double = [one | other for one, other in itertools.combinations(single, 2)]
    for part in range(_PARTS):
        values = (bits >> np.uint64(part * _PART_BITS) & np.uint64(0xFFFF)).astype(np.int64)
        order = np.argsort(values, kind="stable")
        begins = np.searchsorted(values[order], np.arange(2**_PART_BITS + 1))
        for mask in (0, *single, *(double if part == 0 else ())):
            # Each pair once: of two values that differ, that with the highest of these bits.
            highest = 1 << mask.bit_length() - 1 if mask else 0
            rows = np.flatnonzero(values & highest) if mask else np.arange(len(bits))
            wanted = values[rows] ^ mask
            first, counts = begins[wanted], begins[wanted + 1] - begins[wanted]
            for begin, end in _portions(counts):
                some = counts[begin:end]
                one = np.repeat(rows[begin:end], some)
                steps = np.arange(len(one)) - np.repeat(np.cumsum(some) - some, some)
                other = order[np.repeat(first[begin:end], some) + steps]
                near = _ones(bits[one] ^ bits[other]) <= MOST_BITS
                if not mask:
                    near &= one < other
                yield from zip(one[near].tolist(), other[near].tolist(), strict=True)


def _portions(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut rows into portions of about `_MOST_PAIRS` pairs, which fit into the memory."""
    import numpy as np

    ends = np.cumsum(counts)
    marks = range(_MOST_PAIRS, int(ends[-1]) if len(ends) else 0, _MOST_PAIRS)
    cuts = sorted({0, len(counts), *(int(at) + 1 for at in np.searchsorted(ends, marks))})
    return list(itertools.pairwise(cuts))


def _ones(bits: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return how many bits are set in each value."""
    counts: NDArray[np.uint8] = _ones_of_16_bits()[bits[:, None].view("u2")].sum(1, dtype="u1")
    return counts


@functools.cache
def _ones_of_16_bits() -> NDArray[np.uint8]:
    import numpy as np

    each = np.unpackbits(np.arange(2**16, dtype=np.uint16).view(np.uint8)).reshape(-1, 16)
    counts: NDArray[np.uint8] = each.sum(axis=1, dtype=np.uint8)
    return counts
