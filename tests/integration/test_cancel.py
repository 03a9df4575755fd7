"""Cancel: at once where a job waits, by a kill in a process, at the next check in a thread."""

import time
from pathlib import Path
from uuid import UUID

import pytest
from celery.result import AsyncResult

from jobs import lifecycle
from jobs.models import Event, Job, Status
from jobs.processor import enqueue_many
from tests.integration.jobtypes.journal import Journal
from tests.integration.jobtypes.tasks import letter, nap, noop
from tests.integration.workers import Start, wait_for, wait_for_end, wait_for_status

POOLS = ("threads", "prefork", "solo")
BOTH = ("threads", "prefork")


def running(journal: Journal, **fields: object) -> UUID:
    """A job that has started and goes on for a long time."""
    job = nap.enqueue({"journal": journal.path, "seconds": 600, **fields}).id
    wait_for(lambda: journal.lines("start", job), "the job to start")
    return job


def test_a_waiting_job_at_once(db: None) -> None:
    pending, scheduled = noop.enqueue({}).id, noop.enqueue({}, delay=60).id
    assert lifecycle.cancel([pending, scheduled], actor="test") == dict.fromkeys((pending, scheduled), Status.CANCELLED)
    assert set(Job.objects.values_list("status", "run")) == {(Status.CANCELLED, 0)}


@pytest.mark.parametrize("pool", POOLS)
def test_a_running_job(start: Start, journal: Journal, pool: str) -> None:
    start(pool, 1).wait_until_connected()
    job = running(journal, checks=pool != "prefork")
    asked = time.monotonic()
    assert lifecycle.cancel([job], actor="test") == {job: Status.PROCESSING}
    row = wait_for_status(job, Status.CANCELLED)
    assert time.monotonic() - asked < 10  # 2 s on a quiet machine
    assert not journal.lines("end")
    wait_for(lambda: journal.lines("finally"), "its finally block")
    assert (row.run, row.failures.count()) == (1, 0)
    wait_for_end([noop.enqueue({}).id])  # the slot is free again
    assert Job.objects.get(id=job).status == Status.CANCELLED


def test_a_process_that_ignores_the_signal_is_killed(start: Start, journal: Journal, gate: Path) -> None:
    start("prefork", 1).wait_until_connected()
    job = running(journal, stubborn=True)
    lifecycle.cancel([job], actor="test")
    wait_for_status(job, Status.CANCELLED)
    wait_for_end([noop.enqueue({}).id])
    assert not journal.lines("end")


def test_a_thread_that_never_checks_ends_cancelled_with_its_success_kept(
    start: Start, journal: Journal, gate: Path
) -> None:
    start("threads", 2).wait_until_connected()
    job = running(journal, checks=False, seconds=0, until=str(gate))
    lifecycle.cancel([job], actor="test")
    wait_for_end([noop.enqueue({}).id])
    assert Job.objects.get(id=job).status == Status.PROCESSING
    gate.touch()
    assert wait_for_status(job, Status.COMPLETED).result == 1  # a success that was returned wins


@pytest.mark.parametrize("pool", BOTH)
def test_without_redis_the_next_renewal_finds_the_request(start: Start, journal: Journal, pool: str) -> None:
    start(pool, 1, JOBS_LEASE="3", REDIS_URL="redis://127.0.0.1:1/0")
    job = running(journal)
    lifecycle.cancel([job], actor="test")
    wait_for_status(job, Status.CANCELLED)


@pytest.mark.parametrize("pool", BOTH)
def test_cancelled_and_retried_by_hand(start: Start, journal: Journal, pool: str) -> None:
    start(pool, 2).wait_until_connected()
    job = running(journal)
    AsyncResult(str(job)).revoke(terminate=True)
    wait_for_status(job, Status.CANCELLED)
    assert str(AsyncResult(str(job)).state) == "REVOKED"
    assert lifecycle.retry([job], actor="test").retried == [job]
    wait_for(lambda: len(journal.lines("start", job)) == 2, "its second run")
    assert Job.objects.values_list("status", "attempt", "run").get(id=job) == (Status.PROCESSING, 1, 2)
    lifecycle.cancel([job], actor="test")
    wait_for_status(job, Status.CANCELLED)
    assert list(Event.objects.filter(job=job).order_by("id").values_list("kind", flat=True)) == [
        "cancel requested",
        "retried",
        "cancel requested",
    ]


@pytest.mark.parametrize("pool", BOTH)
def test_a_failure_after_the_request_is_no_retry(start: Start, journal: Journal, pool: str) -> None:
    # The workers do not hear of the request in time.
    start(pool, 1, REDIS_URL="redis://127.0.0.1:1/0")
    job = letter.enqueue({"text": "x", "journal": journal.path, "seconds": 1, "breaks": True}).id
    wait_for(lambda: journal.lines("start"), "its start")
    lifecycle.cancel([job], actor="test")
    row = wait_for_status(job, Status.CANCELLED)
    assert (row.run, row.failures.count()) == (1, 0)


@pytest.mark.parametrize("pool", BOTH)
def test_all_of_many(start: Start, journal: Journal, pool: str) -> None:
    start(pool, 4).wait_until_connected()
    ids = [made.id for made in enqueue_many([(nap, {"journal": journal.path, "seconds": 600})] * 50)]
    wait_for(lambda: len(journal.lines("start")) == 4, "all slots at work")
    answers = lifecycle.cancel(ids, actor="test")
    assert set(answers.values()) == {Status.CANCELLED, Status.PROCESSING}
    wait_for_end(ids)
    assert set(Job.objects.values_list("status", flat=True)) == {Status.CANCELLED}
    assert not journal.lines("end")
