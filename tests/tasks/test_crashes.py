"""Kills, chaos, two kernels: every row of a batch is there once, and paid for once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgopen_nb.session import Session

from ..conftest import KEY_ID, KEY_SECRET, often
from ..service import Service, caption_of
from ..stub import Stub

pytestmark = pytest.mark.usefixtures("cached")

ROWS = 200
KILLS = often(8, 100)
CHAOS = often(80, 200)
HALF = often(200, 500)  # of what two kernels do side by side
IMAGES = [f"https://pictures.invalid/{number}.jpg" for number in range(ROWS)]
BATCH = """
import json, sys
from imgopen_nb.session import Session
url, home, key, secret, images = sys.argv[1:]
with Session(url, key, secret, home) as session:
    batch = session.map("describe", json.loads(images), model="clip", progress=False)
    print(json.dumps([r.caption for r in batch.results()]))
"""
RESUME = """
import sys
from imgopen_nb.session import Session
url, home, key, secret, images = sys.argv[1:]
with Session(url, key, secret, home) as session:
    print([task.wait(60).state for task in session.resume()])
"""


def kernel(
    code: str, stub: Stub, home: Path, images: list[str] = IMAGES
) -> subprocess.Popen[bytes]:
    arguments = [stub.url, str(home), KEY_ID, KEY_SECRET, json.dumps(images)]
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def said(process: subprocess.Popen[bytes], seconds: float = 200) -> str:
    out, error = process.communicate(timeout=seconds)
    assert process.returncode == 0, error.decode()
    return out.decode()


def right(images: list[str] = IMAGES, model: str = "clip") -> list[str]:
    return [caption_of(image, model) for image in images]


@pytest.mark.soak
def test_kills_at_random_moments_of_a_batch_lose_nothing_and_pay_nothing_twice(
    stub: Stub, tmp_path: Path
):
    """Killed again and again, begun again each time: 200 right rows, 200 submissions."""
    service = Service(duration=lambda: 0.4).on(stub)
    dice = random.Random(5)
    killed = 0
    for _ in range(KILLS):
        process = kernel(BATCH, stub, tmp_path)
        limit = time.monotonic() + 30
        seen = len(service.accepted)
        while len(service.accepted) < min(seen + 1, ROWS) and time.monotonic() < limit:
            if process.poll() is not None:
                break
            time.sleep(0.005)
        time.sleep(dice.uniform(0, 8.0 / KILLS))
        killed += process.poll() is None
        process.kill()
        process.communicate()

    captions = json.loads(said(kernel(BATCH, stub, tmp_path)))

    assert killed >= KILLS // 2
    assert captions == right()
    service.paid_once(IMAGES)


def test_resume_alone_ends_what_a_kill_has_left_once_from_two_kernels(stub: Stub, tmp_path: Path):
    """Killed in the middle; then two kernels resume at once: nothing is sent a second time."""
    service = Service(duration=lambda: 2.0).on(stub)
    process = kernel(BATCH, stub, tmp_path)
    while len(service.accepted) < 20:
        time.sleep(0.01)
    process.kill()
    process.communicate()

    both = [kernel(RESUME, stub, tmp_path) for _ in range(2)]
    for one in both:
        said(one)

    with Session(stub.url, KEY_ID, KEY_SECRET, tmp_path) as session:
        rows = session.rows()
    assert {row["status"] for row in rows} == {"succeeded"}
    assert len(rows) == len(service.tasks) >= 20
    assert set(service.accepted.values()) == {1}
    assert not service.repeated


@pytest.mark.soak
def test_chaos_on_every_fifth_request_loses_nothing_and_pays_nothing_twice(
    stub: Stub, tmp_path: Path
):
    """429, 500, 502, web pages, cut off and dropped answers before and after acceptance."""
    service = Service(duration=lambda: 0.3, trouble=0.2, seed=7).on(stub)
    images = IMAGES[:CHAOS]

    captions = json.loads(said(kernel(BATCH, stub, tmp_path, images), 280))

    assert captions == right(images)
    assert sorted(entry.image for entry in service.tasks.values()) == sorted(images)
    assert set(service.accepted.values()) == {1}


def test_two_kernels_with_one_journal_do_the_same_batch_once(stub: Stub, tmp_path: Path):
    """Side by side on the same 200 images: each has all rows, and a third one asks nothing."""
    service = Service(duration=lambda: 0.3).on(stub)

    both = [kernel(BATCH, stub, tmp_path) for _ in range(2)]

    assert [json.loads(said(one)) for one in both] == [right(), right()]
    service.paid_once(IMAGES)
    requests = len(stub.requests)
    assert json.loads(said(kernel(BATCH, stub, tmp_path))) == right()
    assert len(stub.requests) == requests


@pytest.mark.soak
def test_two_kernels_with_different_pictures_of_one_journal_find_all(stub: Stub, tmp_path: Path):
    """Side by side: all rows are right, and no word of a locked database."""
    service = Service(duration=lambda: 0.2).on(stub)
    images = [f"https://pictures.invalid/{number}.jpg" for number in range(2 * HALF)]
    halves = (images[:HALF], images[HALF:])

    both = [kernel(BATCH, stub, tmp_path, half) for half in halves]

    assert [json.loads(said(one)) for one in both] == [right(half) for half in halves]
    with Session(stub.url, KEY_ID, KEY_SECRET, tmp_path) as session:
        assert session.history.count(status="succeeded") == session.history.count() == 2 * HALF
    assert len(service.accepted) == 2 * HALF
    assert not service.repeated
