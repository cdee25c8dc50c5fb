"""Run the benchmarks (all, or those named) and write RESULTS.md beside this file."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from . import (
    batch,
    callbacks,
    checks,
    durability,
    engines,
    first_light,
    gallery,
    history,
    memory,
    open_tasks,
    waiting,
)

RESULTS = Path(__file__).with_name("RESULTS.md")
PARTS: dict[str, ModuleType] = {
    "Loading and describing": first_light,
    "Waiting: when to ask": waiting,
    "Open tasks of which none ends: half an hour, by a simulated clock": open_tasks,
    "Callbacks: when the kernel knows": callbacks,
    "Batch of 1,000 tasks": batch,
    "Memory of a batch": memory,
    "History of 1,000,000 tasks": history,
    "A power cut: a task's row before its request": durability,
    "Gallery in JupyterLab": gallery,
    "Rules, check and audit of a dataset": checks,
    "Engines: CPU of a call (best of 5), peak memory of its process": engines,
}
NOTE = """\
The reference is the CPU time of an engine's bare networks and arithmetic on the same kind of input.
"At equal speed" divides the ratio by that of the first row, a network without an engine around it:
our limit is 1.5. On Linux, the peak memory of a process includes what its parent had when it
started the process, here about 110 MiB."""
PACKAGES = (
    "ipython", "ipykernel", "requests", "aiohttp", "onnxruntime", "pillow", "pandas", "pyarrow",
)  # fmt: skip


def main(names: Sequence[str]) -> None:
    """Measure the named parts, or all of them; the results of the others stay as they are."""
    unknown = set(names) - {name_of(part) for part in PARTS.values()}
    if unknown:
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}")
    sections = present()
    for title, part in PARTS.items():
        if names and name_of(part) not in names:
            continue
        sections[title] = [row(part.HEAD), row(["---"] * len(part.HEAD))]
        for cells in part.rows():
            sections[title].append(row(cells))
            print(sections[title][-1], flush=True)
        write(sections)


def name_of(part: ModuleType) -> str:
    return part.__name__.rpartition(".")[2]


def present() -> dict[str, list[str]]:
    """Return the lines of each table in the present RESULTS.md."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in RESULTS.read_text("utf-8").splitlines() if RESULTS.exists() else ():
        if line.startswith("## "):
            lines = found[line[3:]] = []
        elif line.startswith("|"):
            lines.append(line)
    return found


def write(sections: Mapping[str, list[str]]) -> None:
    lines = ["# Results", "", f"{machine()}; {packages()}.", ""]
    lines.append("Absolute figures vary with the machine and its other work: use the ratios.")
    for title in PARTS:
        if title in sections:
            lines += ["", f"## {title}", "", *sections[title]]
    RESULTS.write_text("\n".join([*lines, "", NOTE]) + "\n", "utf-8")


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def machine() -> str:
    today = datetime.datetime.now(datetime.UTC).date()
    return (
        f"{today}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    )


def packages() -> str:
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


if __name__ == "__main__":
    main(sys.argv[1:])
