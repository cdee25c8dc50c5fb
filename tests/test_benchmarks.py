"""Every benchmark runs: here with the fewest calls, as it takes minutes otherwise."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import engines, first_light, processes
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.sandbox.engines import load

from .conftest import SOAK

# The smallest sizes of each part; its figures say nothing then.
SIZES: dict[str, dict[str, Any]] = {
    "batch": {"tasks": 2, "cases": [(2, 0.02)], "rounds": 1},
    "callbacks": {"tasks": 2, "seconds": 0.1},
    "checks": {"captions": 20},
    "durability": {"writes": 2},
    "engines": {"cases": [c for c in engines.CASES if c.operation == "enlarge"], "rounds": 1},
    "first_light": {"loads": dict([*first_light.LOADS.items()][:1]), "rounds": 1, "pictures": 2},
    "gallery": {"pictures": 20, "rounds": 2, "seconds": 0.3},
    "history": {"tasks": 20},
    "memory": {"sizes": [0, 2]},
    "open_tasks": {"counts": [2], "queries": 2},
    "waiting": {"cases": [("0.02 s", 0.02, 0.0, 2, 2)]},
}
MARKS = {
    "callbacks": [pytest.mark.server],
    "gallery": [
        pytest.mark.browser,
        pytest.mark.skipif(not SOAK, reason="it opens JupyterLab twice: `make soak` tries it"),
    ],
}
NAMES = [benchmarks.name_of(part) for part in benchmarks.PARTS.values()]


@pytest.fixture(scope="module")
def prepared() -> multiprocessing.context.BaseContext:
    """Processes that begin with what all of them load."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["aiohttp", "pandas", "tornado.web", "imgopen_nb.batch.frame", "imgopen_nb.session"]
    )
    return context


@pytest.mark.parametrize("name", [pytest.param(n, marks=MARKS.get(n, ())) for n in NAMES])
def test_a_benchmark_runs(name: str, prepared: Any, monkeypatch: pytest.MonkeyPatch):
    part = {benchmarks.name_of(each): each for each in benchmarks.PARTS.values()}[name]
    monkeypatch.setattr(processes, "FRESH", prepared)

    rows = list(part.rows(**SIZES[name]))

    assert rows
    assert {len(row) for row in rows} == {len(part.HEAD)}
    assert all(isinstance(cell, str) for row in rows for cell in row)


@pytest.mark.parametrize("case", engines.CASES, ids=lambda case: f"{case.operation} {case.input}")
def test_a_case_of_the_engines_is_a_call(case: engines.Case):
    operation = OPERATIONS[case.operation]

    assert case.operation in load()
    assert all(operation.param(name).name == name for name in case.params)
