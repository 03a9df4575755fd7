"""AsyncResult and GroupResult over rows."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import chain, chord, current_app, group
from celery.exceptions import TaskRevokedError, TimeoutError  # noqa: A004 (Celery's)
from celery.result import AsyncResult, GroupResult
from django.db import OperationalError
from django_celery_results.models import TaskResult

from jobs import lifecycle
from jobs.lifecycle import Verb
from jobs.models import BatchItem, Chord, Failure, Job, LogLine, Status
from jobs.results import JobBackend, JobFailed
from jobs.sessions import fetch
from jobs.testing import drain, perform
from tests.jobs.jobtypes import add_up, collapse, improvise, part, say, spell, stumble, total
from tests.jobs.rows import ended, enqueued, job_in, row, started

pytestmark = pytest.mark.django_db


def of(job: object) -> Any:
    return AsyncResult(str(job))


class TestTheState:
    @pytest.mark.parametrize(
        ("status", "state"),
        [
            (Status.SCHEDULED, "PENDING"),
            (Status.PENDING, "PENDING"),
            (Status.PROCESSING, "STARTED"),
            (Status.COMPLETED, "SUCCESS"),
            (Status.FAILED, "FAILURE"),
            (Status.CANCELLED, "REVOKED"),
        ],
    )
    def test_is_celerys_word_for_the_status(self, status: Status, state: str) -> None:
        result = of(job_in(status))
        assert (result.state, result.status) == (state, state)
        assert result.ready() == (status in (Status.COMPLETED, Status.FAILED, Status.CANCELLED))
        assert (result.successful() if result.ready() else False) == (status == Status.COMPLETED)
        assert result.failed() == (status == Status.FAILED)

    def test_is_retry_while_the_next_attempt_waits(self) -> None:
        claimed = started()
        ended(claimed, Verb.RETRY, delay=60.0)
        result = of(claimed.id)
        assert (result.state, result.ready(), str(result.result)) == ("RETRY", False, "the set fell down")

    def test_after_a_snooze_is_pending(self) -> None:
        claimed = started()
        ended(claimed, Verb.SNOOZE, delay=60.0)
        assert of(claimed.id).state == "PENDING"

    @pytest.mark.parametrize("unknown", [uuid4(), "no-uuid", ""])
    def test_of_an_id_that_is_no_job_is_pending(self, unknown: object) -> None:
        if unknown:
            assert (of(unknown).state, of(unknown).result, of(unknown).ready()) == ("PENDING", None, False)

    def test_changes_as_the_row_does(self) -> None:
        result = add_up.delay(1, 2)
        assert result.state == "PENDING"
        drain()
        assert (result.state, result.get()) == ("SUCCESS", 3)


class TestGet:
    @pytest.mark.parametrize("value", [None, 0, "", [1, {"a": None}]])
    def test_gives_the_result(self, value: Any) -> None:
        assert of(perform(improvise.enqueue(part(lambda job: value))).id).get(timeout=0) == value

    def test_raises_pythons_own_errors_as_themselves(self) -> None:
        result = of(perform(stumble.delay().id).id)
        with pytest.raises(ValueError, match="stumbled"):
            result.get(timeout=0)
        assert "in stumble" in result.traceback

    def test_raises_other_errors_under_their_name(self) -> None:
        result = of(perform(collapse.delay().id).id)
        with pytest.raises(JobFailed, match="the set fell down") as raised:
            result.get(timeout=0)
        assert type(raised.value).__name__ == "Discard"

    @pytest.mark.parametrize("name", ["UnicodeDecodeError", "SystemExit", "print", "Exception", "__import__", "X"])
    def test_raises_something_whatever_the_name(self, name: str) -> None:
        claimed = started()
        error = lifecycle.Error(name, "why", "", "permanent")
        ended(claimed, Verb.FAIL, error=error)
        with pytest.raises(Exception, match="why"):
            of(claimed.id).get(timeout=0)

    def test_may_give_the_error_instead(self) -> None:
        assert str(of(perform(stumble.delay().id).id).get(timeout=0, propagate=False)) == "stumbled"

    def test_of_a_cancelled_job_says_so(self) -> None:
        with pytest.raises(TaskRevokedError, match="cancelled"):
            of(job_in(Status.CANCELLED)).get(timeout=0)

    def test_of_a_job_that_never_ran_says_why(self) -> None:
        result: Any = chain(collapse.si(), say.s())()
        drain()
        with pytest.raises(JobFailed, match="the job before it did not complete"):
            result.get(timeout=0, disable_sync_subtasks=False, propagate=True, follow_parents=False)

    def test_does_not_wait_longer_than_it_was_told(self) -> None:
        with pytest.raises(TimeoutError):
            add_up.delay(1, 2).get(timeout=0.01, interval=0.001)

    def test_calls_back(self) -> None:
        called: list[Any] = []
        result = of(perform(add_up.delay(1, 2).id).id)
        result.get(timeout=0, callback=lambda task_id, value: called.append((task_id, value)))
        assert called == [(result.id, 3)]

    def test_without_a_recorded_error_says_so(self) -> None:
        job = job_in(Status.FAILED)
        Failure.objects.all().delete()
        with pytest.raises(JobFailed, match="no error was recorded"):
            of(job).get(timeout=0)


class TestWhatElseItTells:
    def test_of_a_plain_task(self) -> None:
        job = perform(add_up.apply_async((1,), {"y": 2}, queue="cpu").id)
        result = of(job.id)
        assert (result.name, result.args, result.kwargs) == (add_up.name, [1], {"y": 2})
        assert (result.queue, result.worker, result.retries) == ("cpu", job.worker, 0)
        assert result.date_done == job.finished_at

    def test_of_a_processor(self) -> None:
        job = enqueued(type="spell", payload='{"text": "a"}')
        assert (of(job.id).name, of(job.id).args, of(job.id).kwargs) == ("spell", [], {"text": "a"})

    def test_are_the_jobs_that_it_started(self) -> None:
        inner: list[str] = []

        def body(job: Any) -> None:
            inner.extend([add_up.delay(1, 1).id, spell.delay(text="a").id])

        result = of(perform(improvise.enqueue(part(body))).id)
        assert [child.id for child in result.children] == inner
        drain()
        assert [value for _, value in result.collect()] == [None, 2, "a"]

    def test_are_the_next_steps_of_a_chain(self) -> None:
        result: Any = chain(add_up.s(1, 1), add_up.s(1))()
        drain()
        assert [child.id for child in result.parent.children] == [result.id]

    def test_costs_three_queries(self, django_assert_max_num_queries: Any) -> None:
        result = of(job_in(Status.FAILED))
        with django_assert_max_num_queries(3):
            assert (result.state, result.traceback) == ("FAILURE", "Traceback …")


class TestForget:
    @pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
    def test_deletes_what_has_ended(self, status: Status) -> None:
        job = job_in(status)
        of(job).forget()
        assert Job.objects.filter(id=job).count() == 0
        assert of(job).state == "PENDING"

    def test_leaves_nothing_of_it(self) -> None:
        job = job_in(Status.FAILED)
        BatchItem.objects.create(job=job, key="a")
        LogLine.objects.create(job=job, run=1, level=20, message="so far")
        of(job).forget()
        assert not any(model.objects.exists() for model in (BatchItem, Failure, LogLine))

    @pytest.mark.parametrize("status", [Status.SCHEDULED, Status.PENDING, Status.PROCESSING])
    def test_keeps_what_is_active(self, status: Status) -> None:
        job = job_in(status)
        of(job).forget()
        assert row(job).status == status

    def test_of_an_unknown_id_does_nothing(self) -> None:
        of("no-uuid").forget()
        of(uuid4()).forget()


class TestRevoke:
    def test_cancels_the_row_and_poisons_no_id(self) -> None:
        result: Any = add_up.delay(1, 2)
        result.revoke()
        assert result.state == "REVOKED"
        lifecycle.retry([UUID(result.id)], actor="ann")
        drain()
        assert of(result.id).get(timeout=0) == 3

    def test_asks_a_running_job(self) -> None:
        job = job_in(Status.PROCESSING)
        of(job).revoke(terminate=True)
        assert row(job).cancel_requested_at is not None

    def test_of_many_is_one(self) -> None:
        jobs = [add_up.delay(1, 1).id for _ in range(3)]
        current_app.control.revoke(jobs)
        assert set(Job.objects.values_list("status", flat=True)) == {"cancelled"}


class TestAGroup:
    def test_is_asked_with_one_query_for_all(self, django_assert_max_num_queries: Any) -> None:
        result: Any = group(add_up.s(n, n) for n in range(20))()
        drain()
        with django_assert_max_num_queries(4):
            assert result.join_native(timeout=0) == [2 * n for n in range(20)]
        assert result.get(timeout=0) == result.join(timeout=0)

    def test_counts_its_jobs(self) -> None:
        result: Any = group(add_up.s(1, 1), stumble.s())()
        assert (result.ready(), result.waiting(), result.completed_count()) == (False, True, 0)
        drain()
        assert (result.ready(), result.successful(), result.failed(), result.completed_count()) == (
            True,
            False,
            True,
            1,
        )
        with pytest.raises(ValueError, match="stumbled"):
            result.get(timeout=0)
        first, second = result.get(timeout=0, propagate=False)
        assert (first, str(second)) == (2, "stumbled")

    def test_gives_up_after_its_time(self) -> None:
        result: Any = group(add_up.s(1, 1), add_up.s(2, 2))()
        with pytest.raises(TimeoutError, match="2 jobs have not ended"):
            result.get(timeout=0.01)

    def test_is_saved_restored_and_deleted(self) -> None:
        result: Any = group(add_up.s(1, 1), add_up.s(2, 2))()
        result.save()
        drain()
        restored: Any = GroupResult.restore(result.id)
        assert (restored.id, restored.get(timeout=0)) == (result.id, [2, 4])
        restored.delete()
        assert GroupResult.restore(result.id) is None

    def test_is_revoked_and_forgotten_as_a_whole(self) -> None:
        result: Any = group(add_up.s(1, 1), add_up.s(2, 2))()
        result.revoke()
        assert [child.state for child in result] == ["REVOKED", "REVOKED"]
        result.forget()
        assert Job.objects.count() == 0

    def test_of_a_chord_is_the_parent_of_its_body(self) -> None:
        result: Any = chord([add_up.s(1, 1), add_up.s(2, 2)])(total.s())
        drain()
        assert (result.parent.get(timeout=0), result.get(timeout=0)) == ([2, 4], 6)
        assert result.parent.id == str(Chord.objects.get().id)


class TestTheBackend:
    def test_is_ours_and_writes_nothing_of_a_job(self) -> None:
        backend = current_app.backend
        assert isinstance(backend, JobBackend)
        job = job_in(Status.PENDING)
        backend.store_result(str(job), 5, "SUCCESS")
        backend.mark_as_failure(str(job), ValueError("x"))
        backend.cleanup()
        assert (row(job).status, row(job).result, TaskResult.objects.count()) == (Status.PENDING, None, 0)

    @pytest.mark.django_db(transaction=True)
    def test_reads_again_after_a_lost_connection_and_after_nothing_else(self) -> None:
        result = of(job_in(Status.COMPLETED))
        fetch("SELECT 1", {})
        backend = current_app.backend
        assert not backend.exception_safe_to_retry(ValueError())
        with pytest.raises(OperationalError):
            fetch("SELECT pg_terminate_backend(pg_backend_pid())", {})
        assert backend.exception_safe_to_retry(OperationalError())
        assert result.state == "SUCCESS"

    def test_waits_for_what_is_not_there_yet(self) -> None:
        ids = [job_in(Status.COMPLETED), job_in(Status.PENDING)]
        seen: list[str] = []

        def meanwhile() -> None:
            drain_one = started(ids[1])
            ended(drain_one, Verb.COMPLETE, result="2")

        metas = dict(
            current_app.backend.get_many(  # type: ignore[attr-defined]
                [str(job) for job in ids],
                timeout=30,
                interval=0.001,
                on_interval=meanwhile,
                on_message=lambda meta: seen.append(meta["task_id"]),
            )
        )
        assert {key: meta["result"] for key, meta in metas.items()} == {str(ids[0]): "done", str(ids[1]): 2}
        assert seen == [str(job) for job in ids]
