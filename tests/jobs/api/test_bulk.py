"""POST /api/jobs/bulk and POST /api/jobs/{id}/rerun."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from jobs import enqueue
from jobs.models import Job
from jobs.testing import perform
from tests.jobs.api.conftest import Api

BULK = "/api/jobs/bulk"


def greeting(name: str = "Ada", **fields: Any) -> dict[str, Any]:
    return {"type": "greet_guest", "payload": {"guestName": name}, **fields}


def test_the_ids_are_in_the_order_of_the_jobs(api: Api) -> None:
    status, body = api.post(BULK, {"jobs": [greeting(str(n), priority=n % 10 + 1) for n in range(50)]})
    jobs = Job.objects.in_bulk([UUID(job_id) for job_id in body["jobIds"]])
    assert status == 202
    assert [jobs[UUID(job_id)].payload["guestName"] for job_id in body["jobIds"]] == [str(n) for n in range(50)]
    assert {job.created_by for job in jobs.values()} == {"key:test"}


def test_ten_thousand_at_once(api: Api) -> None:
    status, body = api.post(BULK, {"jobs": [greeting()] * 10_000})
    assert (status, len(set(body["jobIds"])), Job.objects.count()) == (202, 10_000, 10_000)


@pytest.mark.parametrize("number", [0, 10_001])
def test_no_more_and_not_none(api: Api, number: int) -> None:
    status, body = api.post(BULK, {"jobs": [greeting()] * number})
    assert (status, body["errors"][0]["loc"]) == (422, ["body", "jobs"])


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (greeting(queue="nowhere"), ["queue"]),
        (greeting(priority=11), ["priority"]),
        ({"type": "nothing"}, ["type"]),
        ({"type": "greet_guest", "payload": {"times": 1}}, ["payload", "guestName"]),
        ({"type": "greet_guest", "guestName": "Ada"}, ["guestName"]),
    ],
)
def test_a_wrong_one_is_named_and_nothing_is_stored(api: Api, wrong: dict[str, Any], place: list[str]) -> None:
    status, body = api.post(BULK, {"jobs": [greeting(), wrong, greeting()]})
    assert (status, body["errors"][0]["loc"]) == (422, ["body", "jobs", 1, *place])
    assert not Job.objects.exists()


def test_all_wrong_ones_are_named_up_to_a_hundred(api: Api) -> None:
    status, body = api.post(BULK, {"jobs": [greeting(), *[greeting(queue="nowhere")] * 150]})
    assert (status, [error["loc"][2] for error in body["errors"]]) == (422, list(range(1, 101)))


def test_a_unique_key_finds_the_active_job(api: Api) -> None:
    _, body = api.post(BULK, {"jobs": [greeting(uniqueKey="a"), greeting("Eve", uniqueKey="a"), greeting()]})
    first, second, third = body["jobIds"]
    assert first == second != third
    assert Job.objects.count() == 2


class TestRerun:
    def test_is_a_new_job_like_the_old_one(self, api: Api) -> None:
        old = perform(enqueue("greet_guest", {"guestName": "Ada", "apiToken": "s3cret"}, priority=8))
        status, body = api.post(f"/api/jobs/{old.id}/rerun")
        new = Job.objects.get(id=UUID(body["jobId"]))
        assert (status, body["status"], body["created"]) == (202, "pending", True)
        assert (new.parent, new.payload, new.priority, new.created_by) == (old.id, old.payload, 8, "key:test")

    def test_may_have_another_payload(self, api: Api) -> None:
        old = perform(enqueue("greet_guest", {"guestName": "Ada"}))
        _, body = api.post(f"/api/jobs/{old.id}/rerun", {"payload": {"guest_name": "Eve"}})
        assert Job.objects.get(id=UUID(body["jobId"])).payload["guestName"] == "Eve"

    def test_keeps_the_secrets_that_are_shown_as_stars(self, api: Api) -> None:
        old = perform(enqueue("greet_guest", {"guestName": "Ada", "apiToken": "s3cret"}))
        shown = api.get(f"/api/jobs/{old.id}")[1]["payload"]
        _, body = api.post(f"/api/jobs/{old.id}/rerun", {"payload": {**shown, "guestName": "Eve"}})
        payload = Job.objects.get(id=UUID(body["jobId"])).payload
        assert (payload["guestName"], payload["apiToken"]) == ("Eve", "s3cret")
        status, body = api.post(f"/api/jobs/{old.id}/rerun", {"payload": {"guestName": "Eve", "api_token": "***"}})
        assert (status, body["errors"][0]["msg"]) == (422, "a secret is still ***: write it anew")

    def test_names_what_is_wrong_with_the_payload(self, api: Api) -> None:
        old = perform(enqueue("greet_guest", {"guestName": "Ada"}))
        status, body = api.post(f"/api/jobs/{old.id}/rerun", {"payload": {"guestName": "Ada", "times": 0}})
        assert (status, body["errors"][0]["loc"]) == (422, ["body", "payload", "times"])
        assert Job.objects.count() == 1

    def test_is_for_jobs_that_have_ended(self, api: Api) -> None:
        waiting = enqueue("greet_guest", {"guestName": "Ada"})
        status, body = api.post(f"/api/jobs/{waiting.id}/rerun")
        assert (status, body["detail"]) == (409, "The job cannot be run again: it is pending.")

    def test_waits_for_its_unique_key(self, api: Api) -> None:
        old = perform(enqueue("greet_guest", {"guestName": "Ada"}, unique_key="a"))
        enqueue("greet_guest", {"guestName": "Ada"}, unique_key="a")
        status, body = api.post(f"/api/jobs/{old.id}/rerun")
        assert (status, body["detail"]) == (409, "The job cannot be run again: its unique key 'a' is taken.")

    def test_needs_the_code_for_another_payload(self, api: Api) -> None:
        old = perform(enqueue("greet_guest", {"guestName": "Ada"}))
        Job.objects.update(type="forgotten")
        assert api.post(f"/api/jobs/{old.id}/rerun", {"payload": {}})[0] == 409

    def test_of_an_unknown_job_is_not_found(self, api: Api) -> None:
        assert api.post(f"/api/jobs/{uuid4()}/rerun")[0] == 404
