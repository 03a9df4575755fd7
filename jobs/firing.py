"""What becomes of one due time of a schedule: one transaction, one row that is unique by schedule and due time.

What enqueues or leaves out first holds the schedule's row, and raises Changed where that is not as it was read. A job
that cannot be enqueued is recorded, and stops nothing. Which due times there are is `jobs.catchup`'s business.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django_celery_beat.models import PeriodicTask

from jobs import events
from jobs.calling import get_processor
from jobs.models import Event, Job, ScheduleRun
from jobs.schedules import Overlap, options_of
from jobs.scheduling import payload_of

log = logging.getLogger("jobs.scheduler")

BEAT = "beat"  # who did it, in jobs and events
FAILED, MISSED = "schedule-failed", "schedule-missed"  # kinds of events
WAITED = "it waited for the end of an earlier job"
Outcome = ScheduleRun.Outcome

# A beat that freezes inside its transaction must not hold the other one up.
_LIMITS = """
    SELECT set_config('idle_in_transaction_session_timeout', '5000', true), set_config('lock_timeout', '5000', true)
"""


class Changed(Exception):
    """The schedule is not as it was read."""


@contextmanager
def _held(task: PeriodicTask) -> Iterator[QuerySet[PeriodicTask]]:
    """A transaction that holds the schedule's row. Raises Changed."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_LIMITS)
        # Nor when somebody has it locked: no other schedule shall wait for that.
        as_read = PeriodicTask.objects.filter(pk=task.pk, enabled=True, date_changed=task.date_changed)
        if as_read.select_for_update(skip_locked=True).values("pk").first() is None:
            raise Changed
        yield as_read


@contextmanager
def _told(task: PeriodicTask, at: datetime) -> Iterator[None]:
    """A failure that is the schedule's own is recorded."""
    try:
        yield
    except (OperationalError, InterfaceError, Changed):
        raise  # the database's fault, or nobody's: due still
    except Exception as error:
        record_failure(task, at, f"{type(error).__name__}: {error}")


def fire(task: PeriodicTask, at: datetime) -> None:
    """Enqueue the job of a due time, or leave it out or let it wait as the schedule says; unless that was done."""
    with _told(task, at), _held(task) as as_read:
        run, is_first = ScheduleRun.objects.get_or_create(schedule=task.name, due_at=at)
        if not is_first and run.outcome != Outcome.FAILED:
            return
        outcome, reason = _overlapping(task)
        job = _enqueue(task, at, as_read) if outcome == Outcome.ENQUEUED else None
        ScheduleRun.objects.filter(pk=run.pk).update(outcome=outcome, reason=reason, job=job, created_at=Now())
        transaction.on_commit(events.changed, robust=True)
        log.info("schedule %s: %s for %s", task.name, f"job {job}" if job else outcome, at.isoformat())


def release(task: PeriodicTask, run: ScheduleRun) -> None:
    """Enqueue the job of a due time that waits, if no earlier job is active any more and nobody else did it."""
    if active_job(task.name):
        return
    with _told(task, run.due_at), _held(task) as as_read:
        if ScheduleRun.objects.filter(pk=run.pk, outcome=Outcome.BUFFERED).exists() and not active_job(task.name):
            job = _enqueue(task, run.due_at, as_read)
            done = {"outcome": Outcome.ENQUEUED, "reason": WAITED, "job": job, "created_at": Now()}
            ScheduleRun.objects.filter(pk=run.pk).update(**done)
            log.info("schedule %s: job %s for %s, which waited", task.name, job, run.due_at.isoformat())


def drop(run: ScheduleRun, outcome: str, reason: str) -> None:
    """Let a due time wait no longer."""
    ScheduleRun.objects.filter(pk=run.pk, outcome=Outcome.BUFFERED).update(outcome=outcome, reason=reason)
    events.changed()


