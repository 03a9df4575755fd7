import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from jobs import leadership, upkeep
from jobs.lifecycle import Verb
from jobs.models import Chord, ErrorGroup, Job, Leader, Rollup, Status, Worker
from jobs.upkeep import DUTY, GONE_AFTER, TERM, Upkeep, pruning, repeat
from tests.jobs.history import failure_at, minute, rolled_up
from tests.jobs.jobtypes import forget_soon
from tests.jobs.rows import ended, enqueued, job_in, row, started, statuses


def ended_ago(seconds: float, status: Status = Status.COMPLETED, **fields: Any) -> Any:
    job = job_in(status, **fields)
    Job.objects.filter(id=job).update(finished_at=Now() - timedelta(seconds=seconds))
    return job


def prune() -> int:
    """All of it; how many jobs."""
    return sum(pruning())


def left() -> set[Any]:
    return set(Job.objects.values_list("id", flat=True))


@pytest.fixture
def retention(settings: Settings) -> None:
    settings.JOBS_RETENTION = {"completed": 100.0, "cancelled": 200.0, "failed": 300.0}


@pytest.mark.django_db
@pytest.mark.usefixtures("retention")
class TestPruning:
    @pytest.mark.parametrize(
        ("status", "age"), [(Status.COMPLETED, 100), (Status.CANCELLED, 200), (Status.FAILED, 300)]
    )
    def test_follows_the_settings(self, status: Status, age: float) -> None:
        ended_ago(age + 5, status)
        kept = ended_ago(age - 50, status)
        assert prune() == 1
        assert left() == {kept}

    def test_follows_the_type_where_that_says_so(self) -> None:
        ended_ago(65, type=forget_soon.name)
        ended_ago(250, Status.CANCELLED, type=forget_soon.name)  # of which the type says nothing
        kept = {
            ended_ago(55, type=forget_soon.name),
            ended_ago(7000, Status.FAILED, type=forget_soon.name),
            ended_ago(65),
            ended_ago(150, Status.CANCELLED, type=forget_soon.name),
        }
        assert prune() == 2
        assert left() == kept

    def test_goes_on_until_nothing_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upkeep, "PRUNE_CHUNK", 2)
        for _ in range(5):
            ended_ago(1000)
        assert prune() == 5

    def test_never_touches_active_jobs(self) -> None:
        kept = {job_in(status) for status in (Status.SCHEDULED, Status.PENDING, Status.PROCESSING)}
        Job.objects.update(scheduled_at=Now() - timedelta(days=365))
        assert prune() == 0
        assert left() == kept

    def test_keeps_members_until_their_chord_is_done_with(self) -> None:
        group, body = uuid4(), uuid4()
        member = ended_ago(1000, group=group)
        Chord.objects.create(
            id=group, size=1, body=[{"id": str(body)}], fired_at=Now(), created_at=Now() - timedelta(hours=2)
        )
        waiting = enqueued(id=body)
        assert prune() == 0
        ended(started(waiting))
        assert (prune(), Chord.objects.count()) == (0, 0)  # first the chord, at the next round its members
        assert prune() == 1
        assert left() == {body} != {member}

    def test_forgets_workers_that_are_long_gone(self) -> None:
        for name, age in (("gone", GONE_AFTER + 60), ("late", GONE_AFTER - 60), ("here", 0)):
            at = Now() - timedelta(seconds=age)
            Worker.objects.create(name=name, pool="solo", concurrency=1, heartbeat_at=at)
        prune()
        assert set(Worker.objects.values_list("name", flat=True)) == {"late", "here"}


@pytest.mark.parametrize(
    ("found", "calls", "total"), [([0], 1, 0), ([3], 1, 3), ([10, 10, 4], 3, 24), ([10] * 100, 20, 200)]
)
def test_a_sweep_is_repeated_while_it_finds_whole_batches_and_not_for_ever(
    found: list[int], calls: int, total: int
) -> None:
    asked: list[int] = []

    def sweep(limit: int) -> int:
        asked.append(limit)
        return found[len(asked) - 1]

    assert repeat(sweep, 10) == total
    assert asked == [10] * calls


