"""Celery's Redis transport, less four habits, for the sake of messages that other clients put there, and of children.

* When a connection breaks, kombu tries to put back what was received and not acknowledged, and pickles what it
  cannot ("EMERGENCY DUMP STATE"). Ours hold no job, and `jobs.intake` keeps what it has not yet made a row of.
* Something in a queue's list that is no message would end the worker ("Unrecoverable error").
* A message does not say which queue it came from, only where its sender addressed it.
* A child of the pool closes the parent's connections in its own process, behind a lock that a thread of the parent may
  have held when it forked: then the child waits for ever.
"""

import logging
from collections.abc import Callable
from queue import Empty
from typing import Any

from kombu.transport import redis

log = logging.getLogger(__name__)


class Channel(redis.Channel):
    """Where messages of queues arrive."""

    do_restore = False  # nothing of what was received and not acknowledged

    def basic_consume(  # type: ignore[override]
        self, queue: str, *args: Any, callback: Callable[[Any], Any], **kwargs: Any
    ) -> Any:
        """Notes the queue in what is delivered."""

        def received(message: Any) -> Any:
            message.delivery_info = {**(message.delivery_info or {}), "queue": queue}
            return callback(message)

        return super().basic_consume(queue, *args, callback=received, **kwargs)

    def _restore(self, message: Any, leftmost: bool = False) -> None:
        """Back to the queue that it came from, unless nobody here has asked for it."""
        queue = (message.delivery_info or {}).get("queue")
        if queue is None:
            super()._restore(message, leftmost)  # type: ignore[call-arg]
        else:
            self._put(queue, message.serializable())

    def _after_fork(self) -> None:
        """Nothing: they stay the parent's. A child never speaks to the broker through them."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # not JSON, or not a message
            log.error("dropped what is no Celery message from a queue in Redis: %s: %s", type(error).__name__, error)
            raise Empty from None


class Transport(redis.Transport):
    """Named by the setting `CELERY_BROKER_TRANSPORT`."""

    Channel = Channel
