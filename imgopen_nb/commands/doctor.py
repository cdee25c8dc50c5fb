"""`doctor`: what a bug report needs, and whether the service could reach this server."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ImgOpenError, install_command
from ..files import not_writable
from ..syntax.parser import Parser
from .command import Command, Invocation

if TYPE_CHECKING:
    from ..config.server_address import Address
    from ..config.settings import Settings
    from ..display.tables import Table
    from ..session import Session

    Checks = Mapping[str, Callable[[Session], str]]

PACKAGES = (
    "imgopen-nb", "ipython", "ipykernel", "ipywidgets", "jupyterlab", "notebook", "requests",
    "urllib3", "pandas", "pillow", "numpy", "onnxruntime", "tornado",
)  # fmt: skip
# The environment variables by which platforms can be recognized.
PLATFORMS = {
    "COLAB_RELEASE_TAG": "Colab",
    "BINDER_SERVICE_HOST": "Binder",
    "JUPYTERHUB_USER": "JupyterHub",
    "VSCODE_PID": "VS Code",
}
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")
# Seconds that a test callback may take; describing the sample takes the sandbox about one.
CALLBACK_SECONDS = 30.0


def _options(parser: Parser) -> None:
    parser.option(
        "--leaks",
        nargs="+",
        metavar="FILE",
        help="search notebooks, IPython's history and the data folder for the access key",
    )
    parser.add_argument(
        "--callbacks",
        action="store_true",
        help="only check whether the service could reach this server",
    )


def _doctor(call: Invocation) -> Table:
    from .key_leaks import find_leaks

    session = call.session()
    if call.options.leaks is not None:
        return find_leaks(session.settings, call.options.leaks)
    return examine(session, CALLBACK_CHECKS if call.options.callbacks else CHECKS)


def examine(session: Session, checks: Checks) -> Table:
    """Return the table of findings, without the key and without paths below the home folder."""
    from ..display.tables import Table

    rows = [(name, _finding(check, session)) for name, check in checks.items()]
    return Table(("check", "finding"), rows)


def _finding(check: Callable[[Session], str], session: Session) -> str:
    try:
        return check(session)
    except ImgOpenError as error:
        return f"TROUBLE: {error.message}" + (f" → {error.hint}" if error.hint else "")


def _python() -> str:
    import platform

    return f"{platform.python_version()} on {platform.platform()}"


def _versions() -> Iterator[str]:
    from importlib.metadata import PackageNotFoundError, version

    for name in PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} –"


def _front_end() -> str:
    found = [name for variable, name in PLATFORMS.items() if os.environ.get(variable)]
    kernel = "ipykernel" in sys.modules
    return ", ".join([*found, "a notebook's kernel" if kernel else "no kernel"])


def _keys(session: Session) -> str:
    keys = session.settings.keys
    return f"from {keys.source}" if keys else "none: the sandbox is used"


def _sandbox() -> str:
    missing = [n for n in ("tornado", "onnxruntime", "numpy") if not importlib.util.find_spec(n)]
    if missing:
        return f"not installed ({', '.join(missing)} missing): {install_command('sandbox')}"
    return "installed"


def _service(session: Session) -> str:
    seconds = session.reach()
    where = session.settings.base_url or "the sandbox on this machine"
    return f"{where} answers ({seconds * 1000:.0f} ms)"


def _history(session: Session) -> str:
    count = session.history.count()  # makes the file if there is none
    size = session.manager.database.path.stat().st_size / 1e6
    return f"{count:,} tasks, {size:.1f} MB, in {session.settings.home}"


def _pictures(session: Session) -> str:
    return "; ".join(session.manager.served.examine()) or "none: local images have no address"


def _save(session: Session) -> str:
    folder = session.settings.save
    if trouble := not_writable(Path(folder)) if folder else "":
        return f"TROUBLE: {trouble}"
    return f"new images are saved in {folder}" if folder else "none"


def callback_address(session: Session) -> str:
    """Return where callbacks of this session's tasks go, or why it asks for none."""
    address = session.manager.urls.address
    if address:
        return f"arrive at {address.url} ({address.source})"
    return f"none: {session.manager.urls.why}; tasks are polled instead"


def run_callback_test(session: Session) -> str:
    """Have the sandbox fetch a published image and call back, at each of our addresses.

    Each test leaves a task of the sandbox in the history.

    Raises:
        SettingsError: IMGOPEN_PUBLIC_URL is not an address.
    """
    from ..config.server_address import addresses, why_not_public

    found = addresses()
    if not found:
        return f"not run: {why_not_public()}"
    return "; ".join(f"{address.url}: {_tested(session.settings, address)}" for address in found)


def _tested(settings: Settings, address: Address) -> str:
    from ..images.picture import samples
    from ..session import Session

    with Session(home=settings.home, backend="sandbox") as own:
        own.manager.urls.candidates, own.manager.urls.publish_always = (lambda: [address]), True
        if own.manager.urls.address is None:
            return f"TROUBLE: {own.manager.urls.why}"
        begun = time.monotonic()
        try:
            task = own.submit("describe", fresh=True, image=samples()["coffee"].read_bytes())
            task.result(CALLBACK_SECONDS)
        except ImgOpenError as error:
            return f"TROUBLE: {error.message}"
        if task.queries:
            return "TROUBLE: the sandbox fetched the image, but no callback came"
        return f"the sandbox fetched an image and called back, {time.monotonic() - begun:.1f} s"


CALLBACK_CHECKS: Checks = {"callbacks": callback_address, "self-test": run_callback_test}
CHECKS: Checks = {
    "python": lambda s: _python(),
    "packages": lambda s: ", ".join(_versions()),
    "front end": lambda s: _front_end(),
    "access key": _keys,
    "backend": lambda s: s.backend,
    "sandbox": lambda s: _sandbox(),
    "proxy": lambda s: "set" if any(os.environ.get(p) for p in PROXIES) else "none",
    "service": _service,
    "pictures": _pictures,
    "save": _save,
    **CALLBACK_CHECKS,
    "history": _history,
}
COMMANDS = (
    Command("doctor", "Check versions, access key, service and history.", _options, _doctor),
)
