"""The sandbox as a process of its own, started and ended from a kernel."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import select
import subprocess
import sys
import sysconfig
import threading
import weakref
from importlib.util import find_spec
from pathlib import Path

from ..config.credentials import Secret
from ..errors import SandboxError, SettingsError, install_command
from ..files import (
    close_to_others,
    is_strangers,
    make_private_folder,
    open_private,
    shared_on_purpose,
)
from ..text import clip

NEEDED = ("tornado", "onnxruntime", "numpy")
# The header that carries a sandbox's token, and the variable that hands a token on: to a sandbox
# that is to ask for it, and to programs that talk with one.
TOKEN_HEADER = "X-Imgopen-Sandbox-Token"
TOKEN_VARIABLE = "IMGOPEN_SANDBOX_TOKEN"
SECRETS = ("IMGOPEN_ACCESS_KEY_ID", "IMGOPEN_ACCESS_KEY_SECRET", TOKEN_VARIABLE)
_TOKEN = re.compile(r"[!-~]{16,256}", re.ASCII)
MAX_LOG = 1_000_000
GRACE_SECONDS = 3.0
EXTRA_HINT = install_command("sandbox")

# A process forked in the midst of a start would hold the ends of its pipes open.
_starting = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_starting.acquire,
        after_in_parent=_starting.release,
        after_in_child=_starting.release,
    )


def given_token() -> Secret | None:
    """Return the token that the environment hands on, None if there is none.

    Raises:
        SettingsError: it cannot be used; the message does not quote it.
    """
    token = Secret(os.environ.get(TOKEN_VARIABLE, ""))
    if not token:
        return None
    if not _TOKEN.fullmatch(token.reveal()):
        raise SettingsError(
            f"{TOKEN_VARIABLE} is not a token: 16 to 256 printable ASCII characters without spaces",
            hint="use the token that `imgopen sandbox` prints, or unset the variable",
        )
    return token


class SandboxProcess:
    """A running sandbox; it ends with `stop()`, with this object, or with this process.

    In a forked child it is the parent's: the child can use it, and never ends it.

    Attributes:
        url: where it listens.
        token: what it asks for; "" if it was started with --open or --key-id.
        log: the file that it writes its log to.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], url: str, token: Secret, log: Path
    ) -> None:
        self.url, self.token = url, token
        self.log = log
        self._process = process
        self._inherited = False
        # With the pid, so that a forked child that drops its copy does not end our sandbox.
        self._finish = weakref.finalize(self, _end, process, os.getpid())

    @classmethod
    def start(
        cls, home: Path, *more: str, timeout: float = 20.0, delay: float = 0.0
    ) -> SandboxProcess:
        """Start a sandbox that keeps its tasks and files under `home`.

        Args:
            home: the folder.
            more: further options of the command, such as "--admin".
            timeout: seconds until it must be ready.
            delay: seconds until a result shows.

        Raises:
            SandboxError: the extra is not installed, or the process does not get ready.
        """
        _check_installed()
        log = _log_file(Path(home))
        begin = log.stat().st_size
        command = [
            sys.executable, "-P", "-m", "imgopen_nb.sandbox",
            "--port", "0", "--home", str(home), "--delay", str(delay), "--parent", *more,
        ]  # fmt: skip
        process = _popen(command, log)
        try:
            url, token = _ready(process, timeout)
        except SandboxError as error:
            _end(process, os.getpid())
            raise SandboxError(_with_tail(error.message, log, begin), hint=f"see {log}") from None
        except BaseException:
            _end(process, os.getpid())
            raise
        return cls(process, url, token, log)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        if self._inherited:  # only a parent can wait for it: see whether it still has its pipe
            out = self._process.stdout
            return out is not None and not out.closed and not _hung_up(out.fileno())
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process, unless a parent process started it; its tasks and files stay."""
        self._finish()

    @property
    def headers(self) -> dict[str, Secret]:
        """The headers that a request to it needs."""
        return {TOKEN_HEADER: self.token} if self.token else {}

    def after_fork(self) -> None:
        """Let go of the process in a forked child; its parent closes its input to end it."""
        self._inherited = True
        stdin = self._process.stdin
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:
            if stdin:  # not by its own close(), which a thread of the parent may hold up
                os.dup2(nothing.fileno(), stdin.fileno(), inheritable=False)

    def __enter__(self) -> SandboxProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<SandboxProcess {self.url} {'alive' if self.alive else 'ended'}>"


def _check_installed() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise SandboxError(
            f"the sandbox needs {', '.join(missing)}, which is not installed",
            hint=f"{EXTRA_HINT}, then restart the kernel",
        )


def _log_file(home: Path) -> Path:
    log = sandbox_folder(home) / "sandbox.log"
    try:
        make_private_folder(log.parent)
        for path in (log.parent, log):  # others could read those of earlier versions
            close_to_others(path)
        with open(log, "ab", opener=open_private) as file:
            if os.fstat(file.fileno()).st_size > MAX_LOG:
                file.truncate(0)
    except OSError as error:
        raise SandboxError(
            f"the sandbox cannot write to {log.parent}: {error.strerror}",
            hint="set IMGOPEN_HOME to a folder that you can write to",
        ) from None
    return log


def sandbox_folder(home: Path) -> Path:
    """Return where this user's sandbox keeps its files: who shares a home has one of his own."""
    folder = home / "sandbox"
    with contextlib.suppress(OSError):
        seen = folder.lstat()
        if is_strangers(seen) and shared_on_purpose(home):
            return home / f"sandbox-{os.geteuid()}"
    return folder


def _popen(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start the child so that our Ctrl-C does not reach it; it ends when its stdin closes."""
    with open(log, "ab", opener=open_private) as stderr, _starting:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=_environment(),
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def _hung_up(pipe: int) -> bool:
    """Whether nobody has the other end of a pipe that is open for reading."""
    poll = select.poll()
    poll.register(pipe, 0)
    return bool(poll.poll(0))


def _environment() -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if k not in SECRETS}
    root = str(Path(__file__).resolve().parents[2])
    if root not in sysconfig.get_paths().values():  # run from a checkout
        paths = [environment.get("PYTHONPATH", ""), root]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return environment


def _ready(process: subprocess.Popen[bytes], timeout: float) -> tuple[str, Secret]:
    """Return the URL and the token that the child prints when it listens."""
    stdout = process.stdout
    assert stdout is not None
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
    try:
        line = lines.get(timeout=timeout)
    except queue.Empty:
        raise SandboxError(f"the sandbox was not ready after {timeout:g} s") from None
    try:
        told = json.loads(line)
        return str(told["url"]), Secret(told["token"])
    except (ValueError, KeyError, TypeError):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        raise SandboxError(
            f"the sandbox exited while starting (exit code {process.poll()})"
        ) from None


def _with_tail(message: str, log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read(MAX_LOG).decode("utf-8", "replace").strip().splitlines()[-5:]
    return "\n".join([message, *(f"  {clip(line)}" for line in lines)])


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    if os.getpid() != owner:
        return
    with contextlib.suppress(OSError):
        if process.stdin:
            process.stdin.close()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
