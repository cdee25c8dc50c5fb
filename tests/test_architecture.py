"""The shape of the house: who may import whom, who owns which library, and what is public."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import imgopen_nb

PACKAGE = Path(imgopen_nb.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# From what people use down to what everything stands on. A room is a package or a module beside
# `__init__.py`; it imports from lower floors only, and never from its own.
FLOORS = (
    {"__init__"},
    {"cli", "magics", "selftest"},
    {"commands"},
    {"widgets", "pandas_accessor", "stream"},
    {"session"},
    {"datasets", "server_extension"},
    {"batch", "captions", "json_columns"},
    {"tasks", "history"},
    {"callbacks", "display"},
    {"images"},
    {"api"},
    {"syntax", "sandbox"},
    {"config", "database"},
    {"catalogue", "media", "files"},
    {"errors"},
    {"text", "_version"},
)
# The rooms of the sandbox, a program of its own, in the same order.
SANDBOX_FLOORS = (
    {"__main__", "models"},  # beside its files, models/ has the script that makes one of them
    {"http"},
    {"jobs"},
    {"engines"},
    {"generation"},
    {"prompts"},
    {"captioning", "editing", "user_models"},
    {"vision"},
    {"engine", "faults"},
    {"messages", "process"},
)
# What the sandbox may know of the rest.
SANDBOX_KNOWS = {"catalogue", "media", "config", "files", "errors", "text"}

# Outside libraries have few owners, so that each can be replaced in one place. The sandbox is a
# program of its own; the widgets are made of ipywidgets and anywidget.
OWNERS = {
    "requests": "api.client api.http media.fetch",
    "urllib3": "api.client api.http media.content_encoding media.fetch",
    "sqlite3": "database.database database.migrations",
    "pandas": "batch.frame captions.comparison datasets.audit datasets.checks datasets.dataset "
    "datasets.tags history.frame history.json_dtype tasks.result",
    "PIL": "datasets.near_duplicates images.picture images.thumbnail media.formats",
    "numpy": "captions.comparison datasets.audit datasets.near_duplicates "
    "history.frame history.json_dtype images.picture images.thumbnail",
    "tokenizers": "datasets.tokens",
    "huggingface_hub": "datasets.tokens",
    "narwhals": "batch.tables.frames",
    "jinja2": "display.rendering",
    "platformdirs": "config.settings",
    "IPython": "display.progress_bar magics.completion magics.magic",
    "tqdm": "display.progress_bar",
    "filelock": "tasks.session_lock",
    "pyarrow": "batch.export batch.tables.files batch.tables.frames "
    "history.arrow history.arrow_process history.export history.frame",
    "fsspec": "media.picture_store",
    "adbc_driver_sqlite": "history.arrow_process",
    "adbc_driver_manager": "history.arrow_process",
    "jupyter_server": "server_extension.handlers server_extension.sandbox_proxy",
    "tomli_w": "datasets.rules datasets.trainers",
    "tornado": "server_extension.extension server_extension.handlers "
    "server_extension.sandbox_proxy",
}
LAZY = (
    "pandas", "PIL", "numpy", "IPython", "requests", "tornado", "ipywidgets", "onnxruntime",
    "tokenizers", "huggingface_hub", "anywidget", "filelock", "pyarrow", "narwhals", "fsspec",
)  # fmt: skip


def dotted(path: Path) -> str:
    """Return the name of a module below the package; a package is `name.__init__`."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


NAMES = {dotted(path): path for path in MODULES}


def room(module: str) -> str:
    """Return the package that holds a module, or the module itself if it lies at the root."""
    return module.partition(".")[0]


@cache
def imports(module: str) -> tuple[tuple[str, str], ...]:
    """Return (module of ours or "", name as written) of each import, wherever it stands.

    Imports for types and inside functions count; of outside libraries those for types do not.
    """
    tree = ast.parse(NAMES[module].read_text("utf-8"))
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n)]
    for_types = {inner for block in blocks for inner in ast.walk(block)}
    return tuple(
        (target, name)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for target, name in _targets(module, node)
        if target or node not in for_types
    )


