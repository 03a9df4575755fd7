"""GET /api/jobs, and pages of any list."""

from itertools import chain
from typing import Any
from uuid import UUID

import pytest

from jobs import enqueue, lifecycle
from jobs.models import Job, Status
from jobs.testing import perform
from tests.jobs.api.conftest import Api


def greeted(number: int, **options: Any) -> list[UUID]:
    return [enqueue("greet_guest", {"guestName": str(n)}, **options).id for n in range(number)]


def ids(body: Any) -> list[UUID]:
    return [UUID(job["id"]) for job in body["items"]]


def test_without_jobs_the_list_is_empty(api: Api) -> None:
    status, body = api.get("/api/jobs")
    assert (status, body["items"], body["next"], body["waiting"]) == (200, [], None, 0)


def test_a_job_in_the_list_is_as_by_itself(api: Api) -> None:
    failed = perform(enqueue("refuse_guest", {"reason": "full"}, max_attempts=1))
    _, body = api.get("/api/jobs")
    assert body["items"] == [api.get(f"/api/jobs/{failed.id}")[1]]
    assert (body["items"][0]["error"], body["failed"]) == ("full", 1)


def test_the_failures_of_a_page_are_read_at_once(api: Api, django_assert_max_num_queries: Any) -> None:
    for _ in range(5):
        perform(enqueue("refuse_guest", max_attempts=1))
    with django_assert_max_num_queries(25):
        assert len(api.get("/api/jobs")[1]["items"]) == 5


def test_pages_follow_each_other_to_the_last_job(api: Api) -> None:
    made = greeted(5)
    seen: list[UUID] = []
    cursor = ""
    while True:
        _, body = api.get(f"/api/jobs?limit=2{cursor}")
        seen += ids(body)
        greeted(1)  # what comes meanwhile moves nothing
        if body["next"] is None:
            break
        cursor = f"&cursor={body['next']}"
    assert sorted(seen) == sorted(made)
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("status=pending", 3),
        ("status=completed", 1),
        ("type=greet-guest", 3),
        ("type=refuse_guest", 1),
        ("queue=cpu", 1),
        ("queue=nowhere", 0),
        ("status=pending&type=refuse_guest", 1),
        ("q=payload.guestName:1", 1),
        ("q=tag:vip status:pending", 1),
    ],
)
def test_the_list_can_be_narrowed(api: Api, query: str, number: int) -> None:
    perform(greeted(1)[0])
    greeted(2)
    enqueue("refuse_guest", tags=["vip"])
    assert len(api.get(f"/api/jobs?{query}")[1]["items"]) == number


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("status=gone", "status"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
        ("q=colour:red", "q"),
        ("type=%00", "type"),
        ("queue=%00", "queue"),
        ("q=%00", "q"),
    ],
)
def test_what_is_wrong_is_named(api: Api, query: str, place: str) -> None:
    status, body = api.get(f"/api/jobs?{query}")
    assert (status, body["errors"][0]["loc"]) == (422, ["query", place])


def test_a_cursor_is_for_its_own_list(api: Api) -> None:
    greeted(3)
    cursor = api.get("/api/jobs?limit=1&status=pending")[1]["next"]
    assert api.get(f"/api/jobs?limit=1&status=pending&cursor={cursor}")[0] == 200
    assert api.get(f"/api/jobs?limit=1&cursor={cursor}")[0] == 422


def test_the_counts_are_of_all_jobs(api: Api) -> None:
    greeted(2)
    greeted(1, delay=60)
    lifecycle.claim_these(greeted(1), worker="far:1", lease=60)
    lifecycle.pause("cpu", actor="ada")
    enqueue("refuse_guest")
    _, body = api.get("/api/jobs?type=refuse_guest")
    counts = {name: body[name] for name in ("waiting", "active", "completed", "failed", "delayed", "paused")}
    assert counts == {"waiting": 2, "active": 1, "completed": 0, "failed": 0, "delayed": 1, "paused": 1}


class TestBareArrays:
    def pages(self, api: Api, path: str) -> list[list[str]]:
        """The ids of each page, by following `Link`."""
        found = []
        while path:
            response = api.client.get(path)
            found.append([job["id"] for job in response.json()])
            link = response.get("Link", "")
            path = link.partition(">")[0].removeprefix("<")
            assert not link or link.endswith('; rel="next"')
        return found

    def test_failed_jobs_are_linked_the_last_first(self, api: Api) -> None:
        failed = [str(perform(enqueue("refuse_guest", max_attempts=1)).id) for _ in range(5)]
        pages = self.pages(api, "/api/admin/jobs/failed?limit=2")
        assert [len(page) for page in pages] == [2, 2, 1]
        assert sorted(chain(*pages)) == sorted(failed)
        assert self.pages(api, "/api/admin/jobs/failed?limit=2&offset=2") == pages[1:]
        assert self.pages(api, "/admin/jobs/failed?limit=2") == pages

    def test_waiting_jobs_are_in_the_order_of_their_turn(self, api: Api) -> None:
        low, high, normal = (greeted(2, priority=priority) for priority in ("low", "high", "normal"))
        pages = self.pages(api, "/api/admin/jobs/queues/default/jobs?limit=4")
        assert [len(page) for page in pages] == [4, 2]
        assert list(chain(*pages)) == [str(job) for job in [*high, *normal, *low]]

    def test_active_jobs_are_linked_the_newest_first(self, api: Api) -> None:
        jobs = greeted(3)
        lifecycle.claim_these(jobs, worker="far:1", lease=60)
        pages = self.pages(api, "/api/admin/jobs/active?limit=1")
        assert pages == [[str(job)] for job in reversed(jobs)]
        assert Job.objects.filter(status=Status.PROCESSING).count() == 3

    def test_a_forged_cursor_is_refused(self, api: Api) -> None:
        status, body = api.get("/api/admin/jobs/failed?cursor=x")
        assert (status, body["errors"][0]["loc"]) == (422, ["query", "cursor"])
