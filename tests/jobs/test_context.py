import json
import logging
from contextlib import suppress
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from jobs import context
from jobs.context import JobContext
from jobs.errors import Cancelled
from jobs.lifecycle import Claimed, Verb
from jobs.models import Job
from jobs.sessions import fetch, without_side_session
from jobs.testing import perform
from tests.integration.workers import wait_for
from tests.jobs.jobtypes import improvise, part
from tests.jobs.rows import ended, row, started


def running(claimed: Claimed | None = None) -> JobContext:
    claimed = claimed or started()
    return JobContext(claimed.id, claimed.run, claimed.attempt, claimed.max_attempts)


@pytest.mark.django_db
class TestTheContext:
    def test_knows_the_run(self) -> None:
        seen: list[Any] = []
        job = improvise.enqueue(part(lambda job: seen.append((job.id, job.run, job.attempt, job.max_attempts))))
        perform(job)
        assert seen == [(job.id, 1, 1, 3)]

    def test_logs_with_the_job_and_the_attempt(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, logger="jobs"):
            job = perform(improvise.enqueue(part(lambda job: job.log.info("on stage"))))
        (record,) = [record for record in caplog.records if record.message == "on stage"]
        assert (record.name, record.job_id, record.attempt) == ("jobs.job", str(job.id), 1)  # type: ignore[attr-defined]

    def test_enqueues_children(self) -> None:
        def body(job: JobContext) -> str:
            by_name = job.enqueue_child("spell", {"text": "a"}, priority="high")
            by_type = job.enqueue_child(improvise, tags=["child"])
            return f"{by_name.id} {by_type.id}"

        parent = perform(improvise.enqueue(part(body)))
        children = [row(child) for child in Job.objects.filter(parent=parent.id).order_by("id")]
        assert [(child.type, child.priority, child.tags) for child in children] == [
            ("spell", 8, []),
            ("improvise", 5, ["child"]),
        ]
        assert parent.result == f"{children[0].id} {children[1].id}"

    def test_stops_a_run_that_was_told_to(self) -> None:
        job = running()
        job.check()
        context.stop_requests[job.id, job.run] = Cancelled("cancelled")
        try:
            with pytest.raises(Cancelled):
                job.check()
            with pytest.raises(Cancelled):
                job.progress(1)
            running().check()  # another one goes on
        finally:
            del context.stop_requests[job.id, job.run]


@pytest.mark.django_db
class TestProgress:
    @pytest.fixture(autouse=True)
    def in_this_transaction(self) -> Any:
        with without_side_session():
            yield

    @pytest.mark.parametrize(
        ("done", "total", "percent"),
        [
            (0, 10, 0),
            (1, 3, 33),
            (10, 10, 100),
            (20, 10, 100),
            (-1, 10, 0),
            (2.5, 10.0, 25),
            (5, None, None),
            (5, 0, None),
        ],
    )
    def test_is_written_at_once(self, done: float, total: float | None, percent: int | None) -> None:
        job = running()
        job.progress(done, total, "a note")
        assert row(job.id).progress == {
            "run": 1,
            "done": done,
            "total": total,
            "percent": percent,
            "note": "a note",
        }

    def test_is_written_seldom_and_once_more_at_the_end(self) -> None:
        def body(job: JobContext) -> int:
            for number in range(1, 101):
                job.progress(number, 100)
            return int(row(job.id).progress["done"])  # type: ignore[index]

        job = perform(improvise.enqueue(part(body)))
        assert job.result == 1
        assert job.progress == {"run": 1, "done": 100, "total": 100, "percent": 100, "note": ""}

    def test_of_a_run_that_failed_stays(self) -> None:
        def body(job: JobContext) -> None:
            job.progress(3, 4)
            raise ValueError

        assert perform(improvise.enqueue(part(body))).progress["percent"] == 75  # type: ignore[index]

    def test_of_a_stale_run_is_not_written(self) -> None:
        stale = started()
        ended(stale, Verb.LOSE)
        started(stale.id)
        running(stale).progress(1, 2)
        assert row(stale).progress is None

    def test_takes_notes_that_no_row_can_hold(self) -> None:
        job = running()
        job.progress(1, 2, "a\x00b\ud800" + "x" * 1000)
        progress = row(job.id).progress
        assert progress is not None
        assert progress["note"] == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}" + "x" * 496

    @pytest.mark.parametrize(("done", "total"), [(float("nan"), 1), (1, float("nan")), (float("inf"), None)])
    def test_must_be_numbers(self, done: float, total: float | None) -> None:
        with pytest.raises(ValueError, match="cannot be shown"):
            running().progress(done, total)

    def test_that_cannot_be_written_does_not_fail_the_job(self, caplog: pytest.LogCaptureFixture) -> None:
        def body(job: JobContext) -> str:
            with transaction.atomic():
                with suppress(DatabaseError):
                    fetch("SELECT 1 / 0", {})  # no statement is taken any more
                job.progress(1, 2)
                transaction.set_rollback(True)
            return "done"

        assert perform(improvise.enqueue(part(body))).result == "done"
        assert "progress not written" in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("side")
def test_progress_is_seen_at_once_from_inside_of_a_transaction_that_is_rolled_back() -> None:
    job = running()
    with transaction.atomic():
        Job.objects.filter(id=job.id).values_list("status").get()
        job.progress(1, 2)
        transaction.set_rollback(True)
    assert row(job.id).progress == {"run": 1, "done": 1, "total": 2, "percent": 50, "note": ""}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("side")
def test_what_a_context_says_last_is_json() -> None:
    job = running()
    assert job.latest is None
    job.progress(1, 2)
    assert json.loads(job.latest or "")["percent"] == 50


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("side")
def test_the_latest_progress_is_written_while_the_body_goes_on() -> None:
    job = running()
    for number in (1, 2, 3):
        job.progress(number, 3)
    wait_for(lambda: (row(job.id).progress or {}).get("done") == 3, "the thread that writes it")
