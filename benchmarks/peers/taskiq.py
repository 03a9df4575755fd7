"""TaskIQ on a Redis stream: the broker of its Redis package that acknowledges."""

import os

from redis.asyncio import Redis
from taskiq_redis import RedisStreamBroker

from benchmarks.driver import AsyncPeer, become
from benchmarks.marks import mark_async

PROCESSES = 2  # of one worker program

# The group reads from the start, since jobs are there before the first worker is.
broker = RedisStreamBroker(os.environ["REDIS_URL"], consumer_id="0")
task = broker.register_task(mark_async)


class TaskIQ(AsyncPeer):
    def reset(self) -> None:
        import asyncio

        async def flush() -> None:
            async with Redis.from_url(os.environ["REDIS_URL"]) as client:
                await client.flushdb()

        asyncio.run(flush())

    async def open(self) -> None:
        await broker.startup()

    async def close(self) -> None:
        await broker.shutdown()

    async def enqueue_async(self, sent: int, wait_ms: int) -> None:
        await task.kiq(sent, wait_ms)

    def work(self, slots: int) -> None:
        shape = ["--workers", str(PROCESSES), "--max-async-tasks", str(slots // PROCESSES)]
        become("taskiq", "worker", "benchmarks.peers.taskiq:broker", *shape, "--log-level", "ERROR")


peer = TaskIQ()
