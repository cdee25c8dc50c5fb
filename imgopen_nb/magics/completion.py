"""Tab completion after %imgopen: verbs, options, choices, tasks, variables and samples."""

from __future__ import annotations

import re
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)
from IPython.core.interactiveshell import InteractiveShell

from ..commands.command import OperationVerb, Verb
from ..commands.registry import VERBS

_LINE = re.compile(r"^\s*(?:[\w.,\s\[\]]+=\s*)?%{1,2}imgopen(?P<rest>\s.*|)$", re.DOTALL)


class Completion:
    """Offers words to IPython's completer."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

        @context_matcher(identifier="imgopen")  # type: ignore[untyped-decorator,unused-ignore]
        def matcher(context: CompletionContext) -> SimpleMatcherResult:
            return self.complete(context)

        matcher.of_imgopen = True
        self.matcher = matcher

    def complete(self, context: CompletionContext) -> SimpleMatcherResult:
        """Return what fits at the cursor; nothing outside of our magics."""
        line = _LINE.match(context.text_until_cursor)
        if line is None or not line["rest"]:
            return {"completions": [], "suppress": False}
        # Over a cell only the first line is ours.
        if context.cursor_line and context.full_text.lstrip().startswith("%%"):
            return {"completions": [], "suppress": False}
        *before, word = re.split(r"\s+", line["rest"].lstrip())
        found = self._candidates(before, word)
        return self._result(context.token, word, [c for c in found if c.startswith(word)])

    def _result(self, token: str, word: str, found: list[str]) -> SimpleMatcherResult:
        # IPython replaces its own idea of a word, which is shorter than ours after : or {.
        skip = len(word) - len(token) if word.endswith(token) else 0
        fragment = token if word.endswith(token) else ""
        return {
            "completions": [SimpleCompletion(text[skip:], type="imgopen") for text in found],
            "matched_fragment": fragment,
            "suppress": bool(found),
            "ordered": True,
        }

    def _candidates(self, before: list[str], word: str) -> list[str]:
        if not before:
            return list(VERBS)
        verb = VERBS.get(before[0])
        if verb is None:
            return []
        opening = word.rfind("{")
        if opening >= 0 and "}" not in word[opening:]:
            head = word[: opening + 1]
            return [f"{head}{name}}}" for name in self._variables()]
        if word.startswith("-"):
            used = {w.partition("=")[0] for w in before}
            return [flag for flag in _flags(verb) if flag not in used]
        return self._values(verb, before)

    def _values(self, verb: Verb, before: list[str]) -> list[str]:
        name = next((w for w in reversed(before) if w.startswith("--")), "")
        if name and (before[-1] == name or name == "--models"):
            return _choices(verb, name[2:].replace("-", "_"))
        words = _choices(verb, "words")
        if isinstance(verb, OperationVerb) or verb.name == "compare":
            words = _samples()
        return words

    def _variables(self) -> list[str]:
        hidden = self._shell.user_ns_hidden
        return [n for n in self._shell.user_ns if not n.startswith("_") and n not in hidden]


def _flags(verb: Verb) -> list[str]:
    return [flag for flag in verb.parser()._option_string_actions if flag.startswith("--")]


def _choices(verb: Verb, name: str) -> list[str]:
    if isinstance(verb, OperationVerb):
        for param in verb.operation.user_params:
            if param.name == name:
                fixed = ("true", "false") if param.type == "boolean" else param.choices
                return _samples() if param.picture else [str(choice) for choice in fixed]
    offered: Any = (verb.values or {}).get(name)
    return offered() if offered else []


def _samples() -> list[str]:
    from ..images.picture import samples

    return [f"sample:{name}" for name in samples()]
