"""What every worker does with jobs that are in order: each pool, several queues, due times."""

import pytest

from jobs.models import Job, Status
from tests.integration.jobtypes.tasks import noop
from tests.integration.workers import Start, wait_for_end

POOLS = ("threads", "prefork", "solo")


@pytest.mark.parametrize("pool", POOLS)
def test_jobs_run_once_each(start: Start, pool: str) -> None:
    start(pool)
    ids = [noop.enqueue({"number": number}).id for number in range(100)]
    wait_for_end(ids)
    assert list(Job.objects.filter(id__in=ids).order_by("id").values_list("result", "run", "status")) == [
        (number, 1, Status.COMPLETED) for number in range(100)
    ]
