"""A worker that an operator drains: it takes nothing more, finishes what it runs, however long, and leaves."""

from pathlib import Path

import pytest

from jobs import lifecycle
from jobs.models import Job, Status
from jobs.models import Worker as Row
from jobs.processor import enqueue_many
from tests.integration.jobtypes.journal import Journal
from tests.integration.jobtypes.tasks import nap, noop
from tests.integration.workers import PATIENCE, Start, statuses, wait_for, wait_for_end


@pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])
def test_what_runs_ends_and_what_waits_is_for_others(start: Start, journal: Journal, gate: Path, pool: str) -> None:
    size = 1 if pool == "solo" else 2
    # Its grace is much shorter than what it runs: draining is not a shutdown.
    worker = start(pool, size, JOBS_LEASE="3", JOBS_SHUTDOWN_GRACE="0.1")
    running = [nap.enqueue({"journal": journal.path, "until": str(gate)}).id for _ in range(size)]
    wait_for(lambda: len(journal.lines("start")) == size, "all slots at work")
    waiting = [job.id for job in enqueue_many([(noop, {})] * 5)]
    row = worker.row
    assert row is not None
    assert lifecycle.drain(row.name, actor="ann")
    wait_for(lambda: Row.objects.filter(name=row.name, draining=True).exists(), "the worker to say so")
    assert worker.process.poll() is None
    assert statuses(running) == {Status.PROCESSING: size}
    gate.touch()
    assert worker.process.wait(PATIENCE) == 0
    assert statuses(running) == {Status.COMPLETED: size}
    assert set(Job.objects.filter(id__in=running).values_list("run", "losses")) == {(1, 0)}
    assert statuses(waiting) == {Status.PENDING: 5}
    assert not Row.objects.filter(name=row.name).exists()
    start()
    wait_for_end(waiting)


def test_an_idle_worker_leaves_at_once(start: Start) -> None:
    idle, other = start(JOBS_LEASE="3"), start(JOBS_LEASE="3")
    assert idle.row is not None
    lifecycle.drain(idle.row.name, actor="ann")
    assert idle.process.wait(PATIENCE) == 0
    wait_for_end([noop.enqueue({}).id])
    assert other.process.poll() is None
