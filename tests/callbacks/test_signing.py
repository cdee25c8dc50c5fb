"""The key that signs public addresses: one, secret, and no longer valid after a rotation."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgopen_nb.callbacks.signing import BYTES, FILE, SIGNATURE, Signer
from imgopen_nb.errors import SettingsError

SIGN = """
import sys
from pathlib import Path
from imgopen_nb.callbacks.signing import Signer
signer = Signer(Path(sys.argv[1]))
sys.stdin.readline()
print(signer.sign("callback", "nb1"), flush=True)
for line in sys.stdin:
    print(signer.check(line.strip(), "callback", "nb1"), flush=True)
"""


def other(home: Path) -> subprocess.Popen[str]:
    """A process that signs at the first line it gets, then checks what each further one says."""
    command = [sys.executable, "-c", SIGN, str(home)]
    return subprocess.Popen(command, stdin=-1, stdout=-1, text=True)


def tell(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_processes_that_need_a_key_at_once_make_one(tmp_path: Path):
    processes = [other(tmp_path / "new") for _ in range(6)]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    made = {process.communicate()[0].strip() for process in processes}

    assert made == {Signer(tmp_path / "new").sign("callback", "nb1")}
    assert [p.name for p in (tmp_path / "new").iterdir()] == [FILE]  # no drafts are left


def test_nobody_else_can_read_the_key_whatever_the_umask(tmp_path: Path):
    before = os.umask(0)
    try:
        Signer(tmp_path / "new").sign("callback", "nb1")
        Signer(tmp_path / "rotated").rotate()
    finally:
        os.umask(before)

    for name in ("new", "rotated"):
        assert stat.S_IMODE((tmp_path / name / FILE).stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700


def test_a_key_that_others_may_read_is_closed_again(tmp_path: Path):
    signature = Signer(tmp_path).sign("callback", "nb1")
    (tmp_path / FILE).chmod(0o644)

    assert Signer(tmp_path).check(signature, "callback", "nb1")
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_rotation_kills_signatures_in_another_process_at_once(tmp_path: Path):
    process, signer = other(tmp_path), Signer(tmp_path)
    old = tell(process, "go")
    assert tell(process, old) == "True"
    signer.rotate()

    assert tell(process, old) == "False"
    assert tell(process, signer.sign("callback", "nb1")) == "True"
    process.communicate()


def test_without_a_key_nothing_is_right_and_none_is_made(tmp_path: Path):
    assert not Signer(tmp_path / "new").check("A" * 43, "callback", "nb1")
    assert not (tmp_path / "new").exists()


def test_a_signature_is_for_one_purpose_one_task_and_one_home(tmp_path: Path):
    signer = Signer(tmp_path / "a")
    signature = signer.sign("callback", "nb1")

    assert signer.check(signature, "callback", "nb1")
    assert not signer.check(signature, "picture", "nb1")
    assert not signer.check(signature, "callback", "nb2")
    assert not signer.check(signature, "callback", "nb1", "")
    assert not Signer(tmp_path / "b").check(signature, "callback", "nb1")
    Signer(tmp_path / "b").rotate()
    assert not Signer(tmp_path / "b").check(signature, "callback", "nb1")


def test_parts_cannot_run_into_each_other(tmp_path: Path):
    with pytest.raises(ValueError, match="line break"):
        Signer(tmp_path).sign("callback", "a\nb")


@given(st.text() | st.from_regex(SIGNATURE, fullmatch=True))
def test_whatever_else_is_given_is_no_signature(
    tmp_path_factory: pytest.TempPathFactory, text: str
):
    home = tmp_path_factory.getbasetemp() / "signing"
    signer = Signer(home)
    true = signer.sign("callback", "nb1")

    assert signer.check(text, "callback", "nb1") is (text == true)


@pytest.mark.parametrize("trouble", ["short", "folder", "pipe", "link", "home is a file"])
def test_a_key_that_is_none_is_an_error_and_stays_as_it_is(tmp_path: Path, trouble: str):
    """A pipe would have us wait forever; a link may lead to a file of somebody else."""
    path = tmp_path / FILE
    home = tmp_path
    if trouble == "short":
        path.write_bytes(b"x" * (BYTES - 1))
    elif trouble == "folder":
        path.mkdir()
    elif trouble == "pipe":
        os.mkfifo(path)
    elif trouble == "link":
        (tmp_path / "elsewhere").write_bytes(b"x" * BYTES)
        path.symlink_to(tmp_path / "elsewhere")
    else:
        home = tmp_path / "home"
        home.write_text("")

    for ask in (lambda s: s.sign("callback", "nb1"), lambda s: s.check("A" * 43, "callback", "x")):
        with pytest.raises(SettingsError, match="callbacks"):
            ask(Signer(home))


def test_the_repr_shows_no_key(tmp_path: Path):
    signer = Signer(tmp_path)
    signer.sign("callback", "nb1")

    assert repr(signer) == f"Signer({str(tmp_path / FILE)!r})"
