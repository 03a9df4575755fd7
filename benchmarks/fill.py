"""`python -m benchmarks.fill`: a million jobs as a busy week leaves them, to look at pages and plans with.

    python -m benchmarks.fill --jobs 1000000 --folder /tmp/filled

starts a Postgres and a Valkey of its own, with their data in that folder, fills them if they are empty, prints the
`DATABASE_URL` and `REDIS_URL` for `manage.py` and uvicorn, and keeps the made-up workers beating until Ctrl-C. With
`DATABASE_URL` set it fills that database instead, which must be migrated and without jobs, and ends. In code:
`fill(1_000_000)`. It takes about two minutes, and the jobs are the same each time but for when they were. Start no
worker on it: most types exist nowhere.

Of all jobs 95 % are completed and 0.5 % cancelled within the last day, 2.5 % failed within the last week, 1.5 % wait
(a third of them in a paused queue), 0.5 % are scheduled and 60 run. Their failures, log lines, events and roll-ups are
there too, the latter for 34 days.
"""

import argparse
import os
import secrets
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

# Type, queue, share of all, usual ms.
TYPES = [
    ("bgg_sync", "bgg", 0.24, 400),
    ("bgg_bulk_sync", "bgg", 0.02, 9_000),
    ("cache_warmup", "bgg", 0.01, 4_000),
    ("send_promotion", "default", 0.18, 120),
    ("process_opportunity", "default", 0.12, 60),
    ("token_refresh", "default", 0.14, 250),
    ("wallet_sync", "default", 0.11, 900),
    ("mail_digest", "default", 0.06, 300),
    ("paper_extraction", "cpu", 0.05, 6_000),
    ("ai_analysis", "cpu", 0.04, 18_000),
    ("market_report", "cpu", 0.02, 2_500),
    ("image_resize", "cpu", 0.01, 80),
]
# Class, message, classification. %s becomes a number.
ERRORS = [
    ("UpstreamUnavailable", "the upstream answered 503 to request %s", "retryable"),
    ("ReadTimeout", "no answer within 30 s to request %s", "retryable"),
    ("RateLimited", "429 from the upstream, again in %s s", "rate-limited"),
    ("JobTimeout", "the job ran longer than its 300 s", "timeout"),
    ("WorkerLost", "io@node-%s:1 stopped renewing its lease", "worker-lost"),
    ("Discard", "there is no game %s", "permanent"),
    ("ValidationError", "field price of listing %s: not a number", "permanent"),
    ("SMTPServerDisconnected", "connection closed while sending %s", "retryable"),
    ("KeyError", "'total'", "retryable"),
    ("IntegrityError", "duplicate key value: (id)=(%s)", "retryable"),
]

