"""manage.py sync_schedules: rows for the schedules that the rooms declare."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from jobs import schedules, scheduling
from jobs.errors import InvalidPayload, UnknownProcessor
from jobs.processor import get_processor


class Command(BaseCommand):
    help = "Creates the schedules declared as SCHEDULES that have no row yet. Rows that exist stay as people left them."

    def handle(self, *args: Any, **options: Any) -> None:
        declared: dict[str, schedules.Schedule] = {}
        try:
            for schedule in schedules.declared():
                if schedule.name in declared:
                    raise CommandError(f"schedule {schedule.name!r} is declared twice")
                declared[schedule.name] = schedule
                check_type(schedule)
        except ValueError as error:
            raise CommandError(str(error)) from None
        with transaction.atomic():
            created = schedules.sync(declared.values())
            for name, is_new in created.items():
                if is_new and declared[name].run_on_init:
                    scheduling.run(name, actor="sync_schedules")
        for name, is_new in created.items():
            self.stdout.write(f"{name}: {'created' if is_new else 'exists, left as it is'}")


def check_type(schedule: schedules.Schedule) -> None:
    """Refuse a job type that there is not, and a payload that it would not take."""
    try:
        get_processor(schedule.type).encode_payload((), dict(schedule.payload))
    except (UnknownProcessor, InvalidPayload, TypeError) as error:
        raise ValueError(f"schedule {schedule.name!r}: {error}") from None
