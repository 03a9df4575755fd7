"""What a job may return, raise or be given without harm to any other job, or to its worker."""

import json
from collections.abc import Collection
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models.functions import Now

from jobs.models import Job, Status
from jobs.processor import enqueue_many
from tests.integration.jobtypes.journal import Journal
from tests.integration.jobtypes.tasks import mourn, nap, noop, poison
from tests.integration.workers import Start, statuses, wait_for, wait_for_end

BOTH = ("threads", "prefork")

# kind, error, classification, the start of its message
UNSTORABLE = [
    ("nul", "InvalidResult", "permanent", "the result is not storable: a NUL character in a string"),
    ("nan", "InvalidResult", "permanent", "the result is not JSON: Out of range float values"),
    ("surrogate", "InvalidResult", "permanent", "the result is not JSON: a lone surrogate in a string"),
    ("object", "InvalidResult", "permanent", "the result is not JSON: Object of type set is not JSON"),
    ("big", "InvalidResult", "permanent", "the result is too large: 10,000,002 bytes of JSON, the limit is"),
    ("surrogate in a message", "Discard", "permanent", "\ufffd and \ufffd"),
    ("surrogate in a failure", "ValueError", "retryable", "\ufffd and \ufffd"),
    ("awkward", "Awkward", "retryable", "code 7"),
]
UNEXPECTED = [
    ("exit", "SystemExit", "retryable", "3"),
    ("interrupt", "KeyboardInterrupt", "retryable", ""),
    ("memory", "MemoryError", "retryable", "all of it"),
    ("recursion", "RecursionError", "retryable", "maximum recursion depth exceeded"),
]


def among_others(kinds: Collection[str], others: int = 60) -> tuple[dict[str, UUID], list[UUID]]:
    """One job of each kind, and short ones between them: all in one commit, so that they are claimed together."""
    jobs: list[tuple[Any, dict[str, Any]]] = [(noop, {"number": 1})] * others
    for place, kind in enumerate(kinds):
        jobs.insert(place * others // len(kinds), (poison, {"kind": kind}))
    made = [enqueued.id for enqueued in enqueue_many(jobs)]
    poisoned = dict(Job.objects.filter(type="poison").values_list("payload__kind", "id"))
    return poisoned, [job for job in made if job not in poisoned.values()]


@pytest.mark.parametrize("pool", BOTH)
@pytest.mark.parametrize("expected", [UNSTORABLE, UNEXPECTED], ids=["unstorable", "unexpected"])
def test_a_poisoned_job_fails_alone(start: Start, pool: str, expected: list[tuple[str, str, str, str]]) -> None:
    worker = start(pool, 2)
    children = worker.children() if pool == "prefork" else []
    poisoned, others = among_others([kind for kind, *_ in expected])
    wait_for_end([*poisoned.values(), *others])
    for kind, error, classification, message in expected:
        row = Job.objects.get(id=poisoned[kind])
        assert (row.status, row.attempt, row.losses, row.result) == (Status.FAILED, 1, 0, None), kind
        failure = row.failures.get()
        assert (failure.error, failure.classification) == (error, classification)
        assert failure.message.startswith(message)
        assert error in failure.traceback
    assert set(Job.objects.filter(id__in=others).values_list("status", "attempt", "losses")) == {
        (Status.COMPLETED, 1, 0)
    }
    # Nobody was harmed: the same processes, no complaint of the feed, all slots at work.
    assert pool != "prefork" or worker.children() == children
    assert "refused" not in worker.log.read_text()
    more = [made.id for made in enqueue_many([(noop, {"number": 1})] * 20)]
    wait_for_end(more)
    assert statuses(more) == {Status.COMPLETED: 20}


def test_a_payload_that_no_longer_fits_is_discarded(start: Start, journal: Journal) -> None:
    misfits: list[tuple[Any, str]] = [
        ({"journal": journal.path, "unknown": 1}, "nap: unknown: Extra inputs are not permitted"),
        ({"seconds": "soon"}, "nap: journal: Field required; seconds: Input should be a valid number"),
        ([journal.path], "nap: expected an object, got list"),
        ({"args": [], "kwargs": {}}, "mourn() missing 1 required positional argument: 'failed'"),
        ({"arguments": []}, 'mourn: expected {"args": [...], "kwargs": {...}}'),
        ("z", "mourn: expected an object, got str"),
    ]
    jobs = [nap.enqueue({"journal": journal.path}).id for _ in range(3)] + [UUID(mourn.delay("").id) for _ in range(3)]
    with connection.cursor() as cursor:
        for job, (payload, _) in zip(jobs, misfits, strict=True):
            cursor.execute("UPDATE jobs_job SET payload = %s WHERE id = %s", [json.dumps(payload), job])
    fitting = noop.enqueue({"number": 2}).id
    start()
    wait_for_end([*jobs, fitting])
    rows = Job.objects.filter(id__in=jobs)
    assert set(rows.values_list("status", "attempt", "failures__classification")) == {(Status.FAILED, 1, "permanent")}
    for job, (_, message) in zip(jobs, misfits, strict=True):
        assert rows.get(id=job).failures.get().message.startswith(message)
    assert not journal.lines()
    assert Job.objects.get(id=fitting).result == 2


def test_a_type_that_a_worker_does_not_know_is_put_off_for_one_that_does(start: Start) -> None:
    start(DJANGO_SETTINGS_MODULE="config.settings")
    once, thrice = poison.enqueue({"kind": "nothing"}).id, noop.enqueue({"number": 3}).id
    ids = [once, thrice]
    wait_for(lambda: statuses(ids) == {Status.SCHEDULED: 2}, "both to be put off")
    assert set(Job.objects.values_list("run", "attempt", "losses")) == {(1, 0, 0)}
    start(JOB_QUEUE_POLL_INTERVAL="20")  # often the first: the other one is still there, and gets them again

    def is_done() -> bool:
        Job.objects.filter(id__in=ids, status=Status.SCHEDULED).update(scheduled_at=Now())
        return not Job.objects.active().exists()

    wait_for(is_done, "a worker that knows them")
    assert Job.objects.get(id=once).failures.order_by("-run")[0].message == "nothing"
    row = Job.objects.get(id=thrice)
    assert (row.status, row.result, row.attempt) == (Status.COMPLETED, 3, 1)
