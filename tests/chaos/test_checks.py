"""The chaos run's checks see what they are there to see: a world in which all is well, and one fault in it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone

from jobs.models import Job, Limit, ScheduleRun, Status
from tests.chaos import checks
from tests.chaos.ledger import open_ledger
from tests.integration.jobtypes import journal
from tests.integration.jobtypes.journal import Journal

pytestmark = pytest.mark.django_db
SCHEDULE, NARROW = "every second", 2


class World:
    """Jobs as workers leave them, with ledger and journal."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal")
        self.kept: dict[UUID, str] = {}
        self.undone: set[UUID] = set()

    def job(self, *ends: Status, noted: bool = True, **fields: Any) -> Job:
        """A job whose runs ended so; the last may be one that still runs."""
        job = Job.objects.create(**{"type": "chaos_work", "queue": "default", **fields})
        self.kept[job.id] = ""
        for end in ends:
            self.move(job, Status.PROCESSING, run=job.run + 1, lease_expires_at=timezone.now())
            if end != Status.PROCESSING:
                self.end(job, end, noted=noted)
        return job

    def end(self, job: Job, status: Status, *, noted: bool = True) -> None:
        if noted:
            self.note(job, "start")
            self.note(job, "end")
        active = status == Status.PENDING
        self.move(job, status, lease_expires_at=None, finished_at=None if active else timezone.now())

    def move(self, job: Job, status: Status, **fields: Any) -> None:
        Job.objects.filter(id=job.id).update(status=status, **fields)
        job.refresh_from_db()

    def note(self, job: Job, event: str) -> None:
        journal.write(self.journal.path, job.id, job.run, event)

    def broken(self) -> list[str]:
        """The invariants that do not hold."""
        found = checks.findings(self.kept, self.undone, self.journal, schedule=SCHEDULE, every=1, narrow=NARROW)
        return [finding.invariant.partition(":")[0] for finding in found if finding.broken]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One job of each kind, all well."""
    open_ledger()
    world = World(tmp_path)
    world.job(Status.COMPLETED)
    world.job(Status.PENDING, Status.COMPLETED)  # given back once
    world.job(Status.FAILED, tags=["failing"])
    world.job(Status.CANCELLED, tags=["cancelled"])
    for _ in range(2):
        world.job(Status.COMPLETED, unique_key="key")
        world.job(Status.COMPLETED, queue="narrow")
    chained(world)
    due = timezone.now()
    for second in range(3):
        job = world.job(Status.COMPLETED, schedule=SCHEDULE)
        ScheduleRun.objects.create(schedule=SCHEDULE, due_at=due + timedelta(seconds=second), job=job.id)
        Limit.objects.update_or_create(name="chaos", defaults={"next_at": due + timedelta(seconds=second)})
    return world


def chained(world: World) -> list[Job]:
    """A chain of three steps."""
    steps: list[Job] = []
    for place in range(3):
        parent = steps[-1].id if steps else None
        result = checks.STEPS[: place + 1]
        steps.append(world.job(Status.COMPLETED, type="chaos_step", parent=parent, result=result))
    return steps


def test_where_all_is_well_nothing_is_found(world: World) -> None:
    assert world.broken() == []


def lose(world: World) -> None:
    world.kept[uuid4()] = "short"


def leave(world: World) -> None:
    world.job()


def return_from_the_dead(world: World) -> None:
    world.undone.add(world.job(Status.COMPLETED).id)


def end_wrong(world: World) -> None:
    world.job(Status.FAILED)


def skip_the_body(world: World) -> None:
    world.job(Status.COMPLETED, noted=False)


def complete_twice(world: World) -> None:
    job = world.job(Status.COMPLETED)
    world.move(job, Status.PROCESSING, run=2, lease_expires_at=timezone.now(), finished_at=None)
    world.end(job, Status.COMPLETED)


def write_late(world: World) -> None:
    Job.objects.filter(id=world.job(Status.COMPLETED).id).update(result="again")


def begin_twice(world: World) -> None:
    world.note(world.job(Status.COMPLETED), "start")


def run_uncounted(world: World) -> None:
    job = world.job(Status.COMPLETED)
    journal.write(world.journal.path, job.id, job.run + 1, "start")


def follow_twice(world: World) -> None:
    first, *_ = chained(world)
    world.job(Status.COMPLETED, type="chaos_step", parent=first.id, result="ab")


def follow_early(world: World) -> None:
    first, *_ = chained(world)
    journal.write(world.journal.path, first.id, first.run, "end")  # once more, after its successor


def drop_a_result(world: World) -> None:
    *_, last = chained(world)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobs_job DISABLE TRIGGER chaos_updated")
        Job.objects.filter(id=last.id).update(result="c")


def share_a_key(world: World) -> None:
    first = world.job(Status.COMPLETED, unique_key="shared")
    world.job(Status.COMPLETED, unique_key="shared")
    with connection.cursor() as cursor:  # as if the first had ended after the second was there
        cursor.execute(
            "UPDATE chaos_change SET place = place + 1000 WHERE job = %s AND new_status = 'completed'", [first.id]
        )


def crowd(world: World) -> None:
    together = [world.job(Status.PROCESSING, queue="narrow") for _ in range(NARROW + 1)]
    for job in together:
        world.end(job, Status.COMPLETED)


def hurry(world: World) -> None:
    limit = Limit.objects.get()
    Limit.objects.update(next_at=limit.next_at + timedelta(seconds=checks.PACE / 2))


def fire_twice(world: World) -> None:
    world.job(Status.COMPLETED, schedule=SCHEDULE)


def miss_a_due_time(world: World) -> None:
    run = ScheduleRun.objects.order_by("due_at")[1]
    Job.objects.filter(schedule=SCHEDULE, id=str(run.job)).update(schedule=None)
    run.delete()


@pytest.mark.parametrize(
    ("fault", "invariant"),
    [
        (lose, "lost"),
        (leave, "not finished"),
        (return_from_the_dead, "rolled back and there, or run"),
        (end_wrong, "ended as it should not"),
        (skip_the_body, "ended without its body's end"),
        (complete_twice, "completed twice"),
        (write_late, "stale write"),
        (begin_twice, "a run begun twice"),
        (run_uncounted, "run that no row counts"),
        (follow_twice, "successor missing, twice or early"),
        (follow_early, "successor missing, twice or early"),
        (drop_a_result, "successor missing, twice or early"),
        (share_a_key, "unique violated"),
        (crowd, "more than 2 of the narrow queue at once"),
        (hurry, "rate grants closer than allowed"),
        (fire_twice, "schedule fired twice, or not"),
        (miss_a_due_time, "schedule fired twice, or not"),
    ],
)
def test_a_fault_is_found(world: World, fault: Callable[[World], None], invariant: str) -> None:
    fault(world)
    assert invariant in world.broken()
