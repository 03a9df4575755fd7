"""Crons as people see them: in words, with their next due times, or with what is wrong."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from cron_descriptor import FormatException, MissingFieldException, Options, WrongArgumentException, get_description
from django_celery_beat.models import PeriodicTask

from jobs.duetimes import Times
from jobs.schedules import check_cron

NEXT = 5  # next due times that are shown


@dataclass(frozen=True)
class Validation:
    """`error` says what is wrong with a cron, the rest what a right one means."""

    valid: bool
    error: str | None = None
    description: str = ""  # in words
    next_runs: list[datetime] = field(default_factory=list)


def validate(cron: str, timezone: str = "UTC") -> Validation:
    """Whether there can be a schedule with this cron in this time zone."""
    try:
        runs = next_runs(cron, NEXT, timezone)
    except ValueError as error:
        return Validation(False, str(error))
    return Validation(True, None, words(cron), runs)


def next_runs(cron: str, n: int = NEXT, timezone: str = "UTC") -> list[datetime]:
    """The next `n` due times of a cron. ValueError tells what is wrong with it."""
    return following(check_cron(cron, timezone), datetime.now(UTC), n)


def following(times: Times, moment: datetime, n: int = NEXT) -> list[datetime]:
    """The first `n` due times after a moment; fewer if there are no more."""

    found: list[datetime] = []
    while len(found) < n and (at := times.after(found[-1] if found else moment)):
        found.append(at)
    return found


def words(cron: str) -> str:
    """A cron in words, such as "At 02:30, Monday through Friday"; itself if there are none."""
    options = Options()
    options.use_24hour_time_format = True
    try:
        return str(get_description(cron, options))
    except (FormatException, MissingFieldException, WrongArgumentException):
        return cron


def words_of(task: PeriodicTask) -> str:
    """When a schedule is due, in words."""
    if task.crontab:
        return words(cron_of(task))
    if task.interval:
        every, period = task.interval.every, task.interval.period
        return f"Every {period.removesuffix('s')}" if every == 1 else f"Every {every} {period}"
    if task.solar:
        return f"At {task.solar.get_event_display().lower()} at {task.solar.latitude}, {task.solar.longitude}"
    return f"Once at {task.clocked.clocked_time:%Y-%m-%d %H:%M:%S} UTC" if task.clocked else "Never"


def cron_of(task: PeriodicTask) -> str:
    """The five fields of a schedule's cron; "" if it has none."""
    row = task.crontab
    if not row:
        return ""
    fields = (row.minute, row.hour, row.day_of_month, row.month_of_year, row.day_of_week)
    return " ".join(field.replace(" ", "") for field in fields)
