"""Workers: who is alive, what they run, draining."""

from collections.abc import Callable
from datetime import timedelta

from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from jobs.models import Event, Worker
from tests.jobs.admin.conftest import told
from tests.jobs.rows import WORKER, started

ADDRESS = "/jobs/workers"


def worker(name: str = WORKER, **fields: object) -> Worker:
    plain = {"pool": "threads", "queues": ["default", "bgg"], "concurrency": 8}
    return Worker.objects.create(name=name, **{**plain, **fields})


def test_without_any_it_says_how_to_start_one(operator: Client) -> None:
    assert b"manage.py worker" in operator.get(ADDRESS).content


def test_each_shows_its_state_and_what_it_runs(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    long_ago = timezone.now() - timedelta(minutes=5)
    worker("a:1", heartbeat_at=long_ago)
    worker("b:1", draining=True)
    worker("c:1", drain_requested_at=timezone.now())
    worker("d:1", stuck=2)
    worker(WORKER, running=2, processed=1234)
    jobs = [started() for _ in range(2)]
    with django_assert_max_num_queries(8):
        page = operator.get(ADDRESS)
    assert {row["worker"].name: row["state"] for row in page.context["rows"]} == {
        "a:1": "lost",
        "b:1": "draining",
        "c:1": "draining",
        "d:1": "stuck",
        WORKER: "running",
    }
    text = page.content.decode()
    assert all(reverse("dashboard:job", args=[job.id]) in text for job in jobs)
    assert "1,234" in text
    assert f"q=worker%3A{WORKER.replace(':', '%3A')}+status%3Aprocessing" in text
    assert text.count("data-confirm=") == 2  # the stuck one and the running one can be drained


def test_draining_leaves_an_event(operator: Client) -> None:
    worker()
    address = reverse("dashboard:drain", args=[WORKER])
    answer = operator.post(address, {"next": "/jobs/workers?x=1"}, follow=True)
    assert answer.redirect_chain == [("/jobs/workers?x=1", 302)]
    assert told(answer) == [f"Worker {WORKER} was asked to finish what it runs and to exit."]
    assert Worker.objects.get().drain_requested_at
    event = Event.objects.get()
    assert (event.actor, event.kind, event.subject) == ("ada", "drain requested", f"worker {WORKER}")
    assert told(operator.post(address, follow=True)) == ["It was asked, or is gone."]


def test_who_may_not_drain_sees_no_button_and_is_refused(as_staff: Callable[..., Client]) -> None:
    worker()
    reader = as_staff("jobs.view_job")
    assert b"data-confirm=" not in reader.get(ADDRESS).content
    assert reader.post(reverse("dashboard:drain", args=[WORKER])).status_code == 403
    assert operator_get_is_refused(as_staff("jobs.view_job", "jobs.drain_worker"))
    assert not Event.objects.exists()


def operator_get_is_refused(client: Client) -> bool:
    return client.get(reverse("dashboard:drain", args=[WORKER])).status_code == 405
