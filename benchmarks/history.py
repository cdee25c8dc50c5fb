"""A history of 1,000,000 tasks: frames against pandas.read_sql, filters, changes, files.

`python -m benchmarks.history 100000` prints the figures of a smaller one. All figures come from one
run in one process; the ratios are what counts.
"""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd

from imgopen_nb.database.task_queries import COLUMNS, HISTORY_COLUMNS
from imgopen_nb.database.task_table import TaskTable
from imgopen_nb.history import arrow
from imgopen_nb.history.history import LARGE, History
from tests.tables import open_table

HEAD = ("what", "figure", "ratio")
Row = tuple[str, str, str]
BEGAN = 1.6e9
WORDS = [
    "a", "the", "cat", "dog", "man", "woman", "street", "red", "blue", "old", "wooden", "table",
    "with", "sitting", "on", "standing", "near", "under", "bright", "sunny", "field", "mountain",
    "river", "small", "large", "photograph", "painting", "of", "and", "in", "front", "white",
    "black",
]  # fmt: skip
TAGS = [f"{one}_{two}" for one in WORDS for two in WORDS]


def rows(tasks: int = 1_000_000) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        fill(home, tasks)
        table = open_table(home)
        history = History(table, no_pictures)
        size = table.database.path.stat().st_size
        yield f"file of {tasks:,} tasks", f"{size / tasks:.0f} B a task", "with 3 events each"
        yield from frames(table, history)
        yield from filters(history, tasks)
        yield from changes(table, min(tasks, 5_000))
        yield from files(history, home)
        table.database.close()


def no_pictures(_: Any) -> list[str]:
    return []


def without_fast(history: History) -> Any:
    with mock.patch.object(arrow, "available", return_value=False):
        return history()


def frames(table: TaskTable, history: History) -> Iterator[Row]:
    """Measure each way three times, in turn; the best counts, as the machine has other work too."""
    sql = f"SELECT {', '.join(HISTORY_COLUMNS)} FROM tasks"
    with sqlite3.connect(table.database.path) as db:
        ways: dict[str, Callable[[], Any]] = {
            "pandas.read_sql on sqlite3": lambda: pd.read_sql(sql, db),
            "without the extra": lambda: without_fast(history),
        }
        if arrow.available() and len(history) >= LARGE:
            ways["history() with the extra `fast`"] = history
        ways["history(columns=...) of image, model and caption"] = lambda: history(
            columns=["picture", "model", "caption"]
        )
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(3):
            for name, way in ways.items():
                taken[name].append(seconds(way))
    reference = min(taken["pandas.read_sql on sqlite3"])
    for name, found in taken.items():
        yield name, f"{min(found):.2f} s", f"{min(found) / reference:.2f} x read_sql"


def filters(history: History, tasks: int) -> Iterator[Row]:
    moments = (None, BEGAN + 60 * tasks * 0.999, BEGAN + 60 * tasks / 2)
    asked = [
        dict(zip(("operation", "model", "status", "backend", "since"), values, strict=True))
        for values in itertools.product(
            (None, "describe", "flux", "upscale"),
            (None, "clip", "deepdanbooru"),
            (None, "succeeded", "refused", ("created", "running", "lost"), ("succeeded", "failed")),
            (None, "real", "sandbox"),
            moments,
        )
    ]
    asked = random.Random(1).sample(asked, min(tasks, len(asked)))
    for name, way in (("rows", history.rows), ("frame", history)):
        taken = [min(seconds(way, limit=1000, **each) for _ in range(2)) for each in asked]
        yield (
            f"last 1,000 tasks as {name}: {len(asked)} combinations of filters, median",
            f"{1000 * statistics.median(taken):.1f} ms",
            f"worst {1000 * max(taken):.0f} ms",
        )


