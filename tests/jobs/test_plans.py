"""Every statement that runs often finds its rows by an index, whatever Postgres knows of the table.

Size: JOBYARD_PLAN_ROWS finished jobs, up to 5,000,000 in a run by hand.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from celery.result import AsyncResult
from django.db import connection, transaction
from pytest_django.plugin import DjangoDbBlocker

from jobs import firing, lifecycle
from jobs.lifecycle import Outcome, Verb
from jobs.models import Chord, Event, Failure, Job, Queue, Status
from tests.jobs.plans import TABLE, plans
from tests.jobs.rows import BROKEN, WORKER, claim, enqueued, new

ROWS = int(os.environ.get("JOBYARD_PLAN_ROWS", 200_000))
QUEUES = [f"plan_{number}" for number in range(20)]  # the first one is paused
GROUP = UUID("01a00000-0000-7000-8000-00000000000a")
PKEY, READY, DUE, RUNNING = "jobs_job_pkey", "job_ready", "job_due", "job_running"

FINISHED = """
INSERT INTO jobs_job (id, type, payload, queue, priority, status, run, attempt, max_attempts, timeout, created_at,
    scheduled_at, claimed_at, started_at, finished_at, worker, tags, created_by, parent, "group")
SELECT gen_random_uuid(), 'type_' || n % 5, '{{}}', 'plan_' || n % 20, 5,
    CASE WHEN n % 20 = 0 THEN 'failed' WHEN n % 20 = 1 THEN 'cancelled' ELSE 'completed' END, 1, 1, 3, 60, at,
    at, at, at, at, 'w:1', '{{}}', '',
    CASE WHEN n % 10 = 0 THEN gen_random_uuid() END, CASE WHEN n % 10 = 1 THEN gen_random_uuid() END
FROM (SELECT n, now() - n * interval '30 days' / {rows} AS at FROM generate_series(1, {rows}) AS n) AS old
"""
# Pending, 10,000 of them in the paused queue; scheduled, a few due; running, a few stalled.
ACTIVE = """
INSERT INTO jobs_job (id, type, payload, queue, priority, status, run, attempt, max_attempts, timeout, created_at,
    scheduled_at, expires_at, lease_expires_at, worker, tags, created_by, unique_key)
SELECT gen_random_uuid(), 'type_' || n % 5, '{}', 'plan_' || CASE WHEN n < 10000 THEN 0 ELSE n % 20 END, 1 + n % 10,
    CASE WHEN n < 20000 THEN 'pending' WHEN n < 22000 THEN 'scheduled' ELSE 'processing' END, 0, 0, 3, 60, now(),
    now() + CASE WHEN n BETWEEN 20100 AND 21999 THEN interval '1 day' ELSE interval '-1 minute' END,
    CASE WHEN n BETWEEN 19950 AND 19999 THEN now() - interval '1 minute' END,
    CASE WHEN n >= 22050 THEN now() + interval '1 day' WHEN n >= 22000 THEN now() - interval '1 minute' END,
    CASE WHEN n >= 22000 THEN 'w:' || n % 4 END, '{}', '', CASE WHEN n % 7 = 0 THEN 'key ' || n END
FROM generate_series(1, 22500) AS n
"""
FORGET = [
    "SET allow_system_table_mods = on",
    "DELETE FROM pg_statistic WHERE starelid = 'jobs_job'::regclass",
    """UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid = 'jobs_job'::regclass
        OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'jobs_job'::regclass)""",
    "SET allow_system_table_mods = off",
]


def run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture(scope="module")
def finished_jobs(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A table that has seen many jobs."""
    with django_db_blocker.unblock():
        run(f"TRUNCATE {TABLE}", f"ALTER TABLE {TABLE} SET (autovacuum_enabled = off)")
        run(FINISHED.format(rows=ROWS), f"VACUUM {TABLE}")
        Queue.objects.bulk_create([Queue(name=name) for name in QUEUES])
        lifecycle.pause(QUEUES[0], actor="ann")
        yield
        Queue.objects.filter(name__in=QUEUES).delete()
        Event.objects.all().delete()
        run(f"TRUNCATE {TABLE}", f"ALTER TABLE {TABLE} RESET (autovacuum_enabled)", *FORGET)


