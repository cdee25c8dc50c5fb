"""The connection of a session: with keys the real service, without them the sandbox."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..config.server_address import addresses
from ..config.settings import LOOPBACK, Settings
from ..database.task_table import Journal
from ..errors import SettingsError
from .client import Client
from .retrying_client import Delivery
from .throttle import Throttle, limit_name

if TYPE_CHECKING:
    from ..sandbox.process import SandboxProcess


_SANDBOX_FILE = re.compile(r"http://(?:127\.0\.0\.1|localhost):\d{1,5}/files/")


def _callback_hosts() -> Iterator[str]:
    """Yield the options that let the sandbox call our own server by its public name."""
    with contextlib.suppress(SettingsError):  # told by `links`, where it is of use
        for address in addresses():
            if address.host not in LOOPBACK:
                yield from ("--allow-callback", address.host)


class Connection:
    """Gives the delivery to whoever asks; a sandbox that has died is started again."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self.settings = settings
        self._journal = journal
        self._throttle: Throttle | None = None
        self._lock = threading.RLock()
        self._sandbox: SandboxProcess | None = None
        self._delivery: Delivery | None = None

    def delivery(self) -> Delivery:
        """Return what sends and asks.

        Raises:
            SettingsError: the address needs keys and there are none.
            SandboxError: the sandbox does not start.
        """
        with self._lock:
            if self._sandbox and not self._sandbox.alive:
                self.close()
            if self._delivery is None:
                self._delivery = self._connect()
            return self._delivery

    @property
    def client(self) -> Client:
        """The HTTP client of the delivery."""
        return self.delivery().client

    def present(self, url: str) -> str:
        """Return where a picture is now: one of our own sandbox has moved to its present port."""
        if self.settings.base_url or not self.local or not _SANDBOX_FILE.match(url):
            return url
        return _SANDBOX_FILE.sub(self.client.base_url + "/files/", url)

    def place(self, url: str) -> str:
        """Return what stays the same of a picture's address when our own sandbox moves."""
        own = not self.settings.base_url and self.local
        return _SANDBOX_FILE.sub("sandbox:", url) if own else url

    @property
    def local(self) -> bool:
        """Whether tasks go to a sandbox, which can be asked often."""
        return self.settings.backend == "sandbox"

    def close(self) -> None:
        """Close the connections and end the sandbox, if it is ours."""
        with self._lock:
            if self._delivery:
                self._delivery.client.close()
            if self._throttle:
                self._throttle.close()
            if self._sandbox:
                self._sandbox.stop()
            self._delivery = self._throttle = self._sandbox = None

    def _connect(self) -> Delivery:
        wanted = self.settings
        if not self.local:
            name = limit_name(wanted.base_url, wanted.keys.id if wanted.keys else "")
            self._throttle = Throttle(self._journal, name, cap=wanted.rate)
            client = Client(wanted.base_url, wanted.keys)
            return Delivery(client, wanted.paths, throttle=self._throttle)
        url = wanted.base_url
        if url and urlsplit(url).hostname not in LOOPBACK:
            raise SettingsError(f"{url} needs an access key", hint="run %imgopen login")
        if not url:
            from ..sandbox.process import SandboxProcess

            self._sandbox = SandboxProcess.start(wanted.home, *_callback_hosts())
            url = self._sandbox.url
        return Delivery(Client(url), wanted.paths, guesses=True)
