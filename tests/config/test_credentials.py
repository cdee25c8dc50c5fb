"""No key is shown: not by its own class, nor by an error, a traceback, a pickle or a log."""

from __future__ import annotations

import base64
import contextlib
import copy
import dataclasses
import getpass
import html
import http.client
import io
import json
import logging
import os
import pickle
import pprint
import re
import subprocess
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from IPython.core.ultratb import FormattedTB

from imgopen_nb.commands.key_leaks import find_leaks
from imgopen_nb.commands.settings import _ask, _ask_and_store_key
from imgopen_nb.config.credentials import KEY_ID, KEY_SECRET, Keys, Secret, find_keys, store_keys
from imgopen_nb.config.settings import Settings, load
from imgopen_nb.errors import ImgOpenError, NetworkError, SettingsError, UsageError
from imgopen_nb.session import Session

from ..conftest import often
from ..stub import Reply, Stub, ok, refusal

_GOOD = ("canary-id-77aa", 'canary+"secret"/\\55bb<%=>{x}==')
# What is no key. Each holds a canary, which must not be found anywhere.
BAD: dict[str, Any] = {
    "line break": "canary\nsecret",
    "header injection": "canary\r\nX-Evil: canary",
    "tab": "canary\tsecret",
    "blank": "canary secret",
    "NUL": "canary\0secret",
    "accent": "canary-sécret",
    "Chinese": "canary-秘密",
    "half a surrogate": "canary-\ud83d",
    "bidi": "canary-\u202esecret",
    "DEL": "canary\x7f",
    "next line": "canary\x85secret",
    "too long": "canary" * 100,
    "number": 77001155,
    "list": ["canary"],
    "object": {"canary": "canary"},
    "bytes": b"canary",
    "true": True,
}
IN_JSON = [name for name, bad in BAD.items() if not isinstance(bad, bytes)]
TYPED = [name for name, bad in BAD.items() if isinstance(bad, str)]
IN_ENVIRONMENT = [name for name in TYPED if name not in ("NUL", "half a surrogate")]
every_bad_key = pytest.mark.parametrize("name", BAD)
MODES = ("Plain", "Context", "Verbose", "Minimal")


class Hidden:
    """Holds what a test gives away, so that the test's own variables do not show it."""

    def __init__(self, content: Any) -> None:
        self.get = lambda: content

    def __repr__(self) -> str:
        return "<hidden>"


def forms(*keys: Any) -> list[str]:
    """Return how a leak may be spelled: plain, JSON, repr, URL, hex, reversed, base64."""
    found = []
    for key in keys:
        text = key if isinstance(key, str) else json.dumps(key) if key != b"canary" else "canary"
        raw = text.encode("utf-8", "surrogatepass")
        found += [text, json.dumps(text)[1:-1], repr(text)[1:-1], text[::-1], raw.hex()]
        found += [quote(raw, safe=""), json.dumps(text, ensure_ascii=False)[1:-1]]
        for shift in range(3):  # wherever it begins among the groups of three bytes
            coded = base64.b64encode(b"x" * shift + raw).decode().rstrip("=")
            found += [coded[4:-2], coded[4:-2].replace("+", "-").replace("/", "_")]
    return [form for form in found if len(form) >= 4 and form != "true"]


def leaks(text: str, *keys: Any) -> list[str]:
    canary = ["canary"] if any("canary" in str(key) for key in keys) else []
    return [form for form in [*forms(*keys), *canary] if form in text]


def shown(error: BaseException) -> str:
    """Return an error as tracebacks show it: in IPython's four modes, and with all variables."""
    parts = [repr(error), str(error)]
    kind, trace = type(error), error.__traceback__
    for mode in MODES:
        parts += FormattedTB(mode=mode, include_vars=True).structured_traceback(kind, error, trace)
    seen: set[int] = set()
    chain: list[BaseException] = [error]
    while chain:  # those before it too, though `from None` hides them, with all that they carry
        each = chain.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        full = traceback.TracebackException.from_exception(each, capture_locals=True)
        parts += [*full.format(), repr(vars(each)), repr(each.args)]
        parts += [repr(getattr(each, name, "")) for name in ("doc", "object")]
        chain += [e for e in (each.__cause__, each.__context__) if e is not None]
    return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(parts))  # no colours within a word


