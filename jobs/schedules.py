"""What a room declares as `SCHEDULES`, and how it becomes rows that people then edit.

A row that exists is theirs: nothing here changes it. That is for `jobs.scheduling`; when a schedule is due is
`jobs.duetimes`' business, to enqueue then `jobs.scheduler`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from importlib import import_module
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import CharField, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Cast, Now
from django.utils.module_loading import module_has_submodule
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from django_celery_beat.validators import crontab_validator

from jobs import duetimes
from jobs.models import ScheduleOptions, ScheduleRun

Overlap, MissedRuns = ScheduleOptions.Overlap, ScheduleOptions.MissedRuns


class CronExpressions(StrEnum):
    """Crons that are wanted often."""

    EVERY_MINUTE = "* * * * *"
    EVERY_5_MINUTES = "*/5 * * * *"
    EVERY_15_MINUTES = "*/15 * * * *"
    EVERY_30_MINUTES = "*/30 * * * *"
    EVERY_HOUR = "0 * * * *"
    EVERY_2_HOURS = "0 */2 * * *"
    EVERY_6_HOURS = "0 */6 * * *"
    DAILY_MIDNIGHT = "0 0 * * *"
    DAILY_3AM = "0 3 * * *"
    WEEKLY_MONDAY = "0 0 * * 1"
    MONTHLY_FIRST = "0 0 1 * *"


CRON_EXPRESSIONS = CronExpressions


@dataclass(frozen=True)
class Schedule:
    """A job to enqueue again and again. `cron` is minute, hour, day of month, month and day of week.

    `run_on_init` enqueues a job when the row is made, whenever it is due then.
    """

    name: str
    type: str
    cron: str
    timezone: str = "UTC"
    enabled: bool = True
    description: str = ""
    payload: Mapping[str, object] = field(default_factory=dict)
    priority: int | None = None  # 1 to 10; None: the processor's
    overlap: str = Overlap.ALLOW  # or skip, buffer-one: what of a due time while an earlier one's job is active
    missed_runs: str = MissedRuns.ONE  # or skip, all: what of due times while no beat ran
    run_on_init: bool = False

    def __post_init__(self) -> None:
        try:
            self._check()
        except ValueError as error:
            raise ValueError(f"schedule {self.name!r}: {error}") from None

    def _check(self) -> None:
        if not 1 <= len(self.name) <= 200:
            raise ValueError("a name has 1 to 200 characters")
        if self.priority is not None and not 1 <= self.priority <= 10:
            raise ValueError(f"priority {self.priority} is not between 1 and 10")
        try:
            json.dumps(dict(self.payload), allow_nan=False)
        except TypeError as error:
            raise ValueError(f"the payload is not JSON: {error}") from None
        check_choice("overlap", self.overlap, Overlap.values)
        check_choice("missed_runs", self.missed_runs, MissedRuns.values)
        check_cron(self.cron, self.timezone)


def check_choice(name: str, value: str, choices: list[str]) -> None:
    """ValueError unless the value is one of these."""
    if value not in choices:
        raise ValueError(f"{name} {value!r} is not one of {', '.join(choices)}")


def check_cron(cron: str, timezone: str) -> duetimes.Cron:
    """The cron of a text, if it can be a row that the admin's form accepts too. ValueError tells what is wrong."""
    found = duetimes.cron(cron.split(), timezone)
    try:
        crontab_validator(cron)
        CrontabSchedule(**columns(cron, timezone)).clean_fields()
    except ValidationError as error:
        raise ValueError(f"bad cron {cron!r}: {error.messages[0]}") from None
    return found


def columns(cron: str, timezone: str) -> dict[str, str]:
    """The cron as columns of a `CrontabSchedule`."""
    names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    return {**dict(zip(names, cron.split(), strict=True)), "timezone": timezone}


def crontab_row(cron: str, timezone: str) -> CrontabSchedule:
    """The row of a cron, shared with other schedules. Nothing keeps rows from being there twice: the first one."""
    fields = columns(cron, timezone)
    return CrontabSchedule.objects.filter(**fields).first() or CrontabSchedule.objects.create(**fields)


def declared() -> Iterator[Schedule]:
    """The schedules of every installed app: `SCHEDULES` in its module `tasks`."""
    for config in apps.get_app_configs():
        if config.module and module_has_submodule(config.module, "tasks"):
            yield from getattr(import_module(f"{config.name}.tasks"), "SCHEDULES", ())


@transaction.atomic
def sync(schedules: Iterable[Schedule]) -> dict[str, bool]:
    """Create the rows that are missing. By name: whether it was created."""
    return {schedule.name: _create(schedule) for schedule in schedules}


def _create(schedule: Schedule) -> bool:
    if PeriodicTask.objects.filter(name=schedule.name).exists():
        return False
    row = {
        "task": schedule.type,
        "crontab": crontab_row(schedule.cron, schedule.timezone),
        "enabled": schedule.enabled,
        "description": schedule.description,
        "kwargs": json.dumps(dict(schedule.payload)),
        "priority": schedule.priority,
    }
    task, created = PeriodicTask.objects.get_or_create(name=schedule.name, defaults=row)
    if created:
        ScheduleOptions.objects.create(schedule=task, overlap=schedule.overlap, missed_runs=schedule.missed_runs)
    return bool(created)


def date_change(instance: PeriodicTask, raw: bool, **kwargs: Any) -> None:
    """Whoever saved it: changed by the database's time, not this machine's. What was due before is not made up for."""
    if not raw:
        PeriodicTask.objects.filter(pk=instance.pk).update(date_changed=Now())


def rows() -> QuerySet[PeriodicTask]:
    """All schedules with the database's time (`now`), the last due time that is settled (`last_due`, null if none is),
    and the crontab's zone as text (`zone`): one that this machine does not know would be an error for all of them.
    """
    runs = ScheduleRun.objects.filter(schedule=OuterRef("name")).exclude(outcome=ScheduleRun.Outcome.FAILED)
    tasks: QuerySet[PeriodicTask] = (
        PeriodicTask.objects.select_related("interval", "crontab", "solar", "clocked", "options")
        .defer("crontab__timezone")
        .annotate(
            now=Now(),
            last_due=Subquery(runs.order_by("-due_at").values("due_at")[:1]),
            zone=Cast("crontab__timezone", CharField()),
        )
        .order_by("pk")
    )
    return tasks


def options_of(task: PeriodicTask) -> ScheduleOptions:
    """The schedule's policies, the defaults if it has no row of them."""
    return getattr(task, "options", None) or ScheduleOptions(schedule=task)


def prune_runs(age: float, limit: int) -> int:
    """Delete runs older than so many seconds, but each schedule's latest: by it beat knows what is done."""
    later = ScheduleRun.objects.filter(schedule=OuterRef("schedule"), due_at__gt=OuterRef("due_at"))
    schedule = PeriodicTask.objects.filter(name=OuterRef("schedule"))
    old = ScheduleRun.objects.filter(created_at__lt=Now() - timedelta(seconds=age))
    unneeded = old.filter(Exists(later) | ~Exists(schedule))
    return ScheduleRun.objects.filter(pk__in=unneeded.order_by("pk").values("pk")[:limit]).delete()[0]
