"""An upstream's pace and breaker, held by all workers together."""

from collections.abc import Collection
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from jobs.limits import BREAK_AFTER
from jobs.models import Failure, Job, Limit, Status
from jobs.models.job import JobQuerySet
from jobs.processor import enqueue_many
from tests.integration.jobtypes.journal import Journal
from tests.integration.jobtypes.tasks import call, noop
from tests.integration.workers import Start, wait_for, wait_for_end

INTERVAL = 0.2
MARGIN = 0.1  # seconds between a call's turn and the note of it, on a busy machine
CALLS = 40


def calls(journal: Journal, count: int, **fields: Any) -> list[UUID]:
    """So many jobs that call one upstream."""
    payload = {"upstream": "far away", "interval": INTERVAL, "journal": journal.path, **fields}
    return [made.id for made in enqueue_many([(call, payload)] * count)]


def times(journal: Journal) -> list[float]:
    return sorted(line.at for line in journal.lines("call"))


def put_off(ids: Collection[UUID]) -> JobQuerySet:
    """Those that wait for the breaker to close."""
    return Job.objects.filter(id__in=ids, status=Status.SCHEDULED, scheduled_at__gt=Now() + timedelta(seconds=5))


def bring_forward(ids: Collection[UUID]) -> None:
    """What waits for the breaker waits half a minute."""
    Job.objects.filter(id__in=ids, status=Status.SCHEDULED).update(scheduled_at=Now())


def test_calls_of_two_workers_are_spaced_and_those_who_wait_long_give_their_slot_back(
    start: Start, journal: Journal
) -> None:
    # Waiting for up to 2 s is for ten calls: six slots are left, from which the others are sent away.
    for _ in range(2):
        start("threads", 8)
    ids = calls(journal, CALLS)
    others = [made.id for made in enqueue_many([(noop, {})] * 20)]
    wait_for_end([*ids, *others])
    rows = Job.objects.filter(id__in=ids)
    assert set(rows.values_list("status", "attempt", "losses")) == {(Status.COMPLETED, 1, 0)}
    assert not Failure.objects.exists()
    assert rows.filter(run__gt=1).exists()  # snoozed
    assert rows.values("worker").distinct().count() == 2
    at = times(journal)
    assert len(at) == CALLS
    assert min(third - first for first, third in zip(at, at[2:], strict=False)) > 2 * INTERVAL - MARGIN
    assert at[-1] - at[0] > (CALLS - 1) * INTERVAL - MARGIN
    assert at[-1] - at[0] < 3 * CALLS * INTERVAL  # few turns are left unused
    last = max(filter(None, Job.objects.filter(id__in=others).values_list("finished_at", flat=True)))
    assert last.timestamp() < at[CALLS // 2]


def test_an_upstream_that_asks_for_a_pause_gets_it(start: Start, journal: Journal) -> None:
    start("threads", 4)
    wait_for_end(calls(journal, 1, slowDown=1.5))
    wait_for_end(calls(journal, 3))
    first, *gaps = [later - earlier for earlier, later in pairwise(times(journal))]
    assert first > 1.5 - MARGIN
    assert min(gaps) > INTERVAL - MARGIN


def test_the_breaker_opens_after_five_failures_and_closes_with_a_success(start: Start, journal: Journal) -> None:
    start("threads", 8)
    failing = calls(journal, BREAK_AFTER, interval=0.01, fails=True)
    wait_for_end(failing)
    assert len(times(journal)) == BREAK_AFTER
    waiting = calls(journal, 20, interval=0.01)
    wait_for(lambda: put_off(waiting).count() == 20, "all to be put off")
    assert set(Job.objects.filter(id__in=waiting).values_list("attempt", flat=True)) == {0}
    wait_for_end([noop.enqueue({}).id])  # all slots are free for others
    assert len(times(journal)) == BREAK_AFTER
    # After the pause one more failure is enough.
    Limit.objects.update(open_until=Now())
    wait_for_end(calls(journal, 1, fails=True))
    assert Limit.objects.filter(open_until__gt=Now()).exists()
    bring_forward(waiting)
    wait_for(lambda: put_off(waiting).count() == 20, "another no")
    # And a success closes it.
    Limit.objects.update(open_until=Now())
    wait_for_end(calls(journal, 1))
    assert Limit.objects.values_list("failures", "open_until").get() == (0, None)
    bring_forward(waiting)
    wait_for_end(waiting)
    assert set(Job.objects.filter(id__in=waiting).values_list("status", "attempt", "losses")) == {
        (Status.COMPLETED, 1, 0)
    }
    assert Failure.objects.count() == len(failing) + 1
    assert len(times(journal)) == BREAK_AFTER + 2 + 20
