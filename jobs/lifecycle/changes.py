"""cancel, retry, rerun, set_priority, run_now, expire: what people and sweeps do to jobs that no worker reports on."""

import json
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction

from jobs import broker, events, logs
from jobs.lifecycle.enqueueing import NewJob, enqueue
from jobs.lifecycle.successors import Ended, follow
from jobs.models import TERMINAL, Job, Status
from jobs.sessions import fetch

_EVENTS = """
INSERT INTO jobs_event (job_id, kind, actor, reason, before, after)
SELECT job_id, %(kind)s, %(actor)s, %(reason)s, before, after
FROM jsonb_to_recordset(%(rows)s::text::jsonb) AS r(job_id uuid, before jsonb, after jsonb)
"""


def _record(kind: str, actor: str, reason: str, changes: Mapping[UUID, tuple[dict[str, Any], dict[str, Any]]]) -> None:
    rows = [{"job_id": str(job), "before": before, "after": after} for job, (before, after) in changes.items()]
    if rows:
        fetch(_EVENTS, {"kind": kind, "actor": actor, "reason": reason, "rows": json.dumps(rows)})
        transaction.on_commit(partial(events.changed, list(changes)), robust=True)


# Before either change, so that a job which goes back to its queue between the two is missed by neither.
_LOCK_ACTIVE = """
SELECT 1 FROM jobs_job WHERE id = ANY(%(ids)s::uuid[]) AND status || '' IN ('scheduled', 'pending', 'processing')
ORDER BY id FOR NO KEY UPDATE
"""
_CANCEL_WAITING = """
UPDATE jobs_job j SET status = 'cancelled', finished_at = now(), cancel_requested_at = now()
FROM (SELECT id, status FROM jobs_job WHERE id = ANY(%(ids)s::uuid[]) AND status IN ('scheduled', 'pending')
      ORDER BY id FOR NO KEY UPDATE) AS old
WHERE j.id = old.id AND j.id = ANY(%(ids)s::uuid[])
RETURNING j.id, old.status, j.canvas::text
"""
_ASK_RUNNING = """
UPDATE jobs_job j SET cancel_requested_at = coalesce(j.cancel_requested_at, now())
FROM (SELECT id, cancel_requested_at IS NULL AS first FROM jobs_job
      WHERE id = ANY(%(ids)s::uuid[]) AND status || '' = 'processing' ORDER BY id FOR NO KEY UPDATE) AS old
WHERE j.id = old.id AND j.id = ANY(%(ids)s::uuid[])
RETURNING j.id, j.run, j.worker, old.first
"""


def cancel(ids: Collection[UUID], *, actor: str, reason: str = "", kind: str = "cancelled") -> dict[UUID, Status]:
    """Cancel waiting jobs at once, ask for the end of running ones.

    Returns the new status of each: `cancelled`, or `processing` where it was asked. Terminal and unknown ids are
    missing.
    """
    with transaction.atomic():
        fetch(_LOCK_ACTIVE, {"ids": list(ids)})
        waiting = fetch(_CANCEL_WAITING, {"ids": list(ids)})
        _record(kind, actor, reason, {job: ({"status": before}, {"status": "cancelled"}) for job, before, _ in waiting})
        follow([Ended(job, Status.CANCELLED, canvas, None, None) for job, _, canvas in waiting if canvas is not None])
        running = fetch(_ASK_RUNNING, {"ids": list(ids)})
        asked = {job: ({"status": "processing"}, {"run": run}) for job, run, _, first in running if first}
        _record("cancel requested", actor, reason, asked)
        if running:
            stop = [(worker, str(job), run) for job, run, worker, _ in running]
            transaction.on_commit(lambda: broker.ask_to_stop(stop), robust=True)
    answer = {job: Status.CANCELLED for job, _, _ in waiting}
    return answer | {job: Status.PROCESSING for job, *_ in running}


class Retried(NamedTuple):
    """`skipped` says of each job why it was not retried."""

    retried: list[UUID]
    skipped: dict[UUID, str]


# A key that is active again, or that a newer job of the same set has, stays with its owner.
_RETRY = """
UPDATE jobs_job j SET status = 'pending', attempt = 0, losses = 0, scheduled_at = now(), finished_at = NULL,
    cancel_requested_at = NULL, expires_at = NULL, result = NULL, progress = NULL
FROM (SELECT id, status FROM (
        SELECT id, status,
            row_number() OVER (PARTITION BY type, coalesce(unique_key, id::text) ORDER BY id DESC) AS place
        FROM (SELECT * FROM jobs_job f WHERE id = ANY(%(ids)s::uuid[]) AND status || '' IN ('failed', 'cancelled')
              AND NOT (run = 0 AND status = 'failed')
              AND (f.unique_key IS NULL OR NOT EXISTS (
                  SELECT 1 FROM jobs_job a WHERE a.type = f.type AND a.unique_key = f.unique_key
                  AND a.status IN ('scheduled', 'pending', 'processing')))
              ORDER BY id FOR NO KEY UPDATE) AS f) AS ranked
      WHERE place = 1) AS old
WHERE j.id = old.id AND j.id = ANY(%(ids)s::uuid[])
RETURNING j.id, old.status, j.queue
"""


