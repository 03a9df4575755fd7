"""Columns that the database sees encrypted only, and the change of their keys."""

from datetime import timedelta
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from config import environment
from processors.eve.checks import check_keys
from processors.eve.models import Grant
from processors.eve.models.fields import CannotDecrypt, EncryptedTextField
from tests.processors.eve.rows import character

pytestmark = pytest.mark.django_db


def key() -> str:
    return Fernet.generate_key().decode()


def grant(number: int = 1, access: str = "secret", refresh: str = "") -> Grant:
    expires = timezone.now() + timedelta(minutes=20)
    owner = character(number)
    return Grant.objects.create(character=owner, access_token=access, refresh_token=refresh, expires_at=expires)


def stored() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT access_token FROM eve_grant ORDER BY character_id")
        return [text for (text,) in cursor.fetchall()]


def rotate() -> str:
    out = StringIO()
    call_command("rotate_field_keys", stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("text", ["secret", "", "ünïcode ✓", "x" * 10_000])
def test_a_text_comes_back_as_it_was(text: str) -> None:
    row = grant(access=text)
    row.refresh_from_db()
    assert row.access_token == text
    assert stored() != [text]
    assert not text or text not in stored()[0]


def test_null_stays_null() -> None:
    field = EncryptedTextField()
    assert field.get_prep_value(None) is None
    assert field.from_db_value(None, None, connection) is None


def test_a_wrong_key_is_an_error_and_never_the_ciphertext(settings: Settings) -> None:
    grant()
    settings.FIELD_KEYS = [key()]
    with pytest.raises(CannotDecrypt):
        Grant.objects.get()
    settings.FIELD_KEYS = []
    with pytest.raises(ImproperlyConfigured, match="FIELD_KEYS"):
        Grant.objects.get()


def test_it_cannot_be_searched() -> None:
    with pytest.raises(FieldError, match="encrypted"):
        Grant.objects.filter(access_token="secret")


def test_keys_are_changed_without_an_end_of_service(settings: Settings) -> None:
    old, new = key(), key()
    settings.FIELD_KEYS = [old]
    grant(1)
    settings.FIELD_KEYS = [new, old]
    grant(2)
    before = stored()
    assert "eve.Grant.access_token: 1 rows encrypted anew" in rotate()
    assert stored()[0] != before[0]
    assert stored()[1] == before[1]  # it had the new key
    assert "eve.Grant.access_token: 0 rows" in rotate()
    settings.FIELD_KEYS = [new]
    assert [row.access_token for row in Grant.objects.all()] == ["secret", "secret"]


def test_what_no_key_opens_is_named_and_the_rest_is_done(settings: Settings) -> None:
    lost, old, new = key(), key(), key()
    settings.FIELD_KEYS = [lost]
    grant(1)
    settings.FIELD_KEYS = [old]
    grant(2)
    settings.FIELD_KEYS = [new, old]
    with pytest.raises(CommandError, match=r"eve\.Grant 1 access_token, eve\.Grant 1 refresh_token$"):
        rotate()
    settings.FIELD_KEYS = [new]
    assert Grant.objects.get(pk=2).access_token == "secret"


@pytest.mark.parametrize(
    "wrong", ["short", "not base64!", f"{key()},short"], ids=["short", "not base64", "one of two short"]
)
def test_a_wrong_key_in_the_settings_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("FIELD_KEYS", wrong)
    with pytest.raises(SystemExit, match=r"Wrong setting FIELD_KEYS: .*32 random bytes"):
        environment.fernet_keys("FIELD_KEYS")


def test_an_application_without_keys_does_not_start(settings: Settings) -> None:
    assert check_keys(None) == []
    settings.EVE_CLIENT_ID, settings.FIELD_KEYS = "an application", []
    assert [error.id for error in check_keys(None)] == ["eve.E001"]
