"""Celery's Redis transport, less one habit: it never writes undelivered messages into the temp folder.

When a connection breaks, kombu tries to put back the messages it holds and pickles those that it
cannot ("EMERGENCY DUMP STATE"). Ours hold no job: a raw message of another client is at-most-once
until it is a row (`jobs.intake`), and saying so in the log is enough.
"""

import logging
from typing import Any

from kombu.transport import redis, virtual

log = logging.getLogger(__name__)


class QoS(virtual.QoS):
    """Holds what was received and not yet acknowledged."""

    def restore_unacked(self) -> list[tuple[BaseException, Any]]:  # type: ignore[override]
        """Let go of what is held; nothing is left over for kombu to dump."""
        self._flush()  # type: ignore[attr-defined]
        delivered: dict[str, Any] = self._delivered or {}
        for message in delivered.values():
            log.warning("raw message %s was lost with the connection to Redis", message.headers.get("id"))
        delivered.clear()
        return []


class Channel(redis.Channel):
    """Uses our QoS. kombu chooses one itself when `ack_emulation` is off, hence after it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.QoS = QoS  # type: ignore[assignment]


class Transport(redis.Transport):
    """Named by the setting `CELERY_BROKER_TRANSPORT`."""

    Channel = Channel
