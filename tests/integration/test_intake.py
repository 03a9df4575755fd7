"""Raw Celery messages of a client without Django, taken in by real workers, with and without their servers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
import redis
from django.conf import settings
from django.db import connection

from jobs.intake import PREFETCH
from jobs.models import Event, Job, Status
from tests.integration.conftest import Servers
from tests.integration.workers import Start, wait_for, wait_for_end, wait_for_status

SEND = """
import sys
from celery import Celery
name, kwargs, queue, count = sys.argv[2], eval(sys.argv[3]), sys.argv[4], int(sys.argv[5])
client = Celery(broker=sys.argv[1])
for _ in range(count):
    print(client.send_task(name, kwargs=kwargs, queue=queue).id)
"""


def send(name: str, kwargs: object, queue: str = "default", count: int = 1) -> list[UUID]:
    """As another system would, from a process that knows nothing of this one. Returns the ids."""
    command = [sys.executable, "-c", SEND, settings.REDIS_URL, name, repr(kwargs), queue, str(count)]
    path = {"PATH": os.environ["PATH"]}
    sent = subprocess.run(command, cwd=Path("/"), env=path, capture_output=True, text=True, timeout=120)
    assert sent.returncode == 0, sent.stderr
    return [UUID(line) for line in sent.stdout.split()]


def waiting_in_redis() -> int:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        return int(client.llen("default"))


@pytest.fixture
def nothing_waits(servers: Servers) -> None:
    """No message of a test before."""
    with redis.Redis.from_url(servers.valkey.url) as client:
        client.flushdb()


@contextmanager
def postgres_away(servers: Servers) -> Iterator[None]:
    """No session survives it, ours included."""
    connection.close()
    servers.postgres.stop()
    try:
        yield
    finally:
        servers.postgres.start()


@pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])
def test_a_message_becomes_a_job_and_runs(start: Start, pool: str) -> None:
    start(pool)
    [sent] = send("noop", {"number": 7})
    wait_for(lambda: Job.objects.filter(id=sent).exists(), "the job's row")
    job = wait_for_status(sent, Status.COMPLETED)
    assert (job.type, job.payload, job.result, job.run) == ("noop", {"number": 7}, 7, 1)


def test_a_product_lines_message(start: Start) -> None:
    start(queues="bgg", BGG_URL="http://127.0.0.1:1/")
    [sent] = send("bgg_sync", {"game_id": "13"}, "bgg")
    wait_for(lambda: Job.objects.filter(id=sent).exists(), "the job's row")
    job = Job.objects.get(id=sent)
    assert (job.type, job.queue, job.payload["gameId"]) == ("bgg_sync", "bgg", "13")


def test_what_is_bad_is_told_and_stops_nothing(start: Start) -> None:
    worker = start(queues="default,cpu")
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.lpush("default", "junk")
    send("nonsense", {})
    send("noop", {"number": "many"})
    send("noop", {}, "cpu")
    [good] = send("noop", {"number": 1})
    wait_for(lambda: Job.objects.filter(id=good).exists(), "the good one's row")
    wait_for(lambda: Event.objects.count() == 3, "the three bad ones' events")
    wait_for_end([good])
    assert {(event.kind, event.queue, event.reason.partition(":")[0]) for event in Event.objects.all()} == {
        ("message-refused", "default", "unknown job type 'nonsense'"),
        ("message-refused", "default", "noop"),
        ("message-refused", "cpu", "queue cpu takes no messages of other clients"),
    }
    assert worker.process.poll() is None
    assert "dropped what is no Celery message" in worker.log.read_text()


@pytest.mark.usefixtures("nothing_waits")
def test_postgres_away_delays_messages_and_loses_none(servers: Servers, start_on_servers: Start) -> None:
    worker = start_on_servers()
    with postgres_away(servers):
        sent = send("noop", {}, count=PREFETCH + 50)
        wait_for(lambda: "messages wait for Postgres" in worker.log.read_text(), "the worker to notice")
        wait_for(lambda: waiting_in_redis() == 50, "the worker to hold as many as it may")
    wait_for(lambda: Job.objects.count() == len(sent), "all rows")
    wait_for_end(sent)
    assert {job.id for job in Job.objects.filter(status=Status.COMPLETED, run=1)} == set(sent)


@pytest.mark.usefixtures("nothing_waits")
def test_a_worker_that_is_stopped_puts_back_what_is_not_a_row(servers: Servers, start_on_servers: Start) -> None:
    worker = start_on_servers()
    with postgres_away(servers):
        sent = send("noop", {}, count=20)
        wait_for(lambda: waiting_in_redis() == 0, "the worker to take them")
        worker.stop()
        assert waiting_in_redis() == 20
    start_on_servers()
    wait_for(lambda: Job.objects.count() == len(sent), "all rows")
    assert set(Job.objects.values_list("id", flat=True)) == set(sent)


@pytest.mark.usefixtures("nothing_waits")
def test_messages_are_taken_in_after_redis_was_away(servers: Servers, start_on_servers: Start) -> None:
    start_on_servers()
    [first] = send("noop", {})
    wait_for(lambda: Job.objects.filter(id=first).exists(), "the first")
    servers.valkey.kill()
    servers.valkey.start()
    [second] = send("noop", {})
    wait_for(lambda: Job.objects.filter(id=second).exists(), "one after Redis was restarted")
    wait_for_end([first, second])
