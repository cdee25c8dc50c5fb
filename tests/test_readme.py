"""The README is true: its cells give the outputs shown, its table is the catalogue's."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from IPython.core.history import HistoryAccessor
from IPython.core.interactiveshell import InteractiveShell

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.sandbox import engines
from imgopen_nb.session import Session

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TABLE = re.compile(r"(<!-- operations:.*?-->\n).*?(<!-- /operations -->)", re.DOTALL)
CELL = re.compile(r"```python\n(?P<code>(?:(?!```).)*)```\n\n```text\n(?P<shown>.*?)```", re.DOTALL)


def operations_table() -> str:
    """Return the table that stands in the README."""
    known = engines.load()
    lines = ["| operation | what it does | path | sandbox |", "| --- | --- | --- | --- |"]
    for row in OPERATIONS.runnable:
        engine = known.get(row.name)
        state = f"{engine.fidelity}: {engine.about}" if engine else "not there yet"
        lines.append(f"| `{row.name}` | {row.about} | {row.known} | {state} |")
    return "\n".join(lines) + "\n"


def without_numbers(text: str) -> str:
    """Scores differ in the last digit by processor, expected times by its load."""
    return re.sub(r"\d+\.\d+|(?<=about )\d+ (s|min|h)\b", "#", text)


def test_the_table_of_operations_is_made_from_the_catalogue():
    """`python -m tests.test_readme` writes it anew."""
    text = README.read_text("utf-8")

    assert TABLE.sub(lambda m: m[1] + operations_table() + m[2], text) == text


def test_the_cells_give_the_outputs_shown(
    local: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(HistoryAccessor, "enabled", False)
    shell = InteractiveShell()
    cells = list(CELL.finditer(README.read_text("utf-8")))
    assert len(cells) == 5

    for cell in cells:
        shell.run_cell(cell["code"]).raise_error()
        printed = without_numbers(capsys.readouterr().out)
        for line in cell["shown"].strip().splitlines():
            assert without_numbers(line) in printed


def test_the_python_example_runs(local: Session):
    code = re.search(r"## In Python\n\n```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert code is not None
    names: dict[str, object] = {}

    exec(code[1], names)

    assert len(names["comparison"]) == 1  # type: ignore[arg-type]


def test_there_are_exactly_two_set_up_commands():
    block = re.search(r"## From a clone\n\n```\n(.*?)```", README.read_text("utf-8"), re.DOTALL)

    assert block is not None
    assert block[1].split("\n")[:-1] == ["make demo", "make test"]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_to_a_file_leads_somewhere(name: str):
    text = (ROOT / name).read_text("utf-8")

    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / target).exists(), target


def test_contributing_names_every_room_and_every_file_that_it_names_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    package = ROOT / "imgopen_nb"
    rooms = [path.name for path in package.glob("*.py")]
    rooms += [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]

    assert [name for name in rooms if name not in text] == []
    for name in re.findall(r"`(\w+/[\w/]+\.\w+)`", text):
        places = (ROOT, package, package / "tasks", package / "sandbox")
        assert any((place / name).exists() for place in places), name


if __name__ == "__main__":
    sys.stdout.write(operations_table())
    written = TABLE.sub(lambda m: m[1] + operations_table() + m[2], README.read_text("utf-8"))
    README.write_text(written, "utf-8")