def caught(action: Callable[[], object]) -> BaseException:
    try:
        action()
    except BaseException as error:
        return error
    raise AssertionError("no error")


def interrupted(action: Callable[[], object], at: int) -> tuple[int, BaseException | None]:
    """Run something that is interrupted at a line; return how many it had, and the error."""
    count = 0

    def trace(frame: types.FrameType, event: str, arg: object) -> Any:
        nonlocal count
        count += event == "line"
        if count == at:
            sys.settrace(None)
            raise KeyboardInterrupt if at % 2 else MemoryError
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    except BaseException as error:
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        return count, error
    finally:
        sys.settrace(before)
    return count, None


def variables(error: BaseException) -> str:
    """Return an error, and those before it, with the variables of all frames."""
    parts: list[str] = []
    each: BaseException | None = error
    while each is not None:
        parts += [repr(each), repr(vars(each))]
        for frame, _ in traceback.walk_tb(each.__traceback__):
            for value in frame.f_locals.values():
                with contextlib.suppress(AttributeError):  # what was not made yet has no repr
                    parts.append(repr(value))
        each = each.__cause__ or each.__context__
    return "\n".join(parts)


GOOD = Hidden(_GOOD)


class TestSecret:
    ATTEMPTS: tuple[Callable[[Secret], Any], ...] = (
        repr, str, ascii, "{}".format, "{!r:>20}".format, "%s".__mod__, "%r".__mod__,
        lambda s: f"{s}{s!r}{s!a}{s:>9}", lambda s: s + "", lambda s: "" + s, lambda s: s[:3],
        lambda s: s * 2, "".join, lambda s: "".join([s]), list, bytes, memoryview, int,
        json.dumps, lambda s: json.dumps({"k": s}, default=str), lambda s: json.dumps({s: 1}),
        pickle.dumps, copy.copy, copy.deepcopy, vars, pprint.pformat, lambda s: s.__dict__,
        lambda s: s.__reduce__(), lambda s: s.__getstate__(), lambda s: dir(s), hash,
        os.fspath, lambda s: {"a": 1}[s], lambda s: s in "abc", lambda s: s.nothing,
        lambda s: io.StringIO().write(s), lambda s: print(s, file=sys.stderr), sorted,
        lambda s: logging.getLogger("x").warning("%s %r %s", s, s, [s]),
        lambda s: Secret(s), lambda s: str(Secret(s)), lambda s: format(Secret(s)),
    )  # fmt: skip

    @pytest.mark.parametrize("attempt", ATTEMPTS, ids=range(len(ATTEMPTS)))
    def test_nothing_shows_its_content(
        self, attempt: Callable[[Secret], Any], capfd: pytest.CaptureFixture[str]
    ):
        """38 ways in which an object is shown, copied or joined by accident."""
        secret = Secret(GOOD.get()[1])
        try:
            text = repr(attempt(secret))
        except (TypeError, AttributeError, KeyError) as error:
            text = shown(error)
        out, err = capfd.readouterr()
        assert leaks(text + out + err, GOOD.get()[1]) == []

    def test_it_is_known_by_its_content(self):
        assert Secret(" a\n") == Secret("a") != Secret("b")
        assert (Secret("a").reveal(), Secret("a").encode()) == ("a", b"a")
        assert (bool(Secret("  ")), bool(Secret("a")), bool(Secret(0))) == (False, True, True)
        assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
        assert Secret("a") != "a"


