"""The routes below /_sandbox, which exist only with --admin: clock, faults, requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..faults import KINDS, FaultError
from ..messages import WireError, tidy
from . import responses
from .handlers import BodyHandler
from .requests import parse_body

MOST_ADVANCE = 10 * 366 * 24 * 3600


class AdminHandler(BodyHandler):
    """A handler for tests."""

    def get(self) -> None:
        """Answer with the current state."""
        self._answer(self._read)

    def post(self) -> None:
        """Change something and answer with the new state."""
        self._answer(self._change)

    def _answer(self, find: Callable[[], dict[str, Any]]) -> None:
        self.sandbox.service.access.check_keys(self.request.headers)
        self.finish(responses.envelope(find()))

    def _read(self) -> dict[str, Any]:
        raise NotImplementedError

    def _change(self) -> dict[str, Any]:
        raise WireError("405", "use GET")


class ClockHandler(AdminHandler):
    """/_sandbox/clock: the time by which callbacks, training and --delay go."""

    def _read(self) -> dict[str, Any]:
        return {"now": self.sandbox.jobs.clock.now()}

    def _change(self) -> dict[str, Any]:
        seconds = parse_body(self.whole_body()).get("advance", -1)
        if type(seconds) not in (int, float) or not 0 <= seconds <= MOST_ADVANCE:
            raise WireError("400", "advance is a number of seconds that is not negative")
        return {"now": self.sandbox.jobs.clock.advance(seconds)}


class FaultsHandler(AdminHandler):
    """/_sandbox/faults: the rows in force; a POST replaces them."""

    def _read(self) -> dict[str, Any]:
        faults = self.sandbox.faults
        kinds = {name: text for name, (text, _) in KINDS.items()}
        return {**faults.spec, "fired": faults.fired(), "kinds": kinds}

    def _change(self) -> dict[str, Any]:
        try:
            self.sandbox.faults.put(parse_body(self.whole_body()))
        except FaultError as error:
            raise WireError("400", tidy(error)) from None
        return self.sandbox.faults.spec


class RequestsHandler(AdminHandler):
    """/_sandbox/requests: the last requests and the counts of each task."""

    def _read(self) -> dict[str, Any]:
        return self.sandbox.requests.as_json()


routes = (
    (r"/_sandbox/clock", ClockHandler),
    (r"/_sandbox/faults", FaultsHandler),
    (r"/_sandbox/requests", RequestsHandler),
)
