"""Many forms at once in a real kernel: each result in its own form, and no flood of messages."""

from __future__ import annotations

import json
import queue
import time
from collections import Counter
from typing import Any

import pytest

from ..test_kernel import Kernel, kernel, service

__all__ = ["kernel", "service"]  # the fixtures of that module
pytestmark = pytest.mark.kernel

FORMS, TIMES = 20, 5
MOST_MESSAGES = 20  # of one run
SET_UP = f"""
import imgopen_nb as imgopen
from IPython.display import display
texts = [f"form {{number}}" for number in range({FORMS})]
forms = [imgopen.form("watermark", image="sample:coffee", text=text) for text in texts]
for each in forms:
    display(each)
"""
RUN = """
for each in forms:
    each.run(fresh=True)  # the same again each time
"""
ENDED = "print(not any(each.running for each in forms))"
READ = """
import json
shown = [each.result.task_id == each._outcome._frame.outcome["task"] for each in forms]
print(json.dumps([
    [str(each.error), each.result.params["text"], each.result.task_id, there]
    for each, there in zip(forms, shown)
]))
"""


def drained(kernel: Kernel, seconds: float) -> Counter[str]:
    """Return the kinds of messages that come until none has come for so long."""
    found: Counter[str] = Counter()
    while True:
        try:
            found[kernel.client.get_iopub_msg(timeout=seconds)["msg_type"]] += 1
        except queue.Empty:
            return found


def ended(kernel: Kernel, seconds: float = 120) -> Counter[str]:
    """Return the kinds of messages that came until all forms have ended."""
    found: Counter[str] = Counter()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found += drained(kernel, 1.0)
        if "True" in kernel.run(ENDED)["text"]:
            return found + drained(kernel, 0.5)
    raise AssertionError("the forms did not end in time")


def read(kernel: Kernel) -> list[list[Any]]:
    found: list[list[Any]] = json.loads(kernel.run(READ)["text"])
    return found


def test_a_hundred_runs_of_twenty_forms_land_in_their_own_form(kernel: Kernel):
    assert kernel.run(SET_UP)["error"] is None
    drained(kernel, 1.0)
    seen: list[str] = []
    for _ in range(TIMES):
        kernel.client.execute(RUN)
        messages = ended(kernel)
        rows = read(kernel)

        assert [row[:2] for row in rows] == [["None", f"form {n}"] for n in range(FORMS)]
        assert all(row[3] for row in rows)
        assert messages["comm_msg"] <= MOST_MESSAGES * FORMS
        seen += [row[2] for row in rows]

    assert len(set(seen)) == FORMS * TIMES


def test_a_cell_runs_while_a_form_does(kernel: Kernel):
    kernel.run("f = imgopen.form('remove-background', image='sample:astronaut')\nf.run()")
    during = kernel.run("print(f.running, 6 * 7)")["text"]

    assert during.strip() == "True 42"
    assert "None" in kernel.run("f.wait(60); print(f.error)")["text"]
