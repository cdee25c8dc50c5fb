"""Ctrl-C at any moment: what was sent goes on, and the same call again finishes it."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from imgopen_nb.api.throttle import Throttle
from imgopen_nb.database.interrupts import Uninterrupted
from imgopen_nb.errors import (
    SubmissionLostError,
    TaskInterrupted,
    TaskTimeoutError,
    WaitCancelledError,
)
from imgopen_nb.session import Session
from imgopen_nb.tasks.task import Task
from imgopen_nb.widgets.forms.run import Run

from ..conftest import KEY_ID, KEY_SECRET, often
from ..kernels import started
from ..presses import ctrl_c
from ..processes import wait_until
from ..service import Service, caption_of
from ..stub import Reply, Request, Stub

pytestmark = pytest.mark.usefixtures("cached")

AT_RANDOM = often(60, 900)
STEPS = often(60, 3000)
PICTURE = "https://pictures.invalid/x.jpg"

# Presses Ctrl-C during an action, then does the same again without it, for each image.
PRESS = """
import json, os, random, signal, sys, threading, time
from imgopen_nb.errors import ImgOpenError
from imgopen_nb.session import Session

url, home, key, secret, how, seed, images = sys.argv[1:]
dice, images = random.Random(int(seed)), json.loads(images)
session = Session(url, key, secret, home)
ACTIONS = {
    "run": lambda image: [session.run("describe", timeout=20, model="clip", image=image)],
    "submit": lambda image: [session.submit("describe", model="clip", image=image).result(20)],
    "map": lambda image: session.map(
        "describe", [image], model="clip", timeout=20, progress=False
    ).results(),
    "list": lambda image: session.run_all("describe", [{"model": "clip", "image": image}], 20),
}

def press():
    os.kill(os.getpid(), signal.SIGINT)

def at_random(action, image):
    killer = threading.Timer(dice.uniform(0.0, 0.12), press)
    killer.start()
    action(image)
    killer.join()

def at_a_step(action, image):
    left = int(10 ** dice.uniform(0, 4.2))

    def trace(frame, event, argument):
        nonlocal left
        frame.f_trace_opcodes = True
        left -= 1
        if left == 0:
            sys.settrace(None)
            press()
        return trace if left > 0 else None

    sys.settrace(trace)
    try:
        action(image)
    finally:
        sys.settrace(None)

interrupted, odd = 0, []
for number, image in enumerate(images):
    name = dice.choice(sorted(ACTIONS))
    try:
        {"random": at_random, "step": at_a_step}[how](ACTIONS[name], image)
    except KeyboardInterrupt:
        interrupted += 1
    except BaseException as error:
        odd.append(f"{name} {number}: {error!r}")
    try:
        result = ACTIONS[name](image)[0]
    except BaseException as error:
        odd.append(f"{name} {number} again: {error!r}")
        continue
    if result.caption != f"clip sees {image}":
        odd.append(f"{name} {number}: {result.caption!r} {result.error}")
