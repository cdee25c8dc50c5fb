"""The words of a magic line: splitting, `{name}` expansion, and quoting back.

The rules are the same for all commands. Blanks separate words. Single or double quotes hold a word
together; to write a quote, use the other kind. A backslash is an ordinary character, and so are
& = % # ; ?. `{name}` is replaced by a variable of the notebook, `{{` and `}}` are literal braces,
and braces around anything else are left as they are.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ParameterError, UnknownNameError
from ..text import clip, near_match

_BRACES = re.compile(r"\{\{|\}\}|\{([^\W\d]\w*)\}")


def split(line: str) -> list[str]:
    """Return the words of a line.

    Raises:
        ParameterError: a quote is not closed.
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    try:
        return list(lexer)
    except ValueError:
        raise ParameterError(
            f"a quote is not closed in: {clip(line, 120)}",
            hint="put a word that holds an apostrophe into double quotes",
        ) from None


def quote(word: str) -> str:
    """Return a word quoted, so that `split` and `expand` return it unchanged."""
    word = word.replace("{", "{{").replace("}", "}}")
    if word and not re.search(r"[\s'\"]", word):
        return word
    return '"' + word.replace('"', '"\'"\'"') + '"'


def expand(words: Iterable[str], variables: Mapping[str, Any]) -> list[Any]:
    """Replace `{name}` by the variables of the notebook.

    A word that is just `{name}` becomes the object itself (a list becomes several words), so that
    pictures and arrays can be passed. Inside a longer word, `{name}` is replaced by `str()` of it.

    Raises:
        UnknownNameError: there is no such variable.
    """
    expanded: list[Any] = []
    for word in words:
        whole = _BRACES.fullmatch(word)
        if whole and whole[1]:
            value = _variable(whole[1], variables)
            expanded.extend(value if isinstance(value, (list, tuple)) else [value])
        else:
            expanded.append(_BRACES.sub(lambda m: _text(m, variables), word))
    return expanded


def _text(match: re.Match[str], variables: Mapping[str, Any]) -> str:
    if match[1]:
        return str(_variable(match[1], variables))
    return match[0][0]


def _variable(name: str, variables: Mapping[str, Any]) -> Any:
    if name in variables:
        return variables[name]
    near = near_match(name, [n for n in variables if not n.startswith("_")])
    hint = f"{near} " if near else ""
    raise UnknownNameError(
        "variable",
        name,
        [],
        hint=f"{hint}to write the braces themselves, double them: {{{{{name}}}}}",
    )