@pytest.fixture(
    scope="module", params=["analysed while the queue was empty", "analysed with its backlog", "never analysed"]
)
def knowledge(request: pytest.FixtureRequest, finished_jobs: None, django_db_blocker: DjangoDbBlocker) -> str:
    """What Postgres knows of the table."""
    with django_db_blocker.unblock():
        Job.objects.active().delete()
        if request.param == "analysed while the queue was empty":
            run(f"ANALYZE {TABLE}", ACTIVE)
        elif request.param == "analysed with its backlog":
            run(ACTIVE, f"ANALYZE {TABLE}")
        else:
            run(ACTIVE, *FORGET)
    known: str = request.param
    return known


def ids(status: Status, count: int = 50) -> list[UUID]:
    """Some of the jobs in this status, from everywhere in the table."""
    return list(Job.objects.filter(status=status).order_by("id").values_list("id", flat=True)[:count])


def held() -> list[tuple[UUID, int]]:
    return [(job, 0) for job in ids(Status.PROCESSING)]


def chord() -> Chord:
    """A chord of three, the last of which runs."""
    step = {"id": str(new().id), "type": "improvise", "payload": {}, "queue": "cpu", "priority": 5}
    body = [{**step, "max_attempts": 1, "timeout": 60.0}]
    members = ids(Status.COMPLETED, 2) + ids(Status.PROCESSING, 1)
    member = {"chord": {"id": str(GROUP), "index": 0, "size": 3, "body": body}}
    Job.objects.filter(id__in=members).update(group=GROUP, canvas=member)
    return Chord.objects.create(id=GROUP, size=3, body=body)


def running_member() -> UUID:
    chord()
    return Job.objects.get(group=GROUP, status=Status.PROCESSING).id


def finish(verb: Verb, **fields: Any) -> Callable[[list[tuple[UUID, int]]], Any]:
    return lambda runs: lifecycle.finish([Outcome(*run, verb, **fields) for run in runs])


