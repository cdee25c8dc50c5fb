"""Whatever is wrong with a call, one sentence names the field: every row, in every way.

The slips come from the catalogue's rows: required fields left out, wrong types, values out of
range, unknown choices, too many or too few images, names that do not exist. They are made in
Python, on a magic line, on a command line and on the wire; images that cannot be had and masks of
another size go to a real sandbox.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from IPython.core.history import HistoryAccessor
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

from imgopen_nb import cli
from imgopen_nb import session as session_module
from imgopen_nb.catalogue.operation import Operation
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.catalogue.parameter import MOST_LISTED, Param, folded, is_number
from imgopen_nb.errors import (
    ImgOpenError,
    ParameterError,
    PictureError,
    TaskFailedError,
    UsageError,
)
from imgopen_nb.images.picture import samples
from imgopen_nb.sandbox.process import SandboxProcess
from imgopen_nb.session import Session
from imgopen_nb.syntax.words import quote
from imgopen_nb.widgets.caption_board.board import board

from .sandbox_fixtures import Api, gallery, new_key, picture_bytes
from .stub import Stub, ok

__all__ = ["gallery"]

MOST = 200  # characters of a sentence, without its hint
URL = "https://example.org/a.png"
VALID = {"text": "a fox", "string": "x", "integer": 1, "number": 1.0, "object": {}, "image": URL}
WHOLE, NUMBER, TRUTH = "must be a whole number", "must be a number", "must be true or false"
TEXT, OBJECT, ADDRESS = "must be a string", "must be a JSON object", "must be an http(s) URL"
PICTURE = "must be an image (URL, file, bytes, PIL image or array)"
ODD = (object(), np.zeros((2, 2)), 10**5000)
# What is given, by the type that is wanted -> what the sentence says is expected.
WRONG: dict[str, dict[str, tuple[Any, ...]]] = {
    "integer": {WHOLE: ("wide", "", 1.5, "1.5", True, {"a": 1}, [1], "nan", "-inf", b"5",
                        math.nan, math.inf, 1e300, 10**50, *ODD)},
    "number": {NUMBER: ("wide", "", True, {"a": 1}, [1], "nan", "-inf", b"5",
                        math.nan, math.inf, *ODD)},
    "boolean": {TRUTH: ("maybe", "", 2, -1, {"a": 1}, [], math.nan, *ODD)},
    "object": {OBJECT: ("[1]", "{", "", 5, [1], {"a": math.nan}, {"a": {1}}, '{"a": NaN}', *ODD)},
    "string": {TEXT: ({"a": 1}, ["x"], True, math.nan, b"x", *ODD),
               "must be valid Unicode": ("a \ud800",)},
    "url": {ADDRESS: ("ftp://x", "x", "http://", "https:// x", {"a": 1}),
            TEXT.replace("a string", "an http(s) URL"): (5, True)},
    "image": {PICTURE: ({"a": 1}, [5], 5, True, math.nan, object(), 10**5000),
              "is empty": ("", " ", b"")},
    "images": {PICTURE: ([5], {"a": 1}, [URL, None], object()),
               "is empty": ("", [URL, ""])},
}  # fmt: skip
WRONG["text"] = WRONG["string"]
# The same on the wire, where there is only JSON and an image is a URL.
WRONG_ON_THE_WIRE: dict[str, tuple[Any, ...]] = {
    "integer": ("wide", "", 1.5, True, {"a": 1}, [1], "nan", 1e300),
    "number": ("wide", "", True, {"a": 1}, [1], "nan", "-inf"),
    "boolean": ("maybe", 2, {"a": 1}, []),
    "object": ("[1]", "", 5, [1]),
    "string": ({"a": 1}, ["x"], True),
    "text": ({"a": 1}, ["x"], True),
    "url": ("ftp://x", "x", "http://", 5, {"a": 1}),
    "image": ({"a": 1}, [URL], 5, True, "", " "),
    "images": ({"a": 1}, [5], 5, [URL, {}], [""]),
}
each_operation = pytest.mark.parametrize("op", OPERATIONS.runnable, ids=lambda op: op.name)


class Slip(NamedTuple):
    """One wrong call: its parameters, the field it is about, and what must be said of it."""

    given: dict[str, Any]
    field: str
    said: str


def valid(param: Param) -> Any:
    if param.type == "images":
        return [URL] * (param.min_items or 1)
    if param.options:
        return param.options[0]
    return VALID[param.type] if param.low is None else param.low


def call_of(op: Operation) -> dict[str, Any]:
    """Return the least that an operation takes."""
    either = op.one_of[:1]
    return {p.name: valid(p) for p in op.user_params if p.required or p.name in either}


def slips(op: Operation) -> Iterator[Slip]:
    """Yield every slip that the rows of an operation allow."""
    call = call_of(op)
    for param in op.user_params:
        name = param.name
        if param.required:
            yield Slip({n: v for n, v in call.items() if n != name}, name, f"{op.name} needs ")
        for value, said in off_values(param):
            yield Slip({**call, name: value}, name, said)
        if folded(f"{name}x") not in op.names:
            yield Slip({**call, f"{name}x": 1}, name, f"did you mean {name}")


def off_values(param: Param) -> Iterator[tuple[Any, str]]:
    """Yield values that a parameter does not take, and what must be said of each."""
    for said, values in WRONG[param.type].items():
        if not (param.options and "Unicode" in said):  # no choice has such letters
            values = [v for v in values if not (v is True and param.options == (0, 1))]
            for value in values:  # a word is told the choices, anything else the type
                chosen = param.options and isinstance(value, str) and not is_number(value)
                yield value, f"{param.options[-1]}, not" if chosen else said
    yield from out_of_range(param)
    if param.options:
        yield unknown_choice(param)
        yield from (
            (f"{choice}~", f"did you mean {choice}")
            for choice in param.options[:MOST_LISTED]
            if isinstance(choice, str)
        )
    if param.required and param.type in ("text", "string"):
        yield from ((value, "is empty: it needs some text") for value in ("", "  \n"))


def unknown_choice(param: Param) -> tuple[Any, str]:
    value = "nonsense" if isinstance(param.options[0], str) else 12345
    if len(param.options) > MOST_LISTED:
        return value, f"there is no {value!r}"
    return value, f"{param.options[-1]}, not {value!r}"


def out_of_range(param: Param) -> Iterator[tuple[Any, str]]:
    low, high = param.low, param.high
    if low is not None:
        said = f"at least {plain(low)}" if high is None else f"from {plain(low)} to {plain(high)}"
        yield from ((low - step, f"must be {said}") for step in (1, 1000))
    if high is not None:
        yield from ((high + step, f"to {plain(high)}, not") for step in (1, 1000))
    if param.max_items is not None:
        said = f"takes {param.min_items} to {param.max_items} images, not"
        yield [URL] * (param.max_items + 1), f"{said} {param.max_items + 1}"
        yield [URL] * ((param.min_items or 1) - 1), f"{said} {(param.min_items or 1) - 1}"


def plain(number: float) -> str:
    return format(Decimal(str(number)), "f")


def faults(error: BaseException, slip: Slip, kind: type[Exception] = UsageError) -> list[str]:
    """Return what is wrong with the message of an error, for a list of all such things."""
    message, hint = getattr(error, "message", ""), getattr(error, "hint", "")
    whole = f"{message} {hint}"
    checks = {
        "typed": isinstance(error, kind),
        "one line": "\n" not in message + hint,
        "short": 0 < len(message) <= MOST,
        "names the field": names(whole, slip.field),
        "says what is expected": slip.said in whole,
        "no address in memory": " at 0x" not in whole,
    }
    return [f"{what}: {error!r} for {slip}"[:600] for what, fine in checks.items() if not fine]


def names(text: str, field: str) -> bool:
    """Whether a text names a field, as people type it in Python or as an option."""
    written = "|".join(map(re.escape, (field, "--" + field.replace("_", "-"))))
    return re.search(rf"(?<![\w-])({written})(?![\w-])", text) is not None


def found(op: Operation, attempt: Callable[[Slip], Any], stub: Stub, rows: list[Slip]) -> list[str]:
    """Return what is wrong with the answers to slips: none may be taken, none may send anything."""
    wrong = []
    for slip in rows:
        try:
            attempt(slip)
        except Exception as error:
            wrong += faults(error, slip)
        else:
            wrong.append(f"taken: {op.name} {slip}"[:300])
    assert stub.requests == []
    assert session_module.current().rows() == []
    return wrong


@pytest.fixture
def unsent(stub: Stub) -> Iterator[Session]:
    """The current session, without keys; what it sends reaches the stub, which notes it."""
    with Session(stub.url) as made:
        session_module.set_current(made)
        yield made


@pytest.fixture
def shell(unsent: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setattr(HistoryAccessor, "enabled", False)
    made = InteractiveShell()
    made.run_line_magic("load_ext", "imgopen_nb")
    yield made
    made.run_line_magic("unload_ext", "imgopen_nb")


def test_there_are_slips_of_every_operation_and_parameter():
    """More than two thousand, none of them written down by hand."""
    made = {op.name: list(slips(op)) for op in OPERATIONS.runnable}

    assert len(made) == 27
    assert sum(map(len, made.values())) > 2000
    for op in OPERATIONS.runnable:
        assert {slip.field for slip in made[op.name]} == {p.name for p in op.user_params}


@each_operation
def test_in_python_every_slip_is_one_sentence_and_nothing_is_sent(
    op: Operation, unsent: Session, stub: Stub
):
    def attempt(slip: Slip) -> Any:
        return unsent.run(op.name, **slip.given)

    assert found(op, attempt, stub, list(slips(op))) == []


def test_run_all_refuses_all_calls_for_one_slip(unsent: Session, stub: Stub):
    with pytest.raises(ParameterError, match="model must be clip or deepdanbooru"):
        unsent.run_all("describe", [{"image": URL}, {"image": URL, "model": "blip"}])

    assert stub.requests == []


@pytest.mark.parametrize("name", ["descripe", "", None, 5, [], {"a": 1}])
def test_an_operation_that_there_is_not_is_a_sentence(unsent: Session, stub: Stub, name: Any):
    with pytest.raises(UsageError, match="there is no operation") as caught:
        unsent.run(name, image=URL)

    assert "\n" not in caught.value.message
    assert stub.requests == []


def line_of(op: Operation, slip: Slip, shell: InteractiveShell) -> str:
    """Return a slip as a magic line; what is not text becomes a variable."""
    words = [op.name]
    for name, value in slip.given.items():
        words.append("--" + name.replace("_", "-"))
        if isinstance(value, str):
            words.append(quote(value))
        else:
            shell.user_ns[f"v_{name}"] = value
            words.append(f"{{v_{name}}}")
    return " ".join(words)


def fits_a_line(slip: Slip) -> bool:
    """Whether a slip is one on a line, too: there a list is several words."""
    value = slip.given.get(slip.field)
    return not isinstance(value, list) or len(value) > 2


@each_operation
def test_on_a_magic_line_every_slip_is_one_sentence_and_nothing_is_sent(
    op: Operation, shell: InteractiveShell, stub: Stub
):
    def attempt(slip: Slip) -> Any:
        return shell.run_line_magic("imgopen", line_of(op, slip, shell))

    rows = [slip_on_a_line(slip) for slip in slips(op) if fits_a_line(slip)]
    assert found(op, attempt, stub, rows) == []


def slip_on_a_line(slip: Slip) -> Slip:
    """Return a slip with what is said of it on a line, where options have two dashes."""
    said = slip.said
    if said == f"did you mean {slip.field}":
        said = f"did you mean --{slip.field.replace('_', '-')}"
    return slip._replace(said=said)


@pytest.mark.parametrize("number", ["-1", "-0.5", "-1e-3", "-.5", "-inf", "-nan"])
def test_a_number_below_zero_is_a_value_and_no_option(
    shell: InteractiveShell, stub: Stub, number: str
):
    with pytest.raises(ParameterError, match=r"opacity must be (a number|from 0 to 1), not"):
        shell.run_line_magic("imgopen", f"watermark {URL} --opacity {number}")
    with pytest.raises(ParameterError, match=r"opacity must be (a number|from 0 to 1), not"):
        shell.run_line_magic("imgopen", f"watermark {URL} --opacity={number}")

    assert stub.requests == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"describe {URL} --timeout {{odd}}",
            "--timeout must be a number of seconds, not {'a': 1}",
        ),
        ("history --limit {odd}", "--limit must be a whole number of at least 0, not {'a': 1}"),
        ("history --limit ²", "--limit must be a whole number of at least 0, not '²'"),
        ("call /tool/x --body {odd}", "the body is not JSON"),
    ],
)
def test_a_variable_of_the_wrong_type_is_told_as_well(
    shell: InteractiveShell, stub: Stub, text: str, said: str
):
    shell.user_ns["odd"] = {"a": 1}

    with pytest.raises(ParameterError) as caught:
        shell.run_line_magic("imgopen", text)

    assert said in caught.value.message
    assert stub.requests == []


def test_an_object_too_many_is_told_by_its_type(shell: InteractiveShell, stub: Stub):
    shell.user_ns["pixels"] = np.zeros((4, 4, 3))

    with pytest.raises(ParameterError, match="an object of type ndarray was not expected"):
        shell.run_line_magic("imgopen", "models {pixels}")

    assert stub.requests == []


@each_operation
def test_a_slip_fails_the_cell_with_one_message_and_no_stack(
    op: Operation, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
):
    ran = shell.run_cell(f"%imgopen {line_of(op, list(slips(op))[-1], shell)}")

    out = capsys.readouterr().out
    assert isinstance(ran.error_in_exec, UsageError)
    assert "Traceback" not in out
    assert len(out.strip().splitlines()) <= 2


@each_operation
def test_on_a_command_line_a_slip_is_exit_code_2_and_one_sentence(
    op: Operation, unsent: Session, stub: Stub, capsys: pytest.CaptureFixture[str]
):
    """`imgopen run NAME`, for every slip that is text."""
    wrong = []
    for slip in filter(fits_a_line, map(slip_on_a_line, slips(op))):
        words = command_words(slip)
        if words:
            code = cli.main(["run", op.name, *words])
            told = capsys.readouterr().err.splitlines()
            text = " ".join(told)
            if code != 2 or len(told) > 2 or not names(text, slip.field) or slip.said not in text:
                wrong.append((code, told, slip))

    assert wrong == []
    assert stub.requests == []


def command_words(slip: Slip) -> list[str]:
    """Return a slip as the words of a command line; none if it cannot be typed there."""
    if slip.said == PICTURE:  # any word is a file's name there
        return []
    words: list[Any] = []
    for name, value in slip.given.items():
        words += ["--" + name.replace("_", "-"), *(value if isinstance(value, list) else [value])]
    return list(map(str, words)) if all(map(typed, words)) else []


def typed(word: Any) -> bool:
    if isinstance(word, (int, float)):
        return not isinstance(word, bool) and abs(word) < 1e301
    return isinstance(word, str)


# Images of this machine


@pytest.fixture
def bad_files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "page.png").write_text("<!doctype html><html></html>")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no image")
    names = ("missing.png", "page.png", "empty.png", "notes.txt", "")
    return {name or "a folder": str(tmp_path / name) for name in names}


PICTURES = [
    pytest.param(op, param, id=f"{op.name}-{param.name}")
    for op in OPERATIONS.runnable
    for param in op.user_params
    if param.picture
]


@pytest.mark.parametrize(("op", "param"), PICTURES)
def test_a_file_that_is_no_picture_is_refused_before_anything_is_sent(
    op: Operation, param: Param, bad_files: dict[str, str], unsent: Session, stub: Stub
):
    for path in [*bad_files.values(), "ftp://example.org/a.png", "http://", "sample:nobody"]:
        value = [path] * (param.min_items or 1) if param.type == "images" else path
        with pytest.raises((PictureError, UsageError)) as caught:
            unsent.submit(op.name, **{**call_of(op), param.name: value})
        assert caught.value.message.startswith(param.name)
        assert "\n" not in caught.value.message
        assert len(caught.value.message) <= MOST

    assert stub.requests == []
    assert unsent.rows() == []


def test_all_pictures_are_read_before_the_first_is_sent(unsent: Session, stub: Stub):
    with pytest.raises(PictureError, match=r"image: there is no file missing\.png"):
        unsent.submit("face-swap", face=picture_bytes(), image="missing.png")
    with pytest.raises(PictureError, match="faces, image 2 of 2: there is no file"):
        unsent.submit("face-fusion", faces=[picture_bytes(), "missing.png"], image=URL)

    assert stub.requests == []


def test_a_mask_at_hand_is_measured_before_anything_is_sent(unsent: Session, stub: Stub):
    """As people see it: a photograph that its EXIF data turn has the size of its upright mask."""
    with pytest.raises(PictureError, match=r"^mask is 9 × 6 pixels, but image is 96 × 64: "):
        unsent.submit("erase", image=picture_bytes(), mask=picture_bytes(size=(9, 6)))
    assert stub.requests == []

    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (96, 64)).save(turned, "JPEG", exif=exif)
    stub.replies(ok(url="http://127.0.0.1:9/a.png", status=2, outputImageUrl=URL))
    unsent.submit("erase", image=turned.getvalue(), mask=picture_bytes(size=(64, 96)))


# Images from elsewhere, and the sandbox's own limits

ELSEWHERE = {
    "http://127.0.0.1:9/x.png": "127.0.0.1 cannot be reached: connection refused",
    "GALLERY/missing": "127.0.0.1 answered 404 Not Found",
    "GALLERY/page.html": "this is not an image but a web page",
    "GALLERY/text": "this is not an image that can be read",
    "GALLERY/empty": "the file is empty (0 bytes)",
    "GALLERY/truncated.jpg": "the image is truncated",
}
# What the sandbox's engines want beyond the rows, so that they come to the images.
WANTED = {"preprocessor": "canny", "hair": "red", "control": {"module": "canny"}}


def reduced(name: str = "astronaut", side: int = 200) -> bytes:
    image = Image.open(samples()[name])
    image.thumbnail((side, side))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def face(shared_sandbox: SandboxProcess) -> str:
    """The URL of a small portrait."""
    return Api(shared_sandbox).picture(reduced())


def working(op: Operation, picture: str) -> dict[str, Any]:
    """Return a call that the sandbox takes, with all its images."""
    call = {name: WANTED.get(name, value) for name, value in call_of(op).items()}
    for param in op.user_params:
        if param.picture:
            call[param.name] = [picture] * (param.min_items or 1)
            call[param.name] = call[param.name] if param.type == "images" else picture
    for name in op.one_of[:1]:  # its image is the other one
        del call[name]
    return call


@pytest.mark.parametrize(("op", "param"), PICTURES)
def test_a_picture_that_cannot_be_had_fails_the_task_with_a_sentence_that_names_its_field(
    op: Operation, param: Param, local: Session, gallery: str, face: str
):
    """By the name that people type and by the wire's; of several images by its number."""
    tasks = {}
    for address, said in ELSEWHERE.items():
        url, call = address.replace("GALLERY", gallery), working(op, face)
        call[param.name] = url if param.type == "image" else [*call[param.name][1:], url]
        tasks[local.submit(op.name, **call)] = said

    for task, said in tasks.items():
        with pytest.raises(TaskFailedError) as caught:
            task.result(30)
        place = "" if param.type == "image" else f", image {param.min_items} of {param.min_items}"
        assert task.message.startswith(f"{param.label}{place}: {said}")
        assert names(task.message, param.name)
        assert names(task.message, param.wire)
        assert "\n" not in caught.value.message