def record_missed(task: PeriodicTask, missed: Sequence[tuple[datetime, str]]) -> None:
    """Tell of due times that are not made up for, and why."""
    with _held(task):
        runs = [
            ScheduleRun(schedule=task.name, due_at=at, outcome=Outcome.MISSED, reason=reason) for at, reason in missed
        ]
        ScheduleRun.objects.bulk_create(runs, ignore_conflicts=True)
        transaction.on_commit(events.changed, robust=True)
    log.warning("schedule %s: %d due times missed, the last at %s", task.name, len(missed), missed[-1][0].isoformat())


def record_untold(task: PeriodicTask, first: datetime, last: datetime) -> None:
    """Tell of due times that were missed and are too many to be recorded one by one, unless another beat did."""
    with _held(task):
        if not ScheduleRun.objects.filter(schedule=task.name, due_at__gt=last).exists():
            span = {"first_due_at": first.isoformat(), "last_due_at": last.isoformat()}
            reason = "missed, and too many to be recorded one by one"
            Event.objects.create(schedule=task.name, kind=MISSED, actor=BEAT, after=span, reason=reason)


def record_failure(task: PeriodicTask, at: datetime | None, reason: str) -> None:
    """Once for each due time, or for a rule that has none since its last change: another beat may have tried."""
    log.error("schedule %s: %s", task.name, reason)
    if at is None:
        told = Event.objects.filter(schedule=task.name, kind=FAILED, after={"due_at": None}, at__gte=task.date_changed)
        is_new = not told.exists()
    else:
        failed = {"outcome": Outcome.FAILED, "reason": reason}
        run, is_new = ScheduleRun.objects.get_or_create(schedule=task.name, due_at=at, defaults=failed)
        if not is_new:
            open_runs = ScheduleRun.objects.filter(pk=run.pk, outcome__in=(Outcome.FAILED, Outcome.BUFFERED))
            is_new = bool(open_runs.update(**failed)) and run.outcome == Outcome.BUFFERED
    if is_new:
        due = {"due_at": at and at.isoformat()}
        Event.objects.create(schedule=task.name, kind=FAILED, actor=BEAT, after=due, reason=reason)
        events.changed()


def waiting() -> QuerySet[ScheduleRun]:
    """The due times that wait for the end of an earlier job."""
    return ScheduleRun.objects.filter(outcome=Outcome.BUFFERED)


def active_job(name: str) -> UUID | None:
    """A job of the schedule that has not ended, whoever asked for it."""
    return next(iter(Job.objects.active().filter(schedule=name).order_by().values_list("id", flat=True)[:1]), None)


def _overlapping(task: PeriodicTask) -> tuple[str, str]:
    """The outcome of a due time, by the jobs of those before it, and the reason if it is not enqueued."""
    policy = options_of(task).overlap
    if policy == Overlap.ALLOW or (earlier := active_job(task.name)) is None:
        return Outcome.ENQUEUED, ""
    if policy == Overlap.SKIP:
        return Outcome.SKIPPED, f"job {earlier} was active"
    if ScheduleRun.objects.filter(schedule=task.name, outcome=Outcome.BUFFERED).exists():
        return Outcome.SKIPPED, f"job {earlier} was active, and another due time waited for its end"
    return Outcome.BUFFERED, f"waits for the end of job {earlier}"


def _enqueue(task: PeriodicTask, at: datetime, as_read: QuerySet[PeriodicTask]) -> UUID:
    # By `update()`, which leaves date_changed alone: this is no edit.
    ran: dict[str, Any] = {"last_run_at": Now(), "total_run_count": F("total_run_count") + 1}
    as_read.update(**ran, **({"enabled": False} if task.one_off else {}))
    lifetime = task.expire_seconds
    return (
        get_processor(task.task)
        .enqueue(
            payload_of(task),
            schedule=task.name,
            created_by=BEAT,
            queue=task.queue,
            priority=task.priority,
            expires_at=task.expires if lifetime is None else at + timedelta(seconds=lifetime),
        )
        .id
    )
