"""The state machine as it is drawn in `jobs.lifecycle`: every move, and every one that is not there."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from jobs import lifecycle
from jobs.lifecycle import Outcome, Verb
from jobs.models import ACTIVE, TERMINAL, Failure, Job, Status
from tests.jobs.rows import BROKEN, WORKER, claim, ended, enqueued, job_in, row, started, values

pytestmark = pytest.mark.django_db

SCHEDULED, PENDING, PROCESSING, COMPLETED, FAILED, CANCELLED = Status


def report(verb: Verb) -> Callable[[UUID], object]:
    """A report of the job's latest run."""

    def act(job: UUID) -> object:
        result = '"again"' if verb is Verb.COMPLETE else None
        return lifecycle.finish([Outcome(job, row(job).run, verb, result=result, delay=60.0, error=BROKEN)])

    return act


def promote(job: UUID) -> object:
    Job.objects.filter(id=job).update(scheduled_at=Now() - timedelta(minutes=1))
    return lifecycle.promote()


def rescue(job: UUID) -> object:
    Job.objects.filter(id=job, status=PROCESSING).update(lease_expires_at=Now() - timedelta(seconds=1))
    return lifecycle.rescue()


def expire(job: UUID) -> object:
    Job.objects.filter(id=job).update(expires_at=Now())
    return lifecycle.expire()


# What each does, from → to. A status that is not named stays as it is.
MOVES: dict[str, tuple[Callable[[UUID], object], dict[Status, Status]]] = {
    "claim": (lambda job: claim(), {PENDING: PROCESSING}),
    "claim it": (lambda job: started(job), {PENDING: PROCESSING, SCHEDULED: PROCESSING}),
    "promote": (promote, {SCHEDULED: PENDING}),
    "complete": (report(Verb.COMPLETE), {PROCESSING: COMPLETED}),
    "fail": (report(Verb.FAIL), {PROCESSING: FAILED}),
    "retry": (report(Verb.RETRY), {PROCESSING: SCHEDULED}),
    "snooze": (report(Verb.SNOOZE), {PROCESSING: SCHEDULED}),
    "give back": (report(Verb.GIVE_BACK), {PROCESSING: PENDING}),
    "lose": (report(Verb.LOSE), {PROCESSING: PENDING}),
    "be cancelled": (report(Verb.CANCEL), {PROCESSING: CANCELLED}),
    "rescue": (rescue, {PROCESSING: PENDING}),
    "start over": (lambda job: lifecycle.start_over(WORKER, []), {PROCESSING: PENDING}),
    "renew": (lambda job: lifecycle.renew([(job, row(job).run)], 60.0), {}),
    "cancel": (lambda job: lifecycle.cancel([job], actor="ann"), {SCHEDULED: CANCELLED, PENDING: CANCELLED}),
    "retry by hand": (lambda job: lifecycle.retry([job], actor="ann"), {FAILED: PENDING, CANCELLED: PENDING}),
    "re-run": (lambda job: lifecycle.rerun([job], actor="ann"), {}),
    "set priority": (lambda job: lifecycle.set_priority([job], 9, actor="ann"), {}),
    "expire": (expire, {SCHEDULED: CANCELLED, PENDING: CANCELLED}),
}


@pytest.mark.parametrize("before", Status)
@pytest.mark.parametrize("move", MOVES)
def test_a_move_leads_where_it_is_drawn_and_nowhere_else(move: str, before: Status) -> None:
    act, arrows = MOVES[move]
    job = job_in(before)
    if move == "claim it" and before not in arrows:
        with pytest.raises(ValueError, match="not enough values"):
            act(job)
    else:
        act(job)
    after = row(job)
    assert after.status == arrows.get(before, before)
    assert (after.finished_at is not None) == (after.status in TERMINAL)
    assert (after.lease_expires_at is not None) == (after.status == PROCESSING)


@pytest.mark.parametrize("before", [SCHEDULED, PENDING, COMPLETED, FAILED, CANCELLED])
@pytest.mark.parametrize("verb", Verb)
def test_a_job_that_does_not_run_takes_no_report(verb: Verb, before: Status) -> None:
    job = job_in(before)
    as_it_was, failures = values(job), Failure.objects.count()
    assert lifecycle.finish([Outcome(job, row(job).run, verb, result="1", error=BROKEN)]) == {}
    assert values(job) == as_it_was
    assert Failure.objects.count() == failures


def test_every_status_is_active_or_terminal() -> None:
    assert set(ACTIVE) | set(TERMINAL) == set(Status)
    assert set(ACTIVE) & set(TERMINAL) == set()


@pytest.mark.parametrize(
    ("constraint", "wrong"),
    [
        ("job_finished_iff_terminal", {"finished_at": Now()}),
        ("job_finished_iff_terminal", {"status": COMPLETED}),
        ("job_leased_iff_processing", {"status": PROCESSING}),
        ("job_leased_iff_processing", {"lease_expires_at": Now()}),
        ("job_priority_1_to_10", {"priority": 0}),
        ("job_priority_1_to_10", {"priority": 11}),
        ("job_max_attempts_from_1", {"max_attempts": 0}),
        ("job_timeout_positive", {"timeout": 0}),
    ],
)
def test_postgres_refuses_a_row_that_contradicts_itself(constraint: str, wrong: dict[str, object]) -> None:
    job = enqueued()
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Job.objects.filter(id=job.id).update(**wrong)


def test_a_whole_life_is_told_by_the_row() -> None:
    job = enqueued(max_attempts=3)
    assert (row(job).run, row(job).attempt) == (0, 0)
    first = started(job)
    assert (first.run, first.attempt) == (1, 1)
    assert ended(first, Verb.RETRY, delay=5.0) == SCHEDULED
    second = started(job)
    assert (second.run, second.attempt) == (2, 2)
    assert ended(second, Verb.COMPLETE, result='{"sum": 3}', seconds=1.5) == COMPLETED
    after = row(job)
    assert (after.run, after.attempt, after.losses, after.result) == (2, 2, 0, {"sum": 3})
    assert after.finished_at is not None
    assert after.started_at is not None
    assert after.finished_at - after.started_at == timedelta(seconds=1.5)
    assert list(Failure.objects.values_list("job", "run", "attempt", "error")) == [(job.id, 1, 1, "ValueError")]
