"""The feed's loop, turn by turn, without a worker around it."""

import threading
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from celery import current_app
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from jobs import lifecycle
from jobs.lifecycle import Claimed
from jobs.models import Job, Status
from jobs.worker.feed import Feed
from jobs.worker.slots import Slots
from jobs.worker.taskevents import TaskEvents
from tests.jobs.rows import enqueued, statuses


@pytest.mark.django_db(transaction=True)
def test_a_due_job_that_somebody_has_locked_does_not_hold_the_feed() -> None:
    locked, free = (enqueued(delay=3600.0) for _ in range(2))
    Job.objects.update(scheduled_at=Now() - timedelta(seconds=1))
    feed = Feed(current_app, "stage", list)

    def look() -> None:
        feed._look_around(time.monotonic())
        connection.close()

    thread = threading.Thread(target=look)
    with transaction.atomic():
        Job.objects.select_for_update().get(id=locked.id)
        thread.start()
        thread.join(20)
        held_up = thread.is_alive()
    thread.join()
    assert not held_up
    assert statuses(locked, free) == [Status.SCHEDULED, Status.PENDING]
    assert 0 < feed.next_look - time.monotonic() < settings.JOBS_POLL_INTERVAL


class Idle(Slots):
    """Room for one job, which is not started."""

    size = 1

    def free(self) -> int:
        return 1

    def fill(self) -> None:
        pass


@pytest.mark.django_db(transaction=True)
def test_what_is_told_while_a_claim_runs_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Feed(current_app, "stage", lambda: ["default"])
    feed.slots = Idle(feed, current_app, "stage", TaskEvents(current_app, None))  # type: ignore[arg-type]
    claim = lifecycle.claim
    late: list[UUID] = []

    def claim_and_hear(*args: Any, **options: Any) -> list[Claimed]:
        claimed = claim(*args, **options)
        if not late:  # it was not there yet for the statement
            late.append(enqueued(queue="default").id)
            feed.wake()
        return claimed

    monkeypatch.setattr(lifecycle, "claim", claim_and_hear)
    feed._turn()
    poll = feed.next_poll
    for _ in range(3):
        feed._turn()
        if feed.buffer:
            break
    assert [held.job.id for held in feed.buffer] == late
    assert feed.next_poll == poll  # it was not the poll that found it
