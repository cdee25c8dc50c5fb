"""Addresses that outsiders get: where to call back, and where to fetch a picture of this machine.

A kernel uses them only after it has itself reached its own server through them. How long it then
waits for a callback before it asks depends on what it has seen of callbacks so far.
"""

from __future__ import annotations

import contextlib
import enum
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..catalogue.operation import Operation
from ..catalogue.parameter import Param
from ..config.server_address import Address, addresses, in_a_server, is_private, why_not_public
from ..config.settings import Settings
from ..errors import ImgOpenError, PictureError
from ..images.download import small_json
from ..images.picture import Picture
from ..tasks.task import Task
from .published_pictures import TASK, Publisher
from .signing import CALLBACK, HELLO, Signer

# Seconds after which an address that did not work is tried again.
RETRY = 300.0
# What is waited for a callback before a task is asked for: seconds at least, of the usual longest.
# None has come yet: an address that works from here may not work from there.
HOPE, TRUST = (20.0, 2.0), (60.0, 3.0)
OPEN_TASKS = 100_000


class Faith(enum.Enum):
    """What is thought of callbacks."""

    HOPE = "none is known to have come yet"
    TRUST = "they come"
    DOUBT = "one did not come"


class Links:
    """Makes signed addresses for the tasks of one session.

    Args:
        settings: whose home folder holds the key, and whether the service is the real one.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.signer = Signer(settings.home)
        self.publisher = Publisher(settings.home, self.signer)
        self.faith = Faith.HOPE
        self.publish_always = False
        self.candidates: Callable[[], list[Address]] = addresses
        self._expected: dict[str, None] = {}
        self._lock = threading.Lock()
        self._address: Address | None = None
        self._again = 0.0
        self._why = ""
        self._told = self._swept = False

    @property
    def address(self) -> Address | None:
        """Where the service can reach this kernel's server, tried out; None where it cannot."""
        with self._lock:
            if self._address is None and time.monotonic() >= self._again:
                self._address = self._search()
                self._again = time.monotonic() + RETRY
            return self._address

    @property
    def why(self) -> str:
        """Why there is no address, as the end of a sentence; "" where there is one."""
        return "" if self.address else self._why

    def dress(
        self, operation: Operation, values: Mapping[str, Any], task_id: str
    ) -> dict[str, Any]:
        """Return the values of a call with all addresses in them that outsiders need.

        Args:
            operation: what is asked.
            values: pictures that are to be published as `Picture`.
            task_id: the task that they are for; callbacks are expected for it from now on.

        Raises:
            PictureError: a picture cannot be published.
            SettingsError: there is no key to sign with.
        """
        sent = {name: self._linked(value, task_id) for name, value in values.items()}
        param = self._param(operation)
        if param and param.name not in values and (address := self.address):
            with contextlib.suppress(ImgOpenError):  # without a key it is asked for, as ever
                signature = self.signer.sign(CALLBACK, task_id)
                sent[param.name] = f"{address.url}imgopen/callback/{task_id}/{signature}"
                self._expect(task_id)
        return sent

    def hold(self, task: Task, usual: float | None) -> float:
        """Return the age in seconds before which a task is not asked for.

        Args:
            task: any.
            usual: how long nine of ten such tasks take, None where it is not known.
        """
        if task.id not in self._expected or self.faith is Faith.DOUBT:
            return 0.0
        least, share = TRUST if self.faith is Faith.TRUST else HOPE
        return min(max(least, share * (usual or 0.0)), 0.8 * task.timeout)

    def arrived(self, task: Task) -> None:
        """Note that news of a task came by callback."""
        if task.id in self._expected:
            self.faith = Faith.TRUST
        if task.state.final:
            self._expected.pop(task.id, None)

    def ended(self, task_id: str) -> bool:
        """Note that a task has ended as a query found; True where its callback did not come."""
        if self._expected.pop(task_id, self) is self:
            return False
        doubted, self.faith = self.faith is Faith.DOUBT, Faith.DOUBT
        return not doubted

    def settle(self, task: Task, dressed: Iterable[str]) -> None:
        """Have what was published for a call withdrawn: at the task's end, or if it is not sent.

        Args:
            task: what came of the call, perhaps a task that asked the same before.
            dressed: the ids for which values were dressed.
        """
        if task.id in dressed and self._param(task.operation):
            task.remarks += self._once()
        for task_id in dressed:
            if task_id != task.id:
                self._expected.pop(task_id, None)
                self.publisher.withdraw(task_id)
            else:
                task.add_done_callback(self._withdraw)

    def _once(self) -> tuple[str, ...]:
        """Return what a user of the real service should know of callbacks, the first time."""
        if self._told or self._settings.backend == "sandbox" or not in_a_server() or self.address:
            return ()
        self._told = True
        return (f"Img Open cannot call back ({self._why}): results are asked for instead",)

    def _withdraw(self, task: Task) -> None:
        if task.state.final:  # else only the wait was given up
            self.publisher.withdraw(task.id)

    def rotate(self) -> None:
        """Make a new key; what was given away before is dead.

        Raises:
            SettingsError: it cannot be written.
        """
        self.signer.rotate()
        self._expected.clear()

    def _expect(self, task_id: str) -> None:
        self._expected[task_id] = None
        while len(self._expected) > OPEN_TASKS:
            self._expected.pop(next(iter(self._expected)), None)

    def _param(self, operation: Operation) -> Param | None:
        """Return where an operation takes an address to call back, if that is not a guess."""
        found = next((p for p in operation.user_params if p.name == "callback_url"), None)
        if found is None or self._settings.backend == "sandbox" or found.known != "assumed":
            return found
        told = self._settings.fields.get(operation.name, {})
        return found if found.name in told else None

    def _linked(self, value: Any, task_id: str) -> Any:
        if isinstance(value, list):
            return [self._linked(each, task_id) for each in value]
        return self._published(value, task_id) if isinstance(value, Picture) else value

    def _published(self, picture: Picture, task_id: str) -> str:
        address = self.address
        if address is None or picture.data is None or not re.fullmatch(TASK, task_id):
            raise PictureError(f"{picture.label} cannot be published: {self._why}")
        if not self._swept:  # a server that runs for weeks sweeps only at its start
            self._swept = True
            self.publisher.sweep()
        name = self.publisher.publish(task_id, picture.data, picture.suffix)
        return f"{address.url}imgopen/files/{name}"

    def _search(self) -> Address | None:
        """Return the first address that is of use to the service and leads to our server."""
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
        answer = small_json(f"{address.url}imgopen/hello/{nonce}")
        return self.signer.check(str(answer.get("proof")), HELLO, nonce)
