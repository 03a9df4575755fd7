"""Refreshing characters from ESI, group by group, through the real life of a job and against the sandbox."""

from collections import Counter
from datetime import time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from jobs.errors import InvalidPayload
from jobs.models import Failure, Job, Limit, Status
from jobs.processor import enqueue
from jobs.testing import assert_enqueued, drain, perform
from processors.eve.esi import client as esi_client
from processors.eve.esi.endpoints import ENDPOINTS, Group, of_group
from processors.eve.models import (
    Asset,
    Blueprint,
    Character,
    EsiAnswer,
    IndustryJob,
    JournalEntry,
    Mail,
    MarketOrder,
    MinedOre,
    Notice,
    Snapshot,
    WalletTransaction,
)
from processors.eve.sandbox.routes import SCOPES
from processors.eve.sandbox.world import COUNTS, PILOT
from tests.processors.eve.rows import character, logged_in
from tests.processors.eve.sandbox import EveSandbox

pytestmark = pytest.mark.django_db

TABLES = {
    Asset: 1189,
    Blueprint: 60,
    IndustryJob: 30,
    JournalEntry: 240,
    Mail: 120,
    MarketOrder: 52,
    MinedOre: 30,
    Notice: 30,
    WalletTransaction: 120,
}


def payload(pilot: Character, **more: Any) -> dict[str, Any]:
    return {"characterId": pilot.pk, "userId": pilot.user_id, **more}


def refresh(pilot: Character, status: Status = Status.COMPLETED, **more: Any) -> Job:
    job = perform(enqueue("esi_refresh", payload(pilot, **more)))
    assert job.status == status, (job.result, list(Failure.objects.values_list("message", flat=True)))
    return job


def told(job: Job) -> dict[str, tuple[bool, int]]:
    """By endpoint: whether rows were written, and how many calls it took."""
    assert job.result
    return {each["endpoint"]: (each["changed"], each["calls"]) for each in job.result["endpoints"]}


def expire(sandbox: EveSandbox, **more: Any) -> None:
    """Everything kept has expired, at both ends."""
    EsiAnswer.objects.update(expires_at=F("expires_at") - timedelta(days=2))
    Snapshot.objects.update(expires_at=F("expires_at") - timedelta(days=2))
    sandbox.control(expire=True, **more).raise_for_status()
    sandbox.forget()


def versions() -> dict[str, set[tuple[int, str]]]:
    """Every row of the tables, with where it is: a row that is written again is elsewhere."""
    found = {}
    with connection.cursor() as cursor:
        for model in TABLES:
            cursor.execute(f"SELECT id, ctid::text FROM {model._meta.db_table}")  # noqa: S608 (ours)
            found[model.__name__] = set(cursor.fetchall())
        cursor.execute("SELECT id, changed_at::text || version FROM eve_snapshot")
        found["Snapshot"] = set(cursor.fetchall())
    return found


def test_every_group_is_stored_whole_and_then_asked_for_when_it_expires_and_written_when_it_changes(
    eve: EveSandbox,
) -> None:
    pilot = logged_in(eve)
    eve.control(ages={"*": 3600})  # the shortest are five seconds, too few for a busy machine
    for group in Group:
        job = refresh(pilot, group=group.name)
        assert all(changed and calls for changed, calls in told(job).values())
    assert {model: model._default_manager.filter(character=pilot).count() for model in TABLES} == TABLES
    assert Snapshot.objects.filter(character=pilot).count() == len([each for each in ENDPOINTS if each.group])
    assert Counter(eve.told()["statuses"]) == {"200": eve.told()["total"]}
    before = versions()

    eve.forget()
    for group in Group:
        assert set(told(refresh(pilot, group=group.name)).values()) == {(False, 0)}
    assert eve.received() == []

    expire(eve)
    for group in Group:
        unchanged = told(refresh(pilot, group=group.name))
        assert [changed for changed, _ in unchanged.values()] == [False] * len(of_group(group))
        assert all(calls for _, calls in unchanged.values())
    received = eve.told()
    assert received["statuses"] == {"304": received["total"]}
    assert received["early"] == 0
    assert versions() == before

    expire(eve, counts={"mail": 123, "assets": 1190, "wallet/transactions": 121})
    assert told(refresh(pilot, group="MAIL"))["mail"] == (True, 1)
    assert told(refresh(pilot, group="CHARACTER_ASSETS"))["assets"] == (True, 2)
    assert told(refresh(pilot, endpoint="/latest/characters/{character_id}/wallet/transactions/")) == {
        "wallet/transactions": (True, 1)
    }
    assert (Mail.objects.count(), Asset.objects.count(), WalletTransaction.objects.count()) == (123, 1190, 121)
    assert eve.told()["too_soon"] == 0


