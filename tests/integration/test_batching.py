"""batch_process in real workers: each item once whatever happens to the worker, so many at a time, stopped in time."""

from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest

from jobs import lifecycle
from jobs.models import BatchItem, Job, Status
from tests.integration.jobtypes.journal import Journal
from tests.integration.jobtypes.tasks import work_off
from tests.integration.workers import Start, wait_for, wait_for_end, wait_for_status

BOTH = ("threads", "prefork")
LEASE = "2"


def calls(journal: Journal, event: str = "begin") -> Counter[int]:
    """How often each item was begun, or done."""
    return Counter(int(line.what) for line in journal.lines(event))


def most_at_once(journal: Journal) -> int:
    most = running = 0
    for line in journal.lines():
        running += {"begin": 1, "done": -1}[line.event]
        most = max(most, running)
    return most


def recorded(job: UUID) -> set[int]:
    return {int(key) for key in BatchItem.objects.filter(job=job).values_list("key", flat=True)}


@pytest.mark.parametrize("pool", BOTH)
def test_a_killed_worker_repeats_what_was_in_flight_and_nothing_else(
    start: Start, journal: Journal, gate: Path, pool: str
) -> None:
    worker = start(pool, 1, JOBS_LEASE=LEASE)
    items = {"items": list(range(40)), "size": 4, "slowFrom": 25, "fails": [3, 30], "until": str(gate)}
    job = work_off.enqueue({**items, "journal": journal.path}).id
    wait_for(lambda: recorded(job) == set(range(25)) and len(calls(journal)) == 29, "four items in flight")
    wait_for(lambda: (Job.objects.get(id=job).progress or {}).get("done") == 25, "its progress")
    told = {"run": 1, "done": 25, "total": 40, "percent": 62, "note": ""}
    assert Job.objects.get(id=job).progress == told
    worker.kill()
    gate.touch()
    start(pool, 1, JOBS_LEASE=LEASE)
    row = wait_for_status(job, Status.COMPLETED)
    assert (row.run, row.attempt, row.losses) == (2, 1, 1)
    assert row.result == {
        "succeeded": [number for number in range(40) if number not in (3, 30)],
        "failed": {"3": "ValueError: item 3", "30": "ValueError: item 30"},
    }
    assert row.progress == {"run": 2, "done": 40, "total": 40, "percent": 100, "note": ""}
    assert calls(journal) == {number: 2 if 25 <= number < 29 else 1 for number in range(40)}


def test_no_more_at_once_than_its_size(start: Start, journal: Journal, gate: Path) -> None:
    start("threads", 1)
    items = {"items": list(range(30)), "size": 5, "slowFrom": 0, "until": str(gate), "seconds": 0.02}
    job = work_off.enqueue({**items, "journal": journal.path}).id
    wait_for(lambda: len(calls(journal)) == 5, "five items in flight")
    gate.touch()
    wait_for_end([job])
    assert calls(journal, "done") == dict.fromkeys(range(30), 1)
    assert most_at_once(journal) == 5


@pytest.mark.parametrize("pool", BOTH)
def test_cancelled_in_time_and_gone_on_with_by_hand(start: Start, journal: Journal, pool: str) -> None:
    start(pool, 1).wait_until_connected()
    items = {"items": list(range(80)), "size": 4, "seconds": 0.1}
    job = work_off.enqueue({**items, "journal": journal.path}).id
    wait_for(lambda: len(recorded(job)) >= 8, "the first items")
    lifecycle.cancel([job], actor="test")
    row = wait_for_status(job, Status.CANCELLED)
    assert row.cancel_requested_at
    assert row.finished_at
    assert (row.finished_at - row.cancel_requested_at).total_seconds() < 5  # one second on a quiet machine
    kept, begun = recorded(job), calls(journal)
    assert len(begun) < 80
    assert lifecycle.retry([job], actor="test").retried == [job]
    row = wait_for_status(job, Status.COMPLETED)
    assert row.result == {"succeeded": list(range(80)), "failed": {}}
    again = {item for item, count in calls(journal).items() if count == 2}
    assert again == set(begun) - kept
    assert len(again) <= 4