class TestWhatHoldsKeys:
    @pytest.fixture
    def holders(self, tmp_path: Path) -> Iterator[list[Any]]:
        with Session("https://x.invalid", *GOOD.get(), home=tmp_path) as session:
            backend = session.manager.backend
            yield [
                session.settings.keys, session.settings, session, backend, backend.client(),
                backend.http, session.settings.keys.secret,
            ]  # fmt: skip

    def test_it_is_not_pickled(self, holders: list[Any]):
        """7 objects, each in every protocol, alone and inside something else."""
        for each in holders:
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                for what in (each, [each], {"k": (each,)}):
                    error = caught(lambda what=what, p=protocol: pickle.dumps(what, p))
                    assert isinstance(error, TypeError)
                    assert "cannot be pickled" in str(error)
            assert leaks(shown(error), *GOOD.get()) == []

    def test_nor_without_keys(self, tmp_path: Path):
        with Session(home=tmp_path) as session:
            for each in (session, session.settings, session.manager.backend):
                assert "cannot be pickled" in str(caught(lambda each=each: pickle.dumps(each)))

    def test_nor_shown_in_any_other_way(self, holders: list[Any]):
        settings = holders[1]
        views = [repr(holders), str(holders), pprint.pformat(holders)]
        views += [repr(vars(each)) for each in holders[:-1]]
        views += [repr(dataclasses.asdict(settings)), repr(dataclasses.astuple(settings))]
        views += [json.dumps(dataclasses.asdict(settings), default=str)]
        views += [repr(copy.copy(settings)), repr(copy.deepcopy([settings]))]
        views += [repr(holders[-2]._headers), str(holders[-2]._headers)]
        assert leaks("\n".join(views), *GOOD.get()) == []

    def test_the_keys_are_sent_all_the_same(self, stub: Stub, tmp_path: Path):
        stub.replies(ok(status=2, caption="a cat"))
        with Session(stub.url, *GOOD.get(), home=tmp_path) as session:
            session.run("describe", image="https://x.invalid/a.png")
        sent = {name.lower(): value for name, value in stub.requests[0].headers.items()}
        assert sent["x-request-req-accesskeyid"] == GOOD.get()[0]
        assert sent["x-request-req-accesskeysecret"] == GOOD.get()[1]


class TestWhatIsNoKey:
    """17 values, by each source, in four modes of tracebacks and with all variables: 0 shown."""

    def refused(self, action: Callable[[], object], bad: Hidden, quoted: str = "not an access key"):
        error = caught(action)
        assert isinstance(error, SettingsError)
        assert quoted in str(error)
        assert error.hint
        assert leaks(shown(error), bad.get(), GOOD.get()[1]) == []

    @every_bad_key
    @pytest.mark.parametrize("place", [0, 1])
    def test_as_an_argument(self, name: str, place: int):
        bad = Hidden(BAD[name])
        pair = Hidden((bad.get(), GOOD.get()[1]) if place == 0 else (GOOD.get()[1], bad.get()))

        self.refused(lambda: Session("https://x.invalid", *pair.get()), bad)
        if place == 0:
            self.refused(lambda: Keys(*map(Secret, pair.get())), bad)
        else:
            self.refused(lambda: find_keys(*map(Secret, pair.get()), Path()), bad)

    @every_bad_key
    def test_half_of_a_pair(self, name: str):
        bad = Hidden(BAD[name])
        self.refused(lambda: Session(access_key_id=bad.get()), bad, "only half")

    @every_bad_key
    def test_stored(self, name: str, tmp_path: Path):
        bad = Hidden(BAD[name])
        self.refused(lambda: store_keys(tmp_path, GOOD.get()[1], bad.get()), bad)
        assert list(tmp_path.glob("*.json")) == []

    @pytest.mark.parametrize("name", IN_JSON)
    def test_in_the_key_file(self, name: str, tmp_path: Path):
        bad = Hidden(BAD[name])
        content = Hidden(
            json.dumps({"access_key_id": GOOD.get()[1], "access_key_secret": bad.get()})
        )
        (tmp_path / "keys.json").write_text(content.get())
        (tmp_path / "keys.json").chmod(0o600)
        self.refused(lambda: load(home=tmp_path), bad)

    @pytest.mark.parametrize("name", IN_JSON)
    def test_in_a_key_file_that_is_broken(self, name: str, tmp_path: Path):
        """In five ways, in turn: the parser's error holds the whole file."""
        bad = Hidden(BAD[name])
        whole = Hidden(json.dumps({"access_key_id": GOOD.get()[1], "access_key_secret": bad.get()}))
        changes: tuple[Callable[[bytes], bytes], ...] = (
            lambda t: t[:-1], lambda t: b"[%b]" % t, lambda t: t + t, lambda t: b"\xff" + t,
            lambda t: json.dumps(t.decode()).encode(),
        )  # fmt: skip
        change = changes[list(BAD).index(name) % len(changes)]
        (tmp_path / "keys.json").write_bytes(change(whole.get().encode()))
        (tmp_path / "keys.json").chmod(0o600)
        self.refused(lambda: load(home=tmp_path), bad, "keys.json")

    @pytest.mark.parametrize("name", IN_ENVIRONMENT)
    def test_in_the_environment(self, name: str, monkeypatch: pytest.MonkeyPatch):
        bad = Hidden(BAD[name])
        monkeypatch.setenv(KEY_ID, GOOD.get()[1])
        monkeypatch.setenv(KEY_SECRET, bad.get())
        self.refused(Session, bad)

    @every_bad_key
    def test_in_the_secrets_of_colab(self, name: str, monkeypatch: pytest.MonkeyPatch):
        bad = Hidden(BAD[name])
        userdata = types.SimpleNamespace(get=lambda wanted: bad.get())
        monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
        monkeypatch.setitem(sys.modules, "google.colab", types.SimpleNamespace(userdata=userdata))
        self.refused(Session, bad)

    @pytest.mark.parametrize("name", TYPED)
    def test_typed_at_login(self, name: str, monkeypatch: pytest.MonkeyPatch):
        bad = Hidden(BAD[name])
        monkeypatch.setattr(getpass, "getpass", lambda prompt: bad.get())
        self.refused(_ask_and_store_key, bad)

        def unreadable(prompt: str) -> str:
            return bad.get().encode("utf-8", "surrogatepass").decode("ascii") + b"\xff".decode()

        monkeypatch.setattr(getpass, "getpass", unreadable)
        self.refused(_ask_and_store_key, bad, "nowhere to type")


