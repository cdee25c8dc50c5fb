"""The states of a task, and the vendor's status numbers that stand for them."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a task stands; the last three are final."""

    CREATED = "created"  # in the history, not known to have been sent
    LOST = "lost"  # perhaps sent, but no answer came; the service is being asked for it
    SUBMITTED = "submitted"  # accepted
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # the service worked on it and failed
    REFUSED = "refused"  # the service did not accept it

    @property
    def final(self) -> bool:
        """Whether nothing more can come."""
        return self in (State.SUCCEEDED, State.FAILED, State.REFUSED)


# It is unknown whether the service has a task in one of these states.
UNSENT = frozenset({State.CREATED, State.LOST})
# A header, "1" with a "not found", of a service that knows each task from the moment at which it
# takes it, and that takes no submission now: what it does not know never reached it. The sandbox
# sends it.
KNOWS_AT_ONCE = "X-Imgopen-Knows-At-Once"
# The status of a result for which there is no task: nothing was sent for it.
NOT_SENT = "not sent"
# The status of a call of a batch whose task was deleted from the history after it was sent.
DELETED = "deleted"

# By `Operation.family`. For tools, 0, 1 and 2 are documented. For sd, 2 is documented, 1 and 3 come
# from a working client, and 0 as failure is inferred. Any other status is shown as it is and taken
# as not final.
STATUSES = {
    "tool": {0: State.FAILED, 1: State.RUNNING, 2: State.SUCCEEDED},
    "sd": {0: State.FAILED, 1: State.RUNNING, 2: State.SUCCEEDED, 3: State.RUNNING},
    "training": {0: State.FAILED, 1: State.RUNNING, 2: State.SUCCEEDED, 3: State.RUNNING},
}
