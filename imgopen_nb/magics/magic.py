"""%imgopen and %%imgopen: the commands in a notebook."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from ..commands.command import Command, Invocation
from ..commands.registry import find_in, overview
from ..config.settings import home_folder
from ..display.frames import frame_html
from ..display.rendering import environment
from ..errors import ImgOpenError, ParameterError, SettingsError
from ..syntax.parser import HelpAsked
from ..syntax.words import expand, split
from ..text import clip, in_words
from .completion import Completion
from .scope import Scope, scope

# An address whose own last sign a semicolon may be.
FRAMES = ("pandas", "pandas.core.frame")  # where a DataFrame says that it comes from
_QUERY = re.compile(r"https?://\S*[?#]\S*\s*$", re.IGNORECASE)


@magics_class
class ImgOpenMagics(Magics):
    """The magic `imgopen`, as a line and over a cell."""

    @no_var_expand
    @line_cell_magic
    def imgopen(self, line: str, cell: str | None = None) -> Any:
        """Run an operation of Img Open, or see to tasks and settings; `%imgopen` alone lists them.

        `%imgopen describe URL --model clip` shows the caption; `r = %imgopen describe URL` and
        `--out r` keep the Result. With `%%imgopen`, the cell is the prompt. `{name}` on the line
        stands for a variable, in a function for one of its own, `{{` for a brace; the cell is used
        as it is. A semicolon at the end of the line hides the output.
        """
        here = scope(_shell(self).user_ns)
        quiet = line.rstrip().endswith(";") and not _QUERY.search(line)
        words = split(line.rstrip().rstrip(";") if quiet else line)
        if not words and cell and cell.strip():
            raise ParameterError(
                "%%imgopen needs a command on its first line",
                hint="%%imgopen text2image, with the prompt below it; for one line: %imgopen "
                + clip(cell.strip().partition("\n")[0], 60),
            )
        if words[:1] == ["help"] and len(words) > 1:
            words = [*words[1:3], *split("--help")]
        if not words or words[0] in ("--help", "-h", "help"):
            print(overview())
            return None
        command, rest = find_in(words)
        _refuse_keys(words)
        try:
            options = command.parser().read(expand(rest, here.variables))
        except HelpAsked as asked:
            print(asked)
            return None
        if cell is not None and not command.takes_body:
            raise ParameterError(
                f"{command.name} does not use a cell", hint=f"%imgopen {line.strip()}"
            )
        value = self._run(command, options, cell, here, typed=rest, quiet=quiet)
        return None if quiet and here.statement else value

    def _run(
        self,
        command: Command,
        options: Any,
        cell: str | None,
        here: Scope,
        *,
        typed: Sequence[str],
        quiet: bool,
    ) -> Any:
        from ..session import current

        out = getattr(options, "out", None)
        if out is not None and not (isinstance(out, str) and out.isidentifier()):
            raise ParameterError(
                f"in a notebook, --out takes the name of a variable, not {in_words(out)}",
                hint="for a table: --out NAME, then NAME.to_csv(...); for images: --save FOLDER",
            )
        if out in here.local:
            raise ParameterError(
                f"--out cannot set {out}, a local variable of {here.function}: nothing was sent",
                hint=f"{out} = %imgopen ..., without --out",
            )
        variables = here.variables
        call = Invocation(options, cell, current, "%imgopen ", variables, typed=typed)
        try:
            if out and out in variables and _reads(options, out, variables[out]):
                raise ParameterError(
                    f"{out} is the input of this line: nothing was sent", hint="--out ANOTHER_NAME"
                )
            value = command.run(call)
        except ImgOpenError as error:
            if out and error.task is not None:
                _shell(self).user_ns[out] = error.task  # it may be paid for: do not lose it
            raise
        if out:
            _shell(self).user_ns[out] = value
            if here.function:
                call.said.append(f"{out} is a variable of the notebook, not of {here.function}")
        for text in () if quiet else call.said:
            print(text)
        if out:
            return None
        if isinstance(value, str):
            if not quiet:
                print(value)
            return None
        return value


def _reads(options: Any, name: str, value: Any) -> bool:
    """Whether --from reads a variable, by its name or as {name}."""
    words = getattr(options, "source", None) or ()
    return any(
        re.split(r"[.\[]", word)[0] == name and not os.path.exists(word)
        if isinstance(word, str)
        else word is value
        for word in words
    )


def _shell(magics: Magics) -> InteractiveShell:
    assert magics.shell is not None, "IPython makes magics with a shell"
    return magics.shell


def load(shell: InteractiveShell) -> None:
    """Register the magics, the completion and the HTML of DataFrames; it may be called twice."""
    unload(shell)
    with contextlib.suppress(SettingsError):  # told when it is needed
        home_folder()  # a relative IMGOPEN_HOME is relative to the folder of now, before any %cd
    shell.register_magics(ImgOpenMagics)
    shell.Completer.custom_matchers.append(Completion(shell).matcher)
    shell.events.register("post_run_cell", _after_cell)
    html = _html_formatter(shell)
    for module in FRAMES if html else ():
        if (module, "DataFrame") not in html.deferred_printers:  # somebody else's stays
            html.for_type_by_name(module, "DataFrame", frame_html)


def _after_cell(_: Any) -> None:
    """Give the cards their buttons once there are cards, and somebody to press the buttons."""
    shell = get_ipython()
    # A program that runs a notebook cannot be asked for input, and would save the widget in it.
    attended = getattr(getattr(shell, "kernel", None), "_allow_stdin", False)
    if attended and environment.cache_info().currsize:
        from ..widgets.card_actions import begin

        begin()


def unload(shell: InteractiveShell) -> None:
    """Remove the magics, the completion and the way of showing DataFrames."""
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("imgopen", None)
    shell.magics_manager.registry.pop("ImgOpenMagics", None)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [m for m in matchers if not getattr(m, "of_imgopen", False)]
    with contextlib.suppress(ValueError):
        shell.events.unregister("post_run_cell", _after_cell)
    html = _html_formatter(shell)
    for printers in (html.deferred_printers, html.type_printers) if html else ():
        for kind in [kind for kind, printer in printers.items() if printer is frame_html]:
            del printers[kind]


def _html_formatter(shell: InteractiveShell) -> Any:
    found = shell.display_formatter
    return found.formatters.get("text/html") if found else None


def _refuse_keys(words: Sequence[str]) -> None:
    """Refuse an access key on the line: the line stays in the notebook."""
    if words[0] == "login":
        return  # the command itself refuses it, with the same reason
    for word in words[1:]:
        name = word.lstrip("-").partition("=")[0].replace("_", "-").lower()
        if word.startswith("--") and name.startswith(
            ("access-key", "api-key", "key", "secret", "token")
        ):
            raise SettingsError(
                "a key on a magic line would stay in the notebook and in IPython's history",
                hint="run %imgopen login, and delete this line",
            )
