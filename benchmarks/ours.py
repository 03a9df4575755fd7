"""Our driver, in the terms of `benchmarks.driver`: every job is a row, committed at its enqueue and at its end."""

import os

import django

from benchmarks.driver import AsyncPeer, Peer, become


class Ours(AsyncPeer):
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

    async def enqueue_async(self, sent: int, wait_ms: int) -> None:
        from benchmarks.tasks import measured
        from jobs.processor import aenqueue

        await aenqueue(measured.name, {"args": [sent, wait_ms], "kwargs": {}})

    def enqueue_all(self, way: str, count: int, wait_ms: int) -> tuple[float, int]:
        """Coroutines where there are many callers: their jobs share commits."""
        client = AsyncPeer if way == "concurrent" else Peer
        return client.enqueue_all(self, way, count, wait_ms)

    def latency(self, count: int, per_second: float) -> None:
        Peer.latency(self, count, per_second)

    def bulk(self, count: int, wait_ms: int) -> None:
        from benchmarks.tasks import measured
        from jobs.processor import enqueue_many

        enqueue_many((measured.name, {"args": [0, wait_ms], "kwargs": {}}) for _ in range(count))

    def work(self, slots: int) -> None:
        name = f"bench{os.getpid()}@%h"
        shape = ["-P", os.environ["POOL"], "-c", str(slots), "-n", name, "-Q", os.environ["QUEUES"], "-l", "WARNING"]
        become("celery", "-q", "-A", "config", "worker", *shape, "--without-mingle", "--without-gossip")


peer = Ours()
