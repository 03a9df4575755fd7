"""What must hold when the storm is over: read from rows, the ledger, the journal and what the load was told."""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count

from jobs.models import ACTIVE, Job, ScheduleRun, Status
from tests.integration.jobtypes.journal import Journal

STEPS = "abc"  # the letters of a chain's steps
PACE = 0.1  # seconds between two calls of the paced upstream
LOSSES = 5  # workers that a job may lose before it is given up as the likely cause
ENDS = {"failing": {Status.FAILED}, "cancelled": {Status.CANCELLED, Status.COMPLETED}}  # of each kind; else completed


@dataclass
class Finding:
    """An invariant, and what broke it."""

    invariant: str
    broken: Sequence[object]


def findings(
    kept: Mapping[UUID, str], undone: set[UUID], journal: Journal, *, schedule: str, every: float, narrow: int
) -> Iterator[Finding]:
    """Each invariant in turn.

    `kept` are the jobs that the load was told exist, `undone` those that it rolled back. `schedule` fires every so
    many seconds; of the queue `narrow` so many jobs may run at once.
    """
    rows = {job.id: job for job in Job.objects.all()}
    lines = journal.lines()
    yield Finding("lost: told that it exists, and no row", [job for job in kept if job not in rows])
    yield Finding("not finished", [job.id for job in rows.values() if job.status in ACTIVE])
    yield Finding("rolled back and there, or run", sorted(undone & (rows.keys() | {line.job for line in lines})))
    yield Finding(
        "ended as it should not", [f"{job.id} {job.tags} {job.status}" for job in rows.values() if _wrong(job)]
    )
    yield Finding("ended without its body's end", _hollow(rows, journal))
    yield Finding("completed twice", _fetch(_COMPLETED_TWICE))
    yield Finding("stale write: changed after its end, or by an older run", _fetch(_STALE))
    yield Finding("a run begun twice", [run for run, times in journal.runs("start").items() if times > 1])
    yield Finding("run that no row counts", [line for line in lines if not _counted(line.job, line.run, rows)])
    yield Finding("successor missing, twice or early", list(_broken_chains(rows, journal)))
    yield Finding("unique violated", _fetch(_UNIQUE))
    yield Finding(f"more than {narrow} of the narrow queue at once", list(_crowds(narrow)))
    yield Finding("rate grants closer than allowed", _fetch(_GRANTS, [PACE]))
    yield Finding("schedule fired twice, or not", list(_misfires(schedule, every)))


_COMPLETED_TWICE = """
SELECT job FROM chaos_change WHERE new_status = 'completed' AND old_status IS DISTINCT FROM 'completed'
GROUP BY job HAVING count(*) > 1
"""
_STALE = """
SELECT job, old_status, new_status, old_run, new_run FROM chaos_change
WHERE old_status IN ('completed', 'failed', 'cancelled') OR new_run < old_run
   OR new_run > old_run AND NOT (old_status = 'pending' AND new_status = 'processing' AND new_run = old_run + 1)
"""
# An insertion is noted after its key was found free, an end before it is committed.
_UNIQUE = """
WITH life AS (
    SELECT j.id, j.type, j.unique_key, min(c.place) AS begin,
        max(c.place) FILTER (WHERE c.new_status IN ('completed', 'failed', 'cancelled')) AS finish
    FROM jobs_job j JOIN chaos_change c ON c.job = j.id WHERE j.unique_key IS NOT NULL GROUP BY j.id
)
SELECT a.id, b.id FROM life a JOIN life b
ON a.type = b.type AND a.unique_key = b.unique_key AND b.begin > a.begin AND b.begin < a.finish
"""
_GRANTS = """
SELECT name, gap FROM (SELECT name, next_at - lag(next_at) OVER (PARTITION BY name ORDER BY place) AS gap
                       FROM chaos_grant) AS gaps
WHERE gap < %s * interval '1 second'
"""


