import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from redis.client import PubSub

from jobs import broker, events
from jobs.ids import new_id


@pytest.fixture
def heard() -> Iterator[PubSub]:
    """Listens to all that is told."""
    with broker.client().pubsub(ignore_subscribe_messages=True) as messages:  # type: ignore[no-untyped-call]
        messages.subscribe(events.CHANGED, events.PROGRESS, events.LOGGED)
        messages.get_message(timeout=20)
        yield messages


def until(heard: PubSub, channel: str, wanted: set[Any]) -> list[bytes]:
    """The messages of a channel, until all that is wanted has been told."""
    found: list[bytes] = []
    while wanted:
        message = heard.get_message(timeout=20)
        if message is None:
            continue
        assert message["channel"].decode() in (events.CHANGED, events.PROGRESS, events.LOGGED)
        if message["channel"].decode() == channel:
            found.append(message["data"])
            wanted = wanted - ({message["data"]} if message["data"] in wanted else set(ids(message["data"])))
    return found


def ids(message: bytes) -> list[UUID]:
    return list(events.unpacked(message)) if len(message) % 16 == 0 else []


def test_ids_are_told_in_few_messages(heard: PubSub) -> None:
    jobs = {new_id() for _ in range(100)}
    for job in jobs:
        events.changed([job])
    assert len(until(heard, events.CHANGED, set(jobs))) < 10


def test_too_many_ids_are_not_named(heard: PubSub) -> None:
    events.changed([new_id() for _ in range(events.MOST + 1)])
    events.changed([new_id()])
    until(heard, events.CHANGED, {events.MANY})


def test_a_change_of_something_else_names_no_job(heard: PubSub) -> None:
    events.changed()
    until(heard, events.CHANGED, {b""})


def test_of_progress_only_the_latest_is_told(heard: PubSub) -> None:
    job = new_id()
    for number in range(1000):
        events.progressed(job, 1, json.dumps({"done": number}))
    last = json.dumps([str(job), 1, '{"done": 999}']).encode()
    assert len(until(heard, events.PROGRESS, {last})) < 20


def test_log_lines_are_told(heard: PubSub) -> None:
    jobs = {new_id(), new_id()}
    events.logged(jobs)
    until(heard, events.LOGGED, set(jobs))
