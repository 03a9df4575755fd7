"""Server-sent events: a response that goes on, and the text that it is made of. What it says is its caller's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from asgiref.sync import sync_to_async
from django.db import connections
from django.http import StreamingHttpResponse

KEEP_ALIVE = 15.0  # seconds without an event after which a comment says that we are still here
LIFE = 900.0  # seconds after which a client has to connect anew, and so to show again that it may
RECONNECT = 2000  # ms that a browser waits until then


class EventStream(StreamingHttpResponse):
    """A response of type text/event-stream that no proxy keeps back and no cache keeps."""

    def __init__(self, events: AsyncIterator[str]) -> None:
        super().__init__(events, content_type="text/event-stream; charset=utf-8")
        self["Cache-Control"] = "no-store"
        self["X-Accel-Buffering"] = "no"


def event(name: str, data: str, event_id: int | None = None) -> str:
    """One event. `data` has no line breaks; the id is what a client that reconnects sends as `Last-Event-ID`."""
    known = "" if event_id is None else f"id: {event_id}\n"
    return f"{known}event: {name}\ndata: {data}\n\n"


async def stream(
    news: asyncio.Event, take: Callable[[], tuple[Iterable[str], bool]], pause: float = 0.0
) -> AsyncIterator[str]:
    """What `take` gives each time that `news` is set, `pause` seconds apart, until it says that this was all."""
    await sync_to_async(let_go)()
    yield f"retry: {RECONNECT}\n\n"
    loop = asyncio.get_running_loop()
    end = loop.time() + LIFE
    more = True
    while more and loop.time() < end:
        try:
            async with asyncio.timeout(KEEP_ALIVE):
                await news.wait()
        except TimeoutError:
            yield ":\n\n"
            continue
        frames, more = take()
        for frame in frames:
            yield frame
        await asyncio.sleep(pause)


def let_go() -> None:
    """Give back this thread's connections: it lives as long as its response, and they are wanted elsewhere."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
