"""Every text of the project uses the words that CONTRIBUTING.md asks for.

A text is anything a user or a contributor reads: the sources with their messages and docstrings,
templates, scripts, notebooks and pages.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imgopen_nb.commands.registry import COMMANDS
from imgopen_nb.config.settings import EDITABLE

from .test_install_texts import ROOT, texts

DETERMINER = "an?|the|each|every|no|any|one|other|another|this|that|these|those|more|your|local"
# What is not written -> what is written instead.
AVOIDED = {
    r"not at hand": "not available",
    r"so the time is not either": "the time is unknown",
    r"no (picture|image|file|row|task) fits": "matches",
    r"only what is open": "unfinished only",
    r"one word too many": "was not expected",
    r"throw a new seed": "pick a random seed",
    r"one pixel is one pixel": "actual size",
    r"(take|takes|taken) back what": "undo",
    r"taken back:": "undone:",
    r"drag the corner in the middle": "drag the corner",
    r"the other way round": "say both directions",
    r"(was|were) not to be had": "not available",
    r"as few requests as can be": "few requests",
    r"no step to take back": "no step to undo",
    r"texts? with blanks": "text with spaces",
    r"data sets?": "dataset",
    r"there is no verb": "command",
    r"asked before was|ask again what was asked": "cached",
    rf"({DETERMINER}) pictures?\b(?!`)": "image",
    r"over the wire": "from a server",
    r"unless given|variable that takes": "default, variable for",
    r"(is|are) not known (any more|now)|it is not known whether": "unknown, no longer known",
    r"takes? up (here|again|this)": "continues",
    r"no ordinary file": "not an ordinary file",
    r"(?<!there )(is|was) no (path|object|list|word|moment|filter|suffix|token|JSON)\b": "is not a",
    r"(is|are) asked for instead": "polled instead",
    r"in its stead": "instead of it",
    r"give yourself the right": "change the permissions",
    r"does not go with --": "cannot be used with",
    r"a line cannot hold": "needs a line of its own",
    r"the present folder": "the current folder",
    r"throw(s|n)? a (dice|seed)": "pick a random seed",
}
SUFFIXES = (".py", ".md", ".html", ".js", ".css", ".ipynb", ".toml")


def read(path: Path) -> str:
    """Return a text on one line; quotes and line ends of JSON and Python are taken off."""
    text = re.sub(r"""\\n|["']\s*\n\s*f?["']|\n\s*#?""", " ", path.read_text("utf-8"))
    return re.sub(r"\s+", " ", text)


@pytest.fixture(scope="module")
def project() -> dict[str, str]:
    """All texts by the path of their file."""
    paths = {str(path.relative_to(ROOT)): path for path in texts() if path.suffix in SUFFIXES}
    return {name: read(path) for name, path in paths.items() if not name.startswith("tests/")}


@pytest.mark.parametrize("avoided", AVOIDED)
def test_no_text_uses_a_word_that_is_avoided(project: dict[str, str], avoided: str):
    """The message names the file, what is around the word, and what to write."""
    pattern = re.compile(rf"\b{avoided}", re.IGNORECASE)
    found = [
        f"{name}: ...{text[max(0, match.start() - 30) : match.end() + 20]}..."
        for name, text in project.items()
        for match in pattern.finditer(text)
    ]

    assert not found, f"write {AVOIDED[avoided]!r} instead:\n" + "\n".join(found)


def test_a_sentence_over_two_lines_is_read_as_one(tmp_path: Path):
    source = tmp_path / "source.py"
    source.write_text('error("one word too "\n      f"many", hint="a data\\nset")\n')

    assert "one word too many" in read(source)
    assert "a data set" in read(source)


def test_every_command_and_setting_that_a_message_names_exists(project: dict[str, str]):
    """Such as "%imgopen config pictures": a hint that cannot be typed is worse than none."""
    named = re.compile(r"%imgopen ([a-z][a-z-]*)(?: ([a-z_]+))?")
    prose = {"and", "in", "lists", "needs", "text"}  # "%imgopen and %%imgopen"
    unknown = [
        f"{name}: {match[0]}"
        for name, text in project.items()
        if name.startswith(("imgopen_nb/", "docs/", "README"))
        for match in named.finditer(text)
        if match[1] not in COMMANDS.keys() | {"help"} | prose
        or (match[1] == "config" and match[2] and match[2] not in EDITABLE.keys() | {"and"})
    ]

    assert unknown == []
