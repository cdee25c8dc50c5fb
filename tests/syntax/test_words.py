"""The words of a line: what is looked up, what stays text, and the values of a list."""

from __future__ import annotations

from typing import Any

import pandas as pd
import polars as pl
import pytest

from imgopen_nb.errors import UsageError
from imgopen_nb.syntax.words import Joined, expand, quote, rest_of, split, values

DF = pd.DataFrame({"image.url": ["a"], "image": ["q"], "url": ["u"], 1: ["n"], "a b": ["x"]})
VARIABLES: dict[str, Any] = {
    "p": "cat.png", "P": ["a", "b"], "df": DF, "d": {"k": {"j": 5}, "train.x": 6}, "n": 5, "i": 1,
    "url": "z", "empty": [], "xs": ["a, b", "c"], "style": "anime",
    "polar": pl.DataFrame({"image.url": ["w"]}),
}  # fmt: skip


def read(line: str) -> list[Any]:
    """Return the words; a column as a list."""
    found = expand(split(line), VARIABLES)
    return [word.to_list() if hasattr(word, "to_list") else word for word in found]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{p}", ["cat.png"]), ("$p", ["cat.png"]), ("${p}", ["cat.png"]), ("$P[0]", ["a"]),
        ("$p/x.png", ["cat.png/x.png"]), ("{P[0]}", ["a"]), ("{P[-1]}", ["b"]), ("{P[1:]}", ["b"]),
        ("{P}", ["a", "b"]), ("{df.url}", [["u"]]), ("{df['url']}", [["u"]]),
        ('{df["url"]}', [["u"]]), ('"{df["url"]}"', [["u"]]), ("'{df['url']}'", [["u"]]),
        ('{df["a b"]}', [["x"]]), ("{df.1}", [["n"]]), ("{df[1]}", [["n"]]),
        ("{df.image.url}", [["a"]]), ("{df.image}", [["q"]]), ("{polar.image.url}", [["w"]]),
        ("{df.url[0]}", ["u"]), ("{d.k.j}", [5]), ("{d['k'].j}", [5]), ("{d.train.x}", [6]),
        ("--image={p}", [Joined("--image", "cat.png")]), ("{p}-{n}", ["cat.png-5"]),
    ],
)  # fmt: skip
def test_variables_are_looked_up(line: str, words: list[Any]):
    assert read(line) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("$5", ["$5"]), ("$$p", ["$p"]), ('"$p"', ["$p"]), ("$unknown", ["$unknown"]),
        ('"costs $p"', ["costs $p"]), ('"a {red|blue} cat"', ["a {red|blue} cat"]),
        ('"a {{p}} cat"', ["a {p} cat"]), ('"{2$$a|b}"', ["{2$$a|b}"]), ("{}", ["{}"]),
        ('"{cat, dog}"', ["{cat, dog}"]), ('"{fox(red)}"', ["{fox(red)}"]),
        ("“my cat.png”", ["my cat.png"]), ("‘my cat.png’", ["my cat.png"]), ("«a b»", ["a b"]),
        ('"it’s “fine” here"', ["it’s “fine” here"]), ("a 'b c' d", ["a", "b c", "d"]),
        ('x""y ""', ["xy", ""]), ("df['url']", ["df['url']"]), ('df["a b"]', ['df["a b"]']),
        ("--from=df['url']", ["--from=df['url']"]), ("C:\\new\\cat.png", ["C:\\new\\cat.png"]),
    ],
)  # fmt: skip
def test_other_text_stays_as_it_is(line: str, words: list[str]):
    assert read(line) == words


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{nope}", "no variable 'nope'"), ("{nope.x}", "no variable 'nope'"),
        ("{df.ulr}", "did you mean url"), ("{df['ulr']}", "there is no df"),
        ("{P[9]}", "there is no P"), ("{P[i]}", "a number or a quoted name"),
        ("{df[url]}", "a number or a quoted name"), ("{P[i+1]}", "a number or a quoted name"),
        ("{len(P)}", "run no code"), ("{p.upper()}", "run no code"), ("{P[0].upper()}", "no code"),
        ("{P + P}", "run no code"), ("{ n }", "run no code"), ("{[x for x in P]}", "run no code"),
        ("{n-1}", "run no code"), ("{n+1}", "run no code"), ("{open('x')}", "run no code"),
        ("{n!r}", "run no code"),
        ("{p.__class__}", "no column of p"), ("{p._x}", "no column of p"),
        ("{P.__len__}", "no column of P"), ("{__builtins__}", "no variable"),
        ("{__builtins__.open}", "no variable"), ("{empty}", "{empty} is empty"),
        ("{df}.url", "must be a word of its own"), ('{df}["url"]', "{df['NAME']}"),
        ("--models={empty}", "{empty} is empty"), ("'open", "a quote is not closed"),
    ],
)  # fmt: skip
def test_what_cannot_be_looked_up_is_one_sentence(line: str, said: str):
    with pytest.raises(UsageError) as caught:
        read(line)
    assert said in str(caught.value)
    assert str(caught.value).count("\n") <= 1


def test_looking_up_calls_nothing():
    class Loud:
        def __call__(self) -> None:
            raise AssertionError("called")

    loud = Loud()
    assert expand(split("{d.loud}"), {"d": {"loud": loud}}) == [loud]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x={xs}", ["a, b", "c"]), ('x="a cat, sitting",dog', ["a cat, sitting", "dog"]),
        ("'x=\"a cat, sitting\",a dog'", ["a cat, sitting", "a dog"]), ('"x=a,b"', ["a", "b"]),
        ("x={xs},dog,{n}", ["a, b", "c", "dog", 5]), ('x="",a', ["", "a"]), ("x=a,,b", ["a", "b"]),
        ("'x=\"a \"\"b\"\", c\",d'", ['a "b", c', "d"]), ("x={df.url}", ["u"]),
        ("x=“a, b”,c", ["a, b", "c"]), ("x='a, b',c", ["a, b", "c"]), ("x={p},dog",
        ["cat.png", "dog"]), ('"x=a {p}, b"', ["a cat.png", "b"]), ("x={n}", [5]),
        ("'x=5\" pipe, dog'", ['5" pipe', "dog"]), ("x={d}", [VARIABLES["d"]]),
    ],
)  # fmt: skip
def test_values_are_split_by_the_quoting_of_csv_and_objects_stay_objects(
    line: str, expected: list[Any]
):
    (word,) = expand(split(line), VARIABLES)

    assert values("--grid x", rest_of(word, 2)) == expected


@pytest.mark.parametrize(
    ("line", "said"), [("x=", "has no value"), ("x=,", "no value"), ("'x=\"a, b'", "not closed"),
                       ("x={empty}", "no value"), ("'x=\"a\"b,c'", "something follows it")],
)  # fmt: skip
def test_a_list_without_values_is_one_sentence(line: str, said: str):
    (word,) = expand(split(line), VARIABLES)

    with pytest.raises(UsageError, match=said):
        values("--grid x", rest_of(word, 2))


@pytest.mark.parametrize(
    "word",
    ["$p", "a;", "“x”", '{df["url"]}', "df['url']", "x,“y”", "a'b\"c", "{{x}}", "", "$$x", "=“a”",
     "{p}", "--from=x y", "a{b", "}}"],
)  # fmt: skip
def test_a_quoted_word_is_read_back_unchanged(word: str):
    assert expand(split(quote(word)), VARIABLES) in ([word], [Joined("--from", "x y")])