def _fetch(sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def _wrong(job: Job) -> bool:
    """A job whose workers were killed too often is given up: see `given_up`."""
    expected = next((ENDS[tag] for tag in job.tags if tag in ENDS), {Status.COMPLETED})
    return job.status not in {*ACTIVE, *expected} and job.losses < LOSSES


def given_up() -> int:
    """How many jobs ended because they had lost so many workers."""
    return Job.objects.filter(status=Status.FAILED, losses__gte=LOSSES).count()


def _hollow(rows: dict[UUID, Job], journal: Journal) -> list[UUID]:
    """Completed, and the run that completed it never came to its end."""
    ends = journal.runs("end") + journal.runs("call")
    return [job.id for job in rows.values() if job.status == Status.COMPLETED and (job.id, job.run) not in ends]


def _counted(job: UUID, run: int, rows: dict[UUID, Job]) -> bool:
    return job in rows and run <= rows[job].run


def _broken_chains(rows: dict[UUID, Job], journal: Journal) -> Iterator[str]:
    """Each step once, with the result of the one before, after its end."""
    following = defaultdict(list)
    for job in rows.values():
        if job.type == "chaos_step" and job.parent:
            following[job.parent].append(job)
    starts = defaultdict(list)
    for line in journal.lines("start"):
        starts[line.job].append(line.at)
    ends = {(line.job, line.run): line.at for line in journal.lines("end")}
    for job in rows.values():
        if job.type != "chaos_step" or job.parent:
            continue
        steps = [job]
        while nexts := following[steps[-1].id]:
            if len(nexts) > 1:
                yield f"{steps[-1].id} has {len(nexts)} successors"
            before, after = steps[-1], nexts[0]
            if min(starts[after.id], default=float("inf")) < ends.get((before.id, before.run), 0):
                yield f"{after.id} began before {before.id} had ended"
            steps.append(after)
        if all(step.status == Status.COMPLETED for step in steps):
            results = [step.result for step in steps]
            if results != [STEPS[: place + 1] for place in range(len(STEPS))]:
                yield f"{job.id}: {results}"


def _crowds(narrow: int) -> Iterator[str]:
    """Moments at which the ledger has more running than allowed."""
    running: set[object] = set()
    changes = _fetch("SELECT job, new_status, at FROM chaos_change WHERE queue = 'narrow' ORDER BY place")
    for job, status, at in changes:
        if status == Status.PROCESSING:
            running.add(job)
        else:
            running.discard(job)
        if len(running) > narrow:
            yield f"{at}: {len(running)}"


def _misfires(schedule: str, every: float) -> Iterator[str]:
    """Every due time has one run, and each run that was enqueued one job."""
    runs = list(ScheduleRun.objects.filter(schedule=schedule).order_by("due_at"))
    gaps = {(after.due_at - before.due_at).total_seconds() for before, after in pairwise(runs)}
    if gaps != {every}:
        yield f"due times are {sorted(gaps)} s apart"
    enqueued = sorted(str(run.job) for run in runs if run.outcome == ScheduleRun.Outcome.ENQUEUED)
    jobs = sorted(str(job) for job in Job.objects.filter(schedule=schedule).values_list("id", flat=True))
    if enqueued != jobs:
        yield f"{len(enqueued)} runs, {len(jobs)} jobs"


def recoveries(losses: Sequence[tuple[str, datetime]]) -> list[float]:
    """Seconds from the loss of a run's worker (its node, and when) to the job's next run."""
    found = _fetch(
        "SELECT c.old_worker, c.at, n.at FROM chaos_change c JOIN LATERAL (SELECT at FROM chaos_change n "
        "WHERE n.job = c.job AND n.place > c.place AND n.new_status = 'processing' ORDER BY place LIMIT 1) n ON true "
        "WHERE c.old_status = 'processing' AND c.new_status = 'pending'"
    )
    seconds = []
    for worker, given_back, begun in found:
        struck = [at for node, at in losses if worker.startswith(node) and at < given_back]
        seconds += [(begun - max(struck)).total_seconds()] if struck else []
    return seconds


def ends_by_kind() -> dict[str, dict[str, int]]:
    """How many of each kind ended how."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for tags, status, number in Job.objects.values_list("tags", "status").annotate(n=Count("id")).order_by("tags"):
        counts[", ".join(tags) or "without a tag"][status] = number
    return counts


def spread(values: Sequence[float]) -> str:
    """Median and largest, in seconds."""
    return f"p50 {statistics.median(values):.1f} s, max {max(values):.1f} s" if values else "none"
