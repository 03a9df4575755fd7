"""What Celery's State, and so Flower, makes of merged events."""

from collections.abc import Callable
from itertools import chain
from types import SimpleNamespace
from typing import Any

import pytest
from celery import states
from celery.events import EventDispatcher
from celery.events.state import TASK_EVENT_TO_STATE, State, Task  # type: ignore[attr-defined]

from config import celery_app
from jobs.worker import taskevents
from jobs.worker.taskevents import TaskEvents

JOB = "0190aaaa-0000-7000-8000-000000000001"


class Dispatcher:
    """In place of Celery's, which would want a broker: remembers what is published."""

    enabled = True
    groups: frozenset[str] = frozenset()
    exchange = SimpleNamespace(name="celeryev")
    headers: dict[str, str] = {}

    def __init__(self) -> None:
        self.producer = self
        self.published: list[list[dict[str, Any]]] = []
        self.sent: list[str] = []

    def publish(self, events: list[dict[str, Any]], **options: Any) -> None:
        assert options["routing_key"] == "task.multi"
        self.published.append(events)

    def send(self, type: str) -> None:  # noqa: A002
        self.sent.append(type)


@pytest.fixture
def dispatcher() -> Dispatcher:
    return Dispatcher()


@pytest.fixture
def events(dispatcher: Dispatcher) -> TaskEvents:
    consumer = SimpleNamespace(event_dispatcher=dispatcher, connection=True)
    return TaskEvents(celery_app, SimpleNamespace(hostname="w@here", consumer=consumer))


@pytest.fixture
def state(dispatcher: Dispatcher, events: TaskEvents) -> Callable[[], Any]:
    """Flushes, and gives what a receiver then knows."""
    receiver = State()

    def known() -> State:
        events.flush()
        for event in chain.from_iterable(dispatcher.published):
            receiver.event({**event, "local_received": event["timestamp"]})
        dispatcher.published.clear()
        return receiver

    return known


def start(events: TaskEvents) -> None:
    events.send("task-received", uuid=JOB, name="greet_guest", args="()", kwargs="{'a': 1}", retries=0)
    events.send("task-started", uuid=JOB)


def test_a_short_job_is_one_event(events: TaskEvents, dispatcher: Dispatcher, state: Any) -> None:
    start(events)
    events.send("task-succeeded", uuid=JOB, result="1", runtime=0.1)
    task = state().tasks[JOB]
    assert (task.state, task.name, task.kwargs, task.result, task.runtime) == (
        states.SUCCESS,
        "greet_guest",
        "{'a': 1}",
        "1",
        0.1,
    )
    assert task.received <= task.started <= task.succeeded
    assert task.worker.hostname == "w@here"


def test_a_long_job_is_shown_while_it_runs(events: TaskEvents, state: Any) -> None:
    start(events)
    assert state().tasks[JOB].state == states.STARTED
    events.send("task-failed", uuid=JOB, exception="ValueError: no", traceback="…")
    task = state().tasks[JOB]
    assert (task.state, task.name, task.exception, task.traceback) == (
        states.FAILURE,
        "greet_guest",
        "ValueError: no",
        "…",
    )


@pytest.mark.parametrize("end", ["task-failed", "task-revoked", "task-retried", "task-rejected", "task-succeeded"])
@pytest.mark.parametrize("flush_between", [True, False])
def test_a_job_that_runs_again_is_shown_as_running(
    events: TaskEvents, state: Any, end: str, flush_between: bool
) -> None:
    start(events)
    events.send(end, uuid=JOB)
    if flush_between:
        assert state().tasks[JOB].state == TASK_EVENT_TO_STATE[end[5:]]
    start(events)
    assert state().tasks[JOB].state == states.STARTED
    events.send("task-revoked", uuid=JOB)
    assert state().tasks[JOB].state == states.REVOKED


def test_events_go_out_in_lists(events: TaskEvents, dispatcher: Dispatcher) -> None:
    for number in range(taskevents.LIST + 1):
        events.send("task-received", uuid=str(number))
    events.flush()
    assert [len(batch) for batch in dispatcher.published] == [taskevents.LIST, 1]


def test_without_redis_the_latest_wait(events: TaskEvents, dispatcher: Dispatcher) -> None:
    events.worker.consumer.connection = None
    for number in range(taskevents.MOST + 1):
        events.send("task-received", uuid=str(number))
    events.flush()
    assert dispatcher.published == []
    assert len(events.waiting) == taskevents.MOST
    assert "0" not in events.waiting


def test_nothing_is_lost_before_the_broker_was_reached_once(events: TaskEvents) -> None:
    events.worker.consumer = None
    assert events.enabled
    start(events)
    events.flush()
    assert JOB in events.waiting


def test_the_last_events_do_not_bring_a_worker_back(events: TaskEvents, dispatcher: Dispatcher) -> None:
    events.end()
    assert dispatcher.sent == []
    start(events)
    events.end()
    assert (len(dispatcher.published), dispatcher.sent) == (1, ["worker-offline"])


def test_seams_of_celery_5_7() -> None:
    assert set(TASK_EVENT_TO_STATE) >= {"received", "started", "succeeded", "failed", "retried", "revoked", "rejected"}
    assert {"producer", "enabled", "groups", "exchange", "headers"} <= set(EventDispatcher.__init__.__code__.co_names)
    assert "state" in Task._fields  # type: ignore[attr-defined]
