"""The README and the pages in docs are true: their cells run, their table is the catalogue's."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.history import HistoryAccessor
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image
from traitlets.config import Config

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.commands.registry import find_in
from imgopen_nb.sandbox import engines
from imgopen_nb.sandbox.__main__ import _parser as sandbox_parser
from imgopen_nb.session import Session
from imgopen_nb.syntax.parser import HelpAsked

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
OPERATIONS_PAGE = ROOT / "docs" / "operations.md"
TABLE = re.compile(r"(<!-- operations:.*?-->\n).*?(<!-- /operations -->)", re.DOTALL)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DOCUMENTS = [README, *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(<!-- not run: (?P<why>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
SPAN = re.compile(r"`([^`\n]+)`")
CALL = re.compile(r"(session|imgopen|df|ds|board|task|result)\.[\w.\[\]]+\(")
SET_UP = """
import pandas as pd
import imgopen_nb as imgopen
session = imgopen.current()
df = pd.DataFrame({"url": ["photo.jpg"]})
image = "photo.jpg"
task = session.submit("enlarge", image=image)
result, id, folder = task.result(), task.id, "saved"
board = imgopen.board("photos")
ds = imgopen.dataset("photos")
ds.caption = {"1.jpg": "ohwx, a cat, sitting on a mat", "2.jpg": "ohwx, white shirt"}
ds.tags.spaces()
ds.tags.add("ohwx", first=True, where="1.jpg")
ds.save_rules("rules.toml")
"""


def operations_table() -> str:
    """Return the table of the page about operations."""
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


def is_shown(line: str, printed: str) -> bool:
    """Whether a line is in what was printed; scores may differ by 0.01."""

    def scores(text: str) -> list[float]:
        return [float(number) for number in re.findall(r"\b\d\.\d\d\b(?! s\b)", text)]

    return any(
        without_numbers(line) in without_numbers(each)
        and scores(line) == pytest.approx(scores(each), abs=0.011)
        for each in printed.splitlines()
    )


def test_the_table_of_operations_is_made_from_the_catalogue():
    """`python -m tests.test_readme` writes it anew."""
    text = OPERATIONS_PAGE.read_text("utf-8")

    assert TABLE.sub(lambda m: m[1] + operations_table() + m[2], text) == text


@pytest.mark.parametrize(
    ("operations", "fidelities"),
    [
        (["describe"], {"approximate"}),
        (["erase", "upscale", "remove-background", "face-swap", "face-restore"], {"real"}),
        (["hairstyle", "outpaint"], {"approximate"}),
        (["text2image", "image2image", "controlnet", "flux", "train"], {"placeholder"}),
    ],
)
def test_the_sandbox_is_as_real_as_the_readme_says(operations: list[str], fidelities: set[str]):
    """The table "With and without an access key"."""
    known = engines.load()

    assert {known[name].fidelity for name in operations} == fidelities


@pytest.fixture
def notebook(
    local: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InteractiveShell]:
    """A shell in a folder with the files that the documents name."""
    monkeypatch.setattr(HistoryAccessor, "enabled", False)
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in ("photo.jpg", "photos/1.jpg", "photos/2.jpg"):
        Image.effect_noise((40, 30), 60).convert("RGB").save(name)
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "imgopen_nb")
    shell.push({"c": Config(), "local": local})
    yield shell
    shell.run_line_magic("unload_ext", "imgopen_nb")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_code_block_runs_in_order_and_gives_the_output_shown(
    document: Path, notebook: InteractiveShell, capsys: pytest.CaptureFixture[str]
):
    """Or a comment above it says why it does not; then its words are parsed all the same."""
    printed = ""
    for block in BLOCK.finditer(document.read_text("utf-8")):
        language, code = block["language"], block["code"]
        if language == "text":
            assert [x for x in code.strip().splitlines() if not is_shown(x, printed)] == []
        elif language == "python" and not block["why"]:
            notebook.run_cell(code).raise_error()
            printed = capsys.readouterr().out
        else:
            assert block["why"], f"{document.name}: a block that does not run says why:\n{code}"
            for line in code.replace("\\\n", " ").splitlines():
                parse_shell_line(line.removeprefix("%"))


def parse_shell_line(line: str) -> None:
    """Assert that the package, target or verb of a line exists and takes its words."""
    words = shlex.split(line, comments=True)
    if words[:2] == ["pip", "install"]:
        extra = words[2].removeprefix(".[").removesuffix("]")
        assert extra in PROJECT["project"]["optional-dependencies"]
    elif words[:1] == ["make"]:
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    elif words[:1] == ["imgopen"]:
        parse(words[1:])


def parse(words: list[str]) -> None:
    """Assert that a verb takes these words; capitals stand for something."""
    if words[0] == "sandbox":
        sandbox_parser().parse_args(words[1:])
    elif words[0] != "NAME":
        words = [word for word in words if word not in ("run", "--json")]
        command, rest = find_in(words)
        with contextlib.suppress(HelpAsked):
            command.parser().read(rest)


SPANS = [
    pytest.param(span, id=f"{path.name}: {span}")
    for path in DOCUMENTS
    for span in dict.fromkeys(SPAN.findall(FENCED.sub("", path.read_text("utf-8"))))
]


@pytest.mark.parametrize("span", [p for p in SPANS if re.match(r"%?imgopen ", str(p.values[0]))])
def test_every_line_within_a_sentence_can_be_parsed(span: str):
    parse(shlex.split(span)[1:])


def test_every_call_within_a_sentence_runs(notebook: InteractiveShell):
    """On what the sentence before it would have made."""
    notebook.run_cell(SET_UP).raise_error()
    spans = [str(param.values[0]) for param in SPANS]
    calls = [span for span in spans if CALL.match(span) and "..." not in span]
    assert len(calls) >= 15

    for call in calls:
        notebook.run_cell(call).raise_error()


def test_there_are_exactly_two_set_up_commands():
    block = re.search(
        r"## Try it\n\n[^`]*<!--[^\n]*-->\n```\n(.*?)```", README.read_text("utf-8"), re.DOTALL
    )

    assert block is not None
    assert block[1].split("\n")[:-1] == ["make demo", "make lab"]


@pytest.mark.parametrize(
    "path",
    [*DOCUMENTS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"],
    ids=lambda path: path.name,
)
def test_every_link_leads_to_a_file_and_its_heading(path: Path):
    for target, heading in LINK.findall(path.read_text("utf-8")):
        file = path.parent / target if target else path
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w-]", "", t.lower().replace(" ", "-")) for t in titles]


def test_the_readme_is_read_in_five_minutes():
    assert len(README.read_text("utf-8").splitlines()) <= 150


def test_the_readme_leads_to_every_page():
    linked = {target for target, _ in LINK.findall(README.read_text("utf-8"))}

    assert {f"docs/{path.name}" for path in DOCUMENTS[1:]} <= linked


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
    page = OPERATIONS_PAGE.read_text("utf-8")
    written = TABLE.sub(lambda m: m[1] + operations_table() + m[2], page)
    OPERATIONS_PAGE.write_text(written, "utf-8")
