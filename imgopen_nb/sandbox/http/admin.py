"""The routes below /_sandbox, which are there only with --admin: clock, faults, requests."""

from __future__ import annotations

from typing import Any

from ..faults import KINDS, FaultError
from ..messages import WireError, tidy
from . import requests as bodies
from . import responses as answers
from .handlers import WithBody

MOST_ADVANCE = 10 * 366 * 24 * 3600


class Admin(WithBody):
    """A handler for whoever tests; it asks for the keys where some are set."""

    def answer(self, method: str) -> None:
        """Answer with what `_get` or `_post` returns."""
        try:
            self.sandbox.service.check_keys(self.request.headers)
            self.finish(answers.envelope(self._post() if method == "post" else self._get()))
        except WireError as fault:
            self.finish(answers.refusal(fault))

    def get(self) -> None:
        """Tell how things are."""
        self.answer("get")

    def post(self) -> None:
        """Change something."""
        self.answer("post")

    def _get(self) -> dict[str, Any]:
        raise NotImplementedError

    def _post(self) -> dict[str, Any]:
        raise WireError("405", "use GET")


class ClockHandler(Admin):
    """/_sandbox/clock: the time by which callbacks, training and --delay go."""

    def _get(self) -> dict[str, Any]:
        return {"now": self.sandbox.clock.now()}

    def _post(self) -> dict[str, Any]:
        seconds = bodies.parse(self.whole_body()).get("advance", -1)
        if type(seconds) not in (int, float) or not 0 <= seconds <= MOST_ADVANCE:
            raise WireError("400", "advance is a number of seconds that is not negative")
        return {"now": self.sandbox.clock.advance(seconds)}


class FaultsHandler(Admin):
    """/_sandbox/faults: the rows in force; a POST replaces them."""

    def _get(self) -> dict[str, Any]:
        faults = self.sandbox.faults
        kinds = {name: text for name, (text, _) in KINDS.items()}
        return {**faults.spec, "fired": faults.fired(), "kinds": kinds}

    def _post(self) -> dict[str, Any]:
        try:
            self.sandbox.faults.put(bodies.parse(self.whole_body()))
        except FaultError as error:
            raise WireError("400", tidy(error)) from None
        return self.sandbox.faults.spec


class RequestsHandler(Admin):
    """/_sandbox/requests: the last requests and the counts of each task."""

    def _get(self) -> dict[str, Any]:
        return self.sandbox.requests.told()


routes = (
    (r"/_sandbox/clock", ClockHandler),
    (r"/_sandbox/faults", FaultsHandler),
    (r"/_sandbox/requests", RequestsHandler),
)
