"""Queues: their figures, and what operators do to them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from jobs import lifecycle, rollups
from jobs.dashboard.queues import ended_by_minute
from jobs.models import Event, Job, Queue, RolledUp, Status
from tests.jobs.admin.conftest import told
from tests.jobs.dashboard.test_workers import worker
from tests.jobs.rows import enqueued, job_in, started

LIST = "/jobs/queues"
BGG = "/jobs/queues/bgg"


@pytest.mark.parametrize("jobs", [1, 20])
def test_the_list_costs_the_same_however_many_jobs_there_are(
    operator: Client, jobs: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    worker(queues=["bgg"])
    for _ in range(jobs):
        enqueued(queue="bgg")
        started(queue="bgg")
        job_in(Status.FAILED, queue="bgg")
    with django_assert_max_num_queries(20):
        page = operator.get(LIST)
    text = page.content.decode()
    for status in ("pending", "processing", "failed"):
        assert f'<a href="/jobs/?q=queue%3Abgg+status%3A{status}">{jobs}</a>' in text
    assert '<span class="bad">none</span>' in text  # nobody serves the other two
    assert '<span class="bad">33.33 %</span>' in text


def test_a_queue_shows_who_runs_and_who_is_next(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    running = [started(queue="bgg", type="greet_guest") for _ in range(3)]
    later, sooner = enqueued(queue="bgg"), enqueued(queue="bgg", priority=8)
    elsewhere = enqueued(queue="cpu")
    lifecycle.pause("bgg", actor="grace", reason="the site is down", until=timezone.now() + timedelta(hours=1))
    with django_assert_max_num_queries(32):
        text = operator.get(BGG).content.decode()
    ids = [*(job.id for job in running), sooner.id, later.id]
    places = [text.index(f'href="/jobs/{job_id}"') for job_id in ids]
    assert places == sorted(places)
    assert str(elsewhere.id) not in text
    assert "Paused by grace until" in text
    assert "the site is down" in text
    assert "No worker takes jobs of this queue." in text


def test_an_unknown_queue_is_not_there(operator: Client) -> None:
    assert operator.get("/jobs/queues/nosuch").status_code == 404
    for name in ("pause", "limit", "clean"):
        assert operator.post(reverse(f"dashboard:{name}", args=["nosuch"])).status_code == 404


def test_pausing_with_reason_and_until_then_resuming(operator: Client) -> None:
    until = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(hours=2)
    fields = {"reason": "upgrade", "until": f"{until:%Y-%m-%dT%H:%M}", "next": LIST}
    answer = operator.post(f"{BGG}/pause", fields, follow=True)
    assert answer.redirect_chain == [(LIST, 302)]
    assert told(answer) == [f"Queue bgg is paused until {until:%Y-%m-%d %H:%M}. Running jobs finish."]
    queue = Queue.objects.get(name="bgg")
    assert (queue.paused_until, queue.reason, queue.paused_by) == (until, "upgrade", "ada")
    assert told(operator.post(f"{BGG}/pause", follow=True)) == ["It was paused already."]
    assert told(operator.post(f"{BGG}/resume", follow=True)) == ["Queue bgg runs again."]
    assert told(operator.post(f"{BGG}/resume", follow=True)) == ["It was not paused."]
    kinds = list(Event.objects.order_by("id").values_list("kind", "actor", "queue"))
    assert kinds == [("paused", "ada", "bgg"), ("resumed", "ada", "bgg")]


@pytest.mark.parametrize("until", ["2020-01-01T00:00", "soon"])
def test_a_pause_must_end_in_the_future(operator: Client, until: str) -> None:
    (message,) = told(operator.post(f"{BGG}/pause", {"until": until}, follow=True))
    assert message.startswith("Until: ")
    assert not Event.objects.exists()


def test_limits(operator: Client) -> None:
    for text, message in [
        ("12", "At most 12 jobs of queue bgg run at once."),
        ("12", "That was the limit already."),
        ("", "Queue bgg has no limit now."),
    ]:
        assert told(operator.post(f"{BGG}/limit", {"max_running": text}, follow=True)) == [message]
    (message,) = told(operator.post(f"{BGG}/limit", {"max_running": "-1"}, follow=True))
    assert message.startswith("Limit: ")
    assert [event.after for event in Event.objects.order_by("id")] == [{"max_running": 12}, {"max_running": None}]


def test_cleaning_deletes_what_is_old_of_one_status_and_queue(operator: Client) -> None:
    old, other, fresh = (job_in(Status.COMPLETED, queue=queue) for queue in ("bgg", "cpu", "bgg"))
    Job.objects.filter(id__in=[old, other]).update(finished_at=timezone.now() - timedelta(days=8))
    fields = {"status": "completed", "age": "7", "unit": "86400"}
    answer = operator.post(f"{BGG}/clean", fields, follow=True)
    assert told(answer) == ["Deleted 1 completed job of queue bgg."]
    assert set(Job.objects.values_list("id", flat=True)) == {other, fresh}
    assert told(operator.post(f"{BGG}/clean", fields, follow=True)) == ["None is that old."]
    assert operator.post(f"{BGG}/clean", {**fields, "status": "processing"}, follow=True).status_code == 200
    assert Event.objects.filter(queue="bgg", kind="cleaned", actor="ada").count() == 1


@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("pause", "jobs.pause_queue"),
        ("resume", "jobs.pause_queue"),
        ("limit", "jobs.change_queue"),
        ("clean", "jobs.delete_job"),
    ],
)
def test_buttons_and_actions_are_for_those_who_may(
    action: str, permission: str, as_staff: Callable[..., Client]
) -> None:
    if action == "resume":
        lifecycle.pause("bgg", actor="grace")
    address = f"{BGG}/{action}"
    reader = as_staff("jobs.view_job")
    assert address not in reader.get(BGG).content.decode()
    assert reader.post(address).status_code == 403
    operator = as_staff("jobs.view_job", permission)
    assert address in operator.get(BGG).content.decode()
    assert operator.get(address).status_code == 405
    fields = {"status": "completed", "age": "1", "unit": "60"}
    assert operator.post(address, fields).status_code == 302
    assert Client(enforce_csrf_checks=True).post(address).status_code == 403


def test_the_last_hour_by_minute(db: None) -> None:
    ids = [job_in(status, queue="bgg") for status in (Status.COMPLETED, Status.FAILED, Status.CANCELLED)]
    ids += [job_in(Status.COMPLETED, queue="bgg", type="greet_guest")]
    minute = timezone.now().replace(second=0, microsecond=0)
    Job.objects.filter(id__in=ids).update(finished_at=minute - timedelta(minutes=5))
    RolledUp.objects.create(until=minute - timedelta(minutes=10))
    rollups.roll_up()
    bgg = ended_by_minute()["bgg"]
    assert (len(bgg), sum(bgg), max(bgg)) == (60, 4, 4)
    assert sum(ended_by_minute()["cpu"]) == 0
