"""What people do to schedules, and the event that each action leaves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import shared_task
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from jobs import scheduling
from jobs.errors import InvalidPayload, InvalidSchedule, UnknownProcessor, UnknownSchedule
from jobs.models import Event, Job, ScheduleOptions, ScheduleRun
from jobs.processor import CRON_EXPRESSIONS, JobContext, Payload, Secret, processor
from jobs.scheduling import ScheduleFields

pytestmark = pytest.mark.django_db


class Peal(Payload):
    bells: int = 8
    ringers: list[str] = []
    tower_key: Secret = "none"


@processor(queue="cpu", priority="low")
def operated_peal(payload: Peal, job: JobContext) -> None:
    """Ring the changes."""


@shared_task(name="operated_plain")
def operated_plain(first: int, second: int = 0) -> None:
    """A plain task."""


def fields(**changes: Any) -> ScheduleFields:
    values = {"name": "peal", "cron": "30 2 * * 1-5", "type": "operated_peal", "timezone": "Europe/London"}
    return ScheduleFields(**{**values, **changes})


@pytest.fixture
def peal() -> scheduling.ScheduleState:
    return scheduling.create(fields(payload={"towerKey": "hunter2", "bells": 6}), actor="ada")


def events() -> list[tuple[str, str, Any, Any]]:
    found = Event.objects.filter(schedule="peal").order_by("id")
    return list(found.values_list("kind", "actor", "before", "after"))


def wrong(error: pytest.ExceptionInfo[InvalidSchedule]) -> dict[str, str]:
    return {".".join(map(str, e["loc"])): str(e["msg"]) for e in error.value.errors}  # type: ignore[call-overload]


class TestCreate:
    def test_makes_rows_that_beat_and_the_admin_know(self) -> None:
        policies = {"overlap": "skip", "missed_runs": "all"}
        scheduling.create(
            fields(payload={"bells": 6}, priority="high", description="Practice.", **policies), actor="ada"
        )
        task = PeriodicTask.objects.get()
        assert (task.name, task.task, task.priority, task.description) == ("peal", "operated_peal", 8, "Practice.")
        assert (str(task.crontab), task.kwargs, task.enabled) == (
            "30 2 * * 1-5 (m/h/dM/MY/d) Europe/London",
            '{"bells": 6}',
            True,
        )
        assert (task.options.overlap, task.options.missed_runs) == ("skip", "all")
        task.full_clean()

    def test_shares_a_crontab_that_is_there(self) -> None:
        row = CrontabSchedule.objects.create(minute="0", hour="*", timezone="UTC")
        scheduling.create(fields(cron=CRON_EXPRESSIONS.EVERY_HOUR, timezone="UTC"), actor="ada")
        assert PeriodicTask.objects.get().crontab == row

    def test_keeps_the_arguments_of_a_plain_task(self) -> None:
        payload = {"args": [1], "kwargs": {"second": 2}}
        made = scheduling.create(fields(type="operated_plain", payload=payload), actor="ada")
        task = PeriodicTask.objects.get()
        assert (task.args, task.kwargs, made.payload) == ("[1]", '{"second": 2}', payload)

    def test_fires_nothing(self, peal: scheduling.ScheduleState) -> None:
        assert not Job.objects.exists()

    @pytest.mark.parametrize("enabled", [True, False])
    def test_runs_once_at_once_if_asked(self, enabled: bool) -> None:
        made = scheduling.create(fields(run_on_init=True, enabled=enabled), actor="ada")
        job = Job.objects.get()
        assert (job.schedule, job.created_by, made.last_job_id, made.last_status) == ("peal", "ada", job.id, "pending")
        assert (made.enabled, made.running) == (enabled, enabled)

    def test_leaves_an_event_without_secrets(self, peal: scheduling.ScheduleState) -> None:
        assert events() == [
            (
                "created",
                "ada",
                None,
                {
                    "cron": "30 2 * * 1-5",
                    "timezone": "Europe/London",
                    "type": "operated_peal",
                    "payload": {"towerKey": "***", "bells": 6},
                    "priority": None,
                    "enabled": True,
                    "description": "",
                    "overlap": "allow",
                    "missed_runs": "one",
                },
            )
        ]

    def test_names_every_wrong_field(self) -> None:
        with pytest.raises(InvalidSchedule) as raised:
            scheduling.create(
                fields(
                    name="a/b",
                    cron="61 * * * *",
                    payload={"bells": "many", "tune": 1},
                    priority=11,
                    description="\0",
                    overlap="stack",
                    missed_runs="some",
                ),
                actor="ada",
            )
        assert wrong(raised) == {
            "name": "a name has no slash and no control characters",
            "description": "a description has up to 10,000 storable characters",
            "cron": "bad minute '61': Invalid end range: 61 > 59.",
            "payload.bells": "Input should be a valid integer, unable to parse string as an integer",
            "payload.tune": "Extra inputs are not permitted",
            "priority": "expected 1 to 10 or one of batch, low, normal, high, critical, got 11",
            "overlap": "'stack' is not one of allow, skip, buffer-one",
            "missed_runs": "'some' is not one of skip, one, all",
        }
        assert not PeriodicTask.objects.exists()
        assert not CrontabSchedule.objects.exists()

    @pytest.mark.parametrize(
        ("change", "place", "told"),
        [
            ({"name": ""}, "name", "a name has 1 to 200 characters and no space at its ends"),
            ({"timezone": "Mars/Olympus"}, "timezone", "no time zone 'Mars/Olympus'"),
            ({"timezone": ""}, "timezone", "no time zone ''"),
            ({"cron": "0 2 * *"}, "cron", "a cron has five fields, not 4"),
            ({"cron": ",".join("0" * 200) + " * * * *"}, "cron", "bad cron "),
            ({"type": "no_such_type"}, "type", "unknown job type 'no_such_type'"),
            ({"type": "celery.backend_cleanup"}, "type", "unknown job type 'celery.backend_cleanup'"),
            ({"payload": []}, "payload", "expected an object, got list"),
        ],
    )
    def test_names_the_wrong_field(self, change: dict[str, Any], place: str, told: str) -> None:
        with pytest.raises(InvalidSchedule) as raised:
            scheduling.create(fields(**change), actor="ada")
        ((found, message),) = wrong(raised).items()
        assert (found, message.startswith(told)) == (place, True)

    def test_refuses_a_name_that_is_taken(self, peal: scheduling.ScheduleState) -> None:
        with pytest.raises(InvalidSchedule) as raised:
            scheduling.create(fields(), actor="bob")
        assert wrong(raised) == {"name": "there is a schedule 'peal' already"}
        assert len(events()) == 1


class TestUpdate:
    def test_changes_what_is_given_and_leaves_the_rest(self, peal: scheduling.ScheduleState) -> None:
        found = scheduling.update("peal", {"cron": "0 3 * * *", "missed_runs": "skip"}, actor="bob")
        assert (found.cron, found.timezone, found.missed_runs, found.overlap) == (
            "0 3 * * *",
            "Europe/London",
            "skip",
            "allow",
        )
        assert (found.type, found.payload) == ("operated_peal", {"towerKey": "***", "bells": 6})

    def test_leaves_other_schedules_of_the_same_crontab_alone(self, peal: scheduling.ScheduleState) -> None:
        scheduling.create(fields(name="other"), actor="ada")
        scheduling.update("peal", {"timezone": "UTC"}, actor="ada")
        assert scheduling.state("other").timezone == "Europe/London"

    def test_records_what_differs(self, peal: scheduling.ScheduleState) -> None:
        scheduling.update("peal", {"cron": "0 3 * * *", "description": "", "payload": {"bells": 8}}, actor="bob")
        assert events()[1:] == [
            (
                "changed",
                "bob",
                {"cron": "30 2 * * 1-5", "payload": {"towerKey": "***", "bells": 6}},
                {"cron": "0 3 * * *", "payload": {"bells": 8}},
            )
        ]
        scheduling.update("peal", {"cron": "0 3 * * *"}, actor="bob")
        assert len(events()) == 2

    def test_of_nothing_touches_nothing(self, peal: scheduling.ScheduleState) -> None:
        before = PeriodicTask.objects.values().get()
        scheduling.update("peal", {}, actor="bob")
        assert (PeriodicTask.objects.values().get(), len(events())) == (before, 1)

    def test_keeps_secrets_that_are_given_as_shown(self, peal: scheduling.ScheduleState) -> None:
        scheduling.update("peal", {"payload": {"towerKey": "***", "bells": 10}}, actor="bob")
        assert PeriodicTask.objects.get().kwargs == '{"towerKey": "hunter2", "bells": 10}'

    def test_records_that_a_secret_changed_and_not_what_it_is(self, peal: scheduling.ScheduleState) -> None:
        scheduling.update("peal", {"payload": {"towerKey": "swordfish", "bells": 6}}, actor="bob")
        assert PeriodicTask.objects.get().kwargs == '{"towerKey": "swordfish", "bells": 6}'
        shown = {"payload": {"towerKey": "***", "bells": 6}}
        assert events()[1:] == [("changed", "bob", shown, shown)]

    def test_gives_times_by_a_cron_instead_of_others(self) -> None:
        PeriodicTask.objects.create(
            name="peal", task="operated_peal", interval=IntervalSchedule.objects.create(every=2, period="hours")
        )
        assert (
            scheduling.update("peal", {"description": "Still every two hours."}, actor="ada").words == "Every 2 hours"
        )
        with pytest.raises(InvalidSchedule) as raised:
            scheduling.update("peal", {"timezone": "UTC"}, actor="ada")
        assert wrong(raised) == {"cron": "a cron has five fields, not 0"}
        assert scheduling.update("peal", {"cron": "0 * * * *"}, actor="ada").words == "Every hour"

    def test_of_one_field_bears_what_is_wrong_with_another(self, peal: scheduling.ScheduleState) -> None:
        PeriodicTask.objects.update(task="no_such_type")
        assert scheduling.update("peal", {"description": "Gone."}, actor="ada").description == "Gone."

    @pytest.mark.parametrize("name", ["name", "run_on_init", "colour"])
    def test_refuses_what_cannot_be_changed(self, peal: scheduling.ScheduleState, name: str) -> None:
        with pytest.raises(InvalidSchedule) as raised:
            scheduling.update("peal", {name: "x"}, actor="ada")
        assert wrong(raised) == {name: "cannot be changed"}

    def test_checks_the_payload_against_a_new_type(self, peal: scheduling.ScheduleState) -> None:
        with pytest.raises(InvalidSchedule) as raised:
            scheduling.update("peal", {"type": "operated_plain"}, actor="ada")
        assert list(wrong(raised)) == ["payload"]


class TestSwitching:
    def test_stops_and_starts(self, peal: scheduling.ScheduleState) -> None:
        stopped = scheduling.stop("peal", actor="bob")
        assert (stopped.enabled, stopped.running, stopped.next_run) == (False, False, None)
        assert scheduling.start("peal", actor="cleo").running
        assert events()[1:] == [
            ("stopped", "bob", {"enabled": True}, {"enabled": False}),
            ("started", "cleo", {"enabled": False}, {"enabled": True}),
        ]

    def test_twice_is_once(self, peal: scheduling.ScheduleState) -> None:
        before = PeriodicTask.objects.values().get()
        assert scheduling.start("peal", actor="bob").enabled
        assert PeriodicTask.objects.values().get() == before
        assert len(events()) == 1

    def test_keeps_when_it_ran_last(self, peal: scheduling.ScheduleState) -> None:
        ran = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
        PeriodicTask.objects.update(last_run_at=ran)
        scheduling.stop("peal", actor="bob")  # django-celery-beat's own `save()` would clear it
        assert scheduling.start("peal", actor="bob").last_run == ran


class TestRun:
    def test_enqueues_its_job(self, peal: scheduling.ScheduleState) -> None:
        PeriodicTask.objects.update(priority=9, queue="default")
        scheduling.stop("peal", actor="ada")
        enqueued = scheduling.run("peal", actor="bob")
        job = Job.objects.get()
        assert enqueued.id == job.id
        assert (job.type, job.payload["towerKey"], job.payload["bells"]) == ("operated_peal", "hunter2", 6)
        assert (job.schedule, job.created_by, job.priority, job.queue) == ("peal", "bob", 9, "default")
        assert events()[-1] == ("run", "bob", None, {"job": str(job.id)})
        assert not ScheduleRun.objects.exists()

    def test_a_job_that_cannot_be_leaves_nothing(self, peal: scheduling.ScheduleState) -> None:
        PeriodicTask.objects.update(kwargs='{"bells": "many"}')
        with pytest.raises(InvalidPayload):
            scheduling.run("peal", actor="bob")
        PeriodicTask.objects.update(task="no_such_type")
        with pytest.raises(UnknownProcessor):
            scheduling.run("peal", actor="bob")
        assert len(events()) == 1


def test_deleting_takes_its_history_along(peal: scheduling.ScheduleState) -> None:
    scheduling.run("peal", actor="ada")
    ScheduleRun.objects.create(schedule="peal", due_at=timezone.now() - timedelta(days=1))
    scheduling.delete("peal", actor="bob")
    assert not PeriodicTask.objects.exists()
    assert not ScheduleRun.objects.exists()
    assert not ScheduleOptions.objects.exists()
    assert Job.objects.exists()
    kind, actor, before, after = events()[-1]
    assert (kind, actor, before["cron"], after) == ("deleted", "bob", "30 2 * * 1-5", None)


@pytest.mark.parametrize("name", ["peal", "", "\0", "\ud800"])
def test_an_unknown_schedule_is_told(name: str) -> None:
    for verb in (scheduling.start, scheduling.stop, scheduling.run, scheduling.delete):
        with pytest.raises(UnknownSchedule, match="there is no schedule"):
            verb(name, actor="ada")
    with pytest.raises(UnknownSchedule):
        scheduling.update(name, {}, actor="ada")
    with pytest.raises(UnknownSchedule):
        scheduling.state(name)
