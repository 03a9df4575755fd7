"""Beat, safe to run twice: one job for each due time of each schedule.

Schedules are django-celery-beat's rows, read anew at every look, so that any change counts within
seconds. One beat leads by a lease, and a unique row per due time holds should two ever lead at once.
When a schedule is due is `jobs.duetimes`' business; what becomes of the job is not ours.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, close_old_connections, connection, transaction
from django.db.models import CharField, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Cast, Now
from django.db.utils import Error
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from jobs import leadership
from jobs.duetimes import Rule, rule_of
from jobs.models import Event, ScheduleRun
from jobs.processor import get_processor

log = logging.getLogger("jobs.scheduler")

DUTY = "beat"
LEASE = 5.0  # seconds; a dead leader is replaced within this and one pace
PACE = 2.0  # seconds from one look to the next, at most
RECENT = timedelta(seconds=30)  # every due time this late is made up for, of older ones the latest only
FAILED = "schedule-failed"  # the kind of event

# A beat that freezes inside its transaction must not hold the other one up.
_LIMITS = """
    SELECT set_config('idle_in_transaction_session_timeout', '5000', true), set_config('lock_timeout', '5000', true)
"""


@dataclass
class Watched:
    """What this beat knows of a schedule from its looks so far."""

    enabled: bool
    rule: Rule | str  # or what is wrong with it
    changed: datetime  # as the row says
    since: datetime  # made, edited or enabled then: due times before it are not ours to make up for
    done: datetime  # due times up to here are enqueued, given up, or before `since`
    following: datetime | None = field(init=False)  # the first due time after `done`
    told: bool = False  # that the rule is wrong

    def __post_init__(self) -> None:
        self.following = self.rule.after(self.done) if self.enabled and isinstance(self.rule, Rule) else None

    def is_same(self, enabled: bool, rule: Rule | str) -> bool:
        return (self.enabled, self.rule) == (enabled, rule)

    def due(self, now: datetime) -> list[datetime]:
        """The due times to enqueue, oldest first."""
        if isinstance(self.rule, str) or self.following is None or self.following > now:
            return []
        if self.rule.end and now >= self.rule.end:
            return []
        recent = []
        at = self.rule.after(max(self.done, now - RECENT))
        while at and at <= now:
            recent.append(at)
            at = self.rule.after(at)
        return recent or [at for at in [self.rule.until(now)] if at]

    def finish(self, now: datetime) -> None:
        """Whatever was due by now is done."""
        self.done = now
        self.__post_init__()


class Scheduler(DatabaseScheduler):
    """The scheduler of `celery beat`; of its base class it keeps the name that beat and the admin know."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._watched: dict[int, Watched] = {}
        self._leads = self._looking = self._away = False
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Nothing but the rows counts: no clean-up of results, which is upkeep's, no entries of the settings."""
        if self.app.conf.beat_schedule:
            log.warning("beat_schedule in the settings is not used: declare SCHEDULES, or make a periodic task")

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Look once; returns the seconds until the next look. Outlives the database's outages."""
        self._looking = True
        try:
            close_old_connections()
            pause = self.look()
        except Error as error:
            if not self._away:
                log.warning("the database does not answer, trying on: %s", error)
            self._away = True
            return 1.0
        finally:
            self._looking = False
        if self._away:
            log.warning("the database answers again")
        self._away = False
        return pause

    def sync(self) -> None:
        """Nothing waits to be written. Celery calls this from its signal handler too, maybe inside a statement."""

    def close(self) -> None:
        """Leave the lead to another beat at once."""
        super().close()
        if self._leads and not self._looking:  # else in the signal handler, inside a look: called again after it
            self._leads = False
            with suppress(Error):
                leadership.resign(DUTY, self.holder)

    def look(self) -> float:
        """Read all schedules, and enqueue what is due if we lead. A standby reads too: it learns of changes."""
        self._leads = leadership.lead(DUTY, self.holder, LEASE)
        tasks = list(_schedules())
        read_at = time.monotonic()
        self._watched = {task.pk: self.watch(task) for task in tasks}
        if not self._leads or not tasks:
            return PACE
        for task in tasks:
            self.enqueue_due(task, self._watched[task.pk])
        following = [watched.following for watched in self._watched.values() if watched.following]
        pause = (min(following) - tasks[0].now).total_seconds() - (time.monotonic() - read_at) if following else PACE
        return min(max(pause, 0.05), PACE)

    def watch(self, task: PeriodicTask) -> Watched:
        """What we know now; a change is told by the rule, since date_changed misses some and follows every save."""
        known = self._watched.get(task.pk)
        rule = _rule(task)
        since = min(task.date_changed, task.now)
        if known and known.is_same(task.enabled, rule):
            since = known.since
        elif known and known.changed == task.date_changed:
            # By `QuerySet.update()`, or in the row of the crontab itself, which other schedules may share.
            since = task.now
            if self._leads:
                PeriodicTask.objects.filter(pk=task.pk, date_changed=task.date_changed).update(date_changed=Now())
        done = max(at for at in (since, task.last_due, known and known.done) if at)
        if known and known.is_same(task.enabled, rule) and known.done == done:
            known.changed = task.date_changed
            return known
        return Watched(task.enabled, rule, task.date_changed, since, done)

    def enqueue_due(self, task: PeriodicTask, watched: Watched) -> None:
        """Enqueue what is due of one schedule. What is wrong with it is recorded, and stops no other."""
        if isinstance(watched.rule, str) and task.enabled and not watched.told:
            _record_failure(task, None, watched.rule)
            watched.told = True
        for at in watched.due(task.now):
            if task.expire_seconds is not None and at + timedelta(seconds=task.expire_seconds) <= task.now:
                continue
            try:
                if not _enqueue(task, at):
                    return  # changed since we read it: the next look decides
            except (OperationalError, InterfaceError):
                raise  # the database's fault: due still
            except Exception as error:
                _record_failure(task, at, f"{type(error).__name__}: {error}")
        if watched.following and watched.following <= task.now:
            watched.finish(task.now)


