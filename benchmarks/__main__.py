"""Run every benchmark and write RESULTS.md beside this file."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from . import batch, engines, first_light, gallery, history, memory, waiting

PARTS = {
    "Loading and describing": first_light,
    "Waiting: when to ask": waiting,
    "Batch of 1,000 tasks": batch,
    "Memory of a batch": memory,
    "History of 1,000,000 tasks": history,
    "Gallery in JupyterLab": gallery,
    "Engines: CPU of a call (best of 5), peak memory of its process": engines,
}
NOTE = """\
The reference is the CPU time of an engine's bare networks and arithmetic on input of the same
kind, taken when they were chosen. "At equal speed" divides the ratio by that of the first row, a
network whose reference is purely its own: 1.5 is the limit that we set ourselves. Linux counts into
a process's peak memory what its parent had when it started it, here about 110 MiB."""
PACKAGES = ("ipython", "ipykernel", "requests", "onnxruntime", "pillow", "pandas")


def main() -> None:
    lines = ["# Results", "", f"{machine()}; {packages()}.", ""]
    lines.append("Absolute figures vary with the machine and its other work: use the ratios.")
    for title, part in PARTS.items():
        lines += ["", f"## {title}", "", row(part.HEAD), row(["---"] * len(part.HEAD))]
        for cells in part.rows():
            lines.append(row(cells))
            print(lines[-1], flush=True)
    lines += ["", NOTE]
    Path(__file__).with_name("RESULTS.md").write_text("\n".join(lines) + "\n", "utf-8")


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
    main()
