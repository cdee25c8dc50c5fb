"""What a sandbox keeps of its tasks on disk."""

from __future__ import annotations

from pathlib import Path

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.sandbox.jobs.engine_loader import EngineLoader
from imgopen_nb.sandbox.jobs.jobs import Jobs
from imgopen_nb.sandbox.jobs.store import FileStore, JobStore

from ..sandbox_fixtures import wait_for

ADDRESS = "http://me:s3same-open@127.0.0.1:9/cat.png"


def jobs_in(folder: Path) -> Jobs:
    files, tasks = FileStore(folder / "files"), JobStore(folder / "tasks")
    return Jobs(files, tasks, EngineLoader(), base_url="http://127.0.0.1:7")


def kept(folder: Path) -> str:
    return "".join(path.read_text() for path in (folder / "tasks").iterdir())


def test_a_password_in_an_address_is_not_kept(tmp_path: Path):
    jobs, values = jobs_in(tmp_path), {"image": ADDRESS}
    job = jobs.submit(OPERATIONS["describe"], "a", values)

    assert "s3same" not in kept(tmp_path)
    assert job.values == {"image": ADDRESS}  # what is fetched
    wait_for(lambda: job.ended)
    assert "s3same" not in kept(tmp_path)
    again = jobs_in(tmp_path).submit(OPERATIONS["describe"], "a", values)
    assert again.server_id == job.server_id  # the same submission, told apart without the password


def test_a_task_whose_password_is_gone_with_its_sandbox_says_so(tmp_path: Path):
    jobs = jobs_in(tmp_path)
    jobs._start = lambda job: None  # type: ignore[method-assign]  # the process ends before that
    jobs.submit(OPERATIONS["describe"], "a", {"image": ADDRESS})

    job = jobs_in(tmp_path).find("a")
    assert job is not None
    assert job.state == "failed"
    assert "stores no passwords" in job.error
