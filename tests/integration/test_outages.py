"""Servers that go away: without Redis jobs run on, without Postgres they end and are written later, each once."""

import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from django.db import connection

from jobs.models import Job, Status
from jobs.processor import enqueue_many
from tests.integration.conftest import Servers
from tests.integration.jobtypes.journal import Journal
from tests.integration.jobtypes.tasks import nap, noop
from tests.integration.workers import Start, statuses, wait_for, wait_for_end

BOTH = ("threads", "prefork")


@contextmanager
def postgres_stopped(servers: Servers) -> Iterator[None]:
    """Every session ends, and none can begin."""
    connection.close()
    servers.postgres.stop()
    try:
        yield
    finally:
        servers.postgres.start()


@contextmanager
def postgres_frozen(servers: Servers) -> Iterator[None]:
    """Every session stays, and none gets an answer: a disk that hangs, a network that swallows."""
    postmaster = psutil.Process(servers.postgres.server.get_pid())
    family = [postmaster, *postmaster.children()]
    for process in family:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in family:
            process.send_signal(signal.SIGCONT)


def each_ran_once(journal: Journal, count: int) -> bool:
    """All are completed, by their first run, whose body ran through once."""
    return (
        list(Job.objects.values_list("status", "run", "losses")) == [(Status.COMPLETED, 1, 0)] * count
        and len(journal.runs("end")) == count
        and set(journal.runs("end").values()) == {1}
    )


@pytest.mark.parametrize("pool", BOTH)
def test_a_call_without_redis_returns_at_once_and_its_job_runs(
    servers: Servers, start_on_servers: Start, pool: str
) -> None:
    start_on_servers(pool, 2).wait_until_connected()
    servers.valkey.kill()
    waits = []
    for _ in range(3):
        begun = time.monotonic()
        job = noop.delay(number=1).id
        assert time.monotonic() - begun < 2  # no time-out of Redis is in it
        wait_for_end([job])
        waits.append(time.monotonic() - begun)
    assert min(waits) < 3
    # One that starts without Redis works too, and leaves when it is told to.
    other = start_on_servers(pool, 2, "cpu")
    wait_for_end([noop.enqueue({}, queue="cpu").id])
    assert other.stop() == 0
    assert servers.valkey.process.poll() is not None


@pytest.mark.parametrize(("pool", "seconds"), [("threads", 12), ("prefork", 5)])
def test_without_redis_for_a_while_under_load(
    servers: Servers, start_on_servers: Start, journal: Journal, pool: str, seconds: float
) -> None:
    worker = start_on_servers(pool, 4).wait_until_connected()
    payload = {"journal": journal.path, "seconds": 0.1}
    ended = []  # how many had ended when Redis went, when it came, and a while later
    count = 0
    for phase in ("before", "away", "back"):
        if phase == "away":
            servers.valkey.kill()
        elif phase == "back":
            servers.valkey.start()
        until = time.monotonic() + (seconds if phase == "away" else 2)
        while time.monotonic() < until:
            waiting = Job.objects.active().count()
            if waiting < 30:
                enqueue_many([(nap, payload)] * 30)
                count += 30
            time.sleep(0.05)
        ended.append(len(journal.lines("end")))
    wait_for_end()
    assert each_ran_once(journal, count)
    # Four at a time take 40 a second, at best; this machine has other things to do.
    assert ended[1] - ended[0] > 40 * seconds * 0.4
    wait_for(lambda: worker.log.read_text().count("Connected to") > 1, "the worker to connect to Redis again")


