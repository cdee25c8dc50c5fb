"""A form and its code are one: what the line says is what the form holds."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgopen_nb.catalogue.operation import Operation
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.catalogue.parameter import Param
from imgopen_nb.commands.registry import find
from imgopen_nb.syntax import words as tokens
from imgopen_nb.syntax.parser import given as parsed
from imgopen_nb.syntax.snippets import curl, magic_line, python_call, repeat_line
from imgopen_nb.widgets.forms.form import Form, form

from ..conftest import often

NAMES = [row.name for row in OPERATIONS.runnable]
TEXT = st.text(max_size=40)
# Addresses that exist: a form looks at its images.
PICTURES = st.sampled_from(["sample:coffee", "sample:chelsea", "sample:rocket"])


def values_of(param: Param) -> st.SearchStrategy[Any]:
    """What a user may put into the field of a parameter, sensible or not."""
    if param.options:
        return st.sampled_from(param.options)
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "image": PICTURES,
        "images": st.lists(PICTURES, min_size=1, max_size=4),
        "boolean": st.booleans(),
        "integer": st.integers(_bound(param.minimum, -(2**40)), _bound(param.maximum, 2**40)),
        "number": st.floats(param.minimum or 0, param.maximum or 1e6, allow_nan=False),
        "object": st.dictionaries(TEXT, st.one_of(TEXT, st.integers(), st.lists(TEXT)), max_size=3),
    }
    return kinds.get(param.type, TEXT)


def _bound(limit: float | None, otherwise: int) -> int:
    return otherwise if limit is None else int(limit)


def filled(operation: Operation) -> st.SearchStrategy[dict[str, Any]]:
    rows = {param.name: values_of(param) for param in operation.user_params}
    return st.fixed_dictionaries({}, optional=rows)


def read_back(operation: Operation, line: str) -> dict[str, Any]:
    """Return the parameters of a magic line or cell as the magic reads them."""
    first, _, body = line.partition("\n")
    kind, name, *words = tokens.split(first)
    assert (kind, name) == ("%%imgopen" if body else "%imgopen", operation.name)
    options = find(name).parser().read(tokens.expand(words, {}))
    found = parsed(operation, options)
    return {**found, operation.body_param.name: body} if body and operation.body_param else found


@pytest.fixture(scope="module", params=NAMES)
def opened(request: pytest.FixtureRequest) -> Form:
    """An empty form of each operation; the examples of a test fill it anew."""
    return form(request.param)


def fill(opened: Form, values: dict[str, Any]) -> dict[str, Any]:
    opened.values = {**dict.fromkeys(opened.fields), **values}
    return opened.values


@settings(max_examples=often(25, 500), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_form_to_line_to_form_is_the_identity(opened: Form, data: st.DataObject):
    held = fill(opened, data.draw(filled(opened.operation)))
    line = opened.line

    assert fill(opened, read_back(opened.operation, line)) == held
    assert opened.line == line


@settings(max_examples=often(15, 500), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_python_call_holds_the_same_values(opened: Form, data: st.DataObject):
    held = fill(opened, data.draw(filled(opened.operation)))
    caught: dict[str, Any] = {}

    class Session:
        def run(self, name: str, /, **params: Any) -> None:
            caught.update(params, _name=name)

    call = python_call(opened.operation, held).partition("\n\n")[2]
    eval(call, {"imgopen": type("imgopen", (), {"current": staticmethod(Session)})})

    assert caught == {**held, "_name": opened.operation.name}


def test_the_curl_command_is_what_a_shell_takes_and_holds_no_key():
    row = OPERATIONS["describe"]
    values = {"image": "https://x.test/a'b.jpg", "model": "clip"}
    words = shlex.split(curl(row, values, "https://api.test").replace("\\\n", " "))

    assert words[:4] == ["curl", "-X", "POST", f"https://api.test{row.path}"]
    assert json.loads(words[words.index("--data-raw") + 1]) == {
        "image": "https://x.test/a'b.jpg", "model": "clip", "businessTaskId": "my-task-1",
    }  # fmt: skip
    assert [w for w in words if "accessKey" in w] == [
        "X-Request-req-accessKeyId: $IMGOPEN_ACCESS_KEY_ID",
        "X-Request-req-accessKeySecret: $IMGOPEN_ACCESS_KEY_SECRET",
    ]


def test_a_local_picture_in_a_curl_command_says_that_it_needs_an_address():
    assert "URL-OF:sample:cat" in curl(OPERATIONS["describe"], {"image": "sample:cat"}, "https://x")


def test_a_prompt_of_several_lines_becomes_a_cell():
    row = OPERATIONS["text2image"]

    assert magic_line(row, {"prompt": "a fox\nin snow", "width": 64}) == (
        "%%imgopen text2image --width 64\na fox\nin snow"
    )


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"prompt": "a fox"}, '%imgopen text2image "a fox"'),
        ({"prompt": "-x"}, "%imgopen text2image --prompt=-x"),
        ({"prompt": "{a}"}, "%imgopen text2image {{a}}"),
    ],
)
def test_lines_read_as_a_person_would_write_them(values: dict[str, Any], line: str):
    assert magic_line(OPERATIONS["text2image"], values) == line


def test_a_call_of_the_history_becomes_its_line_without_presets_and_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Notebooks are shared: folders that only this user has are left out where they can be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    below, home = str(tmp_path / "set/a b.png"), str(tmp_path.parent / "c.png")

    assert repeat_line("describe", {"image": below}) == '%imgopen describe "set/a b.png"'
    assert repeat_line("describe", {"image": home}) == "%imgopen describe ~/c.png"
    assert repeat_line("upscale", {"image": "x.png", "scale": 2}) == "%imgopen upscale x.png"
    swapped = repeat_line("text2image", {"prompt": "a fox\nin snow", "batch_size": 2})
    assert swapped == "%%imgopen text2image --batch-size 2\na fox\nin snow"


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("describe", {"image": "<PIL 2x2 ab>"}),
        ("train", {"images": ["a.png", "<2 kB>"]}),
        ("describe", {"nonsense": 1}),
        ("unknown", {"image": "a.png"}),
        ("describe", None),
        ("describe", {}),
        ("describe", ["image"]),
        ("describe", {"image": {"a": {1}}}),
    ],
)
def test_what_no_line_can_say_has_none(name: str, params: Any):
    assert repeat_line(name, params) == ""
