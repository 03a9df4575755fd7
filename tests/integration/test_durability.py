"""Everything at once: workers killed again and again, Redis killed and emptied, Postgres restarted, under load."""

import os
import random
import time
from collections import Counter
from itertools import pairwise

import redis
from celery import chain
from django.db import connection

from jobs.models import Job, Status
from jobs.processor import enqueue_many
from tests.integration.conftest import Servers
from tests.integration.jobtypes.journal import Journal
from tests.integration.jobtypes.tasks import letter, nap, noop
from tests.integration.workers import Start, Worker, wait_for_end

JOBS = int(os.environ.get("JOBYARD_TEST_JOBS", "2000"))
LEASE = "5"
POOLS = {"first": ("threads", 12), "second": ("prefork", 3)}
STEPS = "abc"


def enqueue_load(journal: Journal) -> int:
    """Jobs of mixed length, and chains of three. Returns how many there will be."""
    chains = JOBS // 40
    for _ in range(chains):
        steps = [letter.s(letter=step, journal=journal.path, seconds=random.uniform(0, 0.1)) for step in STEPS[1:]]
        chain(letter.s(text="", letter=STEPS[0], journal=journal.path), *steps)()
    naps = [(nap, {"journal": journal.path, "seconds": random.choice((0, 0.05, 0.2, 0.6))}) for _ in range(JOBS // 2)]
    rest = [(noop, {"number": number}) for number in range(JOBS - len(naps) - len(STEPS) * chains)]
    load = [*naps, *rest]
    random.shuffle(load)
    enqueue_many(load)
    return len(load) + len(STEPS) * chains


def strike(kills: int, servers: Servers) -> None:
    """What happens beside the third, fourth and fifth kill."""
    if kills == 3:
        servers.valkey.kill()
    elif kills == 4:
        servers.valkey.start()
    elif kills == 5:
        with redis.Redis.from_url(servers.valkey.url) as client:
            client.flushall()
    elif kills == 6:
        connection.close()
        servers.postgres.stop()
        servers.postgres.start()


def boot(start: Start, name: str) -> Worker:
    pool, size = POOLS[name]
    return start(pool, size, node=f"{name}@test", wait=False, JOBS_LEASE=LEASE)


def test_no_job_is_lost_and_none_ends_twice(servers: Servers, start_on_servers: Start, journal: Journal) -> None:
    count = enqueue_load(journal)
    workers = {name: boot(start_on_servers, name) for name in POOLS}
    kills = 0
    while kills < 8:
        time.sleep(3)
        kills += 1
        for worker in workers.values():  # one that starts while its database is away says so and ends
            worker.wait_until_up()
        struck = sorted(POOLS)[kills % 2]
        workers[struck].kill()
        strike(kills, servers)
        workers[struck] = boot(start_on_servers, struck)
    wait_for_end()

    # None is lost.
    assert Job.objects.count() == count
    assert Counter(Job.objects.values_list("status", flat=True)) == {Status.COMPLETED: count}
    # No run began twice or ended twice, and none ran that the row does not count.
    rows = {job.id: job for job in Job.objects.all()}
    for event in ("start", "end"):
        runs = journal.runs(event)
        assert set(runs.values()) == {1}
        assert all(run <= rows[job].run for job, run in runs)
    # A body ran to its end a second time only where a worker was killed before it had written so.
    ends = Counter(line.job for line in journal.lines("end"))
    assert all(times <= 1 + rows[job].losses for job, times in ends.items())
    # Kills use no attempts.
    assert set(Job.objects.values_list("attempt", flat=True)) == {1}
    # The steps of a chain: each once, in their order, each with the result of the one before.
    lines = {(line.job, line.run, line.event): line for line in journal.lines()}
    heads = [job for job in rows.values() if job.type == "letter" and job.parent is None]
    for head in heads:
        steps = [head]
        while following := [job for job in rows.values() if job.parent == steps[-1].id]:
            assert len(following) == 1
            steps += following
        assert [step.result for step in steps] == [STEPS[: place + 1] for place in range(len(STEPS))]
        for before, after in pairwise(steps):
            begun = min(line.at for key, line in lines.items() if key[0] == after.id and key[2] == "start")
            assert begun >= lines[before.id, before.run, "end"].at
