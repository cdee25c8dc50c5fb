"""Slips of the first hour: each is answered in a sentence that says what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from IPython.core.history import HistoryAccessor
from IPython.core.interactiveshell import InteractiveShell

import imgopen_nb as imgopen
from imgopen_nb import session as session_module
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.catalogue.parameter import Param
from imgopen_nb.commands.registry import find
from imgopen_nb.errors import ImgOpenError, ParameterError, UnknownNameError, UsageError
from imgopen_nb.session import Session
from imgopen_nb.stream import stream
from imgopen_nb.syntax.parser import HelpAsked

from .conftest import KEY_ID, KEY_SECRET
from .service import Service
from .stub import Stub


@pytest.fixture
def session(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """The current session, whose service describes every image; the cache is on."""
    monkeypatch.setenv("IMGOPEN_CACHE", "on")
    Service(duration=lambda: 0.0).on(stub)
    with Session(stub.url, KEY_ID, KEY_SECRET) as made:
        session_module.set_current(made)
        yield made


@pytest.fixture
def shell(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:
    """A shell in a folder with two photos, a note and a table without rows."""
    photos = tmp_path / "work" / "photos"
    photos.mkdir(parents=True)
    for name in ("chelsea", "dog"):
        PIL.Image.new("RGB", (8, 8)).save(photos / f"{name}.jpg")
    (photos.parent / "readme.txt").write_text("a note\n")
    (photos.parent / "empty.csv").write_text("url\n")
    monkeypatch.chdir(photos.parent)
    monkeypatch.setattr(HistoryAccessor, "enabled", False)
    made = InteractiveShell()
    made.run_line_magic("load_ext", "imgopen_nb")
    return made


def line(shell: InteractiveShell, text: str) -> Any:
    return shell.run_line_magic("imgopen", text)


@pytest.mark.parametrize("name", ["upscale", "inpaint_fill", "model", "position"])
@pytest.mark.parametrize("form", ["-{}", "--{}", "{}-", "_{}", "- {}", "+{}-"])
def test_a_sign_before_or_behind_a_choice_is_never_dropped(name: str, form: str):
    param = {
        "upscale": OPERATIONS["upscale"].param("scale"),
        "inpaint_fill": OPERATIONS["image2image"].param("inpaint_fill"),
        "model": OPERATIONS["describe"].param("model"),
        "position": OPERATIONS["watermark"].param("position"),
    }[name]
    for option in param.options:
        assert param.check(str(option)) == option
        if form == "-{}" and option == 0:
            continue  # -0 is 0
        with pytest.raises(ParameterError, match="must be"):
            param.check(form.format(option))


def test_a_choice_of_digits_is_not_read_out_of_others():
    """2-4 is neither 24 nor a choice."""
    for text in ("2-4", "2 4", "2_4"):
        with pytest.raises(ParameterError):
            Param("n", "n", "string", choices=("24", "x")).check(text)
    assert Param("n", "n", "string", choices=("top-left",)).check(" Top Left ") == "top-left"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("upscale sample:chelsea --scale -2", "scale must be 2 or 4, not -2"),
        ("upscale sample:chelsea -4", "scale must be 2 or 4, not -4"),
        ("describe --from photos --grid model=-clip", "model must be clip"),
        ("describe --from photos --max -1", "--max must be a whole number of at least 0"),
        ("describe --from photos --concurrency -2", "--concurrency must be a whole number"),
        ("history --limit -3", "--limit must be a whole number"),
        ('text2image --from {["a","b"]}', "variable: x = [...], then --from {x}"),
        ('text2image --from {["a", "b"]}', "variable: x = [...], then --from {x}"),
        ('text2image --from ["a", "b"]', "variable: x = [...], then --from {x}"),
        ('text2image --from {"a", "b"}', "variable: x = [...], then --from {x}"),
        ("text2image --from '{[1, 2]}'", "variable: x = [...], then --from {x}"),
        ("describe --from={['a','b']}", "variable: x = [...], then"),
        ('text2image --prompt {["a"]}', "variable: x = [...], then {x}"),
        ("text2image --from photos --grid seed={[1,2]}", "variable: x = [...], then {x}"),
        ("face-swap sample:astronaut", "two images, FACE then IMAGE; only the face was given"),
        ("face-swap-v2 --image sample:coffee", "face-swap-v2 needs a face"),
        ("face-fusion sample:astronaut", "two images, FACE then IMAGE; only the face was given"),
        ("dataset reject photos chelsea.jpg", "did you mean --only chelsea.jpg?"),
        ("dataset keep photos chelsea.jpg", "did you mean --only chelsea.jpg?"),
        ("dataset reject photos my cat", "put a name with spaces in quotes"),
        ("erase sample:coffee", "paint one: %imgopen erase sample:coffee --form"),
        ("erase", "erase needs an image and a mask"),
        ("upscale", "upscale needs an image"),
        ("text2image", "text2image needs a prompt"),
        ("train", "train needs images"),
        ("describe chelsea", "did you mean sample:chelsea?"),
        ("describe chelse", "did you mean sample:chelsea?"),
        ("describe photos/chelsea.png", "did you mean photos/chelsea.jpg?"),
        ("describe photos/chelsea", "did you mean photos/chelsea.jpg?"),
        ("describe photos/other.png", "looked in "),
        ("compare photos --models clip,clp", "not 'clp'"),
        ("describe --from photos --models clip,clp", "not 'clp'"),
        ("import nofile.parquet", "there is no file nofile.parquet"),
        ("import nofile.jsonl", "there is no file nofile.jsonl"),
        ("form describe sample:nope", "%imgopen describe sample:nope --form"),
        ("history photos", "did you mean --images photos?"),
        ("history 5", "did you mean --limit 5?"),
        ("history describe", "did you mean --operation describe?"),
        ("outpaint sample:coffee 1.5", "did you mean --vertical 1.5?"),
        ("describe --from nofile.csv", "looked in "),
        ("describe --from nofolder", "looked in "),
        ("describe --from nofolder/x.csv", "the folder nofolder does not exist"),
        ("describe readme.txt", "if it lists images: %imgopen describe --from readme.txt"),
        ('describe "sample:chelsea', 'add the closing quote: describe "sample:chelsea"'),
        ("describe 'a b", "add the closing quote: describe 'a b'"),
        ("text2image don't do that", "put a word with an apostrophe in double quotes"),
        ("photos", "did you mean %imgopen caption photos?"),
        ("sample:chelsea", "did you mean %imgopen describe sample:chelsea?"),
        ("cat.png", "did you mean %imgopen describe cat.png?"),
        ("https://e.org/a.jpg", "did you mean %imgopen describe https://e.org/a.jpg?"),
        ("xyzzy", "%imgopen lists all commands"),
    ],
)
def test_a_line_is_answered_by_what_was_meant(
    shell: InteractiveShell, stub: Stub, text: str, says: str
):
    with pytest.raises(ImgOpenError) as caught:
        line(shell, text)

    assert says in " ".join(str(caught.value).split())
    assert stub.requests == []


@pytest.mark.parametrize("text", ["history photos", "form describe x", "outpaint sample:coffee x"])
def test_quotes_are_advised_only_where_a_text_could_go(shell: InteractiveShell, text: str):
    with pytest.raises(ParameterError) as caught:
        line(shell, text)

    assert "was not expected" in str(caught.value)
    assert "quotes" not in str(caught.value)


def test_braces_that_are_doubled_are_a_prompt(shell: InteractiveShell):
    plan = line(shell, 'text2image --dry-run --from "{{red|blue}}"')

    assert (plan.rows, plan.new) == (1, 1)


def test_a_folder_is_no_mask_and_the_hint_names_a_file(session: Session, tmp_path: Path):
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "a.png")

    with pytest.raises(ImgOpenError, match=r"is a folder\n.*give one file of it, such as .*a\.png"):
        session.submit("image2image", image="sample:coffee", mask=str(tmp_path), prompt="x",
                       model="m")  # fmt: skip


def test_a_history_without_a_match_says_what_was_asked_and_how_much_there_is(
    shell: InteractiveShell,
):
    assert repr(line(shell, "history")) == repr(line(shell, "history --model nope"))
    line(shell, "describe --from https://e.org/1.jpg https://e.org/2.jpg")

    view = line(shell, "history --model nope --limit 3")

    assert repr(view) == "No task matches --model nope (2 in the history)."
    assert "No task matches --model nope" in view._repr_mimebundle_()["text/html"]
    assert len(line(shell, "history")) == 2


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda s: s.run("upscale", "sample:coffee"), "name the parameter: image='sample:coffee'"),
        (lambda s: s.run("upscale", Path("a.png"), 2), "name the parameter: image=..., scale=2"),
        (lambda s: s.run("describe", 5, "a.png"), "name the parameter: image='a.png'"),
        (lambda s: s.submit("erase", "a", "b"), "name the parameter: image='a', mask='b'"),
        (lambda s: s.run("describe", image="a.png", timeout="x"), "timeout must be a number"),
        (lambda s: s.map("describe", ["a.png"], max=1), "did you mean most=1?"),
        (lambda s: s.map("describe", ["a.png"], limit=1), "did you mean most=1?"),
        (lambda s: s.map("describe", ["a.png"], workers=4), "did you mean concurrency=4?"),
        (lambda s: s.map("describe", ["a.png"], force=True), "did you mean fresh=True?"),
        (lambda s: s.map("describe", ["a.png"], dryrun=True), "did you mean dry_run=True?"),
        (lambda s: s.run("describe", image="a.png", force=True), "did you mean fresh=True?"),
        (lambda s: s.submit("describe", image="a.png", nocache=True), "did you mean fresh=True?"),
        (lambda s: imgopen.compare(["a.png"], models="clip"), "%imgopen compare IMAGES"),
        (lambda s: imgopen.dataset("photos", session="nope"), "session must be a Session"),
        (lambda s: imgopen.dataset("photos", session=5), "imgopen.current()"),
        (lambda s: session_module.set_current("nope"), "session must be a Session"),
        (lambda s: stream("nope", OPERATIONS["describe"], []), "session must be a Session"),
    ],
)
def test_a_call_is_answered_by_what_was_meant(
    session: Session, stub: Stub, call: Callable[[Session], Any], says: str
):
    with pytest.raises(UsageError, match=re.escape(says)):
        call(session)
    assert stub.requests == []


@pytest.mark.parametrize("timeout", [30, 30.0, np.float32(30), timedelta(seconds=30)])
def test_a_timeout_needs_no_name(session: Session, timeout: Any):
    result: Any = session.run("describe", timeout, image="https://e.org/1.jpg")

    assert result.caption


def test_a_name_that_the_package_lacks_is_an_attribute_error_with_a_suggestion():
    with pytest.raises(AttributeError, match=r"did you mean .*form"):
        _ = imgopen.frm
    assert not hasattr(imgopen, "session_lock")
    assert not hasattr(imgopen, "__wrapped__")
    with pytest.raises(UnknownNameError) as caught:
        _ = imgopen.xyz
    assert "_import_whole" not in str(caught.value)


def test_a_batch_that_its_limit_ended_says_so(shell: InteractiveShell, session: Session):
    urls = "https://e.org/1.jpg https://e.org/2.jpg"

    none = repr(line(shell, f"describe --max 0 --from {urls}"))
    assert "--max 0 was reached; raise --max" in none
    assert "again" not in none
    assert "--max 1 was reached" in repr(line(shell, f"describe --max 1 --from {urls}"))
    assert "was reached" not in repr(line(shell, f"describe --max 2 --from {urls}"))
    both: Any = session.map(
        "describe", ["/none.png", "https://e.org/9.jpg"], most=0, progress=False
    )
    assert "--max 0 was reached" in repr(both)
    assert ".errors() says why" in repr(both)


def test_an_input_without_rows_is_called_that(shell: InteractiveShell, session: Session):
    assert repr(line(shell, "describe --from empty.csv")) == "describe: empty.csv has no rows"
    assert "empty.csv has no rows" in repr(line(shell, "describe --dry-run --from empty.csv"))
    for empty in ([], (), iter([])):
        assert repr(session.map("describe", empty)) == "describe: the input has no rows"


@pytest.mark.parametrize(
    ("name", "parts", "never"),
    [
        ("erase", ["The image. (required)", "Assumed: the vendor documents neither"], "also img"),
        ("outpaint", ["from 1 to 4 (assumed)", "Vertical growth factor. (required; from 1 to 4;"],
         "cut off"),
        ("expand-prompt", ["from 0.01 to 1 (assumed)"], "cut off"),
        ("hairstyle", ["The image. (required; assumed)"], "not documented, assumed"),
        ("export", ["also replace your own file"], "of yours"),
        ("describe", ["also replace your own files"], "of yours"),
    ],
)  # fmt: skip
def test_help_marks_what_is_assumed_in_a_word(name: str, parts: list[str], never: str):
    with pytest.raises(HelpAsked) as caught:
        find(name).parser().read(["--help"])

    text = " ".join(str(caught.value).split())
    assert [part for part in parts if part not in text] == []
    assert never not in text