@pytest.mark.parametrize(
    ("away", "pool"), [(postgres_stopped, "threads"), (postgres_stopped, "prefork"), (postgres_frozen, "threads")]
)
def test_jobs_that_run_while_postgres_is_away_for_longer_than_a_lease(
    servers: Servers, start_on_servers: Start, journal: Journal, gate: Path, pool: str, away: object
) -> None:
    start_on_servers(pool, 4, JOBS_LEASE="2")
    start_on_servers("solo", 1, "cpu,bgg", JOBS_LEASE="2")  # it may lead, and would take what looks lost
    time.sleep(3)  # somebody has led for a lease
    early = [nap.enqueue({"journal": journal.path, "seconds": 1}).id for _ in range(2)]
    late = [nap.enqueue({"journal": journal.path, "until": str(gate)}).id for _ in range(2)]
    wait_for(lambda: len(journal.lines("start")) == 4, "all four to start")
    with away(servers):  # type: ignore[operator]
        wait_for(lambda: len(journal.lines("end")) == 2, "two to end")
        time.sleep(4)
    gate.touch()
    wait_for_end([*early, *late])
    assert each_ran_once(journal, 4)
    wait_for_end([noop.enqueue({}).id])


@pytest.mark.parametrize("pool", BOTH)
def test_postgres_restarted_under_load(servers: Servers, start_on_servers: Start, journal: Journal, pool: str) -> None:
    start_on_servers(pool, 4)
    enqueue_many([(nap, {"journal": journal.path, "seconds": 0.02})] * 600)
    for _ in range(2):
        seen = len(journal.lines("end"))
        wait_for(lambda seen=seen: len(journal.lines("end")) > seen + 50, "some to end")  # type: ignore[misc]
        with postgres_stopped(servers):
            pass
    wait_for_end()
    assert statuses(Job.objects.values_list("id", flat=True)) == {Status.COMPLETED: 600}
    assert set(journal.runs("end").values()) == {1}
    # What was claimed by a commit whose answer got lost was given back unrun.
    assert len(journal.lines("end")) == 600
    assert not Job.objects.exclude(attempt=1, losses=0).exists()


def test_sessions_that_are_cut_off_under_load(start: Start, journal: Journal) -> None:
    start("threads", 4)
    enqueue_many([(nap, {"journal": journal.path, "seconds": 0.02})] * 250)
    cut = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'jobyard%'"""
    kills = 0
    while Job.objects.active().exists():
        with connection.cursor() as cursor:
            cursor.execute(cut)
            kills += cursor.fetchone()[0]
        time.sleep(0.3)
        assert kills < 2000, "the jobs do not go on"
    assert kills > 10
    assert set(Job.objects.values_list("status", "attempt", "losses")) == {(Status.COMPLETED, 1, 0)}
    assert len(journal.lines("end")) == 250


def test_a_worker_stopped_while_postgres_is_away_leaves(
    servers: Servers, start_on_servers: Start, journal: Journal
) -> None:
    worker = start_on_servers("threads", 2, JOBS_SHUTDOWN_GRACE="2", JOBS_LEASE="3")
    job = nap.enqueue({"journal": journal.path, "seconds": 1}).id
    wait_for(lambda: journal.lines("start"), "the job to start")
    with postgres_stopped(servers):
        assert worker.stop(90) == 0
    start_on_servers("threads", 2, JOBS_LEASE="3")
    wait_for_end([job])  # at least once: nobody could write that it had ended
    assert Job.objects.get(id=job).status == Status.COMPLETED


def test_redis_that_accepts_and_never_answers(servers: Servers, start_on_servers: Start, journal: Journal) -> None:
    worker = start_on_servers("threads", 4).wait_until_connected()
    servers.valkey.process.send_signal(signal.SIGSTOP)
    try:
        quick = [noop.delay(number=1).id for _ in range(100)]
        wait_for_end(quick)
        late = []
        for _ in range(4):
            begun = time.monotonic()
            wait_for_end([nap.enqueue({"journal": journal.path, "seconds": 60}, timeout=0.5, max_attempts=1).id])
            late.append(time.monotonic() - begun - 0.5)
        assert statistics.median(late) < 3  # a second to find it, and no time-out of Redis in any deadline
        assert worker.stop() == 0
    finally:
        servers.valkey.process.send_signal(signal.SIGCONT)
    assert not Job.objects.active().exists()
