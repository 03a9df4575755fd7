"""Tokens of characters: renewed when they must be, in one call, checked, and the end of what an owner allowed."""

import json
import threading
from datetime import time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.errors import RateLimited, Retry
from jobs.models import Job, Queue, Status
from jobs.processor import enqueue
from jobs.testing import drain, perform
from processors.eve import sso
from processors.eve.esi import client
from processors.eve.models import Character, Grant
from processors.eve.sandbox.faults import REFUSALS
from processors.eve.sandbox.world import PILOT
from processors.eve.tasks.tokens import token_refresh
from tests.integration.workers import wait_for
from tests.processors.eve.rows import logged_in
from tests.processors.eve.sandbox import EveSandbox

pytestmark = pytest.mark.django_db
DEAD = [name for name, (status, _, _) in REFUSALS.items() if status == 400]


@pytest.fixture
def pilot(eve: EveSandbox) -> Character:
    """Whose tokens came an hour ago."""
    character = logged_in(eve)
    an_hour_ago = timezone.now() - timedelta(hours=1)
    Grant.objects.update(expires_at=an_hour_ago + timedelta(minutes=20), refreshed_at=an_hour_ago)
    return character


def refresh(character: Character) -> Job:
    return perform(token_refresh.enqueue({"characterId": character.pk, "userId": character.user_id}))


def told() -> list[dict[str, Any]]:
    return [job.payload for job in Job.objects.filter(type="send_notification").order_by("created_at")]


def test_a_refresh_stores_both_tokens_and_says_nothing_of_them(eve: EveSandbox, pilot: Character) -> None:
    before = Grant.objects.get()
    job = refresh(pilot)
    assert job.status == Status.COMPLETED
    after = Grant.objects.get()
    assert after.access_token != before.access_token
    assert after.refresh_token != before.refresh_token
    assert (after.serial, after.refreshing_until) == (1, None)
    left = after.expires_at - timezone.now()
    assert timedelta(minutes=19) < left <= timedelta(minutes=20)
    assert set(job.result or {}) == {"expiresAt", "refreshedAt", "scopes"}
    (call,) = eve.received(service="sso", route="v2/oauth/token")
    assert (call["grant_type"], call["character"], call["status"]) == ("refresh_token", PILOT, 200)
    assert call["agent"].startswith("Jobyard")


def test_a_second_job_beside_the_first_makes_no_call(eve: EveSandbox, pilot: Character) -> None:
    first, second = refresh(pilot), refresh(pilot)
    assert first.result == second.result
    assert len(eve.received(service="sso", route="v2/oauth/token")) == 1


def test_a_token_is_renewed_on_demand_in_its_last_minute(eve: EveSandbox, pilot: Character) -> None:
    Grant.objects.update(expires_at=timezone.now() + timedelta(seconds=90))
    kept = sso.access_token(PILOT)
    assert eve.received(service="sso") == []
    Grant.objects.update(expires_at=timezone.now() + timedelta(seconds=50))
    assert sso.access_token(PILOT) not in ("", kept)
    assert len(eve.received(service="sso", route="v2/oauth/token")) == 1


def test_a_token_that_esi_refuses_is_renewed_once(eve: EveSandbox, pilot: Character) -> None:
    Grant.objects.update(expires_at=timezone.now() + timedelta(minutes=10))
    refused = sso.access_token(PILOT)
    assert sso.access_token(PILOT, renew=True) == sso.access_token(PILOT, renew=True) != refused
    assert len(eve.received(service="sso", route="v2/oauth/token")) == 1


def test_only_the_owner_may_refresh(eve: EveSandbox, pilot: Character) -> None:
    job = perform(token_refresh.enqueue({"characterId": PILOT, "userId": pilot.user_id + 1}))
    assert (job.status, eve.received(service="sso")) == (Status.FAILED, [])
    assert "has no character" in str(job.failures.get().message)


def test_all_live_grants_are_refreshed_when_due_once_each(eve: EveSandbox, pilot: Character) -> None:
    for number in range(3):
        logged_in(eve, 95_000_001 + number)
    Grant.objects.filter(pk=95_000_003).update(status="dead", died_at=timezone.now())
    enqueue("token_refresh", {"characterId": PILOT, "userId": pilot.user_id}, unique_key=str(PILOT))
    due = perform(enqueue("token_refresh_due"))
    assert due.result == {"queued": 2}
    jobs = Job.objects.filter(type="token_refresh")
    assert sorted(job.payload["characterId"] for job in jobs) == [95_000_001, 95_000_002, PILOT]
    assert {(job.queue, job.priority, job.max_attempts) for job in jobs} == {("token_refresh", 8, 3)}


