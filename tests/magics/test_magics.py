"""%imgopen in a real InteractiveShell, against the stub."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.completer import provisionalcompleter
from IPython.core.history import HistoryAccessor
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

import imgopen_nb
from imgopen_nb import session as session_module
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.commands.registry import COMMANDS
from imgopen_nb.errors import (
    ImgOpenError,
    ParameterError,
    SettingsError,
    TaskFailedError,
    UnknownNameError,
    UsageError,
)
from imgopen_nb.session import Session
from imgopen_nb.syntax import words as tokens
from imgopen_nb.tasks.result import Result

from ..stub import Reply, Stub, ok, refusal

URL = "https://example.org/cat.png"
ODD_URL = "https://example.org/a%20b.png?x=1&y={}#frag=~;'"[:-1]


@pytest.fixture
def shell(session: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell with the extension loaded, whose current session talks to the stub."""
    monkeypatch.setattr(HistoryAccessor, "enabled", False)
    session_module.set_current(session)
    made = InteractiveShell()
    made.run_line_magic("load_ext", "imgopen_nb")
    yield made
    made.run_line_magic("unload_ext", "imgopen_nb")


def line(shell: InteractiveShell, text: str) -> Any:
    return shell.run_line_magic("imgopen", text)


def test_describe_returns_the_result(shell: InteractiveShell, stub: Stub):
    stub.replies(ok(status=2, caption="a cat"))

    result = line(shell, f"describe {URL} --model clip")

    assert isinstance(result, Result)
    assert (result.caption, stub.requests[0].body["model"]) == ("a cat", "clip")


def test_a_magic_can_be_assigned_or_named(shell: InteractiveShell, stub: Stub):
    stub.replies(ok(status=2, caption="a cat"))

    shell.run_cell(f"r = %imgopen describe {URL}").raise_error()
    assert line(shell, f"describe {URL} --out kept") is None

    assert shell.user_ns["r"].caption == shell.user_ns["kept"].caption == "a cat"


@pytest.mark.parametrize(
    "url", [ODD_URL, "https://e.org/%7Bq%7D?a=1&b=%20&c=#d", "https://e.org/?a=$x"]
)
def test_urls_survive_as_they_are(shell: InteractiveShell, stub: Stub, url: str):
    stub.replies(ok(status=2, caption="x"))

    shell.run_cell(f"%imgopen describe {url}").raise_error()

    assert stub.requests[0].body["image"] == url


def test_variables_are_put_in_and_braces_can_be_escaped(shell: InteractiveShell, stub: Stub):
    stub.replies(ok(status=2, outputImageUrl="https://example.org/o.png"))
    shell.user_ns["animal"] = "fox"

    line(shell, 'flux "a {animal} in {{braces}} and {}"')

    assert stub.requests[0].body["prompt"] == "a fox in {braces} and {}"


def test_an_undefined_variable_fails_loudly_and_sends_nothing(shell: InteractiveShell, stub: Stub):
    shell.user_ns["animals"] = 1

    with pytest.raises(UnknownNameError, match=r"did you mean animals\?.*\{\{animal\}\}"):
        line(shell, 'flux "a {animal}"')
    assert stub.requests == []


def test_a_cell_is_the_prompt_as_it_stands(shell: InteractiveShell, stub: Stub):
    """The vendor's own example prompt is full of braces."""
    prompt = "{best quality}, {{masterpiece}}, {highres}, 100% $real"
    stub.replies(ok(status=2, differentialImageRspList=[]))

    shell.run_cell_magic("imgopen", "text2image --width 512 --seed -1", prompt + "\n")

    assert stub.requests[0].body["prompt"] == prompt
    assert stub.requests[0].body["seed"] == "-1"


