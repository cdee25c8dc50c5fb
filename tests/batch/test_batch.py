"""Batches against a service with books: every row has its outcome, and nothing is paid twice."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgopen_nb.batch import stream as stream_module
from imgopen_nb.batch.batch import Batch
from imgopen_nb.batch.plan import Plan
from imgopen_nb.batch.rows import Limits, Outcome, Row
from imgopen_nb.batch.sources import source_of
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.catalogue.status import State
from imgopen_nb.errors import ImgOpenError, TaskInterrupted, UsageError
from imgopen_nb.images.picture import samples
from imgopen_nb.session import Session
from imgopen_nb.stream import stream
from imgopen_nb.tasks.task import Task

from ..conftest import KEY_ID, KEY_SECRET, often
from ..presses import ctrl_c
from ..service import Service, caption_of
from ..stub import Reply, Request, Stub, ok, refusal

pytestmark = pytest.mark.usefixtures("cached")

HOST = "https://pictures.invalid"
EVIL = '<img src=x onerror="alert(1)">\x1b[31m'


@dataclass
class Odd(Service):
    """A service that does what the name of an image says, and counts what is open at a time."""

    busiest: int = 0
    refuse_after: int | None = None
    lock: Any = field(default_factory=threading.Lock)

    def answer(self, request: Request) -> Reply:
        with self.lock:
            limit = self.refuse_after
            if limit is not None and len(self.tasks) >= limit and "query" not in request.path:
                return refusal("401", "unknown key")
            return super().answer(request)

    def _submit(self, body: dict[str, str]) -> Reply:
        if "refused" in body["image"]:
            return refusal("400", f"cannot be read: {EVIL}")
        reply = super()._submit(body)
        noticed = [entry.noticed is None for entry in self.tasks.values()]
        self.busiest = max(self.busiest, sum(noticed))
        return reply

    def _query(self, body: dict[str, str]) -> Reply:
        key = body["businessTaskId"].removeprefix("s-")
        entry = self.tasks.get(key)
        if entry and "endless" in entry.image:
            return ok(taskId=f"s-{key}", status=1)
        if entry and "fails" in entry.image:
            entry.noticed = time.monotonic()
            return ok(taskId=f"s-{key}", status=0, errorMessage="too dark")
        return super()._query(body)


@pytest.fixture
def books(stub: Stub) -> Service:
    """A service that takes no time."""
    return Odd(duration=lambda: 0.0).on(stub)


def urls(*names: object) -> list[str]:
    return [f"{HOST}/{name}.jpg" for name in names]


def describe(session: Session, images: Any, **more: Any) -> Batch:
    batch = session.map("describe", images, progress=False, **{"model": "clip", **more})
    assert isinstance(batch, Batch)
    return batch


def plan(session: Session, operation: str, images: Any, **more: Any) -> Plan:
    made = session.map(operation, images, dry_run=True, **more)
    assert isinstance(made, Plan)
    return made


# What comes out.


def test_a_grid_gives_a_column_for_each_combination_aligned_with_the_input(
    session: Session, books: Service
):
    """Models × rows: one row for each row of the input, its captions by model."""
    images = pd.Series(urls(3, 1, 2), index=["c", "a", "b"])

    wide = session.map("describe", images, models=["clip", "deepdanbooru"], progress=False).wide()

    assert list(wide.columns) == ["clip", "deepdanbooru", "error"]
    assert list(wide.index) == ["c", "a", "b"]
    assert list(wide["clip"]) == [caption_of(i, "clip") for i in images]
    assert list(wide["deepdanbooru"]) == [caption_of(i, "deepdanbooru") for i in images]
    assert wide["error"].isna().all()


def test_the_tidy_frame_has_a_row_for_each_call_with_the_index_of_its_row(
    session: Session, books: Service
):
    images = pd.Series(urls(1, 2), index=pd.Index(["x", "y"], name="name"))

    frame = session.map("describe", images, models=["clip", "deepdanbooru"], progress=False).frame()

    assert list(frame.index) == ["x", "x", "y", "y"]
    assert frame.index.name == "name"
    assert list(frame["model"]) == ["clip", "deepdanbooru"] * 2
    assert list(frame["image"]) == [i for i in images for _ in range(2)]
    assert list(frame["cached"]) == [False] * 4


def test_a_call_of_a_batch_and_a_call_alone_are_the_same(
    session: Session, books: Service, stub: Stub
):
    """Checked, sent and kept alike: the result of the one answers the other, both ways."""
    first, second = urls(1, 2)
    alone = session.run("describe", image=first, model="clip")

    batch = describe(session, [first, second])
    again = session.run("describe", image=second, model="clip")

    assert [r.cached for r in batch] == [True, False]
    assert batch.results()[0].task_id == alone.task_id
    assert again.cached
    books.paid_once([first, second])
    bodies = [r.body for r in stub.submissions()]
    assert bodies[0].keys() == bodies[1].keys()


INDEXES: list[pd.Index[Any]] = [
    pd.RangeIndex(5),
    pd.Index([7, 7, 1, 7, 1]),
    pd.Index(["e", "a", "d", "b", "c"], name="name"),
    pd.Index([]),
    pd.Index(["only"]),
    pd.MultiIndex.from_tuples([("a", 2), ("a", 1), ("b", 9)], names=["cat", "no"]),
    pd.date_range("2026-01-01", periods=4, freq="D", tz="Europe/Paris"),
    pd.CategoricalIndex(["x", "y", "x"]),
]


@pytest.mark.parametrize("index", INDEXES, ids=lambda i: f"{type(i).__name__} {len(i)}")
def test_frames_have_the_index_of_the_input_whatever_it_is(
    session: Session, books: Service, index: pd.Index[Any]
):
    images = pd.Series(urls(*range(len(index))), index=index, dtype="object")

    batch = describe(session, images)
    wide, frame = batch.wide(), batch.frame()

    pd.testing.assert_index_equal(wide.index, index)
    pd.testing.assert_index_equal(frame.index, index)
    assert list(wide["caption"] if "caption" in wide else wide.iloc[:, 0]) == [
        caption_of(image, "clip") for image in images
    ]
    beside = pd.concat([images.rename("url"), wide], axis=1)
    assert len(beside) == len(images)
    if index.is_unique:
        assert len(images.to_frame("url").join(wide)) == len(images)


ROWS = st.sampled_from(
    ["1", "2", "3", "4", "refused-1", "fails-1", "fails-2", "", "nan", "/no.png"]
)
KEYS = st.one_of(st.integers(0, 3), st.sampled_from("ab"), st.none())


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """One service and one history for all examples."""
    patch = pytest.MonkeyPatch()
    with Stub() as stub:
        Odd(duration=lambda: 0.0).on(stub)
        with Session(stub.url, KEY_ID, KEY_SECRET, tmp_path_factory.mktemp("home")) as made:
            yield made
    patch.undo()


@settings(max_examples=often(25, 1000), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(st.tuples(KEYS, ROWS), max_size=8),
    concurrency=st.integers(1, 9),
    models=st.sampled_from([["clip"], ["deepdanbooru", "clip"]]),
)
def test_whatever_fails_each_row_stands_at_its_place(
    lasting: Session, rows: list[tuple[Any, str]], concurrency: int, models: list[str]
):
    """Random indexes, failures and concurrency: values, errors and dtypes as the rows tell."""
    values = [{"": None, "nan": float("nan")}.get(name, name) for _, name in rows]
    images = [f"{HOST}/{v}" if isinstance(v, str) and v[0] != "/" else v for v in values]
    series = pd.Series(images, index=pd.Index([key for key, _ in rows], dtype=object), dtype=object)

    batch = describe(lasting, series, model=models, concurrency=concurrency)
    wide = batch.wide()

    pd.testing.assert_index_equal(wide.index, series.index)
    assert {name: str(dtype) for name, dtype in wide.dtypes.items()} == dict.fromkeys(
        [*models, "error"], "string"
    )
    for at, (_, name) in enumerate(rows):
        good = name.isdigit()
        for model in models:
            said = wide[model].iloc[at]
            assert said == caption_of(images[at], model) if good else said is pd.NA
        assert (wide["error"].iloc[at] is pd.NA) == good
    assert list(batch.frame().index) == [key for key, _ in rows for _ in models]
    assert len(batch.errors()) == len(models) * sum(not name.isdigit() for _, name in rows)


def test_columns_and_dtypes_of_a_frame_do_not_depend_on_what_failed(
    session: Session, books: Service
):
    inputs = [urls(1, 2), urls("refused"), [None], []]

    wides = [describe(session, images).wide() for images in inputs]
    frames = [describe(session, images).frame() for images in inputs]

    assert len({tuple(wide.dtypes.astype(str).items()) for wide in wides}) == 1
    assert len({tuple(frame.dtypes.astype(str).items()) for frame in frames}) == 1
    assert len({str(wide.index.dtype) for wide in wides}) == 1


# What can go wrong.


def test_failures_are_rows_with_their_reason_and_stop_no_other_row(
    session: Session, books: Service, tmp_path: Path
):
    """Missing, unreadable, refused, failed, too late: five reasons, and the rest has captions."""
    broken = tmp_path / "broken.jpg"
    broken.write_text("no image")
    names = ["ok-1", "refused", "fails", "endless", "ok-2"]
    images = [*urls(*names), None, str(broken), str(tmp_path / "none.jpg"), 3.5]

    batch = describe(session, images, timeout=2)
    wide = batch.wide()

    assert list(wide.iloc[:, 0].notna()) == [True, False, False, False, True] + [False] * 4
    reasons = ["cannot be read", "too dark", "did not finish in time", "this row has no image"]
    for at, reason in zip([1, 2, 3, 5], reasons, strict=True):
        assert reason in wide["error"][at]
    assert "broken.jpg" in wide["error"][6]
    assert "none.jpg" in wide["error"][7]
    assert "image must be an image" in wide["error"][8]
    statuses = list(batch.frame()["status"])
    assert statuses[:4] == ["succeeded", "refused", "failed", "running"]
    assert statuses[5:] == ["not sent"] * 4
    assert list(batch.errors()["error"]) == list(wide["error"].dropna())


def gated(books: Odd, gate: threading.Event) -> Callable[[Request], Reply]:
    """Return an answering after which no task ends before the gate is open."""

    def answer(request: Request) -> Reply:
        if "query" in request.path and not gate.is_set():
            return ok(taskId="x", status=1)
        return books.answer(request)

    return answer


def test_a_row_that_was_too_late_is_there_once_it_has_ended(session: Session, stub: Stub):
    """It goes on at the service and into the history; the batch then shows its result."""
    gate = threading.Event()
    books = Odd(duration=lambda: 0.0)

    stub.answer = gated(books, gate)
    batch = describe(session, urls(1), timeout=0.5)
    late = batch.wide()
    gate.set()
    session.task(batch.results()[0].task_id).wait(30)

    assert "did not finish in time" in late["error"][0]
    assert batch.wide().iloc[0].tolist() == [caption_of(urls(1)[0], "clip"), pd.NA]
    assert batch.results()[0].caption
    assert batch.errors().empty


def test_a_key_that_is_refused_in_the_middle_leaves_the_rest_unsent(session: Session, stub: Stub):
    """What was accepted has its result; no more than what was on its way meets the refusal."""
    books = Odd(duration=lambda: 0.0, refuse_after=5)
    books.on(stub)

    batch = describe(session, urls(*range(60)), concurrency=2)

    outcomes = batch.results()
    refused = [r for r in stub.submissions() if r.body["businessTaskId"] not in books.tasks]
    assert sum(r.status == "succeeded" for r in outcomes) == 5
    assert 1 <= len(refused) <= 2
    errors = [r.error or "" for r in outcomes if r.status != "succeeded"]
    assert sum(e.startswith("not sent: ") for e in errors) == 55 - len(refused)


def test_an_input_that_breaks_off_ends_with_a_row_that_says_so(session: Session, books: Service):
    def images() -> Iterator[str]:
        yield from urls(1, 2)
        raise OSError("the disk is gone")

    wide = describe(session, images()).wide()

    assert list(wide.iloc[:2, 0]) == [caption_of(image, "clip") for image in urls(1, 2)]
    assert (
        wide["error"][2] == "the input ended with an error after 2 rows (OSError: the disk is gone)"
    )


def test_trouble_on_the_way_costs_no_row_and_pays_no_picture_twice(session: Session, stub: Stub):
    """A third of the requests goes wrong, each image stands in the input four times."""
    books = Odd(duration=lambda: 0.1, trouble=0.3, seed=3)
    books.on(stub)
    images = urls(*range(10)) * 4

    batch = describe(session, images, concurrency=8)

    assert [r.caption for r in batch] == [caption_of(image, "clip") for image in images]
    assert sorted(e.image for e in books.tasks.values()) == sorted(set(images))
    assert set(books.accepted.values()) == {1}


def test_a_file_whose_name_is_no_text_is_a_row_like_any_other(
    session: Session, books: Service, tmp_path: Path
):
    name = os.fsdecode(bytes(tmp_path) + b"/caf\xe9.png")
    Path(name).write_bytes(samples()["coffee"].read_bytes())

    batch = describe(session, tmp_path)

    assert list(batch.wide().index) == list(batch.frame().index) == [name]
    assert batch.wide()["error"].notna().all()


# Plans and budgets.


def test_a_plan_tells_what_would_be_sent_and_sends_nothing(
    session: Session, books: Service, stub: Stub
):
    describe(session, urls(1, 2))
    before = len(stub.requests)

    made = plan(session, "describe", [*urls(1, 2, 3, 4, 4), None, "/no.jpg"], model="clip")

    assert (made.rows, made.combinations, made.concurrency) == (7, 1, 16)
    assert (made.cached, made.new, made.repeated, made.unusable) == (2, 2, 1, 2)
    assert made.seconds is not None
    assert len(stub.requests) == before
    for words in ("7 rows", "2 to send", "2 from the history", "2 that cannot be sent: this row"):
        assert words in repr(made)


def test_a_plan_of_the_sandbox_does_not_start_it():
    with Session() as session:
        made = plan(session, "describe", [*samples().values()], models=["clip", "deepdanbooru"])

        assert made.new == 2 * len(samples())
        assert session.manager.backend._sandbox is None
        assert session.rows() == []


def test_what_a_plan_counts_is_what_the_run_sends(session: Session, books: Service):
    images = [*urls(1, 2, 2, "refused"), None]

    made = plan(session, "describe", images, models=["clip", "deepdanbooru"])
    batch = session.map("describe", images, models=["clip", "deepdanbooru"], progress=False)

    assert made.new == 6
    assert f"{made.new} sent" in repr(batch)
    assert plan(session, "describe", images, models=["clip", "deepdanbooru"]).new == 2


def test_a_generator_is_not_used_up_by_a_plan(session: Session):
    with pytest.raises(UsageError, match="can be read only once"):
        plan(session, "describe", (image for image in urls(1)))


def test_a_generator_is_run_once_and_says_so_the_second_time(session: Session, books: Service):
    batch = describe(session, (image for image in urls(1, 2)))

    with pytest.raises(UsageError, match="read only once"):
        batch.run()

    assert len(batch) == 2


def test_looking_through_a_batch_sends_nothing(session: Session, books: Service, stub: Stub):
    batch = describe(session, urls(1, 2), fresh=True)
    before = len(stub.requests)

    assert [r.image for r in batch] == urls(1, 2)
    assert len(stub.requests) == before


@pytest.mark.parametrize("most", [0, 1, 7])
def test_a_budget_is_hard_at_any_concurrency(session: Session, books: Service, most: int):
    """Failing and cached rows cost nothing of it; what it does not cover is a row "not sent"."""
    describe(session, urls("known"))
    images = [*urls("known"), None, *urls(*range(80)), "/no.jpg"]

    batch = describe(session, images, concurrency=64, most=most)

    assert len(books.accepted) == 1 + most
    assert batch.results()[0].cached
    spent = [r for r in batch if "the limit on new tasks was reached" in (r.error or "")]
    assert len(spent) == 80 - most
    assert {r.status for r in spent} == {"not sent"}


def test_a_picture_that_stands_in_the_input_often_takes_one_of_the_budget(
    session: Session, books: Service
):
    """Its rows are looked up at the same moment, and only one of them is new."""
    images = [image for image in urls(*range(8)) for _ in range(8)]

    batch = describe(session, images, concurrency=64, most=8)

    assert [r.error for r in batch] == [None] * 64
    assert "64 calls done: 8 sent" in repr(batch)
    books.paid_once(images)


def test_going_on_after_a_budget_sends_only_the_rest(session: Session, books: Service):
    images = urls(*range(10))

    parts = [describe(session, images, most=4) for _ in range(3)]

    assert [sum(r.status == "succeeded" for r in part) for part in parts] == [4, 8, 10]
    books.paid_once(images)


def test_one_picture_many_times_is_paid_once(session: Session, stub: Stub):
    """All its rows are under way at the same moment."""
    books = Odd(duration=lambda: 0.2)
    books.on(stub)

    batch = describe(session, urls(1) * 20, concurrency=20)

    assert {r.caption for r in batch} == {caption_of(urls(1)[0], "clip")}
    books.paid_once(urls(1))


@pytest.mark.parametrize("concurrency", [1, 3, 20])
def test_the_service_never_has_more_open_tasks_than_asked(
    session: Session, stub: Stub, concurrency: int
):
    books = Odd(duration=lambda: 0.02)
    books.on(stub)

    describe(session, urls(*range(40)), concurrency=concurrency)

    assert 1 <= books.busiest <= concurrency
    assert len(books.accepted) == 40


# The core.


def test_rows_are_read_as_there_is_room_for_them(session: Session, books: Service):
    """Never more than `concurrency` rows are ahead of the outcomes, and none before the first."""
    read: list[int] = []

    def rows() -> Iterator[Row]:
        for place, image in enumerate(urls(*range(30))):
            read.append(place)
            yield Row(place, place, {"image": image, "model": "clip"})

    outcomes = stream(session, OPERATIONS["describe"], rows(), Limits(4))
    assert read == []

    for done, _ in enumerate(outcomes, 1):
        assert len(read) <= done - 1 + 4
    assert len(read) == 30


class Idle:
    """A session whose tasks end at once, and that remembers none of them."""

    def __init__(self) -> None:
        self.settings = SimpleNamespace(timeout=60.0)
        self.manager = self.submitter = self.scheduler = self
        self.store = SimpleNamespace(
            failed_result=lambda task, error: SimpleNamespace(
                error=error, task_id=task.id, status=task.state
            )
        )

    def call(self, job: Any) -> None:
        job()

    def reusable(self, operation: Any, params: dict[str, Any]) -> bool:
        return True

    def submit(self, operation: Any, params: dict[str, Any], **_: Any) -> Task:
        state = State.FAILED if params["image"].endswith("7.jpg") else State.SUCCEEDED
        return Task(
            "t",
            operation,
            params,
            state=state,
            watch=lambda task: None,
            build=lambda task: SimpleNamespace(task_id="t"),  # type: ignore[arg-type, return-value]
        )


@pytest.mark.soak
def test_what_is_held_does_not_grow_with_the_number_of_rows():
    """Thousands of rows of a generator, every tenth failing: a few tasks and outcomes at a time."""
    number = often(5_000, 20_000)
    rows = (Row(n, n, {"image": f"{HOST}/{n}.jpg"}) for n in range(number))
    outcomes = stream_module.stream(Idle().manager, OPERATIONS["describe"], rows, Limits(16))
    held = {Task, Outcome, Row, stream_module._Call}
    most = count = failed = 0

    for outcome in outcomes:
        count += 1
        failed += outcome.failed
        if count % 1_000 == 0:
            gc.collect()
            most = max(most, sum(type(each) in held for each in gc.get_objects()))

    assert (count, failed) == (number, number // 10)
    assert most <= 16 * 10


def test_a_task_of_a_row_is_waited_for_as_long_as_the_row(session: Session, books: Service):
    """Not only for the session's usual time."""
    rows = [Row(0, 0, {"image": urls("endless")[0], "model": "clip"})]
    outcomes = stream(session, OPERATIONS["describe"], rows, Limits(timeout=3600))
    threading.Timer(1.0, lambda: session.task(ids(session)[0]).cancel()).start()

    outcome = next(outcomes)

    assert outcome.failed
    assert session.task(ids(session)[0])._watch_until - time.monotonic() > 3000


