from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import DataError
from django.utils import timezone

from jobs import lifecycle
from jobs.lifecycle import Error, Outcome, Verb
from jobs.lifecycle.ends import MAX_LOSSES
from jobs.models import Failure, Job, Status
from jobs.sessions import fetch
from tests.jobs.rows import BROKEN, WORKER, ended, enqueued, row, started, statuses, values

pytestmark = pytest.mark.django_db

NEXT_STEP = {
    "id": "01a00000-0000-7000-8000-000000000001",
    "type": "improvise",
    "payload": {},
    "queue": "default",
    "priority": 5,
    "max_attempts": 1,
    "timeout": 60.0,
}
CALLBACK = {**NEXT_STEP, "id": "01a00000-0000-7000-8000-000000000002", "takes": "stageName"}
CANVAS: dict[str, Any] = {"then": [NEXT_STEP], "on_error": [CALLBACK]}


class TestTheFence:
    @pytest.mark.parametrize("verb", Verb)
    def test_a_stale_run_changes_nothing_and_starts_nothing(self, verb: Verb) -> None:
        stale = started(canvas=CANVAS)
        ended(stale, Verb.LOSE)
        newer = started(stale.id)
        as_it_was, failures = values(stale), Failure.objects.count()
        assert ended(stale, verb, result='"late"') is None
        assert values(stale) == as_it_was
        assert Failure.objects.count() == failures
        assert Job.objects.count() == 1
        assert ended(newer, Verb.COMPLETE) == Status.COMPLETED

    @pytest.mark.parametrize("verb", Verb)
    def test_a_run_that_is_not_yet_changes_nothing(self, verb: Verb) -> None:
        claimed = started(canvas=CANVAS)
        as_it_was = values(claimed)
        assert ended(claimed._replace(run=2), verb) is None
        assert values(claimed) == as_it_was

    @pytest.mark.parametrize("verb", Verb)
    def test_a_run_ends_once_whatever_is_reported_again(self, verb: Verb) -> None:
        claimed = started(canvas=CANVAS)
        assert ended(claimed, Verb.COMPLETE, result="1") == Status.COMPLETED
        as_it_was, jobs = values(claimed), Job.objects.count()
        assert ended(claimed, verb, result="2") is None
        assert values(claimed) == as_it_was
        assert (Job.objects.count(), Failure.objects.count()) == (jobs, 0)

    def test_the_run_number_is_never_used_again(self) -> None:
        job = enqueued()
        runs = []
        for verb in (Verb.SNOOZE, Verb.GIVE_BACK, Verb.LOSE, Verb.FAIL):
            claimed = started(job)
            runs.append(claimed.run)
            ended(claimed, verb)
        lifecycle.retry([job.id], actor="ann")
        runs.append(started(job).run)
        assert runs == [1, 2, 3, 4, 5]

    def test_a_batch_writes_what_is_current_and_passes_over_the_rest(self) -> None:
        one, two, gone = started(), started(), started()
        ended(two, Verb.GIVE_BACK)
        Job.objects.filter(id=gone.id).delete()
        reports = [Outcome(*job.key, Verb.COMPLETE) for job in (one, two, gone)]
        unknown = Outcome(uuid4(), 1, Verb.COMPLETE)
        assert lifecycle.finish([*reports, unknown]) == {one.key: Status.COMPLETED}
        assert statuses(one, two) == [Status.COMPLETED, Status.PENDING]

    def test_the_same_run_twice_in_a_batch_counts_once(self) -> None:
        claimed = started(canvas=CANVAS)
        twice = [Outcome(*claimed.key, Verb.COMPLETE, result="1")] * 2
        assert lifecycle.finish(twice) == {claimed.key: Status.COMPLETED}
        assert Job.objects.count() == 2


def test_nothing_to_report_is_nothing_to_write() -> None:
    assert lifecycle.finish([]) == {}


