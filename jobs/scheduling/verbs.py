"""create, update, delete, start, stop, run: what people do to a schedule. Each leaves an Event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models.functions import Now
from django_celery_beat.models import PeriodicTask

from jobs import events
from jobs.calling import get_processor
from jobs.errors import InvalidSchedule, UnknownSchedule
from jobs.lifecycle import Enqueued
from jobs.models import Event, ScheduleOptions, ScheduleRun
from jobs.schedules import options_of
from jobs.scheduling.crons import cron_of, words_of
from jobs.scheduling.fields import CHANGEABLE, ScheduleFields, columns
from jobs.scheduling.payloads import payload_of, shown_payload
from jobs.scheduling.states import RUN, ScheduleState, named, state


def create(new: ScheduleFields, *, actor: str) -> ScheduleState:
    """Make a schedule; with `run_on_init` its first job too. Raises InvalidSchedule."""
    with transaction.atomic():
        task, created = PeriodicTask.objects.get_or_create(name=new.name, defaults=columns(vars(new), PeriodicTask()))
        if not created:
            raise InvalidSchedule([{"loc": ["name"], "msg": f"there is a schedule {new.name!r} already"}])
        ScheduleOptions.objects.create(schedule=task, overlap=new.overlap, missed_runs=new.missed_runs)
        record_saved(new.name, None, actor=actor)
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
        before = snapshot(task)
        if found := columns(changes, task):
            PeriodicTask.objects.filter(pk=task.pk).update(**found, date_changed=Now())
        policies = {key: changes[key] for key in ("overlap", "missed_runs") if key in changes}
        if policies:
            ScheduleOptions.objects.update_or_create(schedule=task, defaults=policies)
        record_saved(name, before, actor=actor)
    return state(name)


def delete(name: str, *, actor: str) -> None:
    """Delete a schedule and its history. Its jobs stay. Raises UnknownSchedule."""
    with transaction.atomic():
        task = _row(name, lock=True)
        _record("deleted", name, actor, snapshot(task).shown, None)
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
        task = _row(name, lock=True)
        if task.enabled != enabled:
            PeriodicTask.objects.filter(pk=task.pk).update(enabled=enabled, date_changed=Now())
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
    found = named(name)
    task = (found.select_for_update(of=("self",)) if lock else found).first()
    if task is None:
        raise UnknownSchedule(f"there is no schedule {name!r}")
    return task


def _record(
    kind: str, name: str, actor: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> None:
    values = [json.loads(json.dumps(side, cls=DjangoJSONEncoder)) for side in (before, after)]  # times among them
    Event.objects.create(schedule=name, kind=kind, actor=actor[:150], before=values[0], after=values[1])
    transaction.on_commit(events.changed, robust=True)


class Snapshot(NamedTuple):
    """A schedule before a change."""

    shown: dict[str, Any]  # without secrets
    payload: tuple[str, str]  # as the row has it


def snapshot(task: PeriodicTask) -> Snapshot:
    policies = options_of(task)
    shown = {
        "cron": cron_of(task) or words_of(task),
        "timezone": getattr(task, "zone", None) or "UTC",
        "type": task.task,
        "payload": shown_payload(task),
        "priority": task.priority,
        "enabled": task.enabled,
        "description": task.description,
        "overlap": policies.overlap,
        "missed_runs": policies.missed_runs,
    }
    # What only the admin knows, where it is used.
    others = {name: getattr(task, name) for name in ("queue", "start_time", "expires", "expire_seconds", "one_off")}
    return Snapshot(shown | {name: value for name, value in others.items() if value}, (task.args, task.kwargs))


def record_saved(name: str, before: Snapshot | None, *, actor: str) -> None:
    """Leave the event for a schedule that was saved: what differs from `before`, all of a new one."""
    after = snapshot(_row(name))
    if before is None:
        _record("created", name, actor, None, after.shown)
        return
    keys = before.shown.keys() | after.shown.keys()
    differing = {key for key in keys if before.shown.get(key) != after.shown.get(key)}
    if before.payload != after.payload:
        differing.add("payload")  # maybe of a secret only, which is not shown
    if differing:
        sides = ({key: side.shown.get(key) for key in sorted(differing)} for side in (before, after))
        _record("changed", name, actor, *sides)