def _schedules() -> QuerySet[PeriodicTask]:
    """All schedules in one query: with the database's time, the last due time enqueued, and the zone as text.

    As text, since a zone that this machine does not know would be an error for all of them.
    """
    runs = ScheduleRun.objects.filter(schedule=OuterRef("name")).order_by("-due_at")
    tasks: QuerySet[PeriodicTask] = (
        PeriodicTask.objects.select_related("interval", "crontab", "solar", "clocked")
        .defer("crontab__timezone")
        .annotate(now=Now(), last_due=Subquery(runs.values("due_at")[:1]), zone=Cast("crontab__timezone", CharField()))
        .order_by("pk")
    )
    return tasks


def _rule(task: PeriodicTask) -> Rule | str:
    try:
        return rule_of(task, task.zone or "")
    except ValueError as error:
        return str(error)


def _enqueue(task: PeriodicTask, at: datetime) -> bool:
    """Enqueue the job of a due time unless that was done; False when the schedule is not as it was read."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_LIMITS)
        # Nor when somebody has it locked: no other schedule shall wait for that.
        as_read = PeriodicTask.objects.filter(pk=task.pk, enabled=True, date_changed=task.date_changed)
        if as_read.select_for_update(skip_locked=True).values("pk").first() is None:
            return False
        # By `update()`, which leaves date_changed alone: this is no edit.
        ran: dict[str, Any] = {"last_run_at": Now(), "total_run_count": F("total_run_count") + 1}
        as_read.update(**ran, **({"enabled": False} if task.one_off else {}))
        args, kwargs = json.loads(task.args or "[]"), json.loads(task.kwargs or "{}")
        job = get_processor(task.task).apply_async(args, kwargs, **_options(task, at))
        _, is_first = ScheduleRun.objects.get_or_create(schedule=task.name, due_at=at, defaults={"job": job.id})
        if not is_first:
            transaction.set_rollback(True)
            return True
    log.info("schedule %s: job %s for %s", task.name, job.id, at.isoformat())
    return True


def _options(task: PeriodicTask, at: datetime) -> dict[str, Any]:
    expires_at = task.expires if task.expire_seconds is None else at + timedelta(seconds=task.expire_seconds)
    return {
        "schedule": task.name,
        "created_by": DUTY,
        "queue": task.queue,
        "priority": task.priority,
        "expires_at": expires_at,
    }


def _record_failure(task: PeriodicTask, at: datetime | None, reason: str) -> None:
    """Once for each due time, or for a rule that has none since its last change: another beat may have tried."""
    log.error("schedule %s: %s", task.name, reason)
    due = {"due_at": at and at.isoformat()}
    earlier = Event.objects.filter(schedule=task.name, kind=FAILED, after=due, at__gte=task.date_changed)
    if not earlier.exists():
        Event.objects.create(schedule=task.name, kind=FAILED, actor=DUTY, after=due, reason=reason)
