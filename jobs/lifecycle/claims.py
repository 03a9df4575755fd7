"""claim, promote, renew, rescue: how jobs get to a worker, and back from a lost one."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction

from jobs import broker, events
from jobs.lifecycle.ends import Error, Outcome, Verb, finish
from jobs.sessions import fetch


class Claimed(NamedTuple):
    """A job that is this worker's to run until its lease expires."""

    id: UUID
    run: int
    attempt: int
    max_attempts: int
    losses: int
    type: str
    payload: str  # JSON
    queue: str
    priority: int
    timeout: float  # seconds
    backoff: str | None  # JSON
    parent: UUID | None
    group: UUID | None
    members: str | None  # JSON; of a chord's body: the group whose results it takes, and where
    request_id: str | None = None  # of the HTTP request that enqueued it

    @property
    def key(self) -> tuple[UUID, int]:
        return self.id, self.run


# First, without locking, how many to take from which queue; then those, locked. Other shapes walk the
# backlog of a paused queue, lock rows they do not take, or scan the table once statistics are old.
_CLAIM = """
WITH share AS MATERIALIZED (
    SELECT queue, count(*)::int AS size FROM (
        SELECT q.name AS queue
        FROM unnest(%(queues)s::text[], %(caps)s::int[]) AS w(name, cap)
        JOIN jobs_queue q ON q.name = w.name AND q.paused_at IS NULL
            AND (q.max_running IS NULL OR w.name = ANY(%(limited)s::text[]))
        CROSS JOIN LATERAL (
            SELECT id, priority, scheduled_at FROM jobs_job
            WHERE status = 'pending' AND queue = q.name AND (expires_at IS NULL OR expires_at > now())
                AND id <> ALL(%(avoid)s::uuid[])
            ORDER BY priority DESC, scheduled_at, id LIMIT least(w.cap, %(count)s)) AS j
        ORDER BY j.priority DESC, j.scheduled_at, j.id LIMIT %(count)s) AS best
    GROUP BY queue)
UPDATE jobs_job SET status = 'processing', run = run + 1, attempt = attempt + 1, claimed_at = now(), started_at = now(),
    lease_expires_at = now() + %(lease)s * interval '1 second', worker = %(worker)s, progress = NULL
WHERE id = ANY(ARRAY(
    SELECT j.id FROM share CROSS JOIN LATERAL (
        SELECT id FROM jobs_job
        WHERE status = 'pending' AND queue = share.queue AND (expires_at IS NULL OR expires_at > now())
            AND id <> ALL(%(avoid)s::uuid[])
        ORDER BY priority DESC, scheduled_at, id LIMIT share.size FOR NO KEY UPDATE SKIP LOCKED) AS j))
RETURNING id, run, attempt, max_attempts, losses, type, payload::text, queue, priority, timeout, backoff::text, parent,
    "group", canvas ->> 'members', request_id, scheduled_at
"""


def claim(
    caps: Mapping[str, int],
    count: int,
    *,
    worker: str,
    lease: float,
    limited: Collection[str] = (),
    avoid: Collection[UUID] = (),
) -> list[Claimed]:
    """pending → processing: up to `count` jobs, and of each queue up to its cap, best first.

    Paused queues are passed over. A queue with `max_running` is too, unless it is in `limited`: its cap then comes
    from `room`, in the same transaction. `avoid` names jobs that this worker's threads still run from a run before.
    """
    rows = fetch(
        _CLAIM,
        {
            "queues": list(caps),
            "caps": list(caps.values()),
            "limited": list(limited),
            "count": count,
            "worker": worker,
            "lease": lease,
            "avoid": list(avoid),
        },
    )
    rows.sort(key=lambda row: (-row[8], row[15], row[0]))
    return _told([Claimed(*row[:15]) for row in rows])


def _told(claimed: list[Claimed]) -> list[Claimed]:
    if claimed:
        transaction.on_commit(partial(events.changed, [job.id for job in claimed]), robust=True)
    return claimed


_CLAIM_THESE = """
UPDATE jobs_job SET status = 'processing', run = run + 1, attempt = attempt + 1, claimed_at = now(), started_at = now(),
    lease_expires_at = now() + %(lease)s * interval '1 second', worker = %(worker)s, progress = NULL
WHERE id = ANY(%(ids)s::uuid[]) AND status IN ('pending', 'scheduled')
RETURNING id, run, attempt, max_attempts, losses, type, payload::text, queue, priority, timeout, backoff::text, parent,
    "group", canvas ->> 'members', request_id
"""


def claim_these(ids: Collection[UUID], *, worker: str, lease: float) -> list[Claimed]:
    """pending, scheduled → processing for these jobs, whatever their queue, time and turn."""
    rows = fetch(_CLAIM_THESE, {"ids": list(ids), "worker": worker, "lease": lease})
    return _told([Claimed(*row) for row in rows])


_LOCK_LIMITED = """
SELECT name, max_running FROM jobs_queue
WHERE name = ANY(%(queues)s::text[]) AND max_running IS NOT NULL AND paused_at IS NULL
ORDER BY name FOR NO KEY UPDATE SKIP LOCKED
"""
_RUNNING = """
SELECT queue, count(*) FROM jobs_job WHERE status = 'processing' AND queue = ANY(%(queues)s::text[]) GROUP BY queue
"""


