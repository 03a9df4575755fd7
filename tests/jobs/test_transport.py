import tempfile
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


def hold_a_message(connection: Connection) -> None:
    """Receive one and do not acknowledge it."""
    with connection.Producer() as producer:
        producer.publish({"x": 1}, exchange=RAW.exchange, routing_key="raw", declare=[RAW], headers={"id": "abc"})
    received: list[object] = []
    consumer = connection.Consumer(RAW, callbacks=[lambda body, message: received.append(body)])
    consumer.consume()
    connection.drain_events(timeout=10)
    assert received == [{"x": 1}]


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