def ids(session: Session) -> list[str]:
    return [row["task_id"] for row in session.rows()]


# Ctrl-C.

BATCH = """
import sys
from imgopen_nb.session import Session
url, home, key, secret = sys.argv[1:]
images = [f"https://pictures.invalid/{n}.jpg" for n in range(60)]
with Session(url, key, secret, home) as session:
    batch = session.map("describe", images, model="clip", concurrency=8)
    print(sum(r.status == "succeeded" for r in batch))
"""


def test_ctrl_c_stops_and_the_same_again_goes_on_and_sends_nothing_twice(
    stub: Stub, tmp_path: Path, cached: None
):
    """A real SIGINT, three times over; the fourth run ends with all rows, each paid once."""
    books = Odd(duration=lambda: 0.3)
    books.on(stub)
    arguments = [sys.executable, "-c", BATCH, stub.url, str(tmp_path), KEY_ID, KEY_SECRET]
    for more in range(3):
        process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        limit = time.monotonic() + 60
        while len(books.accepted) < 10 * (more + 1) and time.monotonic() < limit:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert re.search(
            r"stopped: \d+ done, \d+ still running at the service.*\d+ not sent", said.decode()
        )
        assert "run it again: it continues here, and sends nothing twice" in said.decode()

    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True)

    assert done.stdout.strip() == "60"
    books.paid_once(urls(*range(60)))


