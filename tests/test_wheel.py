"""What people install: the wheel, used outside the checkout, has all it needs and answers."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from .notebook_server import notebook_server
from .server_extension.test_receiver import inbox, row

PROJECT = Path(__file__).parents[1]
ENABLES = "etc/jupyter/jupyter_server_config.d/imgopen_nb.json"
# What the code reads when it runs.
KINDS = {".css", ".csv", ".html", ".jpg", ".js", ".json", ".npy", ".npz", ".onnx"}
FORM = """
import imgopen_nb
from ipywidgets.widgets.widget import _instances
session = imgopen_nb.current()
print(imgopen_nb.__file__)
print(session.run("describe", image="sample:coffee", model="clip").caption)
form = imgopen_nb.form("describe", image="sample:coffee")
form.run()
form.wait()
print(form.result.caption in form.static_html())
print(*[str(each._esm) for each in _instances.values() if hasattr(each, "_esm")])
"""
SUBMIT = """
import imgopen_nb
session = imgopen_nb.current()
task = session.submit("describe", image=imgopen_nb.samples()["coffee"], model="clip", fresh=True)
result = task.result(60)
print(imgopen_nb.__file__, session.manager.urls.address.url, task.id, task.queries, sep="|")
print(result.caption)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("hatchling") is None:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop("a wheel is built by hatchling: pip install hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", f"--wheel-dir={folder}", str(PROJECT))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the wheel's files; the other packages are those of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", f"--target={folder}", str(wheel))
    return folder


def pip(command: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", command, "--quiet", "--no-deps", "--no-index", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def run(installed: Path, folder: Path, code: str, **more: str) -> str:
    """Run code as a user of the installed package does, in a folder of his own."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "IMGOPEN_HOME": f"{folder}/home"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder, env={**environment, **more}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_file_of_the_package_is_in_the_wheel_and_no_other(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {name for name in names if name.startswith("imgopen_nb/")}
    files = [path for path in (PROJECT / "imgopen_nb").rglob("*") if path.is_file()]
    expected = {p.relative_to(PROJECT).as_posix() for p in files if p.suffix != ".pyc"}

    assert ours == expected
    assert {Path(name).suffix for name in ours} >= KINDS
    assert {"page.html", "terms.csv", "py.typed"} <= {Path(name).name for name in ours}
    assert [name for name in names - ours if ".dist-info/" not in name] == [
        f"{wheel.name.rpartition('-py3')[0]}.data/data/{ENABLES}"
    ]


def test_a_picture_is_described_and_a_form_opened(installed: Path, tmp_path: Path):
    """The sandbox with its networks, the templates, and the scripts of the widgets."""
    place, caption, shown, scripts = run(installed, tmp_path, FORM).split("\n", 3)

    assert place == str(installed / "imgopen_nb" / "__init__.py")
    assert "espresso" in caption
    assert shown == "True"
    static = installed / "imgopen_nb" / "widgets" / "static"
    for name in ("dropzone.js", "form.js"):
        assert (static / name).read_text("utf-8").strip() in scripts


@pytest.mark.server
def test_a_server_takes_the_callback_of_a_task(installed: Path, tmp_path: Path):
    """Were the entry point wrong, the server would only warn, and the result be asked for."""
    says_where = "import imgopen_nb; print('the package is', imgopen_nb.__file__)"
    paths = {"PYTHONPATH": str(installed)}
    paths["JUPYTER_CONFIG_PATH"] = str((installed / ENABLES).parents[1])
    with notebook_server(tmp_path, config=says_where, **paths) as server:
        told, caption = run(installed, tmp_path, SUBMIT, IMGOPEN_SERVER=server.url).splitlines()
        log = server.log
    place, address, task_id, queries = told.split("|")

    assert place == str(installed / "imgopen_nb" / "__init__.py")
    assert f"the package is {place}" in log
    assert "extension is off" not in log
    assert (address, queries, "espresso" in caption) == (server.url, "0", True)
    assert row(tmp_path / "home", task_id)["status"] == "succeeded"
    assert inbox(tmp_path / "home") == 1
