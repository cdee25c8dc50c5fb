"""Where a task stands, and what the numbers mean that the service sends."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a task stands; the last three are final."""

    CREATED = "created"  # in the journal, not known to have been sent
    LOST = "lost"  # sent, but the answer was lost and could not be looked up
    SUBMITTED = "submitted"  # accepted
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # the service worked on it and failed
    REFUSED = "refused"  # the service did not accept it

    @property
    def final(self) -> bool:
        """Whether nothing more can come."""
        return self in (State.SUCCEEDED, State.FAILED, State.REFUSED)


# Whether the service has these is not known.
UNSENT = frozenset({State.CREATED, State.LOST})


# 0, 1, 2 are documented for tools; for sd, 2 is documented, 1 and 3 come from a working client,
# 0 as failure is inferred. Any other status is shown and taken as not final.
STATUSES = {
    "tool": {0: State.FAILED, 1: State.RUNNING, 2: State.SUCCEEDED},
    "sd": {0: State.FAILED, 1: State.RUNNING, 2: State.SUCCEEDED, 3: State.RUNNING},
    "training": {0: State.FAILED, 1: State.RUNNING, 2: State.SUCCEEDED, 3: State.RUNNING},
}
