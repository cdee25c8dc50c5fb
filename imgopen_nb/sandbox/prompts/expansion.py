"""Longer prompts from short ones: phrases drawn from word lists that fit the subject.

No language model. `temperature`, `top_k`, `top_p` and `repetition_penalty` do to the phrases what
they do to a model's tokens: each phrase has a score, and the scores become probabilities.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections import Counter
from dataclasses import dataclass, replace

from ..captioning.wording import an, listed
from .vocabulary import KINDS, ORDER, ROWS

# Scores: of phrases for the first kind of subject, for a later one, for every subject.
FIRST, LATER, ANY = 2.0, 1.2, 1.0
WEIGHTS = (1.1, 1.15, 1.2, 1.3)
TRIES = 60


@dataclass(frozen=True)
class Options:
    """How prompts are expanded; lengths are counted in words."""

    sdxl: bool = False
    count: int = 3
    least: int = 0
    most: int = 45
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.2


@dataclass(frozen=True)
class Phrase:
    """One phrase, with its category and how well it fits the subject."""

    text: str
    category: str
    score: float


def kinds_of(prompt: str) -> tuple[str, ...]:
    """Return the kinds of subject that a prompt's words name, in the prompt's order."""
    words = re.findall(r"[a-z]+", prompt.lower())
    homes = {word: kind for kind, listed in reversed(KINDS.items()) for word in listed.split()}
    known = (homes.get(word) or homes.get(word.removesuffix("s")) for word in words)
    return tuple(dict.fromkeys(kind for kind in known if kind))


def candidates(prompt: str) -> dict[str, list[Phrase]]:
    """Return each category's phrases, scored, without those that the prompt already has."""
    kinds, said = kinds_of(prompt), prompt.lower()
    found: dict[str, list[Phrase]] = {category: [] for category in ORDER}
    for row in ROWS:
        of = row.kinds.split()
        if of and not set(of) & set(kinds):
            continue
        score = (FIRST if kinds[0] in of else LATER) if of else ANY
        found[row.category] += [
            Phrase(text, row.category, score) for text in row.phrases if text.lower() not in said
        ]
    return found


def _probabilities(pool: list[Phrase], used: Counter[str], options: Options) -> list[float]:
    """Return each phrase's probability: the softmax of the scores, lowered by earlier use."""
    heat = max(options.temperature, 0.02)
    penalty = math.log(max(options.repetition_penalty, 0.1)) * 4
    scores = [phrase.score - penalty * used[phrase.text] for phrase in pool]
    top = max(scores)
    powers = [math.exp((score - top) / heat) for score in scores]
    return [power / sum(powers) for power in powers]


def _draw(
    pool: list[Phrase], used: Counter[str], options: Options, source: random.Random
) -> Phrase:
    """Draw one phrase from the `top_k` likeliest, or from those that make up `top_p`."""
    ranked = sorted(
        zip(_probabilities(pool, used, options), pool, strict=True), key=lambda pair: -pair[0]
    )
    if options.top_k:
        ranked = ranked[: options.top_k]
    kept, mass = [], 0.0
    for share, phrase in ranked:
        kept.append((share, phrase))
        mass += share
        if mass >= options.top_p:
            break
    shares = [share for share, _ in kept]
    return source.choices(kept, shares)[0][1]


def _words(text: str) -> int:
    return len(text.split())


def _chosen(
    prompt: str, used: Counter[str], options: Options, source: random.Random
) -> list[Phrase]:
    """Draw phrases, category by category, until the prompt has its length; at least one."""
    pools = candidates(prompt)
    for pool in pools.values():
        source.shuffle(pool)
    target = max(options.least, source.randint(options.most * 3 // 5, options.most))
    chosen: list[Phrase] = []
    length = _words(prompt)
    for turn in range(max(map(len, pools.values()))):
        for category in ORDER:
            if not pools[category] or (turn and category == "medium"):
                continue
            phrase = _draw(pools[category], used, options, source)
            size = _words(phrase.text) + (2 if options.sdxl else 0)
            if chosen and length + size > options.most:
                return chosen
            pools[category].remove(phrase)
            chosen.append(phrase)
            length += size
            if length >= target:
                return chosen
    return chosen


def _as_tags(prompt: str, chosen: list[Phrase], source: random.Random) -> str:
    """Join for Stable Diffusion 1.5: tags with commas, one or two with a weight."""
    weighted = set(source.sample(range(len(chosen)), min(len(chosen), source.choice((1, 1, 2)))))
    tags = [
        f"({phrase.text}:{source.choice(WEIGHTS)})" if place in weighted else phrase.text
        for place, phrase in enumerate(chosen)
    ]
    return ", ".join([prompt, *tags])


def _as_sentence(prompt: str, chosen: list[Phrase]) -> str:
    """Join for SDXL: two sentences without weights."""
    medium = next((phrase.text for phrase in chosen if phrase.category == "medium"), "")
    texts: dict[str, list[str]] = {}
    for phrase in chosen:
        texts.setdefault(phrase.category, []).append(phrase.text)
    medium = f"piece of {medium}" if medium.endswith(" art") else medium
    head = f"{an(medium)} of {prompt}" if medium else prompt
    head += f" with {listed(texts['detail'])}" if "detail" in texts else ""
    head += f", in {listed(texts['light'])}" if "light" in texts else ""
    parts = [listed(texts[name]) for name in ("composition", "camera", "colour") if name in texts]
    tail = [*parts, *texts.get("mood", []), *texts.get("quality", [])]
    sentences = [head, ", ".join(tail)]
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in sentences if text)


def expand(prompt: str, options: Options) -> list[str]:
    """Return `options.count` different expansions; the same call gives the same ones."""
    clean = " ".join(prompt.split()).rstrip(" ,.;")
    digest = hashlib.sha256(f"{options.sdxl} {clean}".encode()).digest()
    source = random.Random(int.from_bytes(digest[:8], "big"))
    used: Counter[str] = Counter()
    made: dict[str, None] = {}
    for attempt in range(TRIES * options.count):
        if len(made) == options.count:
            break
        chosen = _chosen(clean, used, _wider(options, attempt // (2 * options.count)), source)
        text = _as_sentence(clean, chosen) if options.sdxl else _as_tags(clean, chosen, source)
        if text not in made:
            made[text] = None
            used.update(phrase.text for phrase in chosen)
    return list(made)


def _wider(options: Options, step: int) -> Options:
    """Return options that allow more phrases, for when the given ones yield nothing new."""
    if not step:
        return options
    top_k = options.top_k + step if options.top_k else 0
    heat = options.temperature + 0.2 * step
    return replace(
        options, top_k=top_k, temperature=heat, top_p=min(1.0, options.top_p + 0.1 * step)
    )
