"""Making and changing a schedule on its page."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobs import scheduling
from jobs.models import Event, Job
from jobs.processor import JobContext, Payload, Secret, processor
from tests.jobs.admin.conftest import told

NEW, EDIT = "/jobs/new-schedule", "/jobs/schedules/greeting/edit"
ADD, CHANGE = "django_celery_beat.add_periodictask", "django_celery_beat.change_periodictask"
Staff = Callable[..., Client]


class Letter(Payload):
    words: str
    seal: Secret = ""
    copies: int = 1


@processor(queue="cpu")
def form_letter(payload: Letter, job: JobContext) -> None:
    """Write a letter."""


def given(**changes: Any) -> dict[str, Any]:
    """What the browser sends."""
    return {
        "name": "greeting",
        "description": "",
        "cron": "30 2 * * 1-5",
        "timezone": "Europe/London",
        "overlap": "skip",
        "missed_runs": "all",
        "type": "form_letter",
        "payload-words": "Dear all",
        "payload-seal": "lion",
        "payload-copies": "2",
        "priority": "8",
        "enabled": "on",
        **changes,
    }


@pytest.fixture
def schedule(operator: Client) -> PeriodicTask:
    operator.post(NEW, given())
    return PeriodicTask.objects.get()


def errors(page: Any) -> dict[str, list[str]]:
    forms = [page.context["form"], page.context["payload"]]
    return {name: list(messages) for form in forms if form for name, messages in form.errors.items()}


class TestNew:
    def test_makes_a_schedule(self, operator: Client) -> None:
        answer = operator.post(NEW, given(description="Two\r\nlines"), follow=True)
        assert answer.redirect_chain == [("/jobs/schedules/greeting", 302)]
        assert told(answer) == ["Schedule greeting is made."]
        found = scheduling.state("greeting")
        assert (found.cron, found.timezone, found.type, found.priority) == (
            "30 2 * * 1-5",
            "Europe/London",
            "form_letter",
            8,
        )
        assert (found.overlap, found.missed_runs, found.enabled) == ("skip", "all", True)
        assert (found.description, found.payload) == ("Two\nlines", {"words": "Dear all", "seal": "***", "copies": 2})
        assert PeriodicTask.objects.get().kwargs == '{"words": "Dear all", "seal": "lion", "copies": 2}'
        assert not Job.objects.exists()
        assert Event.objects.get().actor == "ada"

    def test_runs_it_once_if_asked(self, operator: Client) -> None:
        operator.post(NEW, given(run_on_init="on", enabled=""))
        assert Job.objects.get().schedule == "greeting"
        assert not PeriodicTask.objects.get().enabled

    @pytest.mark.parametrize(
        ("change", "field", "message"),
        [
            ({"name": "a/b"}, "name", "a name has no slash and no control characters"),
            ({"name": ""}, "name", "This field is required."),
            ({"cron": "61 * * * *"}, "cron", "bad minute '61': Invalid end range: 61 > 59."),
            ({"timezone": "Mars/Olympus"}, "timezone", "no time zone 'Mars/Olympus'"),
            ({"type": ""}, "type", "This field is required."),
            ({"payload-words": ""}, "words", "This field is required."),
            ({"payload-copies": "many"}, "copies", "Enter a whole number."),
            ({"overlap": "stack"}, "overlap", "Select a valid choice. stack is not one of the available choices."),
        ],
    )
    def test_tells_what_is_wrong_at_its_field(
        self, operator: Client, change: dict[str, str], field: str, message: str
    ) -> None:
        page = operator.post(NEW, given(**change))
        assert (page.status_code, errors(page)) == (200, {field: [message]})
        assert not PeriodicTask.objects.exists()

    def test_refuses_a_name_that_is_taken(self, operator: Client, schedule: PeriodicTask) -> None:
        assert errors(operator.post(NEW, given())) == {"name": ["there is a schedule 'greeting' already"]}

    def test_offers_the_form_of_the_type_in_its_address(self, operator: Client) -> None:
        assert b'name="payload-words"' in operator.get(NEW, {"type": "form_letter"}).content
        assert b"when you have chosen one" in operator.get(NEW).content
        assert operator.get(NEW, {"type": "no_such_type"}).status_code == 200


class TestEdit:
    def test_shows_what_there_is_but_no_secret(self, operator: Client, schedule: PeriodicTask) -> None:
        text = operator.get(EDIT).content.decode()
        assert 'value="30 2 * * 1-5"' in text
        assert "Dear all" in text
        assert "lion" not in text
        assert 'name="name"' not in text
        assert "run_on_init" not in text

    def test_changes_what_differs(self, operator: Client, schedule: PeriodicTask) -> None:
        answer = operator.post(
            EDIT, given(cron="0 3 * * *", **{"payload-seal": "", "payload-copies": "3"}), follow=True
        )
        assert told(answer)[-1] == "Schedule greeting is changed."
        assert PeriodicTask.objects.get().kwargs == '{"words": "Dear all", "seal": "lion", "copies": 3}'
        event = Event.objects.latest("id")
        assert (event.kind, sorted(event.after or {})) == ("changed", ["cron", "payload"])
        assert "lion" not in str(event.before) + str(event.after)

    def test_saving_it_as_it_is_changes_nothing(self, operator: Client, schedule: PeriodicTask) -> None:
        answer = operator.post(EDIT, given(**{"payload-seal": ""}), follow=True)
        assert told(answer)[-1] == "Nothing was changed."
        assert Event.objects.count() == 1

    def test_an_interval_may_stay(self, operator: Client) -> None:
        interval = IntervalSchedule.objects.create(every=2, period="hours")
        PeriodicTask.objects.create(
            name="greeting", task="form_letter", interval=interval, kwargs='{"words": "Dear all"}'
        )
        assert "Every 2 hours, as long as" in operator.get(EDIT).content.decode()
        operator.post(EDIT, given(cron="", timezone="UTC", priority=""))
        found = scheduling.state("greeting")
        assert (found.words, found.overlap, found.priority) == ("Every 2 hours", "skip", None)
        operator.post(EDIT, given(cron="0 * * * *", timezone="UTC"))
        assert scheduling.state("greeting").words == "Every hour"

    def test_another_type_takes_another_payload(self, operator: Client, schedule: PeriodicTask) -> None:
        sent = given(type="greet_guest", **{"payload-guestName": "Bob"})
        operator.post(EDIT, sent)
        assert PeriodicTask.objects.get().task == "greet_guest"
        assert "lion" not in PeriodicTask.objects.get().kwargs

    def test_of_a_type_that_is_gone_asks_for_another(self, operator: Client, schedule: PeriodicTask) -> None:
        PeriodicTask.objects.update(task="no_such_type")
        assert operator.get(EDIT).status_code == 200
        assert list(errors(operator.post(EDIT, given(type="no_such_type")))) == ["type"]
        assert operator.post(EDIT, given()).status_code == 302


class TestWhileTyping:
    def test_a_cron_is_said_in_words_with_its_next_runs(self, operator: Client) -> None:
        asked = {"cron": "30 2 * * 1-5", "timezone": "America/New_York"}
        text = operator.get("/jobs/schedule-preview", asked).content.decode()
        assert "At 02:30, Monday through Friday" in text
        assert text.count("<li>") == 5
        for run in scheduling.next_runs("30 2 * * 1-5", 5, "America/New_York"):
            assert run.isoformat() in text

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"cron": "61 * * * *"}, "bad minute &#x27;61&#x27;"),
            ({"cron": "* * * * *", "timezone": "Mars/Olympus"}, "no time zone &#x27;Mars/Olympus&#x27;"),
            ({}, "while you type"),
        ],
    )
    def test_what_is_wrong_is_said(self, operator: Client, asked: dict[str, str], message: str) -> None:
        assert message in operator.get("/jobs/schedule-preview", asked).content.decode()

    def test_the_payload_is_asked_for_as_the_type_takes_it(self, operator: Client, schedule: PeriodicTask) -> None:
        address = "/jobs/schedule-payload"
        assert b'name="payload-words"' in operator.get(address, {"type": "form_letter"}).content
        kept = operator.get(address, {"type": "form_letter", "schedule": "greeting"}).content
        assert b"Dear all" in kept
        assert b"lion" not in kept
        assert b"when you have chosen one" in operator.get(address, {"type": ""}).content


class TestPermissions:
    @pytest.mark.parametrize(
        ("address", "permission"), [(NEW, ADD), (EDIT, CHANGE), ("/jobs/schedule-preview", "jobs.view_job")]
    )
    def test_each_page_needs_its_own(
        self, as_staff: Staff, schedule: PeriodicTask, address: str, permission: str
    ) -> None:
        others = {ADD, CHANGE, "jobs.view_job"} - {permission}
        assert as_staff(*others).get(address).status_code == 403
        assert as_staff(permission).get(address).status_code == 200

    def test_whoever_may_not_enqueue_runs_nothing_at_once(self, as_staff: Staff) -> None:
        client = as_staff(ADD, "django_celery_beat.view_periodictask", "jobs.view_job")
        assert b"run_on_init" not in client.get(NEW).content
        assert client.post(NEW, given(run_on_init="on")).status_code == 302
        assert not Job.objects.exists()

    def test_the_payload_of_a_schedule_is_for_who_may_change_it(self, as_staff: Staff, schedule: PeriodicTask) -> None:
        asked = {"type": "form_letter", "schedule": "greeting"}
        assert as_staff("jobs.view_job").get("/jobs/schedule-payload", asked).status_code == 403
