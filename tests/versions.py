"""Runs a core of the tests with the lowest and with the newest versions of every dependency.

`make versions`, or `python -m tests.versions lowest-direct`. Each has an environment of its own in
a temporary folder. What warns of an end to come, in a line of ours, is an error.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXTRAS = "sandbox,server,fast"
# Beside what pyproject.toml asks for; of these the newest will do.
TOOLS = (
    "pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "psutil", "pyyaml", "polars",
)  # fmt: skip
TESTS = (
    "tests/media/test_formats.py", "tests/media/test_metadata.py", "tests/images", "tests/history",
    "tests/display", "tests/magics", "tests/batch", "tests/captions/test_comparison.py",
    "tests/sandbox/test_engines.py", "tests/sandbox/test_engines_edges.py",
    "tests/sandbox/test_engines_pixels.py", "tests/test_pandas_accessor.py",
)  # fmt: skip
STRICT = [
    *(f"error::{kind}:imgopen_nb"
      for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")),
    "error:Unknown feature",
]  # fmt: skip


def installed(resolution: str, folder: Path) -> Path:
    """Make an environment with the package and these versions; return its Python."""
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    uv = [sys.executable, "-m", "uv"] if find_spec("uv") else ["uv"]
    run([*uv, "venv", "-q", "--python", sys.executable, str(folder)])
    install = [*uv, "pip", "install", "-q", "--python", str(python)]
    run([*install, "--resolution", resolution, "-e", f".[{EXTRAS}]"])
    frozen = folder / "versions.txt"
    frozen.write_bytes(subprocess.check_output([*uv, "pip", "freeze", "--python", str(python),
                                                "--exclude-editable"], cwd=ROOT))  # fmt: skip
    run([*install, "-c", str(frozen), *TOOLS])
    return python


def run(command: list[str]) -> None:
    subprocess.run(command, cwd=ROOT, check=True, env=environment())


def environment() -> dict[str, str]:
    """Return the variables for uv, which asks the same index as pip."""
    index = os.environ.get("PIP_INDEX_URL")
    return {**({"UV_DEFAULT_INDEX": index} if index else {}), **os.environ}


def main(names: list[str]) -> int:
    """Test the named ones, or both; return how many failed."""
    failed = 0
    for name in names or ["lowest-direct", "highest"]:
        with tempfile.TemporaryDirectory(prefix="imgopen-versions-") as folder:
            python = installed(name, Path(folder))
            print(f"{name}: {(Path(folder) / 'versions.txt').read_text().split()}", flush=True)
            command = [str(python), "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile"]
            options = ["-p", "no:cacheprovider", "-o", "filterwarnings=" + "\n".join(STRICT)]
            chosen = ["-m", "not browser and not kernel and not server", *TESTS]
            failed += subprocess.run([*command, *options, *chosen], cwd=ROOT).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