@pytest.mark.parametrize("fault", DEAD)
def test_a_grant_that_is_gone_is_marked_and_the_user_told_once(eve: EveSandbox, pilot: Character, fault: str) -> None:
    pilot.user.email = "pilot@example.com"
    pilot.user.save()
    eve.fail(fault)
    job = refresh(pilot)
    grant = Grant.objects.get()
    assert (job.status, job.attempt, grant.status, grant.reason) == (Status.FAILED, 1, "dead", REFUSALS[fault][2])
    assert (grant.access_token, grant.refresh_token) == ("", "")
    assert None not in (grant.died_at, grant.told_at)
    assert [(each["channel"], each["recipient"]) for each in told()] == [
        ("in-app", "pilot"),
        ("email", "pilot@example.com"),
    ]
    assert pilot.name in told()[0]["subject"]
    assert refresh(pilot).status == Status.FAILED  # without a call
    assert (len(eve.received(service="sso", route="v2/oauth/token")), len(told())) == (1, 2)
    with pytest.raises(sso.GrantLost, match="log in again"):
        sso.access_token(PILOT)


def test_a_character_with_another_owner_is_given_up(eve: EveSandbox, pilot: Character) -> None:
    eve.control(owners={str(PILOT): "somebody else"})
    assert refresh(pilot).status == Status.FAILED
    assert (Grant.objects.get().status, len(told())) == ("dead", 1)
    assert "another account" in told()[0]["body"]


@pytest.mark.parametrize("fault", ["sso-500", "sso-502", "sso-503", "sso-reset"])
def test_what_passes_is_tried_again(eve: EveSandbox, pilot: Character, fault: str) -> None:
    eve.fail(fault)
    job = refresh(pilot)
    assert (job.status, job.attempt) == (Status.SCHEDULED, 1)
    assert Grant.objects.get().refreshing_until is None
    assert perform(job).status == Status.COMPLETED


def test_the_daily_downtime_uses_no_attempt(eve: EveSandbox, pilot: Character, monkeypatch: pytest.MonkeyPatch) -> None:
    eve.control(downtime=True)
    monkeypatch.setattr(client, "DOWNTIME", (time.min, time.max))
    job = refresh(pilot)
    assert (job.status, job.attempt) == (Status.SCHEDULED, 0)
    eve.control(downtime=False)
    assert perform(job).status == Status.COMPLETED


@pytest.mark.django_db(transaction=True)
def test_a_429_keeps_everybody_away_for_as_long_as_told(eve: EveSandbox, pilot: Character) -> None:
    eve.fail("sso-429")
    with pytest.raises(RateLimited) as limited:
        sso.access_token(PILOT)
    assert limited.value.after == 12
    job = refresh(pilot)
    assert (job.status, job.attempt) == (Status.SCHEDULED, 0)
    assert len(eve.received(service="sso", route="v2/oauth/token")) == 1


@pytest.mark.parametrize("fault", ["sso-invalid-client", "sso-html"])
def test_a_refused_application_pauses_the_queue_and_no_grant_dies(
    eve: EveSandbox, pilot: Character, fault: str
) -> None:
    eve.fail(fault)
    assert refresh(pilot).status == Status.FAILED
    assert Grant.objects.get().status == "live"
    assert "EVE_CLIENT_ID" in Queue.objects.get(name="token_refresh").reason


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://login.example.com"},
        {"aud": ["another", "EVE Online"]},
        {"aud": ["9d1a6c2f0b5e4f7e8a3c"]},
        {"exp": 1534412504, "iat": 1534411304},
        {"sub": "CORPORATION:EVE:1"},
    ],
    ids=lambda claims: next(iter(claims)),
)
def test_a_token_with_wrong_claims_is_not_used_but_what_came_with_it_is_kept(
    eve: EveSandbox, pilot: Character, claims: dict[str, Any]
) -> None:
    eve.control(claims=claims)
    with pytest.raises(Retry, match="cannot be trusted"):
        sso.access_token(PILOT)
    assert (Grant.objects.get().access_token, Grant.objects.get().serial) == ("", 1)
    eve.control(claims={})
    assert sso.access_token(PILOT)  # with the refresh token of the answer that was not trusted


def test_a_forged_token_is_not_used(eve: EveSandbox, pilot: Character) -> None:
    eve.control(forge=True)
    with pytest.raises(Retry, match="BadSignature"):
        sso.access_token(PILOT)


@pytest.mark.parametrize("issuer", ["login.eveonline.com", "https://login.eveonline.com/"])
def test_the_issuer_has_three_spellings(eve: EveSandbox, pilot: Character, issuer: str) -> None:
    eve.control(claims={"iss": issuer})
    assert sso.access_token(PILOT)


