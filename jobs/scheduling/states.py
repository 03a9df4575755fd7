"""Schedules as they are now: when they are due next, and what became of their last due times."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django_celery_beat.models import PeriodicTask

from jobs.duetimes import Rule, rule_of
from jobs.encoding import storable
from jobs.errors import UnknownSchedule
from jobs.models import Event, Job, ScheduleRun
from jobs.schedules import options_of, rows
from jobs.scheduling.crons import cron_of, following, words_of
from jobs.scheduling.payloads import shown_payload

RUN = "run"  # the kind of event of a job that a person asked for
HISTORY = 30  # due times that are shown


@dataclass(frozen=True)
class Run:
    """What became of a due time."""

    due_at: datetime
    outcome: str  # of ScheduleRun.Outcome
    reason: str
    job: UUID | None
    job_status: str | None  # None: there is no job, or it has been pruned


@dataclass(frozen=True)
class ScheduleState:
    """A schedule as it is now. Secret fields of the payload are not in it."""

    name: str
    cron: str  # "" if it is due by an interval, the sun or a clock
    timezone: str
    type: str
    payload: dict[str, Any]
    priority: int | None  # None: the job type's
    description: str
    words: str  # when it is due
    enabled: bool
    running: bool  # it is enabled and has a next due time
    error: str  # what is wrong with its times
    last_run: datetime | None  # when its latest job was enqueued, also by hand
    last_job_id: UUID | None
    last_status: str | None  # of that job
    next_runs: list[datetime]  # the next five, if it is enabled
    overlap: str
    missed_runs: str
    history: list[Run] = field(default_factory=list)  # of the last due times, newest first
    exists: bool = True

    @property
    def next_run(self) -> datetime | None:
        return self.next_runs[0] if self.next_runs else None


def states(
    *, enabled: bool | None = None, after: str = "", limit: int | None = None, history: int = HISTORY
) -> list[ScheduleState]:
    """Schedules by name: all of them, or up to `limit` with later names than `after`.

    Three queries, however many there are; two, and no last job but one by hand, with a `history` of 0 due times.
    """
    found = rows().filter(name__gt=after) if after and storable(after) == after else rows()
    if enabled is not None:
        found = found.filter(enabled=enabled)
    return _states(found.order_by("name")[:limit], history)


def counts() -> tuple[int, int]:
    """How many schedules are switched on, and how many are off."""
    on = Count("pk", filter=Q(enabled=True))
    found = PeriodicTask.objects.aggregate(on=on, total=Count("pk"))
    return found["on"], found["total"] - found["on"]


def state(name: str) -> ScheduleState:
    """One schedule. Raises UnknownSchedule."""
    for found in _states(named(name), HISTORY):
        return found
    raise UnknownSchedule(f"there is no schedule {name!r}")


def named(name: str) -> QuerySet[PeriodicTask]:
    """The schedule of this name, if there can be one."""
    return rows().filter(name=name) if storable(name) == name else rows().none()


def history(name: str, limit: int, before: datetime | None = None) -> list[Run]:
    """What became of a schedule's due times, newest first; of those before a moment if one is given."""
    runs = ScheduleRun.objects.filter(schedule=name)
    found = list((runs.filter(due_at__lt=before) if before else runs).order_by("-due_at")[:limit])
    return _history(found, _statuses({run.job for run in found if run.job}))


class Overdue(NamedTuple):
    """A schedule whose latest due time has no job and was not left out."""

    name: str
    type: str
    due_at: datetime
    reason: str  # of the failure, if it was tried


def overdue(seconds: float) -> list[Overdue]:
    """The schedules that were due so long ago or longer, and of whose due time nothing has become."""
    failed = ScheduleRun.objects.filter(schedule=OuterRef("name"), outcome=ScheduleRun.Outcome.FAILED)
    reason = Subquery(failed.order_by("-due_at").values("reason")[:1])
    return [
        Overdue(task.name, task.task, due, task.failure or "")
        for task in rows().filter(enabled=True).annotate(failure=reason)
        if (due := _due(task, task.now - timedelta(seconds=seconds)))
    ]


def _due(task: PeriodicTask, moment: datetime) -> datetime | None:
    """The last due time until a moment if it is not settled."""
    rule = _rule(task)
    due = None if isinstance(rule, str) else rule.until(moment)
    is_settled = due is None or due <= task.date_changed or (task.last_due is not None and due <= task.last_due)
    return None if is_settled else due


def _states(tasks: QuerySet[PeriodicTask], history: int) -> list[ScheduleState]:
    last = ScheduleRun.objects.filter(schedule=OuterRef("name")).order_by("-due_at").values("pk")
    # Without `exclude` the planner does not know that the partial index will do.
    by_hand = Event.objects.filter(schedule=OuterRef("name"), kind=RUN).exclude(schedule="").order_by("-id")
    if history:
        tasks = tasks.annotate(last=ArraySubquery(last[:history]))
    found = list(
        tasks.annotate(
            by_hand_at=Subquery(by_hand.values("at")[:1]), by_hand=Subquery(by_hand.values("after__job")[:1])
        )
    )
    runs = ScheduleRun.objects.in_bulk([pk for task in found for pk in task.last]) if history else {}
    jobs = {run.job for run in runs.values() if run.job} | {UUID(task.by_hand) for task in found if task.by_hand}
    statuses = _statuses(jobs)
    return [_state(task, [runs[pk] for pk in task.last if pk in runs] if history else [], statuses) for task in found]


def _statuses(jobs: Collection[UUID]) -> dict[UUID, str]:
    return dict(Job.objects.filter(id__in=jobs).values_list("id", "status"))


def _history(runs: list[ScheduleRun], statuses: Mapping[UUID, str]) -> list[Run]:
    return [
        Run(run.due_at, run.outcome, run.reason, run.job, statuses.get(run.job) if run.job else None) for run in runs
    ]


def _state(task: PeriodicTask, runs: list[ScheduleRun], statuses: Mapping[UUID, str]) -> ScheduleState:
    rule = _rule(task)
    due = following(rule, task.now) if isinstance(rule, Rule) and task.enabled else []
    with_job = [(run.created_at, run.job) for run in runs if run.job]
    if task.by_hand:
        with_job.append((task.by_hand_at, UUID(task.by_hand)))
    last_run, last_job = max(with_job, default=(task.last_run_at, None))
    return ScheduleState(
        name=task.name,
        cron=cron_of(task),
        timezone=task.zone or "UTC",
        type=task.task,
        payload=shown_payload(task),
        priority=task.priority,
        description=task.description,
        words=words_of(task),
        enabled=task.enabled,
        running=bool(due),
        error=rule if isinstance(rule, str) else "",
        last_run=last_run,
        last_job_id=last_job,
        last_status=statuses.get(last_job) if last_job else None,
        next_runs=due,
        overlap=options_of(task).overlap,
        missed_runs=options_of(task).missed_runs,
        history=_history(runs, statuses),
    )


def _rule(task: PeriodicTask) -> Rule | str:
    """The schedule's rule, or what is wrong with it."""
    try:
        return rule_of(task, task.zone or "")
    except ValueError as error:
        return str(error)