MASKED = [op for op in OPERATIONS.runnable if {"image", "mask"} <= {p.name for p in op.params}]


@pytest.mark.parametrize("op", MASKED, ids=lambda op: op.name)
def test_a_mask_of_another_size_is_refused_with_both_sizes(op: Operation, local: Session):
    """The contract says of no mask that it is scaled."""
    given = {"image": picture_bytes(size=(96, 64)), "mask": picture_bytes(size=(9, 6))}

    given = {name: put_up(local, picture) for name, picture in given.items()}
    with pytest.raises(TaskFailedError) as caught:
        local.run(op.name, **{**call_of(op), **given})

    text = caught.value.message
    assert names(text, "mask")
    assert "9 × 6 pixels" in text
    assert "96 × 64" in text
    assert "\n" not in text


def put_up(local: Session, data: bytes) -> str:
    """Return the URL of an image, so that the kernel cannot measure it."""
    return local.manager.backend.http.upload(data)


def test_the_operations_with_a_mask_are_these():
    assert [op.name for op in MASKED] == ["image2image", "erase"]


LIMITS = [
    ("text2image", {"width": 8}, "width must be 64 to 2048 here, not 8"),
    ("text2image", {"batches": 99}, "batches (n_iter) × batch_size must be 1 to 16 here"),
    ("flux", {"height": 9999}, "height must be 64 to 2048 here, not 9999"),
    ("face-fusion", {"face_index": 9}, "face_index (faceIdx) is 9, but the image"),
    ("hairstyle", {"hair": "a bob"}, "hair (hairStyle) must name a colour, not 'a bob'"),
    ("outpaint", {"horizontal": 9}, "horizontal (horizontalExpansionRatio) must be a factor"),
    ("outpaint", {"count": 9}, "count (imageCount) must be from 1 to 4 in the sandbox, not 9"),
    ("control-preview", {"preprocessor": "cany"}, "no preprocessor 'cany': did you mean canny?"),
    ("watermark", {"watermark": None, "text": "x" * 9000}, "text is too long: 9,000 characters"),
]