def test_keys_are_asked_for_once_and_again_when_one_is_unknown(eve: EveSandbox, pilot: Character) -> None:
    def renew() -> None:
        Grant.objects.update(expires_at=timezone.now())
        sso.access_token(PILOT)

    renew()
    renew()
    assert len(eve.received(service="sso", route="oauth/jwks")) == 1
    eve.control(kid="another")
    with pytest.raises(Retry, match="another"):
        renew()
    renew()
    assert len(eve.received(service="sso", route="oauth/jwks")) == 2


def test_a_token_of_another_character_ends_the_grant(eve: EveSandbox, pilot: Character) -> None:
    eve.control(claims={"sub": "CHARACTER:EVE:95000001"})
    with pytest.raises(sso.GrantLost):
        sso.access_token(PILOT)


def test_one_scope_comes_as_text_and_none_not_at_all(eve: EveSandbox) -> None:
    for scopes in (("esi-skills.read_skills.v1",), ()):
        logged_in(eve, 95_000_001, scopes)
        Grant.objects.update(expires_at=timezone.now())
        sso.access_token(95_000_001)
        assert Grant.objects.get().scopes == list(scopes)
        Character.objects.all().delete()


def test_while_another_worker_asks_a_job_waits_without_an_attempt(eve: EveSandbox, pilot: Character) -> None:
    Grant.objects.update(refreshing_until=timezone.now() + timedelta(minutes=1))
    job = refresh(pilot)
    assert (job.status, job.attempt, eve.received(service="sso")) == (Status.SCHEDULED, 0, [])
    Grant.objects.update(refreshing_until=timezone.now() - timedelta(seconds=1))  # who died
    assert perform(job).status == Status.COMPLETED


@pytest.mark.django_db(transaction=True)
def test_ten_threads_at_once_make_one_call(eve: EveSandbox, pilot: Character) -> None:
    eve.control(latency_ms=300)
    tokens: list[str] = []

    def ask() -> None:
        try:
            tokens.append(sso.access_token(PILOT))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(tokens), set(tokens)) == (10, {Grant.objects.get().access_token})
    assert len(eve.received(service="sso", route="v2/oauth/token")) == 1


@pytest.mark.django_db(transaction=True)
def test_an_answer_is_stored_though_every_connection_is_lost_meanwhile(eve: EveSandbox, pilot: Character) -> None:
    eve.control(hold="^v2/oauth/token$").raise_for_status()
    told: list[str] = []

    def ask() -> None:
        try:
            told.append(sso.access_token(PILOT))
        finally:
            connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    wait_for(lambda: eve.received(route="v2/oauth/token"), "the call")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    eve.control(hold=None).raise_for_status()
    thread.join()
    assert told == [Grant.objects.get().access_token]
    assert Grant.objects.get().serial == 1


def test_no_token_is_in_a_row_a_page_a_log_or_an_error(
    eve: EveSandbox, pilot: Character, caplog: pytest.LogCaptureFixture, admin_client: Client
) -> None:
    seen = {Grant.objects.get().access_token, Grant.objects.get().refresh_token}
    refresh(pilot)
    eve.fail("sso-500")
    Grant.objects.update(expires_at=timezone.now(), refreshed_at=timezone.now() - timedelta(hours=1))
    refresh(pilot)
    eve.fail("sso-grant-missing")
    seen |= {Grant.objects.get().access_token, Grant.objects.get().refresh_token}
    refresh(pilot)
    drain()
    with connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        for table in tables:
            cursor.execute(f"SELECT row_to_json(t)::text FROM {table} t")  # noqa: S608
            rows = json.dumps(cursor.fetchall())
            assert not [token for token in seen if token in rows], table
    pages = [reverse("dashboard:job", args=[job.pk]) for job in Job.objects.all()]
    pages += [reverse(f"admin:eve_{name}_change", args=[PILOT]) for name in ("character", "grant")]
    for page in pages:
        answer = admin_client.get(page)
        assert answer.status_code == 200
        assert not [token for token in seen if token in answer.content.decode()], page
    assert len(pages) >= 6
    assert len(seen) == 4
    assert not [token for token in seen if token in caplog.text]


def test_a_late_answer_does_not_undo_a_newer_login(eve: EveSandbox, pilot: Character) -> None:
    from processors.eve.sso import grants

    stale = Grant.objects.get()
    told, tokens = sso.Claims(PILOT, pilot.name, pilot.owner_hash, (), 1200), sso.Tokens("newer", "newest")
    sso.log_in(pilot.user_id, told, tokens)
    grants._keep(stale, sso.Tokens("late", "later"), 1200)
    assert Grant.objects.get().refresh_token == "newest"
