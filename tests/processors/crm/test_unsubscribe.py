"""Out of marketing by one POST (RFC 8058), and by nothing else."""

import pytest
from django.core import signing
from django.test import Client
from pytest_django import Settings

from processors.crm import addresses
from processors.crm.models import Suppression

pytestmark = pytest.mark.django_db

ADDRESS = "grace@example.com"


@pytest.fixture
def strict() -> Client:
    """As mail programs come: without cookies, and nothing forgiven."""
    return Client(enforce_csrf_checks=True)


def path(token: str | None = None) -> str:
    return f"/crm/unsubscribe?token={addresses.token(ADDRESS) if token is None else token}"


def test_one_post_is_enough(strict: Client) -> None:
    answer = strict.post(path(), {"List-Unsubscribe": "One-Click"})
    assert (answer.status_code, answer.cookies) == (200, {})
    row = Suppression.objects.get()
    assert (row.address, row.reason) == (ADDRESS, "unsubscribed")
    assert addresses.is_suppressed(ADDRESS, marketing=True)
    assert not addresses.is_suppressed(ADDRESS, marketing=False)
    assert strict.post(path(), {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert Suppression.objects.count() == 1


def test_a_get_asks_and_changes_nothing(strict: Client) -> None:
    answer = strict.get(path())
    assert (answer.status_code, answer.cookies) == (200, {})
    assert b"<form method=" in answer.content
    assert ADDRESS.encode() in answer.content
    assert strict.head(path()).status_code == 200
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    "token",
    ["", "nonsense", "a:b:c", addresses.token(ADDRESS)[:-1], signing.Signer(salt="other").sign_object(ADDRESS)],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_forged_token_is_nobodys(strict: Client, token: str, method: str) -> None:
    assert getattr(strict, method)(path(token)).status_code == 404
    assert not Suppression.objects.exists()


def test_another_secret_makes_other_tokens(strict: Client, settings: Settings) -> None:
    before = path()
    settings.SECRET_KEY = "x" * 60
    assert strict.post(before).status_code == 404


def test_other_methods_are_refused(strict: Client) -> None:
    assert strict.delete(path()).status_code == 405


def test_a_mailbox_that_is_gone_stays_gone(strict: Client) -> None:
    addresses.suppress(ADDRESS, Suppression.Reason.BOUNCED)
    strict.post(path())
    assert Suppression.objects.get().reason == "bounced"
    addresses.suppress("other@example.com", Suppression.Reason.UNSUBSCRIBED)
    addresses.suppress("other@example.com", Suppression.Reason.BOUNCED, "550")
    assert not Suppression.objects.filter(reason="unsubscribed").exists()