def room(queues: Collection[str]) -> dict[str, int]:
    """How many more jobs may run of the queues with `max_running` that are free to lock, locking them.

    Two statements: a count in the one that waits for locks would see the snapshot from before the wait.
    """
    limits: dict[str, int] = dict(fetch(_LOCK_LIMITED, {"queues": list(queues)}))
    running: dict[str, int] = dict(fetch(_RUNNING, {"queues": list(limits)})) if limits else {}
    return {name: max(0, limit - running.get(name, 0)) for name, limit in limits.items()}


_PROMOTE = """
UPDATE jobs_job SET status = 'pending' WHERE id = ANY(ARRAY(
    SELECT id FROM jobs_job WHERE status = 'scheduled' AND scheduled_at <= now()
    ORDER BY scheduled_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED))
RETURNING id, queue
"""


def promote(limit: int = 1000) -> int:
    """scheduled → pending for jobs whose time has come. Wakes their queues."""
    rows = fetch(_PROMOTE, {"limit": limit})
    if rows:
        transaction.on_commit(partial(broker.wake, {queue for _, queue in rows}), robust=True)
        transaction.on_commit(partial(events.changed, [job for job, _ in rows]), robust=True)
    return len(rows)


_NEXT = """
SELECT extract(epoch FROM min(scheduled_at) - clock_timestamp())::float8 FROM jobs_job WHERE status = 'scheduled'
"""


def seconds_to_next() -> float | None:
    """Until the next scheduled job is due; negative when it is; None when there is none."""
    ((seconds,),) = fetch(_NEXT, {})
    return None if seconds is None else float(seconds)


# The status is asked for in a condition of the join: see `_FINISH`.
_RENEW = """
WITH mine AS (
    SELECT j.id FROM unnest(%(ids)s::uuid[], %(runs)s::int[]) AS d(id, run) JOIN jobs_job j ON j.id = d.id
    WHERE j.id = ANY(%(ids)s::uuid[]) AND CASE WHEN j.run = d.run THEN j.status END = 'processing'
    ORDER BY j.id FOR NO KEY UPDATE OF j SKIP LOCKED)
UPDATE jobs_job j SET lease_expires_at = now() + %(lease)s * interval '1 second'
FROM mine WHERE j.id = mine.id AND j.id = ANY(%(ids)s::uuid[])
RETURNING j.id, j.run, j.cancel_requested_at IS NOT NULL
"""


def renew(held: Collection[tuple[UUID, int]], lease: float) -> list[tuple[UUID, int]]:
    """Extend the leases of these runs, passing over locked rows. Returns those that were asked to be cancelled."""
    parameters = {"ids": [job for job, _ in held], "runs": [run for _, run in held], "lease": lease}
    return [(job, run) for job, run, asked in fetch(_RENEW, parameters) if asked]


_LOST = """
SELECT d.id, d.run FROM unnest(%(ids)s::uuid[], %(runs)s::int[]) AS d(id, run)
LEFT JOIN jobs_job j ON j.id = d.id AND j.id = ANY(%(ids)s::uuid[])
    AND CASE WHEN j.run = d.run THEN j.status END = 'processing'
WHERE j.id IS NULL
"""


def lost(held: Collection[tuple[UUID, int]]) -> list[tuple[UUID, int]]:
    """Those of these runs that are no longer the job's current one: given to another worker, or ended."""
    return [(job, run) for job, run in fetch(_LOST, {"ids": [j for j, _ in held], "runs": [r for _, r in held]})]


_STALLED = """
SELECT id, run, worker, type FROM jobs_job WHERE status = 'processing' AND lease_expires_at < now()
ORDER BY id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
"""
_CLAIMED_BY = """
SELECT id, run FROM jobs_job WHERE status = 'processing' AND worker = %(worker)s
ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""


def rescue(limit: int = 500, *, fatal: Collection[str] = ()) -> int:
    """processing → pending for jobs whose worker stopped renewing its lease; failed after too many losses.

    Failed at once for the types named in `fatal`.
    """
    with transaction.atomic():
        stalled = fetch(_STALLED, {"limit": limit})
        losses = [
            _loss(job, run, worker, Verb.FAIL if name in fatal else Verb.LOSE) for job, run, worker, name in stalled
        ]
        return len(finish(losses))


def _loss(job: UUID, run: int, worker: str, verb: Verb) -> Outcome:
    error = Error("WorkerLost", f"{worker} stopped renewing its lease", "", "worker-lost")
    return Outcome(job, run, verb, error=error)


def start_over(worker: str, known: Collection[tuple[UUID, int]]) -> int:
    """Give back what this worker claimed by a commit whose answer it never got."""
    with transaction.atomic():
        rows: list[Any] = fetch(_CLAIMED_BY, {"worker": worker})
        unknown = [(job, run) for job, run in rows if (job, run) not in known]
        return len(finish([Outcome(job, run, Verb.GIVE_BACK) for job, run in unknown]))


_PROGRESS = """
UPDATE jobs_job SET progress = %(progress)s::text::jsonb
WHERE id = %(id)s AND run = %(run)s AND status || '' = 'processing'
"""


def record_progress(job: UUID, run: int, progress: str) -> None:
    """Store how far this run is (JSON), if it is the job's current one."""
    fetch(_PROGRESS, {"id": job, "run": run, "progress": progress})
