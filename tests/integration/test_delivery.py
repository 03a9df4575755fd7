"""What workers do with jobs that are in order: several queues, priorities, limits. See `test_pools` for each pool."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from jobs import lifecycle
from jobs.models import Job, Queue, Status
from jobs.processor import enqueue, enqueue_many
from jobs.testing import assert_enqueued
from tests.integration.jobtypes.journal import Journal
from tests.integration.jobtypes.tasks import nap, noop, snore
from tests.integration.workers import Start, wait_for, wait_for_end, wait_for_status

POOLS = ("threads", "prefork", "solo")
BOTH = ("threads", "prefork")


def test_the_best_priority_goes_first_over_two_queues(start: Start, journal: Journal) -> None:
    ids = {
        (queue, priority): nap.enqueue({"journal": journal.path}, queue=queue, priority=priority).id
        for queue in ("default", "cpu")
        for priority in (1, 3, 5, 8, 10)
    }
    start("solo", 1, "default,cpu")
    wait_for_end(ids.values())
    order = [line.job for line in journal.lines("start")]
    assert order == [ids[queue, priority] for priority in (10, 8, 5, 3, 1) for queue in ("default", "cpu")]


@pytest.mark.parametrize("pool", BOTH)
def test_a_queue_paused_before_its_worker_starts(start: Start, pool: str) -> None:
    lifecycle.pause("cpu", actor="test")
    paused = [noop.enqueue({}, queue="cpu").id for _ in range(5)]
    start(pool, 2, "default,cpu")
    wait_for_end([noop.enqueue({}).id for _ in range(20)])
    assert set(Job.objects.filter(id__in=paused).values_list("status", "run")) == {(Status.PENDING, 0)}
    lifecycle.resume("cpu", actor="test")
    wait_for_end(paused)


@pytest.mark.parametrize("pools", [("threads", "threads"), ("prefork", "threads")])
def test_max_running_holds_over_two_workers(start: Start, journal: Journal, pools: tuple[str, str]) -> None:
    Queue.objects.filter(name="cpu").update(max_running=1)
    for pool in pools:
        start(pool, 4, "default,cpu")
    limited = [(nap, {"journal": journal.path, "seconds": 0.03}, {"queue": "cpu"})] * 40
    ids = [made.id for made in enqueue_many([*limited, *[(noop, {})] * 100])]
    wait_for_end(ids)
    spans = sorted((line.at, line.event) for line in journal.lines() if line.event in ("start", "finally"))
    assert [event for _, event in spans] == ["start", "finally"] * 40
    # A slot that gets free is taken at once, not at the next look: they would take a second each.
    assert spans[-1][0] - spans[0][0] < 30


def test_a_unique_key_under_fifty_concurrent_enqueues(db: None) -> None:
    ready, answers = threading.Barrier(50), []

    def one() -> None:
        try:
            ready.wait()
            answers.append(enqueue("noop", {"number": 1}, unique_key="the one"))
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 50
    assert len({answer.id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    assert Job.objects.get().id == answers[0].id


def test_wake_ups_are_emptied_with_all_of_redis(start: Start) -> None:
    start()
    ids = []
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        for _ in range(20):
            ids.append(noop.enqueue({}).id)
            client.flushdb()
    wait_for_end(ids, 20)


@pytest.mark.parametrize("pool", POOLS)
def test_a_snoozed_job_gives_its_slot_back(start: Start, pool: str, journal: Journal, gate: Path) -> None:
    start(pool, 1)
    snoring = snore.enqueue({"journal": journal.path, "until": str(gate), "seconds": 0.3}).id
    wait_for(lambda: journal.lines("start"), "its first run")
    wait_for_end([noop.enqueue({}).id])
    wait_for(lambda: len(journal.lines("start")) > 4, "further runs")
    gate.touch()
    row = wait_for_status(snoring, Status.COMPLETED)
    assert row.attempt == 1
    assert row.run > 4
    assert not row.failures.exists()


def test_a_job_does_not_start_after_it_expired(start: Start, journal: Journal) -> None:
    late = nap.enqueue({"journal": journal.path}, expires_at=timezone.now() + timedelta(seconds=0.5)).id
    early = nap.enqueue({"journal": journal.path}, delay=60, expires_at=timezone.now() + timedelta(seconds=3)).id
    wait_for(lambda: Job.objects.expired().filter(id=late).exists(), "its time")
    start()
    wait_for_end([late, early])
    assert set(Job.objects.values_list("status", "run")) == {(Status.CANCELLED, 0)}
    assert not journal.lines()


def test_a_rolled_back_call_leaves_nothing(db: None) -> None:
    with transaction.atomic():
        noop.delay(number=1)
        assert_enqueued("noop", {"number": 1}, count=1)
        transaction.set_rollback(True)
    assert not Job.objects.exists()
