"""Where this kernel's Jupyter Server can be reached: from this machine, and from outside.

The server's extension gives the kernels that it starts its own address (IMGOPEN_SERVER). The public
address comes from IMGOPEN_PUBLIC_URL or from JupyterHub; it cannot be found in another way.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from ..errors import SettingsError
from ..media.network import is_public

PUBLIC_URL = "IMGOPEN_PUBLIC_URL"
SERVER = "IMGOPEN_SERVER"
BINDER = ("BINDER_SERVICE_HOST", "BINDER_LAUNCH_HOST", "BINDER_REQUEST")
# Endings of host names that only a private network resolves (RFC 6762, RFC 8375 and common use).
PRIVATE_NAMES = (".local", ".localhost", ".internal", ".lan", ".home.arpa", ".test", ".invalid")
PAGE = "see docs/jupyterhub.md"


class Address(NamedTuple):
    """An address of our Jupyter Server, with its base path and a slash at the end."""

    url: str
    source: str

    @property
    def host(self) -> str:
        """The host's name or IP address."""
        return urlsplit(self.url).hostname or ""

    @property
    def private(self) -> bool:
        """Whether the address works only on this machine or in its network."""
        return is_private(self.host)


def is_private(host: str) -> bool:
    """Whether a host's name or IP address works only on this machine or in its network."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = host.lower().rstrip(".")
        return "." not in name or name.endswith(PRIVATE_NAMES)
    return not is_public(host)


def in_a_server(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a Jupyter Server with our extension started this process."""
    return bool(environ.get(SERVER))


def addresses(environ: Mapping[str, str] = os.environ) -> list[Address]:
    """Return the addresses of this kernel's server, the public one first.

    Raises:
        SettingsError: IMGOPEN_PUBLIC_URL is not an http(s) address.
    """
    return list(_found(environ))


def why_not_public(environ: Mapping[str, str] = os.environ) -> str:
    """Return why this kernel's server has no known public address."""
    if any(environ.get(name) for name in BINDER):
        return "Binder accepts no requests from outside"
    if environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        return f"this JupyterHub does not say what its public address is: {PAGE}"
    if not in_a_server(environ):
        return "this kernel was not started by a Jupyter Server that has imgopen_nb's extension"
    return "this server is on localhost, which cannot be reached from outside"


def _found(environ: Mapping[str, str]) -> Iterator[Address]:
    base = environ.get("JUPYTERHUB_SERVICE_PREFIX") or _path(environ.get(SERVER, ""))
    if given := environ.get(PUBLIC_URL):
        yield Address(_public(given.strip(), base), PUBLIC_URL)
    elif not any(environ.get(name) for name in BINDER):
        public, host = environ.get("JUPYTERHUB_PUBLIC_URL", ""), environ.get("JUPYTERHUB_HOST", "")
        if public.startswith(("http://", "https://")):
            yield Address(_slash(public), "JUPYTERHUB_PUBLIC_URL")
        elif host.startswith(("http://", "https://")):
            yield Address(_slash(host.rstrip("/") + base), "JUPYTERHUB_HOST")
    if server := environ.get(SERVER):
        yield Address(_slash(server), SERVER)


def _public(given: str, base: str) -> str:
    """Return the given address, with the server's base path added if it is missing.

    So an administrator can set one address for all users of a hub.
    """
    try:
        parts = urlsplit(given)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = None
    if not usable or parts.username or parts.query or parts.fragment or not given.isprintable():
        raise SettingsError(
            f"{PUBLIC_URL} must be the http(s) address of this Jupyter Server",
            hint=f"for example https://hub.example.org/user/me/; {PAGE}",
        )
    path = _slash(parts.path)
    if not unquote(path).endswith(unquote(_slash(base))):
        path = path.rstrip("/") + base
    return urlunsplit((parts.scheme, parts.netloc, _slash(path), "", ""))


def _path(url: str) -> str:
    return urlsplit(url).path or "/"


def _slash(text: str) -> str:
    return text.rstrip("/") + "/"
