"""The first page: numbers with links to what is behind them, lists, what needs attention."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from jobs import lifecycle, metrics
from jobs.dashboard.attention import matters
from jobs.lifecycle import Verb
from jobs.models import Alert, AlertRule, Event, Job, Queue, Status, Worker
from tests.jobs.admin.conftest import told
from tests.jobs.dashboard.test_errors import failed, group_of
from tests.jobs.dashboard.test_workers import worker
from tests.jobs.rows import ended, enqueued, job_in, row, started


def told_of() -> list[tuple[str, str]]:
    """What needs attention: the label and the words."""
    return [(matter.state, matter.words) for matter in matters(metrics.backlogs())]


def test_every_number_is_a_link_to_the_jobs_behind_it(operator: Client) -> None:
    for status in Status:
        job_in(status)
    text = operator.get("/").content.decode()
    for status in Status:
        assert f'<a class="figure" href="/jobs/?q=status%3A{status}">' in text
    assert 'href="/jobs/?q=status%3Afailed+finished%3A%3C24h"' in text
    assert 'href="/jobs/?q=created%3A%3C24h"' in text


@pytest.mark.parametrize("jobs", [1, 15])
def test_the_page_costs_the_same_however_many_jobs_there_are(
    operator: Client, jobs: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    worker()
    for _ in range(jobs):
        started()
        ended(started(type="refuse_guest"), Verb.FAIL)
        enqueued()
    with django_assert_max_num_queries(55):
        page = operator.get("/")
    assert (len(page.context["running"]), len(page.context["failed"])) == (min(jobs, 10), min(jobs, 10))


def test_running_jobs_show_their_progress_and_the_time_left(operator: Client) -> None:
    run = started(type="greet_guest")
    progress = {"run": run.run, "done": 1, "total": 4, "percent": 25, "note": "halfway <to> half"}
    Job.objects.filter(id=run.id).update(progress=progress, started_at=timezone.now() - timedelta(minutes=2))
    text = operator.get("/").content.decode()
    assert '<progress max="100" value="25"' in text
    assert "halfway &lt;to&gt; half" in text
    assert "about 6 min" in text


def test_newest_failures_say_why_and_are_retried_from_here(operator: Client) -> None:
    ids = [failed("KeyError", f"reason {number}") for number in range(3)]
    page = operator.get("/?range=1h")
    assert [job.pk for job in page.context["failed"]] == ids[::-1]
    assert "reason 2" in page.content.decode()
    answer = operator.post(f"/jobs/{ids[0]}/retry", {"next": "/?range=1h"}, follow=True)
    assert answer.redirect_chain == [("/?range=1h", 302)]
    assert told(answer) == ["The job will run again."]
    assert row(ids[0]).status == Status.PENDING
    assert Event.objects.get(job=ids[0]).actor == "ada"


def test_a_form_cannot_send_people_to_another_site(operator: Client) -> None:
    job = failed("KeyError")
    for elsewhere in ("https://example.com/", "//example.com", "javascript:alert(1)"):
        answer = operator.post(f"/jobs/{job}/retry", {"next": elsewhere})
        assert answer.headers["Location"] == f"/jobs/{job}"


def test_who_may_not_retry_sees_no_button_and_is_refused(as_staff: Callable[..., Client]) -> None:
    job = failed("KeyError")
    reader = as_staff("jobs.view_job")
    assert "/retry" not in reader.get("/").content.decode()
    assert reader.post(f"/jobs/{job}/retry").status_code == 403


@pytest.mark.parametrize("part", ["now", "history", "lists"])
def test_a_refresh_computes_its_own_part(operator: Client, part: str) -> None:
    page = operator.get("/?range=15m", headers={"HX-Request": "true", "HX-Target": part})
    text = page.content.decode()
    assert f'id="{part}"' in text
    assert 'hx-get="/?range=15m"' in text
    others = {"now", "history", "lists"} - {part}
    assert not any(f'id="{other}"' in text for other in others)


@pytest.mark.parametrize(
    ("span", "points"), [("15m", 15), ("1h", 60), ("6h", 360), ("24h", 24), ("7d", 168), ("30d", 30), ("no", 24)]
)
def test_charts_have_a_point_for_every_bucket_and_a_table(operator: Client, span: str, points: int) -> None:
    ended(started(), Verb.FAIL)
    page = operator.get("/", {"range": span, "table": "1"})
    for chart in page.context["chart_data"]:
        assert points <= len(chart["labels"]) <= points + 1
        assert all(len(series["values"]) == len(chart["labels"]) for series in chart["series"])
    failures = page.context["chart_data"][1]["series"][0]["values"]
    assert max(failures[-2:]) == 100  # the minute may have passed meanwhile
    assert sum(point.failed for point, _ in page.context["table"][:2]) == 1  # the latest first
    assert "figure is-bad" in page.content.decode()  # a failure rate above 5 %


# --- what needs attention --------------------------------------------------------------------------------------------


@pytest.fixture
def served(db: None) -> Worker:
    """A platform that is in order: every queue has a worker, nothing else is there."""
    return worker("all:1", queues=list(Queue.objects.values_list("name", flat=True)))


def test_nothing_when_all_is_in_order(served: Worker, operator: Client) -> None:
    assert told_of() == []
    assert b"Nothing needs attention." in operator.get("/").content


def test_a_queue_without_a_worker(served: Worker) -> None:
    Worker.objects.update(queues=list(Queue.objects.exclude(name="cpu").values_list("name", flat=True)))
    assert told_of() == [("error", "No worker takes jobs of queue cpu")]


def test_a_backlog_that_is_old(served: Worker) -> None:
    job = enqueued()
    assert told_of() == []
    Job.objects.filter(id=job.id).update(scheduled_at=timezone.now() - timedelta(minutes=12, seconds=5))
    assert told_of() == [("warning", "Jobs of queue default have waited 12 min")]


def test_a_paused_queue(served: Worker) -> None:
    enqueued()
    lifecycle.pause("default", actor="ada", reason="upgrade")
    assert told_of() == [("paused", "Queue default is paused, 1 job waits")]


def test_a_new_kind_of_error(served: Worker) -> None:
    group_of(failed("KeyError"))
    group_of(failed("OldError"), age=timedelta(hours=2))
    group_of(failed("KnownError"), resolved_at=timezone.now())
    assert told_of() == [("warning", "New kind of error in refuse_guest: KeyError")]


def test_workers_that_are_stuck_or_lost_with_jobs(served: Worker) -> None:
    worker("stuck:1", stuck=1)
    long_ago = timezone.now() - timedelta(minutes=3, seconds=5)
    worker("gone:1", heartbeat_at=long_ago)  # with nothing to run
    worker("stage:1", heartbeat_at=long_ago)
    started()
    assert told_of() == [
        ("lost", "Worker stage:1 has not been heard of for 3 min"),
        ("stuck", "Worker stuck:1 is stuck"),
    ]


def test_alerts_that_fire_and_are_not_silenced(served: Worker) -> None:
    loud = AlertRule.objects.create(name=f"loud {uuid4()}", kind="backlog", threshold=1)
    quiet = AlertRule.objects.create(
        name=f"quiet {uuid4()}", kind="backlog", threshold=1, silenced_until=timezone.now() + timedelta(hours=1)
    )
    for rule in (loud, quiet):
        Alert.objects.create(rule=rule, message=f"of {rule}", value=2)
    Alert.objects.create(rule=loud, subject="x", message="over", value=2, resolved_at=timezone.now())
    assert told_of() == [("firing", f"of {loud}")]
