"""Huey on Redis: a job leaves the queue before it runs, and is gone when its worker dies."""

import os

from huey import RedisHuey

from benchmarks.driver import Peer, become
from benchmarks.marks import mark

huey = RedisHuey("bench", url=os.environ["REDIS_URL"], results=False)
task = huey.task()(mark)


class Huey(Peer):
    def reset(self) -> None:
        huey.storage.conn.flushdb()

    def enqueue(self, sent: int, wait_ms: int) -> None:
        task(sent, wait_ms)

    def work(self, slots: int) -> None:
        become("huey.bin.huey_consumer", "benchmarks.peers.huey.huey", "-k", "thread", "-w", str(slots), "-q")


peer = Huey()
