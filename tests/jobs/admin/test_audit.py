"""Everything that somebody changes in the admin leaves an event."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule

from jobs import keys, lifecycle
from jobs.models import AlertRule, ApiKey, Event, Queue, Worker
from jobs.processor import enqueue
from jobs.testing import perform
from tests.jobs.admin.conftest import told

Staff = Callable[..., Client]
RULE = {"name": "Too long", "kind": "backlog", "threshold": "1000", "window": "3600", "enabled": "on"}
HOOK = "https://hooks.example/T0/secret-part"


def events() -> list[tuple[str, str, str, object, object]]:
    found = Event.objects.order_by("id")
    return list(found.values_list("subject", "kind", "actor", "before", "after"))


class TestAlertRules:
    def test_are_added_changed_and_deleted(self, operator: Client) -> None:
        operator.post("/admin/jobs/alertrule/add/", RULE)
        rule = AlertRule.objects.get(name="Too long")
        page = f"/admin/jobs/alertrule/{rule.pk}"
        operator.post(f"{page}/change/", {**RULE, "threshold": "500", "emails": "a@example.com, b@example.com"})
        operator.post(f"{page}/delete/", {"post": "yes"})
        (_, added, actor, _, after), changed, deleted = events()
        assert (added, actor) == ("added", "ada")
        assert after == {"name": "Too long", "kind": "backlog", "threshold": 1000.0, "window": 3600, "enabled": True}
        assert changed == (
            *("alert rule Too long", "changed", "ada"),
            {"threshold": 1000.0, "emails": []},
            {"threshold": 500.0, "emails": ["a@example.com", "b@example.com"]},
        )
        assert deleted == ("alert rule Too long", "deleted", "ada", None, None)

    def test_keep_their_webhook_to_themselves(self, operator: Client, as_staff: Staff) -> None:
        operator.post("/admin/jobs/alertrule/add/", {**RULE, "webhook_url": HOOK})
        rule = AlertRule.objects.get(name="Too long")
        assert rule.webhook_url == HOOK
        operator.post(f"/admin/jobs/alertrule/{rule.pk}/change/", {**RULE, "webhook_url": f"{HOOK}2"})
        assert "secret-part" not in str(events())
        assert events()[1][3:] == ({"webhook_url": "***"}, {"webhook_url": "***"})
        reader = as_staff("jobs.view_alertrule")
        for page in ("", f"{rule.pk}/change/"):
            assert "secret-part" not in reader.get(f"/admin/jobs/alertrule/{page}").content.decode()

    def test_that_are_saved_as_they_were_leave_none(self, operator: Client) -> None:
        operator.post("/admin/jobs/alertrule/add/", RULE)
        operator.post(f"/admin/jobs/alertrule/{AlertRule.objects.get(name='Too long').pk}/change/", RULE)
        assert len(events()) == 1


def test_keys_are_made_changed_and_revoked(operator: Client) -> None:
    new = {"name": "shop", "scopes": ["jobs:read"], "expires_at_0": "", "expires_at_1": ""}
    messages = told(operator.post("/admin/jobs/apikey/add/", new, follow=True))
    page = f"/admin/jobs/apikey/{ApiKey.objects.get().pk}"
    operator.post(f"{page}/change/", {**new, "scopes": ["jobs:read", "jobs:admin"]})
    operator.post(f"{page}/delete/", {"post": "yes"})
    assert events() == [
        ("API key shop", "added", "ada", None, {"name": "shop", "scopes": ["jobs:read"]}),
        *[("API key shop", "changed", "ada", {"scopes": ["jobs:read"]}, {"scopes": ["jobs:admin", "jobs:read"]})],
        ("API key shop", "deleted", "ada", None, None),
    ]
    assert messages[0].partition("<code>")[2][:20] not in str(events())


def test_several_rows_are_deleted_at_once(operator: Client) -> None:
    for name in ("shop", "stall"):
        keys.create(name, ["jobs:read"])
    chosen = {"_selected_action": list(ApiKey.objects.values_list("pk", flat=True))}
    operator.post("/admin/jobs/apikey/", {"action": "delete_selected", "post": "yes", **chosen})
    assert [event[:3] for event in events()] == [
        ("API key shop", "deleted", "ada"),
        ("API key stall", "deleted", "ada"),
    ]


def test_a_queues_limit(operator: Client) -> None:
    Queue.objects.filter(name="default").update(max_running=3)
    operator.post("/admin/jobs/queue/default/change/", {"max_running": "7"})
    event = Event.objects.get()
    assert (event.queue, event.actor, event.before, event.after) == (
        *("default", "ada"),
        {"max_running": 3},
        {"max_running": 7},
    )


def test_a_job_that_was_deleted(operator: Client) -> None:
    job = perform(enqueue("greet_guest", {"guestName": "Ada"}))
    operator.post(f"/admin/jobs/job/{job.pk}/delete/", {"post": "yes"})
    assert [(event[0], event[2]) for event in events()] == [(f"job {job.pk}", "ada")]


def test_the_times_of_schedules(operator: Client) -> None:
    """A row of them may belong to many schedules."""
    nightly = CrontabSchedule.objects.create(minute="0", hour="2", timezone="UTC")
    days = {"day_of_month": "*", "month_of_year": "*", "day_of_week": "*", "timezone": "UTC"}
    users = {"periodictask_set-TOTAL_FORMS": "0", "periodictask_set-INITIAL_FORMS": "0"}
    page = f"/admin/django_celery_beat/crontabschedule/{nightly.pk}/change/"
    operator.post(page, {"minute": "30", "hour": "2", **days, **users})
    assert [event[1:] for event in events()] == [("changed", "ada", {"minute": "0"}, {"minute": "30"})]


def test_accounts(operator: Client) -> None:
    group = Group.objects.create(name="Night shift")
    secret = "correct horse battery"
    form = {"username": "grace", "password1": secret, "password2": secret, "usable_password": "true"}
    operator.post("/admin/auth/user/add/", form)
    grace = User.objects.get(username="grace")
    page = f"/admin/auth/user/{grace.pk}"
    joined = {"date_joined_0": f"{grace.date_joined:%Y-%m-%d}", "date_joined_1": f"{grace.date_joined:%H:%M:%S}"}
    operator.post(f"{page}/change/", {"username": "grace", "is_active": "on", "groups": [group.pk], **joined})
    operator.post(f"{page}/password/", {"password1": f"{secret} 2", "password2": f"{secret} 2"})
    view = Permission.objects.get(codename="view_job")
    operator.post(f"/admin/auth/group/{group.pk}/change/", {"name": "Night shift", "permissions": [view.pk]})
    assert [event[:3] for event in events()] == [
        ("user grace", "added", "ada"),
        ("user grace", "changed", "ada"),
        ("user grace", "password changed", "ada"),
        ("group Night shift", "changed", "ada"),
    ]
    assert str(events()[1][4]).startswith("{'groups': ['Night shift']")
    assert secret not in str(events())


class TestWorkers:
    @pytest.fixture
    def worker(self, db: None) -> Worker:
        return Worker.objects.create(name="io-1@host:ab", pool="threads", concurrency=4, heartbeat_at=timezone.now())

    def test_are_drained_from_the_list_and_from_their_page(self, operator: Client, worker: Worker) -> None:
        chosen = {"action": "drain_workers", "_selected_action": [worker.name]}
        messages = told(operator.post("/admin/jobs/worker/", chosen, follow=True))
        assert messages == ["Asked to finish and leave: io-1@host:ab."]
        assert events() == [("worker io-1@host:ab", "drain requested", "ada", None, None)]
        Worker.objects.update(drain_requested_at=None)
        page = operator.get("/admin/jobs/worker/").context["cl"].result_list[0]
        operator.post(f"/admin/jobs/worker/{page.pk.replace(':', '_3A')}/drain_worker/", {"_form_submitted": "1"})
        assert len(events()) == 2

    def test_are_drained_by_those_who_may(self, as_staff: Staff, worker: Worker) -> None:
        reader = as_staff("jobs.view_worker")
        chosen = {"action": "drain_workers", "_selected_action": [worker.name]}
        reader.post("/admin/jobs/worker/", chosen)
        assert (
            reader.post("/admin/jobs/worker/io-1@host_3Aab/drain_worker/", {"_form_submitted": "1"}).status_code == 403
        )
        assert events() == []


class TestTheList:
    @pytest.fixture(autouse=True)
    def some(self, db: None) -> None:
        job = perform(enqueue("greet_guest", {"guestName": "Ada"}))
        lifecycle.rerun([job.id], actor="grace")
        lifecycle.pause("default", actor="ada", until=timezone.now() + timedelta(hours=1))
        Event.objects.create(subject="API key shop", kind="added", actor="ada")
        Event.objects.create(schedule="nightly", kind="changed", actor="ada")

    @pytest.mark.parametrize(
        ("query", "kinds"),
        [
            ("", ["changed", "added", "paused", "re-run"]),
            ("about=jobs", ["re-run"]),
            ("about=queues", ["paused"]),
            ("about=schedules", ["changed"]),
            ("about=access", ["added"]),
            ("about=nonsense", ["changed", "added", "paused", "re-run"]),
            ("actor=grace", ["re-run"]),
            ("kind=paused", ["paused"]),
            ("q=nightly", ["changed"]),
            ("q=shop", ["added"]),
        ],
    )
    def test_is_filtered(self, operator: Client, query: str, kinds: list[str]) -> None:
        page = operator.get(f"/admin/jobs/event/?{query}")
        assert [event.kind for event in page.context["cl"].result_list] == kinds
