"""Run every benchmark and write RESULTS.md beside this file."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import version
from pathlib import Path

from . import engines, first_light

PARTS = {
    "Loading and describing": first_light.rows,
    "Engines: CPU of a call (best of 3), peak memory of its process": engines.rows,
}
PACKAGES = ("ipython", "ipykernel", "requests", "onnxruntime", "pillow", "pandas")


def main() -> None:
    lines = ["# Results", "", f"{machine()}; {packages()}.", ""]
    lines.append("Absolute figures vary with the machine and its other work: use the ratios.")
    for title, rows in PARTS.items():
        lines += ["", f"## {title}", "", "| what | median | ratio |", "| --- | --- | --- |"]
        for what, figure, ratio in rows():
            print(f"{what:<50} {figure:>10}  {ratio}", flush=True)
            lines.append(f"| {what} | {figure} | {ratio} |")
    Path(__file__).with_name("RESULTS.md").write_text("\n".join(lines) + "\n", "utf-8")


def machine() -> str:
    today = datetime.datetime.now(datetime.UTC).date()
    return (
        f"{today}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    )


def packages() -> str:
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


if __name__ == "__main__":
    main()
