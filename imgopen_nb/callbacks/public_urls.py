"""Public addresses for the service: for its callbacks, and to fetch local images.

A kernel uses an address only after it has reached its own server through it.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from ..api.http import fetch_json
from ..config.server_address import Address, addresses, in_a_server, why_not_public
from ..config.settings import Settings
from ..errors import ImgOpenError, PictureError, SettingsError
from ..images.picture import Picture
from .published_pictures import TASK, Publisher
from .signing import CALLBACK, HELLO, Signer

# Seconds until an address that did not work is tried again.
RETRY = 300.0


class PublicUrls:
    """Makes signed addresses for the tasks of one kernel.

    Args:
        settings: the home folder with the key, and the backend.

    Attributes:
        candidates: returns the addresses to try; the doctor tries them one by one.
        publish_always: whether the sandbox fetches local images from an address too.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.signer = Signer(settings.home)
        self.publisher = Publisher(settings.home, self.signer)
        self.publish_always = False
        self.candidates: Callable[[], list[Address]] = addresses
        self._address: Address | None = None
        self._retry_at = 0.0
        self._why = ""
        self._noted = self._swept = False
        self.after_fork()

    def after_fork(self) -> None:
        """Make the lock; a forked child does so again."""
        self._lock = threading.Lock()

    @property
    def address(self) -> Address | None:
        """The tested address at which the service reaches this kernel's server, or None."""
        with self._lock:
            if self._address is None and time.monotonic() >= self._retry_at:
                self._address = self._search()
                self._retry_at = time.monotonic() + RETRY
            return self._address

    @property
    def why(self) -> str:
        """Why there is no address, as the end of a sentence; "" if there is one."""
        return "" if self.address else self._why

    def callback_url(self, task_id: str) -> str:
        """Return the address at which the service may report the end of a task.

        Raises:
            SettingsError: there is no address, or no key to sign it with.
        """
        address = self.address
        if address is None:
            raise SettingsError(f"the service cannot call back: {self._why}")
        return f"{address.url}imgopen/callback/{task_id}/{self.signer.sign(CALLBACK, task_id)}"

    def published(self, value: Any, task_id: str) -> Any:
        """Return a value of a call with each `Picture` replaced by its address.

        Args:
            value: a value, or a list of them.
            task_id: the task for which the images are published.

        Raises:
            PictureError: an image cannot be published.
            SettingsError: there is no key to sign the address with.
        """
        if isinstance(value, list):
            return [self.published(each, task_id) for each in value]
        return self._publish(value, task_id) if isinstance(value, Picture) else value

    def note_once(self) -> tuple[str, ...]:
        """Return a note that the real service cannot call back, the first time only."""
        if self._noted or self._settings.backend == "sandbox" or not in_a_server() or self.address:
            return ()
        self._noted = True
        return (f"Img Open cannot call back ({self._why}): tasks are polled instead",)

    def _publish(self, picture: Picture, task_id: str) -> str:
        address = self.address
        if address is None or picture.data is None or not re.fullmatch(TASK, task_id):
            raise PictureError(f"{picture.label} cannot be published: {self._why}")
        if not self._swept:  # a server sweeps only at its start, and may run for weeks
            self._swept = True
            self.publisher.sweep()
        name = self.publisher.publish(task_id, picture.data, picture.suffix)
        return f"{address.url}imgopen/files/{name}"

    def _search(self) -> Address | None:
        """Return the first address that the service can use and that reaches our server."""
        self._why = why_not_public()
        try:
            for address in self.candidates():
                if self._settings.needs_public and address.private:
                    continue
                if self._reaches_our_server(address):
                    return address
                self._why = f"{address.url} ({address.source}) does not reach this server"
        except ImgOpenError as error:
            self._why = error.message
        return None

    def _reaches_our_server(self, address: Address) -> bool:
        nonce = secrets.token_hex(16)
        answer = fetch_json(f"{address.url}imgopen/hello/{nonce}")
        return self.signer.check(str(answer.get("proof")), HELLO, nonce)