@pytest.mark.django_db
class TestARound:
    def lead_for(self, seconds: float) -> None:
        leadership.lead(DUTY, "me", TERM)
        Leader.objects.update(unbroken_since=Now() - timedelta(seconds=seconds))

    def lost(self) -> Any:
        job = started()
        Job.objects.filter(id=job.id).update(lease_expires_at=Now() - timedelta(seconds=1))
        return job

    def test_rescues_expires_and_prunes(self) -> None:
        lost, late, old = self.lost(), enqueued(expires_in=60.0), ended_ago(10_000_000)
        Job.objects.filter(id=late.id).update(expires_at=Now() - timedelta(seconds=1))
        self.lead_for(upkeep.LEASE + 1)
        Upkeep("me").round()
        assert statuses(lost, late) == [Status.PENDING, Status.CANCELLED]
        assert old not in left()

    def test_rescues_nothing_before_every_worker_had_the_time_to_renew(self) -> None:
        lost = self.lost()
        self.lead_for(upkeep.LEASE - 5)
        Upkeep("me").round()
        assert row(lost).status == Status.PROCESSING

    def test_rolls_up_and_finds_new_errors_every_ten_seconds(self) -> None:
        failure_at(minute(3))
        self.lead_for(0)
        sweeper = Upkeep("me")
        sweeper.round()
        assert Rollup.objects.filter(type="", queue="", outcome="failed", period=60).exists()
        failure_at(minute())
        sweeper.round()
        assert ErrorGroup.objects.get().count == 1
        sweeper.next_errors = time.monotonic() - 1
        sweeper.round()
        assert ErrorGroup.objects.get().count == 2

    def test_prunes_nothing_that_is_not_in_history_yet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        old = ended_ago(10_000_000)
        rolled_up(minute(60))
        monkeypatch.setattr(upkeep, "ROLL_UP_TIME", -1)  # one chunk of minutes a round
        self.lead_for(0)
        sweeper = Upkeep("me")
        rounds = 0
        while old in left():
            sweeper.round()
            rounds += 1
        assert rounds == 5

    def test_prunes_once_an_hour(self) -> None:
        sweeper = Upkeep("me")
        self.lead_for(0)
        sweeper.round()
        old = ended_ago(10_000_000)
        sweeper.round()
        assert left() == {old}
        sweeper.next_prune = time.monotonic() - 1
        sweeper.round()
        assert left() == set()

    def test_prunes_for_a_while_only_and_goes_on_the_next_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upkeep, "PRUNE_CHUNK", 2)
        monkeypatch.setattr(upkeep, "PRUNE_TIME", 0)
        for _ in range(5):
            ended_ago(10_000_000)
        sweeper = Upkeep("me")
        self.lead_for(0)
        counts = []
        for _ in range(4):
            sweeper.round()
            counts.append(len(left()))
        assert counts == [3, 1, 0, 0]

    def test_done_by_two_leaders_by_accident_does_no_harm(self) -> None:
        job = self.lost()
        self.lead_for(upkeep.LEASE + 1)
        Upkeep("me").round()
        Upkeep("you").round()
        assert (row(job).status, row(job).losses) == (Status.PENDING, 1)
        assert ended(job, Verb.COMPLETE) is None


@pytest.mark.django_db(transaction=True)
def test_a_candidate_leads_until_it_is_told_to_end() -> None:
    candidate = Upkeep("candidate")
    candidate.start()
    try:
        deadline = time.monotonic() + 60
        while not Leader.objects.filter(duty=DUTY, holder="candidate").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert not leadership.lead(DUTY, "other", 1)
    finally:
        candidate.ended.set()
        candidate.join()
    assert leadership.lead(DUTY, "other", 1)
