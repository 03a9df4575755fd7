"""Celery's remote control on workers that take their jobs from Postgres."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import current_app

from jobs import lifecycle
from jobs.models import Job, Status
from tests.integration.jobtypes.journal import Journal
from tests.integration.jobtypes.tasks import nap, noop
from tests.integration.workers import Start, Worker, wait_for, wait_for_end

POOLS = ("threads", "prefork", "solo")


def ask(worker: Worker, command: str, **arguments: Any) -> Any:
    """The worker's answer; it may have to be asked again while it is busy connecting."""
    answers: list[Any] = []

    def answered() -> bool:
        asked = current_app.control.broadcast(
            command, arguments=arguments, destination=[worker.node], reply=True, timeout=5
        )
        answers.extend(asked or ())
        return bool(answers)

    wait_for(answered, f"an answer to {command}")
    return answers[0][worker.node]


@pytest.fixture
def naps(journal: Journal, gate: Path) -> Callable[..., list[Any]]:
    """Starts so many naps and waits until so many of them have begun."""

    def begin(count: int, begun: int, **options: Any) -> list[Any]:
        payload = {"journal": journal.path, "until": str(gate)}
        ids = [nap.enqueue(payload, **options).id for _ in range(count)]
        wait_for(lambda: sum(bool(journal.lines("start", job)) for job in ids) == begun, f"{begun} of them to begin")
        return ids

    return begin


@pytest.mark.parametrize("pool", POOLS)
def test_what_runs_is_shown(start: Start, naps: Callable[..., list[Any]], gate: Path, pool: str) -> None:
    worker = start(pool, 1).wait_until_connected()
    (job,) = naps(1, 1)
    assert ask(worker, "ping") == {"ok": "pong"}
    wait_for(lambda: ask(worker, "active"), "what runs to be shown")  # a pool's child begins before it says so
    (active,) = ask(worker, "active")
    assert (active["id"], active["name"], active["delivery_info"]["routing_key"]) == (str(job), "nap", "default")
    assert str(gate) in str(active["kwargs"])
    assert [queue["name"] for queue in ask(worker, "active_queues")] == ["default"]
    assert ask(worker, "query_task", ids=[str(job)])[str(job)][0] == "active"
    gate.touch()
    wait_for_end([job])
    wait_for(lambda: ask(worker, "active") == [], "nothing to be shown")
    assert ask(worker, "stats")["total"] == {"nap": 1}


def test_a_queue_is_added_and_taken_away(start: Start) -> None:
    worker = start("threads", 2).wait_until_connected()
    other = noop.enqueue({}, queue="cpu").id
    wait_for_end([noop.enqueue({}).id])
    assert Job.objects.get(id=other).status == Status.PENDING
    assert "ok" in ask(worker, "add_consumer", queue="cpu")
    wait_for_end([other])
    assert "ok" in ask(worker, "cancel_consumer", queue="cpu")
    later = noop.enqueue({}, queue="cpu").id
    wait_for_end([noop.enqueue({}).id for _ in range(20)])
    assert Job.objects.get(id=later).status == Status.PENDING


def test_a_pool_of_processes_grows_and_shrinks(
    start: Start, naps: Callable[..., list[Any]], journal: Journal, gate: Path
) -> None:
    worker = start("prefork", 1).wait_until_connected()
    ids = naps(4, 1)
    assert "ok" in ask(worker, "pool_grow", n=2)
    wait_for(lambda: len(journal.lines("start")) == 3, "two more to begin")
    gate.touch()
    wait_for_end(ids)
    gate.unlink()
    assert "ok" in ask(worker, "pool_shrink", n=2)
    wait_for(lambda: len(worker.children()) == 1, "two children to leave")
    ids = naps(3, 1)
    gate.touch()
    wait_for_end(ids)
    assert set(Job.objects.filter(id__in=ids).values_list("status", "run", "losses")) == {(Status.COMPLETED, 1, 0)}


def test_a_revoked_id_is_no_obstacle(start: Start) -> None:
    worker = start("threads", 1).wait_until_connected()
    job = noop.enqueue({}, delay=60).id
    assert ask(worker, "revoke", task_id=[str(job)]) == {"ok": "1 of 1 jobs cancelled or asked to end"}
    assert Job.objects.get(id=job).status == Status.CANCELLED
    lifecycle.retry([job], actor="test")
    wait_for_end([job])
    assert Job.objects.get(id=job).status == Status.COMPLETED
