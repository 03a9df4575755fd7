from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.admin import sites
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobs.duetimes import rule_of
from jobs.models import Job, ScheduleRun
from jobs.processor import JobContext, Payload, processor
from jobs.schedules import Schedule, declared, prune_runs, sync


class Toll(Payload):
    strokes: int = 1


@processor()
def declared_toll(payload: Toll, job: JobContext) -> None:
    """Toll a bell."""


class TestSchedule:
    def test_is_checked_when_declared(self) -> None:
        schedule = Schedule("bells", "declared_toll", "0 2 * * *", timezone="Europe/London", payload={"strokes": 2})
        assert (schedule.enabled, schedule.description, schedule.priority) == (True, "", None)
        with pytest.raises(FrozenInstanceError):
            schedule.cron = "0 3 * * *"  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"cron": "61 * * * *"}, "schedule 'bells': bad minute '61': Invalid end range: 61 > 59."),
            ({"cron": "0 2 * *"}, "schedule 'bells': a cron has five fields, not 4"),
            ({"cron": "@daily"}, "schedule 'bells': a cron has five fields, not 1"),
            ({"cron": "0 0 1-5-7 * *"}, "schedule 'bells': bad cron '0 0 1-5-7 * *': "),
            ({"timezone": "Mars/Olympus"}, "schedule 'bells': no time zone 'Mars/Olympus'"),
            ({"overlap": "stack"}, "schedule 'bells': overlap 'stack' is not one of allow, skip, buffer-one"),
            ({"missed_runs": "some"}, "schedule 'bells': missed_runs 'some' is not one of skip, one, all"),
            ({"cron": "0,0" + 130 * ",0" + " * * * *"}, "schedule 'bells': bad cron "),
            ({"priority": 11}, "schedule 'bells': priority 11 is not between 1 and 10"),
            ({"payload": {"at": object()}}, "schedule 'bells': the payload is not JSON: "),
            ({"payload": {"at": float("nan")}}, "schedule 'bells': "),
            ({"name": ""}, "schedule '': a name has 1 to 200 characters"),
        ],
    )
    def test_refuses_what_is_wrong_by_its_name(self, fields: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=r".") as raised:
            Schedule(**{"name": "bells", "type": "declared_toll", "cron": "0 2 * * *", **fields})
        assert str(raised.value).startswith(message)


@pytest.mark.django_db
class TestSync:
    BELLS = Schedule(
        "bells",
        "declared_toll",
        "30 2 * * 1-5",
        timezone="Europe/London",
        description="At night.",
        payload={"strokes": 2},
        priority=3,
        overlap="skip",
        missed_runs="all",
    )

    def test_makes_a_row(self) -> None:
        assert sync([self.BELLS]) == {"bells": True}
        task = PeriodicTask.objects.get()
        assert (task.name, task.task, task.description, task.priority) == ("bells", "declared_toll", "At night.", 3)
        assert (task.enabled, task.kwargs, str(task.crontab.timezone)) == (True, '{"strokes": 2}', "Europe/London")
        assert (task.options.overlap, task.options.missed_runs) == ("skip", "all")
        assert str(rule_of(task).times.zone) == "Europe/London"  # type: ignore[attr-defined]

    def test_leaves_a_row_as_people_left_it(self) -> None:
        sync([self.BELLS])
        PeriodicTask.objects.update(enabled=False, kwargs='{"strokes": 12}', task="bgg_sync")
        before = PeriodicTask.objects.values().get()
        assert sync([self.BELLS]) == {"bells": False}
        assert PeriodicTask.objects.values().get() == before

    def test_shares_a_crontab_even_one_that_is_there_twice(self) -> None:
        for _ in range(2):
            CrontabSchedule.objects.create(minute="0", hour="2", timezone="UTC")
        sync([Schedule("one", "declared_toll", "0 2 * * *"), Schedule("two", "declared_toll", "0 2 * * *")])
        assert CrontabSchedule.objects.count() == 2
        assert PeriodicTask.objects.values("crontab").distinct().count() == 1

    def test_a_disabled_one_is_made_disabled(self) -> None:
        sync([Schedule("bells", "declared_toll", "0 2 * * *", enabled=False)])
        assert not PeriodicTask.objects.get().enabled


