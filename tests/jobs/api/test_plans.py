"""No list of the administration reads the whole table, or sorts much of it."""

import pytest

from jobs import keys
from tests.jobs.api.conftest import ALL_SCOPES, Api
from tests.jobs.plans import plans
from tests.jobs.test_plans import finished_jobs, knowledge

__all__ = ["finished_jobs", "knowledge"]  # fixtures

QUEUE = "/api/admin/jobs/queues/plan_3/jobs?limit=50&status="
# What is asked for, and how many rows, index entries among them, the first page and the next may look at.
LISTS = {
    "/api/admin/jobs/failed?limit=50": 500,
    "/api/admin/jobs/failed?limit=50&offset=1000": 3000,
    "/api/admin/jobs/active?limit=50": 2500,
    f"{QUEUE}waiting": 2500,
    f"{QUEUE}active": 500,
    f"{QUEUE}completed": 5000,
    f"{QUEUE}failed": 20_000,  # one in twenty of one queue in twenty
    f"{QUEUE}delayed": 5000,
}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.django_db
def test_a_page_looks_at_few_rows(path: str, knowledge: str) -> None:
    api = Api(keys.create("test", ALL_SCOPES))
    with plans(generic=False) as seen:
        response = api.client.get(path)
        link = response.get("Link", "").partition(">")[0].removeprefix("<")
        assert response.status_code == 200
        assert not link or api.get(link)[0] == 200
    assert seen.scanned == []
    if knowledge != "never analysed":  # then Postgres takes all that it sorts for a dozen rows
        assert seen.touched <= LISTS[path]
