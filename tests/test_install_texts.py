"""No text of the project tells anybody to install the package by its name from an index.

The name is not ours on any index before a release: whoever registers it there would be installed.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from imgopen_nb.errors import install_command

ROOT = Path(__file__).parents[1]
# An installer, then the name as any index spells it, as a word of its own: not the folder of a
# path, not a module that is run.
BY_NAME = re.compile(
    r"""\b(?:pip[0-9.]*|uv|pipx|conda|mamba|poetry|pdm|rye)\b[ \t]+(?:pip[ \t]+)?
        (?:install|add|run|sync|download)\b [^\n;|&]*?
        (?<![\w./=-]) imgopen[-_.]+nb (?![\w/]|\.\w)""",
    re.VERBOSE | re.IGNORECASE,
)
LISTS = ("requirements*.txt", "constraints*.txt", "environment*.y*ml")


def texts() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8000]]


def spoken(text: str) -> str:
    """Return a text as it is read: quotes as in JSON and in Python taken off."""
    return re.sub(r"""\\?["'`]|\\n""", " ", text)


@pytest.mark.parametrize(
    "text",
    ['pip install "imgopen-nb[sandbox]"', "pip install imgopen_nb", "%pip install -U imgopen.nb",
     r'"!pip install \"imgopen-nb[fast]\"\n"', "python -m pip install -q imgopen-nb==1",
     "uv add imgopen-nb", "uv pip install imgopen_nb", "pipx run imgopen-nb"],
)  # fmt: skip
def test_the_search_finds_each_way_to_name_it(text: str):
    assert BY_NAME.search(spoken(text))


@pytest.mark.parametrize(
    "text",
    ['pip install ".[sandbox]" in a clone', install_command("fast"),
     "pip install -e ./imgopen_nb", "pip install pyarrow; python -m imgopen_nb.sandbox"],
)  # fmt: skip
def test_the_search_lets_what_installs_no_name_pass(text: str):
    assert not BY_NAME.search(spoken(text))


def test_no_text_says_to_install_the_name_from_an_index():
    found = {}
    for path in texts():
        if path == Path(__file__):
            continue
        text = spoken(path.read_text("utf-8", "replace"))
        if said := BY_NAME.findall(text):
            found[path.relative_to(ROOT).as_posix()] = said

    assert found == {}


def test_no_list_of_requirements_names_it():
    lists = [path for pattern in LISTS for path in ROOT.rglob(pattern) if ".venv" not in path.parts]
    assert lists
    for path in lists:
        assert not re.search(r"^\s*-?\s*imgopen[-_.]+nb", path.read_text("utf-8"), re.M), path


def test_every_hint_about_an_extra_names_one_that_there_is():
    """The hints come from one function; the extras are those of pyproject.toml."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    package = [path for path in texts() if "imgopen_nb" in path.parts and path.suffix == ".py"]
    named = {
        extra
        for path in package
        for extra in re.findall(r"""install_command\(["'](\w+)["']\)""", path.read_text("utf-8"))
    }

    assert named
    assert named <= set(project["optional-dependencies"])