@pytest.mark.parametrize(("name", "given", "said"), LIMITS)
def test_a_limit_of_the_sandbox_s_own_is_a_sentence_that_names_the_field(
    local: Session, face: str, name: str, given: dict[str, Any], said: str
):
    with pytest.raises(TaskFailedError) as caught:
        local.run(name, **{**working(OPERATIONS[name], face), **given})

    assert said in caught.value.message


# On the wire


def wire_bodies(op: Operation) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Yield bodies that do not fit, the wire's name of the field, and what must be said of it."""
    values = op.check(call_of(op))
    for param in op.params:
        if param.expected:
            body = op.body(values, new_key())
            del place_of(body, param)[param.wire]
            yield body, param.wire, f"field {param.field} is required"
        for value, said in off_on_the_wire(param):
            body = op.body(values, new_key())
            place_of(body, param)[param.wire] = value
            yield body, param.wire, said
        if "." not in param.inside:  # the members of override_settings are free
            body = op.body(values, new_key())
            place_of(body, param)[param.wire + "x"] = 1
            yield body, param.wire, f"did you mean {param.wire}"


def off_on_the_wire(param: Param) -> Iterator[tuple[Any, str]]:
    if not param.task_id:
        yield from ((value, "") for value in WRONG_ON_THE_WIRE[param.type])
    yield from out_of_range(param)
    if param.options:
        yield unknown_choice(param)


