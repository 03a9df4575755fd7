"""Bulk operations: one action on every job that a query finds, as a job of its own.

So it has progress, a page, and an end when somebody cancels it. What is selected is fixed when it starts: the jobs
that were there, and that had ended if they have, by then. How a job changes is `jobs.lifecycle`'s business.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.core import signing
from django.db import transaction
from django.db.models import Q
from django.utils.crypto import constant_time_compare
from pydantic import BaseModel, Field

from jobs import lifecycle, metrics, search
from jobs.ids import new_id
from jobs.models import ACTIVE, TERMINAL, BatchItem, Event, Job, JobQuerySet, Status
from jobs.processor import Discard, Enqueued, JobContext, Payload, Secret, enqueue
from jobs.sessions import fetch

TYPE = "bulk_operation"
CHUNK = 500  # jobs changed in one transaction
SAMPLE = 10  # jobs shown before it starts
COUNTED = 100_000  # up to here progress is measured against an exact number
POSITION = "position"  # the key of the `BatchItem` that says how far it got
MOST_REASONS = 20


class Action(StrEnum):
    RETRY = "retry"
    CANCEL = "cancel"
    DELETE = "delete"
    PRIORITY = "priority"


# The statuses in which a job may be treated so. Others are not looked at.
STATUSES: dict[Action, tuple[Status, ...]] = {
    Action.RETRY: (Status.FAILED, Status.CANCELLED),
    Action.CANCEL: ACTIVE,
    Action.DELETE: (Status.SCHEDULED, Status.PENDING, *TERMINAL),
    Action.PRIORITY: (Status.SCHEDULED, Status.PENDING),
}


class BulkOperation(Payload):
    """What to do to which jobs, and who wants it. Signed: only `start` makes it."""

    action: Action
    query: str
    new_priority: int | None = Field(None, ge=1, le=10)
    reason: str = ""
    actor: str
    at: datetime
    signature: Secret = ""


class BulkDone(BaseModel):
    """How many jobs were changed, how many were not, and why."""

    changed: int = 0
    skipped: int = 0
    reasons: dict[str, int] = {}


@dataclass(frozen=True)
class Preview:
    """What an action would be done to."""

    count: int
    approximate: bool
    sample: list[Job]


def preview(query: str, action: Action | str | None = None) -> Preview:
    """How many jobs a query finds, of those that `action` can change, and some of them. Raises InvalidQuery."""
    found = _matching(query, action)
    narrowed = _narrowed(query, action)
    sample = search.find(search.understand(narrowed), limit=SAMPLE).jobs
    try:
        with search.patience():
            count = metrics.count(found)
    except search.InvalidQuery:  # nothing is wrong with it; counting takes too long
        count = metrics.Count(max(len(sample), metrics.estimate(found)), approximate=True)
    return Preview(count.number, count.approximate, sample)


def start(
    action: Action | str, query: str, actor: str, reason: str = "", *, new_priority: int | None = None
) -> Enqueued:
    """Enqueue the operation on the jobs that match by now. Raises InvalidQuery, or ValueError for an unknown action."""
    search.understand(query)
    if (Action(action) is Action.PRIORITY) != (new_priority is not None):
        raise ValueError("a priority belongs to the action priority, and to no other")
    (at,) = fetch("SELECT clock_timestamp()", {})[0]
    plain = BulkOperation(
        action=Action(action), query=query, new_priority=new_priority, reason=reason, actor=actor, at=at
    )
    job = new_id()
    signed = plain.model_copy(update={"signature": _signature(job, plain)})
    with transaction.atomic():
        enqueued = enqueue(TYPE, signed, task_id=job, created_by=actor)
        Event.objects.create(job_id=job, kind=f"bulk {action}", actor=actor, reason=reason, after={"query": query})
    return enqueued


def perform(payload: BulkOperation, job: JobContext) -> BulkDone:
    """Do it, a chunk at a time, from where an earlier attempt of this job stopped."""
    if not constant_time_compare(payload.signature, _signature(job.id, payload)):
        raise Discard("bulk operations are started from the dashboard: a copy of one does nothing")
    jobs = _selected(payload).exclude(id=job.id)
    after, done = _position(job.id)
    handled = done.changed + done.skipped
    total = handled + metrics.count(jobs.filter(id__gt=after) if after else jobs, COUNTED).number
    while True:
        job.progress(handled, max(total, handled), f"{done.changed:,} changed, {done.skipped:,} skipped")
        rest = jobs.filter(id__gt=after) if after else jobs
        ids = list(rest.order_by("id").values_list("id", flat=True)[:CHUNK])
        if not ids:
            return done
        with transaction.atomic():
            changed, skipped = _ACTIONS[payload.action](ids, payload)
            done = _sum(done, len(changed), skipped)
            after, handled = ids[-1], handled + len(ids)
            position = {"after": str(after), **done.model_dump()}
            BatchItem.objects.update_or_create(job=job.id, key=POSITION, defaults={"result": position})


def _matching(query: str, action: Action | str | None) -> JobQuerySet:
    found = search.jobs_matching(query)
    return found if action is None else found.filter(status__in=STATUSES[Action(action)])


def _narrowed(query: str, action: Action | str | None) -> str:
    """The query with the statuses that the action is about."""
    return query if action is None else f"{query} status:{','.join(STATUSES[Action(action)])}"


def _selected(payload: BulkOperation) -> JobQuerySet:
    then = Q(created_at__lte=payload.at) & (Q(finished_at=None) | Q(finished_at__lte=payload.at))
    found = Job.objects.filter(search.understand(payload.query, at=payload.at).q, then)
    return found.filter(status__in=STATUSES[payload.action])


def _signature(job: UUID, payload: BulkOperation) -> str:
    """Of one operation as one job: neither can be exchanged."""
    return signing.Signer(salt=TYPE).signature(f"{job} {payload.model_dump_json(exclude={'signature'})}")


def _position(job: UUID) -> tuple[UUID | None, BulkDone]:
    """The last job that was handled, and what was done so far."""
    found = BatchItem.objects.filter(job=job, key=POSITION).values_list("result", flat=True).first()
    return (UUID(found["after"]), BulkDone.model_validate(found)) if found else (None, BulkDone())


def _sum(done: BulkDone, changed: int, skipped: Collection[str]) -> BulkDone:
    # Without what is special to one job, such as its key.
    reasons = Counter(done.reasons) + Counter(reason.partition(" '")[0] for reason in skipped)
    few = dict(reasons.most_common(MOST_REASONS))
    return BulkDone(changed=done.changed + changed, skipped=done.skipped + len(skipped), reasons=few)


Change = tuple[Collection[UUID], Collection[str]]  # the jobs that were changed; of each other one, why not


def _retry(ids: list[UUID], payload: BulkOperation) -> Change:
    answer = lifecycle.retry(ids, actor=payload.actor, reason=payload.reason)
    return answer.retried, answer.skipped.values()


def _cancel(ids: list[UUID], payload: BulkOperation) -> Change:
    cancelled = lifecycle.cancel(ids, actor=payload.actor, reason=payload.reason)
    return cancelled, ["it ended before"] * (len(ids) - len(cancelled))


def _delete(ids: list[UUID], payload: BulkOperation) -> Change:
    answer = lifecycle.remove(ids, actor=payload.actor)
    return answer.removed, answer.skipped.values()


def _set_priority(ids: list[UUID], payload: BulkOperation) -> Change:
    changed = lifecycle.set_priority(ids, payload.new_priority or 0, actor=payload.actor)
    return changed, ["it started before"] * (len(ids) - len(changed))


_ACTIONS: dict[Action, Callable[[list[UUID], BulkOperation], Change]] = {
    Action.RETRY: _retry,
    Action.CANCEL: _cancel,
    Action.DELETE: _delete,
    Action.PRIORITY: _set_priority,
}
