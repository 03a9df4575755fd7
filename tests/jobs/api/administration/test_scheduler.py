"""Schedules over HTTP."""

from typing import Any
from uuid import UUID

import pytest
from django_celery_beat.models import PeriodicTask

from jobs.models import Event, Job
from tests.jobs.api.conftest import Api
from tests.jobs.test_permissions import visitor, with_permissions

SCHEDULER = "/api/admin/jobs/scheduler"
NIGHTLY = {
    "name": "nightly greeting",
    "cron": "0 3 * * *",
    "timezone": "Europe/London",
    "type": "greet-guest",
    "payload": {"guestName": "Ada", "apiToken": "s3cret"},
    "priority": "high",
    "enabled": False,
    "runOnInit": True,
    "description": "to be polite",
    "overlap": "skip",
    "missedRuns": "all",
}


@pytest.fixture
def nightly(api: Api) -> dict[str, Any]:
    status, body = api.post(SCHEDULER, NIGHTLY)
    assert status == 201
    return body  # type: ignore[no-any-return]


def test_a_schedule_is_made_with_all_its_fields(nightly: dict[str, Any]) -> None:
    shown = {name: nightly[name] for name in NIGHTLY if name != "runOnInit"}
    hidden = {"guestName": "Ada", "apiToken": "***"}
    assert shown == {
        **{name: value for name, value in NIGHTLY.items() if name != "runOnInit"},
        "type": "greet_guest",
        "priority": 8,
        "payload": hidden,
    }
    assert (nightly["words"], nightly["running"], nightly["nextRuns"]) == ("At 03:00", False, [])
    assert nightly["lastJobId"] == str(Job.objects.get().id)
    assert Event.objects.filter(schedule="nightly greeting", kind="created").get().actor == "key:test"


def test_it_is_found_by_its_name(api: Api, nightly: dict[str, Any]) -> None:
    status, body = api.get(f"{SCHEDULER}/nightly%20greeting")
    assert (status, body) == (200, nightly)
    _, everything = api.get(SCHEDULER)
    assert everything["jobs"] == [{name: value for name, value in nightly.items() if name != "history"}]


def test_it_is_changed_in_parts(api: Api, nightly: dict[str, Any]) -> None:
    changes = {"cron": "30 4 * * *", "missed_runs": "skip", "enabled": True}
    status, body = api.patch(f"{SCHEDULER}/nightly greeting", changes)
    assert (status, body["cron"], body["missedRuns"], body["overlap"]) == (200, "30 4 * * *", "skip", "skip")
    assert len(body["nextRuns"]) == 5
    assert body["payload"] == nightly["payload"]


def test_it_is_run_started_stopped_and_deleted(api: Api, nightly: dict[str, Any]) -> None:
    path = f"{SCHEDULER}/nightly greeting"
    status, body = api.post(f"{path}/run")
    assert (status, Job.objects.get(id=UUID(body["lastJobId"])).created_by) == (200, "key:test")
    assert Job.objects.count() == 2
    assert api.post(f"{path}/start")[1]["running"] is True
    assert api.post(f"{path}/stop")[1]["running"] is False
    assert api.delete(path) == (204, None)
    assert api.get(path)[0] == 404
    assert not PeriodicTask.objects.exists()


def test_one_whose_job_cannot_be_enqueued_says_why(api: Api, nightly: dict[str, Any]) -> None:
    PeriodicTask.objects.update(kwargs="{}")
    status, body = api.post(f"{SCHEDULER}/nightly greeting/run")
    assert (status, Job.objects.count()) == (409, 1)
    assert body["detail"].startswith("The schedule's job cannot be enqueued: greet_guest: guestName: Field required")


@pytest.mark.parametrize("written", ["{", "[1]", "null"])
def test_one_whose_payload_cannot_be_read_says_so_and_is_mended(
    api: Api, nightly: dict[str, Any], written: str
) -> None:
    PeriodicTask.objects.update(kwargs=written)
    path = f"{SCHEDULER}/nightly greeting"
    assert api.get(path)[1]["payload"] == {}
    status, body = api.post(f"{path}/run")
    assert (status, Job.objects.count()) == (409, 1)
    assert "the schedule's payload is not" in body["detail"]
    status, body = api.patch(path, {"type": "greet_guest"})
    assert (status, body["errors"][0]["loc"]) == (422, ["body", "payload"])
    assert api.patch(path, {"payload": {"guestName": "Ada"}})[1]["payload"] == {"guestName": "Ada"}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"cron": "every night"}, ["body", "cron"]),
        ({"timezone": "Mars/Olympus"}, ["body", "timezone"]),
        ({"type": "nothing"}, ["body", "type"]),
        ({"payload": {}}, ["body", "payload", "guestName"]),
        ({"name": ""}, ["body", "name"]),
        ({"priority": 11}, ["body", "priority"]),
        ({"overlap": "sometimes"}, ["body", "overlap"]),
        ({"missedRuns": "some"}, ["body", "missedRuns"]),
        ({"colour": "red"}, ["body", "colour"]),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(api: Api, change: dict[str, Any], place: list[str]) -> None:
    status, body = api.post(SCHEDULER, NIGHTLY | change)
    assert (status, body["errors"][0]["loc"]) == (422, place)
    assert not PeriodicTask.objects.exists()


def test_a_name_is_there_once(api: Api, nightly: dict[str, Any]) -> None:
    status, body = api.post(SCHEDULER, NIGHTLY)
    assert (status, body["errors"][0]["loc"]) == (422, ["body", "name"])


def test_a_wrong_change_changes_nothing(api: Api, nightly: dict[str, Any]) -> None:
    status, body = api.patch(f"{SCHEDULER}/nightly greeting", {"cron": "x", "description": "new"})
    assert (status, body["errors"][0]["loc"]) == (422, ["body", "cron"])
    assert PeriodicTask.objects.get().description == "to be polite"


@pytest.mark.parametrize("verb", ["start", "stop", "run"])
def test_a_schedule_that_is_not_there_is_not_found(api: Api, verb: str) -> None:
    status, body = api.post(f"{SCHEDULER}/none/{verb}")
    assert (status, body["detail"]) == (404, "There is no schedule 'none'.")
    assert api.patch(f"{SCHEDULER}/none", {"enabled": True})[0] == api.delete(f"{SCHEDULER}/none")[0] == 404


def test_a_cron_is_told_in_words(api: Api) -> None:
    status, body = api.post(f"{SCHEDULER}/validate", {"cron": "0 */2 * * *"})
    assert (status, body["valid"], body["error"], len(body["nextRuns"])) == (200, True, None, 5)
    assert "every 2 hours" in body["description"].lower()
    status, body = api.post(f"{SCHEDULER}/validate", {"cron": "61 * * * *"})
    assert (status, body["valid"], body["nextRuns"]) == (200, False, [])
    assert body["error"]


def test_a_first_job_is_for_those_who_may_enqueue(db: None) -> None:
    schedules_only = visitor(with_permissions("django_celery_beat.add_periodictask"))
    both = visitor(with_permissions("django_celery_beat.add_periodictask", "jobs.add_job"))
    assert schedules_only.post(SCHEDULER, NIGHTLY, content_type="application/json").status_code == 403
    assert not PeriodicTask.objects.exists()
    without = {**NIGHTLY, "name": "another", "runOnInit": False}
    assert schedules_only.post(SCHEDULER, without, content_type="application/json").status_code == 201
    assert both.post(SCHEDULER, NIGHTLY, content_type="application/json").status_code == 201
