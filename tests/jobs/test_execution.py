"""What a run's return or error means for its job: each by running one through Celery's tracer and the real rows."""

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from celery.exceptions import Ignore, MaxRetriesExceededError, Reject, SoftTimeLimitExceeded
from pydantic import BaseModel

from jobs.errors import Cancelled, Discard, JobError, JobTimeout, RateLimited, Retry, Snooze
from jobs.execution import LONGEST
from jobs.models import Failure, Job, Status
from jobs.payload import Backoff
from jobs.processor import JobContext
from jobs.testing import perform
from tests.jobs.jobtypes import improvise, nag, part, persist, plead, reconnect, stumble
from tests.jobs.rows import now

pytestmark = pytest.mark.django_db


def raising(error: BaseException) -> Callable[[Any], Any]:
    def body(job: Any) -> None:
        raise error

    return body


def performed(body: Callable[[JobContext], Any], *, secrets: dict[str, Any] | None = None, **options: Any) -> Job:
    """A job with this body, run once."""
    return perform(improvise.enqueue({**part(body), **(secrets or {})}, **options))


def pleaded(body: Callable[[Any], Any], **options: Any) -> Job:
    """The same as a plain, bound task."""
    task: Any = plead
    return perform(task.apply_async(kwargs=part(body), **options).id)


def wait(job: Job) -> float:
    """Seconds until the next attempt."""
    return (job.scheduled_at - now()).total_seconds()


class Answer(BaseModel):
    lines: list[str]
    at: datetime


class Awkward(Exception):
    """Cannot be made from its message alone, so it cannot be pickled."""

    def __init__(self, code: int, *, why: str) -> None:
        super().__init__(f"{code}: {why}")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class Dropped(Retry):
    """Our own kind of retry."""


class TestAReturn:
    @pytest.mark.parametrize("result", [None, 0, "", [], {"a": [1, None]}, "\N{SNOWMAN}"])
    def test_completes_the_job(self, result: Any) -> None:
        job = performed(lambda job: result)
        assert (job.status, job.result, job.attempt) == (Status.COMPLETED, result, 1)
        assert job.failures.count() == 0

    def test_may_be_a_model(self) -> None:
        job = performed(lambda job: Answer(lines=["a"], at=datetime(2050, 1, 1, tzinfo=UTC)))
        assert job.result == {"lines": ["a"], "at": "2050-01-01T00:00:00Z"}

    @pytest.mark.parametrize(
        ("result", "message"),
        [
            (math.nan, "the result is not JSON: Out of range float values"),
            ("a\x00b", "the result is not storable: a NUL character in a string"),
            ("\ud800", "the result is not JSON: a lone surrogate in a string"),
            ({1, 2}, "the result is not JSON: Object of type set is not JSON serializable"),
            ("x" * 300_000, "the result is too large: 300,002 bytes of JSON, the limit is 262,144"),
        ],
    )
    def test_that_cannot_be_stored_fails_the_job_for_good(self, result: Any, message: str) -> None:
        job = performed(lambda job: result)
        assert (job.status, job.attempt, job.result) == (Status.FAILED, 1, None)
        failure = job.failures.get()
        assert (failure.error, failure.classification) == ("InvalidResult", "permanent")
        assert failure.message.startswith(message)