def test_ctrl_c_in_the_notebook_leaves_the_kernel_as_it_was(session: Session, stub: Stub):
    """The same session, interrupted in the middle, runs the same batch to its end."""
    gate = threading.Event()
    books = Odd(duration=lambda: 0.0)

    stub.answer = gated(books, gate)
    said = "0 done, 5 still running at the service"
    with ctrl_c(1.0), pytest.raises(TaskInterrupted, match=said):
        describe(session, urls(*range(12)), concurrency=5)
    gate.set()

    batch = describe(session, urls(*range(12)), concurrency=5)

    assert all(r.status == "succeeded" for r in batch)
    books.paid_once(urls(*range(12)))


# Grids.


@pytest.mark.parametrize(
    ("operation", "more", "says"),
    [
        ("describe", {"modle": "clip"}, "did you mean model"),
        ("describe", {"model": ["clip", "clop"]}, "did you mean clip"),
        ("describe", {"models": "clop"}, "did you mean clip"),
        ("describe", {"models": ["clip"], "model": "clip"}, "model was given twice"),
        ("describe", {"models": 3}, "model must be"),
        ("describe", {"model": []}, "model is an empty list"),
        ("describe", {"image": urls(1)[0]}, "image was given twice"),
        ("describe", {"concurrency": 0}, "concurrency must be a whole number of at least 1, not 0"),
        ("describe", {"concurrency": None}, "concurrency must be"),
        ("describe", {"concurrency": 2.5}, "concurrency must be"),
        ("describe", {"most": -1}, "most must be a whole number of at least 0, not -1"),
        ("describe", {"most": "5"}, "most must be"),
        ("describe", {"timeout": "1h"}, "timeout must be "),
        ("describe", {"timeout": -1}, "timeout must be "),
        ("face-swap", {}, "face-swap needs a face"),
        ("face-swap", {"face": "/no/face.jpg"}, "there is no file /no/face.jpg"),
        ("models", {}, "takes neither an image nor a text"),
        ("query-task", {}, "there is no operation"),
        ("watermark", {"text": "x", "opacity": [0.5, "much"]}, "opacity must be a number"),
    ],
)
def test_a_slip_is_one_sentence_before_anything_is_sent(
    session: Session, stub: Stub, operation: str, more: dict[str, Any], says: str
):
    with pytest.raises(ImgOpenError, match=re.escape(says)) as caught:
        session.map(operation, urls(1, 2), progress=False, **more)

    assert isinstance(caught.value, ValueError | LookupError | UsageError)
    assert "\n" not in caught.value.message
    assert stub.requests == []
    assert session.rows() == []


