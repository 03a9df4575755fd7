"""What runs may end within the grace, everything else goes back unharmed."""

import signal
import time
from pathlib import Path

import pytest

from jobs.models import Job, Status
from jobs.models import Worker as Row
from jobs.processor import enqueue_many
from tests.integration.jobtypes.journal import Journal
from tests.integration.jobtypes.tasks import keep_vigil, nap, noop
from tests.integration.workers import Start, statuses, wait_for, wait_for_end

POOLS = ("threads", "prefork", "solo")
LEAVING = 30.0  # seconds beyond the grace: Celery looks every 2 s, and this machine may be busy


@pytest.mark.parametrize("pool", POOLS)
def test_what_runs_ends_and_what_waits_goes_back(start: Start, journal: Journal, gate: Path, pool: str) -> None:
    size = 1 if pool == "solo" else 2
    worker = start(pool, size, JOBS_SHUTDOWN_GRACE="60")
    running = [nap.enqueue({"journal": journal.path, "until": str(gate)}).id for _ in range(size)]
    wait_for(lambda: len(journal.lines("start")) == size, "all slots at work")
    waiting = [noop.enqueue({}).id for _ in range(20)]
    worker.terminate()
    wait_for(lambda: "shutdown" in worker.log.read_text(), "the signal")
    gate.touch()
    assert worker.process.wait(LEAVING) == 0
    assert statuses(running) == {Status.COMPLETED: size}
    assert set(Job.objects.filter(id__in=waiting).values_list("status", "attempt", "losses")) == {
        (Status.PENDING, 0, 0)
    }
    assert not Row.objects.exists()


@pytest.mark.parametrize("pool", POOLS)
def test_what_does_not_end_within_the_grace_goes_back_too(
    start: Start, journal: Journal, gate: Path, pool: str
) -> None:
    size = 1 if pool == "solo" else 2
    worker = start(pool, size, JOBS_SHUTDOWN_GRACE="1")
    payload = {"journal": journal.path, "until": str(gate), "checks": False}
    running = [nap.enqueue(payload).id for _ in range(size)]
    waiting = [nap.enqueue(payload).id for _ in range(3)]
    wait_for(lambda: len(journal.lines("start")) == size, "all slots at work")
    begun = time.monotonic()
    assert worker.stop(1 + LEAVING) == 0
    assert time.monotonic() - begun < 1 + LEAVING
    assert set(Job.objects.values_list("status", "attempt", "losses")) == {(Status.PENDING, 0, 0)}
    gate.touch()
    start(pool)
    wait_for_end([*running, *waiting])
    assert set(Job.objects.values_list("status", "attempt")) == {(Status.COMPLETED, 1)}
    assert set(journal.runs("end").values()) == {1}


@pytest.mark.parametrize("before", [[], [signal.SIGTERM]], ids=["at once", "in the grace"])
@pytest.mark.parametrize("pool", POOLS)
def test_in_a_hurry_everything_goes_back(
    start: Start, journal: Journal, gate: Path, pool: str, before: list[signal.Signals]
) -> None:
    """SIGQUIT, which a second Ctrl-C is too."""
    size = 1 if pool == "solo" else 2
    worker = start(pool, size, JOBS_SHUTDOWN_GRACE="600").wait_until_connected()
    begun = gate.with_name("begun")
    keep_vigil.delay(str(begun), str(gate))
    for _ in range(4):
        nap.enqueue({"journal": journal.path, "until": str(gate), "checks": False})
    wait_for(lambda: begun.exists() and len(journal.lines("start")) == size - 1, "all slots at work")
    for signum in before:
        worker.process.send_signal(signum)
        wait_for(lambda: "shutdown" in worker.log.read_text(), "the signal")
    worker.process.send_signal(signal.SIGQUIT)
    assert worker.process.wait(LEAVING) == 1
    assert set(Job.objects.values_list("status", "attempt", "losses")) == {(Status.PENDING, 0, 0)}
    assert "Traceback" not in worker.log.read_text()


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_stopped_among_thousands_of_short_jobs(start: Start, pool: str) -> None:
    worker = start(pool)
    enqueue_many([(noop, {"number": 1})] * 4000)
    wait_for(lambda: Job.objects.filter(status=Status.COMPLETED).exists(), "the first to end")
    assert worker.stop() == 0
    left = Job.objects.exclude(status=Status.COMPLETED, attempt=1, losses=0)
    assert not left.exclude(status=Status.PENDING, attempt=0, losses=0).exists()


def test_children_that_were_replaced_are_not_killed_by_the_shutdown(start: Start, journal: Journal, gate: Path) -> None:
    # The kernel kills a child when the thread that forked it ends, and these were forked by a thread of the pool.
    worker = start("prefork", 2, "default", "--max-tasks-per-child", "1")
    wait_for_end([noop.enqueue({}).id for _ in range(6)])
    running = [nap.enqueue({"journal": journal.path, "until": str(gate)}).id for _ in range(2)]
    wait_for(lambda: len(journal.lines("start")) == 2, "both children at work")
    worker.terminate()
    wait_for(lambda: "shutdown" in worker.log.read_text(), "the signal")
    time.sleep(6)  # Celery has come to the pool by now, whose own threads would have ended
    gate.touch()
    assert worker.process.wait(LEAVING) == 0
    assert set(Job.objects.filter(id__in=running).values_list("status", "run", "losses")) == {(Status.COMPLETED, 1, 0)}
