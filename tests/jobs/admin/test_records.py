"""Pages that are only looked at, and the site around them."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from jobs.models import Event, Limit, ScheduleRun, Worker
from jobs.processor import enqueue

Staff = Callable[..., Client]


@pytest.fixture
def rows(db: None) -> None:
    common = {"pool": "threads", "queues": ["default", "cpu"], "concurrency": 4}
    Worker.objects.create(name="alive:1", **common)
    Worker.objects.create(name="draining:1", draining=True, **common)
    Worker.objects.create(name="stuck:1", stuck=2, **common)
    Worker.objects.create(name="lost:1", heartbeat_at=Now() - timedelta(hours=2), **common)
    Event.objects.create(job_id=enqueue("refuse_guest").id, kind="retried", actor="ada", before={"status": "failed"})
    Event.objects.create(queue="cpu", kind="paused", actor="grace", reason="<b>maintenance</b>")
    ScheduleRun.objects.create(schedule="nightly", due_at=timezone.now(), job=uuid4())
    Limit.objects.create(name="closed upstream")
    Limit.objects.create(name="open upstream", failures=5, open_until=Now() + timedelta(minutes=1))


def words(client: Client, model: str) -> str:
    response = client.get(f"/admin/jobs/{model}/")
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_workers_tell_how_they_are(operator: Client, rows: None) -> None:
    html = words(operator, "worker")
    for state in ("alive", "draining", "stuck", "lost"):
        assert f"> {state} <" in html
    assert "2 h 0 min ago" in html
    assert "default, cpu" in html
    assert operator.get("/admin/jobs/worker/alive:1/change/").status_code == 200


def test_events_tell_who_did_what(operator: Client, rows: None) -> None:
    html = words(operator, "event")
    assert "status failed" in html
    assert "&lt;b&gt;maintenance&lt;/b&gt;" in html


def test_schedule_runs_and_limits_are_listed(operator: Client, rows: None) -> None:
    assert "nightly" in words(operator, "schedulerun")
    html = words(operator, "limit")
    assert "> open <" in html
    assert "> closed <" in html


@pytest.mark.parametrize("model", ["worker", "event", "schedulerun", "limit"])
def test_they_are_read_only(operator: Client, as_staff: Staff, rows: None, model: str) -> None:
    assert operator.get(f"/admin/jobs/{model}/add/").status_code == 403
    assert as_staff().get(f"/admin/jobs/{model}/").status_code == 403
    assert as_staff(f"jobs.view_{model}").get(f"/admin/jobs/{model}/").status_code == 200


def test_the_search_of_the_read_only_lists_works(operator: Client, rows: None) -> None:
    assert "grace" in operator.get("/admin/jobs/event/?q=grace").content.decode()
    assert "nightly" in operator.get("/admin/jobs/schedulerun/?q=night").content.decode()


@pytest.mark.parametrize("path", ["", "auth/user/", "auth/user/add/", "auth/group/add/", "jobs/"])
def test_the_rest_of_the_site_is_there(operator: Client, path: str) -> None:
    html = operator.get(f"/admin/{path}").content.decode()
    assert "/static/unfold/" in html
    assert 'src="http' not in html
    assert 'href="http' not in html


def test_strangers_are_sent_to_the_login(db: None, uncollected: None) -> None:
    assert Client().get("/admin/jobs/job/")["Location"] == "/admin/login/?next=/admin/jobs/job/"
