"""The fields of a schedule: checked together, so that every wrong one is named at once, and as columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from django_celery_beat.models import PeriodicTask
from pydantic import BaseModel

from jobs import duetimes, options
from jobs.calling import processors
from jobs.encoding import storable
from jobs.errors import InvalidPayload, InvalidSchedule
from jobs.payload import uncovered
from jobs.schedules import MissedRuns, Overlap, check_choice, check_cron, crontab_row
from jobs.scheduling.crons import cron_of
from jobs.scheduling.payloads import known_payload, payload_of

LONGEST_NAME = 200
LONGEST_DESCRIPTION = 10_000


@dataclass(frozen=True)
class ScheduleFields:
    """What a schedule is made of. `run_on_init` enqueues one job when it is made, whenever it is due then."""

    name: str
    cron: str  # minute, hour, day of month, month, day of week
    type: str
    timezone: str = "UTC"
    payload: Mapping[str, Any] = field(default_factory=dict)
    priority: int | str | None = None  # 1 to 10 or a name; None: the job type's
    enabled: bool = True
    run_on_init: bool = False
    description: str = ""
    overlap: str = Overlap.ALLOW
    missed_runs: str = MissedRuns.ONE


CHANGEABLE = {each.name for each in fields(ScheduleFields)} - {"name", "run_on_init"}


def columns(given: Mapping[str, Any], task: PeriodicTask) -> dict[str, Any]:
    """The columns of `PeriodicTask` for the given fields. Raises InvalidSchedule naming each that is wrong.

    What is not given stays as it is in `task`, and nobody complains about it.
    """
    checks = _Checks(given, task)
    checks.texts()
    checks.times()
    checks.job()
    checks.policies()
    if checks.errors:
        raise InvalidSchedule(checks.errors)
    if checks.cron:
        checks.columns |= {"crontab": crontab_row(*checks.cron), "interval": None, "solar": None, "clocked": None}
    return checks.columns


class _Checks:
    def __init__(self, given: Mapping[str, Any], task: PeriodicTask) -> None:
        self.given, self.task = given, task
        self.columns: dict[str, Any] = {name: given[name] for name in ("enabled", "description") if name in given}
        self.cron: tuple[str, str] | None = None
        self.errors: list[dict[str, object]] = []

    @contextmanager
    def told(self, name: str) -> Iterator[None]:
        """A ValueError is about this field."""
        try:
            yield
        except ValueError as error:
            self.wrong([name], re.sub(f"^{name}:? ", "", str(error)))

    def wrong(self, place: list[object], message: str) -> None:
        self.errors.append({"loc": place, "msg": message})

    def texts(self) -> None:
        name, description = self.given.get("name", "-"), self.given.get("description", "")
        if not 1 <= len(name) <= LONGEST_NAME or name != name.strip():
            self.wrong(["name"], f"a name has 1 to {LONGEST_NAME} characters and no space at its ends")
        elif not name.isprintable() or "/" in name:
            self.wrong(["name"], "a name has no slash and no control characters")
        if len(description) > LONGEST_DESCRIPTION or storable(description) != description:
            self.wrong(["description"], f"a description has up to {LONGEST_DESCRIPTION:,} storable characters")

    def times(self) -> None:
        if not {"cron", "timezone"} & self.given.keys():
            return
        cron = self.given.get("cron", cron_of(self.task))
        zone = self.given.get("timezone", getattr(self.task, "zone", None) or "UTC")
        try:
            duetimes.cron(["*"] * 5, zone)
        except ValueError as error:
            self.wrong(["timezone"], str(error))
        else:
            with self.told("cron"):
                check_cron(cron, zone)
                self.cron = cron, zone

    def job(self) -> None:
        if not {"type", "payload"} & self.given.keys():
            return
        name = self.given.get("type", self.task.task).replace("-", "_")
        processor = processors().get(name) or processors().get(self.given.get("type", ""))
        if processor is None:
            self.wrong(["type"], f"unknown job type {name!r}")
            return
        try:
            payload = self.payload(processor.payload_model if processor.name == self.task.task else None)
            processor.encode_row_payload(payload)
        except InvalidPayload as error:
            for each in error.errors or [{"loc": [], "msg": str(error)}]:
                self.wrong(["payload", *each["loc"]], str(each["msg"]))  # type: ignore[misc]
            return
        args, kwargs = processor.arguments(payload)
        self.columns |= {"task": processor.name, "args": json.dumps(args), "kwargs": json.dumps(dict(kwargs))}

    def payload(self, model: type[BaseModel] | None) -> Any:
        """The given one with the secrets of the one before, if both have this model; the one before if none is given.

        InvalidPayload where that is needed and cannot be read.
        """
        if "payload" not in self.given:
            return payload_of(self.task)
        return uncovered(model, self.given["payload"], known_payload(self.task))

    def policies(self) -> None:
        if "priority" in self.given:
            priority = self.given["priority"]
            with self.told("priority"):
                self.columns["priority"] = None if priority is None else options.priority(priority)
        for name, choices in (("overlap", Overlap.values), ("missed_runs", MissedRuns.values)):
            if name in self.given:
                with self.told(name):
                    check_choice(name, self.given[name], choices)
