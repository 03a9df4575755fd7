"""`python -m benchmarks`: no-op jobs through our feed and through stock Celery, in turn, and what the ratios are.

Every job of ours is a row in Postgres (fsync and synchronous_commit on); the peer keeps nothing. Figures of one
machine and run compare with each other only. Options: --jobs N, --rounds N, --only NAME.
"""

import argparse
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WARM_UP = 200  # jobs


def main() -> None:
    options = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    options.add_argument("--jobs", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", default="")
    chosen = options.parse_args()
    with servers():
        run(chosen.jobs, chosen.rounds, chosen.only)


@contextmanager
def servers() -> Iterator[None]:
    """Embedded Postgres and Valkey of this run's own, as durable as they come."""
    from jobs.management import embedded

    with tempfile.TemporaryDirectory(prefix="jobyard-bench-", ignore_cleanup_errors=True) as folder:
        postgres, valkey = embedded.Postgres(Path(folder)), embedded.Valkey(Path(folder))
        embedded.export(postgres, valkey)
        os.environ.update(
            DJANGO_SETTINGS_MODULE="benchmarks.settings",
            DEBUG="0",
            SECRET_KEY=secrets.token_urlsafe(48),
            ALLOWED_HOSTS="localhost",
            LOG_LEVEL="WARNING",
        )
        try:
            yield
        finally:
            valkey.stop()
            postgres.stop()


def run(jobs: int, rounds: int, only: str) -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    cases: dict[str, Callable[[], float]] = {
        "stock Celery, prefork -c 2": lambda: stock(jobs),
        "ours, prefork -c 2": lambda: ours(jobs, ["prefork -c 2"]),
        "ours, prefork -c 2, with events": lambda: ours(jobs, ["prefork -c 2"], events=True),
        "ours, threads -c 10": lambda: ours(jobs, ["threads -c 10"]),
        "ours, threads -c 10, with events": lambda: ours(jobs, ["threads -c 10"], events=True),
        "ours, threads -c 10, two workers": lambda: ours(jobs, ["threads -c 10"] * 2),
        "ours, solo": lambda: ours(jobs, ["solo -c 1"]),
    }
    found: dict[str, list[float]] = {name: [] for name in cases if only in name}
    for number in range(rounds):
        for name in found:
            found[name].append(cases[name]())
            print(f"round {number + 1}: {name}: {found[name][-1]:,.0f} jobs/s", flush=True)
    report_drain(found)
    report_enqueue()
    report_latency()
    report_waiting()


def report_drain(found: dict[str, list[float]]) -> None:
    peer = found.get("stock Celery, prefork -c 2")
    print(f"\n{'drain of no-op jobs':40} {'median/s':>10} {'min':>8} {'max':>8} {'ratio to stock':>15}")
    for name, rates in found.items():
        ratio = statistics.median(a / b for a, b in zip(rates, peer, strict=True)) if peer else float("nan")
        print(f"{name:40} {statistics.median(rates):10,.0f} {min(rates):8,.0f} {max(rates):8,.0f} {ratio:15.2f}")
    for pool in ("prefork -c 2", "threads -c 10"):
        quiet, loud = found.get(f"ours, {pool}"), found.get(f"ours, {pool}, with events")
        if quiet and loud:
            kept = statistics.median(a / b for a, b in zip(loud, quiet, strict=True))
            print(f"{pool}: with events {kept:.2f} of without")


@contextmanager
def workers(commands: list[str], *, queue: str = "default", events: bool = False, **environment: str) -> Iterator[None]:
    """Workers of ours, ready."""
    from jobs.models import Worker

    Worker.objects.all().delete()
    started = [
        _start(
            ["-A", "config", "worker", "-Q", queue, "-n", f"bench{n}@%h", "-P", *command.split()],
            BENCH_EVENTS="1" if events else "0",
            **environment,
        )
        for n, command in enumerate(commands)
    ]
    try:
        until(lambda: Worker.objects.count() == len(started))
        yield
    finally:
        _stop(started)


def ours(jobs: int, commands: list[str], *, events: bool = False) -> float:
    """Jobs per second, from the first completed one seen to the last."""
    from benchmarks.tasks import noop
    from jobs.models import Job, Queue
    from jobs.processor import enqueue_many

    Job.objects.all().delete()
    with workers(commands, events=events):
        _warm_up()
        Queue.objects.filter(name="default").update(paused_at="2000-01-01T00:00:00Z")
        enqueue_many((noop.name, {"args": [], "kwargs": {}}) for _ in range(jobs))
        Queue.objects.filter(name="default").update(paused_at=None)
        return _rate(lambda: jobs - Job.objects.active().count(), jobs)


def _warm_up() -> None:
    from benchmarks.tasks import noop
    from jobs.models import Job

    for _ in range(WARM_UP):
        noop.delay()
    until(lambda: not Job.objects.active().exists())
    Job.objects.all().delete()


def stock(jobs: int) -> float:
    """The same of stock Celery: a job is done when it is neither queued nor unacknowledged."""
    import redis

    from benchmarks import stock as peer

    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.delete("stock", "unacked", "unacked_index")
    worker = _start(["-A", "benchmarks.stock", "worker", "-P", "prefork", "-c", "2"])

    def left() -> int:
        return int(client.llen("stock")) + int(client.hlen("unacked"))

    try:
        for _ in range(WARM_UP):
            peer.noop.delay()
        until(lambda: left() == 0)
        worker.send_signal(signal.SIGSTOP)  # it starts on a full queue, as ours does
        with peer.app.producer_pool.acquire() as producer:
            for _ in range(jobs):
                peer.noop.apply_async(producer=producer)
        worker.send_signal(signal.SIGCONT)
        return _rate(lambda: jobs - left(), jobs)
    finally:
        _stop([worker])


def _rate(done: Callable[[], int], jobs: int) -> float:
    """Jobs per second between the first look that saw work done and the end."""
    while (first := done()) == 0:
        time.sleep(0.005)
    start = time.perf_counter()
    while (last := done()) < jobs:
        time.sleep(0.02)
    return (last - first) / (time.perf_counter() - start)


def report_enqueue() -> None:
    from benchmarks.tasks import noop
    from jobs.models import Job
    from jobs.processor import enqueue_many

    one, many = 2_000, 50_000
    start = time.perf_counter()
    for _ in range(one):
        noop.delay()
    single = one / (time.perf_counter() - start)
    start = time.perf_counter()
    enqueue_many((noop.name, {"args": [], "kwargs": {}}) for _ in range(many))
    bulk = many / (time.perf_counter() - start)
    Job.objects.all().delete()
    print(f"\nenqueue, one caller, a commit each: {single:,.0f} jobs/s; enqueue_many of {many:,}: {bulk:,.0f} jobs/s")


def report_latency() -> None:
    """From the INSERT, commit included, to the start of the body's run, at 50 jobs/s."""
    from benchmarks.tasks import noop
    from jobs.models import Job

    for command in ("threads -c 10", "prefork -c 2"):
        with workers([command]):
            _warm_up()
            for _ in range(300):
                noop.delay()
                time.sleep(0.02)
            until(lambda: not Job.objects.active().exists())
        times = Job.objects.values_list("created_at", "started_at")
        waits = sorted((started - created).total_seconds() * 1000 for created, started in times if started)
        print(f"latency, {command}: p50 {waits[len(waits) // 2]:.1f} ms, p99 {waits[int(len(waits) * 0.99)]:.1f} ms")


def report_waiting() -> None:
    """1,000 jobs that wait 500 ms each for an upstream."""
    from benchmarks.tasks import wait
    from jobs.models import Job, Queue
    from jobs.processor import enqueue_many

    slots = 200
    with workers([f"threads -c {slots}"]):
        _warm_up()
        Queue.objects.filter(name="default").update(paused_at="2000-01-01T00:00:00Z")
        enqueue_many((wait.name, {"args": [0.5], "kwargs": {}}) for _ in range(1000))
        Queue.objects.filter(name="default").update(paused_at=None)
        start = time.perf_counter()
        until(lambda: not Job.objects.active().exists())
        taken = time.perf_counter() - start
    ideal = 1000 * 0.5 / slots
    print(f"1,000 jobs of 500 ms on {slots} threads: {taken:.2f} s, {taken / ideal:.2f} of the ideal {ideal:.1f} s")


def _start(arguments: list[str], **environment: str) -> "subprocess.Popen[bytes]":
    quiet = ["--without-mingle", "--without-gossip", "-l", "WARNING"]
    command = [sys.executable, "-W", "ignore", "-m", "celery", "-q", *arguments, *quiet]
    return subprocess.Popen(command, env={**os.environ, **environment})


def _stop(processes: list["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(60)


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.01)


if __name__ == "__main__":
    main()
