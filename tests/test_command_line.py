"""The command `imgopen`: images that can be had, any encoding, and texts for a terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from imgopen_nb import session as session_module
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.cli import main
from imgopen_nb.commands.registry import COMMANDS
from imgopen_nb.images.picture import samples
from imgopen_nb.text import as_typed

from .conftest import KEY_ID, KEY_SECRET
from .stub import Reply, Request, Stub, ok

DOCUMENTED = ["control-preview", "--preprocessor", "canny"]
COMMAND = [sys.executable, "-m", "imgopen_nb.cli"]
# Operations that draw or change an image quickly, and what else they need.
CALLS = {
    "text2image": ["a fox"],
    "enlarge": ["cup.png"],
    "watermark": ["cup.png", "--text", "mine"],
    "control-preview": ["cup.png", "--preprocessor", "canny"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder, with a small image."""
    monkeypatch.chdir(tmp_path)
    with PIL.Image.open(samples()["coffee"]) as image:
        image.thumbnail((96, 96))
        image.save("cup.png")
    yield tmp_path
    if session_module._current:
        session_module._current.close()


@pytest.fixture
def keys(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGOPEN_BASE_URL", stub.url)
    monkeypatch.setenv("IMGOPEN_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("IMGOPEN_ACCESS_KEY_SECRET", KEY_SECRET)


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, timeout=60, env={**os.environ, **environment}
    )


# Images.


def test_the_pictures_of_a_sandbox_that_has_ended_lie_where_the_command_says(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """One sandbox: text, JSON, status, a result from the history, a table, and --save."""
    monkeypatch.setenv("IMGOPEN_CACHE", "on")
    for name, words in CALLS.items():
        assert main([name, *words, "--save", "made"]) == 0
        (picture,) = (p for p in (folder / "made").glob(f"*{name}-nb*") if p.suffix != ".json")
        PIL.Image.open(picture).load()
        origin = json.loads(picture.with_suffix(".json").read_text("utf-8"))
        assert (origin["operation"], origin["files"]) == (name, [picture.name])
        assert f"saved: {picture.relative_to(folder)}" in capsys.readouterr().out
    task = origin["task_id"]
    (folder / "cups").mkdir()
    for number in range(2):
        PIL.Image.new("RGB", (40, 30 + number)).save(folder / "cups" / f"{number}.png")
    assert main(["enlarge", "--from", "cups", "--save", "all", "--out", "t.csv"]) == 0
    assert "2 rows written to t.csv" in capsys.readouterr().out
    assert main(["enlarge", "--from", "cups", "--out", "u.csv"]) == 0
    assert len(list((folder / "all").glob("?-enlarge-nb*.png"))) == 2
    assert "all/0-enlarge-nb" in (folder / "t.csv").read_text("utf-8-sig")
    session_module.current().close()
    session_module.set_current(None)
    capsys.readouterr()

    for words in (["status", task], ["wait", task], ["control-preview", *CALLS["control-preview"]]):
        assert main(words) == 0
        said = capsys.readouterr().out
        path = next(
            Path(line)
            for line in said.splitlines()
            if line.startswith("/") and line[-4:] in (".png", ".jpg")
        )
        PIL.Image.open(path).load()
        assert "http" not in said
        assert "--save FOLDER keeps them" in said
        assert main([*words, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert Path((told.get("image_urls") or told["tasks"][0]["image_urls"])[0]) == path
    assert main(["status", task, "--save", "later", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert all(Path(file).is_file() for file in files)
    assert str(folder / "home" / "sandbox" / "files") in (folder / "u.csv").read_text("utf-8-sig")
    path.unlink()
    assert main(["status", task]) == 0
    assert "--fresh makes it again" in capsys.readouterr().out


@pytest.mark.parametrize("name", [op.name for op in OPERATIONS.runnable if op.kind == "images"])
def test_every_verb_that_makes_pictures_takes_save(name: str, capsys: pytest.CaptureFixture[str]):
    assert main([name, "--help"]) == 0

    said = capsys.readouterr().out
    assert "--save FOLDER" in said
    assert "%imgopen" not in said
    assert "variable" not in said
    assert ("--out FILE" in said) is bool(OPERATIONS[name].positional)


def drawing(stub: Stub) -> None:
    out = io.BytesIO()
    PIL.Image.new("RGB", (4, 3), "teal").save(out, "PNG")

    def answer(request: Request) -> Reply:
        if request.body is None:
            return Reply(out.getvalue())
        return ok(status=2, taskId="1", outputImageUrl=f"{stub.url}/out.png")

    stub.answer = answer


def test_save_replaces_only_what_it_wrote(
    folder: Path, keys: None, stub: Stub, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setenv("IMGOPEN_CACHE", "on")
    drawing(stub)
    call = [*DOCUMENTED, "https://e.org/a%20cup.jpg", "--save", "made"]
    assert main(call) == 0
    picture = next(path for path in (folder / "made").iterdir() if path.suffix == ".png")
    assert picture.name.startswith("a_20cup-control-preview-")
    assert main(call) == 0
    picture.write_bytes(b"edited")

    assert main(call) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert picture.read_bytes() == b"edited"
    assert main([*call, "--overwrite"]) == 0
    assert picture.read_bytes() != b"edited"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--save", "cup.png"], "is not a folder"),
        (["--save", "cup.png/x"], "is not a folder"),
        (["--save", "made", "--no-wait"], "imgopen wait TASK --save FOLDER"),
        (["--save", "made", "--form"], "--save cannot be used with --form"),
        (["--overwrite"], "--overwrite needs --save FOLDER"),
        (["--out", "x.csv"], "--out is the file for the table of a batch"),
        (["--out", "x.png"], "for images: --save FOLDER"),
    ],
)
def test_a_slip_with_save_or_out_is_one_sentence_and_nothing_is_sent(
    folder: Path, keys: None, stub: Stub, capsys: pytest.CaptureFixture[str],
    words: list[str], said: str,
):  # fmt: skip
    assert main(["enlarge", "https://e.org/a.jpg", *words]) == 2

    assert said in capsys.readouterr().err
    assert stub.requests == []


def test_the_input_s_own_folder_takes_no_pictures(
    folder: Path, keys: None, stub: Stub, capsys: pytest.CaptureFixture[str]
):
    assert main(["enlarge", "--from", ".", "--save", "."]) == 2

    assert "is the input" in capsys.readouterr().err
    assert stub.requests == []


# Encodings.

ODD = "naïve “café” — 猫 × 😀 … →"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "latin-1"])
def test_every_verb_writes_in_any_encoding(
    folder: Path, keys: None, stub: Stub, encoding: str, monkeypatch: pytest.MonkeyPatch
):
    """What the encoding lacks is replaced sign by sign, and JSON says the same as ever."""
    stub.answer = lambda request: ok(status=2, taskId="1", caption=ODD)
    verbs = [["describe", f"https://e.org/{number}.png"] for number in range(2)]
    verbs += [[], ["history"], ["ops"], ["config"], ["resume"], ["compare"], ["--version"]]
    verbs += [["status", "nope…"], ["nonsense—"], ["prune", "--before", "1d"], ["vacuum"]]
    verbs += [[name, "--help"] for name in COMMANDS]
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding))
    for words in verbs:
        assert main(words) in (0, 1, 2), words
    begin = raw.tell()
    assert main(["describe", "https://e.org/3.png", "--json"]) == 0

    said = raw.getvalue()
    assert json.loads(said[begin:].decode(encoding))["caption"] == ODD
    text = said[:begin].decode(encoding)
    if encoding == "ascii":
        assert 'na?ve "caf?" - ? x ? ... ->' in text
    if encoding == "utf-8":
        assert ODD in text


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "cp1252"}, {"LC_ALL": "C"}])
def test_a_real_process_writes_what_its_encoding_has(environment: dict[str, str]):
    done = run("ops", **environment)

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"remove-background" in done.stdout


