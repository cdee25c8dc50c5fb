"""The words of a magic line: splitting, `{name}` expansion, lists of values, and quoting back.

The rules are the same for all commands. Blanks separate words. Single, double or typographic quotes
hold a word together; to write a quote, use another kind. A backslash is an ordinary character, and
so are & = % # ; ?. `{name}` is replaced by a variable of the notebook, as are `{name[0]}`,
`{name.column}` and `{name['a column']}`: they look up, and never run code. `$name` as a word of its
own is the same as `{name}`. `{{`, `}}` and `$$` are literal, and braces around anything else are
left as they are.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable, Iterator, KeysView, Mapping, ValuesView
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ..errors import ParameterError, UnknownNameError
from ..text import clip, near_match

_NAME = r"[^\W\d]\w*"
_KEY = r"""\[(?:'[^'\n]*'|"[^"\n]*"|[^\[\]{}'"\n]*)\]"""
_LOOK_UP = rf"{_NAME}(?:\.\w+|{_KEY})*"
# Over a whole line: blanks, what keeps its quotes, and what is held together by quotes.
_PIECE = re.compile(
    rf"""(?P<blank>\s+)|(?P<kept>\{{\{{|\}}\}}|\{{{_LOOK_UP}\}})"""
    rf"""|"(?P<double>(?>\{{\{{|\{{{_LOOK_UP}\}}|[^"])*+)\""""
    rf"""|'(?P<single>(?>\{{\{{|\{{{_LOOK_UP}\}}|[^'])*+)'|(?P<sign>[^\s{{}}'"“„‘«]+|.)""",
    re.DOTALL,
)
# At the beginning of a word only: inside of one they are ordinary characters.
_TYPOGRAPHIC = re.compile(r"(?:[“„]([^“”„]*)[”“]|‘([^‘’]*)’|«([^«»]*)»)(?=[\s,]|$)")
_BARE = re.compile(rf"{_LOOK_UP}(?=\s|$)")
_BRACES = re.compile(rf"\{{\{{|\}}\}}|\{{({_LOOK_UP})\}}")
_DOLLAR = re.compile(rf"\$(?:({_LOOK_UP})|\{{({_LOOK_UP})\}})")
_FOLDER = re.compile(rf"\$(?:({_NAME})|\{{({_NAME})\}})(?=[/\\])")
_CODE = re.compile(rf"\{{[\[(]*({_NAME})(?:\.\w+|{_KEY})*([(+*/%:!=\])-])")
_OPEN = re.compile(rf"(?<!\{{)\{{(?:[\[(]|{_NAME}|$)[^{{}}]*$")
_LIST = re.compile(r"\{[\[(]")
_LITERAL = re.compile(r"(?:^|(?<=[=,]))\{[\[(].*[\])]\}$", re.DOTALL)
_AXIS = re.compile(r"-*\w[\w-]*=")
_STEP = re.compile(rf"\.(?P<name>\w+)|(?P<key>{_KEY})")
_SLICE = re.compile(r"(-?\d*):(-?\d*)(?::(-?\d*))?")
# One value of a list, and the comma or the end behind it.
_FIELD = re.compile(r'\s*(?:"(?P<quoted>(?:[^"]|"")*+)"|(?P<plain>[^,]*?))\s*(?:,|$)', re.DOTALL)
# Stands for a sign that is no comma, quote or blank of the list: it was quoted in the line.
_HELD = {",": "\x01", '"': "\x02", " ": "\x03", "": "\x04"}
_NOTHING = object()


@dataclass(frozen=True)
class Part:
    """A piece of a word: text, or the object of a variable.

    Attributes:
        value: the text or object.
        held: whether it is one value whatever is in it: it was quoted, or is a variable's.
    """

    value: Any
    held: bool = False


class Word(str):
    """A word of a line; `parts` says which pieces of it were quoted or came from variables."""

    parts: tuple[Part, ...]

    def __new__(cls, parts: Iterable[Part]) -> Word:
        """Join the parts."""
        parts = tuple(parts)
        made = super().__new__(cls, "".join(str(part.value) for part in parts))
        made.parts = parts
        return made


@dataclass(frozen=True)
class Joined:
    """An option with its value in one word, `--image={x}`: the value may be any object."""

    flag: str
    value: Any


def split(line: str) -> list[Word]:
    """Return the words of a line.

    Raises:
        ParameterError: a quote is not closed.
    """
    words: list[Word] = []
    parts: list[Part] = []
    at = 0
    while at < len(line):
        if not parts and line.startswith("--from=", at):
            parts.append(Part("--from="))
            at += len("--from=")
        begins = not parts or (len(parts) == 1 and parts[0].value == "--from=")
        special = (begins or line[at - 1] in "=,") and _TYPOGRAPHIC.match(line, at)
        bare = _BARE.match(line, at) if begins else None
        found = special or (bare if bare and "[" in bare[0] else None) or _PIECE.match(line, at)
        if found is None:  # --from= at the end
            break
        at = found.end()
        if special:
            parts.append(
                Part(next(text for text in special.groups() if text is not None), held=True)
            )
        elif found is bare:
            parts.append(Part(bare[0]))
        elif found["blank"]:
            if parts:
                words.append(Word(_merged(parts)))
            parts = []
        elif (quoted := found["double"]) is not None or (quoted := found["single"]) is not None:
            parts.append(Part(quoted, held=True))
        elif found[0] in ("'", '"'):
            raise ParameterError(
                f"a quote is not closed: {clip(line, 120)}",
                hint="put a word with an apostrophe in double quotes"
                if re.search(r"\w'\w", line)
                else f"add the closing quote: {clip(line.rstrip(), 120)}{found[0]}",
            )
        else:
            parts.append(Part(found[0]))
    if parts:
        words.append(Word(_merged(parts)))
    return words


def _merged(parts: list[Part]) -> list[Part]:
    """Return the parts, with those that were not quoted and stand together in one."""
    return [
        part
        for held, group in groupby(parts, lambda part: part.held)
        for part in (group if held else [Part("".join(str(each.value) for each in group))])
    ]


def quote(word: str) -> str:
    """Return a word quoted, so that `split` and `expand` return it unchanged."""
    word = word.replace("{", "{{").replace("}", "}}")
    if word and not re.search(r"[\s'\"]|^[$“„‘«]|[=,][“„‘«]|;$", word):
        return word
    return '"' + word.replace('"', '"\'"\'"') + '"'


def expand(words: Iterable[str], variables: Mapping[str, Any]) -> list[Any]:
    """Replace `{name}` by the variables of the notebook.

    A word that is just `{name}` becomes the object itself (a list becomes several words), so that
    images and arrays can be passed. Inside a longer word, `{name}` is replaced by `str()` of it.

    Raises:
        UnknownNameError: there is no such variable.
        ParameterError: it has no such item, a list is empty, or the braces hold code.
    """
    expanded: list[Any] = []
    words = list(words)
    option = ""
    for number, word in enumerate(words):
        _refuse_open_braces(words[number:], variables)
        option = word.partition("=")[0] if word.startswith("--") else option
        bare = any(not part.held and _LIST.search(str(part.value)) for part in _parts(word))
        if bare and (literal := _LITERAL.search(word)):
            raise no_list(literal[0], "--from {x}" if option == "--from" else "{x}")
        flag, sign, rest = word.partition("=")
        if sign and rest and flag.startswith("--"):
            value = _expanded(rest_of(word, len(flag) + 1), variables)
            if isinstance(value, Word) and not any(part.held for part in value.parts):
                expanded.append(f"{flag}={value}")
            else:
                expanded.append(Joined(flag, value))
            continue
        value = _expanded(word, variables)
        expanded.extend(value if isinstance(value, (list, tuple)) else [value])
    return expanded


def _parts(word: str) -> tuple[Part, ...]:
    return word.parts if isinstance(word, Word) else (Part(word),)


def rest_of(word: str, begin: int) -> Word:
    """Return a word from a character on; a part that is cut counts as not quoted."""
    parts: list[Part] = []
    for part in _parts(word):
        text = str(part.value)
        if begin <= 0:
            parts.append(part)
        elif begin < len(text):
            parts.append(Part(text[begin:]))
        begin -= len(text)
    return Word(parts)


def _expanded(word: str, variables: Mapping[str, Any]) -> Any:
    """Return the object of a word that is one variable, or the word with its variables as text."""
    named = _BRACES.fullmatch(word)
    asked = named[1] if named else None
    parts = _parts(word)
    if asked is None and not any(part.held for part in parts):
        dollar = _DOLLAR.fullmatch(word)
        if dollar and is_look_up(dollar[1] or dollar[2], variables):
            asked = dollar[1] or dollar[2]
        elif re.match(r"\$\$[{\w]", word):
            return Word([Part(word[1:])])
        elif (folder := _FOLDER.match(word)) and (name := folder[1] or folder[2]) in variables:
            return Word([Part(f"{variables[name]}{word[folder.end() :]}")])
        elif (
            (axis := _AXIS.match(word))
            and (dollar := _DOLLAR.fullmatch(word, axis.end()))
            and is_look_up(name := dollar[1] or dollar[2], variables)
        ):
            return Word([Part(axis[0]), Part(look_up(name, variables), held=True)])
    if asked is not None:
        value = look_up(asked, variables)
        if isinstance(value, (list, tuple)) and not value:
            raise ParameterError(
                f"{{{asked}}} is empty: there is nothing to run",
                hint="fill it, then run the line again",
            )
        return value
    if parts and parts[0].held and _AXIS.match(str(parts[0].value)):  # 'NAME="a, b",c' as a whole
        parts = (Part(parts[0].value), *parts[1:])
    pieces = [piece for part in parts for piece in _substituted(part, variables)]
    table = len(pieces) > 1 and any(getattr(piece.value, "shape", ()) for piece in pieces)
    if table and not _AXIS.match(word) and (found := _BRACES.search(word)):
        raise ParameterError(
            f"{clip(word, 80)}: a table or an array in braces must be a word of its own",
            hint=f"to use a part of it, write the part inside the braces: {{{found[1]}['NAME']}}",
        )
    return Word(pieces)


def _substituted(part: Part, variables: Mapping[str, Any]) -> Iterator[Part]:
    """Yield a part with the variables that it names; their values are parts of their own."""
    text, end = str(part.value), 0
    if (code := _CODE.search(_BRACES.sub("", text))) and _is_known(code[1], code[2], variables):
        raise _no_code(text, code[1])
    for found in _BRACES.finditer(text):
        if found.start() > end:
            yield Part(text[end : found.start()], part.held)
        if found[1]:
            yield Part(look_up(found[1], variables), held=True)
        else:
            yield Part(found[0][0], part.held)
        end = found.end()
    if end < len(text) or not text:
        yield Part(text[end:], part.held)


def _refuse_open_braces(words: list[str], variables: Mapping[str, Any]) -> None:
    """Refuse code with blanks in braces: it is several words, of which none is a variable."""
    first, *others = words
    if any(part.held for part in _parts(first)) or not (found := _OPEN.search(first)):
        return
    end = next((at for at, word in enumerate(others, 2) if "}" in word), None)
    text = " ".join(words[:end])
    names = re.findall(_NAME, text[found.start() :])
    known = [name for name in names if name in variables]
    if end is not None and known and (known[0] == names[0] or text[found.start() + 1] in "[("):
        raise _no_code(text, known[0])


def no_list(text: str, use: str = "{x}") -> ParameterError:
    """Return the error of a list that was written out where a variable goes.

    Args:
        text: what was written.
        use: how the variable is used.
    """
    return ParameterError(
        f"braces take names of variables and run no code: {clip(text, 80)}",
        hint=f"put the list in a variable: x = [...], then {use}",
    )


def _no_code(text: str, name: str) -> ParameterError:
    return ParameterError(
        f"braces take names of variables and run no code: {clip(text, 80)}",
        hint=f"x = ..., then {{x}}; to write the braces themselves, double them: {{{{{name}...}}}}",
    )


def _is_known(name: str, sign: str, variables: Mapping[str, Any]) -> bool:
    return name in variables or (sign == "(" and hasattr(builtins, name))


def values(flag: str, word: Any) -> list[Any]:
    """Return the values of a list on a line: `a,b`, `"a, b",c` or `{list}`.

    Commas separate values, by the rules of CSV: quotes hold a value together, and two of them stand
    for one. Variables are values as they are: a list or a column is several, another object is one.

    Args:
        flag: the option, for messages.
        word: a word as `expand` returns it.

    Raises:
        ParameterError: there is no value, or a quote is not closed.
    """
    parts = _parts(word) if isinstance(word, str) else (Part(word, held=True),)
    found = list(_values(flag, parts))
    if not found:
        raise ParameterError(f"{flag} has no value", hint="separate values by commas")
    return found


def _values(flag: str, parts: Iterable[Part]) -> Iterator[Any]:
    objects: list[Any] = []
    text = ""
    for part in parts:
        if part.held and not isinstance(part.value, str):
            text += f"\x00{len(objects)}\x00"
            objects.append(part.value)
        elif part.held:
            text += "".join(_HELD.get(sign, sign) for sign in part.value) or _HELD[""]
        else:
            text += str(part.value)
    for found in _FIELD.finditer(text):
        field = found["quoted"]
        if field is None and not (field := found["plain"].strip()):
            continue
        if found["quoted"] is not None:
            field = field.replace('""', '"')
        elif field.startswith('"'):
            raise ParameterError(
                f"{flag}: a quote is not closed, or something follows it: {clip(field, 80)}",
                hint='write a value with a comma "in, quotes", and double a quote inside it',
            )
        if alone := re.fullmatch(r"\x00(\d+)\x00", field):
            yield from _items(objects[int(alone[1])])
            continue
        for sign, held in _HELD.items():
            field = field.replace(held, sign)
        yield re.sub(r"\x00(\d+)\x00", lambda found: str(objects[int(found[1])]), field)


def _items(value: Any) -> list[Any]:
    """Return the values that an object stands for."""
    several = (list, tuple, set, frozenset, range, Iterator, KeysView, ValuesView)
    if isinstance(value, several):
        return list(value)
    if isinstance(value, memoryview) or getattr(value, "ndim", 1) != 1:
        return [value]
    for name in ("tolist", "to_list", "to_pylist"):  # NumPy and pandas, polars, pyarrow
        if callable(listed := getattr(value, name, None)):
            return list(listed())
    return [value]


def is_look_up(text: str, variables: Mapping[str, Any]) -> bool:
    """Whether a text is what `look_up` takes, and its variable is known."""
    name = re.match(_NAME, text)
    return name is not None and name[0] in variables and bool(re.fullmatch(_LOOK_UP, text))


def unknown_variable(
    what: str, name: str, variables: Mapping[str, Any], hint: str = ""
) -> UnknownNameError:
    """Return the error of a name that is no variable; it names similar ones, and no others."""
    near = near_match(name.split(".")[0], [each for each in variables if not each.startswith("_")])
    return UnknownNameError(what, name, [], hint=" ".join(filter(None, (near, hint))))


def look_up(asked: str, variables: Mapping[str, Any]) -> Any:
    """Return what `name`, `name.column`, `name[0]` or `name['a column']` stands for.

    Of a dotted name, the longest column or key is taken: `df.image.url` is the column "image.url"
    where there is one. Nothing is called, and no name that begins with _ is looked up in an object.

    Raises:
        UnknownNameError: there is no such variable, column or attribute.
        ParameterError: there is no such item.
    """
    name = re.match(_NAME, asked)
    assert name, "a name comes first"
    first = name[0]
    if first not in variables or re.fullmatch(r"__\w*[^\W_]\w*__", first):
        hint = f"to write the braces themselves, double them: {{{{{asked}}}}}"
        raise unknown_variable("variable", first, variables, hint)
    steps = [(found["name"], found["key"]) for found in _STEP.finditer(asked, name.end())]
    return _followed(variables[first], steps, first, variables)


def _followed(
    value: Any,
    steps: list[tuple[str | None, str | None]],
    so_far: str,
    variables: Mapping[str, Any],
) -> Any:
    if not steps:
        return value
    if (key := steps[0][1]) is not None:
        return _followed(_item(value, key, so_far, variables), steps[1:], so_far + key, variables)
    names: list[str] = []
    for name, _ in steps:
        if name is None:
            break
        names.append(name)
    trouble: UnknownNameError | None = None
    for count in range(len(names), 0, -1):
        name = ".".join(names[:count])
        found = _member(value, name, alone=count == 1)
        if found is not _NOTHING:
            try:
                return _followed(found, steps[count:], f"{so_far}.{name}", variables)
            except UnknownNameError as error:
                trouble = trouble or error
    raise trouble or UnknownNameError(
        f"column of {so_far} called", ".".join(names), map(str, columns_of(value))
    )


def behind(name: str, column: Any) -> str:
    """Return how a column of a variable is written on a line.

    Example:
        >>> behind("df", "url"), behind("df", "my url")
        ('df.url', "df['my url']")
    """
    plain = isinstance(column, str) and column.isidentifier()
    return f"{name}.{column}" if plain else f"{name}[{column!r}]"


def columns_of(value: Any) -> list[Any]:
    """Return the columns of a table, or the keys of a mapping; [] for anything else."""
    if isinstance(value, Mapping):
        return list(value)
    for name in ("column_names", "columns"):  # pyarrow's `columns` are the data
        names = getattr(value, name, None)
        if names is not None and not callable(names):
            return list(names)
    return []


def _member(value: Any, name: str, *, alone: bool) -> Any:
    """Return a column, key or attribute, or `_NOTHING`."""
    columns = columns_of(value)
    for key in (name, int(name)) if name.isdecimal() else (name,):
        if any(type(column) is type(key) and column == key for column in columns):
            return value[key]
        if isinstance(key, int) and (
            any(column == key for column in columns if not isinstance(column, str))
            or (isinstance(value, (list, tuple)) and key < len(value))
        ):
            return value[key]
    if not alone or name.startswith("_"):
        return _NOTHING
    try:
        return getattr(value, name, _NOTHING)
    except Exception as error:
        raise ParameterError(f"{name} cannot be looked up: {clip(error)}") from None


def _item(value: Any, key: str, so_far: str, variables: Mapping[str, Any]) -> Any:
    """Return an item by a literal key in brackets."""
    text = key[1:-1].strip()
    where: Any
    if text[:1] in ("'", '"'):
        where = text[1:-1]
    elif re.fullmatch(r"-?\d+", text):
        where = int(text)
    elif cut := _SLICE.fullmatch(text):
        where = slice(*(int(part) if part and part != "-" else None for part in cut.groups()))
    elif text in variables or not text:
        where = _NOTHING
    else:
        where = text
    try:
        if where is _NOTHING:
            raise KeyError
        return value[where]
    except Exception:
        raise ParameterError(
            f"there is no {so_far}{key}",
            hint="use a number or a quoted name in brackets; for anything else, x = ..., then {x}",
        ) from None