def place_of(body: dict[str, Any], param: Param) -> dict[str, Any]:
    """Return the object of a body that holds a field."""
    for part in filter(None, param.inside.split(".")):
        body = body.setdefault(part, {})
    return body


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.task(5),
        lambda session: session.call(5, {}),
        lambda session: session.call("/tool/x", 5),
        lambda session: session.run("describe", timeout="x", image=URL),
        lambda session: session.history(model=5),
        lambda session: session.history(status=[5]),
        lambda session: session.history(operation=5),
        lambda session: session.history.export(5),
        lambda session: session.history.import_(b"x"),
        lambda session: Session(home=5),  # type: ignore[arg-type]
        lambda session: board(["sample:coffee"], session, threshold="x"),  # type: ignore[arg-type]
        lambda session: board(["sample:coffee"], session).export(5),  # type: ignore[arg-type]
        lambda session: board(["sample:coffee"], session).export("a\0"),
        lambda session: board(["sample:coffee"], session).export("~nobody-of-this-name/a"),
        lambda session: board(["sample:coffee"], session).export(suffix=None),  # type: ignore[arg-type]
    ],
)
def test_a_value_of_another_type_is_refused_in_one_sentence_and_nothing_is_sent(
    call: Callable[[Any], Any], session: Session, stub: Stub
):
    with pytest.raises(ImgOpenError) as caught:
        call(session)

    said, _, hint = str(caught.value).partition("\n  → ")
    assert len(said) <= MOST
    assert "\n" not in said + hint
    assert stub.requests == []


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, Path]]:
    """A sandbox that nobody else gives tasks to, and the folder where it keeps them."""
    home = tmp_path_factory.mktemp("counting")
    with SandboxProcess.start(home) as running:
        yield Api(running), home / "sandbox/tasks"


@each_operation
def test_on_the_wire_every_slip_is_400_names_the_wire_s_field_and_makes_no_task(
    op: Operation, counting: tuple[Api, Path]
):
    api, tasks = counting
    wrong = []
    for body, wire, said in wire_bodies(op):
        answer = api.call(op.name, body)
        text = answer["msg"]
        fine = answer["code"] == "400" and answer["data"] is None and "\n" not in text
        if not (fine and names(text, wire) and said in text and len(text) <= 300):
            wrong.append((answer, wire, said, body))

    assert wrong == []
    assert list(tasks.glob("*.json")) == []
