"""One job's page: what it shows, why a job waits, and its buttons."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from jobs import bulk, lifecycle
from jobs.dashboard.timeline import WIDTH, legend, timeline
from jobs.dashboard.waiting import reasons
from jobs.lifecycle import Error, Verb
from jobs.models import Event, Failure, Job, Limit, LogLine, Queue, Status, Worker
from jobs.processor import enqueue
from jobs.testing import perform
from tests.jobs.admin.conftest import told
from tests.jobs.rows import ended, enqueued, job_in, now, row, started

VIEW = "jobs.view_job"
NEEDED = {
    "cancel": "jobs.cancel_job",
    "retry": "jobs.retry_job",
    "run-now": "jobs.change_job",
    "priority": "jobs.change_job",
    "delete": "jobs.delete_job",
    "run-again": "jobs.add_job",
}
Staff = Callable[..., Client]


def address(job: Any, action: str = "") -> str:
    return f"/jobs/{getattr(job, 'id', job)}" + (f"/{action}" if action else "")


def text(client: Client, job: Any) -> str:
    page = client.get(address(job))
    assert page.status_code == 200
    return page.content.decode()


def worker(*queues: str, **fields: Any) -> Worker:
    plain = {"pool": "threads", "queues": list(queues), "concurrency": 8}
    return Worker.objects.create(name=f"w:{uuid4().hex}", **{**plain, **fields})


# --- what it shows -----------------------------------------------------------------------------------------------


def test_a_failed_job_shows_what_it_keeps(operator: Client) -> None:
    kept, bare = started(), started()
    ended(kept, Verb.FAIL, result='{"partial": true}')
    ended(bare, Verb.FAIL)
    page = text(operator, kept)
    assert "Kept, although it failed." in page
    assert "&quot;partial&quot;: true" in page
    assert "None: it did not complete." in text(operator, bare)


@pytest.mark.parametrize("status", Status)
def test_jobs_in_every_state(
    status: Status, operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    job = job_in(status)
    with django_assert_max_num_queries(25):
        page = text(operator, job)
    assert str(job) in page
    assert f"badge-{status}" in page


def test_a_completed_job(operator: Client) -> None:
    job = perform(enqueue("greet_guest", {"guestName": "Bob", "apiToken": "sesame"}, tags=["vip"], unique_key="k"))
    page = text(operator, job)
    assert "Hello Bob!" in page
    assert "Greet a guest." in page
    assert "sesame" not in page
    assert "***" in page
    assert "thinking of something nice" in page
    assert f"/flower/task/{job.id}" in page
    assert "q=tag%3Avip" in page
    assert "q=key%3Ak" in page


def test_attempts_with_their_tracebacks(operator: Client) -> None:
    job = enqueued()
    ended(started(job), Verb.RETRY, delay=0.0, error=Error("OSError", "no <disk>", "Traceback one", "retryable"))
    ended(started(job), Verb.FAIL, error=Error("ValueError", "no luck", "Traceback two", "permanent"))
    page = text(operator, job)
    assert "no &lt;disk&gt;" in page
    assert "<disk>" not in page
    assert page.index("Traceback two") < page.index("Traceback one")
    assert 'data-copy="Traceback one"' in page
    assert page.count('<details class="attempt"') == 2


def test_the_log_and_the_audit(operator: Client) -> None:
    job = enqueued()
    LogLine.objects.create(job=job.id, run=1, level=logging.WARNING, message="the <oven> is hot")
    lifecycle.set_priority([job.id], 9, actor="ann")
    page = text(operator, job)
    assert "the &lt;oven&gt; is hot" in page
    assert "level-warning" in page
    assert "ann" in page


def test_what_it_belongs_to(operator: Client) -> None:
    parent, group, follower = enqueued(), uuid4(), uuid4()
    step = {"id": str(follower), "type": "follow_up"}
    job = enqueued(parent=parent.id, group=group, schedule="each night", canvas={"then": [step]})
    child = enqueued(parent=job.id, type="child_type")
    page = text(operator, job)
    for wanted in (address(parent), address(child), address(follower), "follow_up", f"group%3A{group}", "each%20night"):
        assert wanted in page, wanted
    Job.objects.filter(id=parent.id).delete()
    assert "no longer kept" in text(operator, job)


def test_a_job_whose_code_is_gone(operator: Client) -> None:
    job = enqueued(type="forgotten", payload='{"password": "sesame"}')
    page = text(operator, job)
    assert "No code for this type is deployed any more." in page
    assert "sesame" not in page


def test_a_job_that_is_not_there(operator: Client) -> None:
    assert operator.get(address(uuid4())).status_code == 404
    assert operator.post(address(uuid4(), "retry")).status_code == 404


# --- why it waits ------------------------------------------------------------------------------------------------


def why(job: Any) -> list[str]:
    return [reason.words for reason in reasons(row(job))]


def test_what_stands_before_a_waiting_job(operator: Client) -> None:
    job = enqueued(queue="bgg")
    assert why(job) == ["No worker takes jobs of the queue bgg."]
    serving = worker("default", "bgg")
    assert why(job) == ["Nothing stands before it: a worker takes it at any moment."]
    lifecycle.pause("bgg", actor="ann", reason="they moved")
    assert why(job) == ["Its queue bgg was paused by ann: they moved."]
    assert "they moved" in text(operator, job)
    lifecycle.resume("bgg", actor="ann")
    enqueued(queue="bgg", priority=9)
    assert why(job) == ["1 job of its queue comes before it."]
    Worker.objects.update(running=8)
    assert "All workers of its queue are busy." in why(job)
    Worker.objects.filter(name=serving.name).update(running=0, draining=True)
    assert "No worker takes jobs of the queue bgg; those that are alive are draining." in why(job)


def test_a_full_queue_and_an_upstream(db: None) -> None:
    worker("bgg")
    Queue.objects.filter(name="bgg").update(max_running=1)
    started(queue="bgg")
    job = enqueued(queue="bgg")
    assert why(job) == ["1 jobs of its queue run, as many as may run at once."]
    Queue.objects.filter(name="bgg").update(max_running=None)
    limit = Limit.objects.create(name="bgg", failures=5, open_until=timezone.now() + timedelta(seconds=30))
    assert why(job) == ["The upstream bgg failed 5 times in a row; it is left alone for a while."]
    Limit.objects.filter(name=limit.name).update(open_until=None, next_at=timezone.now() + timedelta(minutes=1))
    assert why(job)[0].startswith("The limit of calls to bgg is used up until ")


def test_when_its_time_comes(db: None) -> None:
    worker("default")
    later = enqueued(delay=3600.0)
    assert why(later) == [f"It is scheduled for {row(later).scheduled_at:%Y-%m-%d %H:%M:%S} UTC."]
    failed = started()
    ended(failed, Verb.RETRY, delay=60.0)
    assert why(failed)[0].startswith("Attempt 1 failed, the next one is due at ")
    limited = started()
    ended(limited, Verb.RETRY, delay=60.0, error=Error("RateLimited", "slow", "", "rate-limited"))
    assert why(limited)[0].startswith("The upstream asked us to slow down.")
    snoozed = started()
    ended(snoozed, Verb.SNOOZE, delay=60.0)
    assert why(snoozed)[0].startswith("It asked to be run later")
    Job.objects.filter(id=later.id).update(scheduled_at=now() - timedelta(seconds=1))
    assert why(later) == ["Its time has come: it is on its way to the waiting ones."]
    assert why(job_in(Status.COMPLETED)) == []


# --- its life as a bar -------------------------------------------------------------------------------------------


def test_the_timeline_has_each_part_of_its_life() -> None:
    begin = timezone.now() - timedelta(seconds=100)

    def at(seconds: int) -> Any:
        return begin + timedelta(seconds=seconds)

    job = Job(
        status=Status.COMPLETED, created_at=begin, scheduled_at=at(60), started_at=at(70), finished_at=at(100), run=2
    )
    failure = Failure(run=1, started_at=at(10), failed_at=at(30))
    assert [(part.kind, part.x, part.width) for part in timeline(job, [failure])] == [
        ("waiting", 0, 100),
        ("earlier", 100, 200),
        ("scheduled", 300, 300),
        ("waiting", 600, 100),
        ("running", 700, 300),
    ]
    assert timeline(job, [failure])[1].words == "earlier attempts 20.0 s"
    assert legend(timeline(job, [failure])) == [
        ("waiting", "waiting 20.0 s"),
        ("earlier", "earlier attempts 20.0 s"),
        ("scheduled", "scheduled 30.0 s"),
        ("running", "running 30.0 s"),
    ]


def test_the_timeline_of_a_short_life_is_still_seen() -> None:
    begin = timezone.now() - timedelta(hours=1)
    job = Job(status=Status.FAILED, created_at=begin, scheduled_at=begin, started_at=begin + timedelta(hours=1), run=1)
    job.finished_at = begin + timedelta(hours=1, milliseconds=1)
    last = timeline(job, [])[-1]
    assert last.kind == "running"
    assert last.x + last.width == WIDTH
    same = Job(status=Status.CANCELLED, created_at=begin, scheduled_at=begin, finished_at=begin)
    assert timeline(same, []) == []


# --- its buttons -------------------------------------------------------------------------------------------------


def press(client: Client, job: UUID, action: str, **data: str) -> list[str]:
    return told(client.post(address(job, action), data, follow=True))


def test_buttons(operator: Client) -> None:
    waiting, failed, later, running = (
        job_in(Status.PENDING),
        job_in(Status.FAILED),
        job_in(Status.SCHEDULED),
        started().id,
    )
    assert press(operator, waiting, "priority", new_priority="9") == ["The priority is 9 now."]
    assert press(operator, waiting, "cancel", reason="not wanted") == ["The job is cancelled."]
    assert press(operator, waiting, "cancel") == ["The job had ended."]
    assert press(operator, failed, "retry") == ["The job will run again."]
    assert press(operator, failed, "retry") == ["The job cannot be retried: it is pending."]
    assert press(operator, later, "run-now") == ["The job waits for the next free worker."]
    assert press(operator, later, "run-now") == ["The job is not scheduled for later."]
    assert press(operator, running, "cancel") == ["The job was asked to stop."]
    assert press(operator, running, "delete") == ["Not deleted: it is processing."]
    assert press(operator, waiting, "delete") == ["The job is deleted."]
    assert not Job.objects.filter(id=waiting).exists()
    events = Event.objects.filter(job__in=[failed, later, running]).values_list("kind", "actor")
    assert set(events) == {("retried", "ada"), ("run now", "ada"), ("cancel requested", "ada")}


def test_run_again(operator: Client) -> None:
    done = job_in(Status.COMPLETED, payload='{"stageName": "Ann"}')
    answer = operator.post(address(done, "run-again"))
    copy = Job.objects.get(parent=done)
    assert answer.headers["Location"] == address(copy)
    assert (copy.payload, copy.created_by) == ({"stageName": "Ann"}, "ada")
    assert press(operator, copy.id, "run-again")[-1].startswith("Not run again")
    operation = bulk.start("retry", "status:failed", "ada")
    assert "started from the list" in press(operator, operation.id, "run-again")[-1]


@pytest.mark.parametrize("action", NEEDED)
def test_each_button_needs_its_permission(action: str, as_staff: Staff) -> None:
    job = job_in(Status.FAILED)
    others = {permission for permission in NEEDED.values() if permission != NEEDED[action]}
    data = {"new_priority": "9"}
    reader = as_staff(VIEW, *others)
    assert reader.post(address(job, action), data).status_code == 403
    assert as_staff(VIEW, NEEDED[action]).post(address(job, action), data).status_code == 302
    assert as_staff(NEEDED[action]).post(address(job, action), data).status_code == 403
    assert Client().post(address(job, action), data).headers["Location"].startswith("/admin/login/")
    assert Client(enforce_csrf_checks=True).post(address(job, action), data).status_code == 403


def test_a_reader_sees_no_buttons(as_staff: Staff) -> None:
    reader = as_staff(VIEW)
    for status in Status:
        job = job_in(status)
        page = text(reader, job)
        assert f'action="{address(job)}/' not in page.partition("<dialog")[0]
        assert "data-dialog" not in page


def test_buttons_that_are_none(operator: Client) -> None:
    job = job_in(Status.PENDING)
    assert operator.post(address(job, "explode")).status_code == 404
    assert operator.post(address(job, "priority"), {"new_priority": "11"}).status_code == 404
    assert operator.get(address(job, "cancel")).headers["Location"] == address(job)  # after a log-in
    assert row(job).status == Status.PENDING
