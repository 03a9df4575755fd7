"""Celery as it comes, on Valkey, with no result kept: acknowledged before the run, gone when its worker dies."""

import os

import redis
from celery import Celery

from benchmarks.driver import Peer, become
from benchmarks.marks import mark

app = Celery("stock", broker=os.environ["REDIS_URL"], set_as_current=False)
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
task = app.task(mark)


class Stock(Peer):
    application = "benchmarks.peers.celery"

    def reset(self) -> None:
        redis.Redis.from_url(os.environ["REDIS_URL"]).flushdb()

    def enqueue(self, sent: int, wait_ms: int) -> None:
        task.delay(sent, wait_ms)

    def work(self, slots: int) -> None:
        name = f"bench{os.getpid()}@%h"
        shape = ["-P", os.environ["POOL"], "-c", str(slots), "-n", name, "-l", "ERROR"]
        become("celery", "-q", "-A", self.application, "worker", *shape)


peer = Stock()
