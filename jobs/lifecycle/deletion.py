"""prune, forget, remove, clean: taking rows away, with all that is kept of them."""

import json
from collections.abc import Collection
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from jobs import events
from jobs.lifecycle.changes import cancel
from jobs.models import TERMINAL, Event, Job, Status
from jobs.sessions import fetch

# Of the jobs `old`.
_WITH_ALL = """failures AS (DELETE FROM jobs_failure WHERE job_id IN (SELECT id FROM old)),
events AS (DELETE FROM jobs_event WHERE job_id IN (SELECT id FROM old)),
items AS (DELETE FROM jobs_batchitem WHERE job IN (SELECT id FROM old)),
lines AS (DELETE FROM jobs_logline WHERE job IN (SELECT id FROM old))
DELETE FROM jobs_job WHERE id = ANY(ARRAY(SELECT id FROM old)) RETURNING id"""

# The status is written out, since a parameter does not tell that a partial index will do. `IS NULL OR` keeps the
# planner from joining all chords to all old jobs.
_PRUNE = """
WITH old AS (
    SELECT id FROM jobs_job j WHERE status = '{status}' AND finished_at < now() - %(age)s * interval '1 second'
    AND (j."group" IS NULL OR NOT EXISTS (SELECT 1 FROM jobs_chord c WHERE c.id = j."group"))
    {types} ORDER BY finished_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED),
{with_all}
"""
# Members stay until the body, which reads their results, has ended too.
_PRUNE_CHORDS = """
DELETE FROM jobs_chord WHERE id = ANY(ARRAY(SELECT id FROM jobs_chord c
WHERE created_at < now() - %(age)s * interval '1 second'
AND NOT EXISTS (SELECT 1 FROM jobs_job j WHERE j."group" = c.id AND j.status IN ('scheduled', 'pending', 'processing'))
AND NOT EXISTS (SELECT 1 FROM jobs_job j, jsonb_array_elements(c.body) AS step
                WHERE j.id = (step ->> 'id')::uuid AND j.status IN ('scheduled', 'pending', 'processing'))
AND (fired_at IS NOT NULL OR created_at < now() - %(open_age)s * interval '1 second') LIMIT %(limit)s))
RETURNING 1
"""


def prune(
    status: Status, age: float, limit: int, *, of_type: str | None = None, but_types: Collection[str] = ()
) -> int:
    """Delete up to `limit` jobs that ended in `status` more than `age` seconds ago, with what is kept of them."""
    types = "AND type = %(type)s" if of_type is not None else "AND NOT type = ANY(%(but)s::text[])"
    parameters = {"age": age, "limit": limit, "type": of_type, "but": list(but_types)}
    return len(fetch(_PRUNE.format(status=Status(status).value, types=types, with_all=_WITH_ALL), parameters))


def prune_chords(age: float, open_age: float, limit: int = 1000) -> int:
    """Delete up to `limit` chords whose body has ended, or that nobody completed in `open_age` seconds.

    Their members may then be pruned.
    """
    return len(fetch(_PRUNE_CHORDS, {"age": age, "open_age": open_age, "limit": limit}))


_FORGET = f"""
WITH old AS (
    SELECT id FROM jobs_job WHERE id = %(id)s AND status || '' IN ('completed', 'failed', 'cancelled') FOR UPDATE),
{_WITH_ALL}
"""  # noqa: S608


def forget(job: UUID) -> bool:
    """Delete a job that has ended, with what is kept of it. False: it is active, or there is none."""
    return bool(fetch(_FORGET, {"id": job}))


class Removed(NamedTuple):
    """`skipped` says of each job why it is still there."""

    removed: list[UUID]
    skipped: dict[UUID, str]


# `status || ''` keeps the planner from reading a partial index for what the primary key gives at once.
_REMOVABLE = """
SELECT id, status, type, queue FROM jobs_job j
WHERE id = ANY(%(ids)s::uuid[]) AND status || '' <> 'processing'
AND (j."group" IS NULL OR status || '' IN ('scheduled', 'pending') AND NOT coalesce(canvas, '{}') ? 'chord'
     OR status || '' IN ('completed', 'failed', 'cancelled')
     AND NOT EXISTS (SELECT 1 FROM jobs_chord c WHERE c.id = j."group"))
ORDER BY id FOR UPDATE
"""
_REMOVE = "WITH old AS (SELECT unnest(%(ids)s::uuid[]) AS id), " + _WITH_ALL
_REMOVED_EVENTS = """
INSERT INTO jobs_event (subject, queue, kind, actor, before)
SELECT subject, queue, 'removed', %(actor)s, before
FROM jsonb_to_recordset(%(rows)s::text::jsonb) AS r(subject text, queue text, before jsonb)
"""


def remove(ids: Collection[UUID], *, actor: str) -> Removed:
    """Delete jobs that do not run. What waits is cancelled first, so what would have followed it ends as it should."""
    with transaction.atomic():
        rows = _remove(ids, actor)
        told = [
            {"subject": f"job {job}", "queue": queue, "before": {"status": status, "type": name}}
            for job, status, name, queue in rows
        ]
        if told:
            fetch(_REMOVED_EVENTS, {"actor": actor, "rows": json.dumps(told)})
        removed = {job for job, *_ in rows}
        left = Job.objects.in_bulk(set(ids) - removed)
    skipped = {job: _why_kept(left.get(job)) for job in ids if job not in removed}
    return Removed([job for job in ids if job in removed], skipped)


def _remove(ids: Collection[UUID], actor: str, *, still: Status | None = None) -> list[Any]:
    """Id, status, type and queue of each job that was deleted: if it is `still` so, now that it is locked."""
    rows = [row for row in fetch(_REMOVABLE, {"ids": list(ids)}) if still is None or row[1] == still]
    if waiting := [job for job, status, *_ in rows if status not in TERMINAL]:
        cancel(waiting, actor=actor)
    fetch(_REMOVE, {"ids": [job for job, *_ in rows]})
    transaction.on_commit(partial(events.changed, [job for job, *_ in rows]), robust=True)
    return rows


def _why_kept(job: Job | None) -> str:
    if job is None:
        return "no such job"
    return f"it is {job.status}" if job.status == Status.PROCESSING else "the group that it belongs to is not finished"


def clean(queue: str, status: Status, age_seconds: float, limit: int, *, actor: str) -> int:
    """Delete up to `limit` jobs of a queue, oldest first, that are `age_seconds` old: since their end, or since they
    were made if they wait. Running jobs cannot be cleaned (ValueError). Returns how many.
    """
    if status == Status.PROCESSING:
        raise ValueError("running jobs cannot be removed")
    since = "finished_at" if status in TERMINAL else "created_at"
    with transaction.atomic():
        aged = Job.objects.filter(queue=queue, status=status).filter(
            **{f"{since}__lte": Now() - timedelta(seconds=age_seconds)}
        )
        removed = len(_remove(list(aged.order_by(since).values_list("id", flat=True)[:limit]), actor, still=status))
        if removed:
            after = {"removed": removed, "status": status.value, "older than": age_seconds}
            Event.objects.create(queue=queue, kind="cleaned", actor=actor, after=after)
    return removed