SLIPS = [
    ("descripe x", UnknownNameError, "did you mean describe?"),
    ("describe x --modle clip", UnknownNameError, "did you mean --model"),
    (f"describe {URL} --model clp", ParameterError, "clip or deepdanbooru"),
    (f"describe {URL} --model clip --model clip", ParameterError, "given twice"),
    (f"describe {URL} --image {URL}", ParameterError, "was not expected"),
    (f"describe {URL} model=clip", ParameterError, "an option: --model clip"),
    (f"describe {URL} # a cat", ParameterError, "a comment needs a line of its own"),
    (f"describe {URL} {URL}", ParameterError, f"%imgopen describe --from {URL} {URL}"),
    ("describe my cat", ParameterError, "or %imgopen compare"),
    ("describe", ParameterError, "needs an image"),
    ("describe 'open", ParameterError, "a quote is not closed"),
    (f"describe {URL} --model", ParameterError, "needs a value"),
    ("status", ParameterError, "status needs TASK"),
    (f"describe {URL} --save {{nothing}}", ParameterError, "--save: the variable is None"),
    (f"describe {URL} --save ''", ParameterError, "is not a path"),
    (f"describe {URL} --timeout soon", ParameterError, "must be a number of seconds"),
    (f"describe {URL} --out 1x", ParameterError, "name of a variable"),
    (f"describe {URL} --out {{Out}}", ParameterError, "name of a variable"),
    ("flux a red fox", ParameterError, "put text with spaces in quotes"),
    ("flux fox --width wide", ParameterError, "a whole number"),
    ("outpaint x --vertical 1", UsageError, "needs horizontal"),
    ("erase a b", UsageError, "IMGOPEN_PATHS"),
    ("status nosuchtask", UnknownNameError, "there is no task"),
    ("history --limit few", ParameterError, "whole number"),
    ("config timeout never", SettingsError, "timeout must be "),
    ("config tiemout 5", UnknownNameError, "did you mean timeout?"),
    ("compare", UsageError, "the history contains no descriptions of images"),
    (f"compare {URL} --models clp", ParameterError, "clip or deepdanbooru"),
]


@pytest.mark.parametrize(("text", "kind", "part"), SLIPS, ids=[row[0] for row in SLIPS])
def test_slips_are_explained_and_send_nothing(
    shell: InteractiveShell, stub: Stub, text: str, kind: type[Exception], part: str
):
    shell.user_ns["nothing"] = None
    with pytest.raises(kind) as caught:
        line(shell, text)

    assert part in str(caught.value)
    assert stub.requests == []


SEVERAL = [
    ("describe photos --model clip", "describe --model clip --from photos"),
    ("describe --image 'my photos' --fresh", 'describe --fresh --from "my photos"'),
    ("describe photos/*.png --model={model}", "describe --model={model} --from photos/*.png"),
    ("describe photos/a.png photos/b.png", "describe --from photos/a.png photos/b.png"),
    ("describe {both}", "describe --from both"),
    ("describe df.url", "describe --from df.url"),
    ("describe df['url']", "describe --from df['url']"),
    ("describe '$both'", "describe --from both"),
    ("describe {df['url']} --model clip", "describe --model clip --from df['url']"),
    ("describe {df}", "describe --from df"),
    ("describe list.csv", "describe --from list.csv"),
    ("upscale photos --scale 2", "upscale --scale 2 --from photos"),
    ("erase photos photos/a.png", "erase photos/a.png --from photos"),
]


@pytest.mark.parametrize(("text", "better"), SEVERAL, ids=[row[0] for row in SEVERAL])
def test_several_images_are_refused_with_the_line_that_takes_them(
    shell: InteractiveShell,
    stub: Stub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    better: str,
):
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "my photos"):
        Path(folder).mkdir()
        for name in ("a.png", "b.png"):
            Image.new("RGB", (8, 8)).save(f"{folder}/{name}")
    Path("list.csv").write_text("url\nphotos/a.png\n")
    frame = pd.DataFrame({"url": ["photos/a.png", "photos/b.png"]})
    shell.user_ns.update(df=frame, both=list(frame["url"]), model="clip")

    with pytest.raises(ParameterError, match="takes one image, but") as caught:
        line(shell, text)

    assert caught.value.hint == f"to run it for each: %imgopen {better}"
    assert stub.requests == []
    if better.startswith("describe"):  # the others have a path that is only assumed
        plan = line(shell, better.replace(" --from", " --dry-run --from"))
        assert plan.rows == (1 if "list.csv" in text else 2)


def test_a_slip_fails_the_cell_with_one_message_and_no_stack(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
):
    result = shell.run_cell("%imgopen descripe x")

    out = capsys.readouterr().out
    assert isinstance(result.error_in_exec, UnknownNameError)
    assert "did you mean describe?" in out
    assert "Traceback" not in out
    assert "magic.py" not in out


