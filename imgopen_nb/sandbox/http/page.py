"""The sandbox's front page: what it is, and how good each operation is."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, Template

from ...catalogue.operation import Operation
from ...catalogue.operations import OPERATIONS
from ..jobs.engine_loader import Registry

ABSENT = "not there yet"


def table(registry: Registry) -> list[dict[str, str]]:
    """Return one row for each operation: what it does, by which engine, how faithful, where."""
    return [_row(operation, registry) for operation in OPERATIONS.values()]


def page(rows: list[dict[str, str]], url: str, problem: str = "") -> str:
    """Return the page as HTML; `problem` tells which engines could not be loaded."""
    return _template().render(rows=rows, url=url, problem=problem)


def _row(operation: Operation, registry: Registry) -> dict[str, str]:
    engine = registry.engine(operation.name)
    row = {"engine": "", "fidelity": ABSENT, "note": ""}
    if operation.kind == "status":
        row = {"engine": "task store", "fidelity": "real", "note": ""}
    elif engine:
        row = {"engine": engine.name, "fidelity": engine.fidelity, "note": engine.about}
    return {
        "name": operation.name,
        "about": operation.about,
        "path": operation.path,
        "known": operation.known,
        **row,
    }


@cache
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=loader, autoescape=True).get_template("page.html")
