"""What a bug report needs: versions, front end, where the key comes from, who can be reached."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from ..display.tables import Table
from ..errors import ImgOpenError
from . import selftest

if TYPE_CHECKING:
    from ..session import Session

PACKAGES = (
    "imgopen-nb", "ipython", "ipykernel", "ipywidgets", "jupyterlab", "notebook", "requests",
    "urllib3", "pandas", "pillow", "numpy", "onnxruntime", "tornado",
)  # fmt: skip
# What tells a front end or a platform, by the environment variable it sets.
PLATFORMS = {
    "COLAB_RELEASE_TAG": "Colab",
    "BINDER_SERVICE_HOST": "Binder",
    "JUPYTERHUB_USER": "JupyterHub",
    "VSCODE_PID": "VS Code",
}
Checks = tuple[tuple[str, Callable[["Session"], str]], ...]
CALLBACKS: Checks = (("callbacks", selftest.callbacks), ("self-test", selftest.reached))
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")


def examine(session: Session, checks: Checks | None = None) -> Table:
    """Return the table of findings; no key, and no path below the home folder, is in it."""
    made = [(name, _found(check, session)) for name, check in checks or _all()]
    return Table(("check", "finding"), made)


def _all() -> Checks:
    return (
        ("python", lambda s: f"{platform.python_version()} on {platform.platform()}"),
        ("packages", lambda s: ", ".join(_versions())),
        ("front end", lambda s: _front_end()),
        ("access key", lambda s: _keys(s)),
        ("backend", lambda s: s.backend),
        ("sandbox", lambda s: _sandbox()),
        ("proxy", lambda s: "set" if any(os.environ.get(p) for p in PROXIES) else "none"),
        ("service", _reachable),
        *CALLBACKS,
        ("history", _history),
    )


def _found(check: Callable[[Session], str], session: Session) -> str:
    try:
        return check(session)
    except ImgOpenError as error:
        return f"TROUBLE: {error.message}" + (f" → {error.hint}" if error.hint else "")


def _versions() -> Iterator[str]:
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
        return f'not installed ({", ".join(missing)} missing): pip install "imgopen-nb[sandbox]"'
    return "installed"


def _reachable(session: Session) -> str:
    seconds = session.reach()
    where = session.settings.base_url or "the sandbox on this machine"
    return f"{where} answers ({seconds * 1000:.0f} ms)"


def _history(session: Session) -> str:
    size = session.manager.database.path.stat().st_size / 1e6
    return f"{session.history.count():,} tasks, {size:.1f} MB, in {session.settings.home}"
