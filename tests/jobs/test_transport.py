import logging
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from kombu import Connection, Exchange, Queue

from jobs.management import embedded

RAW = Queue("raw", Exchange("raw"), routing_key="raw")


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[embedded.Valkey]:
    """A server of this test's own, to be killed."""
    server = embedded.Valkey(tmp_path)
    yield server
    server.kill()


def qos(connection: Connection) -> Any:
    return connection.default_channel.qos  # type: ignore[attr-defined]


def connect(valkey: embedded.Valkey) -> Connection:
    return Connection(
        valkey.url,
        transport=settings.CELERY_BROKER_TRANSPORT,
        transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS,
    )


def publish(connection: Connection, queue: Queue = RAW, key: str = "raw") -> None:
    with connection.Producer() as producer:
        producer.publish({"x": 1}, exchange=queue.exchange, routing_key=key, declare=[queue], headers={"id": "abc"})


def receive(connection: Connection, queue: Queue = RAW) -> Any:
    """The next message, not acknowledged."""
    received: list[Any] = []
    with connection.Consumer(queue, on_message=received.append):
        while not received:
            connection.drain_events(timeout=10)
    return received[0]


def hold_a_message(connection: Connection) -> None:
    publish(connection)
    assert receive(connection).payload == {"x": 1}


def test_a_held_message_of_a_broken_connection_is_not_dumped(
    valkey: embedded.Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(dumps))
    connection = connect(valkey)
    hold_a_message(connection)
    valkey.kill()
    qos(connection).restore_unacked_once()
    assert list(dumps.iterdir()) == []


def test_messages_are_not_kept_for_redelivery(valkey: embedded.Valkey) -> None:
    with connect(valkey) as connection:
        hold_a_message(connection)
    with redis.Redis.from_url(valkey.url) as client:
        assert client.keys("unacked*") == []


def test_a_message_tells_the_queue_that_it_came_from(valkey: embedded.Valkey) -> None:
    news = Queue("raw", Exchange("news", type="topic"), routing_key="news.*")
    with connect(valkey) as connection:
        publish(connection, news, "news.today")
        assert receive(connection, news).delivery_info["queue"] == "raw"


def test_a_message_can_be_put_back(valkey: embedded.Valkey) -> None:
    with connect(valkey) as connection:
        publish(connection, Queue("raw", Exchange("other"), routing_key="else"), "else")
        receive(connection).requeue()
        again = receive(connection)
    assert (again.payload, again.headers) == ({"x": 1}, {"id": "abc"})


@pytest.mark.parametrize(
    "junk", ["no JSON", "5", "[]", "{}", '{"properties": {}}', '{"body": 7, "properties": {"x": 1}}']
)
def test_what_is_no_message_is_dropped(valkey: embedded.Valkey, junk: str, caplog: pytest.LogCaptureFixture) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.lpush("raw", junk)
    with connect(valkey) as connection, caplog.at_level(logging.ERROR, "jobs.transport"):
        publish(connection)
        assert receive(connection).payload == {"x": 1}
    assert "no Celery message" in caplog.text


def test_a_child_waits_for_no_lock_of_its_parents_threads(valkey: embedded.Valkey) -> None:
    with connect(valkey) as connection:
        channel: Any = connection.default_channel
        publish(connection)
        child = threading.Thread(target=channel._after_fork, daemon=True)  # what kombu does in each child
        with channel.pool._lock:
            child.start()
            child.join(30)
        assert not child.is_alive()
        publish(connection)  # and the parent's connections are open
