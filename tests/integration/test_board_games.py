"""Board games by real workers: BoardGameGeek's limit holds over all of them."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from jobs.models import Job, Status
from processors.bgg.models import Game
from processors.bgg.tasks import bgg_bulk_sync
from tests.integration.servers import Server
from tests.integration.workers import Start, wait_for_end


@pytest.fixture(autouse=True)
def _no_games_left(db: None) -> Iterator[None]:
    Game.objects.all().delete()  # another test's worker may have stored one
    yield
    Game.objects.all().delete()


def test_two_workers_with_four_bulk_jobs_keep_to_two_requests_a_second(
    start: Start, upstreams: tuple[Server, dict[str, Any]]
) -> None:
    server, upstream = upstreams
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
    received = httpx2.get(f"{server.url}/bgg/_received").json()
    assert (received["statuses"], received["busiest"]) == ({"200": 12}, 2)
