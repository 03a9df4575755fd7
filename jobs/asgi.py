"""What a simulated upstream needs of ASGI: to read a request, to answer it, and to leave it without an answer.

For the `sandbox` modules of rooms, which are plain ASGI applications: a fault is less than any framework would send.
"""

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def headers_of(scope: Scope) -> dict[str, str]:
    """A request's headers, with names in small letters."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


async def body_of(receive: Receive) -> bytes:
    """A request's body, whole."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


async def begin(send: Send, status: int, headers: Mapping[str, str]) -> None:
    """The head of an answer whose body follows in parts."""
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


async def answer(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    """A whole answer."""
    await begin(send, status, {**headers, "content-length": str(len(body))})
    await send({"type": "http.response.body", "body": body})


def reset(receive: Receive) -> None:
    """End the connection without an answer and without a goodbye. ASGI has no word for it; uvicorn's transport does."""
    transport = receive.__self__.transport  # type: ignore[attr-defined]
    transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def left_within(receive: Receive, seconds: float) -> bool:
    """Say nothing for so long, or until the client has left: whether it has."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
            return True
    return False
