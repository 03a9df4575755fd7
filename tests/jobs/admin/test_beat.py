"""Schedules in the admin: django-celery-beat's models, with job types and payloads that fit."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from django_celery_results.models import GroupResult, TaskResult

from jobs.models import Event, Job
from tests.jobs.admin.conftest import told

LIST = "/admin/django_celery_beat/periodictask/"
TIMES = ["crontabschedule", "intervalschedule", "clockedschedule", "solarschedule"]
Staff = Callable[..., Client]


@pytest.fixture
def nightly(db: None) -> CrontabSchedule:
    return CrontabSchedule.objects.create(minute="0", hour="2")


@pytest.fixture
def schedule(nightly: CrontabSchedule) -> PeriodicTask:
    return PeriodicTask.objects.create(
        name="greeting", task="greet_guest", kwargs='{"guestName": "Ada"}', crontab=nightly, queue="cpu", priority=8
    )


def save(client: Client, crontab: CrontabSchedule, *, address: str = f"{LIST}add/", **fields: Any) -> Any:
    form = {
        "name": "greeting",
        "task": "greet_guest",
        "kwargs": '{"guestName": "Ada"}',
        "enabled": "on",
        "crontab": crontab.pk,
        "queue": "",
        "priority": "",
        "start_time_0": "",
        "start_time_1": "",
        "expires_0": "",
        "expires_1": "",
    }
    return client.post(address, {**form, **fields})


def errors(response: Any) -> dict[str, list[str]]:
    return dict(response.context["adminform"].errors)


def test_a_schedule_is_made(operator: Client, nightly: CrontabSchedule) -> None:
    assert save(operator, nightly, queue="cpu", priority="8", description="every night").status_code == 302
    made = PeriodicTask.objects.get()
    assert (made.task, made.kwargs, made.queue, made.priority) == ("greet_guest", '{"guestName": "Ada"}', "cpu", 8)


def test_empty_fields_leave_it_to_the_job_type(operator: Client, nightly: CrontabSchedule) -> None:
    save(operator, nightly, task="refuse_guest", kwargs="")
    made = PeriodicTask.objects.get()
    assert (made.kwargs, made.queue, made.priority) == ("{}", None, None)


def events() -> list[tuple[str, str, Any, Any]]:
    return list(Event.objects.order_by("id").values_list("kind", "actor", "before", "after"))


def test_its_policies_are_fields_beside_it(operator: Client, nightly: CrontabSchedule) -> None:
    save(operator, nightly)
    made = PeriodicTask.objects.get()
    assert (made.options.overlap, made.options.missed_runs) == ("allow", "one")
    page = operator.get(f"{LIST}{made.pk}/change/")
    initial = page.context["adminform"].form
    assert (initial["overlap"].value(), initial["missed_runs"].value()) == ("allow", "one")
    save(operator, nightly, address=f"{LIST}{made.pk}/change/", overlap="skip", missed_runs="all")
    made = PeriodicTask.objects.get()
    assert (made.options.overlap, made.options.missed_runs) == ("skip", "all")
    assert operator.get(f"{LIST}{made.pk}/change/").context["adminform"].form["overlap"].value() == "skip"
    assert list(errors(save(operator, nightly, name="other", overlap="stack"))) == ["overlap"]


def test_each_save_leaves_an_event(operator: Client, nightly: CrontabSchedule) -> None:
    save(operator, nightly)
    made = PeriodicTask.objects.get()
    save(operator, nightly, address=f"{LIST}{made.pk}/change/", overlap="skip", queue="cpu")
    ((created, *_, first), (changed, actor, before, after)) = events()
    assert (created, first["cron"], first["payload"]) == ("created", "0 2 * * *", {"guestName": "Ada"})
    assert (changed, actor) == ("changed", "ada")
    assert before == {"overlap": "allow", "queue": None}
    assert after == {"overlap": "skip", "queue": "cpu"}


def test_a_schedule_keeps_its_name(operator: Client, nightly: CrontabSchedule, schedule: PeriodicTask) -> None:
    save(operator, nightly, address=f"{LIST}{schedule.pk}/change/", name="other", priority="3")
    assert PeriodicTask.objects.values_list("name", "priority").get() == ("greeting", 3)


def test_deleting_leaves_events_too(operator: Client, schedule: PeriodicTask) -> None:
    operator.post(f"{LIST}{schedule.pk}/delete/", {"post": "yes"})
    schedule.pk = None
    schedule.save()
    operator.post(LIST, {"action": "delete_selected", "_selected_action": [schedule.pk], "post": "yes"})
    assert not PeriodicTask.objects.exists()
    assert [(kind, actor) for kind, actor, *_ in events()] == [("deleted", "ada"), ("deleted", "ada")]


class TestSecrets:
    @pytest.fixture
    def change(self, schedule: PeriodicTask) -> str:
        PeriodicTask.objects.update(kwargs='{"guestName": "Ada", "apiToken": "hunter2"}')
        return f"{LIST}{schedule.pk}/change/"

    def test_are_shown_to_nobody(self, operator: Client, as_staff: Staff, change: str, schedule: PeriodicTask) -> None:
        reader = as_staff("django_celery_beat.view_periodictask", "django_celery_beat.view_crontabschedule")
        for client in (operator, reader):
            for address in (change, LIST, f"/admin/django_celery_beat/crontabschedule/{schedule.crontab_id}/change/"):
                page = client.get(address)
                assert page.status_code == 200
                assert "hunter2" not in page.content.decode()
        text = reader.get(change).content.decode()
        assert "&quot;apiToken&quot;: &quot;***&quot;" in text
        assert "allow" in text

    def test_stay_when_they_are_left_as_shown(self, operator: Client, nightly: CrontabSchedule, change: str) -> None:
        shown = '{"guestName": "Bob", "apiToken": "***"}'
        assert save(operator, nightly, address=change, kwargs=shown).status_code == 302
        assert PeriodicTask.objects.get().kwargs == '{"guestName": "Bob", "apiToken": "hunter2"}'

    def test_are_not_shown_when_their_type_is_gone(self, operator: Client, change: str) -> None:
        PeriodicTask.objects.update(task="no_such_type")
        assert operator.get(change).context["adminform"].form["kwargs"].value() == (
            '{"guestName": "***", "apiToken": "***"}'
        )

    def test_what_is_no_json_is_shown_as_it_is(self, operator: Client, change: str) -> None:
        PeriodicTask.objects.update(kwargs="{")
        assert operator.get(change).context["adminform"].form["kwargs"].value() == "{"


WRONG = [
    ({"kwargs": '{"guest": 1}'}, "kwargs", ["guestName: Field required", "guest: Extra inputs are not permitted"]),
    ({"kwargs": "[]"}, "kwargs", ["A payload is a JSON object: {…}"]),
    ({"kwargs": '{"guestName": "\\u0000"}'}, "kwargs", ["not storable: a NUL character in a string"]),
    ({"task": "add_guests", "kwargs": '{"there": 1}'}, "kwargs", None),
    ({"task": "no_such_type"}, "task", ["Select a valid choice. no_such_type is not one of the available choices."]),
    ({"task": ""}, "task", ["This field is required."]),
    ({"queue": "nowhere"}, "queue", ["Select a valid choice. nowhere is not one of the available choices."]),
    ({"priority": "11"}, "priority", ["Ensure this value is less than or equal to 10."]),
]


@pytest.mark.parametrize(("change", "field", "told"), WRONG, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_told_at_its_field(
    operator: Client, nightly: CrontabSchedule, change: dict[str, Any], field: str, told: list[str] | None
) -> None:
    found = errors(save(operator, nightly, **change))
    assert list(found) == [field]
    assert told is None or found[field] == told
    assert not PeriodicTask.objects.exists()


def test_a_payload_that_is_no_json_is_told(operator: Client, nightly: CrontabSchedule) -> None:
    (message,) = errors(save(operator, nightly, kwargs="{"))["kwargs"]
    assert message.startswith("This is not JSON: ")


def test_the_form_offers_job_types_only(operator: Client) -> None:
    form = operator.get(f"{LIST}add/").context["adminform"].form
    names = [name for name, _ in form.fields["task"].choices if name]
    assert {"greet_guest", "refuse_guest", "add_guests"} <= set(names)
    assert not [name for name in names if name.startswith("celery.")]


def test_schedules_are_enabled_disabled_and_run(operator: Client, schedule: PeriodicTask) -> None:
    chosen = {"_selected_action": [schedule.pk]}
    operator.post(LIST, {"action": "disable_tasks", **chosen})
    assert not PeriodicTask.objects.get().enabled
    operator.post(LIST, {"action": "enable_tasks", **chosen})
    assert PeriodicTask.objects.get().enabled
    assert told(operator.post(LIST, {"action": "run_tasks", **chosen}, follow=True))[-1] == "greeting: enqueued."
    job = Job.objects.get()
    assert (job.type, job.queue, job.priority, job.schedule, job.created_by) == (
        "greet_guest",
        "cpu",
        8,
        "greeting",
        "ada",
    )
    assert [(kind, actor) for kind, actor, *_ in events()] == [("stopped", "ada"), ("started", "ada"), ("run", "ada")]


def test_a_schedule_that_no_longer_fits_says_so_when_it_is_run(operator: Client, schedule: PeriodicTask) -> None:
    PeriodicTask.objects.update(kwargs="{}")
    (message,) = told(operator.post(LIST, {"action": "run_tasks", "_selected_action": [schedule.pk]}, follow=True))
    assert message == "greeting: greet_guest: guestName: Field required"


def test_running_now_needs_the_permission_to_enqueue(as_staff: Staff, schedule: PeriodicTask) -> None:
    client = as_staff("django_celery_beat.change_periodictask")
    client.post(LIST, {"action": "run_tasks", "_selected_action": [schedule.pk]})
    assert not Job.objects.exists()


@pytest.mark.parametrize("model", TIMES)
def test_the_kinds_of_times_have_their_pages(operator: Client, schedule: PeriodicTask, model: str) -> None:
    assert operator.get(f"/admin/django_celery_beat/{model}/add/").status_code == 200
    page = operator.get(f"/admin/django_celery_beat/crontabschedule/{schedule.crontab_id}/change/")
    assert "greeting" in page.content.decode()


def test_results_have_no_pages_of_their_own(db: None) -> None:
    assert not admin.site.is_registered(TaskResult)
    assert not admin.site.is_registered(GroupResult)
