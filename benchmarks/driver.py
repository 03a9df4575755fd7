"""`python -m benchmarks.driver MODULE COMMAND`: a Python peer, in its own environment, does what the harness asks.

    reset                            empties the queue and makes tables
    enqueue one|concurrent|bulk COUNT WAIT_MS
                                     prints {"seconds": s, "jobs": n, "began": ns}: the first few connect, and are not
                                     timed; `began` is CLOCK_MONOTONIC before the first of all
    latency COUNT PER_SECOND         one at a time, each with the moment of the call
    work SLOTS                       one worker program until SIGTERM

The programs of the Node peers take the same commands. Every job runs `benchmarks.marks.mark`. REDIS_URL, DATABASE_URL
and BENCH_MARKS say where. Exit code 3: this peer has no such call. Standard library only: peers import it.
"""

import asyncio
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

IN_FLIGHT = 50
BATCH = 1000  # jobs of a bulk call
WARM_UP = 10
NOT_OFFERED = 3  # exit code


class Peer:
    """A peer whose client blocks. A module of a peer has one instance, `peer`."""

    def reset(self) -> None:
        """Empty the queue and its stores; make what has to exist."""
        raise NotImplementedError

    def enqueue(self, sent: int, wait_ms: int) -> None:
        raise NotImplementedError

    def bulk(self, count: int, wait_ms: int) -> None:
        """Enqueue a batch with the peer's own call for that."""
        sys.exit(NOT_OFFERED)

    def work(self, slots: int) -> None:
        """Be a worker with so many slots until SIGTERM."""
        raise NotImplementedError

    def enqueue_one(self, count: int, wait_ms: int) -> float:
        """Seconds that so many enqueues take, one after the other."""
        start = time.perf_counter()
        for _ in range(count):
            self.enqueue(0, wait_ms)
        return time.perf_counter() - start

    def enqueue_all(self, way: str, count: int, wait_ms: int) -> tuple[float, int]:
        """Seconds, and of how many jobs."""
        if way == "concurrent":
            return self.enqueue_concurrent(count, wait_ms)
        timed = count - min(WARM_UP, count // 2)
        if way == "one":
            self.enqueue_one(count - timed, wait_ms)
            return self.enqueue_one(timed, wait_ms), timed
        self.bulk(count - timed, wait_ms)
        start = time.perf_counter()
        for size in batches(timed):
            self.bulk(size, wait_ms)
        return time.perf_counter() - start, timed

    def enqueue_concurrent(self, count: int, wait_ms: int) -> tuple[float, int]:
        timed = count - min(IN_FLIGHT, count // 2)
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            for _ in pool.map(lambda _: self.enqueue(0, wait_ms), range(count - timed)):
                pass
            start = time.perf_counter()
            for _ in pool.map(lambda _: self.enqueue(0, wait_ms), range(timed)):
                pass
            return time.perf_counter() - start, timed

    def latency(self, count: int, per_second: float) -> None:
        """Enqueue at this rate; the first few without the moment, since they connect."""
        self.enqueue_one(WARM_UP, 0)
        for moment in ticks(count - WARM_UP, per_second):
            time.sleep(max(0.0, moment - time.monotonic()))
            self.enqueue(time.monotonic_ns(), 0)


class AsyncPeer(Peer):
    """A peer whose client is asynchronous."""

    async def enqueue_async(self, sent: int, wait_ms: int) -> None:
        raise NotImplementedError

    async def bulk_async(self, count: int, wait_ms: int) -> None:
        sys.exit(NOT_OFFERED)

    async def open(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Disconnect."""

    def enqueue_all(self, way: str, count: int, wait_ms: int) -> tuple[float, int]:
        return asyncio.run(self._connected(self._enqueue_all, way, count, wait_ms))

    def latency(self, count: int, per_second: float) -> None:
        asyncio.run(self._connected(self._latency, count, per_second))

    async def _connected(self, do: "Callable[..., object]", *arguments: object) -> "tuple[float, int]":
        await self.open()
        try:
            return await do(*arguments)  # type: ignore[misc, no-any-return]
        finally:
            await self.close()

    async def _enqueue_all(self, way: str, count: int, wait_ms: int) -> tuple[float, int]:
        spare = IN_FLIGHT if way == "concurrent" else WARM_UP
        timed = count - min(spare, count // 2)
        if way == "bulk":
            await self.bulk_async(count - timed, wait_ms)
        else:
            await asyncio.gather(*(self.enqueue_async(0, wait_ms) for _ in range(count - timed)))
        start = time.perf_counter()
        if way == "bulk":
            for size in batches(timed):
                await self.bulk_async(size, wait_ms)
        else:
            turns = iter(range(timed))
            callers = IN_FLIGHT if way == "concurrent" else 1
            await asyncio.gather(*(self._enqueue_each(turns, wait_ms) for _ in range(callers)))
        return time.perf_counter() - start, timed

    async def _enqueue_each(self, turns: Iterable[int], wait_ms: int) -> None:
        for _ in turns:  # shared by all callers
            await self.enqueue_async(0, wait_ms)

    async def _latency(self, count: int, per_second: float) -> None:
        for _ in range(WARM_UP):
            await self.enqueue_async(0, 0)
        for moment in ticks(count - WARM_UP, per_second):
            await asyncio.sleep(max(0.0, moment - time.monotonic()))
            await self.enqueue_async(time.monotonic_ns(), 0)


def batches(count: int) -> list[int]:
    """Sizes of the bulk calls for so many jobs."""
    return [min(BATCH, count - done) for done in range(0, count, BATCH)]


def ticks(count: int, per_second: float) -> list[float]:
    """Moments of the monotonic clock, evenly spread from now on."""
    begin = time.monotonic()
    return [begin + number / per_second for number in range(count)]


def become(*command: str) -> NoReturn:
    """Go on as the peer's own worker command, run by this interpreter."""
    os.execv(sys.executable, [sys.executable, "-W", "ignore", "-m", *command])  # noqa: S606


def main() -> None:
    module, command, *arguments = sys.argv[1:]
    peer: Peer = importlib.import_module(module).peer
    if command == "reset":
        peer.reset()
    elif command == "enqueue":
        way, count, wait_ms = arguments
        began = time.monotonic_ns()
        seconds, jobs = peer.enqueue_all(way, int(count), int(wait_ms))
        print(json.dumps({"seconds": seconds, "jobs": jobs, "began": began}), flush=True)
    elif command == "latency":
        peer.latency(int(arguments[0]), float(arguments[1]))
    elif command == "work":
        peer.work(int(arguments[0]))


if __name__ == "__main__":
    main()
