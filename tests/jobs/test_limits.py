import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from jobs import limits
from jobs.errors import Snooze
from jobs.limits import BREAK_AFTER, BREAK_FOR, PATIENCE
from jobs.models import Limit, Status
from jobs.processor import Upstream
from jobs.sessions import fetch, without_side_session
from jobs.testing import perform
from tests.jobs.jobtypes import improvise, part
from tests.jobs.rows import row


@pytest.fixture(autouse=True)
def no_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test machine may be busy: a caller that wakes up late has not lost its turn."""
    monkeypatch.setattr(limits, "LATE", 600.0)


@pytest.fixture
def slow(db: None) -> Iterator[Upstream]:
    """An upstream that takes a call a minute, its row in the test's transaction."""
    with without_side_session():
        yield Upstream("slow", interval=60)


def clock() -> datetime:
    moment: datetime = fetch("SELECT clock_timestamp()", {})[0][0]
    return moment


def next_slot(upstream: Upstream) -> datetime:
    return Limit.objects.get(name=upstream.name).next_at


class TestThePace:
    def test_lets_the_first_call_through_at_once_and_keeps_the_next_away(self, slow: Upstream) -> None:
        before = clock()
        slow.acquire()
        assert timedelta(seconds=60) <= next_slot(slow) - before
        with pytest.raises(Snooze, match="slow: its limit is used up") as raised:
            slow.acquire()
        assert 0 < raised.value.after <= 60

    def test_of_one_upstream_is_not_anothers(self, slow: Upstream) -> None:
        slow.acquire()
        Upstream("other", interval=60).acquire()
        assert Limit.objects.count() == 2

    def test_spaces_calls_evenly(self, slow: Upstream) -> None:
        quick, before = Upstream("quick", interval=0.02), clock()
        for _ in range(10):
            quick.acquire()
        assert next_slot(quick) - before >= timedelta(seconds=10 * 0.02)
        assert clock() - before >= timedelta(seconds=9 * 0.02)

    def test_saves_up_no_burst(self, slow: Upstream) -> None:
        slow.acquire()
        Limit.objects.update(next_at=Now() - timedelta(hours=1))
        slow.acquire()
        assert next_slot(slow) > clock()
        with pytest.raises(Snooze):
            slow.acquire()

    def test_is_waited_for_when_it_is_near(self, slow: Upstream) -> None:
        near = Upstream("near", interval=PATIENCE / 10)
        near.acquire()
        first = next_slot(near)
        near.acquire()
        assert clock() >= first

    def test_is_slowed_down_as_the_upstream_asks(self, slow: Upstream) -> None:
        slow.slow_down(300)
        with pytest.raises(Snooze) as raised:
            slow.acquire()
        assert 60 < raised.value.after <= 300

    def test_is_never_hurried_by_it(self, slow: Upstream) -> None:
        slow.slow_down(300)
        far = next_slot(slow)
        slow.slow_down(1)
        slow.slow_down(-1)
        assert next_slot(slow) == far

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.usefixtures("side")
    def test_is_kept_by_many_threads_together(self) -> None:
        quick, before = Upstream("together", interval=0.02), clock()
        called: list[datetime] = []

        def call() -> None:
            for _ in range(4):
                quick.acquire()
                called.append(clock())
            connection.close()

        threads = [threading.Thread(target=call) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(called) == 20
        assert next_slot(quick) - before >= timedelta(seconds=20 * 0.02)
        assert Limit.objects.all().delete()[0] == 1

    def test_gives_a_caller_that_woke_up_late_another_slot(
        self, slow: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "LATE", -1.0)  # everybody is late
        quick, before = Upstream("quick", interval=0.01), clock()
        quick.acquire()
        assert next_slot(quick) - before >= timedelta(seconds=limits.TRIES * 0.01)


class TestTheBreaker:
    def test_opens_after_errors_in_a_row(self, slow: Upstream) -> None:
        for _ in range(BREAK_AFTER - 1):
            slow.failed()
        slow.acquire()
        slow.failed()
        with pytest.raises(Snooze, match="slow: its last calls failed") as raised:
            slow.acquire()
        assert 0 < raised.value.after <= 60

    def test_counts_anew_after_a_success(self, slow: Upstream) -> None:
        for _ in range(BREAK_AFTER - 1):
            slow.failed()
        slow.succeeded()
        slow.failed()
        slow.acquire()

    def test_closes_at_a_success(self, slow: Upstream) -> None:
        for _ in range(BREAK_AFTER):
            slow.failed()
        slow.succeeded()
        slow.acquire()
        assert (Limit.objects.get().failures, Limit.objects.get().open_until) == (0, None)

    def test_lets_one_trial_through_when_its_time_is_over(self, slow: Upstream) -> None:
        for _ in range(BREAK_AFTER):
            slow.failed()
        before = Limit.objects.get().open_until
        assert before is not None
        assert timedelta(0) < before - clock() <= timedelta(seconds=BREAK_FOR)
        Limit.objects.update(open_until=Now() - timedelta(seconds=1))
        slow.acquire()
        slow.failed()
        Limit.objects.update(next_at=Now())
        with pytest.raises(Snooze, match="its last calls failed"):
            slow.acquire()


class TestALook:
    def test_takes_no_slot_and_leaves_no_row(self, slow: Upstream) -> None:
        slow.check()
        slow.check()
        assert not Limit.objects.exists()

    def test_says_how_long_the_upstream_wants_to_be_left_alone(self, slow: Upstream) -> None:
        slow.slow_down(300)
        with pytest.raises(Snooze, match="slow: its limit is used up") as raised:
            slow.check()
        assert 60 < raised.value.after <= 300
        Upstream("other").check()

    def test_ends_at_an_open_breaker(self, slow: Upstream) -> None:
        for _ in range(BREAK_AFTER):
            slow.check()
            slow.failed()
        with pytest.raises(Snooze, match="slow: its last calls failed") as raised:
            slow.check()
        assert 0 < raised.value.after <= BREAK_FOR

    def test_is_free_again_when_the_time_is_over(self, slow: Upstream) -> None:
        slow.slow_down(300)
        Limit.objects.update(next_at=Now() - timedelta(seconds=1))
        slow.check()


def test_a_job_that_may_not_call_yet_is_snoozed_without_using_an_attempt(slow: Upstream) -> None:
    slow.slow_down(300)

    def body(job: Any) -> None:
        slow.acquire()

    job = perform(improvise.enqueue(part(body)))
    assert (job.status, job.attempt, job.failures.count()) == (Status.SCHEDULED, 0, 0)
    assert row(job).scheduled_at > clock() + timedelta(seconds=60)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("side")
def test_a_slot_stays_taken_when_the_authors_transaction_is_rolled_back() -> None:
    beside = Upstream("beside", interval=60)
    with transaction.atomic():
        beside.acquire()
        transaction.set_rollback(True)
    with pytest.raises(Snooze):
        beside.acquire()
    assert Limit.objects.all().delete()[0] == 1
