"""RQ with its usual worker, which forks a process for each job."""

import os

from redis import Redis
from rq import Queue

from benchmarks.driver import Peer, become
from benchmarks.marks import mark

queue = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]))


class RQ(Peer):
    def reset(self) -> None:
        queue.connection.flushdb()

    def enqueue(self, sent: int, wait_ms: int) -> None:
        queue.enqueue(mark, sent, wait_ms)

    def bulk(self, count: int, wait_ms: int) -> None:
        queue.enqueue_many([Queue.prepare_data(mark, (0, wait_ms)) for _ in range(count)])

    def work(self, slots: int) -> None:
        become("rq.cli", "worker-pool", "--quiet", "-u", os.environ["REDIS_URL"], "-n", str(slots), "default")


peer = RQ()
