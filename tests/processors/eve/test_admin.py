"""The EVE companion in the admin: every list with its search and filters, actions that enqueue, and no token."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from jobs.models import Job
from processors.eve import models
from processors.eve.models import Asset, Character, EsiAnswer, Grant, HistoryRun, JournalEntry, Mail, Notice, Snapshot
from tests.processors.eve.rows import character

pytestmark = pytest.mark.django_db

MODELS = [getattr(models, name) for name in models.__all__ if name != "DataType"]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRETS = {"access_token": "an-access-token", "refresh_token": "a-refresh-token"}


@pytest.fixture
def pilot() -> Character:
    pilot = character()
    Grant.objects.create(character=pilot, expires_at=NOW, **SECRETS)
    item = {"type_id": 1, "quantity": 2, "location_id": 3, "location_type": "station", "location_flag": "Hangar"}
    Asset.objects.create(character=pilot, item_id=1, is_singleton=False, **item)
    EsiAnswer.objects.create(key="esi:characters:1:wallet", endpoint="wallet", body=1.5, expires_at=NOW)
    Snapshot.objects.create(character=pilot, endpoint="wallet", data=1.5, version="1", expires_at=NOW)
    JournalEntry.objects.create(character=pilot, entry_id=1, date=NOW, ref_type="bounty_prizes", amount=1)
    Mail.objects.create(character=pilot, mail_id=1, subject="Hello")
    Notice.objects.create(character=pilot, notification_id=1, type="X", sender_id=1, sender_type="other", sent_at=NOW)
    HistoryRun.objects.create(character=pilot, job=uuid4(), data_type="wallet_journal", stored=1, changed=0)
    return pilot


def act(
    client: Client, model: type[Character] | type[Grant] | type[EsiAnswer] | type[Snapshot], action: str, key: object
) -> int:
    address = reverse(f"admin:eve_{model._meta.model_name}_changelist")
    return client.post(address, {"action": action, "_selected_action": [key]}).status_code


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_table_has_a_list_that_can_be_searched(admin_client: Client, pilot: Character, model: type) -> None:
    assert site.is_registered(model)
    address = reverse(f"admin:eve_{model._meta.model_name}_changelist")  # type: ignore[attr-defined]
    for query in ({}, {"q": "Pilot"}, {"q": "7"}):
        assert admin_client.get(address, query).status_code == 200


def test_no_page_shows_a_token(admin_client: Client, pilot: Character) -> None:
    for model in (Character, Grant):
        for address in (
            reverse(f"admin:eve_{model._meta.model_name}_changelist"),
            reverse(f"admin:eve_{model._meta.model_name}_change", args=[pilot.pk]),
        ):
            answer = admin_client.get(address)
            assert answer.status_code == 200
            page = answer.content.decode()
            assert not [secret for secret in SECRETS.values() if secret in page]
            assert "gAAAA" not in page  # how encrypted ones begin


@pytest.mark.parametrize(
    ("model", "action", "jobs", "priority"),
    [
        (Character, "new_tokens", {"token_refresh": 1}, 10),
        (Grant, "new_tokens", {"token_refresh": 1}, 10),
        (Character, "refresh", {"esi_refresh": 8}, 8),
        (Character, "collect", {"historical_data": 1}, 1),
    ],
)
def test_actions_enqueue(
    admin_client: Client,
    pilot: Character,
    model: type[Character] | type[Grant],
    action: str,
    jobs: dict[str, int],
    priority: int,
) -> None:
    assert act(admin_client, model, action, pilot.pk) == 302
    rows = Job.objects.all()
    assert {name: sum(job.type == name for job in rows) for name in jobs} == jobs
    assert {(job.payload["characterId"], job.payload["userId"], job.priority, job.created_by) for job in rows} == {
        (pilot.pk, pilot.user_id, priority, "admin")
    }


def test_what_has_expired_is_cleaned_up(admin_client: Client, pilot: Character) -> None:
    assert act(admin_client, EsiAnswer, "clean", EsiAnswer.objects.get().pk) == 302
    assert Job.objects.get().payload["mode"] == "expired"


def test_one_endpoint_is_refreshed(admin_client: Client, pilot: Character) -> None:
    assert act(admin_client, Snapshot, "refresh", Snapshot.objects.get().pk) == 302
    job = Job.objects.get()
    assert (job.payload["characterId"], job.payload["endpoint"]) == (pilot.pk, "/characters/{character_id}/wallet")
    assert (job.type, job.priority, job.created_by) == ("esi_refresh", 8, "admin")


def test_who_may_only_look_may_not_enqueue(client: Client, pilot: Character) -> None:
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(reader)
    act(client, Character, "refresh", pilot.pk)
    assert not Job.objects.exists()
