"""Takes a token from Redis while this worker has room: each token reaches one worker that can use it."""

import logging
import threading
import time
from typing import TYPE_CHECKING

import redis
from django.conf import settings

from jobs.broker import wake_key

if TYPE_CHECKING:
    from jobs.worker.feed import Feed

log = logging.getLogger("jobs.worker")


class WakeUps(threading.Thread):
    def __init__(self, feed: "Feed") -> None:
        super().__init__(name="jobs-wakeups", daemon=True)
        self.feed = feed

    def run(self) -> None:
        client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=2, retry=None)
        while not self.feed.closing:
            self.feed.hungry.wait()
            try:
                keys = [wake_key(queue) for queue in self.feed.queues()]
                if not keys:
                    time.sleep(0.5)
                elif client.blpop(keys, timeout=1):
                    self.feed.hungry.clear()
                    self.feed.wake()
            except (redis.RedisError, OSError) as error:
                log.debug("no wake-ups: %s", error)  # the feed looks by itself meanwhile
                time.sleep(1)
