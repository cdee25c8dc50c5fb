"""The doctor's test of callbacks and published pictures, with the sandbox as the service."""

from __future__ import annotations

import time

from ..config.server_address import Address, addresses, missing
from ..config.settings import Settings
from ..errors import ImgOpenError
from ..images.picture import samples
from ..session import Session

SAMPLE = "coffee"
# Seconds that a callback may take; describing the sample takes the sandbox about one.
PATIENCE = 30.0


def callbacks(session: Session) -> str:
    """Return whether this session's submissions ask for callbacks, and where to, or why not."""
    address = session.manager.urls.address
    if address:
        return f"come to {address.url} ({address.source})"
    return f"none: {session.manager.urls.why}; results are asked for instead"


def reached(session: Session) -> str:
    """Return what came of a true callback and a published picture through each of our addresses.

    It leaves a task of the sandbox in the history for each.

    Raises:
        SettingsError: IMGOPEN_PUBLIC_URL is no address.
    """
    found = addresses()
    if not found:
        return f"not done: {missing()}"
    return "; ".join(f"{address.url}: {_tried(session.settings, address)}" for address in found)


def _tried(settings: Settings, address: Address) -> str:
    with Session(home=settings.home, backend="sandbox") as own:
        own.manager.urls.candidates, own.manager.urls.publish_always = (lambda: [address]), True
        if own.manager.urls.address is None:
            return f"TROUBLE: {own.manager.urls.why}"
        begun = time.monotonic()
        try:
            task = own.submit("describe", fresh=True, image=samples()[SAMPLE].read_bytes())
            task.result(PATIENCE)
        except ImgOpenError as error:
            return f"TROUBLE: {error.message}"
        if task.queries:
            return "TROUBLE: the sandbox fetched the picture, but no callback came"
        return f"the sandbox fetched a picture and called back, {time.monotonic() - begun:.1f} s"