def bodies(stub: Stub) -> list[Any]:
    return [request.body for request in stub.submissions()]


def test_prompts_go_with_every_seed(session: Session, stub: Stub):
    stub.replies(refusal("400", "not today"))

    batch = session.map(
        "text2image", ["a fox", "a lighthouse"], seed=range(1, 4), model="m.ckpt", progress=False
    )

    asked = {(body["prompt"], body["seed"]) for body in bodies(stub)}
    assert asked == {(p, s) for p in ("a fox", "a lighthouse") for s in ("1", "2", "3")}
    assert list(batch.wide().columns) == ["1", "2", "3", "error"]
    frame = batch.frame()
    assert (str(frame["seed"].dtype), list(frame["seed"])) == ("Int64", [1, 2, 3] * 2)


def test_one_prompt_may_be_given_as_a_text(session: Session, stub: Stub):
    stub.replies(refusal("400", "not today"))

    session.map("text2image", "a fox, red", seed=[1, 2], model="m.ckpt", progress=False)

    assert [body["prompt"] for body in bodies(stub)] == ["a fox, red"] * 2


def test_a_fixed_face_goes_with_every_picture(session: Session, stub: Stub):
    stub.replies(refusal("400", "not today"))
    face = urls("face")[0]

    batch = session.map("face-swap", urls(1, 2), face=face, concurrency=1, progress=False)

    assert [
        sorted(v for v in body.values() if v in [face, *urls(1, 2)]) for body in bodies(stub)
    ] == [sorted([face, image]) for image in urls(1, 2)]
    assert list(batch.wide().columns) == ["images", "error"]


