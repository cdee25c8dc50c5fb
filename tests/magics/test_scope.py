"""Which variables a line means: in a function its own, elsewhere those of the notebook."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.history import HistoryAccessor
from IPython.core.interactiveshell import InteractiveShell

from imgopen_nb import session as session_module
from imgopen_nb.session import Session

from ..stub import Request, Stub, ok

HERE = "https://e.org/here.png"
GLOBAL = "https://e.org/global.png"


@pytest.fixture
def shell(
    session: Session, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InteractiveShell]:
    """A shell whose variable `p` is a global one, and a service that says what it was given."""

    def answer(request: Request) -> Any:
        return ok(status=2, taskId="1", caption=str((request.body or {}).get("image", "")))

    monkeypatch.setattr(HistoryAccessor, "enabled", False)
    stub.answer = answer
    session_module.set_current(session)
    made = InteractiveShell()
    made.run_line_magic("load_ext", "imgopen_nb")
    made.user_ns["p"] = GLOBAL
    yield made
    made.run_line_magic("unload_ext", "imgopen_nb")


def sent(stub: Stub) -> list[str]:
    return [r.body["image"] for r in stub.requests if r.body and "image" in r.body]


@pytest.mark.parametrize(
    "code",
    [
        "def f(p):\n    %imgopen describe {p}\nf(HERE)",
        "def f():\n    p = HERE\n    r = %imgopen describe {p}\n    return r\nf()",
        "def f(p):\n    %imgopen describe $p\nf(HERE)",
        "def f(p):\n    %imgopen describe --from {p}\nf([HERE])",
        "def f(p):\n    %imgopen describe --from p\nf([HERE])",
        "def f(p):\n    %imgopen describe --from p.a\nf({'a': [HERE]})",
        "def f(p):\n    return get_ipython().run_line_magic('imgopen', 'describe {p}')\nf(HERE)",
        "def f(p):\n    get_ipython().run_cell_magic('imgopen', 'compare {p} --models clip', ' ')\n"
        "f(HERE)",
        "def f(p):\n    def g():\n        p\n        %imgopen describe {p}\n    g()\nf(HERE)",
        "def f(p):\n    def g():\n        %imgopen describe {p}\n    g()\nf(HERE)",
        "def f(p):\n    return [get_ipython().run_line_magic('imgopen', 'describe {p}')\n"
        "            for _ in range(1)]\nf(HERE)",
        "class A:\n    def m(self, p):\n        %imgopen describe {p}\nA().m(HERE)",
        "class A:\n    p = HERE\n    %imgopen describe {p}",
        "def f(p):\n    %time %imgopen describe {p}\nf(HERE)",
        "async def f(p):\n    %imgopen describe {p}\nawait f(HERE)",
        "(lambda p: get_ipython().run_line_magic('imgopen', 'describe {p}'))(HERE)",
    ],
)
def test_a_function_s_own_variable_counts(shell: InteractiveShell, stub: Stub, code: str):
    shell.user_ns["HERE"] = HERE
    shell.run_cell(code).raise_error()

    assert sent(stub) == [HERE]


@pytest.mark.parametrize(
    "code",
    [
        "%imgopen describe {p}",
        "def f():\n    %imgopen describe {p}\nf()",
        "[get_ipython().run_line_magic('imgopen', 'describe {p}') for _ in range(1)]",
        "for _ in range(1):\n    %imgopen describe {p}",
        "class A:\n    p = 'x'\n    def m(self):\n        %imgopen describe {p}\nA().m()",
    ],
)
def test_without_one_it_is_the_notebook_s(shell: InteractiveShell, stub: Stub, code: str):
    shell.run_cell(code).raise_error()

    assert sent(stub) == [GLOBAL]


def test_a_local_variable_without_a_value_hides_the_global_one(shell: InteractiveShell, stub: Stub):
    done = shell.run_cell("def f():\n    %imgopen describe {p}\n    p = 1\nf()")

    assert "no variable 'p'" in str(done.error_in_exec)
    assert sent(stub) == []


def test_out_in_a_function_sets_the_notebook_s_variable_and_says_so(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
):
    shell.run_cell("def f(p):\n    %imgopen describe {p} --out kept\nf(p)").raise_error()

    assert shell.user_ns["kept"].caption == GLOBAL
    assert "kept is a variable of the notebook, not of f" in capsys.readouterr().out


def test_out_cannot_set_a_local_variable_and_says_so_first(shell: InteractiveShell, stub: Stub):
    done = shell.run_cell("def f(kept):\n    %imgopen describe {p} --out kept\nf(1)")

    assert "--out cannot set kept, a local variable of f" in str(done.error_in_exec)
    assert (sent(stub), "kept" in shell.user_ns) == ([], False)


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("%imgopen describe {p}", True),
        ("%imgopen describe {p};", False),
        ("%imgopen describe {p} ;", False),
        ("%imgopen status {t};", False),
        ("%%imgopen describe {p};\n", False),
        ("r = %imgopen describe {p};\nr", True),
    ],
)
def test_a_semicolon_hides_the_output(
    shell: InteractiveShell, stub: Stub, code: str, shown: bool, capsys: pytest.CaptureFixture[str]
):
    result = shell.run_line_magic("imgopen", f"describe {GLOBAL}")
    shell.user_ns["t"] = result.task_id
    capsys.readouterr()

    shell.run_cell(code)

    assert (GLOBAL in capsys.readouterr().out) is shown
    assert sent(stub)[-1] == GLOBAL
    if code.startswith("r ="):
        assert shell.user_ns["r"].caption == GLOBAL


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("def f(pic, *more, size=3):\n    %imgopen describe {pi", "{pic}"),
        ("def f():\n    photo = 1\n    %imgopen describe {pho", "{photo}"),
        ("for image in range(3):\n    %imgopen describe {pict", "{picture}"),
        ("%imgopen describe {globa", "{global_one}"),
    ],
)
def test_completion_offers_the_names_of_the_function_too(
    shell: InteractiveShell, text: str, offered: str
):
    shell.user_ns["global_one"] = 1
    with provisionalcompleter():
        found = list(shell.Completer.completions(text, len(text)))

    assert any(text[: c.start].endswith("{") or c.text.startswith("{") for c in found), found
    assert any(offered.startswith(c.text.strip("{}"), 1) for c in found), found
