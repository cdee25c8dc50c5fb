"""The shape of the house: who may import whom, who owns which library, and what is public."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import imgopen_nb

PACKAGE = Path(imgopen_nb.__file__).parent
MODULES = sorted(p for p in PACKAGE.glob("*.py") if p.name != "__init__.py")
SANDBOX = sorted((PACKAGE / "sandbox").rglob("*.py"))
WIDGETS = sorted(p for p in (PACKAGE / "widgets").glob("*.py") if p.name != "__init__.py")

# From what people use down to what everything stands on: a module imports only from lower floors.
FLOORS = (
    {"cli", "magics", "demo", "callbacks"},
    {"completion", "outside", "serving"},
    {"verbs"},
    {"widget_verbs", "history_verbs"},
    {"verb"},
    {"batch_verb"},
    {"doctor", "leaks"},
    {"selftest"},
    {"comparing"},
    {"session", "login"},
    {"history"},
    {"archive", "arrow", "batch_frames"},
    {"batch", "inquiry"},
    {"batch_plan"},
    {"progress", "sources", "stream", "calling"},
    {"sending"},
    {"album"},
    {"reception"},
    {"links", "inbox", "ledger", "timing", "waiting"},
    {"news"},
    {"versions"},
    {"connection", "task"},
    {"saving", "edits", "throttle"},
    {"delivery", "result", "comparison", "journal"},
    {"schema", "arrowreader"},
    {"display", "client", "tables", "frames"},
    {"fetching"},
    {"json_columns"},
    {"panels"},
    {"cards", "descriptions", "merging", "uploads"},
    {"images", "records", "rendering", "wire", "arguments", "captions", "snippets"},
    {"fingerprints"},
    {"publishing"},
    {"thumbnails", "settings", "words", "tokens"},
    {"catalogue", "guesses", "raw"},
    {"spec"},
    {"values"},
    {"keys"},
    {"files", "batch_files", "accessor", "addresses", "signing"},
    {"errors", "presence", "rates", "schedule"},
    {"plaintext"},
)
# The widgets stand on the whole kernel side but its verbs, and in this order on each other.
WIDGET_FLOORS = (
    {"studios", "browsing"},
    {"forms"},
    {"picturefields"},
    {"fields", "painting", "sliders", "galleries", "boards", "runs"},
    {"boardviews", "loading", "tiles", "live", "codeview", "dropzone"},
)
ABOVE_WIDGETS = {"cli", "magics", "demo", "completion", "verbs", "widget_verbs", "verb", "doctor"}
# Kernel side: one outside library, one owner (the sandbox is a program of its own).
OWNERS = {
    "requests": {"client", "fetching"},
    "urllib3": {"client", "fetching"},
    "sqlite3": {"journal", "schema"},
    "pandas": {"frames", "comparison", "batch_frames", "json_columns"},
    "PIL": {"thumbnails", "images"},
    "numpy": {"json_columns", "thumbnails", "images", "frames", "comparison"},
    "jinja2": {"rendering"},
    "markupsafe": {"rendering"},
    "platformdirs": {"settings"},
    "IPython": {"magics", "completion", "progress"},
    "tqdm": {"progress"},
    "filelock": {"presence"},
    "pyarrow": {"archive", "arrow", "arrowreader", "frames", "batch_files"},
    "adbc_driver_sqlite": {"arrowreader"},
    "adbc_driver_manager": {"arrowreader"},
    "jupyter_server": {"callbacks", "outside", "serving"},
    "tornado": {"callbacks", "outside", "serving"},
}
LAZY = (
    "pandas", "PIL", "numpy", "IPython", "requests", "tornado", "ipywidgets", "onnxruntime",
    "tokenizers", "huggingface_hub", "anywidget", "filelock", "pyarrow",
)  # fmt: skip


def imports(path: Path, *, lazy: bool = True) -> Iterator[tuple[int, str]]:
    """Yield (level, module) of the imports that happen at run time."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for inner in ast.walk(node):
                inner.__dict__["typing_only"] = True
    for node in ast.walk(tree) if lazy else tree.body:
        if node.__dict__.get("typing_only"):
            continue
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((node.level, name) for name in names if name and name != "__version__")


def floor(module: str) -> int:
    return next(i for i, names in enumerate(FLOORS) if module in names)


def test_every_module_has_its_floor():
    assert sorted(p.stem for p in MODULES) == sorted(name for names in FLOORS for name in names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_a_module_imports_only_from_lower_floors(path: Path):
    """At import time; what is imported inside a function may also be a display or the session."""
    for level, name in imports(path, lazy=False):
        head = name.partition(".")[0]
        if level == 1 and head not in ("sandbox", "widgets"):
            assert floor(head) > floor(path.stem), f"{path.stem} imports {head}"


def test_every_widget_has_its_floor():
    assert sorted(p.stem for p in WIDGETS) == sorted(n for names in WIDGET_FLOORS for n in names)


@pytest.mark.parametrize("path", WIDGETS, ids=lambda p: p.stem)
def test_a_widget_imports_only_from_lower_floors_and_never_a_verb(path: Path):
    floors = {name: at for at, names in enumerate(WIDGET_FLOORS) for name in names}
    for level, name in imports(path):
        head = name.partition(".")[0]
        if level == 1 and head != "STATIC":
            assert floors[head] > floors[path.stem], f"{path.stem} imports {head}"
        assert not (level == 2 and head in ABOVE_WIDGETS), f"{path.stem} imports {head}"


def test_only_the_verbs_know_the_widgets_and_none_of_them_before_it_is_asked_for():
    """ipywidgets and anywidget take a tenth of a second to import."""
    known = {
        p.stem for p in MODULES for level, n in imports(p) if level and n.startswith("widgets")
    }
    at_once = {
        p.stem
        for p in MODULES
        for lv, n in imports(p, lazy=False)
        if lv and n.startswith("widgets")
    }

    assert (known, at_once) == ({"widget_verbs"}, set())


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_outside_libraries_have_one_owner(path: Path):
    for level, name in imports(path):
        head = name.partition(".")[0]
        if level == 0 and head in OWNERS:
            assert path.stem in OWNERS[head], f"{path.stem} imports {head}"


def test_only_the_connection_the_command_line_and_the_server_know_the_sandbox():
    known = {
        p.stem for p in MODULES for level, n in imports(p) if level and n.startswith("sandbox")
    }

    assert known == {"connection", "cli", "serving"}


@pytest.mark.parametrize("path", SANDBOX, ids=lambda p: p.stem)
def test_the_sandbox_stands_on_the_catalogue_alone(path: Path):
    depth = len(path.relative_to(PACKAGE).parts)
    above = {name for level, name in imports(path) if level == depth}

    assert above <= {"catalogue", "spec", "values", "errors", "settings", "plaintext"}


def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, imgopen_nb; print([m for m in {LAZY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_public_names_are_these_and_all_exist():
    assert len(set(imgopen_nb.__all__)) == len(imgopen_nb.__all__) == 19
    for name in imgopen_nb.__all__:
        assert getattr(imgopen_nb, name).__doc__


@pytest.mark.parametrize("path", [*MODULES, *WIDGETS, *SANDBOX], ids=lambda p: p.stem)
def test_modules_and_functions_stay_short(path: Path):
    """Modules under about 300 lines (the catalogue is data), function bodies under 40."""
    text = path.read_text("utf-8")
    if path.stem != "catalogue":
        assert text.count("\n") <= 330
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = [n for n in node.body if not isinstance(n, ast.Expr)] or node.body
            assert (body[-1].end_lineno or 0) - body[0].lineno < 40, node.name


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
