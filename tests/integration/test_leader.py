"""Workers that die or freeze: another one takes over what they led and what they ran, and they cannot interfere."""

import time
from pathlib import Path
from uuid import UUID

import pytest
from celery import chain

from jobs.lifecycle.ends import MAX_LOSSES
from jobs.models import Failure, Job, Leader, Status
from jobs.models import Worker as Row
from tests.integration.jobtypes.journal import Journal
from tests.integration.jobtypes.tasks import die, die_for_good, nap, noop
from tests.integration.workers import Start, statuses, wait_for, wait_for_end, wait_for_status

BOTH = ("threads", "prefork")
SOON = "3"  # seconds until a lost worker's jobs run again


def leader() -> str:
    """The worker that leads; its boot's name."""
    return next(iter(Leader.objects.filter(duty="upkeep").values_list("holder", flat=True)), "")


def test_a_killed_leader_is_replaced_and_its_jobs_run_again(start: Start, journal: Journal, gate: Path) -> None:
    # With the settings that a deployment has.
    first, second = start("prefork", 2), start("threads", 2, "bgg")
    wait_for(leader, "a leader")
    led, other = (first, second) if leader().startswith(first.node) else (second, first)
    queue = "default" if led is first else "bgg"
    payload = {"journal": journal.path, "until": f"{gate}-{{run}}"}
    job = nap.enqueue(payload, queue=queue).id
    wait_for(lambda: journal.lines("start"), "the job to start")
    third = start("threads", 2, "default,bgg")
    led.kill()
    killed = time.monotonic()
    wait_for(lambda: leader().startswith((other.node, third.node)), "another leader")
    assert time.monotonic() - killed < 20  # 15 s, on a machine with nothing else to do
    wait_for(lambda: len(journal.lines("start")) == 2, "the job to run again")
    assert time.monotonic() - killed < 50  # 45 s
    Path(f"{gate}-2").touch()
    row = wait_for_status(job, Status.COMPLETED)
    assert (row.run, row.attempt, row.losses) == (2, 1, 1)
    failure = Failure.objects.get(job=job)
    assert (failure.run, failure.classification) == (1, "worker-lost")


@pytest.mark.parametrize("pool", BOTH)
def test_a_frozen_worker_that_wakes_cannot_overwrite_the_newer_run(
    start: Start, journal: Journal, gate: Path, pool: str
) -> None:
    frozen = start(pool, 1, JOBS_LEASE=SOON)
    payload = {"journal": journal.path, "until": f"{gate}-{{run}}", "checks": False}
    chain(nap.s(**payload), noop.si(number=5))()
    job = Job.objects.get().id
    wait_for(lambda: journal.lines("start"), "the job to start")
    start("threads", 1, JOBS_LEASE=SOON)
    frozen.freeze()
    wait_for(lambda: len(journal.lines("start")) == 2, "the job to run elsewhere")
    Path(f"{gate}-1").touch()
    frozen.thaw()
    if pool == "threads":  # in a process its run is stopped, maybe before it ends
        wait_for(lambda: journal.lines("end"), "the old run to end")
    wait_for(lambda: "lease of run 1 was lost" in frozen.log.read_text() or journal.lines("end"), "it to notice")
    wait_for_end([noop.enqueue({}).id])
    assert Job.objects.values_list("status", "run").get(id=job) == (Status.PROCESSING, 2)
    assert not Job.objects.filter(parent=job).exists()
    Path(f"{gate}-2").touch()
    row = wait_for_status(job, Status.COMPLETED)
    assert (row.run, row.result, row.losses) == (2, 2, 1)
    wait_for(lambda: Job.objects.filter(parent=job, status=Status.COMPLETED, result=5, run=1).exists(), "the next step")
    assert Job.objects.filter(parent=job).count() == 1


def test_a_frozen_worker_that_wakes_too_late_changes_nothing(start: Start, journal: Journal, gate: Path) -> None:
    frozen = start("threads", 1, JOBS_LEASE=SOON)
    gates = {"journal": journal.path, "until": f"{gate}-{{run}}", "checks": False}
    job = nap.enqueue(gates).id
    wait_for(lambda: journal.lines("start"), "the job to start")
    start("threads", 1, JOBS_LEASE=SOON)
    frozen.freeze()
    for run in (1, 2):
        Path(f"{gate}-{run}").touch()
    before = wait_for_status(job, Status.COMPLETED)
    frozen.thaw()
    wait_for(lambda: journal.runs("end")[job, 1], "the old run to end")
    assert frozen.stop() == 0
    after = Job.objects.get(id=job)
    assert (after.run, after.result, after.finished_at) == (2, 2, before.finished_at)


@pytest.mark.parametrize("pool", BOTH)
def test_killed_and_restarted_under_the_same_name(start: Start, journal: Journal, gate: Path, pool: str) -> None:
    killed = start(pool, 2, JOBS_LEASE=SOON)
    payload = {"journal": journal.path, "until": f"{gate}-{{run}}"}
    ids = [nap.enqueue(payload).id for _ in range(2)]
    wait_for(lambda: len(journal.lines("start")) == 2, "both jobs to start")
    killed.kill()
    again = start(pool, 2, node=killed.node, JOBS_LEASE=SOON)
    assert Row.objects.filter(name__startswith=f"{killed.node}:").count() == 2
    wait_for(lambda: len(journal.lines("start")) == 4, "both jobs to run again")
    Path(f"{gate}-2").touch()
    wait_for_end(ids)
    rows = Job.objects.filter(id__in=ids)
    assert set(rows.values_list("status", "run", "losses", "result", "worker")) == {
        (Status.COMPLETED, 2, 1, 2, again.row and again.row.name)
    }
    assert set(journal.runs("end").values()) == {1}


def test_a_task_that_must_not_run_twice_fails_with_its_worker(start: Start, journal: Journal) -> None:
    start("threads", 1, JOBS_LEASE=SOON)
    job = UUID(die_for_good.delay().id)
    start("threads", 1, "cpu", JOBS_LEASE=SOON)
    row = wait_for_status(job, Status.FAILED)
    assert (row.run, row.attempt, row.losses) == (1, 1, 0)
    assert Failure.objects.get(job=job).classification == "worker-lost"


def test_no_child_outlives_a_killed_worker(start: Start, journal: Journal, gate: Path) -> None:
    worker = start("prefork", 2)
    nap.enqueue({"journal": journal.path, "until": str(gate)})
    wait_for(lambda: journal.lines("start"), "the job to start")
    children = worker.children()
    worker.kill()
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children), "the children to end")


def test_a_job_that_takes_workers_down_fails_alone(start: Start, journal: Journal) -> None:
    killer = die.enqueue({"times": 99, "journal": journal.path}).id
    others = [nap.enqueue({"journal": journal.path, "seconds": 1}).id for _ in range(3)]
    Job.objects.update(losses=MAX_LOSSES - 1)  # they went down together, four times

    def have_ended() -> bool:
        if not start.workers or start.workers[-1].process.poll() is not None:
            start(wait=False, JOBS_LEASE="1.5")
        return not Job.objects.active().exists()

    wait_for(have_ended, "all of them")
    assert (Job.objects.get(id=killer).status, statuses(others)) == (Status.FAILED, {Status.COMPLETED: 3})
