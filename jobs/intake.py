"""Messages that other Celery clients put on a job queue become rows, if the queue opts in (`intake` in JOBS_QUEUES).

    the consumer's thread   receives, remembers, goes on
    our own thread          reads what has gathered and inserts it in one statement, however long that takes

A message is acknowledged when it is a row, or an Event that says why it is none. Until then it is in this worker's
memory only: at most PREFETCH of them, while Postgres is away; the others stay in Redis. A worker that is stopped puts
them back, one that is killed loses them. Its id is the job's, so a message that comes twice does no harm.

Contract with Celery 5.7, each with a test: `Consumer.create_task_handler`, `on_decode_error` and
`initial_prefetch_count`, the message protocols 1 and 2, and that worker steps start before the consumer.
"""

import logging
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from celery import bootsteps
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from kombu.exceptions import ContentDisallowed, DecodeError

from jobs import lifecycle
from jobs.calling import get_processor
from jobs.encoding import storable
from jobs.errors import JobError, UnknownProcessor
from jobs.lifecycle import NewJob
from jobs.models import Event
from jobs.options import job_id
from jobs.sessions import own_session

log = logging.getLogger("jobs.intake")

PREFETCH = 250  # messages in memory at most, and in one statement
AGAIN = 0.5  # seconds between two tries while Postgres is away
PATIENCE = 5.0  # seconds that stopping waits for what has been received


class Refused(JobError):
    """The message cannot become a job."""


class IntakeStep(bootsteps.StartStopStep):
    """Takes the place of Celery's handling of task messages. Stops after the consumer, and before the feed."""

    requires = ("jobs.worker.step:FeedStep",)

    def start(self, worker: Any) -> None:
        self.intake = Intake()
        worker.consumer.create_task_handler = lambda: self.intake.receive
        worker.consumer.on_decode_error = lambda message, error: self.intake.receive(message)  # refused when it is read
        worker.consumer.initial_prefetch_count = PREFETCH
        self.intake.start()

    def stop(self, worker: Any) -> None:
        self.intake.finish(PATIENCE)

    def terminate(self, worker: Any) -> None:
        self.intake.finish(0.0)


class Intake(threading.Thread):
    """What was received and is not yet written, and the thread that writes it."""

    def __init__(self) -> None:
        super().__init__(name="jobs-intake", daemon=True)
        self.received: deque[Any] = deque()
        self.arrived = threading.Event()
        self.ending = threading.Event()
        self.away = False  # Postgres is, and that has been said

    def receive(self, message: Any) -> None:
        """In the consumer's thread."""
        self.received.append(message)
        self.arrived.set()

    def finish(self, patience: float) -> None:
        """Write what can be written, put the rest back into Redis."""
        self.ending.set()
        self.arrived.set()
        self.join(patience)
        while self.received:
            message = self.received.popleft()
            try:
                message.requeue()
            except Exception as error:  # the connection that it came by is gone
                log.error("message %s is lost: %s", message.headers.get("id"), error)

    def run(self) -> None:
        connected = False
        while not self.ending.is_set() or self.received:
            self.arrived.wait()
            self.arrived.clear()
            while self.received:
                try:
                    if not connected:
                        own_session(lock_timeout=5_000, statement_timeout=30_000)
                    self._write([self.received[n] for n in range(min(PREFETCH, len(self.received)))])
                    connected, self.away = True, False
                except Exception as error:
                    connected = False
                    self._tell(error)
                    if self.ending.wait(AGAIN):
                        return

    def _tell(self, error: Exception) -> None:
        if not isinstance(error, OperationalError | InterfaceError):
            log.exception("the intake stumbled, going on")
        elif not self.away:
            self.away = True
            log.warning("messages wait for Postgres: %s", str(error).strip().partition("\n")[0])

    def _write(self, messages: list[Any]) -> None:
        try:
            take_in(messages)
        except (OperationalError, InterfaceError):
            raise
        except DatabaseError:  # one that Postgres refuses must not hold up the others
            for message in messages:
                _take_in_alone(message)
        for message in messages:
            self.received.popleft()
            message.ack()


