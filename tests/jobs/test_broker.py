import json
import time
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as configured
from pytest_django.fixtures import Settings

from jobs import broker
from jobs.broker import TOKEN_LIFE, TOKENS, wake_key

PATIENCE = 30.0  # seconds


@pytest.fixture(autouse=True)
def no_tokens() -> Iterator[None]:
    broker.flush(PATIENCE)
    broker.client().delete(wake_key("one"), wake_key("two"))
    yield
    broker.client().delete(wake_key("one"), wake_key("two"))


def tokens() -> tuple[Any, Any]:
    assert broker.flush(PATIENCE)
    return broker.client().llen(wake_key("one")), broker.client().llen(wake_key("two"))


class TestAWakeUp:
    def test_is_a_token_for_each_queue(self) -> None:
        broker.wake(["one", "two", "one"])
        assert tokens() == (1, 1)

    def test_of_no_queue_is_none(self) -> None:
        broker.wake([])
        assert tokens() == (0, 0)

    def test_is_for_one_worker(self) -> None:
        broker.wake(["one"])
        assert tokens() == (1, 0)
        assert broker.client().lpop(wake_key("one")) is not None
        assert tokens() == (0, 0)

    def test_is_one_of_a_few_at_most(self) -> None:
        broker.client().lpush(wake_key("one"), *["1"] * 100)
        broker.wake(["one"])
        assert tokens() == (TOKENS, 0)

    def test_is_sent_at_leisure_where_no_worker_takes_any(self) -> None:
        assert broker._push([])  # nothing was asked for, so nothing was learnt
        broker.client().lpush(wake_key("one"), *["1"] * TOKENS)
        assert not broker._push(["one"])
        assert broker._push(["one", "two"])  # somebody serves the other one
        broker.client().lpop(wake_key("one"))
        assert broker._push(["one"])

    def test_is_forgotten_after_a_while(self) -> None:
        broker.wake(["one"])
        assert tokens() == (1, 0)
        left: Any = broker.client().ttl(wake_key("one"))
        assert 0 < left <= TOKEN_LIFE

    def test_of_many_commits_at_once_is_at_least_one(self) -> None:
        for _ in range(200):
            broker.wake(["one"])
        assert 1 <= tokens()[0] <= TOKENS


def test_a_worker_is_asked_to_stop_a_run_by_its_node_name() -> None:
    client: Any = broker.client()
    with client.pubsub() as pubsub:
        pubsub.psubscribe("*pidbox*")
        while (message := pubsub.get_message(timeout=PATIENCE)) and message["type"] != "psubscribe":
            pass
        broker.ask_to_stop([("io@host:0badcafe", "01a00000-0000-7000-8000-000000000009", 3)])
        deadline = time.monotonic() + PATIENCE
        heard: Any = None
        while heard is None and time.monotonic() < deadline:
            message = pubsub.get_message(ignore_subscribe_messages=True, timeout=1)
            heard = message and json.loads(message["data"])
    order = json.loads(b64decode(heard["body"]))
    assert (order["method"], order["destination"]) == ("stop_job", ["io@host"])
    assert order["arguments"] == {"job_id": "01a00000-0000-7000-8000-000000000009", "run": 3}


def test_without_redis_a_hint_is_dropped_and_nobody_waits(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(broker, "AWAY", 0.0)
    there = settings.REDIS_URL
    broker.client.cache_clear()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    broker.wake(["one"])
    assert broker.flush(PATIENCE)
    assert "Redis does not answer" in caplog.text
    settings.REDIS_URL = there
    broker.client.cache_clear()
    broker.wake(["one"])
    assert tokens() == (1, 0)


def test_each_queue_has_a_list_of_its_own() -> None:
    assert len({wake_key(name) for name in configured.JOBS_QUEUES}) == len(configured.JOBS_QUEUES)
