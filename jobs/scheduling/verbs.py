"""create, update, delete, start, stop, run: what people do to a schedule. Each leaves an Event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django_celery_beat.models import PeriodicTask

from jobs.calling import get_processor
from jobs.errors import InvalidSchedule, UnknownSchedule
from jobs.lifecycle import Enqueued
from jobs.models import Event, ScheduleOptions, ScheduleRun
from jobs.schedules import options_of, rows
from jobs.scheduling.crons import cron_of
from jobs.scheduling.fields import CHANGEABLE, ScheduleFields, columns
from jobs.scheduling.payloads import payload_of, shown_payload
from jobs.scheduling.states import RUN, ScheduleState, state


def create(new: ScheduleFields, *, actor: str) -> ScheduleState:
    """Make a schedule; with `run_on_init` its first job too. Raises InvalidSchedule."""
    with transaction.atomic():
        task, created = PeriodicTask.objects.get_or_create(name=new.name, defaults=columns(vars(new), PeriodicTask()))
        if not created:
            raise InvalidSchedule([{"loc": ["name"], "msg": f"there is a schedule {new.name!r} already"}])
        PeriodicTask.objects.filter(pk=task.pk).update(date_changed=Now())  # the database's time, not this machine's
        ScheduleOptions.objects.create(schedule=task, overlap=new.overlap, missed_runs=new.missed_runs)
        _record("created", new.name, actor, None, _shown(_row(new.name)))
        if new.run_on_init:
            run(new.name, actor=actor)
    return state(new.name)


def update(name: str, changes: Mapping[str, Any], *, actor: str) -> ScheduleState:
    """Change these fields of `ScheduleFields`, but the name. Nothing that was due before becomes due by it.

    A new payload keeps the secrets that it shows as `***`. Raises UnknownSchedule or InvalidSchedule.
    """
    if unknown := changes.keys() - CHANGEABLE:
        raise InvalidSchedule([{"loc": [each], "msg": "cannot be changed"} for each in sorted(unknown)])
    with transaction.atomic():
        task = _row(name, lock=True)
        before, payload = _shown(task), (task.args, task.kwargs)
        PeriodicTask.objects.filter(pk=task.pk).update(**columns(changes, task), date_changed=Now())
        policies = {key: changes[key] for key in ("overlap", "missed_runs") if key in changes}
        if policies:
            ScheduleOptions.objects.update_or_create(schedule=task, defaults=policies)
        task = _row(name)
        after = _shown(task)
        differing = {key for key in after if after[key] != before[key]}
        if (task.args, task.kwargs) != payload:
            differing.add("payload")  # maybe of a secret only, which is not shown
        if differing:
            _record(
                "changed", name, actor, *({key: side[key] for key in sorted(differing)} for side in (before, after))
            )
    return state(name)


def delete(name: str, *, actor: str) -> None:
    """Delete a schedule and its history. Its jobs stay. Raises UnknownSchedule."""
    with transaction.atomic():
        task = _row(name, lock=True)
        _record("deleted", name, actor, _shown(task), None)
        task.delete()
        ScheduleRun.objects.filter(schedule=name).delete()


def start(name: str, *, actor: str) -> ScheduleState:
    """Switch a schedule on: from now on, not for what it missed. Raises UnknownSchedule."""
    return _switch(name, True, "started", actor)


def stop(name: str, *, actor: str) -> ScheduleState:
    """Switch a schedule off. Its jobs go on. Raises UnknownSchedule."""
    return _switch(name, False, "stopped", actor)


def _switch(name: str, enabled: bool, kind: str, actor: str) -> ScheduleState:
    with transaction.atomic():
        # By `update()`: `save()` would write the whole row, and clear the time of its last run.
        if PeriodicTask.objects.filter(name=name, enabled=not enabled).update(enabled=enabled, date_changed=Now()):
            _record(kind, name, actor, {"enabled": not enabled}, {"enabled": enabled})
    return state(name)


def run(name: str, *, actor: str) -> Enqueued:
    """Enqueue a schedule's job now, whatever its times and policies are; switched off ones too.

    Raises UnknownSchedule, or what `jobs.processor.enqueue` raises.
    """
    with transaction.atomic():
        task = _row(name)
        job = get_processor(task.task).enqueue(
            payload_of(task), queue=task.queue, priority=task.priority, schedule=name, created_by=actor
        )
        _record(RUN, name, actor, None, {"job": str(job.id)})
    return job


def _row(name: str, *, lock: bool = False) -> PeriodicTask:
    found = rows().filter(name=name)
    task = (found.select_for_update(of=("self",)) if lock else found).first()
    if task is None:
        raise UnknownSchedule(f"there is no schedule {name!r}")
    return task


def _record(
    kind: str, name: str, actor: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> None:
    Event.objects.create(schedule=name, kind=kind, actor=actor[:150], before=before, after=after)


def _shown(task: PeriodicTask) -> dict[str, Any]:
    """The fields of a schedule as they may be shown, for the audit."""
    policies = options_of(task)
    return {
        "cron": cron_of(task),
        "timezone": task.zone or "UTC",
        "type": task.task,
        "payload": shown_payload(task),
        "priority": task.priority,
        "enabled": task.enabled,
        "description": task.description,
        "overlap": policies.overlap,
        "missed_runs": policies.missed_runs,
    }
