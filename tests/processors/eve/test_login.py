"""The login of a character: with PKCE, to EVE Online and back, for a user who is logged in here."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from jobs.models import Job
from jobs.processor import enqueue
from jobs.testing import perform
from processors.eve import sso
from processors.eve.esi.endpoints import SCOPES
from processors.eve.models import Character, EsiAnswer, Grant, Snapshot
from processors.eve.sandbox.world import PILOT
from tests.processors.eve.rows import character, logged_in
from tests.processors.eve.sandbox import EveSandbox

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(eve: EveSandbox) -> Client:
    browser = Client()
    browser.force_login(get_user_model().objects.create_user("ada"))
    return browser


def begin(browser: Client) -> dict[str, str]:
    """The query that EVE Online is sent."""
    answer = browser.get("/eve/login")
    assert answer.status_code == 302
    return {name: values[0] for name, values in parse_qs(urlsplit(answer["Location"]).query).items()}


def log_in(eve: EveSandbox, browser: Client, *, follow: bool = False) -> Any:
    """As a browser does that follows each address."""
    there = eve.http.get(browser.get("/eve/login")["Location"])
    back = urlsplit(there.headers["Location"])
    return browser.get(f"{back.path}?{back.query}", follow=follow)


def test_a_character_logs_in_for_whoever_is_logged_in_here(eve: EveSandbox, ada: Client) -> None:
    assert b"None yet" in ada.get("/eve/").content
    answer = log_in(eve, ada)
    assert (answer.status_code, answer["Location"]) == (302, "/eve/")
    row = Character.objects.get()
    assert (row.pk, row.name, row.user.get_username()) == (PILOT, "Johnn Dillinger", "ada")
    grant = row.grant
    assert (grant.status, tuple(grant.scopes)) == ("live", SCOPES)
    page = ada.get("/eve/").content.decode()
    assert "Johnn Dillinger" in page
    assert grant.access_token not in page
    assert grant.refresh_token not in page
    job = perform(Job.objects.get(type="esi_refresh"))  # what is seen first comes at once
    assert (job.status, job.created_by) == ("completed", "ada")
    assert Snapshot.objects.filter(character=row, endpoint="location").exists()


def test_the_verifier_stays_here_and_every_login_has_its_own(eve: EveSandbox, ada: Client) -> None:
    first, second = begin(ada), begin(ada)
    assert first["code_challenge_method"] == "S256"
    assert len({first["state"], second["state"], first["code_challenge"], second["code_challenge"]}) == 4
    assert ada.session["eve-login"]["verifier"] not in str(second)
    assert (first["response_type"], first["redirect_uri"]) == ("code", "http://testserver/eve/callback")


def test_our_address_is_the_sites(eve: EveSandbox, ada: Client, settings: Any) -> None:
    settings.SITE_URL = "https://jobs.example"
    assert begin(ada)["redirect_uri"] == "https://jobs.example/eve/callback"


@pytest.mark.parametrize("state", ["", "another", "sté"])
def test_a_login_that_was_not_begun_here_is_refused(eve: EveSandbox, ada: Client, state: str) -> None:
    begin(ada)
    assert b"not begun here" in ada.get("/eve/callback", {"code": "0" * 32, "state": state}, follow=True).content
    assert b"not begun here" in ada.get("/eve/callback", follow=True).content
    assert eve.received(route="v2/oauth/token") == []


def test_a_code_is_exchanged_once(eve: EveSandbox, ada: Client) -> None:
    there = eve.http.get(ada.get("/eve/login")["Location"])
    back = urlsplit(there.headers["Location"])
    eve.fail("sso-500")
    assert b"sso: 500" in ada.get(f"{back.path}?{back.query}", follow=True).content
    assert b"used already" in ada.get(f"{back.path}?{back.query}", follow=True).content
    assert len(eve.received(route="v2/oauth/token")) == 1


def test_who_refuses_is_told_so(eve: EveSandbox, ada: Client) -> None:
    eve.control(deny=True)
    assert b"is not logged in" in log_in(eve, ada, follow=True).content
    assert not Character.objects.exists()


def test_a_code_that_is_not_taken_is_told(eve: EveSandbox, ada: Client, caplog: pytest.LogCaptureFixture) -> None:
    answer = ada.get("/eve/callback", {"code": "0" * 32, "state": begin(ada)["state"]}, follow=True)
    assert answer.redirect_chain == [("/eve/", 302)]
    assert b"code not found" in answer.content
    assert "0" * 32 not in caplog.text


def test_new_keys_are_looked_for_in_a_login(eve: EveSandbox, ada: Client) -> None:
    log_in(eve, ada)
    eve.control(kid="another")
    assert log_in(eve, ada).status_code == 302


def test_a_new_login_revives_a_dead_grant(eve: EveSandbox, ada: Client) -> None:
    log_in(eve, ada)
    eve.control(dead=[PILOT])
    Grant.objects.update(expires_at="2026-01-01T00:00Z")
    with pytest.raises(sso.GrantLost):
        sso.access_token(PILOT)
    assert b"Has to log in again" in ada.get("/eve/").content
    eve.control(dead=[])
    log_in(eve, ada)
    grant = Grant.objects.get()
    assert (grant.status, grant.reason, grant.died_at, grant.told_at) == ("live", "", None, None)


def test_a_new_login_helps_when_the_key_of_the_tokens_is_lost(
    eve: EveSandbox, ada: Client, admin_client: Client, settings: Any
) -> None:
    log_in(eve, ada)
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    assert b"Logged in since" in ada.get("/eve/").content
    for page in ("character", "grant"):
        assert admin_client.get(reverse(f"admin:eve_{page}_changelist")).status_code == 200
        assert admin_client.get(reverse(f"admin:eve_{page}_change", args=[PILOT])).status_code == 200
    perform(enqueue("esi_refresh_due"))
    log_in(eve, ada)
    assert sso.access_token(PILOT)
    assert Grant.objects.get().serial == 1


def test_a_character_that_was_sold_begins_anew(eve: EveSandbox, ada: Client) -> None:
    sold = character()
    Snapshot.objects.create(character=sold, endpoint="mail", data=[], version="1", expires_at="2026-01-01T00:00Z")
    eve.control(owners={str(PILOT): "somebody else"})
    log_in(eve, ada)
    bought = Character.objects.get()
    assert (bought.user.get_username(), bought.owner_hash) == ("ada", "somebody else")
    assert not bought.snapshots.exists()


def test_ones_own_other_account_keeps_what_is_known(eve: EveSandbox, ada: Client) -> None:
    log_in(eve, ada)
    Snapshot.objects.create(character_id=PILOT, endpoint="mail", data=[], version="1", expires_at="2026-01-01T00:00Z")
    eve.control(owners={str(PILOT): "ada's other account"})
    log_in(eve, ada)
    assert Character.objects.get().snapshots.filter(endpoint="mail").exists()


def test_ones_own_character_can_be_forgotten_with_all_that_is_known(eve: EveSandbox, ada: Client) -> None:
    log_in(eve, ada)
    perform(Job.objects.get(type="esi_refresh"))
    others = character(95_000_001)
    assert ada.post(f"/eve/{others.pk}/forget").status_code == 404
    assert ada.get(f"/eve/{PILOT}/forget").status_code == 405
    assert Client().post(f"/eve/{PILOT}/forget").status_code == 302  # to our login
    assert Character.objects.count() == 2
    assert b"is forgotten" in ada.post(f"/eve/{PILOT}/forget", follow=True).content
    assert list(Character.objects.all()) == [others]
    assert not any(model.objects.exists() for model in (Grant, Snapshot, EsiAnswer))
    user = get_user_model().objects.get(username="ada").pk
    late = perform(enqueue("token_refresh", {"characterId": PILOT, "userId": user}))
    assert "has no character" in late.failures.get().message


def test_ones_characters_are_in_the_order_of_their_names(eve: EveSandbox, ada: Client) -> None:
    user = get_user_model().objects.get(username="ada")
    for number, name in enumerate(("Beta", "Alpha", "Gamma")):
        row = logged_in(eve, 95_000_001 + number, user=user, name=name)
        Snapshot.objects.create(character=row, endpoint="mail", version="1", expires_at="2026-01-01T00:00Z")
    page = ada.get("/eve/").content.decode()
    assert re.findall(r"<h2>(\w+)", page) == ["Alpha", "Beta", "Gamma"]
    assert page.count("1 endpoint known") == 3


def test_others_characters_are_not_shown(eve: EveSandbox, ada: Client) -> None:
    character(95_000_001)
    assert b"Pilot 95000001" not in ada.get("/eve/").content
    assert Client().get("/eve/").status_code == 302  # to our login
    assert Client().get("/eve/login")["Location"].startswith("/admin/login")


def test_without_the_service_there_is_a_page_that_says_so(eve: EveSandbox, ada: Client) -> None:
    eve.control(downtime=True)
    assert b"sso: 503" in ada.get("/eve/login", follow=True).content
