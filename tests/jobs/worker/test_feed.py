"""The feed's loop, turn by turn, without a worker around it."""

import threading
import time
from datetime import timedelta

import pytest
from celery import current_app
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from jobs.models import Job, Status
from jobs.worker.feed import Feed
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
