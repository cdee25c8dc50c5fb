"""What a run of one of our notebooks must give, whoever ran it: nbclient or JupyterLab."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

MOST_BYTES = 400_000
# Run by test_browser.py, beside a server; test_notebooks.py runs the others, without one.
RUN_IN_LAB = (
    "02_a_folder_becomes_a_dataset.ipynb",
    "03_compare_captions.ipynb",
    "04_every_operation.ipynb",
    "05_generate_and_control.ipynb",
    "08_callbacks_and_local_images.ipynb",
    "09_many_images.ipynb",
)
# What the captions of the six photographs must name, and which notebook shows them.
SUBJECTS = {
    "sample:astronaut": {"person", "portrait"},
    "sample:camera": {"person", "tripod", "solo"},
    "sample:chelsea": {"cat"},
    "sample:coffee": {"espresso", "coffee", "cup"},
    "sample:grace_hopper": {"person", "portrait"},
    "sample:rocket": {"rocket", "missile", "spacecraft"},
}


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def may_fail(cell: NotebookNode) -> bool:
    return "raises-exception" in cell.metadata.get("tags", [])


def failed(cell: NotebookNode) -> bool:
    return any(output.output_type == "error" for output in cell.outputs)


def ends_in_expression(source: str) -> bool:
    """Whether the cell's last line is a value to show; loading an extension is none."""
    last = ast.parse(TransformerManager().transform_cell(source)).body[-1]
    return isinstance(last, ast.Expr) and "'load_ext'" not in ast.unparse(last)


def assert_runs_as_planned(notebook: NotebookNode) -> None:
    """Every cell ran, failed only where it says so, and shows what its last line is."""
    cells = code_cells(notebook)
    assert [cell.source for cell in cells if failed(cell) != may_fail(cell)] == []
    assert all(cell.execution_count for cell in cells)
    silent = [cell.source for cell in cells if not cell.outputs]
    assert [source for source in silent if ends_in_expression(source)] == []


def assert_small(notebook: NotebookNode) -> None:
    """A reader's download without the state of widgets, which people leave out."""
    notebook = nbformat.from_dict(notebook)
    notebook.metadata.pop("widgets", None)
    assert len(nbformat.writes(notebook).encode()) < MOST_BYTES


def our_outputs(notebook: NotebookNode) -> Iterator[NotebookNode]:
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "application/vnd.imgopen.task+json" in output.get("data", {}):
                yield output


def captions(notebook: NotebookNode) -> list[tuple[str, str]]:
    """Return (image, what was said of it) of all our outputs."""
    outputs = our_outputs(notebook)
    tasks = [t for o in outputs for t in o.data["application/vnd.imgopen.task+json"]["tasks"]]
    return [
        (t.get("image", ""), json.dumps([t.get("caption"), t.get("tags")]))
        for t in tasks
        if t.get("operation") == "describe"
    ]


def assert_subjects_named(notebook: NotebookNode) -> None:
    named = [(f"sample:{Path(image).stem}", text) for image, text in captions(notebook)]
    named += captions(notebook)  # samples by their names, and copies of them in a folder
    said = [(image, words(text)) for image, text in named if image in SUBJECTS]
    assert said or "describe" not in "".join(cell.source for cell in notebook.cells)
    assert [(image, text) for image, text in said if not text & SUBJECTS[image]] == []


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))