def test_a_list_where_a_list_belongs_is_one_value(session: Session, stub: Stub):
    """`faces` of face-fusion; a list of lists is an axis."""
    stub.replies(refusal("400", "not today"))
    faces = urls("a", "b")

    one = session.map("face-fusion", urls(1), faces=faces, progress=False)
    two = session.map("face-fusion", urls(1), faces=[faces, faces[:1]], progress=False)

    assert [len(batch) for batch in (one, two)] == [1, 2]
    assert one.wide().columns[0] == "images"
    assert len(two.wide().columns) == 3


def test_columns_of_a_grid_have_different_names_whatever_its_values(session: Session, stub: Stub):
    stub.replies(refusal("400", "not today"))
    prompts = ["error", "x" * 500, "x" * 501, "", EVIL]

    wide = session.map("image2image", urls(1), prompt="p", model="m", negative_prompt=prompts,
                       progress=False).wide()  # fmt: skip

    assert wide.columns.is_unique
    assert len(wide.columns) == 6
    assert max(map(len, wide.columns)) < 80
    assert not any("\x1b" in name for name in wide.columns)


def test_values_of_a_grid_may_be_written_as_texts(session: Session, stub: Stub):
    """As they come from a magic line: they are checked, and typed in the frame."""
    stub.replies(refusal("400", "not today"))

    frame = session.map("text2image", ["a fox"], seed=["1", "2"], model="m", progress=False).frame()

    assert list(frame["seed"]) == [1, 2]


