"""`reset` needs a real connection: the tests of the sandboxes, whose faults it makes, have it."""

import asyncio
from collections.abc import Iterable, MutableMapping
from typing import Any

from jobs import asgi

CHUNK: MutableMapping[str, Any] = {"type": "http.request"}
LEFT = {"type": "http.disconnect"}


class Client:
    """The far end of a request: it says these messages, then nothing, and keeps what it is sent."""

    def __init__(self, says: Iterable[MutableMapping[str, Any]] = ()) -> None:
        self.says = list(says)
        self.sent: list[MutableMapping[str, Any]] = []

    async def receive(self) -> MutableMapping[str, Any]:
        if not self.says:
            await asyncio.Event().wait()
        return self.says.pop(0)

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)


def test_headers_are_text_under_names_in_small_letters() -> None:
    scope = {"type": "http", "headers": [(b"Content-Type", b"text/plain"), (b"x-name", "Zoë".encode("latin-1"))]}
    assert asgi.headers_of(scope) == {"content-type": "text/plain", "x-name": "Zoë"}
    assert asgi.headers_of({"headers": []}) == {}


def test_a_body_is_put_together_from_its_messages() -> None:
    parts = [{**CHUNK, "body": b"one ", "more_body": True}, {**CHUNK, "more_body": True}, {**CHUNK, "body": b"two"}]
    client = Client([*parts, {**CHUNK, "body": b" and no more"}])
    assert asyncio.run(asgi.body_of(client.receive)) == b"one two"
    assert len(client.says) == 1


def test_a_request_without_a_body() -> None:
    assert asyncio.run(asgi.body_of(Client([CHUNK]).receive)) == b""


def test_an_answer_says_how_long_it_is() -> None:
    client = Client()
    asyncio.run(asgi.answer(client.send, 201, "né".encode(), {"content-type": "text/plain"}))
    assert client.sent == [
        {
            "type": "http.response.start",
            "status": 201,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"3")],
        },
        {"type": "http.response.body", "body": "né".encode()},
    ]


def test_a_client_that_leaves_is_noticed_at_once() -> None:
    async def within() -> bool:
        async with asyncio.timeout(60):  # long before the hour is over
            return await asgi.left_within(Client([CHUNK, LEFT]).receive, 3600)

    assert asyncio.run(within())


def test_a_client_that_stays() -> None:
    client = Client([CHUNK])
    assert not asyncio.run(asgi.left_within(client.receive, 0.01))
    assert client.says == []
