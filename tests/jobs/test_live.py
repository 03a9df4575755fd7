"""Which of what is read and what is heard a watcher is shown. Streams over real processes: tests/integration."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from jobs import events, lifecycle, live
from jobs.ids import new_id
from jobs.lifecycle import Verb
from jobs.live import Seen, Watched, Watcher
from jobs.models import Job, LogLine, Status
from tests.jobs.rows import ended, enqueued, job_in, started

ROW, TOLD, LATER = {"done": 1}, {"done": 2}, {"done": 3}


def seen(progress: Any, status: Status = Status.PROCESSING, run: int = 1) -> Seen:
    return Seen(Job(status=status, run=run, progress=progress), None)


def watched(*reads: Seen) -> tuple[Watched, Watcher]:
    """A job that was read so far like this."""
    watcher = Watcher(after=None)
    job = Watched({watcher})
    for read in reads:
        job.look(read, [])
    return job, watcher


def shown(watcher: Watcher) -> Any:
    """The progress that the watcher is shown next."""
    _, now = watcher.take()
    assert now is not None
    return now.job.progress


class TestProgress:
    def test_that_was_told_goes_before_the_row_s(self) -> None:
        job, watcher = watched(seen(ROW))
        job.hear(1, TOLD)
        assert shown(watcher) == TOLD
        job.look(seen(ROW), [])  # which is up to two seconds behind
        assert shown(watcher) == TOLD

    def test_of_the_row_when_that_got_on_and_nothing_told_so(self) -> None:
        job, watcher = watched(seen(ROW))
        job.hear(1, TOLD)
        job.look(seen(ROW), [])
        job.look(seen(LATER), [])
        assert shown(watcher) == LATER

    def test_that_was_told_while_the_row_got_on(self) -> None:
        job, watcher = watched(seen(ROW))
        job.hear(1, LATER)
        job.look(seen(TOLD), [])
        assert shown(watcher) == LATER

    def test_of_a_run_that_was_not_read_yet_waits_for_it(self) -> None:
        job, watcher = watched(seen(None, Status.PENDING, run=0))
        watcher.take()
        job.hear(1, TOLD)
        assert not watcher.news.is_set()
        job.look(seen(None), [])
        assert shown(watcher) == TOLD

    @pytest.mark.parametrize(
        "now", [seen(ROW, Status.COMPLETED), seen(None, run=2), seen(ROW, Status.SCHEDULED), seen(ROW, Status.PENDING)]
    )
    def test_of_a_run_that_is_over_is_the_row_s(self, now: Seen) -> None:
        job, watcher = watched(seen(ROW))
        job.hear(1, TOLD)
        job.look(now, [])
        assert shown(watcher) == now.job.progress


def line(number: int) -> LogLine:
    return LogLine(id=number, job=new_id(), run=1, level=20, message="", at=datetime.now(UTC))


class TestLines:
    def test_are_for_each_watcher_those_after_the_last(self) -> None:
        first, second, without = Watcher(0), Watcher(2), Watcher(None)
        job = Watched({first, second, without})
        lines = [line(number) for number in (1, 2, 3)]
        assert job.after == 0
        job.look(seen(ROW), lines)
        assert [[kept.id for kept in watcher.take()[0]] for watcher in (first, second, without)] == [[1, 2, 3], [3], []]
        job.look(seen(ROW), lines)
        assert (first.take()[0], job.after) == ([], 3)

    def test_wait_until_they_are_taken(self) -> None:
        watcher = Watcher(0)
        job = Watched({watcher})
        for number in (1, 2):
            job.look(seen(ROW), [line(number)])
        assert [kept.id for kept in watcher.take()[0]] == [1, 2]


@pytest.mark.django_db
class TestReading:
    def test_many_jobs_by_three_statements(self, django_assert_num_queries: Any) -> None:
        jobs = [job_in(status) for status in Status] + [job_in(Status.FAILED)]
        LogLine.objects.create(job=jobs[0], run=1, level=20, message="one")
        with django_assert_num_queries(2):  # and the lines' below Django
            found, lines = live.read({**dict.fromkeys(jobs, 0), new_id(): 0})
        assert found.keys() == set(jobs)
        assert {found[job].job.status for job in jobs} == set(Status)
        assert [seen.failure.message for seen in found.values() if seen.failure] == ["the set fell down"] * 2
        assert [line.message for line in lines[jobs[0]]] == ["one"]

    def test_the_last_failure_of_each(self) -> None:
        first = started()
        ended(first, Verb.RETRY)
        lifecycle.run_now([first.id], actor="ann")
        second = started(first.id)
        (one,) = live.read({second.id: None})[0].values()
        assert one.failure is not None
        assert one.failure.run == 1


@pytest.mark.django_db(transaction=True)
class TestTheHub:
    def run(self, steps: Callable[[], Awaitable[None]]) -> None:
        async def within() -> None:
            async with asyncio.timeout(60):
                await steps()

        asyncio.run(within())

    def test_tells_first_what_is_and_then_what_changes(self) -> None:
        job = enqueued().id

        async def steps() -> None:
            async with live.hub().watching(job, after=None) as watcher:
                assert (await _next(watcher)).job.status == Status.PENDING
                await asyncio.to_thread(_in_thread, started, job)
                assert (await _next(watcher)).job.status == Status.PROCESSING
                events.progressed(job, 1, json.dumps(TOLD))
                while (await _next(watcher)).job.progress != TOLD:
                    pass

        self.run(steps)

    def test_has_nothing_left_when_all_have_gone(self) -> None:
        job = enqueued().id

        async def steps() -> None:
            hub = live.hub()
            for _ in range(2):
                async with hub.watching(job, after=None) as one, hub.watching(job, after=0) as other:
                    assert (await _next(one)).job.id == (await _next(other)).job.id == job
                assert (hub.jobs, hub.tasks) == ({}, [])

        self.run(steps)

    def test_says_that_a_job_is_none(self) -> None:
        async def steps() -> None:
            async with live.hub().watching(new_id(), after=None) as watcher:
                await watcher.news.wait()
                assert (watcher.take(), watcher.gone) == (([], None), True)

        self.run(steps)

    def test_tells_dashboards(self) -> None:
        async def steps() -> None:
            async with live.hub().watching_all() as news:
                events.changed()
                await news.wait()

        self.run(steps)


async def _next(watcher: Watcher) -> Seen:
    """The next that the watcher is shown."""
    while True:
        await watcher.news.wait()
        _, now = watcher.take()
        if now is not None:
            return now


def _in_thread(change: Callable[[UUID], object], job: UUID) -> None:
    try:
        change(job)
    finally:
        connection.close()


@pytest.mark.django_db
def test_activity_is_a_number() -> None:
    assert live.activity() >= 0
