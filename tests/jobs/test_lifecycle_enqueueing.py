import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from pytest_django import DjangoCaptureOnCommitCallbacks

from jobs import broker, lifecycle
from jobs.lifecycle import Enqueued, NewJob, Verb
from jobs.models import Job, Status
from jobs.sessions import fetch
from tests.jobs.rows import ended, enqueued, new, now, row, started

pytestmark = pytest.mark.django_db

NOON = datetime(2050, 1, 1, 12, tzinfo=UTC)


def tokens(queue: str) -> int:
    length: int = broker.client().llen(broker.wake_key(queue))
    return length


class TestANewJob:
    def test_is_a_row_with_everything_it_was_given(self) -> None:
        parent, group = uuid4(), uuid4()
        job = new(
            payload='{"part": "Puck"}',
            queue="cpu",
            priority=8,
            max_attempts=7,
            timeout=12.5,
            attempt=2,
            backoff={"base": 1},
            scheduled_at=NOON,
            expires_at=NOON + timedelta(hours=1),
            unique_key="puck",
            created_by="ann",
            tags=["night", "dream"],
            schedule="nightly",
            parent=parent,
            group=group,
            canvas={"then": []},
        )
        assert lifecycle.enqueue([job]) == [Enqueued(job.id, Status.SCHEDULED, True)]
        found = row(job.id)
        assert (found.type, found.payload, found.queue, found.priority) == ("improvise", {"part": "Puck"}, "cpu", 8)
        assert (found.max_attempts, found.timeout, found.attempt, found.run) == (7, 12.5, 2, 0)
        assert (found.scheduled_at, found.expires_at) == (NOON, NOON + timedelta(hours=1))
        assert (found.backoff, found.canvas) == ({"base": 1}, {"then": []})
        assert (found.unique_key, found.created_by, found.schedule) == ("puck", "ann", "nightly")
        assert (found.tags, found.parent, found.group) == (["night", "dream"], parent, group)
        assert (found.result, found.worker, found.claimed_at, found.finished_at) == (None, None, None, None)

    def test_waits_for_nothing_unless_told(self) -> None:
        found = row(enqueued())
        assert (found.status, found.scheduled_at) == (Status.PENDING, now())

    @pytest.mark.parametrize(
        ("when", "status"),
        [
            ({"delay": 60.0}, Status.SCHEDULED),
            ({"delay": 0.0}, Status.PENDING),
            ({"scheduled_at": NOON}, Status.SCHEDULED),
            ({"scheduled_at": datetime(2000, 1, 1, tzinfo=UTC)}, Status.PENDING),
            ({"scheduled_at": NOON, "delay": 0.0}, Status.SCHEDULED),
        ],
    )
    def test_is_scheduled_when_its_time_is_not_yet(self, when: dict[str, object], status: Status) -> None:
        job = enqueued(**when)
        assert (job.status, row(job).status) == (status, status)

    def test_counts_delay_and_expiry_from_the_clock_of_the_database(self) -> None:
        found = row(enqueued(delay=60.0, expires_in=90.0))
        assert found.scheduled_at == now() + timedelta(seconds=60)
        assert found.expires_at == now() + timedelta(seconds=90)

    def test_whose_id_exists_is_the_one_that_exists(self) -> None:
        first = new(payload='{"part": "first"}')
        again = new(id=first.id, payload='{"part": "again"}')
        assert lifecycle.enqueue([first])[0].created
        ended(started(first.id), Verb.COMPLETE)
        assert lifecycle.enqueue([again]) == [Enqueued(first.id, Status.COMPLETED, False)]
        assert row(first.id).payload == {"part": "first"}

    def test_keeps_text_that_looks_like_sql_or_a_format(self) -> None:
        nasty = "%s %(x)s '; DROP TABLE jobs_job; -- \\ \N{SNOWMAN}"
        job = enqueued(
            payload=f'{{"part": "{nasty.encode("unicode_escape").decode()}"}}', created_by=nasty, tags=[nasty]
        )
        found = row(job)
        assert (found.payload, found.created_by, found.tags) == ({"part": nasty}, nasty, [nasty])


class TestManyJobs:
    def test_are_inserted_in_one_statement_and_answered_in_order(self) -> None:
        jobs = [new(priority=n % 10 + 1) for n in range(500)]
        assert [job.id for job in lifecycle.enqueue(jobs)] == [job.id for job in jobs]
        assert Job.objects.count() == 500

    def test_are_all_or_none(self) -> None:
        with pytest.raises(IntegrityError, match="job_priority_1_to_10"), transaction.atomic():
            lifecycle.enqueue([new(), new(priority=11), new()])
        assert Job.objects.count() == 0

    def test_are_none_at_all(self) -> None:
        assert lifecycle.enqueue([]) == []