def test_the_whole_stack_can_be_had(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("IMGOPEN_TRACEBACK", "1")

    shell.run_cell("%imgopen descripe x")

    assert "registry.py" in capsys.readouterr().out


@pytest.mark.parametrize("jedi", [True, False])
def test_tab_after_the_package_offers_its_public_names_alone(shell: InteractiveShell, jedi: bool):
    shell.run_cell("import imgopen_nb as imgopen; imgopen.form; imgopen.board").raise_error()
    shell.Completer.use_jedi = jedi

    with provisionalcompleter():
        found = shell.Completer.completions("imgopen.", 8)
        offered = {c.text.removeprefix("imgopen").lstrip(".") for c in found}  # IPython 8: whole

    assert offered == set(imgopen_nb.__all__)


def test_a_failed_task_is_kept_under_the_name(shell: InteractiveShell, stub: Stub):
    stub.replies(ok(status=0, errorMessage="too dark"))

    with pytest.raises(TaskFailedError, match="too dark"):
        line(shell, f"describe {URL} --out r")

    assert shell.user_ns["r"].state == "failed"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_verb_has_help(
    shell: InteractiveShell, stub: Stub, capsys: pytest.CaptureFixture[str], name: str
):
    assert line(shell, f"{name} --help") is None

    out = capsys.readouterr().out
    assert out.startswith(f"usage: %imgopen {name}")
    assert COMMANDS[name].about.split()[0] in out
    assert "%%" not in out
    if name in OPERATIONS:
        assert f"Example: %imgopen {name}" in out
    assert stub.requests == []


def test_the_magic_alone_lists_every_verb(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
):
    line(shell, "")

    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in COMMANDS)


def test_the_magic_alone_begins_with_six_lines_that_can_be_run(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
):
    line(shell, "")

    first, *groups = capsys.readouterr().out.split("\n\n")
    title, *lines = first.splitlines()
    assert (title, len(lines)) == ("Start here", 6)
    for each in lines:
        name, *words = each.removeprefix("  %imgopen ").split("  ")[0].split()
        assert COMMANDS[name].parser().read(words)
    assert [group.splitlines()[0] for group in groups[:3]] == [
        "Generate",
        "Models and training",
        "Faces and hair",
    ]


def test_help_marks_guesses(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]):
    line(shell, "erase --help")

    assert "Assumed: the vendor documents neither this path" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    ["login SECRET123", "describe x --access-key-secret SECRET123", "flux x --token=SECRET123"],
)
def test_a_key_on_the_line_is_refused_and_not_repeated(shell: InteractiveShell, text: str):
    with pytest.raises(ImgOpenError, match="would stay in the notebook") as caught:
        line(shell, text)

    assert "SECRET123" not in str(caught.value)


