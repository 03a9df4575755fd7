"""`python -m benchmarks.papers`: papers analysed by three simulated providers, on one threads worker.

A provider takes 2 s to answer, and the queue lets so many jobs run at once; says how far the whole is from the ideal,
in which providers are asked side by side and nothing else takes time. Options: --papers N, --seconds S, --slots N.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from benchmarks.servers import servers
from benchmarks.workers import until

PROVIDERS = ["openai", "anthropic", "gemini"]
TEXT = "Forty honeybees were trained on two scents. Caffeine helps them to remember. " * 200  # some five pages


def main() -> None:
    options = argparse.ArgumentParser(prog="benchmarks.papers", description=__doc__)
    options.add_argument("--papers", type=int, default=100)
    options.add_argument("--seconds", type=float, default=2.0)
    options.add_argument("--slots", type=int, default=5)
    chosen = options.parse_args()
    with servers():
        run(chosen.papers, chosen.seconds, chosen.slots)


def run(papers: int, seconds: float, slots: int) -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from jobs.models import Job, Queue
    from jobs.processor import enqueue_many
    from processors.papers.models import Call, Paper

    Queue.objects.filter(name="ai").update(max_running=slots)
    rows = Paper.objects.bulk_create(Paper(title=f"Paper {n}", text=TEXT) for n in range(papers + slots))
    jobs = [("ai_analysis", {"paperId": row.pk, "providers": PROVIDERS}) for row in rows]
    with processes(slots, seconds) as sandbox:
        enqueue_many(jobs[:slots])  # the worker imports what it needs
        until_done()
        Call.objects.all().delete()
        started = time.perf_counter()
        enqueue_many(jobs[slots:])
        until_done()
        taken = time.perf_counter() - started
        received = httpx2.get(f"{sandbox}/papers/_received").json()
    ended = Job.objects.filter(type="ai_analysis", status="completed").count() - slots
    calls = sum(received[name]["total"] for name in PROVIDERS) - slots * len(PROVIDERS)
    ideal = -(-papers // slots) * seconds
    print(
        f"{ended} of {papers} papers by {len(PROVIDERS)} providers of {seconds:g} s, {slots} at once: {taken:.1f} s, "
        f"{taken / ideal - 1:+.1%} of the ideal {ideal:g} s; {calls} requests, {Call.objects.count()} calls entered"
    )


@contextmanager
def processes(slots: int, seconds: float) -> Iterator[str]:
    """The sandbox, and one worker that asks it."""
    from jobs.management.embedded import free_port
    from jobs.models import Worker
    from processors.papers.sandbox import environment

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    ports = {"SANDBOX_SMTP_PORT": str(free_port()), "SANDBOX_WITHOUT_DEBUG": "true"}
    worker = ["celery", "-q", "-A", "config", "worker", "-Q", "ai", "-P", "threads", "-c", str(slots), "-l", "WARNING"]
    started = [
        subprocess.Popen([sys.executable, "manage.py", "sandbox", "--port", str(port)], env={**os.environ, **ports}),
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *worker, "--without-mingle", "--without-gossip"],
            env={**os.environ, **environment(f"{url}/papers")},
        ),
    ]
    try:
        until(lambda: Worker.objects.exists() and answers(url))
        for provider in PROVIDERS:
            httpx2.post(f"{url}/papers/{provider}/_control", json={"latency_ms": seconds * 1000}).raise_for_status()
        yield url
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)


def answers(url: str) -> bool:
    try:
        return httpx2.get(url).is_success
    except httpx2.TransportError:
        return False


def until_done() -> None:
    from jobs.models import Job

    until(lambda: not Job.objects.active().filter(type="ai_analysis").exists(), 600)


if __name__ == "__main__":
    main()