class TestAUniqueKey:
    @pytest.mark.parametrize("status", [Status.SCHEDULED, Status.PENDING, Status.PROCESSING])
    def test_finds_the_active_job_that_has_it(self, status: Status) -> None:
        first = enqueued(unique_key="k", delay=60.0 if status == Status.SCHEDULED else None)
        if status == Status.PROCESSING:
            started(first)
        assert enqueued(unique_key="k") == Enqueued(first.id, status, False)
        assert Job.objects.count() == 1

    @pytest.mark.parametrize("verb", [Verb.COMPLETE, Verb.FAIL, Verb.CANCEL])
    def test_is_free_when_its_job_has_ended(self, verb: Verb) -> None:
        ended(started(unique_key="k"), verb)
        assert enqueued(unique_key="k").created

    def test_belongs_to_one_type(self) -> None:
        assert enqueued(unique_key="k").created
        assert enqueued(unique_key="k", type="spell").created

    def test_is_found_within_one_set_too(self) -> None:
        one, same, other = lifecycle.enqueue([new(unique_key="k"), new(unique_key="k"), new(unique_key="j")])
        assert (one.created, same, other.created) == (True, Enqueued(one.id, Status.PENDING, False), True)

    def test_is_not_needed(self) -> None:
        assert [enqueued().created, enqueued().created] == [True, True]

    def test_is_not_the_empty_text(self) -> None:
        assert [enqueued(unique_key=None).created, enqueued(unique_key=None).created] == [True, True]

    @pytest.mark.django_db(transaction=True)
    def test_is_taken_once_by_fifty_at_once(self) -> None:
        together = threading.Barrier(50)
        answers: list[Enqueued] = []

        def ask() -> None:
            connection.ensure_connection()
            together.wait()
            answers.append(enqueued(unique_key="k"))
            connection.close()

        threads = [threading.Thread(target=ask) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (job,) = Job.objects.all()
        assert {answer.id for answer in answers} == {job.id}
        assert sorted(answer.created for answer in answers) == [False] * 49 + [True]


class TestTheCallersTransaction:
    def test_takes_the_job_along_when_it_is_rolled_back(
        self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        with django_capture_on_commit_callbacks() as wake_ups, transaction.atomic():
            enqueued()
            transaction.set_rollback(True)
        assert (Job.objects.count(), wake_ups) == (0, [])

    def test_wakes_each_queue_once_on_commit(
        self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        broker.client().delete(broker.wake_key("default"), broker.wake_key("cpu"))
        with django_capture_on_commit_callbacks(execute=True) as wake_ups:
            lifecycle.enqueue([new(), new(), new(queue="cpu")])
            assert (tokens("default"), tokens("cpu")) == (0, 0)
        assert len(wake_ups) == 2  # and one to who looks at it
        assert broker.flush(20)
        assert (tokens("default"), tokens("cpu")) == (1, 1)

    def test_stays_usable_after_a_key_was_found_taken(self) -> None:
        with transaction.atomic():
            enqueued(unique_key="k")
            enqueued(unique_key="k")
            assert Job.objects.count() == 1


def test_a_job_given_as_data_makes_no_assumption_about_its_type() -> None:
    assert enqueued(type="no_such_type").created


def test_new_jobs_have_ids_in_the_order_of_time() -> None:
    jobs: list[NewJob] = [new() for _ in range(100)]
    assert sorted(jobs, key=lambda job: job.id) == jobs


@pytest.mark.django_db(transaction=True)
def test_two_callers_with_the_same_keys_do_not_block_each_other() -> None:
    def ask() -> None:
        lifecycle.enqueue([new(unique_key="b"), new(unique_key="a")])
        connection.close()

    other = threading.Thread(target=ask)
    with transaction.atomic():
        enqueued(unique_key="a")
        other.start()
        other.join(0.5)  # it waits for the first key by now
        fetch("SELECT set_config('lock_timeout', '1000', true)", {})
        enqueued(unique_key="b")
    other.join()
    assert Job.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_migration_may_change_a_column_beneath_a_connection() -> None:
    """The statement of a single job is prepared, and its plan may not come to give something else."""

    def give_queue(size: int) -> None:
        def alter() -> None:
            fetch(f"ALTER TABLE jobs_job ALTER COLUMN queue TYPE varchar({size})", {})
            connection.close()

        thread = threading.Thread(target=alter)
        thread.start()
        thread.join()

    lifecycle.enqueue([new()])
    give_queue(300)
    try:
        assert lifecycle.enqueue([new()])[0].created
    finally:
        give_queue(100)
