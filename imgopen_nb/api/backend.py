"""The backend of a session's tasks: the real service with keys, a sandbox process without."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ..catalogue.operation import Operation
from ..config.credentials import NotPickled
from ..config.server_address import addresses
from ..config.settings import Settings
from ..database.database import Database
from ..errors import SettingsError
from ..media.network import LOOPBACK
from ..sandbox.process import TOKEN_HEADER, SandboxProcess, given_token, sandbox_folder
from .client import Client
from .retrying_client import RetryingClient, path_of
from .throttle import Throttle, limit_name

_SANDBOX_FILE = re.compile(r"http://(?:127\.0\.0\.1|localhost):\d{1,5}/files/")
# An image that a sandbox made; only the sandbox that made it can have given it this name.
SANDBOX_PICTURE = re.compile(rf"{_SANDBOX_FILE.pattern}([0-9a-f]{{32,64}}\.[a-z]{{3,5}})")


class Backend(NotPickled):
    """The service or sandbox. Connects on first use; starts a sandbox again if it has ended.

    Args:
        settings: the service's address and the keys.
        database: the file through which all kernels share one rate limit.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self._database = database
        self._throttle: Throttle | None = None
        self._sandbox: SandboxProcess | None = None
        self._client: RetryingClient | None = None
        self.after_fork()

    def after_fork(self) -> None:
        """Make the lock and the connections; a forked child does so again.

        The child uses its parent's sandbox as long as that runs, and starts its own after that.
        """
        self._lock = threading.RLock()
        for part in (self._client and self._client.client, self._throttle, self._sandbox):
            if part:
                part.after_fork()

    @property
    def local(self) -> bool:
        """Whether tasks go to a sandbox."""
        return self.settings.backend == "sandbox"

    @property
    def address(self) -> str:
        """The service's address; "" for our own sandbox while it does not run."""
        with self._lock:
            running = self._sandbox and self._sandbox.alive
            own = self._sandbox.url if self._sandbox and running else ""
            return self.settings.base_url or own

    def client(self) -> RetryingClient:
        """Return the client for tasks; starts the sandbox if one is needed and does not run.

        Raises:
            SettingsError: the address needs keys, and there are none, or IMGOPEN_SANDBOX_TOKEN
                cannot be a token.
            SandboxError: the sandbox does not start.
        """
        with self._lock:
            if self._sandbox and not self._sandbox.alive:
                self.close()
            if self._client is None:
                self._client = self._connect()
            return self._client

    @property
    def http(self) -> Client:
        """The HTTP client below `client()`, for single exchanges."""
        return self.client().client

    def check_path(self, operation: Operation) -> None:
        """Check that an operation's path is known, before anything is read or sent.

        Raises:
            AssumedPathError: this is the real service, and the path is only assumed.
        """
        path_of(operation, self.settings.paths, assumed=self.local)

    def current_url(self, url: str) -> str:
        """Return where an image is now: our own sandbox has another port after each start."""
        if self._is_own_sandbox(url):
            return _SANDBOX_FILE.sub(self.http.base_url + "/files/", url)
        return url

    def stable_url(self, url: str) -> str:
        """Return an address of an image that does not change with the port of our own sandbox."""
        return _SANDBOX_FILE.sub("sandbox:", url) if self._is_own_sandbox(url) else url

    def file_of(self, url: str) -> Path | None:
        """Return where the sandbox of this home keeps an image, None if it is not there.

        The file outlives the sandbox; what nobody used for a week is removed.
        """
        if not (found := SANDBOX_PICTURE.fullmatch(url)):
            return None
        path = sandbox_folder(self.settings.home) / "files" / found[1]
        return path if path.is_file() else None

    def close(self) -> None:
        """Close the connections and end our own sandbox, unless a parent process started it."""
        with self._lock:
            if self._client:
                self._client.client.close()
            if self._throttle:
                self._throttle.close()
            if self._sandbox:
                self._sandbox.stop()
            self._client = self._throttle = self._sandbox = None

    def _is_own_sandbox(self, url: str) -> bool:
        own = self.local and not self.settings.base_url
        return own and _SANDBOX_FILE.match(url) is not None

    def _connect(self) -> RetryingClient:
        settings = self.settings
        if not self.local:
            name = limit_name(settings.base_url, settings.keys.id if settings.keys else "")
            self._throttle = Throttle(self._database, name, cap=settings.rate)
            client = Client(settings.base_url, settings.keys)
            return RetryingClient(client, settings.paths, throttle=self._throttle)
        url = settings.base_url
        if url and urlsplit(url).hostname not in LOOPBACK:
            raise SettingsError(f"{url} needs an access key", hint="run %imgopen login")
        if url:
            token = given_token()
            headers = {TOKEN_HEADER: token} if token else {}
        else:
            self._sandbox = SandboxProcess.start(settings.home, *_callback_options())
            url, headers = self._sandbox.url, self._sandbox.headers
        return RetryingClient(Client(url, headers=headers), settings.paths, assumed=True)


def _callback_options() -> Iterator[str]:
    """Yield the options that let the sandbox call our Jupyter Server by its public name."""
    with contextlib.suppress(SettingsError):  # reported when callbacks are set up
        for address in addresses():
            if address.host not in LOOPBACK:
                yield from ("--allow-callback", address.host)
