"""What it costs that a task's row is on the disk before its request leaves.

Both ways write the same rows into one file, in turn; the ratio is what counts. The disk is that of
the folder for temporary files: set TMPDIR to measure another.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from imgopen_nb.database.task_table import TaskTable
from tests.tables import open_table

HEAD = ("a task's row is written", "median", "p95", "ratio")
Row = tuple[str, str, str, str]


def rows(writes: int = 1000) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        table = open_table(Path(folder))

        def normal(row: dict[str, Any]) -> None:
            with table.database.transaction():
                table.add(row)

        ways: dict[str, Callable[[dict[str, Any]], Any]] = {
            "synchronous=NORMAL, as all later changes are": normal,
            "synchronous=FULL, as it is before a request": table.find_or_add,
        }
        taken = measured(table, ways, writes)
        table.database.close()
    reference = statistics.median(next(iter(taken.values())))
    for name, times in taken.items():
        middle, late = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        ratio = f"{middle / reference:.1f} x NORMAL"
        yield name, f"{middle * 1000:.2f} ms", f"{late * 1000:.2f} ms", ratio


def measured(
    table: TaskTable, ways: dict[str, Callable[[dict[str, Any]], Any]], writes: int
) -> dict[str, list[float]]:
    """Return the seconds of each write."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for at in range(writes):
        for name, write in ways.items():
            row = {
                "task_id": f"{name} {at}",
                "operation": "describe",
                "model": "clip",
                "params": {"image": f"https://p.invalid/{at}.jpg", "model": "clip"},
                "body": {"image": f"https://p.invalid/{at}.jpg", "businessTaskId": str(at)},
                "status": "created",
                "created": 1.6e9 + at,
                "submitted": 1.6e9 + at,
                "request": None,
                "backend": "real",
            }
            begun = time.perf_counter()
            write(row)
            taken[name].append(time.perf_counter() - begun)
    return taken
