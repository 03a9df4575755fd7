import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from pytest_django import DjangoCaptureOnCommitCallbacks

from jobs import lifecycle
from jobs.lifecycle import Verb
from jobs.models import Failure, Job, Queue, Status
from tests.jobs.rows import WORKER, claim, ended, enqueued, new, now, row, started, statuses, values

pytestmark = pytest.mark.django_db


def elsewhere(act: Callable[[], Any]) -> Any:
    """What another session gets."""
    answer: list[Any] = []

    def run() -> None:
        answer.append(act())
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return answer[0]


class TestAClaim:
    def test_gives_the_worker_what_it_needs(self) -> None:
        group, parent = new().id, new().id
        job = enqueued(
            payload='{"part": "Puck"}',
            priority=7,
            backoff={"base": 1.0},
            parent=parent,
            group=group,
            canvas={"members": {"group": str(group), "takes": "letters"}},
        )
        (claimed,) = claim(worker="w:1", lease=30.0)
        assert claimed.key == (job.id, 1)
        assert (claimed.attempt, claimed.max_attempts, claimed.losses) == (1, 3, 0)
        assert (claimed.type, claimed.payload, claimed.queue) == ("improvise", '{"part": "Puck"}', "default")
        assert (claimed.priority, claimed.timeout, claimed.backoff) == (7, 60.0, '{"base": 1.0}')
        assert (claimed.parent, claimed.group) == (parent, group)
        assert claimed.members == f'{{"group": "{group}", "takes": "letters"}}'

    def test_marks_the_row(self) -> None:
        job = enqueued()
        Job.objects.filter(id=job.id).update(progress={"percent": 3})
        claim(worker="w:1", lease=30.0)
        after = row(job)
        assert (after.status, after.run, after.attempt, after.worker) == (Status.PROCESSING, 1, 1, "w:1")
        assert after.claimed_at is not None
        assert after.started_at == after.claimed_at
        assert after.lease_expires_at == after.claimed_at + timedelta(seconds=30)
        assert after.progress is None

    def test_takes_the_best_first_over_all_queues(self) -> None:
        late = enqueued(scheduled_at="2000-01-02T00:00Z")
        early = enqueued(scheduled_at="2000-01-01T00:00Z", queue="cpu")
        high = enqueued(priority=8)
        low = enqueued(priority=1, queue="cpu", scheduled_at="1999-01-01T00:00Z")
        assert [job.id for job in claim()] == [high.id, early.id, late.id, low.id]

    def test_takes_no_more_than_asked(self) -> None:
        jobs = [enqueued() for _ in range(5)]
        assert [job.id for job in claim(2)] == [job.id for job in jobs[:2]]
        assert [job.id for job in claim(2)] == [job.id for job in jobs[2:4]]
        assert [job.id for job in claim(2)] == [jobs[4].id]
        assert claim(2) == []

    def test_takes_no_more_of_a_queue_than_its_cap(self) -> None:
        for _ in range(3):
            enqueued(priority=9)
            enqueued(queue="cpu")
        claimed = lifecycle.claim({"default": 1, "cpu": 5}, 5, worker=WORKER, lease=30.0)
        assert [job.queue for job in claimed] == ["default", "cpu", "cpu", "cpu"]

    def test_takes_of_no_other_queue(self) -> None:
        enqueued(queue="cpu")
        assert claim(10, "default") == []

    def test_takes_nothing_of_a_queue_that_does_not_exist(self) -> None:
        enqueued(queue="nowhere")
        assert claim(10, "nowhere") == []

    def test_passes_over_a_paused_queue(self) -> None:
        enqueued()
        other = enqueued(queue="cpu", priority=1)
        lifecycle.pause("default", actor="ann")
        assert [job.id for job in claim()] == [other.id]
        lifecycle.resume("default", actor="ann")
        assert len(claim()) == 1

    def test_passes_over_what_is_not_due_or_has_expired(self) -> None:
        enqueued(delay=60.0)
        expired = enqueued(expires_in=60.0)
        Job.objects.filter(id=expired.id).update(expires_at=now())
        fresh = enqueued(expires_in=60.0)
        assert [job.id for job in claim()] == [fresh.id]

    def test_passes_over_jobs_that_this_workers_threads_still_run(self) -> None:
        zombie, other = enqueued(), enqueued()
        assert [job.id for job in claim(avoid=[zombie.id])] == [other.id]
        assert [job.id for job in claim()] == [zombie.id]

    def test_of_a_queue_with_a_limit_wants_its_room_checked(self) -> None:
        Queue.objects.filter(name="default").update(max_running=3)
        enqueued()
        assert claim() == []
        assert len(claim(limited=["default"])) == 1

    @pytest.mark.django_db(transaction=True)
    def test_passes_over_rows_that_another_one_is_claiming(self) -> None:
        jobs = [enqueued() for _ in range(4)]
        with transaction.atomic():
            mine = claim(2)
            theirs = elsewhere(lambda: claim(2, worker="other:1"))
        assert [job.id for job in mine + theirs] == [job.id for job in jobs]

    @pytest.mark.django_db(transaction=True)
    def test_is_given_to_one_of_many_that_ask_at_once(self) -> None:
        jobs = {enqueued().id for _ in range(60)}
        together = threading.Barrier(6)
        taken: list[UUID] = []

        def work(name: str) -> None:
            connection.ensure_connection()
            together.wait()
            while claimed := claim(7, worker=name):
                taken.extend(job.id for job in claimed)
            connection.close()

        threads = [threading.Thread(target=work, args=(f"w:{number}",)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # A worker may have found the last rows locked by another, and left them.
        taken += [job.id for job in claim()]
        assert len(taken) == 60
        assert set(taken) == jobs


class TestRoom:
    def test_is_what_the_limit_leaves(self) -> None:
        Queue.objects.filter(name="default").update(max_running=3)
        started()
        started(queue="cpu")
        ended(started(), Verb.COMPLETE)
        enqueued()
        assert lifecycle.room(["default"]) == {"default": 2}

    def test_is_never_negative(self) -> None:
        started()
        started()
        Queue.objects.filter(name="default").update(max_running=1)
        assert lifecycle.room(["default"]) == {"default": 0}

    def test_is_said_of_limited_queues_only_that_are_not_paused(self) -> None:
        limited = {name for name, options in settings.JOBS_QUEUES.items() if "max_running" in options}
        assert lifecycle.limited_queues() == limited
        Queue.objects.filter(name="cpu").update(max_running=1, paused_at=Now())
        assert lifecycle.limited_queues() == limited | {"cpu"}
        assert lifecycle.room(["default", "cpu", "bgg", "nowhere"]) == {"bgg": 3}

    @pytest.mark.django_db(transaction=True)
    def test_is_not_said_to_two_at_once(self) -> None:
        Queue.objects.filter(name="default").update(max_running=1)
        with transaction.atomic():
            assert lifecycle.room(["default"]) == {"default": 1}
            assert elsewhere(lambda: lifecycle.room(["default"])) == {}
        assert lifecycle.room(["default"]) == {"default": 1}


class TestPromotion:
    def test_lets_due_jobs_be_claimed_and_wakes_their_queues(
        self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        due, later = enqueued(delay=60.0), enqueued(delay=120.0)
        Job.objects.filter(id=due.id).update(scheduled_at=now())
        assert list(Job.objects.due()) == [row(due)]
        with django_capture_on_commit_callbacks() as wake_ups:
            assert lifecycle.promote() == 1
        assert len(wake_ups) == 2  # and one to who looks at it
        assert statuses(due, later) == [Status.PENDING, Status.SCHEDULED]

    def test_takes_the_oldest_first_and_no_more_than_its_limit(self) -> None:
        jobs = [enqueued(delay=60.0) for _ in range(3)]
        for age, job in enumerate(jobs):
            Job.objects.filter(id=job.id).update(scheduled_at=Now() - timedelta(minutes=age))
        assert lifecycle.promote(2) == 2
        assert statuses(*jobs) == [Status.SCHEDULED, Status.PENDING, Status.PENDING]

    def test_is_due_when_the_next_job_is(self) -> None:
        assert lifecycle.seconds_to_next() is None
        enqueued(delay=3600.0)
        enqueued(delay=7200.0)
        seconds = lifecycle.seconds_to_next()
        assert seconds is not None
        assert 3000 < seconds <= 3600


class TestALease:
    def test_is_renewed_for_the_current_run_of_a_running_job(self) -> None:
        job = started()
        Job.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
        assert lifecycle.renew([job.key], 60.0) == []
        after = row(job)
        assert after.lease_expires_at is not None
        assert after.claimed_at is not None
        assert after.lease_expires_at - after.claimed_at == timedelta(seconds=60)

    def test_is_not_renewed_for_a_stale_run_or_a_job_that_waits(self) -> None:
        stale, waiting = started(), started()
        ended(waiting, Verb.GIVE_BACK)
        as_they_were = values(stale), values(waiting)
        assert lifecycle.renew([(stale.id, 2), (stale.id, 0), waiting.key], 999.0) == []
        assert (values(stale), values(waiting)) == as_they_were

    def test_tells_who_was_asked_to_be_cancelled(self) -> None:
        asked, other = started(), started()
        lifecycle.cancel([asked.id], actor="ann")
        assert lifecycle.renew([asked.key, other.key], 60.0) == [asked.key]

    def test_tells_which_runs_are_no_longer_current(self) -> None:
        current, ran, taken = started(), started(), started()
        ended(ran)
        ended(taken, Verb.LOSE)
        started(taken.id)
        assert set(lifecycle.lost([current.key, ran.key, taken.key])) == {ran.key, taken.key}

    @pytest.mark.django_db(transaction=True)
    def test_does_not_wait_for_a_locked_row(self) -> None:
        locked, free = started(), started()
        before = values(locked)["lease_expires_at"]
        with transaction.atomic():
            Job.objects.select_for_update().get(id=locked.id)
            elsewhere(lambda: lifecycle.renew([locked.key, free.key], 999.0))
        assert values(locked)["lease_expires_at"] == before
        assert values(free)["lease_expires_at"] > before + timedelta(seconds=900)


class TestARescue:
    def test_gives_back_what_no_worker_has_renewed(self) -> None:
        lost, kept = started(), started()
        Job.objects.filter(id=lost.id).update(lease_expires_at=Now() - timedelta(seconds=1))
        assert list(Job.objects.stalled()) == [row(lost)]
        assert lifecycle.rescue() == 1
        assert statuses(lost, kept) == [Status.PENDING, Status.PROCESSING]
        assert (row(lost).losses, row(lost).attempt) == (1, 0)
        failure = Failure.objects.get()
        assert (failure.job_id, failure.error, failure.classification) == (lost.id, "WorkerLost", "worker-lost")
        assert failure.message == f"{WORKER} stopped renewing its lease"

    def test_comes_without_a_backoff(self) -> None:
        lost = started()
        Job.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
        lifecycle.rescue()
        assert [job.key for job in claim()] == [(lost.id, 2)]

    def test_handles_no_more_than_its_limit(self) -> None:
        for _ in range(3):
            started()
        Job.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
        assert [lifecycle.rescue(2), lifecycle.rescue(2), lifecycle.rescue(2)] == [2, 1, 0]


def test_a_worker_gives_back_what_it_claimed_without_knowing() -> None:
    known, unknown = started(), started()
    (theirs,) = lifecycle.claim_these([enqueued().id], worker="other:1", lease=30.0)
    assert lifecycle.start_over(WORKER, [known.key]) == 1
    assert statuses(known, unknown, theirs) == [Status.PROCESSING, Status.PENDING, Status.PROCESSING]
    assert (row(unknown).attempt, row(unknown).losses, row(unknown).run) == (0, 0, 1)


def test_progress_is_stored_for_the_current_run_only() -> None:
    job = started()
    lifecycle.record_progress(job.id, 1, '{"percent": 10}')
    lifecycle.record_progress(job.id, 0, '{"percent": 90}')
    assert row(job).progress == {"percent": 10}
    ended(job, Verb.GIVE_BACK)
    lifecycle.record_progress(job.id, 1, '{"percent": 20}')
    assert row(job).progress == {"percent": 10}
