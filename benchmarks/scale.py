"""`python -m benchmarks --scale`: whether ours stays as fast among many rows and queues.

Two threads workers in all of it, and one run of each, in this order. The ratio is to the first.
"""

import time
from dataclasses import replace
from typing import NamedTuple

import psycopg

from benchmarks import cases
from benchmarks.contenders import CONTENDERS
from benchmarks.programs import Programs
from benchmarks.servers import Servers

DRAINED = 20_000  # jobs
ONE_BY_ONE = 2_000  # enqueues
LATENCY = 210  # jobs
SCHEDULED = 100_000  # jobs, all for tomorrow
QUEUES = 200

# So many jobs of one status, 10 ms apart in the past, over this many queues.
ROWS = """
INSERT INTO jobs_job (id, type, payload, queue, status, tags, run, attempt, worker, created_at, scheduled_at,
    claimed_at, started_at, finished_at)
SELECT uuidv7(n * interval '-10 ms'), 'benchmarks.mark', '{"args": [0, 0], "kwargs": {}}',
    CASE %(queues)s WHEN 1 THEN 'default' ELSE 'q' || n %% %(queues)s END, %(status)s, '{}', ended::int, ended::int,
    CASE WHEN ended THEN 'bench@earlier' END, at,
    CASE %(status)s WHEN 'scheduled' THEN now() + interval '1 day' ELSE at END,
    CASE WHEN ended THEN at END, CASE WHEN ended THEN at END, CASE WHEN ended THEN at END
FROM (SELECT n, now() - n * interval '10 ms' AS at, %(status)s = 'completed' AS ended
    FROM generate_series(1, %(count)s) AS n) AS job
"""
# In a running system the past is counted: else a worker would do it while it is measured.
COUNTED = """
INSERT INTO jobs_rolledup (id, until) VALUES (1, date_trunc('minute', now(), 'UTC'))
ON CONFLICT (id) DO UPDATE SET until = excluded.until
"""
HEADS = ["", "jobs/s", "to the first", "one by one/s", "to the first", "p50, ms", "p99, ms"]


class Sizes(NamedTuple):
    finished: list[int]  # rows, ascending
    waiting: int  # jobs
    seconds: float  # that a transaction stays open


def run(running: Servers, sizes: Sizes) -> None:
    """Measure, and print a Markdown table as it grows."""
    ours = next(one for one in CONTENDERS if one.is_ours)
    ours = replace(ours, settings={**ours.settings, "BENCH_QUEUES": str(QUEUES)})
    programs = Programs(ours, running, running.valkey)
    table = _Report()
    there = 0
    programs.reset()
    for rows in sizes.finished:
        _add(programs, "completed", rows - there)
        there = rows
        table.show(f"{rows:,} finished rows", _measure(programs))
    programs.reset()
    _add(programs, "scheduled", SCHEDULED)
    table.show(f"{SCHEDULED:,} scheduled", _measure(programs))
    programs.reset()
    _add(programs, "pending", sizes.waiting)
    table.show(f"{sizes.waiting:,} waiting", {"drain": _drain(programs, whole=False)})
    queues = ",".join(f"q{n}" for n in range(QUEUES))
    spread = Programs(replace(ours, settings={**ours.settings, "QUEUES": queues}), running, running.valkey)
    spread.reset()
    _add(spread, "pending", DRAINED, QUEUES)
    table.show(f"waiting in {QUEUES} queues", {"drain": _drain(spread)})
    programs.reset()
    with psycopg.connect(programs.database) as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        session.execute("SELECT count(*) FROM jobs_job")
        end = time.monotonic() + sizes.seconds
        jobs = 0
        while time.monotonic() < end:
            programs.fill(DRAINED)
            _drain(programs)
            jobs += DRAINED
        table.show(f"a transaction open for {sizes.seconds:.0f} s and {jobs:,} jobs", _measure(programs))


def _measure(programs: Programs) -> cases.Figures:
    """Drain, one caller's enqueues and latency, as in the comparison."""
    programs.forget()
    enqueued = programs.enqueue("one", ONE_BY_ONE)
    programs.fill(DRAINED - ONE_BY_ONE)
    with programs.working(programs.contender.slots) as workers:
        rate = cases.drained(workers, DRAINED)
        waits = cases.latency(programs, workers, LATENCY)
    return {"drain": rate, "one": enqueued.jobs / enqueued.seconds, **waits}


def _drain(programs: Programs, *, whole: bool = True) -> float:
    """Jobs per second of the first so many that wait; `whole`: there are no others, and the last row is awaited."""
    programs.forget()
    with programs.working(programs.contender.slots) as workers:
        return cases.drained(workers, DRAINED, settled=whole)


def _add(programs: Programs, status: str, count: int, queues: int = 1) -> None:
    """Rows of the past, and statistics for the planner as a running system has them."""
    with psycopg.connect(programs.database, autocommit=True) as session:
        session.execute("SET synchronous_commit = off")
        session.execute(ROWS, {"status": status, "count": count, "queues": queues})
        session.execute(COUNTED)
        session.execute("VACUUM ANALYZE jobs_job")
        session.execute("CHECKPOINT")  # what a bulk load leaves to be written would slow down whatever comes next


class _Report:
    """A table whose ratios are to its first line."""

    def __init__(self) -> None:
        self.first: cases.Figures = {}
        print(f"| {' | '.join(HEADS)} |\n{'|---' * len(HEADS)}|", flush=True)

    def show(self, name: str, figures: cases.Figures) -> None:
        self.first = self.first or figures
        cells = [name]
        for key in ("drain", "one"):
            cells += [f"{figures[key]:,.0f}", f"{figures[key] / self.first[key]:.2f}"] if key in figures else ["", ""]
        cells += [f"{figures[key]:.1f}" if key in figures else "" for key in ("p50", "p99")]
        print(f"| {' | '.join(cells)} |", flush=True)