# What is done, with what was looked up before; which indexes may be used; how many rows may be looked at.
HOT: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], set[str], int]] = {
    "claim": (lambda: None, lambda _: claim(50, *QUEUES), {READY, PKEY}, 20 * 50 + 200),
    "claim of one queue": (lambda: None, lambda _: claim(50, QUEUES[3]), {READY, PKEY}, 200),
    "claim of a paused queue": (lambda: None, lambda _: claim(50, QUEUES[0]), {READY, PKEY}, 0),
    "claim of these": (
        lambda: ids(Status.PENDING),
        lambda jobs: lifecycle.claim_these(jobs, worker=WORKER, lease=30.0),
        {PKEY},
        50,
    ),
    "room": (lambda: Queue.objects.update(max_running=9), lambda _: lifecycle.room(QUEUES[:3]), {RUNNING}, 501),
    "complete": (held, finish(Verb.COMPLETE, result="1"), {PKEY}, 50),
    "retry": (held, finish(Verb.RETRY, delay=5.0, error=BROKEN), {PKEY}, 50),
    "give back": (held, finish(Verb.GIVE_BACK), {PKEY}, 50),
    "renew": (held, lambda runs: lifecycle.renew(runs, 30.0), {PKEY}, 100),
    "lost": (held, lifecycle.lost, {PKEY}, 50),
    "progress": (lambda: held()[0], lambda run: lifecycle.record_progress(run[0], run[1], "{}"), {PKEY}, 1),
    "promote": (lambda: None, lambda _: lifecycle.promote(), {DUE, PKEY}, 200),
    "next": (lambda: None, lambda _: lifecycle.seconds_to_next(), {DUE}, 1),
    "stalled": (lambda: None, lambda _: lifecycle.rescue(), {RUNNING, PKEY}, 501 + 50),
    "start over": (lambda: None, lambda _: lifecycle.start_over("w:1", []), {RUNNING, PKEY}, 501 + 130),
    "enqueue one": (lambda: new(), lambda job: lifecycle.enqueue([job]), set(), 0),
    "enqueue many": (lambda: [new() for _ in range(100)], lifecycle.enqueue, set(), 0),
    "enqueue a taken key": (
        lambda: enqueued(unique_key="k"),
        lambda _: enqueued(unique_key="k"),
        {PKEY, "job_one_active_per_key"},
        1,
    ),
    "chord checks": (
        running_member,
        lambda job: lifecycle.finish([Outcome(job, 0, Verb.COMPLETE)]),
        {PKEY, "job_group", "job_group_active"},
        10,
    ),
    "members' results": (chord, lambda made: lifecycle.member_results(made.id), {"job_group"}, 3),
    "cancel": (
        lambda: ids(Status.PENDING) + ids(Status.PROCESSING),
        lambda jobs: lifecycle.cancel(jobs, actor="ann"),
        {PKEY},
        500,
    ),
    "retry by hand": (
        lambda: ids(Status.FAILED),
        lambda jobs: lifecycle.retry(jobs, actor="ann"),
        {PKEY, "job_one_active_per_key"},
        200,
    ),
    "set priority": (
        lambda: ids(Status.PENDING),
        lambda jobs: lifecycle.set_priority(jobs, 9, actor="ann"),
        {PKEY},
        100,
    ),
    "run now": (
        lambda: ids(Status.SCHEDULED),
        lambda jobs: lifecycle.run_now(jobs, actor="ann"),
        {PKEY},
        100,
    ),
    "remove": (
        lambda: ids(Status.PENDING) + ids(Status.FAILED),
        lambda jobs: lifecycle.remove(jobs, actor="ann"),
        {PKEY},
        500,
    ),
    "clean": (
        lambda: None,
        lambda _: lifecycle.clean(QUEUES[3], Status.COMPLETED, 86400.0, 50, actor="ann"),
        {"job_ended", PKEY},
        20 * 50 + 200,
    ),
    "expire": (lambda: None, lambda _: lifecycle.expire(), {"job_expiring", PKEY}, 250),
    "prune": (
        lambda: None,
        lambda _: lifecycle.prune(Status.COMPLETED, 86400.0, 100, but_types=["type_1", "type_2"]),
        {"job_ended", PKEY},
        600,
    ),
    "prune a type": (
        lambda: None,
        lambda _: lifecycle.prune(Status.FAILED, 86400.0, 100, of_type="type_0"),
        {"job_ended_by_type", "job_ended", PKEY},
        1000,
    ),
    "prune where nothing is old": (
        lambda: None,
        lambda _: lifecycle.prune(Status.COMPLETED, 365 * 86400.0, 100, of_type="type_1"),
        {"job_ended_by_type", "job_ended", PKEY},
        0,
    ),
    "prune chords": (
        chord,
        lambda _: lifecycle.prune_chords(-60.0, -60.0),
        {PKEY, "job_group_active"},
        5,
    ),
    "a schedule's active job": (
        lambda: None,
        lambda _: firing.active_job("nightly"),
        {"job_schedule_active"},
        0,
    ),
    "results": (
        lambda: ids(Status.FAILED, 1)[0],
        lambda job: AsyncResult[Any](str(job)).state,
        {PKEY, "job_parent"},
        1,
    ),
}


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("statement", HOT)
@pytest.mark.django_db
def test_the_whole_table_is_never_read(statement: str, generic: bool, knowledge: str) -> None:
    prepare, act, allowed, most = HOT[statement]
    if statement in ("prune", "clean") and knowledge == "never analysed":
        most = ROWS  # all that is old, sorted: Postgres takes it for a dozen rows
    with transaction.atomic():
        prepared = prepare()
        with plans(generic=generic) as seen:
            act(prepared)
        transaction.set_rollback(True)
    assert seen.scanned == []
    assert seen.indexes <= allowed
    assert seen.touched <= most


@pytest.mark.parametrize("statement", ["finish", "renew", "lost"])
@pytest.mark.django_db
def test_a_run_is_compared_with_its_own_row_only(statement: str, knowledge: str) -> None:
    act = finish(Verb.COMPLETE, result="1") if statement == "finish" else HOT[statement][1]
    with transaction.atomic():
        runs = [job.key for job in lifecycle.claim(dict.fromkeys(QUEUES, 300), 300, worker=WORKER, lease=60.0)]
        with plans(generic=False) as seen:
            act(runs)
        transaction.set_rollback(True)
    assert len(runs) == 300
    assert seen.compared <= 300


@pytest.mark.django_db
def test_the_test_itself_sees_a_scan(knowledge: str) -> None:
    with plans(generic=False) as seen:
        assert Job.objects.filter(created_by="nobody").count() == 0
    assert len(seen.scanned) == 1
    assert seen.touched >= ROWS
    assert Failure.objects.count() == 0