def _take_in_alone(message: Any) -> None:
    try:
        take_in([message])
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError as error:
        _refuse([(message, f"the database refused it: {error}")])


def take_in(messages: list[Any]) -> None:
    """A row for each message, or an Event that says why there is none, in one transaction."""
    jobs: list[NewJob] = []
    refused: list[tuple[Any, str]] = []
    for message in messages:
        try:
            jobs.append(read(message))
        except JobError as error:
            refused.append((message, str(error)))
        except Exception as error:  # whatever a sender can think of
            refused.append((message, f"it is malformed: {type(error).__name__}: {error}"))
    with transaction.atomic():
        lifecycle.enqueue(jobs)
        _refuse(refused)
    for job in jobs:
        log.debug("message %s taken in as %s", job.id, job.type)


def _refuse(messages: list[tuple[Any, str]]) -> None:
    events = []
    for message, reason in messages:
        headers = message.headers or {}
        what = {name: storable(str(headers[name]), 200) for name in ("id", "task", "origin") if headers.get(name)}
        queue, told = storable(_queue(message))[:100], storable(reason, 1000)
        events.append(Event(kind="message-refused", actor="intake", queue=queue, after=what, reason=told))
        log.warning("message %s on queue %s refused: %s", what.get("id"), queue, told)
    Event.objects.bulk_create(events)


# --- what a message says ---------------------------------------------------------------------------------------------


def read(message: Any) -> NewJob:
    """The job that a message asks for. Raises a JobError, or anything else for a malformed one."""
    queue = _queue(message)
    if not settings.JOBS_QUEUES.get(queue, {}).get("intake"):
        raise Refused(f"queue {queue} takes no messages of other clients")
    headers, args, kwargs, canvas = _parts(message)
    if any(canvas.values()):
        raise Refused("it carries callbacks, a chain or a chord: only single tasks become jobs")
    name = str(headers.get("task"))
    task = get_processor(name)
    if task.name.startswith("celery."):
        raise UnknownProcessor(f"{name} is Celery's own task, not a job type")
    options = _options(headers, message.properties.get("priority"))
    return task.new_job(task.encode_payload(tuple(args), kwargs), {**options, "queue": queue})


def _queue(message: Any) -> str:
    return str(message.delivery_info.get("queue", ""))


def _parts(message: Any) -> tuple[Mapping[str, Any], list[Any], dict[str, Any], Mapping[str, Any]]:
    """Headers, args, kwargs and canvas of either protocol."""
    try:
        body = message.payload  # decoded here, and JSON only: `accept_content`
    except (ContentDisallowed, DecodeError) as error:
        raise Refused(f"its content cannot be read: {error}") from None
    headers = message.headers or {}
    if "task" in headers:
        args, kwargs, canvas = body
    else:
        headers, args, kwargs = body, body.get("args"), body.get("kwargs")
        canvas = {name: body.get(name) for name in ("callbacks", "errbacks", "chord")}
    args, kwargs = args or [], kwargs or {}
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise Refused("args must be a list, and kwargs an object")
    return headers, args, kwargs, canvas or {}


def _options(headers: Mapping[str, Any], priority: Any) -> dict[str, Any]:
    """What of a message's headers concerns a job. Celery sends priority 0 when none was given."""
    hard, soft = headers.get("timelimit") or (None, None)
    return {
        "task_id": job_id(headers.get("id"), "id"),
        "eta": headers.get("eta"),
        "expires": headers.get("expires"),
        "retries": headers.get("retries"),
        "priority": priority or None,
        "timeout": hard or soft,
        "parent": _id_or_none(headers.get("parent_id")),
        "created_by": storable(f"intake {headers.get('origin') or ''}".strip()),
    }


def _id_or_none(value: Any) -> UUID | None:
    """Another client's parent may have any id; only one of ours can be shown."""
    try:
        return UUID(value)
    except (TypeError, ValueError, AttributeError):
        return None
