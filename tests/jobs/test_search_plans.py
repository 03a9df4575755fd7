"""No page of a search reads the whole table.

Size: JOBYARD_PLAN_ROWS finished jobs, up to 5,000,000 in a run by hand.
"""

import os
from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from pytest_django.plugin import DjangoDbBlocker

from jobs.models import Failure, Job
from jobs.search import find, find_and_count, understand
from jobs.search.pages import FEW, WINDOW
from tests.jobs.plans import TABLE, plans
from tests.jobs.test_plans import FORGET

ROWS = int(os.environ.get("JOBYARD_PLAN_ROWS", 200_000))
ACTIVE = 2_000

# One in twenty failed; each payload value and each key once, each tag a hundred times.
FINISHED = """
INSERT INTO jobs_job (id, type, payload, queue, priority, status, run, attempt, max_attempts, timeout, created_at,
    scheduled_at, started_at, finished_at, worker, tags, created_by, unique_key)
SELECT gen_random_uuid(), 'type_' || n % 5, jsonb_build_object('gameId', n::text, 'rare', n = {rows}), 'plan_' || n % 4,
    5, CASE WHEN n % 20 = 0 THEN 'failed' ELSE 'completed' END, 1, 1, 3, 60, at, at, at, at, 'w:1',
    array['tag ' || n % ({rows} / 100)], '', 'key ' || n
FROM (SELECT n, now() - n * interval '7 days' / {rows} AS at FROM generate_series(1, {rows}) AS n) AS old
"""
WAITING = """
INSERT INTO jobs_job (id, type, payload, queue, priority, status, run, attempt, max_attempts, timeout, created_at,
    scheduled_at, tags, created_by)
SELECT gen_random_uuid(), 'type_1', '{{}}', 'plan_' || n % 4, 5,
    CASE WHEN n % 2 = 0 THEN 'pending' ELSE 'scheduled' END, 0, 0, 3, 60, clock_timestamp(),
    now() + n * interval '1 second', '{{}}', '' FROM generate_series(1, {rows}) AS n
"""
FAILURES = """
INSERT INTO jobs_failure
    (job_id, run, attempt, error, message, traceback, classification, fingerprint, worker, failed_at)
SELECT id, 1, 1, 'ValueError', 'broken', '', 'retryable', md5((row_number() OVER () / 10)::text), '', finished_at
FROM jobs_job WHERE status = 'failed'
"""


def run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture(scope="module")
def many_jobs(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        run(f"TRUNCATE {TABLE}", f"ALTER TABLE {TABLE} SET (autovacuum_enabled = off)")
        run(FINISHED.format(rows=ROWS), WAITING.format(rows=ACTIVE), FAILURES)
        run(f"VACUUM ANALYZE {TABLE}", "ANALYZE jobs_failure")
        yield
        Failure.objects.all().delete()
        run(f"TRUNCATE {TABLE}", f"ALTER TABLE {TABLE} RESET (autovacuum_enabled)", *FORGET)


LITTLE = 3 * ACTIVE + 500  # the waiting ones are looked through a few times
COUNTED = 2 * FEW + LITTLE
# What is asked for, and how many rows, index entries among them, a page may look at.
PAGES = {
    "": 200,
    "status:failed": 200,
    "status:completed": 200,
    "status:scheduled": LITTLE,
    "status:pending": LITTLE,
    "status:processing": 200,
    "payload.gameId:777": LITTLE,
    "status:failed payload.rare:true": LITTLE,
    'tag:"tag 7"': LITTLE,
    '-type:type_1 tag:"tag 7" attempt:>0': LITTLE,
    "key:9": LITTLE,
    "type:type_1": COUNTED,
    "status:failed type:type_0": COUNTED,
    "type:nothing": LITTLE,
    "created:>3d": 200,
    "status:completed finished:>3d": 200,
    "attempt:>7": 3 * WINDOW,
    "queue:nothing": 3 * WINDOW,
    "status:completed run:>1h": 3 * WINDOW,
    "00000000": LITTLE,
}


@pytest.mark.parametrize("query", PAGES)
@pytest.mark.django_db
def test_a_page_looks_at_few_rows(query: str, many_jobs: None) -> None:
    with transaction.atomic(), plans(generic=False) as seen:
        page = find(understand(query))
    assert seen.scanned == []
    assert seen.touched <= PAGES[query]
    assert page.jobs or page.looked_at or page.next == ""


@pytest.mark.parametrize("query", ["payload.gameId:777", 'tag:"tag 7"', "key:9", "status:failed"])
@pytest.mark.django_db
def test_so_do_the_counts_of_tabs(query: str, many_jobs: None) -> None:
    with transaction.atomic(), plans(generic=False) as seen:
        find_and_count(understand(query))
    assert seen.touched <= 2 * LITTLE + 4 * 10_001


@pytest.mark.django_db
def test_an_error_is_found_by_its_fingerprint(many_jobs: None) -> None:
    fingerprint = Failure.objects.values_list("fingerprint", flat=True)[0]
    with transaction.atomic(), plans(generic=False) as seen:
        page = find(understand(f"error:{fingerprint}"))
    assert 1 <= len(page.jobs) <= 10
    assert seen.scanned == []
    assert Job.objects.count() == ROWS + ACTIVE
