"""Any order of operations, from several sessions, leaves exactly the rows that a model in plain Python has.

The model is the state machine in a few lines. Hypothesis looks for a sequence in which the two differ.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobs import lifecycle
from jobs.lifecycle import Outcome, Verb
from jobs.models import ACTIVE, TERMINAL, Failure, Job, Queue, Status
from tests.jobs.rows import BROKEN, claim, enqueued

SESSIONS = 3
MAX_LOSSES = 5


@dataclass
class Model:
    """What a row must hold."""

    status: Status
    max_attempts: int
    unique_key: str | None = None
    run: int = 0
    attempt: int = 0
    losses: int = 0
    asked: bool = False  # to be cancelled
    failures: int = 0

    def claim(self) -> None:
        self.status = Status.PROCESSING
        self.run += 1
        self.attempt += 1

    def report(self, verb: Verb) -> Status:
        """The status after the current run's report."""
        given_back = verb in (Verb.SNOOZE, Verb.GIVE_BACK, Verb.LOSE)
        self.losses += verb == Verb.LOSE
        spent = verb == Verb.RETRY and self.attempt >= self.max_attempts
        if verb == Verb.COMPLETE:
            self.status = Status.COMPLETED
        elif verb == Verb.CANCEL or self.asked:
            self.status = Status.CANCELLED
        elif verb == Verb.FAIL or spent or (verb == Verb.LOSE and self.losses >= MAX_LOSSES):
            self.status = Status.FAILED
        else:
            self.status = Status.SCHEDULED if verb in (Verb.RETRY, Verb.SNOOZE) else Status.PENDING
        self.attempt -= given_back
        self.failures += verb in (Verb.FAIL, Verb.RETRY, Verb.LOSE) and self.status != Status.CANCELLED
        return self.status


class Sessions:
    """Database sessions, each in a thread of its own; one may be in a transaction while another works."""

    def __init__(self) -> None:
        self.threads = [ThreadPoolExecutor(max_workers=1) for _ in range(SESSIONS)]

    def __call__(self, number: int, act: Callable[[], Any]) -> Any:
        return self.threads[number].submit(act).result(timeout=60)

    def close(self) -> None:
        for number, thread in enumerate(self.threads):
            self(number, lambda: connection.close())
            thread.shutdown()


