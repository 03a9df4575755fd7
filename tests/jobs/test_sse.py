import asyncio
from collections.abc import Callable

import pytest

from jobs import sse


def frames(take: Callable[[int], tuple[list[str], bool]], rings: int = 1000) -> list[str]:
    """What a stream sends whose bell rings so many times."""

    async def read() -> list[str]:
        bell = asyncio.Event()
        rung = 0

        def answer() -> tuple[list[str], bool]:
            nonlocal rung
            rung += 1
            if rung >= rings:
                bell.clear()
            return take(rung)

        bell.set()
        async with asyncio.timeout(60):
            return [frame async for frame in sse.stream(bell, answer)]

    return asyncio.run(read())


def test_an_event_is_text() -> None:
    assert sse.event("job", '{"a": 1}') == 'event: job\ndata: {"a": 1}\n\n'
    assert sse.event("log", "{}", 7) == "id: 7\nevent: log\ndata: {}\n\n"


def test_a_stream_goes_on_until_all_is_said() -> None:
    assert frames(lambda rung: ([f"{rung};"], rung < 3)) == ["retry: 2000\n\n", "1;", "2;", "3;"]


def test_a_stream_that_has_nothing_to_say_says_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE", 0.01)
    monkeypatch.setattr(sse, "LIFE", 0.2)
    first, news, *rest = frames(lambda rung: (["news"], True), rings=1)
    assert (first, news) == ("retry: 2000\n\n", "news")
    assert set(rest) == {":\n\n"}


def test_no_stream_goes_on_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LIFE", 0.0)
    assert frames(lambda rung: (["news"], True)) == ["retry: 2000\n\n"]
