"""Who takes part: ours and the peers, each with the worker that its makers advise, and what its jobs survive."""

import os
import shutil
import sys
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from benchmarks.peers import environments

CHECKOUT = Path(__file__).parents[1]
PROGRAMS = Path(environments.__file__).parent


@dataclass(frozen=True)
class Contender:
    """One line of the tables. Slots are those of one worker program."""

    name: str
    worker: str  # what is started, in words
    keeps: str  # what a job survives
    module: str  # of its driver; a Node program ends in .mjs
    jobs: int  # that take it some seconds to drain
    slots: int
    waiting: int  # slots for jobs that wait; 0: measured in the drain only
    programs: int = 2  # worker programs
    python: str = ""  # whose environment; "": ours
    settings: dict[str, str] = field(default_factory=dict)  # environment variables
    enqueues: bool = True  # its client differs from those above it
    synced: bool = False  # on the Valkey that syncs every write

    @property
    def is_ours(self) -> bool:
        return self.module == "benchmarks.ours"

    @property
    def key(self) -> str:
        """Names its database and files."""
        return self.module.rsplit(".mjs")[0].rsplit(".")[-1]

    @cached_property
    def program(self) -> tuple[list[str], Path]:
        """The command before the protocol's words, and the folder it runs in. Raises environments.Missing."""
        if self.module.endswith(".mjs"):
            folder = environments.node(PROGRAMS.glob("*.mjs"))
            return [shutil.which("node") or "node", self.module], folder
        interpreter = str(environments.python(self.python)) if self.python else sys.executable
        return [interpreter, "-W", "ignore", "-m", "benchmarks.driver", self.module], CHECKOUT

    def environment(self) -> dict[str, str]:
        """Without our Django settings for peers: Celery would take itself for a part of that project."""
        ours = {} if self.is_ours else {"DJANGO_SETTINGS_MODULE"}
        return {name: value for name, value in os.environ.items() if name not in ours} | self.settings


ROW = "a synced row from enqueue to end"
MEMORY = "the crash of a worker; not that of Valkey"
NOTHING = "nothing: acknowledged before the run, and only in memory"
EVENTS = ", with events"  # the end of such a name


def _celery(
    who: str, module: str, keeps: str, pool: str, slots: int, waiting: int, programs: int, *, jobs: int, **rest: Any
) -> Contender:
    """A contender whose worker is the celery command, with this pool."""
    shape = pool + (f" -c {slots}" if pool != "solo" else "") + (", two workers" if programs == 2 else "")
    events = rest.pop("events", False)
    return Contender(
        name=f"{who}, {shape}{EVENTS if events else ''}",
        worker=f"celery worker -P {shape}",
        keeps=keeps,
        module=module,
        jobs=jobs,
        slots=slots,
        waiting=waiting,
        programs=programs,
        settings={"POOL": pool, "QUEUES": "default", "BENCH_EVENTS": "1" if events else "0"},
        **rest,
    )


_ours = partial(_celery, "ours", "benchmarks.ours", ROW)
_stock = partial(_celery, "stock Celery", "benchmarks.peers.celery", NOTHING)

STOCK, BULLMQ = "stock Celery, prefork -c 2", "BullMQ"  # what ratios are to

CONTENDERS = [
    _ours("threads", 10, 100, 2, jobs=30_000),
    _ours("threads", 10, 0, 1, jobs=20_000, enqueues=False),
    _ours("threads", 10, 0, 1, jobs=20_000, enqueues=False, events=True),
    _ours("prefork", 2, 20, 1, jobs=20_000, enqueues=False),
    _ours("prefork", 2, 0, 1, jobs=20_000, enqueues=False, events=True),
    _ours("prefork", 2, 0, 2, jobs=20_000, enqueues=False),
    _ours("solo", 1, 0, 2, jobs=30_000, enqueues=False),
    _stock("prefork", 2, 20, 1, jobs=3_000),
    _stock("threads", 10, 100, 2, jobs=4_000, enqueues=False),
    _stock("solo", 1, 0, 2, jobs=5_000, enqueues=False),
    Contender(
        name="Celery + django-celery-results",
        worker="celery worker -P prefork -c 2, result_backend django-db",
        keeps="nothing before its end: a row for the result only",
        module="benchmarks.peers.results",
        jobs=300,
        slots=2,
        waiting=20,
        programs=1,
        settings={"POOL": "prefork", "DJANGO_SETTINGS_MODULE": "benchmarks.peers.results_settings"},
        enqueues=False,
    ),
    Contender(
        name="Dramatiq",
        worker="dramatiq --processes 2 --threads 8",
        keeps=MEMORY,
        module="benchmarks.peers.dramatiq",
        python="dramatiq",
        jobs=10_000,
        slots=16,
        waiting=200,
        programs=1,
    ),
    Contender(
        name="Huey",
        worker="huey_consumer -k thread -w 4; two of them",
        keeps="nothing: taken off the queue before the run, and only in memory",
        module="benchmarks.peers.huey",
        python="huey",
        jobs=10_000,
        slots=4,
        waiting=100,
    ),
    Contender(
        name="RQ",
        worker="rq worker-pool -n 2, a fork for each job",
        keeps=MEMORY,
        module="benchmarks.peers.rq",
        python="rq",
        jobs=600,
        slots=2,
        waiting=20,
        programs=1,
    ),
    Contender(
        name="TaskIQ",
        worker="taskiq worker --workers 2 --max-async-tasks 100, Redis stream",
        keeps=MEMORY,
        module="benchmarks.peers.taskiq",
        python="taskiq",
        jobs=8_000,
        slots=200,
        waiting=200,
        programs=1,
    ),
    Contender(
        name="Procrastinate",
        worker="run_worker(concurrency=10); two of them",
        keeps=ROW,
        module="benchmarks.peers.procrastinate",
        python="procrastinate",
        jobs=1_200,
        slots=10,
        waiting=100,
    ),
    Contender(
        name=BULLMQ,
        worker="Worker, concurrency 50; two of them",
        keeps=MEMORY,
        module="bullmq.mjs",
        jobs=20_000,
        slots=50,
        waiting=100,
    ),
    Contender(
        name="BullMQ, Valkey synced",
        worker="Worker, concurrency 50; two of them; Valkey with appendonly yes, appendfsync always",
        keeps="a synced log from enqueue to end",
        module="bullmq.mjs",
        jobs=15_000,
        slots=50,
        waiting=100,
        synced=True,
    ),
    Contender(
        name="Graphile Worker",
        worker="run({concurrency: 24}); two of them",
        keeps="a synced row from enqueue to end, then deleted",
        module="graphile.mjs",
        jobs=6_000,
        slots=24,
        waiting=100,
    ),
    Contender(
        name="Graphile Worker, local queue",
        worker="run({concurrency: 24}); two of them; localQueue of 500, completions batched",
        keeps="a synced row from enqueue to end, then deleted",
        module="graphile.mjs",
        jobs=50_000,
        slots=24,
        waiting=100,
        settings={"LOCAL_QUEUE": "1"},
        enqueues=False,
    ),
    Contender(
        name="pg-boss",
        worker="work({batchSize: 500, localConcurrency: 2}); two of them; notify, burst",
        keeps="a synced row from enqueue to end; a batch has one fate",
        module="pgboss.mjs",
        jobs=60_000,
        slots=1_000,
        waiting=100,
    ),
]
