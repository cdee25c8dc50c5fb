"""Reads foreign JSON, makes foreign text safe to display, and builds phrases for messages.

Captions, tags and error messages come from a server. Control characters in them could recolour or
rewrite a terminal; bidirectional overrides could make a text read as a different one.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import os
import re
from collections.abc import Callable, Iterable
from typing import Any

# Control characters except newline and tab, bidirectional overrides, invisible marks and "tag"
# characters. The joiners U+200C and U+200D stay: Persian, Indic scripts and emoji need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)

# How deep foreign JSON may be nested. SQLite, pandas and Python's own json all have such a limit.
MAX_DEPTH = 64
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")
# One escape in a JSON text: a surrogate pair, any other code unit, or a single character.
_ESCAPE = re.compile(
    r"\\(?:u(?:([dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|([0-9a-fA-F]{4}))|(.))",
    re.DOTALL,
)
# Those that need another spelling, in a text without an escaped backslash. The others are left
# alone: a call for each takes ten times as long as decoding.
_ODD_ESCAPE = re.compile(
    r"\\(?:u(?:([dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|([dD][89a-fA-F][0-9a-fA-F]{2}|00[0-9a-fA-F]{2}))|([/bf]))"
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_REPAIRED = "\ufffd"
# A string as a whole, ended or not, so that a bracket in it does not count.
_BRACKET = re.compile(r'"(?:[^"\\]+|\\.)*+"?|[\[\]{}]', re.DOTALL)
# What a spreadsheet takes for a formula, the full-width signs too, behind any number of quotes.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")

_WORD = re.compile(r"[^\W_]+")
# The names are those of `media/picture_store.py`; an echo may have escaped the ?.
_SIGNED = re.compile(r"(imgopen-[0-9a-f]{64}(?:\.[a-z]{3,4})?)(?:\?|%3[Ff]|\\u003[Ff])[^\s\"'<>]*")
_PASSWORD = re.compile(r'://[^/?#\s"\\]+@')


def decode_json(data: bytes | str, hide: Callable[[str], str] = str) -> Any:
    """Return what foreign JSON says, in values that any file, table and display can hold.

    Bytes that are no text, half surrogate pairs and control characters (other than tab and line
    breaks) become U+FFFD. An integer beyond 64 bits stays the text that it was: it may be an id.
    NaN, Infinity and what else is no finite number become None, as does what is nested more than
    `MAX_DEPTH` deep.

    Args:
        data: in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.
        hide: called with the text, in which each character is spelled as json.dumps would.

    Raises:
        ValueError: it is not JSON.

    Example:
        >>> decode_json('{"status": 2, "percentage": 1e400}')
        {'status': 2, 'percentage': None}
    """
    text = decode_text(data) if isinstance(data, bytes) else data
    text = text.removeprefix("\ufeff")
    if not text.isprintable():
        text = _CONTROL.sub(_REPAIRED, text)
    if "\\" in text:
        text = (_ESCAPE if "\\\\" in text else _ODD_ESCAPE).sub(_one_spelling, text)
    text = hide(text)
    with contextlib.suppress(ValueError, RecursionError):
        value = _FAST.decode(text)
        if _is_usual(value):
            return value
    if text.count("[") + text.count("{") > MAX_DEPTH:
        text = _flattened(text)
    return _CAREFUL.decode(text)


def decode_text(data: bytes) -> str:
    """Return the text of foreign JSON, with U+FFFD for bytes that are no text."""
    return data.decode(json.detect_encoding(data), "replace")


def _one_spelling(escape: re.Match[str]) -> str:
    """Return a JSON escape in the only way in which json.dumps would write it."""
    pair, unit, letter = escape.groups()
    if pair or (letter and letter not in "/bf"):
        return escape[0]
    char = chr(int(unit, 16)) if unit else letter.translate({98: 8, 102: 12})
    if "\ud800" <= char <= "\udfff" or _CONTROL.match(char):
        return _REPAIRED
    return json.dumps(char, ensure_ascii=False)[1:-1]


def _is_usual(value: Any) -> bool:
    """Whether a value is nested at most `MAX_DEPTH` deep, and its numbers are of 64 bits."""
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        items: list[Any] = []
        for each in level:
            items += each.values() if type(each) is dict else each
        numbers = [item for item in items if type(item) in (int, float)]
        if numbers and not (min(numbers) >= -(2**63) and max(numbers) < 2**63):
            return False
        level = [item for item in items if type(item) in (dict, list)]
        if not level:
            return True
    return False


def _flattened(text: str) -> str:
    """Return a JSON text with null for what is nested too deep."""
    parts, begin, depth = [], 0, 0
    for found in _BRACKET.finditer(text):
        if found[0] in ("[", "{"):
            depth += 1
            if depth == MAX_DEPTH + 1:
                parts += [text[begin : found.start()], "null"]
                begin = len(text)
        elif found[0] in ("]", "}"):
            if depth == MAX_DEPTH + 1:
                begin = found.end()
            depth -= 1
    return "".join([*parts, text[begin:]])


def _integer(text: str) -> int | str:
    return int(text) if len(text) < 21 and -(2**63) <= int(text) < 2**63 else text


def _number(text: str) -> float | None:
    return number if math.isfinite(number := float(text)) else None


# The second calls Python for each number, which takes longer.
_FAST = json.JSONDecoder(parse_constant=_number, strict=False)
_CAREFUL = json.JSONDecoder(
    parse_int=_integer, parse_float=_number, parse_constant=_number, strict=False
)


def hide_passwords(text: str) -> tuple[str, int]:
    """Return text with *** for the account in each address, and how many there were."""
    return _PASSWORD.subn("://***@", text)


def hide_signatures(text: str) -> str:
    """Return text with *** for the signature in each address of an image that we uploaded."""
    return _SIGNED.sub(r"\1?***", text) if "imgopen-" in text else text


def visible(value: object) -> str:
    """Return text with invisible characters replaced by symbols, such as ␛ or ⟨U+202E⟩."""
    return _INVISIBLE.sub(_symbol, str(value).replace("\r\n", "\n"))


def _symbol(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 32 else f"⟨U+{code:04X}⟩"


def cut(value: object, most: int) -> tuple[str, int]:
    """Return (visible text of at most `most` characters, number of characters left out)."""
    text = str(value)
    return visible(text[:most]), max(0, len(text) - most)


def shown(value: object, most: int = 2000) -> str:
    """Return visible text of at most `most` characters, which ends with how many are left out."""
    text, left = cut(value, most)
    return f"{text} … {left:,} more characters" if left else text


def to_cell(value: Any) -> Any:
    """Return a value for a table that a spreadsheet may open: no text in it is a formula there.

    A quote is put before such a text; numbers stay numbers.

    Example:
        >>> to_cell("=1+1"), to_cell(-5)
        ("'=1+1", -5)
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def from_cell(value: Any) -> Any:
    """Return the value from which `to_cell` made this one."""
    quoted = isinstance(value, str) and value[:1] == "'" and _FORMULA.match(value)
    return value[1:] if quoted else value


