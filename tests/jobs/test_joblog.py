import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from jobs import lifecycle
from jobs.context import JobContext
from jobs.joblog import LEFT_OUT, LONGEST, MOST, JobLog
from jobs.lifecycle import Claimed, Verb
from jobs.models import LogLine, Status
from jobs.sessions import fetch, without_side_session
from jobs.testing import perform
from tests.integration.workers import wait_for
from tests.jobs.jobtypes import improvise, part
from tests.jobs.rows import ended, started


def log_of(claimed: Claimed) -> JobLog:
    return JobContext(claimed.id, claimed.run, claimed.attempt, claimed.max_attempts).log


def lines(job: Any) -> list[tuple[int, int, str]]:
    """Run, level and message of each."""
    return list(LogLine.objects.filter(job=job.id).values_list("run", "level", "message").order_by("id"))


def improvised(body: Any, **payload: Any) -> list[tuple[int, int, str]]:
    """What is kept of a run's log."""
    return lines(perform(improvise.enqueue({**part(body), **payload})))


@pytest.mark.django_db
class TestWhatIsKept:
    @pytest.fixture(autouse=True)
    def in_this_transaction(self) -> Iterator[None]:
        with without_side_session():
            yield

    def test_lines_with_their_levels(self) -> None:
        def body(job: JobContext) -> None:
            job.log.debug("unheard")  # as the logger's own level says
            job.log.info("%d of %s", 1, "two")
            job.log.warning("careful", extra={"more": 1})
            job.log.log(10**6, "loud")

        assert improvised(body) == [(1, 20, "1 of two"), (1, 30, "careful"), (1, 32_767, "loud")]

    def test_of_a_run_that_fails_too(self) -> None:
        def body(job: JobContext) -> None:
            job.log.info("before")
            raise ValueError

        assert improvised(body) == [(1, 20, "before")]

    def test_with_the_traceback(self) -> None:
        def body(job: JobContext) -> None:
            try:
                raise ValueError("the set fell down")
            except ValueError:
                job.log.exception("in scene %d", 1)

        ((_, level, message),) = improvised(body)
        assert level == logging.ERROR
        assert message.startswith("in scene 1\nTraceback")
        assert message.endswith("ValueError: the set fell down\n")

    def test_without_secrets(self, caplog: pytest.LogCaptureFixture) -> None:
        def body(job: JobContext) -> None:
            job.log.info("the card is %s", "4000-1234")
            try:
                raise ValueError("4000-1234")
            except ValueError as error:
                job.log.error("refused", exc_info=error)

        with caplog.at_level(logging.INFO, logger="jobs"):
            kept = improvised(body, cardNumber="4000-1234")
        assert kept[0] == (1, 20, "the card is ***")
        assert "4000-1234" not in str(kept) + caplog.text

    def test_as_a_row_can_hold_it(self) -> None:
        def body(job: JobContext) -> None:
            job.log.info("a\x00b\ud800")
            job.log.info("x" * 100_000)
            job.log.info("%d", "no number")
            job.log.info(42)

        _, long, wrong, number = improvised(body)
        assert len(long[2]) < LONGEST + 50
        assert (wrong[2], number[2]) == ("'%d' ('no number',)", "42")

    def test_so_many_and_a_line_that_says_so(self) -> None:
        def body(job: JobContext) -> None:
            for number in range(MOST + 500):
                job.log.info(str(number))

        kept = improvised(body)
        assert len(kept) == MOST + 1
        assert [message for _, _, message in kept[-2:]] == [str(MOST - 1), LEFT_OUT]

    def test_so_many_over_all_runs(self) -> None:
        first = started()
        log = log_of(first)
        for number in range(MOST - 1):
            log.info(str(number))
        log.flush()
        ended(first, Verb.LOSE)
        again = started(first.id)
        log = log_of(again)
        for _ in range(3):  # however it is divided into writes
            log.info("again")
            log.info("and again")
            log.flush()
        assert lines(first)[-2:] == [(2, 20, "again"), (2, 30, LEFT_OUT)]
        ended(again, Verb.LOSE)
        log = log_of(started(first.id))
        log.info("nothing more")
        log.flush()
        assert len(lines(first)) == MOST + 1

    def test_from_any_thread_of_the_body(self) -> None:
        def body(job: JobContext) -> None:
            threads = [threading.Thread(target=write, args=[job]) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        def write(job: JobContext) -> None:
            with without_side_session():
                for number in range(50):
                    job.log.info(str(number))

        assert len(improvised(body)) == 200

    def test_until_the_job_is_pruned(self) -> None:
        job = perform(improvise.enqueue(part(lambda job: job.log.info("soon gone"))))
        assert lines(job)
        assert lifecycle.prune(Status.COMPLETED, -1, 100) == 1
        assert lines(job) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("side")
class TestBesideTheAuthorSTransaction:
    def test_lines_stay_when_it_is_rolled_back(self) -> None:
        job = started()
        log = log_of(job)
        with transaction.atomic():
            log.info("on stage")
            log.flush()
            transaction.set_rollback(True)
        assert lines(job) == [(1, 20, "on stage")]

    def test_they_are_written_while_the_body_goes_on(self) -> None:
        job = started()
        log_of(job).info("on stage")
        wait_for(lambda: lines(job), "the thread that writes by itself")

    def test_what_cannot_be_written_now_is_written_later(self) -> None:
        job = started()
        log = log_of(job)
        fetch("ALTER TABLE jobs_logline RENAME TO elsewhere", {})
        try:
            log.info("on stage")
            assert not log.flush()
        finally:
            fetch("ALTER TABLE elsewhere RENAME TO jobs_logline", {})
        wait_for(lambda: lines(job), "the next try")
        assert lines(job) == [(1, 20, "on stage")]