def changes(table: TaskTable, count: int) -> Iterator[Row]:
    task: dict[str, Any] = {"operation": "describe", "model": "clip", "params": {"image": "x"}}
    now = time.time()
    for at in range(count):
        table.add({"task_id": f"new{at}", "status": "created", "created": now,
                     "backend": "real", **task})  # fmt: skip
    begun = time.perf_counter()
    for at in range(count):
        table.update(f"new{at}", status="submitted", submitted=now, server_id=str(at))
        table.update(f"new{at}", status="succeeded", finished=now, caption="c" * 100, data={})
    rate = 2 * count / (time.perf_counter() - begun)
    yield "changes of state, each stored with its event", f"{rate:,.0f} a second", ""


def files(history: History, home: Path) -> Iterator[Row]:
    for suffix in (".parquet", ".jsonl", ".csv"):
        file = home / f"history{suffix}"
        took = seconds(history.export, file)
        yield f"export to {suffix}", f"{took:.1f} s", f"{file.stat().st_size / 2**20:.0f} MiB"
    other = History(open_table(home / "other"), no_pictures)
    took = seconds(other.import_, home / "history.parquet")
    yield "import of .parquet", f"{took:.1f} s", f"{len(other):,} tasks"


def seconds(call: Callable[..., Any], *given: Any, **named: Any) -> float:
    begun = time.perf_counter()
    call(*given, **named)
    return time.perf_counter() - begun


def fill(home: Path, tasks: int) -> None:
    """Write tasks: 70 % captions by clip, 30 % lists of ten tags, with a few failures."""
    table = open_table(home)
    table.rows(limit=1)
    table.database.close()
    marks = ", ".join("?" * len(COLUMNS))
    with sqlite3.connect(home / "imgopen.sqlite") as db:
        db.execute("PRAGMA synchronous = OFF")
        db.executemany(f"INSERT INTO tasks VALUES ({marks})", made(tasks))
        for state, later in (("created", 0), ("submitted", 0.1), ("succeeded", 3.5)):
            sql = (
                "INSERT INTO events (task_id, at, state) SELECT task_id, created + ?, ? FROM tasks"
            )
            db.execute(sql, (later, state))
    db.close()


def made(tasks: int) -> Iterator[tuple[Any, ...]]:
    rng = random.Random(1)
    captions = [" ".join(rng.choices(WORDS, k=18))[:100] for _ in range(5000)]
    for at in range(tasks):
        share, end = rng.random(), rng.random()
        tagged = share >= 0.7
        words = rng.sample(TAGS, 10) if tagged else []
        said = ", ".join(words) or f"{captions[at % 5000]} {at}"
        scored = [{"name": word, "score": round(rng.random(), 6)} for word in words]
        operation = "flux" if end < 1e-4 else "describe"
        model = None if operation == "flux" else "deepdanbooru" if tagged else "clip"
        status = ("succeeded" if end < 0.985 else "failed" if end < 0.998
                  else "refused" if end < 0.9999 else "lost")  # fmt: skip
        well, when = status == "succeeded", BEGAN + 60 * at
        url = f"https://example.org/photos/2025/picture-{at:07}.jpg"
        params = {"image": url, "model": model} if model else {"prompt": said}
        data = {"id": str(at), "status": 2, "caption": said}
        row = {
            "task_id": f"nb20250101{at:016x}", "server_id": str(at), "operation": operation,
            "model": model, "image": url, "params": json.dumps(params), "status": status,
            "caption": said if well else None, "tags": json.dumps(scored) if tagged else None,
            "image_urls": "[]" if well else None, "created": when, "submitted": when + 0.1,
            "finished": when + 3.5, "queries": 2, "attempts": 1,
            "backend": "real" if rng.random() < 0.9 else "sandbox",
            "base_url": "https://api.example.org", "engine": None,
            "error": None if well else "no face found", "data": json.dumps(data),
            "request": f"{at:032x}", "pending": 1.2, "seconds": 3.4,
        }  # fmt: skip
        yield tuple(row.get(name) for name in COLUMNS)


if __name__ == "__main__":
    for cells in rows(*map(int, sys.argv[1:])):
        print("  ".join(cells), flush=True)
