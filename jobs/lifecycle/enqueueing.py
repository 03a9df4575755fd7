"""enqueue: rows for new jobs, in the caller's transaction."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction

from jobs import broker, events
from jobs.ids import new_id
from jobs.models import ACTIVE, Job, Status
from jobs.sessions import fetch


@dataclass(slots=True)
class NewJob:
    """A job to be inserted. Everything is resolved and validated: see `jobs.processor`."""

    type: str
    payload: str  # JSON
    queue: str
    priority: int
    max_attempts: int
    timeout: float  # seconds
    attempt: int = 0  # attempts used before (Celery's `retries`)
    id: UUID = field(default_factory=new_id)
    backoff: dict[str, Any] | None = None
    delay: float | None = None  # seconds from now; else `scheduled_at`; else at once
    scheduled_at: datetime | str | None = None
    expires_in: float | None = None  # seconds from now; else `expires_at`
    expires_at: datetime | str | None = None
    unique_key: str | None = None
    created_by: str = ""
    tags: Sequence[str] = ()
    request_id: str | None = None
    schedule: str | None = None
    parent: UUID | None = None
    group: UUID | None = None
    canvas: dict[str, Any] | None = None

    def like(self, payload: str) -> "NewJob":
        """Another job of a type, made in the same place; neither has options of its own."""
        usual = self.type, payload, self.queue, self.priority, self.max_attempts, self.timeout
        return NewJob(*usual, request_id=self.request_id, parent=self.parent)


class Enqueued(NamedTuple):
    """A job that waits. `created` is False when a unique key, or the id, found this one instead."""

    id: UUID
    status: str
    created: bool


_COLUMNS = {
    "id": "uuid",
    "type": "text",
    "payload": "text",
    "queue": "text",
    "priority": "int",
    "attempt": "int",
    "max_attempts": "int",
    "timeout": "float8",
    "backoff": "jsonb",
    "delay": "float8",
    "scheduled_at": "timestamptz",
    "expires_in": "float8",
    "expires_at": "timestamptz",
    "unique_key": "text",
    "created_by": "text",
    "tags": "text[]",
    "request_id": "text",
    "schedule": "text",
    "parent": "uuid",
    "group": "uuid",
    "canvas": "jsonb",
}
_ONE = "(SELECT " + ", ".join(f'%({name})s::{kind} AS "{name}"' for name, kind in _COLUMNS.items()) + ") AS r"
_OWN = ("id", "payload")  # what jobs differ in that are otherwise alike
_ALIKE = (
    "(SELECT d.*, "  # noqa: S608
    + ", ".join(f'%({name})s::{kind} AS "{name}"' for name, kind in _COLUMNS.items() if name not in _OWN)
    + " FROM ROWS FROM (unnest(%(ids)s::text::uuid[]), jsonb_array_elements(%(payloads)s::text::jsonb))"
    + " AS d(id, payload)) AS r"
)
_MANY = (
    "jsonb_to_recordset(%(rows)s::text::jsonb) AS r("
    + ", ".join(f'"{name}" {"jsonb" if name == "tags" else kind}' for name, kind in _COLUMNS.items())
    + ")"
)
_TAGS = "ARRAY(SELECT jsonb_array_elements_text(tags))"

# {jobs}: one job as parameters, which is twice as fast for it; many that differ in their payloads alone, which is twice
# as fast for them; or any number as a JSON document.
# %(ended)s: steps that never run, because the job before them failed.
_INSERT = """
INSERT INTO jobs_job (id, type, payload, queue, priority, status, attempt, max_attempts, timeout, backoff, scheduled_at,
    created_at, expires_at, finished_at, unique_key, created_by, tags, request_id, schedule, parent, "group", canvas)
SELECT id, type, payload::jsonb, queue, priority,
    CASE WHEN %(ended)s THEN 'failed' WHEN due > now() THEN 'scheduled' ELSE 'pending' END,
    attempt, max_attempts, timeout, backoff, due, clock_timestamp(),
    coalesce(expires_at, now() + expires_in * interval '1 second'),
    CASE WHEN %(ended)s THEN now() END, unique_key, created_by,
    {tags}, request_id, schedule, parent, "group", canvas
FROM (SELECT *, coalesce(scheduled_at, now() + coalesce(delay, 0) * interval '1 second') AS due FROM {jobs}) AS r
"""
# As text: a prepared statement would refuse to give columns whose type a migration has changed meanwhile.
_RETURNING = "RETURNING id, status::text, queue::text"
_ENQUEUE = _INSERT + f"ON CONFLICT DO NOTHING {_RETURNING}"
# Of many that are alike, all is said in one row, unless some of them were there before.
_ENQUEUE_ALIKE = f"""
WITH inserted AS ({_ENQUEUE})
SELECT count(*), min(status), CASE WHEN count(*) < %(size)s THEN array_agg(id) END FROM inserted
"""  # noqa: S608
# A step that was put down as failed when the job before it failed comes back when that one is run again.
_REVIVE = (
    _INSERT
    + f"""ON CONFLICT (id) DO UPDATE SET status = excluded.status, payload = excluded.payload, finished_at = NULL,
    scheduled_at = excluded.scheduled_at, expires_at = excluded.expires_at