def _targets(module: str, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield _ours(alias.name.split(".")[1:]) if _inside(alias.name) else "", alias.name
        return
    name = node.module or ""
    if not node.level and not _inside(name):
        yield "", name
        return
    base = module.split(".")[: -node.level] if node.level else []
    below = name if node.level else name.partition(".")[2]
    parts = [*base, *below.split(".")] if below else base
    for alias in node.names:
        yield _ours([*parts, alias.name]) or _ours(parts), ".".join(parts)


def _inside(name: str) -> bool:
    return name == "imgopen_nb" or name.startswith("imgopen_nb.")


def _ours(parts: list[str]) -> str:
    name = ".".join(parts)
    package = f"{name}.__init__" if name else "__init__"
    return name if name in NAMES else package if package in NAMES else ""


def ours(module: str) -> set[str]:
    """Return the modules of ours that a module imports."""
    return {target for target, _ in imports(module) if target} - {module}


def floor(name: str, floors: tuple[set[str], ...]) -> int:
    return next(at for at, names in enumerate(floors) if name in names)


def test_every_room_has_its_floor():
    rooms = [room(module) for module in NAMES]

    assert set(rooms) - {name for names in FLOORS for name in names} == set()


def test_there_are_at_most_sixteen_floors_and_eleven_modules_at_the_root():
    assert len(FLOORS) <= 16
    assert len(list(PACKAGE.glob("*.py"))) <= 11


@pytest.mark.parametrize("module", NAMES)
def test_a_module_imports_only_from_lower_rooms(module: str):
    here = room(module)
    for target in ours(module):
        there = room(target)
        if there != here:
            assert floor(there, FLOORS) > floor(here, FLOORS), f"{module} imports {target}"


def circles() -> list[list[str]]:
    """Return the modules that import each other, a list for each circle."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for target in sorted(ours(module)):
            if target not in index:
                visit(target)
                low[module] = min(low[module], low[target])
            elif target in stack:
                low[module] = min(low[module], index[target])
        if low[module] == index[module]:
            circle = [stack.pop()]
            while circle[-1] != module:
                circle.append(stack.pop())
            found.append(circle)

    for module in NAMES:
        if module not in index:
            visit(module)
    return [sorted(circle) for circle in found if len(circle) > 1]


def test_no_modules_import_each_other_in_a_circle():
    assert circles() == []


def test_outside_libraries_have_these_owners():
    owners: dict[str, set[str]] = {}
    for module in NAMES:
        for target, name in imports(module):
            library = name.partition(".")[0]
            if not target and library in OWNERS and room(module) not in ("sandbox", "widgets"):
                owners.setdefault(library, set()).add(module)

    assert owners == {library: set(modules.split()) for library, modules in OWNERS.items()}


@pytest.mark.parametrize("module", [name for name in NAMES if name.startswith("sandbox.")])
def test_the_sandbox_stands_on_few_rooms(module: str):
    known = {room(target) for target in ours(module)} - {"sandbox"}

    assert known <= SANDBOX_KNOWS, module


@pytest.mark.parametrize("module", [name for name in NAMES if name.startswith("sandbox.")])
def test_a_room_of_the_sandbox_imports_only_from_lower_ones(module: str):
    here = module.split(".")[1]
    for target in ours(module):
        there = target.split(".")[1] if target.startswith("sandbox.") else here
        if there != here:
            assert floor(there, SANDBOX_FLOORS) > floor(here, SANDBOX_FLOORS), target


def test_nothing_heavy_is_loaded_by_importing_the_package():
    code = f"import sys, imgopen_nb; print([m for m in {LAZY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_public_names_are_these_and_all_exist():
    assert len(set(imgopen_nb.__all__)) == len(imgopen_nb.__all__) == 20
    for name in imgopen_nb.__all__:
        assert getattr(imgopen_nb, name).__doc__


def test_dir_lists_the_public_names_alone():
    assert dir(imgopen_nb) == sorted([*imgopen_nb.__all__, "__version__"])


def test_no_file_names_a_machine_path():
    """Nothing in the project depends on where it was made."""
    root = PACKAGE.parent
    listed = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split()
    kinds = (".py", ".md", ".toml", ".ipynb", ".html")
    texts = [root / n for n in listed if n.endswith(kinds) and not n.startswith("tests/")]
    marks = ("/home/", f"{Path.home()}/", f"{root}/", "shared/design")
    for path in texts:
        assert not any(mark in path.read_text("utf-8") for mark in marks), path
