"""The history of jobs in numbers: minutes derived from rows, longer periods from minutes."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from jobs import lifecycle, rollups, statistics
from jobs.histograms import histogram
from jobs.lifecycle import Verb
from jobs.models import ErrorGroup, ErrorRollup, Job, Period, RolledUp, Rollup, Status
from jobs.rollups import LATE, floor, roll_up, roll_up_errors
from tests.jobs.history import failure_at, job_at, minute, roll_up_all, rolled_up
from tests.jobs.rows import ended, now, started

SECOND = timedelta(seconds=1)


def rows(period: Period = Period.MINUTE, **fields: Any) -> list[tuple[Any, ...]]:
    """What is kept by type and queue, as (at, type, queue, outcome, count)."""
    found = Rollup.objects.filter(period=period, **fields).exclude(type="").exclude(queue="").order_by("at", "outcome")
    return list(found.values_list("at", "type", "queue", "outcome", "count"))


def everything() -> list[dict[str, Any]]:
    """All roll-ups as they are, but for their ids."""
    order = ("period", "at", "type", "queue", "outcome")
    found: list[Any] = list(Rollup.objects.order_by(*order).values())
    errors: list[Any] = list(ErrorRollup.objects.order_by("period", "at", "fingerprint", "type").values())
    groups: list[Any] = list(ErrorGroup.objects.order_by("pk").values())
    return [{name: value for name, value in row.items() if name != "id"} for row in found + errors + groups]


@pytest.mark.django_db
class TestMinutes:
    def test_have_what_was_enqueued_and_what_ended_by_type_and_queue(self) -> None:
        at = minute(5)
        for second in range(3):
            job_at(at + second * SECOND)
        job_at(at + SECOND, Status.FAILED, type="juggle", queue="cpu")
        job_at(at + SECOND, Status.CANCELLED)
        job_at(at + 2 * SECOND, Status.PENDING)
        Job.objects.update(created_at=at)
        roll_up_all(at)
        assert sorted(rows()) == [
            (at, "improvise", "default", "cancelled", 1),
            (at, "improvise", "default", "completed", 3),
            (at, "improvise", "default", "enqueued", 5),
            (at, "juggle", "cpu", "enqueued", 1),
            (at, "juggle", "cpu", "failed", 1),
        ]

    def test_have_all_types_and_all_queues_too(self) -> None:
        at = minute(5)
        job_at(at, type="juggle", queue="default")
        job_at(at, type="juggle", queue="cpu")
        job_at(at, type="improvise", queue="cpu")
        roll_up_all(at)
        found = Rollup.objects.filter(period=Period.MINUTE, outcome="completed").values_list("type", "queue", "count")
        assert set(found) == {
            ("", "", 3),
            ("juggle", "", 2),
            ("improvise", "", 1),
            ("", "default", 1),
            ("", "cpu", 2),
            ("juggle", "default", 1),
            ("juggle", "cpu", 1),
            ("improvise", "cpu", 1),
        }

    def test_have_how_long_jobs_waited_and_ran(self) -> None:
        at = minute(5)
        job_at(at + SECOND, wait_ms=3, run_ms=500)
        job_at(at + SECOND, wait_ms=7, run_ms=2000)
        job_at(at + SECOND, Status.FAILED, wait_ms=0.5, run_ms=1)
        roll_up_all(at)
        completed = Rollup.objects.get(period=60, type="improvise", queue="default", outcome="completed")
        assert (completed.wait_ms, completed.run_ms) == (10, 2500)
        assert (completed.waits, completed.runs) == (histogram([3, 7]), histogram([500, 2000]))
        failed = Rollup.objects.get(period=60, type="improvise", queue="default", outcome="failed")
        assert (failed.waits, failed.runs) == (histogram([0.5]), histogram([1]))

    def test_have_no_durations_of_jobs_that_did_not_run_to_an_end(self) -> None:
        at = minute(5)
        job_at(at, Status.CANCELLED, run_ms=700)
        job_at(at, Status.FAILED, wait_ms=None)  # a step after one that failed
        roll_up_all(at)
        assert set(Rollup.objects.values_list("wait_ms", "run_ms").distinct()) == {(0, 0)}
        assert all(row.waits == row.runs == [] for row in Rollup.objects.all())

    def test_in_which_nothing_happened_have_no_row_and_are_done_all_the_same(self) -> None:
        roll_up_all(minute(30))
        assert not Rollup.objects.exists()
        assert RolledUp.objects.get().until == minute()

    def test_are_derived_when_they_are_over(self) -> None:
        job_at(minute())
        roll_up_all(minute(1))
        assert rows(outcome="completed") == []
        assert not roll_up()

    def test_are_those_of_utc_through_a_night_with_an_hour_twice(self) -> None:
        before, after = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
        job_at(before)  # both half past one in London
        job_at(after)
        job_at(before - timedelta(hours=1))  # there it is the 25th already
        with timezone.override("Europe/London"):
            rolled_up(datetime(2026, 10, 24, 22, tzinfo=UTC))
            roll_up(timedelta(hours=6))
        hours = [floor(at, 3600) for at in (before - timedelta(hours=1), before, after)]
        assert [row[0] for row in rows(Period.HOUR, outcome="completed")] == hours
        assert [(row[0].day, row[4]) for row in rows(Period.DAY, outcome="completed")] == [(24, 1), (25, 2)]


@pytest.mark.django_db
class TestLongerPeriods:
    def test_add_up_what_is_in_them_and_have_what_has_passed_of_the_current_ones(self) -> None:
        chance, begin = random.Random(7), minute(60 * 30)
        for _ in range(150):
            at = begin + chance.random() * (minute() - begin)
            status = chance.choice([Status.COMPLETED, Status.FAILED, Status.CANCELLED])
            kind, queue = chance.choice(["juggle", "improvise"]), chance.choice(["cpu", "default"])
            job_at(at, status, type=kind, queue=queue, run_ms=chance.expovariate(0.001), wait_ms=chance.expovariate(1))
        Job.objects.create(type="juggle", queue="cpu")  # now, so not yet
        rolled_up(begin - timedelta(hours=1))
        while roll_up(timedelta(hours=9)):
            pass
        ends = Counter(Job.objects.exclude(finished_at=None).values_list("status", flat=True))
        for period in Period:
            of_all = Rollup.objects.filter(period=period, type="", queue="")
            by_both = Rollup.objects.filter(period=period).exclude(type="").exclude(queue="")
            for found in (of_all, by_both):
                counted = dict(found.exclude(outcome="enqueued").values_list("outcome").annotate(Sum("count")))
                assert counted == ends
                assert all(floor(row.at, period) == row.at for row in found)
        runs = [
            (job.finished_at - job.started_at) / timedelta(milliseconds=1)
            for job in Job.objects.filter(status="completed")
            if job.finished_at and job.started_at
        ]
        month = Rollup.objects.filter(period=Period.MONTH, type="", queue="", outcome="completed")
        assert [sum(place) for place in zip(*(pad(row.runs) for row in month), strict=True)] == pad(histogram(runs))
        assert sum(row.run_ms for row in month) == pytest.approx(sum(runs), abs=len(runs))

    def test_do_not_depend_on_how_much_is_derived_at_once(self) -> None:
        for ago in (1, 2, 9, 59, 61, 64):
            job_at(minute(ago) + SECOND)
            failure_at(minute(ago))
        roll_up_all(minute(70))
        at_once = everything()
        for model in (Rollup, ErrorRollup, ErrorGroup):
            model.objects.all().delete()
        rolled_up(minute(70))
        while roll_up(timedelta(minutes=7)):
            pass
        assert everything() == at_once


def pad(counts: list[int]) -> list[int]:
    return counts + [0] * (130 - len(counts))


@pytest.mark.django_db
class TestHistory:
    @pytest.fixture
    def kept(self) -> Callable[[], bool]:
        """Some history; says whether it is still the same."""
        for ago in (1, 1, 2, 5):
            failure_at(minute(ago) + SECOND)
        roll_up_all(minute(10))
        before = everything()
        return lambda: everything() == before

    def test_is_the_same_when_it_is_derived_again(self, kept: Callable[[], bool]) -> None:
        roll_up_all(minute(10))
        assert kept()

    def test_does_not_change_when_jobs_are_pruned(self, kept: Callable[[], bool]) -> None:
        Job.objects.all().delete()
        roll_up_all(minute(10))
        assert kept()

    def test_does_not_change_when_jobs_are_retried_by_hand(self, kept: Callable[[], bool]) -> None:
        Job.objects.update(run=1)
        failed = Job.objects.filter(status=Status.FAILED).values_list("id", flat=True)
        assert len(lifecycle.retry(list(failed), actor="ann").retried) == 4
        roll_up_all(minute(10))
        assert kept()

    def test_has_what_was_committed_late(self, kept: Callable[[], bool]) -> None:
        for ago in (1, 2):
            failure_at(minute(ago) + SECOND)
        rolled_up(minute(1))  # a minute later, as it were: the last but one is looked at again
        assert roll_up()
        assert Rollup.objects.get(period=60, at=minute(1), type="", queue="", outcome="failed").count == 3
        assert Rollup.objects.get(period=60, at=minute(2), type="", queue="", outcome="failed").count == 2
        assert ErrorGroup.objects.get().count == 6
        assert timedelta(minutes=2) == LATE

    def test_catches_up_after_downtime_a_chunk_at_a_time(self) -> None:
        for ago in (10, 70, 185):
            job_at(minute(ago))
        rolled_up(minute(200))
        chunks = 0
        while roll_up():
            chunks += 1
        assert chunks == 14  # 200 minutes by 15
        assert Rollup.objects.filter(period=60, type="", queue="", outcome="completed").count() == 3

    def test_begins_with_the_oldest_job(self) -> None:
        job_at(minute(100))
        while roll_up():
            pass
        assert [row[0] for row in rows(outcome="completed")] == [minute(100)]

    def test_begins_now_where_there_is_no_job(self) -> None:
        assert not roll_up()
        assert RolledUp.objects.get().until == minute()

    def test_is_pruned_by_age(self) -> None:
        for period, age in rollups.KEPT.items():
            for at in (now() - age - SECOND, now() - age + timedelta(hours=1)):
                Rollup.objects.create(period=period, at=at, outcome="failed", count=1)
                ErrorRollup.objects.create(period=period, at=at, count=1)
        Rollup.objects.create(period=Period.MONTH, at=now() - timedelta(days=3000), outcome="failed", count=1)
        rollups.prune()
        assert Rollup.objects.count() == 4
        assert ErrorRollup.objects.count() == 3
        assert [Rollup.objects.filter(period=period).count() for period in Period] == [1, 1, 1, 1]


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """Each on a connection of its own, at the same time."""
    barrier, answers = threading.Barrier(len(actions)), []

    def run(action: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait()
            answers.append(action())
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[action]) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.django_db(transaction=True)
def test_two_leaders_at_once_count_once() -> None:
    for ago in range(12):
        failure_at(minute(ago) + SECOND)

    def derive() -> None:
        for _ in range(15):
            roll_up(timedelta(minutes=1))
            roll_up_errors()

    rolled_up(minute(15))
    assert len(at_once(derive, derive, derive)) == 3
    roll_up_all(RolledUp.objects.get().until)
    counted = Rollup.objects.filter(period=Period.MONTH, type="", queue="", outcome="failed").aggregate(Sum("count"))
    assert counted["count__sum"] == Job.objects.filter(finished_at__lt=minute()).count()
    roll_up_errors()
    assert ErrorGroup.objects.get().count == Job.objects.count()


@pytest.mark.django_db(transaction=True)
def test_a_minute_is_never_seen_twice_while_it_is_rolled_up() -> None:
    begin = minute(4)
    for ago in range(4):
        for _ in range(5):
            job_at(minute(ago) + SECOND)
    rolled_up(begin)
    seen = set()

    def look() -> None:
        done = False
        while not done:
            done = RolledUp.objects.get().until >= begin + timedelta(minutes=4)
            seen.add(statistics.summary("15m").completed)

    def derive() -> None:
        while roll_up(timedelta(minutes=1)):
            time.sleep(0.05)

    at_once(look, derive)
    assert seen == {20}


@pytest.mark.django_db
def test_jobs_are_counted_as_workers_end_them() -> None:
    ended(started())
    ended(started(), Verb.FAIL)
    ended(started(), Verb.RETRY, delay=60.0)
    live = {(row.type, row.queue, row.outcome): row for row in rollups.tallied_live(minute())}
    counts = {outcome: live["improvise", "default", outcome].number for outcome in ("enqueued", "completed", "failed")}
    assert counts == {"enqueued": 3, "completed": 1, "failed": 1}
    roll_up_errors()
    assert ErrorGroup.objects.get().count == 2


@pytest.mark.django_db
def test_many_jobs_of_the_last_minutes_are_not_read_for_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends() -> int:
        return sum(row.number for row in rollups.tallied_live(minute()) if row.type == row.queue == "")

    monkeypatch.setattr(rollups, "_kept", (None, 0.0, []))
    job_at(minute())
    assert ends() == 1
    monkeypatch.setattr(rollups, "BUSY", 1)
    job_at(minute())
    assert ends() == 2
    job_at(minute())
    assert ends() == 2
    monkeypatch.setattr(rollups, "_kept", (minute(), 0.0, []))  # some seconds later
    assert ends() == 3