WHERE jobs_job.run = 0 AND jobs_job.status = 'failed' {_RETURNING}"""
)


def enqueue(jobs: Sequence[NewJob]) -> list[Enqueued]:
    """Insert jobs, all or none, and wake their queues on commit.

    A job whose id exists, or whose unique key is active, is not inserted: its `Enqueued` names the existing one.
    """
    if len(jobs) > 1 and _are_alike(jobs):
        inserted = _insert_alike(jobs)
    else:  # in the order of their keys: two callers with the same ones would else wait for each other's
        inserted = insert(sorted(jobs, key=lambda job: (job.type, job.unique_key or "")), _ENQUEUE)
    return [Enqueued(job.id, inserted[job.id], True) if job.id in inserted else _existing(job) for job in jobs]


def _existing(job: NewJob) -> Enqueued:
    # The winner may have ended between our INSERT and this look: then the key is free, so try again.
    for _ in range(3):
        found = Job.objects.filter(id=job.id).values_list("id", "status").first()
        if found is None and job.unique_key is not None:
            same_key = Job.objects.filter(type=job.type, unique_key=job.unique_key, status__in=ACTIVE)
            found = same_key.values_list("id", "status").first()
        if found is not None:
            return Enqueued(found[0], found[1], False)
        inserted = insert([job], _ENQUEUE)
        if job.id in inserted:
            return Enqueued(job.id, inserted[job.id], True)
    raise RuntimeError(f"the unique key {job.unique_key!r} of {job.type} was taken and freed three times in a row")


def insert_steps(jobs: Sequence[NewJob]) -> dict[UUID, str]:
    """Insert successors, or revive those that failed unrun. Returns id → status of those that now wait."""
    return insert(jobs, _REVIVE)


def insert_failed_steps(jobs: Sequence[NewJob]) -> dict[UUID, str]:
    """Insert successors that will not run as failed. Returns those that were not there yet."""
    return insert(jobs, _ENQUEUE, ended=True)


_rest = attrgetter(*(name for name in _COLUMNS if name not in _OWN))


def _are_alike(jobs: Sequence[NewJob]) -> bool:
    first = _rest(jobs[0])
    return jobs[0].unique_key is None and all(_rest(job) == first for job in jobs)


def _insert_alike(jobs: Sequence[NewJob]) -> dict[UUID, str]:
    parameters = {
        **_parameters(jobs[0]),
        "ids": "{" + ",".join([job.id.hex for job in jobs]) + "}",
        "payloads": "[" + ",".join([job.payload for job in jobs]) + "]",
        "size": len(jobs),
        "ended": False,
    }
    ((count, status, some),) = fetch(_ENQUEUE_ALIKE.format(jobs=_ALIKE, tags="tags"), parameters)
    ids = [job.id for job in jobs] if some is None else some
    if count:
        _tell(ids, {jobs[0].queue})
    return dict.fromkeys(ids, Status(status)) if count else {}


def insert(jobs: Sequence[NewJob], statement: str, *, ended: bool = False) -> dict[UUID, str]:
    if not jobs:
        return {}
    if len(jobs) == 1:
        rows = fetch(statement.format(jobs=_ONE, tags="tags"), {**_parameters(jobs[0]), "ended": ended}, prepare=True)
    else:
        records = json.dumps([_record(job) for job in jobs], default=str)
        rows = fetch(statement.format(jobs=_MANY, tags=_TAGS), {"rows": records, "ended": ended})
    if rows:
        _tell([job_id for job_id, *_ in rows], set() if ended else {queue for *_, queue in rows})
    return {job_id: Status(status) for job_id, status, _ in rows}


def _tell(jobs: list[UUID], queues: set[str]) -> None:
    transaction.on_commit(partial(events.changed, jobs), robust=True)
    if queues:
        transaction.on_commit(partial(broker.wake, queues), robust=True)


def _parameters(job: NewJob) -> dict[str, Any]:
    return {
        name: json.dumps(value) if _COLUMNS[name] == "jsonb" and value is not None else value
        for name, value in _record(job).items()
    }


def _record(job: NewJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "type": job.type,
        "payload": job.payload,
        "queue": job.queue,
        "priority": job.priority,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "timeout": job.timeout,
        "backoff": job.backoff,
        "delay": job.delay,
        "scheduled_at": job.scheduled_at,
        "expires_in": job.expires_in,
        "expires_at": job.expires_at,
        "unique_key": job.unique_key,
        "created_by": job.created_by,
        "tags": list(job.tags),
        "request_id": job.request_id,
        "schedule": job.schedule,
        "parent": job.parent,
        "group": job.group,
        "canvas": job.canvas,
    }