print(json.dumps([interrupted, odd]))
"""


def pressed(
    stub: Stub, home: Path, how: str, seed: int, images: list[str]
) -> tuple[int, list[str]]:
    arguments = [stub.url, str(home), KEY_ID, KEY_SECRET, how, str(seed), json.dumps(images)]
    process = subprocess.run(
        [sys.executable, "-c", PRESS, *arguments], capture_output=True, text=True, timeout=900
    )
    assert process.returncode == 0, process.stderr
    interrupted, odd = json.loads(process.stdout)
    return interrupted, odd


@pytest.mark.parametrize(("how", "count"), [("random", AT_RANDOM), ("step", STEPS)])
def test_no_interrupt_loses_doubles_or_hangs_a_task(tmp_path: Path, how: str, count: int):
    """n = 60 at random moments and 60 at steps of the interpreter (900 and 3,000 in a soak)."""
    images = [f"https://pictures.invalid/{number}.jpg" for number in range(count)]
    with Stub() as stub:
        service = Service(duration=lambda: 0.03).on(stub)
        interrupted, odd = pressed(stub, tmp_path, how, 7, images)

    assert odd == []
    assert interrupted > count / 3
    service.paid_once(images)


@pytest.mark.kernel
def test_no_interrupt_of_a_kernel_loses_doubles_or_hangs_a_task(tmp_path: Path):
    """n = 30: a magic is interrupted at a random moment, and the same line then finishes."""
    dice = random.Random(3)
    images = [f"https://pictures.invalid/{number}.jpg" for number in range(30)]
    with Stub() as stub:
        service = Service(duration=lambda: 0.1).on(stub)
        keys = {"IMGOPEN_ACCESS_KEY_ID": KEY_ID, "IMGOPEN_ACCESS_KEY_SECRET": KEY_SECRET}
        home = {"IMGOPEN_HOME": str(tmp_path / "home"), "IMGOPEN_BASE_URL": stub.url}
        with started(tmp_path, **keys, **home) as kernel:
            kernel.run("%load_ext imgopen_nb\nimport os, signal, threading")
            kernel.run("%imgopen describe https://pictures.invalid/first.jpg --model clip")
            interrupted = 0
            for image in images:
                line = f"r = %imgopen describe {image} --model clip --timeout 20"
                # From within the cell: outside of cells Jupyter itself may drop what comes next.
                press = f"{dice.uniform(0.0, 0.2)}, os.kill, (os.getpid(), signal.SIGINT)"
                cell = f"killer = threading.Timer({press})\nkiller.start()\n{line}\nkiller.join()"
                interrupted += kernel.run(cell)["reply"]["status"] == "error"
                seen = kernel.run(f"killer.join()\n{line}")
                assert seen["error"] is None, "\n".join(seen["error"]["traceback"])
                assert kernel.printed("print(r.caption)") == caption_of(image, "clip")

    assert interrupted > 5
    service.paid_once([*images, "https://pictures.invalid/first.jpg"])


def test_a_time_limit_holds_while_the_service_takes_its_time_to_accept(
    session: Session, stub: Stub
):
    """`run` gives up in time; the task goes on being sent, and is found again by the same call."""
    service, asked = Service(duration=lambda: 0.0), threading.Event()

    def slow(request: Request) -> Reply:
        reply = service.answer(request)
        if not request.path.endswith("queryTask"):
            asked.wait(20)
        return reply

    stub.answer = slow
    with pytest.raises(TaskTimeoutError, match=r"within 1 s: describe nb\w+ is being sent") as seen:
        session.run("describe", timeout=1, model="clip", image=PICTURE)
    asked.set()

    assert seen.value.task.id in str(seen.value)
    assert f"%imgopen wait {seen.value.task.id}" in str(seen.value.hint)
    assert session.run("describe", model="clip", image=PICTURE).caption
    service.paid_once([PICTURE])


def test_a_time_limit_before_anything_was_sent_says_so(session: Session, stub: Stub):
    """The image's server does not answer, so nothing was sent yet, and nothing is sent later."""
    service = Service().on(stub)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        image = f"http://127.0.0.1:{silent.getsockname()[1]}/x.png"
        with pytest.raises(TaskTimeoutError, match=r"within 0\.2 s: describe was not sent"):
            session.run("describe", timeout=0.2, image=image)
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "imgopen-sending"])

    assert not service.accepted
    assert session.rows() == []


# Nothing leaves later that somebody has stopped while it waited for its turn.


def run_stopped(session: Session) -> None:
    with ctrl_c(session.rows), pytest.raises(TaskInterrupted, match="%imgopen resume"):
        session.run("describe", model="clip", image=PICTURE)


def run_stopped_twice(session: Session) -> None:
    run_stopped(session)

    def again() -> bool:
        return any(not task.withdrawn for task in session.manager.store.handles())

    with ctrl_c(again), pytest.raises(TaskInterrupted, match="%imgopen resume"):
        session.run("describe", model="clip", image=PICTURE)


def batch_stopped(session: Session) -> None:
    with ctrl_c(session.rows), pytest.raises(TaskInterrupted, match="1 possibly not sent yet"):
        session.map("describe", [PICTURE], model="clip", progress=False)


