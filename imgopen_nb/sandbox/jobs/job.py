"""One task: its record, and how records are read."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ...catalogue.operations import OPERATIONS
from ...text import hide_passwords
from .store import LOCAL_URL

State = Literal["accepted", "running", "succeeded", "failed"]


@dataclass(slots=True)
class Job:
    """One task. `key` is the caller's own id, `server_id` ours.

    A job whose work is done hides its result `until` that moment: so training takes its time.
    """

    key: str
    server_id: str
    operation: str
    values: dict[str, Any]
    accepted: float
    state: State = "accepted"
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    engine: str = ""
    fidelity: str = ""
    seconds: float = 0.0
    revivals: int = 0
    until: float = 0.0
    percentage: int = 0
    preview: str = ""
    callback: dict[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether the state is a final one."""
        return self.state in ("succeeded", "failed")

    def record(self) -> dict[str, Any]:
        """Return the job as it is kept on disk: without the passwords in its addresses."""
        return {**asdict(self), "values": _without_passwords(self.values)}

    @property
    def incomplete(self) -> bool:
        """Whether its values lack a password, because they were read from the disk."""
        return "://***@" in json.dumps(self.values)

    def same_as(self, operation: str, values: Mapping[str, Any]) -> bool:
        """Whether a submission repeats this one."""
        return (self.operation, _digest(self.values)) == (operation, _digest(values))


def new_server_id() -> str:
    """Return an id in the vendor's form: `pro`, the time in ms, nine digits."""
    return f"pro{int(time.time() * 1000):013d}{secrets.randbelow(10**9):09d}"


def _digest(values: Mapping[str, Any]) -> str:
    """Return the same text for the same values, whatever port served their images."""
    plain = {name: _plain(value) for name, value in _without_passwords(values).items()}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _without_passwords(values: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(hide_passwords(json.dumps(values))[0])
    return shown


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    found = LOCAL_URL.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else value


def load_job(record: dict[str, Any] | None) -> Job | None:
    """Return the job of a record, or None if there is none or another version wrote it."""
    try:
        job = Job(**(record or {}))
    except TypeError:
        return None
    return job if job.operation in OPERATIONS else None