class TestAnError:
    """Each with the status, the seconds until the next attempt, the attempts used and how it is classified."""

    @pytest.mark.parametrize(
        ("error", "status", "seconds", "attempt", "classification"),
        [
            (ValueError("x"), "scheduled", 10, 1, "retryable"),
            (MemoryError("x"), "scheduled", 10, 1, "retryable"),
            (Awkward(5, why="x"), "scheduled", 10, 1, "retryable"),
            (Retry("x"), "scheduled", 10, 1, "retryable"),
            (Retry("x", after=33), "scheduled", 33, 1, "retryable"),
            (Retry("x", after=timedelta(minutes=1)), "scheduled", 60, 1, "retryable"),
            (Retry("x", after=0), "scheduled", 0, 1, "retryable"),
            (Dropped("x", after=5), "scheduled", 5, 1, "retryable"),
            (RateLimited("x", after=77), "scheduled", 77, 1, "rate-limited"),
            (RateLimited("x"), "scheduled", 10, 1, "rate-limited"),
            (JobTimeout("x"), "scheduled", 10, 1, "timeout"),
            (SoftTimeLimitExceeded("x"), "scheduled", 10, 1, "timeout"),
            (Snooze("x", after=44), "scheduled", 44, 0, None),
            (Snooze(after=timedelta(hours=1)), "scheduled", 3600, 0, None),
            (Discard("x"), "failed", None, 1, "permanent"),
            (JobError("x"), "failed", None, 1, "permanent"),
            (Cancelled("x"), "cancelled", None, 1, None),
            (Ignore(), "cancelled", None, 1, None),
            (Reject("x", requeue=True), "pending", None, 0, None),
            (Reject("x"), "failed", None, 1, "permanent"),
        ],
        ids=lambda value: repr(value) if isinstance(value, BaseException) else "",
    )
    def test_of_a_processor(
        self, error: BaseException, status: str, seconds: float | None, attempt: int, classification: str | None
    ) -> None:
        job = performed(raising(error))
        assert (job.status, job.attempt) == (status, attempt)
        if seconds is not None:
            assert wait(job) == seconds
        assert list(job.failures.values_list("error", "classification")) == (
            [(type(error).__name__, classification)] if classification else []
        )

    @pytest.mark.parametrize(
        ("error", "status", "classification"),
        [
            (ValueError("x"), "failed", "permanent"),
            (SoftTimeLimitExceeded("x"), "failed", "timeout"),
            (Retry("x"), "failed", "retryable"),
            (Retry("x", after=5), "scheduled", "retryable"),
            (Snooze("x", after=5), "scheduled", None),
            (Discard("x"), "failed", "permanent"),
            (Ignore(), "cancelled", None),
            (Reject("x", requeue=True), "pending", None),
            (Reject("x"), "failed", "permanent"),
        ],
        ids=lambda value: repr(value) if isinstance(value, BaseException) else "",
    )
    def test_of_a_plain_task_which_asks_for_its_retries_itself(
        self, error: BaseException, status: str, classification: str | None
    ) -> None:
        job = pleaded(raising(error))
        assert job.status == status
        assert list(job.failures.values_list("classification", flat=True)) == (
            [classification] if classification else []
        )

    def test_is_told_as_it_was_raised(self) -> None:
        failure = performed(raising(Awkward(5, why="no idea"))).failures.get()
        assert (failure.error, failure.message) == ("Awkward", "5: no idea")
        assert "Traceback (most recent call last):" in failure.traceback
        assert "raise error" in failure.traceback
        assert "Awkward: 5: no idea" in failure.traceback

    @pytest.mark.parametrize("error", [Discard("x", result={"half": 1}), Retry("x", result={"half": 1})])
    def test_that_ends_the_job_may_keep_what_there_is(self, error: Exception) -> None:
        job = performed(raising(error), max_attempts=1)
        assert (job.status, job.result) == (Status.FAILED, {"half": 1})

    def test_keeps_nothing_that_cannot_be_stored_and_stays_what_it_is(self, caplog: pytest.LogCaptureFixture) -> None:
        job = performed(raising(Discard("no such game", result={1, 2})))
        assert (job.status, job.result, job.failures.get().message) == (Status.FAILED, None, "no such game")
        assert "what a failed job would keep was left out" in caplog.text

    def test_without_a_message_has_the_first_line_of_its_docstring(self) -> None:
        assert performed(raising(Discard())).failures.get().message.startswith("The job can never succeed")
        assert str(Dropped()) == "Our own kind of retry."

    def test_that_cannot_be_shown_is_a_failure_like_others(self) -> None:
        failure = performed(raising(Unspeakable())).failures.get()
        assert (failure.error, failure.message) == ("Unspeakable", "a Unspeakable that cannot be shown")

    def test_whose_text_no_row_can_hold_is_a_failure_like_others(self) -> None:
        failure = performed(raising(Discard("a\x00b\ud800c"))).failures.get()
        assert failure.message == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
        assert "\N{REPLACEMENT CHARACTER}" in failure.traceback

    def test_with_a_very_long_text_is_cut(self) -> None:
        failure = performed(raising(Discard("x" * 1_000_000))).failures.get()
        assert len(failure.message) < 101_000
        assert len(failure.traceback) < 101_000

    @pytest.mark.parametrize(
        ("error", "seconds"),
        [
            (Retry("x", after=1e300), LONGEST),
            (Retry("x", after=math.inf), LONGEST),
            (Retry("x", after=math.nan), 0),
            (Retry("x", after=-5), 0),
            (Snooze("x", after=1e300), LONGEST),
        ],
    )
    def test_asks_for_a_time_that_there_is(self, error: Retry | Snooze, seconds: float) -> None:
        assert wait(performed(raising(error))) == seconds

    def test_at_the_last_attempt_ends_the_job(self) -> None:
        job = improvise.enqueue(part(raising(ValueError("x"))))
        assert [perform(job).status for _ in range(3)] == ["scheduled", "scheduled", "failed"]
        assert list(Failure.objects.values_list("run", "attempt", "classification")) == [
            (1, 1, "retryable"),
            (2, 2, "retryable"),
            (3, 3, "retryable"),
        ]


