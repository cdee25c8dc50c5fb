"""Foreign JSON becomes values that everything can hold."""

from __future__ import annotations

import json
import random
import sqlite3
from functools import partial
from typing import Any

import pytest

from imgopen_nb.config.credentials import Secret, hide
from imgopen_nb.text import MAX_DEPTH, decode_json

from .conftest import often

R = "\ufffd"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"a \ud83d"', f"a {R}"),
        (r'"\ude00 a"', f"{R} a"),
        (r'"\uD83D\uDE00 \ud83d\ud83d\ude00"', f"\U0001f600 {R}\U0001f600"),
        (r'"\\ud83d \\\ud83d"', rf"\ud83d \{R}"),
        (r'{"\ud83d": {"\u0000": ["\ud800"]}}', {R: {R: [R]}}),
        (r'"\u0000\u001b\b\f\u007f\u009f"', R * 6),
        (r'"\t\n\r\/\"\\\u0041\u0022\u005c\u00e9"', '\t\n\r/"\\A"\\é'),
        ('"abc \0\x1b\n\t"', f"abc {R}{R}\n\t"),
        ("\ufeff1", 1),
        ("[9223372036854775807, 9223372036854775808]", [2**63 - 1, "9223372036854775808"]),
        ("[-9223372036854775808, -9223372036854775809]", [-(2**63), "-9223372036854775809"]),
        (
            "[1e400, -1e400, NaN, Infinity, -Infinity]",
            [None] * 5,
        ),
        ("[1e308, 1e-999, -0, 0.1]", [1e308, 0.0, 0, 0.1]),
        ("9" * 5000, "9" * 5000),
        ('{"a": 1, "a": 2}', {"a": 2}),
        (f'[{"[" * 200}{"]" * 200}, "]"]', None),
    ],
)
def test_foreign_json_is_repaired(text: str, value: Any):
    if value is None:  # nested too deep: what is beside it stays
        assert decode_json(text)[1] == "]"
    else:
        assert decode_json(text) == decode_json(text.encode()) == value


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1,]", r'"\x"', r'"\U0041"', r'"\u00g0"', "01", "nan", "'a'", '"', "\\", "1 2"],
)
def test_what_is_no_json_is_refused(text: str):
    with pytest.raises(ValueError, match=r"\w"):
        decode_json(text)


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1, 1000, 100_000])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_what_is_nested_too_deep_is_left_out(begin: str, end: str, depth: int):
    value = decode_json(f'{{"deep": {begin * depth}1{end * depth}, "caption": "[a fox]}}"}}')

    assert value["caption"] == "[a fox]}"
    assert json.loads(json.dumps(value)) == value


def test_a_secret_is_found_however_it_is_spelled():
    secret = 'a"b\\c/d~'
    spelled = "".join(f"\\u{ord(letter):04x}" for letter in secret)
    for text in (json.dumps(secret), json.dumps(secret, ensure_ascii=False), f'"{spelled}"'):
        assert decode_json(text, partial(hide, (Secret(secret),))) == "***"


def test_whatever_comes_can_be_stored_and_shown():
    """Random bytes and random JSON: n = 3,000."""
    dice = random.Random(7)
    database = sqlite3.connect(":memory:")
    parts = [
        *'[]{}:,"\\',
        r"\ud83d",
        r"\u0000",
        "\\u",
        "NaN",
        "-",
        "1e999",
        '"a":',
        "\0",
        "é",
        "9" * 30,
    ]
    for _ in range(often(3000, 100_000)):
        text = "".join(dice.choices(parts, k=dice.randrange(1, 12)))
        body = text.encode(dice.choice(["utf-8", "utf-16", "latin-1", "utf-32-be"]))
        try:
            value = decode_json(dice.choice([body, f"[{text}]".encode(), f'["{text}"]'.encode()]))
        except ValueError:
            continue
        stored = json.dumps(value, ensure_ascii=False, allow_nan=False)
        assert database.execute("SELECT json(?)", (stored,)).fetchone()


def random_value(dice: random.Random, depth: int = 0) -> Any:
    kind = dice.randrange(7 if depth < 5 else 5)
    letters = 'ab"\\/é\U0001f600\n\t{}[]'
    text = "".join(dice.choices(letters, k=dice.randrange(6)))
    simple = [None, dice.random() < 0.5, dice.randrange(-(2**63), 2**63), dice.gauss(0, 1e9), text]
    if kind < 5:
        return simple[kind]
    values = [random_value(dice, depth + 1) for _ in range(dice.randrange(5))]
    return values if kind == 5 else {f"{text}{n}": each for n, each in enumerate(values)}


def test_what_is_in_order_stays_as_it_is():
    """n = 1,000."""
    dice = random.Random(8)
    for _ in range(often(1000, 50_000)):
        value = random_value(dice)
        for ascii in (True, False):
            text = json.dumps(value, ensure_ascii=ascii)
            assert decode_json(text) == decode_json(text.encode("utf-16")) == value
