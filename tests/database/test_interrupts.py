"""Ctrl-C within a block that must run whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from imgopen_nb.database.database import Database
from imgopen_nb.database.interrupts import Uninterrupted
from imgopen_nb.images.picture import samples

from ..conftest import often


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_is_raised_when_the_outermost_block_has_ended():
    steps = []

    def nested() -> None:
        with Uninterrupted():
            with Uninterrupted():
                press()
                steps.append("inner")
            press()
            steps.append("outer")

    with pytest.raises(KeyboardInterrupt):
        nested()

    assert steps == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_ctrl_c_nothing_is_raised_and_the_handler_is_as_before():
    with Uninterrupted():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        press()


def test_an_error_of_the_block_passes_and_the_handler_is_as_before():
    with pytest.raises(ValueError, match="mine"), Uninterrupted():
        raise ValueError("mine")

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_that_ignores_ctrl_c_goes_on_ignoring_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Uninterrupted():
            press()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_are_not_concerned():
    def work() -> None:
        with Uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    seen: list[object] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert seen == [signal.default_int_handler]


def test_a_transaction_is_whole_and_its_lock_is_free_after_ctrl_c(tmp_path: Path):
    database = Database(tmp_path)

    def change() -> None:
        with database.transaction():
            press()
            database.run("CREATE TABLE notes (text)")
            database.run("INSERT INTO notes VALUES ('whole')")

    with pytest.raises(KeyboardInterrupt):
        change()
    rows: list[object] = []
    other = threading.Thread(
        target=lambda: rows.extend(database.read("SELECT text FROM notes", (), ("text",)))
    )
    other.start()
    other.join(10)

    assert rows == [{"text": "whole"}]


FIRST_CALLS = """
import os, signal, sys, time
import imgopen_nb

events, at = 0, -1

def audit(name, arguments):
    global events
    events += name == "import"
    if name == "import" and events == at:
        signal.raise_signal(signal.SIGINT)

def call():
    with imgopen_nb.Session() as session:
        assert len(session.history()) == 0
    from imgopen_nb.images.thumbnail import thumbnail
    with open(sys.argv[1], "rb") as file:
        assert thumbnail(file.read(), 99).width == 99
    import numpy.linalg, pandas.io.json, PIL.Image
    assert imgopen_nb.session and numpy.linalg and pandas.io.json and PIL.Image

def in_a_child(run):
    reading, writing = os.pipe()
    if not os.fork():
        try:
            os.write(writing, repr(run()).encode())
        except BaseException as error:
            os.write(writing, repr(error).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        return file.read()

def interrupted():
    try:
        call()
        time.sleep(5)
    except KeyboardInterrupt:
        call()
        return "works"

sys.addaudithook(audit)
total = int(in_a_child(lambda: call() or events))
count = int(sys.argv[2])
found = []
for number in range(count):
    at = 1 + total * (2 * number + 1) // (2 * count)
    found.append(in_a_child(interrupted))
print(total > 300, sorted(set(found)))
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="processes are forked")
def test_the_first_call_is_interrupted_while_it_imports_and_then_works(tmp_path: Path):
    """n = 4 moments (200 in a soak) among some 900 imports, pandas and numpy among them."""
    command = [sys.executable, "-c", FIRST_CALLS, str(samples()["astronaut"]), str(often(4, 200))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    assert (done.stdout.strip(), done.stderr) == ("""True ["'works'"]""", "")


def test_an_import_of_other_modules_can_be_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A module of the user may run for hours."""
    (tmp_path / "long_work.py").write_text(
        "import signal\nsignal.raise_signal(signal.SIGINT)\nraise AssertionError"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        __import__("long_work")
