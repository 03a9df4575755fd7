"""What follows an end, on steps as they lie in a row. How canvas becomes steps is tested with `jobs.canvas`."""

import json
import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from jobs import lifecycle
from jobs.lifecycle import Outcome, Verb
from jobs.models import Chord, Failure, Job, Status
from jobs.sessions import fetch
from tests.jobs.rows import claim, ended, enqueued, new, now, row, started, statuses

pytestmark = pytest.mark.django_db


def step(**fields: Any) -> dict[str, Any]:
    plain = {"type": "say", "payload": {"args": [1], "kwargs": {}}, "queue": "cpu", "priority": 7}
    return {"id": str(new().id), **plain, "max_attempts": 4, "timeout": 9.5, **fields}


def of(found: dict[str, Any]) -> Job:
    return row(UUID(found["id"]))


def completed(result: Any, **canvas: Any) -> UUID:
    """A job with this canvas that just gave this result."""
    claimed = started(canvas=canvas)
    assert ended(claimed, Verb.COMPLETE, result=json.dumps(result)) == Status.COMPLETED
    return claimed.id


def in_chord(group: UUID) -> dict[str, Any]:
    """The canvas of a chord's only member."""
    return {"chord": {"id": str(group), "index": 0, "size": 1, "body": []}}


class TestANextStep:
    def test_is_a_job_with_all_that_was_resolved_before(self) -> None:
        then = step(backoff={"base": 1}, tags=["a"], group=str(new().id), canvas={"then": [step()]})
        parent = completed(5, then=[then])
        job = of(then)
        assert (job.type, job.queue, job.priority, job.max_attempts, job.timeout) == ("say", "cpu", 7, 4, 9.5)
        assert (job.status, job.parent, str(job.group)) == (Status.PENDING, parent, then["group"])
        assert (job.backoff, job.tags, job.canvas) == ({"base": 1}, ["a"], then["canvas"])

    @pytest.mark.parametrize("result", [5, None, {"a": [1]}, "text"])
    @pytest.mark.parametrize(
        ("takes", "payload"),
        [
            ({}, lambda result: {"args": [1], "kwargs": {}}),
            ({"takes": ""}, lambda result: {"args": [result, 1], "kwargs": {}}),
            ({"takes": "text"}, lambda result: {"args": [1], "kwargs": {}, "text": result}),
        ],
    )
    def test_takes_the_result_where_it_wants_it(self, takes: dict[str, str], payload: Any, result: Any) -> None:
        then = step(**takes)
        completed(result, then=[then])
        assert of(then).payload == payload(result)

    def test_has_its_times_counted_from_its_turn(self) -> None:
        then = step(delay=60.0, expires_in=90.0)
        completed(5, then=[then])
        job = of(then)
        assert ((job.scheduled_at - now()).total_seconds(), job.status) == (60, Status.SCHEDULED)
        assert job.expires_at is not None
        assert (job.expires_at - now()).total_seconds() == 90

    def test_may_be_one_of_many(self) -> None:
        steps = [step() for _ in range(50)]
        completed(5, then=steps)
        assert statuses(*[UUID(then["id"]) for then in steps]) == [Status.PENDING] * 50

    def test_that_has_run_is_never_started_again(self) -> None:
        then = step()
        first = started(canvas={"then": [then]})
        ended(first, Verb.FAIL)
        lifecycle.retry([first.id], actor="ann")
        second = started(first.id)
        ended(second, Verb.COMPLETE)
        ended(started(UUID(then["id"])), Verb.FAIL)
        before = of(then)
        assert (before.run, before.status) == (1, Status.FAILED)
        ended(second, Verb.COMPLETE)
        assert (of(then).run, of(then).status) == (1, Status.FAILED)

    def test_that_was_put_down_comes_back_with_what_it_now_takes(self) -> None:
        then = step(takes="")
        first = started(canvas={"then": [then]})
        ended(first, Verb.FAIL)
        assert (of(then).status, of(then).payload["args"]) == (Status.FAILED, [1])
        lifecycle.retry([first.id], actor="ann")
        ended(started(first.id), Verb.COMPLETE, result="7")
        assert (of(then).status, of(then).payload["args"], of(then).finished_at) == (Status.PENDING, [7, 1], None)

    @pytest.mark.parametrize("verb", [Verb.RETRY, Verb.SNOOZE, Verb.GIVE_BACK, Verb.LOSE])
    def test_does_not_follow_a_run_after_which_there_is_another(self, verb: Verb) -> None:
        ended(started(canvas={"then": [step()], "on_error": [step()]}), verb)
        assert Job.objects.count() == 1


DAMAGED = {
    "of another shape": {"then": {"steps": 2}},
    "without an id": {"then": [{"type": "say"}]},
    "refused by the database": {"then": [step(priority=99)]},
}


