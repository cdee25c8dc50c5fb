"""Tab on a line of %imgopen, in a real completer: what is offered, and what is not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.history import HistoryAccessor
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell in a folder with images, tables and other files, and with variables of each kind."""
    monkeypatch.setattr(HistoryAccessor, "enabled", False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("photos").mkdir()
    for name in ("photos/cat.png", "photos/dog.png", "big cat.png", "list.csv", "draft.py"):
        Path(name).touch()
    made = InteractiveShell()
    made.user_ns.update(
        df=pd.DataFrame({"url": ["a.png"], "my url": ["b.png"]}),
        urls=["a.png", "b.png"],
        folder="photos",
        greeting="hello",
        image=Image.new("RGB", (4, 4)),
        math=math,
        Path=Path,
    )
    made.run_line_magic("load_ext", "imgopen_nb")
    yield made
    made.run_line_magic("unload_ext", "imgopen_nb")


def tab(shell: InteractiveShell, line: str) -> list[str]:
    """Return the lines that Tab makes of a line."""
    typed = f"%imgopen {line}"
    with provisionalcompleter():
        found = list(shell.Completer.completions(typed, len(typed)))
    start = len("%imgopen ")
    return [(typed[: each.start] + each.text)[start:] for each in found]


def test_after_from_come_variables_columns_folders_and_files(shell: InteractiveShell):
    offered = [line.removeprefix("describe --from ") for line in tab(shell, "describe --from ")]

    assert offered == [
        "df", "df.url", "df['my url']", "urls", "folder", '"big cat.png"', "list.csv", "photos/",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("describe --from d", ["df", "df.url", "df['my url']"]),
        ("describe --from df.", ["df.url"]),
        ("describe --from df['m", ["df['my url']"]),
        ("describe --from photos/c", ["photos/cat.png"]),
        ("describe --from urls p", ["photos/"]),
        ("describe --from df --column ", ["url", '"my url"']),
        ("describe {", ["{df}", "{urls}", "{folder}", "{greeting}", "{image}"]),
        ("describe l", []),
        ("caption p", ["photos/"]),
        ("dataset write photos --to p", ["photos/"]),
        ("describe cat.png --save dr", ["draft.py"]),
        ("import l", ["list.csv"]),
        ("describe --from mat", []),
        ("describe --from nothing", []),
        ("nonsense wor", []),
        ("text2image a ca", []),
        ("flux sa", []),
    ],
)
def test_tab_offers_what_fits_and_nothing_of_python(
    shell: InteractiveShell, typed: str, offered: list[str]
):
    """Where nothing fits, the line stays as it is: no module of Python's, no magic."""
    start = typed.rpartition(" ")[0]

    assert tab(shell, typed) == ([f"{start} {word}" for word in offered] or [typed])


def test_a_generator_is_offered_and_not_read(shell: InteractiveShell):
    shell.user_ns["lazily"] = (name for name in ("a.png", "b.png"))

    assert tab(shell, "describe --from la") == ["describe --from lazily"]
    assert list(shell.user_ns["lazily"]) == ["a.png", "b.png"]
