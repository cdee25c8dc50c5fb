"""What can follow %imgopen: the operations, and the verbs about tasks and settings.

The magics and the command line share these rows.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import Any

from ..api.envelope import State
from ..catalogue.operations import OPERATIONS
from ..config.settings import KEY_ID, KEY_SECRET, NAMES
from ..errors import ImgOpenError, ParameterError, UnknownNameError, UsageError
from ..syntax.parser import Parser
from ..text import in_words, near_match
from .command import Call, OperationVerb, Verb, no_options, operation_options, seconds_of, wait
from .history import FILTER_VALUES, HISTORY_VERBS
from .widgets import WIDGET_VERBS

# Lines of %imgopen resume; of more tasks it tells the numbers.
MOST_LINES = 20


def find(name: str) -> Verb:
    """Return the verb of a name.

    Raises:
        UnknownNameError: there is none; with the near match.
    """
    if name in VERBS:
        return VERBS[name]
    hint = near_match(name, VERBS) or "%imgopen alone lists all verbs"
    raise UnknownNameError("verb", name, [], hint=hint)


def _compare_options(parser: Parser) -> None:
    parser.add_argument("words", nargs="*", metavar="IMAGE", help="pictures: URLs, files, {names}")
    models = ", ".join(OPERATIONS["describe"].param("model").choices)
    parser.option("--models", nargs="+", metavar="MODEL", help=f"{models} (all unless given)")
    parser.option("--out", metavar="NAME", help="variable that takes the comparison")
    parser.option("--timeout", metavar="SECONDS", help="how long to wait at most for each")


def _compare(call: Call) -> Any:
    from ..batch.progress import counting
    from ..comparing import compare

    lines = [line.strip() for line in (call.body or "").splitlines()]
    images = [*call.options.words, *(line for line in lines if line)]
    if not images:
        raise ParameterError("compare needs pictures", hint="%imgopen compare URL URL ...")
    models = call.options.models or OPERATIONS["describe"].param("model").choices
    calls = [{"image": image, "model": model} for image in images for model in models]
    seconds = seconds_of(call.options.timeout)
    with counting("describe", len(calls)) as count:
        results = call.session().run_all("describe", calls, seconds, watch=count)
    if all(result.error for result in results):
        raise UsageError(f"no picture could be described: {results[0].error}")
    return compare(results)


def _operations(call: Call) -> Any:
    from ..display.tables import Table

    columns = ("operation", "what it does", "result", "path")
    rows = [(op.name, op.about, op.kind, op.known) for op in OPERATIONS.runnable]
    return Table(columns, rows)


def _history_options(parser: Parser) -> None:
    for name in ("operation", "model", "status", "since", "backend", "limit"):
        parser.option(f"--{name}", metavar=name.upper(), help=_HISTORY_HELP[name])
    parser.option("--out", metavar="NAME", help="variable that takes the DataFrame")


_HISTORY_HELP = {
    "operation": "only this operation",
    "model": "only this model",
    "status": "only this status: succeeded, failed, refused, running ...",
    "since": "only since a date, or back from now: 30min, 12h, 7d",
    "backend": "only real or only sandbox",
    "limit": "only the newest so many (20 unless given; 0 for all)",
}


def _history(call: Call) -> Any:
    from ..history.table import HistoryView

    names = ("operation", "model", "status", "since", "backend")
    filters = {name: getattr(call.options, name) for name in names}
    limit = 20 if call.options.limit is None else _count(call.options.limit)
    view = HistoryView(call.session().rows(**filters, limit=limit or None))
    return view.frame if call.options.out else view


def _count(text: Any) -> int:
    if not str(text).isdecimal():
        raise ParameterError(f"--limit must be a whole number, not {in_words(text)}")
    return int(text)


def _login_options(parser: Parser) -> None:
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--forget", action="store_true", help="remove the stored key")


def _login(call: Call) -> str:
    from .. import session as session_module
    from .login import forget, login

    if call.options.words:
        raise UsageError(
            "a key on a magic line would stay in the notebook and in IPython's history",
            hint=f"run {call.prefix}login alone: it asks without showing, or set {KEY_ID} and "
            f"{KEY_SECRET}. Delete that line now, and renew the key if others saw it",
        )
    said = forget() if call.options.forget else login()
    session_module.set_current(None)
    return said


def _task_options(parser: Parser) -> None:
    parser.add_argument("words", nargs=1, metavar="TASK", help="a task's id, or its beginning")


def _wait_options(parser: Parser) -> None:
    _task_options(parser)
    parser.option("--out", metavar="NAME", help="variable that takes the result")
    parser.option("--timeout", metavar="SECONDS", help="how long to wait at most")


def _status(call: Call) -> Any:
    return call.session().task(call.options.words[0])


def _wait(call: Call) -> Any:
    session = call.session()
    return wait(session, session.task(call.options.words[0]), seconds_of(call.options.timeout))


def _resume(call: Call) -> Any:
    tasks = call.session().resume()
    if not tasks:
        return "no open tasks"
    lines = [_outcome(task, call) for task in tasks]
    if len(lines) <= MOST_LINES:
        return "\n".join(lines)
    states = Counter(task.state.value for task in tasks)
    counts = ", ".join(f"{count:,} {state}" for state, count in states.items())
    others = [
        line for task, line in zip(tasks, lines, strict=True) if task.state is not State.SUCCEEDED
    ]
    return "\n".join([f"{len(tasks):,} tasks were open: {counts}", *others[:MOST_LINES]])


def _outcome(task: Any, call: Call) -> str:
    try:
        task.wait(seconds_of(call.options.timeout))
    except ImgOpenError as error:
        return f"{task.id} {task.operation.name}: {error.message}"
    return f"{task.id} {task.operation.name}: {task.state}"


def _resume_options(parser: Parser) -> None:
    parser.option("--timeout", metavar="SECONDS", help="how long to wait at most for each")


def _config_options(parser: Parser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="NAME VALUE", help="a setting and its new value"
    )


def _config(call: Call) -> Any:
    from .. import session as session_module
    from ..config.settings import home_folder, store_setting
    from ..display.tables import Table

    words = call.options.words
    if len(words) == 2:
        value = store_setting(home_folder(), words[0], words[1])
        session_module.set_current(None)
        return f"{words[0]} is now {value!r}"
    if words:
        raise ParameterError(
            "config takes a name and a value, or nothing", hint="see config --help"
        )
    session = call.session()
    found = session.settings
    keys = f"set ({found.keys.source})" if found.keys else "none: the sandbox is used"
    rows = [(name, getattr(found, name) or "", about) for name, about in NAMES.items()]
    rows += [
        ("access key", keys, "change it with login"),
        ("backend", session.backend, "follows from the access key"),
        ("home", str(found.home), "folder of the history; set by IMGOPEN_HOME"),
    ]
    return Table(("setting", "value", "what it is"), rows)


def _recent_tasks() -> list[str]:
    from ..session import current

    rows = current().journal.rows(limit=30, columns=("task_id",))
    return [row["task_id"] for row in rows[::-1]]


def _call_options(parser: Parser) -> None:
    parser.add_argument("words", nargs=1, metavar="PATH", help="e.g. /tool/video/expand")
    parser.option("--body", metavar="JSON", help="the JSON object to send; or the cell's body")
    operation_options(parser)


def _call(call: Call) -> Any:
    text = call.options.body or call.body or "{}"
    try:
        body = json.loads(text)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ParameterError("the body must be a JSON object")
    session, seconds = call.session(), seconds_of(call.options.timeout)
    task = session.call(call.options.words[0], body)
    return task if call.options.no_wait else wait(session, task, seconds)


def _doctor_options(parser: Parser) -> None:
    parser.option(
        "--leaks",
        nargs="+",
        metavar="FILE",
        help="look for the access key in notebooks, IPython's history and the data folder",
    )

    parser.add_argument(
        "--callbacks", action="store_true", help="only try whether the service could reach us"
    )


def _doctor(call: Call) -> Any:
    from .doctor import CALLBACKS, examine
    from .key_leaks import find_leaks

    session = call.session()
    files = call.options.leaks
    if files is not None:
        return find_leaks(session.settings, files)
    return examine(session, CALLBACKS) if call.options.callbacks else examine(session)


_ROWS = (
    Verb(
        "compare",
        "Describe pictures with several models and put the captions side by side.",
        _compare_options,
        _compare,
        takes_body=True,
        values={"models": lambda: list(OPERATIONS["describe"].param("model").choices)},
    ),
    Verb("ops", "List the operations.", no_options, _operations),
    Verb(
        "history",
        "Show the tasks so far.",
        _history_options,
        _history,
        values=FILTER_VALUES,
    ),
    Verb(
        "login",
        "Store an access key, asked for without showing it; from then on the real service is used.",
        _login_options,
        _login,
    ),
    Verb(
        "status",
        "Show where a task stands.",
        _task_options,
        _status,
        values={"words": _recent_tasks},
    ),
    Verb(
        "wait",
        "Wait for a task of the history and show its result.",
        _wait_options,
        _wait,
        values={"words": _recent_tasks},
    ),
    Verb("resume", "Wait for every task that has not ended.", _resume_options, _resume),
    Verb(
        "call",
        "Send a JSON body to a path that the catalogue does not know.",
        _call_options,
        _call,
        takes_body=True,
    ),
    Verb("doctor", "Check versions, key, service and history.", _doctor_options, _doctor),
    Verb(
        "config",
        "Show the settings, or change one.",
        _config_options,
        _config,
        values={"words": lambda: list(NAMES)},
    ),
)
VERBS: dict[str, Verb] = {
    **{op.name: OperationVerb(op) for op in OPERATIONS.runnable},
    **{verb.name: verb for verb in (*_ROWS, *WIDGET_VERBS, *HISTORY_VERBS)},
}


def overview(prefix: str = "%imgopen ") -> str:
    """Return the list of all verbs."""
    width = max(map(len, VERBS))
    lines = [f"  {verb.name:<{width}}  {verb.about}" for verb in VERBS.values()]
    operations, others = lines[: len(OPERATIONS.runnable)], lines[len(OPERATIONS.runnable) :]
    return "\n".join(
        [
            f"{prefix}VERB ...     {prefix}VERB --help tells more about each",
            "",
            "Operations",
            *operations,
            "",
            "Tasks, captions and settings",
            *others,
        ]
    )
