"""Board games by real workers: BoardGameGeek's limit holds over all of them."""

import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest

from jobs.management import sandbox
from jobs.management.embedded import free_port
from jobs.models import Job, Status
from processors.bgg.models import Game
from processors.bgg.tasks import bgg_bulk_sync
from tests.integration.workers import ROOT, Start, environment, wait_for, wait_for_end


@pytest.fixture
def address() -> Iterator[str]:
    """A sandbox in a process of its own, which no worker of the test slows down."""
    port = free_port()
    command = [sys.executable, "manage.py", "sandbox", "--port", str(port)]
    env = environment(SANDBOX_WITHOUT_DEBUG="true", SANDBOX_SMTP_PORT=str(free_port()))
    process = subprocess.Popen(command, cwd=ROOT, env=env)
    wait_for(lambda: answers(f"http://127.0.0.1:{port}/"), "the sandbox")
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


def answers(url: str) -> bool:
    try:
        return httpx2.get(url).is_success
    except httpx2.TransportError:
        return False


@pytest.fixture(autouse=True)
def _no_games_left(db: None) -> Iterator[None]:
    Game.objects.all().delete()  # another test's worker may have stored one
    yield
    Game.objects.all().delete()


def test_two_workers_with_four_bulk_jobs_keep_to_two_requests_a_second(start: Start, address: str) -> None:
    upstream = sandbox.environment(address)
    for _ in range(2):
        start(queues="bgg", BGG_URL=upstream["BGG_URL"], BGG_TOKEN=upstream["BGG_TOKEN"])
    ids = [range(first, first + 58) for first in range(100_000, 100_400, 100)]
    unknown = ["999999998", "999999999"]
    jobs = [bgg_bulk_sync.enqueue({"gameIds": [*some, *unknown]}).id for some in ids]
    wait_for_end(jobs)

    ended = Job.objects.filter(id__in=jobs)
    assert [job.status for job in ended] == [Status.COMPLETED] * 4
    assert [job.result for job in ended] == [{"requested": 60, "synced": 58, "missing": unknown, "calls": 3}] * 4
    assert Game.objects.filter(pk__gte=100_000).count() == 4 * 58
    received = httpx2.get(f"{address}/bgg/_received").json()
    assert (received["statuses"], received["busiest"]) == ({"200": 12}, 2)