def test_expanded_prompts_come_from_the_sandbox(local: Session):
    batch = local.map("expand-prompt", {"fox": "a red fox", "empty": " "}, progress=False)

    wide = batch.wide()

    assert list(wide.columns) == ["prompts", "error"]
    assert list(wide.index) == ["fox", "empty"]
    assert wide.loc["fox", "prompts"]
    assert wide.loc["empty", "error"] == "this row has no prompt"


# Displays.


def test_a_batch_shows_counts_and_the_first_error_harmlessly(session: Session, books: Service):
    batch = session.map(
        "describe", urls("refused", 1), models=["clip", "deepdanbooru"], progress=False
    )

    bundle = batch._repr_mimebundle_()

    assert "4 calls done: 4 sent, 0 from the history, 2 failed" in bundle["text/plain"]
    assert "cannot be read" in bundle["text/html"]
    assert "<img" not in bundle["text/html"]
    assert "\x1b" not in bundle["text/plain"] + bundle["text/html"]


def test_a_batch_of_a_thousand_columns_shows_twenty(session: Session, stub: Stub):
    grid = {"seed": range(1000), "model": "m"}
    source = source_of(["a fox"])
    made = Batch(session.manager, OPERATIONS["text2image"], source, grid, Limits())

    bundle = made._repr_mimebundle_()

    assert "and 980 more" in bundle["text/plain"]
    assert len(bundle["text/html"]) < 20_000


