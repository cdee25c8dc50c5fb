"""Check and audit of 100,000 captions; the limit is 5 s for each without what models saw.

No picture is read. CPU time counts, since it hardly depends on the machine's other work.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence

from imgopen_nb.captions.descriptions import Description
from imgopen_nb.datasets.audit import Audit
from imgopen_nb.datasets.checks import check_captions, check_files, frame_of
from imgopen_nb.datasets.entry import Entry
from imgopen_nb.datasets.near_duplicates import groups

CAPTIONS = 100_000
HEAD = ("what", "CPU", "limit")
LIMIT = 5.0


def rows() -> Iterator[Sequence[str]]:
    """Yield a row for each kind of work."""
    entries, described = data_set(False), data_set(True)
    dice = random.Random(15)
    looks = [dice.getrandbits(64) for _ in range(CAPTIONS)]
    works: dict[str, Callable[[], object]] = {
        "check of 100,000 captions, with trigger and tokens": lambda: frame_of(
            [*check_captions(entries, "ohwx"), *check_files(entries, "kohya")], "kohya"
        ),
        "audit of 100,000 captions": lambda: Audit(entries, "ohwx", "woman"),
        "audit with what two models saw": lambda: Audit(described, "ohwx", "woman"),
        "near-duplicates of 100,000 hashes": lambda: groups(looks),
    }
    for name, work in works.items():
        yield name, f"{seconds(work):.1f} s", "" if "models" in name else f"{LIMIT:.0f} s"


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of the better of two runs; the first one also imports."""
    times = []
    for _ in range(2):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def data_set(described: bool) -> list[Entry]:
    """Return pictures, half of them with a sentence and half with some 14 tags."""
    dice = random.Random(15)
    words = [
        "".join(dice.choices("abcdefghijklmnoprstuvwy", k=dice.randrange(3, 9)))
        for _ in range(6000)
    ]
    tags = [" ".join(dice.choices(words, k=dice.choice((1, 2, 2)))) for _ in range(6000)]
    weights = [1 / (at + 3) for at in range(6000)]

    def some_tags() -> list[str]:
        return list(dict.fromkeys(dice.choices(tags, weights, k=14)))

    def sentence() -> str:
        return f"a {' '.join(dice.choices(words, weights, k=9))} on the {dice.choice(words)}"

    made = []
    for at in range(CAPTIONS):
        text = sentence() if at % 2 else ", ".join(some_tags())
        said = {}
        if described:
            said["clip"] = Description("", "clip", caption=sentence())
            said["wd"] = Description("", "wd", tags=tuple((tag, 0.9) for tag in some_tags()))
        caption = f"ohwx woman, red scarf, {text}"
        made.append(Entry(at, f"/set/{at}.png", f"sha256:{at}", caption, "edited", at, said))
    return made
