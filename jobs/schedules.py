"""What a room declares as `SCHEDULES`, and how it becomes rows that people then edit.

A row that exists is theirs: nothing here changes it. When a schedule is due is `jobs.duetimes`' business,
to enqueue then `jobs.scheduler`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.utils.module_loading import module_has_submodule
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from django_celery_beat.validators import crontab_validator

from jobs import duetimes
from jobs.models import ScheduleRun


@dataclass(frozen=True)
class Schedule:
    """A job to enqueue again and again. `cron` is minute, hour, day of month, month and day of week."""

    name: str
    type: str
    cron: str
    timezone: str = "UTC"
    enabled: bool = True
    description: str = ""
    payload: Mapping[str, object] = field(default_factory=dict)
    priority: int | None = None  # 1 to 10; None: the processor's

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
        duetimes.cron(self.cron.split(), self.timezone)
        try:
            crontab_validator(self.cron)  # the admin's form accepts no more than this
        except ValidationError as error:
            raise ValueError(f"bad cron {self.cron!r}: {error.messages[0]}") from None

    @property
    def fields(self) -> dict[str, str]:
        """The cron as columns of a `CrontabSchedule`."""
        names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        return {**dict(zip(names, self.cron.split(), strict=True)), "timezone": self.timezone}


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
    # Nothing keeps crontabs from being there twice, so `get_or_create` could meet two.
    crontab = CrontabSchedule.objects.filter(**schedule.fields).first()
    row = {
        "task": schedule.type,
        "crontab": crontab or CrontabSchedule.objects.create(**schedule.fields),
        "enabled": schedule.enabled,
        "description": schedule.description,
        "kwargs": json.dumps(dict(schedule.payload)),
        "priority": schedule.priority,
    }
    created: bool = PeriodicTask.objects.get_or_create(name=schedule.name, defaults=row)[1]
    return created


def prune_runs(age: float, limit: int) -> int:
    """Delete runs older than so many seconds, but each schedule's latest: by it beat knows what is done."""
    later = ScheduleRun.objects.filter(schedule=OuterRef("schedule"), due_at__gt=OuterRef("due_at"))
    old = ScheduleRun.objects.filter(Exists(later), created_at__lt=Now() - timedelta(seconds=age))
    return ScheduleRun.objects.filter(pk__in=old.order_by("pk").values("pk")[:limit]).delete()[0]
