"""What is measured of each contender. A case gives one figure or several, by the column they stand in."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import marks
from benchmarks.programs import LOOK, Failed, NotOffered, Programs, Workers

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


Figures = dict[str, float]


@dataclass(frozen=True)
class Table:
    """Figures that are shown together."""

    title: str
    columns: list[Column]


@dataclass(frozen=True)
class Case:
    name: str
    tables: list[Table]
    measure: Callable[[Programs, Sizes], Figures]


def work(programs: Programs, sizes: Sizes) -> Figures:
    """No-op jobs from a full queue, then the workers' memory at rest, then how soon these start single jobs."""
    jobs = min(programs.contender.jobs, sizes.drain)
    programs.fill(jobs)
    with programs.working(programs.contender.slots) as workers:
        figures = {"drain": drained(workers, jobs)}
        time.sleep(SETTLING)
        if (ran := workers.done()) != jobs:
            raise Failed(f"{ran} bodies ran for {jobs} jobs")
        figures["memory"] = workers.mebibytes()
        return figures | (latency(programs, workers, sizes.latency) if programs.contender.waiting else {})


def drained(workers: Workers, jobs: int, *, settled: bool = True) -> float:
    """Jobs per second, of so many, from when a tenth is done: all workers are there and warm by then."""
    while (first := workers.done()) < jobs // 10:
        time.sleep(LOOK)
    start = time.perf_counter()
    workers.until(jobs, settled=settled)
    return (jobs - first) / (time.perf_counter() - start)


def latency(programs: Programs, workers: Workers, jobs: int) -> Figures:
    """Milliseconds from the call of the client to the first line of the body, by workers that are idle otherwise."""
    before = workers.done()
    programs.latency(jobs, PER_SECOND)
    workers.until(before + jobs)
    waits = sorted(marks.waits(programs.marks))
    return {"p50": waits[len(waits) // 2], "p99": waits[int(len(waits) * 0.99)]}


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


def waiting(programs: Programs, sizes: Sizes) -> Figures:
    """Jobs that wait for an upstream, five for each slot, from the first enqueue to the last end."""
    slots = programs.contender.waiting
    jobs = WAVES * slots * programs.contender.programs
    with programs.working(slots) as workers:
        _warm_up(programs, workers, slots * programs.contender.programs)
        before = workers.done()
        enqueued = programs.fill(jobs, int(WAIT * 1000))
        workers.until(before + jobs)
        return {"waiting": 100 * (time.monotonic() - enqueued.began) / (WAVES * WAIT)}


def _warm_up(programs: Programs, workers: Workers, jobs: int) -> None:
    """Every worker has connected and knows how long such jobs take."""
    before = workers.done()
    programs.enqueue("one", jobs, int(WAIT * 1000))
    workers.until(before + jobs)


CASES = [
    Case(
        "work",
        [
            Table(
                "No-op jobs, drained",
                [Column("drain", "jobs/s", "/s"), Column("memory", "memory at rest, MiB", " MiB")],
            ),
            Table(
                f"From enqueue to start, at {PER_SECOND} jobs/s",
                [Column("p50", "p50, ms", " ms", 1), Column("p99", "p99, ms", " ms", 1)],
            ),
        ],
        work,
    ),
    Case(
        "enqueue",
        [
            Table(
                "Enqueue, jobs/s",
                [
                    Column("one", "one caller", "/s"),
                    Column("concurrent", "50 at once", "/s"),
                    Column("bulk", "bulk call", "/s"),
                ],
            )
        ],
        enqueue,
    ),
    Case(
        "waiting",
        [Table("Jobs of 500 ms, five for each slot", [Column("waiting", "% of the ideal 2.5 s", " %")])],
        waiting,
    ),
]