_typed = "%imgopen"  # how people type a command where this program runs


def spell_commands(word: str) -> str:
    """Have texts say commands as people type them here, and return how they were said before.

    Args:
        word: "%imgopen" in a notebook, "imgopen" in a terminal.
    """
    global _typed
    before, _typed = _typed, word
    return before


def in_terminal() -> bool:
    """Whether people read texts in a terminal, where there are no Python objects."""
    return _typed != "%imgopen"


def spelled(python: str, line: str) -> str:
    """Return what people are to write: an option in a terminal, in a notebook Python and option.

    Example:
        >>> spelled("overwrite=True", "--overwrite")
        'overwrite=True (on a line: --overwrite)'
    """
    return line if in_terminal() else f"{python} (on a line: {line})"


def as_typed(text: str) -> str:
    """Return a text of ours with its commands, such as %imgopen login, as people type them here."""
    return text.replace("%imgopen", _typed) if in_terminal() else text


def near_match(name: str, known: Iterable[str]) -> str:
    """Return "did you mean ...?" with up to three similar names, or "".

    A slip of the fingers is similar; a name that shares a word with another is not.

    Example:
        >>> near_match("--stesp", ["--steps", "--seed"]), near_match("middle", ["tile"])
        ('did you mean --steps?', '')
    """
    asked = str(name)[:80].lower()
    joined: dict[str, list[str]] = {}
    for each in dict.fromkeys(known):
        joined.setdefault("".join(_WORD.findall(each.lower())), []).append(each)
    found = difflib.get_close_matches("".join(_WORD.findall(asked)), joined, n=9, cutoff=0.6)
    near = [each for key in found for each in joined[key] if _alike(asked, each.lower())][:3]
    return f"did you mean {' or '.join(near)}?" if near else ""