class Lifecycle(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.sessions = Sessions()
        self.model: dict[UUID, Model] = {}
        self.runs: list[tuple[UUID, int]] = []  # every one there has been, so that old ones report too
        self.open: dict[int, tuple[transaction.Atomic, UUID]] = {}  # by session: what is not committed yet
        self.paused = False

    def teardown(self) -> None:
        for session in list(self.open):
            self.end_transaction(session, commit=False)
        self.sessions.close()

    def do(self, data: st.DataObject, act: Callable[[], Any]) -> Any:
        """In one of the sessions that are free."""
        free = [number for number in range(SESSIONS) if number not in self.open]
        return self.sessions(data.draw(st.sampled_from(free)), act)

    def draw_job(self, data: st.DataObject) -> UUID:
        return data.draw(st.sampled_from(sorted(self.model)))

    def active_with(self, key: str | None) -> UUID | None:
        keyed = (job for job, model in self.model.items() if key and model.unique_key == key)
        return next((job for job in keyed if self.model[job].status in ACTIVE), None)

    @initialize()
    def begin(self) -> None:
        Job.objects.all().delete()
        Failure.objects.all().delete()
        Queue.objects.filter(name="default").update(paused_at=None)

    @rule(
        data=st.data(),
        key=st.sampled_from([None, None, "a", "b"]),
        attempts=st.integers(1, 3),
        delay=st.sampled_from([0.0, 3600.0]),
    )
    def enqueue(self, data: st.DataObject, key: str | None, attempts: int, delay: float) -> None:
        fields = {"unique_key": key, "max_attempts": attempts, "delay": delay}
        job = self.do(data, lambda: enqueued(**fields))
        if (there := self.active_with(key)) is not None:
            assert (job.id, job.created) == (there, False)
            return
        assert job.created
        self.model[job.id] = Model(Status.SCHEDULED if delay else Status.PENDING, attempts, key)

    @precondition(lambda self: len(self.open) < SESSIONS - 1)
    @rule(data=st.data())
    def begin_transaction(self, data: st.DataObject) -> None:
        """An author's transaction that enqueues: nobody else sees the job."""
        free = [number for number in range(SESSIONS) if number not in self.open]
        session = data.draw(st.sampled_from(free))

        def enter() -> tuple[transaction.Atomic, UUID]:
            block = transaction.atomic()
            block.__enter__()
            return block, enqueued().id

        self.open[session] = self.sessions(session, enter)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), commit=st.booleans())
    def leave_transaction(self, data: st.DataObject, commit: bool) -> None:
        self.end_transaction(data.draw(st.sampled_from(sorted(self.open))), commit)

    def end_transaction(self, session: int, commit: bool) -> None:
        block, job = self.open.pop(session)

        def leave() -> None:
            transaction.set_rollback(not commit)
            block.__exit__(None, None, None)

        self.sessions(session, leave)
        if commit:
            self.model[job] = Model(Status.PENDING, 3)

    @rule(data=st.data(), count=st.integers(1, 4))
    def claim_some(self, data: st.DataObject, count: int) -> None:
        claimed = self.do(data, lambda: claim(count))
        waiting = [job for job, model in self.model.items() if model.status == Status.PENDING]
        assert len(claimed) == (0 if self.paused else min(count, len(waiting)))
        for job in claimed:
            assert job.id in waiting
            self.model[job.id].claim()
            assert job.run == self.model[job.id].run
            self.runs.append(job.key)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), verb=st.sampled_from(Verb))
    def report(self, data: st.DataObject, verb: Verb) -> None:
        """A run's outcome; most likely one of the latest, but any that there ever was."""
        job, run = data.draw(st.sampled_from(self.runs[::-1]))
        error = BROKEN if verb in (Verb.FAIL, Verb.RETRY, Verb.LOSE) else None
        result = '"done"' if verb == Verb.COMPLETE else None
        outcome = Outcome(job, run, verb, result=result, delay=3600.0, error=error)
        changed = self.do(data, lambda: lifecycle.finish([outcome]))
        model = self.model.get(job)
        if model and (model.status, model.run) == (Status.PROCESSING, run):
            assert changed == {(job, run): model.report(verb)}
        else:
            assert changed == {}

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def lose_a_worker(self, data: st.DataObject) -> None:
        job = self.draw_job(data)
        Job.objects.filter(id=job, status=Status.PROCESSING).update(lease_expires_at=Now() - timedelta(seconds=1))
        rescued = self.do(data, lifecycle.rescue)
        if self.model[job].status == Status.PROCESSING:
            self.model[job].report(Verb.LOSE)
            assert rescued == 1
        else:
            assert rescued == 0

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def let_time_pass(self, data: st.DataObject) -> None:
        job = self.draw_job(data)
        Job.objects.filter(id=job).update(scheduled_at=Now() - timedelta(minutes=1))
        promoted = self.do(data, lifecycle.promote)
        due = self.model[job].status == Status.SCHEDULED
        assert promoted == due
        if due:
            self.model[job].status = Status.PENDING

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def run_now(self, data: st.DataObject) -> None:
        job = self.draw_job(data)
        moved = self.do(data, lambda: lifecycle.run_now([job], actor="ann"))
        assert moved == [job] * (self.model[job].status == Status.SCHEDULED)
        if moved:
            self.model[job].status = Status.PENDING

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = self.draw_job(data)
        model = self.model[job]
        answer = self.do(data, lambda: lifecycle.cancel([job], actor="ann"))
        if model.status in TERMINAL:
            assert answer == {}
            return
        model.asked = True
        if model.status == Status.PROCESSING:
            assert answer == {job: Status.PROCESSING}
        else:
            model.status = Status.CANCELLED
            assert answer == {job: Status.CANCELLED}

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def retry_by_hand(self, data: st.DataObject) -> None:
        job = self.draw_job(data)
        model = self.model[job]
        may = model.status in (Status.FAILED, Status.CANCELLED) and self.active_with(model.unique_key) is None
        answer = self.do(data, lambda: lifecycle.retry([job], actor="ann"))
        assert answer.retried == [job] * may
        assert bool(answer.skipped) != may
        if may:
            model.status, model.attempt, model.losses, model.asked = Status.PENDING, 0, 0, False

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        job = self.draw_job(data)
        answer = self.do(data, lambda: lifecycle.remove([job], actor="ann"))
        assert answer.removed == [job] * (self.model[job].status != Status.PROCESSING)
        if answer.removed:
            del self.model[job]

    @rule(data=st.data())
    def pause_or_resume(self, data: st.DataObject) -> None:
        if self.paused:
            self.do(data, lambda: lifecycle.resume("default", actor="ann"))
        else:
            self.do(data, lambda: lifecycle.pause("default", actor="ann", reason="to see"))
        self.paused = not self.paused

    @invariant()
    def rows_are_as_the_model(self) -> None:
        found = {
            job.id: Model(
                Status(job.status),
                job.max_attempts,
                job.unique_key,
                job.run,
                job.attempt,
                job.losses,
                job.cancel_requested_at is not None,
                Failure.objects.filter(job_id=job.id).count(),
            )
            for job in Job.objects.all()
        }
        assert {job: asdict(model) for job, model in found.items()} == {
            job: asdict(model) for job, model in self.model.items()
        }


@pytest.mark.django_db(transaction=True)
def test_rows_follow_the_model_through_any_order_of_operations() -> None:
    run_state_machine_as_test(
        Lifecycle,
        settings=settings(
            max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
