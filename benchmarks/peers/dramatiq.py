"""Dramatiq on Redis, with its usual middleware: acknowledged after the run."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.driver import Peer, become
from benchmarks.marks import mark

PROCESSES = 2  # of one worker program

broker = RedisBroker(url=os.environ["REDIS_URL"])
dramatiq.set_broker(broker)
actor = dramatiq.actor(mark)


class Dramatiq(Peer):
    def reset(self) -> None:
        broker.client.flushdb()

    def enqueue(self, sent: int, wait_ms: int) -> None:
        actor.send(sent, wait_ms)

    def work(self, slots: int) -> None:
        shape = ["--processes", str(PROCESSES), "--threads", str(slots // PROCESSES)]
        become("dramatiq", "benchmarks.peers.dramatiq", *shape, "--skip-logging")


peer = Dramatiq()
