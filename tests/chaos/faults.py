"""The faults: what each one strikes, how long it lasts, and how it is mended.

A fault is a generator: it strikes, yields the seconds that it lasts, and mends. Which come when is drawn from the
seed. Two of them may overlap.
"""

import random
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from tests.chaos.cluster import BEATS, POOLS, Cluster


class Refused(Exception):
    """A broker did not take a job."""


Fault = Callable[[Cluster, random.Random], Generator[float, None, None]]
GAP = (2.0, 5.0)  # seconds between the beginnings of two faults
AT_ONCE = 2
BLOCK = bytes(1 << 20)  # what the disk is filled with
PATIENCE = 120.0  # seconds for a job that was enqueued right after a fault


def kill_worker(cluster: Cluster, number: random.Random) -> Generator[float, None, None]:
    cluster.kill_worker(number.choice(sorted(POOLS)))
    yield 0


def freeze_worker(cluster: Cluster, number: random.Random) -> Generator[float, None, None]:
    """Past its lease, so that others have run its jobs when it wakes up."""
    worker = cluster.freeze_worker(number.choice(sorted(POOLS)))
    yield settings.JOBS_LEASE + number.uniform(1, 4)
    with suppress(ProcessLookupError):  # killed meanwhile
        worker.thaw()


def kill_child(cluster: Cluster, number: random.Random) -> Generator[float, None, None]:
    cluster.kill_child(number)
    yield 0


def kill_leader(cluster: Cluster, number: random.Random) -> Generator[float, None, None]:
    """The worker that does the upkeep, if one leads just now."""
    if pool := cluster.pool_leading("upkeep"):
        cluster.kill_worker(pool)
        yield 0


def kill_beat(cluster: Cluster, number: random.Random) -> Generator[float, None, None]:
    cluster.kill_beat(number.choice(BEATS))
    yield 0


def restart_postgres(cluster: Cluster, number: random.Random) -> Generator[float, None, None]:
    with cluster.postgres_alone:
        cluster.postgres.stop()
        yield number.uniform(0, 2)
        cluster.postgres.start()


def crash_postgres(cluster: Cluster, number: random.Random) -> Generator[float, None, None]:
    """It ends without a checkpoint and recovers from its log."""
    with cluster.postgres_alone:
        cluster.crash_postgres()
        yield 0
        cluster.postgres.start()


def end_sessions(cluster: Cluster, number: random.Random) -> Generator[float, None, None]:
    """Half of all database sessions."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        pids = sorted(pid for (pid,) in cursor.fetchall())
        some = number.sample(pids, len(pids) // 2)
        cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [some])
    yield 0


def kill_redis(cluster: Cluster, number: random.Random) -> Generator[float, None, None]:
    with cluster.valkey_alone:
        cluster.valkey.kill()
        yield number.choice((0.5, 3, 15))
        cluster.valkey.start()


def flush_redis(cluster: Cluster, number: random.Random) -> Generator[float, None, None]:
    with redis.Redis.from_url(cluster.valkey.url) as client:
        client.flushall()
    yield 0


def kill_redis_clients(cluster: Cluster, number: random.Random) -> Generator[float, None, None]:
    with redis.Redis.from_url(cluster.valkey.url) as client:
        for kind in ("normal", "pubsub"):
            client.client_kill_filter(_type=kind, skipme=True)
    yield 0


def fill_disk(cluster: Cluster, number: random.Random) -> Generator[float, None, None]:
    """The database's disk is full: it fails writes, or ends, and must go on when there is room."""
    with cluster.postgres_alone:
        filler = cluster.postgres.data.parent / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(BLOCK)
        yield number.uniform(2, 5)
        filler.unlink()
        cluster.postgres.start()


FAULTS: tuple[Fault, ...] = (
    kill_worker,
    freeze_worker,
    kill_child,
    kill_leader,
    kill_beat,
    restart_postgres,
    crash_postgres,
    end_sessions,
    kill_redis,
    flush_redis,
    kill_redis_clients,
)


@dataclass
class Strike:
    """One fault that was done. Seconds since the beginning of the run."""

    fault: str
    at: float
    until: float | None = None  # it was mended
    service: float | None = None  # seconds until a job that was enqueued right after it had run
    trouble: str = ""


@dataclass
class Storm:
    """Faults, one after another, for so many seconds."""

    cluster: Cluster
    seed: int
    seconds: float
    probe: Callable[[], Callable[[], bool]]  # enqueues a job; what it returns says whether that has run
    faults: tuple[Fault, ...]
    strikes: list[Strike] = field(default_factory=list)

    def run(self) -> None:
        number = random.Random(self.seed)
        begin = time.monotonic()
        threads: list[threading.Thread] = []
        order: list[Fault] = []
        while time.monotonic() - begin < self.seconds:
            order = order or number.sample(self.faults, len(self.faults))  # each once before any comes again
            fault, own, gap = order.pop(), random.Random(number.random()), number.uniform(*GAP)
            while sum(thread.is_alive() for thread in threads) >= AT_ONCE:
                time.sleep(0.1)
            self.strikes.append(Strike(fault.__name__, time.monotonic() - begin))
            threads.append(threading.Thread(target=self._strike, args=(fault, own, self.strikes[-1], begin)))
            threads[-1].start()
            time.sleep(gap)
        for thread in threads:
            thread.join()
        if any(strike.until is None for strike in self.strikes):
            raise RuntimeError("a fault could not be mended: see its traceback above")

    def _strike(self, fault: Fault, number: random.Random, strike: Strike, begin: float) -> None:
        probes: list[threading.Thread] = []
        try:
            for seconds in fault(self.cluster, number):
                probes.append(threading.Thread(target=self._probe, args=(strike,), daemon=True))
                probes[-1].start()
                time.sleep(seconds)
        except (DatabaseError, redis.RedisError) as error:  # another fault got there first
            strike.trouble = str(error).strip().partition("\n")[0]
        finally:
            connection.close()
        strike.until = time.monotonic() - begin
        for probe in probes:
            probe.join()
        if not probes:
            strike.trouble = strike.trouble or "there was nothing to strike"

    def _probe(self, strike: Strike) -> None:
        """How long it takes until a job can be enqueued and has run."""
        begin = time.monotonic()
        has_run = None
        while time.monotonic() - begin < PATIENCE:
            try:
                has_run = has_run or self.probe()
                if has_run():
                    strike.service = time.monotonic() - begin
                    break
            except (DatabaseError, Refused):
                connection.close()
            time.sleep(0.02)
        connection.close()
