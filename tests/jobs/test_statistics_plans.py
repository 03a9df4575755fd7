"""Numbers never need a whole table, whatever Postgres knows of it: jobs by an index, history by few rows.

Size: JOBYARD_STATISTICS_ROWS jobs, as `benchmarks.fill` makes them; 1,000,000 in a run by hand.
"""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django.plugin import DjangoDbBlocker

from benchmarks.fill import fill
from jobs import metrics, rollups, statistics
from jobs.models import Event, Failure, Job, Worker
from jobs.rollups import floor
from tests.jobs import plans
from tests.jobs.history import rolled_up
from tests.jobs.rows import now

ROWS = int(os.environ.get("JOBYARD_STATISTICS_ROWS", 30_000))
JOB, ROLLUP, ERROR, FAILURE = "jobs_job", "jobs_rollup", "jobs_errorrollup", "jobs_failure"
WATCHED = f"ARRAY['{JOB}', '{ROLLUP}', '{ERROR}', '{FAILURE}']::regclass[]"
FORGET = f"""
SET allow_system_table_mods = on;
DELETE FROM pg_statistic WHERE starelid = ANY({WATCHED});
UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid = ANY({WATCHED})
    OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = ANY({WATCHED}));
SET allow_system_table_mods = off
"""  # noqa: S608
TABLES = "jobs_job, jobs_failure, jobs_logline, jobs_event, jobs_worker, jobs_rollup, jobs_errorrollup, jobs_errorgroup"


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture(scope="module")
def filled(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        run(f"TRUNCATE {TABLES}, jobs_rolledup")
        for table in (JOB, ROLLUP, ERROR, FAILURE):
            run(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        fill(ROWS)
        yield
        for table in (JOB, ROLLUP, ERROR, FAILURE):
            run(f"ALTER TABLE {table} RESET (autovacuum_enabled)")
        run("UPDATE jobs_queue SET paused_at = NULL, paused_by = '', reason = ''")
        run(f"TRUNCATE {TABLES}, jobs_rolledup")
        run(FORGET)


@pytest.fixture(scope="module", params=["analysed", "never analysed"])
def knowledge(request: pytest.FixtureRequest, filled: None, django_db_blocker: DjangoDbBlocker) -> None:
    """What Postgres knows of the tables."""
    with django_db_blocker.unblock():
        run(f"ANALYZE {TABLES}" if request.param == "analysed" else FORGET)


def a_minute_ago() -> None:
    rolled_up(floor(now(), 60) - timedelta(minutes=1))


LITTLE = ROWS // 100 + 200  # jobs of a few minutes, of 24 hours
COUNTED = metrics.COUNT_LIMIT + 2
# What is asked for, of which table, and how many of its rows or index entries may be looked at.
ASKED: dict[str, tuple[Callable[[], Any], str, int]] = {
    "roll up": (rollups.roll_up, JOB, LITTLE),
    "roll up errors": (rollups.roll_up_errors, JOB, LITTLE),
    "errors of the last minutes": (rollups.roll_up_errors, FAILURE, LITTLE),
    "the last minutes": (lambda: rollups.tallied_live(floor(now(), 60) - timedelta(minutes=1)), JOB, LITTLE),
    "oldest waiting": (metrics.oldest_waiting, JOB, 50),
    "summary of a day": (statistics.summary, ROLLUP, 24 * 120),
    "summary of a month": (lambda: statistics.summary("30d"), ROLLUP, 31 * 120),
    "series of an hour": (lambda: statistics.series("1h"), ROLLUP, 60 * 120),
    "series of a week": (lambda: statistics.series("7d"), ROLLUP, 168 * 120),
    "by type": (lambda: statistics.by_type("24h"), ROLLUP, 24 * 120),
    "by queue": (lambda: statistics.by_queue("7d"), ROLLUP, 32 * 120),
    "kinds of errors of a day": (
        lambda: statistics.error_groups(start=now() - timedelta(days=1)),
        ERROR,
        (120 + 24) * 120,
    ),
    "error statistics": (statistics.error_statistics, ERROR, 3 * 120),
}


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.django_db
def test_the_whole_table_is_never_read(
    asked: str, generic: bool, knowledge: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, table, most = ASKED[asked]
    monkeypatch.setattr(plans, "TABLE", table)
    with transaction.atomic():
        a_minute_ago()
        with plans.plans(generic=generic) as seen:
            ask()
        transaction.set_rollback(True)
    assert seen.scanned == []
    assert seen.touched <= most


@pytest.mark.parametrize(
    "ask", [metrics.totals, metrics.queue_status, metrics.queue_figures], ids=lambda ask: ask.__name__
)
@pytest.mark.django_db
def test_a_count_looks_at_no_more_than_it_counts(ask: Callable[[], Any], knowledge: None) -> None:
    with plans.plans(generic=False) as seen:
        ask()
    assert seen.touched <= 6 * 1.2 * COUNTED


@pytest.mark.django_db
def test_estimates_are_near_the_truth(filled: None) -> None:
    run(f"ANALYZE {TABLES}")
    completed = Job.objects.filter(status="completed").count()
    estimated = metrics.totals()[Job.Status.COMPLETED]
    assert estimated.approximate
    assert estimated.number == pytest.approx(completed, rel=0.1)
    by_queue = {figures.name: figures for figures in metrics.queue_figures()}
    for name in ("default", "bgg", "cpu"):
        truly = Job.objects.filter(queue=name, status="completed").count()
        assert by_queue[name].completed == pytest.approx(truly, rel=0.2)
        assert by_queue[name].approximate
    assert Worker.objects.count() == 4
    assert Failure.objects.exists()
    assert Event.objects.exists()
