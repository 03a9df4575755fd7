"""The body of every measured job, and the file in which it leaves a mark. Standard library only: peers import it.

A mark is one record of 16 bytes: how long the job waited from its enqueue to its start in ns, or 0 where nobody asked.
"""

import os
import time
from functools import cache
from pathlib import Path

SIZE = 16  # bytes


def mark(sent: int, wait_ms: int) -> None:
    """Start, wait as if for an upstream, and leave the mark. `sent`: CLOCK_MONOTONIC in ns, or 0."""
    started = time.monotonic_ns()
    if wait_ms:
        time.sleep(wait_ms / 1000)
    _record(started - sent if sent else 0)


async def mark_async(sent: int, wait_ms: int) -> None:
    """The same where workers are asynchronous."""
    import asyncio  # here: RQ imports this file anew in the process of each job

    started = time.monotonic_ns()
    if wait_ms:
        await asyncio.sleep(wait_ms / 1000)
    _record(started - sent if sent else 0)


def count(path: Path) -> int:
    """How many bodies have run."""
    return path.stat().st_size // SIZE


def waits(path: Path) -> list[float]:
    """How long each job that was sent with a time waited, in ms."""
    return [ns / 1e6 for ns in map(int, path.read_text().split()) if ns]


def _record(ns: int) -> None:
    os.write(_file(), b"%15d\n" % ns)


@cache
def _file() -> int:
    return os.open(os.environ["BENCH_MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
