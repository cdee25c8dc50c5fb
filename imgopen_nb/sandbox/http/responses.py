"""The shapes of answers: the envelope, the acknowledgements, the answers to the three queries."""

from __future__ import annotations

from typing import Any

from ...catalogue.operation import Operation
from ..engine import CLEAN
from ..jobs.job import Job
from ..jobs.jobs import Jobs
from ..messages import WireError

BARE = ("style", "outpaint", "control-preview")  # acknowledged by task_id only
Answer = dict[str, Any]


def envelope(data: Any, msg: str = "success", code: str = "200") -> Answer:
    """Return what every answer is wrapped in."""
    return {"code": code, "msg": msg, "data": data}


def refusal(error: WireError) -> Answer:
    """Return the answer to a request that is refused."""
    return envelope(None, error.message, error.code)


def acknowledgement(operation: Operation, job: Job) -> Answer:
    """Return the answer to a submission."""
    if operation.family == "sd" or operation.name in BARE:
        return envelope({"task_id": job.server_id})
    return envelope({"taskId": job.server_id, "businessTaskId": job.key, "status": 1})


def tool_answer(job: Job, jobs: Jobs) -> Answer:
    """Return the answer of a tool's queryTask."""
    ids = {"businessTaskId": job.key, "taskId": job.server_id}
    if not jobs.shows_end(job):
        return envelope({**ids, "status": 1, **_callback(job)})
    if job.state == "failed":
        data = {**ids, "status": 0, "msg": job.error, "errorMessage": job.error}
        return envelope({**data, **_callback(job)}, job.error)
    data = {**jobs.result(job), **ids, "status": 2, **_about(job)}
    return envelope({**data, **_callback(job)})


def delivery(job: Job, jobs: Jobs) -> Answer:
    """Return what a callback posts: the vendor does not say, so the answer to a query."""
    answer = tool_answer(job, jobs)
    answer["data"].pop("callback", None)
    return answer


def live_answer(job: Job, jobs: Jobs, asked: str) -> Answer:
    """Return the answer of queryTaskInfo V2.0: the current state."""
    if not jobs.shows_end(job):
        queued = job.state == "accepted"
        running = {"status": 1 if queued else 3, "desc": "Queued" if queued else "Drawing"}
        shown = {"id_task": asked, **running, "temporaryImageDto": _progress(job, jobs)}
        return envelope({**shown, "differentialImageRspList": []})
    return envelope({"id_task": asked, **_ended(job, jobs), "temporaryImageDto": None})


def archived_answer(job: Job, jobs: Jobs) -> Answer:
    """Return the answer of queryTaskInfo V1.0: a task that has ended."""
    return envelope({"task_id": job.server_id, **_ended(job, jobs)})


def _ended(job: Job, jobs: Jobs) -> Answer:
    if job.state == "failed":
        return {"status": 0, "desc": job.error, "differentialImageRspList": []}
    result = jobs.result(job)
    shown = [{**CLEAN, **image} for image in result.pop("differentialImageRspList", [])]
    ended = {"status": 2, "desc": "Success", "differentialImageRspList": shown}
    return {**result, **ended, **_about(job)}


def _progress(job: Job, jobs: Jobs) -> Answer:
    """Return temporaryImageDto; the vendor does not document its members, so these are assumed."""
    url = jobs.with_our_urls(job.preview) or None
    return {"percentage": round(100 * jobs.fraction(job)), "imageUrl": url}


def _callback(job: Job) -> Answer:
    """Return the callback's state, an addition of the sandbox; nothing if none is wanted."""
    shown = {name: job.callback.get(name) for name in ("state", "attempts", "note")}
    return {"callback": shown} if job.callback else {}


def _about(job: Job) -> Answer:
    """Return what the sandbox adds: which engine, how faithful, how long."""
    engine = {"engine": job.engine, "fidelity": job.fidelity, "seconds": job.seconds}
    return {"backend": "sandbox", **engine}