def retry(ids: Collection[UUID], *, actor: str, reason: str = "") -> Retried:
    """failed, cancelled → pending with all attempts anew. The job keeps its id, its run count and what follows it."""
    with transaction.atomic():
        rows = _retry_rows(ids)
        _record("retried", actor, reason, {job: ({"status": before}, {"status": "pending"}) for job, before, _ in rows})
        if rows:
            queues = [queue for _, _, queue in rows]
            transaction.on_commit(lambda: broker.wake(queues), robust=True)
        retried = [job for job, _, _ in rows]
        left = Job.objects.in_bulk(set(ids) - set(retried))
        skipped = {job: _why_not(left.get(job)) for job in ids if job not in set(retried)}
    return Retried(retried, skipped)


def _retry_rows(ids: Collection[UUID]) -> list[tuple[UUID, str, str]]:
    """Id, status before and queue of each that is pending now."""
    try:
        with transaction.atomic():
            return fetch(_RETRY, {"ids": list(ids)})
    except IntegrityError:  # at the same moment another transaction took one of the keys; by now that can be seen
        return fetch(_RETRY, {"ids": list(ids)})


def _why_not(job: Job | None) -> str:
    if job is None:
        return "no such job"
    if job.status not in (Status.FAILED, Status.CANCELLED):
        return f"it is {job.status}"
    if job.run == 0 and job.status == Status.FAILED:
        return "it never ran: retry the job before it"
    return f"another job has its unique key {job.unique_key!r}"


def rerun(ids: Collection[UUID], *, actor: str, payload: str | None = None) -> dict[UUID, UUID]:
    """A new job like each of these terminal ones, whose `parent` it is. What followed the old one does not follow it.

    `payload` (JSON) replaces the old one. Returns old id → new id.
    """
    with transaction.atomic():
        jobs = Job.objects.filter(id__in=ids, status__in=TERMINAL).order_by("id")
        copies = {job.id: _copy(job, actor, payload) for job in jobs}
        created = {job.id for job in enqueue(list(copies.values())) if job.created}
        made = {old: copy.id for old, copy in copies.items() if copy.id in created}
        _record("re-run", actor, "", {old: ({}, {"job": str(new)}) for old, new in made.items()})
    return made


def _copy(job: Job, actor: str, payload: str | None) -> NewJob:
    return NewJob(
        type=job.type,
        payload=payload if payload is not None else json.dumps(job.payload),
        queue=job.queue,
        priority=job.priority,
        max_attempts=job.max_attempts,
        timeout=job.timeout,
        backoff=job.backoff,
        unique_key=job.unique_key,
        created_by=actor,
        tags=job.tags,
        request_id=logs.request_id(),
        parent=job.id,
    )


_SET_PRIORITY = """
UPDATE jobs_job j SET priority = %(priority)s
FROM (SELECT id, priority FROM jobs_job WHERE id = ANY(%(ids)s::uuid[]) AND status IN ('scheduled', 'pending')
      ORDER BY id FOR NO KEY UPDATE) AS old
WHERE j.id = old.id AND j.id = ANY(%(ids)s::uuid[])
RETURNING j.id, old.priority
"""


def set_priority(ids: Collection[UUID], priority: int, *, actor: str) -> list[UUID]:
    """Change the priority (1 to 10) of waiting jobs. Returns those changed."""
    with transaction.atomic():
        rows = fetch(_SET_PRIORITY, {"ids": list(ids), "priority": priority})
        _record("priority", actor, "", {job: ({"priority": before}, {"priority": priority}) for job, before in rows})
    return [job for job, _ in rows]


_RUN_NOW = """
UPDATE jobs_job j SET status = 'pending', scheduled_at = now()
FROM (SELECT id, scheduled_at FROM jobs_job WHERE id = ANY(%(ids)s::uuid[]) AND status || '' = 'scheduled'
      ORDER BY id FOR NO KEY UPDATE) AS old
WHERE j.id = old.id AND j.id = ANY(%(ids)s::uuid[])
RETURNING j.id, j.queue, old.scheduled_at, j.scheduled_at
"""


def run_now(ids: Collection[UUID], *, actor: str) -> list[UUID]:
    """scheduled → pending for jobs whose time has not come. Returns those changed."""
    with transaction.atomic():
        rows = fetch(_RUN_NOW, {"ids": list(ids)})
        times = {job: (before.isoformat(), after.isoformat()) for job, _, before, after in rows}
        changes = {job: ({"scheduled_at": before}, {"scheduled_at": after}) for job, (before, after) in times.items()}
        _record("run now", actor, "", changes)
        if rows:
            queues = {queue for _, queue, *_ in rows}
            transaction.on_commit(lambda: broker.wake(queues), robust=True)
    return [job for job, *_ in rows]


def expire(limit: int = 1000) -> int:
    """Cancel waiting jobs that must not start any more."""
    with transaction.atomic():
        # Locked while they wait: one that a worker claims at this moment has started in time.
        late = Job.objects.expired().select_for_update(skip_locked=True, no_key=True).order_by("expires_at")
        ids = list(late.values_list("id", flat=True)[:limit])
        return len(cancel(ids, actor="upkeep", reason="expired before it started", kind="expired")) if ids else 0
