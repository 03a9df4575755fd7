"""Tokens of EVE Online by two workers: one call for one character, and a new token outlives the worker that got it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from jobs.models import Job, Status
from jobs.processor import enqueue, enqueue_many
from processors.eve.models import Character, Grant
from tests.integration.servers import Server
from tests.integration.workers import Start, Worker, wait_for, wait_for_end, wait_for_status
from tests.processors.eve.rows import logged_in
from tests.processors.eve.sandbox import EveSandbox

TOKEN = "v2/oauth/token"


@pytest.fixture(autouse=True)
def _rows(db: None) -> Iterator[None]:
    yield
    get_user_model().objects.filter(username="pilot").delete()


@pytest.fixture
def upstream(upstreams: tuple[Server, dict[str, Any]], _rows: None) -> Iterator[tuple[EveSandbox, dict[str, Any]]]:
    """And the environment of a worker that is to call it."""
    server, environment = upstreams
    eve = EveSandbox(server.url)
    yield eve, environment
    eve.http.close()


def test_one_call_for_two_workers_and_its_answer_outlives_them(
    start: Start, upstream: tuple[EveSandbox, dict[str, Any]]
) -> None:
    eve, environment = upstream
    workers = [start(queues="token_refresh", concurrency=1, **environment, JOBS_LEASE="3") for _ in range(2)]
    pilot = logged_in(eve)
    seen = {Grant.objects.get().access_token, Grant.objects.get().refresh_token}

    expire()
    both_workers_make_one_call(eve, pilot)
    seen |= {Grant.objects.get().access_token, Grant.objects.get().refresh_token}

    expire()
    the_worker_dies_once_the_answer_is_stored(eve, pilot, workers)
    seen |= {Grant.objects.get().access_token, Grant.objects.get().refresh_token}

    assert len(seen) == 6
    logs = "".join(worker.log.read_text() for worker in workers)
    assert "token_refresh" in logs
    assert not [token for token in seen if token in logs]


def expire() -> None:
    an_hour_ago = timezone.now() - timedelta(hours=1)
    Grant.objects.update(expires_at=an_hour_ago, refreshed_at=an_hour_ago)


def payload(pilot: Character) -> dict[str, int]:
    return {"characterId": pilot.pk, "userId": pilot.user_id}


def calls(eve: EveSandbox) -> int:
    return len(eve.received(route=TOKEN))


def both_workers_make_one_call(eve: EveSandbox, pilot: Character) -> None:
    """The answer is held back until both have run into it: one asks, the other has put its job off."""
    eve.control(hold=f"^{TOKEN}$").raise_for_status()
    jobs = [job.id for job in enqueue_many(("token_refresh", payload(pilot)) for _ in range(2))]
    rows = Job.objects.filter(id__in=jobs)
    wait_for(lambda: rows.filter(status=Status.SCHEDULED, run__gt=0).exists() and calls(eve) == 1, "the other's wait")
    eve.control(hold=None).raise_for_status()
    wait_for_end(jobs)
    assert [(job.status, job.attempt) for job in rows] == [(Status.COMPLETED, 1)] * 2
    assert (calls(eve), Grant.objects.get().serial) == (1, 1)


def the_worker_dies_once_the_answer_is_stored(eve: EveSandbox, pilot: Character, workers: list[Worker]) -> None:
    """It cannot report its job before: that row is locked."""
    eve.control(hold=f"^{TOKEN}$").raise_for_status()
    job_id = enqueue("token_refresh", payload(pilot)).id
    runner = str(wait_for_status(job_id, Status.PROCESSING).worker)
    wait_for(lambda: calls(eve) == 2, "the call")
    with transaction.atomic():
        Job.objects.select_for_update().get(id=job_id)
        eve.control(hold=None).raise_for_status()
        wait_for(lambda: Grant.objects.get().serial == 2, "the answer in its row")
        next(worker for worker in workers if runner.startswith(f"{worker.node}:")).kill()
    wait_for_end([job_id])
    job = Job.objects.get(id=job_id)
    assert (job.status, job.run, job.attempt) == (Status.COMPLETED, 2, 1)
    assert (calls(eve), Grant.objects.get().serial) == (2, 2)  # the second run found it

    expire()
    assert eve.refresh(Grant.objects.get().refresh_token).status_code == 200