def test_nobody_who_reads_the_output_is_no_traceback():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COMMAND, "ops"], stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)

    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_one_sentence():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, "ops"], stdout=full, stderr=subprocess.PIPE, timeout=60)

    assert done.returncode == 1
    assert b"the output cannot be written" in done.stderr
    assert b"Traceback" not in done.stderr


# Texts.


@pytest.mark.parametrize(
    "words",
    [[name, "--help"] for name in COMMANDS]
    + [["nonsense"], ["status", "nope"], ["enlarge"], ["enlarge", "--nope"], ["prune"], ["login"],
       ["compare"], ["describe", "--from", "nope.csv"], ["call", "/x", "--body", "1"], ["history"]],
    ids=" ".join,
)  # fmt: skip
def test_a_terminal_s_texts_say_imgopen(
    folder: Path, keys: None, stub: Stub, words: list[str], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: "")
    monkeypatch.setattr("builtins.input", lambda *_: "")
    main(words)

    said = "".join(capsys.readouterr())
    assert "%imgopen" not in said
    assert as_typed("%imgopen") == "%imgopen"  # a notebook of this process says the other


@pytest.mark.parametrize("status", [0, 1, 3, "lost"])
def test_cards_and_errors_of_tasks_say_imgopen(
    folder: Path, keys: None, stub: Stub, status: Any, capsys: pytest.CaptureFixture[str]
):
    stub.answer = lambda request: ok(status=status, taskId="1")
    main([*DOCUMENTED, "https://e.org/a.jpg", "--timeout", "0.1"])
    main(["history"])
    said = "".join(capsys.readouterr())
    task = next(word.strip(":,") for word in said.split() if word.startswith("nb"))
    main(["history", "--columns", "task_id,params", "seconds"])
    assert capsys.readouterr().out.split()[:3] == ["task_id", "params", "seconds"]
    main(["status", task[:16]])

    assert "%imgopen" not in said + "".join(capsys.readouterr())
