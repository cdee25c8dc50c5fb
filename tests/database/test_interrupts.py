"""Ctrl-C within a block that must run whole."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from imgopen_nb.database.database import Database
from imgopen_nb.database.interrupts import Uninterrupted


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
