"""The helpers for tests of job types, which our own tests use too."""

from uuid import uuid4

import pytest
from django.db import IntegrityError

from jobs import lifecycle
from jobs.models import Event, Job, Queue, Status
from jobs.processor import JobContext, enqueue
from jobs.testing import assert_enqueued, drain, perform
from tests.jobs.jobtypes import Letter, add_up, improvise, part, spell
from tests.jobs.rows import row

pytestmark = pytest.mark.django_db


class TestPerform:
    @pytest.mark.parametrize("name", ["enqueued", "id", "text", "row"])
    def test_runs_a_job_and_gives_its_row(self, name: str) -> None:
        job = spell.enqueue({"text": "a", "letter": "b"})
        told = {"enqueued": job, "id": job.id, "text": str(job.id), "row": row(job)}[name]
        after = perform(told)  # type: ignore[arg-type]
        assert (after.id, after.status, after.result, after.run) == (job.id, Status.COMPLETED, "ab", 1)

    def test_does_not_wait_for_the_jobs_time_or_queue(self) -> None:
        lifecycle.pause("default", actor="ann")
        assert perform(spell.enqueue({"text": "a"}, delay=3600)).status == Status.COMPLETED

    @pytest.mark.parametrize("known", [True, False])
    def test_of_a_job_that_does_not_wait_fails_the_test(self, known: bool) -> None:
        job = perform(spell.enqueue({"text": "a"})).id if known else uuid4()
        with pytest.raises(AssertionError, match=f"{job} is not waiting: {'.*completed' if known else 'None'}"):
            perform(job)

    def test_undoes_what_broke_the_callers_transaction(self) -> None:
        def body(job: JobContext) -> None:
            Event.objects.create(kind="before", actor="ann")
            Queue.objects.create(name="default")

        job = perform(improvise.enqueue(part(body)))
        assert job.failures.get().error == IntegrityError.__name__
        assert (job.status, Event.objects.count()) == (Status.SCHEDULED, 0)

    def test_keeps_what_a_job_wrote_before_it_failed(self) -> None:
        def body(job: JobContext) -> None:
            Event.objects.create(kind="before", actor="ann")
            raise ValueError

        perform(improvise.enqueue(part(body)))
        assert Event.objects.get().kind == "before"


class TestDrain:
    def test_runs_best_first_with_all_that_is_enqueued_meanwhile(self) -> None:
        low = improvise.enqueue(part(lambda job: job.enqueue_child("spell", {"text": "child"}).status), priority="low")
        high = spell.enqueue({"text": "a"}, priority="high")
        ran = drain()
        assert ran[:2] == [high.id, low.id]
        assert [row(job).payload["text"] for job in ran[2:]] == ["child"]
        assert set(Job.objects.values_list("status", flat=True)) == {"completed"}

    def test_leaves_what_is_not_due_and_what_is_paused(self) -> None:
        later = spell.enqueue({"text": "a"}, delay=60)
        paused = spell.enqueue({"text": "a"}, queue="cpu")
        retried = improvise.enqueue(part(lambda job: 1 / 0))
        lifecycle.pause("cpu", actor="ann")
        assert drain() == [retried.id]
        assert [row(job).status for job in (later, paused, retried)] == ["scheduled", "pending", "scheduled"]

    def test_may_be_of_one_queue(self) -> None:
        here, there = spell.enqueue({"text": "a"}), spell.enqueue({"text": "a"}, queue="cpu")
        assert (drain("cpu"), drain("cpu"), drain()) == ([there.id], [], [here.id])

    def test_runs_limited_queues_too(self) -> None:
        assert len([spell.enqueue({"text": "a"}, queue="bgg") for _ in range(5)]) == len(drain())


class TestAssertEnqueued:
    def test_finds_waiting_jobs_by_type_payload_and_fields(self) -> None:
        job = spell.enqueue({"text": "a", "letter": "b"}, priority="high")
        assert_enqueued("spell")
        assert_enqueued("spell", {"text": "a"})
        assert_enqueued("spell", Letter(text="a", letter="b"), priority=8, queue="default")
        assert [found.id for found in assert_enqueued("spell", count=1)] == [job.id]

    def test_knows_plain_tasks_by_their_arguments(self) -> None:
        add_up.delay(1, y=2)
        assert_enqueued(add_up.name, {"args": [1]})
        assert_enqueued(add_up.name, {"kwargs": {"y": 2}})

    def test_finds_jobs_in_the_order_they_were_made(self) -> None:
        jobs = [enqueue("spell", {"text": str(n)}, delay=n * 10).id for n in range(3)]
        assert [job.id for job in assert_enqueued("spell", count=3)] == jobs

    @pytest.mark.parametrize(
        ("asked", "fields"), [(("spell", {"text": "x"}), {}), (("nothing",), {}), (("spell",), {"priority": 1})]
    )
    def test_says_what_there_is_instead(self, asked: tuple[str], fields: dict[str, int]) -> None:
        spell.enqueue({"text": "a"})
        with pytest.raises(AssertionError, match=r"found 0; active are \[\('spell', .*'pending'\)\]"):
            assert_enqueued(*asked, **fields)  # type: ignore[arg-type]

    def test_counts(self) -> None:
        spell.enqueue({"text": "a"})
        with pytest.raises(AssertionError, match=r"expected 2 jobs of spell with None \{\}, found 1"):
            assert_enqueued("spell", count=2)
        assert assert_enqueued("improvise", count=0) == []
        perform(assert_enqueued("spell")[0])
        assert assert_enqueued("spell", count=0) == []