@pytest.mark.django_db
def test_old_runs_go_but_the_latest_of_each_schedule() -> None:
    now = timezone.now()
    sync([Schedule(name, "declared_toll", "0 2 * * *") for name in ("bells", "yearly")])
    runs = {"bells": [9, 8, 1, 0], "yearly": [300, 200], "deleted": [300, 1]}
    for name, days in [(name, days) for name, all_days in runs.items() for days in all_days]:
        ScheduleRun.objects.create(
            schedule=name, due_at=now - timedelta(days=days), created_at=now - timedelta(days=days), job=uuid4()
        )
    week = 7 * 24 * 3600
    assert [prune_runs(week, limit=2), prune_runs(week, limit=2), prune_runs(week, limit=2)] == [2, 2, 0]
    left = ScheduleRun.objects.order_by("-due_at", "schedule").values_list("schedule", "due_at")
    assert [(name, (now - at).days) for name, at in left] == [
        ("bells", 0),
        ("bells", 1),
        ("deleted", 1),
        ("yearly", 200),
    ]


Room = Callable[[str], None]


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Room:
    """Install an app whose `tasks` declare these schedules."""

    def install(schedules: str) -> None:
        name = f"room_{tmp_path.name}"
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "tasks.py").write_text(f"from jobs.processor import Schedule\n\nSCHEDULES = [{schedules}]\n")
        monkeypatch.syspath_prepend(tmp_path)
        for holder in (admin, sites):  # each loading of the apps makes an empty admin site
            monkeypatch.setattr(holder, "site", admin.site)
        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, name]

    return install


@pytest.mark.django_db
class TestCommand:
    def run(self) -> list[str]:
        out = StringIO()
        call_command("sync_schedules", stdout=out)
        return out.getvalue().splitlines()

    def test_says_what_it_did(self, room: Room) -> None:
        room('Schedule("bells", "declared-toll", "0 2 * * *", payload={"strokes": 2})')
        assert "bells: created" in self.run()
        assert "bells: exists, left as it is" in self.run()
        assert PeriodicTask.objects.get(name="bells").task == "declared-toll"

    def test_runs_once_at_once_what_asks_for_it(self, room: Room) -> None:
        room('Schedule("bells", "declared_toll", "0 2 * * *", payload={"strokes": 2}, run_on_init=True)')
        self.run()
        self.run()
        job = Job.objects.get()
        assert (job.type, job.schedule, job.payload) == ("declared_toll", "bells", {"strokes": 2})

    def test_finds_what_the_rooms_declare(self) -> None:
        assert "cache-warmup" in {schedule.name for schedule in declared()}
        assert "cache-warmup: created" in self.run()
        warmup = PeriodicTask.objects.get(name="cache-warmup")
        assert (warmup.task, str(warmup.crontab)) == ("cache_warmup", "0 2 * * * (m/h/dM/MY/d) UTC")

    @pytest.mark.parametrize(
        ("schedules", "message"),
        [
            ('Schedule("bells", "no_such_type", "0 2 * * *")', "schedule 'bells': unknown job type 'no_such_type'"),
            (
                'Schedule("bells", "declared_toll", "0 2 * * *", payload={"strokes": "many"})',
                "schedule 'bells': declared_toll: strokes: ",
            ),
            ('*[Schedule("bells", "declared_toll", "0 2 * * *")] * 2', "schedule 'bells' is declared twice"),
        ],
    )
    def test_refuses_all_when_one_is_wrong(self, room: Room, schedules: str, message: str) -> None:
        room(f'Schedule("good", "declared_toll", "0 2 * * *"), {schedules}')
        with pytest.raises(CommandError) as raised:
            self.run()
        assert str(raised.value).startswith(message)
        assert not PeriodicTask.objects.exists()