class TestADamagedCanvas:
    @pytest.mark.parametrize("canvas", DAMAGED.values(), ids=DAMAGED)
    def test_lets_its_job_and_others_end(self, canvas: dict[str, Any]) -> None:
        then = step()
        damaged, sound, plain = started(canvas=canvas), started(canvas={"then": [then]}), started()
        outcomes = [Outcome(*job.key, Verb.COMPLETE, result="5") for job in (damaged, sound, plain)]
        assert lifecycle.finish(outcomes) == {
            damaged.key: Status.FAILED,  # somebody must look at it
            sound.key: Status.COMPLETED,
            plain.key: Status.COMPLETED,
        }
        job = row(damaged.id)
        assert (job.status, job.result) == (Status.FAILED, 5)
        failure = Failure.objects.get()
        assert (failure.job_id, failure.error) == (damaged.id, "SuccessorsRefused")
        assert "Failing row" not in failure.message  # it would show the payload
        assert of(then).status == Status.PENDING
        assert Job.objects.count() == 4

    def test_does_not_hold_up_a_failure_or_a_cancel(self) -> None:
        canvas = DAMAGED["without an id"]
        assert ended(started(canvas=canvas), Verb.FAIL) == Status.FAILED
        waiting = enqueued(canvas=canvas)
        assert lifecycle.cancel([waiting.id], actor="ann") == {waiting.id: Status.CANCELLED}


class TestTheTail:
    def test_of_a_failed_job_is_put_down_to_its_end_and_told_why(self) -> None:
        last = step()
        side, middle = step(), step(canvas={"then": [last], "on_error": [step()]})
        ended(started(canvas={"then": [middle, side]}), Verb.FAIL)
        assert [(of(s).status, of(s).run) for s in (middle, side, last)] == [(Status.FAILED, 0)] * 3
        assert Job.objects.count() == 4  # the error callback of a step that never ran is not called
        assert set(Failure.objects.filter(run=0).values_list("error", "message")) == {
            ("PredecessorFailed", "the job before it did not complete")
        }

    def test_of_a_cancelled_job_too_but_no_error_callback(self) -> None:
        then, on_error = step(), step()
        job = enqueued(canvas={"then": [then], "on_error": [on_error]})
        lifecycle.cancel([job.id], actor="ann")
        assert of(then).status == Status.FAILED
        assert Job.objects.count() == 2


class TestAChord:
    def members(self, count: int, body: list[dict[str, Any]], size: int | None = None) -> list[UUID]:
        group = new().id
        canvases = [
            {"chord": {"id": str(group), "index": n, "size": size or count, "body": body}} for n in range(count)
        ]
        jobs = [new(group=group, canvas=canvas) for canvas in canvases]
        return [job.id for job in lifecycle.enqueue(jobs)]

    def test_gives_results_in_the_order_of_its_header_beyond_ten(self) -> None:
        members = self.members(12, [step()])
        lifecycle.finish([Outcome(*started(job).key, Verb.COMPLETE, result=str(n)) for n, job in enumerate(members)])
        assert lifecycle.member_results(Chord.objects.get().id) == list(range(12))

    def test_fires_once_when_all_members_are_in_one_batch(self) -> None:
        body = step()
        members = self.members(5, [body])
        lifecycle.finish([Outcome(*started(job).key, Verb.COMPLETE) for job in members])
        assert (of(body).status, Job.objects.count()) == (Status.PENDING, 6)
        assert Chord.objects.get().fired_at is not None

    def test_waits_for_members_that_are_not_rows_yet(self) -> None:
        members = self.members(2, [step()], size=3)
        lifecycle.finish([Outcome(*started(job).key, Verb.COMPLETE) for job in members])
        assert (Job.objects.count(), Chord.objects.get().fired_at) == (2, None)

    def test_of_many_is_told_apart_from_others_in_the_same_batch(self) -> None:
        bodies = [step() for _ in range(3)]
        chords = [self.members(2, [body]) for body in bodies]
        outcomes = [Outcome(*started(job).key, Verb.COMPLETE) for members in chords for job in members]
        lifecycle.finish(outcomes[:-1])
        assert Job.objects.filter(type="say").count() == 2
        lifecycle.finish(outcomes[-1:])
        assert [of(body).status for body in bodies] == [Status.PENDING] * 3

    def test_that_fired_does_not_break_any_more(self) -> None:
        body = step()
        members = self.members(2, [body])
        lifecycle.finish([Outcome(*started(job).key, Verb.COMPLETE) for job in members])
        late = enqueued(group=Chord.objects.get().id, canvas=row(members[0]).canvas)
        lifecycle.cancel([late.id], actor="ann")
        assert of(body).status == Status.PENDING

    def test_may_have_a_body_of_several_steps(self) -> None:
        bodies = [step(), step()]
        members = self.members(2, bodies)
        lifecycle.finish([Outcome(*started(job).key, Verb.COMPLETE) for job in members])
        assert {job.id for job in claim()} == {UUID(body["id"]) for body in bodies}


@pytest.mark.django_db(transaction=True)
def test_two_transactions_that_make_the_same_chords_do_not_block_each_other() -> None:
    groups = sorted(uuid4() for _ in range(2))
    members = [started(group=group, canvas=in_chord(group)) for group in reversed(groups)]

    def report() -> None:
        lifecycle.finish([Outcome(*member.key, Verb.COMPLETE, result="1") for member in members])
        connection.close()

    worker = threading.Thread(target=report)
    with transaction.atomic():
        Chord.objects.create(id=groups[0], size=1, body=[])
        worker.start()
        worker.join(0.5)  # it waits for the first chord by now
        fetch("SELECT set_config('lock_timeout', '1000', true)", {})
        Chord.objects.create(id=groups[1], size=1, body=[])
    worker.join()
    assert Chord.objects.filter(fired_at__isnull=False).count() == 2
