"""`python -m benchmarks.live`: browsers that each follow a job on one web process, while many other jobs run.

Says whether every client was told how its job ended, how late that was, and what the web process took for it.
Options: --clients N, --rate JOBS_PER_SECOND, --seconds N. Figures of one machine and run compare with each other only.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import httpx2
import psutil

from benchmarks.servers import servers

STEPS = 20
BATCH = 0.1  # seconds between two enqueues of the other jobs


class Told(NamedTuple):
    """What one client got."""

    status: str
    events: int
    late: float  # seconds from the end of its job to the news of it


def main() -> None:
    options = argparse.ArgumentParser(prog="benchmarks.live", description=__doc__)
    options.add_argument("--clients", type=int, default=200)
    options.add_argument("--rate", type=int, default=500)
    options.add_argument("--seconds", type=int, default=30)
    chosen = options.parse_args()
    with servers():
        run(chosen.clients, chosen.rate, chosen.seconds)


def run(clients: int, rate: int, seconds: int) -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from jobs.management.embedded import free_port

    port = free_port()
    with processes(port, clients) as web:
        before = web.memory_info().rss
        followed = enqueue_followed(clients, seconds)
        others = threading.Thread(target=enqueue_others, args=(rate, seconds))
        peak = Peak(web)
        used = web.cpu_times()
        started = time.perf_counter()
        others.start()
        told = asyncio.run(follow_all(port, followed))
        taken = time.perf_counter() - started
        cpu = sum(web.cpu_times()[:2]) - sum(used[:2])
        others.join()
        peak.ended.set()
        report(told, taken, cpu)
        report_others(rate)
        after = web.memory_info().rss
    mib = [size / 2**20 for size in (before, peak.rss, after)]
    print(f"RSS of the web process: {mib[0]:.0f} MiB before, at most {mib[1]:.0f} MiB, {mib[2]:.0f} MiB after")


@contextmanager
def processes(port: int, clients: int) -> Iterator[psutil.Process]:
    """One web process, a worker for the jobs that are followed and one for the others; the web process, ready."""
    celery = [
        "celery",
        "-q",
        "-A",
        "config",
        "worker",
        "-l",
        "WARNING",
        "--without-mingle",
        "--without-gossip",
        "-P",
        "threads",
    ]
    commands = {
        "web": [
            "uvicorn",
            "config.asgi:application",
            "--port",
            str(port),
            "--lifespan",
            "off",
            "--log-level",
            "warning",
        ],
        "followed": [*celery, "-Q", "cpu", "-c", str(clients), "-n", "followed@%h"],
        "others": [*celery, "-Q", "default", "-c", "10", "-n", "others@%h"],
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *command],
            env={
                **os.environ,
                "JOBYARD_ROLE": "web" if name == "web" else "",
                "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            },
        )
        for name, command in commands.items()
    ]
    try:
        wait_until_ready(port)
        yield psutil.Process(started[0].pid)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)


def wait_until_ready(port: int) -> None:
    from jobs.models import Worker

    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            if Worker.objects.count() == 2 and httpx2.get(f"http://localhost:{port}/readyz").is_success:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError("the processes did not come up")


def enqueue_followed(clients: int, seconds: int) -> list[UUID]:
    """One job for each client. They end one after the other, all over the time."""
    from benchmarks.tasks import stroll
    from jobs.processor import enqueue_many

    spans = [seconds * (0.2 + 0.8 * number / clients) for number in range(clients)]
    jobs = enqueue_many((stroll, {"seconds": span, "steps": STEPS}, {"queue": "cpu"}) for span in spans)
    return [job.id for job in jobs]


def enqueue_others(rate: int, seconds: int) -> None:
    from benchmarks.tasks import noop
    from jobs.processor import enqueue_many

    start = time.perf_counter()
    for number in range(int(seconds / BATCH)):
        enqueue_many((noop.name, {"args": [], "kwargs": {}}) for _ in range(int(rate * BATCH)))
        time.sleep(max(0.0, start + (number + 1) * BATCH - time.perf_counter()))


class Peak(threading.Thread):
    """Looks how large a process gets."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self.process, self.rss, self.ended = process, 0, threading.Event()
        self.start()

    def run(self) -> None:
        while not self.ended.wait(0.2):
            self.rss = max(self.rss, self.process.memory_info().rss)


async def follow_all(port: int, jobs: Sequence[UUID]) -> list[Told]:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=f"http://localhost:{port}", timeout=60, limits=limits) as client:
        return await asyncio.gather(*(follow(client, job) for job in jobs))


async def follow(client: httpx2.AsyncClient, job: UUID) -> Told:
    from jobs.tokens import read_token

    events, last = 0, {"status": "nothing", "finishedAt": None}
    async with client.stream("GET", f"/api/jobs/{job}/events", params={"token": read_token(job)}) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                events, last = events + 1, json.loads(line[6:])
    late = time.time() - datetime.fromisoformat(last["finishedAt"]).timestamp() if last["finishedAt"] else float("inf")
    return Told(str(last["status"]), events, late)


def report(told: Sequence[Told], taken: float, cpu: float) -> None:
    ended = sum(one.status == "completed" for one in told)
    late = sorted(one.late * 1000 for one in told)
    print(
        f"{ended} of {len(told)} clients were told how their job ended, by {sum(one.events for one in told):,} events"
    )
    shown = [late[len(late) // 2], late[int(len(late) * 0.95)], late[-1]]
    print("late by p50 {:.0f} ms, p95 {:.0f} ms, at most {:.0f} ms".format(*shown))
    print(f"the web process used {cpu / taken:.0%} of a core")


def report_others(rate: int) -> None:
    from jobs.models import Job

    end = time.monotonic() + 120
    while Job.objects.active().exists() and time.monotonic() < end:
        time.sleep(0.1)
    times = list(Job.objects.filter(queue="default").order_by("finished_at").values_list("finished_at", flat=True))
    ended = [moment for moment in times if moment]
    span = (ended[-1] - ended[0]).total_seconds()
    print(f"{len(ended):,} other jobs at {len(ended) / span:.0f} jobs/s ({rate} asked)")


if __name__ == "__main__":
    main()