def test_what_is_not_there_any_more_goes(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    refresh(pilot, group="ASSETS")
    expire(eve, counts={"assets": 7, "blueprints": 3})
    assert told(refresh(pilot, group="ASSETS")) == {"assets": (True, 1), "blueprints": (True, 1)}
    assert (Asset.objects.count(), Blueprint.objects.count()) == (7, 3)


def test_assets_are_replaced_all_or_not_at_all(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    eve.fail("500", path="^assets$", after=1)
    job = refresh(pilot, Status.SCHEDULED, endpoint="/characters/{character_id}/assets")
    assert Asset.objects.count() == 0
    assert Failure.objects.get().message.startswith("assets: 500")
    assert perform(job).status == Status.COMPLETED
    assert Asset.objects.count() == 1189
    assert [(request["query"]["page"], request["status"]) for request in eve.received(route="assets")] == [
        ("1", 200),
        ("2", 500),
        ("2", 200),
    ]


def test_pages_of_different_snapshots_start_over(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    eve.control(shift=1)
    assert told(refresh(pilot, endpoint="/characters/{character_id}/assets")) == {"assets": (True, 3)}
    assert [request["query"]["page"] for request in eve.received(route="assets")] == ["1", "2", "1"]
    assert Asset.objects.count() == 1189


def test_pages_that_never_fit_are_tried_again_later(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    eve.control(shift=100, sizes={"assets": 400})
    refresh(pilot, Status.SCHEDULED, endpoint="/characters/{character_id}/assets")
    assert Asset.objects.count() == 0


@pytest.mark.parametrize(
    "name",
    [
        "/latest/characters/{character_id}/wallet/",
        "/v1/characters/{character_id}/wallet/",
        f"/dev/characters/{PILOT}/wallet",
        "/characters/{character_id}/wallet",
    ],
)
def test_old_names_of_an_endpoint_are_understood(eve: EveSandbox, name: str) -> None:
    pilot = logged_in(eve)
    assert told(refresh(pilot, endpoint=name, skipCache=True, requestedBy="user")) == {"wallet": (True, 1)}
    assert [request["path"] for request in eve.received(service="esi")] == [f"/characters/{PILOT}/wallet"]
    assert Snapshot.objects.get().data == eve.get("{}/wallet").json()


def test_an_endpoint_may_have_parameters(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    refresh(pilot, endpoint="/characters/{character_id}/industry/jobs/?include_completed=false")
    assert [request["query"] for request in eve.received(route="industry/jobs")] == [{"include_completed": "false"}]
    assert set(IndustryJob.objects.values_list("status", flat=True)) == {"active"}
    assert not Snapshot.objects.exists()


def test_a_mail_is_read_by_name(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    refresh(pilot, group="MAIL")
    refresh(pilot, endpoint="/characters/{character_id}/mail/1000007/")
    expire(eve, counts={"mail": 121})
    refresh(pilot, group="MAIL")
    mail = Mail.objects.get(mail_id=1_000_007)
    assert (mail.subject, mail.body) == ("Mail 7", "<p>The text of mail 7.</p>")
    assert Mail.objects.exclude(body=None).count() == 1


def test_the_whole_answer_is_asked_for_and_written_when_the_cache_is_to_be_skipped_but_not_early(
    eve: EveSandbox,
) -> None:
    pilot = logged_in(eve)
    assert told(refresh(pilot, group="SKILLS"))["skills"] == (True, 1)
    assert told(refresh(pilot, group="SKILLS", skipCache=True))["skills"] == (True, 0)
    expire(eve)
    assert told(refresh(pilot, group="SKILLS", skipCache=True))["skills"] == (True, 1)
    assert [(request["status"], request["conditional"]) for request in eve.received(route="skills")] == [(200, False)]


def test_scopes_are_checked_before_any_call(eve: EveSandbox) -> None:
    pilot = logged_in(eve, scopes=("esi-location.read_online.v1",))
    job = refresh(pilot, group="OVERVIEW")
    assert set(told(job)) == {"character", "portrait", "corporationhistory", "online"}
    assert job.result
    assert job.result["missingScopes"] == [
        "esi-clones.read_clones.v1",
        "esi-clones.read_implants.v1",
        "esi-location.read_location.v1",
        "esi-location.read_ship_type.v1",
    ]
    eve.forget()
    refresh(pilot, Status.FAILED, group="WALLET")
    assert "esi-wallet.read_character_wallet.v1" in Failure.objects.get().message
    assert eve.received() == []


def test_public_facts_reach_the_character_without_a_grant(eve: EveSandbox) -> None:
    pilot = character(name="as it was")
    refresh(pilot, endpoint="/characters/{character_id}")
    pilot.refresh_from_db()
    assert (pilot.name, pilot.corporation_id) == ("Johnn Dillinger", 1000171)


def test_one_endpoint_that_fails_for_good_does_not_keep_the_others_back(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    eve.fail("403", path="^skills$")
    refresh(pilot, Status.FAILED, group="SKILLS")
    assert "log in again" in Failure.objects.get().message
    assert set(Snapshot.objects.values_list("endpoint", flat=True)) == {"skillqueue", "attributes"}


def test_one_endpoint_that_fails_this_time_does_not_keep_the_others_back(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    eve.fail("500", path="^skills$")
    job = refresh(pilot, Status.SCHEDULED, group="SKILLS")
    assert set(Snapshot.objects.values_list("endpoint", flat=True)) == {"skillqueue", "attributes"}
    assert told(perform(job)) == {"skills": (True, 1), "skillqueue": (False, 0), "attributes": (False, 0)}


def test_a_group_that_is_put_off_uses_no_attempt_and_goes_on_where_it_was(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    eve.control(buckets={"char-wallet": (8, 600)})
    job = refresh(pilot, Status.SCHEDULED, group="WALLET")
    assert (job.attempt, job.failures.count()) == (0, 0)
    assert [request["route"] for request in eve.received(service="esi")] == ["wallet", "wallet/journal"]
    assert not JournalEntry.objects.exists()
    Limit.objects.all().delete()
    eve.control(buckets={})
    assert told(perform(job)) == {"wallet": (False, 0), "wallet/journal": (True, 2), "wallet/transactions": (True, 4)}
    assert eve.told()["early"] == 0


def test_the_downtime_puts_a_job_off_without_using_attempts(eve: EveSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    pilot = logged_in(eve)
    monkeypatch.setattr(esi_client, "DOWNTIME", (time.min, time.max))  # now, whenever that is
    eve.control(downtime=True)
    job = refresh(pilot, Status.SCHEDULED, group="SKILLS")
    for _ in range(5):
        job = perform(job)
        assert (job.status, job.attempt, job.failures.count()) == (Status.SCHEDULED, 0, 0)
    assert {request["status"] for request in eve.received(service="esi")} == {503}
    eve.control(downtime=False)
    Limit.objects.all().delete()
    assert perform(job).status == Status.COMPLETED


def test_a_character_of_another_user_is_refused(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    job = perform(enqueue("esi_refresh", {"characterId": pilot.pk, "userId": pilot.user_id + 1, "group": "WALLET"}))
    assert job.status == Status.FAILED
    assert eve.received() == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "expected an endpoint or a group"),
        ({"endpoint": "/characters/{character_id}/wallet", "group": "WALLET"}, "expected an endpoint or a group"),
        ({"group": "CHARACTER_FLEET"}, "group: .*expected one of CHARACTER_OVERVIEW"),
        ({"endpoint": "/characters/{character_id}/fleet/"}, "is no endpoint that is read here"),
        ({"endpoint": "/characters/5/wallet/"}, "the path is about character 5"),
        ({"endpoint": "/characters/{character_id}/mail/{mail_id}/"}, "needs a number for {mail_id}"),
        ({"endpoint": "/characters/{character_id}/wallet/?page=2"}, "no parameter 'page'"),
        ({"group": "WALLET", "characterId": 0}, "characterId"),
    ],
)
def test_what_cannot_be_asked_is_told_when_it_is_enqueued(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPayload, match=message):
        enqueue("esi_refresh", {"characterId": PILOT, "userId": 1} | wrong)
    assert not Job.objects.exists()


def test_several_groups_are_jobs_that_users_wait_for(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    for group in ("CHARACTER_WALLET", "CHARACTER_SKILLS"):
        enqueue("esi-refresh", payload(pilot, group=group, skipCache=False), queue="esi-refresh")
    jobs = assert_enqueued("esi_refresh", queue="esi_refresh", count=2)
    assert [(job.priority, job.max_attempts) for job in jobs] == [(8, 3), (8, 3)]
    drain("esi_refresh")
    assert Job.objects.filter(status=Status.COMPLETED).count() == 2


def test_what_is_due_goes_by_the_age_of_what_is_kept(eve: EveSandbox) -> None:
    pilot = logged_in(eve, scopes=tuple(scope for scope in SCOPES if "mail" not in scope))
    logged_in(eve, PILOT + 1, user=pilot.user)
    assert perform(enqueue("esi_refresh_due")).result == {"enqueued": 15}
    jobs = assert_enqueued("esi_refresh", {"characterId": PILOT, "requestedBy": "schedule"}, count=7)
    assert {job.priority for job in jobs} == {5}
    assert perform(enqueue("esi_refresh_due")).result == {"enqueued": 0}
    for job in jobs:
        assert perform(job).status == Status.COMPLETED
    Job.objects.filter(status=Status.PENDING).delete()
    Snapshot.objects.filter(endpoint="wallet").update(expires_at=F("expires_at") - timedelta(days=2))
    Snapshot.objects.filter(endpoint__in=["location", "ship"]).update(expires_at=F("expires_at") + timedelta(days=2))
    assert perform(enqueue("esi_refresh_due")).result == {"enqueued": 9}
    assert [job.payload["group"] for job in assert_enqueued("esi_refresh", {"characterId": PILOT})] == [
        "CHARACTER_WALLET"
    ]


def test_how_far_a_group_is_can_be_watched(eve: EveSandbox) -> None:
    job = refresh(logged_in(eve), group="SKILLS")
    assert job.progress
    assert (job.progress["done"], job.progress["total"]) == (3, 3)


def test_the_counts_of_the_sandbox_are_those_of_these_tests() -> None:
    assert (COUNTS["assets"], COUNTS["mail"]) == (TABLES[Asset], TABLES[Mail])
