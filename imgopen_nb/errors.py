"""All errors of imgopen_nb. Each says what happened, and in `hint` what to do next.

ImgOpenError
├── UsageError                  a mistake in the call: nothing was sent
│   ├── UnknownNameError        no such operation, command, option, task (similar ones in the hint)
│   │   └── UnknownAttributeError   no such name in the package (also an AttributeError)
│   ├── ParameterError          a value that does not fit its parameter
│   └── BudgetError             the allowed number of tasks has been sent
├── SettingsError               keys or settings that are missing or unusable
├── PictureError                an image that cannot be read
├── FileError                   a file that cannot be written (also an OSError)
├── AssumedPathError            the real service's path of this operation is not known
├── AssumedFieldError           the real service's name of a field is not known
├── JournalError                the task history cannot be read or written
├── SandboxError                the local sandbox does not start or has died
├── APIError                    one HTTP exchange went wrong
│   ├── AuthenticationError     ├── BadRequestError     ├── NotFoundError
│   ├── RateLimitError          ├── RefusedError        ├── ServerError
│   ├── MalformedAnswerError    ├── RedirectError
│   └── NetworkError ── RequestTimeoutError (also a TimeoutError)
└── TaskError                   carries `task`
    ├── TaskFailedError         ├── SubmissionLostError
    ├── WaitCancelledError      └── TaskTimeoutError (also a TimeoutError)
                                    └── UnknownStatusError
TaskInterrupted                 Ctrl-C while waiting (a KeyboardInterrupt, so that loops stop)
"""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Iterable, Iterator
from typing import Any

from .text import as_typed, clip, near_match, one_of, visible


class _ShortTraceback:
    """Shown by IPython without a traceback; IMGOPEN_TRACEBACK=1 shows it."""

    def _render_traceback_(self) -> list[str]:
        assert isinstance(self, BaseException)
        if os.environ.get("IMGOPEN_TRACEBACK"):
            return traceback.format_exception(self)
        return [f"{type(self).__name__}: {self}"]


class ImgOpenError(_ShortTraceback, Exception):
    """Base of all errors of this package: catch it to catch them all.

    Attributes:
        message: what happened.
        hint: what to do next, or "".
        task: the `Task` that the error is about, None if there is none.
    """

    def __init__(self, message: str, *, hint: str = "", task: object | None = None) -> None:
        super().__init__(message)
        self.message = visible(message)
        self.hint = visible(as_typed(hint))
        self.task = task

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message

    def __reduce__(self) -> Any:
        return _again, (type(self), self.args, vars(self))


def _again(kind: type[ImgOpenError], args: tuple[Any, ...], about: dict[str, Any]) -> ImgOpenError:
    """Return an error that was pickled, whatever its class takes to make one."""
    error = kind.__new__(kind, *args)
    vars(error).update(about)
    return error


class UsageError(ImgOpenError):
    """The call itself is wrong; nothing was sent."""


class UnknownNameError(UsageError, LookupError):
    """A name that does not exist; the hint suggests similar ones."""

    def __init__(self, what: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        known = list(known)
        self.name = name
        super().__init__(
            f"there is no {what} {clip(name)!r}",
            hint=hint or near_match(name, known) or one_of(known),
        )


class UnknownAttributeError(UnknownNameError, AttributeError):  # type: ignore[misc]  # `name`
    """A public name that the package does not have."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__("function of imgopen called", name, known)


class ParameterError(UsageError, ValueError):
    """A parameter is missing, given twice, or has a value that does not fit."""


class BudgetError(UsageError):
    """The allowed number of tasks has been sent; this one was not."""


class SettingsError(ImgOpenError):
    """Keys or settings are missing or cannot be used."""


class PictureError(ImgOpenError, ValueError):
    """An image cannot be fetched, read or sent."""


class FileError(ImgOpenError, OSError):
    """A file cannot be written; an existing one is unchanged."""


class AssumedPathError(UsageError):
    """The operation's path is a guess, so nothing is sent to the real service."""


class AssumedFieldError(UsageError):
    """A field's name in the request is a guess, so nothing is sent to the real service."""


class JournalError(ImgOpenError):
    """The task history cannot be read or written."""


class SandboxError(ImgOpenError):
    """The sandbox does not start, or has stopped."""


class APIError(ImgOpenError):
    """One exchange with the service went wrong."""

    def __init__(
        self, message: str, *, hint: str = "", code: str = "", http_status: int | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.http_status = http_status
        self.by_service = True  # an HTTP status alone may be that of a proxy in between
        self.knows_at_once = False  # of a "not found": see `catalogue.status.KNOWS_AT_ONCE`


class AuthenticationError(APIError):
    """The service did not accept the access key."""


class BadRequestError(APIError):
    """The service did not accept the request's content."""


class NotFoundError(APIError):
    """The service does not know the path or the task."""


class RateLimitError(APIError):
    """Too many requests; `retry_after` has the seconds that the service asks to wait, or None."""

    def __init__(self, message: str, *, retry_after: float | None = None, **more: Any) -> None:
        super().__init__(message, **more)
        self.retry_after = retry_after


class RefusedError(APIError):
    """The service answered with a failure code whose meaning is not documented."""


class ServerError(APIError):
    """The service has a problem."""


class MalformedAnswerError(APIError):
    """The answer is not the documented JSON."""


class RedirectError(APIError):
    """The service redirects; the keys are not sent to the other address."""


class NetworkError(APIError):
    """There was no answer; `sent` says whether the request may have reached the service."""

    def __init__(self, message: str, *, sent: bool = True, **more: Any) -> None:
        super().__init__(message, **more)
        self.sent = sent


class RequestTimeoutError(NetworkError, TimeoutError):
    """The answer did not arrive in time."""


class TaskError(ImgOpenError):
    """A task failed, or waiting for it did; the attribute `task` has it."""


class TaskFailedError(TaskError):
    """The service reports that the task failed."""


class SubmissionLostError(TaskError):
    """The answer to a submission was lost: it is unknown whether it was accepted.

    `again` is the number of seconds until the service is asked again, None if that would not help.
    """

    def __init__(self, message: str, *, again: float | None = None, **more: Any) -> None:
        super().__init__(message, **more)
        self.again = again


class WaitCancelledError(TaskError):
    """`cancel()` was called: waiting has ended, but the task is still running at the service."""


class TaskTimeoutError(TaskError, TimeoutError):
    """The task did not finish in time; it is still running, and you can wait for it again."""


class UnknownStatusError(TaskTimeoutError):
    """The last status before the timeout is one that the documentation does not name."""


class TaskInterrupted(_ShortTraceback, KeyboardInterrupt):
    """Ctrl-C while waiting: says which task is still running, and how to get its result."""

    def __init__(self, message: str = "") -> None:
        super().__init__(as_typed(message))


def install_command(extra: str) -> str:
    """Return how to install an extra of this package.

    No other place says so. The package's name may stand here only once a release owns it on an
    index: until then a stranger could publish something else under it.

    Example:
        >>> install_command("fast")
        'pip install ".[fast]" in a clone of the project'
    """
    return f'pip install ".[{extra}]" in a clone of the project'


@contextlib.contextmanager
def naming(field: str) -> Iterator[None]:
    """Put the name of a field before the message of an error about its value."""
    try:
        yield
    except (PictureError, UsageError) as error:
        error.message = f"{visible(field)}: {error.message}"
        error.args = (error.message,)
        raise
