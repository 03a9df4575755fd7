"""Prefork: children that die, at any moment and for any reason, take nothing with them but time."""

import os
import random
import signal
import threading
import time
from pathlib import Path
from uuid import UUID

from jobs.models import Failure, Job, Status
from jobs.processor import enqueue_many
from tests.integration.jobtypes.journal import Journal
from tests.integration.jobtypes.tasks import die, die_for_good, nap, noop
from tests.integration.workers import Start, Worker, statuses, wait_for, wait_for_end

SECONDS = float(os.environ.get("JOBYARD_TEST_KILL_SECONDS", "8"))


class Killer(threading.Thread):
    """SIGKILL for one child, whatever it does, again and again: as soon as the last one is replaced, and a bit."""

    def __init__(self, worker: Worker, children: int) -> None:
        super().__init__()
        self.worker = worker
        self.children = children
        self.enough = threading.Event()
        self.kills = 0

    def run(self) -> None:
        killed = 0
        while not self.enough.wait(random.uniform(0, 0.5)):
            children = self.worker.children()
            if len(children) == self.children and killed not in children:
                killed = random.choice(children)
                os.kill(killed, signal.SIGKILL)
                self.kills += 1


def test_children_killed_under_load_leave_no_job_hanging(start: Start, journal: Journal, gate: Path) -> None:
    worker = start("prefork", 4)
    killer = Killer(worker, 4)
    killer.start()
    ids = []
    end = time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            naps = [(nap, {"seconds": random.choice((0, 0.01, 0.1)), "journal": journal.path}) for _ in range(10)]
            ids += [made.id for made in enqueue_many([*naps, *[(noop, {"number": 1})] * 40])]
            wait_for(lambda: Job.objects.active().count() < 100, "the jobs to go on")
    finally:
        killer.enough.set()
        killer.join()
    wait_for_end(ids)
    assert killer.kills > SECONDS / 4
    # Five losses end a job: that may happen to one by chance, here.
    assert statuses(ids).keys() <= {Status.COMPLETED, Status.FAILED}
    failed = Job.objects.filter(id__in=ids, status=Status.FAILED)
    assert not failed.exclude(losses=5).exists()
    assert failed.count() < len(ids) / 100
    # Each run that ended did so once, and nothing ran that the row does not count.
    assert set(journal.runs("end").values()) == {1}
    # All slots are still there.
    last = [nap.enqueue({"until": str(gate), "journal": journal.path}).id for _ in range(4)]
    wait_for(lambda: all(journal.lines("start", job) for job in last), "four jobs at once")
    gate.touch()
    wait_for_end(last)


def test_a_job_whose_process_dies_runs_again_and_uses_no_attempt(start: Start, journal: Journal) -> None:
    start("prefork", 2)
    job = die.enqueue({"times": 2, "journal": journal.path}).id
    wait_for_end([job])
    row = Job.objects.get(id=job)
    assert (row.status, row.result, row.run, row.attempt, row.losses) == (Status.COMPLETED, "alive", 3, 1, 2)
    failures = Failure.objects.filter(job=job).values_list("run", "error", "classification")
    assert list(failures) == [(1, "WorkerLost", "worker-lost"), (2, "WorkerLost", "worker-lost")]


def test_a_job_that_takes_its_process_down_five_times_fails(start: Start, journal: Journal) -> None:
    job, other = die.enqueue({"times": 99, "journal": journal.path}).id, noop.enqueue({"number": 7}).id
    Job.objects.filter(id=job).update(losses=3)  # it did so three times before
    start("prefork", 2)
    wait_for_end([job, other])
    row = Job.objects.get(id=job)
    assert (row.status, row.run, row.losses) == (Status.FAILED, 2, 5)
    assert Job.objects.get(id=other).result == 7


def test_a_plain_task_may_refuse_to_run_again(start: Start) -> None:
    start("prefork", 1)
    job = UUID(die_for_good.delay().id)
    wait_for_end([job])
    row = Job.objects.get(id=job)
    assert (row.status, row.run) == (Status.FAILED, 1)
    assert Failure.objects.get(job=job).classification == "worker-lost"


def test_children_that_retire_lose_no_job(start: Start) -> None:
    start("prefork", 2, "default", "--max-tasks-per-child", "2")
    ids = [made.id for made in enqueue_many([(noop, {"number": number}) for number in range(60)])]
    wait_for_end(ids)
    assert statuses(ids) == {Status.COMPLETED: 60}