PREPARE = """
SELECT setseed(0.42);
CREATE TEMP TABLE kind (low float8, high float8, type text, queue text, ms float8);
CREATE TEMP TABLE error (number int, name text, message text, classification text, fingerprint text);
CREATE FUNCTION pg_temp.id_at(moment timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid $$;
"""
# Where a job stands is decided by its number; when it ended, how long it waited and ran, by chance.
JOBS = """
INSERT INTO jobs_job (id, type, payload, result, queue, priority, status, run, attempt, max_attempts, timeout,
    created_at, scheduled_at, expires_at, claimed_at, started_at, finished_at, lease_expires_at, worker, progress,
    created_by, tags, request_id, schedule)
SELECT pg_temp.id_at(created_at), type,
    jsonb_build_object('gameId', (n::bigint * 7919) %% 50000, 'userId', n %% 9973,
        'locale', (ARRAY['en', 'de', 'fr'])[1 + n %% 3]),
    CASE WHEN status = 'completed' THEN CASE WHEN type = 'cache_warmup'
        THEN jsonb_build_object('hits', n %% 40, 'misses', n %% 10) ELSE jsonb_build_object('items', n %% 100) END END,
    queue, (ARRAY[5, 5, 5, 5, 5, 5, 3, 3, 8, 1])[1 + n %% 10], status,
    CASE WHEN status IN ('pending', 'scheduled') THEN 0 ELSE attempt END,
    CASE WHEN status IN ('pending', 'scheduled') THEN 0 ELSE attempt END, 4, 300,
    created_at, due_at, NULL, started_at, started_at,
    CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN ended_at END,
    CASE WHEN status = 'processing' THEN now() + interval '1 day' END,
    CASE WHEN status NOT IN ('pending', 'scheduled') THEN 'io@node-' || 1 + n %% 4 || ':1' END,
    CASE WHEN status = 'processing' THEN
        jsonb_build_object('run', 1, 'done', n %% 100, 'total', 100, 'percent', n %% 100,
            'note', 'page ' || n %% 100) END,
    (ARRAY['api:shop', 'api:crm', 'schedule', 'ann', ''])[1 + n %% 5],
    CASE WHEN n %% 20 = 0 THEN ARRAY['import', 'batch-' || n %% 50] ELSE '{}' END,
    CASE WHEN n %% 5 < 2 THEN md5(n::text) END, CASE WHEN n %% 5 = 2 THEN type || '-hourly' END
FROM (
    SELECT *, CASE status WHEN 'scheduled' THEN now() + random() * interval '1 day' ELSE created_at END AS due_at,
        CASE WHEN status NOT IN ('pending', 'scheduled') THEN ended_at - ran END AS started_at
    FROM (
        SELECT n, status, attempt, type, queue, ended_at, ran,
            CASE WHEN status IN ('pending', 'scheduled') THEN now() - random() * interval '40 minutes'
                WHEN status = 'processing' THEN now() - interval '2 minutes' * random()
                ELSE ended_at - ran - waited END AS created_at
        FROM (
            SELECT n, status, 1 + CASE WHEN status = 'failed' THEN 3 WHEN n %% 50 = 0 THEN 1 ELSE 0 END AS attempt,
                kind.type, kind.queue, CASE WHEN status = 'processing' THEN now()
                    ELSE now() - random() * CASE WHEN status = 'failed' THEN interval '7 days' ELSE interval '1 day' END
                    END AS ended_at,
                kind.ms * exp(0.8 * sqrt(-2 * ln(1 - random())) * cos(6.2831853 * random())) * interval '1 millisecond'
                    AS ran,
                CASE WHEN random() < 0.03 THEN 20000 ELSE 40 END * -ln(1 - random()) * interval '1 millisecond'
                    AS waited
            FROM (SELECT n, random() AS share, CASE WHEN n <= 60 THEN 'processing'
                    WHEN n %% 200 < 190 THEN 'completed' WHEN n %% 200 < 195 THEN 'failed' WHEN n %% 200 = 195 THEN
                    'cancelled' WHEN n %% 200 < 199 THEN 'pending' ELSE 'scheduled' END AS status
                FROM generate_series(1, %(jobs)s) AS n) AS job
            JOIN kind ON share >= low AND share < high) AS timed) AS begun) AS made
"""
FAILURES = """
INSERT INTO jobs_failure (job_id, run, attempt, error, message, traceback, classification, fingerprint, worker,
    started_at, failed_at)
SELECT j.id, a.attempt, a.attempt, e.name,
    replace(e.message, '%%s', (abs(hashtext(j.id::text)::bigint) %% 100000)::text),
    E'Traceback (most recent call last):\\n  File "tasks.py", line 42, in ' || j.type || E'\\n    call(payload)\\n'
        || e.name || ': ' || e.message,
    e.classification, e.fingerprint, coalesce(j.worker, ''), j.started_at,
    j.finished_at - (j.attempt - a.attempt) * interval '30 seconds'
FROM jobs_job j CROSS JOIN LATERAL generate_series(1, CASE j.status WHEN 'failed' THEN j.attempt ELSE j.attempt - 1 END)
    AS a(attempt)
JOIN error e ON e.number = floor(%(errors)s * ((abs(hashtext(j.id::text)::bigint) %% 1000) / 1000.0) ^ 2)
WHERE j.status IN ('completed', 'failed')
"""
LOG_LINES = """
INSERT INTO jobs_logline (job, run, level, message, at)
SELECT id, run, 20, 'page ' || line || ' of 8 read', started_at + line * interval '1 ms'
FROM jobs_job CROSS JOIN generate_series(1, 8) AS line WHERE status IN ('failed', 'processing')
"""
EVENTS = """
INSERT INTO jobs_event (job_id, queue, schedule, subject, kind, actor, before, after, reason, at)
SELECT id, '', '', '', 'cancelled', 'ann', '{"status": "pending"}', '{"status": "cancelled"}', '', finished_at
FROM jobs_job WHERE status = 'cancelled'
"""
WORKERS = """
INSERT INTO jobs_worker (name, pool, queues, concurrency, running, stuck, processed, failed, draining, started_at)
SELECT 'io@node-' || n || ':1', 'threads', ARRAY(SELECT name::text FROM jobs_queue ORDER BY name), 32, 15, 0, 250000,
    5000, false, now() - interval '3 days' FROM generate_series(1, 4) AS n
"""
# The last whole day again for each of the 33 before it.
HISTORY = """
INSERT INTO jobs_rollup (period, at, type, queue, outcome, count, wait_ms, run_ms, waits, runs)
SELECT period, at - day * interval '1 day', type, queue, outcome, count, wait_ms, run_ms, waits, runs
FROM jobs_rollup CROSS JOIN generate_series(1, 33) AS day
WHERE period = 3600 AND at >= date_trunc('hour', now()) - interval '24 hours' AND at < date_trunc('hour', now())
ON CONFLICT (period, at, type, queue, outcome) DO UPDATE SET count = excluded.count WHERE excluded.outcome = 'enqueued'
"""