class TestACancelRequest:
    """Somebody asked a running job to end; then it reports."""

    @pytest.mark.parametrize(
        ("verb", "after"),
        [
            (Verb.COMPLETE, Status.COMPLETED),  # a success that was returned wins
            (Verb.FAIL, Status.CANCELLED),
            (Verb.RETRY, Status.CANCELLED),
            (Verb.SNOOZE, Status.CANCELLED),
            (Verb.GIVE_BACK, Status.CANCELLED),
            (Verb.LOSE, Status.CANCELLED),
            (Verb.CANCEL, Status.CANCELLED),
        ],
    )
    def test_yields_to_a_success_only(self, verb: Verb, after: Status) -> None:
        claimed = started(canvas=CANVAS)
        assert lifecycle.cancel([claimed.id], actor="ann") == {claimed.id: Status.PROCESSING}
        assert ended(claimed, verb) == after
        assert Failure.objects.filter(job=claimed.id).count() == 0
        following = row(Job.objects.exclude(id=claimed.id).get()).status
        assert following == (Status.PENDING if after == Status.COMPLETED else Status.FAILED)

    def test_is_honoured_by_rescue(self) -> None:
        claimed = started()
        lifecycle.cancel([claimed.id], actor="ann")
        Job.objects.filter(id=claimed.id).update(lease_expires_at=timezone.now() - timedelta(days=1))
        assert lifecycle.rescue() == 1
        assert statuses(claimed) == [Status.CANCELLED]

    def test_is_forgotten_by_a_retry_by_hand(self) -> None:
        claimed = started()
        lifecycle.cancel([claimed.id], actor="ann")
        ended(claimed, Verb.FAIL)
        lifecycle.retry([claimed.id], actor="ann")
        assert ended(started(claimed.id), Verb.RETRY, delay=1.0) == Status.SCHEDULED


class TestAttempts:
    """What each end does to `attempt`, `losses` and the time of the next attempt."""

    @pytest.mark.parametrize(
        ("verb", "attempt", "losses"),
        [
            (Verb.COMPLETE, 1, 0),
            (Verb.FAIL, 1, 0),
            (Verb.RETRY, 1, 0),
            (Verb.CANCEL, 1, 0),
            (Verb.SNOOZE, 0, 0),
            (Verb.GIVE_BACK, 0, 0),
            (Verb.LOSE, 0, 1),
        ],
    )
    def test_are_used_by_what_the_job_did_itself(self, verb: Verb, attempt: int, losses: int) -> None:
        claimed = started()
        ended(claimed, verb)
        after = row(claimed)
        assert (after.run, after.attempt, after.losses) == (1, attempt, losses)

    def test_end_with_the_last_one(self) -> None:
        job = enqueued(max_attempts=2)
        assert ended(started(job), Verb.RETRY) == Status.SCHEDULED
        assert ended(started(job), Verb.RETRY) == Status.FAILED
        assert list(Failure.objects.values_list("run", "attempt")) == [(1, 1), (2, 2)]

    def test_are_not_used_up_by_snoozes(self) -> None:
        job = enqueued(max_attempts=1)
        for _ in range(5):
            assert ended(started(job), Verb.SNOOZE) == Status.SCHEDULED
        assert ended(started(job), Verb.RETRY) == Status.FAILED
        assert (row(job).run, row(job).attempt) == (6, 1)

    def test_are_not_used_by_lost_workers_of_which_five_end_the_job(self) -> None:
        job = enqueued(max_attempts=1)
        for losses in range(1, MAX_LOSSES):
            assert ended(started(job), Verb.LOSE) == Status.PENDING
            assert (row(job).losses, row(job).attempt) == (losses, 0)
        assert ended(started(job), Verb.LOSE) == Status.FAILED
        assert row(job).losses == MAX_LOSSES
        assert Failure.objects.filter(job=job.id).count() == MAX_LOSSES

    def test_and_losses_start_anew_when_a_person_retries(self) -> None:
        job = enqueued(max_attempts=2)
        ended(started(job), Verb.LOSE)
        ended(started(job), Verb.RETRY)
        ended(started(job), Verb.RETRY)
        lifecycle.retry([job.id], actor="ann")
        assert (row(job).attempt, row(job).losses, row(job).run) == (0, 0, 3)

    @pytest.mark.parametrize("verb", [Verb.RETRY, Verb.SNOOZE])
    def test_wait_for_the_delay_by_the_clock_of_the_database(self, verb: Verb) -> None:
        claimed = started()
        ended(claimed, verb, delay=90.0)
        after = row(claimed)
        assert after.claimed_at is not None
        assert after.scheduled_at - after.claimed_at == timedelta(seconds=90)

    @pytest.mark.parametrize("verb", [Verb.GIVE_BACK, Verb.LOSE])
    def test_that_go_back_keep_their_place_in_the_queue(self, verb: Verb) -> None:
        claimed = started()
        before = row(claimed).scheduled_at
        ended(claimed, verb, delay=90.0)
        assert row(claimed).scheduled_at == before


