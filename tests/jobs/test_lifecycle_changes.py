"""What people and sweeps do to jobs: cancel, retry, re-run, change priority, run now, expire."""

import threading
import time
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from pytest_django import DjangoCaptureOnCommitCallbacks

from jobs import lifecycle
from jobs.lifecycle import Claimed, Verb, changes
from jobs.models import Event, Failure, Job, Status
from jobs.sessions import fetch
from tests.jobs.rows import claim, ended, enqueued, job_in, now, row, started, statuses, values

pytestmark = pytest.mark.django_db


def events() -> list[tuple[UUID | None, str, str, str, Any, Any]]:
    return list(Event.objects.order_by("id").values_list("job", "kind", "actor", "reason", "before", "after"))


class TestCancel:
    def test_ends_waiting_jobs_at_once_and_asks_running_ones(self) -> None:
        scheduled, pending, running = job_in(Status.SCHEDULED), job_in(Status.PENDING), job_in(Status.PROCESSING)
        done, unknown = job_in(Status.COMPLETED), uuid4()
        assert lifecycle.cancel([scheduled, pending, running, done, unknown], actor="ann", reason="why not") == {
            scheduled: Status.CANCELLED,
            pending: Status.CANCELLED,
            running: Status.PROCESSING,
        }
        assert statuses(scheduled, pending, running, done) == ["cancelled", "cancelled", "processing", "completed"]
        assert row(running).cancel_requested_at is not None
        assert row(done).cancel_requested_at is None
        assert sorted(events()) == sorted(
            [
                (scheduled, "cancelled", "ann", "why not", {"status": "scheduled"}, {"status": "cancelled"}),
                (pending, "cancelled", "ann", "why not", {"status": "pending"}, {"status": "cancelled"}),
                (running, "cancel requested", "ann", "why not", {"status": "processing"}, {"run": 1}),
            ]
        )

    def test_asked_twice_is_noted_once(self) -> None:
        running = job_in(Status.PROCESSING)
        lifecycle.cancel([running], actor="ann")
        first = row(running).cancel_requested_at
        assert lifecycle.cancel([running], actor="bob") == {running: Status.PROCESSING}
        assert row(running).cancel_requested_at == first
        assert [event[2] for event in events()] == ["ann"]

    def test_of_a_job_that_waits_for_its_retry_leaves_no_later_attempt(self) -> None:
        claimed = started()
        ended(claimed, Verb.RETRY, delay=0.0)
        lifecycle.cancel([claimed.id], actor="ann")
        assert (lifecycle.promote(), claim()) == (0, [])

    def test_of_nothing_changes_nothing(self) -> None:
        assert lifecycle.cancel([], actor="ann") == {}

    def test_tells_the_worker_on_commit(
        self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        with django_capture_on_commit_callbacks() as hints:
            lifecycle.cancel([job_in(Status.PROCESSING)], actor="ann")
        assert len(hints) == 5  # of the enqueue to workers, one to stop, and of each change to who looks at it
        with django_capture_on_commit_callbacks() as hints:
            lifecycle.cancel([uuid4()], actor="ann")
        assert hints == []


class TestRetry:
    def test_starts_failed_and_cancelled_jobs_anew_under_their_ids(self) -> None:
        failed, cancelled = job_in(Status.FAILED), job_in(Status.CANCELLED)
        assert lifecycle.retry([failed, cancelled], actor="ann", reason="fixed") == ([failed, cancelled], {})
        assert statuses(failed, cancelled) == [Status.PENDING, Status.PENDING]
        assert (row(failed).run, row(failed).attempt) == (1, 0)
        assert events() == [
            (failed, "retried", "ann", "fixed", {"status": "failed"}, {"status": "pending"}),
            (cancelled, "retried", "ann", "fixed", {"status": "cancelled"}, {"status": "pending"}),
        ]
        assert Failure.objects.filter(job=failed).count() == 1  # what went wrong before stays told

    def test_says_why_others_are_skipped(self) -> None:
        unknown = uuid4()
        jobs = {status: job_in(status) for status in Status if status not in (Status.FAILED, Status.CANCELLED)}
        assert lifecycle.retry([*jobs.values(), unknown], actor="ann") == (
            [],
            {**{job: f"it is {status.value}" for status, job in jobs.items()}, unknown: "no such job"},
        )
        assert statuses(*jobs.values()) == list(jobs)

    def test_starts_at_once_even_what_had_expired_or_was_due_later(self) -> None:
        job = enqueued(delay=3600.0, expires_in=7200.0)
        lifecycle.cancel([job.id], actor="ann")
        Job.objects.update(expires_at=Now() - timedelta(hours=1))
        lifecycle.retry([job.id], actor="ann")
        assert [claimed.id for claimed in claim()] == [job.id]

    def test_skips_a_job_whose_unique_key_is_active_again(self) -> None:
        old = job_in(Status.FAILED, unique_key="k")
        enqueued(unique_key="k")
        assert lifecycle.retry([old], actor="ann") == ([], {old: "another job has its unique key 'k'"})

    def test_gives_a_key_to_the_newest_of_a_set(self) -> None:
        old, new = job_in(Status.FAILED, unique_key="k"), job_in(Status.FAILED, unique_key="k")
        other_type = job_in(Status.FAILED, unique_key="k", type="spell")
        no_key = job_in(Status.FAILED)
        retried, skipped = lifecycle.retry([old, new, other_type, no_key], actor="ann")
        assert set(retried) == {new, other_type, no_key}
        assert skipped == {old: "another job has its unique key 'k'"}

    def test_does_not_start_a_step_whose_predecessor_failed(self) -> None:
        step = {"id": str(uuid4()), "type": "improvise", "payload": {}, "queue": "default", "priority": 5}
        step |= {"max_attempts": 1, "timeout": 60.0}
        ended(started(canvas={"then": [step]}), Verb.FAIL)
        tail = UUID(step["id"])  # type: ignore[arg-type]
        assert statuses(tail) == [Status.FAILED]
        assert lifecycle.retry([tail], actor="ann") == ([], {tail: "it never ran: retry the job before it"})

    def test_wakes_the_queues(self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> None:
        failed = job_in(Status.FAILED)
        with django_capture_on_commit_callbacks() as wake_ups:
            lifecycle.retry([failed], actor="ann")
        assert len(wake_ups) == 2  # and one to who looks at it


class TestRerun:
    @pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
    def test_makes_a_new_job_like_the_old_one(self, status: Status) -> None:
        fields = {"payload": '{"part": "Puck"}', "priority": 8, "queue": "cpu", "tags": ["a"], "timeout": 5.0}
        old = job_in(status, **fields, backoff={"base": 1}, max_attempts=2, canvas={"then": []})
        before = values(old)
        ((found, new),) = lifecycle.rerun([old], actor="ann").items()
        assert (found, values(old)) == (old, before)
        copy = row(new)
        assert (copy.status, copy.run, copy.attempt, copy.parent, copy.created_by) == ("pending", 0, 0, old, "ann")
        for name in ("type", "payload", "priority", "queue", "tags", "timeout", "backoff", "max_attempts"):
            assert getattr(copy, name) == before[name]
        assert (copy.canvas, copy.group, copy.schedule) == (None, None, None)
        assert events() == [(old, "re-run", "ann", "", {}, {"job": str(new)})]

    def test_takes_another_payload(self) -> None:
        (new,) = lifecycle.rerun([job_in(Status.FAILED)], actor="ann", payload='{"part": "Bottom"}').values()
        assert row(new).payload == {"part": "Bottom"}

    @pytest.mark.parametrize("status", [Status.SCHEDULED, Status.PENDING, Status.PROCESSING])
    def test_is_not_for_active_jobs(self, status: Status) -> None:
        assert lifecycle.rerun([job_in(status), uuid4()], actor="ann") == {}

    def test_is_not_made_while_the_unique_key_is_active(self) -> None:
        old = job_in(Status.FAILED, unique_key="k")
        ((_, new),) = lifecycle.rerun([old], actor="ann").items()
        assert row(new).unique_key == "k"
        assert lifecycle.rerun([old], actor="ann") == {}
        assert Job.objects.count() == 2


class TestPriority:
    def test_is_changed_of_jobs_that_wait(self) -> None:
        jobs = {status: job_in(status) for status in Status}
        changed = lifecycle.set_priority(list(jobs.values()), 9, actor="ann")
        assert set(changed) == {jobs[Status.SCHEDULED], jobs[Status.PENDING]}
        assert {status: row(job).priority for status, job in jobs.items()} == {
            status: 9 if status in (Status.SCHEDULED, Status.PENDING) else 5 for status in Status
        }
        assert sorted(events()) == sorted(
            (job, "priority", "ann", "", {"priority": 5}, {"priority": 9}) for job in changed
        )


class TestRunNow:
    def test_is_for_jobs_whose_time_has_not_come(self) -> None:
        jobs = {status: job_in(status) for status in Status}
        scheduled = jobs[Status.SCHEDULED]
        due = row(scheduled).scheduled_at
        assert lifecycle.run_now([*jobs.values(), uuid4()], actor="ann") == [scheduled]
        assert statuses(scheduled) == [Status.PENDING]
        assert row(scheduled).scheduled_at == now()
        assert statuses(*jobs.values())[1:] == list(jobs)[1:]
        ((job, kind, actor, _, before, after),) = events()
        assert (job, kind, actor) == (scheduled, "run now", "ann")
        assert [datetime.fromisoformat(times["scheduled_at"]) for times in (before, after)] == [due, now()]

    def test_takes_its_place_after_those_that_are_due_already(self) -> None:
        first, later = enqueued(), enqueued(delay=3600.0)
        Job.objects.filter(id=first.id).update(scheduled_at=Now() - timedelta(seconds=1))
        lifecycle.run_now([later.id], actor="ann")
        assert [claimed.id for claimed in claim()] == [first.id, later.id]

    def test_wakes_the_queues(self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> None:
        scheduled = job_in(Status.SCHEDULED)
        with django_capture_on_commit_callbacks() as wake_ups:
            lifecycle.run_now([scheduled], actor="ann")
        assert len(wake_ups) == 2  # and one to who looks at it


class TestExpiry:
    def test_cancels_what_must_not_start_any_more(self) -> None:
        late, later, fresh, running = (enqueued(expires_in=60.0).id for _ in range(4))
        started(running)
        Job.objects.exclude(id=fresh).update(expires_at=Now() - timedelta(seconds=1))
        assert set(Job.objects.expired()) == {row(late), row(later)}
        assert lifecycle.expire() == 2
        assert statuses(late, later, fresh, running) == ["cancelled", "cancelled", "pending", "processing"]
        assert {event[1:4] for event in events()} == {("expired", "upkeep", "expired before it started")}

    def test_handles_no_more_than_its_limit(self) -> None:
        for _ in range(3):
            enqueued(expires_in=60.0)
        Job.objects.update(expires_at=Now() - timedelta(seconds=1))
        assert [lifecycle.expire(2), lifecycle.expire(2), lifecycle.expire(2)] == [2, 1, 0]


@pytest.mark.django_db(transaction=True)
def test_two_retries_at_once_of_jobs_with_one_key_leave_the_key_to_the_first() -> None:
    first, second = (job_in(Status.FAILED, unique_key="seat 7") for _ in range(2))
    asked, answers = threading.Event(), []

    def ask() -> None:
        asked.set()
        answers.append(lifecycle.retry([second], actor="bob"))  # waits for the first one's entry in the index
        connection.close()

    other = threading.Thread(target=ask)
    with transaction.atomic():
        assert lifecycle.retry([first], actor="ann").retried == [first]
        other.start()
        asked.wait(20)
        time.sleep(0.3)  # whether it waits by now or asks later, the answer is the same
    other.join(20)
    assert answers == [([], {second: "another job has its unique key 'seat 7'"})]


@pytest.mark.django_db(transaction=True)
def test_a_job_that_goes_back_while_it_is_cancelled_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    claimed = started()

    def give_back() -> None:
        ended(claimed, Verb.GIVE_BACK)
        connection.close()

    worker = threading.Thread(target=give_back)

    def fetch_slowly(sql: str, parameters: Any) -> Any:
        rows = fetch(sql, parameters)
        if sql is changes._CANCEL_WAITING:  # it runs: so far none that waits was found
            worker.start()
            worker.join(0.5)
        return rows

    monkeypatch.setattr(changes, "fetch", fetch_slowly)
    lifecycle.cancel([claimed.id], actor="ann")
    worker.join()
    assert row(claimed).status == Status.CANCELLED


@pytest.mark.django_db(transaction=True)
def test_no_worker_gets_a_job_between_being_found_late_and_being_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    late = enqueued(expires_in=3600.0)
    Job.objects.filter(id=late.id).update(expires_at=Now() - timedelta(seconds=1))
    claimed: list[Claimed] = []

    def start() -> None:
        claimed.extend(lifecycle.claim_these([late.id], worker="w:1", lease=30.0))
        connection.close()

    worker = threading.Thread(target=start)

    def cancel_slowly(*args: Any, **options: Any) -> Any:
        worker.start()
        worker.join(0.5)
        return lifecycle.cancel(*args, **options)

    monkeypatch.setattr(changes, "cancel", cancel_slowly)
    assert lifecycle.expire() == 1
    worker.join()
    assert (row(late).status, claimed) == (Status.CANCELLED, [])