def _alike(one: str, other: str) -> bool:
    """Whether two names differ by slips: word by word if they have as many words."""
    first, second = _WORD.findall(one), _WORD.findall(other)
    if len(first) == len(second):
        return all(map(_is_slip, first, second))
    return slips("".join(first), "".join(second)) <= 1


def _is_slip(one: str, other: str) -> bool:
    longest = max(len(one), len(other))
    if longest < 3:
        return True
    most = longest // 3 if one[:1] == other[:1] else longest // 5
    return slips(one, other) <= most


def slips(one: str, other: str) -> int:
    """Return how many letters are to be put in, left out, changed, or swapped with the next."""
    before, row = list[int](), list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and (letter, one[i - 2]) == (other[j - 2], wanted):
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]


def short_path(image: str) -> str:
    """Return an image's name for people: a path below the working folder without that folder."""
    if not os.path.isabs(image):
        return image
    for folder, start in ((os.getcwd, ""), (lambda: os.path.expanduser("~"), "~/")):
        with contextlib.suppress(OSError):  # the working folder may have been deleted
            inside = image.removeprefix(os.path.join(folder(), ""))
            if inside != image:
                return start + inside
    return image


def one_of(known: Iterable[str], most: int = 40) -> str:
    """Return "one of a, b, c" for the end of a message."""
    names = list(known)
    tail = ", ..." if len(names) > most else ""
    return "one of " + ", ".join(names[:most]) + tail if names else ""


def clip(text: object, most: int = 200) -> str:
    """Return text cut to `most` characters, for messages that quote foreign text."""
    text = str(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def clip_path(path: object, most: int = 300) -> str:
    """Return a path cut at its beginning to `most` characters: its end matters most."""
    text = str(path)
    return text if len(text) <= most else "…" + text[1 - most :]


def as_text(value: Any) -> str:
    """Return a value from JSON for people: a text as it is, anything else as JSON writes it."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 row", "1,234 rows"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def is_valid(text: str) -> bool:
    """Whether a text has no lone surrogates, which neither SQLite nor a file takes."""
    return _HALF_A_PAIR.search(text) is None


def valid(text: str) -> str:
    """Return a text with a question mark for each lone surrogate, which JSON and Arrow refuse too.

    Example:
        >>> valid("caf" + chr(0xDCE9))
        'caf?'
    """
    return text.encode("utf-8", "replace").decode()


def in_words(value: Any) -> str:
    """Return a value as one short line for a message; for unusual objects, only the type."""
    if not isinstance(value, (str, bytes, int, float, dict, list, tuple, type(None))):
        return f"an object of type {clip(type(value).__name__, 40)}"
    if isinstance(value, (str, bytes)):
        value = value[:100]
    try:
        return clip(" ".join(repr(value).split()), 80)
    except ValueError:  # Python does not print integers of more than 4300 digits
        return "a number of thousands of digits"