def fill(jobs: int = 1_000_000) -> None:
    """Make so many jobs, with all that belongs to them, in Django's database."""
    from django.db import connection, transaction
    from django.utils import timezone

    from jobs import lifecycle, rollups
    from jobs.models import Period

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute(PREPARE)
        cursor.executemany("INSERT INTO kind VALUES (%s, %s, %s, %s, %s)", _kinds())
        cursor.executemany("INSERT INTO error VALUES (%s, %s, %s, %s, %s)", _errors())
        cursor.execute(JOBS, {"jobs": jobs})
        cursor.execute("ANALYZE jobs_job")
        cursor.execute(FAILURES, {"errors": len(ERRORS)})
        for statement in (LOG_LINES, EVENTS, WORKERS, "DROP TABLE kind, error"):
            cursor.execute(statement)
        lifecycle.pause("cpu", actor="ann", reason="new machines on Monday")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE jobs_job, jobs_failure, jobs_logline, jobs_event")
        while rollups.roll_up(timedelta(hours=6)):
            pass
        rollups.roll_up_errors()
        cursor.execute(HISTORY)
        now = timezone.now()
        rollups.derive_sums(now - rollups.KEPT[Period.HOUR], now)
        cursor.execute("VACUUM ANALYZE jobs_rollup, jobs_errorrollup, jobs_errorgroup")


def _kinds() -> list[tuple[float, float, str, str, float]]:
    low, kinds = 0.0, []
    for name, queue, share, ms in TYPES:
        kinds.append((low, low + share, name, queue, float(ms)))
        low += share
    return kinds


def _errors() -> list[tuple[int, str, str, str, str]]:
    from jobs.lifecycle import Error

    return [
        (
            number,
            name,
            message,
            classification,
            Error(name, message % 7 if "%s" in message else message, "", "").fingerprint,
        )
        for number, (name, message, classification) in enumerate(ERRORS)
    ]


def beat() -> None:
    """What the workers would do."""
    from django.db.models.functions import Now

    from jobs.models import Worker

    Worker.objects.update(heartbeat_at=Now())


def _setup() -> None:
    import django
    from django.core.management import call_command

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    call_command("migrate", verbosity=0)


def _fill_if_empty(jobs: int) -> None:
    from jobs.models import Job

    if Job.objects.exists():
        print("It has jobs already and is left as it is.")
        return
    begin = time.monotonic()
    fill(jobs)
    print(f"{jobs:,} jobs in {time.monotonic() - begin:.0f} s")


def _serve(jobs: int, folder: Path) -> None:
    from jobs.management import embedded

    postgres, valkey = embedded.Postgres(folder), embedded.Valkey(folder)
    try:
        embedded.export(postgres, valkey)
        os.environ.update(DEBUG="0", SECRET_KEY=secrets.token_urlsafe(48), ALLOWED_HOSTS="localhost")
        _setup()
        _fill_if_empty(jobs)
        print(f"export DATABASE_URL='{postgres.url}' REDIS_URL='{valkey.url}'", flush=True)
        while True:
            beat()
            time.sleep(10)
    except KeyboardInterrupt:
        pass
    finally:
        valkey.stop()
        postgres.stop()


def main() -> None:
    options: Any = argparse.ArgumentParser(prog="benchmarks.fill", description=__doc__)
    options.add_argument("--jobs", type=int, default=1_000_000)
    options.add_argument("--folder", type=Path, default=Path("/tmp/jobyard-filled"))  # noqa: S108
    chosen = options.parse_args()
    if os.environ.get("DATABASE_URL"):
        _setup()
        _fill_if_empty(chosen.jobs)
    else:
        _serve(chosen.jobs, chosen.folder)


if __name__ == "__main__":
    main()
