"""Rules, check and audit of 100,000 captions, and what their history adds.

No image is read. CPU time counts, since it hardly depends on the machine's other work.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

from imgopen_nb.captions.descriptions import Description, Row
from imgopen_nb.datasets.audit import Audit
from imgopen_nb.datasets.checks import check_captions, check_files, frame_of
from imgopen_nb.datasets.entry import Entry
from imgopen_nb.datasets.near_duplicates import groups
from imgopen_nb.datasets.rules import Rule, rules_of
from imgopen_nb.datasets.selection import HasPictures
from imgopen_nb.session import Session

CAPTIONS = 100_000
HEAD = ("what", "CPU", "limit")
LIMIT = 5.0
RULES = [
    {"rule": "spaces"},
    {"rule": "remove", "tags": ["red scarf"]},
    {"rule": "drop_implied"},
    {"rule": "dedupe"},
    {"rule": "add", "tag": "zwx", "first": True},
]


def rows(captions: int = CAPTIONS) -> Iterator[Sequence[str]]:
    """Yield a row for each kind of work."""
    entries, described = data_set(captions, False), data_set(captions, True)
    dice = random.Random(15)
    looks = [dice.getrandbits(64) for _ in range(captions)]
    rules = rules_of(RULES)
    works: dict[str, Callable[[], object]] = {
        f"five rules on {captions:,} captions": lambda: [after(rules, e.caption) for e in entries],
        f"check of {captions:,} captions, with trigger and tokens": lambda: frame_of(
            [*check_captions(entries, "ohwx"), *check_files(entries, "kohya")], "kohya"
        ),
        f"audit of {captions:,} captions": lambda: Audit(entries, "ohwx", "woman"),
        "audit with what two models saw": lambda: Audit(described, "ohwx", "woman"),
        f"near-duplicates of {captions:,} hashes": lambda: groups(looks),
    }
    for name, work in works.items():
        yield name, f"{seconds(work):.1f} s", "" if "models" in name else f"{LIMIT:.0f} s"
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        Session(home=home, backend="sandbox") as session,
    ):
        made = session.dataset(Rows(entries))
        texts = {entry.picture: entry.caption for entry in entries}
        made.rewrite("captions", lambda entry: texts[entry.picture])
        name = "the five rules applied to a dataset, each saved as a step that can be undone"
        yield name, f"{seconds(lambda: made.apply(RULES), 1):.1f} s", ""


def after(rules: Sequence[Rule], caption: str) -> str:
    """Return a caption after all rules."""
    for rule in rules:
        caption = rule.apply(caption)
    return caption


class Rows(HasPictures):
    """Images that need not be there: no rule looks at them."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._rows = [Row(entry.image, {}, entry.picture) for entry in entries]

    @property
    def picture_rows(self) -> Sequence[Row]:
        """The images, in their order."""
        return self._rows


def seconds(work: Callable[[], object], runs: int = 2) -> float:
    """Return the CPU time of the best run; the first one also imports."""
    times = []
    for _ in range(runs):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def data_set(captions: int, described: bool) -> list[Entry]:
    """Return images, half of them with a sentence and half with some 14 tags."""
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
    for at in range(captions):
        text = sentence() if at % 2 else ", ".join(some_tags())
        said = {}
        if described:
            said["clip"] = Description("", "clip", caption=sentence())
            said["wd"] = Description("", "wd", tags=tuple((tag, 0.9) for tag in some_tags()))
        caption = f"ohwx woman, red scarf, {text}"
        made.append(Entry(at, f"/set/{at}.png", f"sha256:{at}", caption, "edited", at, said))
    return made