def test_login_asks_stores_0600_and_shows_nothing(
    shell: InteractiveShell,
    clean_world: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    answers = iter(["my-key-id", "my-key-secret"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))

    line(shell, "login")

    file = clean_world / "keys.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "my-key" not in capsys.readouterr().out
    assert session_module.current().backend == "real"
    assert "my-key" not in repr(session_module.current().settings)
    line(shell, "login --forget")
    assert not file.exists()


def test_login_where_nobody_can_be_asked_says_what_to_do(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
):
    def refuse(prompt: str) -> str:
        raise RuntimeError("no frontend")

    monkeypatch.setattr("getpass.getpass", refuse)

    with pytest.raises(SettingsError, match="IMGOPEN_ACCESS_KEY_ID"):
        line(shell, "login")


def test_compare_puts_models_side_by_side(shell: InteractiveShell, stub: Stub):
    stub.answer = lambda r: ok(
        status=2, caption="a cat" if r.body["model"] == "clip" else "cat, solo"
    )

    comparison = line(shell, f"compare {URL} https://example.org/b.png --models clip deepdanbooru")

    assert comparison.wide().shape == (2, 2)
    assert comparison.models == ("clip", "deepdanbooru")


def test_compare_takes_its_pictures_from_the_cell_or_a_list(shell: InteractiveShell, stub: Stub):
    stub.replies(ok(status=2, caption="a cat"))
    shell.user_ns["urls"] = [URL, "https://example.org/b.png"]

    by_cell = shell.run_cell_magic("imgopen", "compare", f"{URL}\n\nhttps://example.org/b.png\n")
    by_list = line(shell, "compare {urls}")

    assert len(by_cell) == len(by_list) == 2


def test_compare_says_that_an_unreadable_file_was_not_sent(shell: InteractiveShell, stub: Stub):
    """It has not been left under way, and is no second image."""
    stub.replies(ok(status=2, caption="a cat"))

    comparison = line(shell, f"compare {URL} nosuch.png --models clip deepdanbooru")

    (note,) = comparison.notes
    assert note.startswith("2 descriptions were not sent: image: there is no file")
    assert "not ended" not in repr(comparison._repr_mimebundle_())
    assert repr(comparison).startswith("Comparison(1 image;")


def test_compare_raises_if_nothing_could_be_described(shell: InteractiveShell, stub: Stub):
    stub.replies(refusal("77", "closed"))

    with pytest.raises(UsageError, match="closed"):
        line(shell, f"compare {URL}")


def test_history_status_wait_and_resume(
    shell: InteractiveShell, stub: Stub, capsys: pytest.CaptureFixture[str]
):
    stub.answer = lambda r: ok(status=1, taskId="s1")
    task = line(shell, f"describe {URL} --no-wait")
    assert line(shell, f"status {task.id}") is task

    stub.answer = lambda r: ok(status=2, caption="later")
    assert line(shell, f"wait {task.id[:16]}").caption == "later"
    line(shell, "resume")
    assert "no unfinished tasks" in capsys.readouterr().out
    line(shell, "history --out df")
    assert shell.user_ns["df"].caption.tolist() == ["later"]
    assert "later" in repr(line(shell, "history"))
    assert [*line(shell, "history --columns caption,seconds model")] == [
        "caption",
        "seconds",
        "model",
    ]


def test_config_shows_and_stores(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]):
    line(shell, "config timeout 42")

    assert "timeout is now 42\n" in capsys.readouterr().out
    assert session_module.current().settings.timeout == 42
    assert "42" in repr(line(shell, "config"))


def test_the_body_is_refused_where_there_is_no_place_for_it(shell: InteractiveShell):
    with pytest.raises(ParameterError, match="does not use a cell"):
        shell.run_cell_magic("imgopen", "history", "x\n")
    with pytest.raises(ParameterError, match="given twice"):
        shell.run_cell_magic("imgopen", "flux fox", "a fox\n")
    with pytest.raises(ParameterError, match="needs a command on its first line"):
        shell.run_cell_magic("imgopen", "", "describe cat.png\n")


def test_loading_twice_is_harmless_and_unloading_leaves_nothing(shell: InteractiveShell):
    shell.run_line_magic("reload_ext", "imgopen_nb")
    shell.extension_manager.load_extension("imgopen_nb")
    names = [getattr(m, "matcher_identifier", "") for m in shell.Completer.custom_matchers]
    assert names.count("imgopen") == 1

    shell.run_line_magic("unload_ext", "imgopen_nb")

    assert shell.find_line_magic("imgopen") is None
    assert shell.find_cell_magic("imgopen") is None
    assert shell.Completer.custom_matchers == []
    shell.run_line_magic("load_ext", "imgopen_nb")


@given(st.lists(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))))
def test_words_written_by_quote_are_read_back_by_split_and_expand(words: list[str]):
    text = " ".join(map(tokens.quote, words))

    assert tokens.expand(tokens.split(text), {}) == words


@given(st.text())
def test_any_line_is_split_or_explained(text: str):
    with contextlib.suppress(ParameterError):
        assert all(isinstance(word, str) for word in tokens.split(text))


def test_loading_the_extension_imports_nothing_heavy():
    """No pandas, ipywidgets, PIL, numpy, onnxruntime, requests or tornado until they are needed."""
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell as S;"
        "before = set(sys.modules); s = S(); s.run_line_magic('load_ext', 'imgopen_nb');"
        "heavy = {'pandas', 'ipywidgets', 'PIL', 'numpy', 'onnxruntime', 'requests', 'jinja2'};"
        "print(sorted(heavy & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_an_error_reply_with_markup_is_plain_text(
    shell: InteractiveShell, stub: Stub, capsys: pytest.CaptureFixture[str]
):
    stub.replies(Reply({"code": "9", "msg": "<script>alert(1)</script>\x1b[31m"}))

    shell.run_cell(f"%imgopen describe {URL}")

    assert "\x1b[31m" not in capsys.readouterr().out
