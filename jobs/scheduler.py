"""Beat, safe to run twice: each due time of each schedule is settled once.

Schedules are django-celery-beat's rows, read anew at every look, so that any change counts within
seconds. One beat leads by a lease, and a unique row per due time holds should two ever lead at once.
When a schedule is due is `jobs.duetimes`' business, what becomes of the times that passed unseen `jobs.catchup`'s,
to enqueue a job `jobs.firing`'s.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import close_old_connections
from django.db.models.functions import Now
from django.db.utils import Error
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from jobs import catchup, firing, leadership
from jobs.duetimes import Rule, rule_of
from jobs.models import ScheduleRun
from jobs.schedules import options_of, rows

log = logging.getLogger("jobs.scheduler")

DUTY = "beat"
LEASE = 5.0  # seconds; a dead leader is replaced within this and one pace
PACE = 2.0  # seconds from one look to the next, at most
AT_ONCE = 20  # due times of one schedule that are settled in one look, so that the lease is renewed in time

CHANGED = "the schedule was changed or switched off before the earlier job ended"


@dataclass
class Watched:
    """What this beat knows of a schedule from its looks so far."""

    enabled: bool
    rule: Rule | str  # or what is wrong with it
    changed: datetime  # as the row says
    since: datetime  # made, edited or enabled then: due times before it are not ours to make up for
    done: datetime  # due times up to here are settled, or before `since`
    following: datetime | None = field(init=False)  # the first due time after `done`
    told: bool = False  # that the rule is wrong

    def __post_init__(self) -> None:
        self.following = self.rule.after(self.done) if self.enabled and isinstance(self.rule, Rule) else None

    def is_same(self, enabled: bool, rule: Rule | str) -> bool:
        return (self.enabled, self.rule) == (enabled, rule)

    def finish(self, until: datetime) -> None:
        """Whatever was due until then is settled."""
        self.done = until
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
        """Read all schedules, and settle what is due if we lead. A standby reads too: it learns of changes."""
        self._leads = leadership.lead(DUTY, self.holder, LEASE)
        tasks = list(rows())
        read_at = time.monotonic()
        self._watched = {task.pk: self.watch(task) for task in tasks}
        if not self._leads:
            return PACE
        self.release({task.name: task for task in tasks})
        for task in tasks:
            self.settle(task, self._watched[task.pk])
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

    def settle(self, task: PeriodicTask, watched: Watched) -> None:
        """See to what is due of one schedule. What is wrong with it is recorded, and stops no other."""
        if isinstance(watched.rule, str):
            if task.enabled and not watched.told:
                firing.record_failure(task, None, watched.rule)
                watched.told = True
            return
        if watched.following is None or watched.following > task.now:
            return
        plan = catchup.plan(watched.rule, watched.done, task.now, options_of(task).missed_runs, _lifetime(task))
        with suppress(firing.Changed):  # since we read it: the next look decides
            if plan.untold:
                firing.record_untold(task, *plan.untold)
                watched.finish(plan.untold[1])
            if plan.missed:
                firing.record_missed(task, plan.missed)
            for at in plan.due[:AT_ONCE]:
                firing.fire(task, at)
                watched.finish(at)
            if len(plan.due) <= AT_ONCE:
                watched.finish(task.now)

    def release(self, tasks: dict[str, PeriodicTask]) -> None:
        """See to the due times that wait for the end of an earlier job."""
        for run in firing.waiting():
            task = tasks.get(run.schedule)
            if task is None or not task.enabled or run.due_at <= self._watched[task.pk].since:
                firing.drop(run, ScheduleRun.Outcome.SKIPPED, CHANGED)
            elif (lifetime := _lifetime(task)) is not None and run.due_at + lifetime <= task.now:
                firing.drop(run, ScheduleRun.Outcome.MISSED, catchup.TOO_LATE)
            elif task.expires and task.expires <= task.now:
                firing.drop(run, ScheduleRun.Outcome.MISSED, catchup.ENDED)
            else:
                with suppress(firing.Changed):
                    firing.release(task, run)


def _lifetime(task: PeriodicTask) -> timedelta | None:
    """How long after a due time its job may start."""
    return None if task.expire_seconds is None else timedelta(seconds=task.expire_seconds)


def _rule(task: PeriodicTask) -> Rule | str:
    try:
        return rule_of(task, task.zone or "")
    except ValueError as error:
        return str(error)
