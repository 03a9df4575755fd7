import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from jobs.batching import BatchResult
from jobs.context import stop_requests
from jobs.errors import Cancelled, Discard, RateLimited, Retry, Snooze
from jobs.models import BatchItem, Job, Status
from jobs.processor import JobContext, batch_process
from jobs.testing import perform
from tests.jobs.jobtypes import improvise, part

pytestmark = pytest.mark.django_db


def batch(
    items: list[Any], fn: Callable[[Any], Any], results: list[BatchResult] | None = None, **options: Any
) -> dict[str, str]:
    """The payload of a job that works off these items."""

    def body(job: JobContext) -> Any:
        result = batch_process(items, fn, job=job, **options)
        if results is not None:
            results.append(result)
        return [sorted(result.succeeded.items()), sorted(result.failed.items())]

    return part(body)


def kept(job: Job) -> list[tuple[str, Any, str]]:
    return list(BatchItem.objects.filter(job=job.id).order_by("key").values_list("key", "result", "error"))


def test_every_item_is_called_once_and_its_outcome_kept() -> None:
    called: list[int] = []

    def double(number: int) -> int:
        called.append(number)
        return number * 2

    results: list[BatchResult] = []
    job = perform(improvise.enqueue(batch([1, 2, 3], double, results, size=2)))
    assert sorted(called) == [1, 2, 3]
    assert (results[0].succeeded, results[0].failed) == ({"1": 2, "2": 4, "3": 6}, {})
    assert kept(job) == [("1", 2, ""), ("2", 4, ""), ("3", 6, "")]
    assert job.progress == {"run": 1, "done": 3, "total": 3, "percent": 100, "note": ""}


def test_an_error_of_one_item_is_its_own() -> None:
    def divide(number: int) -> float:
        return 6 / number

    job = perform(improvise.enqueue(batch([1, 0, 3], divide)))
    assert job.status == Status.COMPLETED
    assert job.result == [[["1", 6.0], ["3", 2.0]], [["0", "ZeroDivisionError: division by zero"]]]


@pytest.mark.django_db(transaction=True)
def test_an_item_is_not_to_blame_for_a_lost_database() -> None:
    seen: list[str] = []

    def query(item: str) -> int:
        seen.append(item)
        with connection.cursor() as cursor:
            if seen == ["a"]:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            cursor.execute("SELECT 7")
            return int(cursor.fetchone()[0])

    made = improvise.enqueue(batch(["a", "b"], query, size=1))
    job = perform(made)
    assert (job.status, job.failures.get().error, kept(job)) == (Status.SCHEDULED, "OperationalError", [])
    job = perform(made)
    assert (job.status, kept(job)) == (Status.COMPLETED, [("a", 7, ""), ("b", 7, "")])


def test_an_item_whose_own_statement_fails_is() -> None:
    def query(item: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', '10', false)")
            cursor.execute("SELECT pg_sleep(5)")

    job = perform(improvise.enqueue(batch(["slow"], query)))
    assert job.status == Status.COMPLETED
    assert job.result[1][0][1].startswith("OperationalError: canceling statement")  # type: ignore[index]


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (float("nan"), "ValueError: not JSON: Out of range float values are not JSON compliant"),
        ("\x00", "ValueError: not storable: a NUL character in a string"),
        ({1}, "ValueError: not JSON: Object of type set is not JSON serializable"),
    ],
)
def test_a_result_that_cannot_be_kept_is_the_items_error(result: Any, told: str) -> None:
    job = perform(improvise.enqueue(batch(["good", "bad"], lambda item: result if item == "bad" else 1)))
    assert job.status == Status.COMPLETED
    assert job.result[0] == [["good", 1]]  # type: ignore[index]
    assert job.result[1][0][1].startswith(told)  # type: ignore[index]


def test_an_error_that_no_row_can_hold_is_kept_as_far_as_it_can_be() -> None:
    def fail(item: str) -> None:
        raise ValueError("a\x00\ud800")

    job = perform(improvise.enqueue(batch(["x"], fail)))
    assert kept(job) == [("x", None, "ValueError: a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}")]


def test_items_are_told_apart_by_their_key() -> None:
    items = [{"id": 7, "name": "a"}, {"id": 8, "name": "b"}, {"id": 7, "name": "again"}]
    job = perform(improvise.enqueue(batch(items, lambda item: item["name"], key=lambda item: str(item["id"]))))
    assert [key for key, _, _ in kept(job)] == ["7", "8"]


def test_no_items_are_done_at_once() -> None:
    assert perform(improvise.enqueue(batch([], str))).result == [[], []]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size: expected at least 1"),
        ({"key": lambda item: "k" * 201}, "key: expected text of at most 200 characters"),
        ({"key": lambda item: "\x00"}, "key: expected text"),
        ({"key": lambda item: 7}, "key: expected text"),
    ],
)
def test_what_cannot_work_is_told_before_any_call(options: dict[str, Any], message: str) -> None:
    called: list[Any] = []
    job = perform(improvise.enqueue(batch(["x"], called.append, **options)))
    assert called == []
    assert message in job.failures.get().message


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Retry("later", after=5), Status.SCHEDULED),
        (RateLimited("slower", after=5), Status.SCHEDULED),
        (Snooze("not yet", after=5), Status.SCHEDULED),
        (Discard("never"), Status.FAILED),
    ],
)
def test_an_error_about_the_job_ends_the_batch_and_keeps_what_is_done(error: Exception, status: Status) -> None:
    done = threading.Event()

    def work(item: str) -> str:
        if item == "bad":
            assert done.wait(30)
            raise error
        done.set()
        return item

    job = perform(improvise.enqueue(batch(["good", "bad", "never"], work, size=2)))
    assert job.status == status
    assert ("good", "good", "") in kept(job)
    assert "bad" not in [key for key, _, _ in kept(job)]


def test_the_next_attempt_goes_on_where_it_stopped() -> None:
    called: list[str] = []
    broken = threading.Event()

    def work(item: str) -> str:
        called.append(item)
        if item == "c" and not broken.is_set():
            broken.set()
            raise Retry("once more", after=0)
        if item == "b":
            raise ValueError("for good")
        return item

    job = improvise.enqueue(batch(["a", "b", "c", "d"], work, size=1))
    assert perform(job).status == Status.SCHEDULED
    assert called == ["a", "b", "c"]
    after = perform(job)
    assert called == ["a", "b", "c", "c", "d"]
    assert after.result == [[["a", "a"], ["c", "c"], ["d", "d"]], [["b", "ValueError: for good"]]]
    assert after.progress is not None
    assert after.progress["done"] == 4


def test_another_job_starts_from_its_own_beginning() -> None:
    called: list[str] = []
    for _ in range(2):
        perform(improvise.enqueue(batch(["a"], called.append)))
    assert called == ["a", "a"]


def test_a_cancelled_job_stops_between_items() -> None:
    called: list[int] = []

    def work(item: int) -> None:
        called.append(item)
        if item == 3:
            stop_requests[job.id, 1] = Cancelled("cancelled")

    job = improvise.enqueue(batch(list(range(100)), work, size=1))
    try:
        after = perform(job)
    finally:
        stop_requests.clear()
    assert after.status == Status.CANCELLED
    assert 4 <= len(called) < 100
    assert len(kept(after)) >= 4


def test_no_more_than_size_run_at_a_time() -> None:
    running, most = 0, 0
    lock, together = threading.Lock(), threading.Barrier(3)

    def work(item: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(30)
        with lock:
            running -= 1

    perform(improvise.enqueue(batch(list(range(9)), work, size=3)))
    assert most == 3
