"""`python -m benchmarks.pages`: how long each page and list takes with a million jobs, and which statement is slowest.

    python -m benchmarks.pages --jobs 1000000 --rounds 20
    python -m benchmarks.pages --only /jobs/queues

Fills servers of its own (see `benchmarks.fill`), then asks for each address in this process, so the times are the
server's, without network: the 95th percentile of all rounds, and the slowest statement's median. The first round
is not counted. Marked are pages over 150 ms and statements over 50 ms.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.fill import beat, fill
from benchmarks.servers import servers

PAGE, STATEMENT = 150.0, 50.0  # ms
Timed = tuple[str, float]


def main() -> None:
    options = argparse.ArgumentParser(prog="benchmarks.pages", description=__doc__)
    options.add_argument("--jobs", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--only", default="", help="addresses that contain this")
    chosen = options.parse_args()
    with servers():
        _set_up()
        fill(chosen.jobs)
        measure(chosen.rounds, chosen.only)


def _set_up() -> None:
    import os

    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    settings.STATIC_ROOT = Path(tempfile.mkdtemp())
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    call_command("migrate", verbosity=0)


def measure(rounds: int, only: str) -> None:
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client(HTTP_HOST="localhost")
    client.force_login(User.objects.create_superuser("ann"))
    print(f"{'address':<78} {'p95 ms':>7} {'size kB':>8} {'statements':>11} {'slowest ms':>11}")
    for address in addresses():
        if only not in address:
            continue
        beat()
        times, slow, size, number = [], defaultdict(list), 0, 0
        for turn in range(rounds + 1):
            with timed() as statements:
                begin = time.perf_counter()
                response: Any = client.get(address)
                body = b"".join(response.streaming_content) if response.streaming else response.content
                took = 1000 * (time.perf_counter() - begin)
            if response.status_code != 200:
                raise SystemExit(f"{address}: {response.status_code} {body[:500].decode(errors='replace')}")
            if turn:
                times.append(took)
                size, number = len(body), len(statements)
                for text, ms in statements:
                    slow[text].append(ms)
        text, ms = max(((text, statistics.median(all_ms)) for text, all_ms in slow.items()), key=lambda pair: pair[1])
        p95 = statistics.quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
        mark = " !" if p95 > PAGE or ms > STATEMENT else ""
        print(f"{address:<78} {p95:>7.0f} {size / 1000:>8.0f} {number:>11} {ms:>11.1f}{mark}", flush=True)
        if ms > STATEMENT:
            print(f"    {' '.join(text.split())[:400]}")


def addresses() -> Iterator[str]:
    """Every page and list, with filters that find much, little and nothing."""
    from jobs.models import ErrorGroup, Job, Status

    some: dict[str, Any] = {
        status: Job.objects.filter(status=status).values_list("pk", flat=True).first() for status in Status
    }
    yield from (f"/?range={name}" for name in ("15m", "1h", "24h", "7d", "30d"))
    yield "/jobs/"
    yield from (f"/jobs/?q=status:{status}" for status in Status)
    for query in (
        "type:bgg_sync",
        "type:image_resize status:failed",
        "queue:cpu status:pending",
        "payload.gameId:12345",
        "payload.locale:de status:failed",
        "error:ReadTimeout",
        "attempt:>1 status:completed",
        "run:>1m",
        "created:<2h",
        "tag:nothing",
        "type:nothing",
        "-type:bgg_sync",
        f"id:{some['completed']}",
    ):
        yield f"/jobs/?q={query.replace('>', '%3E').replace('<', '%3C').replace(' ', '+')}"
    yield from (f"/jobs/{job}" for job in some.values())
    yield "/jobs/new"
    yield "/jobs/queues"
    yield from (f"/jobs/queues/{name}" for name in ("bgg", "cpu", "default"))
    yield from ("/jobs/workers", "/jobs/schedules", "/jobs/errors", "/jobs/audit", "/jobs/alerts")
    yield f"/jobs/errors/{ErrorGroup.objects.values_list('pk', flat=True).first()}"
    yield from (
        "/api/jobs",
        "/api/jobs?status=failed",
        "/api/jobs?type=bgg_sync",
        "/api/jobs/health",
        "/api/jobs/types",
    )
    yield from (f"/api/jobs/{some['failed']}", f"/api/jobs/{some['completed']}?include=history")
    yield from ("/api/jobs/admin", "/api/jobs/admin?details=true")
    for name in ("stats", "failed", "active", "health", "metrics", "metrics/series?range=24h", "workers", "queues"):
        yield f"/api/admin/jobs/{name}"
    yield from (f"/api/admin/jobs/{name}" for name in ("queues/bgg", "scheduler", "errors"))
    for status in ("waiting", "active", "completed", "failed", "delayed", "paused"):
        yield f"/api/admin/jobs/queues/cpu/jobs?status={status}"
    yield from ("/admin/jobs/job/", "/admin/jobs/job/?status__exact=failed", "/admin/jobs/queue/", "/admin/jobs/event/")


@contextmanager
def timed() -> Iterator[list[Timed]]:
    """The statements of this block with their ms, Django's and our own."""
    statements: list[Timed] = []
    plain = psycopg.Cursor.execute

    def execute(self: Any, query: Any, params: Any = None, **options: Any) -> Any:
        begin = time.perf_counter()
        try:
            return plain(self, query, params, **options)
        finally:
            statements.append((str(query), 1000 * (time.perf_counter() - begin)))

    psycopg.Cursor.execute = execute  # type: ignore[method-assign]
    try:
        yield statements
    finally:
        psycopg.Cursor.execute = plain  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
