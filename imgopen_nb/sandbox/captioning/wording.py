"""English for captions: articles, plurals, counts and lists."""

from __future__ import annotations

from collections.abc import Sequence

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

# Sounds that the first letter hides.
AN, A = ("hourglass", "honest", "heir"), ("uni", "use", "euro", "european", "ukulele", "one", "ewe")

WITHOUT_ARTICLE = frozenset((
    "food", "jeans", "swimwear", "hay", "wool", "broccoli", "guacamole", "mashed potatoes",
    "carbonara", "dough", "chain mail", "velvet fabric", "toilet paper", "chocolate syrup",
    "eggnog", "consomme", "corn", "rapeseed", "cauliflower", "hair spray", "sunscreen", "lotion",
    "face powder", "pajamas", "clogs", "binoculars", "skis", "scissors", "parallel bars",
    "people", "text",
))  # fmt: skip

IRREGULAR = {
    "person": "people", "mouse": "mice", "knife": "knives", "sheep": "sheep", "fish": "fish",
    "scissors": "scissors", "skis": "skis", "wolf": "wolves", "goose": "geese",
    "broccoli": "broccoli", "shelf": "shelves", "leaf": "leaves", "food": "food",
    "bison": "bison",
}  # fmt: skip


def an(noun: str) -> str:
    """Put the right article before a noun phrase, or none where English has none."""
    if noun in WITHOUT_ARTICLE:
        return noun
    word = noun.lower()
    vowel = (word[0] in "aeiou" and not word.startswith(A)) or word.startswith(AN)
    return f"{'an' if vowel else 'a'} {noun}"


def plural(noun: str) -> str:
    """Return the plural of a noun phrase, whose last word is the noun."""
    *before, word = noun.split(" ")
    if word in IRREGULAR:
        many = IRREGULAR[word]
    elif word.endswith(("s", "sh", "ch", "x")):
        many = f"{word}es"
    elif word.endswith("y") and word[-2:-1] not in "aeiou":
        many = f"{word[:-1]}ies"
    else:
        many = f"{word}s"
    return " ".join([*before, many])


def count(number: int, noun: str) -> str:
    """Say how many: "a cat", "two cats", "many cats" above ten."""
    if number == 1:
        return an(noun)
    return f"{NUMBERS[number] if number < len(NUMBERS) else 'many'} {plural(noun)}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Join words as a sentence does: "a, b and c"."""
    return (
        f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
    )