class TestErrorsUnderWay:
    """What goes wrong with good keys, below code whose variables hold them as bytes."""

    @pytest.fixture
    def good(self, stub: Stub, tmp_path: Path) -> Iterator[Session]:
        with Session(stub.url, *GOOD.get(), home=tmp_path) as session:
            session.manager.backend.http._limits = (5.0, 0.5, 1.0)
            yield session

    @pytest.mark.parametrize(
        "failure",
        [ConnectionResetError, BrokenPipeError, KeyboardInterrupt, ValueError, MemoryError],
    )
    def test_while_the_headers_are_sent(
        self, good: Session, monkeypatch: pytest.MonkeyPatch, failure: type[BaseException]
    ):
        """The frame of `http.client.send` has the whole request in `data`."""
        seen = []

        def send(self: Any, data: Any) -> None:
            if self.sock is None:
                self.connect()
            seen.append(GOOD.get()[1].encode() in bytes(data))
            raise failure("in the midst of it")

        monkeypatch.setattr(http.client.HTTPConnection, "send", send)
        exchange = good.manager.backend.http.exchange
        error = caught(lambda: exchange("/x", {"a": 1}))
        assert isinstance(
            error, NetworkError if issubclass(failure, (OSError, ValueError)) else failure
        )
        assert seen == [True]
        assert leaks(shown(error), *GOOD.get()) == []

    @pytest.mark.parametrize(
        "reply",
        [
            lambda keys: refusal("400", f"no: {keys}"),
            lambda keys: refusal("401", json.dumps(keys), status=401),
            lambda keys: Reply(f"<html>{keys}</html>".encode()),
            lambda keys: Reply(f'{{"code": "200", "{keys}'.encode()),
            lambda keys: Reply(json.dumps([keys]).encode()),
            lambda keys: Reply(f"{quote(keys)} {quote(keys, safe='')}".encode()),
            lambda keys: Reply(status=302, headers={"Location": f"https://{quote(keys)}.x/"}),
            lambda keys: refusal("400", html.escape(keys)),
            lambda keys: refusal("400", repr({"key": keys.encode()})),
            lambda keys: refusal("400", keys.encode().hex()),
            lambda keys: refusal("400", re.sub("%..", lambda c: c[0].lower(), quote(keys))),
            lambda keys: Reply({}, headers={"X": f"y\r\n{keys} and no colon"}),
        ],
    )
    def test_while_an_answer_that_echoes_them_is_read(
        self, good: Session, stub: Stub, reply: Callable[[str], Reply],
        caplog: pytest.LogCaptureFixture,
    ):  # fmt: skip
        """12 answers: no frame below the client keeps the raw body, and urllib3 logs no header."""
        stub.replies(*[reply(key) for key in GOOD.get()])
        for _ in GOOD.get():
            error = caught(lambda: good.manager.backend.http.exchange("/x", {"a": 1}))
            assert isinstance(error, ImgOpenError)
            assert leaks(shown(error) + caplog.text, *GOOD.get()) == []

    @pytest.mark.parametrize("what", ["the environment", "the file", "storing", "asking"])
    def test_interrupted_at_any_line(
        self, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """Ctrl-C or a lack of memory while keys are read, checked, stored or typed."""
        store_keys(tmp_path, *GOOD.get())
        monkeypatch.setenv("IMGOPEN_HOME", str(tmp_path))
        if what == "the environment":
            monkeypatch.setenv(KEY_ID, GOOD.get()[0])
            monkeypatch.setenv(KEY_SECRET, GOOD.get()[1])
        monkeypatch.setattr(getpass, "getpass", lambda prompt: GOOD.get()[1])
        pair = [Secret(half) for half in GOOD.get()]
        action = {
            "the environment": load, "the file": load,
            "storing": lambda: store_keys(tmp_path, *pair),
            "asking": lambda: _ask("key: "),
        }[what]  # fmt: skip
        action()
        lines, none = interrupted(action, 10**9)
        assert none is None
        step = max(1, lines // often(25, 400))
        for at in range(1, lines, step):
            error = interrupted(action, at)[1]
            assert error is None or leaks(variables(error), *GOOD.get()) == [], at

    def test_while_the_keys_are_stored(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        for failure in (OSError(28, "No space left"), KeyboardInterrupt(), MemoryError()):
            with monkeypatch.context() as patch:
                patch.setattr(
                    "os.replace", lambda *_, failure=failure: (_ for _ in ()).throw(failure)
                )
                error = caught(lambda: store_keys(tmp_path, *GOOD.get()))
            assert leaks(shown(error), *GOOD.get()) == []

    def test_while_leaks_are_looked_for(self, tmp_path: Path):
        settings = Settings(home=tmp_path, keys=Keys(Secret(GOOD.get()[0]), Secret(GOOD.get()[1])))
        error = caught(lambda: find_leaks(settings, [tmp_path / "gone.ipynb"]))
        assert isinstance(error, UsageError)
        assert leaks(shown(error), *GOOD.get()) == []

    def test_while_a_session_is_made(self, tmp_path: Path):
        for url in ("nonsense", "http://x.invalid", "https://a:b@x.invalid"):
            error = caught(lambda url=url: Session(url, *GOOD.get(), home=tmp_path))
            assert leaks(shown(error), *GOOD.get()) == []

    def test_in_debug_logs(
        self, good: Session, stub: Stub, tmp_path: Path, capfd: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
    ):  # fmt: skip
        """The well-known recipe that makes http.client print every header, and all loggers."""
        monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
        caplog.set_level(1)
        stub.answer = lambda request: ok(status=2, caption="a cat")
        good.run("describe", image="https://x.invalid/a.png")
        out, err = capfd.readouterr()
        said = [repr(record.__dict__) + record.getMessage() for record in caplog.records]
        assert len(said) > 0
        assert leaks(out + err + "".join(said), *GOOD.get()) == []


def test_no_file_and_no_process_has_a_key(tmp_path: Path, stub: Stub):
    """In a process of its own: arguments, output and every file but keys.json."""
    code = (
        "import imgopen_nb, sys\n"
        "session = imgopen_nb.Session(sys.argv[1])\n"
        "print(session.run('describe', image='https://x.invalid/a.png').caption)\n"
        "session.history.export(sys.argv[2] + '/out.jsonl')\n"
        "print(session, session.settings, session.settings.keys, vars(session))\n"
        "print(open('/proc/self/cmdline').read() if sys.platform == 'linux' else '')\n"
    )
    stub.answer = lambda request: ok(
        status=2, caption=f"a cat, {GOOD.get()[0]} and {GOOD.get()[1]}"
    )
    store_keys(tmp_path / "home", *GOOD.get())
    command = [sys.executable, "-c", code, stub.url, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, "a cat, *** and ***" in done.stdout) == (0, True), done.stderr
    assert leaks(done.stdout + done.stderr, *GOOD.get()) == []
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "keys.json"]
    texts = {path.name: path.read_bytes().decode("latin-1") for path in files}
    assert {"imgopen.sqlite", "out.jsonl"} <= set(texts)
    assert {
        name: leaks(text, *GOOD.get()) for name, text in texts.items() if leaks(text, *GOOD.get())
    } == {}
