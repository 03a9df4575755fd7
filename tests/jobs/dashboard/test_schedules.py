"""Schedules and one schedule: what is shown, what the buttons do, and who may."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from pytest_django import DjangoAssertNumQueries

from jobs import scheduling
from jobs.models import Event, Job, ScheduleRun
from jobs.scheduling import ScheduleFields
from tests.jobs.admin.conftest import told

Staff = Callable[..., Client]
LIST = "/jobs/schedules"
VIEW = ("jobs.view_job", "django_celery_beat.view_periodictask")


def make(name: str = "greeting", **changes: object) -> str:
    values = {"cron": "30 2 * * 1-5", "type": "greet_guest", "payload": {"guestName": "Ada"}, **changes}
    scheduling.create(ScheduleFields(name, **values), actor="setup")  # type: ignore[arg-type]
    return name


def page_of(name: str = "greeting", action: str = "") -> str:
    return reverse(f"dashboard:{f'{action}-' if action else ''}schedule", args=[name])


class TestList:
    def test_without_any_it_says_where_they_come_from(self, operator: Client) -> None:
        assert b"sync_schedules" in operator.get(LIST).content

    def test_shows_when_each_is_due_and_what_became_of_it(
        self, operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        make(timezone="Europe/London", description="Every working night.")
        make("other", cron="0 * * * *")
        job = scheduling.run("greeting", actor="ada").id
        now = timezone.now()
        ScheduleRun.objects.create(schedule="greeting", due_at=now - timedelta(hours=3), job=uuid4())
        ScheduleRun.objects.create(schedule="greeting", due_at=now - timedelta(hours=2), job=job)
        ScheduleRun.objects.create(
            schedule="greeting", due_at=now - timedelta(hours=1), outcome="skipped", reason="busy"
        )
        with django_assert_max_num_queries(10):
            text = operator.get(LIST).content.decode()
        assert "At 02:30, Monday through Friday" in text
        assert "<code>30 2 * * 1-5</code> Europe/London" in text
        for run in scheduling.state("greeting").next_runs:
            assert f'<time datetime="{run.isoformat()}"' in text
        strip = text[text.index('<ul class="strip"') : text.index("</ul>")]
        assert strip.index("cell-enqueued") < strip.index("cell-pending") < strip.index("cell-skipped")
        assert f'class="cell cell-pending" href="{reverse("dashboard:job", args=[job])}"' in strip
        assert "skipped: busy" in strip

    def test_has_tabs(self, operator: Client) -> None:
        make()
        make("resting", enabled=False)
        assert [s.name for s in operator.get(LIST).context["schedules"]] == ["greeting", "resting"]
        assert [s.name for s in operator.get(LIST, {"show": "running"}).context["schedules"]] == ["greeting"]
        page = operator.get(LIST, {"show": "stopped"})
        assert [s.name for s in page.context["schedules"]] == ["resting"]
        assert [tab["count"] for tab in page.context["tabs"]] == [2, 1, 1]
        assert len(operator.get(LIST, {"show": "dancing"}).context["schedules"]) == 2

    def test_has_pages(self, operator: Client) -> None:
        for n in range(35):
            make(f"s{n:02}", enabled=bool(n % 7))
        first = operator.get(LIST)
        assert [s.name for s in first.context["schedules"]] == [f"s{n:02}" for n in range(30)]
        assert "?show=&amp;after=s29" in first.content.decode()
        second = operator.get(LIST, {"after": "s29"})
        assert [s.name for s in second.context["schedules"]] == ["s30", "s31", "s32", "s33", "s34"]
        assert [s.name for s in operator.get(LIST, {"after": "s29", "show": "running"}).context["schedules"]] == [
            "s30",
            "s31",
            "s32",
            "s33",
            "s34",
        ]
        assert b"No further schedule is stopped." in operator.get(LIST, {"after": "s29", "show": "stopped"}).content
        assert len(operator.get(LIST, {"after": "\0"}).context["schedules"]) == 30

    def test_marks_late_and_wrong_ones(self, operator: Client) -> None:
        make(cron="* * * * *")
        PeriodicTask.objects.update(date_changed=timezone.now() - timedelta(hours=1))
        wrong = IntervalSchedule.objects.create(every=0, period="hours")
        PeriodicTask.objects.create(name="wrong", task="greet_guest", interval=wrong)
        text = operator.get(LIST).content.decode()
        assert "badge-late" in text
        assert "bad interval: 0 hours" in text


class TestOne:
    def test_shows_everything_but_secrets(self, operator: Client) -> None:
        make(
            timezone="America/New_York", overlap="buffer-one", missed_runs="all", priority="high", description="Hello."
        )
        job = scheduling.run("greeting", actor="bob").id
        scheduling.update("greeting", {"cron": "0 3 * * *"}, actor="cleo")
        text = operator.get(page_of()).content.decode()
        assert "At 03:00" in text
        assert "one due time waits for its end" in text
        assert "each is made up for" in text
        assert "Hello." in text
        assert reverse("dashboard:job", args=[job]) in text
        assert "cleo" in text
        assert "30 2 * * 1-5" in text  # before the change
        for run in scheduling.state("greeting").next_runs:
            assert text.count(f'datetime="{run.isoformat()}"') == 3  # there, in UTC, and how long until then

    def test_a_name_may_hold_anything(self, operator: Client) -> None:
        PeriodicTask.objects.create(
            name="a/b & <c>", task="x", interval=IntervalSchedule.objects.create(every=1, period="days")
        )
        assert operator.get(LIST).status_code == 200
        assert "a/b &amp; &lt;c&gt;" in operator.get(page_of("a/b & <c>")).content.decode()

    def test_history_has_pages(self, operator: Client) -> None:
        make()
        now = timezone.now()
        ScheduleRun.objects.bulk_create(
            ScheduleRun(schedule="greeting", due_at=now - timedelta(minutes=n), outcome="missed") for n in range(40)
        )
        first = operator.get(page_of())
        assert len(first.context["runs"]) == 30
        second = operator.get(page_of(), {"before": first.context["older"]})
        assert (len(second.context["runs"]), second.context["older"]) == (10, None)
        assert operator.get(page_of(), {"before": "yesterday"}).status_code == 200

    def test_an_unknown_one_is_not_found(self, operator: Client) -> None:
        assert operator.get(page_of("no such")).status_code == 404
        for action in ("start", "stop", "run", "delete"):
            assert operator.post(page_of("no such", action)).status_code == 404
        assert operator.get(page_of("no such", "edit")).status_code == 404


class TestButtons:
    def test_stop_and_start(self, operator: Client) -> None:
        make()
        answer = operator.post(page_of(action="stop"), {"next": "/jobs/schedules?show=running"}, follow=True)
        assert answer.redirect_chain == [("/jobs/schedules?show=running", 302)]
        assert not PeriodicTask.objects.get().enabled
        assert told(operator.post(page_of(action="start"), follow=True)) == ["Schedule greeting is on."]
        assert PeriodicTask.objects.get().enabled
        assert list(Event.objects.order_by("id").values_list("kind", "actor")[1:]) == [
            ("stopped", "ada"),
            ("started", "ada"),
        ]

    def test_run_now(self, operator: Client) -> None:
        make()
        (message,) = told(operator.post(page_of(action="run"), follow=True))
        job = Job.objects.get()
        assert message == f"Job {job.id} of schedule greeting is enqueued."
        assert (job.schedule, job.created_by) == ("greeting", "ada")

    def test_run_now_says_why_it_cannot(self, operator: Client) -> None:
        make()
        PeriodicTask.objects.update(kwargs="{}")
        (message,) = told(operator.post(page_of(action="run"), follow=True))
        assert message == "greeting: greet_guest: guestName: Field required"
        PeriodicTask.objects.update(kwargs="{")
        (message,) = told(operator.post(page_of(action="run"), follow=True))
        assert message.startswith("greeting: the schedule's payload is not JSON: Expecting property name")

    def test_delete(self, operator: Client) -> None:
        make()
        answer = operator.post(page_of(action="delete"), follow=True)
        assert (answer.redirect_chain, told(answer)) == ([(LIST, 302)], ["Schedule greeting is deleted."])
        assert not PeriodicTask.objects.exists()


class TestPermissions:
    BUTTONS = {
        "start": "django_celery_beat.change_periodictask",
        "stop": "django_celery_beat.change_periodictask",
        "run": "jobs.add_job",
        "delete": "django_celery_beat.delete_periodictask",
    }

    def test_seeing_them_needs_one(self, as_staff: Staff) -> None:
        make()
        outsider = as_staff("jobs.view_job", "jobs.add_job")
        assert [outsider.get(LIST).status_code, outsider.get(page_of()).status_code] == [403, 403]

    def test_who_may_only_look_sees_no_button(self, as_staff: Staff) -> None:
        make()
        reader = as_staff(*VIEW)
        for address in (LIST, page_of()):
            text = reader.get(address).content.decode()
            assert "<form" not in text[text.index("<main") :].partition('<dialog class="dialog" id="confirm"')[0]
            assert "edit" not in text[text.index("<main") :].partition("</main>")[0]

    @pytest.mark.parametrize("button", BUTTONS)
    def test_each_button_needs_its_own(self, as_staff: Staff, button: str) -> None:
        make()
        reader = as_staff(*VIEW, *sorted(set(self.BUTTONS.values()) - {self.BUTTONS[button]}))
        assert reader.post(page_of(action=button)).status_code == 403
        assert page_of(action=button) not in reader.get(page_of()).content.decode()
        assert as_staff(*VIEW, self.BUTTONS[button]).post(page_of(action=button)).status_code == 302

    @pytest.mark.parametrize("button", BUTTONS)
    def test_a_link_presses_none(self, operator: Client, button: str) -> None:
        make()
        assert operator.get(page_of(action=button)).status_code == 405
        assert Client().post(page_of(action=button)).status_code == 302