class TestAFailure:
    def test_is_kept_for_each_run_that_did_not_complete(self) -> None:
        claimed = started()
        ended(claimed, Verb.RETRY, error=Error("KeyError", "'x'", "Traceback", "retryable"), seconds=2.0)
        failure = Failure.objects.get()
        assert (failure.job_id, failure.run, failure.attempt, failure.worker) == (claimed.id, 1, 1, WORKER)
        assert (failure.error, failure.message, failure.traceback) == ("KeyError", "'x'", "Traceback")
        assert failure.classification == "retryable"
        assert failure.started_at == row(claimed).started_at

    @pytest.mark.parametrize("verb", [Verb.COMPLETE, Verb.SNOOZE, Verb.GIVE_BACK, Verb.CANCEL])
    def test_is_not_made_without_an_error(self, verb: Verb) -> None:
        ended(started(), verb)
        assert Failure.objects.count() == 0

    def test_of_a_class_with_a_very_long_name_is_kept_too(self) -> None:
        ended(started(), Verb.FAIL, error=Error("E" * 1000, "m", "", "permanent"))
        assert Failure.objects.get().error == "E" * 255

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("timed out after 3 s", "timed out after 60 s"),
            ("no game '13'", "no game '9209'"),
            ('no game "Catan"', 'no game "Wingspan"'),
            ("token deadbeef01 refused", "token 0badcafe99 refused"),
        ],
    )
    def test_has_the_fingerprint_of_its_kind(self, one: str, other: str) -> None:
        assert self.fingerprint("E", one) == self.fingerprint("E", other)

    def test_has_another_fingerprint_for_another_kind(self) -> None:
        assert self.fingerprint("E", "no game") != self.fingerprint("E", "no such game")
        assert self.fingerprint("E", "no game") != self.fingerprint("F", "no game")

    @staticmethod
    def fingerprint(name: str, message: str) -> str:
        return Error(name, message, "", "permanent").fingerprint


class TestAResult:
    @pytest.mark.parametrize("result", ['{"a": [1, null]}', "0", "false", "null", '""'])
    def test_is_stored_as_it_is(self, result: str) -> None:
        ended(started(), Verb.COMPLETE, result=result)
        assert fetch("SELECT result::text FROM jobs_job", {}) == [(result,)]

    @pytest.mark.parametrize(
        ("verb", "max_attempts", "kept"),
        [(Verb.FAIL, 3, 1), (Verb.RETRY, 1, 1), (Verb.RETRY, 3, None), (Verb.SNOOZE, 1, None), (Verb.CANCEL, 1, None)],
    )
    def test_is_kept_of_a_run_that_ends_the_job_completed_or_failed(
        self, verb: Verb, max_attempts: int, kept: int | None
    ) -> None:
        claimed = started(max_attempts=max_attempts)
        ended(claimed, verb, result="1")
        assert row(claimed).result == kept

    def test_of_an_earlier_life_goes_when_the_job_is_retried(self) -> None:
        claimed = started()
        ended(claimed, Verb.FAIL, result="1", progress='{"percent": 50}')
        lifecycle.retry([claimed.id], actor="ann")
        assert (row(claimed).result, row(claimed).progress) == (None, None)

    @pytest.mark.django_db(transaction=True)
    def test_that_postgres_refuses_leaves_the_whole_batch_to_be_written_again(self) -> None:
        good, bad = started(), started()
        with pytest.raises(DataError):
            lifecycle.finish([Outcome(*good.key, Verb.COMPLETE), Outcome(*bad.key, Verb.COMPLETE, result='"\\u0000"')])
        assert statuses(good, bad) == [Status.PROCESSING, Status.PROCESSING]
        assert ended(bad, Verb.FAIL, error=BROKEN) == Status.FAILED


def test_the_last_progress_is_written_with_the_end() -> None:
    claimed = started()
    lifecycle.record_progress(claimed.id, 1, '{"percent": 10}')
    ended(claimed, Verb.COMPLETE, progress='{"percent": 100}')
    assert row(claimed).progress == {"percent": 100}


def test_progress_that_was_written_before_stays_when_the_end_brings_none() -> None:
    claimed = started()
    lifecycle.record_progress(claimed.id, 1, '{"percent": 10}')
    ended(claimed, Verb.FAIL)
    assert row(claimed).progress == {"percent": 10}
