"""The API's behaviour: which path is which operation, and what it answers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from ...catalogue.operation import PREFIX, Operation
from ...catalogue.operations import OPERATIONS
from ...text import near_match
from ..engine import EngineError
from ..jobs.job import Job
from ..jobs.jobs import Jobs
from ..jobs.work import JobWork
from ..messages import WireError, describe_error, tidy
from . import responses
from .access import Access
from .request_log import LoggedRequest
from .requests import parse_body, read_submission
from .responses import Answer

SERVER_ID = re.compile(r"pro\d{22}")
TOOLS = tuple(op for op in OPERATIONS.values() if op.tool_code and op.kind != "status")
QUERIED = {f"{tool.path}/queryTask": tool for tool in TOOLS}
DIRECT = {op.path: op for op in OPERATIONS.values() if "{" not in op.path}
PATHS = (*DIRECT, *QUERIED)


class Service:
    """Answers the operations' paths, to those who have access."""

    def __init__(self, jobs: Jobs, access: Access) -> None:
        self._jobs, self.access = jobs, access

    async def answer(
        self, path: str, headers: Mapping[str, str], body: bytes, request: LoggedRequest
    ) -> Answer:
        """Return the answer to a POST; task and acceptance are noted in `request`.

        Raises:
            WireError: the request is refused.
        """
        self.access.check_keys(headers)
        parsed = parse_body(body) if path in PATHS else {}
        if path in QUERIED:
            return await self._tool_query(QUERIED[path], parsed)
        operation = DIRECT.get(path)
        if operation is None:
            raise WireError("404", unknown_path(path))
        if operation.kind == "status":
            return await self._sd_query(operation, parsed)
        key, values = read_submission(operation, parsed)
        if not operation.query:
            return await self._at_once(operation, values)
        job = self._jobs.submit(operation, key, values)
        request.task, request.accepted = tidy(job.key, 80), True
        return responses.acknowledgement(operation, job)

    async def _at_once(self, operation: Operation, values: dict[str, Any]) -> Answer:
        """Run an engine and answer with its result: lists, and the query of a training job."""
        jobs = self._jobs
        engine = await asyncio.to_thread(jobs.engines.engine, operation.name)
        if engine is None:
            raise WireError("501", jobs.engines.why_missing(operation.name))
        work = JobWork(operation, values, jobs.files, jobs.base_url, jobs)
        try:
            result = await asyncio.to_thread(work.run, engine)
        except EngineError as error:
            raise WireError(error.code, describe_error(error)) from None
        about = {"backend": "sandbox", "engine": engine.name, "fidelity": engine.fidelity}
        return responses.envelope({**result, **about})

    async def _tool_query(self, tool: Operation, body: dict[str, Any]) -> Answer:
        asked, job = await self._asked(OPERATIONS["query-tool"], body)
        if job.operation != tool.name:
            right = f"{OPERATIONS[job.operation].path}/queryTask"
            where = f": ask {right}" if OPERATIONS[job.operation].tool_code else ""
            raise WireError("404", f"task {asked!r} is not a task of tool {tool.tool_code}{where}")
        return responses.tool_answer(job, self._jobs)

    async def _sd_query(self, query: Operation, body: dict[str, Any]) -> Answer:
        asked, job = await self._asked(query, body)
        if OPERATIONS[job.operation].family != "sd":
            raise WireError("404", f"task {asked!r} is not a task of the sd family")
        ended = self._jobs.shows_end(job)
        if query.name == "query-v1":
            if not ended:
                raise WireError(
                    "404", f"task {asked!r} is not archived yet: query {_path('query-v2')}"
                )
            return responses.archived_answer(job, self._jobs)
        if ended and _month(job.accepted) != _month(self._jobs.clock.now()):
            raise WireError("404", f"task {asked!r} is archived: query {_path('query-v1')}")
        return responses.live_answer(job, self._jobs, str(body["businessTaskId"]))

    async def _asked(self, query: Operation, body: dict[str, Any]) -> tuple[str, Job]:
        """Return the id of the task that is asked for, fit for a message, and the task."""
        key, _ = read_submission(query, body)
        if SERVER_ID.fullmatch(key):
            await asyncio.to_thread(self._jobs.index_once)
        job = self._jobs.find(key)
        if job is None:
            raise WireError("404", f"there is no task {tidy(key, 80)!r}")
        return tidy(key, 80), job


def kind_of(path: str) -> tuple[str, str]:
    """Return the operation that a path is about, and "submit" or "query"."""
    if path in QUERIED:
        return QUERIED[path].name, "query"
    operation = DIRECT.get(path)
    if operation is None:
        return "", ""
    asks = operation.kind == "status" or operation.name == "training-result"
    return operation.name, "query" if asks else "submit"


def task_of(path: str, body: bytes) -> str:
    """Return the caller's id of the task that a request is about, fit for a log, or ""."""
    operation = OPERATIONS["query-tool"] if path in QUERIED else DIRECT.get(path)
    try:
        node: Any = parse_body(body)
    except WireError:
        return ""
    wanted = operation and (operation.id_param or next(iter(operation.params), None))
    for part in wanted.field.split(".") if wanted else ():
        node = node.get(part) if isinstance(node, dict) else None
    return tidy(node, 80) if isinstance(node, str) else ""


def unknown_path(path: str) -> str:
    """Return the message about a path that does not exist."""
    tails = [known.removeprefix(f"{PREFIX}/") for known in PATHS]
    hint = near_match(unquote(path.removeprefix(f"{PREFIX}/")).strip("/"), tails)
    return f"there is no {tidy(path, 120)}" + (f"; below {PREFIX}/, {hint}" if hint else "")


def _path(name: str) -> str:
    return OPERATIONS[name].path


def _month(moment: float) -> tuple[int, int]:
    return time.gmtime(moment)[:2]
