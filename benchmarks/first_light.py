"""Time to load the extension, and for the first and later descriptions through the sandbox."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec

from imgopen_nb.images.picture import samples
from imgopen_nb.session import Session

HEAD = ("what", "median", "ratio")
Row = tuple[str, str, str]
IN_KERNEL = """
import time, ipykernel.ipkernel, ipykernel.zmqshell
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell()
begun = time.perf_counter()
{code}
print(time.perf_counter() - begun)
"""
LOADS = {
    "%load_ext imgopen_nb": "shell.run_line_magic('load_ext', 'imgopen_nb')",
    "import requests": "import requests",
    "import ipywidgets": "import ipywidgets",
    "import pandas": "import pandas",
}
if find_spec("sql"):  # not one of the dependencies; measured if it is installed
    LOADS["%load_ext sql (jupysql)"] = "shell.run_line_magic('load_ext', 'sql')"


def rows(
    loads: Mapping[str, str] = LOADS, rounds: int = 7, pictures: int | None = None
) -> Iterator[Row]:
    yield from loading(loads, rounds)
    yield from describing(list(samples())[:pictures])


def loading(loads: Mapping[str, str], rounds: int) -> Iterator[Row]:
    """Time each import in a fresh process that has a kernel's modules loaded, in turn."""
    seen: dict[str, list[float]] = {name: [] for name in loads}
    for _ in range(rounds):
        for name, code in loads.items():
            seen[name].append(in_kernel(code))
    ours = statistics.median(next(iter(seen.values())))
    for name, times in seen.items():
        middle = statistics.median(times)
        yield name, f"{middle * 1000:.0f} ms", f"{middle / ours:.1f} x load_ext"


def in_kernel(code: str) -> float:
    command = [sys.executable, "-c", IN_KERNEL.format(code=code)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(said.splitlines()[-1])  # jupysql prints more before it


def describing(pictures: list[str]) -> Iterator[Row]:
    """Time the first description (process start and models included), then other images."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        Session(backend="sandbox", home=home) as session,
    ):

        def describe(name: str, model: str) -> Callable[[], object]:
            return lambda: session.run("describe", image=f"sample:{name}", model=model)

        first = timed(describe(pictures[0], "clip"))
        later = [timed(describe(name, "clip")) for name in pictures[1:]]
        again = [timed(describe(name, "deepdanbooru")) for name in pictures]
    middle = statistics.median(later)
    yield (
        "first describe, sandbox start included",
        f"{first:.2f} s",
        f"{first / middle:.1f} x later",
    )
    yield (
        f"later describe, new image (worst {max(later):.2f} s)",
        f"{middle:.2f} s",
        "1.0 x later",
    )
    second = statistics.median(again)
    yield "other model, same image", f"{second:.2f} s", f"{second / middle:.1f} x later"


def timed(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun
