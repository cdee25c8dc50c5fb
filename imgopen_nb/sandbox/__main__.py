"""`python -m imgopen_nb.sandbox`: serve until a signal, or until the parent ends."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.settings import home_folder
from ..errors import SettingsError
from ..files import close_to_others
from ..text import in_terminal
from .process import TOKEN_VARIABLE, given_token, sandbox_folder

if TYPE_CHECKING:
    from .faults import Faults
    from .http.access import Access

ENDINGS = ("SIGTERM", "SIGINT", "SIGHUP")
PARENT_SECONDS = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Run the sandbox and return the exit code."""
    parent = os.getppid()  # early: the parent may end as soon as it has read the URL
    os.umask(0o077)  # whatever is written is its owner's alone
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    # tornado quotes malformed requests in its warnings, and a header may hold a key.
    logging.getLogger("tornado").setLevel(logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="PIL")  # the answers say what is wrong with images
    if not 0 <= options.port < 65536 or not 0 <= options.delay < 86400:
        parser.error("--port must be 0 to 65535, and --delay 0 to 86400")
    if not 0 <= options.training_seconds < 86400:
        parser.error("--training-seconds must be 0 to 86400")
    options.faults = _faults(parser, options.faults)
    access = _access(parser, options)
    try:
        asyncio.run(_serve(options, access, parent))
    except (OSError, SettingsError) as error:
        print(f"the sandbox cannot start: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="imgopen sandbox" if in_terminal() else "python -m imgopen_nb.sandbox",
        description="Serve the Img Open API on this machine; nothing leaves it.",
    )
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--home", type=Path, default=None, help="where tasks and files are kept")
    parser.add_argument(
        "--parent", action="store_true", help="exit when stdin closes or the parent exits"
    )
    parser.add_argument("--key-id", default="", help="ask for this key instead of a token")
    parser.add_argument("--key-secret-env", default="", help="the variable that holds its secret")
    parser.add_argument("--open", action="store_true", help="ask for neither: anyone can use it")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds until a result is ready")
    parser.add_argument(
        "--training-seconds", type=float, default=120.0, help="how long training takes"
    )
    parser.add_argument(
        "--allow-callback", action="append", default=[], metavar="HOST",
        help="allow callbacks to this host as well as this machine; may be repeated",
    )  # fmt: skip
    parser.add_argument("--faults", default="", help="faults to cause: JSON, or a JSON file")
    parser.add_argument("--admin", action="store_true", help="serve /_sandbox for tests")
    return parser


def _faults(parser: argparse.ArgumentParser, given: str) -> Faults:
    from .faults import Faults, read

    faults = Faults()
    try:
        if given:
            faults.put(read(given))
    except (OSError, ValueError) as error:
        parser.error(f"--faults: {error}")
    return faults


def _access(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Access:
    """Return what callers must send: the given keys, nothing if --open, else a token."""
    from .http.access import Access

    secret = os.environ.pop(options.key_secret_env, "") if options.key_secret_env else ""
    if bool(options.key_id) != bool(secret):
        parser.error(
            "--key-id needs the variable named by --key-secret-env, and the other way around"
        )
    if secret and options.open:
        parser.error("use --open or --key-id, not both")
    try:
        given = given_token()
    except SettingsError as error:
        parser.error(str(error.message))
    os.environ.pop(TOKEN_VARIABLE, None)  # what libraries start does not get it
    if secret:
        return Access(keys=(options.key_id, secret))
    if options.open:
        return Access()
    return Access(token=given.reveal() if given else secrets.token_urlsafe(32))


async def _serve(options: argparse.Namespace, access: Access, parent: int) -> None:
    from .http.server import Options, listen

    home = home_folder(options.home)
    close_to_others(sandbox_folder(home))
    os.environ["IMGOPEN_HOME"] = str(home)  # the engines read the settings there
    ended = asyncio.Event()
    _end_by_signal(ended)
    behaviour = Options(
        access=access,
        delay=options.delay,
        training=options.training_seconds,
        callbacks_to=options.allow_callback,
        faults=options.faults,
        admin=options.admin,
    )
    server, url = listen(home, options.port, behaviour)
    print(json.dumps({"url": url, "token": access.token}), flush=True)
    if options.parent:  # a pipe from us that is open tells our parent's children that we run
        os.dup(sys.stdout.fileno())
    # What a library prints later must not go to a closed pipe.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if options.parent:
        await _end_with_parent(ended, parent)
    await ended.wait()
    server.stop()
    logging.shutdown()
    # Engines may still run on threads that cannot be ended; files are written whole or not at all.
    os._exit(0)


def _end_by_signal(ended: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for name in ENDINGS:
        number = getattr(signal, name, None)
        if number is None:
            continue
        try:
            loop.add_signal_handler(number, ended.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(ended.set))


async def _end_with_parent(ended: asyncio.Event, parent: int) -> None:
    loop = asyncio.get_running_loop()

    def watch_stdin() -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(sys.stdin.fileno(), 4096):
                pass
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch_stdin, daemon=True).start()
    while not ended.is_set():
        if os.getppid() != parent:  # a forked sibling may keep the pipe open
            ended.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), PARENT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