def test_a_plan_shows_as_a_small_table_harmlessly(session: Session):
    made = plan(session, "describe", [EVIL, *urls(1, 2)], models=["clip", "deepdanbooru"], most=3)

    bundle = made._repr_mimebundle_()

    assert "4 to send (limit 3)" in bundle["text/plain"]
    assert "3 rows × 2 = 6 calls" in bundle["text/html"]
    assert "<img" not in bundle["text/html"]
    assert "\x1b" not in bundle["text/plain"] + bundle["text/html"]
    assert len(bundle["text/html"]) < 10_000


def test_rows_that_were_not_sent_show_no_password_and_no_data(session: Session, stub: Stub):
    data = "data:image/png;base64," + "A" * 100_000
    secret = "https://user:pass@pictures.invalid/1.jpg"

    frame = describe(session, [data, secret], most=0).frame()

    assert "pass" not in str(frame["image"].to_list())
    assert frame["image"].str.len().max() <= 200


def test_a_batch_shows_its_first_images_with_what_each_model_said(local: Session):
    batch = local.map(
        "describe",
        [f"sample:{name}" for name in ("coffee", "rocket", "chelsea")] * 3 + ["nowhere.png"],
        models=["clip", "deepdanbooru"],
        progress=False,
    )
    html = batch._repr_mimebundle_()["text/html"]

    assert html.count("data:image/jpeg;base64,") == 8
    assert "2 more rows" in html
    for result in batch.results()[:4]:
        assert (result.caption or "x") in html
    for line in ("%imgopen board", "%imgopen compare", "%imgopen gallery"):
        assert f"<code>{line}</code>" in html
    assert len(html) < 100_000
    assert "127.0.0.1" not in html


def test_a_batch_of_failures_says_why_beside_each_image(local: Session):
    html = local.map("describe", ["nowhere.png"], progress=False)._repr_mimebundle_()["text/html"]

    assert "no file nowhere.png" in html
    assert "not available" in html
    assert "%imgopen board" not in html
