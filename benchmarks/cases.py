"""What is measured of each contender. A case gives one figure or several, by the column they stand in."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import driver, marks
from benchmarks.programs import Failed, NotOffered, Programs, Workers

WAIT = 0.5  # seconds that a job waits for its upstream
WAVES = 5  # such jobs for each slot
PER_SECOND = 50  # jobs, where latency is measured
SETTLING = 1.0  # seconds from the last job to the look at the memory


@dataclass(frozen=True)
class Sizes:
    """How many jobs each case has."""

    drain: int = 1_000_000  # at most; a contender has its own number
    enqueue: int = 2_000
    bulk: int = 20_000
    latency: int = 210


@dataclass(frozen=True)
class Column:
    """A figure of a case."""

    key: str
    title: str
    unit: str
    digits: int = 0
    more_is_better: bool = True


Figures = dict[str, float]
Notes = list[str]


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    columns: list[Column]
    measure: Callable[[Programs, Sizes], Figures]


def drain(programs: Programs, sizes: Sizes) -> Figures:
    """No-op jobs from a full queue, timed when a tenth is done and the workers are warm; then their memory at rest."""
    jobs = min(programs.contender.jobs, sizes.drain)
    programs.fill(jobs)
    with programs.working(programs.contender.slots) as workers:
        while (first := workers.done()) < jobs // 10:
            time.sleep(0.002)
        start = time.perf_counter()
        workers.until(jobs)
        taken = time.perf_counter() - start
        time.sleep(SETTLING)
        _must_equal(workers.done(), jobs)
        return {"drain": (jobs - first) / taken, "memory": workers.mebibytes()}


def enqueue(programs: Programs, sizes: Sizes) -> Figures:
    """By one caller who waits for each, by 50 at once, and with the bulk call, where there is one."""
    figures = {}
    for way, jobs in (("one", sizes.enqueue), ("concurrent", 2 * sizes.enqueue), ("bulk", sizes.bulk)):
        try:
            enqueued = programs.enqueue(way, jobs)
        except NotOffered:
            continue
        figures[way] = enqueued.jobs / enqueued.seconds
    return figures


def latency(programs: Programs, sizes: Sizes) -> Figures:
    """From the call of the client to the first line of the body, by workers that are idle otherwise."""
    with programs.working(programs.contender.slots) as workers:
        _warm_up(programs, workers)
        before = workers.done()
        programs.latency(sizes.latency, PER_SECOND)
        workers.until(before + sizes.latency)
    waits = sorted(marks.waits(programs.marks))
    return {"p50": waits[len(waits) // 2], "p99": waits[int(len(waits) * 0.99)]}


def waiting(programs: Programs, sizes: Sizes) -> Figures:
    """Jobs that wait for an upstream, five for each slot, from the first enqueue to the last end."""
    slots = programs.contender.waiting
    jobs = WAVES * slots * programs.contender.programs
    with programs.working(slots) as workers:
        _warm_up(programs, workers)
        before = workers.done()
        enqueued = programs.fill(jobs, int(WAIT * 1000))
        workers.until(before + jobs)
        return {"waiting": 100 * (time.monotonic() - enqueued.began) / (WAVES * WAIT)}


def _warm_up(programs: Programs, workers: Workers) -> None:
    """Every worker has connected and run something."""
    jobs = 2 * driver.IN_FLIGHT
    before = workers.done()
    programs.enqueue("one", jobs)
    workers.until(before + jobs)


def _must_equal(ran: int, expected: int) -> None:
    if ran != expected:
        raise Failed(f"{ran} bodies ran for {expected} jobs")


CASES = [
    Case(
        "drain",
        "No-op jobs, drained",
        [Column("drain", "jobs/s", "/s"), Column("memory", "memory at rest, MiB", " MiB", more_is_better=False)],
        drain,
    ),
    Case(
        "enqueue",
        "Enqueue, jobs/s",
        [
            Column("one", "one caller", "/s"),
            Column("concurrent", "50 at once", "/s"),
            Column("bulk", "bulk call", "/s"),
        ],
        enqueue,
    ),
    Case(
        "latency",
        f"From enqueue to start at {PER_SECOND} jobs/s",
        [
            Column("p50", "p50, ms", " ms", 1, more_is_better=False),
            Column("p99", "p99, ms", " ms", 1, more_is_better=False),
        ],
        latency,
    ),
    Case(
        "waiting",
        "Jobs of 500 ms, five for each slot",
        [Column("waiting", "% of the ideal 2.5 s", " %", more_is_better=False)],
        waiting,
    ),
]
