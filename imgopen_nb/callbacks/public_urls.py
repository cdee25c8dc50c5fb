"""Addresses for the service: where to call back, and where to fetch a picture of this machine.

A kernel uses an address only after it has reached its own server through it.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ..api.http import fetch_json
from ..config.server_address import Address, addresses, in_a_server, is_private, why_not_public
from ..config.settings import Settings
from ..errors import ImgOpenError, PictureError, SettingsError
from ..images.picture import Picture
from .published_pictures import TASK, Publisher
from .signing import CALLBACK, HELLO, Signer

# Seconds after which an address that did not work is tried again.
RETRY = 300.0


class PublicUrls:
    """Makes signed addresses for the tasks of one kernel.

    Args:
        settings: whose home folder has the key, and whether the service is the real one.

    Attributes:
        candidates: the addresses to try; the doctor tries each of them by itself.
        publish_always: whether the sandbox, too, fetches pictures from an address.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.signer = Signer(settings.home)
        self.publisher = Publisher(settings.home, self.signer)
        self.publish_always = False
        self.candidates: Callable[[], list[Address]] = addresses
        self._lock = threading.Lock()
        self._address: Address | None = None
        self._retry_at = 0.0
        self._why = ""
        self._noted = self._swept = False

    @property
    def address(self) -> Address | None:
        """Where the service can reach this kernel's server, tested; None where it cannot."""
        with self._lock:
            if self._address is None and time.monotonic() >= self._retry_at:
                self._address = self._search()
                self._retry_at = time.monotonic() + RETRY
            return self._address

    @property
    def why(self) -> str:
        """Why there is no address, as the end of a sentence; "" where there is one."""
        return "" if self.address else self._why

    def callback_url(self, task_id: str) -> str:
        """Return where the service may report the end of a task.

        Raises:
            SettingsError: there is no address, or no key to sign with.
        """
        address = self.address
        if address is None:
            raise SettingsError(f"the service cannot call back: {self._why}")
        return f"{address.url}imgopen/callback/{task_id}/{self.signer.sign(CALLBACK, task_id)}"

    def published(self, value: Any, task_id: str) -> Any:
        """Return a value of a call with an address in place of each `Picture`.

        Args:
            value: a value, or a list of them.
            task_id: the only task for which the pictures are published.

        Raises:
            PictureError: a picture cannot be published.
            SettingsError: there is no key to sign with.
        """
        if isinstance(value, list):
            return [self.published(each, task_id) for each in value]
        return self._publish(value, task_id) if isinstance(value, Picture) else value

    def note_once(self) -> tuple[str, ...]:
        """Return what users of the real service should know if it cannot call back, one time."""
        if self._noted or self._settings.backend == "sandbox" or not in_a_server() or self.address:
            return ()
        self._noted = True
        return (f"Img Open cannot call back ({self._why}): results are asked for instead",)

    def _publish(self, picture: Picture, task_id: str) -> str:
        address = self.address
        if address is None or picture.data is None or not re.fullmatch(TASK, task_id):
            raise PictureError(f"{picture.label} cannot be published: {self._why}")
        if not self._swept:  # a server that runs for weeks sweeps only at its start
            self._swept = True
            self.publisher.sweep()
        name = self.publisher.publish(task_id, picture.data, picture.suffix)
        return f"{address.url}imgopen/files/{name}"

    def _search(self) -> Address | None:
        """Return the first address that the service can use and that leads to our server."""
        self._why = why_not_public()
        outside = self._settings.backend == "real" and not is_private(
            urlsplit(self._settings.base_url).hostname or ""
        )
        try:
            for address in self.candidates():
                if outside and address.private:
                    continue
                if self._leads_to_us(address):
                    return address
                self._why = f"{address.url} ({address.source}) does not lead to this server"
        except ImgOpenError as error:
            self._why = error.message
        return None

    def _leads_to_us(self, address: Address) -> bool:
        nonce = secrets.token_hex(16)
        answer = fetch_json(f"{address.url}imgopen/hello/{nonce}")
        return self.signer.check(str(answer.get("proof")), HELLO, nonce)