class TestSecrets:
    TOKEN = "to'ken\"\\ \N{SNOWMAN}"
    GIVEN = {"cardNumber": TOKEN, "card": {"number": "4111 1111", "holder": "Ann"}}

    @pytest.mark.parametrize(
        "told", [f"refused {TOKEN}", f"refused {TOKEN!r}", str({"k": TOKEN}), "refused 4111 1111", KeyError(TOKEN)]
    )
    def test_are_in_no_message_and_no_traceback(self, told: Any, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            job = performed(raising(Discard(str(told))), secrets=self.GIVEN)
        failure = job.failures.get()
        for text in (failure.message, failure.traceback, caplog.text):
            for secret in (self.TOKEN, repr(self.TOKEN)[1:-1], "4111 1111"):
                assert secret not in text
        assert "***" in failure.message

    def test_are_not_in_what_is_said_of_a_payload_that_does_not_fit(self) -> None:
        job = improvise.enqueue({})
        Job.objects.filter(id=job.id).update(payload={"cardNumber": 12345678, "colour": "red"})
        failure = perform(job).failures.get()
        assert (failure.error, "12345678" in failure.message + failure.traceback) == ("InvalidPayload", False)

    def test_leave_the_rest_of_a_message_as_it_is(self) -> None:
        failure = performed(raising(Discard("card 4111 1111 of Ann")), secrets=self.GIVEN).failures.get()
        assert failure.message == "card *** of Ann"


class TestTheBackoff:
    def test_is_the_processors(self) -> None:
        job = improvise.enqueue(part(raising(ValueError("x"))), max_attempts=9)
        assert [wait(perform(job)) for _ in range(4)] == [10, 20, 40, 60]

    def test_of_the_row_goes_first(self) -> None:
        job = improvise.enqueue(part(raising(ValueError("x"))), backoff=Backoff(base=3, factor=3, max=20, jitter=False))
        assert [wait(perform(job)) for _ in range(2)] == [3, 9]

    def test_may_be_a_function_of_attempt_and_error(self) -> None:
        job = nag.enqueue(part(raising(ValueError("tired"))))
        assert [wait(perform(job)) for _ in range(2)] == [100, 200]

    def test_that_is_broken_is_logged_and_replaced_by_the_default(self, caplog: pytest.LogCaptureFixture) -> None:
        job = perform(nag.enqueue(part(raising(ValueError("awake")))))
        assert job.status == Status.SCHEDULED
        assert 0 <= wait(job) <= Backoff().base
        assert "the backoff of nag failed: using the default" in caplog.text


class TestCelerysRetry:
    def test_waits_for_the_default_delay_until_its_retries_are_used_up(self) -> None:
        job = perform(persist.delay(because=True).id)
        assert (job.status, wait(job), job.attempt, job.max_attempts) == (Status.SCHEDULED, 40, 1, 3)
        assert perform(job).status == Status.SCHEDULED
        assert perform(job).status == Status.FAILED
        assert set(job.failures.values_list("error", "message")) == {("ValueError", "once more")}

    @pytest.mark.parametrize(
        ("how", "seconds"), [({"countdown": 7}, 7), ({"countdown": 0}, 0), ({"countdown": 2.5}, 2.5), ({}, 180)]
    )
    def test_takes_a_countdown(self, how: dict[str, Any], seconds: float) -> None:
        assert wait(pleaded(lambda task: task.retry(**how))) == seconds

    def test_takes_an_eta(self) -> None:
        for eta in (datetime(2035, 1, 1, tzinfo=UTC), datetime(2035, 1, 1)):  # noqa: DTZ001 (UTC is the site's)
            job = pleaded(lambda task, eta=eta: task.retry(eta=eta))  # type: ignore[misc]
            assert abs((job.scheduled_at - datetime(2035, 1, 1, tzinfo=UTC)).total_seconds()) < 60

    def test_takes_an_error_that_is_told(self) -> None:
        failure = pleaded(lambda task: task.retry(exc=KeyError("seat 7"))).failures.get()
        assert (failure.error, failure.message, failure.classification) == ("KeyError", "'seat 7'", "retryable")

    def test_without_an_error_tells_of_itself(self) -> None:
        failure = pleaded(lambda task: task.retry(countdown=7)).failures.get()
        assert (failure.error, failure.message) == ("Retry", "Retry in 7.0s")

    def test_knows_how_often_it_was_tried(self) -> None:
        seen: list[int] = []

        def body(task: Any) -> None:
            seen.append(task.request.retries)
            task.retry(countdown=0)

        job = pleaded(body)
        perform(job)
        perform(job)
        assert seen == [0, 1, 2]

    def test_may_be_asked_for_more_often_than_the_task_says(self) -> None:
        job = pleaded(lambda task: task.retry(countdown=0, max_retries=6))
        assert (job.attempt, job.max_attempts) == (1, 7)
        assert [perform(job).status for _ in range(6)] == ["scheduled"] * 5 + ["failed"]
        assert job.failures.latest("run").error == MaxRetriesExceededError.__name__

    def test_may_be_asked_for_less_often(self) -> None:
        job = pleaded(lambda task: task.retry(countdown=0, max_retries=1, exc=ValueError("x")))
        assert (job.status, job.max_attempts) == (Status.SCHEDULED, 4)
        assert perform(job).status == Status.FAILED
        assert job.failures.latest("run").error == "ValueError"

    def test_counts_the_attempts_of_the_row(self) -> None:
        assert pleaded(lambda task: task.retry(countdown=0), max_attempts=1).status == Status.FAILED

    def test_may_be_returned_and_not_raised(self) -> None:
        def body(task: Any) -> str:
            assert task.retry(throw=False, countdown=3).when == 3
            return "done"

        assert pleaded(body).result == "done"

    @pytest.mark.parametrize(
        "how", [{"args": (1,)}, {"kwargs": {"a": 1}}, {"queue": "cpu"}, {"countdown": "soon"}, {"eta": "tomorrow"}]
    )
    def test_of_something_else_is_refused(self, how: dict[str, Any]) -> None:
        job = pleaded(lambda task: task.retry(**how))
        assert (job.status, job.failures.get().classification) == (Status.FAILED, "permanent")

    def test_by_autoretry_goes_through_the_row(self) -> None:
        job = perform(reconnect.delay().id)
        assert (job.status, wait(job), job.max_attempts) == (Status.SCHEDULED, 8, 6)
        assert [wait(perform(job)) for _ in range(4)] == [16, 32, 64, 128]
        assert perform(job).status == Status.FAILED
        assert set(job.failures.values_list("error", "message")) == {("ConnectionError", "nobody there")}

    def test_is_not_made_of_other_errors(self) -> None:
        assert perform(stumble.delay().id).status == Status.FAILED


class TestARowThatSomebodyChanged:
    @pytest.mark.parametrize("payload", [[], "text", 5, None])
    def test_has_a_payload_that_is_no_object(self, payload: Any) -> None:
        for job in (improvise.enqueue({}).id, UUID(stumble.delay().id)):
            Job.objects.filter(id=job).update(payload=payload if payload is not None else "null")
            after = perform(job)
            assert (after.status, after.failures.get().error) == (Status.FAILED, "InvalidPayload")

    @pytest.mark.parametrize(
        ("payload", "error"),
        [
            ({"args": 5}, "InvalidPayload"),
            ({"kwargs": []}, "InvalidPayload"),
            ({"arguments": []}, "InvalidPayload"),
            ({"kwargs": {"unknown": 1}}, "TypeError"),
        ],
    )
    def test_has_arguments_that_the_task_does_not_take(self, payload: dict[str, Any], error: str) -> None:
        job = UUID(stumble.delay().id)
        Job.objects.filter(id=job).update(payload=payload)
        after = perform(job)
        assert (after.status, after.failures.get().error) == (Status.FAILED, error)
