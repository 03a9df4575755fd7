"""Flower's events: what happens to a job between two flushes becomes one event, and events go out in lists.

Celery's own way, one publish for each event, would cost two thirds of the throughput. Times are seconds since 1970
everywhere, so no event carries the offset of its host's time zone, by which receivers would shift some of them.
"""

import logging
import os
import threading
import time
from typing import Any

from celery import Celery
from celery.events.state import TASK_EVENT_TO_STATE  # type: ignore[attr-defined]

log = logging.getLogger("jobs.worker")

INTERVAL = 0.5  # seconds between two flushes
MOST = 20_000  # jobs whose events wait while Redis is away; then the oldest are forgotten
LIST = 500  # events in one message


class TaskEvents:
    """The eventer of every request. Celery's State reads a merged event as if it had seen all of its parts.

    Each names the state: by itself Celery's State lets no run that starts follow one that failed or was revoked, and
    a job that was retried by hand would be shown as failed while it runs.
    """

    def __init__(self, app: Celery, worker: Any) -> None:
        self.app = app
        self.worker = worker
        self.lock = threading.Lock()
        self.sending = threading.Lock()  # the dispatcher's connection is one thread's at a time
        self.waiting: dict[str, dict[str, Any]] = {}
        self.enabled = True  # whether anybody wants them; looked up at each flush, for it is asked thrice for each job

    @property
    def _dispatcher(self) -> Any:
        consumer = getattr(self.worker, "consumer", None)  # none until the worker's last step has started
        return getattr(consumer, "event_dispatcher", None)

    def send(self, type: str, uuid: str, **fields: Any) -> None:  # noqa: A002 (Celery's signature)
        now = time.time()
        kind = type[5:]  # received, started, succeeded …
        with self.lock:
            event = self.waiting.setdefault(uuid, {"uuid": uuid})
            event.update(fields, type=type, timestamp=now, state=TASK_EVENT_TO_STATE[kind])
            event[kind] = now
            if len(self.waiting) > MOST:
                del self.waiting[next(iter(self.waiting))]

    def flush(self) -> None:
        """Publish what waits, if somebody wants it and Redis can be reached."""
        dispatcher = self._dispatcher
        if dispatcher is None:  # the broker was not reached yet: nobody can tell
            return
        self.enabled = bool(dispatcher.enabled and (not dispatcher.groups or "task" in dispatcher.groups))
        if not self.waiting or dispatcher.producer is None or not self.worker.consumer.connection:
            return
        with self.lock:
            waiting, self.waiting = self.waiting, {}
        with self.sending:
            self._publish(dispatcher, waiting)

    def _publish(self, dispatcher: Any, waiting: dict[str, dict[str, Any]]) -> None:
        common = {
            "hostname": self.worker.hostname,
            "pid": os.getpid(),
            "clock": self.app.clock.forward(),  # type: ignore[attr-defined]
        }
        events = [{**event, **common} for event in waiting.values()]
        for start in range(0, len(events), LIST):
            dispatcher.producer.publish(
                events[start : start + LIST],
                routing_key="task.multi",
                exchange=dispatcher.exchange.name,
                serializer="json",
                headers=dispatcher.headers,
                delivery_mode=1,
                retry=False,
            )

    def end(self) -> None:
        """Publish the last, and say again that this worker is offline: an event brings it back to Flower's list."""
        if self.waiting:
            self.flush()
            self._dispatcher.send("worker-offline")


class EventSender(threading.Thread):
    """Publishes now and then. Nothing else waits for it, and so for a Redis that does not answer."""

    def __init__(self, events: TaskEvents) -> None:
        super().__init__(name="jobs-events", daemon=True)
        self.events = events

    def run(self) -> None:
        while True:
            time.sleep(INTERVAL)
            try:
                self.events.flush()
            except Exception as error:  # Redis is away: this batch of events is lost, no job is
                log.debug("events not sent: %s", error)
