"""Our driver, in the terms of `benchmarks.driver`: every job is a row, committed at its enqueue and at its end."""

import asyncio
import os
import time
from collections.abc import Iterator

import django

from benchmarks.driver import IN_FLIGHT, Peer, become


class Ours(Peer):
    def __init__(self) -> None:
        django.setup()

    def reset(self) -> None:
        import redis
        from django.core.management import call_command
        from django.db import connection

        redis.Redis.from_url(os.environ["REDIS_URL"]).flushdb()
        if "jobs_job" not in connection.introspection.table_names():
            call_command("migrate", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE jobs_job, jobs_worker CASCADE")

    def enqueue(self, sent: int, wait_ms: int) -> None:
        from benchmarks.tasks import measured

        measured.delay(sent, wait_ms)

    def enqueue_concurrent(self, count: int, wait_ms: int) -> tuple[float, int]:
        """Coroutines, whose jobs share commits."""
        timed = count - min(IN_FLIGHT, count // 2)
        return asyncio.run(self._side_by_side(count - timed, timed, wait_ms)), timed

    async def _side_by_side(self, warm_up: int, timed: int, wait_ms: int) -> float:
        from benchmarks.tasks import measured
        from jobs.processor import aenqueue

        async def one_by_one(numbers: Iterator[int]) -> None:
            for _ in numbers:
                await aenqueue(measured.name, {"args": [0, wait_ms], "kwargs": {}})

        for count in (warm_up, timed):
            start = time.perf_counter()
            numbers = iter(range(count))
            await asyncio.gather(*(one_by_one(numbers) for _ in range(IN_FLIGHT)))
        return time.perf_counter() - start

    def bulk(self, count: int, wait_ms: int) -> None:
        from benchmarks.tasks import measured
        from jobs.processor import enqueue_many

        enqueue_many((measured.name, {"args": [0, wait_ms], "kwargs": {}}) for _ in range(count))

    def work(self, slots: int) -> None:
        name = f"bench{os.getpid()}@%h"
        shape = ["-P", os.environ["POOL"], "-c", str(slots), "-n", name, "-Q", os.environ["QUEUES"], "-l", "WARNING"]
        become("celery", "-q", "-A", "config", "worker", *shape, "--without-mingle", "--without-gossip")


peer = Ours()
