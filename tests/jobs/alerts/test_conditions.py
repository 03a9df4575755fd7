from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobs import lifecycle
from jobs.alerts.conditions import readings, words
from jobs.lifecycle import Verb
from jobs.models import AlertRule, Job, Queue, RolledUp, Worker
from jobs.rollups import roll_up
from tests.jobs.rows import claim, ended, enqueued, new

pytestmark = pytest.mark.django_db

Kind = AlertRule.Kind


def told(kind: Kind, threshold: float, **fields: Any) -> dict[str, tuple[float, str]]:
    rule = AlertRule(name="watch", kind=kind, threshold=threshold, **fields)
    return {reading.subject: (reading.value, reading.message) for reading in readings(rule)}


def ran(verb: Verb, count: int, **fields: Any) -> None:
    lifecycle.enqueue([new(max_attempts=1, **fields) for _ in range(count)])
    for job in claim(count):
        ended(job, verb)


def test_failure_rate_is_of_what_ended_within_the_window() -> None:
    ran(Verb.COMPLETE, 17, type="mend")
    ran(Verb.FAIL, 3, type="mend")
    assert told(Kind.FAILURE_RATE, 10) == {"": (15.0, "15.0 % of 20 jobs failed within 60 minutes (more than 10 %)")}
    assert not told(Kind.FAILURE_RATE, 15)
    Job.objects.update(finished_at=Now() - timedelta(hours=2))
    assert not told(Kind.FAILURE_RATE, 10)


def test_failure_rate_of_one_type() -> None:
    ran(Verb.FAIL, 12, type="mend")
    ran(Verb.COMPLETE, 12, type="paint")
    assert list(told(Kind.FAILURE_RATE, 10, type="mend")) == ["mend"]
    assert not told(Kind.FAILURE_RATE, 10, type="paint")


def test_one_failure_of_few_is_no_rate() -> None:
    ran(Verb.FAIL, 5)
    assert not told(Kind.FAILURE_RATE, 10)


def test_backlog_counts_what_waits_in_each_queue() -> None:
    lifecycle.enqueue([new() for _ in range(4)])
    assert told(Kind.BACKLOG, 3)["default"] == (4, "4 jobs wait in default (more than 3)")
    assert not told(Kind.BACKLOG, 4)
    assert not told(Kind.BACKLOG, 1e30)
    assert not told(Kind.BACKLOG, 3, queue="cpu")
    lifecycle.pause("default", actor="ada")
    assert told(Kind.BACKLOG, 3)["default"][1].endswith("; it is paused by ada")


def test_backlog_age_is_how_long_the_oldest_has_been_due() -> None:
    enqueued(delay=5000)
    assert not told(Kind.BACKLOG_AGE, 600)
    Job.objects.filter(pk=enqueued().id).update(scheduled_at=Now() - timedelta(minutes=20))
    value, message = told(Kind.BACKLOG_AGE, 600)["default"]
    assert value >= 1200
    assert message == "a job has waited for 20 minutes in default (more than 10 minutes)"


@pytest.fixture
def took(db: None) -> Callable[[int, float, timedelta], None]:
    """That many jobs took so many seconds each, so long ago."""

    def run(count: int, seconds: float, ago: timedelta) -> None:
        before = set(Job.objects.values_list("pk", flat=True))
        ran(Verb.COMPLETE, count, type="mend")
        end = timezone.now() - ago
        start = end - timedelta(seconds=seconds)
        Job.objects.exclude(pk__in=before).update(started_at=start, scheduled_at=start, finished_at=end)

    return run


def test_slow_compares_with_the_week(took: Callable[[int, float, timedelta], None]) -> None:
    took(100, 1.0, timedelta(days=2))
    took(20, 10.0, timedelta(minutes=10))
    begin = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=3)
    RolledUp.objects.update_or_create(pk=1, defaults={"until": begin})
    while roll_up():
        pass
    ((value, message),) = told(Kind.SLOW, 2).values()
    assert value > 2
    assert message.startswith("mend takes ")
    assert not told(Kind.SLOW, 50)
    assert not told(Kind.SLOW, 2, type="paint")


def test_worker_down_is_a_queue_that_nobody_serves() -> None:
    Worker.objects.create(name="io@a:1", pool="threads", queues=["default", "bgg"], concurrency=1)
    assert set(told(Kind.WORKER_DOWN, 60)) == set(Queue.objects.values_list("name", flat=True)) - {"default", "bgg"}
    Worker.objects.update(heartbeat_at=Now() - timedelta(seconds=90))
    assert told(Kind.WORKER_DOWN, 60)["default"][1] == "no worker takes jobs of default for 90 seconds"
    assert "default" not in told(Kind.WORKER_DOWN, 600)


def test_schedule_missed_names_the_due_time() -> None:
    cron = CrontabSchedule.objects.create(minute="*", hour="*")
    PeriodicTask.objects.create(name="nightly", task="smoke", crontab=cron)
    PeriodicTask.objects.update(date_changed=Now() - timedelta(hours=1))
    value, message = told(Kind.SCHEDULE_MISSED, 120)["nightly"]
    assert value >= 120
    assert "has not run; no beat is running" in message
    PeriodicTask.objects.update(enabled=False)
    assert not told(Kind.SCHEDULE_MISSED, 120)


FIRST = import_module("jobs.migrations.0005_alert_rules").RULES


def test_a_deployment_begins_with_rules_of_every_kind() -> None:
    assert {kind for _, kind, _, _ in FIRST} == set(Kind.values)


def test_each_rule_says_its_condition() -> None:
    rules = [AlertRule(kind=kind, threshold=threshold, window=window) for _, kind, threshold, window in FIRST]
    conditions = {rule.kind: words(rule) for rule in rules}
    assert conditions[Kind.FAILURE_RATE] == "more than 10 % fail within 60 minutes"
    assert conditions[Kind.SCHEDULE_MISSED] == "a schedule is more than 5 minutes late"
    assert len(set(conditions.values())) == len(Kind)
    assert words(AlertRule(kind="moon-phase", threshold=1)) == "moon-phase"
