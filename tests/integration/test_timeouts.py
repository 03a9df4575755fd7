"""Jobs that run longer than they may: a process is killed, a thread is told, and the row is right in any case."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from jobs.models import Failure, Job, Status
from jobs.models import Worker as Row
from jobs.processor import enqueue_many
from tests.integration.jobtypes.journal import Journal
from tests.integration.jobtypes.tasks import nap, noop, patient
from tests.integration.workers import Start, statuses, wait_for, wait_for_end, wait_for_status

TIMEOUT = 0.7
LATE = 5.0  # seconds: on a busy machine, and far from what the bodies would take
EX_STUCK = 75
PATIENT: Any = patient


def long(journal: Journal, *, checks: bool = False, timeout: float = TIMEOUT, attempts: int = 1, **fields: Any) -> UUID:
    """A job that runs into its timeout."""
    payload = {"journal": journal.path, "seconds": 600, "checks": checks, **fields}
    return nap.enqueue(payload, timeout=timeout, max_attempts=attempts).id


def assert_on_time(journal: Journal, job: UUID, run: int = 1) -> None:
    """By the clock of the body, the row was told at the timeout."""
    failure = Failure.objects.get(job=job, run=run)
    assert (failure.error, failure.classification) == ("JobTimeout", "timeout")
    assert failure.message == f"it ran longer than its timeout of {TIMEOUT:g} s"
    (begun,) = [line.at for line in journal.lines("start", job) if line.run == run]
    took = (failure.failed_at - datetime.fromtimestamp(begun, UTC)).total_seconds()
    assert TIMEOUT - 0.2 < took < TIMEOUT + LATE


def test_a_process_is_killed_and_replaced(start: Start, journal: Journal) -> None:
    worker = start("prefork", 2)
    children = set(worker.children())
    once, twice = long(journal, stubborn=True), long(journal, attempts=2)
    wait_for_end([once, twice])
    assert set(Job.objects.values_list("id", "status", "attempt", "losses")) == {
        (once, Status.FAILED, 1, 0),
        (twice, Status.FAILED, 2, 0),
    }
    for job, run in ((once, 1), (twice, 1), (twice, 2)):
        assert_on_time(journal, job, run)
    wait_for(lambda: len(worker.children()) == 2, "new children")
    assert not children & set(worker.children())
    assert not journal.lines("finally")
    both = [nap.enqueue({"journal": journal.path, "seconds": 0.5}).id for _ in range(2)]
    wait_for_end(both)
    assert statuses(both) == {Status.COMPLETED: 2}


def test_of_short_jobs_that_share_a_process_only_the_one_that_hangs_is_late(start: Start, journal: Journal) -> None:
    start("prefork", 1)

    def naps(count: int, **fields: Any) -> list[tuple[Any, Any, Any]]:
        return [(nap, {"journal": journal.path, **fields}, {"timeout": 2.0, "max_attempts": 1})] * count

    wait_for_end([made.id for made in enqueue_many(naps(30))])  # now it is known how short they are
    made = [made.id for made in enqueue_many([*naps(12), *naps(1, seconds=600), *naps(17)])]
    wait_for_end(made)
    assert statuses(made) == {Status.COMPLETED: 29, Status.FAILED: 1}
    assert Job.objects.get(id=made[12]).failures.order_by("-run")[0].error == "JobTimeout"


@pytest.mark.parametrize(("pool", "size"), [("threads", 2), ("solo", 1)])
def test_a_thread_stops_at_its_next_check(start: Start, journal: Journal, pool: str, size: int) -> None:
    worker = start(pool, size)
    once, twice = long(journal, checks=True), long(journal, checks=True, attempts=2)
    wait_for_end([once, twice])
    for job, run in ((once, 1), (twice, 1), (twice, 2)):
        assert_on_time(journal, job, run)
    wait_for(lambda: len(journal.lines("finally")) == 3, "its finally blocks")
    assert not journal.lines("end")
    # Who stops when told is not stuck: the worker goes on, with all its slots.
    more = [nap.enqueue({"journal": journal.path, "seconds": 0.5}).id for _ in range(size)]
    wait_for_end(more)
    assert statuses(more) == {Status.COMPLETED: size}
    assert worker.process.poll() is None
    assert not Row.objects.get().draining


def test_a_thread_that_never_checks_keeps_its_slot_and_nothing_else(start: Start, journal: Journal, gate: Path) -> None:
    start("threads", 5, JOBS_LEASE="3")
    once, again = (long(journal, seconds=0, until=str(gate), attempts=attempts) for attempts in (1, 3))
    wait_for(lambda: Failure.objects.count() == 2, "their timeouts")
    assert_on_time(journal, once)
    assert_on_time(journal, again)
    assert Job.objects.get(id=once).status == Status.FAILED
    row = wait_for_status(again, Status.PENDING)  # it was scheduled for another attempt, and that is due
    assert (row.run, row.attempt) == (1, 1)
    # Three slots are left, for others: this worker must not run a job twice at once.
    second = gate.with_name("second")
    others = [nap.enqueue({"journal": journal.path, "until": str(second)}).id for _ in range(4)]
    wait_for(lambda: len(journal.lines("start")) == 5, "three others")
    wait_for(lambda: Row.objects.filter(stuck=2).exists(), "the worker to tell")
    assert statuses(others) == {Status.PROCESSING: 3, Status.PENDING: 1}
    second.touch()
    wait_for_end([*others, *[noop.enqueue({}).id for _ in range(20)]])
    assert set(Job.objects.filter(id__in=(once, again)).values_list("status", "run")) == {
        (Status.FAILED, 1),
        (Status.PENDING, 1),
    }
    gate.touch()
    row = wait_for_status(again, Status.COMPLETED)
    # The successes of the first runs came too late. One could then run again, and that is what counts.
    assert (row.run, row.attempt, row.result, row.failures.count()) == (2, 2, 2, 1)
    wait_for(lambda: journal.lines("finally", once), "the other's return")
    wait_for_end([noop.enqueue({}).id for _ in range(20)])
    row = Job.objects.get(id=once)
    assert (row.status, row.run, row.result, row.failures.count()) == (Status.FAILED, 1, None, 1)
    for job, runs in ((once, (1,)), (again, (1, 2))):
        events = [(line.event, line.run) for line in journal.lines(job=job)]
        assert events == [(event, run) for run in runs for event in ("start", "end", "finally")]


def test_a_worker_with_half_its_threads_stuck_leaves(start: Start, journal: Journal, gate: Path) -> None:
    worker = start("threads", 4, JOBS_SHUTDOWN_GRACE="60")
    stuck = [long(journal, seconds=0, until=str(gate), attempts=2) for _ in range(2)]
    second = gate.with_name("second")
    running = [nap.enqueue({"journal": journal.path, "until": str(second)}).id for _ in range(2)]
    wait_for(lambda: len(journal.lines("start")) == 4, "all slots at work")
    wait_for(lambda: "stuck" in worker.log.read_text(), "its decision")
    waiting = [noop.enqueue({}).id for _ in range(20)]
    second.touch()
    assert worker.process.wait(60) == EX_STUCK
    assert statuses(running) == {Status.COMPLETED: 2}
    assert set(Job.objects.filter(id__in=waiting).values_list("status", "attempt")) == {(Status.PENDING, 0)}
    assert set(Job.objects.filter(id__in=stuck).values_list("run", "attempt", "losses")) == {(1, 1, 0)}
    for job in stuck:
        assert_on_time(journal, job)
    assert not Row.objects.exists()
    # Its supervisor starts another one.
    gate.touch()
    start()
    wait_for_end([*stuck, *waiting])
    assert set(Job.objects.values_list("status", flat=True)) == {Status.COMPLETED}


def test_solo_writes_the_row_and_leaves(start: Start, journal: Journal) -> None:
    worker = start("solo", 1)
    job, other = long(journal), noop.enqueue({}).id
    wait_for_status(job, Status.FAILED)
    assert_on_time(journal, job)
    assert worker.process.wait(60) == EX_STUCK
    assert Job.objects.get(id=other).status == Status.PENDING


def test_the_time_limits_of_a_plain_task(start: Start, gate: Path) -> None:
    start("prefork", 3)
    ids = {mood: UUID(PATIENT.delay(str(gate), mood).id) for mood in ("obedient", "wise", "stubborn")}
    assert set(Job.objects.values_list("timeout", flat=True)) == {3}
    wait_for_end(ids.values())
    ended = {mood: Job.objects.get(id=job) for mood, job in ids.items()}
    assert (ended["wise"].status, ended["wise"].result) == (Status.COMPLETED, "gave up")
    for mood, error in (("obedient", "SoftTimeLimitExceeded"), ("stubborn", "JobTimeout")):
        failure = ended[mood].failures.get()
        assert (ended[mood].status, failure.error, failure.classification) == (Status.FAILED, error, "timeout")
    wait_for_end([noop.enqueue({}).id for _ in range(6)])
