"""Slots with nothing in them but what a test puts there."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app

from jobs.errors import JobTimeout
from jobs.lifecycle import Claimed
from jobs.worker.feed import Feed
from jobs.worker.held import Held
from jobs.worker.slots import TERM_GRACE, ThreadSlots
from jobs.worker.trips import CHUNK, ProcessSlots, Trip
from tests.jobs.rows import new

POOL: Any = SimpleNamespace(num_processes=1)
EVENTS: Any = None


def held(**fields: Any) -> Held:
    """A run of a job that is no row."""
    job = {"id": new().id, "run": 1, "attempt": 1, "max_attempts": 1, "losses": 0, "type": "say", "payload": "{}"}
    plain = {"queue": "default", "priority": 5, "timeout": 1.0, "backoff": None, "parent": None, "group": None}
    return Held(Claimed(**{**job, **plain, "members": None, **fields}))


@pytest.fixture
def feed() -> Feed:
    return Feed(current_app, "stage", list)


class TestThreads:
    def late(self, feed: Feed, **fields: Any) -> ThreadSlots:
        slots = ThreadSlots(feed, POOL, "stage", EVENTS)
        run = held()
        run.started = time.monotonic() - 60
        for name, value in fields.items():
            setattr(run, name, value)
        slots.running[run.job.key] = run
        return slots

    def test_are_not_stuck_before_they_were_told_to_stop(self, feed: Feed) -> None:
        assert self.late(feed).stuck() == 0
        assert self.late(feed, stop=JobTimeout(), stopped=time.monotonic()).stuck() == 0

    def test_are_stuck_when_they_go_on_nevertheless(self, feed: Feed) -> None:
        assert self.late(feed, stop=JobTimeout(), stopped=time.monotonic() - TERM_GRACE - 1).stuck() == 1

    def test_what_our_own_code_says_can_be_stored(self, feed: Feed, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("CRITICAL", logger="jobs.worker")  # the report of a test must be UTF-8
        outcome = self.late(feed).broken(held(type="smoke"), ValueError("a\x00b\ud800"))
        assert outcome.error is not None
        assert outcome.error.message == "a\ufffdb\ufffd"
        assert len(outcome.error.fingerprint) == 32


class TestTrips:
    def sent_together(self, feed: Feed, monkeypatch: pytest.MonkeyPatch, losses: list[int]) -> int:
        """How many of a buffer's jobs, of which each has lost so many workers, go in the first trip."""
        trips: list[Trip] = []
        monkeypatch.setattr(Trip, "go", lambda trip: trips.append(trip))
        feed.cost = 0.001
        feed.buffer.extend(held(losses=count) for count in losses)
        ProcessSlots(feed, POOL, "stage", EVENTS).fill()
        return len(trips[0].all)

    @pytest.mark.parametrize(
        ("losses", "together"),
        [
            ([0] * 30, CHUNK),
            ([0, 0, 1, 0, 0], 2),  # the third goes alone, when its turn comes
            ([1, 0, 0, 0, 0], 1),
            ([0], 1),
        ],
    )
    def test_of_short_jobs_take_several_that_have_lost_no_worker(
        self, feed: Feed, monkeypatch: pytest.MonkeyPatch, losses: list[int], together: int
    ) -> None:
        assert self.sent_together(feed, monkeypatch, losses) == together