def cancelled(session: Session) -> None:
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(session.run, "describe", model="clip", image=PICTURE)
        wait_until(lambda: session.rows())
        assert "%imgopen resume" in session.resume()[0].cancel()
        THROTTLE_OPENS.set()
        with pytest.raises(WaitCancelledError, match="stopped before it was sent"):
            run.result()


def closed(session: Session) -> None:
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(session.run, "describe", model="clip", image=PICTURE)
        wait_until(lambda: session.rows())
        (task,) = session.resume()
        session.close()
        with pytest.raises(WaitCancelledError, match="is closed"):
            task.result()
        THROTTLE_OPENS.set()
        with pytest.raises(WaitCancelledError):
            run.result()


def form_stopped(session: Session) -> None:
    ends: SimpleQueue[object] = SimpleQueue()
    call = {"model": "clip", "image": PICTURE}
    run = Run(lambda: session, "describe", call, lambda *_: None, ends.put)
    run.start()
    wait_until(lambda: session.rows())
    run.cancel()
    assert isinstance(ends.get(timeout=20), WaitCancelledError)


THROTTLE_OPENS = threading.Event()


@pytest.mark.parametrize(
    "stop", [run_stopped, run_stopped_twice, batch_stopped, cancelled, closed, form_stopped]
)
def test_what_is_stopped_while_it_waits_for_its_turn_does_not_leave_and_is_sent_when_asked_again(
    session: Session, stub: Stub, monkeypatch: pytest.MonkeyPatch, stop: Callable[[Session], None]
):
    service = Service(duration=lambda: 0.0).on(stub)
    THROTTLE_OPENS.clear()
    monkeypatch.setenv("IMGOPEN_SETTLE", "600")  # nothing is looked for that never left
    monkeypatch.setattr(Throttle, "wait", lambda _: THROTTLE_OPENS.wait(20))
    stop(session)
    THROTTLE_OPENS.set()
    wait_until(lambda: not any(task.sending for task in session.manager.store.handles()))

    assert stub.submissions() == []
    with Session(stub.url, KEY_ID, KEY_SECRET, session.settings.home) as again:
        assert again.run("describe", 20, model="clip", image=PICTURE).caption
    service.paid_once([PICTURE])


def test_a_wait_that_was_given_up_before_its_end_was_asked_for_says_so_at_once(
    session: Session, stub: Stub
):
    Service(duration=lambda: 60.0).on(stub)
    task = session.submit("describe", model="clip", image=PICTURE)
    told: list[Task] = []
    task.abort_waits(SubmissionLostError("there is no way to tell"))
    task.add_done_callback(told.append)

    assert told == [task]


def test_ctrl_c_pressed_twice_is_one_interruption():
    def interrupted() -> None:
        with Uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            raise TaskInterrupted("the first")

    with pytest.raises(TaskInterrupted, match="the first"):
        interrupted()


class Panic(BaseException):
    """What a library in Rust raises when it panics is no Exception either."""


def test_a_panic_while_a_row_is_sent_is_its_row_s_and_the_others_go_on(
    session: Session, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    """More panics than there are threads that send."""
    Service(duration=lambda: 0.0).on(stub)
    calls = [{"model": "clip", "image": f"{PICTURE}?{n}"} for n in range(12)]
    submit = session.manager.submitter.submit

    def panicking(operation: Any, params: Any, **more: Any) -> Any:
        if not params["image"].endswith("?11"):
            raise Panic("in a library")
        return submit(operation, params, **more)

    monkeypatch.setattr(session.manager.submitter, "submit", panicking)
    results = session.run_all("describe", calls, 20)

    assert [result.error for result in results[:11]] == ["Panic: in a library"] * 11
    assert results[11].caption


@pytest.mark.parametrize("seconds", [0, 1e-6])
def test_a_result_of_the_history_comes_within_any_time_limit(
    session: Session, stub: Stub, seconds: float
):
    Service(duration=lambda: 0.0).on(stub)
    first = session.run("describe", model="clip", image=PICTURE)

    assert session.run("describe", timeout=seconds, model="clip", image=PICTURE).cached
    assert first.caption == caption_of(PICTURE, "clip")
